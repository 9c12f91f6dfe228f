//! Lengths of time as they are written: `'1 hour 30 minutes'`, `INTERVAL 10 MINUTES`.
//!
//! Months and years are refused: they have no fixed length.

use sqlparser::ast::{Expr, Interval, UnaryOperator, Value};

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;

/// A length of time as text, in microseconds: counts and units in turn, such as
/// `1 hour 30 minutes`; a count may have a sign, and seconds a fraction.
///
/// # Errors
/// What is wrong with the text, as a sentence that follows its quotation.
pub fn text_length(text: &str) -> Result<i64, String> {
    let lower = text.trim().to_lowercase();
    let lower = lower.strip_prefix("interval ").unwrap_or(&lower);
    let mut words = lower.split_whitespace();
    let (mut total, mut parts) = (0_i64, 0);
    while let Some(count) = words.next() {
        let unit = words
            .next()
            .ok_or_else(|| "has a number without a unit".to_owned())?;
        total = part(count, unit).and_then(|part| {
            total
                .checked_add(part)
                .ok_or_else(|| "is too long".to_owned())
        })?;
        parts += 1;
    }
    match parts {
        0 => Err("says no length".to_owned()),
        _ => Ok(total),
    }
}

/// A length of time as it stands in a query, in microseconds: a text, or an INTERVAL with constant
/// numbers, whose names need not be resolved.
///
/// # Errors
/// What is wrong with it, as a sentence that follows its quotation.
pub fn interval_length(expression: &Expr) -> Result<i64, String> {
    match expression {
        Expr::Nested(inner) => interval_length(inner),
        Expr::Interval(interval) => of_interval(interval),
        other => match text_of(other) {
            Some(text) => text_length(&text),
            None => Err("is no constant length of time".to_owned()),
        },
    }
}

fn of_interval(interval: &Interval) -> Result<i64, String> {
    if interval.last_field.is_some() {
        return Err("spans several units".to_owned());
    }
    let Some(value) = text_of(&interval.value) else {
        return Err("is no constant length of time".to_owned());
    };
    match &interval.leading_field {
        Some(unit) => part(value.trim(), &unit.to_string().to_lowercase()),
        None => text_length(&value),
    }
}

/// The text of a constant string or number.
fn text_of(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Nested(inner) => text_of(inner),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => text_of(expr).map(|text| format!("-{text}")),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text)
            | Value::DoubleQuotedString(text)
            | Value::Number(text, _) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// So many of a unit.
fn part(count: &str, unit: &str) -> Result<i64, String> {
    let size = match unit.trim_end_matches('s') {
        "microsecond" => 1,
        "millisecond" => 1_000,
        "second" => SECOND,
        "minute" => 60 * SECOND,
        "hour" => 3_600 * SECOND,
        "day" => 86_400 * SECOND,
        "week" => 7 * 86_400 * SECOND,
        "month" | "quarter" | "year" => {
            return Err("counts months or years, which have no fixed length".to_owned());
        }
        _ => return Err(format!("has the unknown unit `{unit}`")),
    };
    let wrong = || format!("has `{count}` where a number is due");
    let (whole, fraction) = count.split_once('.').unwrap_or((count, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(fraction) || fraction.len() > 6 || (!fraction.is_empty() && size != SECOND) {
        return Err(wrong());
    }
    let unsigned = whole.trim_start_matches(['-', '+']);
    if unsigned.is_empty() || !digits(unsigned) || whole.len() > unsigned.len() + 1 {
        return Err(wrong());
    }
    let fraction: i64 = format!("{fraction:0<6}").parse().map_err(|_| wrong())?;
    unsigned
        .parse::<i64>()
        .ok()
        .and_then(|count| count.checked_mul(size)?.checked_add(fraction))
        .map(|length| {
            if whole.starts_with('-') {
                -length
            } else {
                length
            }
        })
        .ok_or_else(|| "is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::text_length;

    #[test]
    fn lengths_are_read() {
        let minute = 60_000_000;
        for (text, length) in [
            ("10 minutes", 10 * minute),
            ("interval 1 hour 30 MINUTES", 90 * minute),
            ("1.5 seconds", 1_500_000),
            ("-5 minutes", -5 * minute),
            ("2 weeks 1 day", 15 * 24 * 60 * minute),
            ("1 day -1 hour", 23 * 60 * minute),
            ("250 milliseconds", 250_000),
        ] {
            assert_eq!(text_length(text), Ok(length), "{text}");
        }
        for (text, said) in [
            ("", "no length"),
            ("10", "without a unit"),
            ("1 month", "no fixed length"),
            ("ten minutes", "`ten` where a number is due"),
            ("1.5 minutes", "`1.5` where a number is due"),
            ("--1 day", "where a number is due"),
            ("3 fortnights", "unknown unit"),
            ("99999999999 weeks", "too long"),
        ] {
            let error = text_length(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}

//! Dates and times by Spark's names.

use sqlparser::ast::{DataType, Expr, Function, TimezoneInfo};

use super::{constant, named, wrong_arguments};
use crate::resolve::mistake::Mistake;
use crate::resolve::trees;

/// Rewrites a call on dates and times; `None` if it is none of these.
///
/// # Errors
/// A mistake if a unit of time is not known.
pub(super) fn rewrite(
    name: &str,
    given: &[Expr],
    function: &Function,
) -> Result<Option<Expr>, Mistake> {
    let timestamp = DataType::Timestamp(None, TimezoneInfo::None);
    Ok(Some(match (name, given) {
        ("current_timestamp" | "now" | "getdate", _) => {
            trees::cast(trees::call("now", Vec::new()), timestamp)
        }
        ("localtimestamp", _) => {
            trees::cast(trees::call("now", Vec::new()), DataType::TimestampNtz(None))
        }
        ("curdate" | "current_date", _) => trees::call("current_date", Vec::new()),
        (
            "year" | "quarter" | "month" | "week" | "weekofyear" | "day" | "dayofmonth"
            | "dayofweek" | "dayofyear" | "hour" | "minute" | "second",
            [one],
        ) => part(name, one),
        ("datediff" | "date_diff" | "timestampdiff", [unit, from, to]) => {
            let unit = unit_of(unit, function)?;
            let arguments = vec![trees::string(&unit), from.clone(), to.clone()];
            trees::call("timestamp_difference", arguments)
        }
        ("dateadd" | "date_add" | "timestampadd", [unit, count, to]) => {
            let unit = unit_of(unit, function)?;
            let arguments = vec![trees::string(&unit), count.clone(), to.clone()];
            trees::call("timestamp_plus", arguments)
        }
        ("date_from_unix_date", [days]) => {
            let start = trees::cast(trees::string("1970-01-01"), DataType::Date);
            trees::call("date_add", vec![start, days.clone()])
        }
        ("dayname", [day]) => trees::call("date_format", vec![day.clone(), trees::string("EEE")]),
        ("to_char" | "to_varchar", [_, _]) => {
            Expr::Function(named(function.clone(), "date_format"))
        }
        ("current_timezone", []) => trees::string("UTC"),
        ("to_timestamp_ltz", _) => Expr::Function(named(function.clone(), "to_timestamp")),
        ("to_timestamp_ntz", _) => {
            let read = Expr::Function(named(function.clone(), "to_timestamp"));
            trees::cast(read, DataType::TimestampNtz(None))
        }
        ("dateadd", [_, _]) => Expr::Function(named(function.clone(), "date_add")),
        ("datediff", [_, _]) => Expr::Function(named(function.clone(), "date_diff")),
        _ => return Ok(None),
    }))
}

/// `year(x)` and its kin.
fn part(name: &str, of: &Expr) -> Expr {
    let part = match name {
        "weekofyear" => "week",
        "dayofmonth" => "day",
        "dayofweek" => "dow",
        "dayofyear" => "doy",
        other => other,
    };
    trees::call("date_part", vec![trees::string(part), of.clone()])
}

fn unit_of(unit: &Expr, function: &Function) -> Result<String, Mistake> {
    let expected = "a unit such as DAY, HOUR or MONTH first";
    let text = constant(unit).ok_or_else(|| wrong_arguments(function, expected))?;
    let unit = text.to_lowercase();
    let known = [
        "microsecond",
        "millisecond",
        "second",
        "minute",
        "hour",
        "day",
        "dayofyear",
        "week",
        "month",
        "quarter",
        "year",
    ];
    if known.contains(&unit.as_str()) {
        return Ok(unit.replace("dayofyear", "day"));
    }
    Err(wrong_arguments(function, expected))
}

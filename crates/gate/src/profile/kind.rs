//! What a written value looks like: a number, a date, an e-mail address, a missing value in disguise.
//!
//! This is a guess from the outside, for reports and for inferring a contract. Whether a value *is* of
//! a contract's type is decided by coercion alone.

use serde::Serialize;

use super::temporal::{self, Temporal};

/// What a written value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueKind {
    /// A word that stands for a missing value: `N/A`, `empty`, `-`.
    Placeholder,
    /// A word for true or false.
    Boolean,
    /// A whole number.
    Integer,
    /// Digits that are a name and not an amount: a leading zero, or more digits than a number holds.
    DigitCode,
    /// A number with a decimal point, or with an exponent.
    Decimal,
    /// A number with a percent sign.
    Percent,
    /// A number dressed for people: a currency sign, thousands separators, a decimal comma.
    FormattedNumber,
    /// A number followed by one word, its unit.
    Quantity,
    /// A calendar date.
    Date,
    /// A date with a time of day.
    Timestamp,
    /// A time of day.
    Time,
    /// A date that the calendar does not have, such as 30 February.
    ImpossibleDate,
    /// A UUID.
    Uuid,
    /// An e-mail address.
    Email,
    /// A web address.
    Url,
    /// A JSON object or array.
    Json,
    /// Anything else.
    Text,
}

impl ValueKind {
    /// The kind in words, for a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::Placeholder => "missing-value word",
            Self::Boolean => "boolean",
            Self::Integer => "whole number",
            Self::DigitCode => "digit code",
            Self::Decimal => "decimal number",
            Self::Percent => "percentage",
            Self::FormattedNumber => "formatted number",
            Self::Quantity => "number with a unit",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Time => "time of day",
            Self::ImpossibleDate => "impossible date",
            Self::Uuid => "UUID",
            Self::Email => "e-mail address",
            Self::Url => "web address",
            Self::Json => "JSON",
            Self::Text => "text",
        }
    }

    /// Whether it is a plain number, which every reader takes as one.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Decimal)
    }

    /// Whether it is a date or a timestamp.
    pub fn is_temporal(self) -> bool {
        matches!(self, Self::Date | Self::Timestamp)
    }

    /// The family in which kinds mix without harm: whole numbers and decimals are both numbers.
    pub(crate) fn family(self) -> Self {
        match self {
            Self::Integer => Self::Decimal,
            Self::Date => Self::Timestamp,
            other => other,
        }
    }
}

/// A value as it looks, with what can be read from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    /// What it looks like.
    pub(crate) kind: ValueKind,
    /// The number in it, for every kind that carries one.
    pub(crate) number: Option<Number>,
    /// The moment in it, for dates and timestamps.
    pub(crate) temporal: Option<Temporal>,
}

/// A number as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number {
    /// Its value, as near as a double comes.
    pub(crate) value: f64,
    /// Digits before the decimal point, leading zeros not counted.
    pub(crate) integer_digits: u32,
    /// Digits after the decimal point.
    pub(crate) scale: u32,
    /// Whether it has an exponent.
    pub(crate) exponent: bool,
    /// Bytes of the text that the number takes, from the start of the trimmed value.
    length: usize,
}

impl Reading {
    fn of(kind: ValueKind) -> Self {
        Self {
            kind,
            number: None,
            temporal: None,
        }
    }
}

/// Words for a missing value, lower-case. `na` and `nan` are among them; a column of country codes is
/// left in peace by the rules that use this, not here.
const PLACEHOLDERS: &[&str] = &[
    "#div/0!",
    "#n/a",
    "#name?",
    "#null!",
    "#num!",
    "#ref!",
    "#value!",
    "(blank)",
    "(empty)",
    "(none)",
    "(null)",
    "-",
    "--",
    "---",
    ".",
    "..",
    "<na>",
    "?",
    "??",
    "\\n",
    "blank",
    "empty",
    "missing",
    "n.a.",
    "n/a",
    "n/d",
    "na",
    "nan",
    "nil",
    "no data",
    "none",
    "not applicable",
    "not available",
    "null",
    "tba",
    "tbd",
    "undefined",
    "unknown",
];

/// Whether the value is a word for a missing one, in any case.
pub(crate) fn is_placeholder(trimmed: &str) -> bool {
    if trimmed.len() > 14 || trimmed.is_empty() {
        return false;
    }
    let mut lower = [0_u8; 14];
    let lower = &mut lower[..trimmed.len()];
    lower.copy_from_slice(trimmed.as_bytes());
    lower.make_ascii_lowercase();
    PLACEHOLDERS
        .binary_search_by(|word| word.as_bytes().cmp(lower))
        .is_ok()
}

/// The truth a word stands for, if it is one of the unmistakable ones (digits are numbers here).
pub(crate) fn boolean(trimmed: &str) -> Option<bool> {
    const WORDS: [(&str, bool); 10] = [
        ("true", true),
        ("false", false),
        ("t", true),
        ("f", false),
        ("yes", true),
        ("no", false),
        ("y", true),
        ("n", false),
        ("on", true),
        ("off", false),
    ];
    if trimmed.len() > 5 {
        return None;
    }
    WORDS
        .iter()
        .find(|(word, _)| trimmed.eq_ignore_ascii_case(word))
        .map(|&(_, truth)| truth)
}

/// Reads a value; white space around it is ignored.
pub(crate) fn read(value: &str) -> Reading {
    let text = value.trim();
    let Some(&first) = text.as_bytes().first() else {
        return Reading::of(ValueKind::Text);
    };
    if (first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.'))
        && let Some(reading) = read_numeric(text)
    {
        return reading;
    }
    if is_placeholder(text) {
        return Reading::of(ValueKind::Placeholder);
    }
    if boolean(text).is_some() {
        return Reading::of(ValueKind::Boolean);
    }
    if let Some(number) = formatted_number(text) {
        return Reading {
            kind: ValueKind::FormattedNumber,
            number: Some(number),
            temporal: None,
        };
    }
    if first.is_ascii_alphabetic()
        && let Some(reading) = read_temporal(text)
    {
        return reading;
    }
    Reading::of(read_named(text))
}

/// Kinds that begin with a digit or a sign.
fn read_numeric(text: &str) -> Option<Reading> {
    if let Some(number) = plain_number(text) {
        let rest = &text.as_bytes()[number.length..];
        let kind = match rest {
            [] => plain_kind(text.as_bytes(), number),
            [b'%'] | [b' ', b'%'] => ValueKind::Percent,
            _ if is_unit(rest) => ValueKind::Quantity,
            _ => ValueKind::Text,
        };
        if kind != ValueKind::Text {
            return Some(Reading {
                kind,
                number: Some(number),
                temporal: None,
            });
        }
    }
    read_temporal(text)
}

fn plain_kind(text: &[u8], number: Number) -> ValueKind {
    if number.exponent || number.scale > 0 || text.contains(&b'.') {
        ValueKind::Decimal
    } else if (text.len() > 1 && text[0] == b'0') || number.integer_digits > 38 {
        ValueKind::DigitCode
    } else {
        ValueKind::Integer
    }
}

fn read_temporal(text: &str) -> Option<Reading> {
    let (kind, temporal) = match temporal::read(text.as_bytes())? {
        temporal::Outcome::Date(moment) => (ValueKind::Date, Some(moment)),
        temporal::Outcome::Timestamp(moment) => (ValueKind::Timestamp, Some(moment)),
        temporal::Outcome::Time => (ValueKind::Time, None),
        temporal::Outcome::Impossible => (ValueKind::ImpossibleDate, None),
    };
    Some(Reading {
        kind,
        number: None,
        temporal,
    })
}

/// Reads a number from the start of the text: sign, digits, point, exponent.
fn plain_number(text: &str) -> Option<Number> {
    let bytes = text.as_bytes();
    let digits_from = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let start = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let whole = digits_from(start);
    let fraction = if bytes.get(whole) == Some(&b'.') {
        digits_from(whole + 1)
    } else {
        whole
    };
    let scale = fraction.saturating_sub(whole + 1);
    if whole == start && scale == 0 {
        return None;
    }
    let mut length = fraction;
    if matches!(bytes.get(fraction), Some(b'e' | b'E')) {
        let sign = fraction + 1 + usize::from(matches!(bytes.get(fraction + 1), Some(b'+' | b'-')));
        let end = digits_from(sign);
        if end > sign {
            length = end;
        }
    }
    let value: f64 = text[..length].parse().ok()?;
    let leading_zeros = bytes[start..whole]
        .iter()
        .take_while(|&&byte| byte == b'0')
        .count();
    value.is_finite().then_some(Number {
        value,
        integer_digits: (whole - start - leading_zeros) as u32,
        scale: scale as u32,
        exponent: length > fraction,
        length,
    })
}

/// One word behind a number: letters, perhaps a dot at the end; micro and degree signs are letters.
fn is_unit(rest: &[u8]) -> bool {
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let word = rest.strip_suffix(b".").unwrap_or(rest);
    (1..=12).contains(&word.len())
        && word
            .iter()
            .all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80 || *byte == b'/')
}

/// The unit a quantity is written with, as written.
pub(crate) fn unit_of(value: &str) -> Option<&str> {
    let text = value.trim();
    let number = plain_number(text)?;
    let rest = &text[number.length..];
    (is_unit(rest.as_bytes()) || rest.trim_start() == "%").then(|| rest.trim_start())
}

/// A number with a currency sign, with separators between its thousands, or with a decimal comma.
fn formatted_number(text: &str) -> Option<Number> {
    const SIGNS: [char; 6] = ['$', '€', '£', '¥', '₹', '₽'];
    let negative = (text.starts_with('(') && text.ends_with(')')) || text.starts_with('-');
    let bare = text.trim_matches(|c: char| {
        SIGNS.contains(&c) || c.is_whitespace() || matches!(c, '(' | ')' | '-' | '+')
    });
    if bare.is_empty() || !bare.starts_with(|c: char| c.is_ascii_digit()) || bare.len() > 40 {
        return None;
    }
    if !bare
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | ' ' | '\'' | '\u{a0}' | '\u{202f}'))
    {
        return None;
    }
    let (whole, fraction) = split_decimal(bare);
    if !is_grouped(whole) {
        return None;
    }
    let mut plain: String = whole.chars().filter(char::is_ascii_digit).collect();
    if let Some(fraction) = fraction {
        plain.push('.');
        plain.push_str(fraction);
    }
    let number = plain_number(&plain)?;
    Some(Number {
        value: if negative {
            -number.value
        } else {
            number.value
        },
        length: text.len(),
        ..number
    })
}

/// Splits at the last point or comma if it is the decimal mark: the only one of its kind, and not
/// before exactly three digits unless the other mark stands before it.
fn split_decimal(text: &str) -> (&str, Option<&str>) {
    let Some(at) = text.rfind(['.', ',']) else {
        return (text, None);
    };
    let mark = text.as_bytes()[at];
    let other = if mark == b'.' { ',' } else { '.' };
    let (whole, fraction) = (&text[..at], &text[at + 1..]);
    let alone = !whole.as_bytes().contains(&mark)
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && !fraction.is_empty();
    if alone && (fraction.len() != 3 || whole.contains(other) || mark == b'.') {
        (whole, Some(fraction))
    } else {
        (text, None)
    }
}

/// Whether the digits come in one group, or in groups of three behind the first.
fn is_grouped(whole: &str) -> bool {
    let mut groups = whole.split(|c: char| !c.is_ascii_digit());
    let Some(first) = groups.next() else {
        return false;
    };
    let mut rest = groups.peekable();
    if rest.peek().is_some() && first.len() > 3 {
        return false;
    }
    !first.is_empty() && rest.all(|group| group.len() == 3)
}

/// Kinds of text that have a form of their own.
fn read_named(text: &str) -> ValueKind {
    let bytes = text.as_bytes();
    if is_uuid(bytes) {
        ValueKind::Uuid
    } else if is_email(text) {
        ValueKind::Email
    } else if text.starts_with("http://")
        || text.starts_with("https://")
        || text.starts_with("ftp://")
    {
        ValueKind::Url
    } else if matches!(
        (bytes.first(), bytes.last()),
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))
    ) && bytes.len() > 1
    {
        ValueKind::Json
    } else {
        ValueKind::Text
    }
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// One `@` with something before it and a dotted name behind it, without spaces.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'.' | b'-' | b'_' | b'+' | b'%' | b'\'')
            || byte >= 0x80
    };
    !local.is_empty()
        && local.bytes().all(allowed)
        && domain
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-') || byte >= 0x80)
        && domain
            .rsplit_once('.')
            .is_some_and(|(name, top)| !name.is_empty() && top.len() >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_placeholders_is_sorted() {
        assert!(PLACEHOLDERS.is_sorted());
        assert!(PLACEHOLDERS.iter().all(|word| word.len() <= 14));
    }

    #[test]
    fn values_are_told_apart_by_how_they_look() {
        use ValueKind::*;
        for (value, kind) in [
            ("12", Integer),
            ("-7", Integer),
            ("0", Integer),
            ("+3", Integer),
            ("007", DigitCode),
            ("35233", Integer),
            ("1.50", Decimal),
            ("-.5", Decimal),
            ("1e3", Decimal),
            ("5.", Decimal),
            ("12%", Percent),
            ("0.09 %", Percent),
            ("$1,234.50", FormattedNumber),
            ("1.234,50", FormattedNumber),
            ("1 234,50", FormattedNumber),
            ("12,50", FormattedNumber),
            ("(1,000)", FormattedNumber),
            ("1,23,4", Text),
            ("12.0 oz.", Quantity),
            ("37 patients", Quantity),
            ("5kg", Quantity),
            ("702 n main st", Text),
            ("2026-03-04", Date),
            ("2026-02-30", ImpossibleDate),
            ("31.12.2026", Date),
            ("4 March 2026", Date),
            ("Mar 4, 2026", Date),
            ("13/13/2026", ImpossibleDate),
            ("2026-03-04T10:00:00Z", Timestamp),
            ("2026-03-04 10:00:00.123+02:00", Timestamp),
            ("3/4/2026 1:05 PM", Timestamp),
            ("2026-03-04 25:00:00", ImpossibleDate),
            ("10:30", Time),
            ("334-793-8701", Text),
            ("N/A", Placeholder),
            ("-", Placeholder),
            ("#REF!", Placeholder),
            ("empty", Placeholder),
            ("Yes", Boolean),
            ("f", Boolean),
            ("a@b.org", Email),
            ("a@b", Text),
            ("https://example.org/x", Url),
            ("{\"a\":1}", Json),
            ("123e4567-e89b-12d3-a456-426614174000", Uuid),
            ("birmingham", Text),
            ("", Text),
            ("é", Text),
            ("1x", Quantity),
            ("Octoberfest", Text),
            ("May", Text),
            ("99999999999999999999999999999999999999999", DigitCode),
        ] {
            assert_eq!(read(value).kind, kind, "{value}");
        }
    }

    #[test]
    fn numbers_are_read_through_their_dress() {
        for (value, expected) in [
            ("$1,234.50", 1234.5),
            ("1.234,50", 1234.5),
            ("(12,50)", -12.5),
            ("12.0 oz", 12.0),
            ("1'000", 1000.0),
            ("-£5", -5.0),
            ("95%", 95.0),
        ] {
            assert_eq!(
                read(value).number.map(|number| number.value),
                Some(expected),
                "{value}"
            );
        }
        assert_eq!(unit_of("12.0 oz."), Some("oz."));
        assert_eq!(unit_of("12.0"), None);
    }

    #[test]
    fn moments_are_read_in_utc() {
        let micros = |value: &str| read(value).temporal.map(|moment| moment.micros);
        assert_eq!(micros("1970-01-02"), Some(86_400_000_000));
        assert_eq!(micros("1970-01-01T02:00:00.5+02:00"), Some(500_000));
        assert_eq!(micros("12/31/1969 11:59:59 PM"), Some(-1_000_000));
        assert_eq!(micros("1 January 1970"), Some(0));
    }
}

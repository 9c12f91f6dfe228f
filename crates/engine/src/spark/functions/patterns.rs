//! Spark's patterns of dates and times (`yyyy-MM-dd HH:mm:ss`), to write and to read by.
//!
//! A run of one letter is a field and its width; text in single quotes stands for itself, and so
//! does what is no letter. Writing and reading go by the same list of parts, made once per call.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc, Weekday};

/// One part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(Field, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Year,
    Quarter,
    Month,
    Day,
    DayOfYear,
    Weekday,
    HalfDay,
    Hour,
    ClockHour,
    Minute,
    Second,
    Fraction,
    Zone,
    Offset,
}

/// A pattern, read.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    parts: Vec<Part>,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The letter that means nothing, in a sentence.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(one) = rest.next() {
            if one == '\'' {
                let mut literal: String = rest.by_ref().take_while(|c| *c != '\'').collect();
                if literal.is_empty() {
                    literal.push('\'');
                }
                push_literal(&mut parts, &literal);
                continue;
            }
            if matches!(one, '[' | ']') {
                return Err(format!(
                    "the pattern '{text}' has optional parts, which are not read"
                ));
            }
            if !one.is_ascii_alphabetic() {
                push_literal(&mut parts, one.encode_utf8(&mut [0; 4]));
                continue;
            }
            let mut width = 1;
            while rest.next_if_eq(&one).is_some() {
                width += 1;
            }
            match field(one) {
                Some(field) => parts.push(Part::Field(field, width)),
                None => {
                    return Err(format!(
                        "the letter `{one}` of the pattern '{text}' means nothing"
                    ));
                }
            }
        }
        Ok(Self { parts })
    }

    /// Writes a moment into `out`.
    pub(super) fn write(&self, moment: &NaiveDateTime, utc: bool, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Field(field, width) => write_field(*field, *width, moment, utc, out),
            }
        }
    }

    /// Reads a moment; `None` if the text does not follow the pattern. A time of day that the
    /// pattern does not have is midnight.
    pub(super) fn read(&self, text: &str) -> Option<NaiveDateTime> {
        let mut found = Found::default();
        let mut rest = text.trim();
        for (at, part) in self.parts.iter().enumerate() {
            match part {
                Part::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Part::Field(field, width) => {
                    let adjacent = matches!(self.parts.get(at + 1), Some(Part::Field(..)));
                    rest = found.take(*field, *width, adjacent, rest)?;
                }
            }
        }
        if rest.is_empty() {
            found.moment()
        } else {
            None
        }
    }
}

fn push_literal(parts: &mut Vec<Part>, text: &str) {
    if let Some(Part::Literal(last)) = parts.last_mut() {
        last.push_str(text);
    } else {
        parts.push(Part::Literal(text.to_owned()));
    }
}

fn field(letter: char) -> Option<Field> {
    Some(match letter {
        'y' | 'u' => Field::Year,
        'Q' | 'q' => Field::Quarter,
        'M' | 'L' => Field::Month,
        'd' => Field::Day,
        'D' => Field::DayOfYear,
        'E' => Field::Weekday,
        'a' => Field::HalfDay,
        'H' | 'k' => Field::Hour,
        'h' | 'K' => Field::ClockHour,
        'm' => Field::Minute,
        's' => Field::Second,
        'S' => Field::Fraction,
        'V' | 'z' => Field::Zone,
        'X' | 'x' | 'Z' | 'O' => Field::Offset,
        _ => return None,
    })
}

fn write_field(field: Field, width: usize, moment: &NaiveDateTime, utc: bool, out: &mut String) {
    let mut number = |value: u32| {
        let _ = write!(out, "{value:0width$}");
    };
    match field {
        Field::Year if width == 2 => number(moment.year().rem_euclid(100).unsigned_abs()),
        Field::Year => {
            let _ = write!(out, "{:0width$}", moment.year());
        }
        Field::Quarter => number(moment.month0() / 3 + 1),
        Field::Month if width >= 3 => {
            let name = MONTHS[moment.month0() as usize];
            out.push_str(if width == 3 { &name[..3] } else { name });
        }
        Field::Month => number(moment.month()),
        Field::Day => number(moment.day()),
        Field::DayOfYear => number(moment.ordinal()),
        Field::Weekday => {
            let name = WEEKDAYS[moment.weekday().num_days_from_monday() as usize];
            out.push_str(if width <= 3 { &name[..3] } else { name });
        }
        Field::HalfDay => out.push_str(if moment.hour() < 12 { "AM" } else { "PM" }),
        Field::Hour => number(moment.hour()),
        Field::ClockHour => number(match moment.hour() % 12 {
            0 => 12,
            hour => hour,
        }),
        Field::Minute => number(moment.minute()),
        Field::Second => number(moment.second()),
        Field::Fraction => {
            let digits = format!("{:09}", moment.nanosecond() % 1_000_000_000);
            out.push_str(digits.get(..width.min(9)).unwrap_or(&digits));
        }
        Field::Zone if utc => out.push_str("UTC"),
        Field::Offset if utc => out.push_str(if width >= 4 { "+0000" } else { "Z" }),
        Field::Zone | Field::Offset => {}
    }
}

/// What reading has found so far.
#[derive(Default)]
struct Found {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    ordinal: Option<u32>,
    weekday: Option<Weekday>,
    afternoon: Option<bool>,
    hour: Option<u32>,
    minute: u32,
    second: u32,
    nanosecond: u32,
    offset_seconds: i32,
}

impl Found {
    /// Takes one field off the beginning of a text; what is behind it.
    fn take<'t>(
        &mut self,
        field: Field,
        width: usize,
        adjacent: bool,
        text: &'t str,
    ) -> Option<&'t str> {
        if field == Field::Month && width >= 3 {
            let (at, rest) = named(&MONTHS, width, text)?;
            self.month = Some(u32::try_from(at).ok()? + 1);
            return Some(rest);
        }
        match field {
            Field::Weekday => {
                let (at, rest) = named(&WEEKDAYS, width, text)?;
                self.weekday = Weekday::try_from(u8::try_from(at).ok()?).ok();
                return Some(rest);
            }
            Field::HalfDay => {
                let (half, rest) = text.split_at_checked(2)?;
                self.afternoon = Some(half.eq_ignore_ascii_case("pm"));
                let known = half.eq_ignore_ascii_case("am") || half.eq_ignore_ascii_case("pm");
                return known.then_some(rest);
            }
            Field::Zone | Field::Offset => return self.zone(text),
            _ => {}
        }
        let most = match field {
            Field::Fraction => width.clamp(1, 9),
            _ if adjacent || width > 1 => width.max(2),
            Field::Year => 9,
            Field::DayOfYear => 3,
            _ => 2,
        };
        let digits = text
            .bytes()
            .take(most)
            .take_while(u8::is_ascii_digit)
            .count();
        let exact = width > 1 && field != Field::Fraction;
        if digits == 0 || (exact && digits < width) {
            return None;
        }
        let (number, rest) = text.split_at(digits);
        let value: u32 = number.parse().ok()?;
        match field {
            Field::Year if width == 2 => self.year = Some(2000 + i32::try_from(value).ok()?),
            Field::Year => self.year = Some(i32::try_from(value).ok()?),
            Field::Month => self.month = Some(value),
            Field::Day => self.day = Some(value),
            Field::DayOfYear => self.ordinal = Some(value),
            Field::Hour | Field::ClockHour => self.hour = Some(value),
            Field::Minute => self.minute = value,
            Field::Second => self.second = value,
            Field::Fraction => {
                let missing = u32::try_from(9 - digits).ok()?;
                self.nanosecond = value * 10_u32.pow(missing);
            }
            _ => {}
        }
        Some(rest)
    }

    fn zone<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        for name in ["UTC", "GMT", "Z"] {
            if let Some(rest) = text.strip_prefix(name) {
                return Some(rest);
            }
        }
        let sign = match text.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let rest = &text[1..];
        let hours: i32 = rest.get(..2)?.parse().ok()?;
        let rest = rest[2..].strip_prefix(':').unwrap_or(&rest[2..]);
        let minutes: i32 = rest.get(..2).map_or(Some(0), |m| m.parse().ok())?;
        self.offset_seconds = sign * (hours * 3600 + minutes * 60);
        Some(rest.get(2..).unwrap_or(""))
    }

    fn moment(self) -> Option<NaiveDateTime> {
        let year = self.year.unwrap_or(1970);
        let date = match self.ordinal {
            Some(ordinal) => NaiveDate::from_yo_opt(year, ordinal)?,
            None => NaiveDate::from_ymd_opt(year, self.month.unwrap_or(1), self.day.unwrap_or(1))?,
        };
        if self
            .weekday
            .is_some_and(|weekday| weekday != date.weekday())
        {
            return None;
        }
        let hour = match (self.hour.unwrap_or(0), self.afternoon) {
            (hour, None) => hour,
            (hour, Some(_)) if hour > 12 => return None,
            (hour, Some(afternoon)) => hour % 12 + if afternoon { 12 } else { 0 },
        };
        let time = NaiveTime::from_hms_nano_opt(hour, self.minute, self.second, self.nanosecond)?;
        let local = NaiveDateTime::new(date, time);
        local.checked_sub_signed(chrono::TimeDelta::seconds(self.offset_seconds.into()))
    }
}

/// A name from a list at the beginning of a text, short (three letters) or full.
fn named<'t>(names: &[&str], width: usize, text: &'t str) -> Option<(usize, &'t str)> {
    names.iter().enumerate().find_map(|(at, name)| {
        let name = if width == 3 { &name[..3] } else { name };
        let head = text.get(..name.len())?;
        head.eq_ignore_ascii_case(name)
            .then(|| (at, &text[name.len()..]))
    })
}

/// The moment of a count of microseconds since 1970.
pub(super) fn moment(microseconds: i64) -> Option<NaiveDateTime> {
    DateTime::<Utc>::from_timestamp_micros(microseconds).map(|moment| moment.naive_utc())
}

#[cfg(test)]
mod tests {
    use super::{Pattern, moment};

    fn rewritten(from: &str, to: &str, text: &str) -> Option<String> {
        let moment = Pattern::new(from).unwrap().read(text)?;
        let mut out = String::new();
        Pattern::new(to).unwrap().write(&moment, true, &mut out);
        Some(out)
    }

    #[test]
    fn what_is_read_is_written() {
        let iso = "yyyy-MM-dd HH:mm:ss.SSS";
        let cases = [
            ("dd/MM/yyyy", "31/12/2023", "2023-12-31 00:00:00.000"),
            ("d.M.yy", "1.2.24", "2024-02-01 00:00:00.000"),
            (
                "yyyyMMddHHmmss",
                "20240229235959",
                "2024-02-29 23:59:59.000",
            ),
            (
                "MMM d, yyyy h:mm a",
                "Jan 5, 2024 12:07 PM",
                "2024-01-05 12:07:00.000",
            ),
            (
                "EEEE dd MMMM yyyy",
                "Monday 01 January 2024",
                "2024-01-01 00:00:00.000",
            ),
            (
                "yyyy-MM-dd'T'HH:mm:ssXXX",
                "2024-01-01T10:00:00+02:00",
                "2024-01-01 08:00:00.000",
            ),
            ("yyyy-DDD", "2024-060", "2024-02-29 00:00:00.000"),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                rewritten(pattern, iso, text).as_deref(),
                Some(expected),
                "{pattern}"
            );
        }
    }

    #[test]
    fn what_does_not_follow_is_refused() {
        for (pattern, text) in [
            ("yyyy-MM-dd", "2024-02-30"),
            ("yyyy-MM-dd", "2024-2-3"),
            ("yyyy-MM-dd", "2024-02-03x"),
            ("EEE yyyy-MM-dd", "Tue 2024-01-01"),
        ] {
            assert_eq!(rewritten(pattern, "yyyy", text), None, "{pattern} {text}");
        }
        assert!(Pattern::new("yyyy-bb").is_err());
        assert!(moment(i64::MAX).is_none());
    }
}

//! A cell's value as text from which nothing is lost.

use std::borrow::Cow;

use calamine::{Data, DataRef, ExcelDateTime};

/// What is in a cell.
#[derive(Debug, PartialEq)]
pub(super) enum Content<'a> {
    /// Nothing.
    Empty,
    /// A text as such.
    Text(Cow<'a, str>),
    /// A number, a date, a truth, written as text.
    Value(String),
    /// An error, as the program shows it.
    Error(String),
}

impl<'a> From<&'a DataRef<'_>> for Content<'a> {
    fn from(data: &'a DataRef<'_>) -> Self {
        match data {
            DataRef::Int(number) => Self::Value(number.to_string()),
            DataRef::Float(number) => Self::Value(number.to_string()),
            DataRef::String(text) => Self::text(text),
            DataRef::SharedString(text) => Self::text(text),
            DataRef::Bool(truth) => Self::Value(truth.to_string()),
            DataRef::DateTime(moment) => Self::Value(moment_text(moment)),
            DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => Self::Value(text.clone()),
            DataRef::Error(error) => Self::Error(error.to_string()),
            DataRef::Empty => Self::Empty,
        }
    }
}

impl<'a> From<&'a Data> for Content<'a> {
    fn from(data: &'a Data) -> Self {
        match data {
            Data::Int(number) => Self::Value(number.to_string()),
            Data::Float(number) => Self::Value(number.to_string()),
            Data::String(text) => Self::text(text),
            Data::Bool(truth) => Self::Value(truth.to_string()),
            Data::DateTime(moment) => Self::Value(moment_text(moment)),
            Data::DateTimeIso(text) | Data::DurationIso(text) => Self::Value(text.clone()),
            Data::Error(error) => Self::Error(error.to_string()),
            Data::Empty => Self::Empty,
        }
    }
}

impl<'a> Content<'a> {
    fn text(text: &'a str) -> Self {
        if text.is_empty() {
            Self::Empty
        } else {
            Self::Text(Cow::Borrowed(text))
        }
    }
}

/// A date (`2026-03-04`), a moment (`2026-03-04T10:30:00`), a time of day (`10:30:00`) or a duration
/// (`26:30:00`), with milliseconds if there are any; a program's number for a date beyond its calendar
/// stays a number.
fn moment_text(moment: &ExcelDateTime) -> String {
    let number = moment.as_f64();
    if moment.is_duration() || (0.0..1.0).contains(&number) {
        return clock(number);
    }
    // 29 February 1900 exists in Excel's calendar only.
    let exists = number > 0.0 && number.floor() != 60.0;
    let Some(date) = moment.as_datetime().filter(|_| exists) else {
        return number.to_string();
    };
    let time = date.time();
    if time == chrono::NaiveTime::MIN {
        date.format("%Y-%m-%d").to_string()
    } else if chrono::Timelike::nanosecond(&time) == 0 {
        date.format("%Y-%m-%dT%H:%M:%S").to_string()
    } else {
        date.format("%Y-%m-%dT%H:%M:%S%.3f").to_string()
    }
}

/// Days as hours, minutes and seconds.
fn clock(days: f64) -> String {
    let milliseconds = (days.abs() * 86_400_000.0).round();
    if milliseconds >= 1e15 {
        return days.to_string();
    }
    let milliseconds = milliseconds as u64;
    let sign = if days < 0.0 { "-" } else { "" };
    let (seconds, rest) = (milliseconds / 1_000, milliseconds % 1_000);
    let text = format!(
        "{sign}{:02}:{:02}:{:02}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    );
    if rest == 0 {
        text
    } else {
        format!("{text}.{rest:03}")
    }
}

/// A duration in ISO 8601 (`PT10H30M01.5S`) as hours, minutes and seconds (`10:30:01.500`).
pub(super) fn duration_text(text: &str) -> Option<String> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest.strip_prefix("PT")?),
        None => (1.0, text.strip_prefix("PT")?),
    };
    let mut seconds = 0.0;
    for (unit, length) in [('H', 3_600.0), ('M', 60.0), ('S', 1.0)] {
        if let Some((number, behind)) = rest.split_once(unit) {
            seconds += number.parse::<f64>().ok()? * length;
            rest = behind;
        }
    }
    rest.is_empty().then(|| clock(sign * seconds / 86_400.0))
}

/// The name of a cell, `B7`, from its row and column, both from 0.
pub(super) fn place(row: u32, column: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = u64::from(column) + 1;
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'A' + (rest % 26) as u8));
        rest /= 26;
    }
    letters.reverse();
    format!(
        "{}{}",
        letters.into_iter().collect::<String>(),
        u64::from(row) + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use calamine::ExcelDateTimeType;

    #[test]
    fn cells_have_the_names_that_people_see() {
        for (column, name) in [
            (0, "A1"),
            (25, "Z1"),
            (26, "AA1"),
            (701, "ZZ1"),
            (702, "AAA1"),
            (16_383, "XFD1"),
        ] {
            assert_eq!(place(0, column), name);
        }
    }

    #[test]
    fn moments_are_written_in_iso_form() {
        let text = |number: f64| {
            moment_text(&ExcelDateTime::new(
                number,
                ExcelDateTimeType::DateTime,
                false,
            ))
        };
        assert_eq!(text(45_943.0), "2025-10-13");
        assert_eq!(text(45_943.5), "2025-10-13T12:00:00");
        assert_eq!(text(45_943.541), "2025-10-13T12:59:02.400");
        assert_eq!(text(0.25), "06:00:00");
        assert_eq!(text(1.0), "1900-01-01");
        assert_eq!(text(60.0), "60");
        assert_eq!(text(61.0), "1900-03-01");
        assert_eq!(text(-3.0), "-3");
        let span = |number: f64| {
            moment_text(&ExcelDateTime::new(
                number,
                ExcelDateTimeType::TimeDelta,
                false,
            ))
        };
        assert_eq!(
            (span(1.1041666666666667), span(-0.5)),
            ("26:30:00".to_owned(), "-12:00:00".to_owned())
        );
        let mac = ExcelDateTime::new(44_481.0, ExcelDateTimeType::DateTime, true);
        assert_eq!(moment_text(&mac), "2025-10-13");
    }

    #[test]
    fn durations_are_written_as_clocks() {
        for (text, clock) in [
            ("PT10H30M00S", Some("10:30:00")),
            ("PT26H00M01.5S", Some("26:00:01.500")),
            ("-PT12H", Some("-12:00:00")),
            ("PT5M", Some("00:05:00")),
            ("P1D", None),
            ("PTxS", None),
            ("PT1S2", None),
        ] {
            assert_eq!(duration_text(text).as_deref(), clock, "{text}");
        }
    }

    #[test]
    fn numbers_keep_every_digit() {
        for (number, text) in [
            (0.1, "0.1"),
            (12.0, "12"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e21, "1000000000000000000000"),
            (-1.5e-7, "-0.00000015"),
        ] {
            assert_eq!(
                Content::from(&Data::Float(number)),
                Content::Value(text.to_owned())
            );
            assert_eq!(text.parse::<f64>(), Ok(number));
        }
    }
}

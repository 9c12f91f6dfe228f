//! Dates and times in the forms people write them, read from bytes without allocating.
//!
//! Only forms that can be told apart are read; which of day and month comes first in `03/04/2026` is
//! left open and marked ambiguous, for the column as a whole to settle.

use chrono::NaiveDate;

/// How a date is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum DateForm {
    /// `2026-03-04`
    Iso,
    /// `2026/03/04` or `2026.03.04`
    YearFirst,
    /// `04.03.2026`
    DottedDayFirst,
    /// `25/03/2026`, where the first number can only be a day
    DayFirst,
    /// `03/25/2026`, where the second number can only be a day
    MonthFirst,
    /// `03/04/2026`
    Ambiguous,
    /// `4 March 2026`, `Mar 4, 2026`
    MonthName,
}

/// A moment as read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Temporal {
    /// Microseconds since 1970-01-01 00:00, UTC if a zone was given.
    pub(crate) micros: i64,
    /// How its date is written.
    pub(crate) form: DateForm,
    /// Whether a zone or an offset is given.
    pub(crate) zoned: bool,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// A date and nothing more.
    Date(Temporal),
    /// A date and a time of day.
    Timestamp(Temporal),
    /// A time of day.
    Time,
    /// Written as a date, but the calendar has none such.
    Impossible,
}

const DAY_MICROS: i64 = 86_400_000_000;

/// Reads a whole, trimmed value.
pub(crate) fn read(bytes: &[u8]) -> Option<Outcome> {
    if bytes.len() > 48 {
        return None;
    }
    let mut cursor = Cursor { bytes, at: 0 };
    if let Some(written) = cursor.date() {
        return read_after_date(cursor, written);
    }
    let mut cursor = Cursor { bytes, at: 0 };
    cursor.time()?;
    cursor.at_end().then_some(Outcome::Time)
}

fn read_after_date(mut cursor: Cursor<'_>, written: WrittenDate) -> Option<Outcome> {
    let date = NaiveDate::from_ymd_opt(written.year, written.month, written.day);
    let days = date.map(|date| i64::from(date.to_epoch_days()));
    if cursor.at_end() {
        let Some(days) = days else {
            return Some(Outcome::Impossible);
        };
        return Some(Outcome::Date(Temporal {
            micros: days * DAY_MICROS,
            form: written.form,
            zoned: false,
        }));
    }
    if !(cursor.take(b'T') || cursor.take(b' ') || (cursor.take(b',') && cursor.take(b' '))) {
        return None;
    }
    let micros = cursor.time()?;
    let offset = cursor.zone()?;
    if !cursor.at_end() {
        return None;
    }
    let (Some(days), Some(micros)) = (days, micros) else {
        return Some(Outcome::Impossible);
    };
    let micros = days * DAY_MICROS + micros - offset.unwrap_or(0);
    Some(Outcome::Timestamp(Temporal {
        micros,
        form: written.form,
        zoned: offset.is_some(),
    }))
}

struct WrittenDate {
    year: i32,
    month: u32,
    day: u32,
    form: DateForm,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Digits, at most nine, with how many there were.
    fn number(&mut self) -> Option<(u32, usize)> {
        let start = self.at;
        let mut value = 0_u32;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            if self.at - start == 9 {
                return None;
            }
            value = value * 10 + u32::from(byte - b'0');
            self.at += 1;
        }
        (self.at > start).then_some((value, self.at - start))
    }

    fn two_digits(&mut self) -> Option<u32> {
        self.number()
            .filter(|&(_, digits)| digits == 2)
            .map(|(value, _)| value)
    }

    fn date(&mut self) -> Option<WrittenDate> {
        if self.peek()?.is_ascii_alphabetic() {
            return self.month_first_by_name();
        }
        let (first, digits) = self.number()?;
        let separator = self.peek()?;
        self.at += 1;
        if self.peek()?.is_ascii_alphabetic() && digits <= 2 && matches!(separator, b' ' | b'-') {
            return self.day_first_by_name(first);
        }
        if !matches!(separator, b'-' | b'/' | b'.') {
            return None;
        }
        let (second, second_digits) = self.number().filter(|&(_, digits)| digits <= 2)?;
        if !self.take(separator) {
            return None;
        }
        let (third, third_digits) = self.number()?;
        match (digits, third_digits) {
            (4, 1 | 2) => {
                let iso = separator == b'-' && second_digits == 2 && third_digits == 2;
                let form = if iso {
                    DateForm::Iso
                } else {
                    DateForm::YearFirst
                };
                Some(WrittenDate {
                    year: first as i32,
                    month: second,
                    day: third,
                    form,
                })
            }
            (1 | 2, 4) => Some(year_last(first, second, third as i32, separator)),
            _ => None,
        }
    }

    fn month_name(&mut self) -> Option<u32> {
        const MONTHS: [&str; 12] = [
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
        ];
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphabetic()) {
            self.at += 1;
        }
        let word = &self.bytes[start..self.at];
        let month = MONTHS.iter().position(|name| {
            let abbreviated = word.len() == 3 || (word.len() == 4 && *name == "september");
            let compared = if abbreviated {
                &name.as_bytes()[..word.len()]
            } else {
                name.as_bytes()
            };
            word.eq_ignore_ascii_case(compared)
        })?;
        self.take(b'.');
        Some(month as u32 + 1)
    }

    fn day_first_by_name(&mut self, day: u32) -> Option<WrittenDate> {
        let month = self.month_name()?;
        if !(self.take(b' ') || self.take(b'-') || (self.take(b',') && self.take(b' '))) {
            return None;
        }
        let (year, _) = self.number().filter(|&(_, digits)| digits == 4)?;
        Some(WrittenDate {
            year: year as i32,
            month,
            day,
            form: DateForm::MonthName,
        })
    }

    fn month_first_by_name(&mut self) -> Option<WrittenDate> {
        let month = self.month_name()?;
        if !self.take(b' ') {
            return None;
        }
        let (day, _) = self.number().filter(|&(_, digits)| digits <= 2)?;
        self.take(b',');
        if !self.take(b' ') {
            return None;
        }
        let (year, _) = self.number().filter(|&(_, digits)| digits == 4)?;
        Some(WrittenDate {
            year: year as i32,
            month,
            day,
            form: DateForm::MonthName,
        })
    }

    /// A time of day in microseconds; `Some(None)` if written as one but out of range.
    fn time(&mut self) -> Option<Option<i64>> {
        let (mut hour, _) = self.number().filter(|&(_, digits)| digits <= 2)?;
        if !self.take(b':') {
            return None;
        }
        let minute = self.two_digits()?;
        let mut second = 0;
        let mut micros = 0_i64;
        if self.take(b':') {
            second = self.two_digits()?;
            if self.take(b'.') {
                let (fraction, digits) = self.number()?;
                micros = (i64::from(fraction) * 1_000_000) / 10_i64.pow(digits as u32);
            }
        }
        let before_suffix = self.at;
        self.take(b' ');
        if let Some(half @ (b'a' | b'A' | b'p' | b'P')) = self.peek() {
            self.at += 1;
            if !(self.take(b'm') || self.take(b'M')) || !(1..=12).contains(&hour) {
                return None;
            }
            hour = hour % 12
                + if half.eq_ignore_ascii_case(&b'p') {
                    12
                } else {
                    0
                };
        } else {
            self.at = before_suffix;
        }
        let in_range = hour < 24 && minute < 60 && second < 60;
        Some(in_range.then(|| {
            (i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)) * 1_000_000
                + micros
        }))
    }

    /// An offset in microseconds; `Some(None)` if none is written.
    fn zone(&mut self) -> Option<Option<i64>> {
        if self.at_end() {
            return Some(None);
        }
        self.take(b' ');
        if self.take(b'Z') {
            return Some(Some(0));
        }
        if self.bytes[self.at..] == *b"UTC" || self.bytes[self.at..] == *b"GMT" {
            self.at = self.bytes.len();
            return Some(Some(0));
        }
        let sign = if self.take(b'+') {
            1
        } else if self.take(b'-') {
            -1
        } else {
            return None;
        };
        let (number, digits) = self.number()?;
        let minutes = match digits {
            2 if self.take(b':') => number * 60 + self.two_digits()?,
            2 => number * 60,
            4 => number / 100 * 60 + number % 100,
            _ => return None,
        };
        Some(Some(sign * i64::from(minutes) * 60_000_000))
    }
}

fn year_last(first: u32, second: u32, year: i32, separator: u8) -> WrittenDate {
    if separator == b'.' {
        return WrittenDate {
            year,
            month: second,
            day: first,
            form: DateForm::DottedDayFirst,
        };
    }
    let (month, day, form) = if first > 12 {
        (second, first, DateForm::DayFirst)
    } else if second > 12 {
        (first, second, DateForm::MonthFirst)
    } else {
        (first, second, DateForm::Ambiguous)
    };
    WrittenDate {
        year,
        month,
        day,
        form,
    }
}

/// A moment as text: a date if it is midnight and `as_date`, else with its time of day.
pub(crate) fn display(micros: i64, as_date: bool) -> String {
    let Some(moment) = chrono::DateTime::from_timestamp_micros(micros) else {
        return micros.to_string();
    };
    let pattern = if as_date {
        "%Y-%m-%d"
    } else if micros % 1_000_000 == 0 {
        "%Y-%m-%d %H:%M:%S"
    } else {
        "%Y-%m-%d %H:%M:%S%.6f"
    };
    moment.format(pattern).to_string()
}

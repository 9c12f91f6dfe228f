//! Dates and times in the forms in which people and programs write them.
//!
//! ISO 8601 first; then years first with slashes or dots, days first with dots, month names,
//! `YYYYMMDD`, the 12-hour clock, and zones. Dates whose day and month could be either way round are
//! refused until [`DateOrder`] says which is which. This is the long way: what is plain ISO never
//! comes here (`date.rs`).

use super::calendar;
use super::options::{CoercionOptions, DateOrder};
use super::problem::Problem;
use super::zone::Zone;

/// What a text says about when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Days since 1970.
    pub(super) days: i32,
    /// Microseconds of the day, if a time is written.
    pub(super) time: Option<i64>,
    /// The zone, if one is written.
    pub(super) zone: Option<Zone>,
}

/// Reads bytes from the left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// The digits at the cursor, at most `most`, as a number with their count; none if there are none.
    pub(super) fn digits(&mut self, most: usize) -> Option<(u32, usize)> {
        let count = self
            .rest
            .bytes()
            .take(most.min(9))
            .take_while(u8::is_ascii_digit)
            .count();
        let (digits, rest) = self.rest.split_at(count);
        let number = digits.parse().ok()?;
        self.rest = rest;
        Some((number, count))
    }

    /// How many digits stand at the cursor.
    fn digit_run(self) -> usize {
        self.rest.bytes().take_while(u8::is_ascii_digit).count()
    }

    /// The letters at the cursor.
    pub(super) fn word(&mut self) -> &'a str {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// Passes over one of these characters.
    pub(super) fn eat(&mut self, accepted: &[char]) -> Option<char> {
        let first = self.rest.chars().next().filter(|c| accepted.contains(c))?;
        self.rest = &self.rest[first.len_utf8()..];
        Some(first)
    }

    /// Passes over spaces.
    pub(super) fn spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }
}

/// Reads a (trimmed) text. `refusal` is the problem of a text that is in no known form.
pub(super) fn parse(
    text: &str,
    options: &CoercionOptions,
    refusal: Problem,
) -> Result<Moment, Problem> {
    // A moment in any form is far shorter; this bounds the work on a text that is none.
    if text.len() > 100 || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err(refusal);
    }
    let mut cursor = Cursor { rest: text };
    let days = parse_date(&mut cursor, options)?.ok_or(refusal.clone())?;
    let rest = cursor.rest;
    if rest.is_empty() {
        return Ok(Moment {
            days,
            time: None,
            zone: None,
        });
    }
    if cursor.eat(&['T', 't']).is_none() {
        cursor.eat(&[',']);
        if cursor.eat(&[' ']).is_none() {
            return Err(refusal);
        }
        cursor.spaces();
        let mut at = cursor;
        if at.word().eq_ignore_ascii_case("at") {
            at.spaces();
            cursor = at;
        }
    }
    let time = parse_time(&mut cursor, options)?.ok_or(refusal)?;
    cursor.spaces();
    let zone = if cursor.rest.is_empty() {
        None
    } else {
        Some(Zone::parse(cursor.rest)?)
    };
    Ok(Moment {
        days,
        time: Some(time),
        zone,
    })
}

/// The date at the cursor; none if it is in no known form.
fn parse_date(cursor: &mut Cursor<'_>, options: &CoercionOptions) -> Result<Option<i32>, Problem> {
    let weekday = leading_weekday(cursor);
    let start = *cursor;
    let parts = match cursor.digit_run() {
        0 => month_name_first(cursor, options),
        4 => year_first(cursor),
        8 | 14 => compact(cursor),
        1 | 2 => day_or_month_first(cursor, options),
        _ => return Ok(None),
    };
    let Some((year, month, day)) = parts? else {
        *cursor = start;
        return Ok(None);
    };
    let days = calendar::date(year, month, day)?;
    if weekday.is_some_and(|weekday| weekday != calendar::weekday(days)) {
        return Err(Problem::WrongWeekday);
    }
    Ok(Some(days))
}

type Parts = Result<Option<(i32, u32, u32)>, Problem>;

fn leading_weekday(cursor: &mut Cursor<'_>) -> Option<u32> {
    let mut ahead = *cursor;
    let weekday = calendar::weekday_by_name(ahead.word())?;
    ahead.eat(&['.']);
    ahead.eat(&[',']);
    ahead.spaces();
    *cursor = ahead;
    Some(weekday)
}

/// `2024-01-15`, `2024/1/15`, `2024.01.15`, `2024-Jan-15`, `2024 January 15`.
fn year_first(cursor: &mut Cursor<'_>) -> Parts {
    let Some((year, _)) = cursor.digits(4) else {
        return Ok(None);
    };
    let Some(separator) = cursor.eat(&['-', '/', '.', ' ']) else {
        return Ok(None);
    };
    let month = if separator != ' ' && cursor.digit_run() > 0 {
        cursor.digits(2).map(|(month, _)| month)
    } else {
        calendar::month_by_name(cursor.word())
    };
    let Some(month) = month else { return Ok(None) };
    if cursor.eat(&[separator]).is_none() {
        return Ok(None);
    }
    Ok(cursor.digits(2).map(|(day, _)| (year as i32, month, day)))
}

/// `20240115`, also with the time right behind it.
fn compact(cursor: &mut Cursor<'_>) -> Parts {
    let mut part = |digits| cursor.digits(digits).map_or(0, |(number, _)| number);
    let (year, month, day) = (part(4), part(2), part(2));
    Ok(Some((year as i32, month, day)))
}

/// `January 15, 2024`, `Jan. 15th 2024`, `Jan-15-2024`.
fn month_name_first(cursor: &mut Cursor<'_>, options: &CoercionOptions) -> Parts {
    let Some(month) = calendar::month_by_name(cursor.word()) else {
        return Ok(None);
    };
    cursor.eat(&['.']);
    cursor.eat(&['-', '/']);
    cursor.spaces();
    let Some((day, _)) = cursor.digits(2) else {
        return Ok(None);
    };
    ordinal(cursor);
    if cursor.eat(&[',', '-', '/', ' ']).is_none() {
        return Ok(None);
    }
    cursor.spaces();
    Ok(year_last(cursor, options)?.map(|year| (year, month, day)))
}

/// `15.01.2024`, `15 January 2024`, `15-Jan-2024`, and `15/01/2024` or `01/15/2024` as far as told.
fn day_or_month_first(cursor: &mut Cursor<'_>, options: &CoercionOptions) -> Parts {
    let Some((first, _)) = cursor.digits(2) else {
        return Ok(None);
    };
    ordinal(cursor);
    let separator = cursor.eat(&['.', '/', '-', ' ']);
    cursor.spaces();
    if cursor.digit_run() == 0 {
        let Some(month) = calendar::month_by_name(cursor.word()) else {
            return Ok(None);
        };
        cursor.eat(&['.', ',', '/', '-']);
        cursor.spaces();
        return Ok(year_last(cursor, options)?.map(|year| (year, month, first)));
    }
    let Some(separator) = separator.filter(|separator| *separator != ' ') else {
        return Ok(None);
    };
    let Some((second, _)) = cursor.digits(2) else {
        return Ok(None);
    };
    if cursor.eat(&[separator]).is_none() {
        return Ok(None);
    }
    let Some(year) = year_last(cursor, options)? else {
        return Ok(None);
    };
    let order = if separator == '.' {
        DateOrder::DayMonth
    } else {
        options.date_order
    };
    let day_first = match order {
        DateOrder::DayMonth => true,
        DateOrder::MonthDay => false,
        DateOrder::Unambiguous if first == second => true,
        DateOrder::Unambiguous if first <= 12 && second <= 12 => return Err(Problem::DayOrMonth),
        DateOrder::Unambiguous => first > 12,
    };
    Ok(Some(if day_first {
        (year, second, first)
    } else {
        (year, first, second)
    }))
}

/// A year of four digits, or of two where an option says of which hundred years.
fn year_last(cursor: &mut Cursor<'_>, options: &CoercionOptions) -> Result<Option<i32>, Problem> {
    match cursor.digit_run() {
        4 => Ok(cursor.digits(4).map(|(year, _)| year as i32)),
        2 => {
            let Some(first) = options.two_digit_years else {
                return Err(Problem::ShortYear);
            };
            Ok(cursor.digits(2).map(|(year, _)| full_year(year, first)))
        }
        _ => Ok(None),
    }
}

/// The year among the hundred from `first` on that ends in these two digits.
pub(super) fn full_year(two_digits: u32, first: i32) -> i32 {
    first + (two_digits as i32 - first).rem_euclid(100)
}

fn ordinal(cursor: &mut Cursor<'_>) {
    let mut ahead = *cursor;
    if matches!(
        ahead.word().to_ascii_lowercase().as_str(),
        "st" | "nd" | "rd" | "th"
    ) {
        *cursor = ahead;
    }
}

/// The time at the cursor: `15:04`, `15:04:05.678`, `150405`, `3:04 PM`, `3pm`, `15.04.05`.
fn parse_time(cursor: &mut Cursor<'_>, options: &CoercionOptions) -> Result<Option<i64>, Problem> {
    let run = cursor.digit_run();
    let Some((hour, _)) = cursor.digits(2) else {
        return Ok(None);
    };
    let (mut minute, mut second, mut micros, mut parts) = (0, 0, 0, 1);
    if run == 4 || run == 6 {
        minute = cursor.digits(2).map_or(0, |(minute, _)| minute);
        parts = 2;
        if run == 6 {
            second = cursor.digits(2).map_or(0, |(second, _)| second);
            parts = 3;
        }
    } else if run > 2 {
        return Ok(None);
    } else if let Some(separator) = cursor.eat(&[':', '.']) {
        let Some(found) = two_digits(cursor) else {
            return Ok(None);
        };
        (minute, parts) = (found, 2);
        if cursor.eat(&[separator]).is_some() {
            let Some(found) = two_digits(cursor) else {
                return Ok(None);
            };
            (second, parts) = (found, 3);
        }
    }
    if parts == 3 && cursor.eat(&['.', ',']).is_some() {
        let Some(found) = fraction(cursor, options)? else {
            return Ok(None);
        };
        micros = found;
    }
    let half = half_of_day(cursor);
    if parts == 1 && half.is_none() {
        return Ok(None);
    }
    let hour = hour_of_day(hour, half)?;
    calendar::time(hour, minute, second, micros).map(Some)
}

fn two_digits(cursor: &mut Cursor<'_>) -> Option<u32> {
    cursor
        .digits(2)
        .filter(|(_, count)| *count == 2)
        .map(|(number, _)| number)
}

/// The hour of 24 from one of 12 and its half.
pub(super) fn hour_of_day(hour: u32, afternoon: Option<bool>) -> Result<u32, Problem> {
    match afternoon {
        None => Ok(hour),
        Some(_) if !(1..=12).contains(&hour) => Err(Problem::NoSuchTime),
        Some(afternoon) => Ok(hour % 12 + if afternoon { 12 } else { 0 }),
    }
}

/// `AM`, `p.m.` and their like: whether it is the afternoon.
fn half_of_day(cursor: &mut Cursor<'_>) -> Option<bool> {
    let mut ahead = *cursor;
    ahead.spaces();
    let letter = ahead.eat(&['a', 'A', 'p', 'P'])?;
    let dotted = ahead.eat(&['.']).is_some();
    ahead.eat(&['m', 'M'])?;
    if dotted {
        ahead.eat(&['.'])?;
    }
    if ahead.rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    *cursor = ahead;
    Some(letter.eq_ignore_ascii_case(&'p'))
}

/// The digits behind a second as microseconds.
pub(super) fn fraction(
    cursor: &mut Cursor<'_>,
    options: &CoercionOptions,
) -> Result<Option<u32>, Problem> {
    let run = cursor.digit_run();
    let (digits, rest) = cursor.rest.split_at(run);
    if digits.is_empty() {
        return Ok(None);
    }
    cursor.rest = rest;
    let mut micros = 0;
    for place in 0..6 {
        micros = micros * 10
            + digits
                .as_bytes()
                .get(place)
                .map_or(0, |digit| u32::from(digit - b'0'));
    }
    let excess = digits.bytes().skip(6).any(|digit| digit != b'0');
    if excess && !options.truncate_fraction {
        return Err(Problem::FractionLost);
    }
    Ok(Some(micros))
}

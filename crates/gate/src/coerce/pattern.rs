//! Datetime patterns as Spark writes them (`dd.MM.yyyy HH:mm:ss`), for `dateFormat` and its like.
//!
//! A pattern is compiled once to a list of parts; a text must fit it from end to end.

use super::calendar;
use super::moment::{Cursor, Moment, fraction, full_year, hour_of_day};
use super::options::CoercionOptions;
use super::problem::Problem;
use super::zone::{Zone, named_zone, parse_offset};

/// How deep brackets may be nested.
const DEPTH_MAX: usize = 8;

/// A compiled datetime pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// `yyyy`, `y`, and `yy`, which is the short one.
    Year {
        short: bool,
        exact: bool,
    },
    Month {
        digits: usize,
    },
    MonthName,
    Day {
        digits: usize,
    },
    Weekday,
    /// `H`, or `h` of the 12-hour clock.
    Hour {
        digits: usize,
    },
    HourOfHalf {
        digits: usize,
    },
    Minute {
        digits: usize,
    },
    Second {
        digits: usize,
    },
    /// `S…`: at most so many digits.
    Fraction {
        digits: usize,
    },
    HalfOfDay,
    Zone,
    Literal(char),
    /// `[…]`: may be left out.
    Optional(Vec<Part>),
}

/// What the parts of a pattern have found so far.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    weekday: Option<u32>,
    hour: Option<u32>,
    minute: Option<u32>,
    second: Option<u32>,
    micros: Option<u32>,
    afternoon: Option<bool>,
    zone: Option<Zone>,
}

impl Pattern {
    /// Compiles a pattern; none if it has a letter that is not known or a bracket without its fellow.
    pub fn compile(pattern: &str) -> Option<Self> {
        let mut characters = pattern.chars().peekable();
        let parts = compile_parts(&mut characters, 0)?;
        (!parts.is_empty()).then_some(Self { parts })
    }

    /// Reads a text that must fit from end to end.
    pub(super) fn parse(&self, text: &str, options: &CoercionOptions) -> Result<Moment, Problem> {
        let mut cursor = Cursor { rest: text };
        let mut found = Found::default();
        match_parts(&self.parts, &mut cursor, &mut found, options)?;
        if !cursor.rest.is_empty() {
            return Err(Problem::Format);
        }
        found.moment()
    }
}

/// Reads a text by the first pattern that it fits.
pub(super) fn parse_any(
    patterns: &[Pattern],
    text: &str,
    options: &CoercionOptions,
) -> Result<Moment, Problem> {
    let mut problem = Problem::Format;
    for pattern in patterns {
        match pattern.parse(text, options) {
            Ok(moment) => return Ok(moment),
            Err(Problem::Format) => {}
            Err(closer) => problem = closer,
        }
    }
    Err(problem)
}

fn compile_parts(
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    depth: usize,
) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    while let Some(c) = characters.next() {
        match c {
            '[' if depth == DEPTH_MAX => return None,
            '[' => parts.push(Part::Optional(compile_parts(characters, depth + 1)?)),
            ']' => return (depth > 0).then_some(parts),
            '\'' => loop {
                match characters.next()? {
                    '\'' if characters.next_if_eq(&'\'').is_some() => {
                        parts.push(Part::Literal('\''))
                    }
                    '\'' => break,
                    literal => parts.push(Part::Literal(literal)),
                }
            },
            letter if letter.is_ascii_alphabetic() => {
                let mut count = 1;
                while characters.next_if_eq(&letter).is_some() {
                    count += 1;
                }
                parts.push(field(letter, count)?);
            }
            literal => parts.push(Part::Literal(literal)),
        }
    }
    (depth == 0).then_some(parts)
}

fn field(letter: char, count: usize) -> Option<Part> {
    // One letter takes one or two digits, two letters exactly two.
    let digits = if count == 1 { 0 } else { count };
    Some(match (letter, count) {
        ('y' | 'u', 2) => Part::Year {
            short: true,
            exact: true,
        },
        ('y' | 'u', 1) => Part::Year {
            short: false,
            exact: false,
        },
        ('y' | 'u', 4) => Part::Year {
            short: false,
            exact: true,
        },
        ('M' | 'L', 1 | 2) => Part::Month { digits },
        ('M' | 'L', 3 | 4) => Part::MonthName,
        ('d', 1 | 2) => Part::Day { digits },
        ('E', 1..=4) => Part::Weekday,
        ('H', 1 | 2) => Part::Hour { digits },
        ('h', 1 | 2) => Part::HourOfHalf { digits },
        ('m', 1 | 2) => Part::Minute { digits },
        ('s', 1 | 2) => Part::Second { digits },
        ('S', 1..=9) => Part::Fraction { digits: count },
        ('a', 1) => Part::HalfOfDay,
        ('X' | 'x' | 'Z' | 'V' | 'z' | 'O', 1..=5) => Part::Zone,
        _ => return None,
    })
}

fn match_parts(
    parts: &[Part],
    cursor: &mut Cursor<'_>,
    found: &mut Found,
    options: &CoercionOptions,
) -> Result<(), Problem> {
    for part in parts {
        match part {
            Part::Optional(inner) => {
                let (mut ahead, mut more) = (*cursor, *found);
                if match_parts(inner, &mut ahead, &mut more, options).is_ok() {
                    (*cursor, *found) = (ahead, more);
                }
            }
            part => match_part(part, cursor, found, options)?,
        }
    }
    Ok(())
}

fn match_part(
    part: &Part,
    cursor: &mut Cursor<'_>,
    found: &mut Found,
    options: &CoercionOptions,
) -> Result<(), Problem> {
    match part {
        Part::Year { short: true, .. } => {
            let year = number(cursor, 2)?;
            found.year = Some(full_year(year, options.two_digit_years.unwrap_or(2000)));
        }
        Part::Year { exact, .. } => {
            let (year, count) = cursor.digits(4).ok_or(Problem::Format)?;
            if *exact && count != 4 {
                return Err(Problem::Format);
            }
            found.year = Some(year as i32);
        }
        Part::Month { digits } => found.month = Some(number(cursor, *digits)?),
        Part::MonthName => {
            let month = calendar::month_by_name(cursor.word()).ok_or(Problem::Format)?;
            found.month = Some(month);
        }
        Part::Day { digits } => found.day = Some(number(cursor, *digits)?),
        Part::Weekday => {
            let weekday = calendar::weekday_by_name(cursor.word()).ok_or(Problem::Format)?;
            found.weekday = Some(weekday);
        }
        Part::Hour { digits } => found.hour = Some(number(cursor, *digits)?),
        Part::HourOfHalf { digits } => {
            found.hour = Some(number(cursor, *digits)?);
            found.afternoon = found.afternoon.or(Some(false));
        }
        Part::Minute { digits } => found.minute = Some(number(cursor, *digits)?),
        Part::Second { digits } => found.second = Some(number(cursor, *digits)?),
        Part::Fraction { digits } => found.micros = Some(match_fraction(cursor, *digits, options)?),
        Part::HalfOfDay => {
            found.afternoon = Some(match cursor.word().to_ascii_lowercase().as_str() {
                "am" => false,
                "pm" => true,
                _ => return Err(Problem::Format),
            });
        }
        Part::Zone => found.zone = Some(match_zone(cursor)?),
        Part::Literal(literal) => {
            cursor.eat(&[*literal]).ok_or(Problem::Format)?;
        }
        Part::Optional(_) => {}
    }
    Ok(())
}

/// A number of exactly `digits` digits, or of one or two where `digits` is 0.
fn number(cursor: &mut Cursor<'_>, digits: usize) -> Result<u32, Problem> {
    let (number, count) = cursor.digits(2).ok_or(Problem::Format)?;
    if digits != 0 && count != digits {
        return Err(Problem::Format);
    }
    Ok(number)
}

/// At most `digits` digits of a second.
fn match_fraction(
    cursor: &mut Cursor<'_>,
    digits: usize,
    options: &CoercionOptions,
) -> Result<u32, Problem> {
    let run = cursor
        .rest
        .bytes()
        .take(digits)
        .take_while(u8::is_ascii_digit)
        .count();
    let (own, rest) = cursor.rest.split_at(run);
    let mut inner = Cursor { rest: own };
    let micros = fraction(&mut inner, options)?.ok_or(Problem::Format)?;
    cursor.rest = rest;
    Ok(micros)
}

fn match_zone(cursor: &mut Cursor<'_>) -> Result<Zone, Problem> {
    let part_of_zone = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | ':' | '/' | '_' | '\u{2212}')
    };
    let end = cursor
        .rest
        .find(|c: char| !part_of_zone(c))
        .unwrap_or(cursor.rest.len());
    let (text, rest) = cursor.rest.split_at(end);
    let zone = match parse_offset(text) {
        Some(offset) => Zone::Offset(offset),
        None => match Zone::parse(text) {
            Ok(zone) => zone,
            Err(problem) => named_zone(text).map(Zone::Named).ok_or(problem)?,
        },
    };
    cursor.rest = rest;
    Ok(zone)
}

impl Found {
    fn moment(self) -> Result<Moment, Problem> {
        let year = self.year.ok_or(Problem::Format)?;
        let days = calendar::date(year, self.month.unwrap_or(1), self.day.unwrap_or(1))?;
        if self
            .weekday
            .is_some_and(|weekday| weekday != calendar::weekday(days))
        {
            return Err(Problem::WrongWeekday);
        }
        let time = match self.hour {
            None => None,
            Some(hour) => Some(calendar::time(
                hour_of_day(hour, self.afternoon)?,
                self.minute.unwrap_or(0),
                self.second.unwrap_or(0),
                self.micros.unwrap_or(0),
            )?),
        };
        Ok(Moment {
            days,
            time,
            zone: self.zone,
        })
    }
}

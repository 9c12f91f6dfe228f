//! Time zones: UTC, offsets and names; and what instant a local time is.

use std::str::FromStr;

use chrono::{DateTime, MappedLocalTime, Offset, TimeZone};
use chrono_tz::Tz;

use super::calendar::SECOND;
use super::problem::Problem;

/// The zone that a time is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    /// An offset from UTC in seconds, east being positive.
    Offset(i32),
    /// A zone with a history.
    Named(Tz),
}

/// A zone by its name in the IANA database: `Europe/Berlin`, `UTC`.
pub(super) fn named_zone(name: &str) -> Option<Tz> {
    Tz::from_str(name).ok()
}

impl Zone {
    /// Reads the zone behind a time: `Z`, `UTC`, `+02:00`, `+0200`, `+02`, `GMT+2`, `Europe/Berlin`,
    /// `+02:00[Europe/Berlin]`. Abbreviations such as `CST` name several zones, so are not known.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        if let Some((offset, name)) = text.strip_suffix(']').and_then(|text| text.split_once('[')) {
            let named = named_zone(name)
                .map(Self::Named)
                .ok_or(Problem::UnknownZone)?;
            if !offset.trim().is_empty() {
                Self::parse(offset.trim())?;
            }
            return Ok(named);
        }
        let upper = text.to_ascii_uppercase();
        if matches!(upper.as_str(), "Z" | "UTC" | "GMT" | "UT") {
            return Ok(Self::Offset(0));
        }
        let offset = upper
            .strip_prefix("UTC")
            .or_else(|| upper.strip_prefix("GMT"))
            .unwrap_or(&upper);
        if offset.starts_with(['+', '-', '\u{2212}']) {
            return parse_offset(offset)
                .map(Self::Offset)
                .ok_or(Problem::UnknownZone);
        }
        if text.contains('/') {
            return named_zone(text)
                .map(Self::Named)
                .ok_or(Problem::UnknownZone);
        }
        Err(Problem::UnknownZone)
    }

    /// The instant, in microseconds since 1970 UTC, of a local time in microseconds since 1970.
    pub(super) fn instant(self, local: i64) -> Result<i64, Problem> {
        let named = match self {
            Self::Offset(seconds) => return Ok(local - i64::from(seconds) * SECOND),
            Self::Named(Tz::UTC) => return Ok(local),
            Self::Named(named) => named,
        };
        let naive = DateTime::from_timestamp_micros(local)
            .ok_or(Problem::OutOfRange)?
            .naive_utc();
        match named.offset_from_local_datetime(&naive) {
            MappedLocalTime::Single(offset) => {
                Ok(local - i64::from(offset.fix().local_minus_utc()) * SECOND)
            }
            MappedLocalTime::Ambiguous(..) => Err(Problem::TwiceTime),
            MappedLocalTime::None => Err(Problem::SkippedTime),
        }
    }
}

/// Seconds of `+HH`, `+HHMM`, `+HH:MM`, `+H`, `+HH:MM:SS`.
pub(super) fn parse_offset(text: &str) -> Option<i32> {
    let (sign, digits) = if let Some(rest) = text.strip_prefix('+') {
        (1, rest)
    } else {
        (-1, text.strip_prefix(['-', '\u{2212}'])?)
    };
    let number = |digits: &str| -> Option<i32> {
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok()
    };
    let two = |digits: &str| number(digits).filter(|_| digits.len() == 2);
    let (hours, minutes, seconds) = if digits.contains(':') {
        let mut parts = digits.split(':');
        let hours = parts
            .next()
            .filter(|part| part.len() <= 2)
            .and_then(number)?;
        let minutes = parts.next().and_then(two)?;
        let seconds = parts.next().map_or(Some(0), two)?;
        if parts.next().is_some() {
            return None;
        }
        (hours, minutes, seconds)
    } else {
        let value = number(digits)?;
        match digits.len() {
            1 | 2 => (value, 0, 0),
            4 => (value / 100, value % 100, 0),
            _ => return None,
        }
    };
    let fits = hours <= 18 && minutes < 60 && seconds < 60;
    fits.then_some(sign * (hours * 3600 + minutes * 60 + seconds))
}

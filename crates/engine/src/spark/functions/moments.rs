//! Text as a date or a time without a pattern, in the forms that Spark's casts take:
//! `2024`, `2024-1`, `2024-1-5`, and behind them `T` or a blank, `9:05`, `09:05:07.25`, and a zone.
//!
//! Arrow reads the usual forms of a whole column at once; what it does not take is read here.

use std::sync::Arc;

use crate::spark::types::{name_of, timestamp};
use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, TimestampMicrosecondArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use datafusion::common::{Result, exec_err};

/// The moments of a column of text; a text that is none is an error, or NULL if `quiet`.
pub(super) fn read(texts: StringViewArray, quiet: bool) -> Result<TimestampMicrosecondArray> {
    let safe = CastOptions {
        safe: true,
        ..Default::default()
    };
    let array: ArrayRef = Arc::new(texts.clone());
    let usual = cast_with_options(&array, &timestamp(), &safe)?;
    let usual = usual.as_primitive::<TimestampMicrosecondType>();
    if usual.null_count() == texts.null_count() {
        return Ok(usual.clone());
    }
    let mut times = Vec::with_capacity(texts.len());
    for (time, text) in usual.iter().zip(texts.iter()) {
        let read = time.or_else(|| moment(text?).map(|moment| moment.and_utc().timestamp_micros()));
        if let (None, Some(text), false) = (read, text, quiet) {
            let name = name_of(&timestamp()).to_uppercase();
            return exec_err!("the text '{text}' is no {name} and no DATE");
        }
        times.push(read);
    }
    Ok(TimestampMicrosecondArray::from(times).with_timezone("UTC"))
}

/// A text as a moment in UTC.
fn moment(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim();
    let (day, rest) = match text.split_once(['T', ' ']) {
        Some((day, rest)) => (day, Some(rest)),
        None => (text, None),
    };
    let day = date(day)?;
    let Some(rest) = rest.map(str::trim).filter(|rest| !rest.is_empty()) else {
        return Some(day.and_time(NaiveTime::MIN));
    };
    let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.')));
    let (time, zone) = rest.split_at(end.unwrap_or(rest.len()));
    let local = day.and_time(time_of_day(time)?);
    local.checked_sub_signed(TimeDelta::seconds(offset_seconds(zone.trim())?))
}

/// A number of one or two digits.
fn short(text: &str) -> Option<u32> {
    (matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

fn date(text: &str) -> Option<NaiveDate> {
    let mut parts = text.split('-');
    let year = parts.next().filter(|year| {
        (4..=6).contains(&year.len()) && year.bytes().all(|byte| byte.is_ascii_digit())
    })?;
    let month = parts.next().map_or(Some(1), short)?;
    let day = parts.next().map_or(Some(1), short)?;
    match parts.next() {
        None => NaiveDate::from_ymd_opt(year.parse().ok()?, month, day),
        Some(_) => None,
    }
}

fn time_of_day(text: &str) -> Option<NaiveTime> {
    let mut parts = text.split(':');
    let (hour, minute) = (short(parts.next()?)?, short(parts.next()?)?);
    let (second, fraction) = match parts.next() {
        None => ("0", ""),
        Some(second) => second.split_once('.').unwrap_or((second, "")),
    };
    if parts.next().is_some() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let six: String = fraction.chars().chain("000000".chars()).take(6).collect();
    NaiveTime::from_hms_micro_opt(hour, minute, short(second)?, six.parse().ok()?)
}

/// Seconds east of UTC: of `Z`, `UTC`, `+2`, `+02:00`, `UTC-05:30` or nothing.
fn offset_seconds(zone: &str) -> Option<i64> {
    let zone = ["UTC", "GMT", "Z"]
        .iter()
        .find_map(|name| zone.strip_prefix(name))
        .unwrap_or(zone);
    let Some(sign) = zone.chars().next() else {
        return Some(0);
    };
    let east = match sign {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone[1..].split_once(':').unwrap_or((&zone[1..], "0"));
    let (hours, minutes) = (short(hours)?, short(minutes)?);
    (hours <= 18 && minutes < 60).then(|| east * i64::from(hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn times_are_read_in_all_forms() {
        for (text, expected) in [
            ("2024", "2024-01-01 00:00:00"),
            ("2024-3", "2024-03-01 00:00:00"),
            ("2024-3-5", "2024-03-05 00:00:00"),
            ("2024-03-05T9:05", "2024-03-05 09:05:00"),
            (" 2024-03-05 09:05:7.25 ", "2024-03-05 09:05:07.250"),
            ("2024-03-05 09:05 +2", "2024-03-05 07:05:00"),
            ("2024-03-05 09:05:00UTC-05:30", "2024-03-05 14:35:00"),
            ("2024-03-05 09:05Z", "2024-03-05 09:05:00"),
        ] {
            let found = moment(text).map(|moment| moment.to_string());
            assert_eq!(found.as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "24",
            "2024-13",
            "2024-02-30",
            "2024-1-1-1",
            "2024-01-01x",
            "2024-01-01 25:00",
            "2024-01-01 10",
            "2024-01-01 10:00 CET",
            "2024-01-01 10:00:00:00",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}

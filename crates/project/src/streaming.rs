//! How a table is kept up to date while its sources go on: the properties `tidegate.output`, `tidegate.late` and their
//! kin, and lengths of time.
//!
//! They are read once, here, so that nobody else meets a string that is not a length.

use std::collections::BTreeMap;
use std::time::Duration;

/// The property that says whether results come early and are replaced, or once and for good.
pub const OUTPUT: &str = "tidegate.output";
/// The property that says what becomes of late rows.
pub const LATE: &str = "tidegate.late";
/// The property that says after which time without rows a partition holds the watermark back no more.
pub const IDLE: &str = "tidegate.idle";
/// The property that says how far in the future the time of a row may lie.
pub const FUTURE: &str = "tidegate.future";
/// The property that says how long state without new rows is kept.
pub const TIME_TO_LIVE: &str = "tidegate.timeToLive";

/// How often a table that is followed is committed, unless the run says otherwise.
pub const COMMIT_EVERY_DEFAULT: Duration = Duration::from_secs(5);

/// When a stateful flow gives its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputMode {
    /// Once, when no later row can change them.
    Append,
    /// Early, and again whenever they change; the table holds the newest by key.
    Update,
}

/// What the properties of a table say of how it is kept up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamingProperties {
    /// `tidegate.output`; without it, append where a window can close and update elsewhere.
    pub output: Option<OutputMode>,
    /// `tidegate.late` is `keep`: late rows go to `<table>__late` and are not only counted.
    pub keep_late: bool,
    /// `tidegate.idle`; one minute by default.
    pub idle: Duration,
    /// `tidegate.future`; five minutes by default.
    pub future: Duration,
    /// `tidegate.timeToLive`; without it, state without a window is kept for good.
    pub time_to_live: Option<Duration>,
}

impl Default for StreamingProperties {
    fn default() -> Self {
        Self {
            output: None,
            keep_late: false,
            idle: Duration::from_secs(60),
            future: Duration::from_secs(300),
            time_to_live: None,
        }
    }
}

impl StreamingProperties {
    /// What the properties of a table say, and for each that cannot be read its key and what was expected.
    pub fn from_properties(
        properties: &BTreeMap<String, String>,
    ) -> (Self, Vec<(&'static str, &'static str)>) {
        let mut read = Self::default();
        let mut mistakes = Vec::new();
        let given = |key: &str| {
            let found = properties
                .iter()
                .find(|(written, _)| written.eq_ignore_ascii_case(key));
            found.map(|(_, value)| value.trim())
        };
        match given(OUTPUT) {
            Some(value) if value.eq_ignore_ascii_case("append") => {
                read.output = Some(OutputMode::Append);
            }
            Some(value) if value.eq_ignore_ascii_case("update") => {
                read.output = Some(OutputMode::Update);
            }
            Some(_) => mistakes.push((OUTPUT, "expected 'append' or 'update'")),
            None => {}
        }
        match given(LATE) {
            Some(value) if value.eq_ignore_ascii_case("keep") => read.keep_late = true,
            Some(value) if !value.eq_ignore_ascii_case("count") => {
                mistakes.push((LATE, "expected 'count' or 'keep'"));
            }
            _ => {}
        }
        let mut length = |key: &'static str| {
            let length = parse_length(given(key)?);
            if length.is_none() {
                mistakes.push((key, "expected a length of time such as '30 seconds'"));
            }
            length
        };
        read.idle = length(IDLE).unwrap_or(read.idle);
        read.future = length(FUTURE).unwrap_or(read.future);
        read.time_to_live = length(TIME_TO_LIVE);
        (read, mistakes)
    }
}

/// Reads a length of time: `30 seconds`, `1 hour 30 minutes`, `500ms`, `INTERVAL '5' MINUTES`; `None` for anything else.
/// Only units of fixed length: microseconds to weeks.
pub fn parse_length(text: &str) -> Option<Duration> {
    let text = text.trim().to_ascii_lowercase();
    let plain = text.strip_prefix("interval").unwrap_or(&text);
    let plain: String = plain
        .chars()
        .filter(|char| !matches!(char, '\'' | '"'))
        .collect();
    let mut rest = plain.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest
            .find(|char: char| !(char.is_ascii_digit() || char == '.'))
            .unwrap_or(rest.len());
        let count: f64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?.trim_start();
        let letters = rest
            .find(|char: char| !char.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let seconds = unit_seconds(rest.get(..letters)?)?;
        total = total.checked_add(Duration::try_from_secs_f64(count * seconds).ok()?)?;
        rest = rest.get(letters..)?.trim_start();
    }
    Some(total)
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "us" | "microsecond" | "microseconds" => 1e-6,
        "ms" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 604_800.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("30 seconds", 30.0),
            ("INTERVAL 30 SECONDS", 30.0),
            ("INTERVAL '5' MINUTES", 300.0),
            ("interval '1 hour 30 minutes'", 5_400.0),
            ("500ms", 0.5),
            ("1.5 h", 5_400.0),
            ("2 weeks", 1_209_600.0),
            ("0 seconds", 0.0),
        ] {
            let read = parse_length(text).unwrap();
            assert!((read.as_secs_f64() - seconds).abs() < 1e-9, "{text}");
        }
        for wrong in [
            "", "30", "seconds", "1 month", "-5 s", "5 5", "INTERVAL", "1e9",
        ] {
            assert_eq!(parse_length(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn properties_are_read_once() {
        let properties = BTreeMap::from([
            ("tidegate.OUTPUT".to_owned(), "Update".to_owned()),
            ("tidegate.late".to_owned(), "keep".to_owned()),
            ("tidegate.idle".to_owned(), "ten".to_owned()),
        ]);
        let (read, mistakes) = StreamingProperties::from_properties(&properties);
        assert_eq!(read.output, Some(OutputMode::Update));
        assert!(read.keep_late);
        assert_eq!(mistakes.len(), 1);
        assert_eq!(mistakes[0].0, IDLE);
    }
}

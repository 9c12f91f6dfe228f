//! How many bad rows a table bears: the properties `tidegate.quarantine.alert` and `.fail`.
//!
//! They are read once, here, so that nobody else meets a string that is not a limit.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::streaming;

/// When an update must say, and when it must stop, because of bad rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct QuarantineLimits {
    /// Past this an alert goes out (`tidegate.quarantine.alert`).
    pub alert: Option<QuarantineLimit>,
    /// Past this the update stops (`tidegate.quarantine.fail`).
    pub fail: Option<QuarantineLimit>,
}

/// A number of rows, or a share of the rows that an update read.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QuarantineLimit {
    /// So many rows.
    Rows(u64),
    /// So large a share, from 0 to 1.
    Share(f64),
}

impl QuarantineLimit {
    /// Reads `20%`, `0.5 %` or `1000`; the error says what is expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected a share from 0% to 100% such as '0.5%', or a whole number of rows such as '1000'";
        let text = text.trim();
        let Some(percentage) = text.strip_suffix('%') else {
            let digits = text.replace('_', "");
            return match digits.bytes().all(|byte| byte.is_ascii_digit()) {
                true => digits.parse().map(Self::Rows).map_err(|_| EXPECTED),
                false => Err(EXPECTED),
            };
        };
        let percentage = percentage.trim_end();
        let plain = |byte: u8| byte.is_ascii_digit() || byte == b'.';
        if !percentage.bytes().all(plain) {
            return Err(EXPECTED);
        }
        match percentage.parse::<f64>() {
            Ok(share) if (0.0..=100.0).contains(&share) => Ok(Self::Share(share / 100.0)),
            _ => Err(EXPECTED),
        }
    }

    /// Whether `bad` rows out of `read` are more than this. No rows read is never past a share.
    pub fn is_passed(self, bad: u64, read: u64) -> bool {
        match self {
            Self::Rows(rows) => bad > rows,
            Self::Share(share) => bad as f64 > share * read as f64,
        }
    }
}

impl fmt::Display for QuarantineLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(formatter, "{rows} rows"),
            Self::Share(share) => write!(formatter, "{}%", (share * 1e8).round() / 1e6),
        }
    }
}

/// The properties of a table that Tidegate itself reads, beside those that begin with [`COERCION`].
pub const PROPERTIES: &[&str] = &[
    ALERT,
    FAIL,
    streaming::OUTPUT,
    streaming::LATE,
    streaming::IDLE,
    streaming::FUTURE,
    streaming::TIME_TO_LIVE,
];

/// What the properties begin with that say how values are read, as the options of a file reader of the same names do.
pub const COERCION: &str = "tidegate.coercion.";

/// The property that says when to alert.
pub const ALERT: &str = "tidegate.quarantine.alert";

/// The property that says when to stop.
pub const FAIL: &str = "tidegate.quarantine.fail";

impl QuarantineLimits {
    /// The limits among a table's properties, and for each that cannot be read its key and what
    /// was expected.
    pub fn from_properties(
        properties: &BTreeMap<String, String>,
    ) -> (Self, Vec<(&'static str, &'static str)>) {
        let mut mistakes = Vec::new();
        let mut read = |key: &'static str| {
            let value = properties
                .iter()
                .find(|(written, _)| written.eq_ignore_ascii_case(key))?;
            match QuarantineLimit::parse(value.1) {
                Ok(limit) => Some(limit),
                Err(expected) => {
                    mistakes.push((key, expected));
                    None
                }
            }
        };
        let limits = Self {
            alert: read(ALERT),
            fail: read(FAIL),
        };
        (limits, mistakes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_shares_or_rows() {
        let share = |text| match QuarantineLimit::parse(text).unwrap() {
            QuarantineLimit::Share(share) => share,
            QuarantineLimit::Rows(rows) => panic!("{rows} rows"),
        };
        assert!((share("0.5%") - 0.005).abs() < 1e-12);
        assert!((share(" 20 % ") - 0.2).abs() < 1e-12);
        assert_eq!(
            QuarantineLimit::parse("1_000"),
            Ok(QuarantineLimit::Rows(1000))
        );
        assert_eq!(QuarantineLimit::parse("0"), Ok(QuarantineLimit::Rows(0)));
        for wrong in [
            "", "%", "101%", "-1%", "-1", "1e3", "half", "NaN%", "0.5", "5%%", "inf%",
        ] {
            assert!(QuarantineLimit::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_is_passed_only_beyond_it() {
        let share = QuarantineLimit::Share(0.2);
        assert!(!share.is_passed(20, 100));
        assert!(share.is_passed(21, 100));
        assert!(!share.is_passed(0, 0));
        assert!(QuarantineLimit::Rows(0).is_passed(1, 1));
        assert_eq!(QuarantineLimit::Share(0.005).to_string(), "0.5%");
    }
}

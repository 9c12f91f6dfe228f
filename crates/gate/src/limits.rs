//! When too many rows are quarantined: past `alert` someone is told, past `fail` the update stops.
//!
//! A pure function over [`Counts`]; who is told, and how, is not the gate's.

use std::fmt;
use std::str::FromStr;

use crate::counts::Counts;
use crate::error::GateError;

/// A bound on quarantined rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// At most this share of the rows that came in, in percent (0 to 100).
    Percent(f64),
    /// At most this many rows.
    Count(u64),
}

impl Limit {
    /// Whether the counts lie beyond the bound. No rows in: never.
    pub fn exceeded_by(self, counts: &Counts) -> bool {
        match self {
            Self::Percent(percent) => share_percent(counts) > percent,
            Self::Count(rows) => counts.quarantined > rows,
        }
    }
}

fn share_percent(counts: &Counts) -> f64 {
    if counts.rows_in == 0 {
        return 0.0;
    }
    counts.quarantined as f64 * 100.0 / counts.rows_in as f64
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(formatter, "{percent}%"),
            Self::Count(rows) => write!(formatter, "{rows} rows"),
        }
    }
}

impl FromStr for Limit {
    type Err = GateError;

    /// Reads `0.5%` or `100`.
    fn from_str(text: &str) -> Result<Self, GateError> {
        let refused = || GateError::Option {
            option: "quarantine limit".to_owned(),
            value: text.to_owned(),
            expected: "write a share such as '0.5%' or a number of rows such as '100'".to_owned(),
        };
        let trimmed = text.trim();
        if let Some(number) = trimmed.strip_suffix('%') {
            let percent: f64 = number.trim().parse().map_err(|_| refused())?;
            if !(0.0..=100.0).contains(&percent) {
                return Err(refused());
            }
            return Ok(Self::Percent(percent));
        }
        trimmed.parse().map(Self::Count).map_err(|_| refused())
    }
}

/// The two bounds of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QuarantineLimits {
    /// Beyond it, an alert goes out.
    pub alert: Option<Limit>,
    /// Beyond it, the update fails.
    pub fail: Option<Limit>,
}

/// What the limits say of some counts.
#[derive(Debug, Clone, PartialEq)]
pub enum LimitVerdict {
    /// Neither bound is passed.
    Within,
    /// The alert bound is passed; the text says by how much.
    Alert(String),
    /// The fail bound is passed; the text says by how much.
    Fail(String),
}

impl QuarantineLimits {
    /// Reads the bounds from a table's properties `tidegate.quarantine.alert` and
    /// `tidegate.quarantine.fail`.
    ///
    /// # Errors
    /// When a bound is neither a share nor a number of rows; the error names the property.
    pub fn from_properties(
        properties: &std::collections::BTreeMap<String, String>,
    ) -> Result<Self, GateError> {
        let read = |name: &str| -> Result<Option<Limit>, GateError> {
            let found = properties.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            let Some((key, value)) = found else {
                return Ok(None);
            };
            match value.parse() {
                Ok(limit) => Ok(Some(limit)),
                Err(GateError::Option { value, expected, .. }) => {
                    Err(GateError::Option { option: key.clone(), value, expected })
                }
                Err(other) => Err(other),
            }
        };
        Ok(Self {
            alert: read("tidegate.quarantine.alert")?,
            fail: read("tidegate.quarantine.fail")?,
        })
    }

    /// Holds counts against the bounds; `fail` is looked at first.
    pub fn evaluate(&self, counts: &Counts) -> LimitVerdict {
        let sentence = |limit: Limit| {
            format!(
                "{} of {} rows ({:.2}%) were quarantined; the limit is {limit}",
                counts.quarantined,
                counts.rows_in,
                share_percent(counts)
            )
        };
        match (self.fail, self.alert) {
            (Some(limit), _) if limit.exceeded_by(counts) => LimitVerdict::Fail(sentence(limit)),
            (_, Some(limit)) if limit.exceeded_by(counts) => LimitVerdict::Alert(sentence(limit)),
            _ => LimitVerdict::Within,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rows_in: u64, quarantined: u64) -> Counts {
        Counts { rows_in, quarantined, ..Counts::default() }
    }

    #[test]
    fn limits_are_read_and_held() {
        let properties = [
            ("tidegate.quarantine.alert".to_owned(), "0.5%".to_owned()),
            ("tidegate.quarantine.fail".to_owned(), "20".to_owned()),
        ];
        let limits = QuarantineLimits::from_properties(&properties.into()).unwrap();
        assert_eq!(limits.alert, Some(Limit::Percent(0.5)));
        assert_eq!(limits.fail, Some(Limit::Count(20)));
        assert_eq!(limits.evaluate(&counts(1000, 5)), LimitVerdict::Within);
        assert!(matches!(limits.evaluate(&counts(1000, 6)), LimitVerdict::Alert(text)
            if text == "6 of 1000 rows (0.60%) were quarantined; the limit is 0.5%"));
        assert!(matches!(limits.evaluate(&counts(1000, 21)), LimitVerdict::Fail(_)));
        assert_eq!(limits.evaluate(&counts(0, 0)), LimitVerdict::Within);
    }

    #[test]
    fn a_limit_that_is_no_limit_is_refused_by_its_name() {
        for text in ["", "%", "-1", "101%", "NaN%", "many"] {
            assert!(text.parse::<Limit>().is_err(), "{text}");
        }
        let properties = [("tidegate.quarantine.fail".to_owned(), "lots".to_owned())];
        let error = QuarantineLimits::from_properties(&properties.into()).unwrap_err();
        assert!(error.to_string().contains("tidegate.quarantine.fail"), "{error}");
    }
}

//! When a promise seen in a sample may be written into a contract, and the words that say why.
//!
//! The rule, which every part of [`super`] keeps to. Of `n` values that could break the promise:
//! - none does: it is written if `n` is large enough; with 95 % confidence at most 3 of `n` rows to come
//!   break it (the "rule of three": Hanley and Lippman-Hand, "If nothing goes wrong, is everything all
//!   right?", JAMA 1983);
//! - at most 1 % do: it is written;
//! - at most 10 % do, and they look like errors, that is, no single one of the offending values is in
//!   more than 2 % of the rows: it is written, and the offenders are named;
//! - more do: it is left out, and what was seen may be told as a remark.

use crate::profile::suspicion::{grouped, percent};

/// Fewest values from which anything is concluded.
pub(crate) const FEWEST: u64 = 20;

/// How a promise fared in the sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trial {
    /// Rows on which it could be tested.
    pub(crate) tested: u64,
    /// The values that broke it, each with how often it was seen, most frequent first.
    pub(crate) offenders: Vec<(String, u64)>,
}

/// What the rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confidence {
    /// Nothing broke the promise.
    Unbroken,
    /// It may be written, and what broke it is an error.
    WithErrors,
    /// It may not be written.
    None,
}

impl Trial {
    /// A trial of so many rows with these offenders.
    pub(crate) fn new(tested: u64, mut offenders: Vec<(String, u64)>) -> Self {
        offenders.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Self { tested, offenders }
    }

    /// Rows that broke the promise.
    pub(crate) fn broken(&self) -> u64 {
        self.offenders.iter().map(|offender| offender.1).sum()
    }

    /// Applies the rule, with the share that must hold (0.99 unless told otherwise).
    pub(crate) fn confidence(&self, must_hold: f64) -> Confidence {
        let broken = self.broken() as f64;
        let tested = self.tested as f64;
        let rare = (self.tested / 50).max(3);
        if self.tested < FEWEST || self.tested == self.broken() {
            Confidence::None
        } else if self.offenders.is_empty() {
            Confidence::Unbroken
        } else if broken <= tested * (1.0 - must_hold)
            || (broken <= tested * (1.0 - must_hold) * 10.0
                && self.offenders.iter().all(|offender| offender.1 <= rare))
        {
            Confidence::WithErrors
        } else {
            Confidence::None
        }
    }

    /// `all 1,000 values; at 95 % confidence at most 0.3 % to come break it`, or
    /// `97 % of 1,000 values; 28 look like errors: 'x', 'y'`.
    pub(crate) fn words(&self) -> String {
        let broken = self.broken();
        if broken == 0 {
            let bound = percent(3.0 / self.tested.max(1) as f64);
            return format!(
                "all {} values; with 95 % confidence at most {bound} of those to come differ",
                grouped(self.tested)
            );
        }
        let held = percent((self.tested - broken) as f64 / self.tested.max(1) as f64);
        let verb = if broken == 1 {
            "looks like an error"
        } else {
            "look like errors"
        };
        format!(
            "{held} of {} values; {} {verb}: {}",
            grouped(self.tested),
            grouped(broken),
            list(
                self.offenders
                    .iter()
                    .map(|offender| (offender.0.as_str(), offender.1)),
                4
            )
        )
    }
}

/// A few values in quotes with how often they were seen if more than once, and how many more there are.
pub(crate) fn list<'a>(values: impl Iterator<Item = (&'a str, u64)>, shown: usize) -> String {
    let all: Vec<(&str, u64)> = values.collect();
    let mut text: Vec<String> = all
        .iter()
        .take(shown)
        .map(|(value, count)| {
            if *count > 1 {
                format!("{} ({}×)", quoted(value), grouped(*count))
            } else {
                quoted(value)
            }
        })
        .collect();
    if all.len() > shown {
        text.push(format!("and {} more", grouped((all.len() - shown) as u64)));
    }
    text.join(", ")
}

/// A value in quotes, cut to a readable length, on one line.
pub(crate) fn quoted(value: &str) -> String {
    let mut short: String = value
        .chars()
        .take(40)
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect();
    if value.chars().nth(40).is_some() {
        short.push('…');
    }
    format!("'{short}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_tells_errors_from_exceptions() {
        let trial = |tested, counts: &[u64]| {
            Trial::new(
                tested,
                counts
                    .iter()
                    .enumerate()
                    .map(|(at, &count)| (format!("v{at}"), count))
                    .collect(),
            )
        };
        assert_eq!(trial(19, &[]).confidence(0.99), Confidence::None);
        assert_eq!(trial(100, &[]).confidence(0.99), Confidence::Unbroken);
        assert_eq!(trial(1_000, &[10]).confidence(0.99), Confidence::WithErrors);
        assert_eq!(
            trial(1_000, &[1; 50]).confidence(0.99),
            Confidence::WithErrors
        );
        assert_eq!(trial(1_000, &[50]).confidence(0.99), Confidence::None);
        assert_eq!(trial(1_000, &[1; 200]).confidence(0.99), Confidence::None);
        assert!(trial(300, &[]).words().contains("1.0 %"));
    }
}

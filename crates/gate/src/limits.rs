//! When too many rows are quarantined: past `alert` someone is told, past `fail` the update stops.
//!
//! A pure function over [`Counts`]; the limits themselves are read by `project`, and who is told, and
//! how, is not the gate's.

use tidegate_project::{QuarantineLimit, QuarantineLimits};

use crate::counts::Counts;

/// What the limits say of some counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitVerdict {
    /// Neither limit is passed.
    Within,
    /// The alert limit is passed; the sentence says by how much.
    Alert(String),
    /// The fail limit is passed; the sentence says by how much.
    Fail(String),
}

/// Holds counts against a table's limits; `fail` is looked at first.
pub fn evaluate_limits(limits: &QuarantineLimits, counts: &Counts) -> LimitVerdict {
    let passed = |limit: Option<QuarantineLimit>| {
        limit
            .filter(|limit| limit.is_passed(counts.quarantined, counts.rows_in))
            .map(|limit| {
                let percent = counts.quarantined as f64 * 100.0 / counts.rows_in.max(1) as f64;
                format!(
                    "{} of {} rows ({percent:.2}%) were quarantined; the limit is {limit}",
                    counts.quarantined, counts.rows_in
                )
            })
    };
    if let Some(sentence) = passed(limits.fail) {
        return LimitVerdict::Fail(sentence);
    }
    passed(limits.alert).map_or(LimitVerdict::Within, LimitVerdict::Alert)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fail_goes_before_alert_and_a_limit_is_within() {
        let limits = QuarantineLimits {
            alert: Some(QuarantineLimit::Share(0.005)),
            fail: Some(QuarantineLimit::Rows(20)),
        };
        let verdict = |rows_in, quarantined| {
            evaluate_limits(
                &limits,
                &Counts {
                    rows_in,
                    quarantined,
                    ..Counts::default()
                },
            )
        };
        assert_eq!(verdict(1000, 5), LimitVerdict::Within);
        assert_eq!(
            verdict(1000, 6),
            LimitVerdict::Alert(
                "6 of 1000 rows (0.60%) were quarantined; the limit is 0.5%".into()
            )
        );
        assert!(matches!(verdict(1000, 21), LimitVerdict::Fail(_)));
        assert_eq!(verdict(0, 0), LimitVerdict::Within);
        let none = evaluate_limits(&QuarantineLimits::default(), &Counts::default());
        assert_eq!(none, LimitVerdict::Within);
    }
}

//! Ranges: bounds that every measured value so far keeps with room to spare, wild ones left out.
//!
//! A bound is the extreme value that is no outlier, moved outward to a round number; zero is a bound of
//! its own where at most 1 % is negative. Outliers are those of the profile: more than six robust standard
//! deviations from the median, and at most 1 % of the rows. An upper bound is given only where the upper
//! tail is short: tomorrow's largest order is larger than today's.

use arrow::datatypes::DataType;
use chrono::Datelike;

use super::evidence::{Confidence, Trial};
use super::names;
use super::sample::{SampleColumn, Value};
use crate::profile::distribution::{Distribution, Robust};
use crate::profile::temporal;

/// Fewest values for a range.
const FEWEST: u64 = 50;
/// Robust standard deviations beyond which a value is an outlier.
const FAR: f64 = 6.0;

/// A range that was found, as bounds written in SQL.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Range {
    /// What stands behind `column`: `>= 0`.
    pub(crate) bounds: Vec<String>,
    pub(crate) trial: Trial,
}

/// The range of a column of this type.
pub(crate) fn find(column: &SampleColumn, data_type: &DataType, must_hold: f64) -> Option<Range> {
    if column.present() < FEWEST || names::key_rank(&column.name) > 0 {
        return None;
    }
    match data_type {
        DataType::Date32 => times(column, "DATE", must_hold),
        DataType::Timestamp(_, _) => times(column, "TIMESTAMP", must_hold),
        numeric if numeric.is_numeric() => numbers(column, must_hold),
        _ => None,
    }
}

fn numbers(column: &SampleColumn, must_hold: f64) -> Option<Range> {
    let of = |value: &Value| value.reading.number.map(|number| number.value);
    let values: Vec<(f64, u64)> = column
        .present_values()
        .filter_map(|(_, value)| of(value).map(|number| (number, value.count)))
        .collect();
    let below_zero: u64 = values
        .iter()
        .filter(|value| value.0 < 0.0)
        .map(|value| value.1)
        .sum();
    let rarely_negative = below_zero * 100 <= column.present();
    let (low, high, robust) = within(values, rarely_negative)?;
    let negative = low < 0.0;
    let lower = if negative {
        -round_up(-low + 0.5 * (robust.median - low))
    } else {
        0.0
    };
    let strict = !negative
        && low > 0.0
        && column
            .present_values()
            .any(|(_, value)| of(value).is_some_and(|number| number <= 0.0));
    let short_tail = high - robust.median <= 10.0 * robust.deviation && column.distinct() > 2;
    let upper = short_tail
        .then(|| {
            if !negative && high <= 1.0 {
                1.0
            } else {
                round_up(high + 0.5 * (high - robust.median))
            }
        })
        .filter(|upper| *upper > 0.0);
    let lower_bound = if strict {
        "> 0".to_owned()
    } else {
        format!(">= {}", show(lower))
    };
    let mut bounds = vec![lower_bound];
    bounds.extend(upper.map(|upper| format!("<= {}", show(upper))));
    let inside = |number: f64| {
        (if strict {
            number > lower
        } else {
            number >= lower
        }) && upper.is_none_or(|upper| number <= upper)
    };
    tried(column, bounds, must_hold, |value| {
        of(value).is_none_or(inside)
    })
}

fn times(column: &SampleColumn, literal: &str, must_hold: f64) -> Option<Range> {
    let of = |value: &Value| value.reading.temporal.map(|moment| moment.micros);
    let values: Vec<(f64, u64)> = column
        .present_values()
        .filter_map(|(_, value)| of(value).map(|micros| (micros as f64, value.count)))
        .collect();
    let (low, _, _) = within(values, false)?;
    let year = chrono::DateTime::from_timestamp_micros(low as i64)?.year();
    let bound = chrono::NaiveDate::from_ymd_opt(year, 1, 1)?
        .and_hms_opt(0, 0, 0)?
        .and_utc()
        .timestamp_micros();
    let bounds = vec![format!(">= {literal} '{}'", temporal::display(bound, true))];
    tried(column, bounds, must_hold, |value| {
        of(value).is_none_or(|micros| micros >= bound)
    })
}

fn tried(
    column: &SampleColumn,
    bounds: Vec<String>,
    must_hold: f64,
    accepts: impl Fn(&Value) -> bool,
) -> Option<Range> {
    let trial = Trial::new(column.present(), column.refused(accepts));
    (trial.confidence(must_hold) != Confidence::None).then_some(Range { bounds, trial })
}

/// The smallest and the largest value that is no outlier, with centre and spread.
fn within(values: Vec<(f64, u64)>, positive: bool) -> Option<(f64, f64, Robust)> {
    let distribution = Distribution::exact(values.clone());
    let robust = distribution.robust()?;
    let log = if positive { log_robust(&values) } else { None };
    let far = |value: f64| {
        if positive && value < 0.0 {
            return true;
        }
        let away = (value - robust.median).abs() / robust.deviation;
        let in_ratio = log.map_or(f64::INFINITY, |log| {
            if value > 0.0 {
                (value.ln() - log.median).abs() / log.deviation
            } else {
                f64::INFINITY
            }
        });
        away.min(in_ratio) > FAR
    };
    let total: u64 = values.iter().map(|value| value.1).sum();
    let outliers: u64 = values
        .iter()
        .filter(|value| far(value.0))
        .map(|value| value.1)
        .sum();
    let ignore = outliers * 100 <= total;
    let kept = || {
        values
            .iter()
            .map(|value| value.0)
            .filter(|&value| !(ignore && far(value)))
    };
    Some((
        kept().fold(f64::INFINITY, f64::min),
        kept().fold(f64::NEG_INFINITY, f64::max),
        robust,
    ))
}

/// Centre and spread of the logarithms, where at least 99 of 100 values are positive.
fn log_robust(values: &[(f64, u64)]) -> Option<Robust> {
    let total: u64 = values.iter().map(|value| value.1).sum();
    let logs: Vec<(f64, u64)> = values
        .iter()
        .filter(|value| value.0 > 0.0)
        .map(|value| (value.0.ln(), value.1))
        .collect();
    let positive: u64 = logs.iter().map(|value| value.1).sum();
    if positive * 100 < total * 99 {
        None
    } else {
        Distribution::exact(logs).robust()
    }
}

/// The next round number: one to two significant digits.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let step = steps
        .into_iter()
        .find(|step| *step >= value / power - 1e-9)
        .unwrap_or(10.0);
    step * power
}

/// A number as SQL would have it, without an exponent.
fn show(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_round_and_outside() {
        for (value, expected) in [
            (0.128, "0.15"),
            (7.0, "8"),
            (100.0, "100"),
            (101.0, "120"),
            (8_700.0, "10000"),
            (0.0, "0"),
        ] {
            assert_eq!(show(round_up(value)), expected);
            assert!(round_up(value) >= value);
        }
    }
}

//! Numbers and moments that are far from all others.

use super::super::column::Counted;
use super::super::distribution::{Distribution, Robust};
use super::super::kind::ValueKind;
use super::super::report::{Suspicion, SuspicionKind};
use super::super::tally::{NumberTally, Sighting};
use super::{of_values, rows};

/// Robust standard deviations beyond which a number is an outlier. Iglewicz and Hoaglin ("How to
/// detect and handle outliers", 1993) put 3.5; real columns have heavier tails than the normal law.
const FAR: f64 = 6.0;
/// Largest share of outliers: more of them are a tail, not errors.
const FEW: f64 = 0.01;
/// Years written for "unknown" or "never".
const SENTINEL_DATES: [&str; 6] = [
    "0001-01-01",
    "1900-01-01",
    "1901-01-01",
    "1970-01-01",
    "2099-12-31",
    "9999-12-31",
];

/// What most of the column's values are: numbers or moments.
fn measured(column: &Counted) -> Option<(&NumberTally, &Distribution, bool)> {
    let (kind, _) = column.main_kind()?;
    match kind {
        ValueKind::Date | ValueKind::Timestamp => Some((&column.tally.times, &column.times, true)),
        ValueKind::Integer
        | ValueKind::Decimal
        | ValueKind::Percent
        | ValueKind::FormattedNumber
        | ValueKind::Quantity => Some((&column.tally.numbers, &column.numbers, false)),
        _ => None,
    }
}

/// Numbers or moments far away from all others.
pub(super) fn outliers(column: &Counted) -> Option<Suspicion> {
    let (tally, distribution, times) = measured(column)?;
    let robust = distribution
        .robust()
        .filter(|_| distribution.count() >= 20.0)?;
    let log = if times {
        None
    } else {
        log_spread(distribution)
    };
    let far = |value: f64| {
        distance(value, robust).min(log.map_or(f64::INFINITY, |log| log_distance(value, log)))
    };
    let (below, above) = (
        robust.median - FAR * robust.deviation,
        robust.median + FAR * robust.deviation,
    );
    let beyond =
        distribution.count() - distribution.count_up_to(above) + distribution.count_up_to(below);
    if beyond > FEW * distribution.count() && log.is_none() {
        return None;
    }
    let mut found: Vec<(f64, Sighting)> = Vec::new();
    for (value, seen) in tally.low.iter().chain(&tally.high) {
        let away = far(*value);
        if away > FAR
            && !is_sentinel(&seen.text)
            && !found.iter().any(|(_, other)| other.text == seen.text)
        {
            found.push((away, seen.clone()));
        }
    }
    let count: u64 = found.iter().map(|(_, seen)| seen.count).sum();
    if count as f64 > FEW * distribution.count() {
        return None;
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let found: Vec<_> = found
        .into_iter()
        .map(|(away, seen)| (seen, Some(describe(away))))
        .collect();
    of_values(SuspicionKind::Outlier, &found, |count| {
        format!(
            "{} lie far from all others: more than {FAR} robust standard deviations from the median",
            rows(count)
        )
    })
}

fn describe(away: f64) -> String {
    if away >= 1_000.0 {
        "more than 1,000 robust standard deviations".to_owned()
    } else {
        format!("{away:.0} robust standard deviations")
    }
}

fn distance(value: f64, robust: Robust) -> f64 {
    (value - robust.median).abs() / robust.deviation
}

/// Centre and spread of the logarithms, of positive numbers: what is skewed is measured in ratios.
fn log_spread(distribution: &Distribution) -> Option<Robust> {
    let log = |q: f64| {
        distribution
            .quantile(q)
            .filter(|value| *value > 0.0)
            .map(f64::ln)
    };
    let (median, q1, q3, low, high) = (log(0.5)?, log(0.25)?, log(0.75)?, log(0.05)?, log(0.95)?);
    let deviation = (0.7413 * (q3 - q1)).max((high - low) / 3.29);
    (deviation > 0.0).then_some(Robust { median, deviation })
}

/// How far a number is in ratios; what is not positive among positive numbers is infinitely far.
fn log_distance(value: f64, log: Robust) -> f64 {
    if value > 0.0 {
        distance(value.ln(), log)
    } else {
        f64::INFINITY
    }
}

fn is_sentinel(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let digits = digits.strip_suffix(".0").unwrap_or(digits);
    (digits.len() >= 2 && digits.bytes().all(|byte| byte == b'9'))
        || text == "-1"
        || SENTINEL_DATES.iter().any(|date| text.starts_with(date))
}

/// Numbers and dates that stand for a missing value: `9999` or `-1` at the very end of the range, well
/// apart from the rest, or more frequent than its neighbours.
pub(super) fn placeholder_numbers(column: &Counted) -> Option<Suspicion> {
    let (tally, distribution, times) = measured(column)?;
    let robust = distribution
        .robust()
        .filter(|_| distribution.count() >= 20.0)?;
    let ends = [
        tally.low.first().zip(tally.low.get(1)),
        tally.high.first().zip(tally.high.get(1)),
    ];
    let mut found = Vec::new();
    for ((value, seen), (next, neighbour)) in ends.into_iter().flatten() {
        let apart = (value - next).abs() > 2.0 * robust.deviation || distance(*value, robust) > FAR;
        let only_negative = *value < 0.0 && *next >= 0.0 && !times;
        let frequent = seen.count >= 3 && seen.count >= 5 * neighbour.count;
        if is_sentinel(&seen.text)
            && ((apart && (seen.count > 1 || times))
                || (only_negative && seen.count > 2)
                || frequent)
        {
            found.push((
                seen.clone(),
                Some("at the end of the range, apart from all others".to_owned()),
            ));
        }
    }
    of_values(SuspicionKind::Placeholder, &found, |count| {
        format!("{} probably mean \u{201c}missing\u{201d}", rows(count))
    })
}

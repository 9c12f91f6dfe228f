//! From what was counted to what is reported.

use super::column::Counted;
use super::distribution::Distribution;
use super::kind::ValueKind;
use super::report::{
    Bin, ColumnProfile, Distinct, FormatCount, Histogram, HistogramOf, LengthSummary, LooksLike,
    NumberSummary, Quantile, TimeSummary, TopValue, share,
};
use super::sketch::HyperLogLog;
use super::suspicion::suspicions;
use super::{ProfileOptions, sql_type, temporal};

/// Where the quantiles are taken.
const QUANTILES: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];

/// The report of one column.
pub(crate) fn summarise(column: Counted, options: &ProfileOptions) -> ColumnProfile {
    let main = column.main_kind().map(|(kind, _)| kind);
    let is_number = column.numbers.count() * 2.0 > column.values() as f64;
    let is_time = column.times.count() * 2.0 > column.values() as f64;
    let suspicions = suspicions(&column);
    let numbers = is_number.then(|| numbers(&column)).flatten();
    let times = is_time.then(|| times(&column)).flatten();
    let (min, max) = ends(&column, is_number, is_time);
    ColumnProfile {
        data_type: sql_type(&column.data_type),
        looks_like: main.map(|kind| LooksLike {
            kind: whole_family(&column, kind),
            share: share(column.tally.in_family(kind), column.values()),
        }),
        rows: column.rows,
        nulls: column.nulls,
        empty: column.empty,
        distinct: distinct(&column),
        min,
        max,
        lengths: lengths(&column),
        top: top(&column, options.top_values),
        top_count_error: column.frequent_error,
        formats: formats(&column),
        histogram: histogram(&column, is_number, is_time, options.bins),
        numbers,
        times,
        suspicions,
        name: column.name,
    }
}

/// The kind that covers the family: one decimal among whole numbers makes a column of decimals.
fn whole_family(column: &Counted, kind: ValueKind) -> ValueKind {
    let has = |kind: ValueKind| {
        column
            .tally
            .kinds
            .get(&kind)
            .is_some_and(|seen| seen.rows * 100 > column.values())
    };
    match kind {
        ValueKind::Integer if has(ValueKind::Decimal) => ValueKind::Decimal,
        ValueKind::Date if has(ValueKind::Timestamp) => ValueKind::Timestamp,
        other => other,
    }
}

fn distinct(column: &Counted) -> Distinct {
    let estimate = column.distinct.round() as u64;
    Distinct {
        count: if column.exact {
            estimate
        } else {
            estimate.min(column.values())
        },
        exact: column.exact,
        standard_error: if column.exact {
            0.0
        } else {
            HyperLogLog::standard_error()
        },
    }
}

fn ends(column: &Counted, is_number: bool, is_time: bool) -> (Option<String>, Option<String>) {
    let tally = match (is_number, is_time) {
        (true, _) => &column.tally.numbers,
        (_, true) => &column.tally.times,
        _ => {
            return (
                column.tally.first_text.clone(),
                column.tally.last_text.clone(),
            );
        }
    };
    let text = |end: Option<&(f64, super::tally::Sighting)>| {
        end.map(|(_, seen)| seen.text.trim().to_owned())
    };
    (text(tally.low.first()), text(tally.high.first()))
}

fn numbers(column: &Counted) -> Option<NumberSummary> {
    let (tally, distribution) = (&column.tally.numbers, &column.numbers);
    Some(NumberSummary {
        count: tally.moments.count() as u64,
        min: distribution.min()?,
        max: distribution.max()?,
        mean: tally.moments.mean()?,
        standard_deviation: tally.moments.standard_deviation().unwrap_or(0.0),
        quantiles: quantiles(distribution)
            .map(|(at, value)| Quantile { at, value })
            .collect(),
        exact: column.exact,
    })
}

fn times(column: &Counted) -> Option<TimeSummary> {
    let distribution = &column.times;
    let show = |micros: f64| temporal::display(micros as i64, column.tally.timestamps == 0);
    Some(TimeSummary {
        count: column.tally.times.moments.count() as u64,
        min: show(distribution.min()?),
        max: show(distribution.max()?),
        quantiles: quantiles(distribution)
            .map(|(at, value)| Quantile {
                at,
                value: show(value),
            })
            .collect(),
    })
}

fn quantiles(distribution: &Distribution) -> impl Iterator<Item = (f64, f64)> {
    QUANTILES
        .into_iter()
        .filter_map(|at| distribution.quantile(at).map(|value| (at, value)))
}

fn lengths(column: &Counted) -> Option<LengthSummary> {
    Some(LengthSummary {
        min: column.lengths.min()? as u64,
        max: column.lengths.max()? as u64,
        mean: column.tally.lengths.mean()?,
    })
}

fn top(column: &Counted, limit: usize) -> Vec<TopValue> {
    let seen = column.frequent.iter().take(limit);
    seen.map(|seen| TopValue {
        value: seen.text.clone(),
        count: seen.count,
        share: share(seen.count, column.rows),
    })
    .collect()
}

/// The exact formats if a few cover nearly everything, else the loose ones.
fn formats(column: &Counted) -> Vec<FormatCount> {
    let covered = |formats: &[(&str, &super::sketch::Counter)]| {
        formats
            .iter()
            .take(8)
            .map(|format| format.1.count)
            .sum::<u64>()
    };
    let (exact, loose) = (
        column.tally.exact_formats.sorted(),
        column.tally.loose_formats.sorted(),
    );
    let chosen = if covered(&exact) * 10 >= column.values() * 9 {
        exact
    } else {
        loose
    };
    let with_example = chosen.into_iter().filter_map(|(format, counter)| {
        let example = column.tally.format_example(format)?.text.clone();
        Some(FormatCount {
            format: format.to_owned(),
            example,
            count: counter.count,
        })
    });
    with_example.take(8).collect()
}

fn histogram(column: &Counted, is_number: bool, is_time: bool, bins: usize) -> Option<Histogram> {
    let (of, distribution) = match (is_number, is_time) {
        (true, _) => (HistogramOf::Value, &column.numbers),
        (_, true) => (HistogramOf::Time, &column.times),
        _ => (HistogramOf::Length, &column.lengths),
    };
    let (from, to) = span(distribution)?;
    if to <= from || bins == 0 {
        return None;
    }
    let whole = distribution_is_whole(column, of);
    let bins = if whole {
        bins.min((to - from) as usize + 1)
    } else {
        bins
    };
    let (from, to) = if whole {
        (from - 0.5, to + 0.5)
    } else {
        (from, to)
    };
    let width = (to - from) / bins as f64;
    let below = if from <= distribution.min()? {
        0.0
    } else {
        distribution.count_up_to(from.next_down())
    };
    let mut before = below;
    let counted = (0..bins).map(|bin| {
        let (low, high) = (
            from + width * bin as f64,
            if bin + 1 == bins {
                to
            } else {
                from + width * (bin + 1) as f64
            },
        );
        let up_to = distribution.count_up_to(if bin + 1 == bins {
            high
        } else {
            high.next_down()
        });
        let count = (up_to - before).max(0.0).round() as u64;
        before = up_to;
        Bin {
            from: low,
            to: high,
            label: label(of, low, high, whole, column.tally.timestamps == 0),
            count,
        }
    });
    let bins: Vec<Bin> = counted.collect();
    let above = (distribution.count() - before).max(0.0).round() as u64;
    Some(Histogram {
        of,
        bins,
        below: below.round() as u64,
        above,
    })
}

/// From the smallest to the largest; if a few wild values would flatten all others, without those.
fn span(distribution: &Distribution) -> Option<(f64, f64)> {
    let (min, max) = (distribution.min()?, distribution.max()?);
    let (low, high) = (distribution.quantile(0.005)?, distribution.quantile(0.995)?);
    let slack = 0.5 * (high - low);
    let from = if low - min > 3.0 * (high - low) && high > low {
        low - slack
    } else {
        min
    };
    let to = if max - high > 3.0 * (high - low) && high > low {
        high + slack
    } else {
        max
    };
    Some((from, to))
}

/// Whether only whole numbers occur, so that an interval should not cut between them.
fn distribution_is_whole(column: &Counted, of: HistogramOf) -> bool {
    match of {
        HistogramOf::Length => true,
        HistogramOf::Time => false,
        HistogramOf::Value => {
            let fractions = column.tally.kinds.keys().any(|kind| {
                !matches!(
                    kind,
                    ValueKind::Integer
                        | ValueKind::DigitCode
                        | ValueKind::Placeholder
                        | ValueKind::Text
                )
            });
            let narrow = span(&column.numbers).is_some_and(|(from, to)| to - from < 1e6);
            !fractions && narrow
        }
    }
}

fn label(of: HistogramOf, from: f64, to: f64, whole: bool, dates: bool) -> String {
    match of {
        HistogramOf::Time => format!(
            "{} to {}",
            temporal::display(from as i64, dates),
            temporal::display(to as i64, dates)
        ),
        _ if whole && to.floor() <= from.ceil() => number(from.ceil()),
        _ if whole => format!("{} to {}", number(from.ceil()), number(to.floor())),
        _ => format!("{} to {}", number(from), number(to)),
    }
}

/// A number in at most six digits.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if value == value.trunc() && size < 1e12 {
        format!("{value:.0}")
    } else if !(1e-4..1e9).contains(&size) {
        format!("{value:.3e}")
    } else {
        let decimals = (5 - size.log10().floor() as i32).clamp(0, 8) as usize;
        let text = format!("{value:.decimals$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    }
}

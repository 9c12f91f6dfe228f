//! A distribution of numbers: exact while the distinct values fit, a t-digest beyond.

use super::sketch::TDigest;

/// Numbers with their weights, readable as quantiles.
#[derive(Clone, Debug)]
pub(crate) enum Distribution {
    /// Every distinct value with how often it was seen, ascending.
    Exact(Vec<(f64, u64)>),
    /// A sketch, compressed.
    Sketch(TDigest),
}

impl Distribution {
    /// An exact distribution.
    pub(crate) fn exact(mut values: Vec<(f64, u64)>) -> Self {
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self::Exact(values)
    }

    /// A distribution from a sketch.
    pub(crate) fn sketch(mut digest: TDigest) -> Self {
        digest.compress();
        Self::Sketch(digest)
    }

    /// How many numbers.
    pub(crate) fn count(&self) -> f64 {
        match self {
            Self::Exact(values) => values.iter().map(|value| value.1 as f64).sum(),
            Self::Sketch(digest) => digest.count_up_to(f64::INFINITY),
        }
    }

    /// The smallest number.
    pub(crate) fn min(&self) -> Option<f64> {
        match self {
            Self::Exact(values) => values.first().map(|value| value.0),
            Self::Sketch(digest) => digest.min(),
        }
    }

    /// The largest number.
    pub(crate) fn max(&self) -> Option<f64> {
        match self {
            Self::Exact(values) => values.last().map(|value| value.0),
            Self::Sketch(digest) => digest.max(),
        }
    }

    /// The number at the share `q` of the ordered numbers.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        match self {
            Self::Exact(values) => exact_quantile(values, q),
            Self::Sketch(digest) => digest.quantile(q),
        }
    }

    /// How many numbers are at most `value`.
    pub(crate) fn count_up_to(&self, value: f64) -> f64 {
        match self {
            Self::Exact(values) => {
                let end = values.partition_point(|entry| entry.0 <= value);
                values[..end].iter().map(|entry| entry.1 as f64).sum()
            }
            Self::Sketch(digest) => digest.count_up_to(value),
        }
    }

    /// Median and a robust standard deviation: 1.4826 times the median absolute deviation (Hampel,
    /// 1974). Where more than half of the numbers are equal that is 0; then 0.7413 times the distance of
    /// the quartiles, and of the outer twentieths, stand in. `None` if even those coincide.
    pub(crate) fn robust(&self) -> Option<Robust> {
        let median = self.quantile(0.5)?;
        let deviation = 1.4826 * self.median_absolute_deviation(median)?;
        let between = |low: f64, high: f64| Some(self.quantile(high)? - self.quantile(low)?);
        let spread = [
            deviation,
            0.7413 * between(0.25, 0.75)?,
            between(0.05, 0.95)? / 3.29,
        ];
        spread
            .into_iter()
            .find(|&spread| spread > 0.0)
            .map(|deviation| Robust { median, deviation })
    }

    fn median_absolute_deviation(&self, median: f64) -> Option<f64> {
        if let Self::Exact(values) = self {
            let mut away: Vec<(f64, u64)> = values
                .iter()
                .map(|&(value, count)| ((value - median).abs(), count))
                .collect();
            away.sort_by(|a, b| a.0.total_cmp(&b.0));
            return exact_quantile(&away, 0.5);
        }
        let half = self.count() / 2.0;
        let (mut low, mut high) = (0.0, (self.max()? - median).max(median - self.min()?));
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            let inside = self.count_up_to(median + middle) - self.count_up_to(median - middle);
            if inside < half {
                low = middle
            } else {
                high = middle
            }
        }
        Some(high)
    }
}

/// Centre and spread that a few wild values cannot move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Robust {
    /// The median.
    pub(crate) median: f64,
    /// A standard deviation, were the numbers normal.
    pub(crate) deviation: f64,
}

/// Linear between the two nearest ranks.
fn exact_quantile(values: &[(f64, u64)], q: f64) -> Option<f64> {
    let total: u64 = values.iter().map(|value| value.1).sum();
    let rank = q.clamp(0.0, 1.0) * total.checked_sub(1)? as f64;
    let (below, share) = (rank.floor() as u64, rank.fract());
    let at = |rank: u64| {
        let mut seen = 0;
        values.iter().find(|value| {
            seen += value.1;
            seen > rank
        })
    };
    let lower = at(below)?.0;
    let upper = if share > 0.0 {
        at(below + 1).map_or(lower, |value| value.0)
    } else {
        lower
    };
    Some(lower + (upper - lower) * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_spread_of_a_few_numbers() {
        let exact = Distribution::exact(vec![(3.0, 1), (1.0, 2), (2.0, 1)]);
        assert_eq!(exact.quantile(0.5), Some(1.5));
        assert_eq!(exact.quantile(1.0), Some(3.0));
        assert_eq!(exact.count_up_to(1.0), 2.0);
        assert_eq!(Distribution::exact(vec![]).quantile(0.5), None);
        assert_eq!(Distribution::exact(vec![(5.0, 9)]).robust(), None);
    }

    #[test]
    fn the_sketch_has_the_spread_of_the_exact_numbers() {
        let values: Vec<(f64, u64)> = (0..10_000_u64)
            .map(|n| ((n * n % 7_919) as f64, 1))
            .collect();
        let mut digest = TDigest::new();
        values.iter().for_each(|value| digest.add(value.0, 1.0));
        let (exact, sketch) = (
            Distribution::exact(values).robust().unwrap(),
            Distribution::sketch(digest).robust().unwrap(),
        );
        assert!(
            (exact.median - sketch.median).abs() < 60.0,
            "{exact:?} {sketch:?}"
        );
        assert!(
            (exact.deviation / sketch.deviation - 1.0).abs() < 0.02,
            "{exact:?} {sketch:?}"
        );
    }
}

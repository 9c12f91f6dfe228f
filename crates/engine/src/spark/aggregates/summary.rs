//! A summary of many values from which quantiles can be read, in bounded memory (Greenwald and
//! Khanna, "Space-efficient online computation of quantile summaries").
//!
//! Each sample stands for a run of values and knows within what ranks its own value lies. Samples
//! are joined only as long as no rank gets vaguer than the accuracy allows; as long as there are
//! fewer values than that, every value is a sample and quantiles are exact.

/// How many values are gathered before they are sorted in.
const GATHERED_VALUES: usize = 50_000;

/// A value, and the ranks that it can have: `g` is how much higher its least rank is than that of
/// the sample before, `delta` how much higher its greatest rank is than its least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) value: i128,
    pub(super) g: u64,
    pub(super) delta: u64,
}

/// The summary.
#[derive(Debug)]
pub(super) struct Summary {
    samples: Vec<Sample>,
    gathered: Vec<i128>,
    count: u64,
    /// A rank may be wrong by one in so many.
    accuracy: u64,
}

impl Summary {
    /// No values yet; ranks may be wrong by one in `accuracy`.
    pub(super) fn new(accuracy: u64) -> Self {
        Self {
            samples: Vec::new(),
            gathered: Vec::new(),
            count: 0,
            accuracy: accuracy.max(1),
        }
    }

    /// Takes in one value.
    pub(super) fn add(&mut self, value: i128) {
        self.gathered.push(value);
        if self.gathered.len() >= GATHERED_VALUES {
            self.settle();
        }
    }

    /// Takes in the samples of another summary, which stand for `count` values.
    pub(super) fn merge(&mut self, samples: &[Sample], count: u64) {
        self.settle();
        self.samples = merged(&self.samples, samples);
        self.count += count;
        self.compress();
    }

    /// The samples, and how many values they stand for.
    pub(super) fn samples(&mut self) -> (&[Sample], u64) {
        self.settle();
        (&self.samples, self.count)
    }

    /// The value of this share of the way from the least to the greatest; `None` without values.
    pub(super) fn quantile(&mut self, share: f64) -> Option<i128> {
        self.settle();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank beyond 2^52 may be wrong by one"
        )]
        let rank = ((share * self.count as f64).ceil() as u64).max(1);
        let vague = self.samples.iter().map(|s| s.g + s.delta).max()?;
        let mut least = 0;
        for sample in &self.samples {
            least += sample.g;
            let greatest = least + sample.delta;
            if 2 * greatest <= 2 * rank + vague && 2 * rank <= 2 * least + vague {
                return Some(sample.value);
            }
        }
        self.samples.last().map(|sample| sample.value)
    }

    /// What the summary holds, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.samples.capacity() * size_of::<Sample>() + self.gathered.capacity() * size_of::<i128>()
    }

    fn settle(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.sort_unstable();
        self.count += gathered.len() as u64;
        let exact: Vec<Sample> = gathered
            .drain(..)
            .map(|value| Sample {
                value,
                g: 1,
                delta: 0,
            })
            .collect();
        self.gathered = gathered;
        self.samples = merged(&self.samples, &exact);
        self.compress();
    }

    /// Joins samples from the greatest down; the least and the greatest stay.
    fn compress(&mut self) {
        let allowed = 2 * self.count / self.accuracy;
        if allowed < 2 || self.samples.len() < 3 {
            return;
        }
        let mut kept: Vec<Sample> = Vec::with_capacity(self.samples.len());
        let least = self.samples.remove(0);
        for sample in self.samples.drain(..).rev() {
            match kept.last_mut() {
                Some(above) if kept_apart(&sample, above, allowed) => kept.push(sample),
                Some(above) => above.g += sample.g,
                None => kept.push(sample),
            }
        }
        kept.push(least);
        kept.reverse();
        self.samples = kept;
    }
}

fn kept_apart(sample: &Sample, above: &Sample, allowed: u64) -> bool {
    sample.g + above.g + above.delta > allowed
}

/// Two lists of samples as one: a sample's greatest rank grows by the values of the other list that
/// may lie below it.
fn merged(one: &[Sample], other: &[Sample]) -> Vec<Sample> {
    let mut out = Vec::with_capacity(one.len() + other.len());
    let (mut left, mut right) = (one, other);
    loop {
        let (next, beside) = match (left, right) {
            ([], []) => return out,
            ([next, rest @ ..], []) => {
                left = rest;
                (next, None)
            }
            ([], [next, rest @ ..]) => {
                right = rest;
                (next, None)
            }
            ([one, rest @ ..], [other, ..]) if one.value <= other.value => {
                left = rest;
                (one, Some(other))
            }
            ([one, ..], [other, rest @ ..]) => {
                right = rest;
                (other, Some(one))
            }
        };
        let vague = beside.map_or(0, |beside| beside.g + beside.delta - 1);
        out.push(Sample {
            delta: next.delta + vague,
            ..*next
        });
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn few_values_are_exact() {
        let mut summary = Summary::new(10_000);
        assert_eq!(summary.quantile(0.5), None);
        for value in [5, 1, 4, 2, 3, 6] {
            summary.add(value);
        }
        let asked = [0.0, 0.01, 0.5, 0.51, 0.9, 1.0];
        let found = asked.map(|share| summary.quantile(share).unwrap());
        assert_eq!(found, [1, 1, 3, 4, 6, 6]);
    }

    #[test]
    fn many_values_are_as_accurate_as_asked_and_bounded() {
        let (accuracy, count) = (100, 300_000_u64);
        let mut parts: Vec<Summary> = (0..3).map(|_| Summary::new(accuracy)).collect();
        // 0, 1, …, count - 1, well mixed: 7 has no factor in common with the count.
        for at in 0..count {
            let value = i128::from(at * 700_001 % count);
            parts[usize::try_from(at % 3).unwrap()].add(value);
        }
        let mut whole = Summary::new(accuracy);
        for part in &mut parts {
            let (samples, count) = part.samples();
            whole.merge(samples, count);
        }
        assert!(whole.samples().0.len() < 2_000);
        assert_eq!(whole.samples().1, count);
        for share in [0.001, 0.25, 0.5, 0.9, 0.999] {
            let found = whole.quantile(share).unwrap();
            let wanted = (share * 300_000.0) as i128;
            assert!((found - wanted).abs() <= 3_000, "{share}: {found}");
        }
    }
}

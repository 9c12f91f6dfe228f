//! Quantiles of any number of values in a few hundred centroids, finest at both ends.
//!
//! The merging t-digest of Dunning and Ertl, "Computing extremely accurate quantiles using t-digests"
//! (arXiv:1902.04023, 2019), with their scale function k1. Between centroids it interpolates; the
//! smallest and the largest value are exact.

/// How fine: about this many centroids are kept.
const COMPRESSION: f64 = 200.0;
/// Values gathered before they are merged in.
const BUFFER: usize = 2_000;

#[derive(Clone, Copy, Debug)]
struct Centroid {
    mean: f64,
    weight: f64,
}

/// A sketch of a distribution of finite numbers.
#[derive(Clone, Debug)]
pub(crate) struct TDigest {
    centroids: Vec<Centroid>,
    /// How many of the centroids are already merged and sorted; the rest are the buffer.
    merged: usize,
    weight: f64,
    min: f64,
    max: f64,
}

impl TDigest {
    /// The sketch of no values.
    pub(crate) fn new() -> Self {
        Self {
            centroids: Vec::new(),
            merged: 0,
            weight: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }

    /// Adds a finite `value`, `weight` times.
    pub(crate) fn add(&mut self, value: f64, weight: f64) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.push(Centroid {
            mean: value,
            weight,
        });
    }

    /// Adds everything the other has seen.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        for &centroid in &other.centroids {
            self.push(centroid);
        }
    }

    fn push(&mut self, centroid: Centroid) {
        self.weight += centroid.weight;
        self.centroids.push(centroid);
        if self.centroids.len() - self.merged >= BUFFER {
            self.compress();
        }
    }

    /// The smallest value, if any was added.
    pub(crate) fn min(&self) -> Option<f64> {
        (self.weight > 0.0).then_some(self.min)
    }

    /// The largest value, if any was added.
    pub(crate) fn max(&self) -> Option<f64> {
        (self.weight > 0.0).then_some(self.max)
    }

    /// Merges the buffer into the centroids. Needed before reading.
    pub(crate) fn compress(&mut self) {
        if self.merged == self.centroids.len() {
            return;
        }
        self.centroids.sort_by(|a, b| a.mean.total_cmp(&b.mean));
        let mut kept: Vec<Centroid> = Vec::with_capacity(COMPRESSION as usize * 2);
        let mut current = self.centroids[0];
        let mut before = 0.0;
        let mut limit = next_limit(0.0);
        for &next in &self.centroids[1..] {
            let share = (before + current.weight + next.weight) / self.weight;
            if share <= limit {
                current.mean +=
                    (next.mean - current.mean) * (next.weight / (current.weight + next.weight));
                current.weight += next.weight;
            } else {
                before += current.weight;
                limit = next_limit(before / self.weight);
                kept.push(current);
                current = next;
            }
        }
        kept.push(current);
        self.merged = kept.len();
        self.centroids = kept;
    }

    /// The value below which the share `q` of all values lies; `None` of no values. Call
    /// [`Self::compress`] before.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        if self.weight == 0.0 {
            return None;
        }
        let target = q.clamp(0.0, 1.0) * self.weight;
        let mut previous = (0.0, self.min);
        let mut cumulated = 0.0;
        for centroid in &self.centroids[..self.merged] {
            let middle = cumulated + centroid.weight / 2.0;
            if target < middle {
                return Some(interpolate(previous, (middle, centroid.mean), target));
            }
            previous = (middle, centroid.mean);
            cumulated += centroid.weight;
        }
        Some(interpolate(previous, (self.weight, self.max), target))
    }

    /// How many of the values are at most `value` (estimated). Call [`Self::compress`] before.
    pub(crate) fn count_up_to(&self, value: f64) -> f64 {
        if self.weight == 0.0 || value < self.min {
            return 0.0;
        }
        if value >= self.max {
            return self.weight;
        }
        let mut previous = (self.min, 0.0);
        let mut cumulated = 0.0;
        for centroid in &self.centroids[..self.merged] {
            let middle = cumulated + centroid.weight / 2.0;
            if value < centroid.mean {
                return interpolate(previous, (centroid.mean, middle), value);
            }
            previous = (centroid.mean, middle);
            cumulated += centroid.weight;
        }
        interpolate(previous, (self.max, self.weight), value)
    }
}

/// Where a centroid that begins at the share `from` has to end: one step further on the scale k1.
fn next_limit(from: f64) -> f64 {
    let scale = COMPRESSION / std::f64::consts::TAU;
    let k = scale * (2.0 * from - 1.0).clamp(-1.0, 1.0).asin() + 1.0;
    let angle = k / scale;
    if angle >= std::f64::consts::FRAC_PI_2 {
        1.0
    } else {
        f64::midpoint(angle.sin(), 1.0)
    }
}

/// The height at `x` of the line through two points.
fn interpolate(from: (f64, f64), to: (f64, f64), x: f64) -> f64 {
    if to.0 <= from.0 {
        return to.1;
    }
    from.1 + (to.1 - from.1) * ((x - from.0) / (to.0 - from.0)).clamp(0.0, 1.0)
}

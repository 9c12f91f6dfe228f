//! Count, mean and spread in one pass.
//!
//! Welford's update (1962) with weights, and the merge of Chan, Golub and LeVeque (1979): no sum of
//! squares that would lose its digits.

/// Running count, mean and sum of squared deviations.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Adds a finite `value`, `weight` times.
    pub(crate) fn add(&mut self, value: f64, weight: f64) {
        self.merge(&Self {
            count: weight,
            mean: value,
            squares: 0.0,
        });
    }

    /// Adds everything the other has seen.
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.count == 0.0 {
            return;
        }
        let count = self.count + other.count;
        let delta = other.mean - self.mean;
        self.mean += delta * (other.count / count);
        self.squares += other.squares + delta * delta * (self.count * other.count / count);
        self.count = count;
    }

    /// How many values were added.
    pub(crate) fn count(&self) -> f64 {
        self.count
    }

    /// The mean, if anything was added.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count > 0.0).then_some(self.mean)
    }

    /// The sample standard deviation, of two values or more.
    pub(crate) fn standard_deviation(&self) -> Option<f64> {
        (self.count > 1.0).then(|| (self.squares.max(0.0) / (self.count - 1.0)).sqrt())
    }
}

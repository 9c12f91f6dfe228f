//! The most frequent values, in a fixed number of counters.
//!
//! Misra and Gries, "Finding repeated elements" (1982), fed in groups as in Agarwal, Cormode, Huang,
//! Phillips, Wei and Yi, "Mergeable summaries" (PODS 2012): add the counts of a group, then take the
//! (k+1)-th largest count off every counter. A count is too low by at most `total / (k + 1)`; every
//! value more frequent than that is present. (Space-Saving is isomorphic to it.)

use hashbrown::HashMap;
use rapidhash::fast::RandomState;

/// What is kept of one frequent value.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    /// How often it was seen, at least.
    pub(crate) count: u64,
    /// The first row in which this counter saw it.
    pub(crate) first_row: u64,
}

/// Counters of the most frequent texts.
#[derive(Clone)]
pub(crate) struct MisraGries {
    capacity: usize,
    counters: HashMap<Box<str>, Counter, RandomState>,
    /// How much any count may be too low.
    error: u64,
}

impl MisraGries {
    /// Keeps `capacity` counters after each [`Self::compact`].
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            counters: HashMap::default(),
            error: 0,
        }
    }

    /// Adds `count` occurrences of `value`. Call [`Self::compact`] after each group.
    pub(crate) fn add(&mut self, value: &str, count: u64, first_row: u64) {
        if let Some(counter) = self.counters.get_mut(value) {
            counter.count += count;
            counter.first_row = counter.first_row.min(first_row);
        } else {
            self.counters
                .insert(value.into(), Counter { count, first_row });
            if self.counters.len() > self.capacity.saturating_mul(64) {
                self.compact();
            }
        }
    }

    /// Shrinks to the capacity.
    pub(crate) fn compact(&mut self) {
        if self.counters.len() <= self.capacity {
            return;
        }
        let mut counts: Vec<u64> = self
            .counters
            .values()
            .map(|counter| counter.count)
            .collect();
        let (_, &mut cut, _) = counts.select_nth_unstable_by(self.capacity, |a, b| b.cmp(a));
        self.error += cut;
        self.counters.retain(|_, counter| {
            counter.count = counter.count.saturating_sub(cut);
            counter.count > 0
        });
    }

    /// Adds everything the other summary counted.
    pub(crate) fn merge(&mut self, other: &Self, row_offset: u64) {
        for (value, counter) in &other.counters {
            self.add(value, counter.count, counter.first_row + row_offset);
        }
        self.error += other.error;
        self.compact();
    }

    /// How much any count may be too low.
    pub(crate) fn error(&self) -> u64 {
        self.error
    }

    /// How often `value` was counted, if it has a counter.
    pub(crate) fn get(&self, value: &str) -> Option<&Counter> {
        self.counters.get(value)
    }

    /// The counters, most frequent first; equal counts in the order of their first row.
    pub(crate) fn sorted(&self) -> Vec<(&str, &Counter)> {
        let mut all: Vec<_> = self
            .counters
            .iter()
            .map(|(value, counter)| (&**value, counter))
            .collect();
        all.sort_by(|a, b| {
            b.1.count
                .cmp(&a.1.count)
                .then(a.1.first_row.cmp(&b.1.first_row))
                .then(a.0.cmp(b.0))
        });
        all
    }
}

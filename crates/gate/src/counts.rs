//! What happened to how many rows, and for which reasons.
//!
//! Counts of batches are merged in any order; the sum is what a run reports and what
//! [`crate::evaluate_limits`] are held against.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::repair::RepairKind;

/// The kinds of reasons, in the order in which a row's reasons are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReasonKind {
    /// The row could not be cut into fields.
    Malformed,
    /// The time of the row is too far ahead of the clock, or there is none where one is needed.
    Future,
    /// A value does not coerce to its column's type.
    Type,
    /// NULL in a `NOT NULL` column.
    NotNull,
    /// The key is taken.
    DuplicateKey,
    /// An expectation is not TRUE.
    Expectation,
}

impl ReasonKind {
    /// The word used in the quarantine's `reasons`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Future => "future",
            Self::Type => "type",
            Self::NotNull => "not_null",
            Self::DuplicateKey => "duplicate_key",
            Self::Expectation => "expectation",
        }
    }
}

impl fmt::Display for ReasonKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One promise that rows are counted by: an expectation, `not_null` of a column, `type` of a column…
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReasonKey {
    /// Its kind.
    pub kind: ReasonKind,
    /// The expectation's name; for the other kinds the kind's word.
    pub constraint: Arc<str>,
    /// The column, or the columns joined by `, `; none for malformed rows.
    pub column: Option<Arc<str>>,
}

/// How many rows kept and broke one promise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConstraintCount {
    /// Rows for which it was evaluated and held.
    pub passed: u64,
    /// Rows for which it did not hold.
    pub failed: u64,
}

/// The numbers of a batch, an epoch or a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that came in, the malformed included.
    pub rows_in: u64,
    /// Rows that go into the table, the repaired included.
    pub good: u64,
    /// Rows of `good` that were malformed and had exactly one valid reading.
    pub repaired: u64,
    /// Rows that go to the quarantine.
    pub quarantined: u64,
    /// Rows that are dropped.
    pub dropped: u64,
    /// The repaired rows by what was done to read them.
    pub repairs: BTreeMap<RepairKind, u64>,
    /// Every promise with its numbers, also those that no row broke.
    pub reasons: BTreeMap<ReasonKey, ConstraintCount>,
}

impl Counts {
    /// Adds the numbers of another batch.
    pub fn merge(&mut self, other: &Self) {
        self.rows_in += other.rows_in;
        self.good += other.good;
        self.repaired += other.repaired;
        self.quarantined += other.quarantined;
        self.dropped += other.dropped;
        for (kind, rows) in &other.repairs {
            *self.repairs.entry(*kind).or_default() += rows;
        }
        for (key, count) in &other.reasons {
            match self.reasons.get_mut(key) {
                Some(own) => {
                    own.passed += count.passed;
                    own.failed += count.failed;
                }
                None => {
                    self.reasons.insert(key.clone(), *count);
                }
            }
        }
    }

    /// The promises that at least one row broke, most broken first.
    pub fn broken(&self) -> Vec<(&ReasonKey, ConstraintCount)> {
        let mut broken: Vec<_> = self
            .reasons
            .iter()
            .filter(|(_, count)| count.failed > 0)
            .map(|(key, count)| (key, *count))
            .collect();
        broken.sort_by(|left, right| right.1.failed.cmp(&left.1.failed).then(left.0.cmp(right.0)));
        broken
    }
}

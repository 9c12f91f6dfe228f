//! Verdicts: what the gate found out about the rows of one batch.
//!
//! Good rows cost nothing here: what is wrong is kept in lists of rows, promise by promise, and a
//! byte a row says where it goes, only once a row of the batch goes anywhere but into the table.

mod evaluate;
mod judge;

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use tidegate_project::OnViolation;

use crate::coerce::Problem;
use crate::incoming::Malformed;
use crate::repair::Repairs;

pub(crate) use judge::{judge, judge_rows};

/// Where a row goes, as bits: a row that breaks several promises has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Outcome(u8);

impl Outcome {
    /// Into the table.
    pub(crate) const GOOD: Self = Self(0);
    const QUARANTINE: u8 = 1;
    const DROP: u8 = 2;
    const FAIL: u8 = 4;

    pub(crate) fn add(&mut self, on_violation: OnViolation) {
        self.0 |= match on_violation {
            OnViolation::Keep => 0,
            OnViolation::Quarantine => Self::QUARANTINE,
            OnViolation::DropRow => Self::DROP,
            OnViolation::FailUpdate => Self::FAIL,
        };
    }

    pub(crate) fn is_good(self) -> bool {
        self == Self::GOOD
    }

    pub(crate) fn fails(self) -> bool {
        self.0 & Self::FAIL != 0
    }

    /// Whether the row goes to the quarantine; a row that would be dropped too does.
    pub(crate) fn quarantines(self) -> bool {
        self.0 & Self::QUARANTINE != 0
    }

    /// Whether the row is dropped.
    pub(crate) fn drops(self) -> bool {
        self.0 & Self::DROP != 0 && !self.quarantines()
    }
}

/// Where every row of a batch goes; empty while all are good.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    rows: usize,
    outcomes: Vec<Outcome>,
}

impl Outcomes {
    pub(crate) fn new(rows: usize) -> Self {
        Self {
            rows,
            outcomes: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, row: usize, on_violation: OnViolation) {
        if on_violation == OnViolation::Keep {
            return;
        }
        if self.outcomes.is_empty() {
            self.outcomes = vec![Outcome::GOOD; self.rows];
        }
        self.outcomes[row].add(on_violation);
    }

    pub(crate) fn all_good(&self) -> bool {
        self.outcomes.is_empty()
    }

    pub(crate) fn get(&self, row: usize) -> Outcome {
        self.outcomes.get(row).copied().unwrap_or_default()
    }

    /// The outcomes of all rows; empty while all are good.
    pub(crate) fn as_slice(&self) -> &[Outcome] {
        &self.outcomes
    }
}

/// A value that did not coerce.
#[derive(Debug)]
pub(crate) struct TypeFailure {
    pub(crate) row: u32,
    /// The column's place in the contract.
    pub(crate) column: u32,
    pub(crate) problem: Problem,
}

/// The rows that break one expectation.
#[derive(Debug)]
pub(crate) struct Broken {
    /// The expectation's place in the gate.
    pub(crate) expectation: usize,
    /// The rows, in order.
    pub(crate) rows: Vec<u32>,
    /// What the predicate said of all rows: FALSE or NULL of these.
    pub(crate) answers: BooleanArray,
    /// Rows on which it could not be evaluated, and why, in order.
    pub(crate) errors: Vec<(u32, Arc<str>)>,
}

/// A judged batch, on its way from [`crate::Gate::judge`] to [`crate::Gate::split`].
#[derive(Debug)]
pub struct Judged {
    /// Of the judging schema; a failed value is NULL.
    pub(crate) coerced: RecordBatch,
    /// As it came in.
    pub(crate) incoming: RecordBatch,
    /// The incoming column of each column of the contract.
    pub(crate) sources: Vec<Option<usize>>,
    pub(crate) line: Vec<u64>,
    pub(crate) raw: Option<ArrayRef>,
    pub(crate) malformed: Vec<Malformed>,
    pub(crate) source: Arc<str>,
    pub(crate) first_line: u64,
    pub(crate) outcomes: Outcomes,
    /// By column, then row.
    pub(crate) type_failures: Vec<TypeFailure>,
    /// Columns and their rows that are NULL and must not be.
    pub(crate) null_failures: Vec<(usize, Vec<u32>)>,
    pub(crate) broken: Vec<Broken>,
    /// For each expectation, on how many rows it was judged.
    pub(crate) evaluated: Vec<u64>,
    /// Rows whose key was taken, once keys were admitted.
    pub(crate) duplicates: Vec<u32>,
    /// The keys; empty without a key in the contract.
    pub(crate) keys: Vec<u128>,
    pub(crate) keys_admitted: bool,
    pub(crate) repairs: Option<Box<Repairs>>,
}

impl Judged {
    /// The rows as coerced to [`crate::Contract::judging_schema`]; a value that failed is NULL.
    pub fn coerced(&self) -> &RecordBatch {
        &self.coerced
    }

    /// Where the rows came from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How many rows came in, the malformed included.
    pub fn rows_in(&self) -> usize {
        self.coerced.num_rows() + self.malformed.len()
    }

    /// Says which line the batch begins at, once that is known; it is added to every row's own line.
    pub fn set_first_line(&mut self, first_line: u64) {
        self.first_line = first_line;
    }

    /// A row's line within the batch.
    pub(crate) fn line_of(&self, row: usize) -> u64 {
        self.line.get(row).copied().unwrap_or(row as u64)
    }
}

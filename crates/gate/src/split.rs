//! The split: good rows one way, quarantined rows with their reasons the other.

use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::counts::{Counts, ReasonKey};

/// What every quarantined row is stamped with.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The flow's name.
    pub flow: Arc<str>,
    /// The run's id.
    pub run: Arc<str>,
    /// The epoch of the flow.
    pub epoch: i64,
    /// The time, in microseconds since 1970 UTC.
    pub time_micros: i64,
}

/// Why an update must stop: the first row that breaks a `FAIL UPDATE` promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailUpdate {
    /// Where the row came from.
    pub source: Arc<str>,
    /// Its line or row number there.
    pub line: u64,
    /// The promise it breaks.
    pub reason: ReasonKey,
    /// The value concerned, as text.
    pub value: Option<String>,
    /// What is wrong, as a sentence.
    pub message: String,
    /// The row as it was written, or as JSON where it never was text; cut at a limit.
    pub raw: String,
}

/// A batch, parted.
#[derive(Debug)]
pub struct Split {
    /// The rows for the table, of [`crate::Contract::schema`], in their order.
    pub good: RecordBatch,
    /// The line of each good row; only with [`crate::GateOptions::positions`].
    pub good_line: Option<Vec<u64>>,
    /// The rows for the quarantine, of [`crate::quarantine_schema`], in their order.
    pub quarantined: Option<RecordBatch>,
    /// The numbers.
    pub counts: Counts,
    /// Set when the update must stop; nothing of it may then be committed.
    pub fail: Option<FailUpdate>,
}

//! Verdicts: what the gate found out about the rows of one batch.

use std::sync::Arc;

use arrow::array::RecordBatch;

/// A judged batch, on its way from [`crate::Gate::judge`] to [`crate::Gate::split`].
#[derive(Debug)]
pub struct Judged {
    pub(crate) coerced: RecordBatch,
    pub(crate) source: Arc<str>,
    pub(crate) first_line: u64,
    pub(crate) rows_in: usize,
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
        self.rows_in
    }

    /// Says which line the batch begins at, once that is known; it is added to every row's own line.
    pub fn set_first_line(&mut self, first_line: u64) {
        self.first_line = first_line;
    }
}

//! Repair: other readings of rows that could not be cut into fields.

use arrow::array::RecordBatch;

/// A malformed row that has exactly one valid reading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Accepted {
    /// Its place among the malformed rows.
    pub(crate) malformed: usize,
    /// The reading's row in [`Repairs::readings`].
    pub(crate) reading: usize,
}

/// The readings of a batch's malformed rows.
#[derive(Debug)]
pub(crate) struct Repairs {
    readings: RecordBatch,
    accepted: Vec<Accepted>,
}

impl Repairs {
    pub(crate) fn readings(&self) -> &RecordBatch {
        &self.readings
    }

    pub(crate) fn accepted(&self) -> &[Accepted] {
        &self.accepted
    }

    pub(crate) fn repaired(&self, place: usize) -> bool {
        self.accepted
            .iter()
            .any(|accepted| accepted.malformed == place)
    }

    pub(crate) fn refusal(&self, _place: usize) -> Option<&str> {
        None
    }
}

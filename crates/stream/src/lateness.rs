//! Which rows come too late, decided where they come in.
//!
//! A row is late when every window it falls into has closed. Only the scan still has the row as it was
//! pushed, but the windows are those of an operator above; so each operator that closes windows leaves a
//! rule for the scans below it, and says in [`Marks`](crate::operator::Marks) how far it has closed.

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;

use crate::operator::Marks;
use crate::slices::Slices;

/// When a time is too late for an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The operator's mark.
    pub(crate) slot: usize,
    /// By how much the operator's time is later than the scan's.
    pub(crate) shift: i64,
    pub(crate) windows: Windows,
}

/// What an operator makes of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Windows {
    Slices(Slices),
    Session {
        gap: i64,
    },
    /// Each time by itself.
    Instants,
}

impl Rule {
    fn is_late(&self, time: i64, marks: &Marks) -> bool {
        let time = time.saturating_add(self.shift);
        let mark = marks.get(self.slot);
        match self.windows {
            Windows::Slices(slices) => slices.last_end(time).is_some_and(|end| end <= mark),
            Windows::Session { gap } => time.saturating_add(gap) < mark,
            Windows::Instants => time < mark,
        }
    }
}

/// The late rows of a batch; `None` if there are none.
pub(crate) fn late_rows(
    batch: &RecordBatch,
    time: usize,
    rules: &[Rule],
    marks: &Marks,
) -> Option<BooleanArray> {
    if rules.is_empty() {
        return None;
    }
    let times = batch.column(time);
    let times = times.as_primitive_opt::<TimestampMicrosecondType>()?;
    let is_late = |time: i64| rules.iter().all(|rule| rule.is_late(time, marks));
    // The earlier the later: if the earliest is not, none is.
    if !arrow::compute::min(times).is_some_and(is_late) {
        return None;
    }
    Some(times.iter().map(|t| Some(t.is_some_and(is_late))).collect())
}

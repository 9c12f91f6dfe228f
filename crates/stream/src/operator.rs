//! What all operators have in common: a turn for each event, and a state that is saved.
//!
//! Operators form a tree. Each turn goes to the root, which asks its inputs first; so an operator
//! sees the rows of a turn before the watermark that they moved. Most turns find most of the tree
//! with nothing to do.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use serde_json::Value;

use crate::checkpoint::{SegmentReader, SegmentWriter};
use crate::clock::{BEFORE_ALL, Clocks};
use crate::error::Result;
use crate::options::OperatorStats;

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// Rows of a stream; those too far ahead are taken out already.
    Rows {
        binding: &'a str,
        batch: &'a RecordBatch,
    },
    /// Time went by, or everything must come out that can.
    Tick,
    /// State was taken back; nothing comes out.
    Resume,
    /// The streams have ended.
    Finish,
}

/// One event on its way through the tree.
pub(crate) struct Turn<'a> {
    pub(crate) event: Event<'a>,
    /// The caller's clock, in microseconds since 1970.
    pub(crate) now: i64,
    pub(crate) clocks: &'a Clocks,
    pub(crate) marks: &'a mut Marks,
    /// Late rows, as they were pushed, if they are kept.
    pub(crate) late: Option<&'a mut Vec<(String, RecordBatch)>>,
    pub(crate) late_rows: &'a mut u64,
}

impl Turn<'_> {
    /// Whether results must not be held back to save work.
    pub(crate) fn flushes(&self) -> bool {
        matches!(self.event, Event::Tick | Event::Finish)
    }
}

/// The watermarks up to which operators have closed their windows, by slot.
#[derive(Debug, Default)]
pub(crate) struct Marks(Vec<i64>);

impl Marks {
    /// A slot for one more operator.
    pub(crate) fn slot(&mut self) -> usize {
        self.0.push(BEFORE_ALL);
        self.0.len() - 1
    }

    pub(crate) fn get(&self, slot: usize) -> i64 {
        self.0.get(slot).copied().unwrap_or(BEFORE_ALL)
    }

    /// A mark never goes back.
    pub(crate) fn set(&mut self, slot: usize, watermark: i64) {
        if let Some(mark) = self.0.get_mut(slot) {
            *mark = watermark.max(*mark);
        }
    }
}

/// What an operator gives in a turn.
#[derive(Debug)]
pub(crate) struct Changes {
    /// New rows, or the newest rows of changed keys.
    pub(crate) rows: Vec<RecordBatch>,
    /// Rows whose keys are gone: only the key columns mean something. Before `rows`.
    pub(crate) deletes: Vec<RecordBatch>,
    /// Rows to come are not before this.
    pub(crate) watermark: i64,
}

impl Changes {
    pub(crate) fn none(watermark: i64) -> Self {
        Self::rows(Vec::new(), watermark)
    }

    pub(crate) fn rows(rows: Vec<RecordBatch>, watermark: i64) -> Self {
        Self {
            rows,
            deletes: Vec::new(),
            watermark,
        }
    }
}

/// What an operator's state is of: a checkpoint fits if these are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// What it is, such as `window aggregate`.
    pub(crate) kind: &'static str,
    /// What decides about the meaning of its state, as text.
    pub(crate) meaning: String,
}

/// A node of the tree.
pub(crate) trait Operator: Send {
    /// Takes part in a turn.
    fn turn(&mut self, turn: &mut Turn<'_>) -> Result<Changes>;

    /// The operators that it asks, for those who go through the tree.
    fn inputs(&mut self) -> Vec<&mut Box<dyn Operator>>;

    /// The same, to look at.
    fn inputs_ref(&self) -> Vec<&dyn Operator>;

    /// What its state is of; `None` without state.
    fn identity(&self) -> Option<Identity> {
        None
    }

    /// Bytes of state in memory, about; asked after every turn.
    fn bytes(&self) -> usize {
        0
    }

    /// How large its state is.
    fn stats(&self) -> Option<OperatorStats> {
        None
    }

    /// Writes the segments that are new, and says what a restore needs to know.
    fn save(&mut self, _writer: &mut SegmentWriter<'_>) -> Result<Value> {
        Ok(Value::Null)
    }

    /// Takes back what was saved.
    fn load(&mut self, _saved: &Value, _reader: &mut SegmentReader<'_>) -> Result<()> {
        Ok(())
    }

    /// A table that it looks rows up in has changed.
    fn table_changed(&mut self, _binding: &str, _provider: &Arc<dyn TableProvider>) -> Result<()> {
        Ok(())
    }

    /// Moves state out of memory until at most so many bytes are left, if it can.
    fn relieve(&mut self, _budget: usize) -> Result<()> {
        Ok(())
    }
}

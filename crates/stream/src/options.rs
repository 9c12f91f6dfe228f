//! What a dataflow is told, and what it tells.

use std::path::PathBuf;

use arrow::array::RecordBatch;

/// A relation of the query that is a stream. Relations that are not named are tables: they are read
/// once and looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The relation, by its binding in the plan.
    pub binding: String,
    /// Its event time; `None` if it has none, or nobody asks.
    pub watermark: Option<WatermarkSpec>,
}

/// `WATERMARK time DELAY OF …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatermarkSpec {
    /// The column of event time, a TIMESTAMP in microseconds.
    pub time: String,
    /// By how many microseconds a row may come after one that is younger; at least 0.
    pub delay_micros: i64,
}

/// What is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputMode {
    /// Final rows, each once.
    Append,
    /// The newest row of each key that changed.
    Update,
}

/// How a dataflow runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What is given out.
    pub output: OutputMode,
    /// A partition without rows for so many microseconds, while others have some, no longer holds
    /// the watermark back.
    pub idle_micros: i64,
    /// Rows with a time more than so many microseconds after the clock do not move the watermark and
    /// come out in [`Output::future`].
    pub future_micros: i64,
    /// State by key (running aggregates, deduplication, top-N, joins without a time bound) that was
    /// not touched for so many microseconds is forgotten; `None` keeps it for good. Results given
    /// out stay as they are; a key that comes again starts anew.
    pub time_to_live_micros: Option<i64>,
    /// How many bytes of state, and of rows that wait for it, may be held in memory before state is
    /// spilled: the panes of windows, and all other state by parts of its keys. State without keys stays in
    /// memory. What is over the budget comes out with the next tick, if not before.
    pub memory_bytes: usize,
    /// The folder that state is spilled to; made when first needed.
    pub spill_folder: PathBuf,
    /// Whether late rows are given out in [`Output::late`]; they are counted in any case.
    pub keep_late: bool,
}

/// What a push or tick gives.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Append: final rows. Update: the newest row of each changed key; of several rows with the same key, the last counts.
    pub rows: Vec<RecordBatch>,
    /// Update: the key columns (in the order of [`crate::Dataflow::key`]) of rows that are gone.
    /// They come before [`Self::rows`]: a key in both is there again. A key may be named that never
    /// was given out.
    pub deletes: Vec<RecordBatch>,
    /// Rows that came after all their windows had closed, by binding, as they were pushed.
    pub late: Vec<(String, RecordBatch)>,
    /// Rows with a time too far ahead of the clock, or with none (NULL), by binding, as they were
    /// pushed. They take no part in the result.
    pub future: Vec<(String, RecordBatch)>,
}

impl Output {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.deletes.is_empty()
            && self.late.is_empty()
            && self.future.is_empty()
    }
}

/// How a dataflow stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rows that were pushed.
    pub rows_in: u64,
    /// Rows that came out, early results counted each time.
    pub rows_out: u64,
    /// Rows that came after all their windows had closed.
    pub late: u64,
    /// Rows too far ahead of the clock, or without a time.
    pub future: u64,
    /// The watermark of the result, in microseconds since 1970; `None` as long as a stream that
    /// holds it back has not begun.
    pub watermark: Option<i64>,
    /// Each operator with state, from the sources upwards.
    pub operators: Vec<OperatorStats>,
}

impl Stats {
    /// Bytes of state in memory, of all operators.
    pub fn state_bytes(&self) -> usize {
        self.operators.iter().map(|operator| operator.bytes).sum()
    }
}

/// How one operator stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorStats {
    /// What it is, such as `window aggregate`.
    pub name: String,
    /// Rows or groups that it remembers.
    pub rows: u64,
    /// Bytes of state in memory, about.
    pub bytes: usize,
    /// Bytes of state in the spill folder.
    pub spilled_bytes: u64,
}

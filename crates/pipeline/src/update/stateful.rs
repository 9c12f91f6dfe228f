//! Flows with state: windows, aggregates, joins of streams. Their batches are pushed through a
//! [`Dataflow`](tidegate_stream::Dataflow); what it gives out goes through the table's gate as all rows do, and what it
//! remembers is saved with the epoch.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::compute::interleave_record_batch;
use arrow::row::{OwnedRow, RowConverter, SortField};
use chrono::Utc;
use parking_lot::Mutex;
use tidegate_gate::{Incoming, Malformed, MalformedKind};
use tidegate_stream::{Dataflow, Output, OutputMode};

use super::feed::{Inlet, Next};
use crate::error::{PipelineError, Result};
use crate::rows::Load;

/// How often a flow looks at the clock when nothing comes.
const TICK: Duration = Duration::from_millis(20);

/// Changes are put together when so many rows have gathered.
const CHANGES_MAX: usize = 1 << 18;

/// A dataflow at work in one epoch, as loads for the gate.
pub(crate) struct Flowing {
    inlet: Inlet,
    dataflow: Arc<Mutex<Dataflow>>,
    source: Arc<str>,
    ready: VecDeque<Load>,
    aside: Arc<Mutex<Aside>>,
    ended: bool,
}

/// What a dataflow gives beside the rows for the gate.
#[derive(Default)]
pub(crate) struct Aside {
    /// Late rows by relation, where they are kept.
    pub(crate) late: Vec<(String, RecordBatch)>,
    /// The newest row of each changed key; only for update output.
    pub(crate) changes: Option<Changes>,
    /// When output of update mode is to be handed on at once.
    pub(crate) early: Option<Early>,
}

/// Takes early results as they come.
pub(crate) type Early = Arc<dyn Fn(&Output) + Send + Sync>;

impl Flowing {
    /// The loads of a dataflow that is fed from `inlet`.
    pub(crate) fn new(
        inlet: Inlet,
        dataflow: Arc<Mutex<Dataflow>>,
        source: Arc<str>,
        aside: Arc<Mutex<Aside>>,
    ) -> Self {
        Self {
            inlet,
            dataflow,
            source,
            ready: VecDeque::new(),
            aside,
            ended: false,
        }
    }

    /// Waits for what comes next and pushes it.
    fn turn(&mut self) -> Result<()> {
        let now = Utc::now().timestamp_micros();
        let output = match self.inlet.next(TICK)? {
            Next::Rows(binding, partition, batch) => {
                let mut dataflow = self.dataflow.lock();
                dataflow.push(&binding, &partition, &batch, now)?
            }
            Next::Quiet => self.dataflow.lock().tick(now)?,
            Next::End => {
                self.ended = true;
                let output = self.dataflow.lock().tick(now)?;
                self.give(output)?;
                let changes = self.aside.lock().changes.as_mut().map(Changes::rows);
                let rows = changes.transpose()?.unwrap_or_default();
                self.ready.extend(rows.into_iter().map(|rows| self.load(rows)));
                return Ok(());
            }
        };
        self.give(output)
    }

    fn give(&mut self, output: Output) -> Result<()> {
        let mut aside = self.aside.lock();
        if let Some(early) = &aside.early {
            early(&output);
        }
        aside.late.extend(output.late);
        match &mut aside.changes {
            Some(changes) => changes.add(output.rows, output.deletes)?,
            None => {
                for rows in output.rows {
                    self.ready.push_back(self.load(rows));
                }
            }
        }
        drop(aside);
        for (relation, rows) in output.future {
            let load = self.untimely(&relation, &rows)?;
            self.ready.push_back(load);
        }
        Ok(())
    }

    fn load(&self, rows: RecordBatch) -> Load {
        Load::Batch(Box::new(Incoming::typed(rows, Arc::clone(&self.source))))
    }

    /// Rows that cannot be put into time, for the quarantine: as JSON, with the reason.
    fn untimely(&self, relation: &str, rows: &RecordBatch) -> Result<Load> {
        let lines = json_lines(rows)?;
        let malformed = lines.into_iter().enumerate().map(|(row, raw)| Malformed {
            line: row as u64,
            raw: Buffer::from_vec(raw),
            kind: MalformedKind::Future,
            message: format!(
                "the event time is NULL, or later than now by more than 'tidegate.future' allows (in {relation})"
            ),
        });
        let none = RecordBatch::new_empty(rows.schema());
        let mut incoming = Incoming::typed(none, Arc::clone(&self.source));
        incoming.malformed = malformed.collect();
        Ok(Load::Batch(Box::new(incoming)))
    }
}

impl Iterator for Flowing {
    type Item = Result<Load>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(load) = self.ready.pop_front() {
                return Some(Ok(load));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.turn() {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }
}

/// Each row as a JSON object of its own.
fn json_lines(rows: &RecordBatch) -> Result<Vec<Vec<u8>>> {
    let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
    writer.write(rows)?;
    writer.finish()?;
    let text = writer.into_inner();
    let lines = text.split(|byte| *byte == b'\n');
    Ok(lines
        .filter(|line| !line.is_empty())
        .map(<[u8]>::to_vec)
        .collect())
}

/// The newest row of each key that changed in an epoch.
pub(crate) struct Changes {
    key: Vec<usize>,
    converter: RowConverter,
    batches: Vec<RecordBatch>,
    rows: usize,
    /// Where the newest row of a key is; `None`: it is gone.
    newest: HashMap<OwnedRow, Option<(usize, usize)>>,
}

impl Changes {
    /// No changes yet to rows that these columns identify.
    ///
    /// # Errors
    /// When the columns cannot be compared.
    pub(crate) fn new(schema: &arrow::datatypes::Schema, key: &[usize]) -> Result<Self> {
        let fields = key
            .iter()
            .map(|&column| SortField::new(schema.field(column).data_type().clone()));
        Ok(Self {
            key: key.to_vec(),
            converter: RowConverter::new(fields.collect())?,
            batches: Vec::new(),
            rows: 0,
            newest: HashMap::new(),
        })
    }

    fn add(&mut self, rows: Vec<RecordBatch>, deletes: Vec<RecordBatch>) -> Result<()> {
        for batch in deletes {
            for row in &self.converter.convert_columns(batch.columns())? {
                self.newest.insert(row.owned(), None);
            }
        }
        for batch in rows {
            let keys: Vec<_> = self
                .key
                .iter()
                .map(|&column| Arc::clone(batch.column(column)))
                .collect();
            for (at, row) in self.converter.convert_columns(&keys)?.iter().enumerate() {
                self.newest.insert(row.owned(), Some((self.batches.len(), at)));
            }
            self.rows += batch.num_rows();
            self.batches.push(batch);
        }
        if self.rows > CHANGES_MAX.max(self.newest.len() * 4) {
            self.put_together()?;
        }
        Ok(())
    }

    /// Forgets rows that are no longer the newest.
    fn put_together(&mut self) -> Result<()> {
        let mut kept = Vec::with_capacity(self.newest.len());
        for place in self.newest.values_mut().flatten() {
            kept.push(*place);
            *place = (0, kept.len() - 1);
        }
        if self.batches.is_empty() {
            return Ok(());
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let together = interleave_record_batch(&batches, &kept)?;
        self.rows = together.num_rows();
        self.batches = vec![together];
        Ok(())
    }

    /// The newest rows.
    fn rows(&mut self) -> Result<Vec<RecordBatch>> {
        self.put_together()?;
        Ok(self.batches.clone())
    }

    /// The keys of all rows that changed or are gone, as columns.
    ///
    /// # Errors
    /// When the keys cannot be made columns again.
    pub(crate) fn keys(&self) -> Result<Vec<arrow::array::ArrayRef>> {
        let rows = self.newest.keys().map(OwnedRow::row);
        Ok(self.converter.convert_rows(rows)?)
    }

    /// Whether nothing changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.newest.is_empty()
    }
}

/// How a dataflow of this table gives its results.
pub(crate) fn output_mode(declared: Option<tidegate_project::OutputMode>) -> OutputMode {
    match declared {
        Some(tidegate_project::OutputMode::Update) => OutputMode::Update,
        Some(tidegate_project::OutputMode::Append) | None => OutputMode::Append,
    }
}

impl From<tidegate_stream::StreamError> for PipelineError {
    fn from(error: tidegate_stream::StreamError) -> Self {
        Self::Stream(Box::new(error))
    }
}

//! Files as a table: what a query, a materialized view or a profile sees of `read_files(…)`.
//!
//! Rows go through the same route as in an update ([`crate::rows`]): decoded and judged on several threads, given to the
//! query in the order of the source. Rows that do not fit the files' own types do not vanish: they go to [`Rejects`],
//! which an update writes to the quarantine and a query only counts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use parking_lot::Mutex;
use tidegate_connect::{Reading, Slice};
use tidegate_gate::{Counts, Gate, KeyIndex, KeyIndexOptions, Split, Stamp};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;

use crate::error::{PipelineError, Result};
use crate::events::Meter;
use crate::rows::{CancelToken, Destination, Load, Route, Shape, drive};

/// The hidden column that carries each row's place through a query.
pub(crate) const POSITION: &str = "__tidegate_position";

/// The column of raw text inside the gate, before it becomes a part of [`POSITION`].
pub(crate) const RAW: &str = "__tidegate_raw";

/// The parts of [`POSITION`]: where the row came from, its line there, and its text.
pub(crate) fn position_fields() -> Fields {
    Fields::from(vec![
        Field::new("source", DataType::Utf8View, true),
        Field::new("line", DataType::Int64, true),
        Field::new("raw", DataType::Utf8View, true),
    ])
}

/// Files with everything that is needed to read them: their layout, the slices, and the gate for their own types.
#[derive(Clone)]
pub(crate) struct FileScan {
    pub(crate) reading: Arc<Reading>,
    pub(crate) slices: Arc<Vec<Slice>>,
    pub(crate) shape: Arc<Shape>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) stamp: Arc<Stamp>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) cancel: CancelToken,
    pub(crate) workers: usize,
    pub(crate) with_position: bool,
    pub(crate) rejects: Arc<Rejects>,
}

/// Takes the rows that the gate of the files turned away, and counts all.
#[derive(Default)]
pub(crate) struct Rejects {
    state: Mutex<RejectsState>,
    keep: bool,
}

#[derive(Default)]
struct RejectsState {
    batches: Vec<RecordBatch>,
    counts: Counts,
}

impl Rejects {
    /// Keeps the rejected rows for [`Rejects::take`]; without it they are only counted.
    pub(crate) fn keeping() -> Self {
        Self {
            keep: true,
            ..Self::default()
        }
    }

    fn add(&self, batch: Option<RecordBatch>, counts: &Counts) {
        let mut state = self.state.lock();
        state.counts.merge(counts);
        if let (true, Some(batch)) = (self.keep, batch) {
            state.batches.push(batch);
        }
    }

    /// The rejected rows so far, and what the gate counted.
    pub(crate) fn take(&self) -> (Vec<RecordBatch>, Counts) {
        let mut state = self.state.lock();
        (
            std::mem::take(&mut state.batches),
            std::mem::take(&mut state.counts),
        )
    }

    /// What the gate has counted so far.
    pub(crate) fn counts(&self) -> Counts {
        self.state.lock().counts.clone()
    }
}

impl fmt::Debug for Rejects {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Rejects")
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for FileScan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FileScan")
            .field("slices", &self.slices.len())
            .finish_non_exhaustive()
    }
}

/// All pieces of the slices, as loads.
pub(crate) fn loads(
    reading: Arc<Reading>,
    slices: Arc<Vec<Slice>>,
    shape: Arc<Shape>,
    meter: Arc<Meter>,
    handle: Handle,
) -> impl Iterator<Item = Result<Load>> + Send {
    (0..slices.len()).flat_map(move |index| {
        let slice = slices[index].clone();
        let source: Arc<str> = slice.file.display().into();
        let first_line = slice.first_line;
        let shape = Arc::clone(&shape);
        let meter = Arc::clone(&meter);
        let mut first = true;
        reading.pieces(slice, handle.clone()).map(move |piece| {
            let piece = piece?;
            meter.add(0, piece.bytes());
            let first_line = std::mem::take(&mut first).then_some(first_line);
            Ok(Load::Piece {
                piece,
                source: Arc::clone(&source),
                first_line,
                shape: Arc::clone(&shape),
            })
        })
    })
}

impl FileScan {
    /// The scan as a table of its gate's columns, with [`POSITION`] behind them when that was asked for.
    pub(crate) fn provider(self) -> Result<Arc<dyn TableProvider>> {
        let partition = FilePartition {
            schema: self.output_schema(),
            scan: self,
        };
        let schema = Arc::clone(&partition.schema);
        Ok(Arc::new(StreamingTable::try_new(
            schema,
            vec![Arc::new(partition)],
        )?))
    }

    fn output_schema(&self) -> SchemaRef {
        if !self.with_position {
            return Arc::clone(self.gate.schema());
        }
        let own = self
            .gate
            .schema()
            .fields()
            .iter()
            .filter(|field| field.name() != RAW)
            .cloned();
        let position = Arc::new(Field::new(
            POSITION,
            DataType::Struct(position_fields()),
            true,
        ));
        Arc::new(Schema::new(own.chain([position]).collect::<Vec<_>>()))
    }

    fn run(
        self,
        schema: SchemaRef,
        sender: Sender<Result<RecordBatch, DataFusionError>>,
        handle: Handle,
    ) -> Result<()> {
        let queue = Arc::new(Mutex::new(Queue {
            next: 0,
            waiting: BTreeMap::new(),
        }));
        let destinations = (0..self.workers.max(1))
            .map(|_| Outlet {
                queue: Arc::clone(&queue),
                sender: sender.clone(),
                rejects: Arc::clone(&self.rejects),
                schema: Arc::clone(&schema),
                with_position: self.with_position,
            })
            .collect();
        let route = Route {
            table: "",
            gate: &self.gate,
            stamp: &self.stamp,
            meter: &self.meter,
            cancel: &self.cancel,
            raw_column: self.with_position,
        };
        let loads = loads(
            Arc::clone(&self.reading),
            Arc::clone(&self.slices),
            Arc::clone(&self.shape),
            Arc::clone(&self.meter),
            handle,
        );
        drive(
            loads,
            &route,
            KeyIndex::new(KeyIndexOptions::default()),
            destinations,
        )?;
        Ok(())
    }
}

#[derive(Debug)]
struct FilePartition {
    schema: SchemaRef,
    scan: FileScan,
}

impl PartitionStream for FilePartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder =
            RecordBatchReceiverStream::builder(Arc::clone(&self.schema), self.scan.workers.max(1));
        let (sender, scan, schema) = (builder.tx(), self.scan.clone(), Arc::clone(&self.schema));
        let handle = Handle::current();
        builder.spawn_blocking(move || {
            scan.run(schema, sender, handle)
                .map_err(|error| DataFusionError::External(Box::new(error)))
        });
        builder.build()
    }
}

/// Batches that came before their turn.
struct Queue {
    next: u64,
    waiting: BTreeMap<u64, RecordBatch>,
}

/// A worker's way into the query; all workers share one queue, so that the query sees the order of the source.
struct Outlet {
    queue: Arc<Mutex<Queue>>,
    sender: Sender<Result<RecordBatch, DataFusionError>>,
    rejects: Arc<Rejects>,
    schema: SchemaRef,
    with_position: bool,
}

impl Destination for Outlet {
    fn take(&mut self, number: u64, source: &Arc<str>, split: Split) -> Result<()> {
        self.rejects.add(split.quarantined, &split.counts);
        let batch = if self.with_position {
            self.positioned(source, split.good, split.good_line)?
        } else {
            split.good
        };
        let mut queue = self.queue.lock();
        queue.waiting.insert(number, batch);
        loop {
            let turn = queue.next;
            let Some(batch) = queue.waiting.remove(&turn) else {
                return Ok(());
            };
            queue.next += 1;
            if batch.num_rows() > 0 && self.sender.blocking_send(Ok(batch)).is_err() {
                // The query has what it wants (a LIMIT) or was dropped.
                return Err(PipelineError::Cancelled);
            }
        }
    }
}

impl Outlet {
    /// Moves the raw text into the position column.
    fn positioned(
        &self,
        source: &Arc<str>,
        good: RecordBatch,
        lines: Option<Vec<u64>>,
    ) -> Result<RecordBatch> {
        let rows = good.num_rows();
        let raw = good.schema().index_of(RAW)?;
        let mut columns = good.columns().to_vec();
        let raw = columns.remove(raw);
        let lines: Int64Array = match lines {
            Some(lines) => lines
                .into_iter()
                .map(|line| i64::try_from(line).ok())
                .collect(),
            None => std::iter::repeat_n(None, rows).collect(),
        };
        let sources = StringViewArray::from_iter_values(std::iter::repeat_n(source.as_ref(), rows));
        let parts: Vec<ArrayRef> = vec![Arc::new(sources), Arc::new(lines), raw];
        columns.push(Arc::new(StructArray::try_new(
            position_fields(),
            parts,
            None,
        )?));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

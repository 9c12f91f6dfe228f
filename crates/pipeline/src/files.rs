//! Files on their way into a query.
//!
//! Rows go through the same route as in an update ([`crate::rows`]): decoded and judged on several threads, given to the
//! query in the order of the source. Rows that do not fit the files' own types do not vanish: they go to [`Rejects`],
//! which an update writes to the quarantine and a query only counts.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringViewArray, StructArray,
};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use parking_lot::Mutex;
use tidegate_connect::{FileEntry, ReadOptions, Reading, Slice, metadata_column};
use tidegate_gate::{Counts, Gate, KeyIndex, KeyIndexOptions, Split, Stamp};
use tokio::runtime::Handle;

use crate::error::{PipelineError, Result};
use crate::events::Meter;
use crate::rows::{CancelToken, Destination, Load, Route, Shape, drive};
use crate::scan::LeafFiles;

/// The column of raw text inside the gate, before it becomes a part of the position.
pub(crate) const RAW: &str = "__tidegate_raw";

/// The column of what records had beside their values inside the gate, before it becomes [`crate::scan::METADATA`].
pub(crate) const ROW_METADATA: &str = "__tidegate_row_metadata";

/// The parts of [`crate::scan::POSITION`]: where the row came from, its line there, and its text.
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
    pub(crate) files: LeafFiles,
    /// The names of the columns to read, and how.
    pub(crate) wanted: Vec<String>,
    pub(crate) read: Arc<ReadOptions>,
    pub(crate) shape: Arc<Shape>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) stamp: Arc<Stamp>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) cancel: CancelToken,
    pub(crate) workers: usize,
    pub(crate) given: Arc<[Given]>,
    pub(crate) rejects: Arc<Rejects>,
}

/// What a column is that the query gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    /// The gate's column of this number.
    Own(usize),
    /// Which file the row is from ([`crate::scan::METADATA`]).
    Metadata,
    /// The row's place and text ([`crate::scan::POSITION`]).
    Position,
}

impl Given {
    /// Whether it needs the line of each row.
    pub(crate) fn has_line(&self) -> bool {
        !matches!(self, Self::Own(_))
    }
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
            .field("files", &self.files)
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

/// Takes a batch with the source that it is from; says whether more is wanted. Waits while the taker is busy.
pub(crate) type Taker = Arc<dyn Fn(&Arc<str>, RecordBatch) -> bool + Send + Sync>;

impl FileScan {
    /// Reads everything; blocks. `taker` gets the batches in the order of the source, from any thread.
    ///
    /// # Errors
    /// What reading meets; [`PipelineError::Cancelled`] when the taker wanted no more.
    pub(crate) fn run(self, schema: &SchemaRef, taker: &Taker, handle: Handle) -> Result<()> {
        let queue = Arc::new(Mutex::new(Queue {
            next: 0,
            waiting: BTreeMap::new(),
        }));
        let files = self.files.slices().iter().map(|slice| {
            let source: Arc<str> = slice.file.display().into();
            (source, Arc::clone(&slice.file))
        });
        let files: Arc<HashMap<_, _>> = Arc::new(files.collect());
        let destinations = (0..self.workers.max(1))
            .map(|_| Outlet {
                queue: Arc::clone(&queue),
                taker: Arc::clone(taker),
                rejects: Arc::clone(&self.rejects),
                schema: Arc::clone(schema),
                given: Arc::clone(&self.given),
                files: Arc::clone(&files),
            })
            .collect();
        let route = Route {
            table: "",
            gate: &self.gate,
            stamp: &self.stamp,
            meter: &self.meter,
            cancel: &self.cancel,
            raw_column: self.given.contains(&Given::Position),
            metadata_column: self.given.contains(&Given::Metadata),
        };
        let loads = self.files.loads(
            &self.wanted,
            Arc::clone(&self.read),
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

/// A scan as the one partition of its table: the rows stay in the order of the source.
#[derive(Debug)]
pub(crate) struct FilePartition {
    pub(crate) schema: SchemaRef,
    pub(crate) scan: FileScan,
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
            let taker: Taker = Arc::new(move |_, batch| sender.blocking_send(Ok(batch)).is_ok());
            scan.run(&schema, &taker, handle)
                .map_err(PipelineError::into_datafusion)
        });
        builder.build()
    }
}

/// Batches that came before their turn.
struct Queue {
    next: u64,
    waiting: BTreeMap<u64, (Arc<str>, RecordBatch)>,
}

/// A worker's way out; all workers share one queue, so that the taker sees the order of the source.
struct Outlet {
    queue: Arc<Mutex<Queue>>,
    taker: Taker,
    rejects: Arc<Rejects>,
    schema: SchemaRef,
    given: Arc<[Given]>,
    files: Arc<HashMap<Arc<str>, Arc<FileEntry>>>,
}

impl Destination for Outlet {
    fn take(&mut self, number: u64, source: &Arc<str>, split: Split) -> Result<()> {
        self.rejects.add(split.quarantined, &split.counts);
        let lines = split.good_line.unwrap_or_default();
        let batch = self.given(source, &split.good, &lines)?;
        let mut queue = self.queue.lock();
        queue.waiting.insert(number, (Arc::clone(source), batch));
        loop {
            let turn = queue.next;
            let Some((source, batch)) = queue.waiting.remove(&turn) else {
                return Ok(());
            };
            queue.next += 1;
            if batch.num_rows() > 0 && !(self.taker)(&source, batch) {
                // The query has what it wants (a LIMIT) or was dropped.
                return Err(PipelineError::Cancelled);
            }
        }
    }
}

impl Outlet {
    /// The columns that the query asked for, from the gate's.
    fn given(&self, source: &Arc<str>, good: &RecordBatch, lines: &[u64]) -> Result<RecordBatch> {
        let columns = self.given.iter().map(|given| {
            Ok(match given {
                Given::Own(index) => Arc::clone(good.column(*index)),
                Given::Metadata => match good.column_by_name(ROW_METADATA) {
                    Some(own) => Arc::clone(own),
                    None => self.metadata(source, lines)?,
                },
                Given::Position => position(source, good, lines)?,
            })
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(good.num_rows()));
        let schema = Arc::clone(&self.schema);
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }

    fn metadata(&self, source: &Arc<str>, lines: &[u64]) -> Result<ArrayRef> {
        let file = self.files.get(source).ok_or_else(|| {
            PipelineError::Request(format!("rows came from {source}, which is not being read"))
        })?;
        Ok(Arc::new(metadata_column(file, lines)))
    }
}

/// The position column; the raw text is the gate's [`RAW`].
fn position(source: &Arc<str>, good: &RecordBatch, lines: &[u64]) -> Result<ArrayRef> {
    let rows = good.num_rows();
    let raw = good.schema().index_of(RAW)?;
    let lines: Int64Array = (0..rows)
        .map(|row| lines.get(row).and_then(|&line| i64::try_from(line).ok()))
        .collect();
    let sources = StringViewArray::from_iter_values(std::iter::repeat_n(source.as_ref(), rows));
    let parts: Vec<ArrayRef> = vec![
        Arc::new(sources),
        Arc::new(lines),
        Arc::clone(good.column(raw)),
    ];
    Ok(Arc::new(StructArray::try_new(
        position_fields(),
        parts,
        None,
    )?))
}

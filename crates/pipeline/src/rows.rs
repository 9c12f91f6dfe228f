//! The way of a row: decode → gate → destination, on several threads, in one implementation.
//!
//! A *load* is either a piece of a file that is still to be decoded or a batch that a query gave. Any thread takes the
//! next load, decodes and judges it. Then order matters for a moment: line numbers are added up, a multi-line row that
//! ran past the end of its piece is taken out of the next one, and keys are let in, first come, first served, in the
//! order of the source. After that any thread splits the batch and hands it to its own destination (a pair of table
//! writers, or a channel into a query). At most a few loads are under way at once, so memory does not grow with the
//! source.
//!
//! Whether a row is good is the gate's business; what a destination does is its own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{Field, Schema};
use parking_lot::{Condvar, Mutex};
use tidegate_connect::{Decoded, Piece, RawBatch};
use tidegate_gate::{
    Counts, Gate, Incoming, Judged, KeyIndex, Layout, Malformed, MalformedKind, Split, Stamp,
};

use crate::error::PipelineError;
use crate::events::Meter;
use crate::files::{RAW, ROW_METADATA};

/// Tells running work to stop at the next batch. Cloned freely; all clones are one token.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Asks the work to stop. What is committed stays, what is not is left out.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// One unit of work.
pub(crate) enum Load {
    /// A piece of a file.
    Piece {
        /// What decodes it.
        piece: Box<dyn Piece>,
        /// The file, as the user would write it.
        source: Arc<str>,
        /// Set on the first piece of a slice: the line at which the slice begins.
        first_line: Option<u64>,
        /// What is the same for all pieces of the source.
        shape: Arc<Shape>,
    },
    /// A batch of a query, its positions already final.
    Batch(Box<Incoming>),
}

/// How the pieces of one source are to be taken.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// How delimited text is cut, for repairs.
    pub(crate) layout: Option<Arc<Layout>>,
    /// The table's names of the wanted columns, in their order, where they are not the source's own.
    pub(crate) names: Option<Vec<String>>,
}

/// What all loads came to.
pub(crate) struct Driven<D> {
    pub(crate) counts: Counts,
    pub(crate) destinations: Vec<D>,
    /// The keys, with those of the rows that were let in.
    pub(crate) keys: KeyIndex,
    /// The line behind the last one read, by source.
    pub(crate) next_lines: BTreeMap<Arc<str>, u64>,
}

/// Where split batches go. Each worker has its own, so it need not be shared.
pub(crate) trait Destination: Send {
    /// Takes the split batch of load `number` (from 0, each number once over all destinations, in no particular order),
    /// whose rows came from `source`.
    fn take(&mut self, number: u64, source: &Arc<str>, split: Split) -> Result<(), PipelineError>;
}

/// What all workers share.
pub(crate) struct Route<'a> {
    /// The table that the rows are for, for messages.
    pub(crate) table: &'a str,
    pub(crate) gate: &'a Gate,
    pub(crate) stamp: &'a Stamp,
    pub(crate) meter: &'a Meter,
    pub(crate) cancel: &'a CancelToken,
    /// Whether the raw text goes through the gate as a column of its own ([`crate::files::RAW`]).
    pub(crate) raw_column: bool,
    /// Whether what records had beside their values does ([`crate::files::ROW_METADATA`]).
    pub(crate) metadata_column: bool,
}

/// Sends all loads through the gate to the destinations; one thread a destination. Gives the counts and the
/// destinations back.
///
/// # Errors
/// The error of the earliest load that had one: a source that cannot be read, a `FAIL UPDATE`, a destination that
/// refused, or [`PipelineError::Cancelled`]. Other workers stop at their next load.
pub(crate) fn drive<D: Destination>(
    loads: impl Iterator<Item = Result<Load, PipelineError>> + Send,
    route: &Route<'_>,
    keys: KeyIndex,
    destinations: Vec<D>,
) -> Result<Driven<D>, PipelineError> {
    let window = destinations.len() * 2;
    let feed = Mutex::new(Feed {
        loads,
        exhausted: false,
    });
    let order = Order::new(keys, window);
    let finished: Vec<Result<D, ()>> = std::thread::scope(|scope| {
        let workers: Vec<_> = destinations
            .into_iter()
            .map(|mut destination| {
                let (feed, order) = (&feed, &order);
                scope.spawn(move || {
                    work(feed, order, route, &mut destination);
                    destination
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().map_err(drop))
            .collect()
    });
    let state = order.state.into_inner();
    if let Some((_, error)) = state.failure {
        return Err(error);
    }
    let mut returned = Vec::with_capacity(finished.len());
    for destination in finished {
        returned.push(destination.map_err(|()| PipelineError::Worker)?);
    }
    Ok(Driven {
        counts: state.counts,
        destinations: returned,
        keys: state.keys,
        next_lines: state.next_lines,
    })
}

struct Feed<I> {
    loads: I,
    exhausted: bool,
}

/// A load that was judged and waits for its turn.
struct Arrived {
    load: Load,
    judged: Judged,
    overrun: usize,
    lines: u64,
}

struct OrderState {
    /// Number of the next load to be handed out.
    issued: u64,
    /// Number of the load whose turn it is.
    turn: u64,
    waiting: BTreeMap<u64, Arrived>,
    ready: VecDeque<(u64, Judged)>,
    keys: KeyIndex,
    line: u64,
    next_lines: BTreeMap<Arc<str>, u64>,
    skip: usize,
    counts: Counts,
    exhausted: bool,
    failure: Option<(u64, PipelineError)>,
}

struct Order {
    state: Mutex<OrderState>,
    moved: Condvar,
    window: usize,
}

/// What a worker does next.
enum Next {
    Split(u64, Box<Judged>),
    Take,
    Done,
}

impl Order {
    fn new(keys: KeyIndex, window: usize) -> Self {
        let state = OrderState {
            issued: 0,
            turn: 0,
            waiting: BTreeMap::new(),
            ready: VecDeque::new(),
            keys,
            line: 0,
            next_lines: BTreeMap::new(),
            skip: 0,
            counts: Counts::default(),
            exhausted: false,
            failure: None,
        };
        Self {
            state: Mutex::new(state),
            moved: Condvar::new(),
            window,
        }
    }

    /// Finished batches first, so that memory is freed; then a new load, unless too many wait already.
    fn next(&self) -> Next {
        let mut state = self.state.lock();
        loop {
            if state.failure.is_some() {
                return Next::Done;
            }
            if let Some((number, judged)) = state.ready.pop_front() {
                return Next::Split(number, Box::new(judged));
            }
            let under_way = state.issued - state.turn;
            if state.exhausted && under_way == 0 {
                return Next::Done;
            }
            if !state.exhausted && (under_way as usize) < self.window {
                return Next::Take;
            }
            self.moved.wait(&mut state);
        }
    }

    fn fail(&self, number: u64, error: PipelineError) {
        let mut state = self.state.lock();
        if state
            .failure
            .as_ref()
            .is_none_or(|(earlier, _)| number < *earlier)
        {
            state.failure = Some((number, error));
        }
        self.moved.notify_all();
    }

    /// Puts a judged load in its place and lets all whose turn has come through the keys.
    fn arrive(
        &self,
        number: u64,
        arrived: Arrived,
        route: &Route<'_>,
    ) -> Result<(), PipelineError> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.waiting.insert(number, arrived);
        while let Some(arrived) = state.waiting.remove(&state.turn) {
            let judged = state.settle(arrived, route)?;
            state.ready.push_back((state.turn, judged));
            state.turn += 1;
        }
        self.moved.notify_all();
        Ok(())
    }
}

impl OrderState {
    /// The part that must happen in the order of the source.
    fn settle(&mut self, mut arrived: Arrived, route: &Route<'_>) -> Result<Judged, PipelineError> {
        if let Load::Piece {
            first_line, source, ..
        } = &arrived.load
        {
            let source = Arc::clone(source);
            if let Some(first_line) = first_line {
                (self.line, self.skip) = (*first_line, 0);
            }
            if self.skip > 0 {
                let (judged, overrun, lines) = judge(&arrived.load, self.skip, route)?;
                arrived = Arrived {
                    judged,
                    overrun,
                    lines,
                    ..arrived
                };
            }
            arrived.judged.set_first_line(self.line);
            self.line += arrived.lines;
            self.next_lines.insert(source, self.line);
            self.skip = arrived.overrun;
        }
        route.gate.admit_keys(&mut self.keys, &mut arrived.judged)?;
        Ok(arrived.judged)
    }
}

fn work<I>(
    feed: &Mutex<Feed<I>>,
    order: &Order,
    route: &Route<'_>,
    destination: &mut impl Destination,
) where
    I: Iterator<Item = Result<Load, PipelineError>> + Send,
{
    loop {
        match order.next() {
            Next::Done => return,
            Next::Split(number, judged) => match split(number, *judged, route, destination) {
                Ok(counts) => order.state.lock().counts.merge(&counts),
                Err(error) => return order.fail(number, error),
            },
            Next::Take => {
                let Some((number, load)) = take(feed, order) else {
                    continue;
                };
                let outcome = load.and_then(|load| {
                    if route.cancel.is_cancelled() {
                        return Err(PipelineError::Cancelled);
                    }
                    let (judged, overrun, lines) = judge(&load, 0, route)?;
                    order.arrive(
                        number,
                        Arrived {
                            load,
                            judged,
                            overrun,
                            lines,
                        },
                        route,
                    )
                });
                if let Err(error) = outcome {
                    return order.fail(number, error);
                }
            }
        }
    }
}

/// The next load with its number; none when the source has ended.
fn take<I>(feed: &Mutex<Feed<I>>, order: &Order) -> Option<(u64, Result<Load, PipelineError>)>
where
    I: Iterator<Item = Result<Load, PipelineError>>,
{
    let mut feed = feed.lock();
    if feed.exhausted {
        return None;
    }
    let load = feed.loads.next();
    let mut state = order.state.lock();
    match load {
        Some(load) => {
            let number = state.issued;
            state.issued += 1;
            Some((number, load))
        }
        None => {
            feed.exhausted = true;
            state.exhausted = true;
            order.moved.notify_all();
            None
        }
    }
}

/// Decodes and judges; gives also the overrun and the physical lines.
fn judge(
    load: &Load,
    skip: usize,
    route: &Route<'_>,
) -> Result<(Judged, usize, u64), PipelineError> {
    match load {
        Load::Piece {
            piece,
            source,
            shape,
            ..
        } => {
            let Decoded {
                batch,
                overrun,
                lines,
                ..
            } = piece.decode(skip)?;
            let metadata = match route.metadata_column {
                true => piece.row_metadata(&batch.line)?,
                false => None,
            };
            let mut incoming = incoming(batch, Arc::clone(source), shape, route.raw_column)?;
            if let Some(metadata) = metadata {
                incoming.columns = with_column(&incoming.columns, ROW_METADATA, metadata)?;
            }
            Ok((route.gate.judge(incoming)?, overrun, lines))
        }
        Load::Batch(incoming) => Ok((route.gate.judge((**incoming).clone())?, 0, 0)),
    }
}

/// A decoded batch as the gate takes it.
fn incoming(
    batch: RawBatch,
    source: Arc<str>,
    shape: &Shape,
    raw_column: bool,
) -> Result<Incoming, PipelineError> {
    let named = match &shape.names {
        Some(names) => renamed(&batch.columns, names)?,
        None => batch.columns,
    };
    let columns = match (&batch.raw, raw_column) {
        (Some(raw), true) => with_column(&named, RAW, Arc::clone(raw))?,
        _ => named,
    };
    Ok(Incoming {
        columns,
        line: batch.line.into_iter().map(u64::from).collect(),
        raw: batch.raw,
        malformed: batch.malformed.into_iter().map(malformed).collect(),
        source,
        layout: shape.layout.clone(),
    })
}

/// The same columns under the table's names; columns behind the named ones keep theirs.
fn renamed(batch: &RecordBatch, names: &[String]) -> Result<RecordBatch, PipelineError> {
    let schema = batch.schema();
    let fields = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| match names.get(index) {
            Some(name) => Arc::new(field.as_ref().clone().with_name(name)),
            None => Arc::clone(field),
        });
    Ok(batch
        .clone()
        .with_schema(Arc::new(Schema::new(fields.collect::<Vec<_>>())))?)
}

fn with_column(
    batch: &RecordBatch,
    name: &str,
    column: ArrayRef,
) -> Result<RecordBatch, PipelineError> {
    let field = Arc::new(Field::new(name, column.data_type().clone(), true));
    let fields: Vec<_> = batch
        .schema()
        .fields()
        .iter()
        .cloned()
        .chain([field])
        .collect();
    let columns = batch.columns().iter().cloned().chain([column]).collect();
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}

fn malformed(row: tidegate_connect::Malformed) -> Malformed {
    use tidegate_connect::MalformedKind as Found;
    let kind = match row.kind {
        Found::FieldCount { expected, found } => MalformedKind::FieldCount { expected, found },
        Found::BrokenQuote => MalformedKind::BrokenQuote,
        Found::Encoding => MalformedKind::Encoding,
        Found::Json => MalformedKind::Json,
        Found::TooLong => MalformedKind::TooLong,
        Found::Truncated | Found::Cell | Found::Undecodable => MalformedKind::Other,
    };
    Malformed {
        line: row.line,
        raw: Buffer::from(row.raw),
        kind,
        message: row.message,
    }
}

/// Splits a batch and hands it on; gives its counts.
fn split(
    number: u64,
    judged: Judged,
    route: &Route<'_>,
    destination: &mut impl Destination,
) -> Result<Counts, PipelineError> {
    let source: Arc<str> = judged.source().into();
    let mut split = route.gate.split(judged, route.stamp)?;
    if let Some(fail) = split.fail.take() {
        return Err(PipelineError::FailUpdate {
            table: route.table.to_owned(),
            fail: Box::new(fail),
        });
    }
    let counts = split.counts.clone();
    route.meter.add(counts.rows_in, 0);
    destination.take(number, &source, split)?;
    Ok(counts)
}

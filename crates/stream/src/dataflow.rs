//! [`Dataflow`]: the door of this room.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use tidegate_engine::{Engine, Planned};

use crate::checkpoint::{
    Checkpoint, Counters, FORMAT_VERSION, Manifest, SavedOperator, SegmentReader, SegmentWriter,
    read_manifest, to_save, unsealed, write_manifest,
};
use crate::clock::{AFTER_ALL, BEFORE_ALL, Clocks};
use crate::compile::{self, Compiled};
use crate::error::{Result, StreamError};
use crate::operator::{Changes, Event, Identity, Marks, Operator, Turn};
use crate::options::{Input, Options, Output, Stats};
use crate::spill::Spill;
use crate::trail::{Trail, Watermarks};

/// A watermark that was held goes on past the times of so many batches at once …
const STEP_BATCHES: usize = 8;
/// … or of more, so that there are not more steps than this.
const STEPS_MAX: usize = 256;

/// A query that runs for as long as its streams do.
///
/// After an error its state is undefined: make a new one, and restore it from the last checkpoint.
pub struct Dataflow {
    root: Box<dyn Operator>,
    marks: Marks,
    clocks: Clocks,
    streams: Vec<Stream>,
    schema: SchemaRef,
    key: Vec<usize>,
    updates: bool,
    held: bool,
    /// Of each batch that was pushed while the watermark was held, the latest time.
    behind: Vec<i64>,
    /// So many of them make a step when it is let go.
    step: usize,
    options: Options,
    counters: Counters,
    watermark: i64,
    spill: Arc<Spill>,
    /// The segments of the last checkpoint.
    saved: BTreeSet<String>,
    /// What has to be known of the rows since then to run them again.
    trail: Trail,
    /// The caller's clock at the last turn.
    now: i64,
}

/// A stream, as batches are pushed to it.
struct Stream {
    binding: String,
    schema: SchemaRef,
    /// The column of event time.
    time: Option<usize>,
}

impl std::fmt::Debug for Dataflow {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Dataflow")
            .field("schema", &self.schema)
            .field("key", &self.key)
            .field("watermark", &self.watermark())
            .finish_non_exhaustive()
    }
}

impl Dataflow {
    /// Compiles a planned query, of which the relations named in `inputs` are streams; the others are tables,
    /// read when first needed. A relation that the query names twice has two bindings, and its rows are
    /// pushed to both. `current_timestamp()` is the moment of this call.
    ///
    /// # Errors
    /// [`StreamError::Unsupported`] for what cannot be streamed, with the reason.
    pub fn compile(
        engine: &Engine,
        planned: &Planned,
        inputs: Vec<Input>,
        options: Options,
    ) -> std::result::Result<Self, StreamError> {
        let streams = inputs
            .iter()
            .map(|input| stream(planned, input))
            .collect::<Result<Vec<_>>>()?;
        let spill = Arc::new(Spill::new(&options.spill_folder));
        let Compiled {
            root,
            marks,
            key,
            updates,
        } = compile::compile(engine, planned, &inputs, &options, &spill)?;
        let clocks = Clocks::new(&inputs, &options);
        Ok(Self {
            root,
            marks,
            trail: Trail::beginning(&clocks),
            clocks,
            streams,
            schema: planned.schema().clone(),
            key,
            updates,
            held: false,
            behind: Vec::new(),
            step: 1,
            options,
            counters: Counters::default(),
            watermark: BEFORE_ALL,
            spill,
            saved: BTreeSet::new(),
            now: i64::MIN,
        })
    }

    /// The columns of the result.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Update output: the columns that identify a row of the result, empty if the result is one
    /// row. Append output, or a query without state: empty.
    pub fn key(&self) -> &[usize] {
        &self.key
    }

    /// Holds the watermark where it is until [`Self::release`]. For parts of a stream that are pushed one after the other
    /// though their times overlap, such as the files of one commit: no row of a later part is late because of an earlier
    /// one.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Lets the watermark go that was held, by one step on its way, so that not all results come at once; says whether
    /// there are more steps. As [`Self::tick`] if nothing was held.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn release(&mut self, now_micros: i64) -> std::result::Result<(Output, bool), StreamError> {
        if std::mem::take(&mut self.held) {
            // The next step is at the end.
            self.behind
                .sort_unstable_by_key(|time| std::cmp::Reverse(*time));
            self.step = STEP_BATCHES.max(self.behind.len().div_ceil(STEPS_MAX));
        }
        let left = self.behind.len().saturating_sub(self.step);
        let ceiling = self.behind.drain(left..).next();
        let more = !self.behind.is_empty();
        self.clocks.limit(match (more, ceiling) {
            (true, Some(ceiling)) => ceiling,
            _ => AFTER_ALL,
        });
        Ok((self.tick(now_micros)?, more))
    }

    /// Whether rows of the result take the place of others: those with the same [`Self::key`], or the one row that the
    /// result is.
    pub fn updates(&self) -> bool {
        self.updates
    }

    /// A partition of a stream is read from now on: the watermark waits for its first rows, or until it is idle. A partition
    /// that nobody said anything of counts from its first rows, which may be behind the watermark then.
    ///
    /// # Errors
    /// [`StreamError::UnknownInput`].
    pub fn expect(
        &mut self,
        binding: &str,
        partition: &str,
        now_micros: i64,
    ) -> std::result::Result<(), StreamError> {
        self.stream(binding)?;
        self.clocks.expect(binding, partition, now_micros);
        Ok(())
    }

    /// Takes rows of a stream, in the order of their partition. `now_micros` is the time of the
    /// caller's clock, in microseconds since 1970, never before that of an earlier call.
    ///
    /// # Errors
    /// [`StreamError::UnknownInput`], [`StreamError::Columns`] for rows that do not belong here;
    /// [`StreamError::Engine`] if a value breaks an operation.
    pub fn push(
        &mut self,
        binding: &str,
        partition: &str,
        batch: &RecordBatch,
        now_micros: i64,
    ) -> std::result::Result<Output, StreamError> {
        let stream = self.stream(binding)?;
        stream.check(batch)?;
        let latest = now_micros.saturating_add(self.options.future_micros);
        let (usable, future) = stream.usable(batch, latest)?;
        let time = stream.times(&usable).and_then(arrow::compute::max);
        let behind = match self.trail.has_moved(&self.clocks) {
            true => stream.behind(&usable, self.clocks.watermark(binding))?,
            false => None,
        };
        let ahead = future
            .as_ref()
            .map(|future| stream.usable(future, i64::MAX));
        self.counters.rows_in += batch.num_rows() as u64;
        self.trail.at(now_micros);
        if let Some(behind) = behind {
            let met = Some(self.clocks.watermarks());
            self.trail.note(binding, met, behind);
        }
        if let Some((ahead, _)) = ahead.transpose()?.filter(|(some, _)| some.num_rows() > 0) {
            self.trail.note(binding, None, ahead);
        }
        let mut output = Output::default();
        if let Some(future) = future {
            self.counters.future += future.num_rows() as u64;
            output.future.push((binding.to_owned(), future));
        }
        if batch.num_rows() > 0 {
            self.clocks.saw(binding, partition, time, now_micros);
        }
        match self.held {
            true => self.behind.extend(time),
            false => self.clocks.advance(now_micros),
        }
        let event = Event::Rows {
            binding,
            batch: &usable,
        };
        self.turn(event, now_micros, output)
    }

    /// Lets time go by: partitions fall idle, state outlives its time, and early results that were held
    /// back come out.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn tick(&mut self, now_micros: i64) -> std::result::Result<Output, StreamError> {
        self.trail.at(now_micros);
        if !self.held {
            self.clocks.advance(now_micros);
        }
        self.turn(Event::Tick, now_micros, Output::default())
    }

    /// The streams have ended for good: every window closes, and what waited for a match goes
    /// without.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(&mut self) -> std::result::Result<Output, StreamError> {
        self.clocks.finish();
        self.turn(Event::Finish, i64::MAX, Output::default())
    }

    /// The watermark of the result, in microseconds since 1970: rows to come are not older. `None` as
    /// long as a stream that holds it back has not begun.
    pub fn watermark(&self) -> Option<i64> {
        (self.watermark != BEFORE_ALL).then_some(self.watermark)
    }

    /// A table that the query looks rows up in has changed: rows to come are joined to this
    /// provider's.
    ///
    /// # Errors
    /// [`StreamError::Columns`] if it does not have the columns of the one before: compile the query anew, and restore it.
    pub fn table_changed(
        &mut self,
        binding: &str,
        provider: &Arc<dyn TableProvider>,
    ) -> std::result::Result<(), StreamError> {
        visit_mut(&mut self.root, &mut |operator| {
            operator.table_changed(binding, provider)
        })
    }

    /// How it stands.
    pub fn stats(&self) -> Stats {
        let mut operators = Vec::new();
        visit(self.root.as_ref(), &mut |operator| {
            operators.extend(operator.stats());
        });
        Stats {
            rows_in: self.counters.rows_in,
            rows_out: self.counters.rows_out,
            late: self.counters.late,
            future: self.counters.future,
            watermark: self.watermark(),
            operators,
        }
    }

    /// The state as it is now. Only segments that the last checkpoint (or the restore) did not have
    /// are written.
    ///
    /// # Errors
    /// [`StreamError::Bug`], [`StreamError::Engine`] if state cannot be encoded.
    pub fn checkpoint(&mut self) -> std::result::Result<Checkpoint, StreamError> {
        let mut writer = SegmentWriter::checkpoint(&self.spill, &self.saved);
        let mut operators = Vec::new();
        visit_mut(&mut self.root, &mut |operator| {
            if let Some(identity) = operator.identity() {
                operators.push(SavedOperator {
                    kind: identity.kind.to_owned(),
                    meaning: identity.meaning,
                    state: operator.save(&mut writer)?,
                });
            }
            Ok(())
        })?;
        let live = std::mem::take(&mut writer.live);
        let trail = self
            .trail
            .save(&self.clocks, self.counters, self.now, &mut writer)?;
        let segments = writer.into_segments();
        let clocks = self.clocks.save();
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            next_segment: self.spill.next_segment(),
            clocks: to_save(&clocks.map_err(|e| StreamError::bug(e.to_string()))?)?,
            counters: self.counters,
            operators,
        };
        let manifest = write_manifest(&manifest)?;
        self.trail = Trail::beginning(&self.clocks);
        let saved = live.iter().cloned().collect();
        let before = std::mem::replace(&mut self.saved, saved);
        let new = segments.iter().map(|(name, _)| name.clone());
        let live: BTreeSet<String> = live.into_iter().chain(before).chain(new).collect();
        Ok(Checkpoint {
            manifest,
            segments,
            live: live.into_iter().collect(),
            trail,
        })
    }

    /// Segments of these names are there: new ones get other names.
    pub fn avoid<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        self.spill.avoid(names);
    }

    /// Takes back the state of a checkpoint; before the first push.
    ///
    /// # Errors
    /// [`StreamError::Damaged`] if it cannot be read, [`StreamError::StateMismatch`] if it belongs to a query
    /// of another meaning, [`StreamError::NewerFormat`].
    pub fn restore(
        &mut self,
        manifest: &[u8],
        read: &mut dyn FnMut(&str) -> std::io::Result<Vec<u8>>,
    ) -> std::result::Result<(), StreamError> {
        let manifest = read_manifest(manifest)?;
        self.clocks
            .load(&manifest.clocks)
            .map_err(|error| StreamError::damaged(format!("the manifest: {error}")))?;
        self.counters = manifest.counters;
        self.spill.continue_from(manifest.next_segment);
        let mut saved: Vec<Option<SavedOperator>> =
            manifest.operators.into_iter().map(Some).collect();
        let mut read = unsealed(read);
        let mut reader = SegmentReader::new(&mut read);
        visit_mut(&mut self.root, &mut |operator| {
            let Some(identity) = operator.identity() else {
                return Ok(());
            };
            let found = saved.iter_mut().find(|saved| {
                let fits = |saved: &SavedOperator| {
                    saved.kind == identity.kind && saved.meaning == identity.meaning
                };
                saved.as_ref().is_some_and(fits)
            });
            match found.and_then(Option::take) {
                Some(state) => operator.load(&state.state, &mut reader),
                None => Err(mismatch(&identity, saved.iter().flatten())),
            }
        })?;
        self.saved = reader.seen;
        if let Some(left) = saved.into_iter().flatten().next() {
            return Err(StreamError::StateMismatch {
                operator: format!("the {} {}", left.kind, left.meaning),
                reason: "the query has no such part any more".to_owned(),
            });
        }
        self.trail = Trail::beginning(&self.clocks);
        // Marks, and the watermark, as they were.
        self.turn(Event::Resume, i64::MIN, Output::default())?;
        Ok(())
    }

    /// Takes rows of an epoch that is run again; the watermarks stay where they are, and nothing comes out.
    pub(crate) fn again(&mut self, binding: &str, batch: &RecordBatch, now: i64) -> Result<()> {
        let stream = self.stream(binding)?;
        stream.check(batch)?;
        let (batch, _) = stream.usable(batch, i64::MAX)?;
        let event = Event::Rows {
            binding,
            batch: &batch,
        };
        self.turn(event, now, Output::default())?;
        Ok(())
    }

    /// Puts the watermarks where they stood once; nothing comes out.
    pub(crate) fn stand_at(&mut self, watermarks: &Watermarks, now: i64) -> Result<()> {
        if !self.clocks.stand_at(watermarks) {
            self.clocks.set_watermarks(watermarks);
            self.turn(Event::Tick, now, Output::default())?;
        }
        Ok(())
    }

    /// Puts the clocks where they stood when an epoch that was run again had ended.
    pub(crate) fn end_again(
        &mut self,
        clocks: &serde_json::Value,
        counters: Counters,
        now: i64,
    ) -> Result<()> {
        self.clocks
            .load(clocks)
            .map_err(|error| StreamError::damaged(format!("the clocks: {error}")))?;
        self.turn(Event::Tick, now, Output::default())?;
        self.counters = counters;
        self.trail = Trail::beginning(&self.clocks);
        Ok(())
    }

    fn turn(&mut self, event: Event<'_>, now: i64, mut output: Output) -> Result<Output> {
        self.now = now;
        let mut turn = Turn {
            event,
            now,
            clocks: &self.clocks,
            marks: &mut self.marks,
            late: self.options.keep_late.then_some(&mut output.late),
            late_rows: &mut self.counters.late,
        };
        let Changes {
            rows,
            deletes,
            watermark,
        } = self.root.turn(&mut turn)?;
        self.watermark = watermark;
        self.relieve()?;
        for batch in rows.into_iter().filter(|batch| batch.num_rows() > 0) {
            self.counters.rows_out += batch.num_rows() as u64;
            let columns = batch.columns().to_vec();
            let options =
                arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let schema = SchemaRef::clone(&self.schema);
            output.rows.push(RecordBatch::try_new_with_options(
                schema, columns, &options,
            )?);
        }
        for batch in deletes.iter().filter(|batch| batch.num_rows() > 0) {
            output.deletes.push(batch.project(&self.key)?);
        }
        Ok(output)
    }

    /// Spills state if there is too much of it; more than is needed, so that this is not for every batch.
    fn relieve(&mut self) -> Result<()> {
        let mut bytes = 0;
        visit(self.root.as_ref(), &mut |operator| {
            bytes += operator.bytes()
        });
        let budget = self.options.memory_bytes;
        if bytes <= budget {
            return Ok(());
        }
        let mut excess = bytes - budget / 4 * 3;
        visit_mut(&mut self.root, &mut |operator| {
            let before = operator.bytes();
            operator.relieve(before.saturating_sub(excess))?;
            excess = excess.saturating_sub(before.saturating_sub(operator.bytes()));
            Ok(())
        })
    }

    fn stream(&self, binding: &str) -> Result<&Stream> {
        let mut streams = self.streams.iter();
        streams
            .find(|stream| stream.binding == binding)
            .ok_or_else(|| StreamError::UnknownInput {
                binding: binding.to_owned(),
                known: self.names(),
            })
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.streams.iter().map(|s| s.binding.as_str()).collect();
        names.join(", ")
    }
}

impl Stream {
    fn check(&self, batch: &RecordBatch) -> Result<()> {
        let given = batch.schema_ref();
        let wanted = self.schema.fields();
        let fits = given.fields().len() == wanted.len()
            && given
                .fields()
                .iter()
                .zip(wanted)
                .all(|(given, wanted)| given.data_type() == wanted.data_type());
        if fits {
            return Ok(());
        }
        Err(StreamError::columns(&self.binding, &self.schema, given))
    }

    /// The event times of a batch, if the stream has one.
    fn times<'b>(&self, batch: &'b RecordBatch) -> Option<&'b TimestampMicrosecondArray> {
        batch.column(self.time?).as_primitive_opt()
    }

    /// The rows whose time is before a watermark; `None` if there are none.
    fn behind(&self, batch: &RecordBatch, watermark: i64) -> Result<Option<RecordBatch>> {
        let Some(times) = self.times(batch) else {
            return Ok(None);
        };
        if arrow::compute::min(times).is_none_or(|least| least >= watermark) {
            return Ok(None);
        }
        let behind = times.iter().map(|time| time.map(|time| time < watermark));
        let behind: BooleanArray = behind.collect();
        Ok(Some(filter_record_batch(batch, &behind)?))
    }

    /// The rows with a usable time, and the others.
    fn usable(
        &self,
        batch: &RecordBatch,
        latest: i64,
    ) -> Result<(RecordBatch, Option<RecordBatch>)> {
        let Some(times) = self.times(batch) else {
            return Ok((batch.clone(), None));
        };
        let all = times.null_count() == 0
            && arrow::compute::max(times).is_none_or(|greatest| greatest <= latest);
        if all {
            return Ok((batch.clone(), None));
        }
        let usable: BooleanArray = times
            .iter()
            .map(|time| Some(time.is_some_and(|time| time <= latest)))
            .collect();
        let future = filter_record_batch(batch, &not(&usable)?)?;
        Ok((filter_record_batch(batch, &usable)?, Some(future)))
    }
}

fn stream(planned: &Planned, input: &Input) -> Result<Stream> {
    let bound =
        planned
            .bindings()
            .get(&input.binding)
            .ok_or_else(|| StreamError::UnknownInput {
                binding: input.binding.clone(),
                known: planned
                    .bindings()
                    .iter()
                    .map(|(name, _)| name)
                    .collect::<Vec<_>>()
                    .join(", "),
            })?;
    let schema = bound.provider.schema();
    let spec = input.watermark.as_ref();
    let time = spec.and_then(|spec| schema.index_of(&spec.time).ok());
    if let Some(time) = time
        && !crate::paths::is_time(schema.field(time).data_type())
    {
        return Err(StreamError::unsupported(
            format!(
                "the watermark's column `{}` has the type {}",
                schema.field(time).name(),
                schema.field(time).data_type()
            ),
            "it must be a TIMESTAMP in microseconds",
        ));
    }
    Ok(Stream {
        binding: input.binding.clone(),
        schema,
        time,
    })
}

fn mismatch<'s>(wanted: &Identity, left: impl Iterator<Item = &'s SavedOperator>) -> StreamError {
    let same: Vec<&str> = left
        .filter(|saved| saved.kind == wanted.kind)
        .map(|saved| saved.meaning.as_str())
        .collect();
    let reason = match same.as_slice() {
        [] => format!("the state holds no {}", wanted.kind),
        before => format!("the state is {}", before.join("; ")),
    };
    StreamError::StateMismatch {
        operator: format!("the {} {}", wanted.kind, wanted.meaning),
        reason,
    }
}

fn visit(operator: &dyn Operator, look: &mut impl FnMut(&dyn Operator)) {
    for input in operator.inputs_ref() {
        visit(input, look);
    }
    look(operator);
}

fn visit_mut(
    operator: &mut Box<dyn Operator>,
    look: &mut dyn FnMut(&mut dyn Operator) -> Result<()>,
) -> Result<()> {
    for input in operator.inputs() {
        visit_mut(input, look)?;
    }
    look(operator.as_mut())
}

//! Flows with state: windows, aggregates, joins of streams. Their batches are pushed through a
//! [`Dataflow`](tidegate_stream::Dataflow); what it gives out goes through the table's gate as all rows do, and what it
//! remembers is saved with the epoch.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::buffer::Buffer;
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use chrono::Utc;
use datafusion::catalog::TableProvider;
use parking_lot::Mutex;
use tidegate_engine::{Engine, Planned, RowProgram};
use tidegate_gate::{Incoming, Malformed, MalformedKind};
use tidegate_lake::{CommitMode, Lake};
use tidegate_project::{RelationTarget, Table, TableName};
use tidegate_stream::{Dataflow, Input, Options, Output, OutputMode, StreamError, WatermarkSpec};

use super::epoch::TableCommit;
use super::feed::{Columns, Feeds, Inlet, Next, programmed};
use super::refresh::{Passed, Refresh, Step, UpsertBy, late_spec};
use super::round::Hub;
use super::sources::{Leaf, Reads};
use crate::error::{PipelineError, Result};
use crate::gates::GateSettings;
use crate::rows::Load;
use crate::scan::{METADATA, Origin, POSITION, ScanContext};

/// How much state a flow holds in memory before it spills.
const STATE_BYTES: usize = 512 << 20;

/// How often a flow looks at the clock when nothing comes.
pub(super) const TICK: Duration = Duration::from_millis(20);

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
    /// The newest row of each changed key; only for update output into a table.
    pub(crate) changes: Option<Changes>,
    /// The keys of rows that are gone, before the rows of the next load; where there are no `changes`.
    pub(crate) gone: Vec<RecordBatch>,
}

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
                let (output, more) = self.dataflow.lock().release(now)?;
                self.give(output)?;
                if more {
                    return Ok(());
                }
                self.ended = true;
                let changes = self.aside.lock().changes.as_mut().map(Changes::rows);
                let rows = changes.transpose()?.unwrap_or_default();
                let loads: Vec<Load> = rows.into_iter().map(|rows| self.load(rows)).collect();
                self.ready.extend(loads);
                return Ok(());
            }
        };
        self.give(output)
    }

    fn give(&mut self, output: Output) -> Result<()> {
        let mut aside = self.aside.lock();
        aside.late.extend(output.late);
        match &mut aside.changes {
            Some(changes) => changes.add(output.rows, output.deletes)?,
            None => {
                if let Some(first) = output.deletes.first() {
                    // They need not wait for rows.
                    self.ready.push_back(self.load(first.slice(0, 0)));
                }
                aside.gone.extend(output.deletes);
                for rows in output.rows {
                    self.ready.push_back(self.load(rows));
                }
            }
        }
        drop(aside);
        for (_, rows) in output.future {
            let load = self.untimely(&rows)?;
            self.ready.push_back(load);
        }
        Ok(())
    }

    fn load(&self, rows: RecordBatch) -> Load {
        Load::Batch(Box::new(Incoming::typed(rows, Arc::clone(&self.source))))
    }

    /// Rows that cannot be put into time, for the quarantine: as JSON, with the reason.
    fn untimely(&self, rows: &RecordBatch) -> Result<Load> {
        let lines = json_lines(rows)?;
        let malformed = lines.into_iter().enumerate().map(|(row, raw)| Malformed {
            line: row as u64,
            raw: Buffer::from_vec(raw),
            kind: MalformedKind::Future,
            message:
                "the event time is NULL, or later than now by more than 'tidegate.future' allows"
                    .to_owned(),
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
        if self.key.is_empty() {
            // The result is one row, and the last one counts.
            if let Some(last) = rows.iter().rev().find(|batch| batch.num_rows() > 0) {
                self.batches = vec![last.slice(last.num_rows() - 1, 1)];
            }
            return Ok(());
        }
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
                self.newest
                    .insert(row.owned(), Some((self.batches.len(), at)));
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
        if !self.key.is_empty() {
            self.put_together()?;
        }
        Ok(self.batches.clone())
    }

    /// The keys of rows that are gone, as columns.
    ///
    /// # Errors
    /// When the keys cannot be made columns again.
    fn gone(&self) -> Result<Vec<ArrayRef>> {
        let gone = self.newest.iter().filter(|(_, place)| place.is_none());
        let rows = gone.map(|(key, _)| key.row());
        Ok(self.converter.convert_rows(rows)?)
    }
}

impl From<tidegate_stream::StreamError> for PipelineError {
    fn from(error: tidegate_stream::StreamError) -> Self {
        Self::Stream(Box::new(error))
    }
}

/// A flow whose rows are streamed, ready to run.
pub(crate) enum Streamed {
    /// Each row of the result is made of one row.
    Rows(RowProgram, Inlet),
    /// Rows are remembered.
    State(Arc<Mutex<Dataflow>>, Inlet),
}

impl Refresh<'_, '_> {
    /// Plans a flow over its streams and begins to read them; none for a query whose result is computed as a whole.
    pub(crate) async fn streamed(
        &self,
        step: &Step<'_>,
        scan: &ScanContext,
        engine: &Engine,
    ) -> Result<Option<Streamed>> {
        let query = &step.flow.query;
        let streams = self.update.leaves(query, "", false);
        let streams: Vec<_> = streams.into_iter().filter(|leaf| leaf.streaming).collect();
        let bindings = self.update.bind(query, "", &step.reads, scan).await?;
        let planned = engine.plan(query, &bindings, self.update.files())?;
        if streams.is_empty() {
            return Ok(None);
        }
        let judged = !self.table.columns.is_empty() || !self.table.expectations.is_empty();
        let carried = match judged {
            true => engine.carry(&planned, POSITION)?,
            false => None,
        };
        let rows = carried.as_ref().unwrap_or(&planned);
        let from = Some(&step.flow.name);
        if let ([stream], Some(program)) = (streams.as_slice(), engine.row_program(rows)?) {
            let inlet = self
                .feed(
                    &step.reads,
                    from,
                    scan,
                    engine,
                    rows,
                    std::slice::from_ref(stream),
                )
                .await?;
            return Ok(Some(Streamed::Rows(program, inlet)));
        }
        let state = self.dataflow(step, scan, engine, &planned, &streams);
        let dataflow = match state.await {
            // Rows that become several rows, for instance: the engine runs it over what is new.
            Err(PipelineError::Stream(error))
                if matches!(*error, StreamError::Unsupported { .. })
                    && engine.keeps_no_state(&planned) =>
            {
                return Ok(None);
            }
            dataflow => dataflow?,
        };
        match self.update.round {
            // What is there when a bounded run begins has no order between its parts.
            None => dataflow.lock().hold(),
            Some(_) => expect(&mut dataflow.lock(), &step.reads, &streams)?,
        }
        let inlet = self
            .feed(&step.reads, from, scan, engine, &planned, &streams)
            .await?;
        Ok(Some(Streamed::State(dataflow, inlet)))
    }

    /// Begins to read the streams of a query; rows that are handed on in this round behind those of the tables, if they
    /// are meant for a flow.
    pub(super) async fn feed(
        &self,
        reads: &Reads,
        handed_to: Option<&TableName>,
        scan: &ScanContext,
        engine: &Engine,
        planned: &Planned,
        streams: &[Leaf<'_>],
    ) -> Result<Inlet> {
        let read = engine.columns_read(planned)?;
        let mut feeds = Feeds::new();
        for leaf in streams {
            let binding = &leaf.binding;
            let mut columns = read.get(binding).cloned().unwrap_or_default();
            let watermark = leaf.relation.watermark.as_ref();
            let time = watermark.and_then(|watermark| watermark.column());
            let of_time = |schema: &Schema| {
                let time = time.and_then(|time| schema.index_of(time).ok());
                let all = 0..schema.fields().len();
                let kept = all.filter(|&at| {
                    let hidden = [METADATA, POSITION].contains(&schema.field(at).name().as_str());
                    self.table.streaming.keep_late && !hidden
                });
                time.into_iter().chain(kept).collect::<Vec<_>>()
            };
            if reads.files.contains_key(&leaf.path) {
                let table = self
                    .update
                    .bind_files(leaf.relation, &leaf.path, reads, scan)?;
                columns.extend(of_time(&table.schema()));
                let columns = Columns::new(table.schema(), columns);
                feeds.scan(binding, &table, columns)?;
                continue;
            }
            let RelationTarget::Table { name, changes, .. } = &leaf.relation.target else {
                continue;
            };
            let provider = self
                .update
                .bind_table(name, *changes, &leaf.path, reads)
                .await?;
            columns.extend(of_time(&provider.schema()));
            let columns = Columns::new(provider.schema(), columns);
            let round = self.update.round.as_ref().zip(handed_to);
            let handed = round.and_then(|(round, flow)| {
                let hub = round.hubs.get(&name.key())?;
                let handed = hub.take(&Hub::reader(flow, &leaf.path))?;
                Some((name.key(), handed))
            });
            feeds
                .table(engine, binding, &leaf.path, &provider, columns, handed)
                .await?;
        }
        Ok(feeds.into_inlet())
    }

    /// Runs a streamed flow into its table.
    pub(crate) async fn pass_streamed(
        &self,
        lake: &Lake,
        step: &Step<'_>,
        streamed: Streamed,
        schema: SchemaRef,
    ) -> Result<Passed> {
        let source: Arc<str> = format!("flow {}", step.flow.name).into();
        let settings = GateSettings::default();
        let (dataflow, inlet) = match streamed {
            Streamed::Rows(program, inlet) => {
                let until = inlet.until();
                let loads = programmed(inlet, program, source);
                let passed = self.through_gate(lake, step, schema, &settings, loads, None);
                let mut passed = passed.await?;
                passed.until = std::mem::take(&mut *until.lock());
                return Ok(passed);
            }
            Streamed::State(dataflow, inlet) => (dataflow, inlet),
        };
        let until = inlet.until();
        let (key, result) = {
            let dataflow = dataflow.lock();
            (dataflow.key().to_vec(), Arc::clone(dataflow.schema()))
        };
        let updates = dataflow.lock().updates();
        let aside = Arc::new(Mutex::new(Aside {
            changes: updates.then(|| Changes::new(&result, &key)).transpose()?,
            ..Aside::default()
        }));
        let upsert = (updates && !key.is_empty()).then(|| upsert_by(&result, &key, &aside));
        let loads = Flowing::new(inlet, Arc::clone(&dataflow), source, Arc::clone(&aside));
        let mut passed = self
            .through_gate(lake, step, schema, &settings, loads, upsert)
            .await?;
        if updates && key.is_empty() && passed.counts.good > 0 {
            passed.mode = Some(CommitMode::Overwrite);
        }
        passed.until = std::mem::take(&mut *until.lock());
        passed.dataflow = Some(dataflow);
        let late = std::mem::take(&mut aside.lock().late);
        passed.late = self.late(lake, late).await?;
        Ok(passed)
    }

    /// Writes rows that came too late to the table beside the table.
    async fn late(
        &self,
        lake: &Lake,
        late: Vec<(String, RecordBatch)>,
    ) -> Result<Option<TableCommit>> {
        if late.is_empty() {
            return Ok(None);
        }
        let known = self.update.catalog.schema(&self.table.name.late());
        let came: Vec<SchemaRef> = late.iter().map(|(_, rows)| rows.schema()).collect();
        let columns = late_columns(known.iter().chain(&came)).map_err(|column| {
            PipelineError::Request(format!(
                "late rows of {} cannot be kept: the types of `{column}` differ from stream to stream",
                self.table.name
            ))
        })?;
        let spec = late_spec(&self.table.name, Arc::clone(&columns));
        let mut writer = lake.write_plan(&spec, &CommitMode::Append).await?.writer();
        for (_, rows) in &late {
            writer.write(&aligned(rows, &columns)?)?;
        }
        Ok(Some(TableCommit {
            files: writer.finish()?,
            spec,
            mode: CommitMode::Append,
        }))
    }
}

/// The watermark waits for the first rows of the partitions that are read.
fn expect(dataflow: &mut Dataflow, reads: &Reads, streams: &[Leaf<'_>]) -> Result<()> {
    let now = Utc::now().timestamp_micros();
    for leaf in streams {
        let files = reads.files.get(&leaf.path);
        if let Some(Origin::Records(records)) = files.map(|files| &files.origin) {
            for partition in records.assigned() {
                dataflow.expect(&leaf.binding, &partition, now)?;
            }
        }
    }
    Ok(())
}

/// The columns of a table of late rows: those of the streams, by name. The error is the name of a column that has two types.
pub(crate) fn late_columns<'s>(
    schemas: impl Iterator<Item = &'s SchemaRef>,
) -> std::result::Result<SchemaRef, String> {
    let mut fields: Vec<FieldRef> = Vec::new();
    for field in schemas.flat_map(|schema| schema.fields()) {
        if [METADATA, POSITION].contains(&field.name().as_str()) {
            continue;
        }
        match fields.iter().find(|known| known.name() == field.name()) {
            Some(known) if known.data_type() != field.data_type() => {
                return Err(field.name().clone());
            }
            Some(_) => {}
            None => fields.push(Arc::new(field.as_ref().clone().with_nullable(true))),
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Rows with these columns, NULL where they have none.
fn aligned(rows: &RecordBatch, columns: &SchemaRef) -> Result<RecordBatch> {
    let column = |field: &FieldRef| match rows.column_by_name(field.name()) {
        Some(column) => Arc::clone(column),
        None => new_null_array(field.data_type(), rows.num_rows()),
    };
    let own = columns.fields().iter().map(column).collect();
    Ok(RecordBatch::try_new(Arc::clone(columns), own)?)
}

/// How a flow gives its results: as the table says; or for good, which the query may refuse.
fn mode_of(table: &Table, refused: bool) -> OutputMode {
    match table.streaming.output {
        Some(tidegate_project::OutputMode::Update) => OutputMode::Update,
        None if refused => OutputMode::Update,
        _ => OutputMode::Append,
    }
}

/// Compiles a flow with state. Without a word of the table, results that can be final are, and others are updated.
///
/// # Errors
/// When the query cannot be streamed, with the reason.
pub(crate) fn compile(
    engine: &Engine,
    planned: &Planned,
    table: &Table,
    streams: &[Leaf<'_>],
    spill: &std::path::Path,
) -> Result<Dataflow> {
    let inputs = streams.iter().map(|leaf| {
        let watermark = leaf.relation.watermark.as_ref();
        let watermark = watermark.and_then(|watermark| {
            Some(WatermarkSpec {
                time: watermark.column()?.to_owned(),
                delay_micros: micros(watermark.delay_length()?),
            })
        });
        Input {
            binding: leaf.binding.clone(),
            watermark,
        }
    });
    let inputs: Vec<Input> = inputs.collect();
    let streaming = &table.streaming;
    let options = |output| Options {
        output,
        idle_micros: micros(streaming.idle),
        future_micros: micros(streaming.future),
        time_to_live_micros: streaming.time_to_live.map(micros),
        memory_bytes: STATE_BYTES,
        spill_folder: spill.join(table.name.key()),
        keep_late: streaming.keep_late,
    };
    let compiled = Dataflow::compile(
        engine,
        planned,
        inputs.clone(),
        options(mode_of(table, false)),
    );
    match compiled {
        Err(StreamError::Unsupported { .. }) if mode_of(table, true) == OutputMode::Update => Ok(
            Dataflow::compile(engine, planned, inputs, options(OutputMode::Update))?,
        ),
        compiled => Ok(compiled?),
    }
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

/// How rows of an updated result take the place of others.
fn upsert_by(result: &Schema, key: &[usize], aside: &Arc<Mutex<Aside>>) -> UpsertBy {
    let key: Vec<_> = key.iter().map(|&at| result.fields()[at].clone()).collect();
    let aside = Arc::clone(aside);
    let schema = Arc::new(Schema::new(key.clone()));
    UpsertBy {
        key: key.iter().map(|field| field.name().clone()).collect(),
        gone: Box::new(move || {
            let aside = aside.lock();
            let Some(changes) = &aside.changes else {
                return Ok(None);
            };
            let gone = changes.gone()?;
            match gone.first().is_some_and(|column| !column.is_empty()) {
                true => Ok(Some(RecordBatch::try_new(schema, gone)?)),
                false => Ok(None),
            }
        }),
    }
}

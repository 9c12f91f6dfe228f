//! What the tests share: queries, streams of seeded disorder, and the batch oracle.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    UInt32Array,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use tidegate_engine::{Bindings, Engine, EngineSettings, Planned, memory};
use tidegate_project::{RelationTarget, SourceMap};

use crate::{Dataflow, Input, Options, Output, OutputMode, StreamError, WatermarkSpec};

/// A second.
pub const SECOND: i64 = 1_000_000;
/// A minute.
pub const MINUTE: i64 = 60 * SECOND;
/// When the events of the tests begin.
pub const BEGIN: i64 = 1_700_000_040_000_000;

pub fn engine() -> Engine {
    Engine::new(&EngineSettings {
        threads: 1,
        ..EngineSettings::default()
    })
    .unwrap()
}

/// Tables by name, with all their rows.
pub type Tables = BTreeMap<&'static str, RecordBatch>;

/// A planned query, and which tables its bindings are.
pub struct Query {
    pub planned: Planned,
    /// Binding, table, whether it is a stream.
    pub relations: Vec<(String, String, bool)>,
}

/// Plans a query over tables that hold these rows; those named `table…` are no streams.
pub fn plan(engine: &Engine, sql: &str, tables: &Tables) -> Query {
    let mut files = SourceMap::default();
    // What is a stream is said to the dataflow; the oracle reads all of it as tables.
    let sql = &sql.replace("STREAM ", "");
    let query = tidegate_project::parse_query(&mut files, "query", sql)
        .unwrap_or_else(|mistakes| panic!("{sql}: {mistakes:?}"));
    let mut bindings = Bindings::new();
    let mut relations = Vec::new();
    for relation in &query.relations {
        let RelationTarget::Table { name, .. } = &relation.target else {
            panic!("tests read tables only");
        };
        let batch = &tables[name.name()];
        let provider = memory::provider(batch.schema(), vec![batch.clone()]).unwrap();
        bindings.bind(&relation.binding, provider, name.to_string());
        let table = name.name().to_owned();
        let stream = !table.starts_with("table");
        relations.push((relation.binding.clone(), table, stream));
    }
    let planned = engine
        .plan(&query, &bindings, &files)
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    Query { planned, relations }
}

pub fn options(output: OutputMode) -> Options {
    Options {
        output,
        idle_micros: 3600 * SECOND,
        future_micros: i64::MAX,
        time_to_live_micros: None,
        memory_bytes: 1 << 30,
        spill_folder: std::env::temp_dir(),
        keep_late: true,
    }
}

/// A dataflow of the query; streams have the event time `ts` with this delay.
pub fn flow(
    engine: &Engine,
    query: &Query,
    delay: i64,
    options: &Options,
) -> Result<Dataflow, StreamError> {
    let streams = query.relations.iter().filter(|(_, _, stream)| *stream);
    let inputs = streams.map(|(binding, _, _)| Input {
        binding: binding.clone(),
        watermark: Some(WatermarkSpec {
            time: "ts".to_owned(),
            delay_micros: delay,
        }),
    });
    Dataflow::compile(engine, &query.planned, inputs.collect(), options.clone())
}

/// The rows of the query over all rows at once, sorted.
pub fn batch_rows(engine: &Engine, query: &Query) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let batches = runtime.block_on(engine.collect(&query.planned)).unwrap();
    sorted(&batches)
}

/// Rows as text, sorted.
pub fn sorted(batches: &[RecordBatch]) -> Vec<String> {
    let mut rows: Vec<String> = batches.iter().flat_map(texts).collect();
    rows.sort();
    rows
}

/// The rows of a batch as text.
pub fn texts(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = batch.columns().iter();
    let formatters: Vec<_> = columns
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    (0..batch.num_rows())
        .map(|row| {
            let values: Vec<String> = formatters
                .iter()
                .map(|formatter| formatter.value(row).to_string())
                .collect();
            values.join(" | ")
        })
        .collect()
}

/// The table that updates make: rows by their key.
#[derive(Default)]
pub struct Updated {
    pub rows: BTreeMap<String, String>,
}

impl Updated {
    pub fn apply(&mut self, output: &Output, key: &[usize]) {
        for batch in &output.deletes {
            for key in texts(batch) {
                self.rows.remove(&key);
            }
        }
        for batch in &output.rows {
            let keys = texts(&batch.project(key).unwrap());
            for (key, row) in keys.into_iter().zip(texts(batch)) {
                self.rows.insert(key, row);
            }
        }
    }

    pub fn sorted(&self) -> Vec<String> {
        let mut rows: Vec<String> = self.rows.values().cloned().collect();
        rows.sort();
        rows
    }
}

/// Events `(id, k, name, v, ts)` in the order of their times: about one a second.
pub fn events(random: &mut fastrand::Rng, count: usize, keys: i64) -> RecordBatch {
    let mut time = BEGIN;
    let mut times = Vec::new();
    for _ in 0..count {
        time += random.i64(0..2 * SECOND);
        times.push(time);
    }
    let ids = Int64Array::from_iter_values(0..count as i64);
    let numbers: Vec<i64> = (0..count).map(|_| random.i64(0..keys)).collect();
    let names: Vec<Option<String>> = numbers
        .iter()
        .map(|k| (k % 7 != 3).then(|| format!("a rather long name, number {}", k % 5)))
        .collect();
    let values: Vec<Option<i64>> = (0..count)
        .map(|_| (random.u8(0..10) > 0).then(|| random.i64(-100..1000)))
        .collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(ids)),
        ("k", Arc::new(Int64Array::from(numbers))),
        ("name", Arc::new(StringViewArray::from_iter(names))),
        ("v", Arc::new(Int64Array::from(values))),
        (
            "ts",
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        ),
    ];
    batch(columns)
}

pub fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    RecordBatch::try_new(schema, arrays).unwrap()
}

pub fn times_of(batch: &RecordBatch) -> Vec<i64> {
    let (at, _) = batch.schema_ref().column_with_name("ts").unwrap();
    let times = batch.column(at).as_any();
    let times = times.downcast_ref::<TimestampMicrosecondArray>().unwrap();
    times.values().to_vec()
}

/// The rows in an order in which none comes more than `delay` after one that is younger.
pub fn shuffled(random: &mut fastrand::Rng, batch: &RecordBatch, delay: i64) -> RecordBatch {
    let mut order: Vec<(i64, u32)> = times_of(batch)
        .into_iter()
        .zip(0_u32..)
        .map(|(time, row)| (time + random.i64(0..delay.max(1)), row))
        .collect();
    order.sort_unstable();
    let rows = UInt32Array::from_iter_values(order.into_iter().map(|(_, row)| row));
    take_record_batch(batch, &rows).unwrap()
}

/// A push: binding, partition, rows.
pub type Push = (String, String, RecordBatch);

/// The rows of all streams of a query, shuffled within the delay and cut at random; the streams
/// go side by side in event time.
pub fn pushes(random: &mut fastrand::Rng, query: &Query, tables: &Tables, delay: i64) -> Vec<Push> {
    let mut pushes: Vec<(i64, Push)> = Vec::new();
    for (binding, table, stream) in &query.relations {
        if !stream {
            continue;
        }
        let rows = shuffled(random, &tables[table.as_str()], delay);
        let mut at = 0;
        while at < rows.num_rows() {
            let count = random.usize(1..60).min(rows.num_rows() - at);
            let cut = rows.slice(at, count);
            let last = times_of(&cut).into_iter().max().unwrap();
            pushes.push((last, (binding.clone(), "0".to_owned(), cut)));
            at += count;
        }
    }
    // A stream's own pushes stay in their order.
    let mut latest: BTreeMap<String, i64> = BTreeMap::new();
    for (time, (binding, _, _)) in &mut pushes {
        let before = latest.entry(binding.clone()).or_insert(i64::MIN);
        *before = (*before).max(*time);
        *time = *before;
    }
    pushes.sort_by_key(|(time, _)| *time);
    pushes.into_iter().map(|(_, push)| push).collect()
}

/// Where checkpoints are kept.
#[derive(Default)]
pub struct Store {
    pub segments: BTreeMap<String, Vec<u8>>,
    pub manifest: Vec<u8>,
}

impl Store {
    pub fn save(&mut self, flow: &mut Dataflow) -> usize {
        let checkpoint = flow.checkpoint().unwrap();
        let written = checkpoint.segments.len();
        let segments = checkpoint.segments.into_iter();
        self.segments
            .extend(segments.map(|(name, segment)| (name, segment.into_bytes().unwrap())));
        self.segments
            .retain(|name, _| checkpoint.live.contains(name));
        assert!(self.segments.len() == checkpoint.live.len());
        self.manifest = checkpoint.manifest;
        written
    }

    pub fn restore(&self, flow: &mut Dataflow) -> Result<(), StreamError> {
        flow.restore(&self.manifest, &mut |name| {
            self.segments
                .get(name)
                .cloned()
                .ok_or_else(|| std::io::Error::other("there is no such segment"))
        })
    }
}

/// Pushes everything, now and then starting anew from a checkpoint; gives all outputs.
pub fn run(
    random: &mut fastrand::Rng,
    make: &dyn Fn() -> Dataflow,
    pushes: &[Push],
    restarts: bool,
) -> (Vec<Output>, Dataflow) {
    let mut flow = make();
    let mut outputs = Vec::new();
    let mut store = Store::default();
    let mut saved: Option<(usize, usize)> = None;
    let mut at = 0;
    while at < pushes.len() {
        let (binding, partition, rows) = &pushes[at];
        let now = BEGIN + at as i64 * SECOND;
        outputs.push(flow.push(binding, partition, rows, now).unwrap());
        if random.u8(0..4) == 0 {
            outputs.push(flow.tick(now).unwrap());
        }
        at += 1;
        if restarts && random.u8(0..5) == 0 {
            store.save(&mut flow);
            saved = Some((at, outputs.len()));
        }
        // A kill: what came after the checkpoint is done again.
        if let Some((from, kept)) = saved
            && random.u8(0..12) == 0
        {
            outputs.truncate(kept);
            at = from;
            flow = make();
            store.restore(&mut flow).unwrap();
        }
    }
    outputs.push(flow.finish().unwrap());
    (outputs, flow)
}

/// The rows of all outputs.
pub fn appended(outputs: &[Output]) -> Vec<String> {
    let rows = outputs.iter().flat_map(|output| output.rows.clone());
    let rows: Vec<RecordBatch> = rows.collect();
    sorted(&rows)
}

/// Checks that appending over disorder within the delay gives what the batch gives.
pub fn check_append(sql: &str, tables: &Tables, seeds: std::ops::Range<u64>) {
    check_append_with(sql, tables, seeds, &options(OutputMode::Append));
}

/// As [`check_append`], with these options.
pub fn check_append_with(
    sql: &str,
    tables: &Tables,
    seeds: std::ops::Range<u64>,
    options: &Options,
) {
    let engine = engine();
    let query = plan(&engine, sql, tables);
    let expected = batch_rows(&engine, &query);
    assert!(!expected.is_empty(), "{sql}: nothing is expected");
    for seed in seeds {
        let mut random = fastrand::Rng::with_seed(seed);
        let delay = random.i64(1..90 * SECOND);
        let pushes = pushes(&mut random, &query, tables, delay);
        let budgets = Budgets::of(options, seed);
        let make = || flow(&engine, &query, delay, &budgets.options()).unwrap();
        let (outputs, flow) = run(&mut random, &make, &pushes, seed % 2 == 1);
        assert_eq!(flow.stats().late, 0, "{sql} (seed {seed})");
        assert_eq!(
            appended(&outputs),
            expected,
            "{sql} (seed {seed}, {budgets:?})"
        );
    }
}

/// The options of one flow after the other, which share a spill folder.
#[derive(Debug)]
pub struct Budgets {
    options: Options,
    /// Draws budgets that hold from nothing to nearly everything; `None`: as given.
    random: Option<RefCell<fastrand::Rng>>,
    folder: tempfile::TempDir,
}

impl Budgets {
    /// Of four seeds, two are for small budgets: one without restarts, one with.
    pub fn of(options: &Options, seed: u64) -> Self {
        let small = seed % 4 >= 2;
        Self {
            options: options.clone(),
            random: small.then(|| RefCell::new(fastrand::Rng::with_seed(seed))),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn options(&self) -> Options {
        let draw = |random: &RefCell<fastrand::Rng>| 1 << random.borrow_mut().usize(8..19);
        Options {
            memory_bytes: self.random.as_ref().map_or(self.options.memory_bytes, draw),
            spill_folder: self.folder.path().to_owned(),
            ..self.options.clone()
        }
    }
}

impl Drop for Budgets {
    fn drop(&mut self) {
        // Whoever spilled has removed it again.
        let left = self.folder.path().read_dir().unwrap().count();
        assert!(
            left == 0 || std::thread::panicking(),
            "{left} folders are left"
        );
    }
}

/// Checks that updates over disorder within the delay give what the batch gives.
pub fn check_update(sql: &str, tables: &Tables, seeds: std::ops::Range<u64>) {
    let engine = engine();
    let query = plan(&engine, sql, tables);
    let expected = batch_rows(&engine, &query);
    assert!(!expected.is_empty(), "{sql}: nothing is expected");
    for seed in seeds {
        let mut random = fastrand::Rng::with_seed(seed);
        let delay = random.i64(1..90 * SECOND);
        let pushes = pushes(&mut random, &query, tables, delay);
        let options = options(OutputMode::Update);
        let budgets = Budgets::of(&options, seed);
        let make = || flow(&engine, &query, delay, &budgets.options()).unwrap();
        let (outputs, flow) = run(&mut random, &make, &pushes, seed % 2 == 1);
        let mut updated = Updated::default();
        for output in &outputs {
            updated.apply(output, flow.key());
        }
        assert_eq!(
            updated.sorted(),
            expected,
            "{sql} (seed {seed}, {budgets:?})"
        );
    }
}

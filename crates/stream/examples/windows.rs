//! How many rows a second the operators take: `cargo run --release -p tidegate-stream --example windows`, with
//! the number of batches and the beginning of a line's name if only that one is wanted.
//!
//! One thread, batches of 8,192 rows in memory, 2,000 keys, a thousand rows a second of event time; the time to
//! make the rows does not count. Each line is a query; the last column compares it with tumbling windows.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use tidegate_engine::{Bindings, Engine, EngineSettings, memory};
use tidegate_project::SourceMap;
use tidegate_stream::{Dataflow, Input, Options, OutputMode, WatermarkSpec};

const BATCH: i64 = 8_192;
const KEYS: i64 = 2_000;
const SECOND: i64 = 1_000_000;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let count = std::env::args().nth(1).map_or(Ok(1_000), |n| n.parse())?;
    let batches: Vec<RecordBatch> = (0..count).map(rows).collect::<Result<_, _>>()?;
    let mut tumbling = None;
    for (name, sql, output) in [
        (
            "tumbling, 1 minute",
            windowed("window(ts, '1 minute')"),
            OutputMode::Append,
        ),
        (
            "tumbling, updated",
            windowed("window(ts, '1 minute')"),
            OutputMode::Update,
        ),
        (
            "hopping, 10 by 1 minute",
            windowed("window(ts, '10 minutes', '1 minute')"),
            OutputMode::Append,
        ),
        (
            "hopping, 60 by 1 minute",
            windowed("window(ts, '60 minutes', '1 minute')"),
            OutputMode::Append,
        ),
        (
            "cumulating, 1 hour by 1 minute",
            windowed("cumulate_window(ts, '1 hour', '1 minute')"),
            OutputMode::Append,
        ),
        (
            "sessions, 1 second",
            windowed("session_window(ts, '1 second')"),
            OutputMode::Append,
        ),
        (
            "running",
            "SELECT k, count(*) AS n, sum(v) AS s FROM e GROUP BY k".to_owned(),
            OutputMode::Update,
        ),
        (
            "distinct keys",
            "SELECT DISTINCT k FROM e".to_owned(),
            OutputMode::Append,
        ),
    ] {
        if std::env::args()
            .nth(2)
            .is_some_and(|only| !name.starts_with(&only))
        {
            continue;
        }
        let seconds = measured(&sql, output, &batches)?;
        #[expect(clippy::cast_precision_loss, reason = "a number of rows for people")]
        let speed = (count * BATCH) as f64 / seconds / 1e6;
        let first = *tumbling.get_or_insert(seconds);
        println!(
            "{name:<32} {speed:>8.2} million rows/s {:>6.2} ×",
            seconds / first
        );
    }
    Ok(())
}

fn windowed(window: &str) -> String {
    format!("SELECT k, {window} AS w, count(*) AS n, sum(v) AS s FROM e GROUP BY k, {window}")
}

/// A batch of rows, in the order of time but for some disorder.
fn rows(number: i64) -> Result<RecordBatch, Failure> {
    let mut random = fastrand::Rng::with_seed(number.unsigned_abs());
    let all = number * BATCH..(number + 1) * BATCH;
    let times = all.map(|row| row * 1_000 + random.i64(0..SECOND));
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
    let keys = Int64Array::from_iter_values((0..BATCH).map(|_| random.i64(0..KEYS)));
    let values = Int64Array::from_iter_values((0..BATCH).map(|_| random.i64(0..100)));
    let columns: [(&str, ArrayRef); 3] = [
        ("k", Arc::new(keys)),
        ("v", Arc::new(values)),
        ("ts", Arc::new(times)),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// How many seconds a query takes for these rows.
fn measured(sql: &str, output: OutputMode, batches: &[RecordBatch]) -> Result<f64, Failure> {
    let engine = Engine::new(&EngineSettings::default())?;
    let mut files = SourceMap::default();
    let query = tidegate_project::parse_query(&mut files, "query", sql)
        .map_err(|mistakes| format!("{sql}: {mistakes:?}"))?;
    let schema = batches.first().ok_or("no rows")?.schema();
    let mut bindings = Bindings::new();
    let mut inputs = Vec::new();
    for relation in &query.relations {
        bindings.bind(&relation.binding, memory::empty(Arc::clone(&schema))?, "e");
        inputs.push(Input {
            binding: relation.binding.clone(),
            watermark: Some(WatermarkSpec {
                time: "ts".to_owned(),
                delay_micros: SECOND,
            }),
        });
    }
    let binding = query
        .relations
        .first()
        .ok_or("no relation")?
        .binding
        .clone();
    let planned = engine.plan(&query, &bindings, &files)?;
    let options = Options {
        output,
        idle_micros: i64::MAX,
        future_micros: i64::MAX,
        time_to_live_micros: None,
        memory_bytes: 1 << 30,
        spill_folder: std::env::temp_dir(),
        keep_late: false,
    };
    let mut flow = Dataflow::compile(&engine, &planned, inputs, options)?;
    let begin = Instant::now();
    for batch in batches {
        flow.push(&binding, "0", batch, 0)?;
    }
    flow.finish()?;
    Ok(begin.elapsed().as_secs_f64())
}

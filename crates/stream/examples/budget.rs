//! What it costs when state does not fit into memory: `cargo run --release -p tidegate-stream --example budget`, with
//! the number of keys (a million without).
//!
//! Rows of random keys, three for each key, in batches of 8,192, with a tick every sixty batches as at the end of an epoch.
//! Each query runs with all the memory it wants, and then with a quarter of what it took.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use tidegate_engine::{Bindings, Engine, EngineSettings, memory};
use tidegate_project::SourceMap;
use tidegate_stream::{Dataflow, Input, Options, OutputMode, WatermarkSpec};

const BATCH: i64 = 8_192;
const SECOND: i64 = 1_000_000;

type Failure = Box<dyn std::error::Error>;

/// What a run took.
struct Measured {
    rows_per_second: f64,
    /// The most that was in memory after a push, and in the spill folder at the end.
    bytes: usize,
    spilled_bytes: u64,
    checkpoint_seconds: f64,
}

fn main() -> Result<(), Failure> {
    let keys = std::env::args()
        .nth(1)
        .map_or(Ok(1_000_000), |n| n.parse())?;
    for (name, sql, output) in [
        (
            "running",
            "SELECT k, count(*) AS n, sum(v) AS s FROM e GROUP BY k",
            OutputMode::Update,
        ),
        ("distinct", "SELECT DISTINCT k FROM e", OutputMode::Append),
        (
            "sessions, 1 hour",
            "SELECT k, session_window(ts, '1 hour') AS w, count(*) AS n FROM e
             GROUP BY k, session_window(ts, '1 hour')",
            OutputMode::Append,
        ),
    ] {
        let whole = measured(sql, output, keys, usize::MAX)?;
        told(name, &whole);
        told(
            "  in a quarter",
            &measured(sql, output, keys, whole.bytes / 4)?,
        );
    }
    Ok(())
}

fn told(name: &str, measured: &Measured) {
    println!(
        "{name:<20} {:>6.2} million rows/s, {:>5} MiB in memory, {:>5} MiB spilled, checkpoint {:.2} s",
        measured.rows_per_second / 1e6,
        measured.bytes >> 20,
        measured.spilled_bytes >> 20,
        measured.checkpoint_seconds,
    );
}

fn rows(number: i64, keys: i64) -> Result<RecordBatch, Failure> {
    let mut random = fastrand::Rng::with_seed(number.unsigned_abs());
    let all = number * BATCH..(number + 1) * BATCH;
    let times = TimestampMicrosecondArray::from_iter_values(all.map(|row| row * 100));
    let numbers = Int64Array::from_iter_values((0..BATCH).map(|_| random.i64(0..keys)));
    let values = Int64Array::from_iter_values((0..BATCH).map(|_| random.i64(0..100)));
    let columns: [(&str, ArrayRef); 3] = [
        ("k", Arc::new(numbers)),
        ("v", Arc::new(values)),
        ("ts", Arc::new(times.with_timezone("UTC"))),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn measured(
    sql: &str,
    output: OutputMode,
    keys: i64,
    memory_bytes: usize,
) -> Result<Measured, Failure> {
    let (mut flow, binding) = flow(sql, output, memory_bytes)?;
    let batches = 3 * keys / BATCH;
    let mut seconds = 0.0;
    let mut bytes = 0;
    for number in 0..batches {
        let batch = rows(number, keys)?;
        let begin = Instant::now();
        flow.push(&binding, "0", &batch, 0)?;
        if number % 60 == 59 {
            flow.tick(0)?;
        }
        seconds += begin.elapsed().as_secs_f64();
        bytes = bytes.max(flow.stats().state_bytes());
    }
    let begin = Instant::now();
    flow.tick(0)?;
    seconds += begin.elapsed().as_secs_f64();
    let spilled = flow.stats().operators.iter().map(|o| o.spilled_bytes).sum();
    let begin = Instant::now();
    for (_, segment) in flow.checkpoint()?.segments {
        segment.into_bytes()?;
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of rows for people")]
    let count = (batches * BATCH) as f64;
    Ok(Measured {
        rows_per_second: count / seconds,
        bytes,
        spilled_bytes: spilled,
        checkpoint_seconds: begin.elapsed().as_secs_f64(),
    })
}

/// A dataflow of the query over the stream `e`, and the name of the stream.
fn flow(sql: &str, output: OutputMode, memory_bytes: usize) -> Result<(Dataflow, String), Failure> {
    let engine = Engine::new(&EngineSettings::default())?;
    let mut files = SourceMap::default();
    let query = tidegate_project::parse_query(&mut files, "query", sql)
        .map_err(|mistakes| format!("{sql}: {mistakes:?}"))?;
    let relation = query.relations.first().ok_or("no relation")?;
    let binding = relation.binding.clone();
    let mut bindings = Bindings::new();
    bindings.bind(&binding, memory::empty(rows(0, 1)?.schema())?, "e");
    let input = Input {
        binding: binding.clone(),
        watermark: Some(WatermarkSpec {
            time: "ts".to_owned(),
            delay_micros: SECOND,
        }),
    };
    let planned = engine.plan(&query, &bindings, &files)?;
    let options = Options {
        output,
        idle_micros: i64::MAX,
        future_micros: i64::MAX,
        time_to_live_micros: None,
        memory_bytes,
        spill_folder: std::env::temp_dir(),
        keep_late: false,
    };
    let flow = Dataflow::compile(&engine, &planned, vec![input], options)?;
    Ok((flow, binding))
}

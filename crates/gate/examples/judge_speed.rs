//! How long a row takes in the gate: a million rows of payments as text, 1.5 % of them bad, step by
//! step. `cargo run -p tidegate-gate --example judge_speed [rows]`

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, RecordBatch, Scalar, StringViewArray,
};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::compute::kernels::cmp::gt;
use arrow::datatypes::{DataType, TimeUnit};
use tidegate_gate::coerce::coerce_column;
use tidegate_gate::{
    CoercionOptions, Contract, ContractColumn, Gate, GateExpectation, GateOptions, Incoming,
    KeyIndex, KeyIndexOptions, OnViolation, Predicate, PredicateError, Stamp,
};

/// Rows of a batch, about what a block of a text file holds.
const BATCH_ROWS: usize = 50_000;

/// Time spent on this thread's own work where the system tells it (so that a busy machine does not
/// count), otherwise time passed.
struct Clock(Instant, Option<Duration>);

impl Clock {
    fn start() -> Self {
        Self(Instant::now(), Self::own())
    }

    fn own() -> Option<Duration> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split_whitespace()
            .next()?
            .parse()
            .ok()
            .map(Duration::from_nanos)
    }

    fn elapsed(&self) -> Duration {
        match (self.1, Self::own()) {
            (Some(start), Some(now)) => now - start,
            _ => self.0.elapsed(),
        }
    }
}

/// `amount > 0`.
struct Positive;

impl Predicate for Positive {
    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, PredicateError> {
        let zero = Decimal128Array::from(vec![0])
            .with_precision_and_scale(12, 2)
            .map_err(|error| PredicateError::new(error.to_string()))?;
        gt(&batch.column(4), &Scalar::new(zero))
            .map_err(|error| PredicateError::new(error.to_string()))
    }
}

/// `currency IN (…)`, on views.
struct Known(Vec<u128>);

impl Predicate for Known {
    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, PredicateError> {
        let array = batch.column(5).as_string_view();
        let views = array.views();
        let values = arrow::buffer::BooleanBuffer::collect_bool(views.len(), |row| {
            self.0.contains(&views[row])
        });
        Ok(BooleanArray::new(values, array.nulls().cloned()))
    }
}

fn contract() -> Contract {
    let text = DataType::Utf8View;
    let columns = [
        ("id", text.clone(), false),
        ("card_id", text.clone(), false),
        ("merchant", text.clone(), true),
        ("country", text.clone(), true),
        ("amount", DataType::Decimal128(12, 2), false),
        ("currency", text.clone(), true),
        (
            "ts",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            false,
        ),
        ("email", text.clone(), true),
        ("ip", text, true),
    ];
    Contract {
        columns: columns
            .map(|(name, data_type, nullable)| ContractColumn::new(name, data_type, nullable))
            .to_vec(),
        key: vec![0],
        coercion: CoercionOptions::default(),
    }
}

fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// The fields of one row.
fn row(number: usize, state: &mut u64) -> [String; 9] {
    let mut fields = [
        format!("P{number:09}"),
        format!("C{:06}", next(state) % 100_000),
        format!("merchant_{:04}", next(state) % 2000),
        ["DE", "FR", "IT"][next(state) as usize % 3].to_owned(),
        format!("{}.{:02}", next(state) % 500, next(state) % 100),
        ["EUR", "USD", "GBP", "CHF"][next(state) as usize % 4].to_owned(),
        format!(
            "2026-10-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            next(state) % 28 + 1,
            next(state) % 24,
            next(state) % 60,
            next(state) % 60,
            next(state) % 1000
        ),
        format!(
            "user{}@mail{}.example",
            next(state) % 50_000,
            next(state) % 97
        ),
        format!(
            "{}.{}.{}.{}",
            next(state) % 255,
            next(state) % 255,
            next(state) % 255,
            next(state) % 255
        ),
    ];
    if next(state) % 1000 < 15 {
        match next(state) % 5 {
            0 => fields[4] = "12 EUR".into(),
            1 => fields[4].insert(0, '-'),
            2 => fields[0].clear(),
            3 => fields[6] = "2026-02-30T12:00:00Z".into(),
            _ => fields[5] = "ZZZ".into(),
        }
    }
    fields
}

/// A batch whose views point into one block, as a CSV decoder makes it.
fn batch(first: usize, rows: usize, state: &mut u64) -> Result<Incoming, Box<dyn Error>> {
    let mut block = String::new();
    let mut spans: Vec<Vec<(usize, usize)>> = vec![Vec::new(); 10];
    for number in first..first + rows {
        let start = block.len();
        for (column, field) in row(number, state).iter().enumerate() {
            spans[column].push((block.len(), field.len()));
            let _ = write!(block, "{field},");
        }
        spans[9].push((start, block.len() - start - 1));
        block.push('\n');
    }
    let buffer = Buffer::from(block.into_bytes());
    let column = |column: &[(usize, usize)]| -> Result<ArrayRef, arrow::error::ArrowError> {
        let views: ScalarBuffer<u128> = column
            .iter()
            .map(|(at, length)| arrow::array::make_view(&buffer[*at..at + length], 0, *at as u32))
            .collect();
        let nulls = column.iter().map(|(_, length)| *length > 0).collect();
        Ok(Arc::new(StringViewArray::try_new(
            views,
            [buffer.clone()],
            Some(nulls),
        )?))
    };
    let names = [
        "id", "card_id", "merchant", "country", "amount", "currency", "ts", "email", "ip",
    ];
    let columns: Vec<(&str, ArrayRef)> = names
        .iter()
        .zip(&spans)
        .map(|(name, span)| Ok((*name, column(span)?)))
        .collect::<Result<_, arrow::error::ArrowError>>()?;
    Ok(Incoming {
        columns: RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, array)| (name, array, true)),
        )?,
        line: (first as u64..(first + rows) as u64).collect(),
        raw: Some(column(&spans[9])?),
        malformed: Vec::new(),
        source: "landing/payments.csv".into(),
        layout: None,
    })
}

fn expectations() -> Vec<GateExpectation> {
    let expectation =
        |name: &str, text: &str, column, predicate: Arc<dyn Predicate>| GateExpectation {
            name: name.into(),
            text: text.into(),
            predicate,
            columns: vec![column],
            on_violation: OnViolation::Quarantine,
        };
    let currencies =
        ["EUR", "USD", "GBP", "CHF"].map(|code| arrow::array::make_view(code.as_bytes(), 0, 0));
    vec![
        expectation("positive_amount", "amount > 0", 4, Arc::new(Positive)),
        expectation(
            "known_currency",
            "currency IN (…)",
            5,
            Arc::new(Known(currencies.to_vec())),
        ),
    ]
}

fn main() -> Result<(), Box<dyn Error>> {
    let rows: usize = std::env::args()
        .nth(1)
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let mut state = 7;
    let batches: Vec<Incoming> = (0..rows)
        .step_by(BATCH_ROWS)
        .map(|first| batch(first, BATCH_ROWS.min(rows - first), &mut state))
        .collect::<Result<_, _>>()?;
    let per_row = |time: Duration| time.as_nanos() as f64 / rows as f64;
    let contract = contract();
    for (place, column) in contract
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| !column.data_type.is_string())
    {
        let start = Clock::start();
        for batch in &batches {
            coerce_column(
                batch.columns.column(place),
                &column.data_type,
                &contract.coercion,
            )?;
        }
        println!(
            "coerce {:<10} {:>7.1} ns/row",
            column.name,
            per_row(start.elapsed())
        );
    }
    if let Some(batch) = batches.first() {
        let part = batch.columns.slice(0, 5_000.min(batch.columns.num_rows()));
        let repeats = rows / part.num_rows().max(1);
        let start = Clock::start();
        for _ in 0..repeats {
            coerce_column(
                part.column(6),
                &contract.columns[6].data_type,
                &contract.coercion,
            )?;
        }
        println!(
            "coerce ts, from the cache {:>3.1} ns/row",
            per_row(start.elapsed())
        );
    }
    let gate = Gate::new(contract, expectations(), GateOptions::default())?;
    let mut keys = KeyIndex::new(KeyIndexOptions::default());
    let stamp = Stamp {
        flow: "payments".into(),
        run: "run".into(),
        epoch: 1,
        time_micros: 0,
    };
    let (mut judge, mut admit, mut split) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut counts = tidegate_gate::Counts::default();
    for batch in batches {
        let start = Clock::start();
        let mut judged = gate.judge(batch)?;
        judge += start.elapsed();
        let start = Clock::start();
        gate.admit_keys(&mut keys, &mut judged)?;
        admit += start.elapsed();
        let start = Clock::start();
        let parted = gate.split(judged, &stamp)?;
        split += start.elapsed();
        counts.merge(&parted.counts);
    }
    println!(
        "judge (coerce, verdicts, hashes) {:>7.1} ns/row",
        per_row(judge)
    );
    println!(
        "admit keys                       {:>7.1} ns/row",
        per_row(admit)
    );
    println!(
        "split                            {:>7.1} ns/row",
        per_row(split)
    );
    println!(
        "{} rows, {} good, {} quarantined, {} keys",
        counts.rows_in,
        counts.good,
        counts.quarantined,
        keys.len()
    );
    drop(keys);
    key_index(5_000_000)
}

/// Takes so many keys into an index, with memory enough and with too little.
fn key_index(rows: usize) -> Result<(), Box<dyn Error>> {
    for memory_bytes in [512 << 20, 32 << 20] {
        let mut keys = KeyIndex::new(KeyIndexOptions {
            memory_bytes,
            spill_folder: None,
        });
        let mut spent = Duration::ZERO;
        for first in (0..rows).step_by(BATCH_ROWS) {
            let ids = (first..first + BATCH_ROWS).map(|number| format!("P{number:09}"));
            let column: ArrayRef = Arc::new(StringViewArray::from_iter_values(ids));
            let batch = RecordBatch::try_from_iter([("id", column)])?;
            let start = Clock::start();
            keys.insert_existing(&batch)?;
            spent += start.elapsed();
        }
        println!(
            "key index, {} keys, {} MiB allowed: {:>7.1} ns/key, {} MiB taken, {} runs",
            keys.len(),
            memory_bytes >> 20,
            spent.as_nanos() as f64 / rows as f64,
            keys.memory_bytes() >> 20,
            keys.spilled_runs()
        );
    }
    Ok(())
}

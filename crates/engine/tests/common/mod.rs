//! What the tests of the engine share: tables in memory, and queries over them.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::types::Int32Type;
use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringViewArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::array::{Int32Builder, ListArray, MapBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use tidegate_engine::{Bindings, Engine, EngineError, EngineSettings, Planned};
use tidegate_project::{RelationTarget, RenderStyle, SourceMap};

/// An engine of two threads.
pub fn engine() -> Engine {
    let settings = EngineSettings {
        threads: 2,
        ..EngineSettings::default()
    };
    Engine::new(&settings).unwrap()
}

/// A query, parsed and planned over the tables of [`table`]; the mistakes as they are shown.
pub fn plan(engine: &Engine, sql: &str) -> Result<Planned, String> {
    plan_cut(engine, sql, usize::MAX)
}

/// As [`plan`], over tables in partitions of so many rows each.
pub fn plan_cut(engine: &Engine, sql: &str, rows: usize) -> Result<Planned, String> {
    let mut files = SourceMap::default();
    let shown = |mistakes: &[tidegate_project::Diagnostic], files: &SourceMap| {
        let style = RenderStyle {
            color: false,
            unicode: false,
        };
        tidegate_project::diagnostic::render_all(mistakes, files, style)
    };
    let query = match tidegate_project::parse_query(&mut files, "query", sql) {
        Ok(query) => query,
        Err(mistakes) => return Err(shown(&mistakes, &files)),
    };
    let mut bindings = Bindings::new();
    for relation in &query.relations {
        let RelationTarget::Table { name, .. } = &relation.target else {
            return Err("tests read tables only".to_owned());
        };
        let batch = table(name.name()).ok_or_else(|| format!("no table {name}"))?;
        let starts = (0..batch.num_rows()).step_by(rows.min(batch.num_rows()));
        let parts = starts.map(|start| {
            let length = rows.min(batch.num_rows() - start);
            vec![batch.slice(start, length)]
        });
        let provider = Arc::new(MemTable::try_new(batch.schema(), parts.collect()).unwrap());
        bindings.bind(&relation.binding, provider, name.to_string());
    }
    match engine.plan(&query, &bindings, &files) {
        Ok(planned) => Ok(planned),
        Err(EngineError::Mistakes(mistakes)) => Err(shown(&mistakes, &files)),
        Err(other) => Err(other.to_string()),
    }
}

/// Runs a query: its columns, and its rows as text.
pub fn run(
    runtime: &tokio::runtime::Runtime,
    engine: &Engine,
    sql: &str,
) -> Result<(SchemaRef, Vec<Vec<String>>), String> {
    run_planned(runtime, engine, &plan(engine, sql)?)
}

/// Runs a plan: its columns, and its rows as text.
pub fn run_planned(
    runtime: &tokio::runtime::Runtime,
    engine: &Engine,
    planned: &Planned,
) -> Result<(SchemaRef, Vec<Vec<String>>), String> {
    let batches = runtime
        .block_on(engine.collect(planned))
        .map_err(|error| error.to_string())?;
    let rows = batches.iter().flat_map(rows_of).collect();
    Ok((Arc::clone(planned.schema()), rows))
}

/// The rows of a batch as text, NULL as `NULL`.
pub fn rows_of(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default()
        .with_null("NULL")
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f"));
    let formatters: Vec<ArrayFormatter<'_>> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    (0..batch.num_rows())
        .map(|row| {
            formatters
                .iter()
                .map(|formatter| {
                    let mut text = String::new();
                    write!(text, "{}", formatter.value(row)).unwrap();
                    text
                })
                .collect()
        })
        .collect()
}

/// The tables of the tests.
pub fn table(name: &str) -> Option<RecordBatch> {
    Some(match name {
        "payments" => payments(),
        "cards" => cards(),
        "nested" => nested(),
        "twins" => twins(),
        _ => return None,
    })
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringViewArray::from_iter(values.iter().copied()))
}

/// Six payments, some of them odd.
fn payments() -> RecordBatch {
    let amounts = [
        Some(1050),
        Some(-500),
        Some(99_999),
        None,
        Some(2000),
        Some(1050),
    ];
    let hour = 3_600_000_000_i64;
    let start = 1_709_632_800_000_000_i64;
    let times: Vec<i64> = (0..6).map(|row| start + row * hour / 2).collect();
    batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(1..=6))),
        (
            "Card",
            text(&[
                Some("c1"),
                Some("c2"),
                Some("c1"),
                Some("c3"),
                None,
                Some("c2"),
            ]),
        ),
        (
            "amount",
            Arc::new(
                Decimal128Array::from_iter(amounts)
                    .with_precision_and_scale(12, 2)
                    .unwrap(),
            ),
        ),
        (
            "currency",
            text(&[
                Some("EUR"),
                Some("USD"),
                Some("EUR"),
                Some("XXX"),
                Some("GBP"),
                None,
            ]),
        ),
        (
            "ts",
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        ),
        (
            "quantity",
            Arc::new(Int32Array::from(vec![1, 2, 3, 4, 5, 6])),
        ),
    ])
}

/// Three cards.
fn cards() -> RecordBatch {
    batch(vec![
        ("Card", text(&[Some("c1"), Some("c2"), Some("c9")])),
        (
            "holder",
            text(&[Some("Ada"), Some("Grace"), Some("Edsger")]),
        ),
        (
            "since",
            Arc::new(Date32Array::from(vec![19_000, 19_100, 19_200])),
        ),
    ])
}

/// Columns with arrays, maps and structs.
fn nested() -> RecordBatch {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(3), Some(1)]),
        Some(vec![]),
        None,
    ]);
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("a");
    map.values().append_value(1);
    map.keys().append_value("b");
    map.values().append_value(2);
    map.append(true).unwrap();
    map.append(true).unwrap();
    map.append(false).unwrap();
    let fields = vec![
        (
            Arc::new(Field::new("City", DataType::Utf8View, true)),
            text(&[Some("Oslo"), Some("Rome"), None]),
        ),
        (
            Arc::new(Field::new("zip", DataType::Int32, true)),
            Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])) as ArrayRef,
        ),
    ];
    batch(vec![
        ("id", Arc::new(Int32Array::from(vec![1, 2, 3]))),
        ("tags", Arc::new(lists)),
        ("attributes", Arc::new(map.finish())),
        ("address", Arc::new(StructArray::from(fields))),
    ])
}

/// Two columns whose names differ in case only.
fn twins() -> RecordBatch {
    batch(vec![
        ("name", text(&[Some("lower")])),
        ("NAME", text(&[Some("upper")])),
    ])
}

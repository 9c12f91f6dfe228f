//! The 22 queries of TPC-H, as `bench/tpch/queries` has them: planned, run over Parquet files and
//! compared with DuckDB's answers (`answers/`, made by `answers.py` from the files that
//! `TPCH_KEEP=folder` leaves), and their plans looked at.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "each test binary uses a part")]
mod common;
mod data;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use datafusion::catalog::TableProvider;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use tidegate_engine::{Bindings, Engine, EngineSettings, Planned};
use tidegate_project::{RelationTarget, SourceMap};
use tokio::runtime::{Builder, Runtime};

const QUERIES: std::ops::RangeInclusive<usize> = 1..=22;

/// The folder of the tables' files, made once.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = match std::env::var_os("TPCH_KEEP") {
            Some(kept) => PathBuf::from(kept),
            None => Path::new(env!("CARGO_TARGET_TMPDIR")).join("tpch"),
        };
        for (name, batch) in data::TABLES.iter().zip(data::tables()) {
            let table = folder.join(name);
            fs::create_dir_all(&table).unwrap();
            let file = File::create(table.join("rows.parquet")).unwrap();
            let properties = WriterProperties::builder()
                .set_max_row_group_row_count(Some(2_000))
                .build();
            let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
        }
        folder
    })
}

/// A table as DataFusion reads Parquet files: with their statistics.
async fn table(engine: &Engine, name: &str) -> Arc<dyn TableProvider> {
    let url = ListingTableUrl::parse(folder().join(name).to_str().unwrap()).unwrap();
    let state = engine.session_state();
    let options =
        ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
    let config = ListingTableConfig::new(url)
        .with_listing_options(options)
        .infer_schema(&state)
        .await
        .unwrap();
    Arc::new(ListingTable::try_new(config).unwrap())
}

fn engine(threads: usize, batch_rows: usize) -> Engine {
    let settings = EngineSettings {
        threads,
        batch_rows,
        ..EngineSettings::default()
    };
    Engine::new(&settings).unwrap()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn query(number: usize) -> String {
    let path = format!("../../bench/tpch/queries/q{number:02}.sql");
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

async fn plan(engine: &Engine, number: usize) -> Planned {
    let mut files = SourceMap::default();
    let query = tidegate_project::parse_query(&mut files, "query", &query(number)).unwrap();
    let mut bindings = Bindings::new();
    for relation in &query.relations {
        let RelationTarget::Table { name, .. } = &relation.target else {
            panic!("Q{number} reads something that is no table");
        };
        let provider = table(engine, name.name()).await;
        bindings.bind(&relation.binding, provider, name.to_string());
    }
    match engine.plan(&query, &bindings, &files) {
        Ok(planned) => planned,
        Err(error) => panic!("Q{number}: {error}: {:?}", error.diagnostics()),
    }
}

/// The rows of an answer, each a line of values; sorted, as ties may come in any order.
async fn answer(engine: &Engine, number: usize) -> Vec<Vec<String>> {
    let planned = plan(engine, number).await;
    let batches = engine.collect(&planned).await;
    let batches = batches.unwrap_or_else(|error| panic!("Q{number}: {error}"));
    let mut rows: Vec<Vec<String>> = batches.iter().flat_map(common::rows_of).collect();
    rows.sort();
    rows
}

fn expected(number: usize) -> Vec<Vec<String>> {
    let path = format!("tests/tpch/answers/q{number:02}.txt");
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let mut rows: Vec<Vec<String>> = text
        .lines()
        .map(|line| line.split(" | ").map(str::to_owned).collect())
        .collect();
    rows.sort();
    rows
}

/// Equal as text, or as numbers to the sixth digit: DuckDB divides and averages in doubles.
fn same(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(one), Ok(other)) => (one - other).abs() <= 1e-6_f64.max(1e-9 * one.abs()),
        _ => false,
    }
}

fn same_rows(one: &[Vec<String>], other: &[Vec<String>]) -> bool {
    let row = |(one, other): (&Vec<String>, &Vec<String>)| {
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
    };
    one.len() == other.len() && one.iter().zip(other).all(row)
}

#[test]
fn answers_are_those_of_duckdb() {
    let engine = engine(2, 8192);
    let mut wrong = Vec::new();
    for number in QUERIES {
        let found = runtime().block_on(answer(&engine, number));
        let expected = expected(number);
        assert!(!expected.is_empty(), "Q{number} must find rows");
        if !same_rows(&found, &expected) {
            wrong.push(format!("Q{number}:\n{found:#?}\nexpected\n{expected:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The answer does not depend on how the work is cut.
#[test]
fn answers_are_the_same_however_the_work_is_cut() {
    let whole = engine(1, 8192);
    for (threads, batch_rows) in [(2, 97), (4, 1024)] {
        let cut = engine(threads, batch_rows);
        for number in QUERIES {
            let one = runtime().block_on(answer(&whole, number));
            let other = runtime().block_on(answer(&cut, number));
            assert!(
                same_rows(&one, &other),
                "Q{number} with {threads} threads and batches of {batch_rows} rows"
            );
        }
    }
}

fn explain(engine: &Engine, number: usize) -> String {
    runtime().block_on(async {
        let planned = plan(engine, number).await;
        engine.explain(&planned).await.unwrap()
    })
}

#[test]
fn joins_have_keys_and_filters_reach_the_scans() {
    let engine = engine(2, 8192);
    let keep = std::env::var_os("TPCH_KEEP").map(PathBuf::from);
    let mut wrong = Vec::new();
    for number in QUERIES {
        let shown = explain(&engine, number);
        if let Some(folder) = &keep {
            fs::write(folder.join(format!("q{number:02}.plan")), &shown).unwrap();
        }
        if shown.contains("CrossJoinExec") || shown.contains("NestedLoopJoinExec") {
            wrong.push(format!("Q{number} joins without keys:\n{shown}"));
        }
        // Q18 is the only one that filters nothing before it groups.
        if number != 18 && !shown.contains("predicate=") {
            wrong.push(format!("Q{number} reads without a filter:\n{shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

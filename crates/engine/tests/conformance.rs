//! Spark's answers, as data: expressions in `functions/*.txt`, queries in `queries/*.txt`, mistakes
//! in `mistakes/*.sql`.
//!
//! A line of a functions file is `expression => value : type`, or `expression => error: part of the
//! message`. A query file holds blocks of a query, `----`, a line of column names, and rows, parts
//! separated by ` | `; a block ends at an empty line. A mistakes file is a query; beside it lies what
//! is shown, written anew when `UPDATE=1` is set.
//!
//! Where we do not answer as Spark does yet, the line begins with `! ` and the block with `#! `. Such a
//! case must still differ: whoever mends it takes the mark away.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "each test binary uses a part")]
mod common;

use std::fs;
use std::path::{Path, PathBuf};

use tidegate_engine::{Engine, EngineSettings};
use tokio::runtime::{Builder, Runtime};

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(folder);
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// One line of a functions file.
fn check_function(runtime: &Runtime, engine: &Engine, line: &str) -> Result<(), String> {
    let (expression, expected) = line.split_once(" => ").ok_or("no ` => `")?;
    let expected = expected.trim_end();
    let sql = format!("SELECT {expression} AS v, typeof({expression}) AS t");
    let outcome = common::run(runtime, engine, &sql);
    if let Some(part) = expected.strip_prefix("error: ") {
        return match outcome {
            Err(message) if message.contains(part) => Ok(()),
            Err(message) => Err(format!("another error: {message}")),
            Ok((_, rows)) => Err(format!("no error but {:?}", rows[0])),
        };
    }
    let (_, rows) = outcome?;
    let found = format!("{} : {}", rows[0][0], rows[0][1]);
    if found == expected {
        Ok(())
    } else {
        Err(found)
    }
}

#[test]
fn functions_answer_as_spark_does() {
    let (runtime, engine) = (runtime(), common::engine());
    let (mut wrong, mut lines) = (Vec::new(), 0);
    for path in files("functions", "txt") {
        let text = fs::read_to_string(&path).unwrap();
        for (at, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            lines += 1;
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if let Some(gap) = line.strip_prefix("! ") {
                if check_function(&runtime, &engine, gap).is_ok() {
                    wrong.push(format!("{name}:{}: no longer a gap: {line}", at + 1));
                }
                continue;
            }
            if let Err(found) = check_function(&runtime, &engine, line) {
                wrong.push(format!("{name}:{}: {line}\n    {found}", at + 1));
            }
        }
    }
    let report = wrong.join("\n");
    assert!(
        wrong.is_empty(),
        "{} of {lines} lines:\n{report}",
        wrong.len()
    );
}

/// One block of a query file, over tables in partitions of so many rows; the rows are compared in
/// their order only if the query orders them.
fn check_query(
    runtime: &Runtime,
    engine: &Engine,
    block: &str,
    partition_rows: usize,
) -> Result<(), String> {
    let (sql, expected) = block.split_once("\n----\n").ok_or("no `----`")?;
    let sql: String = sql
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n");
    let planned = common::plan_cut(engine, &sql, partition_rows)?;
    let (schema, mut rows) = common::run_planned(runtime, engine, &planned)?;
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let mut lines: Vec<String> = rows.drain(..).map(|row| row.join(" | ")).collect();
    let mut expected: Vec<String> = expected.lines().map(str::to_owned).collect();
    if !sql.to_uppercase().contains("ORDER BY") {
        lines.sort();
        expected[1..].sort();
    }
    lines.insert(0, names.join(" | "));
    let matching = lines.len() == expected.len()
        && lines
            .iter()
            .zip(&expected)
            .all(|(one, other)| one.trim_end() == other.trim_end());
    if matching {
        Ok(())
    } else {
        Err(lines.join("\n"))
    }
}

#[test]
fn queries_answer_as_spark_does() {
    check_queries(&common::engine(), usize::MAX);
}

/// The answer does not depend on how rows are cut into partitions and batches, nor on threads.
#[test]
fn queries_answer_the_same_however_rows_are_cut() {
    for (threads, batch_rows, partition_rows) in [(1, 1, 2), (4, 3, 1), (3, 8192, 4)] {
        let settings = EngineSettings {
            threads,
            batch_rows,
            ..EngineSettings::default()
        };
        check_queries(&Engine::new(&settings).unwrap(), partition_rows);
    }
}

fn check_queries(engine: &Engine, partition_rows: usize) {
    let runtime = runtime();
    let mut wrong = Vec::new();
    for path in files("queries", "txt") {
        let text = fs::read_to_string(&path).unwrap();
        for block in text.split("\n\n") {
            let block = block.trim_matches('\n');
            if block.is_empty() || block.lines().all(|line| line.starts_with('#')) {
                continue;
            }
            let outcome = check_query(&runtime, engine, block, partition_rows);
            if block.starts_with("#! ") {
                if outcome.is_ok() {
                    wrong.push(format!("no longer a gap: {block}"));
                }
                continue;
            }
            if let Err(found) = outcome {
                wrong.push(format!("{block}\n  gives:\n{found}\n"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} queries:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let engine = common::engine();
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for path in files("mistakes", "sql") {
        let sql = fs::read_to_string(&path).unwrap();
        let shown = match common::plan(&engine, sql.trim_end()) {
            Ok(_) => "no mistake\n".to_owned(),
            Err(shown) => shown,
        };
        let beside = path.with_extension("txt");
        if update {
            fs::write(&beside, &shown).unwrap();
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        if shown.trim_end() != expected.trim_end() {
            wrong.push(format!("{}:\n{shown}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

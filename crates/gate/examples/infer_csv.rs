//! Infers a contract from a CSV file: `cargo run -p tidegate-gate --example infer_csv -- FILE [CLEAN]`.
//!
//! With a clean version of the same file beside it, it counts how many of the cells that differ were
//! called wrong, and how many of those called wrong differ.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray};
use tidegate_gate::infer::{FindingKind, InferOptions, InferredContract, SqlOptions, infer};

type Failure = Box<dyn std::error::Error>;
type Table = (Vec<String>, Vec<Vec<String>>);

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which file?")?;
    let (names, rows) = read(&path)?;
    let column = |at: usize| {
        Arc::new(StringViewArray::from_iter(
            rows.iter()
                .map(|row| row.get(at).filter(|value| !value.is_empty())),
        )) as ArrayRef
    };
    let arrays = names
        .iter()
        .enumerate()
        .map(|(at, name)| (name, column(at), true));
    let batch = RecordBatch::try_from_iter_with_nullable(arrays)?;
    let started = std::time::Instant::now();
    let contract = infer(&[batch], &InferOptions::default())?;
    eprintln!("{} rows in {:.2?}", rows.len(), started.elapsed());
    let table = std::path::Path::new(&path)
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or("table")
        .to_owned();
    println!(
        "{}",
        contract.to_sql(&SqlOptions {
            table,
            path,
            format: Some("csv".to_owned()),
            ..SqlOptions::default()
        })
    );
    if let Some(clean) = arguments.next() {
        score(&contract, &names, &rows, &read(&clean)?.1);
    }
    Ok(())
}

fn read(path: &str) -> Result<Table, Failure> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path)?;
    let names = reader.headers()?.iter().map(str::to_owned).collect();
    let rows = reader
        .records()
        .map(|record| Ok(record?.iter().map(str::to_owned).collect()))
        .collect::<Result<_, csv::Error>>()?;
    Ok((names, rows))
}

/// Prints how the findings compare with the truth, by kind and by column.
fn score(
    contract: &InferredContract,
    names: &[String],
    dirty: &[Vec<String>],
    clean: &[Vec<String>],
) {
    let mut wrong = BTreeSet::new();
    for (row, (dirty, clean)) in dirty.iter().zip(clean).enumerate() {
        wrong.extend(
            (0..dirty.len())
                .filter(|&at| dirty[at] != clean[at])
                .map(|at| (row as u64, at)),
        );
    }
    let mut by_kind: BTreeMap<FindingKind, BTreeSet<(u64, usize)>> = BTreeMap::new();
    for finding in &contract.findings {
        by_kind
            .entry(finding.kind)
            .or_default()
            .insert((finding.row, finding.column));
    }
    println!(
        "{:<28} {:>8} {:>8} {:>10} {:>8}",
        "cells", "called", "right", "precision", "recall"
    );
    let line = |what: &str, called: &BTreeSet<(u64, usize)>, wrong: &BTreeSet<(u64, usize)>| {
        let right = called.intersection(wrong).count();
        let share = |of: usize| {
            if of == 0 {
                "-".to_owned()
            } else {
                format!("{:.3}", right as f64 / of as f64)
            }
        };
        println!(
            "{what:<28} {:>8} {right:>8} {:>10} {:>8}",
            called.len(),
            share(called.len()),
            share(wrong.len())
        );
    };
    for (kind, called) in &by_kind {
        line(&format!("{kind:?}"), called, &wrong);
    }
    let union = |keep: &dyn Fn(FindingKind) -> bool| -> BTreeSet<(u64, usize)> {
        by_kind
            .iter()
            .filter(|(kind, _)| keep(**kind))
            .flat_map(|(_, cells)| cells.iter().copied())
            .collect()
    };
    line(
        "the contract",
        &union(&|kind| kind.is_enforced() && kind != FindingKind::NullWord),
        &wrong,
    );
    line(
        "... with null words",
        &union(&FindingKind::is_enforced),
        &wrong,
    );
    line(
        "... with remarks",
        &union(&|kind| kind != FindingKind::NullWord),
        &wrong,
    );
    line("everything", &union(&|_| true), &wrong);
    for (at, name) in names.iter().enumerate() {
        let of_column = |cells: &BTreeSet<(u64, usize)>| -> BTreeSet<(u64, usize)> {
            cells.iter().copied().filter(|cell| cell.1 == at).collect()
        };
        line(
            &format!("  {name}"),
            &of_column(&union(&|kind| kind != FindingKind::NullWord)),
            &of_column(&wrong),
        );
    }
}

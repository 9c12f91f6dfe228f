//! Judging a batch: coercion, `NOT NULL`, expectations, and the hashes of its keys.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Schema;
use tidegate_project::OnViolation;

use super::evaluate::evaluate;
use super::{Broken, Judged, Outcomes, TypeFailure};
use crate::coerce::coerce_column;
use crate::contract::field_named;
use crate::error::{GateError, Result};
use crate::gate::Gate;
use crate::incoming::Incoming;
use crate::keys::{NO_KEY, hash_keys};
use crate::repair::Repairs;

/// Judges every promise but that of the key; malformed rows are read in other ways if the gate repairs.
pub(crate) fn judge(gate: &Gate, incoming: Incoming) -> Result<Judged> {
    check_lengths(&incoming)?;
    let layout = incoming
        .layout
        .clone()
        .filter(|_| gate.options().repair && !incoming.malformed.is_empty());
    let mut judged = judge_rows(gate, incoming)?;
    if let Some(layout) = layout {
        judged.repairs = Repairs::prepare(gate, &layout, &judged.malformed, &judged.source)?;
    }
    Ok(judged)
}

/// Judges the rows that were cut into fields.
pub(crate) fn judge_rows(gate: &Gate, incoming: Incoming) -> Result<Judged> {
    let rows = incoming.columns.num_rows();
    let sources = sources(gate, &incoming.columns.schema());
    let mut type_failures = Vec::new();
    let coerced = coerce(gate, &incoming.columns, &sources, &mut type_failures)?;
    let mut judged = Judged {
        coerced,
        incoming: incoming.columns,
        sources,
        line: incoming.line,
        raw: incoming.raw,
        malformed: incoming.malformed,
        source: incoming.source,
        first_line: 0,
        outcomes: Outcomes::new(rows),
        type_failures,
        null_failures: Vec::new(),
        broken: Vec::new(),
        evaluated: vec![0; gate.expectations().len()],
        duplicates: Vec::new(),
        keys: Vec::new(),
        keys_admitted: false,
        repairs: None,
    };
    for failure in &judged.type_failures {
        judged
            .outcomes
            .add(failure.row as usize, OnViolation::Quarantine);
    }
    find_nulls(gate, &mut judged);
    find_broken(gate, &mut judged)?;
    find_keys(gate, &mut judged);
    Ok(judged)
}

fn check_lengths(incoming: &Incoming) -> Result<()> {
    let columns = incoming.columns.num_rows();
    let refuse = |found: usize, what| {
        Err(GateError::Length {
            source_name: incoming.source.to_string(),
            columns,
            found,
            what,
        })
    };
    if !incoming.line.is_empty() && incoming.line.len() != columns {
        return refuse(incoming.line.len(), "line numbers");
    }
    if let Some(raw) = incoming.raw.as_ref().filter(|raw| raw.len() != columns) {
        return refuse(raw.len(), "raw rows");
    }
    if columns > u32::MAX as usize {
        return refuse(columns, "rows, more than a batch may have");
    }
    Ok(())
}

/// For each column of the contract the incoming one of its name: exactly, or else in another case.
fn sources(gate: &Gate, schema: &Schema) -> Vec<Option<usize>> {
    let columns = gate.contract().columns.iter().enumerate();
    columns
        .map(|(place, column)| field_named(schema.fields(), &column.name, place))
        .collect()
}

fn coerce(
    gate: &Gate,
    incoming: &RecordBatch,
    sources: &[Option<usize>],
    failures: &mut Vec<TypeFailure>,
) -> Result<RecordBatch> {
    let contract = gate.contract();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(contract.columns.len());
    for (place, (column, source)) in contract.columns.iter().zip(sources).enumerate() {
        let Some(source) = source else {
            columns.push(new_null_array(&column.data_type, incoming.num_rows()));
            continue;
        };
        let coerced = coerce_column(
            incoming.column(*source),
            &column.data_type,
            &contract.coercion,
        )?;
        columns.push(coerced.array);
        failures.extend(coerced.failures.into_iter().map(|failure| TypeFailure {
            row: failure.row,
            column: place as u32,
            problem: failure.problem,
        }));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(incoming.num_rows()));
    let schema = Arc::clone(gate.judging_schema());
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

/// The rows whose value of a column did not coerce, in order.
fn failed_rows(failures: &[TypeFailure], column: usize) -> impl Iterator<Item = u32> {
    failures
        .iter()
        .filter(move |failure| failure.column as usize == column)
        .map(|failure| failure.row)
}

fn find_nulls(gate: &Gate, judged: &mut Judged) {
    for place in 0..gate.contract().columns.len() {
        let array = judged.coerced.column(place);
        if gate.contract().is_nullable(place) {
            continue;
        }
        let Some(nulls) = array.logical_nulls().filter(|nulls| nulls.null_count() > 0) else {
            continue;
        };
        let mut failed = failed_rows(&judged.type_failures, place).peekable();
        let missing = !nulls.inner();
        let rows: Vec<u32> = missing
            .set_indices_u32()
            .filter(|row| failed.next_if_eq(row).is_none())
            .collect();
        for row in &rows {
            judged.outcomes.add(*row as usize, gate.options().on_null);
        }
        if !rows.is_empty() {
            judged.null_failures.push((place, rows));
        }
    }
}

fn find_broken(gate: &Gate, judged: &mut Judged) -> Result<()> {
    let rows = judged.coerced.num_rows();
    for (place, expectation) in gate.expectations().iter().enumerate() {
        let (answers, errors) = evaluate(expectation, &judged.coerced)?;
        let mut skipped: Vec<u32> = expectation
            .columns
            .iter()
            .flat_map(|column| failed_rows(&judged.type_failures, *column))
            .collect();
        skipped.sort_unstable();
        skipped.dedup();
        judged.evaluated[place] = (rows - skipped.len()) as u64;
        let passing = passing(&answers);
        if passing.count_set_bits() == rows {
            continue;
        }
        let mut skipped = skipped.into_iter().peekable();
        let broken: Vec<u32> = (!&passing)
            .set_indices_u32()
            .filter(|row| {
                while skipped.next_if(|skip| skip < row).is_some() {}
                skipped.next_if_eq(row).is_none()
            })
            .collect();
        for row in &broken {
            judged.outcomes.add(*row as usize, expectation.on_violation);
        }
        if !broken.is_empty() {
            judged.broken.push(Broken {
                expectation: place,
                rows: broken,
                answers,
                errors,
            });
        }
    }
    Ok(())
}

/// TRUE, neither FALSE nor NULL.
fn passing(answers: &BooleanArray) -> BooleanBuffer {
    match answers.nulls() {
        Some(nulls) => answers.values() & nulls.inner(),
        None => answers.values().clone(),
    }
}

fn find_keys(gate: &Gate, judged: &mut Judged) {
    let key = &gate.contract().key;
    if key.is_empty() {
        return;
    }
    let columns: Vec<ArrayRef> = key
        .iter()
        .map(|place| Arc::clone(judged.coerced.column(*place)))
        .collect();
    judged.keys = hash_keys(&columns, judged.coerced.num_rows());
    // A value that failed is NULL in its column, so that its row has no key anyhow.
    debug_assert!(
        key.iter()
            .flat_map(|place| failed_rows(&judged.type_failures, *place))
            .all(|row| judged.keys[row as usize] == NO_KEY)
    );
}

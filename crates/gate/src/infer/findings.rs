//! The cells of the sample that the inferred contract, or the evidence for it, calls wrong.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::InferredColumn;
use super::constraints::{Promises, rows_with};
use super::dependencies::Found;
use super::null_words::NullWords;
use super::sample::{MISSING, Sample, SampleColumn};
use super::types::InferredType;

/// A cell that is called wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The row, from 0.
    pub row: u64,
    /// The column, from 0.
    pub column: usize,
    /// On what grounds.
    pub kind: FindingKind,
    /// The constraint's name, what was probably meant, or the deciding column.
    pub detail: String,
}

/// Grounds on which a cell is called wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// It is not of the declared type: the gate quarantines the row.
    Type,
    /// It is missing where it must not be: the gate quarantines the row.
    NotNull,
    /// Its key was seen before: the gate quarantines the row.
    DuplicateKey,
    /// It breaks a constraint: the gate quarantines the row.
    Constraint,
    /// It is a word for a missing value: the reader makes it NULL.
    NullWord,
    /// It contradicts what another column says: told in a remark.
    Dependency,
    /// It is probably a frequent value, miswritten: told in a remark.
    Slip,
    /// A unit is written in several ways: told in a remark.
    Unit,
}

impl FindingKind {
    /// Whether the contract itself acts on it, or only the remarks tell it.
    pub fn is_enforced(self) -> bool {
        !matches!(self, Self::Dependency | Self::Slip | Self::Unit)
    }
}

/// Collects the findings, by row.
pub(crate) fn collect(
    sample: &Sample,
    types: &[InferredType],
    columns: &[InferredColumn],
    null_words: &NullWords,
    promises: &Promises,
    dependencies: &[Found],
) -> Vec<Finding> {
    let mut findings = BTreeSet::new();
    let mut add = |row: usize, column: usize, kind: FindingKind, detail: &str| {
        findings.insert(Finding {
            row: row as u64,
            column,
            kind,
            detail: detail.to_owned(),
        });
    };
    for (at, column) in sample.columns.iter().enumerate() {
        rows_with(column, &types[at].trial).for_each(|row| add(row, at, FindingKind::Type, ""));
        null_words.rows[at]
            .iter()
            .for_each(|&row| add(row, at, FindingKind::NullWord, ""));
        if columns[at].not_null {
            let missing = column
                .rows
                .iter()
                .enumerate()
                .filter(|(_, code)| **code == MISSING);
            missing.for_each(|(row, _)| add(row, at, FindingKind::NotNull, ""));
        }
        if columns[at].primary_key {
            repeated(column).for_each(|row| add(row, at, FindingKind::DuplicateKey, ""));
        }
        mixed_units(column).for_each(|row| add(row, at, FindingKind::Unit, ""));
    }
    for (constraint, cells) in promises.constraints.iter().zip(&promises.broken) {
        cells
            .iter()
            .for_each(|&(column, row)| add(row, column, FindingKind::Constraint, &constraint.name));
    }
    for (column, row, meant) in &promises.slips {
        add(*row, *column, FindingKind::Slip, meant);
    }
    for found in dependencies.iter().filter(|found| found.strong) {
        let on: Vec<&str> = found
            .on
            .iter()
            .map(|&at| sample.columns[at].name.as_str())
            .collect();
        found
            .errors
            .iter()
            .for_each(|error| add(error.row, found.of, FindingKind::Dependency, &on.join(", ")));
    }
    findings.into_iter().collect()
}

/// Rows whose value was seen in a row before.
fn repeated(column: &SampleColumn) -> impl Iterator<Item = usize> {
    let mut seen = vec![false; column.values.len()];
    column
        .rows
        .iter()
        .enumerate()
        .filter(move |(_, code)| {
            **code != MISSING && std::mem::replace(&mut seen[**code as usize], true)
        })
        .map(|(row, _)| row)
}

/// Rows of a column of numbers with units, if the unit is written in several ways: then none is right.
fn mixed_units(column: &SampleColumn) -> impl Iterator<Item = usize> {
    use crate::profile::kind::{ValueKind, unit_of};
    let quantities = column.of_kind(|kind| kind == ValueKind::Quantity);
    let mut units: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, value) in column.present_values() {
        if let Some(unit) = unit_of(&value.text) {
            *units.entry(unit).or_insert(0) += value.count;
        }
    }
    let usual = units
        .values()
        .filter(|count| **count * 50 >= column.present())
        .count();
    let mixed = column.is_text()
        && quantities > 0
        && quantities * 10 >= column.present() * 8
        && (2..=12).contains(&usual);
    column
        .rows
        .iter()
        .enumerate()
        .filter(move |(_, code)| mixed && **code != MISSING)
        .map(|(row, _)| row)
}

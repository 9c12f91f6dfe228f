//! Inferring a contract: the streaming table a careful engineer would declare after looking at a sample.
//!
//! [`infer`] looks at batches, text or typed, and finds types, missing values, a key, accepted values,
//! formats, ranges, dependencies between columns, and values written into the wrong column. Each
//! promise comes with its evidence, and is made only where the rule in [`evidence`] allows it.
//! [`InferredContract::to_sql`] writes it down; [`InferredContract::findings`] are the cells of the
//! sample that it calls wrong.
//!
//! A contract inferred from a sample describes the sample. The evidence is there to be read.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;

mod categories;
mod constraints;
mod dependencies;
mod evidence;
mod findings;
mod formats;
mod keys;
mod merged;
mod names;
mod null_words;
mod ranges;
mod sample;
mod sql;
mod types;

pub use findings::{Finding, FindingKind};
pub use sql::SqlOptions;

use crate::profile::ProfileError;
use crate::profile::suspicion::{grouped, percent};
use evidence::Trial;
use sample::{MISSING, Sample, SampleColumn};
use types::InferredType;

#[cfg(test)]
mod tests;

/// How cautious to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InferOptions {
    /// The share of values that must keep a promise for it to be made: 0.99. Ten times the rest may
    /// break it if each of those values is rare.
    pub must_hold: f64,
    /// Most values an accepted list may have.
    pub accepted_values: usize,
    /// Whether to look for dependencies between columns.
    pub dependencies: bool,
}

impl Default for InferOptions {
    fn default() -> Self {
        Self {
            must_hold: 0.99,
            accepted_values: 30,
            dependencies: true,
        }
    }
}

/// A contract with the evidence for it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InferredContract {
    /// Rows of the sample.
    pub rows: u64,
    /// The columns, in the sample's order.
    pub columns: Vec<InferredColumn>,
    /// The promises, in the order of their columns.
    pub constraints: Vec<InferredConstraint>,
    /// What columns decide about each other.
    pub dependencies: Vec<Dependency>,
    /// Options the reader needs, such as `nullValue`.
    pub read_options: BTreeMap<String, String>,
    /// What else was seen and fits no constraint.
    pub remarks: Vec<String>,
    /// The cells of the sample that the contract, or the evidence for it, calls wrong.
    pub findings: Vec<Finding>,
}

/// A column of the contract.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InferredColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Whether a value must be there.
    pub not_null: bool,
    /// Whether it is the key.
    pub primary_key: bool,
    /// Why, one sentence each.
    pub evidence: Vec<String>,
}

/// A promise of the contract.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InferredConstraint {
    /// Its name, a plain identifier.
    pub name: String,
    /// What kind of promise.
    pub kind: ConstraintKind,
    /// The columns it reads.
    pub columns: Vec<String>,
    /// The SQL expression that must be true.
    pub expression: String,
    /// Why, one sentence each.
    pub evidence: Vec<String>,
    /// Rows of the sample that break it.
    pub broken: u64,
}

/// Kinds of promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ConstraintKind {
    /// One of a few values.
    AcceptedValues,
    /// A regular expression.
    Format,
    /// Between bounds.
    Range,
    /// Two columns not written into one.
    Merged,
}

/// One column, or two, deciding another.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Dependency {
    /// The deciding columns.
    pub on: Vec<String>,
    /// The decided column.
    pub of: String,
    /// Rows in which it could be tested.
    pub tested: u64,
    /// Rows that speak against it.
    pub against: u64,
}

impl Dependency {
    /// The share of rows in which it holds, 0 to 1.
    pub fn share(&self) -> f64 {
        1.0 - self.against as f64 / self.tested.max(1) as f64
    }
}

/// Infers a contract from a sample.
///
/// # Errors
/// If a column is of a type whose values cannot be written as text.
pub fn infer(
    sample: &[RecordBatch],
    options: &InferOptions,
) -> Result<InferredContract, ProfileError> {
    let mut sample = Sample::new(sample)?;
    let null_words = null_words::remove(&mut sample);
    let mut types: Vec<InferredType> = sample
        .columns
        .iter()
        .map(|column| type_of(column, options))
        .collect();
    let needs = reader_needs(&sample, &mut types);
    let dependencies = if options.dependencies {
        dependencies::find(&sample)
    } else {
        Vec::new()
    };
    let key = keys::find(&sample.columns, &types, sample.rows);
    let mut columns: Vec<InferredColumn> = sample
        .columns
        .iter()
        .zip(&types)
        .map(|(column, inferred)| describe(column, inferred, sample.rows))
        .collect();
    if let Some(key) = &key {
        let column = &mut columns[key.column];
        (column.primary_key, column.not_null) = (true, true);
        column.evidence.push(key.evidence.clone());
        for &other in &key.others {
            columns[other]
                .evidence
                .push("different in every row too, and no key by its name".to_owned());
        }
    }
    let mut promises = constraints::find(&sample, &columns, &types, &dependencies, options);
    let findings = findings::collect(
        &sample,
        &types,
        &columns,
        &null_words,
        &promises,
        &dependencies,
    );
    promises.remarks.splice(0..0, null_words.remark());
    let mut read_options = needs;
    read_options.extend(null_words.option());
    let named = |at: usize| sample.columns[at].name.clone();
    Ok(InferredContract {
        rows: sample.rows,
        dependencies: dependencies
            .iter()
            .filter(|found| found.strong)
            .map(|found| Dependency {
                on: found.on.iter().map(|&at| named(at)).collect(),
                of: named(found.of),
                tested: found.tested,
                against: found.against,
            })
            .collect(),
        columns,
        remarks: promises.remarks,
        constraints: promises.constraints,
        read_options,
        findings,
    })
}

/// Typed columns keep their type; text is looked at.
fn type_of(column: &SampleColumn, options: &InferOptions) -> InferredType {
    if column.is_text() {
        return types::infer(column, options.must_hold);
    }
    InferredType {
        data_type: column.data_type.clone(),
        evidence: Vec::new(),
        trial: Trial::default(),
        needs: Vec::new(),
    }
}

/// What the reader must be told. Its options hold for all columns; where two columns want different
/// ones, or a decimal comma would spoil plain numbers, the later columns stay text.
fn reader_needs(sample: &Sample, types: &mut [InferredType]) -> BTreeMap<String, String> {
    let plain = |inferred: &InferredType| {
        inferred.needs.is_empty()
            && matches!(
                inferred.data_type,
                DataType::Float64 | DataType::Decimal128(_, _)
            )
    };
    let has_plain = sample
        .columns
        .iter()
        .zip(types.iter())
        .any(|(column, inferred)| {
            plain(inferred)
                && column.is_text()
                && column.of_kind(|kind| kind == crate::profile::ValueKind::Decimal) > 0
        });
    let mut options = BTreeMap::new();
    for inferred in types {
        let decimal_comma = inferred
            .needs
            .iter()
            .any(|(name, _)| *name == "decimalSeparator");
        let differs = inferred
            .needs
            .iter()
            .any(|(name, value)| options.get(*name).is_some_and(|other| other != value));
        if differs || (decimal_comma && has_plain) {
            let remark = "written so that other columns could not be read with the same options: change it in the query";
            *inferred = InferredType {
                data_type: DataType::Utf8View,
                evidence: vec![remark.to_owned()],
                trial: Trial::default(),
                needs: Vec::new(),
            };
        }
        options.extend(
            inferred
                .needs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
    }
    options
}

/// A column with what was seen of its type and of its missing values.
fn describe(column: &SampleColumn, inferred: &InferredType, rows: u64) -> InferredColumn {
    let mut evidence = inferred.evidence.clone();
    let missing = column.rows.iter().filter(|code| **code == MISSING).count() as u64;
    let rare = missing > 0 && missing * 100 <= rows && names::key_rank(&column.name) > 0;
    if rare {
        evidence.push(format!(
            "missing in {} of {} rows, which will be quarantined",
            grouped(missing),
            grouped(rows)
        ));
    } else if missing > 0 && missing < rows {
        evidence.push(format!("{} missing", percent(missing as f64 / rows as f64)));
    } else if missing == rows && rows > 0 {
        evidence = vec!["no value in the whole sample".to_owned()];
    }
    InferredColumn {
        name: column.name.clone(),
        data_type: inferred.data_type.clone(),
        not_null: (missing == 0 || rare) && rows >= evidence::FEWEST,
        primary_key: false,
        evidence,
    }
}

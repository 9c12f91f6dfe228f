//! From a table's declaration to its gate: the contract's columns, the expectations compiled, the limits.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use tidegate_engine::CompiledExpression;
use tidegate_gate::{
    CoercionOptions, Gate, GateExpectation, GateOptions, OnViolation, Predicate, PredicateError,
};
use tidegate_project as project;
use tidegate_project::{COERCION, Diagnostic, Table};

use crate::catalog::contract;
use crate::codes;
use crate::error::{PipelineError, Result};
use crate::workspace::{Workspace, nearest};

/// An expectation as the gate wants it: compiled by the engine.
struct Compiled(CompiledExpression);

impl Predicate for Compiled {
    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, PredicateError> {
        self.0
            .evaluate(batch)
            .map_err(|error| PredicateError::new(error.to_string()))
    }
}

/// How a gate is to work, beyond what the table declares.
#[derive(Debug, Clone, Default)]
pub(crate) struct GateSettings {
    /// Options of coercion as the reader was given them; they stand above the table's properties.
    pub(crate) coercion: BTreeMap<String, String>,
    pub(crate) repair: bool,
    /// Whether a split names the line of each good row.
    pub(crate) positions: bool,
}

/// The gate of a table whose rows have these columns.
///
/// # Errors
/// When an expectation does not compile or the contract cannot be kept.
pub(crate) fn gate_of(
    workspace: &Workspace,
    table: &Table,
    schema: &SchemaRef,
    settings: &GateSettings,
) -> Result<Gate> {
    let mut contract = contract(table, schema);
    contract.coercion = coercion_of(table, &settings.coercion)?;
    let judged = contract.judging_schema();
    let mut expectations = Vec::with_capacity(table.expectations.len());
    for expectation in &table.expectations {
        let compiled = workspace.engine()?.predicate(
            &expectation.expression,
            Arc::clone(&judged),
            workspace.files(),
        )?;
        expectations.push(GateExpectation {
            name: expectation.name.as_str().into(),
            text: expectation.expression.text.as_str().into(),
            columns: compiled.columns().to_vec(),
            predicate: Arc::new(Compiled(compiled)),
            on_violation: outcome(expectation.on_violation),
        });
    }
    let options = GateOptions {
        repair: settings.repair,
        positions: settings.positions,
        ..GateOptions::default()
    };
    Ok(Gate::new(contract, expectations, options)?)
}

/// How the values of a table are read: as its properties say, but for what the reader was told (`given`).
///
/// # Errors
/// A diagnostic at the table for a property that is unknown or has a value it cannot have.
pub(crate) fn coercion_of(
    table: &Table,
    given: &BTreeMap<String, String>,
) -> Result<CoercionOptions> {
    let mistake = |message: String, help: String| {
        let diagnostic = Diagnostic::error(codes::OPTION, message);
        let told = diagnostic
            .at(table.place, "in the properties of this table")
            .help(help);
        PipelineError::Diagnostics(vec![told])
    };
    let mut options = BTreeMap::new();
    for (key, value) in &table.properties {
        let lower = key.to_ascii_lowercase();
        let Some(name) = lower.strip_prefix(COERCION) else {
            continue;
        };
        if !CoercionOptions::names().any(|known| known.eq_ignore_ascii_case(name)) {
            let known: Vec<String> = CoercionOptions::names()
                .map(|known| format!("{COERCION}{known}"))
                .collect();
            let help = match nearest(key, known) {
                Some(near) => format!("did you mean '{near}'?"),
                None => "docs/gate.md lists the options of coercion".to_owned(),
            };
            return Err(mistake(format!("Tidegate has no property '{key}'"), help));
        }
        options.insert(name.to_owned(), value.clone());
    }
    options.extend(
        given
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone())),
    );
    CoercionOptions::from_options(&options).map_err(|error| {
        let help = "docs/gate.md says what each option can be".to_owned();
        mistake(error.to_string(), help)
    })
}

fn outcome(declared: project::OnViolation) -> OnViolation {
    match declared {
        project::OnViolation::Keep => OnViolation::Keep,
        project::OnViolation::DropRow => OnViolation::DropRow,
        project::OnViolation::FailUpdate => OnViolation::FailUpdate,
        project::OnViolation::Quarantine => OnViolation::Quarantine,
    }
}

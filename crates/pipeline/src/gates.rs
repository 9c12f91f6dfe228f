//! From a table's declaration to its gate: the contract's columns, the expectations compiled, the limits.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use tidegate_engine::CompiledExpression;
use tidegate_gate::{
    CoercionOptions, Gate, GateExpectation, GateOptions, OnViolation, Predicate, PredicateError,
};
use tidegate_project as project;
use tidegate_project::Table;

use crate::catalog::contract;
use crate::error::Result;
use crate::workspace::Workspace;

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
    pub(crate) coercion: CoercionOptions,
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
    contract.coercion = settings.coercion.clone();
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

fn outcome(declared: project::OnViolation) -> OnViolation {
    match declared {
        project::OnViolation::Keep => OnViolation::Keep,
        project::OnViolation::DropRow => OnViolation::DropRow,
        project::OnViolation::FailUpdate => OnViolation::FailUpdate,
        project::OnViolation::Quarantine => OnViolation::Quarantine,
    }
}

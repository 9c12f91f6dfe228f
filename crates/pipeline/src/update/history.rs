//! What an update leaves in the run history.

use std::collections::BTreeMap;

use tidegate_store::{
    ExpectationOutcome, ExpectationResult, FlowRun, FlowStatus, LineageEdge, LineageKind, RunId,
    Store,
};

use super::Update;
use crate::error::Result;
use crate::lineage::LineageGraph;
use crate::report::{Outcome, TableReport};

/// Writes one record a table, and one an expectation that rows met or broke.
pub(crate) async fn record(
    store: &Store,
    run: &RunId,
    started_micros: i64,
    tables: &[TableReport],
) -> Result<()> {
    let flows: Vec<FlowRun> = tables
        .iter()
        .filter(|table| table.outcome != Outcome::Defined)
        .map(|table| flow(run, started_micros, table))
        .collect();
    store.record_flows(&flows).await?;
    let expectations: Vec<ExpectationResult> = tables
        .iter()
        .flat_map(|table| expectations(run, table))
        .collect();
    store.record_expectations(&expectations).await?;
    Ok(())
}

fn flow(run: &RunId, started_micros: i64, table: &TableReport) -> FlowRun {
    let (status, skipped_reason, error) = match &table.outcome {
        Outcome::Refreshed | Outcome::Defined => (FlowStatus::Succeeded, None, None),
        Outcome::Skipped => (
            FlowStatus::Skipped,
            Some("nothing it reads has moved".to_owned()),
            None,
        ),
        Outcome::Blocked { by } => (
            FlowStatus::Skipped,
            Some(format!("table {by} failed")),
            None,
        ),
        Outcome::Failed { error } => (
            FlowStatus::Failed,
            None,
            Some(serde_json::json!({ "message": error })),
        ),
    };
    FlowRun {
        status,
        seconds: table.seconds,
        rows_in: table.rows_in,
        good: table.good,
        repaired: table.repaired,
        quarantined: table.quarantined,
        dropped: table.dropped,
        kept_failed: table
            .reasons
            .iter()
            .filter(|reason| reason.outcome == "kept")
            .map(|reason| reason.rows)
            .sum(),
        bytes: table.bytes,
        skipped_reason,
        error,
        ..FlowRun::started(
            run,
            table.table.as_str(),
            table.table.as_str(),
            started_micros,
        )
    }
}

/// One record a promise. The history knows promises by name; those of several columns are added up.
fn expectations(run: &RunId, table: &TableReport) -> Vec<ExpectationResult> {
    let mut results: BTreeMap<&str, ExpectationResult> = BTreeMap::new();
    for promise in &table.promises {
        let result = results
            .entry(&promise.constraint)
            .or_insert_with(|| ExpectationResult {
                run: run.clone(),
                table: table.table.clone(),
                constraint: promise.constraint.clone(),
                passed: 0,
                failed: 0,
                outcome: match promise.outcome.as_str() {
                    "kept" => ExpectationOutcome::Keep,
                    "dropped" => ExpectationOutcome::DropRow,
                    "failed" => ExpectationOutcome::FailUpdate,
                    _ => ExpectationOutcome::Quarantine,
                },
            });
        result.passed += promise.passed;
        result.failed += promise.rows;
    }
    results.into_values().collect()
}

/// Replaces the lineage that leads to the tables which this update refreshed.
pub(crate) async fn record_lineage(
    store: &Store,
    update: &Update<'_>,
    tables: &[TableReport],
) -> Result<()> {
    let refreshed: Vec<&str> = tables
        .iter()
        .filter(|table| matches!(table.outcome, Outcome::Refreshed | Outcome::Defined))
        .map(|table| table.table.as_str())
        .collect();
    if refreshed.is_empty() {
        return Ok(());
    }
    let graph = LineageGraph::of(update.workspace, &update.catalog);
    let columns = graph.columns.into_iter().map(|edge| LineageEdge {
        from_table: edge.from_table,
        from_column: Some(edge.from_column),
        to_table: edge.to_table,
        to_column: Some(edge.to_column),
        kind: match edge.kind {
            "copied" => LineageKind::Copied,
            "derived" => LineageKind::Derived,
            _ => LineageKind::Condition,
        },
    });
    let whole = graph.tables.into_iter().map(|edge| LineageEdge {
        from_table: edge.from,
        from_column: None,
        to_table: edge.to,
        to_column: None,
        kind: LineageKind::Derived,
    });
    let edges: Vec<LineageEdge> = columns
        .chain(whole)
        .filter(|edge| refreshed.contains(&edge.to_table.as_str()))
        .collect();
    store.replace_lineage(&refreshed, &edges).await?;
    Ok(())
}

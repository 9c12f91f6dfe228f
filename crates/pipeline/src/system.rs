//! `system.*`: Tidegate's own records as tables.
//!
//! Each table is one entry of [`TABLES`]: its columns, and how its rows are gathered. Rows are gathered when a query
//! names the table, so they are as fresh as the query.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use futures::future::BoxFuture;
use tidegate_project::TableName;

use crate::error::Result;
use crate::workspace::Workspace;

/// How many runs, and records of runs, are shown: the newest.
const RECORDS_MAX: u32 = 100_000;

/// One table of `system`.
struct SystemTable {
    name: &'static str,
    columns: &'static [(&'static str, Kind)],
    rows: for<'a> fn(&'a Workspace) -> BoxFuture<'a, Result<Vec<ArrayRef>>>,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Count,
    Seconds,
    Time,
    Truth,
}

/// All of them, by name.
const TABLES: &[SystemTable] = &[
    SystemTable {
        name: "expectations",
        columns: &[
            ("run", Kind::Text),
            ("table", Kind::Text),
            ("constraint", Kind::Text),
            ("passed", Kind::Count),
            ("failed", Kind::Count),
            ("outcome", Kind::Text),
        ],
        rows: |workspace| Box::pin(expectations(workspace)),
    },
    SystemTable {
        name: "files",
        columns: &[
            ("table", Kind::Text),
            ("flow", Kind::Text),
            ("path", Kind::Text),
            ("bytes_read", Kind::Count),
            ("size", Kind::Count),
            ("modified", Kind::Time),
        ],
        rows: |workspace| Box::pin(files(workspace)),
    },
    SystemTable {
        name: "flows",
        columns: &[
            ("run", Kind::Text),
            ("table", Kind::Text),
            ("status", Kind::Text),
            ("started", Kind::Time),
            ("seconds", Kind::Seconds),
            ("rows_in", Kind::Count),
            ("good", Kind::Count),
            ("repaired", Kind::Count),
            ("quarantined", Kind::Count),
            ("dropped", Kind::Count),
            ("kept_failed", Kind::Count),
            ("bytes", Kind::Count),
            ("skipped_reason", Kind::Text),
            ("error", Kind::Text),
        ],
        rows: |workspace| Box::pin(flows(workspace)),
    },
    SystemTable {
        name: "lineage",
        columns: &[
            ("from_table", Kind::Text),
            ("from_column", Kind::Text),
            ("to_table", Kind::Text),
            ("to_column", Kind::Text),
            ("kind", Kind::Text),
        ],
        rows: |workspace| Box::pin(lineage(workspace)),
    },
    SystemTable {
        name: "quarantine",
        columns: &[
            ("table", Kind::Text),
            ("state", Kind::Text),
            ("constraint", Kind::Text),
            ("column", Kind::Text),
            ("rows", Kind::Count),
        ],
        rows: |workspace| Box::pin(quarantine(workspace)),
    },
    SystemTable {
        name: "runs",
        columns: &[
            ("run", Kind::Text),
            ("kind", Kind::Text),
            ("status", Kind::Text),
            ("started", Kind::Time),
            ("ended", Kind::Time),
            ("seconds", Kind::Seconds),
            ("error", Kind::Text),
        ],
        rows: |workspace| Box::pin(runs(workspace)),
    },
    SystemTable {
        name: "streams",
        columns: &[
            ("table", Kind::Text),
            ("flow", Kind::Text),
            ("status", Kind::Text),
            ("rows", Kind::Count),
            ("rows_per_second", Kind::Seconds),
            ("rows_total", Kind::Count),
            ("lag", Kind::Count),
            ("lag_by_partition", Kind::Text),
            ("watermark", Kind::Time),
            ("state_rows", Kind::Count),
            ("state_bytes", Kind::Count),
            ("late", Kind::Count),
            ("quarantined", Kind::Count),
            ("epoch", Kind::Count),
            ("updated", Kind::Time),
        ],
        rows: |workspace| Box::pin(streams(workspace)),
    },
    SystemTable {
        name: "tables",
        columns: &[
            ("table", Kind::Text),
            ("kind", Kind::Text),
            ("private", Kind::Truth),
            ("version", Kind::Count),
            ("rows", Kind::Count),
            ("bytes", Kind::Count),
            ("files", Kind::Count),
            ("comment", Kind::Text),
        ],
        rows: |workspace| Box::pin(tables(workspace)),
    },
];

fn find(name: &TableName) -> Option<&'static SystemTable> {
    let system = name
        .schema()
        .is_some_and(|schema| schema.eq_ignore_ascii_case("system"));
    TABLES
        .iter()
        .find(|table| system && table.name.eq_ignore_ascii_case(name.name()))
}

/// The names of all system tables, qualified.
pub(crate) fn names() -> impl Iterator<Item = String> {
    TABLES.iter().map(|table| format!("system.{}", table.name))
}

/// The columns of a system table; none for any other name.
pub(crate) fn schema(name: &TableName) -> Option<SchemaRef> {
    let fields = find(name)?.columns.iter().map(|(name, kind)| {
        let data_type = match kind {
            Kind::Text => DataType::Utf8View,
            Kind::Count => DataType::Int64,
            Kind::Seconds => DataType::Float64,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Truth => DataType::Boolean,
        };
        Field::new(*name, data_type, true)
    });
    Some(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// A system table with its rows of now.
pub(crate) async fn provider(
    workspace: &Workspace,
    name: &TableName,
) -> Result<Arc<dyn TableProvider>> {
    let (Some(table), Some(schema)) = (find(name), schema(name)) else {
        return Err(crate::PipelineError::UnknownTable {
            name: name.to_string(),
            nearest: None,
        });
    };
    let columns = (table.rows)(workspace).await?;
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}

fn text<T: AsRef<str>>(values: impl IntoIterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringViewArray>())
}

fn count(values: impl IntoIterator<Item = Option<u64>>) -> ArrayRef {
    let values = values
        .into_iter()
        .map(|value| value.and_then(|value| i64::try_from(value).ok()));
    Arc::new(values.collect::<Int64Array>())
}

fn seconds(values: impl IntoIterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Float64Array>())
}

fn time(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(
        values
            .into_iter()
            .collect::<TimestampMicrosecondArray>()
            .with_timezone("UTC"),
    )
}

async fn runs(workspace: &Workspace) -> Result<Vec<ArrayRef>> {
    let runs = workspace.store().await?.list_runs(RECORDS_MAX).await?;
    Ok(vec![
        text(runs.iter().map(|run| Some(run.id.as_str()))),
        text(runs.iter().map(|run| Some(run.kind.as_str()))),
        text(runs.iter().map(|run| Some(run.status.as_str()))),
        time(runs.iter().map(|run| Some(run.started_micros))),
        time(runs.iter().map(|run| run.ended_micros)),
        seconds(runs.iter().map(tidegate_store::Run::seconds)),
        text(
            runs.iter()
                .map(|run| run.error.as_ref().map(ToString::to_string)),
        ),
    ])
}

async fn streams(workspace: &Workspace) -> Result<Vec<ArrayRef>> {
    let streams = crate::streams::read(workspace)?;
    let whole = |value: i64| u64::try_from(value).ok();
    Ok(vec![
        text(streams.iter().map(|stream| Some(stream.table.as_str()))),
        text(streams.iter().map(|stream| Some(stream.flow.as_str()))),
        text(streams.iter().map(|stream| Some(stream.status.as_str()))),
        count(streams.iter().map(|stream| whole(stream.rows))),
        seconds(streams.iter().map(|stream| Some(stream.rows_per_second))),
        count(streams.iter().map(|stream| whole(stream.rows_total))),
        count(streams.iter().map(|stream| {
            let lag = stream.lag.values().sum();
            (!stream.lag.is_empty()).then_some(lag).and_then(whole)
        })),
        text(streams.iter().map(|stream| {
            let lag = stream.lag.iter();
            let lag: Vec<String> = lag.map(|(name, left)| format!("{name}: {left}")).collect();
            (!lag.is_empty()).then(|| lag.join(", "))
        })),
        time(streams.iter().map(|stream| stream.watermark)),
        count(streams.iter().map(|stream| whole(stream.state_rows))),
        count(streams.iter().map(|stream| whole(stream.state_bytes))),
        count(streams.iter().map(|stream| whole(stream.late))),
        count(streams.iter().map(|stream| whole(stream.quarantined))),
        count(streams.iter().map(|stream| stream.epoch.and_then(whole))),
        time(streams.iter().map(|stream| Some(stream.updated_ms * 1_000))),
    ])
}

async fn flows(workspace: &Workspace) -> Result<Vec<ArrayRef>> {
    let flows = workspace.store().await?.list_flows(RECORDS_MAX).await?;
    Ok(vec![
        text(flows.iter().map(|flow| Some(flow.run.as_str()))),
        text(flows.iter().map(|flow| Some(flow.table.as_str()))),
        text(flows.iter().map(|flow| Some(flow.status.as_str()))),
        time(flows.iter().map(|flow| Some(flow.started_micros))),
        seconds(flows.iter().map(|flow| Some(flow.seconds))),
        count(flows.iter().map(|flow| Some(flow.rows_in))),
        count(flows.iter().map(|flow| Some(flow.good))),
        count(flows.iter().map(|flow| Some(flow.repaired))),
        count(flows.iter().map(|flow| Some(flow.quarantined))),
        count(flows.iter().map(|flow| Some(flow.dropped))),
        count(flows.iter().map(|flow| Some(flow.kept_failed))),
        count(flows.iter().map(|flow| Some(flow.bytes))),
        text(flows.iter().map(|flow| flow.skipped_reason.as_deref())),
        text(
            flows
                .iter()
                .map(|flow| flow.error.as_ref().map(ToString::to_string)),
        ),
    ])
}

async fn expectations(workspace: &Workspace) -> Result<Vec<ArrayRef>> {
    let results = workspace
        .store()
        .await?
        .list_expectations(RECORDS_MAX)
        .await?;
    Ok(vec![
        text(results.iter().map(|result| Some(result.run.as_str()))),
        text(results.iter().map(|result| Some(result.table.as_str()))),
        text(
            results
                .iter()
                .map(|result| Some(result.constraint.as_str())),
        ),
        count(results.iter().map(|result| Some(result.passed))),
        count(results.iter().map(|result| Some(result.failed))),
        text(results.iter().map(|result| Some(result.outcome.as_str()))),
    ])
}

async fn lineage(workspace: &Workspace) -> Result<Vec<ArrayRef>> {
    let edges = workspace.store().await?.lineage().await?;
    Ok(vec![
        text(edges.iter().map(|edge| Some(edge.from_table.as_str()))),
        text(edges.iter().map(|edge| edge.from_column.as_deref())),
        text(edges.iter().map(|edge| Some(edge.to_table.as_str()))),
        text(edges.iter().map(|edge| edge.to_column.as_deref())),
        text(edges.iter().map(|edge| Some(edge.kind.as_str()))),
    ])
}

async fn files(workspace: &Workspace) -> Result<Vec<ArrayRef>> {
    let lake = workspace.lake().await?;
    let mut rows = Vec::new();
    for flow in &workspace.project.flows {
        let id = tidegate_lake::FlowId::new(flow.name.key());
        let Some(table) = lake.table(&flow.target).await? else {
            continue;
        };
        let positions = lake.flow_log(&id).positions(table.flow_epoch(&id)).await?;
        for (path, position) in positions.files.into_values().flatten() {
            rows.push((
                flow.target.to_string(),
                flow.name.to_string(),
                path,
                position,
            ));
        }
    }
    Ok(vec![
        text(rows.iter().map(|row| Some(row.0.as_str()))),
        text(rows.iter().map(|row| Some(row.1.as_str()))),
        text(rows.iter().map(|row| Some(row.2.as_str()))),
        count(rows.iter().map(|row| Some(row.3.to))),
        count(rows.iter().map(|row| Some(row.3.size))),
        time(
            rows.iter()
                .map(|row| Some(row.3.modified_ms.saturating_mul(1_000))),
        ),
    ])
}

async fn tables(workspace: &Workspace) -> Result<Vec<ArrayRef>> {
    let lake = workspace.lake().await?;
    let mut rows = Vec::new();
    for table in &workspace.project.tables {
        let stored = lake.table(&table.name).await?;
        let (mut count, mut bytes, mut files) = (None, None, None);
        if let Some(stored) = &stored {
            (count, bytes) = (stored.rows().await?, Some(stored.bytes().await?));
            files = Some(stored.files().await?.len() as u64);
        }
        rows.push((
            table,
            stored.map(|stored| stored.version()),
            count,
            bytes,
            files,
        ));
    }
    Ok(vec![
        text(rows.iter().map(|row| Some(row.0.name.to_string()))),
        text(rows.iter().map(|row| Some(row.0.kind.describe()))),
        Arc::new(BooleanArray::from_iter(
            rows.iter().map(|row| Some(row.0.private)),
        )),
        count(rows.iter().map(|row| row.1)),
        count(rows.iter().map(|row| row.2)),
        count(rows.iter().map(|row| row.3)),
        count(rows.iter().map(|row| row.4)),
        text(rows.iter().map(|row| row.0.comment.as_deref())),
    ])
}

async fn quarantine(workspace: &Workspace) -> Result<Vec<ArrayRef>> {
    let summaries = workspace.quarantine_list().await?;
    let rows: Vec<_> = summaries
        .iter()
        .flat_map(|summary| summary.reasons.iter().map(move |reason| (summary, reason)))
        .collect();
    Ok(vec![
        text(rows.iter().map(|(summary, _)| Some(summary.table.as_str()))),
        text(rows.iter().map(|(_, reason)| Some(reason.outcome.as_str()))),
        text(
            rows.iter()
                .map(|(_, reason)| Some(reason.constraint.as_str())),
        ),
        text(rows.iter().map(|(_, reason)| reason.column.as_deref())),
        count(rows.iter().map(|(_, reason)| Some(reason.rows))),
    ])
}

//! What the tests of this crate share: a lake in a temporary folder, small batches, and rows back.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;
use tempfile::TempDir;
use tidegate_project::TableName;

use crate::{
    Commit, CommitMode, Committed, DataFile, FlowStep, Lake, LakeError, LakeTable, TableSpec,
};

/// A lake in a folder that goes when the test ends.
pub(crate) async fn lake() -> (TempDir, Lake) {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder).await;
    (folder, lake)
}

/// The lake of a folder, as another process would open it.
pub(crate) async fn open(folder: &TempDir) -> Lake {
    Lake::open(folder.path().to_str().unwrap(), &BTreeMap::new())
        .await
        .unwrap()
}

/// Rows of `id` and `name`.
pub(crate) fn people(rows: &[(i64, &str)]) -> RecordBatch {
    let ids = Int64Array::from_iter_values(rows.iter().map(|(id, _)| *id));
    let names = StringViewArray::from_iter_values(rows.iter().map(|(_, name)| *name));
    batch([("id", Arc::new(ids) as ArrayRef), ("name", Arc::new(names))])
}

pub(crate) fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
        .unwrap()
}

/// A table of the columns of a batch.
pub(crate) fn spec(name: &str, batch: &RecordBatch) -> TableSpec {
    TableSpec::new(TableName::plain(name), batch.schema())
}

pub(crate) fn name(name: &str) -> TableName {
    TableName::plain(name)
}

/// Writes rows into files.
pub(crate) async fn write(
    lake: &Lake,
    spec: &TableSpec,
    mode: &CommitMode,
    batches: &[RecordBatch],
) -> Result<Vec<DataFile>, LakeError> {
    let mut writer = lake.write_plan(spec, mode).await?.writer();
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()
}

/// Writes and commits rows.
pub(crate) async fn commit(
    lake: &Lake,
    spec: &TableSpec,
    mode: CommitMode,
    batch: &RecordBatch,
    step: Option<FlowStep>,
) -> Result<Committed, LakeError> {
    let files = write(lake, spec, &mode, std::slice::from_ref(batch)).await?;
    let commit = Commit {
        mode,
        step,
        ..Commit::append(spec.clone(), files, "run-1")
    };
    lake.commit(commit).await
}

/// Appends rows to a table of their columns.
pub(crate) async fn append(lake: &Lake, table: &str, batch: &RecordBatch) -> Committed {
    commit(lake, &spec(table, batch), CommitMode::Append, batch, None)
        .await
        .unwrap()
}

pub(crate) fn step(epoch: u64, predecessor: Option<u64>) -> FlowStep {
    FlowStep {
        flow: "flow".into(),
        epoch,
        predecessor,
    }
}

/// The answer to a query over `t`, as DataFusion prints it.
pub(crate) async fn query(provider: Arc<dyn TableProvider>, sql: &str) -> String {
    let batches = run(provider, sql).await;
    pretty_format_batches(&batches).unwrap().to_string()
}

pub(crate) async fn run(provider: Arc<dyn TableProvider>, sql: &str) -> Vec<RecordBatch> {
    let session = SessionContext::new();
    session.register_table("t", provider).unwrap();
    session.sql(sql).await.unwrap().collect().await.unwrap()
}

/// The physical plan of a query over `t`.
pub(crate) async fn plan(provider: Arc<dyn TableProvider>, sql: &str) -> String {
    let session = SessionContext::new();
    session.register_table("t", provider).unwrap();
    let plan = session
        .sql(sql)
        .await
        .unwrap()
        .create_physical_plan()
        .await
        .unwrap();
    datafusion::physical_plan::displayable(plan.as_ref())
        .indent(true)
        .to_string()
}

/// The names in a table of people, by id.
pub(crate) async fn names(table: &LakeTable) -> Vec<String> {
    names_of(table.provider()).await
}

pub(crate) async fn names_of(provider: Arc<dyn TableProvider>) -> Vec<String> {
    let batches = run(provider, "SELECT name FROM t ORDER BY id, name").await;
    let mut names = Vec::new();
    for batch in &batches {
        let column = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8View);
        let column = column.unwrap();
        let column = column.as_any().downcast_ref::<StringViewArray>().unwrap();
        names.extend(column.iter().map(|name| name.unwrap_or("NULL").to_owned()));
    }
    names
}

/// The data files that lie in a folder, whether or not a table has them.
pub(crate) fn data_files(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("_delta_log") {
            found.extend(data_files(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "parquet")
        {
            found.push(path.display().to_string());
        }
    }
    found.sort();
    found
}

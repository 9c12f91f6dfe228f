//! How the rows of a table changed from version to version, with the columns of Delta's change data feed.
//!
//! A version that only appends gives its rows as they are. Of one that took files away, the rows of these files are
//! compared with those of the files that came, as sets in which a row may be more than once: what is in both was only
//! written anew. So a table need not have been written with change data (`delta.enableChangeDataFeed`); but the files
//! that a version took away must still be there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::row::{RowConverter, SortField};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::TableType;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{
    ExecutionPlan, SendableRecordBatchStream, collect, execute_stream,
};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::error::LakeError;
use crate::log::read_commit;
use crate::provider::LakeProvider;
use crate::table::{LakeTable, TableFile};

/// The column that says what happened: `insert`, `update_preimage`, `update_postimage` or `delete`.
pub const CHANGE_TYPE: &str = "_change_type";
/// The column of the version in which it happened.
pub const COMMIT_VERSION: &str = "_commit_version";
/// The column of the time at which that version was committed.
pub const COMMIT_TIMESTAMP: &str = "_commit_timestamp";

const INSERT: &str = "insert";
const DELETE: &str = "delete";
const BEFORE: &str = "update_preimage";
const AFTER: &str = "update_postimage";

/// The columns of the changes of a table: its own, and those of Delta's change data feed.
#[must_use]
pub fn change_schema(table: &Schema) -> SchemaRef {
    let mut fields: Vec<_> = table.fields().iter().cloned().collect();
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    fields.extend([
        Arc::new(Field::new(CHANGE_TYPE, DataType::Utf8View, false)),
        Arc::new(Field::new(COMMIT_VERSION, DataType::Int64, false)),
        Arc::new(Field::new(COMMIT_TIMESTAMP, time, true)),
    ]);
    Arc::new(Schema::new(fields))
}

/// What one version did.
#[derive(Debug)]
struct Step {
    version: u64,
    committed_ms: Option<i64>,
    /// The files that came; `None`: all of the version.
    added: Option<Vec<Arc<TableFile>>>,
    removed: Vec<Arc<TableFile>>,
}

/// The changes of a table, as a table of DataFusion.
#[derive(Debug)]
struct ChangeFeed {
    table: LakeTable,
    steps: Vec<Step>,
    key: Vec<String>,
    schema: SchemaRef,
}

/// The changes after a version, up to that of the table; without one, all rows as inserts.
///
/// # Errors
/// As [`LakeTable::changes_since`].
pub(crate) async fn changes_since(
    table: &LakeTable,
    since: Option<u64>,
    key: &[String],
) -> Result<Arc<dyn TableProvider>, LakeError> {
    let steps = match since {
        None => vec![Step {
            version: table.version(),
            committed_ms: Some(table.committed_ms()),
            added: None,
            removed: Vec::new(),
        }],
        Some(since) => steps(table, since).await?,
    };
    let own = LakeProvider::table(table.clone());
    Ok(Arc::new(ChangeFeed {
        table: table.clone(),
        steps,
        key: key.to_vec(),
        schema: change_schema(&own.schema()),
    }))
}

async fn steps(table: &LakeTable, since: u64) -> Result<Vec<Step>, LakeError> {
    let place = &table.inner().place;
    let commits = futures::stream::iter(since + 1..=table.version())
        .map(|version| async move { Ok((version, read_commit(place, version).await?)) })
        .buffered(16);
    let mut commits = std::pin::pin!(commits);
    let mut steps = Vec::new();
    while let Some((version, lines)) = commits.try_next().await? {
        let Some(lines) = lines else {
            return Err(LakeError::LogGone {
                table: table.name().key(),
                since,
                version,
            });
        };
        let info = lines.iter().find_map(|line| line.commit_info.as_ref());
        let committed_ms = info.and_then(|info| info.in_commit_timestamp.or(info.timestamp));
        let (mut added, mut gone) = (Vec::new(), Vec::new());
        for line in lines {
            if let Some(add) = line.add.filter(|add| add.data_change) {
                added.push(Arc::new(TableFile::new(add)));
            }
            if let Some(remove) = line.remove.filter(|remove| remove.data_change) {
                gone.push(remove.path);
            }
        }
        let removed = match gone.is_empty() {
            true => Vec::new(),
            false => files_of(table, version - 1, &gone).await?,
        };
        if !added.is_empty() || !removed.is_empty() {
            steps.push(Step {
                version,
                committed_ms,
                added: Some(added),
                removed,
            });
        }
    }
    Ok(steps)
}

/// Files of a version by their paths: what the log says of a file that goes need not be all that is known of it.
async fn files_of(
    table: &LakeTable,
    version: u64,
    paths: &[String],
) -> Result<Vec<Arc<TableFile>>, LakeError> {
    let before = table.at(crate::AsOf::Version(version)).await?;
    let wanted: HashSet<&str> = paths.iter().map(String::as_str).collect();
    let mut files = before.files().await?;
    files.retain(|file| wanted.contains(file.path()));
    Ok(files)
}

#[async_trait]
impl TableProvider for ChangeFeed {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut parts = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let rows = |files: Vec<Arc<TableFile>>| LakeProvider::files(self.table.clone(), files);
            let added = match &step.added {
                Some(files) => rows(files.clone()),
                None => LakeProvider::table(self.table.clone()),
            };
            let removed = match step.removed.as_slice() {
                [] => None,
                files => Some(rows(files.to_vec()).scan(state, None, &[], None).await?),
            };
            parts.push(Part {
                added: added.scan(state, None, &[], None).await?,
                removed,
                version: i64::try_from(step.version).unwrap_or(i64::MAX),
                committed_micros: step.committed_ms.map(|ms| ms.saturating_mul(1_000)),
                table: self.table.name().key().into(),
            });
        }
        let partition = Parts {
            parts,
            key: self.key.clone(),
            schema: Arc::clone(&self.schema),
        };
        let exec = StreamingTableExec::try_new(
            Arc::clone(&self.schema),
            vec![Arc::new(partition)],
            projection,
            Vec::new(),
            false,
            limit,
        )?;
        Ok(Arc::new(exec))
    }
}

/// All that changed, one version after the other.
#[derive(Debug)]
struct Parts {
    parts: Vec<Part>,
    key: Vec<String>,
    schema: SchemaRef,
}

/// The rows that one version took away and brought.
#[derive(Debug, Clone)]
struct Part {
    added: Arc<dyn ExecutionPlan>,
    removed: Option<Arc<dyn ExecutionPlan>>,
    version: i64,
    committed_micros: Option<i64>,
    table: Arc<str>,
}

impl PartitionStream for Parts {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (schema, key) = (Arc::clone(&self.schema), self.key.clone());
        let changes = futures::stream::iter(self.parts.clone())
            .then(move |part| {
                let (schema, key, context) = (schema.clone(), key.clone(), Arc::clone(&context));
                async move { part.changes(schema, &key, context).await }
            })
            .try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            changes,
        ))
    }
}

impl Part {
    /// What the version changed. Only the rows of one version are in memory, and of one that only appends none.
    async fn changes(
        self,
        schema: SchemaRef,
        key: &[String],
        context: Arc<TaskContext>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let Some(removed) = self.removed.clone() else {
            let rows = execute_stream(Arc::clone(&self.added), context)?;
            let told = rows.map(move |rows| {
                let rows = rows?;
                let types =
                    StringViewArray::from_iter_values(std::iter::repeat_n(INSERT, rows.num_rows()));
                self.told(&rows, types, &schema)
            });
            return Ok(told.boxed());
        };
        let own = removed.schema();
        let gone = collect(removed, Arc::clone(&context)).await;
        let gone = gone.map_err(|error| {
            error.context(format!(
                "reading what version {} of table {} took away (files that VACUUM removed are gone: refresh in full)",
                self.version, self.table
            ))
        })?;
        let came = collect(Arc::clone(&self.added), context).await?;
        let (gone, came) = (concat_batches(&own, &gone)?, concat_batches(&own, &came)?);
        let (gone, came) = compared(&gone, &came)?;
        let both = keys_of_both(&gone, &came, key)?;
        let told = [
            self.told(&gone, types(&gone, &both.0, BEFORE, DELETE), &schema),
            self.told(&came, types(&came, &both.1, AFTER, INSERT), &schema),
        ];
        let told = told
            .into_iter()
            .filter(|rows| rows.as_ref().map_or(true, |rows| rows.num_rows() > 0));
        Ok(futures::stream::iter(told.collect::<Vec<_>>()).boxed())
    }

    /// Rows with what happened to them.
    fn told(
        &self,
        rows: &RecordBatch,
        types: StringViewArray,
        schema: &SchemaRef,
    ) -> Result<RecordBatch> {
        let count = rows.num_rows();
        let times: TimestampMicrosecondArray =
            std::iter::repeat_n(self.committed_micros, count).collect();
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        columns.extend([
            Arc::new(types) as ArrayRef,
            Arc::new(Int64Array::from_value(self.version, count)),
            Arc::new(times.with_timezone("UTC")),
        ]);
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }
}

/// The rows that are only in the one, and only in the other; a row that is in both more often in one of them is left as
/// often as that.
fn compared(gone: &RecordBatch, came: &RecordBatch) -> Result<(RecordBatch, RecordBatch)> {
    let fields = gone.schema_ref().fields().iter();
    let fields: Vec<SortField> = fields
        .map(|field| SortField::new(field.data_type().clone()))
        .collect();
    if !RowConverter::supports_fields(&fields) {
        return Err(DataFusionError::NotImplemented(
            "the changes of a table with a column of a MAP".to_owned(),
        ));
    }
    let converter = RowConverter::new(fields)?;
    let (gone_rows, came_rows) = (
        converter.convert_columns(gone.columns())?,
        converter.convert_columns(came.columns())?,
    );
    let mut counts: HashMap<&[u8], i64> = HashMap::new();
    for row in &came_rows {
        *counts.entry(row.data()).or_default() += 1;
    }
    // What is left behind this is in none of the rows that went.
    let only_gone = indices(&gone_rows, |row| match counts.get_mut(row) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    });
    let only_came = indices(&came_rows, |row| match counts.get_mut(row) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    });
    Ok((
        take_record_batch(gone, &only_gone)?,
        take_record_batch(came, &only_came)?,
    ))
}

fn indices(rows: &arrow::row::Rows, mut keep: impl FnMut(&[u8]) -> bool) -> UInt32Array {
    let numbered = rows.iter().zip(0_u32..);
    numbered
        .filter_map(|(row, at)| keep(row.data()).then_some(at))
        .collect()
}

/// Of each row that went and of each that came, whether a row of its key is among the others.
fn keys_of_both(
    gone: &RecordBatch,
    came: &RecordBatch,
    key: &[String],
) -> Result<(Vec<bool>, Vec<bool>)> {
    let schema = gone.schema();
    let columns: Vec<usize> = key
        .iter()
        .filter_map(|name| crate::schema::position(schema.fields(), name))
        .collect();
    if columns.is_empty() || columns.len() < key.len() {
        return Ok((vec![false; gone.num_rows()], vec![false; came.num_rows()]));
    }
    let (gone, came) = (gone.project(&columns)?, came.project(&columns)?);
    let fields = gone.schema_ref().fields().iter();
    let fields = fields.map(|field| SortField::new(field.data_type().clone()));
    let converter = RowConverter::new(fields.collect())?;
    let (gone, came) = (
        converter.convert_columns(gone.columns())?,
        converter.convert_columns(came.columns())?,
    );
    let set = |rows: &arrow::row::Rows| -> HashSet<Box<[u8]>> {
        rows.iter().map(|row| row.data().into()).collect()
    };
    let (in_gone, in_came) = (set(&gone), set(&came));
    let found = |rows: &arrow::row::Rows, others: &HashSet<Box<[u8]>>| {
        rows.iter().map(|row| others.contains(row.data())).collect()
    };
    Ok((found(&gone, &in_came), found(&came, &in_gone)))
}

fn types(rows: &RecordBatch, both: &[bool], changed: &str, alone: &str) -> StringViewArray {
    let types = both.iter().map(|both| if *both { changed } else { alone });
    debug_assert_eq!(rows.num_rows(), both.len());
    StringViewArray::from_iter_values(types)
}

#[cfg(test)]
mod tests;

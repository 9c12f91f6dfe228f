//! A table, or some of its files, as a table of DataFusion.
//!
//! The files go straight into DataFusion's own Parquet scan, with the log's statistics beside them:
//! nothing stands between a query and the scan, so that projections, filters, limits and `count(*)`
//! reach it as they reach plain Parquet files (docs/decisions/0005-reading-delta-tables.md). Tables
//! that need more than that to be read (deletion vectors, column mapping, files elsewhere) are left
//! to the Delta library's provider.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, FieldRef, Fields, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{
    ColumnStatistics, DFSchema, DataFusionError, Result, ScalarValue, Statistics,
};
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use url::Position;

use crate::error::LakeError;
use crate::pruning::FilePruning;
use crate::schema;
use crate::table::{LakeTable, TableFile};

/// The rows of a table, or of some of its files.
#[derive(Debug)]
pub(crate) struct LakeProvider {
    table: LakeTable,
    /// The files to read; `None`: those of the table's version.
    files: Option<Vec<Arc<TableFile>>>,
    /// The columns in the order of the scan: those of the files, then those of the folders.
    columns: TableSchema,
    /// For each column of the table, its index in the scan.
    scan_index: Vec<usize>,
}

impl LakeProvider {
    /// All rows of a table at its version.
    pub fn table(table: LakeTable) -> LakeProvider {
        LakeProvider::new(table, None)
    }

    /// The rows of these files of a table.
    pub fn files(table: LakeTable, files: Vec<Arc<TableFile>>) -> LakeProvider {
        LakeProvider::new(table, Some(files))
    }

    fn new(table: LakeTable, files: Option<Vec<Arc<TableFile>>>) -> LakeProvider {
        let whole = schema::without_metadata(&table.schema());
        let folders: Vec<usize> = table
            .partitioned_by()
            .iter()
            .filter_map(|column| schema::position(whole.fields(), column))
            .collect();
        let inside: Vec<usize> = (0..whole.fields().len())
            .filter(|index| !folders.contains(index))
            .collect();
        let mut scan_index = vec![0; whole.fields().len()];
        for (scan, index) in inside.iter().chain(&folders).enumerate() {
            scan_index[*index] = scan;
        }
        let fields = |indices: &[usize]| -> Vec<FieldRef> {
            indices
                .iter()
                .map(|index| plain(&whole.fields()[*index]))
                .collect()
        };
        let file_schema = Arc::new(Schema::new(Fields::from(fields(&inside))));
        let columns = TableSchema::builder(file_schema)
            .with_table_partition_cols(fields(&folders))
            .build();
        LakeProvider {
            table,
            files,
            columns,
            scan_index,
        }
    }

    async fn selected_files(&self) -> Result<Vec<Arc<TableFile>>> {
        match &self.files {
            Some(files) => Ok(files.clone()),
            None => self.table.files().await.map_err(external),
        }
    }

    /// Whether the files cannot simply be read as they are.
    fn needs_delta_reader(&self, files: &[Arc<TableFile>]) -> bool {
        let mapping = self.table.properties().get("delta.columnMapping.mode");
        mapping.is_some_and(|mode| mode != "none")
            || files
                .iter()
                .any(|file| file.add.deletion_vector.is_some() || file.path().contains("://"))
    }

    async fn scan_with_delta(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if self.files.is_some() {
            return Err(external(LakeError::Unsupported {
                table: self.table.name().key(),
                action: "read as a STREAM",
                features: "deletion vectors or column mapping".to_owned(),
            }));
        }
        crate::foreign::provider(&self.table)
            .await
            .map_err(external)?
            .scan(state, projection, filters, limit)
            .await
    }

    /// Leaves out the files that cannot hold a wanted row.
    fn prune(
        &self,
        state: &dyn Session,
        files: Vec<Arc<TableFile>>,
        filters: &[Expr],
    ) -> Result<Vec<ScanFile>> {
        let folders = self.columns.table_partition_cols();
        let mut files = files
            .into_iter()
            .map(|file| {
                let values = folders.iter().map(|field| partition_value(&file, field));
                Ok(ScanFile {
                    values: values.collect::<Result<_>>()?,
                    file,
                })
            })
            .collect::<Result<Vec<ScanFile>>>()?;
        let (by_folder, by_value): (Vec<Expr>, Vec<Expr>) = filters
            .iter()
            .cloned()
            .partition(|filter| self.is_folder_filter(filter));
        for filter in by_folder {
            files = keep_folders(state, files, folders, filter)?;
        }
        let Some(filter) = conjunction(by_value) else {
            return Ok(files);
        };
        let whole = self.columns.table_schema();
        let expression =
            state.create_physical_expr(filter, &DFSchema::try_from(whole.as_ref().clone())?)?;
        // A filter that says nothing about bounds is no reason to stop.
        let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(whole));
        let Some(predicate) = builder.build(expression) else {
            return Ok(files);
        };
        let keep = predicate.prune(&FilePruning::new(&files, whole, folders))?;
        Ok(files
            .into_iter()
            .zip(keep)
            .filter_map(|(file, keep)| keep.then_some(file))
            .collect())
    }

    /// Whether a filter is decided by the folders alone.
    fn is_folder_filter(&self, filter: &Expr) -> bool {
        let columns = filter.column_refs();
        !columns.is_empty()
            && !filter.is_volatile()
            && columns.iter().all(|column| {
                let folders = self.columns.table_partition_cols();
                folders.iter().any(|field| field.name() == column.name())
            })
    }

    fn partitioned_file(&self, file: &ScanFile) -> PartitionedFile {
        let meta = file.file.object_meta(&self.table.inner().place);
        let mut statistics = file
            .file
            .statistics()
            .to_datafusion(self.columns.file_schema(), meta.size);
        let rows = statistics.num_rows;
        statistics.column_statistics.extend(
            file.values
                .iter()
                .map(|value| constant_statistics(value, &rows)),
        );
        let mut part =
            PartitionedFile::new_from_meta(meta).with_partition_values(file.values.clone());
        // Not `with_statistics`, which takes it that no folder is one of NULLs.
        part.statistics = Some(Arc::new(statistics));
        part
    }

    fn statistics_of(&self, files: &[PartitionedFile]) -> Result<Statistics> {
        let whole = self.columns.table_schema();
        let all: Vec<&Statistics> = files
            .iter()
            .filter_map(|file| file.statistics.as_deref())
            .collect();
        if all.len() == files.len() {
            return Statistics::try_merge_iter(all, whole);
        }
        Ok(Statistics::new_unknown(whole))
    }
}

/// A data file with the values of its folders.
pub(crate) struct ScanFile {
    pub file: Arc<TableFile>,
    pub values: Vec<ScalarValue>,
}

/// A field without Delta's notes on it, which mean nothing to DataFusion.
fn plain(field: &Field) -> FieldRef {
    Arc::new(Field::new(
        field.name(),
        field.data_type().clone(),
        field.is_nullable(),
    ))
}

fn external(error: LakeError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The value of a partition column for all rows of a file.
pub(crate) fn partition_value(file: &TableFile, field: &Field) -> Result<ScalarValue> {
    let values = file.partition_values();
    let text = values.get(field.name()).and_then(Option::as_deref);
    // Delta writes NULL as an empty text too.
    match text.filter(|text| !text.is_empty()) {
        None => ScalarValue::try_from(field.data_type()),
        Some(text) => ScalarValue::try_from_string(text.to_owned(), field.data_type()),
    }
}

/// Keeps the files for whose folders a filter is true.
fn keep_folders(
    state: &dyn Session,
    files: Vec<ScanFile>,
    folders: &Fields,
    filter: Expr,
) -> Result<Vec<ScanFile>> {
    if files.is_empty() {
        return Ok(files);
    }
    let schema = Arc::new(Schema::new(folders.clone()));
    let columns = (0..folders.len())
        .map(|index| {
            ScalarValue::iter_to_array(files.iter().map(|file| file.values[index].clone()))
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(files.len()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?;
    let expression =
        state.create_physical_expr(filter, &DFSchema::try_from(schema.as_ref().clone())?)?;
    let verdict = expression.evaluate(&batch)?.into_array(files.len())?;
    let verdict = verdict
        .as_any()
        .downcast_ref::<BooleanArray>()
        .cloned()
        .ok_or_else(|| {
            DataFusionError::Internal("a filter that is not true or false".to_owned())
        })?;
    let wanted = |row: usize| verdict.is_valid(row) && verdict.value(row);
    Ok(files
        .into_iter()
        .enumerate()
        .filter(|(row, _)| wanted(*row))
        .map(|(_, f)| f)
        .collect())
}

/// Statistics of a column that has one value in all rows of a file.
fn constant_statistics(value: &ScalarValue, rows: &Precision<usize>) -> ColumnStatistics {
    let mut statistics = ColumnStatistics::new_unknown();
    if value.is_null() {
        statistics.null_count = *rows;
    } else {
        statistics.null_count = Precision::Exact(0);
        statistics.min_value = Precision::Exact(value.clone());
        statistics.max_value = Precision::Exact(value.clone());
        statistics.distinct_count = Precision::Exact(1);
    }
    statistics
}

/// As many of the first files as hold `limit` rows.
fn take_rows(files: Vec<ScanFile>, limit: usize) -> Vec<ScanFile> {
    let mut rows = 0_u64;
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let mut taken = Vec::new();
    for file in files {
        if rows >= limit {
            break;
        }
        rows = rows.saturating_add(file.file.rows().unwrap_or(0));
        taken.push(file);
    }
    taken
}

#[async_trait]
impl TableProvider for LakeProvider {
    fn schema(&self) -> SchemaRef {
        schema::without_metadata(&self.table.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| {
                if self.is_folder_filter(filter) {
                    TableProviderFilterPushDown::Exact
                } else {
                    TableProviderFilterPushDown::Inexact
                }
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.selected_files().await?;
        if self.needs_delta_reader(&files) {
            return self
                .scan_with_delta(state, projection, filters, limit)
                .await;
        }
        let mut files = self.prune(state, files, filters)?;
        if let Some(limit) = limit
            && filters.iter().all(|filter| self.is_folder_filter(filter))
        {
            files = take_rows(files, limit);
        }
        let wanted: Vec<usize> = match projection {
            Some(projection) => projection.clone(),
            None => (0..self.scan_index.len()).collect(),
        };
        if files.is_empty() {
            let schema = Arc::new(self.schema().project(&wanted)?);
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let files: Vec<PartitionedFile> = files
            .iter()
            .map(|file| self.partitioned_file(file))
            .collect();
        let statistics = self.statistics_of(&files)?;
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let url = register_store(state, &self.table)?;
        let scan: Vec<usize> = wanted.iter().map(|index| self.scan_index[*index]).collect();
        let source = Arc::new(ParquetSource::new(self.columns.clone()));
        let config = FileScanConfigBuilder::new(url, source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(Some(scan))?
            .with_limit(limit)
            .build();
        let options = state.default_table_options().parquet;
        ParquetFormat::default()
            .with_options(options)
            .create_physical_plan(state, config)
            .await
    }
}

/// Makes the table's store known to the session, if it is not.
fn register_store(state: &dyn Session, table: &LakeTable) -> Result<ObjectStoreUrl> {
    let place = &table.inner().place;
    let url = ObjectStoreUrl::parse(&place.url[..Position::BeforePath])?;
    if state.runtime_env().object_store(&url).is_err() {
        state
            .runtime_env()
            .register_object_store(url.as_ref(), Arc::clone(&place.store));
    }
    Ok(url)
}

#[cfg(test)]
mod tests;

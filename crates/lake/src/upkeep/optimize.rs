//! Small files put together: the same rows in fewer files, sorted by the clustering columns.
//!
//! The commit says that no data changed, so flows that read the table on pass it over, and it
//! conflicts only with commits that removed one of the very files.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use datafusion::common::ScalarValue;
use futures::StreamExt;
use object_store::buffered::BufReader;
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use tidegate_project::TableName;

use crate::commit::{Commit, CommitMode};
use crate::error::LakeError;
use crate::fail_points::fail_point;
use crate::lake::Lake;
use crate::schema;
use crate::spec::{CLUSTER_BY, TableSpec, target_file_bytes};
use crate::table::{LakeTable, TableFile};
use crate::write::{DataFile, PartWriter};

/// A file smaller than this share of the target is small.
const SMALL_SHARE: f64 = 0.5;

/// Bytes of data files sorted in memory at once, at most. In memory they are several times as large.
const SORT_BYTES_MAX: u64 = 64 << 20;

/// Rows handed to the writer at a time after sorting.
const SORTED_ROWS: usize = 64 << 10;

/// The values that a folder stands for, by column.
type Folder = Vec<(String, Option<String>)>;

/// When files are put together.
#[derive(Debug, Clone)]
pub struct OptimizeOptions {
    /// A folder is left alone unless it has so many small files.
    pub small_files_min: usize,
    /// The run, as kept in the run history.
    pub run: String,
}

impl Default for OptimizeOptions {
    fn default() -> Self {
        OptimizeOptions {
            small_files_min: 16,
            run: String::new(),
        }
    }
}

/// What putting files together came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Optimized {
    /// Files that went.
    pub removed: usize,
    /// Files that came.
    pub added: usize,
    /// The version of the commit; `None` if there was nothing to do.
    pub version: Option<u64>,
}

impl LakeTable {
    /// What this table is, as a specification that changes nothing when committed.
    #[must_use]
    pub fn spec(&self) -> TableSpec {
        let mut spec = TableSpec::new(self.name().clone(), self.schema());
        spec.partitioned_by = self.partitioned_by().to_vec();
        spec.cluster_by = self
            .properties()
            .get(CLUSTER_BY)
            .map(|columns| {
                columns
                    .split(',')
                    .map(|column| column.trim().to_owned())
                    .collect()
            })
            .unwrap_or_default();
        spec.comment = self.comment().map(str::to_owned);
        spec.properties = self.properties().clone();
        spec
    }
}

impl Lake {
    /// Puts the small files of a table together, where there are many.
    ///
    /// # Errors
    /// [`LakeError::Conflict`] if one of the files was removed meanwhile; nothing is changed then.
    pub async fn optimize(
        &self,
        name: &TableName,
        options: &OptimizeOptions,
    ) -> Result<Optimized, LakeError> {
        let Some(table) = self.table(name).await? else {
            return Ok(Optimized::default());
        };
        let spec = table.spec();
        let target = target_file_bytes(&name.key(), &spec.properties)?;
        let most = if spec.cluster_by.is_empty() {
            target
        } else {
            target.min(SORT_BYTES_MAX)
        };
        let bins = bins(table.files().await?, target, most, options.small_files_min);
        if bins.is_empty() {
            return Ok(Optimized::default());
        }
        let plan = self.write_plan(&spec, &CommitMode::Append).await?;
        let mut added = Vec::new();
        let mut removed = Vec::new();
        for bin in bins {
            match rewrite(&table, &bin, plan.writer(), &spec.cluster_by).await {
                Ok(files) => added.extend(files),
                Err(error) => {
                    self.discard(name, &added).await?;
                    return Err(error);
                }
            }
            removed.extend(bin);
        }
        fail_point!("lake.optimize.before");
        let counts = (removed.len(), added.len());
        let commit = Commit {
            spec,
            mode: CommitMode::Replace(removed),
            files: added.iter().cloned().map(DataFile::unchanged).collect(),
            step: None,
            run: options.run.clone(),
            operation: Some("OPTIMIZE".to_owned()),
            notes: BTreeMap::new(),
        };
        match self.commit(commit).await {
            Ok(done) => {
                fail_point!("lake.optimize.after");
                let version = Some(done.version);
                Ok(Optimized {
                    removed: counts.0,
                    added: counts.1,
                    version,
                })
            }
            Err(error) => {
                self.discard(name, &added).await?;
                Err(error)
            }
        }
    }
}

/// The files to be put together: by folder, as many as give a file of `most` bytes.
fn bins(
    files: Vec<Arc<TableFile>>,
    target: u64,
    most: u64,
    small_files_min: usize,
) -> Vec<Vec<Arc<TableFile>>> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a size, to within a byte or so"
    )]
    let small = (target as f64 * SMALL_SHARE) as u64;
    let mut folders: BTreeMap<Folder, Vec<Arc<TableFile>>> = BTreeMap::new();
    for file in files {
        let plain = file.add.deletion_vector.is_none() && !file.path().contains("://");
        if plain && file.bytes() < small {
            let values = file.partition_values().iter();
            let mut folder: Folder = values.map(|(k, v)| (k.clone(), v.clone())).collect();
            folder.sort_unstable();
            folders.entry(folder).or_default().push(file);
        }
    }
    let mut bins = Vec::new();
    for mut files in folders.into_values() {
        if files.len() < small_files_min.max(2) {
            continue;
        }
        // Oldest first, so that rows of one time stay together.
        files.sort_by(|a, b| (a.modified_ms(), a.path()).cmp(&(b.modified_ms(), b.path())));
        let mut bin: Vec<Arc<TableFile>> = Vec::new();
        let mut bytes = 0;
        for file in files {
            if bytes + file.bytes() > most && !bin.is_empty() {
                bins.push(std::mem::take(&mut bin));
                bytes = 0;
            }
            bytes += file.bytes();
            bin.push(file);
        }
        bins.push(bin);
    }
    bins.retain(|bin| bin.len() > 1);
    bins
}

/// Writes the rows of these files anew.
async fn rewrite(
    table: &LakeTable,
    files: &[Arc<TableFile>],
    mut writer: PartWriter,
    cluster_by: &[String],
) -> Result<Vec<DataFile>, LakeError> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<RecordBatch>(4);
    let cluster_by = cluster_by.to_vec();
    let shown = table.name().key();
    let encoding = tokio::task::spawn_blocking(move || {
        let mut kept = Vec::new();
        while let Some(batch) = receiver.blocking_recv() {
            if cluster_by.is_empty() {
                writer.write(&batch)?;
            } else {
                kept.push(batch);
            }
        }
        write_sorted(&shown, &mut writer, &kept, &cluster_by)?;
        writer.finish()
    });
    let read = read_all(table, files, &sender).await;
    drop(sender);
    let written = encoding
        .await
        .map_err(|error| LakeError::Bug(error.to_string()))?;
    match (read, written) {
        (Ok(()), written) => written,
        (Err(error), Ok(files)) => {
            for file in files {
                table.inner().place.delete(file.path()).await?;
            }
            Err(error)
        }
        // A writer that failed stops reading: its error says why.
        (Err(_), Err(error)) => Err(error),
    }
}

async fn read_all(
    table: &LakeTable,
    files: &[Arc<TableFile>],
    sender: &tokio::sync::mpsc::Sender<RecordBatch>,
) -> Result<(), LakeError> {
    let place = &table.inner().place;
    for file in files {
        let shown = place.show(file.path());
        let failed = |error| LakeError::DataFile {
            place: shown.clone(),
            source: Box::new(error),
        };
        let reader = BufReader::new(Arc::clone(&place.store), &file.object_meta(place));
        let builder = ParquetRecordBatchStreamBuilder::new(reader)
            .await
            .map_err(failed)?;
        let mut batches = builder
            .with_batch_size(SORTED_ROWS)
            .build()
            .map_err(failed)?;
        while let Some(batch) = batches.next().await {
            let batch = with_folders(table, file, &batch.map_err(failed)?)?;
            if sender.send(batch).await.is_err() {
                return Err(LakeError::Bug("the writer stopped".to_owned()));
            }
        }
    }
    Ok(())
}

/// Rows of a file with the columns that its folder stands for.
fn with_folders(
    table: &LakeTable,
    file: &TableFile,
    batch: &RecordBatch,
) -> Result<RecordBatch, LakeError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| LakeError::DataFile {
        place: file.path().to_owned(),
        source,
    };
    let whole = table.schema();
    let mut fields = batch.schema_ref().fields().to_vec();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    for column in table.partitioned_by() {
        let Some(index) = schema::position(whole.fields(), column) else {
            continue;
        };
        let field = Arc::clone(&whole.fields()[index]);
        let text = file
            .partition_values()
            .get(field.name())
            .and_then(Option::as_deref);
        let value = match text.filter(|text| !text.is_empty()) {
            Some(text) => ScalarValue::try_from_string(text.to_owned(), field.data_type()),
            None => ScalarValue::try_from(field.data_type()),
        };
        let value = value.and_then(|value| value.to_array_of_size(batch.num_rows()));
        columns.push(value.map_err(|error| failed(Box::new(error)))?);
        fields.push(field);
    }
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    RecordBatch::try_new(schema, columns).map_err(|error| failed(Box::new(error)))
}

/// Sorts rows by the clustering columns and writes them.
fn write_sorted(
    table: &str,
    writer: &mut PartWriter,
    batches: &[RecordBatch],
    cluster_by: &[String],
) -> Result<(), LakeError> {
    let Some(first) = batches.first() else {
        return Ok(());
    };
    let failed = |error| LakeError::DataFile {
        place: format!("sorting table `{table}`"),
        source: Box::new(error),
    };
    // Files written before a column came do not have it.
    let batches: Vec<RecordBatch> = batches
        .iter()
        .map(|batch| writer.conform(batch))
        .collect::<Result<_, _>>()?;
    let schema = batches
        .first()
        .map_or_else(|| first.schema(), RecordBatch::schema);
    let whole = concat_batches(&schema, &batches).map_err(failed)?;
    let by: Vec<SortColumn> = cluster_by
        .iter()
        .filter_map(|column| schema::position(schema.fields(), column))
        .map(|index| SortColumn {
            values: Arc::clone(whole.column(index)),
            options: None,
        })
        .collect();
    let order: UInt32Array = lexsort_to_indices(&by, None).map_err(failed)?;
    let mut start = 0;
    while start < order.len() {
        let rows = SORTED_ROWS.min(order.len() - start);
        let part = take_record_batch(&whole, &order.slice(start, rows)).map_err(failed)?;
        writer.write(&part)?;
        start += rows;
    }
    Ok(())
}

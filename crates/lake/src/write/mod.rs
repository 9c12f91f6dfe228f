//! Data files: rows into Parquet, with the statistics that let readers pass a file over.
//!
//! A writer belongs to one worker thread and encodes there; nothing is shared between writers but
//! the plan they were made from. Files that no commit took are removed when their writer is given
//! up; those of a killed process are left for the vacuum.

mod conform;
mod encoding;
mod file;
mod partition;
mod statistics;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use deltalake::kernel::Add;

use crate::error::LakeError;
use crate::fail_points::fail_point;
use crate::lake::Lake;
use crate::spec::{TableSpec, target_file_bytes};
use crate::storage::Place;
use crate::{commit::CommitMode, schema};

pub(crate) use conform::batch as conformed;
pub use encoding::Codec;
use file::OpenFile;
use partition::{FolderValues, PartitionSplit};

/// Files that one writer keeps open at most; past it, the largest is finished.
const OPEN_FILES_MAX: usize = 64;

/// A data file that is written and not yet committed.
#[derive(Debug, Clone)]
pub struct DataFile {
    pub(crate) add: Add,
    pub(crate) rows: u64,
}

impl DataFile {
    /// The path below the table's folder.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.add.path
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.add.size).unwrap_or(0)
    }

    /// The same file, marked as holding only rows that were in the table before.
    pub(crate) fn unchanged(mut self) -> DataFile {
        self.add.data_change = false;
        self
    }
}

/// How the files of a table are written; makes a writer for each worker thread.
#[derive(Debug, Clone)]
pub struct WritePlan {
    inner: Arc<PlanInner>,
}

#[derive(Debug)]
struct PlanInner {
    table: String,
    place: Place,
    /// The columns as stored, those of the folders included.
    schema: SchemaRef,
    /// The columns inside the files.
    file_schema: SchemaRef,
    /// The indices of the folders' columns in `schema`.
    folders: Vec<usize>,
    /// The indices of the files' columns in `schema`.
    inside: Vec<usize>,
    target_bytes: u64,
    codec: Codec,
    runtime: tokio::runtime::Handle,
}

impl Lake {
    /// Plans how rows of this table are written, for a commit in this mode: the columns take the
    /// names and types they have in the table.
    ///
    /// # Errors
    /// If the specification contradicts itself or does not fit the table.
    pub async fn write_plan(
        &self,
        spec: &TableSpec,
        mode: &CommitMode,
    ) -> Result<WritePlan, LakeError> {
        let key = spec.name.key();
        let place = self.place(&spec.name, spec.location.as_deref()).await?;
        let mut schema = spec.stored_schema()?;
        if !matches!(mode, CommitMode::Overwrite)
            && let Some(table) = self.table(&spec.name).await?
        {
            schema = schema::evolve(&key, &table.schema(), &schema)?;
        }
        let folders: Vec<usize> = spec
            .partitioned_by
            .iter()
            .filter_map(|column| schema::position(schema.fields(), column))
            .collect();
        let inside: Vec<usize> = (0..schema.fields().len())
            .filter(|index| !folders.contains(index))
            .collect();
        let fields: Vec<_> = inside
            .iter()
            .map(|index| Arc::clone(&schema.fields()[*index]))
            .collect();
        Ok(WritePlan {
            inner: Arc::new(PlanInner {
                file_schema: Arc::new(Schema::new(fields)),
                target_bytes: target_file_bytes(&key, &spec.properties)?,
                codec: Codec::from_properties(&key, &spec.properties)?,
                table: key,
                place,
                schema,
                folders,
                inside,
                runtime: tokio::runtime::Handle::current(),
            }),
        })
    }
}

impl WritePlan {
    /// The columns in the types in which they are stored. Rows given in these types are written
    /// without being converted.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.inner.schema)
    }

    /// The same plan for other columns, in a folder of the table's, without partitions.
    pub(crate) fn in_folder(&self, folder: &str, schema: SchemaRef) -> WritePlan {
        let inner = &self.inner;
        WritePlan {
            inner: Arc::new(PlanInner {
                table: inner.table.clone(),
                place: inner.place.child(folder),
                file_schema: Arc::clone(&schema),
                folders: Vec::new(),
                inside: (0..schema.fields().len()).collect(),
                schema,
                target_bytes: inner.target_bytes,
                codec: inner.codec,
                runtime: inner.runtime.clone(),
            }),
        }
    }

    /// A writer for one thread.
    #[must_use]
    pub fn writer(&self) -> PartWriter {
        PartWriter {
            plan: Arc::clone(&self.inner),
            open: HashMap::new(),
            done: Vec::new(),
            committed: false,
        }
    }
}

/// Writes rows into data files of the target size. Belongs to one thread; on it, encoding happens.
///
/// Given up (dropped) before [`PartWriter::finish`], it removes its files.
pub struct PartWriter {
    plan: Arc<PlanInner>,
    /// Open files by the values of their folders (empty for a table without).
    open: HashMap<FolderValues, OpenFile>,
    done: Vec<DataFile>,
    committed: bool,
}

impl PartWriter {
    /// Encodes rows. Columns are found by name, without case; one that is missing is NULL.
    ///
    /// # Errors
    /// If a value does not fit its column, or the file cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let plan = Arc::clone(&self.plan);
        let batch = conform::batch(&plan.table, batch, &plan.schema)?;
        if plan.folders.is_empty() {
            return self.write_part(Vec::new(), &batch);
        }
        let split = PartitionSplit::new(&plan.table, &batch, &plan.folders, &plan.inside)?;
        for (values, rows) in split.parts()? {
            self.write_part(values, &rows)?;
        }
        Ok(())
    }

    /// Rows with the columns as this writer stores them.
    pub(crate) fn conform(&self, batch: &RecordBatch) -> Result<RecordBatch, LakeError> {
        conform::batch(&self.plan.table, batch, &self.plan.schema)
    }

    /// Writes rows that all belong into one folder.
    fn write_part(&mut self, values: FolderValues, rows: &RecordBatch) -> Result<(), LakeError> {
        if !self.open.contains_key(&values) {
            if self.open.len() >= OPEN_FILES_MAX {
                self.finish_largest()?;
            }
            fail_point!("lake.write.open");
            let file = OpenFile::create(&self.plan, values.clone(), rows)?;
            self.open.insert(values.clone(), file);
        }
        if let Some(file) = self.open.get_mut(&values) {
            file.write(rows)?;
            fail_point!("lake.write.mid");
            if file.bytes() >= self.plan.target_bytes {
                self.finish_one(&values)?;
            }
        }
        Ok(())
    }

    fn finish_largest(&mut self) -> Result<(), LakeError> {
        let largest = self.open.iter().max_by_key(|(_, file)| file.bytes());
        match largest.map(|(values, _)| values.clone()) {
            Some(values) => self.finish_one(&values),
            None => Ok(()),
        }
    }

    fn finish_one(&mut self, values: &[Option<String>]) -> Result<(), LakeError> {
        if let Some(file) = self.open.remove(values) {
            fail_point!("lake.write.finish");
            self.done.push(file.finish(&self.plan)?);
        }
        Ok(())
    }

    /// Bytes of memory that the open files hold.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.open.values().map(OpenFile::memory_bytes).sum()
    }

    /// Finishes all files, and hands them to whoever commits them. Call it on a worker thread: for
    /// a warehouse in the cloud it waits for the upload.
    ///
    /// # Errors
    /// If a file cannot be written; all files of this writer are removed then.
    pub fn finish(mut self) -> Result<Vec<DataFile>, LakeError> {
        let mut open: Vec<FolderValues> = self.open.keys().cloned().collect();
        open.sort_unstable();
        for values in open {
            self.finish_one(&values)?;
        }
        self.committed = true;
        Ok(std::mem::take(&mut self.done))
    }

    /// Gives up: removes everything this writer wrote.
    pub fn abort(self) {}
}

impl Drop for PartWriter {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        // Open files remove themselves.
        for file in self.done.drain(..) {
            file::remove(&self.plan, file.path());
        }
    }
}

impl std::fmt::Debug for PartWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartWriter")
            .field("table", &self.plan.table)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

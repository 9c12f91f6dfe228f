//! One data file while it is written.
//!
//! On this machine it is written where it will stay, under its final name: no commit names it
//! before it is whole. For a warehouse in the cloud it is written to a temporary file first and
//! sent up in parts when it is whole.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use deltalake::kernel::Add;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;

use super::partition::FolderValues;
use super::{DataFile, PlanInner, encoding, partition, statistics};
use crate::commit::now_ms;
use crate::error::LakeError;

/// The parts in which a file is sent up.
const UPLOAD_PART_BYTES: usize = 8 << 20;

/// Parts of a file that are on their way at once.
const UPLOADS_AT_ONCE: usize = 4;

/// Where the bytes go.
enum Target {
    /// Where the file will stay.
    Final(PathBuf),
    /// A file that is sent up and removed.
    Temporary(tempfile::TempPath),
}

/// A data file being written. Removed when given up.
pub(super) struct OpenFile {
    writer: Option<ArrowWriter<File>>,
    target: Option<Target>,
    /// The path below the table's folder.
    relative: String,
    shown: String,
    values: FolderValues,
    rows: u64,
}

impl OpenFile {
    /// Opens a file for rows of these folder values, which begins with rows like `first`.
    pub fn create(
        plan: &PlanInner,
        values: FolderValues,
        first: &RecordBatch,
    ) -> Result<OpenFile, LakeError> {
        let columns = plan
            .folders
            .iter()
            .map(|index| plan.schema.field(*index).name().as_str());
        let folder = partition::folder(columns, &values);
        let relative = format!("{folder}part-{}.parquet", uuid::Uuid::now_v7());
        let shown = plan.place.show(&relative);
        let (file, target) = match &plan.place.local {
            Some(root) => {
                let path = root.join(&relative);
                let parent = path.parent().unwrap_or(root);
                std::fs::create_dir_all(parent).map_err(|error| {
                    LakeError::io("making the folder", parent.display().to_string(), error)
                })?;
                let file = File::create_new(&path)
                    .map_err(|error| LakeError::io("writing", shown.clone(), error))?;
                (file, Target::Final(path))
            }
            None => {
                let failed = |error| {
                    LakeError::io("writing", std::env::temp_dir().display().to_string(), error)
                };
                let temporary = tempfile::NamedTempFile::new().map_err(failed)?;
                let (file, path) = temporary.into_parts();
                (file, Target::Temporary(path))
            }
        };
        let options = ArrowWriterOptions::new()
            .with_properties(encoding::properties(plan.codec, first))
            .with_skip_arrow_metadata(true);
        let schema = Arc::clone(&plan.file_schema);
        let mut open = OpenFile {
            writer: None,
            target: Some(target),
            relative,
            shown,
            values,
            rows: 0,
        };
        match ArrowWriter::try_new_with_options(file, schema, options) {
            Ok(writer) => open.writer = Some(writer),
            Err(error) => return Err(LakeError::parquet(open.shown.clone(), error)),
        }
        Ok(open)
    }

    fn writer(&mut self) -> Result<&mut ArrowWriter<File>, LakeError> {
        self.writer
            .as_mut()
            .ok_or_else(|| LakeError::Bug("a data file was closed".to_owned()))
    }

    /// Encodes rows.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), LakeError> {
        let shown = self.shown.clone();
        self.writer()?
            .write(rows)
            .map_err(|error| LakeError::parquet(shown, error))?;
        self.rows += rows.num_rows() as u64;
        Ok(())
    }

    /// The size so far in bytes, with what is not yet written estimated.
    pub fn bytes(&self) -> u64 {
        let writer = self.writer.as_ref();
        writer.map_or(0, |writer| {
            (writer.bytes_written() + writer.in_progress_size()) as u64
        })
    }

    /// Bytes of memory held by rows that are encoded and not yet written.
    pub fn memory_bytes(&self) -> usize {
        self.writer.as_ref().map_or(0, ArrowWriter::memory_size)
    }

    /// Ends the file and describes it.
    pub fn finish(mut self, plan: &PlanInner) -> Result<DataFile, LakeError> {
        let shown = self.shown.clone();
        let failed = |error| LakeError::parquet(shown.clone(), error);
        let metadata = self.writer()?.finish().map_err(failed)?;
        let size = self
            .writer
            .take()
            .map_or(0, |writer| writer.bytes_written());
        let stats = statistics::to_json(&metadata, &plan.file_schema);
        if let Some(Target::Temporary(path)) = &self.target {
            upload(plan, &self.relative, path.to_path_buf())?;
        }
        // From here on the file belongs to the commit.
        self.target = None;
        let names = plan
            .folders
            .iter()
            .map(|index| plan.schema.field(*index).name().clone());
        let add = Add {
            path: std::mem::take(&mut self.relative),
            partition_values: names.zip(std::mem::take(&mut self.values)).collect(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            modification_time: now_ms(),
            data_change: true,
            stats: Some(stats),
            ..Add::default()
        };
        Ok(DataFile {
            add,
            rows: self.rows,
        })
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.writer = None;
        if let Some(Target::Final(path)) = self.target.take() {
            // If it cannot be removed, the vacuum will.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Sends a file up and waits for it, from a thread that is not the runtime's.
fn upload(plan: &PlanInner, relative: &str, path: PathBuf) -> Result<(), LakeError> {
    let store = Arc::clone(&plan.place.store);
    let location = plan.place.path(relative);
    let shown = plan.place.show(relative);
    let (sender, receiver) = std::sync::mpsc::channel();
    plan.runtime.spawn(async move {
        // The receiver waits until this is sent.
        let _ = sender.send(send_parts(store, location, shown, path).await);
    });
    receiver.recv().map_err(|_| {
        LakeError::Bug("the runtime ended while a data file was being sent up".to_owned())
    })?
}

async fn send_parts(
    store: Arc<dyn ObjectStore>,
    location: object_store::path::Path,
    shown: String,
    path: PathBuf,
) -> Result<(), LakeError> {
    use tokio::io::AsyncReadExt;
    let failed = |error| LakeError::store("writing", shown.clone(), error);
    let read = |error| LakeError::io("reading", path.display().to_string(), error);
    let upload = store.put_multipart(&location).await.map_err(failed)?;
    let mut upload = WriteMultipart::new_with_chunk_size(upload, UPLOAD_PART_BYTES);
    let mut file = tokio::fs::File::open(&path).await.map_err(read)?;
    loop {
        let mut part = Vec::with_capacity(UPLOAD_PART_BYTES);
        let limit = UPLOAD_PART_BYTES as u64;
        let count = (&mut file)
            .take(limit)
            .read_to_end(&mut part)
            .await
            .map_err(read)?;
        if count == 0 {
            break;
        }
        upload
            .wait_for_capacity(UPLOADS_AT_ONCE)
            .await
            .map_err(failed)?;
        upload.put(Bytes::from(part));
    }
    upload.finish().await.map_err(failed)?;
    Ok(())
}

/// Removes a finished file that no commit will take.
pub(super) fn remove(plan: &PlanInner, relative: &str) {
    if let Some(root) = &plan.place.local {
        // If it cannot be removed, the vacuum will.
        let _ = std::fs::remove_file(root.join(relative));
        return;
    }
    let store = Arc::clone(&plan.place.store);
    let location = plan.place.path(relative);
    plan.runtime.spawn(async move {
        if let Err(error) = store.delete(&location).await {
            tracing::debug!(%location, %error, "left a data file for the vacuum");
        }
    });
}

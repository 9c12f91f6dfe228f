//! States that went to disk: files of Arrow IPC, cut by a hash of the keys.
//!
//! A file holds a batch for each part of the keys, so that a window of more groups than fit in memory
//! is closed part by part. Files are removed when nobody needs them any more; what a crash leaves
//! behind belongs to nobody, as a restart begins from a checkpoint.

use std::fs::File;
use std::hash::BuildHasher;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;
use arrow::row::{RowConverter, SortField};
use hashbrown::DefaultHashBuilder;

use crate::error::{Result, StreamError};

/// Into how many parts keys are cut.
pub(crate) const PARTS: usize = 16;

/// Names of files, unique in the process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Where an operator spills to, and how it cuts.
#[derive(Debug)]
pub(crate) struct Spill {
    folder: PathBuf,
    hasher: DefaultHashBuilder,
}

/// A file of states.
#[derive(Debug)]
pub(crate) struct SpillFile {
    path: PathBuf,
    pub(crate) bytes: u64,
}

impl Spill {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Writes states of which the first columns are `keys`.
    pub(crate) fn write(&self, states: &RecordBatch, keys: &[ArrayRef]) -> Result<SpillFile> {
        let failed = |source: std::io::Error| StreamError::Spill {
            folder: self.folder.display().to_string(),
            source,
        };
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("stream-{}-{number}.arrow", std::process::id());
        let path = self.folder.join(name);
        let file = File::create(&path).map_err(failed)?;
        // From here on the file is removed, whatever happens.
        let mut spilled = SpillFile { path, bytes: 0 };
        let mut writer = FileWriter::try_new(BufWriter::new(file), states.schema_ref())?;
        for part in self.cut(states, keys)? {
            writer.write(&part)?;
        }
        writer.finish()?;
        spilled.bytes = std::fs::metadata(&spilled.path).map_err(failed)?.len();
        Ok(spilled)
    }

    /// The parts of states, by a hash of their keys.
    pub(crate) fn cut(&self, states: &RecordBatch, keys: &[ArrayRef]) -> Result<Vec<RecordBatch>> {
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); PARTS];
        if keys.is_empty() {
            rows[0].extend((0_u32..).take(states.num_rows()));
        } else {
            let fields = keys
                .iter()
                .map(|key| SortField::new(key.data_type().clone()));
            let converter = RowConverter::new(fields.collect())?;
            let encoded = converter.convert_columns(keys)?;
            for (key, row) in encoded.iter().zip(0_u32..) {
                let hash = self.hasher.hash_one(key.data());
                // The upper bits: tables of keys use the lower.
                rows[(hash >> 60) as usize % PARTS].push(row);
            }
        }
        let part = |rows: Vec<u32>| Ok(take_record_batch(states, &UInt32Array::from(rows))?);
        rows.into_iter().map(part).collect()
    }
}

impl SpillFile {
    fn reader(&self) -> Result<FileReader<BufReader<File>>> {
        let file = File::open(&self.path).map_err(|source| StreamError::Spill {
            folder: self.path.display().to_string(),
            source,
        })?;
        Ok(FileReader::try_new(BufReader::new(file), None)?)
    }

    /// One part.
    pub(crate) fn part(&self, number: usize) -> Result<RecordBatch> {
        let mut reader = self.reader()?;
        reader.set_index(number)?;
        match reader.next() {
            Some(batch) => Ok(batch?),
            None => Err(StreamError::bug("a spilled file is cut short")),
        }
    }

    /// All of it.
    pub(crate) fn read(&self) -> Result<RecordBatch> {
        let reader = self.reader()?;
        let schema = reader.schema();
        let parts: Vec<RecordBatch> = reader.collect::<std::result::Result<_, _>>()?;
        Ok(concat_batches(&schema, &parts)?)
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        // Nothing depends on it: what stays is swept with the folder.
        let _ = std::fs::remove_file(&self.path);
    }
}

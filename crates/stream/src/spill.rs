//! State that went to disk: files of a folder that belongs to one dataflow.
//!
//! Panes of windows are cut by a hash of the keys into parts, so that a window of more groups than fit in
//! memory is closed part by part; shards of other state are the segments of a checkpoint. Files are
//! removed when nobody needs them any more. What a crash leaves behind belongs to nobody, as a restart begins
//! from a checkpoint: a folder whose lock is free is removed by whoever comes next.

use std::fs::{File, TryLockError};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;

use crate::error::{Result, StreamError};
use crate::routes::{cut, routes};

/// Into how many parts keys of panes are cut.
pub(crate) const PARTS: usize = 16;

/// What the folders of dataflows are called.
const PREFIX: &str = "tidegate-spill-";

/// What the names of segments begin with.
const SEGMENT: &str = "segment-";

/// Names of folders, unique in the process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Where a dataflow spills to, and how its segments are named.
#[derive(Debug)]
pub(crate) struct Spill {
    /// The folder that the folders of dataflows are in.
    folder: PathBuf,
    own: OnceLock<Own>,
    next_file: AtomicU64,
    next_segment: AtomicU64,
}

/// The folder of one dataflow, which is its own as long as the lock is held.
#[derive(Debug)]
struct Own {
    folder: PathBuf,
    lock: File,
}

/// A file of states.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SpillFile {
    path: PathBuf,
    pub(crate) bytes: u64,
}

impl Spill {
    /// Nothing is made before it is needed; but folders that a crash left behind are removed.
    pub(crate) fn new(folder: &Path) -> Self {
        remove_abandoned(folder);
        Self {
            folder: folder.to_owned(),
            own: OnceLock::new(),
            next_file: AtomicU64::new(0),
            next_segment: AtomicU64::new(0),
        }
    }

    /// The name of one more segment.
    pub(crate) fn name(&self) -> String {
        let number = self.next_segment.fetch_add(1, Ordering::Relaxed);
        format!("{SEGMENT}{number:08}.arrow")
    }

    /// The number of the next segment.
    pub(crate) fn next_segment(&self) -> u64 {
        self.next_segment.load(Ordering::Relaxed)
    }

    /// Goes on naming segments from this number, or a greater one that has been reached.
    pub(crate) fn continue_from(&self, number: u64) {
        self.next_segment.fetch_max(number, Ordering::Relaxed);
    }

    /// Gives no segment one of these names.
    pub(crate) fn avoid<'n>(&self, names: impl IntoIterator<Item = &'n str>) {
        for name in names {
            let digits = name
                .strip_prefix(SEGMENT)
                .and_then(|rest| rest.strip_suffix(".arrow"));
            if let Some(number) = digits.and_then(|digits| digits.parse::<u64>().ok()) {
                self.continue_from(number.saturating_add(1));
            }
        }
    }

    fn failed(&self) -> impl Fn(std::io::Error) -> StreamError + '_ {
        |source| StreamError::Spill {
            folder: self.folder.display().to_string(),
            source,
        }
    }

    /// The dataflow's folder, made when it is first needed.
    fn own(&self) -> Result<&Path> {
        if let Some(own) = self.own.get() {
            return Ok(&own.folder);
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = self
            .folder
            .join(format!("{PREFIX}{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(self.failed())?;
        let lock = File::create(folder.join("lock")).map_err(self.failed())?;
        lock.lock().map_err(self.failed())?;
        let own = self.own.get_or_init(|| Own { folder, lock });
        Ok(&own.folder)
    }

    /// A file to be written; it is removed when it is dropped, whatever happens.
    fn create(&self) -> Result<(SpillFile, File)> {
        let number = self.next_file.fetch_add(1, Ordering::Relaxed);
        let path = self.own()?.join(format!("{number}.arrow"));
        let file = File::create(&path).map_err(self.failed())?;
        Ok((SpillFile { path, bytes: 0 }, file))
    }

    /// Writes states of which the first columns are `keys`, cut into parts.
    pub(crate) fn write(&self, states: &RecordBatch, keys: &[ArrayRef]) -> Result<SpillFile> {
        let (mut spilled, file) = self.create()?;
        let mut writer = FileWriter::try_new(BufWriter::new(file), states.schema_ref())
            .map_err(|error| self.unwritten(error))?;
        for part in parts(states, keys)? {
            writer.write(&part).map_err(|error| self.unwritten(error))?;
        }
        writer.finish().map_err(|error| self.unwritten(error))?;
        spilled.bytes = std::fs::metadata(&spilled.path)
            .map_err(self.failed())?
            .len();
        Ok(spilled)
    }

    /// Writes bytes as they are.
    pub(crate) fn store(&self, bytes: &[u8]) -> Result<SpillFile> {
        let (mut spilled, mut file) = self.create()?;
        std::io::Write::write_all(&mut file, bytes).map_err(self.failed())?;
        spilled.bytes = bytes.len() as u64;
        Ok(spilled)
    }

    /// A full disk, as such.
    fn unwritten(&self, error: arrow::error::ArrowError) -> StreamError {
        match error {
            arrow::error::ArrowError::IoError(_, source) => self.failed()(source),
            other => StreamError::from(other),
        }
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        if let Some(own) = self.own.take() {
            // Nothing depends on it: what stays is removed by the next dataflow.
            let _ = std::fs::remove_dir_all(&own.folder);
            drop(own.lock);
        }
    }
}

/// Removes the folders whose dataflows are gone.
fn remove_abandoned(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join("lock")) else {
            continue;
        };
        match lock.try_lock() {
            Ok(()) => {
                if let Err(error) = std::fs::remove_dir_all(entry.path()) {
                    tracing::warn!(folder = %entry.path().display(), %error, "spilled state that nobody needs could not be removed");
                }
            }
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
}

/// States by part, by a hash of their keys.
pub(crate) fn parts(states: &RecordBatch, keys: &[ArrayRef]) -> Result<Vec<RecordBatch>> {
    // Not the bits that shards are cut by.
    let numbers = routes(keys, states.num_rows(), PARTS, 32)?;
    cut(states, &numbers, PARTS)
}

impl SpillFile {
    fn failed(&self) -> impl Fn(std::io::Error) -> StreamError + '_ {
        |source| StreamError::Spill {
            folder: self.path.display().to_string(),
            source,
        }
    }

    fn reader(&self) -> Result<FileReader<BufReader<File>>> {
        let file = File::open(&self.path).map_err(self.failed())?;
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

    /// All parts.
    pub(crate) fn read(&self) -> Result<RecordBatch> {
        let reader = self.reader()?;
        let schema = reader.schema();
        let parts: Vec<RecordBatch> = reader.collect::<std::result::Result<_, _>>()?;
        Ok(concat_batches(&schema, &parts)?)
    }

    /// The bytes, as they were stored.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        std::fs::read(&self.path).map_err(self.failed())
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        // Nothing depends on it: what stays goes with the folder.
        let _ = std::fs::remove_file(&self.path);
    }
}

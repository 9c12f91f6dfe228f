//! Checkpoints: segments of Arrow IPC, and a manifest that says which of them make up the state.
//!
//! A segment never changes: state that changed is written to a new one. A checkpoint carries the
//! segments that the one before did not have; all that its manifest needs are listed, so that the
//! others can be removed. Each is sealed: its first line is a checksum (CRC-32C) of the rest, so that damage is noticed.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Result, StreamError};
use crate::spill::{Spill, SpillFile};

/// The version of manifest and segments that is written. Version 1, which no release wrote, had no seals.
pub(crate) const FORMAT_VERSION: u32 = 2;
/// How a seal begins; eight hexadecimal digits and a line feed follow.
const SEAL: &[u8] = b"crc32c ";
/// The digits of a seal with their line feed.
const SEAL_DIGITS: usize = 9;

/// The state of a dataflow at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// What the segments are and how they fit together: sealed JSON with a `format_version`.
    pub manifest: Vec<u8>,
    /// The segments that the checkpoint before did not have, by name.
    pub segments: Vec<(String, Segment)>,
    /// All segments that are needed from now on, by name: those of this checkpoint, and in case it cannot be read one
    /// day, those of the one before and of the trail.
    pub live: Vec<String>,
    /// What leads from the checkpoint before to this one, beside the rows in between: for [`crate::Replay`]. To be kept
    /// apart from the manifest.
    pub trail: Value,
}

/// The bytes of a segment, which may still lie in the spill folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment(Stored);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stored {
    Bytes(Vec<u8>),
    /// A file that holds these bytes.
    File(Arc<SpillFile>),
    /// A file of the same rows, cut into parts.
    Parts(Arc<SpillFile>),
}

impl Segment {
    /// The bytes as they are to be kept, sealed; read from the spill folder if they lie there.
    ///
    /// # Errors
    /// [`StreamError::Spill`] if they cannot be read.
    pub fn into_bytes(self) -> std::result::Result<Vec<u8>, StreamError> {
        let bytes = match self.0 {
            Stored::Bytes(bytes) => bytes,
            Stored::File(file) => file.bytes()?,
            Stored::Parts(file) => encode(&file.read()?)?,
        };
        Ok(seal(&bytes))
    }
}

/// The manifest, as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format_version: u32,
    /// The number of the next segment.
    pub(crate) next_segment: u64,
    pub(crate) clocks: Value,
    pub(crate) counters: Counters,
    pub(crate) operators: Vec<SavedOperator>,
}

/// What is counted over the whole life of a flow.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counters {
    pub(crate) rows_in: u64,
    pub(crate) rows_out: u64,
    pub(crate) late: u64,
    pub(crate) future: u64,
}

/// One operator in the manifest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedOperator {
    pub(crate) kind: String,
    pub(crate) meaning: String,
    pub(crate) state: Value,
}

/// Where operators put their segments: into a checkpoint, or into files when they are spilled.
#[derive(Debug)]
pub(crate) struct SegmentWriter<'a> {
    spill: &'a Spill,
    /// Segments that are held already: by an earlier checkpoint, or by files.
    held: &'a BTreeSet<String>,
    to: Target,
    pub(crate) live: Vec<String>,
}

#[derive(Debug)]
enum Target {
    Checkpoint(Vec<(String, Segment)>),
    Files(Vec<(String, Arc<SpillFile>)>),
}

impl<'a> SegmentWriter<'a> {
    /// Writes what a checkpoint needs that earlier ones do not hold.
    pub(crate) fn checkpoint(spill: &'a Spill, held: &'a BTreeSet<String>) -> Self {
        let to = Target::Checkpoint(Vec::new());
        Self {
            spill,
            held,
            to,
            live: Vec::new(),
        }
    }

    /// Writes to the spill folder what is not held there.
    pub(crate) fn files(spill: &'a Spill, held: &'a BTreeSet<String>) -> Self {
        let to = Target::Files(Vec::new());
        Self {
            spill,
            held,
            to,
            live: Vec::new(),
        }
    }

    /// Writes a segment that nobody will name again, and gives its name.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<String> {
        self.put(&mut None, || Ok(batch.clone()))
    }

    /// Writes a segment unless it is held, and gives its name, which stays with whoever owns the rows.
    pub(crate) fn put(
        &mut self,
        segment: &mut Option<String>,
        rows: impl FnOnce() -> Result<RecordBatch>,
    ) -> Result<String> {
        let name = segment.get_or_insert_with(|| self.spill.name());
        self.live.push(name.clone());
        if !self.held.contains(name) {
            match &mut self.to {
                Target::Checkpoint(segments) => {
                    let bytes = Stored::Bytes(encode(&rows()?)?);
                    segments.push((name.clone(), Segment(bytes)));
                }
                Target::Files(files) => {
                    let file = self.spill.store(&encode(&rows()?)?)?;
                    files.push((name.clone(), Arc::new(file)));
                }
            }
        }
        Ok(name.clone())
    }

    /// Takes a segment over that lies in the spill folder as it would be written.
    pub(crate) fn put_file(&mut self, name: &str, file: &Arc<SpillFile>) -> Result<()> {
        self.take_over(name, Stored::File(Arc::clone(file)))
    }

    /// The same for a file of parts.
    pub(crate) fn put_parts(
        &mut self,
        segment: &mut Option<String>,
        file: &Arc<SpillFile>,
    ) -> Result<String> {
        let name = segment.get_or_insert_with(|| self.spill.name()).clone();
        self.take_over(&name, Stored::Parts(Arc::clone(file)))?;
        Ok(name)
    }

    /// Writes a segment that is no part of the state, and gives its name.
    pub(crate) fn write_aside(&mut self, batch: &RecordBatch) -> Result<String> {
        let name = self.write(batch)?;
        self.live.pop();
        Ok(name)
    }

    fn take_over(&mut self, name: &str, stored: Stored) -> Result<()> {
        self.live.push(name.to_owned());
        match &mut self.to {
            Target::Checkpoint(_) if self.held.contains(name) => Ok(()),
            Target::Checkpoint(segments) => {
                segments.push((name.to_owned(), Segment(stored)));
                Ok(())
            }
            Target::Files(_) => Err(StreamError::bug("what is spilled is spilled again")),
        }
    }

    /// The segments of a checkpoint that are new.
    pub(crate) fn into_segments(self) -> Vec<(String, Segment)> {
        match self.to {
            Target::Checkpoint(segments) => segments,
            Target::Files(_) => Vec::new(),
        }
    }

    /// The files that were written.
    pub(crate) fn into_files(self) -> Vec<(String, Arc<SpillFile>)> {
        match self.to {
            Target::Files(files) => files,
            Target::Checkpoint(_) => Vec::new(),
        }
    }
}

/// Where operators read their segments.
pub(crate) struct SegmentReader<'a> {
    read: &'a mut dyn FnMut(&str) -> Result<Vec<u8>>,
    /// The segments that were read.
    pub(crate) seen: BTreeSet<String>,
}

impl<'a> SegmentReader<'a> {
    pub(crate) fn new(read: &'a mut dyn FnMut(&str) -> Result<Vec<u8>>) -> Self {
        Self {
            read,
            seen: BTreeSet::new(),
        }
    }

    /// A segment as it was written.
    pub(crate) fn bytes(&mut self, name: &str) -> Result<Vec<u8>> {
        self.seen.insert(name.to_owned());
        (self.read)(name)
    }

    /// The rows of a segment.
    pub(crate) fn read(&mut self, name: &str) -> Result<RecordBatch> {
        let bytes = self.bytes(name)?;
        decode(&bytes).map_err(|error| StreamError::damaged(format!("{name}: {error}")))
    }
}

/// Reads segments of a checkpoint as they were before they were sealed.
pub(crate) fn unsealed<'a>(
    read: &'a mut dyn FnMut(&str) -> std::io::Result<Vec<u8>>,
) -> impl FnMut(&str) -> Result<Vec<u8>> + 'a {
    |name| {
        let mut bytes = read(name)
            .map_err(|error| StreamError::damaged(format!("{name} cannot be read: {error}")))?;
        let sealed = bytes.len();
        let rest = unseal(&bytes)
            .map_err(|reason| StreamError::damaged(format!("{name} {reason}")))?
            .len();
        bytes.drain(..sealed - rest);
        Ok(bytes)
    }
}

/// Bytes with their checksum before them.
pub(crate) fn seal(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(SEAL.len() + SEAL_DIGITS + bytes.len());
    sealed.extend_from_slice(SEAL);
    sealed.extend_from_slice(digits(bytes).as_bytes());
    sealed.extend_from_slice(bytes);
    sealed
}

/// The bytes after their checksum, or what is wrong with them.
pub(crate) fn unseal(sealed: &[u8]) -> std::result::Result<&[u8], &'static str> {
    sealed
        .strip_prefix(SEAL)
        .and_then(|rest| rest.split_at_checked(SEAL_DIGITS))
        .filter(|(seal, bytes)| *seal == digits(bytes).as_bytes())
        .map(|(_, bytes)| bytes)
        .ok_or("is not as it was written: its checksum differs")
}

fn digits(bytes: &[u8]) -> String {
    format!("{:08x}\n", crc32c::crc32c(bytes))
}

/// A manifest as bytes.
pub(crate) fn write_manifest(manifest: &Manifest) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(manifest).map_err(|error| StreamError::bug(error.to_string()))?;
    Ok(seal(&json))
}

/// The manifest in these bytes.
pub(crate) fn read_manifest(bytes: &[u8]) -> Result<Manifest> {
    let json =
        unseal(bytes).map_err(|reason| StreamError::damaged(format!("the manifest {reason}")))?;
    let value: Value = serde_json::from_slice(json)
        .map_err(|error| StreamError::damaged(format!("the manifest is no JSON: {error}")))?;
    let version = value.get("format_version").and_then(Value::as_u64);
    match version.map(u32::try_from) {
        Some(Ok(FORMAT_VERSION)) => saved(&value),
        Some(Ok(found)) if found > FORMAT_VERSION => Err(StreamError::NewerFormat {
            found,
            known: FORMAT_VERSION,
        }),
        _ => Err(StreamError::damaged(
            "the manifest has no version that can be",
        )),
    }
}

/// A batch as bytes.
pub(crate) fn encode(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
    writer.write(batch)?;
    writer.finish()?;
    Ok(writer.into_inner()?)
}

/// The one batch of these bytes.
fn decode(bytes: &[u8]) -> std::result::Result<RecordBatch, String> {
    let reader = StreamReader::try_new(Cursor::new(bytes), None).map_err(|e| e.to_string())?;
    let schema = reader.schema();
    let batches: Vec<RecordBatch> = reader
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| error.to_string())?;
    match <[RecordBatch; 1]>::try_from(batches) {
        Ok([batch]) => Ok(batch),
        Err(batches) if batches.is_empty() => Ok(RecordBatch::new_empty(schema)),
        Err(batches) => Err(format!("expected one batch, found {}", batches.len())),
    }
}

/// A saved value, or what is wrong with it.
pub(crate) fn saved<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T> {
    serde_json::from_value(value.clone())
        .map_err(|error| StreamError::damaged(format!("the manifest: {error}")))
}

/// A value to be saved.
pub(crate) fn to_save<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| StreamError::bug(error.to_string()))
}

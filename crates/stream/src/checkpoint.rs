//! Checkpoints: segments of Arrow IPC, and a manifest that says which of them make up the state.
//!
//! A segment never changes: state that changed is written to a new one. A checkpoint carries the
//! segments that the one before did not have; all that its manifest needs are listed, so that the
//! others can be removed.

use std::io::Cursor;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Result, StreamError};

/// The version of manifest and segments that is written.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// The state of a dataflow at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// What the segments are and how they fit together: JSON with a `format_version`.
    pub manifest: Vec<u8>,
    /// The segments that the checkpoint before did not have, by name.
    pub segments: Vec<(String, Vec<u8>)>,
    /// All segments that the manifest needs, by name.
    pub live: Vec<String>,
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

/// Where operators put their segments.
#[derive(Debug, Default)]
pub(crate) struct SegmentWriter {
    pub(crate) next: u64,
    pub(crate) segments: Vec<(String, Vec<u8>)>,
    pub(crate) live: Vec<String>,
}

impl SegmentWriter {
    /// Writes a segment, and gives its name.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<String> {
        let name = format!("segment-{:08}.arrow", self.next);
        self.next += 1;
        self.segments.push((name.clone(), encode(batch)?));
        self.live.push(name.clone());
        Ok(name)
    }

    /// A segment of an earlier checkpoint is still needed.
    pub(crate) fn keep(&mut self, name: &str) {
        self.live.push(name.to_owned());
    }
}

/// Where operators read their segments.
pub(crate) struct SegmentReader<'a> {
    pub(crate) read: &'a mut dyn FnMut(&str) -> std::io::Result<Vec<u8>>,
}

impl SegmentReader<'_> {
    /// The rows of a segment.
    pub(crate) fn read(&mut self, name: &str) -> Result<RecordBatch> {
        let bytes = (self.read)(name)
            .map_err(|error| StreamError::damaged(format!("{name} cannot be read: {error}")))?;
        decode(&bytes).map_err(|error| StreamError::damaged(format!("{name}: {error}")))
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

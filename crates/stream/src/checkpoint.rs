//! Checkpoints: segments of Arrow IPC, and a manifest that says which of them make up the state.
//!
//! A segment never changes: state that changed is written to a new one. A checkpoint carries the
//! segments that the one before did not have; all that its manifest needs are listed, so that the
//! others can be removed. Everything carries a checksum (CRC-32C), so that damage is noticed: a segment in the manifest,
//! the manifest in its own first line.

use std::collections::BTreeMap;
use std::io::Cursor;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Result, StreamError};

/// The version of manifest and segments that is written. Version 1 had no checksums.
pub(crate) const FORMAT_VERSION: u32 = 2;
/// How a manifest with a checksum begins; eight hexadecimal digits and a line feed follow.
const CHECKSUM: &[u8] = b"crc32c ";

/// The state of a dataflow at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// What the segments are and how they fit together: a line with a checksum, then JSON with a `format_version`.
    pub manifest: Vec<u8>,
    /// The segments that the checkpoint before did not have, by name.
    pub segments: Vec<(String, Vec<u8>)>,
    /// All segments that are needed from now on, by name: those of this checkpoint, and in case it cannot be read one
    /// day, those of the one before and of the trail.
    pub live: Vec<String>,
    /// What leads from the checkpoint before to this one, beside the rows in between: for [`crate::Replay`]. To be kept
    /// apart from the manifest.
    pub trail: Value,
}

/// The manifest, as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format_version: u32,
    /// The number of the next segment.
    pub(crate) next_segment: u64,
    /// The checksums of the segments; of those that version 1 wrote there are none.
    #[serde(default)]
    pub(crate) segments: Checksums,
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

/// The checksums of segments, by name.
pub(crate) type Checksums = BTreeMap<String, u32>;

/// Where operators put their segments.
#[derive(Debug, Default)]
pub(crate) struct SegmentWriter {
    pub(crate) next: u64,
    pub(crate) segments: Vec<(String, Vec<u8>)>,
    /// The checksums of new segments.
    pub(crate) checksums: Checksums,
    pub(crate) live: Vec<String>,
}

impl SegmentWriter {
    /// Writes a segment, and gives its name.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<String> {
        let (name, checksum) = self.write_aside(batch)?;
        self.checksums.insert(name.clone(), checksum);
        self.live.push(name.clone());
        Ok(name)
    }

    /// Writes a segment that is no part of the state, and gives its name and checksum.
    pub(crate) fn write_aside(&mut self, batch: &RecordBatch) -> Result<(String, u32)> {
        let name = segment_name(self.next);
        self.next += 1;
        let bytes = encode(batch)?;
        let checksum = crc32c::crc32c(&bytes);
        self.segments.push((name.clone(), bytes));
        Ok((name, checksum))
    }

    /// A segment of an earlier checkpoint is still needed.
    pub(crate) fn keep(&mut self, name: &str) {
        self.live.push(name.to_owned());
    }
}

/// Where operators read their segments.
pub(crate) struct SegmentReader<'a> {
    read: &'a mut dyn FnMut(&str) -> std::io::Result<Vec<u8>>,
    checksums: Checksums,
    /// The segments that were read.
    pub(crate) seen: Vec<String>,
}

impl<'a> SegmentReader<'a> {
    /// Reads segments that must have these checksums; those without one are taken as they are.
    pub(crate) fn new(
        read: &'a mut dyn FnMut(&str) -> std::io::Result<Vec<u8>>,
        checksums: Checksums,
    ) -> Self {
        Self {
            read,
            checksums,
            seen: Vec::new(),
        }
    }

    /// The rows of a segment.
    pub(crate) fn read(&mut self, name: &str) -> Result<RecordBatch> {
        let bytes = (self.read)(name)
            .map_err(|error| StreamError::damaged(format!("{name} cannot be read: {error}")))?;
        let wanted = self.checksums.get(name);
        if wanted.is_some_and(|wanted| *wanted != crc32c::crc32c(&bytes)) {
            return Err(StreamError::damaged(format!(
                "{name} is not as it was written: its checksum differs"
            )));
        }
        self.seen.push(name.to_owned());
        decode(&bytes).map_err(|error| StreamError::damaged(format!("{name}: {error}")))
    }
}

fn segment_name(number: u64) -> String {
    format!("segment-{number:08}.arrow")
}

/// The number in the name of a segment.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(".arrow")?;
    digits.parse().ok()
}

/// A manifest as bytes.
pub(crate) fn write_manifest(manifest: &Manifest) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(manifest).map_err(|error| StreamError::bug(error.to_string()))?;
    let mut bytes = CHECKSUM.to_vec();
    bytes.extend(format!("{:08x}\n", crc32c::crc32c(&json)).into_bytes());
    bytes.extend(json);
    Ok(bytes)
}

/// The manifest in these bytes.
pub(crate) fn read_manifest(bytes: &[u8]) -> Result<Manifest> {
    let (json, is_checked) = match bytes.strip_prefix(CHECKSUM) {
        Some(rest) => {
            let (digits, json) = rest.split_at_checked(9).unwrap_or((rest, &[]));
            if format!("{:08x}\n", crc32c::crc32c(json)).as_bytes() != digits {
                return Err(StreamError::damaged(
                    "the manifest is not as it was written: its checksum differs",
                ));
            }
            (json, true)
        }
        None => (bytes, false),
    };
    let value: Value = serde_json::from_slice(json)
        .map_err(|error| StreamError::damaged(format!("the manifest is no JSON: {error}")))?;
    let version = value.get("format_version").and_then(Value::as_u64);
    match version.map(u32::try_from) {
        Some(Ok(1)) if !is_checked => {}
        Some(Ok(FORMAT_VERSION)) if is_checked => {}
        Some(Ok(found)) if found > FORMAT_VERSION => {
            return Err(StreamError::NewerFormat {
                found,
                known: FORMAT_VERSION,
            });
        }
        _ => {
            return Err(StreamError::damaged(
                "the manifest has no version that can be",
            ));
        }
    }
    saved(&value)
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

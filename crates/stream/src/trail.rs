//! What has to be known of an epoch, beside its rows, to come to the same state from the same rows again.
//!
//! Rows that are not behind the watermark when they come may come in any order and at any time before their windows close:
//! the state is the same. So an epoch is run again by pushing all of those first, with the watermark held, and only the
//! others, which are few, as they came: each behind the watermarks that it met ([`crate::Replay`]). The trail names these,
//! and those that were too far ahead of the clock, and says where the clocks stood in the end.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::{Counters, SegmentReader, SegmentWriter, saved, to_save, unsealed};
use crate::clock::Clocks;
use crate::error::{Result, StreamError};

/// The version of trails that is written.
const FORMAT_VERSION: u32 = 1;
/// An epoch with more bytes of exceptional rows than this cannot be run again.
const BYTES_MAX: usize = 32 << 20;
/// Nor one with more batches of them.
const BATCHES_MAX: usize = 4096;

/// The watermark of each stream, by binding.
pub(crate) type Watermarks = BTreeMap<String, i64>;

/// The trail of an epoch as it grows.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    /// Where the watermarks stood when the epoch began.
    begin: Watermarks,
    /// The caller's clock at the first turn.
    began: Option<i64>,
    rows: Vec<Exception>,
    bytes: usize,
    /// More came than is kept.
    too_long: bool,
}

/// Rows that are pushed apart when the epoch is run again.
#[derive(Debug)]
pub(crate) struct Exception {
    pub(crate) binding: String,
    /// The watermarks that they were behind; `None`: they were too far ahead of the clock, and are not pushed at all.
    pub(crate) met: Option<Watermarks>,
    pub(crate) batch: RecordBatch,
}

/// A trail as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct SavedTrail {
    format_version: u32,
    began: i64,
    ended: i64,
    clocks: Value,
    counters: Counters,
    too_long: bool,
    /// A segment for each binding that has exceptions.
    segments: BTreeMap<String, String>,
    exceptions: Vec<SavedException>,
}

/// The next rows of the segment of a binding.
#[derive(Debug, Serialize, Deserialize)]
struct SavedException {
    binding: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    met: Option<Watermarks>,
    rows: usize,
}

/// A trail as it is read.
#[derive(Debug)]
pub(crate) struct ReadTrail {
    pub(crate) began: i64,
    pub(crate) ended: i64,
    pub(crate) clocks: Value,
    pub(crate) counters: Counters,
    pub(crate) exceptions: Vec<Exception>,
}

impl Trail {
    /// The trail of the epoch that begins now.
    pub(crate) fn beginning(clocks: &Clocks) -> Self {
        Self {
            begin: clocks.watermarks(),
            ..Self::default()
        }
    }

    /// The caller's clock at a turn.
    pub(crate) fn at(&mut self, now: i64) {
        self.began.get_or_insert(now);
    }

    /// Whether the watermarks have moved since the epoch began: only then it matters when a row came.
    pub(crate) fn has_moved(&self, clocks: &Clocks) -> bool {
        !self.too_long && !clocks.stand_at(&self.begin)
    }

    /// Notes rows; `met` as in [`Exception`].
    pub(crate) fn note(&mut self, binding: &str, met: Option<Watermarks>, batch: RecordBatch) {
        self.bytes = self.bytes.saturating_add(batch.get_array_memory_size());
        if self.too_long || self.bytes > BYTES_MAX || self.rows.len() >= BATCHES_MAX {
            self.too_long = true;
            self.rows.clear();
            return;
        }
        self.rows.push(Exception {
            binding: binding.to_owned(),
            met,
            batch,
        });
    }

    /// Writes the exceptional rows as segments, and gives all else.
    pub(crate) fn save(
        &self,
        clocks: &Clocks,
        counters: Counters,
        now: i64,
        writer: &mut SegmentWriter<'_>,
    ) -> Result<Value> {
        let mut by_binding: BTreeMap<&str, Vec<&RecordBatch>> = BTreeMap::new();
        for exception in &self.rows {
            let batches = by_binding.entry(&exception.binding).or_default();
            batches.push(&exception.batch);
        }
        let mut segments = BTreeMap::new();
        for (binding, batches) in by_binding {
            let Some(first) = batches.first() else {
                continue;
            };
            let all = concat_batches(first.schema_ref(), batches)?;
            segments.insert(binding.to_owned(), writer.write_aside(&all)?);
        }
        let exceptions = self.rows.iter().map(|exception| SavedException {
            binding: exception.binding.clone(),
            met: exception.met.clone(),
            rows: exception.batch.num_rows(),
        });
        to_save(&SavedTrail {
            format_version: FORMAT_VERSION,
            began: self.began.unwrap_or(now),
            ended: now,
            clocks: to_save(&clocks.save().map_err(|e| StreamError::bug(e.to_string()))?)?,
            counters,
            too_long: self.too_long,
            segments,
            exceptions: exceptions.collect(),
        })
    }
}

/// Reads a trail with its segments.
pub(crate) fn read(
    trail: &Value,
    from: &mut dyn FnMut(&str) -> std::io::Result<Vec<u8>>,
) -> Result<ReadTrail> {
    let trail: SavedTrail = saved(trail)?;
    if trail.format_version != FORMAT_VERSION {
        return Err(StreamError::NewerFormat {
            found: trail.format_version,
            known: FORMAT_VERSION,
        });
    }
    if trail.too_long {
        return Err(StreamError::damaged(
            "more rows of that epoch came behind the watermark than are kept, so that it cannot be run again",
        ));
    }
    let mut from = unsealed(from);
    let mut reader = SegmentReader::new(&mut from);
    let mut rows: BTreeMap<&str, (RecordBatch, usize)> = BTreeMap::new();
    for (binding, segment) in &trail.segments {
        rows.insert(binding, (reader.read(segment)?, 0));
    }
    let mut exceptions = Vec::with_capacity(trail.exceptions.len());
    for saved in trail.exceptions {
        let found = rows.get_mut(saved.binding.as_str());
        let fits = found.filter(|(all, at)| at.saturating_add(saved.rows) <= all.num_rows());
        let Some((all, at)) = fits else {
            return Err(StreamError::damaged(
                "rows that the epoch names are not there",
            ));
        };
        exceptions.push(Exception {
            batch: all.slice(*at, saved.rows),
            binding: saved.binding,
            met: saved.met,
        });
        *at += saved.rows;
    }
    Ok(ReadTrail {
        began: trail.began,
        ended: trail.ended,
        clocks: trail.clocks,
        counters: trail.counters,
        exceptions,
    })
}

//! An operator's shards in a checkpoint.
//!
//! One shard is saved as what it saves; many with what waits for them. A shard that was spilled is not
//! read for a checkpoint, nor is one that will not fit into memory when it is taken back.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::place::{Place, Resting};
use super::{Sharded, Slot};
use crate::checkpoint::{SegmentReader, SegmentWriter, saved, to_save};
use crate::error::{Result, StreamError};
use crate::routes::fingerprint;
use crate::shard::{Due, Given, Handed, SHARDS};

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    /// How keys are hashed.
    fingerprint: u64,
    watermarks: Vec<i64>,
    shards: Vec<SavedSlot>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedSlot {
    state: Value,
    segments: Vec<String>,
    rows: usize,
    due: Due,
    waits_since: Option<i64>,
    queue: Vec<SavedTurn>,
    /// The rows that wait, by input.
    waiting: Vec<Option<String>>,
}

/// A turn that waits.
#[derive(Debug, Serialize, Deserialize)]
struct SavedTurn {
    now: i64,
    /// By input: the watermark, and how many rows.
    inputs: Vec<(i64, usize)>,
}

impl Sharded {
    pub(super) fn save_slots(&mut self, writer: &mut SegmentWriter<'_>) -> Result<Value> {
        if let [slot] = self.slots.as_mut_slice() {
            return slot.place.save(writer);
        }
        let shards = self.slots.iter_mut().map(|slot| slot.save(writer));
        to_save(&Saved {
            shards: shards.collect::<Result<_>>()?,
            fingerprint: fingerprint()?,
            watermarks: self.watermarks.clone(),
        })
    }

    pub(super) fn load_slots(
        &mut self,
        value: &Value,
        reader: &mut SegmentReader<'_>,
    ) -> Result<()> {
        if value.get("shards").is_none() {
            let mut shard = (self.make)()?;
            shard.load(value, reader)?;
            self.slots = vec![Slot::new(Place::memory(shard))];
            return Ok(());
        }
        let state: Saved = saved(value)?;
        if state.fingerprint != fingerprint()? || state.shards.len() != SHARDS {
            return Err(StreamError::StateMismatch {
                operator: format!("the {} {}", self.identity.kind, self.identity.meaning),
                reason: "its keys were cut in another way by another version".to_owned(),
            });
        }
        self.watermarks = state.watermarks;
        self.slots.clear();
        let mut bytes = 0;
        for shard in state.shards {
            let slot = self.load_slot(shard, bytes, reader)?;
            bytes += slot.place.bytes();
            self.slots.push(slot);
        }
        Ok(())
    }

    fn load_slot(
        &mut self,
        slot: SavedSlot,
        bytes: usize,
        reader: &mut SegmentReader<'_>,
    ) -> Result<Slot> {
        let mut place = if bytes < self.budget / 2 {
            let mut shard = (self.make)()?;
            shard.load(&slot.state, reader)?;
            Place::memory(shard)
        } else {
            let mut files = BTreeMap::new();
            for name in slot.segments {
                let file = self.spill.store(&reader.bytes(&name)?)?;
                files.insert(name, Arc::new(file));
            }
            let resting = Resting::new(&slot.state, slot.rows, slot.due, &self.spill)?;
            Place::disk(resting, files)
        };
        if bytes + place.bytes() > self.budget {
            place.spill(&self.spill)?;
        }
        let mut loaded = Slot::new(place);
        loaded.waits_since = slot.waits_since;
        let mut waiting = Vec::new();
        for name in slot.waiting {
            let rows = name.map(|name| reader.read(&name)).transpose()?;
            self.waiting += rows.as_ref().map_or(0, RecordBatch::get_array_memory_size);
            waiting.push((rows, 0));
        }
        for turn in slot.queue {
            let inputs = turn.inputs.iter().zip(&mut waiting);
            let inputs = inputs.map(|((watermark, count), (rows, at))| {
                let rows = rows.iter().filter(|_| *count > 0);
                let rows = rows.map(|rows| rows.slice(*at, *count)).collect();
                *at += count;
                let watermark = *watermark;
                Given { rows, watermark }
            });
            let handed = Handed {
                inputs: inputs.collect(),
                now: turn.now,
                flush: false,
            };
            loaded.wait(handed, self.is_timeless);
        }
        Ok(loaded)
    }
}

impl Slot {
    fn save(&mut self, writer: &mut SegmentWriter<'_>) -> Result<SavedSlot> {
        let from = writer.live.len();
        let state = self.place.save(writer)?;
        let segments = writer.live.get(from..).unwrap_or_default().to_vec();
        let mut rows: Vec<Vec<&RecordBatch>> = Vec::new();
        let mut queue = Vec::new();
        for handed in &self.queue {
            rows.resize(handed.inputs.len(), Vec::new());
            let mut inputs = Vec::new();
            for (all, given) in rows.iter_mut().zip(&handed.inputs) {
                all.extend(&given.rows);
                let count = given.rows.iter().map(RecordBatch::num_rows).sum();
                inputs.push((given.watermark, count));
            }
            let now = handed.now;
            queue.push(SavedTurn { now, inputs });
        }
        let mut waiting = Vec::new();
        for rows in rows {
            waiting.push(match rows.first() {
                Some(first) => Some(writer.write(&concat_batches(first.schema_ref(), rows)?)?),
                None => None,
            });
        }
        Ok(SavedSlot {
            state,
            segments,
            rows: self.place.rows(),
            due: self.place.due(),
            waits_since: self.waits_since,
            queue,
            waiting,
        })
    }
}

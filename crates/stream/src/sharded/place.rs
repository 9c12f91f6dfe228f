//! Where a shard is: in memory, or in the spill folder as a checkpoint would save it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::Make;
use crate::checkpoint::{SegmentReader, SegmentWriter};
use crate::error::{Result, StreamError};
use crate::shard::{Due, Shard};
use crate::spill::{Spill, SpillFile};

/// A shard, and the files of its segments.
pub(super) struct Place {
    state: State,
    /// By segment. A shard in memory keeps those that still say the same, so that it is spilled again
    /// without writing them.
    files: BTreeMap<String, Arc<SpillFile>>,
}

enum State {
    Memory(Box<dyn Shard>),
    Disk(Resting),
    /// It is at work.
    Away,
}

/// A shard that is not in memory.
pub(super) struct Resting {
    /// What it saved, as JSON.
    saved: SpillFile,
    pub(super) rows: usize,
    pub(super) due: Due,
}

impl Resting {
    pub(super) fn new(saved: &Value, rows: usize, due: Due, spill: &Spill) -> Result<Self> {
        let saved =
            serde_json::to_vec(saved).map_err(|error| StreamError::bug(error.to_string()))?;
        Ok(Self {
            saved: spill.store(&saved)?,
            rows,
            due,
        })
    }

    fn saved(&self) -> Result<Value> {
        serde_json::from_slice(&self.saved.bytes()?)
            .map_err(|error| StreamError::bug(error.to_string()))
    }
}

impl Place {
    pub(super) fn memory(shard: Box<dyn Shard>) -> Self {
        Self {
            state: State::Memory(shard),
            files: BTreeMap::new(),
        }
    }

    pub(super) fn disk(resting: Resting, files: BTreeMap<String, Arc<SpillFile>>) -> Self {
        Self {
            state: State::Disk(resting),
            files,
        }
    }

    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self.state, State::Memory(_))
    }

    /// Takes the shard to work on it.
    pub(super) fn take(&mut self, make: &Make) -> Result<Box<dyn Shard>> {
        match std::mem::replace(&mut self.state, State::Away) {
            State::Memory(shard) => Ok(shard),
            State::Disk(resting) => {
                let mut read = |name: &str| match self.files.get(name) {
                    Some(file) => file.bytes(),
                    None => Err(StreamError::bug("a segment of a spilled shard is missing")),
                };
                let mut shard = make()?;
                let saved = resting.saved()?;
                shard.load(&saved, &mut SegmentReader::new(&mut read))?;
                Ok(shard)
            }
            State::Away => Err(StreamError::bug("a shard is taken twice")),
        }
    }

    /// Puts the shard back.
    pub(super) fn put(&mut self, shard: Box<dyn Shard>) {
        self.state = State::Memory(shard);
    }

    /// The shard, in memory.
    pub(super) fn resident(&mut self, make: &Make) -> Result<&mut dyn Shard> {
        if !self.is_in_memory() {
            let shard = self.take(make)?;
            self.put(shard);
        }
        match &mut self.state {
            State::Memory(shard) => Ok(shard.as_mut()),
            _ => Err(StreamError::bug("a shard is not where it was put")),
        }
    }

    /// Moves the shard to disk, and says how many bytes of memory are free again.
    pub(super) fn spill(&mut self, spill: &Spill) -> Result<usize> {
        let before = self.bytes();
        let State::Memory(shard) = &mut self.state else {
            return Ok(0);
        };
        let held: BTreeSet<String> = self.files.keys().cloned().collect();
        let mut writer = SegmentWriter::files(spill, &held);
        let saved = shard.save(&mut writer)?;
        let resting = Resting::new(&saved, shard.rows(), shard.due(), spill)?;
        let live: BTreeSet<String> = std::mem::take(&mut writer.live).into_iter().collect();
        self.files.extend(writer.into_files());
        self.files.retain(|name, _| live.contains(name));
        self.state = State::Disk(resting);
        Ok(before.saturating_sub(self.bytes()))
    }

    /// Bytes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        match &self.state {
            State::Memory(shard) => shard.bytes(),
            State::Disk(_) | State::Away => 0,
        }
    }

    pub(super) fn rows(&self) -> usize {
        match &self.state {
            State::Memory(shard) => shard.rows(),
            State::Disk(resting) => resting.rows,
            State::Away => 0,
        }
    }

    pub(super) fn due(&self) -> Due {
        match &self.state {
            State::Memory(shard) => shard.due(),
            State::Disk(resting) => resting.due.clone(),
            State::Away => Due::never(),
        }
    }

    pub(super) fn spilled_bytes(&self) -> u64 {
        let own = match &self.state {
            State::Memory(shard) => shard.spilled_bytes(),
            State::Disk(resting) => resting.saved.bytes,
            State::Away => 0,
        };
        own + self.files.values().map(|file| file.bytes).sum::<u64>()
    }

    /// Puts the shard into a checkpoint; one on disk is not read for that.
    pub(super) fn save(&mut self, writer: &mut SegmentWriter<'_>) -> Result<Value> {
        match &mut self.state {
            State::Memory(shard) => shard.save(writer),
            State::Disk(resting) => {
                for (name, file) in &self.files {
                    writer.put_file(name, file)?;
                }
                resting.saved()
            }
            State::Away => Err(StreamError::bug("a shard is saved while it is at work")),
        }
    }
}

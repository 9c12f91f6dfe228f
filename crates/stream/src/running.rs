//! Aggregates without a window: a result for each key, replaced whenever the key's rows change.

use std::sync::Arc;

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::{SegmentReader, SegmentWriter, saved, to_save};
use crate::error::Result;
use crate::groups::{Grouping, Groups};
use crate::keyed::KeyedStates;
use crate::operator::{Changes, Identity};
use crate::shard::{Due, Give, Handed, Shard};
use crate::window::Layout;

/// What a running aggregate is made from.
#[derive(Debug)]
pub(crate) struct RunningParts {
    pub(crate) grouping: Arc<Grouping>,
    pub(crate) layout: Layout,
    pub(crate) meaning: String,
    pub(crate) time_to_live: Option<i64>,
}

/// An aggregate over all that ever came, by key.
pub(crate) struct RunningAggregate {
    parts: Arc<RunningParts>,
    states: KeyedStates,
    /// When keys were last looked through for those that are too old.
    swept: i64,
}

impl RunningAggregate {
    pub(crate) fn new(parts: &Arc<RunningParts>) -> Result<Self> {
        Ok(Self {
            states: KeyedStates::new(&parts.grouping)?,
            parts: Arc::clone(parts),
            swept: i64::MIN,
        })
    }

    /// Adds rows, and gives the results of their keys.
    fn take(&mut self, batches: &[RecordBatch], now: i64, out: &mut Changes) -> Result<()> {
        let mut changed = Groups::new(&self.parts.grouping)?;
        for batch in batches {
            changed.update(&self.parts.grouping.evaluate(batch)?)?;
        }
        if changed.len() > 0 {
            let results = self.states.apply(&changed.drain()?, now)?;
            out.rows.push(self.parts.layout.assemble(results, None)?);
        }
        Ok(())
    }

    fn sweep(&mut self, now: i64) -> Result<()> {
        let Some(life) = self.parts.time_to_live else {
            return Ok(());
        };
        if now.saturating_sub(self.swept) < life / 8 {
            return Ok(());
        }
        self.swept = now;
        self.states.expire(now.saturating_sub(life))
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    parts: Value,
    swept: i64,
}

impl Shard for RunningAggregate {
    fn work(&mut self, handed: Handed, out: &mut Changes) -> Result<()> {
        // Before the rows, so that a key whose life is over begins anew.
        self.sweep(handed.now)?;
        self.take(&handed.input().rows, handed.now, out)
    }

    fn identity(&self) -> Identity {
        Identity {
            kind: "running aggregate",
            meaning: self.parts.meaning.clone(),
        }
    }

    fn bytes(&self) -> usize {
        self.states.size()
    }

    fn rows(&self) -> usize {
        self.states.len()
    }

    fn due(&self) -> Due {
        Due::by_life(self.parts.time_to_live, self.swept, self.states.len())
    }

    fn is_timeless(&self) -> bool {
        self.parts.time_to_live.is_none()
    }

    fn save(&mut self, writer: &mut SegmentWriter<'_>) -> Result<Value> {
        to_save(&Saved {
            parts: self.states.save(writer)?,
            swept: self.swept,
        })
    }

    fn load(&mut self, state: &Value, reader: &mut SegmentReader<'_>) -> Result<()> {
        let state: Saved = saved(state)?;
        self.swept = state.swept;
        self.states.load(&state.parts, reader)
    }

    fn divide(&mut self, give: &mut Give<'_>) -> Result<()> {
        for (number, places) in self.states.by_shard()?.into_iter().enumerate() {
            let shard = Self {
                parts: Arc::clone(&self.parts),
                states: self.states.only(&places)?,
                swept: self.swept,
            };
            give(number, Box::new(shard))?;
        }
        self.states = KeyedStates::new(&self.parts.grouping)?;
        Ok(())
    }
}

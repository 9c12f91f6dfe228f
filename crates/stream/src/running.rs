//! Aggregates without a window: a result for each key, replaced whenever the key's rows change.

use std::sync::Arc;

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::{SegmentReader, SegmentWriter, saved, to_save};
use crate::error::Result;
use crate::groups::{Grouping, Groups};
use crate::keyed::KeyedStates;
use crate::operator::{Changes, Identity, Operator, Turn};
use crate::options::OperatorStats;
use crate::window::Layout;

/// An aggregate over all that ever came, by key.
pub(crate) struct RunningAggregate {
    input: Box<dyn Operator>,
    grouping: Arc<Grouping>,
    layout: Layout,
    meaning: String,
    states: KeyedStates,
    time_to_live: Option<i64>,
    /// When keys were last looked through for those that are too old.
    swept: i64,
}

impl RunningAggregate {
    pub(crate) fn new(
        input: Box<dyn Operator>,
        grouping: &Arc<Grouping>,
        layout: Layout,
        meaning: String,
        options: &crate::Options,
    ) -> Result<Self> {
        Ok(Self {
            input,
            states: KeyedStates::new(grouping)?,
            grouping: Arc::clone(grouping),
            layout,
            meaning,
            time_to_live: options.time_to_live_micros,
            swept: i64::MIN,
        })
    }

    /// Adds rows, and gives the results of their keys.
    fn take(&mut self, batches: &[RecordBatch], now: i64) -> Result<Vec<RecordBatch>> {
        let mut changed = Groups::new(&self.grouping)?;
        for batch in batches {
            changed.update(&self.grouping.evaluate(batch)?)?;
        }
        if changed.len() == 0 {
            return Ok(Vec::new());
        }
        let results = self.states.apply(&changed.drain()?, now)?;
        Ok(vec![self.layout.assemble(results, None)?])
    }

    fn sweep(&mut self, now: i64) -> Result<()> {
        let Some(life) = self.time_to_live else {
            return Ok(());
        };
        if now.saturating_sub(self.swept) < life / 8 {
            return Ok(());
        }
        self.swept = now;
        self.states.expire(now.saturating_sub(life))?;
        Ok(())
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    parts: Value,
    swept: i64,
}

impl Operator for RunningAggregate {
    fn turn(&mut self, turn: &mut Turn<'_>) -> Result<Changes> {
        let changes = self.input.turn(turn)?;
        // Before the rows, so that a key whose life is over begins anew.
        self.sweep(turn.now)?;
        let rows = self.take(&changes.rows, turn.now)?;
        Ok(Changes::rows(rows, changes.watermark))
    }

    fn inputs(&mut self) -> Vec<&mut Box<dyn Operator>> {
        vec![&mut self.input]
    }

    fn inputs_ref(&self) -> Vec<&dyn Operator> {
        vec![self.input.as_ref()]
    }

    fn identity(&self) -> Option<Identity> {
        Some(Identity {
            kind: "running aggregate",
            meaning: self.meaning.clone(),
        })
    }

    fn bytes(&self) -> usize {
        self.states.size()
    }

    fn stats(&self) -> Option<OperatorStats> {
        Some(OperatorStats {
            name: "running aggregate".to_owned(),
            rows: self.states.len() as u64,
            bytes: self.states.size(),
            spilled_bytes: 0,
        })
    }

    fn save(&mut self, writer: &mut SegmentWriter) -> Result<Value> {
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
}

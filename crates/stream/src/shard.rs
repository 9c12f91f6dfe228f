//! What an operator remembers of some of its keys.
//!
//! An operator with state is a [`Shard`] in the hands of [`crate::sharded`]: one, as long as its state fits
//! into memory, and then one for each part of its keys. A shard is handed the rows of its keys and gives
//! what comes of them; it can be saved, dropped, made anew and loaded between any two turns. So whoever
//! keeps shards may let one wait, as long as it is handed later what came meanwhile, turn by turn.

use arrow::array::{ArrayRef, RecordBatch};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::{SegmentReader, SegmentWriter};
use crate::clock::AFTER_ALL;
use crate::error::Result;
use crate::operator::{Changes, Identity};
use crate::routes::routes;

/// Into how many shards state is cut.
pub(crate) const SHARDS: usize = 64;

/// What one input gave in a turn.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) rows: Vec<RecordBatch>,
    pub(crate) watermark: i64,
}

/// A turn, as a shard sees it.
#[derive(Clone, Debug)]
pub(crate) struct Handed {
    /// By input.
    pub(crate) inputs: Vec<Given>,
    /// The caller's clock, in microseconds since 1970.
    pub(crate) now: i64,
    /// Whether results must not be held back to save work.
    pub(crate) flush: bool,
}

impl Handed {
    /// The one input of most operators.
    pub(crate) fn input(&self) -> Given {
        let first = self.inputs.first().cloned();
        first.unwrap_or(Given {
            rows: Vec::new(),
            watermark: crate::clock::BEFORE_ALL,
        })
    }
}

/// When a shard has something to do though no row comes for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Due {
    /// By input: the watermark that it waits for.
    pub(crate) watermarks: Vec<i64>,
    /// The time of the clock that it waits for.
    pub(crate) now: i64,
}

impl Due {
    /// Nothing but rows makes it do something.
    pub(crate) fn never() -> Self {
        Self {
            watermarks: vec![AFTER_ALL; 2],
            now: i64::MAX,
        }
    }

    /// It waits for the watermark of its one input.
    pub(crate) fn by_watermark(watermark: Option<i64>) -> Self {
        let watermarks = vec![watermark.unwrap_or(AFTER_ALL); 2];
        Self {
            watermarks,
            ..Self::never()
        }
    }

    /// What is forgotten after a life is looked through now and then.
    pub(crate) fn by_life(life: Option<i64>, swept: i64, rows: usize) -> Self {
        let now = match life {
            Some(life) if rows > 0 => swept.saturating_add(life / 2),
            _ => i64::MAX,
        };
        Self {
            now,
            ..Self::never()
        }
    }

    /// Whether it is time.
    pub(crate) fn is_at(&self, watermarks: &[i64], now: i64) -> bool {
        let mut passed = watermarks.iter().zip(&self.watermarks);
        now >= self.now || passed.any(|(watermark, due)| watermark >= due)
    }
}

/// Takes shards, each with its number.
pub(crate) type Give<'a> = dyn FnMut(usize, Box<dyn Shard>) -> Result<()> + 'a;

/// What an operator remembers of some of its keys.
pub(crate) trait Shard: Send {
    /// Takes the rows of a turn, and lets time go by.
    fn work(&mut self, handed: Handed, out: &mut Changes) -> Result<()>;

    /// What its state is of.
    fn identity(&self) -> Identity;

    /// Bytes of state in memory, about; asked after every turn.
    fn bytes(&self) -> usize;

    /// Rows or groups that it remembers.
    fn rows(&self) -> usize;

    /// Bytes of state that it spilled itself.
    fn spilled_bytes(&self) -> u64 {
        0
    }

    /// When it must be handed a turn without rows.
    fn due(&self) -> Due;

    /// Whether neither watermarks nor the clock matter to it, so that turns may be handed as one.
    fn is_timeless(&self) -> bool {
        false
    }

    /// Writes the segments that are new, and says what a load needs to know.
    fn save(&mut self, writer: &mut SegmentWriter<'_>) -> Result<Value>;

    /// Takes back what was saved.
    fn load(&mut self, saved: &Value, reader: &mut SegmentReader<'_>) -> Result<()>;

    /// Moves state out of memory by itself until at most so many bytes are left; whether it can.
    fn relieve(&mut self, _budget: usize) -> Result<bool> {
        Ok(false)
    }

    /// Gives its state as [`SHARDS`] shards, each with the keys of which [`shards_of`] says so; nothing
    /// is left.
    fn divide(&mut self, give: &mut Give<'_>) -> Result<()>;
}

/// To which shard each row belongs.
pub(crate) fn shards_of(keys: &[ArrayRef], rows: usize) -> Result<Vec<usize>> {
    routes(keys, rows, SHARDS, 0)
}

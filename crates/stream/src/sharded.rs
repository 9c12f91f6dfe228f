//! An operator with state: its shards, in memory or on disk.
//!
//! As long as the state fits into memory there is one [`Shard`], which is handed every turn. Past the budget
//! it is cut by a hash of the keys, and shards are spilled. From then on turns are gathered by shard, and
//! handed to a shard one after the other once they are many, or when nothing must be held back. So a shard that
//! waits gives what it would have given, later; until it has, the operator's watermark stays where it was
//! when the shard began to wait, so that nothing above takes its rows for late.

mod place;
mod saved;
mod squash;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::physical_expr::PhysicalExpr;
use serde_json::Value;

use crate::checkpoint::{SegmentReader, SegmentWriter};
use crate::clock::{AFTER_ALL, BEFORE_ALL};
use crate::columns::arrays;
use crate::error::{Result, StreamError};
use crate::operator::{Changes, Event, Identity, Operator, Turn};
use crate::options::OperatorStats;
use crate::routes::sorted;
use crate::shard::{Given, Handed, SHARDS, Shard, shards_of};
use crate::spill::Spill;
use crate::window::shifted;
use place::Place;
use squash::squash;

/// A shard in memory takes its rows when there are so many, though more may come.
const ROWS: usize = 4096;

/// One input of an operator with state.
pub(crate) struct Inlet {
    pub(crate) operator: Box<dyn Operator>,
    /// What its rows are cut by; for every input as many, of the same types.
    pub(crate) keys: Vec<Arc<dyn PhysicalExpr>>,
    /// The slot for the watermark up to which its rows count, and how far their times may be behind
    /// the input's watermark; `None` if no row is ever late.
    pub(crate) mark: Option<(usize, i64)>,
}

/// Makes a shard without state.
pub(crate) type Make = Box<dyn Fn() -> Result<Box<dyn Shard>> + Send>;

/// An operator with state.
pub(crate) struct Sharded {
    inlets: Vec<Inlet>,
    make: Make,
    spill: Arc<Spill>,
    /// One shard, or [`SHARDS`].
    slots: Vec<Slot>,
    /// How many bytes of state and of waiting rows may be held.
    budget: usize,
    /// The budget of the whole dataflow.
    budget_most: usize,
    /// Bytes of rows that wait, about.
    waiting: usize,
    /// The watermarks of the inputs in the last turn.
    watermarks: Vec<i64>,
    /// What is known of the operator whatever its state.
    identity: Identity,
    is_timeless: bool,
    /// The columns that tell the rows of an updated result apart.
    key: Option<Vec<usize>>,
}

/// A shard, and what waits for it.
struct Slot {
    place: Place,
    queue: Vec<Handed>,
    rows: usize,
    /// The operator's watermark when it began to wait; `None` if it does not.
    waits_since: Option<i64>,
}

impl Slot {
    fn new(place: Place) -> Self {
        Self {
            place,
            queue: Vec::new(),
            rows: 0,
            waits_since: None,
        }
    }

    /// Lets a turn wait; one without a meaning of its own is added to the one before.
    fn wait(&mut self, handed: Handed, is_timeless: bool) {
        let rows = |given: &Given| given.rows.iter().map(RecordBatch::num_rows).sum::<usize>();
        self.rows += handed.inputs.iter().map(rows).sum::<usize>();
        match self.queue.last_mut() {
            Some(last) if is_timeless => {
                for (last, given) in last.inputs.iter_mut().zip(handed.inputs) {
                    last.rows.extend(given.rows);
                    last.watermark = given.watermark;
                }
                last.now = handed.now;
            }
            _ => self.queue.push(handed),
        }
    }
}

impl Sharded {
    pub(crate) fn new(
        inlets: Vec<Inlet>,
        make: Make,
        key: Option<Vec<usize>>,
        spill: &Arc<Spill>,
        options: &crate::Options,
    ) -> Result<Self> {
        let shard = make()?;
        Ok(Self {
            watermarks: vec![BEFORE_ALL; inlets.len()],
            inlets,
            identity: shard.identity(),
            is_timeless: shard.is_timeless(),
            slots: vec![Slot::new(Place::memory(shard))],
            make,
            key,
            spill: Arc::clone(spill),
            budget: options.memory_bytes,
            budget_most: options.memory_bytes,
            waiting: 0,
        })
    }

    /// Gathers the rows of a turn by shard.
    fn gather(&mut self, given: Vec<Given>, now: i64) -> Result<()> {
        let before = least(&self.watermarks);
        let watermarks: Vec<i64> = given.iter().map(|given| given.watermark).collect();
        let nothing = nothing(&watermarks, now).inputs;
        let mut handed: Vec<Option<Vec<Given>>> = vec![None; SHARDS];
        for (number, given) in given.into_iter().enumerate() {
            for batch in given.rows.iter().filter(|batch| batch.num_rows() > 0) {
                let keys = arrays(&self.inlets[number].keys, batch)?;
                let routes = shards_of(&keys, batch.num_rows())?;
                let (rows, begins) = sorted(batch, &routes, SHARDS)?;
                self.waiting += rows.get_array_memory_size();
                for (shard, handed) in handed.iter_mut().enumerate() {
                    let (from, to) = (begins[shard], begins[shard + 1]);
                    if to > from {
                        let handed = handed.get_or_insert_with(|| nothing.clone());
                        handed[number].rows.push(rows.slice(from, to - from));
                    }
                }
            }
        }
        for (slot, inputs) in self.slots.iter_mut().zip(handed) {
            let due = slot.place.due().is_at(&watermarks, now);
            if (due || inputs.is_some()) && slot.waits_since.is_none() {
                slot.waits_since = Some(before);
            }
            if let Some(inputs) = inputs {
                let flush = false;
                slot.wait(Handed { inputs, now, flush }, self.is_timeless);
            }
        }
        Ok(())
    }

    /// Hands the shards what waits for them: all that do, or those in memory with much of it.
    fn hand(&mut self, all: bool, now: i64, changes: &mut Changes) -> Result<()> {
        // Those in memory first, before others take their room.
        let mut order: Vec<usize> = (0..self.slots.len()).collect();
        order.sort_by_key(|at| !self.slots[*at].place.is_in_memory());
        let mut bytes = self.state_bytes();
        for at in order {
            let slot = &mut self.slots[at];
            let much = slot.place.is_in_memory() && slot.rows >= ROWS;
            if slot.waits_since.is_none() || !(all || much) {
                continue;
            }
            let before = slot.place.bytes();
            let mut shard = slot.place.take(&self.make)?;
            let mut turns = Vec::new();
            let last = nothing(&self.watermarks, now);
            for handed in std::mem::take(&mut slot.queue).into_iter().chain([last]) {
                let mut given = Changes::none(BEFORE_ALL);
                shard.work(together(handed)?, &mut given)?;
                turns.push(given);
            }
            match &self.key {
                Some(key) => squash(turns, key, changes)?,
                None => changes
                    .rows
                    .extend(turns.into_iter().flat_map(|turn| turn.rows)),
            }
            (slot.rows, slot.waits_since) = (0, None);
            slot.place.put(shard);
            bytes = (bytes + slot.place.bytes()).saturating_sub(before);
            if bytes > self.budget / 4 * 3 {
                bytes -= slot.place.spill(&self.spill)?;
            }
        }
        if all {
            self.waiting = 0;
        }
        Ok(())
    }

    /// Cuts the one shard into many.
    fn divide(&mut self) -> Result<()> {
        let [slot] = self.slots.as_mut_slice() else {
            return Ok(());
        };
        let mut shard = slot.place.take(&self.make)?;
        let mut slots: Vec<Slot> = Vec::with_capacity(SHARDS);
        for _ in 0..SHARDS {
            slots.push(Slot::new(Place::memory((self.make)()?)));
        }
        let mut bytes = 0;
        shard.divide(&mut |number, shard| {
            let slot = slots.get_mut(number);
            let slot = slot.ok_or_else(|| StreamError::bug("state of a shard too many"))?;
            slot.place = Place::memory(shard);
            bytes += slot.place.bytes();
            if bytes > self.budget / 2 {
                bytes -= slot.place.spill(&self.spill)?;
            }
            Ok(())
        })?;
        self.slots = slots;
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.slots.iter().map(|slot| slot.place.bytes()).sum()
    }

    /// Whether its keys can tell shards apart.
    fn can_divide(&self) -> bool {
        self.slots.len() == 1 && self.inlets.iter().all(|inlet| !inlet.keys.is_empty())
    }
}

/// A turn in which no row comes, and nothing must be held back.
fn nothing(watermarks: &[i64], now: i64) -> Handed {
    let nothing = |watermark: &i64| Given {
        rows: Vec::new(),
        watermark: *watermark,
    };
    Handed {
        inputs: watermarks.iter().map(nothing).collect(),
        now,
        flush: true,
    }
}

fn least(watermarks: &[i64]) -> i64 {
    watermarks.iter().copied().min().unwrap_or(AFTER_ALL)
}

/// The rows of each input as one batch.
fn together(handed: Handed) -> Result<Handed> {
    let one = |given: Given| {
        let rows = match given.rows.as_slice() {
            [first, _, ..] => vec![concat_batches(first.schema_ref(), &given.rows)?],
            _ => given.rows,
        };
        Ok(Given { rows, ..given })
    };
    let inputs = handed.inputs.into_iter().map(one);
    Ok(Handed {
        inputs: inputs.collect::<Result<_>>()?,
        ..handed
    })
}

impl Operator for Sharded {
    fn turn(&mut self, turn: &mut Turn<'_>) -> Result<Changes> {
        let mut given = Vec::with_capacity(self.inlets.len());
        for inlet in &mut self.inlets {
            let Changes {
                rows, watermark, ..
            } = inlet.operator.turn(turn)?;
            given.push(Given { rows, watermark });
        }
        let watermarks: Vec<i64> = given.iter().map(|given| given.watermark).collect();
        for (inlet, watermark) in self.inlets.iter().zip(&watermarks) {
            if let Some((slot, offset)) = inlet.mark {
                turn.marks.set(slot, shifted(*watermark, offset));
            }
        }
        let mut changes = Changes::none(least(&watermarks));
        if let [slot] = self.slots.as_mut_slice() {
            let handed = Handed {
                inputs: given,
                now: turn.now,
                flush: turn.flushes(),
            };
            slot.place
                .resident(&self.make)?
                .work(together(handed)?, &mut changes)?;
            self.watermarks = watermarks;
            return Ok(changes);
        }
        if matches!(turn.event, Event::Resume) {
            self.watermarks = watermarks;
        } else {
            self.gather(given, turn.now)?;
            self.watermarks = watermarks;
            let all = turn.flushes() || self.waiting > self.budget / 4;
            self.hand(all, turn.now, &mut changes)?;
        }
        let waits = self.slots.iter().filter_map(|slot| slot.waits_since);
        changes.watermark = waits.fold(changes.watermark, i64::min);
        Ok(changes)
    }

    fn inputs(&mut self) -> Vec<&mut Box<dyn Operator>> {
        self.inlets
            .iter_mut()
            .map(|inlet| &mut inlet.operator)
            .collect()
    }

    fn inputs_ref(&self) -> Vec<&dyn Operator> {
        self.inlets
            .iter()
            .map(|inlet| inlet.operator.as_ref())
            .collect()
    }

    fn identity(&self) -> Option<Identity> {
        Some(self.identity.clone())
    }

    fn bytes(&self) -> usize {
        self.state_bytes() + self.waiting
    }

    fn stats(&self) -> Option<OperatorStats> {
        Some(OperatorStats {
            name: self.identity.kind.to_owned(),
            rows: self
                .slots
                .iter()
                .map(|slot| (slot.place.rows() + slot.rows) as u64)
                .sum(),
            bytes: self.bytes(),
            spilled_bytes: self
                .slots
                .iter()
                .map(|slot| slot.place.spilled_bytes())
                .sum(),
        })
    }

    fn save(&mut self, writer: &mut SegmentWriter<'_>) -> Result<Value> {
        self.save_slots(writer)
    }

    fn load(&mut self, saved: &Value, reader: &mut SegmentReader<'_>) -> Result<()> {
        self.load_slots(saved, reader)
    }

    fn relieve(&mut self, budget: usize) -> Result<()> {
        self.budget = budget.max(self.budget_most / 8);
        if let [slot] = self.slots.as_mut_slice()
            && slot.place.resident(&self.make)?.relieve(budget)?
        {
            return Ok(());
        }
        if self.can_divide() {
            self.divide()?;
        }
        if self.slots.len() == 1 {
            return Ok(());
        }
        let mut bytes = self.bytes();
        for slot in self.slots.iter_mut().rev() {
            if bytes <= budget {
                break;
            }
            bytes -= slot.place.spill(&self.spill)?;
        }
        Ok(())
    }
}

//! Panes, and what becomes of them when windows close or change.
//!
//! A pane holds groups that still take rows ("live"), and states that were taken out of such groups
//! ("frozen"): written to a checkpoint, spilled, or shared by several windows. For updated results,
//! each open window also keeps the newest state of its keys.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::sync::Arc;

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::{SegmentReader, SegmentWriter, saved, to_save};
use crate::error::{Result, StreamError};
use crate::groups::{Evaluated, Grouping, Groups};
use crate::keyed::KeyedStates;
use crate::pane::{Frozen, Pane};
use crate::parts::Place;
use crate::routes::cut;
use crate::shard::{SHARDS, shards_of};
use crate::slices::{Slices, Window};
use crate::spill::{self, PARTS, Spill};
use crate::suffix::Suffixes;
use crate::window::{Layout, WindowColumns, WindowParts};

/// Panes that take rows may have so many bytes together, unless one alone has more.
const LIVE_BYTES_MAX: usize = 64 << 20;

/// So many panes begin to take rows between two looks at how much they take.
const PANES_BETWEEN_LOOKS: usize = 32;

/// The panes and windows of one operator.
pub(crate) struct WindowState {
    grouping: Arc<Grouping>,
    layout: Layout,
    slices: Slices,
    panes: BTreeMap<i64, Pane>,
    /// How often rows were added to a pane.
    touches: u64,
    /// How many panes began to take rows since these were last looked at.
    begun: usize,
    /// For updated results: the open windows.
    windows: Option<BTreeMap<Window, KeyedStates>>,
    /// Rows since the last early results.
    waiting: usize,
    spill: Arc<Spill>,
    suffixes: Suffixes,
    /// How many bytes may be taken back into memory.
    budget: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    closed: i64,
    panes: Vec<(i64, Vec<String>)>,
    windows: Option<Vec<(i64, i64, Value)>>,
}

impl WindowState {
    pub(crate) fn new(parts: &WindowParts, spill: &Arc<Spill>) -> Self {
        Self {
            grouping: Arc::clone(&parts.grouping),
            layout: parts.layout.clone(),
            slices: parts.slices,
            panes: BTreeMap::new(),
            touches: 0,
            begun: 0,
            windows: parts.updating.then(BTreeMap::new),
            waiting: 0,
            spill: Arc::clone(spill),
            suffixes: Suffixes::default(),
            budget: parts.memory_bytes,
        }
    }

    /// Adds rows to a pane.
    pub(crate) fn add(&mut self, pane: i64, given: &Evaluated) -> Result<()> {
        self.waiting += given.rows;
        self.suffixes.changed(pane);
        self.touches += 1;
        let pane = self.panes.entry(pane).or_default();
        pane.touched = self.touches;
        self.begun += usize::from(pane.live_bytes().is_none());
        pane.live(&self.grouping)?.update(given)?;
        match self.windows.is_none() && self.begun >= PANES_BETWEEN_LOOKS {
            true => self.cool(),
            false => Ok(()),
        }
    }

    /// Freezes the panes that have not had rows for the longest: groups that take rows need many times the room of their
    /// states, and where windows wait for a watermark that is far behind there are many such panes.
    fn cool(&mut self) -> Result<()> {
        self.begun = 0;
        let live = self.panes.iter().filter_map(|(start, pane)| {
            let bytes = pane.live_bytes()?;
            Some((pane.touched, *start, bytes))
        });
        let mut live: Vec<(u64, i64, usize)> = live.collect();
        let mut bytes: usize = live.iter().map(|(.., bytes)| bytes).sum();
        if bytes > LIVE_BYTES_MAX {
            live.sort_unstable();
            for (_, start, freed) in live {
                if bytes <= LIVE_BYTES_MAX / 2 {
                    break;
                }
                if let Some(pane) = self.panes.get_mut(&start) {
                    pane.settle(&self.grouping)?;
                }
                bytes = bytes.saturating_sub(freed);
            }
        }
        Ok(())
    }

    /// The newest rows of windows that changed. They are held back while they would be many more than
    /// the rows that came, unless `flush`.
    pub(crate) fn early(
        &mut self,
        closed: i64,
        flush: bool,
        now: i64,
        out: &mut Vec<RecordBatch>,
    ) -> Result<()> {
        let Some(windows) = &mut self.windows else {
            return Ok(());
        };
        let changed: usize = self.panes.values().map(Pane::live_groups).sum();
        let due = changed * self.slices.overlap() <= self.waiting.max(1024);
        if changed == 0 || !(due || flush) {
            return Ok(());
        }
        self.waiting = 0;
        let mut deltas: BTreeMap<Window, Vec<RecordBatch>> = BTreeMap::new();
        for (start, mut pane) in std::mem::take(&mut self.panes) {
            let Some(delta) = pane.drain()? else { continue };
            for window in self.slices.windows_of(start) {
                if window.end > closed {
                    deltas.entry(window).or_default().push(delta.clone());
                }
            }
        }
        for (window, deltas) in deltas {
            let delta = merged(&self.grouping, deltas)?;
            let states = match windows.entry(window) {
                btree_map::Entry::Occupied(known) => known.into_mut(),
                btree_map::Entry::Vacant(free) => free.insert(KeyedStates::new(&self.grouping)?),
            };
            let results = states.apply(&delta, now)?;
            let ends = WindowColumns::repeated(window, results.rows);
            out.push(self.layout.assemble(results, Some(&ends))?);
        }
        Ok(())
    }

    /// Closes the windows that end after `from`, up to `to`.
    pub(crate) fn close(&mut self, from: i64, to: i64, out: &mut Vec<RecordBatch>) -> Result<()> {
        if let Some(windows) = &mut self.windows {
            windows.retain(|window, _| window.end > to);
            return Ok(());
        }
        let mut closing: BTreeSet<Window> = BTreeSet::new();
        let mut done = Vec::new();
        for start in self.panes.keys() {
            let windows = self.slices.windows_of(*start);
            if windows.first().is_some_and(|window| window.end > to) {
                break;
            }
            if windows.last().is_none_or(|window| window.end <= to) {
                done.push(*start);
            }
            closing.extend(windows.iter().filter(|w| w.end > from && w.end <= to));
        }
        for window in closing {
            let panes = self.slices.panes_of(window);
            match self.panes.range(panes).any(|(_, pane)| pane.is_spilled()) {
                true => self.close_by_parts(window, out)?,
                false => {
                    let groups = self.gathered(window)?;
                    self.give(window, groups, out)?;
                }
            }
        }
        for pane in done {
            self.panes.remove(&pane);
            self.suffixes.passed(pane);
        }
        Ok(())
    }

    fn give(&self, window: Window, mut groups: Groups, out: &mut Vec<RecordBatch>) -> Result<()> {
        if groups.len() > 0 {
            let results = groups.evaluate()?;
            let ends = WindowColumns::repeated(window, results.rows);
            out.push(self.layout.assemble(results, Some(&ends))?);
        }
        Ok(())
    }

    /// The groups of a window that closes.
    fn gathered(&mut self, window: Window) -> Result<Groups> {
        if self.slices.overlap() == 1 {
            let pane = self.panes.remove(&window.start).unwrap_or_default();
            return pane.into_groups(&self.grouping);
        }
        for (_, pane) in self.panes.range_mut(self.slices.panes_of(window)) {
            pane.settle(&self.grouping)?;
        }
        let panes = self.panes.range(self.slices.panes_of(window));
        self.suffixes.groups(&self.grouping, window, panes)
    }

    /// Closes a window of which some is on disk, one part of its keys after the other.
    fn close_by_parts(&mut self, window: Window, out: &mut Vec<RecordBatch>) -> Result<()> {
        let mut parts: Vec<Vec<RecordBatch>> = vec![Vec::new(); PARTS];
        for (_, pane) in self.panes.range_mut(self.slices.panes_of(window)) {
            pane.settle(&self.grouping)?;
            for states in pane.in_memory() {
                let cut = spill::parts(states, self.grouping.keys_of(states))?;
                for (part, states) in parts.iter_mut().zip(cut) {
                    part.push(states);
                }
            }
        }
        for (number, part) in parts.into_iter().enumerate() {
            let mut groups = Groups::new(&self.grouping)?;
            for states in part {
                groups.merge(&states)?;
            }
            for (_, pane) in self.panes.range(self.slices.panes_of(window)) {
                for file in pane.on_disk() {
                    groups.merge(&file.part(number)?)?;
                }
            }
            self.give(window, groups, out)?;
        }
        Ok(())
    }

    pub(crate) fn bytes(&self) -> usize {
        let windows = self.windows.iter().flat_map(BTreeMap::values);
        let windows: usize = windows.map(KeyedStates::size).sum();
        let panes: usize = self.panes.values().map(Pane::bytes).sum();
        windows + panes + self.suffixes.bytes()
    }

    pub(crate) fn rows(&self) -> usize {
        let windows = self.windows.iter().flat_map(BTreeMap::values);
        let windows: usize = windows.map(KeyedStates::len).sum();
        windows + self.panes.values().map(Pane::rows).sum::<usize>()
    }

    pub(crate) fn spilled_bytes(&self) -> u64 {
        self.panes.values().map(Pane::spilled_bytes).sum()
    }

    /// When there is nothing to remember any more. Updated results are given before, so that a window
    /// that closes is only forgotten.
    pub(crate) fn last_end(&self) -> Option<i64> {
        let windows = self.windows.as_ref()?;
        windows.last_key_value().map(|(window, _)| window.end)
    }

    /// Gives the updated windows of each shard.
    pub(crate) fn divide(&mut self, give: &mut dyn FnMut(usize, Self) -> Result<()>) -> Result<()> {
        let mut panes = Vec::new();
        for (start, mut pane) in std::mem::take(&mut self.panes) {
            if let Some(states) = pane.drain()? {
                let shards = shards_of(self.grouping.keys_of(&states), states.num_rows())?;
                panes.push((start, cut(&states, &shards, SHARDS)?));
            }
        }
        let windows = self.windows.take().unwrap_or_default();
        let places = windows.values().map(KeyedStates::by_shard);
        let places: Vec<Vec<Vec<Place>>> = places.collect::<Result<_>>()?;
        for shard in 0..SHARDS {
            let mut own = BTreeMap::new();
            for ((window, states), places) in windows.iter().zip(&places) {
                if !places[shard].is_empty() {
                    own.insert(*window, states.only(&places[shard])?);
                }
            }
            let mut state = Self {
                grouping: Arc::clone(&self.grouping),
                layout: self.layout.clone(),
                slices: self.slices,
                panes: BTreeMap::new(),
                touches: 0,
                begun: 0,
                windows: Some(own),
                waiting: 0,
                spill: Arc::clone(&self.spill),
                suffixes: Suffixes::default(),
                budget: self.budget,
            };
            for (start, shards) in &panes {
                if shards[shard].num_rows() > 0 {
                    let pane = state.panes.entry(*start).or_default();
                    pane.live(&self.grouping)?.merge(&shards[shard])?;
                }
            }
            give(shard, state)?;
        }
        Ok(())
    }

    pub(crate) fn save(&mut self, closed: i64, writer: &mut SegmentWriter<'_>) -> Result<Value> {
        let updating = self.windows.is_some();
        let mut panes = Vec::new();
        for (start, pane) in &mut self.panes {
            panes.push((*start, pane.save(&self.grouping, writer)?));
            if updating {
                // Changes that no early result has told yet stay live.
                pane.revive(&self.grouping)?;
            }
        }
        let windows = self.windows.as_mut().map(|windows| {
            let saved = windows.iter_mut();
            let saved = saved.map(|(w, states)| Ok((w.start, w.end, states.save(writer)?)));
            saved.collect::<Result<_>>()
        });
        to_save(&Saved {
            closed,
            panes,
            windows: windows.transpose()?,
        })
    }

    /// Takes back what was saved, and says up to where windows had closed.
    pub(crate) fn load(&mut self, state: &Value, reader: &mut SegmentReader<'_>) -> Result<i64> {
        let state: Saved = saved(state)?;
        self.panes.clear();
        self.suffixes.clear();
        for (start, names) in state.panes {
            let mut pane = Pane::default();
            for name in names {
                let states = reader.read(&name)?;
                self.grouping.check_keys(&states)?;
                pane.add_frozen(Frozen::saved(states, name));
            }
            if self.windows.is_some() {
                pane.revive(&self.grouping)?;
            }
            self.panes.insert(start, pane);
            if self.bytes() > self.budget {
                self.relieve(self.budget / 2)?;
            }
        }
        if let Some(windows) = &mut self.windows {
            windows.clear();
            for (start, end, parts) in state.windows.unwrap_or_default() {
                let mut states = KeyedStates::new(&self.grouping)?;
                states.load(&parts, reader)?;
                windows.insert(Window { end, start }, states);
            }
        }
        Ok(state.closed)
    }

    /// Spills panes until at most so many bytes are left; those that close last go first. Not for
    /// updated results, which are asked for at every row.
    pub(crate) fn relieve(&mut self, budget: usize) -> Result<bool> {
        if self.windows.is_some() {
            return Ok(false);
        }
        self.suffixes.clear();
        let mut bytes = self.bytes();
        for pane in self.panes.values_mut().rev() {
            if bytes <= budget {
                break;
            }
            let before = pane.bytes();
            pane.spill(&self.grouping, &self.spill)?;
            bytes = bytes.saturating_sub(before) + pane.bytes();
        }
        Ok(true)
    }
}

/// States of several batches as one, each key once.
fn merged(grouping: &Arc<Grouping>, mut batches: Vec<RecordBatch>) -> Result<RecordBatch> {
    if batches.len() == 1 {
        let one = batches.pop();
        return one.ok_or_else(|| StreamError::bug("no states to merge"));
    }
    let mut groups = Groups::new(grouping)?;
    for batch in &batches {
        groups.merge(batch)?;
    }
    groups.drain()
}

//! Panes, and what becomes of them when windows close or change.
//!
//! A pane holds groups that still take rows ("live"), and states that were taken out of such groups
//! ("frozen"): written to a checkpoint, spilled, or shared by several windows. For updated results,
//! each open window also keeps the newest state of its keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::{SegmentReader, SegmentWriter, saved, to_save};
use crate::error::Result;
use crate::groups::{Evaluated, Grouping, Groups};
use crate::keyed::KeyedStates;
use crate::options::{OperatorStats, Options};
use crate::slices::{Slices, Window};
use crate::window::{Layout, WindowColumns, WindowParts};

/// The panes and windows of one operator.
pub(crate) struct WindowState {
    grouping: Arc<Grouping>,
    layout: Layout,
    slices: Slices,
    panes: BTreeMap<i64, Pane>,
    /// For updated results: the open windows.
    windows: Option<BTreeMap<Window, KeyedStates>>,
    /// Rows since the last early results.
    waiting: usize,
}

#[derive(Default)]
struct Pane {
    frozen: Vec<Frozen>,
    live: Option<Groups>,
}

/// States of groups. They do not change.
struct Frozen {
    states: RecordBatch,
    segment: Option<String>,
}

impl Pane {
    /// Takes the states out of the live groups.
    fn freeze(&mut self) -> Result<()> {
        if let Some(mut live) = self.live.take()
            && live.len() > 0
        {
            self.frozen.push(Frozen {
                states: live.drain()?,
                segment: None,
            });
        }
        Ok(())
    }

    /// Puts states together that are about as large as those before them, so that their number stays
    /// small and each is written few times.
    fn compact(&mut self, grouping: &Arc<Grouping>) -> Result<()> {
        while let [.., before, last] = self.frozen.as_slice()
            && last.states.num_rows() * 2 >= before.states.num_rows()
        {
            let mut groups = Groups::new(grouping)?;
            let from = self.frozen.len() - 2;
            for frozen in self.frozen.drain(from..) {
                groups.merge(&frozen.states)?;
            }
            self.frozen.push(Frozen {
                states: groups.drain()?,
                segment: None,
            });
        }
        Ok(())
    }

    fn live(&mut self, grouping: &Arc<Grouping>) -> Result<&mut Groups> {
        if self.live.is_none() {
            self.live = Some(Groups::new(grouping)?);
        }
        self.live
            .as_mut()
            .ok_or_else(|| crate::StreamError::bug("a pane without groups"))
    }

    fn rows(&self) -> usize {
        let frozen: usize = self.frozen.iter().map(|f| f.states.num_rows()).sum();
        frozen + self.live.as_ref().map_or(0, Groups::len)
    }

    fn bytes(&self) -> usize {
        let frozen = self.frozen.iter();
        let frozen: usize = frozen.map(|f| f.states.get_array_memory_size()).sum();
        frozen + self.live.as_ref().map_or(0, Groups::size)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    closed: i64,
    panes: Vec<(i64, Vec<String>)>,
    windows: Option<Vec<(i64, i64, Value)>>,
}

impl WindowState {
    pub(crate) fn new(parts: &WindowParts, _options: &Options) -> Self {
        Self {
            grouping: Arc::clone(&parts.grouping),
            layout: parts.layout.clone(),
            slices: parts.slices,
            panes: BTreeMap::new(),
            windows: parts.updating.then(BTreeMap::new),
            waiting: 0,
        }
    }

    /// Adds rows to a pane.
    pub(crate) fn add(&mut self, pane: i64, given: &Evaluated) -> Result<()> {
        self.waiting += given.rows;
        let pane = self.panes.entry(pane).or_default();
        pane.live(&self.grouping)?.update(given)
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
        let live = |pane: &Pane| pane.live.as_ref().map_or(0, Groups::len);
        let changed: usize = self.panes.values().map(live).sum();
        let due = changed * self.slices.overlap() <= self.waiting.max(1024);
        if changed == 0 || !(due || flush) {
            return Ok(());
        }
        self.waiting = 0;
        let mut deltas: BTreeMap<Window, Vec<RecordBatch>> = BTreeMap::new();
        for (start, pane) in std::mem::take(&mut self.panes) {
            let Some(mut live) = pane.live else { continue };
            let delta = live.drain()?;
            for window in self.slices.windows_of(start) {
                if window.end > closed {
                    deltas.entry(window).or_default().push(delta.clone());
                }
            }
        }
        for (window, deltas) in deltas {
            let delta = merged(&self.grouping, deltas)?;
            let states = match windows.entry(window) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(KeyedStates::new(&self.grouping)?)
                }
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
            let mut groups = self.gathered(window)?;
            if groups.len() == 0 {
                continue;
            }
            let results = groups.evaluate()?;
            let ends = WindowColumns::repeated(window, results.rows);
            out.push(self.layout.assemble(results, Some(&ends))?);
        }
        for pane in done {
            self.panes.remove(&pane);
        }
        Ok(())
    }

    /// The groups of a window that closes.
    fn gathered(&mut self, window: Window) -> Result<Groups> {
        let panes = self.slices.panes_of(window);
        if self.slices.overlap() == 1 {
            let pane = self.panes.remove(&window.start).unwrap_or_default();
            let mut groups = match pane.live {
                Some(live) => live,
                None => Groups::new(&self.grouping)?,
            };
            for frozen in pane.frozen {
                groups.merge(&frozen.states)?;
            }
            return Ok(groups);
        }
        let mut groups = Groups::new(&self.grouping)?;
        for (_, pane) in self.panes.range_mut(panes) {
            pane.freeze()?;
            if pane.frozen.len() > 4 {
                pane.compact(&self.grouping)?;
            }
            for frozen in &pane.frozen {
                groups.merge(&frozen.states)?;
            }
        }
        Ok(groups)
    }

    pub(crate) fn stats(&self) -> OperatorStats {
        let windows = self.windows.iter().flat_map(BTreeMap::values);
        let (rows, bytes) = windows.fold((0, 0), |(rows, bytes), states| {
            (rows + states.len(), bytes + states.size())
        });
        let panes = self.panes.values();
        let (rows, bytes) = panes.fold((rows, bytes), |(rows, bytes), pane| {
            (rows + pane.rows(), bytes + pane.bytes())
        });
        OperatorStats {
            name: "window aggregate".to_owned(),
            rows: rows as u64,
            bytes,
            spilled_bytes: 0,
        }
    }

    pub(crate) fn save(&mut self, closed: i64, writer: &mut SegmentWriter) -> Result<Value> {
        let mut panes = Vec::new();
        for (start, pane) in &mut self.panes {
            pane.freeze()?;
            pane.compact(&self.grouping)?;
            let mut names = Vec::new();
            for frozen in &mut pane.frozen {
                match &frozen.segment {
                    Some(name) => writer.keep(name),
                    None => frozen.segment = Some(writer.write(&frozen.states)?),
                }
                names.extend(frozen.segment.clone());
            }
            panes.push((*start, names));
        }
        if self.windows.is_some() {
            // Changes that no early result has told yet stay live.
            for pane in self.panes.values_mut() {
                for frozen in std::mem::take(&mut pane.frozen) {
                    pane.live(&self.grouping)?.merge(&frozen.states)?;
                }
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
        for (start, names) in state.panes {
            let mut pane = Pane::default();
            for name in names {
                let states = reader.read(&name)?;
                self.grouping.check_keys(&states)?;
                match self.windows.is_some() {
                    true => pane.live(&self.grouping)?.merge(&states)?,
                    false => pane.frozen.push(Frozen {
                        states,
                        segment: Some(name),
                    }),
                }
            }
            self.panes.insert(start, pane);
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

    pub(crate) fn relieve(&mut self, _budget: usize) -> Result<()> {
        Ok(())
    }
}

/// States of several batches as one, each key once.
fn merged(grouping: &Arc<Grouping>, mut batches: Vec<RecordBatch>) -> Result<RecordBatch> {
    if batches.len() == 1
        && let Some(one) = batches.pop()
    {
        return Ok(one);
    }
    let mut groups = Groups::new(grouping)?;
    for batch in &batches {
        groups.merge(batch)?;
    }
    groups.drain()
}

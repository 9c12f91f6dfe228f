//! Overlapping windows without merging each pane again and again.
//!
//! The panes of a window are cut at a pivot. Before it, for each pane, the states of it and all that follow up to the
//! pivot are kept together, made once from the back; after it, the states of all panes so far are kept as
//! one. A window is one of the former and the latter: each pane is merged about three times, however many
//! windows overlap. When a window begins after the pivot, the pivot moves to the window's end.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::error::Result;
use crate::groups::{Grouping, Groups};
use crate::pane::Pane;
use crate::slices::Window;

/// Windows of fewer panes are merged as they are.
const PANES: usize = 4;

/// What is kept of windows that closed for those that follow.
#[derive(Default)]
pub(crate) struct Suffixes {
    /// By pane: its states with those of all panes that follow before the pivot.
    suffixes: BTreeMap<i64, RecordBatch>,
    /// The states of the panes from the pivot on, up to and without `until`.
    rest: Option<RecordBatch>,
    until: i64,
}

impl Suffixes {
    /// A pane got more rows.
    pub(crate) fn changed(&mut self, pane: i64) {
        if !self.suffixes.is_empty() && pane < self.until {
            self.clear();
        }
    }

    /// A pane is no more part of a window to come.
    pub(crate) fn passed(&mut self, pane: i64) {
        self.suffixes.remove(&pane);
    }

    /// Forgets everything; it is made again when it is needed.
    pub(crate) fn clear(&mut self) {
        self.suffixes.clear();
        self.rest = None;
    }

    /// Bytes held, about.
    pub(crate) fn bytes(&self) -> usize {
        let rest = self.rest.iter();
        let all = self.suffixes.values().chain(rest);
        all.map(RecordBatch::get_array_memory_size).sum()
    }

    /// The groups of a window of these panes, all of which are frozen and in memory.
    pub(crate) fn groups(
        &mut self,
        grouping: &Arc<Grouping>,
        window: Window,
        panes: Range<'_, i64, Pane>,
    ) -> Result<Groups> {
        let mut groups = Groups::new(grouping)?;
        if panes.clone().count() <= PANES {
            for (_, pane) in panes {
                merge(&mut groups, pane)?;
            }
            return Ok(groups);
        }
        let first = self
            .suffixes
            .range(window.start..)
            .next()
            .map(|(at, _)| *at);
        let begins_before = first.is_some() && panes.clone().next().map(|(at, _)| *at) == first;
        if !begins_before || window.end < self.until {
            self.turn(grouping, window, panes.clone())?;
        }
        // The panes that came since.
        let fresh: Vec<&Pane> = panes
            .filter(|(at, _)| **at >= self.until)
            .map(|(_, pane)| pane)
            .collect();
        if !fresh.is_empty() {
            let mut rest = Groups::new(grouping)?;
            if let Some(before) = &self.rest {
                rest.merge(before)?;
            }
            for pane in fresh {
                merge(&mut rest, pane)?;
            }
            self.rest = Some(rest.drain()?);
        }
        self.until = window.end;
        if let Some((_, suffix)) = self.suffixes.range(window.start..).next() {
            groups.merge(suffix)?;
        }
        if let Some(rest) = &self.rest {
            groups.merge(rest)?;
        }
        Ok(groups)
    }

    /// Moves the pivot to a window's end.
    fn turn(
        &mut self,
        grouping: &Arc<Grouping>,
        window: Window,
        panes: Range<'_, i64, Pane>,
    ) -> Result<()> {
        self.clear();
        let mut states: Option<RecordBatch> = None;
        for (start, pane) in panes.rev() {
            let mut groups = Groups::new(grouping)?;
            merge(&mut groups, pane)?;
            if let Some(states) = &states {
                groups.merge(states)?;
            }
            let suffix = groups.drain()?;
            self.suffixes.insert(*start, suffix.clone());
            states = Some(suffix);
        }
        self.until = window.end;
        Ok(())
    }
}

fn merge(groups: &mut Groups, pane: &Pane) -> Result<()> {
    for states in pane.in_memory() {
        groups.merge(states)?;
    }
    Ok(())
}

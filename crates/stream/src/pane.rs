//! A pane: the groups of a stretch of time, in memory or on disk.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};

use crate::checkpoint::SegmentWriter;
use crate::error::{Result, StreamError};
use crate::groups::{Grouping, Groups};
use crate::spill::{Spill, SpillFile};

/// The groups of a stretch of time.
#[derive(Default)]
pub(crate) struct Pane {
    frozen: Vec<Frozen>,
    live: Option<Groups>,
    /// When rows last came, by a count of the owner's.
    pub(crate) touched: u64,
}

/// States of groups. They do not change.
pub(crate) struct Frozen {
    stored: Stored,
    rows: usize,
    /// The segment they were saved as.
    segment: Option<String>,
}

enum Stored {
    Memory(RecordBatch),
    Disk(Arc<SpillFile>),
}

impl Frozen {
    fn new(states: RecordBatch) -> Self {
        Self {
            rows: states.num_rows(),
            stored: Stored::Memory(states),
            segment: None,
        }
    }

    /// States that were read from a segment.
    pub(crate) fn saved(states: RecordBatch, segment: String) -> Self {
        Self {
            segment: Some(segment),
            ..Self::new(states)
        }
    }

    fn read(&self) -> Result<RecordBatch> {
        match &self.stored {
            Stored::Memory(states) => Ok(states.clone()),
            Stored::Disk(file) => file.read(),
        }
    }
}

impl Pane {
    /// Takes the states out of the live groups; `None` if there are none.
    pub(crate) fn drain(&mut self) -> Result<Option<RecordBatch>> {
        match self.live.take() {
            Some(mut live) if live.len() > 0 => live.drain().map(Some),
            _ => Ok(None),
        }
    }

    fn freeze(&mut self) -> Result<()> {
        if let Some(states) = self.drain()? {
            // States that stay are as large as they are, and not as their groups might have become.
            let (schema, mut columns, rows) = states.into_parts();
            columns.iter_mut().for_each(Array::shrink_to_fit);
            let schema = schema.as_ref().clone();
            let states = crate::groups::batch(schema, columns, rows)?;
            self.frozen.push(Frozen::new(states));
        }
        Ok(())
    }

    /// Freezes the live groups, and puts states together if they are many.
    pub(crate) fn settle(&mut self, grouping: &Arc<Grouping>) -> Result<()> {
        self.freeze()?;
        match self.frozen.len() > 4 {
            true => self.compact(grouping),
            false => Ok(()),
        }
    }

    /// Puts states together that are about as large as those before them, so that their number stays
    /// small and each is written few times.
    fn compact(&mut self, grouping: &Arc<Grouping>) -> Result<()> {
        while let [.., before, last] = self.frozen.as_slice()
            && last.rows * 2 >= before.rows
            && let (Stored::Memory(before), Stored::Memory(last)) = (&before.stored, &last.stored)
        {
            let mut groups = Groups::new(grouping)?;
            groups.merge(before)?;
            groups.merge(last)?;
            let states = groups.drain()?;
            self.frozen.truncate(self.frozen.len() - 2);
            self.frozen.push(Frozen::new(states));
        }
        Ok(())
    }

    /// The groups that take rows.
    pub(crate) fn live(&mut self, grouping: &Arc<Grouping>) -> Result<&mut Groups> {
        if self.live.is_none() {
            self.live = Some(Groups::new(grouping)?);
        }
        let live = self.live.as_mut();
        live.ok_or_else(|| StreamError::bug("a pane without groups"))
    }

    /// Bytes of the groups that take rows, about; `None` if there are none.
    pub(crate) fn live_bytes(&self) -> Option<usize> {
        self.live.as_ref().map(Groups::size)
    }

    pub(crate) fn live_groups(&self) -> usize {
        self.live.as_ref().map_or(0, Groups::len)
    }

    /// All of it as groups.
    pub(crate) fn into_groups(self, grouping: &Arc<Grouping>) -> Result<Groups> {
        let mut groups = match self.live {
            Some(live) => live,
            None => Groups::new(grouping)?,
        };
        for frozen in &self.frozen {
            groups.merge(&frozen.read()?)?;
        }
        Ok(groups)
    }

    pub(crate) fn add_frozen(&mut self, frozen: Frozen) {
        self.frozen.push(frozen);
    }

    /// Frozen states that are in memory.
    pub(crate) fn in_memory(&self) -> impl Iterator<Item = &RecordBatch> {
        self.frozen
            .iter()
            .filter_map(|frozen| match &frozen.stored {
                Stored::Memory(states) => Some(states),
                Stored::Disk(_) => None,
            })
    }

    /// Frozen states that are on disk.
    pub(crate) fn on_disk(&self) -> impl Iterator<Item = &SpillFile> {
        self.frozen
            .iter()
            .filter_map(|frozen| match &frozen.stored {
                Stored::Memory(_) => None,
                Stored::Disk(file) => Some(file.as_ref()),
            })
    }

    pub(crate) fn is_spilled(&self) -> bool {
        self.on_disk().next().is_some()
    }

    pub(crate) fn spilled_bytes(&self) -> u64 {
        self.on_disk().map(|file| file.bytes).sum()
    }

    /// Groups, some of which may be counted more than once.
    pub(crate) fn rows(&self) -> usize {
        let frozen: usize = self.frozen.iter().map(|frozen| frozen.rows).sum();
        frozen + self.live_groups()
    }

    /// Bytes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        let frozen: usize = self
            .in_memory()
            .map(RecordBatch::get_array_memory_size)
            .sum();
        frozen + self.live_bytes().unwrap_or_default()
    }

    /// Freezes everything, writes what no segment holds yet, and names the segments.
    pub(crate) fn save(
        &mut self,
        grouping: &Arc<Grouping>,
        writer: &mut SegmentWriter<'_>,
    ) -> Result<Vec<String>> {
        self.freeze()?;
        self.compact(grouping)?;
        let mut names = Vec::new();
        for frozen in &mut self.frozen {
            names.push(match &frozen.stored {
                Stored::Memory(states) => writer.put(&mut frozen.segment, || Ok(states.clone()))?,
                Stored::Disk(file) => writer.put_parts(&mut frozen.segment, file)?,
            });
        }
        Ok(names)
    }

    /// Makes everything live again.
    pub(crate) fn revive(&mut self, grouping: &Arc<Grouping>) -> Result<()> {
        for frozen in std::mem::take(&mut self.frozen) {
            self.live(grouping)?.merge(&frozen.read()?)?;
        }
        Ok(())
    }

    /// Moves everything to disk.
    pub(crate) fn spill(&mut self, grouping: &Arc<Grouping>, spill: &Spill) -> Result<()> {
        self.freeze()?;
        for frozen in &mut self.frozen {
            if let Stored::Memory(states) = &frozen.stored {
                let file = spill.write(states, grouping.keys_of(states))?;
                frozen.stored = Stored::Disk(Arc::new(file));
            }
        }
        Ok(())
    }
}

//! Where rows of an update go: two part writers a worker, one for the table and one for its quarantine.

use std::sync::Arc;

use tidegate_gate::Split;
use tidegate_lake::{DataFile, PartWriter, WritePlan};

use crate::error::Result;
use crate::rows::Destination;

/// The two ways out of the gate. Dropped before [`TableDestination::finish`], it leaves no files.
pub(crate) struct TableDestination {
    good: PartWriter,
    quarantine: PartWriter,
}

/// The files that a step has written.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) good: Vec<DataFile>,
    pub(crate) quarantine: Vec<DataFile>,
}

/// How the files of a table and its quarantine are written.
#[derive(Clone)]
pub(crate) struct WritePlans {
    pub(crate) good: WritePlan,
    pub(crate) quarantine: WritePlan,
}

impl TableDestination {
    pub(crate) fn new(plans: &WritePlans) -> Self {
        Self {
            good: plans.good.writer(),
            quarantine: plans.quarantine.writer(),
        }
    }

    /// Closes the files that are open.
    pub(crate) fn finish(self, written: &mut Written) -> Result<()> {
        written.good.extend(self.good.finish()?);
        written.quarantine.extend(self.quarantine.finish()?);
        Ok(())
    }
}

impl Destination for TableDestination {
    fn take(&mut self, _number: u64, _source: &Arc<str>, split: Split) -> Result<()> {
        self.good.write(&split.good)?;
        match split.quarantined {
            Some(rows) => Ok(self.quarantine.write(&rows)?),
            None => Ok(()),
        }
    }
}

//! Where rows of an update go: two part writers a worker, one for the table and one for its quarantine; and, in a run that
//! follows its sources, the flows below, which are handed the good rows before they are committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use parking_lot::Mutex;
use tidegate_gate::Split;
use tidegate_lake::{
    CommitMode, DataFile, PartWriter, Staged, UpsertPlan, UpsertWriter, WritePlan,
};

use super::round::Round;
use crate::error::Result;
use crate::rows::Destination;

/// The ways out of the gate. Dropped before [`TableDestination::finish`], it leaves no files.
pub(crate) struct TableDestination {
    good: GoodWriter,
    quarantine: PartWriter,
    hand: Option<Arc<Hand>>,
}

/// How good rows are written.
enum GoodWriter {
    /// Beside those that are there.
    Append(PartWriter),
    /// In the place of those with the same key.
    Upsert(UpsertWriter),
}

/// The files that a step has written.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) good: Vec<DataFile>,
    pub(crate) quarantine: Vec<DataFile>,
    /// Which rows of the table go, if rows take the place of others.
    pub(crate) mode: Option<CommitMode>,
}

/// How the files of a table and its quarantine are written.
#[derive(Clone)]
pub(crate) struct WritePlans {
    pub(crate) good: GoodPlan,
    pub(crate) quarantine: WritePlan,
    pub(crate) hand: Option<Arc<Hand>>,
}

/// How good rows are written.
#[derive(Clone)]
pub(crate) enum GoodPlan {
    /// Beside those that are there.
    Append(WritePlan),
    /// In the place of those with the same key.
    Upsert(UpsertPlan),
}

/// Hands good rows to the flows below, in the order in which they came.
pub(crate) struct Hand {
    round: Arc<Round>,
    table: String,
    queue: Mutex<(u64, BTreeMap<u64, RecordBatch>)>,
}

impl Hand {
    /// Hands on the rows of a table (by key); none if nobody reads them in this round.
    pub(crate) fn of(round: Option<&Arc<Round>>, table: &str) -> Option<Arc<Self>> {
        let round = round.filter(|round| round.hubs.contains_key(table))?;
        Some(Arc::new(Self {
            round: Arc::clone(round),
            table: table.to_owned(),
            queue: Mutex::default(),
        }))
    }

    fn take(&self, number: u64, rows: RecordBatch) {
        let mut queue = self.queue.lock();
        queue.1.insert(number, rows);
        loop {
            let turn = queue.0;
            let Some(rows) = queue.1.remove(&turn) else {
                return;
            };
            queue.0 += 1;
            if let Some(hub) = self.round.hubs.get(&self.table)
                && rows.num_rows() > 0
            {
                hub.hand(&rows);
            }
        }
    }
}

impl TableDestination {
    pub(crate) fn new(plans: &WritePlans) -> Self {
        Self {
            good: match &plans.good {
                GoodPlan::Append(plan) => GoodWriter::Append(plan.writer()),
                GoodPlan::Upsert(plan) => GoodWriter::Upsert(plan.writer()),
            },
            quarantine: plans.quarantine.writer(),
            hand: plans.hand.clone(),
        }
    }

    /// Notes keys whose rows go.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn delete(&mut self, keys: &RecordBatch) -> Result<()> {
        match &mut self.good {
            GoodWriter::Append(_) => Ok(()),
            GoodWriter::Upsert(writer) => Ok(writer.delete(keys)?),
        }
    }

    /// Closes the files that are open. Gives what an upsert has staged.
    pub(crate) fn finish(self, written: &mut Written) -> Result<Option<Staged>> {
        written.quarantine.extend(self.quarantine.finish()?);
        match self.good {
            GoodWriter::Append(writer) => {
                written.good.extend(writer.finish()?);
                Ok(None)
            }
            GoodWriter::Upsert(writer) => Ok(Some(writer.finish()?)),
        }
    }
}

impl Destination for TableDestination {
    fn take(&mut self, number: u64, _source: &Arc<str>, split: Split) -> Result<()> {
        match &mut self.good {
            GoodWriter::Append(writer) => writer.write(&split.good)?,
            GoodWriter::Upsert(writer) => writer.write(&split.good, None)?,
        }
        if let Some(hand) = &self.hand {
            hand.take(number, split.good);
        }
        match split.quarantined {
            Some(rows) => Ok(self.quarantine.write(&rows)?),
            None => Ok(()),
        }
    }
}

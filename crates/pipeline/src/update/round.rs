//! One round of a run that follows its sources: every flow reads until the same moment, hands its rows on to the flows
//! below while it reads, and commits before they do.
//!
//! What is handed on is not committed yet, and need not be: a flow below commits only behind the commit of the table it
//! reads, and its position is that version. So after a kill it reads from the table what it had been handed before.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use parking_lot::Mutex;
use tidegate_gate::KeyIndex;
use tidegate_stream::Dataflow;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use tidegate_project::TableName;

use crate::records::OpenSource;
use crate::rows::CancelToken;
use crate::sinks::OpenSink;

/// How many batches may wait for a flow below.
const WAITING_MAX: usize = 8;

/// A round.
pub(crate) struct Round {
    /// When it ends.
    pub(crate) deadline: Instant,
    /// Ends it sooner.
    pub(crate) stop: CancelToken,
    /// The tables that others read as a stream, by key.
    pub(crate) hubs: BTreeMap<String, Hub>,
    /// What stays open from round to round.
    pub(crate) kept: Arc<Kept>,
}

/// Something with the epoch that it belongs to.
type OfEpoch<T> = (u64, T);

/// What stays open from round to round.
#[derive(Default)]
pub(crate) struct Kept {
    /// Live sources, by the place of the relation.
    pub(crate) sources: Mutex<HashMap<String, Arc<Mutex<OpenSource>>>>,
    /// Flows with state, by name, with the epoch that the state belongs to.
    pub(crate) dataflows: Mutex<HashMap<String, OfEpoch<Arc<Mutex<Dataflow>>>>>,
    /// The keys of a table after an epoch of its only flow.
    pub(crate) keys: Mutex<HashMap<String, OfEpoch<KeyIndex>>>,
    /// Sinks, by name.
    pub(crate) sinks: Mutex<HashMap<String, OpenSink>>,
    /// Sinks whose identity another process has taken, by name, with what they are and that identity: a run does not take
    /// it back.
    pub(crate) fenced: Mutex<HashMap<String, (String, String)>>,
    /// What is done beside rounds.
    pub(crate) upkeep: Upkeep,
}

/// Work on tables that no round waits for.
#[derive(Default)]
pub(crate) struct Upkeep {
    /// By table: one thing at a time.
    running: Mutex<HashMap<String, JoinHandle<()>>>,
}

impl Upkeep {
    /// Begins work on a table, unless some is going on.
    pub(crate) fn begin(&self, table: &TableName, work: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running.lock();
        running.retain(|_, work| !work.is_finished());
        running
            .entry(table.key())
            .or_insert_with(|| tokio::spawn(work));
    }

    /// Waits until all of it is done.
    pub(crate) async fn finished(&self) {
        let running = std::mem::take(&mut *self.running.lock());
        for work in running.into_values() {
            if let Err(error) = work.await {
                tracing::warn!(%error, "the upkeep of a table broke off");
            }
        }
    }
}

/// What a flow below is told.
pub(crate) enum Handed {
    /// Good rows of the table, not committed yet.
    Rows(RecordBatch),
    /// All rows of the round were handed on; they are in this version. None: the table has none yet.
    Committed(Option<u64>),
}

/// Where a table hands its rows to those who read it as a stream.
pub(crate) struct Hub {
    /// The version that all rows before this round are in.
    pub(crate) base: Option<u64>,
    readers: Mutex<Vec<Sender<Handed>>>,
    waiting: Mutex<HashMap<String, Receiver<Handed>>>,
}

impl Hub {
    /// A hub for readers of these names.
    pub(crate) fn new(base: Option<u64>, readers: impl IntoIterator<Item = String>) -> Self {
        let mut senders = Vec::new();
        let mut waiting = HashMap::new();
        for reader in readers {
            let (sender, receiver) = channel(WAITING_MAX);
            senders.push(sender);
            waiting.insert(reader, receiver);
        }
        Self {
            base,
            readers: Mutex::new(senders),
            waiting: Mutex::new(waiting),
        }
    }

    /// The name of a relation of a flow, as a reader.
    pub(crate) fn reader(flow: &TableName, path: &str) -> String {
        format!("{}\u{0}{path}", flow.key())
    }

    /// What a flow does not take, it will read from the table.
    pub(crate) fn forget(&self, flow: &TableName) {
        let prefix = Self::reader(flow, "");
        self.waiting
            .lock()
            .retain(|reader, _| !reader.starts_with(&prefix));
    }

    /// What a reader is handed; once for each.
    pub(crate) fn take(&self, reader: &str) -> Option<Receiver<Handed>> {
        self.waiting.lock().remove(reader)
    }

    /// Hands rows on; blocks while a reader is busy. Readers that have gone are passed over.
    pub(crate) fn hand(&self, rows: &RecordBatch) {
        let readers = self.readers.lock().clone();
        for reader in readers {
            let _ = reader.blocking_send(Handed::Rows(rows.clone()));
        }
    }

    /// Says that the round of this table is committed, or that it failed (`None`): then the readers see their channel end.
    pub(crate) async fn close(&self, committed: Option<Option<u64>>) {
        let readers = std::mem::take(&mut *self.readers.lock());
        if let Some(version) = committed {
            for reader in readers {
                let _ = reader.send(Handed::Committed(version)).await;
            }
        }
    }
}

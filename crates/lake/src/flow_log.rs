//! What a flow has read: its intents, one an epoch, and its positions, which follow from them.
//!
//! Before an epoch reads anything, its intent says exactly what it will read. The intent is written
//! only if there is none for that epoch, so two processes that start the same epoch read the same.
//! An intent counts when the flow's table holds its epoch; one that does not yet is *pending* and is
//! done again, from the same files and bytes, which gives the same rows. Positions are the sum of
//! the intents that count; every so often the sum itself is written down, so that adding up costs
//! only what is new.
//!
//! Files, below `_tidegate/flows/<flow>/`: `intents/<epoch>.json`, `closings/<epoch>.json`,
//! `positions/<epoch>.json`. All are JSON with a `format_version`. What an epoch keeps besides lies in
//! `state/`.

mod state;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::LakeError;
use crate::fail_points::fail_point;
use crate::lake::OWN_FOLDER;
use crate::names::{self, FlowId};
use crate::prepared::Prepared;
use crate::storage::Place;

pub use state::StateFile;

/// The newest format of the flow log known here. Format 1 had no offsets, checkpoints and prepared
/// commits, format 2 no transactions; whoever knows only that must not add up positions that have
/// them.
pub const FLOW_LOG_FORMAT: u32 = 3;

/// A snapshot of the positions is written every so many epochs.
pub const SNAPSHOT_EVERY_EPOCHS: u64 = 16;

/// A piece of a file that an epoch reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRead {
    /// The relation of the query that reads it (its binding), so that one flow may read many.
    pub relation: String,
    /// The file as a URL or path, as listed.
    pub path: String,
    /// The first byte read.
    pub from: u64,
    /// The byte after the last one read.
    pub to: u64,
    /// The size of the file when it was listed.
    pub size: u64,
    /// When the file was last modified, in milliseconds since 1970.
    pub modified_ms: i64,
    /// The store's tag of the file's content, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The line number of the first byte, counted from 1; `None` if it is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_line: Option<u64>,
}

/// A span of another table's versions that an epoch reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRead {
    /// The relation of the query that reads it (its binding).
    pub relation: String,
    /// The table's key.
    pub table: String,
    /// The version read up to before; `None`: the table is read from its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// The version read up to now.
    pub until: u64,
}

/// What an epoch will read, written down before it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The format of this file; [`FLOW_LOG_FORMAT`] for new ones.
    pub format_version: u32,
    /// The epoch, counted from 1, without gaps.
    pub epoch: u64,
    /// The run that wrote it.
    pub run: String,
    /// When it was written, in milliseconds since 1970. An epoch done again has the same.
    pub written_ms: i64,
    /// A fingerprint of the query and contract, to see that they changed.
    pub fingerprint: String,
    /// The flow starts anew: what was read before this epoch does not count.
    #[serde(default)]
    pub restart: bool,
    /// The version of every table that the update saw; `None` if it was not there.
    #[serde(default)]
    pub base_versions: BTreeMap<String, Option<u64>>,
    /// The epoch that every table the flow writes held, for [`crate::FlowStep::predecessor`].
    #[serde(default)]
    pub predecessors: BTreeMap<String, Option<u64>>,
    /// The files read.
    #[serde(default)]
    pub files: Vec<FileRead>,
    /// The tables read.
    #[serde(default)]
    pub tables: Vec<TableRead>,
    /// The offsets read up to, of sources that have them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub offsets: Offsets,
    /// Where partitions began that no epoch had read before, by relation and partition: so that the epoch can be read
    /// again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub began: Offsets,
    /// The name of the state's checkpoint that is valid with this epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// What leads from the checkpoint before to this one, beside the rows, should it be damaged one day; whoever wrote it
    /// knows what it means.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub trail: serde_json::Value,
    /// The commits of this epoch, if it was read before this intent was written: then they are made,
    /// and nothing is read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<Prepared>,
    /// For a flow that writes no table, the identity under which its epoch goes out by a transaction:
    /// the intent counts when that is committed. Without, such an intent counts once it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
}

/// The next offset to read, by relation (its binding) and partition (`topic/partition`).
pub type Offsets = BTreeMap<String, BTreeMap<String, i64>>;

impl Intent {
    /// An intent that reads nothing yet.
    #[must_use]
    pub fn new(epoch: u64, run: &str, fingerprint: &str) -> Intent {
        Intent {
            format_version: FLOW_LOG_FORMAT,
            epoch,
            run: run.to_owned(),
            written_ms: crate::commit::now_ms(),
            fingerprint: fingerprint.to_owned(),
            restart: false,
            base_versions: BTreeMap::new(),
            predecessors: BTreeMap::new(),
            files: Vec::new(),
            tables: Vec::new(),
            offsets: Offsets::new(),
            began: Offsets::new(),
            checkpoint: None,
            trail: serde_json::Value::Null,
            prepared: None,
            transaction: None,
        }
    }
}

/// What an epoch found out while reading, that the next would have to count again otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The format of this file.
    pub format_version: u32,
    /// The line number after the last byte read, by relation and path.
    pub next_lines: Vec<NextLine>,
}

/// The line number at which a file will be read on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextLine {
    /// The relation of the query that reads the file.
    pub relation: String,
    /// The file.
    pub path: String,
    /// The line number, counted from 1.
    pub line: u64,
}

/// How far a file has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePosition {
    /// The byte after the last one read.
    pub to: u64,
    /// The size of the file when it was last read.
    pub size: u64,
    /// When it was last modified then, in milliseconds since 1970.
    pub modified_ms: i64,
    /// The store's tag of its content then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The line number of byte `to`, counted from 1; `None` if the epoch ended before saying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_line: Option<u64>,
}

/// How far a flow has read everything it reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Positions {
    /// The format of this file.
    pub format_version: u32,
    /// The epoch up to which this counts; 0: nothing was read.
    pub epoch: u64,
    /// The fingerprint of the query of that epoch.
    pub fingerprint: String,
    /// Files, by relation and path.
    pub files: BTreeMap<String, BTreeMap<String, FilePosition>>,
    /// The version read up to, by relation.
    pub tables: BTreeMap<String, TablePosition>,
    /// The next offsets, of sources that have them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub offsets: Offsets,
    /// The newest checkpoint of the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// How far another table has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablePosition {
    /// The table's key.
    pub table: String,
    /// The version read up to.
    pub version: u64,
}

impl Positions {
    /// The next offset of a partition (`topic/partition`) that a relation reads; `None` if it has
    /// read nothing of it.
    #[must_use]
    pub fn offset(&self, relation: &str, partition: &str) -> Option<i64> {
        self.offsets.get(relation)?.get(partition).copied()
    }

    /// How far a file has been read by a relation.
    #[must_use]
    pub fn file(&self, relation: &str, path: &str) -> Option<&FilePosition> {
        self.files.get(relation)?.get(path)
    }

    fn add(&mut self, intent: Intent) {
        if intent.restart {
            self.files.clear();
            self.tables.clear();
            self.offsets.clear();
            self.checkpoint = None;
        }
        self.epoch = intent.epoch;
        self.fingerprint = intent.fingerprint;
        for read in intent.files {
            let position = FilePosition {
                to: read.to,
                size: read.size,
                modified_ms: read.modified_ms,
                etag: read.etag,
                next_line: None,
            };
            self.files
                .entry(read.relation)
                .or_default()
                .insert(read.path, position);
        }
        for read in intent.tables {
            let position = TablePosition {
                table: read.table,
                version: read.until,
            };
            self.tables.insert(read.relation, position);
        }
        for (relation, partitions) in intent.offsets {
            self.offsets.entry(relation).or_default().extend(partitions);
        }
        self.checkpoint = intent.checkpoint.or(self.checkpoint.take());
    }

    fn close(&mut self, closing: Closing) {
        for next in closing.next_lines {
            let files = self.files.get_mut(&next.relation);
            if let Some(position) = files.and_then(|files| files.get_mut(&next.path)) {
                position.next_line = Some(next.line);
            }
        }
    }
}

/// What came of writing an intent.
#[derive(Debug, Clone, PartialEq)]
pub enum IntentOutcome {
    /// It is written.
    Written,
    /// This epoch has an intent already, perhaps of another process. Do that one.
    Exists(Box<Intent>),
}

/// The log of one flow.
#[derive(Debug, Clone)]
pub struct FlowLog {
    place: Place,
    flow: FlowId,
}

impl FlowLog {
    pub(crate) fn new(warehouse: &Place, flow: &FlowId) -> FlowLog {
        let own = warehouse.child(OWN_FOLDER).child("flows");
        FlowLog {
            place: own.child(&names::encode(flow.as_str())),
            flow: flow.clone(),
        }
    }

    /// The flow.
    #[must_use]
    pub fn flow(&self) -> &FlowId {
        &self.flow
    }

    /// Writes an intent, before anything of its epoch is read.
    ///
    /// # Errors
    /// If the warehouse cannot be written.
    pub async fn write_intent(&self, intent: &Intent) -> Result<IntentOutcome, LakeError> {
        fail_point!("lake.intent.before");
        let name = intent_name(intent.epoch);
        if self.place.put_new(&name, to_bytes(intent)?).await? {
            fail_point!("lake.intent.after");
            return Ok(IntentOutcome::Written);
        }
        match self.intent(intent.epoch).await? {
            Some(found) => Ok(IntentOutcome::Exists(Box::new(found))),
            None => Err(LakeError::Damaged {
                place: self.place.show(&name),
                reason: "it was there and is gone".to_owned(),
            }),
        }
    }

    /// The intent of an epoch.
    ///
    /// # Errors
    /// If it cannot be read, or a newer Tidegate wrote it.
    pub async fn intent(&self, epoch: u64) -> Result<Option<Intent>, LakeError> {
        self.read(&intent_name(epoch)).await
    }

    /// The newest epoch that an intent was written for; `None` if there is none. For flows that write no table, this is
    /// how far they are.
    ///
    /// # Errors
    /// If the warehouse cannot be listed.
    pub async fn newest(&self) -> Result<Option<u64>, LakeError> {
        let files = self.place.list("intents", None).await?;
        Ok(files.iter().rev().find_map(|file| {
            let stem = file.location.filename()?.strip_suffix(".json")?;
            stem.parse().ok()
        }))
    }

    /// The intent that was written and whose epoch is not in the table: to be done again exactly.
    /// `committed` is what the flow's table says ([`crate::LakeTable::flow_epoch`]).
    ///
    /// # Errors
    /// If it cannot be read, or a newer Tidegate wrote it.
    pub async fn pending(&self, committed: Option<u64>) -> Result<Option<Intent>, LakeError> {
        self.intent(committed.unwrap_or(0) + 1).await
    }

    /// Takes an intent back, so that its epoch can be planned anew. Only for an epoch that no table
    /// holds: the caller must have seen that.
    ///
    /// # Errors
    /// If the warehouse cannot be written.
    pub async fn withdraw(&self, epoch: u64) -> Result<(), LakeError> {
        fail_point!("lake.withdraw.before");
        self.place.delete(&intent_name(epoch)).await?;
        fail_point!("lake.withdraw.after");
        Ok(())
    }

    /// How far the flow has read, by what its table holds.
    ///
    /// # Errors
    /// If an intent that should be there is not, or cannot be read.
    pub async fn positions(&self, committed: Option<u64>) -> Result<Positions, LakeError> {
        let Some(committed) = committed.filter(|epoch| *epoch > 0) else {
            return Ok(Positions {
                format_version: FLOW_LOG_FORMAT,
                ..Positions::default()
            });
        };
        let mut positions = self.snapshot_before(committed).await?;
        let after = positions.epoch;
        for epoch in positions.epoch + 1..=committed {
            let intent = self
                .intent(epoch)
                .await?
                .ok_or_else(|| LakeError::Damaged {
                    place: self.place.show(&intent_name(epoch)),
                    reason: format!(
                        "the table holds epoch {committed}, and the intent of epoch {epoch} is not \
                     there; restore it, or refresh the flow in full"
                    ),
                })?;
            positions.add(intent);
            if let Some(closing) = self.read::<Closing>(&closing_name(epoch)).await? {
                positions.close(closing);
            }
        }
        if committed - after >= SNAPSHOT_EVERY_EPOCHS
            && let Err(error) = self.write_snapshot(&positions).await
        {
            // Only a shortcut: a warehouse that cannot be written can still be read.
            tracing::warn!(flow = %self.flow, %error, "could not write the positions");
        }
        Ok(positions)
    }

    /// Notes what an epoch found out, after its commit. Losing this loses nothing but time.
    ///
    /// # Errors
    /// If the warehouse cannot be written.
    pub async fn close(&self, epoch: u64, next_lines: Vec<NextLine>) -> Result<(), LakeError> {
        fail_point!("lake.closing.before");
        let closing = Closing {
            format_version: FLOW_LOG_FORMAT,
            next_lines,
        };
        self.place
            .put(&closing_name(epoch), to_bytes(&closing)?)
            .await?;
        fail_point!("lake.closing.after");
        Ok(())
    }

    /// Whether [`Self::close`] noted the end of an epoch.
    ///
    /// # Errors
    /// If it cannot be read, or a newer Tidegate wrote it.
    pub async fn is_closed(&self, epoch: u64) -> Result<bool, LakeError> {
        let closing = self.read::<Closing>(&closing_name(epoch)).await?;
        Ok(closing.is_some())
    }

    /// The newest snapshot of the positions not after an epoch.
    async fn snapshot_before(&self, epoch: u64) -> Result<Positions, LakeError> {
        let files = self.place.list("positions", None).await?;
        let newest = files.iter().rev().find_map(|file| {
            let stem = file.location.filename()?.strip_suffix(".json")?;
            stem.parse::<u64>().ok().filter(|found| *found <= epoch)
        });
        let found = match newest {
            Some(found) => self.read(&snapshot_name(found)).await?,
            None => None,
        };
        Ok(found.unwrap_or(Positions {
            format_version: FLOW_LOG_FORMAT,
            ..Positions::default()
        }))
    }

    async fn write_snapshot(&self, positions: &Positions) -> Result<(), LakeError> {
        fail_point!("lake.snapshot.before");
        self.place
            .put(&snapshot_name(positions.epoch), to_bytes(positions)?)
            .await?;
        fail_point!("lake.snapshot.after");
        Ok(())
    }

    async fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, LakeError> {
        #[derive(Deserialize)]
        struct Format {
            format_version: u32,
        }
        let Some(bytes) = self.place.get(name).await? else {
            return Ok(None);
        };
        let damaged = |error: serde_json::Error| LakeError::Damaged {
            place: self.place.show(name),
            reason: error.to_string(),
        };
        let format: Format = serde_json::from_slice(&bytes).map_err(damaged)?;
        if format.format_version > FLOW_LOG_FORMAT {
            return Err(LakeError::NewerFormat {
                place: self.place.show(name),
                found: format.format_version,
                known: FLOW_LOG_FORMAT,
            });
        }
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }
}

fn intent_name(epoch: u64) -> String {
    format!("intents/{epoch:020}.json")
}

fn closing_name(epoch: u64) -> String {
    format!("closings/{epoch:020}.json")
}

fn snapshot_name(epoch: u64) -> String {
    format!("positions/{epoch:020}.json")
}

fn to_bytes<T: Serialize>(value: &T) -> Result<Bytes, LakeError> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| LakeError::Bug(error.to_string()))
}

#[cfg(test)]
mod tests;

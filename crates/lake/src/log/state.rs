//! The state of a table at one version, and how to come from one to the next.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use deltalake::kernel::{Add, DeletionVectorDescriptor, LogicalFileView, Snapshot};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use tokio::sync::OnceCell;

use super::actions::{CommitInfo, Line, Metadata, Protocol, parse_commit};
use super::checkpoint::{self, Checkpoint};
use crate::error::LakeError;
use crate::storage::Place;
use crate::table::TableFile;

/// Commits read at a time when a state is built.
const CONCURRENT_READS: usize = 16;

/// A state that has taken so many commits since it was read from scratch is read from scratch
/// again, to profit from a newer checkpoint and to forget what is gone.
const TAIL_COMMITS_MAX: u64 = 256;

/// The name of a commit file below the table's folder.
pub(crate) fn commit_name(version: u64) -> String {
    format!("_delta_log/{version:020}.json")
}

/// Identifies a data file together with its deletion vector.
type FileKey = (String, Option<String>);

/// Tells apart the deletion vectors that a file had over time.
fn vector_id(vector: &DeletionVectorDescriptor) -> String {
    let offset = vector
        .offset
        .map(|offset| offset.to_string())
        .unwrap_or_default();
    format!(
        "{}{}@{offset}",
        vector.storage_type, vector.path_or_inline_dv
    )
}

fn add_key(add: &Add) -> FileKey {
    (
        add.path.clone(),
        add.deletion_vector.as_ref().map(vector_id),
    )
}

/// A data file of a checkpoint, as it would stand in a commit.
fn add_of(view: &LogicalFileView) -> Add {
    let vector = view.deletion_vector_descriptor();
    Add {
        path: view.path().into_owned(),
        partition_values: view.partition_values_map(),
        size: view.size(),
        modification_time: view.modification_time(),
        data_change: true,
        stats: view.stats(),
        deletion_vector: vector,
        ..Add::default()
    }
}

/// A file that came (`Some`) or went (`None`).
type FileChange = (FileKey, Option<Arc<TableFile>>);

/// Where the data files come from, before the commits of the tail.
#[derive(Clone)]
enum Base {
    Empty,
    Checkpoint(Arc<Snapshot>),
    Files(Arc<HashMap<FileKey, Arc<TableFile>>>),
}

/// A table at one version.
pub(crate) struct LogState {
    pub version: u64,
    /// When that version was committed, in milliseconds since 1970.
    pub timestamp_ms: i64,
    pub protocol: Protocol,
    pub metadata: Metadata,
    /// The newest epoch of every flow (and version of every foreign application).
    pub txns: BTreeMap<String, i64>,
    base: Base,
    base_version: u64,
    tail: Vec<FileChange>,
    files: OnceCell<Arc<HashMap<FileKey, Arc<TableFile>>>>,
}

/// What is known while commits are replayed.
struct Replay {
    protocol: Option<Protocol>,
    metadata: Option<Metadata>,
    txns: BTreeMap<String, i64>,
    tail: Vec<FileChange>,
    timestamp_ms: i64,
}

impl Replay {
    fn apply(&mut self, lines: Vec<Line>, written_ms: Option<i64>) {
        let mut told_ms = None;
        for line in lines {
            if let Some(add) = line.add {
                let key = add_key(&add);
                self.tail.push((key, Some(Arc::new(TableFile::new(add)))));
            }
            if let Some(remove) = line.remove {
                let vector = remove.deletion_vector.as_ref().map(vector_id);
                self.tail.push(((remove.path, vector), None));
            }
            if let Some(txn) = line.txn {
                self.txns.insert(txn.app_id, txn.version);
            }
            if let Some(info) = line.commit_info {
                told_ms = info.in_commit_timestamp.or(info.timestamp);
            }
            self.protocol = line.protocol.or(self.protocol.take());
            self.metadata = line.meta_data.or(self.metadata.take());
        }
        if let Some(timestamp_ms) = written_ms.or(told_ms) {
            // The clocks of two writers may differ; the log's time never goes back.
            self.timestamp_ms = timestamp_ms.max(self.timestamp_ms);
        }
    }
}

/// Reads and parses one commit; `None` if there is no such version.
pub(crate) async fn read_commit(
    place: &Place,
    version: u64,
) -> Result<Option<Vec<Line>>, LakeError> {
    let name = commit_name(version);
    let Some(bytes) = place.get(&name).await? else {
        return Ok(None);
    };
    parse(place, &name, &bytes).map(Some)
}

fn parse(place: &Place, name: &str, bytes: &Bytes) -> Result<Vec<Line>, LakeError> {
    parse_commit(bytes).map_err(|error| LakeError::Damaged {
        place: place.show(name),
        reason: format!("not a Delta commit: {error}"),
    })
}

/// The files of a log, from its last known checkpoint on.
async fn list_log(place: &Place, from_start: bool) -> Result<Vec<ObjectMeta>, LakeError> {
    #[derive(serde::Deserialize)]
    struct Hint {
        version: u64,
    }
    // Listing a folder of this machine costs the same from anywhere; the hint saves nothing there.
    if from_start || place.local.is_some() {
        return place.list("_delta_log", None).await;
    }
    let hint = place.get("_delta_log/_last_checkpoint").await?;
    let hint = hint.and_then(|bytes| serde_json::from_slice::<Hint>(&bytes).ok());
    match hint.and_then(|hint| hint.version.checked_sub(1)) {
        Some(before) => {
            place
                .list("_delta_log", Some(&format!("{before:020}.k")))
                .await
        }
        None => place.list("_delta_log", None).await,
    }
}

/// The version of a listed commit file.
fn commit_version(file: &ObjectMeta) -> Option<u64> {
    let stem = file.location.filename()?.strip_suffix(".json")?;
    (stem.len() == 20).then(|| stem.parse().ok())?
}

impl LogState {
    /// Reads the state at `version`, or at the newest. `None`: there is no table here.
    pub async fn load(
        place: &Place,
        table: &str,
        version: Option<u64>,
    ) -> Result<Option<LogState>, LakeError> {
        let listed = list_log(place, version.is_some()).await?;
        let checkpoint = checkpoint::newest(&listed, version);
        let commits: Vec<(u64, ObjectMeta)> = listed
            .into_iter()
            .filter_map(|file| Some((commit_version(&file)?, file)))
            .filter(|(commit, _)| {
                checkpoint
                    .as_ref()
                    .is_none_or(|checkpoint| *commit > checkpoint.version)
                    && version.is_none_or(|version| *commit <= version)
            })
            .collect();
        if checkpoint.is_none() && commits.is_empty() {
            return Ok(None);
        }
        Self::replay(place, table, checkpoint, commits, version)
            .await
            .map(Some)
    }

    async fn replay(
        place: &Place,
        table: &str,
        checkpoint: Option<Checkpoint>,
        commits: Vec<(u64, ObjectMeta)>,
        wanted: Option<u64>,
    ) -> Result<LogState, LakeError> {
        let mut replay = Replay {
            protocol: None,
            metadata: None,
            txns: BTreeMap::new(),
            tail: Vec::new(),
            timestamp_ms: 0,
        };
        let mut base = Base::Empty;
        let mut version = None;
        if let Some(checkpoint) = &checkpoint {
            let head = checkpoint::read_head(place, table, checkpoint).await?;
            replay.protocol = Some(head.protocol);
            replay.metadata = Some(head.metadata);
            replay.txns = head.txns;
            let written = checkpoint
                .files
                .iter()
                .map(|file| file.last_modified.timestamp_millis());
            replay.timestamp_ms = written.min().unwrap_or(0);
            base = Base::Checkpoint(head.snapshot);
            version = Some(checkpoint.version);
        }
        let base_version = version.unwrap_or(0);
        let mut lines = futures::stream::iter(commits)
            .map(|(commit, file)| async move {
                let written = file.last_modified.timestamp_millis();
                Ok::<_, LakeError>((commit, written, read_commit(place, commit).await?))
            })
            .buffered(CONCURRENT_READS);
        while let Some((commit, written, lines)) = lines.try_next().await? {
            let next = version.map_or(0, |version| version + 1);
            let (Some(lines), true) = (lines, commit == next) else {
                return Err(LakeError::Damaged {
                    place: place.show("_delta_log"),
                    reason: format!(
                        "version {next} is missing (the next is {commit}); restore {} or read an \
                         older version",
                        commit_name(next)
                    ),
                });
            };
            replay.apply(lines, Some(written));
            version = Some(commit);
        }
        if let (Some(wanted), Some(version)) = (wanted, version)
            && wanted != version
        {
            return Err(LakeError::NoVersion {
                table: table.to_owned(),
                wanted: wanted.to_string(),
                oldest: base_version,
                newest: version,
            });
        }
        Self::finish(place, replay, version.unwrap_or(0), base, base_version)
    }

    fn finish(
        place: &Place,
        replay: Replay,
        version: u64,
        base: Base,
        base_version: u64,
    ) -> Result<LogState, LakeError> {
        let (Some(protocol), Some(metadata)) = (replay.protocol, replay.metadata) else {
            return Err(LakeError::Damaged {
                place: place.show("_delta_log"),
                reason: "no schema (`metaData`) or no `protocol` up to its newest version"
                    .to_owned(),
            });
        };
        Ok(LogState {
            version,
            timestamp_ms: replay.timestamp_ms,
            protocol,
            metadata,
            txns: replay.txns,
            base,
            base_version,
            tail: replay.tail,
            files: OnceCell::new(),
        })
    }

    /// The newest state, reading only what came after this one. `None`: this one is the newest.
    pub async fn refresh(&self, place: &Place, table: &str) -> Result<Option<LogState>, LakeError> {
        let mut version = self.version;
        let Some(mut lines) = read_commit(place, version + 1).await? else {
            return Ok(None);
        };
        if version - self.base_version >= TAIL_COMMITS_MAX {
            return Self::load(place, table, None).await;
        }
        let (base, tail) = match self.files.get() {
            Some(files) => (Base::Files(Arc::clone(files)), Vec::new()),
            None => (self.base.clone(), self.tail.clone()),
        };
        let base_version = if tail.is_empty() {
            self.version
        } else {
            self.base_version
        };
        let mut replay = Replay {
            protocol: Some(self.protocol.clone()),
            metadata: Some(self.metadata.clone()),
            txns: self.txns.clone(),
            tail,
            timestamp_ms: self.timestamp_ms,
        };
        loop {
            replay.apply(lines, None);
            version += 1;
            match read_commit(place, version + 1).await? {
                Some(next) => lines = next,
                None => break,
            }
        }
        Self::finish(place, replay, version, base, base_version).map(Some)
    }

    /// The data files of this version, in no order. Read on the first call.
    pub async fn files(
        &self,
        place: &Place,
        table: &str,
    ) -> Result<&Arc<HashMap<FileKey, Arc<TableFile>>>, LakeError> {
        self.files
            .get_or_try_init(|| async {
                let mut files = match &self.base {
                    Base::Empty => HashMap::new(),
                    Base::Files(files) => HashMap::clone(files),
                    Base::Checkpoint(snapshot) => snapshot
                        .file_views(&place.log_store(), None)
                        .map_ok(|view| {
                            let add = add_of(&view);
                            (add_key(&add), Arc::new(TableFile::new(add)))
                        })
                        .try_collect()
                        .await
                        .map_err(|error| LakeError::delta(table, error))?,
                };
                for (key, change) in &self.tail {
                    match change {
                        Some(file) => files.insert(key.clone(), Arc::clone(file)),
                        None => files.remove(key),
                    };
                }
                Ok(Arc::new(files))
            })
            .await
    }
}

impl std::fmt::Debug for LogState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogState")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// The operation named in a commit, for messages.
pub(crate) fn operation(info: Option<&CommitInfo>) -> String {
    info.and_then(|info| info.operation.clone())
        .unwrap_or_else(|| "unknown operation".to_owned())
}

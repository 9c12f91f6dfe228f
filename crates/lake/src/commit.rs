//! One commit of one table, fenced by the flow's epoch.
//!
//! A commit is one new file in the log, written only if it is not there. Before each attempt the
//! newest state is read and three things are decided anew from it: whether this epoch is already
//! in the table (then nothing is done), whether it is this epoch's turn (if not, another process
//! owns the flow), and what must be added, removed and changed. So two processes may do the same
//! epoch at once, and the table takes it once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use deltalake::kernel::Remove;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tidegate_project::TableName;

use crate::error::LakeError;
use crate::fail_points::fail_point;
use crate::lake::Lake;
use crate::log::actions::{CommitInfo, Metadata, Txn, push_line};
use crate::log::{LogState, commit_name};
use crate::names::FlowId;
use crate::spec::{CLUSTER_BY, TableSpec};
use crate::storage::Place;
use crate::table::{LakeTable, TableFile};
use crate::upsert::{End, Rewriter, Rewritten, Upsert};
use crate::write::DataFile;
use crate::{prepared, protocol, schema, upkeep};

/// How often a commit is tried against faster writers.
const ATTEMPTS_MAX: usize = 100;

/// What becomes of the rows that are in the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitMode {
    /// They stay. New columns are added to the table, numbers may become wider.
    Append,
    /// All of them go, and the table takes the columns of the commit.
    Overwrite,
    /// Those in these files go. If one of the files is no longer there, nothing is committed.
    Replace(#[serde(with = "prepared::table_files")] Vec<Arc<TableFile>>),
    /// Those with certain keys go: see [`crate::UpsertPlan`]. Files that hold such rows are written
    /// anew without them when the commit is made, from the table as it is then.
    Upsert(Upsert),
}

/// The epoch that a commit belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowStep {
    /// The flow.
    pub flow: FlowId,
    /// Its epoch, counted from 1.
    pub epoch: u64,
    /// The epoch that this table holds before this one: what [`LakeTable::flow_epoch`] said when
    /// the intent was written. A table that got no rows in an epoch holds an older one.
    pub predecessor: Option<u64>,
}

/// Everything that one commit puts into a table.
#[derive(Debug, Clone)]
pub struct Commit {
    /// What the table should be.
    pub spec: TableSpec,
    /// What becomes of the rows that are in the table.
    pub mode: CommitMode,
    /// The new data files.
    pub files: Vec<DataFile>,
    /// The flow and epoch; `None` for upkeep and repairs by hand.
    pub step: Option<FlowStep>,
    /// The run, as kept in the run history.
    pub run: String,
    /// The operation's name in the table's history; `None`: the usual one for the mode.
    pub operation: Option<String>,
    /// What else the history should say about this commit.
    pub notes: BTreeMap<String, Value>,
}

impl Commit {
    /// A commit that appends files to a table.
    #[must_use]
    pub fn append(spec: TableSpec, files: Vec<DataFile>, run: &str) -> Commit {
        Commit {
            spec,
            mode: CommitMode::Append,
            files,
            step: None,
            run: run.to_owned(),
            operation: None,
            notes: BTreeMap::new(),
        }
    }

    /// The same commit for an epoch of a flow.
    #[must_use]
    pub fn in_step(self, step: FlowStep) -> Commit {
        Commit {
            step: Some(step),
            ..self
        }
    }
}

/// What a commit came to.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The version that holds the rows.
    pub version: u64,
    /// The epoch was in the table before; the files of this commit were not used and were removed.
    pub already_done: bool,
    /// The table at that version, or a newer one.
    pub table: LakeTable,
}

/// What becomes of files that a commit did not need, because the table has the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unused {
    /// They are this process's own, and are removed.
    Removed,
    /// An intent names them, and another process may have committed them.
    Kept,
}

/// The bytes of a commit, and the version they are for.
struct NewVersion {
    version: u64,
    bytes: Bytes,
}

impl Lake {
    /// Commits files to a table, making the table if it is not there.
    ///
    /// # Errors
    /// [`LakeError::Fenced`] if the table does not hold the predecessor of the epoch;
    /// [`LakeError::Conflict`] if a file to be replaced is gone; [`LakeError::SchemaChange`] if the
    /// columns do not fit. Nothing is committed then, and the files are left to
    /// [`Lake::discard`] or the vacuum.
    pub async fn commit(&self, commit: Commit) -> Result<Committed, LakeError> {
        self.commit_with(commit, Unused::Removed).await
    }

    /// As [`Lake::commit`], with a say about files that are not needed.
    pub(crate) async fn commit_with(
        &self,
        commit: Commit,
        unused: Unused,
    ) -> Result<Committed, LakeError> {
        let name = &commit.spec.name;
        let place = self.place(name, commit.spec.location.as_deref()).await?;
        let schema = commit.spec.stored_schema()?;
        let mut rewriter = match &commit.mode {
            CommitMode::Upsert(upsert) => Some(Rewriter::new(self, &commit.spec, upsert)),
            _ => None,
        };
        let done = self
            .attempt(&commit, unused, &place, &schema, rewriter.as_mut())
            .await;
        if let Some(rewriter) = rewriter {
            let end = match &done {
                Ok(committed) if committed.already_done => End::DoneBefore,
                Ok(_) => End::Taken,
                Err(_) => End::Unknown,
            };
            rewriter.clean(end).await;
        }
        done
    }

    /// Tries to commit, anew after each faster writer.
    async fn attempt(
        &self,
        commit: &Commit,
        unused: Unused,
        place: &Place,
        schema: &SchemaRef,
        mut rewriter: Option<&mut Rewriter<'_>>,
    ) -> Result<Committed, LakeError> {
        let name = &commit.spec.name;
        for attempt in 0..ATTEMPTS_MAX {
            let current = self.table(name).await?;
            if let Some(table) = &current
                && is_done(commit, table)?
            {
                if unused == Unused::Removed {
                    self.discard(&commit.spec.name, &commit.files).await?;
                }
                let (version, table) = (table.version(), table.clone());
                return Ok(Committed {
                    version,
                    already_done: true,
                    table,
                });
            }
            if current.is_none() {
                check_first(commit)?;
            }
            if unused == Unused::Kept && attempt == 0 {
                prepared::check_there(place, &commit.files).await?;
            }
            let rewritten = match (&mut rewriter, &current) {
                (Some(rewriter), Some(table)) => match rewriter.against(table).await {
                    Ok(rewritten) => rewritten,
                    // Another process may have done the epoch, and removed what it needed for it.
                    Err(error) => match self.table(name).await? {
                        Some(now) if is_done(commit, &now)? => continue,
                        _ => return Err(error),
                    },
                },
                _ => Rewritten::default(),
            };
            let version = prepare(commit, schema, place, current.as_ref(), rewritten).await?;
            fail_point!("lake.commit.before");
            if put(place, &version).await? {
                fail_point!("lake.commit.after");
                return self.finish(commit, place, version.version).await;
            }
            tracing::debug!(table = %name, version = version.version, "another writer was faster");
            let pause = std::time::Duration::from_millis(2 * (attempt as u64).min(50));
            tokio::time::sleep(pause).await;
        }
        Err(LakeError::Contended {
            table: name.key(),
            attempts: ATTEMPTS_MAX,
        })
    }

    async fn finish(
        &self,
        commit: &Commit,
        place: &Place,
        version: u64,
    ) -> Result<Committed, LakeError> {
        let name = &commit.spec.name;
        let table = self.table(name).await?.ok_or_else(|| LakeError::Damaged {
            place: place.show("_delta_log"),
            reason: format!("version {version} was committed and is gone"),
        })?;
        // The rows are in. A checkpoint that fails is written by a later commit.
        if let Err(error) = upkeep::checkpoint_if_due(&table, version).await {
            tracing::warn!(table = %name, version, %error, "could not write a checkpoint");
        }
        Ok(Committed {
            version,
            already_done: false,
            table,
        })
    }

    /// Removes data files that were written and not committed. Files that are in the table are left
    /// alone, so this may be called after a commit whose outcome is not known.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub async fn discard(&self, table: &TableName, files: &[DataFile]) -> Result<(), LakeError> {
        if files.is_empty() {
            return Ok(());
        }
        let place = self.place(table, None).await?;
        let committed = match self.table(table).await? {
            Some(table) => table.files().await?,
            None => Vec::new(),
        };
        let committed: HashSet<&str> = committed.iter().map(|file| file.path()).collect();
        for file in files.iter().filter(|file| !committed.contains(file.path())) {
            place.delete(file.path()).await?;
        }
        Ok(())
    }
}

/// Writes the commit if there is none of its version. An answer that was lost on the way is found
/// out: if the commit that is there is this one, it is written.
async fn put(place: &Place, new: &NewVersion) -> Result<bool, LakeError> {
    let name = commit_name(new.version);
    if place.put_new(&name, new.bytes.clone()).await? {
        return Ok(true);
    }
    Ok(place
        .get(&name)
        .await?
        .is_some_and(|there| there == new.bytes))
}

/// Whether the epoch is in the table. Fails if the table holds another than its predecessor.
fn is_done(commit: &Commit, table: &LakeTable) -> Result<bool, LakeError> {
    let Some(step) = &commit.step else {
        return Ok(false);
    };
    let stored = table.flow_epoch(&step.flow);
    if stored == Some(step.epoch) {
        return Ok(true);
    }
    if stored == step.predecessor && stored.is_none_or(|stored| stored < step.epoch) {
        return Ok(false);
    }
    Err(fenced(commit, step, stored))
}

/// A table that is not there can only take a flow's first epoch in it.
fn check_first(commit: &Commit) -> Result<(), LakeError> {
    match &commit.step {
        Some(step) if step.predecessor.is_some() => Err(fenced(commit, step, None)),
        _ => Ok(()),
    }
}

fn fenced(commit: &Commit, step: &FlowStep, stored: Option<u64>) -> LakeError {
    LakeError::Fenced {
        flow: step.flow.to_string(),
        table: commit.spec.name.key(),
        epoch: step.epoch,
        stored,
        expected: step.predecessor,
    }
}

/// Writes the commit for the version after `current`.
async fn prepare(
    commit: &Commit,
    schema: &SchemaRef,
    place: &Place,
    current: Option<&LakeTable>,
    rewritten: Rewritten,
) -> Result<NewVersion, LakeError> {
    let key = commit.spec.name.key();
    let state = current.map(|table| &table.inner().state);
    if let Some(state) = state {
        protocol::check_writable(&key, &state.protocol, &state.metadata)?;
    }
    let schema = match (current, &commit.mode) {
        (Some(table), mode) if !matches!(mode, CommitMode::Overwrite) => {
            check_partitions(commit, &state_partitions(state))?;
            schema::evolve(&key, &table.schema(), schema)?
        }
        _ => Arc::clone(schema),
    };
    let metadata = metadata(commit, &schema, state.map(|state| &state.metadata))?;
    let protocol = protocol::needed(
        state.map(|state| &state.protocol),
        &schema,
        &metadata.configuration,
    );
    let removes = removes(commit, current, &rewritten.gone).await?;
    if !removes.is_empty() && protocol::is_append_only(&metadata) {
        return Err(LakeError::Specification {
            table: key,
            reason: "its property 'delta.appendOnly' is set, so no rows can be replaced".to_owned(),
        });
    }
    let bug = |error: serde_json::Error| LakeError::Bug(error.to_string());
    let mut lines = Vec::with_capacity(512 + 1024 * commit.files.len());
    push_line(&mut lines, "commitInfo", &commit_info(commit, &removes)).map_err(bug)?;
    if state.is_none_or(|state| state.protocol != protocol) {
        push_line(&mut lines, "protocol", &protocol).map_err(bug)?;
    }
    if state.is_none_or(|state| state.metadata != metadata) {
        protocol::check_properties(&commit.spec.name.key(), &metadata.configuration)?;
        push_line(&mut lines, "metaData", &metadata).map_err(bug)?;
    }
    if let Some(step) = &commit.step {
        let version = i64::try_from(step.epoch).map_err(|e| LakeError::Bug(e.to_string()))?;
        let app_id = step.flow.to_string();
        let last_updated = Some(now_ms());
        push_line(
            &mut lines,
            "txn",
            &Txn {
                app_id,
                version,
                last_updated,
            },
        )
        .map_err(bug)?;
    }
    for remove in &removes {
        push_line(&mut lines, "remove", remove).map_err(bug)?;
    }
    for file in commit.files.iter().chain(&rewritten.files) {
        push_line(&mut lines, "add", &file.add).map_err(bug)?;
    }
    tracing::trace!(place = %place.url, bytes = lines.len(), "commit prepared");
    let version = state.map_or(0, |state| state.version + 1);
    Ok(NewVersion {
        version,
        bytes: Bytes::from(lines),
    })
}

fn state_partitions(state: Option<&Arc<LogState>>) -> Vec<String> {
    state
        .map(|state| state.metadata.partition_columns.clone())
        .unwrap_or_default()
}

fn check_partitions(commit: &Commit, stored: &[String]) -> Result<(), LakeError> {
    let wanted = &commit.spec.partitioned_by;
    let same = wanted.len() == stored.len()
        && wanted
            .iter()
            .zip(stored)
            .all(|(a, b)| a.to_lowercase() == b.to_lowercase());
    if same {
        return Ok(());
    }
    Err(LakeError::Specification {
        table: commit.spec.name.key(),
        reason: format!(
            "it is partitioned by ({}) and PARTITIONED BY now says ({}); refresh it in full",
            stored.join(", "),
            wanted.join(", ")
        ),
    })
}

/// The table's metadata after this commit.
fn metadata(
    commit: &Commit,
    schema: &SchemaRef,
    current: Option<&Metadata>,
) -> Result<Metadata, LakeError> {
    let key = commit.spec.name.key();
    let mut configuration = current
        .map(|known| known.configuration.clone())
        .unwrap_or_default();
    configuration.remove(CLUSTER_BY);
    configuration.extend(commit.spec.stored_properties());
    let named = |column: &String| {
        let index = schema::position(schema.fields(), column);
        index.map_or_else(
            || column.clone(),
            |index| schema.field(index).name().clone(),
        )
    };
    let description = commit.spec.comment.clone();
    let schema_string = match current {
        // The same columns, perhaps written by another with other spaces.
        Some(known) if schema::from_json(&key, &known.schema_string)? == *schema => {
            known.schema_string.clone()
        }
        _ => schema::to_json(&key, schema)?,
    };
    Ok(Metadata {
        id: current.map_or_else(
            || uuid::Uuid::new_v4().to_string(),
            |known| known.id.clone(),
        ),
        name: current.map_or_else(|| Some(key), |known| known.name.clone()),
        description: description.or_else(|| current.and_then(|known| known.description.clone())),
        format: current
            .map(|known| known.format.clone())
            .unwrap_or_default(),
        schema_string,
        partition_columns: commit.spec.partitioned_by.iter().map(named).collect(),
        configuration,
        created_time: current.map_or_else(|| Some(now_ms()), |known| known.created_time),
    })
}

/// The files that go.
async fn removes(
    commit: &Commit,
    current: Option<&LakeTable>,
    rewritten: &[Arc<TableFile>],
) -> Result<Vec<Remove>, LakeError> {
    let (Some(table), false) = (current, matches!(commit.mode, CommitMode::Append)) else {
        return match &commit.mode {
            CommitMode::Replace(files) if !files.is_empty() => Err(conflict(commit, &files[0])),
            _ => Ok(Vec::new()),
        };
    };
    let files = table.files().await?;
    let data_change = commit.files.iter().all(|file| file.add.data_change);
    match &commit.mode {
        CommitMode::Append => Ok(Vec::new()),
        CommitMode::Upsert(_) => Ok(rewritten
            .iter()
            .map(|file| remove_action(file, true))
            .collect()),
        CommitMode::Overwrite => Ok(files.iter().map(|file| remove_action(file, true)).collect()),
        CommitMode::Replace(gone) => {
            let here: HashMap<&str, &Arc<TableFile>> =
                files.iter().map(|file| (file.path(), file)).collect();
            gone.iter()
                .map(|file| match here.get(file.path()) {
                    Some(now) if now.add.deletion_vector == file.add.deletion_vector => {
                        Ok(remove_action(now, data_change))
                    }
                    _ => Err(conflict(commit, file)),
                })
                .collect()
        }
    }
}

fn conflict(commit: &Commit, file: &TableFile) -> LakeError {
    LakeError::Conflict {
        table: commit.spec.name.key(),
        file: file.path().to_owned(),
    }
}

fn remove_action(file: &TableFile, data_change: bool) -> Remove {
    let add = &file.add;
    Remove {
        path: add.path.clone(),
        data_change,
        deletion_timestamp: Some(now_ms()),
        extended_file_metadata: Some(true),
        partition_values: Some(add.partition_values.clone()),
        size: Some(add.size),
        tags: add.tags.clone(),
        deletion_vector: add.deletion_vector.clone(),
        base_row_id: add.base_row_id,
        default_row_commit_version: add.default_row_commit_version,
    }
}

fn commit_info(commit: &Commit, removes: &[Remove]) -> CommitInfo {
    let rows: u64 = commit.files.iter().map(DataFile::rows).sum();
    let bytes: u64 = commit.files.iter().map(DataFile::bytes).sum();
    let mut tidegate = Map::new();
    tidegate.insert("run".to_owned(), json!(commit.run));
    let mut parameters = Map::new();
    if let Some(step) = &commit.step {
        tidegate.insert("flow".to_owned(), json!(step.flow));
        tidegate.insert("epoch".to_owned(), json!(step.epoch));
        parameters.insert("queryId".to_owned(), json!(step.flow));
        parameters.insert("epochId".to_owned(), json!(step.epoch.to_string()));
    }
    tidegate.extend(
        commit
            .notes
            .iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    let (operation, mode) = match (&commit.mode, &commit.step) {
        (CommitMode::Append, Some(_)) => ("STREAMING UPDATE", "Append"),
        (CommitMode::Append, None) => ("WRITE", "Append"),
        (CommitMode::Overwrite, _) => ("WRITE", "Overwrite"),
        (CommitMode::Replace(_) | CommitMode::Upsert(_), _) => ("MERGE", "Append"),
    };
    parameters.insert("mode".to_owned(), json!(mode));
    let metrics = json!({
        "numFiles": commit.files.len().to_string(),
        "numOutputRows": rows.to_string(),
        "numOutputBytes": bytes.to_string(),
        "numRemovedFiles": removes.len().to_string(),
    });
    CommitInfo {
        timestamp: Some(now_ms()),
        in_commit_timestamp: None,
        operation: Some(
            commit
                .operation
                .clone()
                .unwrap_or_else(|| operation.to_owned()),
        ),
        operation_parameters: parameters,
        operation_metrics: metrics.as_object().cloned().unwrap_or_default(),
        engine_info: Some(concat!("Tidegate/", env!("CARGO_PKG_VERSION")).to_owned()),
        is_blind_append: Some(matches!(commit.mode, CommitMode::Append)),
        tidegate,
    }
}

/// The time, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

#[cfg(test)]
mod tests;

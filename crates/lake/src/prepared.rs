//! Commits that an intent names before they are made, so that a restart can finish them.
//!
//! A live source cannot always be read again, and reading again costs. So an epoch may write its
//! data files first, then an intent that names them ([`crate::Intent::prepared`]), then commit each
//! table. After a kill the same files are committed ([`Lake::commit_prepared`]): tables that have the
//! epoch are skipped by their `txn`, the others take it. Until the intent is written, the files are
//! nobody's, and left to the vacuum.

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;
use deltalake::kernel::Add;
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::commit::{Commit, CommitMode, Committed, FlowStep, Unused};
use crate::error::LakeError;
use crate::lake::Lake;
use crate::schema;
use crate::spec::TableSpec;
use crate::storage::Place;
use crate::write::DataFile;

/// The commits of one epoch, ready to be made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Prepared {
    /// One a table, in the order in which they are made.
    pub tables: Vec<PreparedTable>,
}

/// The commit of one table, but for what the project says about the table anew each time: its
/// specification, and the epoch, which is the intent's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreparedTable {
    /// The table's key.
    pub table: String,
    /// The columns of the new data files, as Delta writes them; older intents do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<String>,
    /// What becomes of the rows that are in the table.
    pub mode: CommitMode,
    /// The new data files.
    pub files: Vec<DataFile>,
    /// The operation's name in the table's history, if it is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// What else the history should say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, Value>,
}

impl PreparedTable {
    /// What an intent must say of a commit.
    #[must_use]
    pub fn of(commit: &Commit) -> PreparedTable {
        PreparedTable {
            table: commit.spec.name.key(),
            columns: commit
                .spec
                .stored_schema()
                .and_then(|schema| schema::to_json(&commit.spec.name.key(), &schema))
                .ok(),
            mode: commit.mode.clone(),
            files: commit.files.clone(),
            operation: commit.operation.clone(),
            notes: commit.notes.clone(),
        }
    }

    /// The columns of the new data files, where the intent says them.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] if they cannot be read.
    pub fn schema(&self) -> Result<Option<SchemaRef>, LakeError> {
        let columns = self.columns.as_deref();
        columns
            .map(|columns| schema::from_json(&self.table, columns))
            .transpose()
    }

    /// The commit again. `spec` is that of the table that is named.
    #[must_use]
    pub fn into_commit(self, spec: TableSpec, run: &str, step: FlowStep) -> Commit {
        Commit {
            spec,
            mode: self.mode,
            files: self.files,
            step: Some(step),
            run: run.to_owned(),
            operation: self.operation,
            notes: self.notes,
        }
    }
}

impl Lake {
    /// As [`Lake::commit`], for files that an intent names: they are not removed if the table has
    /// the epoch already, because it may be from them, and may have put them together since.
    ///
    /// # Errors
    /// As [`Lake::commit`]; [`LakeError::Damaged`] if a file is gone that the table does not have
    /// yet, as after a vacuum whose retention is shorter than the pause.
    pub async fn commit_prepared(&self, commit: Commit) -> Result<Committed, LakeError> {
        self.commit_with(commit, Unused::Kept).await
    }
}

/// Fails if one of these files is not there.
pub(crate) async fn check_there(place: &Place, files: &[DataFile]) -> Result<(), LakeError> {
    for file in files {
        match place.store.head(&place.path(file.path())).await {
            Ok(_) => {}
            Err(object_store::Error::NotFound { .. }) => {
                return Err(LakeError::Damaged {
                    place: place.show(file.path()),
                    reason: "an epoch that was about to be committed wrote it, and it is gone; \
                             restore it, or refresh the flow in full"
                        .to_owned(),
                });
            }
            Err(error) => {
                let shown = place.show(file.path());
                return Err(LakeError::store("looking at", shown, error));
            }
        }
    }
    Ok(())
}

/// The log's words for a data file, with what is not in them.
#[derive(Serialize, Deserialize)]
struct WrittenFile {
    rows: u64,
    add: Add,
}

impl Serialize for DataFile {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (rows, add) = (self.rows, self.add.clone());
        WrittenFile { rows, add }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DataFile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WrittenFile { rows, add } = WrittenFile::deserialize(deserializer)?;
        Ok(DataFile { add, rows })
    }
}

impl PartialEq for DataFile {
    fn eq(&self, other: &Self) -> bool {
        same_file(&self.add, &other.add)
    }
}

/// Files of a table by the log's words for them, without their statistics, which the table has.
pub(crate) mod table_files {
    use std::sync::Arc;

    use deltalake::kernel::Add;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::table::TableFile;

    /// Writes files.
    pub fn serialize<S: Serializer>(
        files: &[Arc<TableFile>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let adds: Vec<Add> = files
            .iter()
            .map(|file| Add {
                stats: None,
                ..file.add.clone()
            })
            .collect();
        adds.serialize(serializer)
    }

    /// Reads them again.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Arc<TableFile>>, D::Error> {
        let adds = Vec::<Add>::deserialize(deserializer)?;
        Ok(adds
            .into_iter()
            .map(|add| Arc::new(TableFile::new(add)))
            .collect())
    }
}

/// A file is written once and never changed, but rows of it may be struck out.
pub(crate) fn same_file(one: &Add, other: &Add) -> bool {
    one.path == other.path && one.deletion_vector == other.deletion_vector
}

#[cfg(test)]
mod tests;

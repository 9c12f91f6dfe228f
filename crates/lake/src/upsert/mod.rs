//! Rows that take the place of older ones with the same key.
//!
//! The newest rows are written as data files, and beside them the keys whose older rows must go.
//! Which files hold such rows is looked up when the commit is made ([`CommitMode::Upsert`]), in the table
//! as it is then: files are passed over by their partition values and bounds, of the others only
//! the key columns are read, and those with hits are written anew without them. So an upsert and
//! an optimise that meet do not hinder each other for long, and a commit that an intent names
//! ([`crate::Prepared`]) can be made after any pause. No deletion vectors are written: every reader of
//! Parquet files can read the table.
//!
//! The files of keys lie in a hidden folder of the table and go with the commit.

mod keys;
mod rewriter;

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::commit::CommitMode;
use crate::error::LakeError;
use crate::lake::Lake;
use crate::schema;
use crate::spec::TableSpec;
use crate::write::{DataFile, PartWriter, WritePlan, conformed};

pub(crate) use rewriter::{End, Rewriter, Rewritten};

/// The folder, below the table's, with keys to be looked for.
pub(crate) const KEYS_FOLDER: &str = "_tidegate_keys";

/// The keys whose rows go from a table. Made by an [`UpsertWriter`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Upsert {
    columns: Vec<String>,
    /// Files below [`KEYS_FOLDER`] with the keys.
    files: Vec<DataFile>,
    /// The same keys; `None` after a restart.
    #[serde(skip)]
    kept: Option<Arc<Vec<RecordBatch>>>,
}

impl PartialEq for Upsert {
    fn eq(&self, other: &Self) -> bool {
        self.columns == other.columns && self.files == other.files
    }
}

impl Upsert {
    /// The columns of the key.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The number of keys to look for.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.files.iter().map(DataFile::rows).sum()
    }
}

/// How rows are written that take the place of others; makes a writer for each worker thread.
#[derive(Debug, Clone)]
pub struct UpsertPlan {
    table: String,
    columns: Vec<String>,
    rows: WritePlan,
    keys: WritePlan,
}

/// What upserts of one commit were written: its data files and its mode.
#[derive(Debug, Clone)]
pub struct Staged {
    /// The files of the new rows, for [`crate::Commit::files`].
    pub files: Vec<DataFile>,
    /// Which rows go, for [`crate::Commit::mode`].
    pub mode: CommitMode,
}

impl Lake {
    /// Plans an upsert of a table by these key columns. A key is compared as a whole, and NULL is
    /// equal to NULL.
    ///
    /// # Errors
    /// [`LakeError::Specification`] if a key column is not there, or is a list or a map; otherwise
    /// as [`Lake::write_plan`].
    pub async fn upsert_plan(
        &self,
        spec: &TableSpec,
        key_columns: &[String],
    ) -> Result<UpsertPlan, LakeError> {
        let rows = self.write_plan(spec, &CommitMode::Append).await?;
        let keys = key_schema(&spec.name.key(), &rows.schema(), key_columns)?;
        let fields = keys.fields().iter();
        Ok(UpsertPlan {
            table: spec.name.key(),
            columns: fields.map(|field| field.name().clone()).collect(),
            keys: rows.in_folder(KEYS_FOLDER, keys),
            rows,
        })
    }
}

impl UpsertPlan {
    /// The columns in the types in which they are stored.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    /// A writer for one thread.
    #[must_use]
    pub fn writer(&self) -> UpsertWriter {
        UpsertWriter {
            table: self.table.clone(),
            columns: self.columns.clone(),
            key_schema: self.keys.schema(),
            rows: self.rows.writer(),
            keys: self.keys.writer(),
            kept: Vec::new(),
        }
    }
}

/// Writes the newest rows, and notes the keys whose older rows go. Belongs to one thread.
///
/// Within one commit a key may be written at most once, by one of its writers, and not be deleted
/// too. Given up (dropped) before [`UpsertWriter::finish`], it removes its files.
#[derive(Debug)]
pub struct UpsertWriter {
    table: String,
    columns: Vec<String>,
    key_schema: SchemaRef,
    rows: PartWriter,
    keys: PartWriter,
    kept: Vec<RecordBatch>,
}

impl UpsertWriter {
    /// Writes the newest row of each key. Where `new_keys` is true, the table cannot have the key,
    /// and it is not looked for; `None`: it may have any.
    ///
    /// # Errors
    /// If a value does not fit its column, a file cannot be written, or `new_keys` has another
    /// length than the rows.
    pub fn write(
        &mut self,
        rows: &RecordBatch,
        new_keys: Option<&BooleanArray>,
    ) -> Result<(), LakeError> {
        let known = match new_keys {
            Some(new) if new.len() != rows.num_rows() => {
                return Err(LakeError::Bug(format!(
                    "{} rows are upserted and {} are said to be new or not",
                    rows.num_rows(),
                    new.len()
                )));
            }
            Some(new) if new.null_count() == 0 && new.true_count() == new.len() => None,
            Some(new) => {
                let known = not(new).map_err(|error| self.failed(error))?;
                Some(filter_record_batch(rows, &known).map_err(|error| self.failed(error))?)
            }
            None => Some(rows.clone()),
        };
        if let Some(known) = known {
            self.delete(&known)?;
        }
        self.rows.write(rows)
    }

    /// Notes keys whose rows go. Other columns than those of the key are passed over.
    ///
    /// # Errors
    /// If a key column is missing or does not fit, or a file cannot be written.
    pub fn delete(&mut self, keys: &RecordBatch) -> Result<(), LakeError> {
        if keys.num_rows() == 0 {
            return Ok(());
        }
        let given = keys.schema_ref();
        let mut indices = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let index = schema::position(given.fields(), column);
            indices.push(index.ok_or_else(|| LakeError::Specification {
                table: self.table.clone(),
                reason: format!("rows to be upserted have no column `{column}`, which is its key"),
            })?);
        }
        let keys = keys.project(&indices).map_err(|error| self.failed(error))?;
        let keys = conformed(&self.table, &keys, &self.key_schema)?;
        self.keys.write(&keys)?;
        self.kept.push(keys);
        Ok(())
    }

    /// Bytes of memory that the open files and the keys hold.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let kept = self.kept.iter();
        let kept: usize = kept.map(RecordBatch::get_array_memory_size).sum();
        kept + self.rows.memory_bytes() + self.keys.memory_bytes()
    }

    /// Finishes the files, and hands them to whoever commits them. Call it on a worker thread.
    ///
    /// # Errors
    /// If a file cannot be written; all files of this writer are removed then.
    pub fn finish(self) -> Result<Staged, LakeError> {
        let keys = self.keys.finish()?;
        let upsert = Upsert {
            columns: self.columns,
            files: keys,
            kept: Some(Arc::new(self.kept)),
        };
        Ok(Staged {
            files: self.rows.finish()?,
            mode: CommitMode::Upsert(upsert),
        })
    }

    /// Gives up: removes everything this writer wrote.
    pub fn abort(self) {}

    fn failed(&self, error: arrow::error::ArrowError) -> LakeError {
        LakeError::DataFile {
            place: format!("keys of table `{}`", self.table),
            source: Box::new(error),
        }
    }
}

impl Staged {
    /// What several writers of one plan wrote, as one commit; `None` if there are none.
    ///
    /// # Errors
    /// [`LakeError::Bug`] if they are of different plans.
    pub fn merge(parts: impl IntoIterator<Item = Staged>) -> Result<Option<Staged>, LakeError> {
        let mut files = Vec::new();
        let mut merged: Option<Upsert> = None;
        for part in parts {
            files.extend(part.files);
            let CommitMode::Upsert(part) = part.mode else {
                return Err(LakeError::Bug("a part of an upsert is none".to_owned()));
            };
            let Some(merged) = &mut merged else {
                merged = Some(part);
                continue;
            };
            if merged.columns != part.columns {
                return Err(LakeError::Bug("upserts by different keys".to_owned()));
            }
            merged.files.extend(part.files);
            merged.kept = match (merged.kept.take(), part.kept) {
                (Some(one), Some(other)) => {
                    Some(Arc::new(one.iter().chain(other.iter()).cloned().collect()))
                }
                _ => None,
            };
        }
        Ok(merged.map(|upsert| Staged {
            files,
            mode: CommitMode::Upsert(upsert),
        }))
    }
}

/// The key columns as the table stores them.
fn key_schema(
    table: &str,
    whole: &SchemaRef,
    key_columns: &[String],
) -> Result<SchemaRef, LakeError> {
    let wrong = |reason: String| LakeError::Specification {
        table: table.to_owned(),
        reason,
    };
    if key_columns.is_empty() {
        return Err(wrong("an upsert needs at least one key column".to_owned()));
    }
    let mut fields: Vec<Field> = Vec::with_capacity(key_columns.len());
    for column in key_columns {
        let index = schema::position(whole.fields(), column).ok_or_else(|| {
            wrong(format!(
                "its key column `{column}` is not among its columns"
            ))
        })?;
        let field = whole.field(index);
        if !can_be_key(field.data_type()) {
            return Err(wrong(format!(
                "its key column `{column}` is {}, which cannot be compared",
                field.data_type()
            )));
        }
        fields.push(field.clone().with_nullable(true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn can_be_key(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(fields) => fields.iter().all(|field| can_be_key(field.data_type())),
        other => !other.is_nested(),
    }
}

#[cfg(test)]
mod tests;

#[cfg(all(test, feature = "failpoints"))]
mod kill;

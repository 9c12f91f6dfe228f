//! The files that hold rows of certain keys, written anew without them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, not};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::RowSelection;

use super::keys::KeySet;
use super::{KEYS_FOLDER, Upsert, key_schema};
use crate::commit::CommitMode;
use crate::error::LakeError;
use crate::fail_points::fail_point;
use crate::lake::Lake;
use crate::rewrite::{open, rewrite, with_folders};
use crate::schema;
use crate::spec::TableSpec;
use crate::storage::Place;
use crate::table::{LakeTable, TableFile};
use crate::write::{DataFile, WritePlan, conformed};

/// Files looked through at once.
const FILES_AT_ONCE: usize = 4;

/// What of a table's version goes, and what comes for it.
#[derive(Default)]
pub(crate) struct Rewritten {
    /// Files that hold rows of the keys.
    pub gone: Vec<Arc<TableFile>>,
    /// Their other rows.
    pub files: Vec<DataFile>,
}

/// How the commit of an upsert ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is in the table.
    Taken,
    /// Another process had done the epoch.
    DoneBefore,
    /// It failed, and may be in the table nevertheless.
    Unknown,
}

/// Looks for the keys of one commit, in each version against which it is tried. What was found of
/// a file is remembered: files do not change.
pub(crate) struct Rewriter<'a> {
    lake: &'a Lake,
    spec: &'a TableSpec,
    upsert: &'a Upsert,
    /// By path, the files written for a file that held keys; `None` for one that did not.
    seen: HashMap<String, Option<Vec<DataFile>>>,
    /// The paths of those that the last version needed.
    needed: Vec<String>,
}

impl<'a> Rewriter<'a> {
    /// For one commit.
    pub fn new(lake: &'a Lake, spec: &'a TableSpec, upsert: &'a Upsert) -> Rewriter<'a> {
        Rewriter {
            lake,
            spec,
            upsert,
            seen: HashMap::new(),
            needed: Vec::new(),
        }
    }

    /// What goes from this version of the table.
    pub async fn against(&mut self, table: &LakeTable) -> Result<Rewritten, LakeError> {
        self.needed.clear();
        if self.upsert.files.is_empty() {
            return Ok(Rewritten::default());
        }
        fail_point!("lake.upsert.before");
        let files = table.files().await?;
        let fresh: Vec<Arc<TableFile>> = files
            .iter()
            .filter(|file| !self.seen.contains_key(file.path()))
            .cloned()
            .collect();
        if !fresh.is_empty() {
            self.look(table, fresh).await?;
        }
        let mut rewritten = Rewritten::default();
        for file in files {
            if let Some(Some(written)) = self.seen.get(file.path()) {
                self.needed.push(file.path().to_owned());
                rewritten.files.extend(written.iter().cloned());
                rewritten.gone.push(file);
            }
        }
        Ok(rewritten)
    }

    /// Looks through files that were not there before.
    async fn look(
        &mut self,
        table: &LakeTable,
        files: Vec<Arc<TableFile>>,
    ) -> Result<(), LakeError> {
        let key = self.spec.name.key();
        let plan = self.lake.write_plan(self.spec, &CommitMode::Append).await?;
        let schema = key_schema(&key, &plan.schema(), &self.upsert.columns)?;
        let failed = |error| arrow_error(&key, error);
        let keys = self.keys(table, &schema).await?;
        let set = KeySet::new(&schema, table.partitioned_by(), &keys).map_err(failed)?;
        let set = Arc::new(set);
        let mut looks = Vec::new();
        for file in files {
            if !set.may_be_in(&file).map_err(failed)? {
                self.seen.insert(file.path().to_owned(), None);
                continue;
            }
            let look = Look {
                table: table.clone(),
                file,
                schema: Arc::clone(&schema),
                keys: Arc::clone(&set),
                plan: plan.clone(),
            };
            looks.push(look);
        }
        let mut found = futures::stream::iter(looks)
            .map(|look| async {
                let path = look.file.path().to_owned();
                let found = tokio::spawn(look.run()).await;
                let found = found.map_err(|error| LakeError::Bug(error.to_string()))?;
                found.map(|found| (path, found))
            })
            .buffer_unordered(FILES_AT_ONCE);
        while let Some((path, found)) = found.try_next().await? {
            self.seen.insert(path, found);
        }
        Ok(())
    }

    /// The keys, from memory or from their files, in the types of the table.
    async fn keys(&self, table: &LakeTable, schema: &SchemaRef) -> Result<RecordBatch, LakeError> {
        let key = self.spec.name.key();
        let mut batches = Vec::new();
        match &self.upsert.kept {
            Some(kept) => batches.extend(kept.iter().cloned()),
            None => {
                let place = table.inner().place.child(KEYS_FOLDER);
                for file in &self.upsert.files {
                    batches.extend(read_keys(&place, file).await?);
                }
            }
        }
        let batches = batches
            .iter()
            .map(|batch| conformed(&key, batch, schema))
            .collect::<Result<Vec<_>, _>>()?;
        concat_batches(schema, &batches).map_err(|error| arrow_error(&key, error))
    }

    /// Removes what the commit did not take: files written for versions that were overtaken, and,
    /// after it is done, those of the keys. What cannot be removed is left to the vacuum.
    pub async fn clean(mut self, end: End) {
        let name = &self.spec.name;
        if end == End::Taken {
            for path in &self.needed {
                self.seen.remove(path);
            }
        }
        let unused: Vec<DataFile> = self.seen.into_values().flatten().flatten().collect();
        let removed = match end {
            End::Taken | End::DoneBefore => {
                fail_point!("lake.upsert.after");
                let keys = &self.upsert.files;
                self.lake.remove_files(name, &unused, keys).await
            }
            End::Unknown => self.lake.discard(name, &unused).await,
        };
        if let Err(error) = removed {
            tracing::warn!(table = %name, %error, "left files of an upsert for the vacuum");
        }
    }
}

impl Lake {
    /// Removes data files that no commit named, and files of keys.
    async fn remove_files(
        &self,
        table: &tidegate_project::TableName,
        files: &[DataFile],
        keys: &[DataFile],
    ) -> Result<(), LakeError> {
        let place = self.place(table, None).await?;
        for file in files {
            place.delete(file.path()).await?;
        }
        let place = place.child(KEYS_FOLDER);
        for file in keys {
            place.delete(file.path()).await?;
        }
        Ok(())
    }
}

/// One file to be looked through.
struct Look {
    table: LakeTable,
    file: Arc<TableFile>,
    schema: SchemaRef,
    keys: Arc<KeySet>,
    plan: WritePlan,
}

impl Look {
    /// The files that take this one's place; `None` if it holds no row of the keys.
    async fn run(self) -> Result<Option<Vec<DataFile>>, LakeError> {
        if self.file.add.deletion_vector.is_some() || self.file.path().contains("://") {
            return Err(LakeError::Unsupported {
                table: self.table.name().key(),
                action: "changed by key",
                features: "deletion vectors or files elsewhere".to_owned(),
            });
        }
        let hits = self.hits().await?;
        let found: usize = hits.iter().map(BooleanArray::true_count).sum();
        let rows: usize = hits.iter().map(BooleanArray::len).sum();
        if found == 0 {
            return Ok(None);
        }
        if found == rows {
            return Ok(Some(Vec::new()));
        }
        let failed = |error| arrow_error(&self.table.name().key(), error);
        let others = hits
            .iter()
            .map(not)
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        let others = RowSelection::from_filters(&others);
        let selected = [(Arc::clone(&self.file), Some(others))];
        let files = rewrite(&self.table, &selected, self.plan.writer(), &[]).await?;
        Ok(Some(files))
    }

    /// Which of the rows have one of the keys, in their order.
    async fn hits(&self) -> Result<Vec<BooleanArray>, LakeError> {
        let place = &self.table.inner().place;
        let shown = place.show(self.file.path());
        let failed = |error| arrow_error(&shown, error);
        let builder = open(place, &self.file.object_meta(place)).await?;
        let fields = builder.schema().fields().clone();
        let roots = self
            .schema
            .fields()
            .iter()
            .filter_map(|field| schema::position(&fields, field.name()));
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let wrong = |error: parquet::errors::ParquetError| failed(error.into());
        let mut batches = builder.with_projection(mask).build().map_err(wrong)?;
        let mut hits = Vec::new();
        while let Some(batch) = batches.next().await {
            let batch = with_folders(&self.table, &self.file, &batch.map_err(wrong)?)?;
            let keys = self.key_columns(&batch).map_err(failed)?;
            let keys = conformed(&shown, &keys, &self.schema)?;
            hits.push(self.keys.hits(&keys).map_err(failed)?);
        }
        Ok(hits)
    }

    /// The key columns that a file has; a column that came later is NULL in it.
    fn key_columns(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let given = batch.schema_ref();
        let keys = self.schema.fields().iter();
        let indices: Vec<usize> = keys
            .filter_map(|field| schema::position(given.fields(), field.name()))
            .collect();
        batch.project(&indices)
    }
}

async fn read_keys(place: &Place, file: &DataFile) -> Result<Vec<RecordBatch>, LakeError> {
    let whole = TableFile::new(file.add.clone());
    let shown = place.show(file.path());
    let wrong = |error: parquet::errors::ParquetError| LakeError::DataFile {
        place: shown.clone(),
        source: Box::new(error),
    };
    let builder = open(place, &whole.object_meta(place)).await?;
    let batches = builder.build().map_err(wrong)?;
    batches.try_collect().await.map_err(wrong)
}

fn arrow_error(place: &str, error: ArrowError) -> LakeError {
    LakeError::DataFile {
        place: place.to_owned(),
        source: Box::new(error),
    }
}

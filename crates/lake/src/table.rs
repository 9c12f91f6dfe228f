//! One table at one version, to be asked and read.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use deltalake::kernel::Add;
use object_store::ObjectMeta;
use tidegate_project::TableName;

use crate::change_feed;
use crate::changes::{self, Changes};
use crate::error::LakeError;
use crate::history::{self, HistoryEntry};
use crate::log::LogState;
use crate::names::FlowId;
use crate::provider::LakeProvider;
use crate::statistics::FileStatistics;
use crate::storage::Place;
use crate::{prepared, protocol, schema};

/// A data file of a table.
#[derive(Debug)]
pub struct TableFile {
    pub(crate) add: Add,
    statistics: OnceLock<Arc<FileStatistics>>,
}

impl PartialEq for TableFile {
    fn eq(&self, other: &Self) -> bool {
        prepared::same_file(&self.add, &other.add)
    }
}

impl TableFile {
    pub(crate) fn new(add: Add) -> TableFile {
        TableFile {
            add,
            statistics: OnceLock::new(),
        }
    }

    /// The path below the table's folder, or a URL if the file lies elsewhere.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.add.path
    }

    /// The size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.add.size).unwrap_or(0)
    }

    /// When the file was written, in milliseconds since 1970.
    #[must_use]
    pub fn modified_ms(&self) -> i64 {
        self.add.modification_time
    }

    /// The values of the partition columns, as Delta writes them; `None` is NULL.
    #[must_use]
    pub fn partition_values(&self) -> &HashMap<String, Option<String>> {
        &self.add.partition_values
    }

    /// The number of rows, if the writer noted it. Rows struck out by a deletion vector count not.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        let struck = match &self.add.deletion_vector {
            Some(vector) => u64::try_from(vector.cardinality).ok()?,
            None => 0,
        };
        self.statistics().rows?.checked_sub(struck)
    }

    /// The file as its store knows it.
    pub(crate) fn object_meta(&self, place: &Place) -> ObjectMeta {
        ObjectMeta {
            location: place.path(self.path()),
            last_modified: DateTime::from_timestamp_millis(self.modified_ms()).unwrap_or_default(),
            size: self.bytes(),
            e_tag: None,
            version: None,
        }
    }

    /// What the log says about the values in this file, read on the first call.
    pub(crate) fn statistics(&self) -> &Arc<FileStatistics> {
        self.statistics
            .get_or_init(|| Arc::new(FileStatistics::parse(self.add.stats.as_deref())))
    }
}

/// A version to go back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// This version.
    Version(u64),
    /// The version that was the newest at this time.
    Timestamp(DateTime<Utc>),
}

/// A table at one version. Cheap to clone; what others commit later does not change it.
#[derive(Debug, Clone)]
pub struct LakeTable {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub name: TableName,
    pub place: Place,
    pub state: Arc<LogState>,
    pub schema: SchemaRef,
}

impl LakeTable {
    pub(crate) fn new(
        name: TableName,
        place: Place,
        state: Arc<LogState>,
    ) -> Result<LakeTable, LakeError> {
        let key = name.key();
        protocol::check_readable(&key, &state.protocol)?;
        let schema = schema::from_json(&key, &state.metadata.schema_string)?;
        Ok(LakeTable {
            inner: Arc::new(Inner {
                name,
                place,
                state,
                schema,
            }),
        })
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// The table's name.
    #[must_use]
    pub fn name(&self) -> &TableName {
        &self.inner.name
    }

    /// The folder or URL the table lies in, ending with `/`.
    #[must_use]
    pub fn location(&self) -> &str {
        self.inner.place.url.as_str()
    }

    /// The version, counted from 0.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.inner.state.version
    }

    /// When this version was committed, in milliseconds since 1970.
    #[must_use]
    pub fn committed_ms(&self) -> i64 {
        self.inner.state.timestamp_ms
    }

    /// The columns: text and bytes as views, times in microseconds; comments under
    /// [`schema::COMMENT`].
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.inner.schema)
    }

    /// The columns whose values make folders.
    #[must_use]
    pub fn partitioned_by(&self) -> &[String] {
        &self.inner.state.metadata.partition_columns
    }

    /// The table's properties.
    #[must_use]
    pub fn properties(&self) -> &BTreeMap<String, String> {
        &self.inner.state.metadata.configuration
    }

    /// What the table is, in words.
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        self.inner.state.metadata.description.as_deref()
    }

    /// The newest epoch of this flow that is in this version; `None` if it has none here.
    #[must_use]
    pub fn flow_epoch(&self, flow: &FlowId) -> Option<u64> {
        let version = self.inner.state.txns.get(flow.as_str())?;
        u64::try_from(*version).ok()
    }

    /// The newest epochs of all flows (and versions of foreign applications) in this version.
    pub fn flow_epochs(&self) -> impl Iterator<Item = (FlowId, i64)> + '_ {
        let txns = self.inner.state.txns.iter();
        txns.map(|(flow, version)| (FlowId::new(flow.clone()), *version))
    }

    /// The data files, by path.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn files(&self) -> Result<Vec<Arc<TableFile>>, LakeError> {
        self.inner.files().await
    }

    /// The number of rows; `None` if a file's writer did not note it.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn rows(&self) -> Result<Option<u64>, LakeError> {
        Ok(self.files().await?.iter().map(|file| file.rows()).sum())
    }

    /// The size of the data files in bytes.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn bytes(&self) -> Result<u64, LakeError> {
        Ok(self.files().await?.iter().map(|file| file.bytes()).sum())
    }

    /// The newest `limit` commits up to this version, newest first; fewer if the log is shorter.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn history(&self, limit: usize) -> Result<Vec<HistoryEntry>, LakeError> {
        history::read(&self.inner.place, self.version(), limit).await
    }

    /// The rows, as a table of DataFusion.
    #[must_use]
    pub fn provider(&self) -> Arc<dyn TableProvider> {
        Arc::new(LakeProvider::table(self.clone()))
    }

    /// The table as it was.
    ///
    /// # Errors
    /// [`LakeError::NoVersion`] if there was no such version, or it can no longer be read.
    pub async fn at(&self, as_of: AsOf) -> Result<LakeTable, LakeError> {
        let version = match as_of {
            AsOf::Version(version) => version,
            AsOf::Timestamp(time) => {
                history::version_at(&self.inner.place, &self.name().key(), time).await?
            }
        };
        if version == self.version() {
            return Ok(self.clone());
        }
        let (key, place) = (self.name().key(), &self.inner.place);
        let state = match version > self.version() {
            true => None,
            false => LogState::load(place, &key, Some(version)).await?,
        };
        let Some(state) = state else {
            return Err(LakeError::NoVersion {
                table: key,
                wanted: version.to_string(),
                oldest: history::oldest_version(place).await?,
                newest: self.version(),
            });
        };
        LakeTable::new(
            self.name().clone(),
            self.inner.place.clone(),
            Arc::new(state),
        )
    }

    /// The rows that were appended after `version`, up to this version.
    ///
    /// # Errors
    /// [`LakeError::NotAppended`] if a commit in between changed or removed rows;
    /// [`LakeError::LogGone`] if the log no longer reaches back so far.
    pub async fn appended_since(&self, version: u64) -> Result<Changes, LakeError> {
        changes::appended_since(self, version).await
    }

    /// How rows changed after `version`, up to this version, with the columns of [`crate::change_schema`]; without a
    /// version, all rows as inserts. Within a version, rows that go come before those that come; a row that goes and one
    /// that comes with the same `key` are an update, if there is a key.
    ///
    /// # Errors
    /// [`LakeError::LogGone`] if the log no longer reaches back so far, [`LakeError::NoVersion`] if what a version took
    /// away is not known any more. A scan fails where the files of a version are gone.
    pub async fn changes_since(
        &self,
        version: Option<u64>,
        key: &[String],
    ) -> Result<Arc<dyn TableProvider>, LakeError> {
        change_feed::changes_since(self, version, key).await
    }
}

impl Inner {
    pub async fn files(&self) -> Result<Vec<Arc<TableFile>>, LakeError> {
        let files = self.state.files(&self.place, &self.name.key()).await?;
        let mut files: Vec<Arc<TableFile>> = files.values().cloned().collect();
        files.sort_unstable_by(|left, right| left.path().cmp(right.path()));
        Ok(files)
    }
}

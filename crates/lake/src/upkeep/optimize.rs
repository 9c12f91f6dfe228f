//! Small files put together: the same rows in fewer files, sorted by the clustering columns.
//!
//! The commit says that no data changed, so flows that read the table on pass it over, and it
//! conflicts only with commits that removed one of the very files.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_project::TableName;

use crate::commit::{Commit, CommitMode};
use crate::error::LakeError;
use crate::fail_points::fail_point;
use crate::lake::Lake;
use crate::rewrite::rewrite;
use crate::spec::{CLUSTER_BY, TableSpec, target_file_bytes};
use crate::table::{LakeTable, TableFile};
use crate::write::DataFile;

/// A file smaller than this share of the target is small.
const SMALL_SHARE: f64 = 0.5;

/// Bytes of data files sorted in memory at once, at most. In memory they are several times as large.
const SORT_BYTES_MAX: u64 = 64 << 20;

/// The values that a folder stands for, by column.
type Folder = Vec<(String, Option<String>)>;

/// When files are put together.
#[derive(Debug, Clone)]
pub struct OptimizeOptions {
    /// A folder is left alone unless it has so many small files.
    pub small_files_min: usize,
    /// The run, as kept in the run history.
    pub run: String,
}

impl Default for OptimizeOptions {
    fn default() -> Self {
        OptimizeOptions {
            small_files_min: 16,
            run: String::new(),
        }
    }
}

/// What putting files together came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Optimized {
    /// Files that went.
    pub removed: usize,
    /// Files that came.
    pub added: usize,
    /// The version of the commit; `None` if there was nothing to do.
    pub version: Option<u64>,
}

impl LakeTable {
    /// What this table is, as a specification that changes nothing when committed.
    #[must_use]
    pub fn spec(&self) -> TableSpec {
        let mut spec = TableSpec::new(self.name().clone(), self.schema());
        spec.partitioned_by = self.partitioned_by().to_vec();
        spec.cluster_by = self
            .properties()
            .get(CLUSTER_BY)
            .map(|columns| {
                columns
                    .split(',')
                    .map(|column| column.trim().to_owned())
                    .collect()
            })
            .unwrap_or_default();
        spec.comment = self.comment().map(str::to_owned);
        spec.properties = self.properties().clone();
        spec
    }
}

impl Lake {
    /// Puts the small files of a table together, where there are many.
    ///
    /// # Errors
    /// [`LakeError::Conflict`] if one of the files was removed meanwhile; nothing is changed then.
    pub async fn optimize(
        &self,
        name: &TableName,
        options: &OptimizeOptions,
    ) -> Result<Optimized, LakeError> {
        let Some(table) = self.table(name).await? else {
            return Ok(Optimized::default());
        };
        let spec = table.spec();
        let target = target_file_bytes(&name.key(), &spec.properties)?;
        let most = if spec.cluster_by.is_empty() {
            target
        } else {
            target.min(SORT_BYTES_MAX)
        };
        let bins = bins(table.files().await?, target, most, options.small_files_min);
        if bins.is_empty() {
            return Ok(Optimized::default());
        }
        let plan = self.write_plan(&spec, &CommitMode::Append).await?;
        let mut added = Vec::new();
        let mut removed = Vec::new();
        for bin in bins {
            let whole: Vec<_> = bin.iter().map(|file| (Arc::clone(file), None)).collect();
            match rewrite(&table, &whole, plan.writer(), &spec.cluster_by).await {
                Ok(files) => added.extend(files),
                Err(error) => {
                    self.discard(name, &added).await?;
                    return Err(error);
                }
            }
            removed.extend(bin);
        }
        fail_point!("lake.optimize.before");
        let counts = (removed.len(), added.len());
        let commit = Commit {
            spec,
            mode: CommitMode::Replace(removed),
            files: added.iter().cloned().map(DataFile::unchanged).collect(),
            step: None,
            run: options.run.clone(),
            operation: Some("OPTIMIZE".to_owned()),
            notes: BTreeMap::new(),
        };
        match self.commit(commit).await {
            Ok(done) => {
                fail_point!("lake.optimize.after");
                let version = Some(done.version);
                Ok(Optimized {
                    removed: counts.0,
                    added: counts.1,
                    version,
                })
            }
            Err(error) => {
                self.discard(name, &added).await?;
                Err(error)
            }
        }
    }
}

/// How many of the files, which are put in the order of their sizes, are worth writing anew: one that is more than twice as
/// large as all smaller ones together waits for more of them. So a row is written anew a few times, as a table grows, and
/// not each time that small files have gathered.
fn worthwhile(files: &mut [Arc<TableFile>]) -> usize {
    files.sort_by_key(|file| file.bytes());
    let (mut smaller, mut count) = (0_u64, 0);
    for (at, file) in files.iter().enumerate() {
        if file.bytes() <= smaller.saturating_mul(2) {
            count = at + 1;
        }
        smaller += file.bytes();
    }
    count
}

/// The files to be put together: by folder, as many as give a file of `most` bytes.
fn bins(
    files: Vec<Arc<TableFile>>,
    target: u64,
    most: u64,
    small_files_min: usize,
) -> Vec<Vec<Arc<TableFile>>> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a size, to within a byte or so"
    )]
    let small = (target as f64 * SMALL_SHARE) as u64;
    let mut folders: BTreeMap<Folder, Vec<Arc<TableFile>>> = BTreeMap::new();
    for file in files {
        let plain = file.add.deletion_vector.is_none() && !file.path().contains("://");
        if plain && file.bytes() < small {
            let values = file.partition_values().iter();
            let mut folder: Folder = values.map(|(k, v)| (k.clone(), v.clone())).collect();
            folder.sort_unstable();
            folders.entry(folder).or_default().push(file);
        }
    }
    let mut bins = Vec::new();
    for mut files in folders.into_values() {
        if files.len() < small_files_min.max(2) {
            continue;
        }
        let count = worthwhile(&mut files);
        files.truncate(count);
        // Oldest first, so that rows of one time stay together.
        files.sort_by(|a, b| (a.modified_ms(), a.path()).cmp(&(b.modified_ms(), b.path())));
        let mut bin: Vec<Arc<TableFile>> = Vec::new();
        let mut bytes = 0;
        for file in files {
            if bytes + file.bytes() > most && !bin.is_empty() {
                bins.push(std::mem::take(&mut bin));
                bytes = 0;
            }
            bytes += file.bytes();
            bin.push(file);
        }
        bins.push(bin);
    }
    bins.retain(|bin| bin.len() > 1);
    bins
}

//! Files that nobody refers to: left by killed writers, or replaced long ago.
//!
//! A file is kept if the newest version has it, if a version within the retention had it, or if it
//! was written within the retention (its commit may be about to come).

use std::collections::HashSet;
use std::time::Duration;

use chrono::Utc;
use deltalake::DeltaTable;
use deltalake::protocol::checkpoints;
use tidegate_project::TableName;

use crate::error::LakeError;
use crate::fail_points::fail_point;
use crate::lake::Lake;
use crate::log::read_commit;
use crate::table::LakeTable;
use crate::upsert::KEYS_FOLDER;

/// What is removed.
#[derive(Debug, Clone)]
pub struct VacuumOptions {
    /// How long versions can be gone back to, and how long a writer may take. 7 days by default;
    /// shorter than the longest update, it removes files about to be committed.
    pub retention: Duration,
    /// Only say what would be removed.
    pub dry_run: bool,
}

impl Default for VacuumOptions {
    fn default() -> Self {
        VacuumOptions {
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            dry_run: false,
        }
    }
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vacuumed {
    /// The files, below the table's folder.
    pub files: Vec<String>,
    /// Their size in bytes.
    pub bytes: u64,
}

impl Lake {
    /// Removes the data files of a table that nobody refers to, and log files that a checkpoint
    /// older than the table's log retention stands for.
    ///
    /// # Errors
    /// If a file cannot be listed or removed.
    pub async fn vacuum(
        &self,
        name: &TableName,
        options: &VacuumOptions,
    ) -> Result<Vacuumed, LakeError> {
        let Some(table) = self.table(name).await? else {
            return Ok(Vacuumed::default());
        };
        let place = &table.inner().place;
        let kept = referred(&table, options.retention).await?;
        let cutoff = Utc::now() - options.retention;
        let mut gone = Vacuumed::default();
        for file in place.list("", None).await? {
            let whole = file.location.as_ref();
            let Some(relative) = whole.strip_prefix(place.prefix.as_ref()) else {
                continue;
            };
            let relative = relative.trim_start_matches('/');
            if !is_data_file(relative) || kept.contains(relative) || file.last_modified > cutoff {
                continue;
            }
            gone.bytes += file.size;
            gone.files.push(relative.to_owned());
        }
        if options.dry_run {
            return Ok(gone);
        }
        for file in &gone.files {
            fail_point!("lake.vacuum.mid");
            place.delete(file).await?;
        }
        let failed = |error| LakeError::delta(name, error);
        let mut delta = DeltaTable::new(place.log_store());
        delta.load_version(table.version()).await.map_err(failed)?;
        checkpoints::cleanup_metadata(&delta, None)
            .await
            .map_err(failed)?;
        Ok(gone)
    }
}

/// Whether a path is that of a data file: a Parquet file in a folder that is not hidden, or one of
/// keys that an upsert was to look for.
fn is_data_file(relative: &str) -> bool {
    let hidden =
        |part: &str| part.starts_with('.') || (part.starts_with('_') && !part.contains('='));
    let keys = relative.strip_prefix(KEYS_FOLDER);
    keys.is_some_and(|rest| rest.starts_with('/'))
        || (relative.ends_with(".parquet") && !relative.split('/').any(hidden))
}

/// The files that the newest version or one within the retention has.
async fn referred(table: &LakeTable, retention: Duration) -> Result<HashSet<String>, LakeError> {
    let place = &table.inner().place;
    let mut kept: HashSet<String> = table
        .files()
        .await?
        .iter()
        .map(|file| file.path().to_owned())
        .collect();
    let cutoff = Utc::now() - retention;
    for file in place.list("_delta_log", None).await? {
        let stem = file
            .location
            .filename()
            .and_then(|name| name.strip_suffix(".json"));
        let Some(version) = stem.and_then(|stem| stem.parse::<u64>().ok()) else {
            continue;
        };
        if file.last_modified < cutoff {
            continue;
        }
        let lines = read_commit(place, version).await?.unwrap_or_default();
        kept.extend(
            lines
                .into_iter()
                .filter_map(|line| line.remove)
                .map(|remove| remove.path),
        );
    }
    Ok(kept)
}

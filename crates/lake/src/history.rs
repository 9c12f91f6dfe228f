//! The commits of a table: who did what when, and which version was the newest at a time.

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use serde_json::{Map, Value};

use crate::error::LakeError;
use crate::log::read_commit;
use crate::storage::Place;

/// One commit of a table.
#[derive(Debug, Clone, serde::Serialize)]
pub struct HistoryEntry {
    /// The version that it made.
    pub version: u64,
    /// When, in milliseconds since 1970, as its writer said.
    pub timestamp_ms: Option<i64>,
    /// The Delta operation, for example `STREAMING UPDATE` or `OPTIMIZE`.
    pub operation: Option<String>,
    /// What was given to the operation.
    pub parameters: Map<String, Value>,
    /// What the operation counted.
    pub metrics: Map<String, Value>,
    /// The program that wrote it.
    pub engine: Option<String>,
    /// Tidegate's own notes: run, flow, epoch and what the update added.
    pub tidegate: Map<String, Value>,
}

/// Reads the newest `limit` commits up to `version`, newest first.
pub(crate) async fn read(
    place: &Place,
    version: u64,
    limit: usize,
) -> Result<Vec<HistoryEntry>, LakeError> {
    let oldest = (version + 1).saturating_sub(u64::try_from(limit).unwrap_or(u64::MAX));
    futures::stream::iter((oldest..=version).rev())
        .map(|version| async move {
            let Some(lines) = read_commit(place, version).await? else {
                return Ok(None);
            };
            let info = lines
                .into_iter()
                .find_map(|line| line.commit_info)
                .unwrap_or_default();
            Ok(Some(HistoryEntry {
                version,
                timestamp_ms: info.in_commit_timestamp.or(info.timestamp),
                operation: info.operation,
                parameters: info.operation_parameters,
                metrics: info.operation_metrics,
                engine: info.engine_info,
                tidegate: info.tidegate,
            }))
        })
        .buffered(16)
        .try_filter_map(|entry| async move { Ok(entry) })
        .try_collect()
        .await
}

/// The version that was the newest at `time`.
pub(crate) async fn version_at(
    place: &Place,
    table: &str,
    time: DateTime<Utc>,
) -> Result<u64, LakeError> {
    let files = place.list("_delta_log", None).await?;
    let mut commits = Vec::new();
    for file in &files {
        let stem = file
            .location
            .filename()
            .and_then(|name| name.strip_suffix(".json"));
        if let Some(stem) = stem
            && stem.len() == 20
            && let Ok(version) = stem.parse::<u64>()
        {
            commits.push((version, file.last_modified));
        }
    }
    let (Some((oldest, _)), Some((newest, _))) = (commits.first(), commits.last()) else {
        let warehouse = place.show("");
        return Err(LakeError::NoTable {
            table: table.to_owned(),
            warehouse,
        });
    };
    // A commit is never older than the one before it, whatever the clocks said.
    let mut latest = DateTime::<Utc>::MIN_UTC;
    let mut found = None;
    for (version, modified) in &commits {
        latest = latest.max(*modified);
        if latest <= time {
            found = Some(*version);
        }
    }
    found.ok_or_else(|| LakeError::NoVersion {
        table: table.to_owned(),
        wanted: format!("of {}", time.to_rfc3339()),
        oldest: *oldest,
        newest: *newest,
    })
}

/// The oldest version of which a file is left.
pub(crate) async fn oldest_version(place: &Place) -> Result<u64, LakeError> {
    let files = place.list("_delta_log", None).await?;
    let version = |file: &object_store::ObjectMeta| -> Option<u64> {
        file.location.filename()?.get(..20)?.parse().ok()
    };
    Ok(files.iter().find_map(version).unwrap_or(0))
}

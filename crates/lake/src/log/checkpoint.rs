//! Checkpoints: which of the listed files make the newest complete one, and what is in it.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, StructArray};
use arrow::datatypes::Int64Type;
use deltalake::kernel::Snapshot;
use futures::TryStreamExt;
use object_store::ObjectMeta;
use object_store::buffered::BufReader;
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::ProjectionMask;
use std::sync::Arc;

use super::actions::{Metadata, Protocol, parse_commit};
use crate::error::LakeError;
use crate::storage::Place;

/// A complete checkpoint among the files of a log.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoint {
    pub version: u64,
    /// Its top-level files (several for the multi-part kind).
    pub files: Vec<ObjectMeta>,
}

/// What a checkpoint says, apart from the data files.
pub(crate) struct CheckpointHead {
    pub protocol: Protocol,
    pub metadata: Metadata,
    pub txns: BTreeMap<String, i64>,
    pub snapshot: Arc<Snapshot>,
}

/// How a file of a log counts towards a checkpoint.
enum Part {
    /// The whole checkpoint.
    Whole,
    /// One of so many parts.
    Of(u32),
}

/// Reads a name such as `00…10.checkpoint.parquet`, `00…10.checkpoint.0000000001.0000000002.parquet`
/// or `00…10.checkpoint.<uuid>.json`.
fn parse_name(name: &str) -> Option<(u64, Part)> {
    let (version, rest) = name.split_once(".checkpoint.")?;
    let version = version.parse().ok()?;
    let parts: Vec<&str> = rest.split('.').collect();
    match parts.as_slice() {
        ["parquet"] | [_, "parquet" | "json"] => Some((version, Part::Whole)),
        [_, of, "parquet"] => Some((version, Part::Of(of.parse().ok()?))),
        _ => None,
    }
}

/// The newest complete checkpoint not after `limit`, if there is one.
pub(crate) fn newest(files: &[ObjectMeta], limit: Option<u64>) -> Option<Checkpoint> {
    let mut found: BTreeMap<u64, Vec<(Part, ObjectMeta)>> = BTreeMap::new();
    for file in files {
        let name = file.location.filename().unwrap_or_default();
        if let Some((version, part)) = parse_name(name)
            && limit.is_none_or(|limit| version <= limit)
        {
            found.entry(version).or_default().push((part, file.clone()));
        }
    }
    while let Some((version, parts)) = found.pop_last() {
        if let Some((_, file)) = parts.iter().find(|(part, _)| matches!(part, Part::Whole)) {
            return Some(Checkpoint {
                version,
                files: vec![file.clone()],
            });
        }
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        if parts
            .iter()
            .all(|(part, _)| matches!(part, Part::Of(of) if *of == count))
        {
            return Some(Checkpoint {
                version,
                files: parts.into_iter().map(|(_, file)| file).collect(),
            });
        }
    }
    None
}

/// Reads everything of a checkpoint but its data files.
pub(crate) async fn read_head(
    place: &Place,
    table: &str,
    checkpoint: &Checkpoint,
) -> Result<CheckpointHead, LakeError> {
    let snapshot = Snapshot::try_new(&place.log_store(), Some(checkpoint.version))
        .await
        .map_err(|error| LakeError::delta(table, error))?;
    let damaged = |error: serde_json::Error| LakeError::Damaged {
        place: place.show("_delta_log"),
        reason: format!("its checkpoint of version {}: {error}", checkpoint.version),
    };
    let protocol = serde_json::to_value(snapshot.protocol())
        .and_then(serde_json::from_value)
        .map_err(damaged)?;
    let metadata = serde_json::to_value(snapshot.metadata())
        .and_then(serde_json::from_value)
        .map_err(damaged)?;
    let mut txns = BTreeMap::new();
    for file in &checkpoint.files {
        read_txns(place, file, &mut txns).await?;
    }
    Ok(CheckpointHead {
        protocol,
        metadata,
        txns,
        snapshot: Arc::new(snapshot),
    })
}

async fn read_txns(
    place: &Place,
    file: &ObjectMeta,
    txns: &mut BTreeMap<String, i64>,
) -> Result<(), LakeError> {
    let shown = file.location.to_string();
    if shown.ends_with(".json") {
        let name = file.location.filename().unwrap_or_default();
        let bytes = place
            .get(&format!("_delta_log/{name}"))
            .await?
            .unwrap_or_default();
        let lines = parse_commit(&bytes).map_err(|error| LakeError::Damaged {
            place: shown,
            reason: error.to_string(),
        })?;
        txns.extend(
            lines
                .into_iter()
                .filter_map(|line| line.txn)
                .map(|t| (t.app_id, t.version)),
        );
        return Ok(());
    }
    let failed = |error| LakeError::DataFile {
        place: file.location.to_string(),
        source: error,
    };
    let reader = BufReader::new(Arc::clone(&place.store), file);
    let builder = ParquetRecordBatchStreamBuilder::new(reader)
        .await
        .map_err(|error| failed(Box::new(error)))?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["txn.appId", "txn.version"]);
    let mut batches = builder
        .with_projection(mask)
        .build()
        .map_err(|error| failed(Box::new(error)))?;
    while let Some(batch) = batches
        .try_next()
        .await
        .map_err(|error| failed(Box::new(error)))?
    {
        if let Some(txn) = batch
            .column_by_name("txn")
            .and_then(|txn| txn.as_struct_opt())
        {
            collect_txns(txn, txns);
        }
    }
    Ok(())
}

fn collect_txns(txn: &StructArray, txns: &mut BTreeMap<String, i64>) {
    let (Some(ids), Some(versions)) = (
        txn.column_by_name("appId")
            .and_then(|ids| ids.as_string_opt::<i32>()),
        txn.column_by_name("version")
            .and_then(|column| column.as_primitive_opt::<Int64Type>()),
    ) else {
        return;
    };
    for row in 0..txn.len() {
        if txn.is_valid(row) && ids.is_valid(row) {
            txns.insert(ids.value(row).to_owned(), versions.value(row));
        }
    }
}

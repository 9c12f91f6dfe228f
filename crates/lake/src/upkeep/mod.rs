//! Upkeep: what keeps a table quick over many small commits, and changes no row.
//!
//! Checkpoints so that a state is read from few files; small files put together; files that nobody
//! refers to removed. Who calls this and when is the pipeline's to decide.

mod optimize;
mod vacuum;

pub use optimize::{OptimizeOptions, Optimized};
pub use vacuum::{VacuumOptions, Vacuumed};

use deltalake::DeltaTable;
use deltalake::protocol::checkpoints;

use crate::error::LakeError;
use crate::fail_points::fail_point;
use crate::table::LakeTable;

/// The property with the number of commits between checkpoints.
const CHECKPOINT_INTERVAL: &str = "delta.checkpointInterval";

/// Commits between checkpoints where nothing is said.
const CHECKPOINT_EVERY: u64 = 20;

/// Writes a checkpoint if this version is one that gets it.
pub(crate) async fn checkpoint_if_due(table: &LakeTable, version: u64) -> Result<(), LakeError> {
    let every = table.properties().get(CHECKPOINT_INTERVAL);
    let every = every
        .and_then(|every| every.parse().ok())
        .unwrap_or(CHECKPOINT_EVERY)
        .max(1);
    if version == 0 || !version.is_multiple_of(every) {
        return Ok(());
    }
    fail_point!("lake.checkpoint.before");
    checkpoint(table, version).await
}

/// Writes a checkpoint of a version.
async fn checkpoint(table: &LakeTable, version: u64) -> Result<(), LakeError> {
    let failed = |error| LakeError::delta(table.name(), error);
    let mut delta = DeltaTable::new(table.inner().place.log_store());
    delta.load_version(version).await.map_err(failed)?;
    checkpoints::create_checkpoint(&delta, None)
        .await
        .map_err(failed)
}

impl LakeTable {
    /// Writes a checkpoint of this version, whether or not it is due.
    ///
    /// # Errors
    /// If the log cannot be read or written.
    pub async fn checkpoint(&self) -> Result<(), LakeError> {
        checkpoint(self, self.version()).await
    }
}

#[cfg(test)]
mod tests;

//! The lake: Delta tables under a warehouse, committed by epochs.
//!
//! This room makes, reads and keeps tables. Its promise is that positions and results commit
//! together: before an epoch reads anything, its [`Intent`] says what it will read
//! ([`FlowLog::write_intent`]); the commit of its rows carries the flow's epoch
//! ([`Lake::commit`]); and what the table says about the epoch decides which intents count
//! ([`FlowLog::positions`]) and which is to be done again ([`FlowLog::pending`]). Two processes that
//! do the same epoch give its rows once; one that was overtaken is fenced.
//!
//! It is the only room that knows the Delta library. It plans no queries (that is the engine's, to
//! which it hands [`LakeTable::provider`]), judges no rows, and decides nothing about when an update
//! or upkeep happens.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod change_feed;
mod changes;
mod commit;
mod error;
mod fail_points;
mod flow_log;
mod foreign;
mod history;
mod lake;
mod log;
mod names;
mod prepared;
mod protocol;
mod provider;
mod pruning;
mod rewrite;
pub mod schema;
mod spec;
mod statistics;
mod storage;
mod table;
mod upkeep;
mod upsert;
mod write;

pub use change_feed::{CHANGE_TYPE, COMMIT_TIMESTAMP, COMMIT_VERSION, change_schema};
pub use changes::Changes;
pub use commit::{Commit, CommitMode, Committed, FlowStep};
pub use error::{LakeError, LakeErrorKind};
pub use fail_points::{FAIL_POINTS, arm_fail_points};
pub use flow_log::{
    Closing, FLOW_LOG_FORMAT, FilePosition, FileRead, FlowLog, Intent, IntentOutcome, NextLine,
    Offsets, Positions, SNAPSHOT_EVERY_EPOCHS, StateFile, TablePosition, TableRead,
};
pub use history::HistoryEntry;
pub use lake::Lake;
pub use names::FlowId;
pub use prepared::{Prepared, PreparedTable};
pub use spec::{CLUSTER_BY, TARGET_FILE_BYTES_DEFAULT, TARGET_FILE_SIZE, TableSpec};
pub use table::{AsOf, LakeTable, TableFile};
pub use upkeep::{OptimizeOptions, Optimized, VacuumOptions, Vacuumed};
pub use upsert::{Staged, Upsert, UpsertPlan, UpsertWriter};
pub use write::{Codec, DataFile, PartWriter, WritePlan};

#[cfg(test)]
mod testing;

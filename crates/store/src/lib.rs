//! Tidegate's own records: runs, what each flow did in them, what each expectation found, and the
//! lineage of the last update. They live in SQLite by default and in PostgreSQL when given its URL.
//!
//! One room for them, because the command line, the API, the pages and the `system.*` tables must
//! all tell the same story. The positions of files are *not* here: they commit with the data, in the
//! lake. This crate knows no Arrow and no SQL of the user; it hands out plain typed records.
//!
//! ```no_run
//! # async fn example() -> Result<(), tidegate_store::StoreError> {
//! use tidegate_store::{NewRun, RunKind, RunStatus, Store, StoreUrl};
//!
//! let store = Store::open(&StoreUrl::of_project("shop".as_ref())).await?;
//! let run = store.start_run(NewRun::new(RunKind::Update)).await?;
//! store.finish_run(&run, RunStatus::Succeeded, None).await?;
//! for run in store.list_runs(20).await? {
//!     println!("{} {}", run.id.short(), run.status);
//! }
//! # Ok(()) }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod error;
mod expectations;
mod flows;
mod lineage;
mod records;
mod rows;
mod runs;
mod store;
mod surroundings;
mod url;

pub use error::{StoreError, StoreErrorKind};
pub use records::{
    ExpectationOutcome, ExpectationResult, FlowRun, FlowStatus, LineageEdge, LineageKind, NewRun,
    Run, RunId, RunKind, RunStatus,
};
pub use store::Store;
pub use surroundings::{HEARTBEAT_MICROS_MAX, ProcessIdentity, Surroundings};
pub use url::StoreUrl;

//! The pipeline: what happens when a project runs.
//!
//! This room puts the others together. It opens a project ([`Workspace`]), checks it, plans each flow, sends rows on
//! their one way (source → decode → gate → query → table, see [`rows`]), commits them in epochs, and answers every
//! question a command asks afterwards: queries, quarantine, lineage, tests, profiles. It prints nothing; the binary
//! does. It decides nothing about a row; the gate does.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod asof;
mod catalog;
mod check;
pub mod codes;
mod discovery;
pub mod error;
pub mod events;
mod files;
mod gates;
mod inspect;
mod lineage;
mod lock;
mod parquet;
mod push;
mod quarantine;
mod query;
mod records;
pub mod report;
mod rows;
mod scan;
#[cfg(test)]
mod simulation;
mod sinks;
mod streams;
mod system;
mod tail;
mod testing;
mod update;
mod workspace;

pub use check::{Checked, CheckedTable};
pub use error::{PipelineError, Result};
pub use events::{Event, Meter, Observer, Silent};
pub use lineage::{ColumnEdge, LineageGraph, TableEdge};
pub use push::Pushed;
pub use quarantine::{QuarantineSummary, RetryReport, RetryRequest};
pub use query::QueryResult;
pub use report::{Outcome, ReasonCount, TableReport, UpdateReport, UpdateStatus};
pub use rows::CancelToken;
pub use testing::{CaseReport, TestOptions, TestReport};
pub use update::{FullRefresh, OnRound, TakeRows, UpdateRequest, Watch};
pub use workspace::{OpenOptions, Workspace};

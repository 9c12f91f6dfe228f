//! The gate: what a row must pass to enter a table, and what is kept of a row that does not.
//!
//! A batch comes in as text (CSV, JSON) or typed (Parquet, a query). The gate *coerces* it to the
//! declared types, finds every broken promise of every row in one vectorised pass ([`Gate::judge`],
//! any thread), lets keys in one after the other ([`Gate::admit_keys`], in order), and parts the
//! rows into good ones and a quarantine batch that says why ([`Gate::split`], any thread).
//!
//! The gate knows no files and no tables: reading is `connect`'s, writing is `lake`'s, and
//! expectations are handed to it compiled ([`Predicate`]), by `engine`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod admit;
pub mod coerce;
mod contract;
mod counts;
mod error;
mod expectation;
mod gate;
mod incoming;
pub mod infer;
mod keys;
mod limits;
pub mod profile;
mod quarantine;
mod repair;
mod split;
mod verdict;

#[cfg(test)]
mod tests;

pub use coerce::CoercionOptions;
pub use contract::{Contract, ContractColumn};
pub use counts::{ConstraintCount, Counts, ReasonKey, ReasonKind};
pub use error::{GateError, Result};
pub use expectation::{GateExpectation, Predicate, PredicateError};
pub use gate::{Gate, GateOptions};
pub use incoming::{Incoming, Layout, Malformed, MalformedKind};
pub use keys::{KeyIndex, KeyIndexOptions};
pub use limits::{LimitVerdict, evaluate_limits};
pub use quarantine::quarantine_schema;
pub use repair::RepairKind;
pub use split::{FailUpdate, RepairedRow, Split, Stamp};
pub use tidegate_project::{OnViolation, QuarantineLimits};
pub use verdict::Judged;

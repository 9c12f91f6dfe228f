//! SQL: planning and execution of the project's queries and expressions.
//!
//! The engine takes what `tidegate-project` parsed (trees of the Databricks dialect, tables replaced
//! by bindings), gives it the meaning that Spark gives it, and runs it over DataFusion. It is the
//! only room that builds a session. It knows no project, no files and no commits: tables come in as
//! bindings, batches go out.
//!
//! The way of a query: [`resolve`] finds what every name means and rewrites the tree so that
//! DataFusion's planner needs to guess nothing; [`plan`] turns the tree into a logical plan, asking
//! [`spark`] about types, operators and functions; [`Engine`] executes plans, compiles expressions
//! and answers where columns come from.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod bindings;
pub mod codes;
mod diagnose;
mod engine;
mod error;
mod expression;
mod lineage;
pub mod memory;
mod plan;
mod resolve;
mod session;
mod settings;
mod shape;
mod spark;
pub mod windows;

pub use bindings::{Binding, Bindings};
pub use engine::Engine;
pub use error::EngineError;
pub use expression::{CompiledExpression, CompiledProjection};
pub use lineage::{ColumnLineage, ColumnOrigins, Influence, InfluenceKind, Origin, OriginKind};
pub use plan::Planned;
pub use settings::EngineSettings;
pub use shape::{CopiedColumn, RowProgram, RowResult};

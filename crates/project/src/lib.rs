//! A project folder, read into a checked [`Project`] with diagnostics that point into its files.
//!
//! This room reads files and runs nothing: it parses the settings (`tidegate.toml`, or
//! `spark-pipeline.yml` of a Spark Declarative Pipelines project) and the SQL of the tables, puts
//! names in place of text, and finds every mistake that can be found without planning a query.
//! Planning, types and columns of queries are left to `tidegate-engine`, which reports through the
//! same [`Diagnostic`] and [`Place`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod check;
pub mod codes;
pub mod diagnostic;
mod graph;
pub mod limits;
mod load;
mod model;
mod names;
mod nearest;
mod project;
mod settings;
mod source;
mod sql;
mod streaming;

pub use diagnostic::{Diagnostic, RenderStyle, Severity};
pub use graph::{Edge, Graph};
pub use limits::{COERCION, QuarantineLimit, QuarantineLimits};
pub use load::{Loaded, Loader};
pub use model::*;
pub use names::{LATE_SUFFIX, QUARANTINE_SUFFIX, TableName};
pub use project::Project;
pub use settings::{Alerts, Settings, TIDEGATE_FILE};
pub use source::{FileId, LineColumn, Place, SourceFile, SourceMap};
pub use sql::{fuzz_parse, parse_columns, parse_expression, parse_query, parse_query_with};
pub use streaming::{COMMIT_EVERY_DEFAULT, OutputMode, StreamingProperties, parse_length};

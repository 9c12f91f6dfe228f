//! A module a command. Each opens what it needs, asks the pipeline, prints the answer, and says how it ended.

pub mod check;
pub mod completions;
pub mod demo;
pub mod infer;
pub mod lineage;
pub mod new;
pub mod profile;
pub mod push;
pub mod quarantine;
pub mod query;
pub mod run;
pub mod runs;
pub mod shell;
pub mod streams;
pub mod test;

//! What an engine is built from.
//!
//! The defaults suit a laptop: all processors, memory bounded, spilling to the system's temporary
//! folder. Values come from the caller; nothing here reads files or the environment.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// How an [`Engine`](crate::Engine) is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// How many threads one query may use, at least 1; also the number of partitions of a plan.
    pub threads: usize,
    /// How many bytes the operators of all running queries may hold together before they spill;
    /// `None` does not bound them.
    pub memory_bytes: Option<usize>,
    /// The folder that operators spill to; `None` takes the system's temporary folder. It is
    /// made when first needed, and what is in it is removed with the engine.
    pub spill_folder: Option<PathBuf>,
    /// How many rows a batch holds; at least 1.
    pub batch_rows: usize,
    /// The options of DataFusion by name (`datafusion.execution.parquet.pushdown_filters`), over
    /// the engine's own. Other names are left to the caller, as `SET` may hold anything.
    pub configuration: BTreeMap<String, String>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: None,
            spill_folder: None,
            batch_rows: 8192,
            configuration: BTreeMap::new(),
        }
    }
}

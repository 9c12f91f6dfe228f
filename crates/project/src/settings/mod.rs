//! The settings of a project: `tidegate.toml`, or the `spark-pipeline.yml` of a Spark Declarative
//! Pipelines project, or both (then `tidegate.toml` has the last word).
//!
//! Text becomes checked values here, with `${NAME}` references put in; a setting that cannot be
//! read keeps its default, and a diagnostic says so.

mod environment;
mod spark;
#[cfg(test)]
mod tests;
mod tidegate;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

pub(crate) use environment::Environment;
pub(crate) use spark::{SPARK_FILES, SparkPipeline};
pub(crate) use tidegate::read_tidegate;

use crate::source::Place;

/// The file that makes a folder a Tidegate project.
pub const TIDEGATE_FILE: &str = "tidegate.toml";

/// What a project says about how it is run.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the tables are: an absolute folder, or a URL (`s3://…`). By default the folder
    /// `.tidegate/warehouse` of the project.
    pub warehouse: String,
    /// The URL of Tidegate's own records; by default a SQLite file of the project.
    pub store: Option<String>,
    /// How many threads work; by default as many as there are processors.
    pub threads: Option<usize>,
    /// How much memory queries may take before they spill to disk, in bytes.
    pub memory_bytes: Option<u64>,
    /// The folder that queries spill to, absolute; by default one of the system.
    pub spill: Option<PathBuf>,
    /// The catalog that unqualified names belong to, if it has a name.
    pub catalog: Option<String>,
    /// The schema that unqualified names belong to, `default` by default.
    pub schema: String,
    /// `[configuration]`: keys and values as the queries see them.
    pub configuration: BTreeMap<String, String>,
    /// Where alerts go.
    pub alerts: Alerts,
    /// The project has a `spark-pipeline.yml`: it is a Spark Declarative Pipelines project.
    pub spark_pipeline: bool,
}

/// Where alerts go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alerts {
    /// A URL that every alert is posted to as JSON.
    pub webhook: Option<String>,
}

impl Settings {
    /// The settings of a project that says nothing.
    pub fn of(root: &Path) -> Self {
        Self {
            warehouse: display(&root.join(".tidegate").join("warehouse")),
            store: None,
            threads: None,
            memory_bytes: None,
            spill: None,
            catalog: None,
            schema: "default".to_owned(),
            configuration: BTreeMap::new(),
            alerts: Alerts::default(),
            spark_pipeline: false,
        }
    }
}

/// Shows no password that stands in a URL.
impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("warehouse", &self.warehouse)
            .field("store", &self.store.as_ref().map(|_| "…"))
            .field("threads", &self.threads)
            .field("memory_bytes", &self.memory_bytes)
            .field("spill", &self.spill)
            .field("catalog", &self.catalog)
            .field("schema", &self.schema)
            .field("configuration", &self.configuration.keys())
            .field("alerts", &self.alerts.webhook.as_ref().map(|_| "…"))
            .field("spark_pipeline", &self.spark_pipeline)
            .finish()
    }
}

/// A value with the place it was written at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// A path or URL against the project's root: URLs stay, `file://` URLs become paths, relative paths
/// become absolute.
pub(crate) fn resolve(root: &Path, location: &str) -> String {
    if let Some(path) = location.strip_prefix("file:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        let path = path.strip_prefix("localhost").unwrap_or(path);
        return display(&root.join(path));
    }
    match location.contains("://") {
        true => location.to_owned(),
        false => display(&root.join(location)),
    }
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

//! The project as a whole.

use std::path::PathBuf;

use crate::graph::Graph;
use crate::model::{Flow, Table};
use crate::names::TableName;
use crate::settings::Settings;
use crate::source::SourceMap;

/// A project folder, read and checked.
#[derive(Clone, Debug)]
pub struct Project {
    /// The folder, absolute. Relative paths of data are relative to it.
    pub root: PathBuf,
    /// The project's name; by default that of its folder.
    pub name: String,
    /// How it is run.
    pub settings: Settings,
    /// The texts it was read from.
    pub files: SourceMap,
    /// Its tables and views, in the order they were read.
    pub tables: Vec<Table>,
    /// The queries that feed them, in the order they were read.
    pub flows: Vec<Flow>,
    /// Which table feeds which.
    pub graph: Graph,
}

impl Project {
    /// The table of this name.
    pub fn table(&self, name: &TableName) -> Option<&Table> {
        self.graph
            .index(name)
            .and_then(|index| self.tables.get(index))
    }

    /// The flows into a table, in the order they were read.
    pub fn flows_into<'a>(&'a self, name: &'a TableName) -> impl Iterator<Item = &'a Flow> {
        self.graph
            .flows_into(name)
            .iter()
            .filter_map(|&flow| self.flows.get(flow))
    }

    /// The name for what somebody typed (`orders`, `Sales.Orders`), by the project's defaults;
    /// `None` for something that is no name.
    pub fn resolve(&self, typed: &str) -> Option<TableName> {
        let parts: Vec<String> = typed
            .split('.')
            .map(|part| part.trim().trim_matches('`').to_owned())
            .collect();
        if parts.iter().any(String::is_empty) {
            return None;
        }
        crate::names::Namespace::new(self.settings.catalog.as_deref(), &self.settings.schema)
            .resolve(&parts)
    }
}

//! `tidegate check`: everything that can be said about a project without reading a row.

use serde::Serialize;
use tidegate_project::{Diagnostic, diagnostic};

use crate::catalog::Catalog;
use crate::error::{PipelineError, Result};
use crate::workspace::Workspace;

/// What a check found.
#[derive(Debug)]
pub struct Checked {
    /// Mistakes and warnings, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// The tables and views, in dependency order.
    pub tables: Vec<CheckedTable>,
}

/// A table or view as the project declares it and its flows give it.
#[derive(Debug, Clone, Serialize)]
pub struct CheckedTable {
    /// Its name.
    pub name: String,
    /// `streaming table`, `materialized view`, …
    pub kind: &'static str,
    /// Names and types of its columns; none when they depend on files that are not there yet.
    pub columns: Option<Vec<(String, String)>>,
    /// How many flows feed it.
    pub flows: usize,
    /// How many expectations it has.
    pub expectations: usize,
}

impl Checked {
    /// Whether there is a mistake among the diagnostics; warnings are none.
    pub fn has_mistakes(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

impl Catalog {
    /// Refuses to go on with mistakes.
    pub(crate) fn refuse_mistakes(&self) -> Result<()> {
        let mistakes: Vec<Diagnostic> = self
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.is_error())
            .cloned()
            .collect();
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(PipelineError::Diagnostics(mistakes))
        }
    }
}

impl Workspace {
    /// Checks the whole project: its text, the names and types of every query and expectation.
    ///
    /// # Errors
    /// Only when the machine fails; mistakes are in the result.
    pub async fn check(&self) -> Result<Checked> {
        let catalog = Catalog::build(self).await?;
        let project = &self.project;
        let tables = project
            .graph
            .order()
            .iter()
            .filter_map(|index| project.tables.get(*index));
        let tables = tables
            .map(|table| CheckedTable {
                name: table.name.to_string(),
                kind: table.kind.describe(),
                columns: catalog.schema(&table.name).map(|schema| {
                    let columns = schema.fields().iter();
                    columns
                        .map(|field| (field.name().clone(), field.data_type().to_string()))
                        .collect()
                }),
                flows: project.graph.flows_into(&table.name).len(),
                expectations: table.expectations.len(),
            })
            .collect();
        let mut diagnostics: Vec<Diagnostic> = self
            .diagnostics
            .iter()
            .chain(&catalog.diagnostics)
            .cloned()
            .collect();
        diagnostic::sort(&mut diagnostics);
        Ok(Checked {
            diagnostics,
            tables,
        })
    }
}

//! Lineage: which table and column came from which, read from the plans.
//!
//! Nothing here is written down by a user; the edges are what `engine` finds in the plan of each flow. This module
//! gathers them, narrows them to what was asked for and draws them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;
use tidegate_engine::OriginKind;

use crate::catalog::Catalog;
use crate::error::{PipelineError, Result};
use crate::workspace::{Workspace, nearest};

/// A table that feeds a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TableEdge {
    /// The table, or the path of the files, that is read.
    pub from: String,
    /// The table that is fed.
    pub to: String,
}

/// A column that bears on a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ColumnEdge {
    /// The table, or the path of the files, that is read.
    pub from_table: String,
    /// Its column.
    pub from_column: String,
    /// The table that is fed.
    pub to_table: String,
    /// Its column.
    pub to_column: String,
    /// `copied` (the value itself), `derived` (computed from it) or `condition` (it decides which rows there are).
    pub kind: &'static str,
}

/// The lineage of a project, or a part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LineageGraph {
    /// Edges between tables.
    pub tables: Vec<TableEdge>,
    /// Edges between columns.
    pub columns: Vec<ColumnEdge>,
}

impl LineageGraph {
    /// The lineage of every flow that the catalog could plan.
    pub(crate) fn of(workspace: &Workspace, catalog: &Catalog) -> Self {
        let mut graph = Self::default();
        for (number, flow) in workspace.project.flows.iter().enumerate() {
            let to = flow.target.to_string();
            for relation in &flow.query.relations {
                graph.tables.push(TableEdge {
                    from: relation.describe(),
                    to: to.clone(),
                });
            }
            let Some(checked) = catalog.flow(number) else {
                continue;
            };
            let edge = |table: &str, column: &str, to_column: &str, kind| ColumnEdge {
                from_table: table.to_owned(),
                from_column: column.to_owned(),
                to_table: to.clone(),
                to_column: to_column.to_owned(),
                kind,
            };
            for column in &checked.lineage.columns {
                for origin in &column.origins {
                    let kind = if origin.kind == OriginKind::Copied {
                        "copied"
                    } else {
                        "derived"
                    };
                    graph
                        .columns
                        .push(edge(&origin.table, &origin.column, &column.name, kind));
                }
                for influence in &checked.lineage.influences {
                    graph.columns.push(edge(
                        &influence.table,
                        &influence.column,
                        &column.name,
                        "condition",
                    ));
                }
            }
        }
        graph.normalised()
    }

    /// Sorts the edges and drops repeated ones.
    pub(crate) fn normalised(mut self) -> Self {
        self.tables.sort();
        self.tables.dedup();
        self.columns.sort();
        self.columns.dedup();
        self
    }

    /// The part above and below one table.
    pub(crate) fn around_table(&self, table: &str) -> Self {
        let tables = |edge: &TableEdge| (edge.from.clone(), edge.to.clone());
        let above = reach(
            table.to_owned(),
            self.tables.iter().map(tables).map(|(from, to)| (to, from)),
        );
        let below = reach(table.to_owned(), self.tables.iter().map(tables));
        let inside = |from: &str, to: &str| {
            (above.contains(from) && above.contains(to))
                || (below.contains(from) && below.contains(to))
        };
        Self {
            tables: self
                .tables
                .iter()
                .filter(|edge| inside(&edge.from, &edge.to))
                .cloned()
                .collect(),
            columns: self
                .columns
                .iter()
                .filter(|edge| edge.from_table == table || edge.to_table == table)
                .cloned()
                .collect(),
        }
    }

    /// The part above and below one column, over all tables.
    pub(crate) fn around_column(&self, table: &str, column: &str) -> Self {
        let ends = |edge: &ColumnEdge| {
            let from = (edge.from_table.clone(), edge.from_column.clone());
            (from, (edge.to_table.clone(), edge.to_column.clone()))
        };
        let start = (table.to_owned(), column.to_owned());
        let above = reach(
            start.clone(),
            self.columns.iter().map(ends).map(|(from, to)| (to, from)),
        );
        let below = reach(start, self.columns.iter().map(ends));
        let columns: Vec<ColumnEdge> = self
            .columns
            .iter()
            .filter(|edge| {
                let (from, to) = ends(edge);
                (above.contains(&from) && above.contains(&to))
                    || (below.contains(&from) && below.contains(&to))
            })
            .cloned()
            .collect();
        let tables = columns
            .iter()
            .map(|edge| TableEdge {
                from: edge.from_table.clone(),
                to: edge.to_table.clone(),
            })
            .collect();
        Self { tables, columns }.normalised()
    }

    /// An indented list: each table, what feeds it, and what each of its columns is made of.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (table, sources) in self.sources_by_table() {
            let sources: Vec<&str> = sources.into_iter().collect();
            let _ = writeln!(text, "{table}  ←  {}", sources.join(", "));
            for (column, origins) in self.origins_of(table) {
                let _ = writeln!(text, "    {column}  ←  {}", origins.join(", "));
            }
        }
        text
    }

    /// A Mermaid flowchart of the tables.
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        let names = self.numbered();
        for (name, number) in &names {
            let _ = writeln!(text, "  t{number}[\"{}\"]", name.replace('"', "#quot;"));
        }
        for edge in &self.tables {
            let _ = writeln!(
                text,
                "  t{} --> t{}",
                names[edge.from.as_str()],
                names[edge.to.as_str()]
            );
        }
        text
    }

    /// A Graphviz digraph of the tables with their columns as ports.
    pub fn to_dot(&self) -> String {
        let mut text = String::from("digraph lineage {\n  rankdir=LR;\n  node [shape=box];\n");
        for name in self.numbered().keys() {
            let _ = writeln!(text, "  \"{}\";", name.replace('"', "\\\""));
        }
        for edge in &self.tables {
            let (from, to) = (edge.from.replace('"', "\\\""), edge.to.replace('"', "\\\""));
            let _ = writeln!(text, "  \"{from}\" -> \"{to}\";");
        }
        text.push_str("}\n");
        text
    }

    fn sources_by_table(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut sources: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for edge in &self.tables {
            sources.entry(&edge.to).or_default().insert(&edge.from);
        }
        sources
    }

    /// For each column of a table, what it is made of, conditions apart.
    fn origins_of(&self, table: &str) -> BTreeMap<&str, Vec<String>> {
        let mut origins: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for edge in self
            .columns
            .iter()
            .filter(|edge| edge.to_table == table && edge.kind != "condition")
        {
            let made = if edge.kind == "derived" {
                " (derived)"
            } else {
                ""
            };
            let origin = format!("{}.{}{made}", edge.from_table, edge.from_column);
            origins.entry(&edge.to_column).or_default().push(origin);
        }
        origins
    }

    fn numbered(&self) -> BTreeMap<&str, usize> {
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        for edge in &self.tables {
            for name in [edge.from.as_str(), edge.to.as_str()] {
                let next = names.len();
                names.entry(name).or_insert(next);
            }
        }
        names
    }
}

impl Workspace {
    /// The lineage of the whole project, or around a table or a column (`table` or `table.column`).
    ///
    /// # Errors
    /// [`PipelineError::UnknownTable`], or a column that the table does not have.
    pub async fn lineage(&self, target: Option<&str>) -> Result<LineageGraph> {
        let catalog = Catalog::build(self).await?;
        let graph = LineageGraph::of(self, &catalog);
        let Some(target) = target else {
            return Ok(graph);
        };
        if let Ok(table) = self.table_named(target) {
            return Ok(graph.around_table(&table.to_string()));
        }
        let Some((table, column)) = target.rsplit_once('.') else {
            self.table_named(target)?;
            return Ok(graph);
        };
        let name = self.table_named(table)?;
        let columns: Vec<String> = match catalog.schema(&name) {
            Some(schema) => schema
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect(),
            None => Vec::new(),
        };
        match columns.iter().find(|own| own.eq_ignore_ascii_case(column)) {
            Some(column) => Ok(graph.around_column(&name.to_string(), column)),
            None => {
                let hint = nearest(column, columns)
                    .map(|near| format!("; did you mean `{near}`?"))
                    .unwrap_or_default();
                Err(PipelineError::Request(format!(
                    "`{name}` has no column `{column}`{hint}"
                )))
            }
        }
    }
}

/// Everything that can be reached from `start` along `edges`, `start` included.
fn reach<T: Ord + Clone>(start: T, edges: impl Iterator<Item = (T, T)>) -> BTreeSet<T> {
    let mut next: BTreeMap<T, Vec<T>> = BTreeMap::new();
    for (from, to) in edges {
        next.entry(from).or_default().push(to);
    }
    let mut seen = BTreeSet::from([start.clone()]);
    let mut open = vec![start];
    while let Some(at) = open.pop() {
        for to in next.get(&at).into_iter().flatten() {
            if seen.insert(to.clone()) {
                open.push(to.clone());
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph() -> LineageGraph {
        let column = |from: (&str, &str), to: (&str, &str), kind| ColumnEdge {
            from_table: from.0.to_owned(),
            from_column: from.1.to_owned(),
            to_table: to.0.to_owned(),
            to_column: to.1.to_owned(),
            kind,
        };
        let table = |from: &str, to: &str| TableEdge {
            from: from.to_owned(),
            to: to.to_owned(),
        };
        LineageGraph {
            tables: vec![
                table("files", "payments"),
                table("payments", "hourly"),
                table("files", "other"),
            ],
            columns: vec![
                column(("files", "amt"), ("payments", "amount"), "copied"),
                column(("payments", "amount"), ("hourly", "revenue"), "derived"),
                column(("files", "amt"), ("other", "x"), "derived"),
            ],
        }
    }

    #[test]
    fn a_column_is_followed_up_and_down_but_not_sideways() {
        let around = graph().around_column("payments", "amount");
        let ends: Vec<&str> = around
            .columns
            .iter()
            .map(|edge| edge.to_table.as_str())
            .collect();
        assert_eq!(ends, ["payments", "hourly"]);
        assert!(around.tables.iter().all(|edge| edge.to != "other"));
    }

    #[test]
    fn drawings_name_every_table() {
        let graph = graph();
        for drawing in [graph.to_text(), graph.to_mermaid(), graph.to_dot()] {
            for name in ["payments", "hourly", "other"] {
                assert!(drawing.contains(name), "{name} is missing in {drawing}");
            }
        }
        assert!(
            graph
                .to_text()
                .contains("revenue  ←  payments.amount (derived)")
        );
    }
}

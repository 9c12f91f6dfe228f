//! The checks that need no planning: names, circles, shapes, and what is not executed yet.
//!
//! Each submodule is a list of rules over the parts that were read; none stops at the first
//! mistake, and none repeats one that the parser has already reported. Columns of queries and types
//! of expressions are left to the engine.

mod executed;
mod references;
mod shapes;

pub(crate) use executed::query_is_executed;
pub(crate) use shapes::primary_key;

use crate::diagnostic::Diagnostic;
use crate::graph::Graph;
use crate::names::TableName;
use crate::sql::Parts;

/// Checks the parts against each other.
pub(crate) fn check(
    parts: &Parts,
    graph: &Graph,
    known: &dyn Fn(&TableName) -> bool,
) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for table in &parts.tables {
        shapes::check_table(table, &mut diagnostics);
    }
    references::check_references(parts, graph, known, &mut diagnostics);
    executed::check_executed(parts, &mut diagnostics);
    diagnostics
}

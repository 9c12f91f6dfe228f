//! `tidegate lineage`: where tables and columns come from, as text, JSON or a graph.

use std::io::Write;

use crate::arguments::{GraphFormat, Lineage};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Runs the command.
///
/// # Errors
/// When the project has mistakes, or there is no such table or column.
pub fn run(arguments: &Lineage, context: &Context) -> Result<Exit, Failure> {
    let graph = context.block_on(async {
        let workspace = context.open()?;
        let target = arguments.target.as_deref();
        workspace
            .lineage(target)
            .await
            .map_err(|error| Failure::in_workspace(&workspace, error))
    })?;
    let mut out = context.screen().out();
    match if arguments.json {
        GraphFormat::Json
    } else {
        arguments.format
    } {
        GraphFormat::Text => out.write_all(graph.to_text().as_bytes())?,
        GraphFormat::Mermaid => out.write_all(graph.to_mermaid().as_bytes())?,
        GraphFormat::Dot => out.write_all(graph.to_dot().as_bytes())?,
        GraphFormat::Json => {
            serde_json::to_writer_pretty(&mut out, &graph)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

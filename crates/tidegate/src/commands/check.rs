//! `tidegate check`: every mistake of the project at once, without reading any data.

use std::io::Write;

use serde_json::{Value, json};
use tidegate_pipeline::{Checked, PipelineError};
use tidegate_project::{Diagnostic, SourceMap};

use crate::arguments::Check;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Screen, number, style};

/// Runs the command.
///
/// # Errors
/// When there is no project, or the machine fails. Mistakes are not errors of this command, but its answer.
pub fn run(arguments: &Check, context: &Context) -> Result<Exit, Failure> {
    let folder = context.project_folder()?;
    let (checked, files) = context.block_on(async {
        let workspace = context.open_in(&folder)?;
        let checked = match workspace.check().await {
            Ok(checked) => checked,
            Err(PipelineError::Diagnostics(diagnostics)) => Checked {
                diagnostics,
                tables: Vec::new(),
            },
            Err(other) => return Err(other.into()),
        };
        Ok((checked, workspace.files().clone()))
    })?;
    let errors = checked
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error())
        .count();
    if arguments.json {
        print_json(&checked, &files, errors, context.screen())?;
    } else {
        print(&checked, &files, errors, context.screen())?;
    }
    Ok(if errors == 0 { Exit::Done } else { Exit::Usage })
}

fn print(
    checked: &Checked,
    files: &SourceMap,
    errors: usize,
    screen: &Screen,
) -> Result<(), Failure> {
    if !checked.diagnostics.is_empty() {
        screen.diagnostics(&checked.diagnostics, files);
    }
    let warnings = checked.diagnostics.len() - errors;
    let mut out = screen.out();
    if errors > 0 {
        let found = format!("{} found", number::counted(errors as u64, "mistake"));
        writeln!(
            out,
            "{}{}",
            screen.paint(style::ERROR, &found),
            and_warnings(warnings)
        )?;
    } else {
        writeln!(
            out,
            "{}: {}{}",
            screen.paint(style::GOOD, "no mistakes"),
            number::counted(checked.tables.len() as u64, "table"),
            and_warnings(warnings)
        )?;
        for table in &checked.tables {
            let columns = match &table.columns {
                Some(columns) => number::counted(columns.len() as u64, "column"),
                None => "columns as the files have them".to_owned(),
            };
            let expectations = match table.expectations as u64 {
                0 => String::new(),
                count => format!(", {}", number::counted(count, "expectation")),
            };
            writeln!(
                out,
                "  {:<28} {:<18} {columns}{expectations}",
                table.name, table.kind
            )?;
        }
    }
    out.flush()?;
    Ok(())
}

fn and_warnings(warnings: usize) -> String {
    match warnings {
        0 => String::new(),
        warnings => format!(", {}", number::counted(warnings as u64, "warning")),
    }
}

fn print_json(
    checked: &Checked,
    files: &SourceMap,
    errors: usize,
    screen: &Screen,
) -> Result<(), Failure> {
    let diagnostics: Vec<Value> = checked
        .diagnostics
        .iter()
        .map(|diagnostic: &Diagnostic| diagnostic.to_json(files))
        .collect();
    let mut out = screen.out();
    let answer = json!({ "ok": errors == 0, "diagnostics": diagnostics, "tables": checked.tables });
    serde_json::to_writer_pretty(&mut out, &answer)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

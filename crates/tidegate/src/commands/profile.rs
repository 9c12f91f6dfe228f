//! `tidegate profile`: what is in a file or a table, in the terminal, as a page or as JSON.

use std::io::Write;
use std::path::Path;

use tidegate_gate::profile::{Profile, html, text};

use crate::arguments::Profile as Arguments;
use crate::context::Context;
use crate::examples;
use crate::exit::Exit;
use crate::failure::Failure;

/// Columns of a line where there is no terminal to ask.
const WIDTH: usize = 100;

/// Runs the command.
///
/// # Errors
/// When there is no such file or table, or it cannot be read.
pub fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let options = arguments.options.iter().cloned().collect();
    let profile = context.block_on(async {
        let workspace = context.open_or_adhoc()?;
        let outcome = workspace.profile(&arguments.target, &options).await;
        outcome.map_err(|error| Failure::in_workspace(&workspace, error))
    })?;
    match &arguments.html {
        Some(path) => write_page(&profile, path, context)?,
        None => print(&profile, arguments.json, context)?,
    }
    Ok(Exit::Done)
}

fn print(profile: &Profile, json: bool, context: &Context) -> Result<(), Failure> {
    let screen = context.screen();
    let mut out = screen.out();
    if json {
        serde_json::to_writer_pretty(&mut out, profile)?;
        writeln!(out)?;
    } else {
        let width = screen.width().unwrap_or(WIDTH);
        let options = text::TextOptions {
            width,
            color: screen.colour_out(),
            details: true,
        };
        out.write_all(text::render(profile, &options).as_bytes())?;
    }
    Ok(out.flush()?)
}

fn write_page(profile: &Profile, path: &Path, context: &Context) -> Result<(), Failure> {
    examples::write_file(path, html::render(profile).as_bytes())?;
    let mut out = context.screen().out();
    writeln!(out, "wrote {}: open it in a browser", path.display())?;
    Ok(out.flush()?)
}

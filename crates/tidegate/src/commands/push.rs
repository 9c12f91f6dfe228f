//! `tidegate push`: lines into a topic.

use std::fs::File;
use std::io::{BufReader, Read, Write};

use crate::arguments::Push;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::number;

/// How much is read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Runs the command.
///
/// # Errors
/// When there is no such topic, or it cannot be written.
pub fn run(arguments: &Push, context: &Context) -> Result<Exit, Failure> {
    let workspace = context.open()?;
    let source: Box<dyn Read> = match &arguments.file {
        Some(path) => {
            Box::new(File::open(path).map_err(|source| Failure::file("opening", path, source))?)
        }
        None => Box::new(std::io::stdin().lock()),
    };
    let mut lines = BufReader::with_capacity(BUFFER_BYTES, source);
    let pushed = workspace
        .push(&arguments.topic, arguments.key.as_deref(), &mut lines)
        .map_err(|error| Failure::in_workspace(&workspace, error))?;
    if arguments.json {
        let mut out = context.screen().out();
        serde_json::to_writer(&mut out, &pushed)?;
        writeln!(out)?;
    } else {
        let records = number::count(pushed.records);
        context
            .screen()
            .remark(&format!("{records} records are in {}", arguments.topic));
    }
    Ok(Exit::Done)
}

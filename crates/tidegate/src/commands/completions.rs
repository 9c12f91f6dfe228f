//! `tidegate completions`: prints what makes a shell complete commands and options.

use clap::CommandFactory;

use crate::arguments::{Arguments, Completions};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Runs the command.
///
/// # Errors
/// When the output cannot be written.
pub fn run(arguments: &Completions, context: &Context) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Arguments::command(),
        "tidegate",
        &mut text,
    );
    std::io::Write::write_all(&mut context.screen().out(), &text)?;
    Ok(Exit::Done)
}

//! `tidegate profile`: what is in a file or a table, in the terminal, as a page or as JSON.

use crate::arguments::Profile;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Runs the command.
///
/// # Errors
/// When there is no such file or table, or it cannot be read.
pub fn run(_arguments: &Profile, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("", ""))
}

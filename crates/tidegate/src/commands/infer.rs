//! `tidegate infer`: prints the `CREATE STREAMING TABLE` that a careful engineer would write for some files.

use std::io::Write;

use tidegate_pipeline::SampleOptions;

use crate::arguments::Infer;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Runs the command.
///
/// # Errors
/// When the files cannot be listed or read.
pub fn run(arguments: &Infer, context: &Context) -> Result<Exit, Failure> {
    let options = SampleOptions { name: arguments.name.clone(), options: arguments.options.iter().cloned().collect() };
    let sql = context.block_on(async {
        let workspace = context.open_or_adhoc()?;
        Ok(workspace.infer(&arguments.files, &options).await?)
    })?;
    let mut out = context.screen().out();
    writeln!(out, "{}", sql.trim_end())?;
    out.flush()?;
    Ok(Exit::Done)
}

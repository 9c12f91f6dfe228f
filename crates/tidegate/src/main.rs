//! The binary: arguments in, printing out, wiring between.
//!
//! `main` calls [`run`], and `run` is one match over the commands. Each command is a module of
//! [`commands`] that opens what it needs, asks [`tidegate_pipeline`], and prints the answer. Nothing is
//! decided here about rows, tables or SQL.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod allocator;
mod arguments;
mod commands;
mod context;
#[cfg(test)]
mod documented;
mod examples;
mod exit;
mod failure;
mod payments;
mod progress;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use context::Context;
use exit::Exit;
use failure::Failure;

fn main() -> ExitCode {
    allocator::keep_what_is_freed();
    failure::install_panic_hook();
    tidegate_lake::arm_fail_points();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(stop) => return failure::usage(&stop).into(),
    };
    let context = Context::new(arguments.global);
    let outcome = run(arguments.command, &context);
    outcome
        .unwrap_or_else(|failure| failure.report(&context))
        .into()
}

fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::New(arguments) => commands::new::run(&arguments, context),
        Command::Check(arguments) => commands::check::run(&arguments, context),
        Command::Run(arguments) => commands::run::run(arguments, context),
        Command::Push(arguments) => commands::push::run(&arguments, context),
        Command::Streams(arguments) => commands::streams::run(&arguments, context),
        Command::Query(arguments) => commands::query::run(&arguments, context),
        Command::Shell => commands::shell::run(context),
        Command::Profile(arguments) => commands::profile::run(&arguments, context),
        Command::Infer(arguments) => commands::infer::run(&arguments, context),
        Command::Quarantine(arguments) => commands::quarantine::run(&arguments, context),
        Command::Test(arguments) => commands::test::run(&arguments, context),
        Command::Runs(arguments) => commands::runs::run(&arguments, context),
        Command::Lineage(arguments) => commands::lineage::run(&arguments, context),
        Command::Demo(arguments) => commands::demo::run(&arguments, context),
        Command::Completions(arguments) => commands::completions::run(&arguments, context),
    }
}

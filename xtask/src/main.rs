//! The task runner: `cargo xtask` lists what it can do.
//!
//! It calls cargo, Python and the peers of the benchmarks, and holds no code of the product. It is
//! built before anything else, so it depends on little. Nothing that it fetches is installed
//! globally: tools and virtual environments live in one cache folder ([`places::Places`]).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod architecture;
mod bench;
mod brokers;
mod dist;
mod examples;
mod failure;
mod fuzz;
mod kafka;
mod nexmark;
mod places;
mod process;
mod readback;
mod stores;
mod test;
mod tools;
mod venv;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;
use places::Places;

/// Tasks of the workspace. `cargo xtask test` is what CI runs.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// All checks and tests, as CI runs them
    Test(test::Arguments),
    /// Run the examples with the binary, and score those on real dirty data
    Examples(examples::Arguments),
    /// Hold crates and imports to ARCHITECTURE.md (a part of `test`)
    Architecture,
    /// Make a Python environment in the cache folder and print where
    Venv(venv::Arguments),
    /// Read the tables back with the Python readers of deltalake, Polars and DuckDB (a part of `test`)
    Readback,
    /// Run a project whose files and tables are in buckets of S3 and Azure (a part of `test`)
    Stores,
    /// Test the sources and sinks of streams against a real broker of Kafka (a part of `test`)
    Brokers,
    /// Start a broker of Kafka to try things out
    Kafka(kafka::Arguments),
    /// Build the optimised binary and a wheel that carries it
    Dist(dist::Arguments),
    /// Fuzz the readers and the DDL, each for some seconds
    Fuzz(fuzz::Arguments),
    /// Measure Tidegate beside its peers, in the same run, and print ratios
    Bench(bench::Arguments),
    /// Make dirty payments for trying things out, with a truth file beside them
    DemoData(bench::data::Arguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<(), Failure> {
    let places = Places::find()?;
    match task {
        Task::Test(arguments) => test::run(&arguments, &places),
        Task::Examples(arguments) => examples::run(&arguments, &places),
        Task::Architecture => architecture::run(&places),
        Task::Venv(arguments) => venv::run(&arguments, &places),
        Task::Readback => readback::run(&places),
        Task::Stores => stores::run(&places),
        Task::Brokers => brokers::run(&places),
        Task::Kafka(arguments) => kafka::run(&arguments, &places),
        Task::Dist(arguments) => dist::run(&arguments, &places),
        Task::Fuzz(arguments) => fuzz::run(&arguments, &places),
        Task::Bench(arguments) => bench::run(&arguments, &places),
        Task::DemoData(arguments) => bench::data::run(&arguments, &places),
    }
}

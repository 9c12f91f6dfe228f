//! `cargo xtask bench`: Tidegate beside its peers, in the same run, on the same data.
//!
//! Contestants take turns, so that a slow minute of the machine hits all of them; medians and ratios
//! are printed, never a number alone. What it prints can be pasted into `bench/README.md`.

pub mod data;

mod check;
mod contest;
mod gate;
mod measure;
mod nexmark;
mod report;
mod sdp;
mod startup;
mod stream;
mod tpch;

use std::path::PathBuf;

use crate::dist;
use crate::failure::Failure;
use crate::places::{Places, make_folder, write};

/// `cargo xtask bench`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    job: Job,
}

#[derive(Debug, clap::Subcommand)]
enum Job {
    /// Dirty payments through the gate, beside pandas, Polars, DuckDB and PySpark
    Gate(gate::Arguments),
    /// A Spark Declarative Pipelines project, beside Spark itself
    Sdp(sdp::Arguments),
    /// Windows over live payments, beside Flink, Spark and Bytewax; or how they grow
    Stream(stream::Arguments),
    /// Nexmark from an in-process generator into nothing, events a second on a core
    Nexmark(nexmark::Arguments),
    /// The TPC-H queries as materialized views, beside DuckDB
    Tpch(tpch::Arguments),
    /// `tidegate check` on a generated project of many tables
    Check(check::Arguments),
    /// How long it takes to say anything at all
    Startup(startup::Arguments),
}

/// What all jobs take.
#[derive(Debug, Clone, clap::Args)]
pub struct Common {
    /// How often each contestant runs; medians are shown
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// Measure this binary [default: build the optimised one]
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Write the tables to this file, too, as Markdown
    #[arg(long)]
    markdown: Option<PathBuf>,
}

impl Common {
    /// The binary to be measured.
    fn binary(&self, places: &Places) -> Result<PathBuf, Failure> {
        match &self.binary {
            Some(binary) => std::path::absolute(binary).map_err(Failure::file("find", binary)),
            None => dist::release_binary(places),
        }
    }

    /// Prints a report, and writes it where it was asked for.
    fn publish(&self, report: &str) -> Result<(), Failure> {
        println!("\n{report}");
        match &self.markdown {
            Some(path) => write(path, report),
            None => Ok(()),
        }
    }
}

/// Runs one job.
pub fn run(arguments: &Arguments, places: &Places) -> Result<(), Failure> {
    match &arguments.job {
        Job::Gate(arguments) => gate::run(arguments, places),
        Job::Sdp(arguments) => sdp::run(arguments, places),
        Job::Stream(arguments) => stream::run(arguments, places),
        Job::Nexmark(arguments) => nexmark::run(arguments, places),
        Job::Tpch(arguments) => tpch::run(arguments, places),
        Job::Check(arguments) => check::run(arguments, places),
        Job::Startup(arguments) => startup::run(arguments, places),
    }
}

/// An empty folder below the cache for one job's work.
fn work_folder(places: &Places, job: &str) -> Result<PathBuf, Failure> {
    let folder = places.cache.join("bench").join(job);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(Failure::file("remove", &folder))?;
    }
    make_folder(&folder)?;
    Ok(folder)
}

//! `cargo xtask test`: all that CI checks, in one pass, each step timed, all failures at the end.
//!
//! Everything is built once: clippy's artifacts are those of a check and shared with nothing, the
//! tests and the binary that the examples run come from one build of the dev profile.

use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::failure::Failure;
use crate::places::Places;
use crate::process::Call;
use crate::{brokers, examples, readback, stores, tools};

/// `cargo xtask test`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only these steps
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Step>,
    /// All steps but these
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "only")]
    skip: Vec<Step>,
}

/// The steps, in their order: the quickest to fail come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// rustfmt finds nothing to change
    Format,
    /// The crates and imports are as ARCHITECTURE.md says
    Architecture,
    /// Licences, bans, advisories (cargo deny)
    Deny,
    /// All tests of the workspace, documentation examples included
    Tests,
    /// The examples run, and find what they should
    Examples,
    /// Python readers see the same values and types
    Readback,
    /// A project in buckets of S3 and Azure
    Stores,
    /// Streams against a real broker of Kafka
    Brokers,
    /// clippy has nothing to say
    Clippy,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Architecture => "architecture",
            Self::Deny => "deny",
            Self::Tests => "tests",
            Self::Examples => "examples",
            Self::Readback => "readback",
            Self::Stores => "stores",
            Self::Brokers => "brokers",
            Self::Clippy => "clippy",
        }
    }

    fn run(self, places: &Places) -> Result<(), Failure> {
        match self {
            Self::Format => Call::cargo()
                .args(["fmt", "--all", "--check"])
                .in_folder(&places.root)
                .show(),
            Self::Architecture => crate::architecture::run(places),
            Self::Deny => deny(places),
            Self::Tests => tests(places),
            Self::Examples => examples::run(&examples::Arguments::default(), places),
            Self::Readback => readback::run(places),
            Self::Stores => stores::run(places),
            Self::Brokers => brokers::run(places),
            Self::Clippy => Call::cargo()
                .args([
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--",
                    "-D",
                    "warnings",
                ])
                .in_folder(&places.root)
                .show(),
        }
    }
}

/// Runs the steps, all of them even when one fails.
pub fn run(arguments: &Arguments, places: &Places) -> Result<(), Failure> {
    let wanted = |step: &&Step| match arguments.only.is_empty() {
        true => !arguments.skip.contains(step),
        false => arguments.only.contains(step),
    };
    let mut done: Vec<(Step, Duration, bool)> = Vec::new();
    for step in Step::value_variants().iter().filter(wanted) {
        println!("\n== {}", step.name());
        let begin = Instant::now();
        let outcome = step.run(places);
        if let Err(failure) = &outcome {
            println!("error: {failure}");
        }
        done.push((*step, begin.elapsed(), outcome.is_ok()));
    }
    report(&done)
}

/// One line a step, then the line that counts.
fn report(done: &[(Step, Duration, bool)]) -> Result<(), Failure> {
    println!();
    for (step, took, good) in done {
        let word = if *good { "ok" } else { "FAILED" };
        println!(
            "{:<14} {word:<8} {:>8.1} s",
            step.name(),
            took.as_secs_f64()
        );
    }
    let failed: Vec<String> = done
        .iter()
        .filter(|(_, _, good)| !good)
        .map(|(step, ..)| step.name().to_owned())
        .collect();
    println!(
        "steps: {} passed, {} failed",
        done.len() - failed.len(),
        failed.len()
    );
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Failure::Steps { steps: failed }),
    }
}

/// Advisories need a database that is fetched from a Git host; without one they are not checked,
/// and that is said.
fn deny(places: &Places) -> Result<(), Failure> {
    let program = tools::CARGO_DENY.ensure(places)?;
    let call = || {
        Call::new(&program)
            .args([
                "--all-features",
                "--log-level",
                "warn",
                "check",
                "--hide-inclusion-graph",
            ])
            .in_folder(&places.root)
    };
    call().args(["licenses", "bans", "sources"]).show()?;
    let database = call().args(["--disable-fetch", "advisories"]).text();
    let fetched = match database {
        Ok(_) => Ok(()),
        Err(_) => call().arg("advisories").quiet(),
    };
    match fetched {
        Ok(()) => println!("advisories ok"),
        Err(Failure::Command { output, .. }) if is_unreachable(&output) => {
            println!("advisories NOT CHECKED: their database cannot be fetched from here");
        }
        Err(failure) => return Err(failure),
    }
    Ok(())
}

/// Whether cargo deny speaks of a database that it could not get, and not of one of its entries.
fn is_unreachable(output: &str) -> bool {
    let signs = [
        "failed to fetch advisory database",
        "unable to fetch",
        "failed to clone",
    ];
    signs.iter().any(|sign| output.contains(sign))
}

fn tests(places: &Places) -> Result<(), Failure> {
    match crate::tools::has_postgres() {
        true => println!("PostgreSQL: found, the records are tested in it, too"),
        false => println!("PostgreSQL: not found, so the records are tested in SQLite ONLY"),
    }
    Call::cargo()
        .args(["test", "--workspace", "--no-fail-fast"])
        // A snapshot that differs is a failure, not a file to be left behind.
        .env("INSTA_UPDATE", "no")
        .in_folder(&places.root)
        .show()
}

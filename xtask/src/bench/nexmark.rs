//! Nexmark from an in-process generator into nothing: events a second on one core.
//!
//! The generator is `bench/nexmark`, the queries are `examples/nexmark`; their answers are tested by `cargo xtask
//! examples`. Each query is a process with one working thread, the making of the events included, as it is in the figures
//! that Flink publishes (nexmark-flink: events by core). Those were measured on other machines, so they are no contest.

use std::path::PathBuf;
use std::process::Command;

use super::contest::{self, Contestant, Outcome};
use super::{Common, report, work_folder};
use crate::failure::Failure;
use crate::places::Places;
use crate::process::Call;

/// `cargo xtask bench nexmark`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Events of each query
    #[arg(long, default_value_t = 20_000_000)]
    events: u64,
    /// Events a second of their own time
    #[arg(long, default_value_t = 500_000)]
    rate: u64,
    #[command(flatten)]
    common: Common,
}

/// A query, what is asked of it, and what Flink publishes, in thousands of events a second on a core.
const QUERIES: [(&str, f64, &str); 8] = [
    ("q0", 800.0, "379–414"),
    ("q1", 800.0, "379–414"),
    ("q2", 800.0, "379–414"),
    ("q5", 80.0, "75"),
    ("q7", 100.0, "23"),
    ("q8", 165.0, "162"),
    ("q11", 46.0, "46"),
    ("q18", 65.0, "65"),
];

/// Runs them and prints the table.
pub fn run(arguments: &Arguments, places: &Places) -> Result<(), Failure> {
    let program = match &arguments.common.binary {
        Some(binary) => std::path::absolute(binary).map_err(Failure::file("find", binary))?,
        None => build(places)?,
    };
    let work = work_folder(places, "nexmark")?;
    let names = std::iter::once("generator").chain(QUERIES.iter().map(|(name, ..)| *name));
    let contestants: Vec<Contestant> = names
        .map(|name| contestant(name, &program, arguments, places))
        .collect();
    let outcomes = contest::run(&contestants, arguments.common.repetitions, &work)?;
    let (events, rate) = (arguments.events, arguments.rate);
    let heading = report::heading(&format!(
        "Nexmark, {events} events a query, {rate} a second of their own time"
    ));
    let table = table(&outcomes, events);
    arguments.common.publish(&format!("{heading}\n\n{table}"))?;
    std::fs::remove_dir_all(&work).map_err(Failure::file("remove", &work))
}

fn build(places: &Places) -> Result<PathBuf, Failure> {
    // Together with the binary: other features of the libraries would build them all anew.
    Call::cargo()
        .args(["build", "--release", "--package", "tidegate"])
        .args(["--package", "tidegate-nexmark"])
        .in_folder(&places.root)
        .show()?;
    Ok(places.binary("release").with_file_name("nexmark"))
}

fn contestant<'a>(
    name: &'a str,
    program: &'a std::path::Path,
    arguments: &'a Arguments,
    places: &'a Places,
) -> Contestant<'a> {
    Contestant {
        name: name.to_owned(),
        prepare: Box::new(move |folder| {
            let mut command = Command::new(program);
            command
                .arg(name)
                .arg(arguments.events.to_string())
                .arg(arguments.rate.to_string())
                .arg(places.root.join("examples/nexmark"))
                .current_dir(folder);
            Ok(command)
        }),
    }
}

fn table(outcomes: &[Outcome], events: u64) -> String {
    let thousands = |outcome: &Outcome| events as f64 / outcome.cpu_seconds() / 1e3;
    let lines = outcomes.iter().map(|outcome| {
        let target = QUERIES.iter().find(|(name, ..)| *name == outcome.name);
        let (asked, flink) = match target {
            Some((_, asked, flink)) => {
                let met = report::verdict(thousands(outcome) >= *asked);
                (format!("{asked:.0}: {met}"), (*flink).to_owned())
            }
            None => ("–".to_owned(), "–".to_owned()),
        };
        vec![
            outcome.name.clone(),
            report::seconds(outcome.wall_seconds()),
            report::seconds(outcome.cpu_seconds()),
            report::megabytes(outcome.peak_bytes()),
            format!("{:.0}", thousands(outcome)),
            asked,
            flink,
        ]
    });
    let head = [
        "query",
        "wall s",
        "CPU s",
        "peak MB",
        "k events/s a core",
        "target",
        "Flink 2's own figure",
    ];
    report::table(&head, &lines.collect::<Vec<_>>())
}

//! How long the binary needs to say anything at all: many short runs, beside what a Python user waits
//! for.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::contest::{self, Contestant};
use super::{Common, report, work_folder};
use crate::failure::Failure;
use crate::places::{Places, write};
use crate::venv::{self, Environment};

/// `cargo xtask bench startup`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Without the Python peers
    #[arg(long)]
    no_peers: bool,
    #[command(flatten)]
    common: Common,
}

/// At least so many rounds: a run takes milliseconds.
const ROUNDS_MIN: usize = 11;

/// Runs them and prints the table.
pub fn run(arguments: &Arguments, places: &Places) -> Result<(), Failure> {
    let binary = arguments.common.binary(places)?;
    let work = work_folder(places, "startup")?;
    let mut contestants = vec![
        contestant("tidegate --version", binary.clone(), &["--version"]),
        contestant("tidegate query SELECT 1", binary, &["query", "SELECT 1"]),
    ];
    if !arguments.no_peers {
        let python = venv::ensure(Environment::Data, places)?;
        for (name, code) in [
            (
                "DuckDB in Python, SELECT 1",
                "import duckdb; print(duckdb.sql('SELECT 1'))",
            ),
            ("import polars", "import polars; print(polars.select(1))"),
            (
                "import pandas",
                "import pandas; print(pandas.DataFrame({'one': [1]}))",
            ),
        ] {
            contestants.push(contestant(name, python.clone(), &["-c", code]));
        }
    }
    let rounds = arguments.common.repetitions.max(ROUNDS_MIN);
    let outcomes = contest::run(&contestants, rounds, &work)?;
    let targets = [Some(0.020), Some(0.100)];
    let base = outcomes
        .get(1)
        .map_or(f64::NAN, contest::Outcome::wall_seconds);
    let rows: Vec<Vec<String>> = outcomes
        .iter()
        .zip(targets.into_iter().chain(std::iter::repeat(None)))
        .map(|(outcome, target)| {
            let wall = outcome.wall_seconds();
            vec![
                outcome.name.clone(),
                format!("{:.1}", wall * 1000.0),
                report::megabytes(outcome.peak_bytes()),
                report::ratio(wall, base),
                target.map_or("–".to_owned(), |target| {
                    format!(
                        "{:.0} ms: {}",
                        target * 1000.0,
                        report::verdict(wall <= target)
                    )
                }),
            ]
        })
        .collect();
    let heading = report::heading("Start-up");
    let head = ["command", "wall ms", "peak MB", "ratio", "target"];
    arguments
        .common
        .publish(&format!("{heading}\n\n{}", report::table(&head, &rows)))
}

fn contestant<'a>(name: &str, program: PathBuf, arguments: &[&str]) -> Contestant<'a> {
    let arguments: Vec<String> = arguments
        .iter()
        .map(|&argument| argument.to_owned())
        .collect();
    let prepare = move |folder: &Path| {
        write(&folder.join("tidegate.toml"), "name = \"startup\"\n")?;
        let mut command = Command::new(&program);
        command.args(&arguments).current_dir(folder);
        Ok(command)
    };
    Contestant {
        name: name.to_owned(),
        prepare: Box::new(prepare),
    }
}

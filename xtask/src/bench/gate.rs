//! The main job: dirty CSV in; good rows into one table, bad rows with their reasons into another, and
//! revenue by merchant and hour. As a process, start-up included, output written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use serde::Deserialize;

use super::contest::{self, Contestant, Outcome};
use super::data::{self, Payments};
use super::{Common, report, work_folder};
use crate::failure::Failure;
use crate::places::{Places, copy_folder, make_folder};
use crate::process::Call;
use crate::venv::{self, Environment};

/// `cargo xtask bench gate`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Rows of the input
    #[arg(long, default_value_t = 5_000_000)]
    rows: u64,
    /// Whom to run beside Tidegate
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "polars,duckdb-lines,duckdb,pandas"
    )]
    peers: Vec<Peer>,
    #[command(flatten)]
    common: Common,
}

/// The peers that there are scripts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// Polars over raw lines and one regular expression: catches everything
    Polars,
    /// DuckDB's CSV reader with its table of rejects
    Duckdb,
    /// DuckDB over raw lines and one regular expression: catches everything
    DuckdbLines,
    /// pandas with its C parser
    Pandas,
    /// PySpark with its CSV reader
    Pyspark,
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Polars => "Polars, raw lines",
            Self::Duckdb => "DuckDB, CSV reader",
            Self::DuckdbLines => "DuckDB, raw lines",
            Self::Pandas => "pandas",
            Self::Pyspark => "PySpark",
        }
    }

    /// Its script in bench/peers, and what the script is told beside the paths.
    fn script(self) -> (&'static str, &'static str) {
        match self {
            Self::Polars => ("gate_polars.py", ""),
            Self::Duckdb => ("gate_duckdb.py", "reader"),
            Self::DuckdbLines => ("gate_duckdb.py", "lines"),
            Self::Pandas => ("gate_pandas.py", ""),
            Self::Pyspark => ("gate_pyspark.py", ""),
        }
    }

    fn environment(self) -> Environment {
        match self {
            Self::Pyspark => Environment::Spark,
            _ => Environment::Data,
        }
    }
}

/// How right a contestant was, as `bench/peers/score.py` prints it.
#[derive(Debug, Deserialize)]
struct Score {
    /// Per kind of badness: how many there were, and how many the contestant got.
    kinds: BTreeMap<String, Kind>,
    /// Good rows that are not in the good table.
    good_lost: u64,
    /// Rows of the good table that should not be there.
    bad_let_in: u64,
}

#[derive(Debug, Deserialize)]
struct Kind {
    rows: u64,
    /// Not in the good table.
    kept_out: u64,
    /// Among the bad rows, with any reason.
    reported: u64,
}

impl Score {
    /// Kinds of which every row was kept out and reported.
    fn kinds_caught(&self) -> usize {
        let caught = |kind: &&Kind| kind.kept_out == kind.rows && kind.reported == kind.rows;
        self.kinds.values().filter(caught).count()
    }

    /// Share of the bad rows that are among the bad ones, in per cent.
    fn reported_percent(&self) -> f64 {
        let rows: u64 = self.kinds.values().map(|kind| kind.rows).sum();
        let reported: u64 = self.kinds.values().map(|kind| kind.reported).sum();
        100.0 * reported as f64 / rows as f64
    }

    fn catches_all(&self) -> bool {
        self.kinds_caught() == self.kinds.len() && self.good_lost == 0
    }
}

/// Runs the contest, scores the last round, prints both.
pub fn run(arguments: &Arguments, places: &Places) -> Result<(), Failure> {
    let binary = arguments.common.binary(places)?;
    let payments = data::payments(&binary, arguments.rows, places)?;
    let python = venv::ensure(Environment::Data, places)?;
    let work = work_folder(places, "gate")?;
    let mut contestants = vec![tidegate(&binary, &payments, places)];
    for peer in &arguments.peers {
        let python = venv::ensure(peer.environment(), places)?;
        contestants.push(peer_contestant(*peer, python, &payments, places));
    }
    let outcomes = contest::run(&contestants, arguments.common.repetitions, &work)?;
    let mut scores = Vec::new();
    for outcome in &outcomes {
        let folder = contest::round_folder(&work, &outcome.name);
        scores.push(score(&python, &payments, &folder, places)?);
    }
    let text = report(&outcomes, &scores, arguments.rows);
    arguments.common.publish(&text)?;
    std::fs::remove_dir_all(&work).map_err(Failure::file("remove", work))
}

fn tidegate<'a>(binary: &'a Path, payments: &'a Payments, places: &'a Places) -> Contestant<'a> {
    let prepare = move |folder: &Path| {
        copy_folder(&places.root.join("bench/gate/project"), folder)?;
        let landing = folder.join("landing");
        make_folder(&landing)?;
        let file = landing.join("payments.csv");
        // A link, so that nobody measures the copying of the input.
        std::fs::hard_link(&payments.csv, &file).map_err(Failure::file("link", file))?;
        let mut command = Command::new(binary);
        command.arg("run").current_dir(folder);
        Ok(command)
    };
    Contestant {
        name: "Tidegate".to_owned(),
        prepare: Box::new(prepare),
    }
}

fn peer_contestant<'a>(
    peer: Peer,
    python: PathBuf,
    payments: &'a Payments,
    places: &'a Places,
) -> Contestant<'a> {
    let (script, mode) = peer.script();
    let prepare = move |folder: &Path| {
        let mut command = Command::new(&python);
        command
            .arg(places.root.join("bench/peers").join(script))
            .arg(&payments.csv)
            .arg(folder)
            .arg(mode);
        Ok(command)
    };
    Contestant {
        name: peer.name().to_owned(),
        prepare: Box::new(prepare),
    }
}

fn score(
    python: &Path,
    payments: &Payments,
    folder: &Path,
    places: &Places,
) -> Result<Score, Failure> {
    let text = Call::new(python)
        .arg(places.root.join("bench/peers/score.py"))
        .arg(&payments.truth)
        .arg(payments.rows.to_string())
        .arg(folder)
        .text()?;
    serde_json::from_str(&text).map_err(|error| Failure::form("the score", error))
}

fn report(outcomes: &[Outcome], scores: &[Score], rows: u64) -> String {
    let Some(first) = outcomes.first() else {
        return String::new();
    };
    let lines: Vec<Vec<String>> = outcomes
        .iter()
        .zip(scores)
        .map(|(outcome, score)| {
            vec![
                outcome.name.clone(),
                report::seconds(outcome.wall_seconds()),
                report::seconds(outcome.cpu_seconds()),
                report::megabytes(outcome.peak_bytes()),
                report::ratio(outcome.wall_seconds(), first.wall_seconds()),
                report::ratio(outcome.cpu_seconds(), first.cpu_seconds()),
                format!("{} of {}", score.kinds_caught(), score.kinds.len()),
                format!("{:.1} %", score.reported_percent()),
                score.good_lost.to_string(),
                score.bad_let_in.to_string(),
            ]
        })
        .collect();
    let heading = report::heading(&format!("Gate, {rows} rows"));
    let head = [
        "contestant",
        "wall s",
        "CPU s",
        "peak MB",
        "wall",
        "CPU",
        "all of a kind caught",
        "bad rows reported",
        "good rows lost",
        "bad rows let in",
    ];
    let table = report::table(&head, &lines);
    format!("{heading}\n\n{table}\n{}", targets(outcomes, scores))
}

/// The targets of the issue that this job can tell about, and whether they were met.
fn targets(outcomes: &[Outcome], scores: &[Score]) -> String {
    let Some((first, score)) = outcomes.first().zip(scores.first()) else {
        return String::new();
    };
    let factors = |outcome: &Outcome| {
        let wall = outcome.wall_seconds() / first.wall_seconds();
        wall.min(outcome.cpu_seconds() / first.cpu_seconds())
    };
    let mut lines = vec![
        format!(
            "all kinds caught, no good row lost: {}",
            report::verdict(score.catches_all())
        ),
        format!(
            "peak under 1 GiB: {}",
            report::verdict(first.peak_bytes() < 1 << 30)
        ),
    ];
    let thorough = outcomes
        .iter()
        .zip(scores)
        .skip(1)
        .filter(|(_, score)| score.catches_all());
    let fastest = thorough
        .map(|(outcome, _)| outcome)
        .min_by(|a, b| factors(a).total_cmp(&factors(b)));
    let wanted = [
        (fastest, 2.0, "the fastest peer that catches everything"),
        (
            outcomes
                .iter()
                .find(|outcome| outcome.name == Peer::Pandas.name()),
            6.0,
            "pandas",
        ),
        (
            outcomes
                .iter()
                .find(|outcome| outcome.name == Peer::Pyspark.name()),
            15.0,
            "PySpark",
        ),
    ];
    for (outcome, factor, who) in wanted {
        if let Some(outcome) = outcome {
            let met = factors(outcome) >= factor;
            lines.push(format!(
                "{factor}× {who}, wall and CPU: {}",
                report::verdict(met)
            ));
        }
    }
    lines.iter().map(|line| format!("- {line}\n")).collect()
}

//! A Spark Declarative Pipelines project, unmodified, by Tidegate and by Spark itself.
//!
//! Three things are measured: the first run, a run in which nothing changed, and (for Spark) the same
//! again, since Spark computes everything anew each time.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::contest::{self, Contestant, Outcome};
use super::{Common, report, work_folder};
use crate::failure::Failure;
use crate::places::{Places, copy_folder, make_folder, write};
use crate::process::Call;
use crate::venv::{self, Environment};

/// `cargo xtask bench sdp`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Without Spark (which needs Java 17 and half a minute a round)
    #[arg(long)]
    no_peers: bool,
    #[command(flatten)]
    common: Common,
}

/// What Spark gives for the project in `bench/sdp`: rows by table.
const EXPECTED: &[(&str, u64)] = &[
    ("payments", 20_000),
    ("merchant_hourly", 1_997),
    ("top_merchants", 20),
    ("large_payments", 54),
];
/// The project names a storage folder in /tmp, which Spark's rounds use and empty: ours are kept apart.
const RUN: [&str; 3] = ["--warehouse", "warehouse", "run"];
/// A run in which nothing changed, in seconds.
const UNCHANGED_SECONDS_MAX: f64 = 0.1;
/// How much faster than Spark the first run is to be.
const FACTOR_MIN: f64 = 50.0;

/// Runs both, compares the row counts, prints the table.
pub fn run(arguments: &Arguments, places: &Places) -> Result<(), Failure> {
    let binary = arguments.common.binary(places)?;
    let work = work_folder(places, "sdp")?;
    let mut contestants = vec![
        tidegate("Tidegate", &binary, places, false),
        tidegate("Tidegate, nothing changed", &binary, places, true),
    ];
    if !arguments.no_peers {
        contestants.push(spark(venv::ensure(Environment::Spark, places)?, places));
    }
    let outcomes = contest::run(&contestants, arguments.common.repetitions, &work)?;
    let counts = compare_counts(&binary, &contest::round_folder(&work, "Tidegate"))?;
    arguments.common.publish(&report(&outcomes, &counts))
}

fn tidegate<'a>(
    name: &str,
    binary: &'a Path,
    places: &'a Places,
    ran_before: bool,
) -> Contestant<'a> {
    let prepare = move |folder: &Path| {
        copy_folder(&places.root.join("bench/sdp"), folder)?;
        if ran_before {
            Call::new(binary).args(RUN).in_folder(folder).quiet()?;
        }
        let mut command = Command::new(binary);
        command.args(RUN).current_dir(folder);
        Ok(command)
    };
    Contestant {
        name: name.to_owned(),
        prepare: Box::new(prepare),
    }
}

fn spark<'a>(python: PathBuf, places: &'a Places) -> Contestant<'a> {
    let prepare = move |folder: &Path| {
        copy_folder(&places.root.join("bench/sdp"), folder)?;
        let configuration = folder.join("conf");
        make_folder(&configuration)?;
        // Tables must outlive the session that made them: that needs the Hive catalog.
        let settings = format!(
            "spark.sql.catalogImplementation hive\n\
             spark.sql.warehouse.dir {0}/warehouse\n\
             spark.hadoop.javax.jdo.option.ConnectionURL jdbc:derby:;databaseName={0}/metastore;create=true\n\
             spark.local.dir {0}/local\nspark.ui.enabled false\n",
            folder.display()
        );
        write(&configuration.join("spark-defaults.conf"), settings)?;
        // The project's own storage folder is in /tmp, and would remember the last round.
        let storage = Path::new("/tmp/sdp-payments-storage");
        if storage.exists() {
            std::fs::remove_dir_all(storage).map_err(Failure::file("remove", storage))?;
        }
        let bin = python.parent().unwrap_or(Path::new("."));
        let mut command = Command::new(bin.join("spark-pipelines"));
        command
            .arg("run")
            .current_dir(folder)
            .env("SPARK_CONF_DIR", configuration)
            .env("PYSPARK_PYTHON", &python)
            .env("PATH", path_with(bin)?);
        Ok(command)
    };
    Contestant {
        name: "Spark".to_owned(),
        prepare: Box::new(prepare),
    }
}

/// PATH with the environment's programs before all others.
fn path_with(bin: &Path) -> Result<std::ffi::OsString, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(bin.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).map_err(|error| Failure::form("PATH", error))
}

/// Lines that say where Tidegate's tables differ from Spark's, or that they do not.
fn compare_counts(binary: &Path, project: &Path) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for (table, expected) in EXPECTED {
        let sql = format!("SELECT count(*) AS rows FROM {table}");
        let text = Call::new(binary)
            .args(["--warehouse", "warehouse", "query", "--csv", &sql])
            .in_folder(project)
            .text()?;
        let rows: u64 = text
            .lines()
            .nth(1)
            .and_then(|line| line.trim().parse().ok())
            .ok_or_else(|| Failure::form(format!("the rows of {table}"), text.clone()))?;
        let met = report::verdict(rows == *expected);
        lines.push(format!(
            "{table} has {expected} rows, as Spark says: {met} ({rows})"
        ));
    }
    Ok(lines)
}

fn report(outcomes: &[Outcome], counts: &[String]) -> String {
    let base = outcomes.first().map_or(f64::NAN, Outcome::wall_seconds);
    let rows: Vec<Vec<String>> = outcomes
        .iter()
        .map(|outcome| {
            vec![
                outcome.name.clone(),
                report::seconds(outcome.wall_seconds()),
                report::seconds(outcome.cpu_seconds()),
                report::megabytes(outcome.peak_bytes()),
                report::ratio(outcome.wall_seconds(), base),
            ]
        })
        .collect();
    let mut lines = counts.to_vec();
    if let Some(unchanged) = outcomes.get(1) {
        let met = unchanged.wall_seconds() <= UNCHANGED_SECONDS_MAX;
        lines.push(format!(
            "nothing changed within 100 ms: {}",
            report::verdict(met)
        ));
    }
    if let Some(spark) = outcomes.get(2) {
        let met = spark.wall_seconds() / base >= FACTOR_MIN;
        lines.push(format!("{FACTOR_MIN}× Spark: {}", report::verdict(met)));
    }
    let list: String = lines.iter().map(|line| format!("- {line}\n")).collect();
    let heading = report::heading("A Spark Declarative Pipelines project");
    let table = report::table(&["contestant", "wall s", "CPU s", "peak MB", "wall"], &rows);
    format!("{heading}\n\n{table}\n{list}")
}

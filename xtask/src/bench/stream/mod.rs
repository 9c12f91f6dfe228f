//! Windows over payments as JSON lines: count and sum of each key and window, written out. As a process, start-up
//! included.
//!
//! Two jobs beside the peers: one-minute tumbling windows by merchant, and ten-minute windows each minute by country.
//! No row is later than the watermark's delay, so that all contestants must have the same closed windows, which are
//! compared with DuckDB's. How cost grows is in [`growth`], what records of a real broker cost in [`kafka`], and whether a
//! run can go on for long in [`soak`].

mod events;
mod growth;
mod job;
mod kafka;
mod soak;

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use self::events::Shape;
use self::job::{Answer, Job};
use super::contest::{self, Outcome};
use super::{Common, report, work_folder};
use crate::failure::Failure;
use crate::places::Places;
use crate::venv::{self, Environment};

/// `cargo xtask bench stream`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Events of the input
    #[arg(long, default_value_t = 5_000_000)]
    rows: u64,
    /// Whom to run beside Tidegate
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "flink,spark,bytewax"
    )]
    peers: Vec<Peer>,
    /// Tidegate alone: throughput against keys and overlap of windows, memory against length
    #[arg(long, conflicts_with = "peers")]
    growth: bool,
    /// From a real Kafka through the gate into a table, beside a consumer that only counts
    #[arg(long, conflicts_with_all = ["peers", "growth"])]
    kafka: bool,
    /// Follow a topic for so many minutes, and see whether memory stays flat
    #[arg(long, value_name = "MINUTES", conflicts_with_all = ["peers", "growth", "kafka"])]
    soak: Option<u64>,
    /// Records a second of `--soak`
    #[arg(long, default_value_t = 20_000)]
    rate: u64,
    /// Stop a contestant after so many seconds
    #[arg(long, default_value_t = 900)]
    seconds_max: u64,
    #[command(flatten)]
    common: Common,
}

/// The peers that there are scripts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// Flink SQL on all cores
    Flink,
    /// Spark Structured Streaming, AvailableNow, on all cores
    Spark,
    /// Bytewax, one worker
    Bytewax,
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Flink => "Flink",
            Self::Spark => "Spark Structured Streaming",
            Self::Bytewax => "Bytewax",
        }
    }

    /// Its script in bench/peers.
    fn script(self) -> &'static str {
        match self {
            Self::Flink => "stream_flink.py",
            Self::Spark => "stream_spark.py",
            Self::Bytewax => "stream_bytewax.py",
        }
    }

    fn environment(self) -> Environment {
        match self {
            Self::Flink => Environment::Flink,
            Self::Spark => Environment::Spark,
            Self::Bytewax => Environment::Bytewax,
        }
    }

    /// How many times cheaper Tidegate is to be, in wall and in CPU time.
    fn factor_min(self) -> f64 {
        match self {
            Self::Flink => 5.0,
            Self::Spark | Self::Bytewax => 8.0,
        }
    }
}

/// What runs need to know.
struct Setting<'a> {
    places: &'a Places,
    /// Tidegate.
    binary: PathBuf,
    /// The Python that has DuckDB.
    python: PathBuf,
    /// Where rounds are run.
    work: PathBuf,
    repetitions: usize,
    /// After which a contestant is stopped.
    seconds_max: u64,
}

/// Runs the contest, or measures growth, and prints the tables.
pub fn run(arguments: &Arguments, places: &Places) -> Result<(), Failure> {
    let setting = Setting {
        places,
        binary: arguments.common.binary(places)?,
        python: venv::ensure(Environment::Data, places)?,
        work: work_folder(places, "stream")?,
        repetitions: arguments.common.repetitions,
        seconds_max: arguments.seconds_max,
    };
    let text = match arguments.soak {
        Some(minutes) => soak::measure(&setting, minutes, arguments.rate)?,
        None if arguments.growth => growth::measure(&setting, arguments.rows)?,
        None if arguments.kafka => kafka::measure(&setting, arguments.rows)?,
        None => beside_peers(&setting, arguments)?,
    };
    arguments.common.publish(&text)?;
    std::fs::remove_dir_all(&setting.work).map_err(Failure::file("remove", &setting.work))
}

fn beside_peers(setting: &Setting, arguments: &Arguments) -> Result<String, Failure> {
    let (peers, absent) = environments(&arguments.peers, setting.places);
    let events = events::cached(&Shape::of_payments(arguments.rows), setting)?;
    let mut text = report::heading(&format!("Streams, {} events", arguments.rows));
    text.push_str("\n\n");
    let mut targets = Vec::new();
    for job in [Job::tumbling("merchant", 1), Job::hopping("country", 10, 1)] {
        let mut contestants = vec![job.tidegate(&events, setting)];
        for (peer, python) in &peers {
            contestants.push(job.peer(*peer, python, &events, setting));
        }
        let outcomes = contest::run(&contestants, setting.repetitions, &setting.work)?;
        let mut answers = Vec::new();
        for outcome in &outcomes {
            let folder = contest::round_folder(&setting.work, &outcome.name);
            answers.push(job.check(&events, &folder, setting)?);
        }
        let table = table(&outcomes, &answers, arguments.rows);
        text.push_str(&format!("{}:\n\n{table}\n", job.title()));
        targets.extend(verdicts(&job, &peers, &outcomes, &answers));
    }
    targets.extend(absent);
    text.extend(targets.iter().map(|line| format!("- {line}\n")));
    Ok(text)
}

/// The peers whose environments can be made, and a line about each that cannot be.
fn environments(peers: &[Peer], places: &Places) -> (Vec<(Peer, PathBuf)>, Vec<String>) {
    let mut present = Vec::new();
    let mut absent = Vec::new();
    for peer in peers {
        match venv::ensure(peer.environment(), places) {
            Ok(python) => present.push((*peer, python)),
            Err(failure) => {
                eprintln!("{} cannot be had: {failure}", peer.name());
                absent.push(format!("{} could not be installed", peer.name()));
            }
        }
    }
    (present, absent)
}

fn table(outcomes: &[Outcome], answers: &[Answer], rows: u64) -> String {
    let Some(first) = outcomes.first() else {
        return String::new();
    };
    let millions = rows as f64 / 1e6;
    let lines: Vec<Vec<String>> = outcomes
        .iter()
        .zip(answers)
        .map(|(outcome, answer)| {
            vec![
                outcome.name.clone(),
                report::seconds(outcome.wall_seconds()),
                report::seconds(outcome.cpu_seconds()),
                report::megabytes(outcome.peak_bytes()),
                thousands(rows as f64 / outcome.wall_seconds()),
                report::seconds(outcome.cpu_seconds() / millions),
                report::ratio(outcome.wall_seconds(), first.wall_seconds()),
                report::ratio(outcome.cpu_seconds(), first.cpu_seconds()),
                answer.closed.to_string(),
                answer.verdict(),
            ]
        })
        .collect();
    let head = [
        "contestant",
        "wall s",
        "CPU s",
        "peak MB",
        "k events/s",
        "CPU s per M",
        "wall",
        "CPU",
        "closed windows",
        "answer",
    ];
    report::table(&head, &lines)
}

/// Thousands, with as many digits as they deserve.
fn thousands(value: f64) -> String {
    match value / 1e3 {
        value if value < 10.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// The targets of the issue, and whether they were met.
fn verdicts(
    job: &Job,
    peers: &[(Peer, PathBuf)],
    outcomes: &[Outcome],
    answers: &[Answer],
) -> Vec<String> {
    let title = job.title();
    let right = answers.iter().all(Answer::is_right);
    let mut lines = vec![format!(
        "{title}: every closed window of everybody is DuckDB's: {}",
        report::verdict(right)
    )];
    if let Some((first, others)) = outcomes.split_first() {
        for ((peer, _), outcome) in peers.iter().zip(others) {
            let wall = outcome.wall_seconds() / first.wall_seconds();
            let factor = wall.min(outcome.cpu_seconds() / first.cpu_seconds());
            let met = report::verdict(factor >= peer.factor_min());
            let wanted = peer.factor_min();
            lines.push(format!(
                "{title}: {wanted}× {}, wall and CPU: {met}",
                peer.name()
            ));
        }
    }
    lines
}

/// A command that `timeout` (of coreutils) stops with all its children when it takes too long.
fn bounded(program: &Path, seconds_max: u64) -> std::process::Command {
    let mut command = std::process::Command::new("timeout");
    command
        .arg("--kill-after=10")
        .arg(seconds_max.to_string())
        .arg(program);
    command
}

/// Whether a failure is that of [`bounded`]'s end of time.
fn is_overtime(failure: &Failure) -> bool {
    /// What `timeout` ends with when it had to stop the command.
    const STOPPED: &str = "exit status: 124";
    matches!(failure, Failure::Command { status, .. } if status == STOPPED)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::bench::measure;

    #[test]
    fn a_run_that_takes_too_long_is_stopped_and_known() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = bounded(Path::new("sh"), 9);
        command.args(["-c", "exit 3"]);
        assert!(!is_overtime(&measure::run(command, &log).unwrap_err()));
        let mut command = std::process::Command::new("timeout");
        command.args(["0.05", "sleep", "9"]);
        assert!(is_overtime(&measure::run(command, &log).unwrap_err()));
    }

    #[test]
    fn throughput_is_told_in_thousands() {
        assert_eq!(thousands(1_234_567.0), "1235");
        assert_eq!(thousands(4_321.0), "4.3");
    }
}

//! A run that follows a topic for a long time, at a steady rate: whether its memory, its state and its files stay as they
//! are when everything that grows has found its size.
//!
//! Payments are pushed by a process of ours, a minute of event time a second, so that windows close all the time; the topic
//! keeps a little. One table takes the payments through a contract, one has windows that close, one totals that are
//! updated, one the changes of these.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Setting, thousands};
use crate::bench::measure;
use crate::bench::report;
use crate::failure::Failure;
use crate::places::{make_folder, write};
use crate::process::Call;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(10);
/// How often records are handed to the pushing process.
const PUSH: Duration = Duration::from_millis(100);
/// How much memory may grow after the first third, in megabytes a million records, and still be called flat.
const SLOPE_MAX: f64 = 4.0;
/// Without so many looks nothing can be said.
const SAMPLES_MIN: usize = 12;
/// Seconds of event time that go by in a second.
const HASTE: u64 = 60;

const PROJECT: &str = "
CREATE TOPIC payments (id BIGINT, merchant STRING, country STRING, amount DOUBLE, ts TIMESTAMP)
TBLPROPERTIES ('retention.bytes' = '67108864', 'segment.bytes' = '16777216');
CREATE STREAMING TABLE accepted (
  id BIGINT NOT NULL, merchant STRING, country STRING, amount DOUBLE, ts TIMESTAMP NOT NULL,
  CONSTRAINT positive EXPECT (amount > 0) ON VIOLATION QUARANTINE
) AS SELECT * FROM STREAM payments;
CREATE STREAMING TABLE by_merchant TBLPROPERTIES ('tidegate.late' = 'keep') AS
SELECT merchant, window(ts, '1 minute') AS w, count(*) AS n, sum(amount) AS total
FROM STREAM accepted WATERMARK ts DELAY OF INTERVAL 2 MINUTES GROUP BY merchant, window(ts, '1 minute');
CREATE STREAMING TABLE totals AS SELECT country, count(*) AS n, sum(amount) AS total FROM STREAM accepted GROUP BY country;
CREATE STREAMING TABLE history AS SELECT country, n, _change_type FROM STREAM table_changes('totals');
";

/// How it stood at a moment.
struct Sample {
    seconds: f64,
    /// Records that were pushed.
    pushed: u64,
    resident_bytes: u64,
    state_bytes: u64,
    /// Of the tables, their logs and the states of flows.
    table_files: u64,
    topic_files: u64,
}

/// A process that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs for so many minutes, with so many records a second, and returns the table.
pub fn measure(setting: &Setting, minutes: u64, rate: u64) -> Result<String, Failure> {
    let folder = setting.work.join("soak");
    make_folder(&folder.join("tables"))?;
    write(&folder.join("tidegate.toml"), "name = \"soak\"\n")?;
    write(&folder.join("tables/soak.sql"), PROJECT)?;
    let start = |arguments: &[&str], input: Stdio| {
        let child = Command::new(&setting.binary)
            .args(arguments)
            .current_dir(&folder)
            .stdin(input)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        child
            .map(Running)
            .map_err(Failure::file("start", &setting.binary))
    };
    let mut push = start(&["push", "payments"], Stdio::piped())?;
    let mut following = start(
        &["run", "--continuous", "--every", "1 second"],
        Stdio::null(),
    )?;
    let samples = feed(setting, &folder, (minutes, rate), &mut push, &mut following)?;
    if samples.len() < SAMPLES_MIN {
        let message = "too short to say anything: give it two minutes and a half at least";
        return Err(Failure::form("the soak", message.to_owned()));
    }
    Ok(text(&samples, minutes, rate))
}

/// Pushes records for the whole time, and looks now and then.
fn feed(
    setting: &Setting,
    folder: &Path,
    (minutes, rate): (u64, u64),
    push: &mut Running,
    following: &mut Running,
) -> Result<Vec<Sample>, Failure> {
    let begun = Instant::now();
    let length = Duration::from_secs(minutes * 60);
    let (mut samples, mut pushed, mut look) = (Vec::new(), 0, LOOK);
    while begun.elapsed() < length {
        let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
        let lines: String = (pushed..due).map(|id| record(id, rate)).collect();
        if let Some(input) = &mut push.0.stdin {
            input
                .write_all(lines.as_bytes())
                .map_err(Failure::file("write to", "the pushing process"))?;
        }
        pushed = due;
        if begun.elapsed() >= look {
            look += LOOK;
            if let Ok(Some(status)) = following.0.try_wait() {
                let message = format!("it ended by itself: {status}");
                return Err(Failure::form("the run that followed", message));
            }
            samples.push(Sample {
                seconds: begun.elapsed().as_secs_f64(),
                pushed,
                resident_bytes: measure::resident_bytes(following.0.id()),
                state_bytes: state_bytes(setting, folder)?,
                table_files: files(&folder.join(".tidegate/warehouse")),
                topic_files: files(&folder.join(".tidegate/topics")),
            });
        }
        std::thread::sleep(PUSH);
    }
    Ok(samples)
}

/// One payment. One in fifty is late, one in five thousand too late; one in ten thousand is of nothing, which the contract
/// forbids.
fn record(id: u64, rate: u64) -> String {
    let random = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let late = match random % 5_000 {
        0 => 600,
        lot if lot % 50 == 0 => 110,
        _ => 0,
    };
    let second = 3_600 + id * HASTE / rate.max(1) - late;
    let (day, hour, minute) = (second / 86_400 + 1, second / 3_600 % 24, second / 60 % 60);
    let (merchant, country, cents) = (random % 2_000, random % 40, random % 10_000);
    format!(
        "{{\"id\":{id},\"merchant\":\"m{merchant}\",\"country\":\"c{country}\",\"amount\":{}.{:02},\"ts\":\"2026-01-{day:02}T{hour:02}:{minute:02}:{:02}Z\"}}\n",
        cents / 100,
        cents % 100,
        second % 60
    )
}

/// How large the state of all flows is, as they say themselves.
fn state_bytes(setting: &Setting, folder: &Path) -> Result<u64, Failure> {
    let sql = "SELECT coalesce(sum(state_bytes), 0) FROM system.streams";
    let answer = Call::new(&setting.binary)
        .args(["query", sql, "--csv"])
        .in_folder(folder)
        .text()?;
    let found = answer.lines().nth(1).and_then(|line| line.parse().ok());
    found.ok_or_else(|| Failure::form("the size of the state", answer))
}

/// How many files there are below a folder; what goes away meanwhile does not count.
fn files(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let count = |path: &Path| match path.is_dir() {
        true => files(path),
        false => 1,
    };
    entries.map(|entry| count(&entry.path())).sum()
}

fn text(samples: &[Sample], minutes: u64, rate: u64) -> String {
    let heading = report::heading(&format!(
        "A run that follows {rate} records a second for {minutes} minutes"
    ));
    let rows: Vec<Vec<String>> = samples
        .iter()
        .step_by((samples.len() / 12).max(1))
        .map(|sample| {
            vec![
                format!("{:.0}", sample.seconds),
                thousands(sample.pushed as f64),
                report::megabytes(sample.resident_bytes),
                report::megabytes(sample.state_bytes),
                sample.table_files.to_string(),
                sample.topic_files.to_string(),
            ]
        })
        .collect();
    let head = [
        "second",
        "k records",
        "memory MB",
        "state MB",
        "files of tables",
        "of the topic",
    ];
    let slope = slope(&samples[samples.len() / 3..]);
    format!(
        "{heading}\n\n{}\n- memory is flat: after the first third it grows by {slope:.1} MB a million records, {SLOPE_MAX} at most: {}\n",
        report::table(&head, &rows),
        report::verdict(slope <= SLOPE_MAX),
    )
}

/// Megabytes of memory by million records: the slope of the line of least squares.
fn slope(samples: &[Sample]) -> f64 {
    let points = samples.iter().map(|sample| {
        let (millions, megabytes) = (
            sample.pushed as f64 / 1e6,
            sample.resident_bytes as f64 / 1e6,
        );
        (millions, megabytes)
    });
    let points: Vec<(f64, f64)> = points.collect();
    let count = points.len().max(1) as f64;
    let mean = points
        .iter()
        .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    let mean = (mean.0 / count, mean.1 / count);
    let (mut above, mut below) = (0.0, 0.0);
    for (x, y) in points {
        above += (x - mean.0) * (y - mean.1);
        below += (x - mean.0) * (x - mean.0);
    }
    above / f64::max(below, f64::MIN_POSITIVE)
}

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
/// How much more memory the last third may take than the one before, and still be called flat.
const FLAT_FACTOR_MAX: f64 = 1.15;
/// Seconds of event time that go by in a second.
const HASTE: u64 = 60;

const PROJECT: &str = "
CREATE TOPIC payments (id BIGINT, merchant STRING, country STRING, amount DOUBLE, ts TIMESTAMP)
TBLPROPERTIES ('retention.bytes' = '67108864', 'segment.bytes' = '16777216');
CREATE STREAMING TABLE accepted (
  id BIGINT NOT NULL, merchant STRING, country STRING, amount DOUBLE, ts TIMESTAMP NOT NULL,
  CONSTRAINT positive EXPECT (amount > 0) ON VIOLATION QUARANTINE
) AS SELECT * FROM STREAM payments;
CREATE STREAMING TABLE by_merchant AS
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
    files: u64,
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
    let samples = feed(setting, &folder, (minutes, rate), &mut push, &following)?;
    let ended = following.0.try_wait();
    if let Ok(Some(status)) = ended {
        return Err(Failure::form(
            "the run that followed",
            format!("it ended by itself: {status}"),
        ));
    }
    Ok(text(&samples, minutes, rate))
}

/// Pushes records for the whole time, and looks now and then.
fn feed(
    setting: &Setting,
    folder: &Path,
    (minutes, rate): (u64, u64),
    push: &mut Running,
    following: &Running,
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
            samples.push(Sample {
                seconds: begun.elapsed().as_secs_f64(),
                pushed,
                resident_bytes: measure::resident_bytes(following.0.id()),
                state_bytes: state_bytes(setting, folder)?,
                files: files(folder)?,
            });
        }
        std::thread::sleep(PUSH);
    }
    Ok(samples)
}

/// One payment. One in fifty is late, but not too late.
fn record(id: u64, rate: u64) -> String {
    let random = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let late = if random.is_multiple_of(50) { 110 } else { 0 };
    let second = 3_600 + id * HASTE / rate.max(1) - late;
    let (day, hour, minute) = (second / 86_400 + 1, second / 3_600 % 24, second / 60 % 60);
    let (merchant, country, cents) = (random % 2_000, random % 40, random % 10_000 + 1);
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
    Ok(answer
        .lines()
        .nth(1)
        .and_then(|line| line.parse().ok())
        .unwrap_or(0))
}

/// How many files there are below a folder.
fn files(folder: &Path) -> Result<u64, Failure> {
    let mut count = 0;
    for path in crate::places::entries(folder)? {
        count += match path.is_dir() {
            true => files(&path)?,
            false => 1,
        };
    }
    Ok(count)
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
                sample.files.to_string(),
            ]
        })
        .collect();
    let head = ["second", "k records", "memory MB", "state MB", "files"];
    let mean = |third: usize| {
        let of: Vec<f64> = samples
            .iter()
            .skip(samples.len() / 3 * third)
            .take(samples.len() / 3)
            .map(|sample| sample.resident_bytes as f64)
            .collect();
        of.iter().sum::<f64>() / of.len().max(1) as f64
    };
    let factor = mean(2) / mean(1).max(1.0);
    format!(
        "{heading}\n\n{}\n- memory is flat: the last third takes {factor:.2}× the one before, {FLAT_FACTOR_MAX}× at most: {}\n",
        report::table(&head, &rows),
        report::verdict(factor <= FLAT_FACTOR_MAX),
    )
}

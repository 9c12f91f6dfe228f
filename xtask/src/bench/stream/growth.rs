//! How the cost of Tidegate's windows grows: with keys, with the overlap of windows, and with the length of the stream.
//!
//! Keys: all events fall into one window, so that its state has a group a key (or an event, when there are more keys than
//! events). Overlap: windows of more and more minutes, one beginning each minute, so that an event is in so many. Length: the
//! state stays as large as it is, and so must the memory.

use std::path::Path;

use super::events::{self, Events, Shape};
use super::job::{Answer, Job};
use super::{Setting, is_overtime, thousands};
use crate::bench::contest::{self, Outcome};
use crate::bench::report;
use crate::failure::Failure;

/// Merchants, all equally likely.
const KEYS: [u64; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
/// Windows that an event is in.
const OVERLAPS: [u32; 7] = [1, 2, 5, 10, 20, 30, 60];
/// Shares of the asked events, to show whether memory is flat.
const LENGTHS: [f64; 3] = [0.2, 1.0, 2.0];
/// The window of the job on keys, which holds all events.
const KEYS_MINUTES: u32 = 60;
/// How much more memory the longest stream may take than the shortest, and still be called flat.
const FLAT_FACTOR_MAX: f64 = 1.3;

/// A row of a table: what was varied, what it cost, and whether the answer was right.
struct Point {
    value: String,
    rows: u64,
    /// Nothing when it was stopped for its time.
    measured: Option<(Outcome, Answer)>,
}

/// Measures all three and returns the tables.
pub fn measure(setting: &Setting, rows: u64) -> Result<String, Failure> {
    let head = report::heading(&format!("Growth of windows, {rows} events unless said"));
    let keys = keys(setting, rows)?;
    let overlap = overlap(setting, rows)?;
    let length = length(setting, rows)?;
    let right = [&keys, &overlap, &length]
        .into_iter()
        .flatten()
        .all(is_right);
    Ok(format!(
        "{head}\n\nOne window of {KEYS_MINUTES} minutes that holds all events, by merchant:\n\n{}\n\
         Windows of N minutes every minute, by country:\n\n{}\n\
         One-minute tumbling windows by merchant, over longer and longer streams:\n\n{}\n\
         - every closed window is DuckDB's: {}\n- memory is flat, within {FLAT_FACTOR_MAX}×: {}\n",
        table("keys", &keys, setting),
        table("windows an event", &overlap, setting),
        table("events", &length, setting),
        report::verdict(right),
        report::verdict(is_flat(&length)),
    ))
}

fn keys(setting: &Setting, rows: u64) -> Result<Vec<Point>, Failure> {
    // Some room at the window's end; the generator's last event closes it.
    let rows_per_minute = rows as f64 / f64::from(KEYS_MINUTES - 2);
    let job = Job::tumbling("merchant", KEYS_MINUTES);
    let mut points = Vec::new();
    for keys in KEYS {
        let shape = Shape {
            rows,
            keys,
            uniform: true,
            rows_per_minute: Some(rows_per_minute),
        };
        let folder = setting.work.join(format!("keys-{keys}"));
        let events = events::make(&shape, &folder, setting)?;
        let measured = attempt(&job, &events, setting)?;
        // A gigabyte each that nobody asks for again.
        remove(&folder)?;
        points.push(Point {
            value: keys.to_string(),
            rows,
            measured,
        });
        if is_stopped(&points) {
            break;
        }
    }
    Ok(points)
}

fn overlap(setting: &Setting, rows: u64) -> Result<Vec<Point>, Failure> {
    let events = events::cached(&Shape::of_payments(rows), setting)?;
    let mut points = Vec::new();
    for minutes in OVERLAPS {
        let job = Job::hopping("country", minutes, 1);
        points.push(Point {
            value: minutes.to_string(),
            rows,
            measured: attempt(&job, &events, setting)?,
        });
        if is_stopped(&points) {
            break;
        }
    }
    Ok(points)
}

fn length(setting: &Setting, rows: u64) -> Result<Vec<Point>, Failure> {
    let job = Job::tumbling("merchant", 1);
    let mut points = Vec::new();
    for share in LENGTHS {
        let length = (rows as f64 * share) as u64;
        let shape = Shape::of_payments(length);
        let folder = setting.work.join(format!("length-{length}"));
        let events = events::make(&shape, &folder, setting)?;
        let measured = attempt(&job, &events, setting)?;
        remove(&folder)?;
        points.push(Point {
            value: length.to_string(),
            rows: length,
            measured,
        });
        if is_stopped(&points) {
            break;
        }
    }
    Ok(points)
}

/// Runs Tidegate and checks its answer; nothing when it took too long.
fn attempt(
    job: &Job,
    events: &Events,
    setting: &Setting,
) -> Result<Option<(Outcome, Answer)>, Failure> {
    let contestants = [job.tidegate(events, setting)];
    let outcomes = match contest::run(&contestants, setting.repetitions, &setting.work) {
        Err(failure) if is_overtime(&failure) => return Ok(None),
        outcomes => outcomes?,
    };
    let Some(outcome) = outcomes.into_iter().next() else {
        return Ok(None);
    };
    let folder = contest::round_folder(&setting.work, &outcome.name);
    let answer = job.check(events, &folder, setting)?;
    Ok(Some((outcome, answer)))
}

fn is_stopped(points: &[Point]) -> bool {
    points.last().is_some_and(|point| point.measured.is_none())
}

fn is_right(point: &Point) -> bool {
    point
        .measured
        .as_ref()
        .is_some_and(|(_, answer)| answer.is_right())
}

fn is_flat(points: &[Point]) -> bool {
    let peaks: Option<Vec<u64>> = points
        .iter()
        .map(|point| Some(point.measured.as_ref()?.0.peak_bytes()))
        .collect();
    let Some((first, rest)) = peaks.as_deref().and_then(<[u64]>::split_first) else {
        return false;
    };
    let most = rest.iter().max().copied().unwrap_or(*first);
    rest.len() + 1 == LENGTHS.len() && most as f64 <= FLAT_FACTOR_MAX * *first as f64
}

fn table(varied: &str, points: &[Point], setting: &Setting) -> String {
    let cpu_per_million =
        |rows: u64, outcome: &Outcome| outcome.cpu_seconds() / (rows as f64 / 1e6);
    let base = points
        .first()
        .and_then(|point| Some((point.rows, &point.measured.as_ref()?.0)))
        .map_or(f64::NAN, |(rows, outcome)| cpu_per_million(rows, outcome));
    let rows: Vec<Vec<String>> = points
        .iter()
        .map(|point| match &point.measured {
            None => vec![point.value.clone(), format!("over {}", setting.seconds_max)],
            Some((outcome, answer)) => vec![
                point.value.clone(),
                report::seconds(outcome.wall_seconds()),
                report::seconds(outcome.cpu_seconds()),
                report::megabytes(outcome.peak_bytes()),
                thousands(point.rows as f64 / outcome.wall_seconds()),
                report::seconds(cpu_per_million(point.rows, outcome)),
                report::ratio(cpu_per_million(point.rows, outcome), base),
                answer.closed.to_string(),
                answer.verdict(),
            ],
        })
        .collect();
    let head = [
        varied,
        "wall s",
        "CPU s",
        "peak MB",
        "k events/s",
        "CPU s per M",
        "CPU per event",
        "closed windows",
        "answer",
    ];
    report::table(&head, &rows)
}

fn remove(folder: &Path) -> Result<(), Failure> {
    std::fs::remove_dir_all(folder).map_err(Failure::file("remove", folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::Cost;

    fn point(peak_bytes: u64) -> Point {
        let cost = Cost {
            wall_seconds: 1.0,
            cpu_seconds: 1.0,
            peak_bytes,
        };
        let outcome = Outcome {
            name: "Tidegate".to_owned(),
            costs: vec![cost],
        };
        let answer = Answer {
            closed: 1,
            missing: 0,
            wrong: 0,
            found: 1,
        };
        Point {
            value: String::new(),
            rows: 1,
            measured: Some((outcome, answer)),
        }
    }

    #[test]
    fn memory_is_flat_when_no_length_needs_much_more() {
        assert!(is_flat(&[point(100), point(90), point(129)]));
        assert!(!is_flat(&[point(100), point(131), point(100)]));
        assert!(!is_flat(&[point(100), point(100)]), "one is missing");
        assert!(!is_flat(&[]));
    }
}

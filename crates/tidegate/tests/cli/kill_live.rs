//! Flows with state over a topic, their process ended hundreds of times at every step of the epoch, while records go on
//! coming: at the end the tables are those of a run that nobody disturbed.
//!
//! Kills follow each other without a clean run in between, so also what is finished after a kill is killed. Every so often
//! the tables are held against the undisturbed project, which was pushed the same records.

use std::io::Write;
use std::process::Stdio;

use crate::scratch::Scratch;

/// How many processes must be ended, by two threads with projects of their own.
const KILLS: usize = 500;
/// How many are begun at most, by each.
const ATTEMPTS_MAX: usize = 600;
/// After how many attempts the tables are compared.
const COMPARE: usize = 60;
/// Records of one push.
const RECORDS: usize = 12;

const PROJECT: &str = "
CREATE TOPIC events (id BIGINT, card STRING, amount BIGINT, ts TIMESTAMP) TBLPROPERTIES ('partitions' = '2', 'key' = 'card');
CREATE TOPIC out;
CREATE STREAMING TABLE accepted (
  id BIGINT NOT NULL PRIMARY KEY, card STRING NOT NULL, amount BIGINT, ts TIMESTAMP NOT NULL,
  CONSTRAINT positive EXPECT (amount > 0) ON VIOLATION QUARANTINE
) AS SELECT * FROM STREAM events;
CREATE STREAMING TABLE windows AS
SELECT card, window(ts, '1 minute', '30 seconds') AS w, count(*) AS n, sum(amount) AS total
FROM STREAM accepted WATERMARK ts DELAY OF INTERVAL 30 SECONDS
GROUP BY card, window(ts, '1 minute', '30 seconds');
CREATE STREAMING TABLE totals AS SELECT card, count(*) AS n, sum(amount) AS total FROM STREAM accepted GROUP BY card;
CREATE STREAMING TABLE followed AS
SELECT card, sum(CASE WHEN _change_type IN ('delete', 'update_preimage') THEN -total ELSE total END) AS total
FROM STREAM table_changes('totals') GROUP BY card;
CREATE SINK leaving TO topic('out', key => 'card') AS SELECT id, card, amount FROM STREAM accepted WHERE amount > 50;
";

/// What is compared. What a sink sent may be there more than once.
const ROWS: [&str; 6] = [
    "SELECT * FROM accepted ORDER BY id",
    "SELECT raw, source, line FROM accepted__quarantine ORDER BY source, line",
    "SELECT card, w.start, w.end, n, total FROM windows ORDER BY ALL",
    "SELECT * FROM totals ORDER BY card",
    "SELECT * FROM followed ORDER BY card",
    "SELECT DISTINCT id, card, amount FROM read_topic('out', schema => 'id BIGINT, card STRING, amount BIGINT') ORDER BY id",
];

#[test]
fn a_stream_killed_hundreds_of_times_gives_the_tables_of_an_undisturbed_run() {
    let killed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|offset| scope.spawn(move || disturb(offset)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert!(
        killed >= KILLS,
        "only {killed} runs were ended: the fail points are not compiled in, or are not reached"
    );
}

/// Kills the runs of a project half as often as asked, and compares; gives how often.
fn disturb(offset: usize) -> usize {
    let (undisturbed, disturbed) = (project(), project());
    // Steps that this project does not reach are left out once that is seen.
    let mut points: Vec<(&str, usize)> = tidegate_lake::FAIL_POINTS
        .iter()
        .map(|point| (*point, 0))
        .collect();
    let (mut killed, mut attempts) = (0, 0);
    let mut waiting = String::new();
    while killed < KILLS / 2 && attempts < ATTEMPTS_MAX && !points.is_empty() {
        let lines = records(attempts);
        push(&disturbed, &lines);
        waiting += &lines;
        let at = (attempts * 7 + offset) % points.len();
        let (step, passes) = points[at];
        if is_killed(&disturbed, step, passes, attempts % 9 == 8) {
            points[at].1 = (passes + 1) % 9;
            killed += 1;
        } else if passes == 0 {
            points.remove(at);
        } else {
            points[at].1 = 0;
        }
        attempts += 1;
        if attempts % COMPARE == 0 {
            push(&undisturbed, &std::mem::take(&mut waiting));
            compare(&undisturbed, &disturbed, attempts);
        }
    }
    push(&undisturbed, &waiting);
    compare(&undisturbed, &disturbed, attempts);
    killed
}

fn project() -> Scratch {
    let scratch = Scratch::empty();
    scratch.write("tidegate.toml", "name = \"kills\"\n");
    scratch.write("tables/t.sql", PROJECT);
    scratch
}

/// Records a few seconds apart, a little out of order; one breaks a promise, one comes twice.
fn records(attempt: usize) -> String {
    let mut lines = String::new();
    for number in 0..RECORDS {
        let id = attempt * RECORDS + number;
        let id = if number == 5 { id - 1 } else { id };
        let amount = if number == 7 {
            -1
        } else {
            (id * 37 % 100) as i64 + 1
        };
        let seconds = attempt * 20 + number + if number % 3 == 0 { 4 } else { 0 };
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        lines += &format!(
            "{{\"id\":{id},\"card\":\"c{}\",\"amount\":{amount},\"ts\":\"2024-01-01T{hour:02}:{minute:02}:{second:02}Z\"}}\n",
            id % 7
        );
    }
    lines
}

fn push(scratch: &Scratch, lines: &str) {
    let mut child = scratch
        .command(&["push", "events"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
}

/// Runs with a fail point armed; gives whether the process was ended there.
fn is_killed(scratch: &Scratch, step: &str, passes: usize, continuous: bool) -> bool {
    let live = [
        "run",
        "--continuous",
        "--every",
        "60 milliseconds",
        "--for",
        "250 milliseconds",
    ];
    let arguments: &[&str] = if continuous { &live } else { &["run"] };
    let ended = scratch
        .command(arguments)
        .env("FAILPOINTS", format!("{step}={passes}*off->return(abort)"))
        .output()
        .unwrap();
    ended.status.code().is_none()
}

fn compare(undisturbed: &Scratch, disturbed: &Scratch, attempts: usize) {
    for scratch in [undisturbed, disturbed] {
        scratch.run(&["run"]).expect(0);
    }
    for sql in ROWS {
        let rows = |scratch: &Scratch| scratch.run(&["query", sql, "--csv"]).expect(0).out;
        let (wanted, found) = (rows(undisturbed), rows(disturbed));
        assert!(
            wanted.lines().count() > 1 || attempts < 2 * COMPARE,
            "{sql} gives nothing"
        );
        if wanted != found {
            let only = |of: &str, not: &str| {
                let lines = of
                    .lines()
                    .filter(|line| !not.lines().any(|other| other == *line));
                lines
                    .take(8)
                    .map(|line| format!("  {line}\n"))
                    .collect::<String>()
            };
            panic!(
                "{sql}\ndiffers after {attempts} attempts; wanted, and not there:\n{}there, and not wanted:\n{}({} rows wanted, {} there)",
                only(&wanted, &found),
                only(&found, &wanted),
                wanted.lines().count(),
                found.lines().count()
            );
        }
    }
}

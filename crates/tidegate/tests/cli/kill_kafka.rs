//! Sinks that deliver exactly once into a real Kafka, their process ended at every step and in between, while records go on
//! coming: a foreign consumer of committed records sees what an undisturbed run gives, each record once.
//!
//! `cargo xtask brokers` starts the broker and calls this.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::scratch::{Ended, Scratch};

/// How often processes are ended at a step of the epoch.
const STEPS: usize = 36;
/// How often a run that follows its sources is ended at some moment.
const MOMENTS: usize = 10;
/// How many runs are begun at most.
const ATTEMPTS_MAX: usize = 120;
/// Records of one push.
const RECORDS: usize = 12;

/// Steps that a sink passes, and how many sinks pass them. What is cut off behind its intent is taken back by the next run,
/// which is ended there.
const POINTS: [(&str, usize); 8] = [
    ("lake.state.before", 2),
    ("lake.state.after", 2),
    ("lake.intent.before", 3),
    ("lake.intent.after", 3),
    ("lake.withdraw.before", 1),
    ("lake.withdraw.after", 1),
    ("lake.closing.before", 3),
    ("lake.closing.after", 3),
];

const SINKS: [&str; 3] = ["plain", "windows", "totals"];

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: call cargo xtask brokers"))
}

/// What the foreign client prints.
fn foreign(arguments: &[&str]) -> String {
    let output = Command::new(variable("TIDEGATE_FOREIGN_PYTHON"))
        .arg(variable("TIDEGATE_FOREIGN_CLIENT"))
        .arg(variable("TIDEGATE_KAFKA"))
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A project whose sinks go to topics of its own.
fn project(name: &str) -> Scratch {
    let scratch = Scratch::empty();
    scratch.write("tidegate.toml", format!("name = \"{name}\"\n"));
    let broker = variable("TIDEGATE_KAFKA");
    let sink = |sink: &str, query: &str| {
        foreign(&["create", &format!("{name}.{sink}"), "2"]);
        format!(
            "CREATE SINK {sink} TO kafka(bootstrapServers => '{broker}', topic => '{name}.{sink}', key => 'card', deliveryGuarantee => 'exactly-once') AS {query};\n"
        )
    };
    let sql = [
        "CREATE TOPIC events (id BIGINT, card STRING, amount BIGINT, ts TIMESTAMP) TBLPROPERTIES ('partitions' = '2', 'key' = 'card');\n".to_owned(),
        sink("plain", "SELECT card, id, amount FROM STREAM events WHERE amount > 20"),
        sink(
            "windows",
            "SELECT card, window(ts, '1 minute', '30 seconds') AS w, count(*) AS n, sum(amount) AS total FROM STREAM events WATERMARK ts DELAY OF INTERVAL 30 SECONDS GROUP BY card, window(ts, '1 minute', '30 seconds')",
        ),
        sink("totals", "SELECT card, count(*) AS n, sum(amount) AS total FROM STREAM events GROUP BY card"),
    ];
    scratch.write("tables/t.sql", sql.concat());
    scratch
}

/// A project with one sink into `topic`, under this identity.
fn single(topic: &str, identity: &str, guarantee: &str) -> Scratch {
    let scratch = Scratch::empty();
    scratch.write("tidegate.toml", "name = \"single\"\n");
    declare(&scratch, topic, identity, guarantee);
    scratch
}

fn declare(scratch: &Scratch, topic: &str, identity: &str, guarantee: &str) {
    let broker = variable("TIDEGATE_KAFKA");
    let sql = format!(
        "CREATE TOPIC events (id BIGINT, card STRING, amount BIGINT);
CREATE SINK feed TO kafka(bootstrapServers => '{broker}', topic => '{topic}', key => 'id', deliveryGuarantee => '{guarantee}'{identity})
AS SELECT id, card FROM STREAM events;\n"
    );
    scratch.write("tables/t.sql", sql);
}

/// Records a few seconds apart, a little out of order.
fn records(attempt: usize) -> String {
    let mut lines = String::new();
    for number in 0..RECORDS {
        let id = attempt * RECORDS + number;
        let seconds = attempt * 20 + number + if number % 3 == 0 { 4 } else { 0 };
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        lines += &format!(
            "{{\"id\":{id},\"card\":\"c{}\",\"amount\":{},\"ts\":\"2024-01-01T{hour:02}:{minute:02}:{second:02}Z\"}}\n",
            id % 7,
            id * 37 % 100 + 1
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
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// Runs with a fail point armed; gives whether the process was ended there.
fn is_killed(scratch: &Scratch, step: &str, passes: usize) -> bool {
    let ended = scratch
        .command(&["run"])
        .env("FAILPOINTS", format!("{step}={passes}*off->return(abort)"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_ne!(ended.status.code(), Some(1), "{said}");
    ended.status.code().is_none()
}

/// Follows the sources while records come, and ends the process after so many turns of 50 milliseconds.
fn kill_at(scratch: &Scratch, turns: usize, lines: &str) {
    let mut child = scratch
        .command(&["run", "--continuous", "--every", "100 milliseconds"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    push(scratch, lines);
    for _ in 0..turns {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The committed records of a sink, by partition in their order.
fn sent(project: &str, sink: &str) -> Vec<String> {
    let text = foreign(&["consume", &format!("{project}.{sink}"), "1000000"]);
    text.lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "needs a broker"]
fn on_a_real_broker_sinks_that_are_killed_deliver_each_row_once() {
    let stamp = std::process::id();
    let names = [format!("calm{stamp}"), format!("killed{stamp}")];
    let [undisturbed, disturbed] = names.each_ref().map(|name| project(name));
    let (mut killed, mut attempts) = (0, 0);
    let mut at: BTreeMap<&str, usize> = BTreeMap::new();
    while killed < STEPS {
        assert!(attempts < ATTEMPTS_MAX, "only {killed} runs were ended");
        let lines = records(attempts);
        push(&undisturbed, &lines);
        push(&disturbed, &lines);
        let (step, sinks) = POINTS[attempts % POINTS.len()];
        let passes = attempts / POINTS.len() % sinks;
        if is_killed(&disturbed, step, passes) {
            *at.entry(step).or_default() += 1;
            killed += 1;
        }
        attempts += 1;
    }
    assert_eq!(at.len(), POINTS.len(), "{at:?}");
    for moment in 0..MOMENTS {
        let lines = records(attempts);
        push(&undisturbed, &lines);
        kill_at(&disturbed, 4 + moment * 3, &lines);
        attempts += 1;
    }
    for project in [&undisturbed, &disturbed] {
        project.run(&["run"]).expect(0);
        let again = project.run(&["run"]).expect(0);
        assert!(
            again.err.is_empty() || !again.err.contains("failed"),
            "{again:?}"
        );
    }
    for sink in ["plain", "windows"] {
        let mut rows = names.each_ref().map(|name| sent(name, sink));
        rows.iter_mut().for_each(|rows| rows.sort_unstable());
        let [wanted, found] = rows;
        assert!(wanted.len() > 100, "{sink}: {} records", wanted.len());
        assert_eq!(wanted, found, "{sink}");
    }
    let last = names.each_ref().map(|name| newest(&sent(name, "totals")));
    assert_eq!(last[0], last[1]);
    println!(
        "processes ended at {at:?}, and {MOMENTS} at some moment: {SINKS:?} sent each row once"
    );
}

/// The newest record of each key, whose count must have grown from record to record.
fn newest(rows: &[String]) -> BTreeMap<String, (i64, i64)> {
    let mut newest = BTreeMap::new();
    for row in rows {
        let (key, value) = row.split_once('\t').unwrap();
        let value: serde_json::Value = serde_json::from_str(value).unwrap();
        let number = |name: &str| value[name].as_i64().unwrap();
        let now = (number("n"), number("total"));
        if let Some(before) = newest.insert(key.to_owned(), now) {
            assert!(before.0 < now.0, "{key}: {before:?}, then {now:?}");
        }
    }
    newest
}

#[test]
#[ignore = "needs a broker"]
fn on_a_real_broker_a_sink_leaves_its_identity_to_another_process() {
    let topic = format!("taken{}", std::process::id());
    foreign(&["create", &topic, "1"]);
    let identity = format!(", transactionalId => '{topic}'");
    let [first, second] = [(); 2].map(|()| single(&topic, &identity, "exactly-once"));
    push(&first, &records(0));
    let mut follows = first.command(&[
        "run",
        "--continuous",
        "--every",
        "200 milliseconds",
        "--for",
        "60 seconds",
    ]);
    let follows = follows
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while foreign(&["consume", &topic, "1000000"]).lines().count() < RECORDS {
        assert!(Instant::now() < until, "the first process sent nothing");
    }
    push(&second, &records(1));
    second.run(&["run"]).expect(0);
    push(&first, &records(2));
    let ended = Ended::of(follows.wait_with_output().unwrap());
    ended.expect(1).says(&["same identity", &topic]);
    let rows = foreign(&["consume", &topic, "1000000"]);
    assert_eq!(rows.lines().count(), 2 * RECORDS, "{rows}");
    // Started again, it takes the identity back and goes on where it was.
    first.run(&["run"]).expect(0);
    let rows = foreign(&["consume", &topic, "1000000"]);
    assert_eq!(rows.lines().count(), 3 * RECORDS, "{rows}");
}

#[test]
#[ignore = "needs a broker"]
fn on_a_real_broker_an_epoch_that_was_forgotten_is_not_guessed() {
    let topic = format!("forgotten{}", std::process::id());
    foreign(&["create", &topic, "1"]);
    let identity = format!(", transactionalId => '{topic}'");
    let scratch = single(&topic, &identity, "exactly-once");
    push(&scratch, &records(0));
    scratch.run(&["run"]).expect(0);
    push(&scratch, &records(1));
    assert!(is_killed(&scratch, "lake.closing.before", 0));
    let group = format!("tidegate-sink-{topic}");
    foreign(&["forget", &group]);
    let told = [
        "offsets.retention.minutes",
        "at-least-once",
        "--full-refresh",
    ];
    scratch.run(&["run"]).expect(1).says(&told);
    // Told by another name, it says so.
    declare(
        &scratch,
        &topic,
        ", transactionalId => 'other'",
        "exactly-once",
    );
    scratch
        .run(&["run"])
        .expect(1)
        .says(&[&format!("transactionalId => '{topic}'")]);
    // What the message offers: the epoch comes twice, and then all is well.
    declare(&scratch, &topic, "", "at-least-once");
    scratch.run(&["run"]).expect(0);
    declare(&scratch, &topic, &identity, "exactly-once");
    push(&scratch, &records(2));
    scratch.run(&["run"]).expect(0);
    let rows = foreign(&["consume", &topic, "1000000"]);
    assert_eq!(rows.lines().count(), 4 * RECORDS, "{rows}");
}

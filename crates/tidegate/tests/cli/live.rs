//! A run that follows its sources, beside which the world changes.

use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::scratch::Scratch;

/// A run that is stopped with the test.
struct Following(Child);

impl Following {
    fn start(scratch: &Scratch) -> Self {
        let run = scratch
            .command(&["run", "--continuous", "--every", "200 milliseconds"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(run)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn push(scratch: &Scratch, topic: &str, record: &str) {
    let mut child = scratch
        .command(&["push", topic])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{record}").unwrap();
    assert!(child.wait().unwrap().success());
}

/// Waits until a query gives this number.
#[track_caller]
fn until(scratch: &Scratch, sql: &str, wanted: i64) {
    let begun = Instant::now();
    loop {
        let ended = scratch.run(&["query", sql, "--csv"]);
        let found = ended.out.lines().nth(1).and_then(|line| line.parse().ok());
        if found == Some(wanted) {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{sql}: not {wanted}, but {ended:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn rows_are_looked_up_in_a_table_as_it_is_when_they_come() {
    let scratch = Scratch::empty();
    scratch.write("tidegate.toml", "name = \"lookup\"\n");
    scratch.write("rates/1.csv", "currency,rate\nEUR,2\n");
    scratch.write(
        "tables/t.sql",
        "CREATE TOPIC payments (currency STRING, amount BIGINT);
CREATE STREAMING TABLE rates AS SELECT * FROM STREAM read_files('rates/*.csv');
CREATE STREAMING TABLE valued AS
SELECT p.currency, p.amount, r.rate, p.amount * r.rate AS value
FROM STREAM payments p JOIN rates r ON p.currency = r.currency;
CREATE STREAMING TABLE kinds AS
SELECT count(*) AS n, max(r.kind) AS kind
FROM STREAM payments p JOIN read_files('kinds/*.csv') r ON p.currency = r.currency;
",
    );
    scratch.write("kinds/1.csv", "currency,kind\nEUR,7\n");
    scratch.run(&["run"]).expect(0);
    let _run = Following::start(&scratch);
    push(&scratch, "payments", r#"{"currency":"EUR","amount":10}"#);
    push(&scratch, "payments", r#"{"currency":"USD","amount":10}"#);
    until(&scratch, "SELECT sum(value) FROM valued", 20);
    until(&scratch, "SELECT max(kind) FROM kinds", 7);
    scratch.write("rates/2.csv", "currency,rate\nUSD,3\n");
    scratch.write("kinds/2.csv", "currency,kind\nUSD,9\n");
    until(&scratch, "SELECT count(*) FROM rates", 2);
    // A round that began before goes on with the table as it was.
    let mut rounds = 0;
    while scratch.number("SELECT sum(value) FROM valued") == 20 {
        push(&scratch, "payments", r#"{"currency":"USD","amount":100}"#);
        rounds += 1;
        assert!(rounds < 200, "the new rate is not seen");
    }
    until(&scratch, "SELECT sum(value) % 300 FROM valued", 20);
    until(&scratch, "SELECT max(kind) FROM kinds", 9);
}

#[test]
fn late_rows_of_two_streams_are_kept_beside_their_table() {
    let scratch = Scratch::empty();
    scratch.write("tidegate.toml", "name = \"late\"\n");
    scratch.write(
        "tables/t.sql",
        "CREATE TOPIC orders (id BIGINT, ts TIMESTAMP, amount BIGINT);
CREATE TOPIC payments (id BIGINT, ts TIMESTAMP, card STRING);
CREATE STREAMING TABLE paid TBLPROPERTIES ('tidegate.late' = 'keep') AS
SELECT o.id, o.ts, o.amount, p.card
FROM STREAM orders WATERMARK ts DELAY OF INTERVAL 1 MINUTE AS o
JOIN STREAM payments WATERMARK ts DELAY OF INTERVAL 1 MINUTE AS p
ON o.id = p.id AND p.ts BETWEEN o.ts AND o.ts + INTERVAL 5 MINUTES;
",
    );
    scratch.run(&["check"]).expect(0);
    assert_eq!(scratch.number("SELECT count(amount) FROM paid__late"), 0);
    let order =
        |id: i64, at: &str| format!(r#"{{"id":{id},"ts":"2026-01-01 {at}:00","amount":5}}"#);
    let payment =
        |id: i64, at: &str| format!(r#"{{"id":{id},"ts":"2026-01-01 {at}:00","card":"c"}}"#);
    push(&scratch, "orders", &order(1, "12:00"));
    push(&scratch, "payments", &payment(1, "12:01"));
    scratch.run(&["run"]).expect(0);
    push(&scratch, "orders", &order(2, "13:00"));
    push(&scratch, "payments", &payment(2, "13:01"));
    scratch.run(&["run"]).expect(0);
    push(&scratch, "orders", &order(3, "09:00"));
    push(&scratch, "payments", &payment(3, "09:01"));
    scratch.run(&["run"]).expect(0);
    assert_eq!(scratch.number("SELECT count(*) FROM paid"), 2);
    let late = "SELECT count(*) * 100 + count(amount) * 10 + count(card) FROM paid__late";
    assert_eq!(scratch.number(late), 211);
}

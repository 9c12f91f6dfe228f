//! Sinks into topics of the project, as who reads them sees their records.

use std::io::Write;
use std::process::Stdio;

use crate::scratch::Scratch;

/// A project with the topics `events` and `out`, and this sink.
fn project(sink: &str) -> Scratch {
    let scratch = Scratch::empty();
    scratch.write("tidegate.toml", "name = \"sinks\"\n");
    let topics = "CREATE TOPIC events (card STRING, amount BIGINT);\nCREATE TOPIC out;\n";
    scratch.write("tables/t.sql", format!("{topics}{sink};\n"));
    scratch
}

fn push(scratch: &Scratch, records: &[(&str, i64)]) {
    let mut child = scratch
        .command(&["push", "events"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for (card, amount) in records {
        writeln!(input, "{{\"card\":\"{card}\",\"amount\":{amount}}}").unwrap();
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_key_that_goes_leaves_as_a_record_without_a_value() {
    let scratch = project(
        "CREATE SINK leaving TO topic('out', key => 'card') AS
SELECT card, sum(amount) AS total FROM STREAM events GROUP BY card HAVING sum(amount) < 100",
    );
    push(&scratch, &[("a", 40), ("b", 50)]);
    scratch.run(&["run"]).expect(0);
    push(&scratch, &[("b", 60)]);
    scratch.run(&["run"]).expect(0);
    push(&scratch, &[("b", -20)]);
    scratch.run(&["run"]).expect(0);
    let sql = "SELECT CAST(key AS STRING) AS key, CAST(value AS STRING) AS value FROM read_topic('out', format => 'raw') ORDER BY offset";
    let out = scratch.run(&["query", sql, "--csv"]).expect(0).out;
    let lines: Vec<&str> = out.lines().skip(1).collect();
    assert_eq!(lines.len(), 4, "{out}");
    let of_b: Vec<&str> = lines
        .into_iter()
        .filter(|line| line.starts_with('b'))
        .collect();
    assert!(of_b[0].contains("50"), "{out}");
    assert_eq!(of_b[1], "b,");
    assert!(of_b[2].contains("90"), "{out}");
}

#[test]
fn what_a_sink_cannot_do_is_said_at_its_place() {
    let query = "AS SELECT card, amount FROM STREAM events";
    let proto = "syntax = \"proto3\"; message Event { string card = 1; }";
    for (sink, said) in [
        (
            "topic('out', deliveryGuarantee => 'twice')".to_owned(),
            "'exactly-once'",
        ),
        (
            "topic('out', format => 'protobuf', protoFile => 'event.proto')".to_owned(),
            "no field for amount",
        ),
        ("topic('out', format => 'xml')".to_owned(), "not xml"),
        (
            "kafka(bootstrapServers => 'localhost:1', topic => 't', transactionalId => 'a')"
                .to_owned(),
            "deliveryGuarantee",
        ),
    ] {
        let scratch = project(&format!("CREATE SINK leaving TO {sink} {query}"));
        scratch.write("event.proto", proto);
        push(&scratch, &[("a", 40)]);
        scratch.run(&["run"]).expect(1).says(&["t.sql:3", said]);
    }
}

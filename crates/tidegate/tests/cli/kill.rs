//! The process ended at every step of the commit protocol, then run again: the tables are those of an undisturbed run.
//!
//! The steps are the lake's list of fail points, so a step added there is killed here. Each is passed a few times before
//! it ends the process, so that first tables, quarantines and views below them are all hit. Rows are compared, not files:
//! which rows share a file is nobody's business.

use crate::scratch::Scratch;

/// How often a step is passed before it ends the process. One project has three tables and one quarantine to commit.
const PASSES: [usize; 4] = [0, 1, 2, 3];

/// Rows of each table, in an order of their own; the quarantine without what names the run.
const TABLES: [(&str, &str); 4] = [
    ("payments", "SELECT * FROM payments ORDER BY id"),
    (
        "payments__quarantine",
        "SELECT row_id, raw, source, line, epoch, state FROM payments__quarantine ORDER BY row_id",
    ),
    (
        "merchant_hourly",
        "SELECT * FROM merchant_hourly ORDER BY merchant, hour",
    ),
    ("large_payments", "SELECT * FROM large_payments ORDER BY id"),
];

#[test]
fn a_run_killed_at_any_step_and_started_again_gives_the_same_tables() {
    let undisturbed = project();
    undisturbed.run(&["run"]).expect(0);
    second_delivery(&undisturbed);
    undisturbed.run(&["run"]).expect(0);
    let expected = tables(&undisturbed);
    let mut killed = 0;
    for step in tidegate_lake::FAIL_POINTS {
        for passes in PASSES {
            killed += usize::from(disturb(step, passes, &expected));
        }
    }
    // Steps of upkeep are not reached by so few commits; those of intents, writing and committing all are.
    assert!(
        killed >= 24,
        "only {killed} runs were killed: the fail points are not compiled in, or are not reached"
    );
}

/// Kills a run at a step, in the first delivery and in the second; gives whether one was killed.
fn disturb(step: &str, passes: usize, expected: &[String]) -> bool {
    let scratch = project();
    let failpoints = format!("{step}={passes}*off->return(abort)");
    let kill = |scratch: &Scratch| {
        let ended = scratch
            .command(&["run"])
            .env("FAILPOINTS", &failpoints)
            .output()
            .unwrap();
        ended.status.code().is_none()
    };
    let first = kill(&scratch);
    scratch.run(&["run"]).expect(0);
    second_delivery(&scratch);
    let second = kill(&scratch);
    scratch.run(&["run"]).expect(0);
    for ((table, _), (found, wanted)) in TABLES.iter().zip(tables(&scratch).iter().zip(expected)) {
        let place = |text: &str| text.replace(&scratch.path().display().to_string(), "");
        assert_eq!(
            place(found),
            *wanted,
            "{table} differs after a kill at {step}, pass {passes}"
        );
    }
    first || second
}

/// The payments example with few rows, so that a hundred runs are quick.
fn project() -> Scratch {
    let scratch = Scratch::copy_of("../../../../examples/payments");
    let generated = scratch.run(&[
        "demo",
        "--generate",
        "made/first",
        "--rows",
        "400",
        "--seed",
        "5",
        "--bad",
        "0.1",
    ]);
    generated.expect(0);
    // Half of the second delivery is known by its keys, on purpose.
    let table = std::fs::read_to_string(scratch.path().join("tables/payments.sql")).unwrap();
    scratch.write("tables/payments.sql", table.replace("'20%'", "'90%'"));
    scratch.write(
        "landing/payments/first.csv",
        std::fs::read(scratch.path().join("made/first.csv")).unwrap(),
    );
    scratch
}

/// A second file arrives, half of whose keys are known.
fn second_delivery(scratch: &Scratch) {
    let generated = scratch.run(&[
        "demo",
        "--generate",
        "made/second",
        "--rows",
        "800",
        "--seed",
        "6",
        "--bad",
        "0.1",
    ]);
    generated.expect(0);
    scratch.write(
        "landing/payments/second.csv",
        std::fs::read(scratch.path().join("made/second.csv")).unwrap(),
    );
}

fn tables(scratch: &Scratch) -> Vec<String> {
    let rows = |sql: &str| {
        let out = scratch.run(&["query", sql, "--csv"]).expect(0).out;
        // Temporary folders differ from run to run, and so does everything hashed from them.
        let text = out.replace(&scratch.path().display().to_string(), "");
        text.lines()
            .map(|line| format!("{}\n", without_row_id(line)))
            .collect::<String>()
    };
    let mut tables: Vec<String> = TABLES.iter().map(|(_, sql)| rows(sql)).collect();
    for table in &mut tables {
        let mut lines: Vec<&str> = table.lines().collect();
        lines.sort_unstable();
        *table = lines.join("\n");
    }
    tables
}

/// A line without its first value where that is a hash: 32 hexadecimal digits.
fn without_row_id(line: &str) -> &str {
    match line.split_once(',') {
        Some((first, rest))
            if first.len() == 32 && first.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            rest
        }
        _ => line,
    }
}

//! What the machine does to a run: a warehouse that cannot be written, two runs at once, Ctrl-C, a reader that goes away.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::scratch::{Ended, Scratch};

#[test]
fn a_warehouse_that_cannot_be_written_is_named() {
    let scratch = Scratch::table("(id BIGINT)", "");
    scratch.write("landing/a.csv", "id\n1\n");
    // Nobody can make a folder there, not even the superuser.
    let ended = scratch
        .run(&["run", "--warehouse", "/proc/warehouse"])
        .says(&["/proc/warehouse"]);
    assert!(matches!(ended.code, Some(1 | 3)), "{ended:?}");
    // And nothing of it counts: the rows are read when there is a place for them.
    scratch.run(&["run"]).expect(0);
    assert_eq!(scratch.number("SELECT count(*) AS n FROM t"), 1);
}

#[test]
fn of_two_runs_at_once_one_is_refused() {
    let scratch = payments(400_000);
    let first = start(&scratch);
    scratch
        .run(&["run"])
        .expect(3)
        .says(&["another `tidegate`"]);
    Ended::of(first.wait_with_output().unwrap()).expect(0);
    scratch.run(&["run"]).expect(0).says(&["nothing new"]);
}

#[test]
fn a_run_that_is_interrupted_or_killed_can_be_started_again() {
    let scratch = payments(400_000);
    for signal in ["-INT", "-KILL"] {
        let running = start(&scratch);
        let id = running.id().to_string();
        assert!(
            std::process::Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        let ended = running.wait_with_output().unwrap();
        if signal == "-INT" {
            Ended::of(ended).expect(130);
        }
    }
    scratch.run(&["run"]).expect(0);
    let count = |table: &str| scratch.number(&format!("SELECT count(*) AS n FROM {table}"));
    assert_eq!(count("payments") + count("payments__quarantine"), 400_000);
    assert_eq!(
        scratch.number("SELECT count(*) - count(DISTINCT id) AS n FROM payments"),
        0
    );
}

/// The payments example with as many rows, not run yet.
/// Fills the device at one step after another, from the first file to the last commit; then there is room again.
#[test]
fn a_disk_that_fills_up_loses_nothing_and_keeps_nothing_half() {
    let scratch = payments(20_000);
    let tried = in_small_warehouse(&scratch, "100k", "true");
    if !tried.is_ok_and(|tried| tried.status.success()) {
        eprintln!("not tried: a device of its own cannot be mounted here");
        return;
    }
    let mut failures = 0;
    for size in ["60k", "150k", "300k", "450k", "600k", "700k", "1m"] {
        let rows =
            "query --warehouse small --json 'SELECT count(*), count(DISTINCT id) FROM payments'";
        let bad = "query --warehouse small --json 'SELECT count(*) FROM payments__quarantine'";
        let script = format!(
            "$T run --warehouse small >first 2>&1; first=$?; mount -o remount,size=64m small; \
             $T run --warehouse small >second 2>&1 || exit 9; $T {rows}; $T {bad}; exit $first"
        );
        let output = in_small_warehouse(&scratch, size, &script).unwrap();
        let said = std::fs::read_to_string(scratch.path().join("first")).unwrap();
        match output.status.code() {
            Some(0) => {}
            Some(1) => {
                failures += 1;
                assert!(said.contains("no space is left"), "{size}: {said}");
            }
            other => panic!("{size}: {other:?}\n{said}"),
        }
        let counted = String::from_utf8(output.stdout).unwrap();
        let numbers: Vec<u64> = counted
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .filter(|number| *number > 1)
            .collect();
        let [good, distinct, bad] = numbers[..] else {
            panic!("{size}: {counted}");
        };
        assert_eq!((good, good + bad), (distinct, 20_000), "{size}");
    }
    assert!(failures > 2, "the device was never full");
}

/// Runs a shell script beside an empty warehouse `small` on a device of this size; `$T` is the binary.
fn in_small_warehouse(
    scratch: &Scratch,
    size: &str,
    script: &str,
) -> std::io::Result<std::process::Output> {
    std::fs::create_dir_all(scratch.path().join("small")).unwrap();
    let mount = format!("mount -t tmpfs -o size={size} tmpfs small && {{ {script}\n}}");
    std::process::Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &mount])
        .env("T", env!("CARGO_BIN_EXE_tidegate"))
        .current_dir(scratch.path())
        .output()
}

fn payments(rows: u64) -> Scratch {
    let scratch = Scratch::copy_of("../../../../examples/payments");
    let rows = rows.to_string();
    scratch
        .run(&["demo", "--generate", "landing/payments/p", "--rows", &rows])
        .expect(0);
    std::fs::rename(
        scratch.path().join("landing/payments/p.truth.csv"),
        scratch.path().join("truth.csv"),
    )
    .unwrap();
    scratch
}

/// Starts a run and waits until it is at work.
fn start(scratch: &Scratch) -> Child {
    let child = scratch
        .command(&["run"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let warehouse = scratch.path().join(".tidegate/warehouse");
    while !has_parquet_or_intent(&warehouse) {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "the run does not begin"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

fn has_parquet_or_intent(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| {
        if entry.path().is_dir() {
            has_parquet_or_intent(&entry.path())
        } else {
            true
        }
    })
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let scratch = Scratch::empty();
    let rows: String = (0..200_000).map(|id| format!("{id},name {id}\n")).collect();
    scratch.write("a.csv", format!("id,name\n{rows}"));
    let binary = env!("CARGO_BIN_EXE_tidegate");
    for format in ["--csv", "--json", "--limit 0"] {
        let script = format!(
            "{{ {binary} query 'SELECT * FROM csv.`a.csv`' {format}; echo \"exit $?\" >&2; }} | head -n 1"
        );
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .current_dir(scratch.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("exit 0") && !said.contains("error"),
            "{format}: {said}"
        );
    }
}

#[test]
fn colour_goes_to_terminals_only() {
    let scratch = Scratch::empty();
    let plain = scratch.run(&["query", "SELECT 1 AS one"]).expect(0);
    assert!(
        !plain.out.contains('\u{1b}') && !plain.err.contains('\u{1b}'),
        "{plain:?}"
    );
    let coloured = scratch.run(&["--color", "always", "run"]).expect(2);
    assert!(coloured.err.contains('\u{1b}'), "{coloured:?}");
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        Scratch::empty()
            .run(&["completions", shell])
            .expect(0)
            .says(&["quarantine"]);
    }
}

#[test]
fn the_demo_finds_every_bad_row() {
    let scratch = Scratch::empty();
    let ended = scratch.run(&["demo", "--rows", "20000"]).expect(0);
    let ended = ended.says(&[
        "every bad row was found, and no good row was lost",
        "nothing new",
        "broken_quote",
    ]);
    assert!(!ended.out.contains('\u{1b}'));
    // It can be made anew, since nobody changed it.
    scratch
        .run(&["demo", "--rows", "1000", "--seed", "8"])
        .expect(0);
}

#[test]
fn the_shell_takes_statements_from_a_pipe() {
    let scratch = Scratch::empty();
    let mut child = scratch
        .command(&["shell"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let typed = "SELECT 40 + 2 AS answer;\n\\x\nSELECT 'a;b' AS\ntext;\nSELECT nonsense;\n\\nonsense\n\\q\n";
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), typed.as_bytes()).unwrap();
    let ended = Ended::of(child.wait_with_output().unwrap()).expect(0);
    ended.says(&[
        "answer",
        "42",
        "─ row 1",
        "a;b",
        "nonsense",
        "\\? lists the commands",
    ]);
}

#[test]
fn version_and_help_are_quick_and_need_no_project() {
    let scratch = Scratch::empty();
    scratch.run(&["--version"]).expect(0).says(&["tidegate 0."]);
    scratch
        .run(&["--help"])
        .expect(0)
        .says(&["Exit codes:", "130", "First steps:"]);
}

//! State past its budget.

use super::support::*;
use crate::{Dataflow, Options, OutputMode, StreamError};

fn tables() -> Tables {
    let mut random = fastrand::Rng::with_seed(3);
    Tables::from([
        ("a", events(&mut random, 4000, 900)),
        ("b", events(&mut random, 4000, 900)),
    ])
}

/// A query whose state is too large, and how it is output.
const QUERIES: [(&str, OutputMode); 9] = [
    (
        "SELECT k, name, count(*) AS n, max(name) AS m FROM STREAM a GROUP BY k, name",
        OutputMode::Update,
    ),
    (
        "SELECT k, window(ts, '30 minutes', '10 minutes') AS w, count(*) AS n FROM STREAM a
         GROUP BY k, window(ts, '30 minutes', '10 minutes')",
        OutputMode::Update,
    ),
    (
        "SELECT k, session_window(ts, '10 minutes') AS w, count(*) AS n, min(name) AS m FROM STREAM a
         GROUP BY k, session_window(ts, '10 minutes')",
        OutputMode::Append,
    ),
    (
        "SELECT k, session_window(ts, '10 minutes') AS w, count(*) AS n, min(name) AS m FROM STREAM a
         GROUP BY k, session_window(ts, '10 minutes')",
        OutputMode::Update,
    ),
    ("SELECT DISTINCT k, name, v FROM STREAM a", OutputMode::Append),
    (
        "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY v DESC, id) AS n FROM STREAM a)
         WHERE n <= 3",
        OutputMode::Update,
    ),
    (
        "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY ts) AS n FROM STREAM a)
         WHERE n <= 2",
        OutputMode::Append,
    ),
    (
        "SELECT a.id, b.id AS other FROM STREAM a JOIN STREAM b ON a.k = b.k",
        OutputMode::Append,
    ),
    (
        "SELECT a.id, b.id AS other, b.name FROM STREAM a LEFT JOIN STREAM b
         ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL 40 MINUTES",
        OutputMode::Append,
    ),
];

fn small(output: OutputMode, folder: &std::path::Path) -> Options {
    Options {
        memory_bytes: 100_000,
        spill_folder: folder.to_owned(),
        ..options(output)
    }
}

/// Pushes all rows in batches of so many.
fn push_all(
    flow: &mut Dataflow,
    query: &Query,
    tables: &Tables,
    rows: usize,
) -> Result<(), StreamError> {
    for at in (0..3900).step_by(rows) {
        for (binding, table, _) in &query.relations {
            let cut = tables[table.as_str()].slice(at, rows.min(3900 - at));
            flow.push(binding, "0", &cut, BEGIN)?;
        }
    }
    Ok(())
}

#[test]
fn state_stays_within_its_budget() {
    let (engine, tables) = (engine(), tables());
    for (sql, output) in QUERIES {
        let folder = tempfile::tempdir().unwrap();
        let query = plan(&engine, sql, &tables);
        let options = small(output, folder.path());
        let mut flow = flow(&engine, &query, 3600 * SECOND, &options).unwrap();
        push_all(&mut flow, &query, &tables, 300).unwrap();
        let stats = flow.stats();
        assert!(stats.state_bytes() <= 100_000, "{sql}: {stats:?}");
        assert!(
            stats.operators[0].spilled_bytes > 20_000,
            "{sql}: {stats:?}"
        );
        assert!(stats.operators[0].rows > 800, "{sql}: {stats:?}");
        drop(flow);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "{sql}");
    }
}

#[test]
fn a_checkpoint_of_spilled_state_writes_only_what_is_new() {
    let (engine, tables) = (engine(), tables());
    for (sql, output) in QUERIES {
        let folder = tempfile::tempdir().unwrap();
        let query = plan(&engine, sql, &tables);
        let options = small(output, folder.path());
        let mut first = flow(&engine, &query, 3600 * SECOND, &options).unwrap();
        push_all(&mut first, &query, &tables, 500).unwrap();
        first.tick(BEGIN).unwrap();
        let mut store = Store::default();
        let all = store.save(&mut first);
        assert!(all >= 64, "{sql}: {all}");
        assert_eq!(store.save(&mut first), 0, "{sql}");
        let mut again = flow(&engine, &query, 3600 * SECOND, &options).unwrap();
        store.restore(&mut again).unwrap();
        assert!(
            again.stats().state_bytes() <= 100_000,
            "{sql}: {:?}",
            again.stats()
        );
        assert_eq!(store.save(&mut again), 0, "{sql}");
        for (binding, table, _) in &query.relations {
            again
                .push(binding, "0", &tables[table.as_str()].slice(3999, 1), BEGIN)
                .unwrap();
        }
        again.tick(BEGIN).unwrap();
        let new = store.save(&mut again);
        assert!(new > 0 && new < all / 4, "{sql}: {new} of {all}");
    }
}

#[test]
fn what_a_crash_left_is_removed() {
    let (engine, tables) = (engine(), tables());
    let (sql, output) = QUERIES[0];
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("tidegate-spill-1-0");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("lock"), "").unwrap();
    std::fs::write(left.join("0.arrow"), "old").unwrap();
    let query = plan(&engine, sql, &tables);
    let options = small(output, folder.path());
    let mut live = flow(&engine, &query, 0, &options).unwrap();
    assert!(!left.exists());
    push_all(&mut live, &query, &tables, 500).unwrap();
    // What belongs to one that is alive stays.
    drop(flow(&engine, &query, 0, &options).unwrap());
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    live.tick(BEGIN).unwrap();
}

/// Lets the files that are spilled next lie on a device that has no room.
#[cfg(target_os = "linux")]
fn fill(spill: &std::path::Path) {
    let own = spill.read_dir().unwrap().next().unwrap().unwrap().path();
    for number in 0..1_000 {
        let file = own.join(format!("{number}.arrow"));
        // Those that are there stay as they are.
        let _ = std::os::unix::fs::symlink("/dev/full", file);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_loses_nothing() {
    let (engine, tables) = (engine(), tables());
    for (sql, output) in QUERIES {
        let folder = tempfile::tempdir().unwrap();
        let query = plan(&engine, sql, &tables);
        let options = small(output, folder.path());
        let expected = batch_rows(&engine, &query);
        let mut flow_one = flow(&engine, &query, 3600 * SECOND, &options).unwrap();
        let mut outputs = Vec::new();
        let mut store = Store::default();
        for (binding, table, _) in &query.relations {
            outputs.push(
                flow_one
                    .push(binding, "0", &tables[table.as_str()].slice(0, 2000), BEGIN)
                    .unwrap(),
            );
        }
        outputs.push(flow_one.tick(BEGIN).unwrap());
        store.save(&mut flow_one);
        fill(folder.path());
        let error = push_all(&mut flow_one, &query, &tables, 500).unwrap_err();
        assert!(
            error.to_string().contains("No space left"),
            "{sql}: {error}"
        );
        assert!(matches!(error, StreamError::Spill { .. }), "{sql}: {error}");
        drop(flow_one);
        let mut again = flow(&engine, &query, 3600 * SECOND, &options).unwrap();
        store.restore(&mut again).unwrap();
        for (binding, table, _) in &query.relations {
            let rest = tables[table.as_str()].slice(2000, 2000);
            outputs.push(again.push(binding, "0", &rest, BEGIN).unwrap());
        }
        outputs.push(again.finish().unwrap());
        match output {
            OutputMode::Append => assert_eq!(appended(&outputs), expected, "{sql}"),
            OutputMode::Update => {
                let mut updated = Updated::default();
                for output in &outputs {
                    updated.apply(output, again.key());
                }
                assert_eq!(updated.sorted(), expected, "{sql}");
            }
        }
    }
}

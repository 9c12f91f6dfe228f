//! Windows of fixed length.

use super::support::*;
use crate::{OutputMode, StreamError};

fn tables() -> Tables {
    let mut random = fastrand::Rng::with_seed(42);
    Tables::from([("e", events(&mut random, 1500, 12))])
}

#[test]
fn tumbling_windows_give_what_the_batch_gives() {
    for sql in [
        "SELECT k, window(ts, '1 minute') AS w, count(*) AS n, sum(v) AS s, avg(v) AS a, min(name) AS m
         FROM STREAM e GROUP BY k, window(ts, '1 minute')",
        "SELECT window(ts, '1 minute').start AS a, count(DISTINCT k) AS n FROM STREAM e
         GROUP BY window(ts, '1 minute')",
        "SELECT window(ts, '5 minutes').end AS a, name, max(v) AS n,
           count(v) FILTER (WHERE v > 500) AS big, approx_percentile(v, 0.5) AS median
         FROM STREAM e WHERE v > 0 GROUP BY window(ts, '5 minutes'), name",
        "SELECT k % 3 AS g, window(ts, '1 minute') AS w, max_by(id, v) AS top, round(stddev(v), 6) AS d
         FROM STREAM e GROUP BY k % 3, window(ts, '1 minute') HAVING count(*) > 8",
    ] {
        check_append(sql, &tables(), 0..6);
        check_update(sql, &tables(), 0..6);
    }
}

#[test]
fn overlapping_windows_give_what_the_batch_gives() {
    for sql in [
        "SELECT k, window(ts, '10 minutes', '1 minute') AS w, count(*) AS n, sum(v) AS s, avg(v) AS a
         FROM STREAM e GROUP BY k, window(ts, '10 minutes', '1 minute')",
        "SELECT window(ts, '5 minutes', '2 minutes', '30 seconds') AS w, name, max(id) AS top
         FROM STREAM e GROUP BY window(ts, '5 minutes', '2 minutes', '30 seconds'), name",
        "SELECT k, cumulate_window(ts, '10 minutes', '2 minutes') AS w, count(*) AS n, min(v) AS s
         FROM STREAM e GROUP BY k, cumulate_window(ts, '10 minutes', '2 minutes')",
    ] {
        check_append(sql, &tables(), 0..6);
        check_update(sql, &tables(), 0..6);
    }
}

#[test]
fn sessions_give_what_the_batch_gives() {
    for sql in [
        "SELECT k, session_window(ts, '8 seconds') AS w, count(*) AS n, sum(v) AS s, min(name) AS m
         FROM STREAM e GROUP BY k, session_window(ts, '8 seconds')",
        "SELECT session_window(ts, '2 seconds').start AS a, session_window(ts, '2 seconds').end AS b,
           count(DISTINCT k) AS n FROM STREAM e WHERE k < 5 GROUP BY session_window(ts, '2 seconds')",
    ] {
        check_append(sql, &tables(), 0..8);
        check_update(sql, &tables(), 0..8);
    }
}

#[test]
fn windows_feed_windows() {
    for sql in [
        // Of the windows of each minute, those of each ten.
        "SELECT window(w, '10 minutes') AS ten, max(n) AS busiest, count(*) AS windows
         FROM (SELECT k, window(ts, '1 minute') AS w, count(*) AS n FROM STREAM e
               GROUP BY k, window(ts, '1 minute'))
         GROUP BY window(w, '10 minutes')",
        // The greatest of each window.
        "SELECT w.start AS a, w.end AS b, max(n) AS busiest FROM
           (SELECT k, window(ts, '3 minutes', '1 minute') AS w, count(*) AS n FROM STREAM e
            GROUP BY k, window(ts, '3 minutes', '1 minute'))
         GROUP BY w.start, w.end",
        "SELECT w, avg(n) AS mean FROM
           (SELECT k, window(ts, '1 minute') AS w, count(*) AS n FROM STREAM e
            GROUP BY k, window(ts, '1 minute'))
         GROUP BY w",
    ] {
        check_append(sql, &tables(), 0..4);
        check_update(sql, &tables(), 0..4);
    }
}

#[test]
fn late_rows_are_told_and_take_no_part() {
    let engine = engine();
    let tables = tables();
    let sql = "SELECT window(ts, '1 minute').start AS a, count(*) AS n FROM STREAM e
               GROUP BY window(ts, '1 minute')";
    let query = plan(&engine, sql, &tables);
    let binding = query.relations[0].0.clone();
    let mut flow = flow(&engine, &query, 0, &options(OutputMode::Append)).unwrap();
    let all = &tables["e"];
    flow.push(&binding, "0", &all.slice(200, 100), BEGIN)
        .unwrap();
    let closed = flow.watermark().unwrap() / MINUTE * MINUTE;
    let output = flow.push(&binding, "0", &all.slice(0, 400), BEGIN).unwrap();
    let late: usize = times_of(&all.slice(0, 400))
        .into_iter()
        .filter(|time| *time < closed)
        .count();
    assert!(late > 50);
    assert_eq!(flow.stats().late, late as u64);
    let (of, rows) = &output.late[0];
    assert_eq!((of, rows.num_rows()), (&binding, late));
    assert_eq!(rows.schema(), all.schema());
}

#[test]
fn an_append_without_a_watermark_is_refused() {
    let engine = engine();
    let sql = "SELECT window(id_time, '1 minute') AS w, count(*) AS n
               FROM (SELECT ts + make_interval(0, 0, 0, 0, 0, 0, k) AS id_time FROM STREAM e)
               GROUP BY window(id_time, '1 minute')";
    let sql = sql.replace(
        "ts + make_interval(0, 0, 0, 0, 0, 0, k)",
        "timestamp_seconds(k)",
    );
    let query = plan(&engine, &sql, &tables());
    let error = flow(&engine, &query, 0, &options(OutputMode::Append)).unwrap_err();
    assert!(matches!(error, StreamError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("WATERMARK"), "{error}");
}

#[test]
fn a_checkpoint_writes_only_what_is_new() {
    let engine = engine();
    let tables = tables();
    let sql = "SELECT k, window(ts, '1 minute') AS w, count(*) AS n FROM STREAM e
               GROUP BY k, window(ts, '1 minute')";
    let query = plan(&engine, sql, &tables);
    let binding = query.relations[0].0.clone();
    let mut flow = flow(&engine, &query, 3600 * SECOND, &options(OutputMode::Append)).unwrap();
    let mut store = Store::default();
    flow.push(&binding, "0", &tables["e"].slice(0, 600), BEGIN)
        .unwrap();
    assert!(store.save(&mut flow) >= 9);
    assert_eq!(store.save(&mut flow), 0);
    flow.push(&binding, "0", &tables["e"].slice(0, 5), BEGIN)
        .unwrap();
    assert_eq!(store.save(&mut flow), 1);
}

#[test]
fn panes_beyond_the_memory_are_spilled() {
    let folder = tempfile::tempdir().unwrap();
    let options = crate::Options {
        memory_bytes: 60_000,
        spill_folder: folder.path().join("spill"),
        ..options(OutputMode::Append)
    };
    let mut random = fastrand::Rng::with_seed(8);
    let tables = Tables::from([("e", events(&mut random, 3000, 700))]);
    for sql in [
        "SELECT k, name, window(ts, '10 minutes') AS w, count(*) AS n, sum(v) AS s, max(name) AS m
         FROM STREAM e GROUP BY k, name, window(ts, '10 minutes')",
        "SELECT k, window(ts, '10 minutes', '1 minute') AS w, count(*) AS n, count(DISTINCT v) AS s
         FROM STREAM e GROUP BY k, window(ts, '10 minutes', '1 minute')",
    ] {
        check_append_with(sql, &tables, 0..4, &options);
        let engine = engine();
        let query = plan(&engine, sql, &tables);
        let mut flow = flow(&engine, &query, 3600 * SECOND, &options).unwrap();
        let binding = &query.relations[0].0;
        flow.push(binding, "0", &tables["e"], BEGIN).unwrap();
        let stats = flow.stats();
        assert!(stats.state_bytes() <= 60_000, "{stats:?}");
        assert!(stats.operators[0].spilled_bytes > 10_000, "{stats:?}");
        let files = || {
            let own = folder.path().join("spill").read_dir().unwrap().next();
            own.unwrap().unwrap().path().read_dir().unwrap().count()
        };
        // With the lock of the folder.
        assert!(files() > 1);
        flow.finish().unwrap();
        assert_eq!(files(), 1);
        drop(flow);
        assert_eq!(folder.path().join("spill").read_dir().unwrap().count(), 0);
    }
}

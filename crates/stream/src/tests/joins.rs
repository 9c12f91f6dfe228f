//! Joins of streams, and of a stream with a table.

use super::support::*;
use crate::{OutputMode, StreamError};

fn tables() -> Tables {
    let mut random = fastrand::Rng::with_seed(5);
    Tables::from([
        ("a", events(&mut random, 700, 30)),
        ("b", events(&mut random, 700, 30)),
        ("table_of_keys", events(&mut random, 20, 40)),
    ])
}

#[test]
fn rows_within_a_time_are_matched() {
    for join in ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"] {
        check_append(
            &format!(
                "SELECT a.id, b.id AS other, a.v + b.v AS sum FROM STREAM a {join} STREAM b
                 ON a.k = b.k AND b.ts BETWEEN a.ts - INTERVAL 5 SECONDS AND a.ts + INTERVAL 20 SECONDS
                 AND a.v < b.v"
            ),
            &tables(),
            0..6,
        );
    }
}

#[test]
fn rows_after_others_are_matched() {
    for sql in [
        "SELECT a.id, b.id AS other FROM STREAM a JOIN STREAM b
         ON a.k = b.k WHERE b.ts >= a.ts AND b.ts < a.ts + INTERVAL 1 MINUTE",
        "SELECT a.id FROM STREAM a LEFT SEMI JOIN STREAM b
         ON a.k = b.k AND a.ts - b.ts < INTERVAL 30 SECONDS AND b.ts <= a.ts AND b.ts > a.ts - INTERVAL 30 SECONDS",
        "SELECT a.id FROM STREAM a LEFT ANTI JOIN STREAM b
         ON a.k = b.k AND b.ts <= a.ts + INTERVAL 30 SECONDS AND b.ts > a.ts - INTERVAL 30 SECONDS",
        "SELECT a.id, b.id AS other FROM STREAM a JOIN STREAM b ON a.name = b.name AND a.k = b.v % 30",
    ] {
        check_append(sql, &tables(), 0..6);
    }
}

#[test]
fn windows_are_joined_to_windows() {
    for sql in [
        "SELECT x.w, x.k, x.n, y.n AS m FROM
           (SELECT k, window(ts, '1 minute') AS w, count(*) AS n FROM STREAM a GROUP BY k, window(ts, '1 minute')) x
         JOIN
           (SELECT k, window(ts, '1 minute') AS w, count(*) AS n FROM STREAM b GROUP BY k, window(ts, '1 minute')) y
         ON x.k = y.k AND x.w = y.w",
        "SELECT x.w.start AS s, x.k, x.n, y.n AS m FROM
           (SELECT k, window(ts, '2 minutes', '1 minute') AS w, count(*) AS n FROM STREAM a
            GROUP BY k, window(ts, '2 minutes', '1 minute')) x
         LEFT JOIN
           (SELECT k, window(ts, '2 minutes', '1 minute') AS w, count(*) AS n FROM STREAM b
            GROUP BY k, window(ts, '2 minutes', '1 minute')) y
         ON x.k = y.k AND x.w.start = y.w.start AND x.w.end = y.w.end",
        // A window of what was joined.
        "SELECT window(ts, '1 minute') AS w, count(*) AS n, sum(other) AS s FROM
           (SELECT a.ts AS ts, b.v AS other FROM STREAM a JOIN STREAM b
            ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL 20 SECONDS)
         GROUP BY window(ts, '1 minute')",
    ] {
        check_append(sql, &tables(), 0..5);
    }
}

#[test]
fn matched_rows_are_forgotten_in_time() {
    let engine = engine();
    let tables = tables();
    let sql = "SELECT a.id, b.id AS other FROM STREAM a LEFT JOIN STREAM b
               ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL 10 SECONDS";
    let query = plan(&engine, sql, &tables);
    let mut random = fastrand::Rng::with_seed(1);
    let mut flow = flow(&engine, &query, SECOND, &options(OutputMode::Append)).unwrap();
    for (binding, partition, rows) in pushes(&mut random, &query, &tables, SECOND) {
        flow.push(&binding, &partition, &rows, BEGIN).unwrap();
    }
    // Generations go as a whole.
    assert!(flow.stats().operators[0].rows <= 1400);
    flow.finish().unwrap();
    assert_eq!(flow.stats().operators[0].rows, 0);
}

#[test]
fn a_table_is_looked_up() {
    for sql in [
        "SELECT a.id, t.id AS other, t.v FROM STREAM a JOIN table_of_keys t ON a.k = t.k AND t.v > 0",
        "SELECT a.id, t.name FROM STREAM a LEFT JOIN (SELECT k, max(name) AS name FROM table_of_keys GROUP BY k) t
         ON a.k = t.k",
        "SELECT t.v, a.id FROM table_of_keys t RIGHT JOIN STREAM a ON a.k = t.k",
        "SELECT id FROM STREAM a WHERE k IN (SELECT k FROM table_of_keys)",
        "SELECT id FROM STREAM a LEFT ANTI JOIN table_of_keys t ON a.k = t.k",
        "SELECT window(a.ts, '1 minute') AS w, t.name, count(*) AS n FROM STREAM a JOIN table_of_keys t ON a.k = t.k
         GROUP BY window(a.ts, '1 minute'), t.name",
    ] {
        check_append(sql, &tables(), 0..3);
    }
}

#[test]
fn a_table_that_changed_is_read_again() {
    let engine = engine();
    let tables = tables();
    let sql = "SELECT a.id, t.v FROM STREAM a JOIN table_of_keys t ON a.k = t.k";
    let query = plan(&engine, sql, &tables);
    let of = |name: &str| {
        let found = query.relations.iter().find(|(_, table, _)| table == name);
        found.unwrap().0.clone()
    };
    let mut flow = flow(&engine, &query, 0, &options(OutputMode::Append)).unwrap();
    let before = flow.push(&of("a"), "0", &tables["a"], BEGIN).unwrap();
    assert!(!before.rows.is_empty());
    let empty = tidegate_engine::memory::empty(tables["table_of_keys"].schema()).unwrap();
    flow.table_changed(&of("table_of_keys"), &empty).unwrap();
    let after = flow.push(&of("a"), "0", &tables["a"], BEGIN).unwrap();
    assert!(after.rows.is_empty());
}

#[test]
fn streams_are_put_together() {
    check_append(
        "SELECT window(ts, '1 minute') AS w, count(*) AS n FROM
           (SELECT ts, v FROM STREAM a UNION ALL SELECT ts, v FROM STREAM b WHERE v > 0)
         GROUP BY window(ts, '1 minute')",
        &tables(),
        0..5,
    );
}

#[test]
fn an_outer_join_without_a_bound_is_refused() {
    let engine = engine();
    for sql in [
        "SELECT a.id FROM STREAM a LEFT JOIN STREAM b ON a.k = b.k",
        "SELECT a.id FROM STREAM a JOIN STREAM b ON a.v < b.v",
        "SELECT a.id FROM STREAM a RIGHT JOIN table_of_keys b ON a.k = b.k",
        "SELECT id FROM STREAM a ORDER BY ts",
        "SELECT id FROM STREAM a LIMIT 3",
        "SELECT id, sum(v) OVER (PARTITION BY k ORDER BY ts) AS s FROM STREAM a",
        "SELECT k, count(*) AS n FROM STREAM a GROUP BY ROLLUP (k)",
    ] {
        let query = plan(&engine, sql, &tables());
        let error = flow(&engine, &query, 0, &options(OutputMode::Append)).unwrap_err();
        assert!(
            matches!(error, StreamError::Unsupported { .. }),
            "{sql}: {error}"
        );
    }
}

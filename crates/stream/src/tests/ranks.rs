//! Top-N, deduplication, distinct rows.

use super::support::*;
use crate::OutputMode;

fn tables() -> Tables {
    let mut random = fastrand::Rng::with_seed(11);
    Tables::from([("e", events(&mut random, 1200, 25))])
}

#[test]
fn the_first_rows_of_each_key_are_kept_up_to_date() {
    for sql in [
        "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY v DESC, id) AS n FROM STREAM e)
         WHERE n <= 3",
        "SELECT name, v, id FROM STREAM e
         QUALIFY row_number() OVER (PARTITION BY name ORDER BY v DESC NULLS LAST, id) = 1",
        "SELECT k, v, n FROM (SELECT k, v, row_number() OVER (PARTITION BY k ORDER BY ts, id) AS n FROM STREAM e)
         WHERE n < 3 AND v > 100",
    ] {
        check_update(sql, &tables(), 0..6);
    }
}

#[test]
fn the_first_rows_by_time_come_out_once_settled() {
    for sql in [
        "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY ts) AS n FROM STREAM e)
         WHERE n = 1",
        "SELECT k, ts, n FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY ts) AS n FROM STREAM e)
         WHERE n BETWEEN 1 AND 4",
    ] {
        check_append(sql, &tables(), 0..8);
    }
}

#[test]
fn rows_are_ranked_in_windows_that_close() {
    check_append(
        "SELECT w, k, n, r FROM (
           SELECT *, row_number() OVER (PARTITION BY w ORDER BY n DESC, k) AS r FROM (
             SELECT k, window(ts, '1 minute') AS w, count(*) AS n FROM STREAM e
             GROUP BY k, window(ts, '1 minute')))
         WHERE r <= 3",
        &tables(),
        0..6,
    );
}

#[test]
fn distinct_rows_come_once() {
    for sql in [
        "SELECT DISTINCT k, name FROM STREAM e",
        "SELECT DISTINCT k, date_trunc('minute', ts) AS m FROM STREAM e WHERE v > 0",
        "SELECT DISTINCT k, ts FROM (SELECT k, ts FROM STREAM e)",
        "SELECT k, count(*) AS n, window(ts, '5 minutes') AS w FROM (SELECT DISTINCT k, ts FROM STREAM e)
         GROUP BY k, window(ts, '5 minutes')",
    ] {
        check_append(sql, &tables(), 0..6);
    }
}

#[test]
fn distinct_rows_with_a_time_are_forgotten_when_it_has_passed() {
    let engine = engine();
    let tables = tables();
    let query = plan(&engine, "SELECT DISTINCT k, ts FROM STREAM e", &tables);
    let binding = query.relations[0].0.clone();
    let mut flow = flow(&engine, &query, 10 * SECOND, &options(OutputMode::Append)).unwrap();
    for at in 0..12 {
        flow.push(&binding, "0", &tables["e"].slice(at * 100, 100), BEGIN)
            .unwrap();
    }
    assert!(flow.stats().operators[0].rows < 60, "{:?}", flow.stats());
}

//! State by key: running aggregates.

use super::support::*;
use crate::{OutputMode, StreamError};

fn tables() -> Tables {
    let mut random = fastrand::Rng::with_seed(7);
    Tables::from([("e", events(&mut random, 1200, 40))])
}

#[test]
fn running_aggregates_give_what_the_batch_gives() {
    for sql in [
        "SELECT k, count(*) AS n, sum(v) AS s, avg(v) AS a, max(name) AS m FROM STREAM e GROUP BY k",
        "SELECT name, k % 2 AS odd, count(DISTINCT v) AS n, count(v) FILTER (WHERE v > 10) AS big
         FROM STREAM e GROUP BY name, k % 2",
        "SELECT count(*) AS n, min(v) AS least FROM STREAM e",
        "SELECT k, round(total / 10) AS tens FROM
           (SELECT k, sum(v) AS total FROM STREAM e GROUP BY k HAVING sum(v) % 2 = 0)
         WHERE total > 0",
    ] {
        check_update(sql, &tables(), 0..6);
    }
}

#[test]
fn a_running_aggregate_cannot_be_appended() {
    let engine = engine();
    let query = plan(
        &engine,
        "SELECT k, count(*) AS n FROM STREAM e GROUP BY k",
        &tables(),
    );
    let error = flow(&engine, &query, 0, &options(OutputMode::Append)).unwrap_err();
    assert!(matches!(error, StreamError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("never final"), "{error}");
}

#[test]
fn keys_live_as_long_as_they_are_touched() {
    let engine = engine();
    let tables = tables();
    let query = plan(
        &engine,
        "SELECT k, count(*) AS n FROM STREAM e GROUP BY k",
        &tables,
    );
    let binding = query.relations[0].0.clone();
    let mut options = options(OutputMode::Update);
    options.time_to_live_micros = Some(80 * SECOND);
    let mut flow = flow(&engine, &query, 0, &options).unwrap();
    let one = tables["e"].slice(0, 1);
    let other = tables["e"].slice(1, 1);
    assert_ne!(
        texts(&one.project(&[1]).unwrap()),
        texts(&other.project(&[1]).unwrap())
    );
    let count = |output: crate::Output| texts(&output.rows[0].project(&[1]).unwrap());
    let mut push = |rows, now: i64| {
        flow.push(&binding, "0", rows, BEGIN + now * SECOND)
            .unwrap()
    };
    push(&one, 0);
    push(&other, 0);
    assert_eq!(count(push(&one, 60)), ["2"]);
    assert_eq!(count(push(&one, 120)), ["3"]);
    assert_eq!(count(push(&other, 130)), ["1"]);
    assert_eq!(flow.stats().operators[0].rows, 2);
}

#[test]
fn an_added_aggregate_keeps_the_state_of_the_others() {
    let engine = engine();
    let tables = tables();
    for (output, window) in [
        (OutputMode::Update, ""),
        (OutputMode::Append, ", window(ts, '1 hour')"),
        (OutputMode::Update, ", window(ts, '1 hour')"),
        (OutputMode::Append, ", session_window(ts, '1 hour')"),
    ] {
        let sql = |what: &str| format!("SELECT k, {what} FROM STREAM e GROUP BY k{window}");
        let keyed = |what: &str| match window {
            "" => sql(what),
            _ => sql(&format!("{what}, {} AS w", &window[2..])),
        };
        let options = options(output);
        let before = plan(&engine, &keyed("count(*) AS n, max(id) AS i"), &tables);
        let binding = before.relations[0].0.clone();
        let mut first = flow(&engine, &before, 3600 * SECOND, &options).unwrap();
        first
            .push(&binding, "0", &tables["e"].slice(0, 500), BEGIN)
            .unwrap();
        first.tick(BEGIN).unwrap();
        let mut store = Store::default();
        store.save(&mut first);
        let after = plan(&engine, &keyed("sum(v) AS s, count(*) AS n"), &tables);
        let mut second = flow(&engine, &after, 3600 * SECOND, &options).unwrap();
        store.restore(&mut second).unwrap();
        let rest = tables["e"].slice(500, 100);
        let mut outputs = vec![second.push(&binding, "0", &rest, BEGIN).unwrap()];
        store.save(&mut second);
        let mut third = flow(&engine, &after, 3600 * SECOND, &options).unwrap();
        store.restore(&mut third).unwrap();
        outputs.push(
            third
                .push(&binding, "0", &tables["e"].slice(600, 1), BEGIN)
                .unwrap(),
        );
        outputs.push(third.finish().unwrap());
        let counted = plan(
            &engine,
            "SELECT k, count(*) AS n FROM e WHERE id <= 600 GROUP BY k",
            &tables,
        );
        let expected = batch_rows(&engine, &counted);
        let mut updated = Updated::default();
        for output in &outputs {
            let of = |batch| arrow::array::RecordBatch::project(batch, &[0, 2]).unwrap();
            let rows = output.rows.iter().map(of).collect();
            updated.apply(
                &crate::Output {
                    rows,
                    ..Default::default()
                },
                &[0],
            );
        }
        // Keys that only came before the change have told their rows then.
        let told = updated.sorted();
        assert!(told.len() > 30);
        assert!(
            told.iter().all(|row| expected.contains(row)),
            "{window}: {told:?} {expected:?}"
        );
    }
}

#[test]
fn a_checkpoint_of_another_meaning_is_refused() {
    let engine = engine();
    let tables = tables();
    let first = plan(
        &engine,
        "SELECT k, count(*) AS n FROM STREAM e GROUP BY k",
        &tables,
    );
    let other = plan(
        &engine,
        "SELECT name, count(*) AS n FROM STREAM e GROUP BY name",
        &tables,
    );
    let options = options(OutputMode::Update);
    let mut flow_one = flow(&engine, &first, 0, &options).unwrap();
    let mut store = Store::default();
    store.save(&mut flow_one);
    let mut flow_two = flow(&engine, &other, 0, &options).unwrap();
    let error = store.restore(&mut flow_two).unwrap_err();
    assert!(
        matches!(error, StreamError::StateMismatch { .. }),
        "{error}"
    );
}

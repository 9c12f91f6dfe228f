//! Watermarks by partition, idle partitions, rows from the future and without a time.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};

use super::support::*;
use crate::{Dataflow, Input, Options, OutputMode, StreamError, WatermarkSpec};

fn rows(seconds: &[Option<i64>]) -> RecordBatch {
    let times = seconds.iter().map(|s| s.map(|s| BEGIN + s * SECOND));
    let times: TimestampMicrosecondArray = times.collect();
    let ids = Int64Array::from_iter_values(0..seconds.len() as i64);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(ids)),
        ("ts", Arc::new(times.with_timezone("UTC"))),
    ];
    batch(columns)
}

fn at(second: i64) -> Vec<Option<i64>> {
    vec![Some(second)]
}

/// Counts by minute, with a delay of 10 seconds.
fn counts(options: &Options) -> (String, Dataflow) {
    let engine = engine();
    let tables = Tables::from([("e", rows(&[]))]);
    let sql = "SELECT window(ts, '1 minute').start AS a, count(*) AS n FROM STREAM e
               GROUP BY window(ts, '1 minute')";
    let query = plan(&engine, sql, &tables);
    let flow = flow(&engine, &query, 10 * SECOND, options).unwrap();
    (query.relations[0].0.clone(), flow)
}

fn after(second: i64) -> Option<i64> {
    Some(BEGIN + second * SECOND)
}

#[test]
fn the_slowest_partition_holds_the_watermark_back() {
    let (e, mut flow) = counts(&options(OutputMode::Append));
    assert_eq!(flow.watermark(), None);
    flow.push(&e, "0", &rows(&at(100)), 0).unwrap();
    assert_eq!(flow.watermark(), after(90));
    flow.push(&e, "1", &rows(&at(40)), 0).unwrap();
    // It never goes back.
    assert_eq!(flow.watermark(), after(90));
    flow.push(&e, "0", &rows(&at(200)), 0).unwrap();
    assert_eq!(flow.watermark(), after(90));
    let output = flow.push(&e, "1", &rows(&at(150)), 0).unwrap();
    assert_eq!(flow.watermark(), after(140));
    assert_eq!(sorted(&output.rows).len(), 1);
}

#[test]
fn a_partition_that_is_expected_holds_the_watermark_until_its_first_rows() {
    let mut options = options(OutputMode::Append);
    options.idle_micros = 30 * SECOND;
    let (e, mut flow) = counts(&options);
    flow.expect(&e, "0", 0).unwrap();
    flow.expect(&e, "1", 0).unwrap();
    flow.push(&e, "0", &rows(&at(200)), 0).unwrap();
    assert_eq!(flow.watermark(), None);
    // It is not expected anew once it is known.
    flow.push(&e, "1", &rows(&at(40)), SECOND).unwrap();
    flow.expect(&e, "1", 2 * SECOND).unwrap();
    assert_eq!(flow.watermark(), after(30));
    assert_eq!(flow.stats().late, 0);
    flow.expect(&e, "2", 2 * SECOND).unwrap();
    flow.push(&e, "1", &rows(&at(150)), 20 * SECOND).unwrap();
    flow.push(&e, "0", &rows(&at(210)), 20 * SECOND).unwrap();
    assert_eq!(flow.watermark(), after(30));
    // Nothing came for thirty seconds: it is idle.
    flow.push(&e, "0", &rows(&at(220)), 33 * SECOND).unwrap();
    assert_eq!(flow.watermark(), after(140));
    assert!(matches!(
        flow.expect("other", "0", 0),
        Err(StreamError::UnknownInput { .. })
    ));
}

#[test]
fn an_idle_partition_does_not() {
    let mut options = options(OutputMode::Append);
    options.idle_micros = 30 * SECOND;
    let (e, mut flow) = counts(&options);
    flow.push(&e, "0", &rows(&at(10)), 0).unwrap();
    flow.push(&e, "1", &rows(&at(10)), 0).unwrap();
    flow.push(&e, "0", &rows(&at(300)), 20 * SECOND).unwrap();
    assert_eq!(flow.watermark(), after(0));
    let output = flow.tick(30 * SECOND).unwrap();
    assert_eq!(flow.watermark(), after(290));
    assert_eq!(sorted(&output.rows).len(), 1);
    // All are idle: nothing says how late it is.
    flow.tick(500 * SECOND).unwrap();
    assert_eq!(flow.watermark(), after(290));
    // It comes back, too late.
    let output = flow.push(&e, "1", &rows(&at(11)), 500 * SECOND).unwrap();
    assert_eq!(output.late.len(), 1);
    assert_eq!(flow.stats().late, 1);
}

#[test]
fn an_idle_stream_does_not_hold_a_join_back() {
    let engine = engine();
    let tables = Tables::from([("a", rows(&[])), ("b", rows(&[]))]);
    let sql = "SELECT a.id, b.id AS other FROM STREAM a LEFT JOIN STREAM b
               ON a.id = b.id AND b.ts BETWEEN a.ts AND a.ts + INTERVAL 5 SECONDS";
    let query = plan(&engine, sql, &tables);
    let mut options = options(OutputMode::Append);
    options.idle_micros = 60 * SECOND;
    let mut flow = flow(&engine, &query, 0, &options).unwrap();
    let left = query.relations[0].0.clone();
    flow.push(&left, "0", &rows(&at(0)), 0).unwrap();
    let output = flow.push(&left, "0", &rows(&at(50)), 50 * SECOND).unwrap();
    assert!(output.rows.is_empty());
    let output = flow.tick(70 * SECOND).unwrap();
    assert_eq!(sorted(&output.rows), ["0 | NULL"]);
}

#[test]
fn rows_without_a_usable_time_come_out_as_they_were() {
    let mut options = options(OutputMode::Append);
    options.future_micros = 60 * SECOND;
    let (e, mut flow) = counts(&options);
    let all = rows(&[Some(0), None, Some(4_000_000_000), Some(1)]);
    let output = flow.push(&e, "0", &all, BEGIN).unwrap();
    assert_eq!(flow.watermark(), after(-9));
    let [(binding, future)] = output.future.as_slice() else {
        panic!("{output:?}");
    };
    assert_eq!((binding, future.num_rows()), (&e, 2));
    assert_eq!(flow.stats().future, 2);
    let output = flow.finish().unwrap();
    assert!(texts(&output.rows[0])[0].ends_with("| 2"), "{output:?}");
}

#[test]
fn state_comes_back_with_its_watermarks() {
    let (e, mut flow) = counts(&options(OutputMode::Append));
    flow.push(&e, "0", &rows(&at(100)), 0).unwrap();
    flow.push(&e, "1", &rows(&at(170)), 0).unwrap();
    let mut store = Store::default();
    store.save(&mut flow);
    let (e, mut again) = counts(&options(OutputMode::Append));
    store.restore(&mut again).unwrap();
    assert_eq!(again.watermark(), flow.watermark());
    let late = again.push(&e, "0", &rows(&at(3)), 0).unwrap();
    assert_eq!(late.late.len(), 1);
}

#[test]
fn what_does_not_belong_is_refused() {
    let (e, mut flow) = counts(&options(OutputMode::Append));
    let error = flow.push("other", "0", &rows(&at(1)), 0).unwrap_err();
    assert!(matches!(error, StreamError::UnknownInput { .. }), "{error}");
    let wrong = rows(&at(1)).project(&[0]).unwrap();
    let error = flow.push(&e, "0", &wrong, 0).unwrap_err();
    assert!(matches!(error, StreamError::Columns { .. }), "{error}");
    let mut store = Store::default();
    flow.push(&e, "0", &rows(&at(1)), 0).unwrap();
    store.save(&mut flow);
    for bytes in store.segments.values_mut() {
        bytes.truncate(bytes.len() / 2);
    }
    let (_, mut again) = counts(&options(OutputMode::Append));
    let error = store.restore(&mut again).unwrap_err();
    assert!(matches!(error, StreamError::Damaged { .. }), "{error}");
    store.segments.clear();
    let error = store.restore(&mut again).unwrap_err();
    assert!(matches!(error, StreamError::Damaged { .. }), "{error}");
}

#[test]
fn a_watermark_needs_a_column_that_is_a_time() {
    let engine = engine();
    let tables = Tables::from([("e", rows(&[]))]);
    let query = plan(&engine, "SELECT id FROM STREAM e", &tables);
    for column in ["id", "nothing"] {
        let input = Input {
            binding: query.relations[0].0.clone(),
            watermark: Some(WatermarkSpec {
                time: column.to_owned(),
                delay_micros: 0,
            }),
        };
        let options = options(OutputMode::Append);
        let made = Dataflow::compile(&engine, &query.planned, vec![input], options);
        let error = made.unwrap_err();
        assert!(matches!(error, StreamError::Unsupported { .. }), "{error}");
    }
}

#[test]
fn what_was_held_comes_step_by_step() {
    let (e, mut flow) = counts(&options(OutputMode::Append));
    flow.hold();
    // The parts of a commit: the second begins before the first ends.
    for second in (0..3_000).step_by(20).chain((10..3_000).step_by(20)) {
        let output = flow.push(&e, "", &rows(&at(second)), 0).unwrap();
        assert!(output.is_empty());
    }
    let (mut steps, mut closed) = (0, Vec::new());
    loop {
        let (output, more) = flow.release(0).unwrap();
        assert!(output.late.is_empty());
        closed.extend(sorted(&output.rows));
        steps += 1;
        if !more {
            break;
        }
    }
    assert!(steps > 10, "{steps} steps");
    assert_eq!(flow.watermark(), after(2_980));
    assert_eq!(closed.len(), 49);
    assert!(closed.iter().all(|row| row.ends_with(" | 6")), "{closed:?}");
    assert_eq!(flow.stats().late, 0);
    // Held no longer.
    flow.push(&e, "", &rows(&at(4_000)), 0).unwrap();
    assert_eq!(flow.watermark(), after(3_990));
}

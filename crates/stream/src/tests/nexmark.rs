//! Nexmark's windowed joins, over its small fixed input in shuffled order.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};

use super::support::*;
use crate::OutputMode;

/// The hottest auctions of each ten seconds, every two seconds.
const Q5: &str = "
SELECT bids.auction, bids.n FROM
  (SELECT auction, count(*) AS n, window(ts, '10 seconds', '2 seconds').start AS s FROM STREAM bid
   GROUP BY auction, window(ts, '10 seconds', '2 seconds').start) bids
JOIN
  (SELECT max(n) AS most, s FROM
     (SELECT auction, count(*) AS n, window(ts, '10 seconds', '2 seconds').start AS s FROM STREAM bid
      GROUP BY auction, window(ts, '10 seconds', '2 seconds').start)
   GROUP BY s) highest
ON bids.s = highest.s AND bids.n >= highest.most";

/// The highest bid of each ten seconds.
const Q7: &str = "
SELECT b.auction, b.price, b.bidder, b.ts FROM STREAM bid b JOIN
  (SELECT max(price) AS highest, window(ts, '10 seconds').end AS e FROM STREAM bid
   GROUP BY window(ts, '10 seconds').end) w
ON b.price = w.highest WHERE b.ts BETWEEN w.e - INTERVAL 10 SECONDS AND w.e";

/// Who opened an auction in the ten seconds in which they came.
const Q8: &str = "
SELECT p.id, p.name, p.s FROM
  (SELECT id, name, window(ts, '10 seconds').start AS s, window(ts, '10 seconds').end AS e FROM STREAM person
   GROUP BY id, name, window(ts, '10 seconds').start, window(ts, '10 seconds').end) p
JOIN
  (SELECT seller, window(ts, '10 seconds').start AS s, window(ts, '10 seconds').end AS e FROM STREAM auction
   GROUP BY seller, window(ts, '10 seconds').start, window(ts, '10 seconds').end) a
ON p.id = a.seller AND p.s = a.s AND p.e = a.e";

fn tables() -> Tables {
    Tables::from([
        ("bid", read(include_str!("nexmark/bid.csv"))),
        ("auction", read(include_str!("nexmark/auction.csv"))),
        ("person", read(include_str!("nexmark/person.csv"))),
    ])
}

/// Columns of numbers, but for `name` and `ts`.
fn read(text: &str) -> RecordBatch {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let column = |at: usize, name: &str| -> ArrayRef {
        let values = rows.iter().map(|row| row[at]);
        match name {
            "name" => Arc::new(StringViewArray::from_iter_values(values)),
            "ts" => {
                let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values(values));
                let times = arrow::compute::cast(&texts, &plain_time()).unwrap();
                let times = times.as_any().downcast_ref::<TimestampMicrosecondArray>();
                Arc::new(times.unwrap().clone().with_timezone("UTC"))
            }
            _ => Arc::new(Int64Array::from_iter_values(
                values.map(|v| v.parse().unwrap()),
            )),
        }
    };
    let columns = names.iter().enumerate();
    batch(
        columns
            .map(|(at, name)| (*name, column(at, name)))
            .collect(),
    )
}

fn plain_time() -> arrow::datatypes::DataType {
    arrow::datatypes::DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None)
}

fn check(sql: &str, expected: &str, separator: char) {
    let tables = tables();
    check_append(sql, &tables, 0..20);
    let engine = engine();
    let query = plan(&engine, sql, &tables);
    let mut random = fastrand::Rng::with_seed(3);
    let pushes = pushes(&mut random, &query, &tables, 3 * SECOND);
    let options = options(OutputMode::Append);
    let make = || flow(&engine, &query, 3 * SECOND, &options).unwrap();
    let (outputs, _) = run(&mut random, &make, &pushes, false);
    let given = appended(&outputs).into_iter();
    let given = given.map(|row| row.replace('T', " ").replace('Z', ""));
    let mut given: Vec<String> = given.collect();
    let mut expected: Vec<String> = expected
        .lines()
        .map(|line| match separator {
            // The last of these columns has a space within.
            ' ' => line.splitn(4, ' ').collect::<Vec<_>>().join(" | "),
            other => line.split(other).collect::<Vec<_>>().join(" | "),
        })
        .collect();
    given.sort();
    expected.sort();
    assert_eq!(given, expected, "{sql}");
}

#[test]
fn the_hottest_auctions() {
    check(Q5, include_str!("nexmark/q5.tsv"), '\t');
}

#[test]
fn the_highest_bids() {
    check(Q7, include_str!("nexmark/q7.tsv"), ' ');
}

#[test]
fn new_people_who_sell() {
    check(Q8, include_str!("nexmark/q8.tsv"), '\t');
}

use arrow::array::{ArrayRef, Date32Array, Int64Array, StringViewArray};

use super::*;
use crate::testing::{append, batch, commit, lake, people, plan, query, spec};
use crate::{CommitMode, Lake, TableSpec};

/// Five files: `id` from 0 to 49, ten in each, `day` the same within a file, NULL in the last.
async fn days(lake: &Lake) -> LakeTable {
    let mut table = None;
    for part in 0..5_i64 {
        let day = Some(i32::try_from(part).unwrap()).filter(|day| *day < 4);
        let rows = batch([
            (
                "day",
                Arc::new(Date32Array::from(vec![day; 10])) as ArrayRef,
            ),
            (
                "id",
                Arc::new(Int64Array::from_iter_values(part * 10..part * 10 + 10)),
            ),
            (
                "name",
                Arc::new(StringViewArray::from(vec![format!("part-{part}"); 10])),
            ),
        ]);
        let spec = TableSpec {
            partitioned_by: vec!["day".to_owned()],
            ..spec("t", &rows)
        };
        let done = commit(lake, &spec, CommitMode::Append, &rows, None)
            .await
            .unwrap();
        table = Some(done.table);
    }
    table.unwrap()
}

/// How many data files a plan reads.
fn files_read(plan: &str) -> usize {
    plan.matches(".parquet").count()
}

#[tokio::test]
async fn columns_come_in_the_order_of_the_table() {
    let (_folder, lake) = lake().await;
    let table = days(&lake).await;
    let all = query(table.provider(), "SELECT * FROM t WHERE id = 10").await;
    let expected = "\
+------------+----+--------+
| day        | id | name   |
+------------+----+--------+
| 1970-01-02 | 10 | part-1 |
+------------+----+--------+";
    assert_eq!(all, expected);
    let some = query(table.provider(), "SELECT name, day FROM t WHERE id = 45").await;
    assert!(some.contains("| part-4 |     |"), "{some}");
}

#[tokio::test]
async fn files_that_cannot_hold_a_row_are_not_read() {
    let (_folder, lake) = lake().await;
    let table = days(&lake).await;
    let count = async |condition: &str| {
        let plan = plan(
            table.provider(),
            &format!("SELECT id FROM t WHERE {condition}"),
        )
        .await;
        files_read(&plan)
    };
    assert_eq!(count("id = 25").await, 1);
    assert_eq!(count("id < 15").await, 2);
    assert_eq!(count("name = 'part-3'").await, 1);
    assert_eq!(count("day = DATE '1970-01-02'").await, 1);
    assert_eq!(count("day IS NULL").await, 1);
    assert_eq!(count("day > DATE '1970-01-02' AND id < 25").await, 1);
    assert_eq!(count("date_part('day', day) = 3").await, 1);
    assert_eq!(count("id > 100").await, 0);
    assert_eq!(count("id % 2 = 0").await, 5);
    // And what is read is right.
    let sql = "SELECT count(*) AS n, min(id) AS low FROM t WHERE day >= DATE '1970-01-03'";
    let answer = query(table.provider(), sql).await;
    assert!(answer.contains("| 20 | 20  |"), "{answer}");
}

#[tokio::test]
async fn counting_and_bounds_read_no_file() {
    let (_folder, lake) = lake().await;
    let table = days(&lake).await;
    let sql = "SELECT count(*), min(id), max(id), count(day) FROM t";
    let text = plan(table.provider(), sql).await;
    assert_eq!(files_read(&text), 0, "{text}");
    let answer = query(table.provider(), sql).await;
    assert!(
        answer.contains("| 50       | 0         | 49        | 40           |"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_limit_reads_as_few_files_as_needed() {
    let (_folder, lake) = lake().await;
    let table = days(&lake).await;
    let text = plan(table.provider(), "SELECT * FROM t LIMIT 15").await;
    assert_eq!(files_read(&text), 2, "{text}");
    let answer = query(
        table.provider(),
        "SELECT count(*) FROM (SELECT * FROM t LIMIT 15)",
    )
    .await;
    assert!(answer.contains("| 15 "), "{answer}");
}

#[tokio::test]
async fn filters_and_columns_reach_the_scan() {
    let (_folder, lake) = lake().await;
    let table = append(&lake, "t", &people(&[(1, "Ada"), (2, "Bob")]))
        .await
        .table;
    let text = plan(table.provider(), "SELECT name FROM t WHERE id = 2").await;
    assert!(text.contains("DataSourceExec"), "{text}");
    assert!(text.contains("predicate=id@"), "{text}");
    assert!(text.contains("pruning_predicate="), "{text}");
}

#[tokio::test]
async fn a_table_without_files_has_no_rows() {
    let (_folder, lake) = lake().await;
    let table = append(&lake, "t", &people(&[])).await.table;
    let answer = query(
        table.provider(),
        "SELECT count(*) AS n, max(name) AS m FROM t",
    )
    .await;
    assert!(answer.contains("| 0 |   |"), "{answer}");
    let answer = query(table.provider(), "SELECT name FROM t").await;
    assert_eq!(answer, "++\n++");
}

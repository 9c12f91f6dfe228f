use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringViewArray};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::testing::{append, batch, commit, lake, name, people, spec};
use crate::{CommitMode, LakeError, LakeTable, OptimizeOptions};

/// What changed after a version, as `version type id name`, in their order.
async fn changes(table: &LakeTable, since: Option<u64>, key: &[&str]) -> Vec<String> {
    let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
    let provider = table.changes_since(since, &key).await.unwrap();
    let sql = "SELECT concat_ws(' ', _commit_version, _change_type, id, coalesce(name, '-')) FROM t
               WHERE _commit_timestamp > TIMESTAMP '2020-01-01'";
    // In the order in which they are given.
    let one = SessionConfig::new().with_target_partitions(1);
    let session = SessionContext::new_with_config(one);
    session.register_table("t", provider).unwrap();
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    let column = batches.iter().flat_map(|batch| {
        let column = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8View);
        let column = column.unwrap();
        let texts = column.as_any().downcast_ref::<StringViewArray>().unwrap();
        texts
            .iter()
            .map(|text| text.unwrap().to_owned())
            .collect::<Vec<_>>()
    });
    column.collect()
}

#[tokio::test]
async fn rows_that_come_go_and_change_are_told_apart() {
    let (_folder, lake) = lake().await;
    append(&lake, "t", &people(&[(1, "Ada"), (2, "Bob"), (3, "Cyd")])).await;
    let rows = people(&[(1, "Ada"), (2, "Bo"), (4, "Dan")]);
    commit(&lake, &spec("t", &rows), CommitMode::Overwrite, &rows, None)
        .await
        .unwrap();
    let table = append(&lake, "t", &people(&[(5, "Eve")])).await.table;
    assert_eq!(
        changes(&table, Some(0), &["id"]).await,
        [
            "1 update_preimage 2 Bob",
            "1 delete 3 Cyd",
            "1 update_postimage 2 Bo",
            "1 insert 4 Dan",
            "2 insert 5 Eve"
        ]
    );
    // Without a key nobody knows that a row is another one's successor.
    assert_eq!(
        changes(&table, Some(0), &[]).await,
        [
            "1 delete 2 Bob",
            "1 delete 3 Cyd",
            "1 insert 2 Bo",
            "1 insert 4 Dan",
            "2 insert 5 Eve"
        ]
    );
    assert_eq!(
        changes(&table, None, &["id"]).await,
        [
            "2 insert 1 Ada",
            "2 insert 2 Bo",
            "2 insert 4 Dan",
            "2 insert 5 Eve"
        ]
    );
    assert!(changes(&table, Some(2), &["id"]).await.is_empty());
}

#[tokio::test]
async fn rows_that_are_there_several_times_are_counted() {
    let (_folder, lake) = lake().await;
    append(
        &lake,
        "t",
        &people(&[(1, "a"), (1, "a"), (1, "a"), (2, "b")]),
    )
    .await;
    let rows = people(&[(1, "a"), (2, "b"), (2, "b")]);
    let table = commit(&lake, &spec("t", &rows), CommitMode::Overwrite, &rows, None)
        .await
        .unwrap()
        .table;
    assert_eq!(
        changes(&table, Some(0), &[]).await,
        ["1 delete 1 a", "1 delete 1 a", "1 insert 2 b"]
    );
}

#[tokio::test]
async fn what_is_only_written_anew_is_no_change() {
    let (_folder, lake) = lake().await;
    for id in 0..4 {
        append(&lake, "t", &people(&[(id, "n")])).await;
    }
    let options = OptimizeOptions {
        small_files_min: 2,
        ..OptimizeOptions::default()
    };
    lake.optimize(&name("t"), &options).await.unwrap();
    let rows = people(&[(3, "n"), (2, "n"), (1, "n"), (0, "n")]);
    let table = commit(&lake, &spec("t", &rows), CommitMode::Overwrite, &rows, None)
        .await
        .unwrap()
        .table;
    assert_eq!(table.version(), 5);
    assert!(changes(&table, Some(3), &["id"]).await.is_empty());
}

#[tokio::test]
async fn a_column_that_came_is_null_before() {
    let (_folder, lake) = lake().await;
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    append(&lake, "t", &batch([("id", ids)])).await;
    let first = append(&lake, "t", &people(&[(3, "Cyd")])).await.table;
    assert_eq!(first.version(), 1);
    let rows = people(&[(2, "Bob"), (3, "Cyd")]);
    let table = commit(&lake, &spec("t", &rows), CommitMode::Overwrite, &rows, None)
        .await
        .unwrap()
        .table;
    assert_eq!(
        changes(&table, Some(1), &["id"]).await,
        [
            "2 delete 1 -",
            "2 update_preimage 2 -",
            "2 update_postimage 2 Bob"
        ]
    );
}

#[tokio::test]
async fn the_rows_of_folders_are_compared_with_their_values() {
    let (_folder, lake) = lake().await;
    let rows = people(&[(1, "a"), (2, "b")]);
    let mut folders = spec("t", &rows);
    folders.partitioned_by = vec!["name".to_owned()];
    commit(&lake, &folders, CommitMode::Append, &rows, None)
        .await
        .unwrap();
    let moved = people(&[(1, "a"), (2, "a")]);
    let table = commit(&lake, &folders, CommitMode::Overwrite, &moved, None)
        .await
        .unwrap()
        .table;
    assert_eq!(
        changes(&table, Some(0), &["id"]).await,
        ["1 update_preimage 2 b", "1 update_postimage 2 a"]
    );
}

#[tokio::test]
async fn a_log_or_files_that_are_gone_are_said() {
    let (folder, lake) = lake().await;
    append(&lake, "t", &people(&[(1, "Ada")])).await;
    let rows = people(&[(2, "Bob")]);
    let old = lake.table(&name("t")).await.unwrap().unwrap();
    let gone = old.files().await.unwrap()[0].path().to_owned();
    let table = commit(&lake, &spec("t", &rows), CommitMode::Overwrite, &rows, None)
        .await
        .unwrap()
        .table;
    let provider = table.changes_since(Some(0), &[]).await.unwrap();
    std::fs::remove_file(folder.path().join("t").join(gone)).unwrap();
    let session = SessionContext::new();
    let rows = session.read_table(provider).unwrap().collect().await;
    let error = rows.unwrap_err().to_string();
    assert!(error.contains("version 1 of table t took away"), "{error}");
    std::fs::remove_file(folder.path().join("t/_delta_log/00000000000000000001.json")).unwrap();
    let error = table.changes_since(Some(0), &[]).await.unwrap_err();
    assert!(
        matches!(error, LakeError::LogGone { version: 1, .. }),
        "{error}"
    );
}

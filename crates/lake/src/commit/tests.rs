use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Array, Float64Array, Int32Array, Int64Array, StringViewArray,
    TimestampMicrosecondArray,
};

use super::*;
use crate::testing::{
    append, batch, commit, data_files, lake, name, names, open, people, query, spec, step, write,
};

const APPEND: CommitMode = CommitMode::Append;

#[tokio::test]
async fn the_first_commit_makes_the_table() {
    let (folder, lake) = lake().await;
    assert!(lake.table(&name("people")).await.unwrap().is_none());
    assert!(lake.tables().await.unwrap().is_empty());
    let rows = people(&[(1, "Ada"), (2, "Bob")]);
    let mut spec = spec("people", &rows);
    spec.comment = Some("who is here".to_owned());
    spec.column_comments = BTreeMap::from([("ID".to_owned(), "their number".to_owned())]);
    spec.properties = BTreeMap::from([("team".to_owned(), "blue".to_owned())]);
    let done = commit(&lake, &spec, APPEND, &rows, Some(step(1, None)))
        .await
        .unwrap();
    assert_eq!((done.version, done.already_done), (0, false));

    let table = open(&folder)
        .await
        .table(&name("people"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(table.version(), 0);
    assert_eq!(table.comment(), Some("who is here"));
    assert_eq!(table.properties()["team"], "blue");
    assert_eq!(
        table.schema().field(0).metadata()[schema::COMMENT],
        "their number"
    );
    assert_eq!(table.flow_epoch(&"flow".into()), Some(1));
    assert_eq!(table.flow_epoch(&"other".into()), None);
    assert_eq!(table.rows().await.unwrap(), Some(2));
    assert_eq!(names(&table).await, ["Ada", "Bob"]);
    assert_eq!(lake.tables().await.unwrap(), [name("people")]);
    // The lowest protocol, which every reader knows.
    let log = std::fs::read_to_string(
        folder
            .path()
            .join("people/_delta_log/00000000000000000000.json"),
    );
    let protocol = r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}"#;
    assert!(log.unwrap().contains(protocol));
}

#[tokio::test]
async fn an_epoch_is_committed_once() {
    let (folder, lake) = lake().await;
    let rows = people(&[(1, "Ada")]);
    let spec = spec("people", &rows);
    commit(&lake, &spec, APPEND, &rows, Some(step(1, None)))
        .await
        .unwrap();
    let again = commit(&lake, &spec, APPEND, &rows, Some(step(1, None)))
        .await
        .unwrap();
    assert!(again.already_done);
    assert_eq!(again.version, 0);
    assert_eq!(names(&again.table).await, ["Ada"]);
    // The files of the second try are gone again.
    assert_eq!(data_files(folder.path()).len(), 1);
}

#[tokio::test]
async fn an_overtaken_writer_is_fenced() {
    let (_folder, lake) = lake().await;
    let rows = people(&[(1, "Ada")]);
    let spec = spec("people", &rows);
    for epoch in 1..=3 {
        let step = step(epoch, epoch.checked_sub(1).filter(|epoch| *epoch > 0));
        commit(&lake, &spec, APPEND, &rows, Some(step))
            .await
            .unwrap();
    }
    let late = commit(&lake, &spec, APPEND, &rows, Some(step(2, Some(1))))
        .await
        .unwrap_err();
    assert!(
        matches!(
            late,
            LakeError::Fenced {
                stored: Some(3),
                expected: Some(1),
                epoch: 2,
                ..
            }
        ),
        "{late}"
    );
    assert_eq!(late.kind(), crate::LakeErrorKind::Fenced);
    let early = commit(&lake, &spec, APPEND, &rows, Some(step(5, Some(4))))
        .await
        .unwrap_err();
    assert!(
        matches!(
            early,
            LakeError::Fenced {
                stored: Some(3),
                ..
            }
        ),
        "{early}"
    );
    // A table that was silent for some epochs goes on from the one it holds.
    let silent = commit(&lake, &spec, APPEND, &rows, Some(step(7, Some(3))))
        .await
        .unwrap();
    assert_eq!(silent.version, 3);
    // A flow cannot go on in a table that is not there.
    let lost = crate::testing::spec("lost", &rows);
    let error = commit(&lake, &lost, APPEND, &rows, Some(step(2, Some(1))))
        .await
        .unwrap_err();
    assert!(
        matches!(error, LakeError::Fenced { stored: None, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn two_processes_commit_each_epoch_once() {
    let (folder, _) = lake().await;
    let rows = people(&[(1, "Ada")]);
    let epochs = 12;
    let worker = |lake: Lake, flow: &'static str| {
        let rows = rows.clone();
        async move {
            let spec = spec("people", &rows);
            for epoch in 1..=epochs {
                let predecessor = Some(epoch - 1).filter(|epoch| *epoch > 0);
                let step = FlowStep {
                    flow: flow.into(),
                    epoch,
                    predecessor,
                };
                match commit(&lake, &spec, APPEND, &rows, Some(step)).await {
                    // The other may be past this epoch already: then this one has lost the race.
                    Ok(_) | Err(LakeError::Fenced { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    // Two processes do the same flow, and a third does another one into the same table.
    let (one, two, three) = (
        open(&folder).await,
        open(&folder).await,
        open(&folder).await,
    );
    tokio::join!(
        worker(one, "same"),
        worker(two, "same"),
        worker(three, "other")
    );
    let table = open(&folder)
        .await
        .table(&name("people"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(table.rows().await.unwrap(), Some(2 * epochs));
    assert_eq!(table.version(), 2 * epochs - 1);
    assert_eq!(table.flow_epoch(&"same".into()), Some(epochs));
    assert_eq!(table.flow_epoch(&"other".into()), Some(epochs));
}

#[tokio::test]
async fn an_answer_lost_on_the_way_is_no_second_commit() {
    let (folder, lake) = lake().await;
    let rows = people(&[(1, "Ada")]);
    append(&lake, "people", &rows).await;
    let table = lake.table(&name("people")).await.unwrap().unwrap();
    let spec = spec("people", &rows);
    let files = write(&lake, &spec, &APPEND, &[rows]).await.unwrap();
    let next = Commit::append(spec, files, "run-2");
    let schema = next.spec.stored_schema().unwrap();
    let place = &table.inner().place;
    let prepared = prepare(&next, &schema, place, Some(&table), Rewritten::default())
        .await
        .unwrap();
    assert!(put(place, &prepared).await.unwrap());
    // The store did it, and the client asks again.
    assert!(put(place, &prepared).await.unwrap());
    lake.discard(&name("people"), &next.files).await.unwrap();
    assert_eq!(data_files(folder.path()).len(), 2);
}

#[tokio::test]
async fn a_table_grows_columns_and_numbers_without_a_rewrite() {
    let (_folder, lake) = lake().await;
    let before = batch([
        ("id", Arc::new(Int32Array::from(vec![1])) as ArrayRef),
        ("x", Arc::new(Float32Array::from(vec![0.5]))),
        ("gone", Arc::new(StringViewArray::from(vec!["a"]))),
    ]);
    append(&lake, "t", &before).await;
    let after = batch([
        (
            "ID",
            Arc::new(Int64Array::from(vec![5_000_000_000])) as ArrayRef,
        ),
        ("x", Arc::new(Float64Array::from(vec![0.25]))),
        ("fresh", Arc::new(StringViewArray::from(vec!["b"]))),
    ]);
    let done = append(&lake, "t", &after).await;
    assert_eq!(done.version, 1);
    let answer = query(done.table.provider(), "SELECT * FROM t ORDER BY id").await;
    let expected = "\
+------------+------+------+-------+
| id         | x    | gone | fresh |
+------------+------+------+-------+
| 1          | 0.5  | a    |       |
| 5000000000 | 0.25 |      | b     |
+------------+------+------+-------+";
    assert_eq!(answer, expected);
    // The old files are as they were, and the old version has the old columns.
    assert_eq!(done.table.files().await.unwrap().len(), 2);
    let old = done.table.at(crate::AsOf::Version(0)).await.unwrap();
    assert_eq!(old.schema().fields().len(), 3);
    // A type that cannot be widened is refused, and nothing is left behind.
    let wrong = batch([("id", Arc::new(StringViewArray::from(vec!["x"])) as ArrayRef)]);
    let refused = commit(&lake, &spec("t", &wrong), APPEND, &wrong, None)
        .await
        .unwrap_err();
    assert!(matches!(&refused, LakeError::SchemaChange { column, .. } if column == "id"));
}

#[tokio::test]
async fn an_overwrite_is_one_commit_and_takes_new_columns() {
    let (folder, lake) = lake().await;
    append(&lake, "t", &people(&[(1, "Ada")])).await;
    append(&lake, "t", &people(&[(2, "Bob")])).await;
    let other = batch([("total", Arc::new(Int64Array::from(vec![3])) as ArrayRef)]);
    let overwrite = CommitMode::Overwrite;
    let done = commit(&lake, &spec("t", &other), overwrite, &other, None)
        .await
        .unwrap();
    assert_eq!(done.version, 2);
    assert_eq!(done.table.schema().fields().len(), 1);
    let answer = query(done.table.provider(), "SELECT * FROM t").await;
    assert_eq!(
        answer,
        "+-------+\n| total |\n+-------+\n| 3     |\n+-------+"
    );
    // What was replaced can still be gone back to.
    let old = done.table.at(crate::AsOf::Version(1)).await.unwrap();
    assert_eq!(names(&old).await, ["Ada", "Bob"]);
    assert_eq!(data_files(folder.path()).len(), 3);
    // A result without rows is a table without rows.
    let empty = other.slice(0, 0);
    let done = commit(
        &lake,
        &spec("t", &empty),
        CommitMode::Overwrite,
        &empty,
        None,
    )
    .await;
    assert_eq!(done.unwrap().table.rows().await.unwrap(), Some(0));
}

#[tokio::test]
async fn files_are_replaced_only_while_they_are_there() {
    let (_folder, lake) = lake().await;
    append(&lake, "t", &people(&[(1, "Ada")])).await;
    let table = append(&lake, "t", &people(&[(2, "Bob")])).await.table;
    let rows = people(&[(2, "Eve")]);
    let spec = spec("t", &rows);
    let files = table.files().await.unwrap();
    let mut of_bob = Vec::new();
    for file in files {
        if file
            .statistics()
            .bound(
                "id",
                &arrow::datatypes::DataType::Int64,
                crate::statistics::End::Min,
            )
            .is_some_and(|(value, _)| value == datafusion::common::ScalarValue::Int64(Some(2)))
        {
            of_bob.push(file);
        }
    }
    assert_eq!(of_bob.len(), 1);
    let mode = CommitMode::Replace(of_bob.clone());
    let done = commit(&lake, &spec, mode.clone(), &rows, None)
        .await
        .unwrap();
    assert_eq!(names(&done.table).await, ["Ada", "Eve"]);
    let again = commit(&lake, &spec, mode, &rows, None).await.unwrap_err();
    assert!(matches!(again, LakeError::Conflict { .. }), "{again}");
    assert_eq!(again.kind(), crate::LakeErrorKind::Retry);
}

#[tokio::test]
async fn a_time_without_zone_raises_the_protocol_and_nothing_else_does() {
    let (folder, lake) = lake().await;
    append(&lake, "t", &people(&[(1, "Ada")])).await;
    let local = batch([
        ("id", Arc::new(Int64Array::from(vec![2])) as ArrayRef),
        (
            "local",
            Arc::new(TimestampMicrosecondArray::from(vec![1_000_000])),
        ),
    ]);
    let done = append(&lake, "t", &local).await;
    let log = folder.path().join("t/_delta_log/00000000000000000001.json");
    let log = std::fs::read_to_string(log).unwrap();
    let raised = r#""minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["timestampNtz"]"#;
    assert!(log.contains(raised), "{log}");
    let answer = query(done.table.provider(), "SELECT local FROM t WHERE id = 2").await;
    assert!(answer.contains("1970-01-01T00:00:01"), "{answer}");
}

#[tokio::test]
async fn what_cannot_be_obeyed_is_refused_before_it_is_promised() {
    let (folder, lake) = lake().await;
    let rows = people(&[(1, "Ada")]);
    let mut wrong = spec("t", &rows);
    let property = ("delta.enableDeletionVectors".to_owned(), "true".to_owned());
    wrong.properties = BTreeMap::from([property]);
    let refused = commit(&lake, &wrong, APPEND, &rows, None)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("enableDeletionVectors"),
        "{refused}"
    );
    assert!(lake.table(&name("t")).await.unwrap().is_none());
    let mut append_only = spec("t", &rows);
    append_only.properties = BTreeMap::from([("delta.appendOnly".to_owned(), "true".to_owned())]);
    commit(&lake, &append_only, APPEND, &rows, None)
        .await
        .unwrap();
    let over = commit(&lake, &append_only, CommitMode::Overwrite, &rows, None).await;
    assert!(matches!(over, Err(LakeError::Specification { .. })));
    drop(folder);
}

#[tokio::test]
async fn a_table_may_lie_elsewhere() {
    let (folder, lake) = lake().await;
    let other = tempfile::tempdir().unwrap();
    let rows = people(&[(1, "Ada")]);
    let mut elsewhere = spec("t", &rows);
    elsewhere.location = Some(other.path().join("deep/t").to_str().unwrap().to_owned());
    commit(&lake, &elsewhere, APPEND, &rows, None)
        .await
        .unwrap();
    assert_eq!(data_files(folder.path()).len(), 0);
    let fresh = open(&folder).await;
    assert_eq!(fresh.tables().await.unwrap(), [name("t")]);
    let table = fresh.table(&name("t")).await.unwrap().unwrap();
    assert_eq!(names(&table).await, ["Ada"]);
    // Moving it is not done by saying so.
    elsewhere.location = Some(other.path().join("moved").to_str().unwrap().to_owned());
    let moved = commit(&fresh, &elsewhere, APPEND, &rows, None)
        .await
        .unwrap_err();
    assert!(matches!(moved, LakeError::Specification { .. }), "{moved}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_read_only_warehouse_says_so() {
    // Not even root may make folders there.
    let lake = Lake::open("/sys/tidegate", &BTreeMap::new()).await.unwrap();
    assert!(lake.table(&name("t")).await.unwrap().is_none());
    let rows = people(&[(1, "Ada")]);
    let error = commit(&lake, &spec("t", &rows), APPEND, &rows, None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), crate::LakeErrorKind::FreeResource, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("/sys/tidegate") && text.contains("tidegate.toml"),
        "{text}"
    );
    let intent = crate::Intent::new(1, "run", "f");
    let error = lake
        .flow_log(&"flow".into())
        .write_intent(&intent)
        .await
        .unwrap_err();
    assert!(matches!(error, LakeError::ReadOnly { .. }), "{error}");
}

#[tokio::test]
async fn the_history_says_who_and_what() {
    let (_folder, lake) = lake().await;
    let rows = people(&[(1, "Ada")]);
    let mut done = None;
    for epoch in 1..=3 {
        let step = step(epoch, Some(epoch - 1).filter(|epoch| *epoch > 0));
        done = Some(
            commit(&lake, &spec("t", &rows), APPEND, &rows, Some(step))
                .await
                .unwrap(),
        );
    }
    let table = done.unwrap().table;
    let history = table.history(2).await.unwrap();
    assert_eq!(history.len(), 2);
    assert_eq!(history[0].version, 2);
    assert_eq!(history[0].operation.as_deref(), Some("STREAMING UPDATE"));
    assert_eq!(history[0].tidegate["epoch"], 3);
    assert_eq!(history[0].tidegate["run"], "run-1");
    assert_eq!(history[0].metrics["numOutputRows"], "1");
}

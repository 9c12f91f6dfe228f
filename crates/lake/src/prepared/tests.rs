use super::*;
use crate::testing::{
    append, batch, data_files, lake, name, names, open, people, spec, step, write,
};
use crate::{Intent, IntentOutcome, OptimizeOptions};

/// An intent of epoch 1 that appends to one table and replaces all of another.
async fn prepared(lake: &Lake) -> (Intent, Vec<TableSpec>) {
    let rows = people(&[(1, "a"), (2, "b")]);
    let specs = vec![spec("one", &rows), spec("two", &rows)];
    let base = append(lake, "two", &people(&[(9, "old")])).await;
    let replaced = CommitMode::Replace(base.table.files().await.unwrap());
    let mut tables = Vec::new();
    for (spec, mode) in specs.iter().zip([CommitMode::Append, replaced]) {
        let files = write(lake, spec, &mode, std::slice::from_ref(&rows)).await;
        let mut commit = Commit {
            mode,
            ..Commit::append(spec.clone(), files.unwrap(), "run")
        };
        commit.notes.insert("rows".to_owned(), Value::from(2));
        tables.push(PreparedTable::of(&commit));
    }
    let intent = Intent {
        prepared: Some(Prepared { tables }),
        ..Intent::new(1, "run", "print")
    };
    (intent, specs)
}

async fn roll_forward(lake: &Lake, specs: &[TableSpec]) -> Vec<bool> {
    let log = lake.flow_log(&"flow".into());
    let intent = log.pending(None).await.unwrap().unwrap();
    let mut done = Vec::new();
    for table in intent.prepared.unwrap().tables {
        let spec = specs.iter().find(|spec| spec.name.key() == table.table);
        let commit = table.into_commit(spec.unwrap().clone(), &intent.run, step(1, None));
        done.push(lake.commit_prepared(commit).await.unwrap().already_done);
    }
    done
}

#[tokio::test]
async fn a_restart_commits_the_files_that_the_intent_names() {
    let (folder, lake) = lake().await;
    let (intent, specs) = prepared(&lake).await;
    let log = lake.flow_log(&"flow".into());
    let outcome = log.write_intent(&intent).await.unwrap();
    assert_eq!(outcome, IntentOutcome::Written);
    let files = data_files(folder.path());
    // Another process takes it from here; it reads the intent as it was written.
    let other = open(&folder).await;
    let read = other.flow_log(&"flow".into()).pending(None).await.unwrap();
    assert_eq!(read.as_ref(), Some(&intent));
    assert_eq!(roll_forward(&other, &specs).await, [false, false]);
    for table in ["one", "two"] {
        let table = other.table(&name(table)).await.unwrap().unwrap();
        assert_eq!(names(&table).await, ["a", "b"]);
        let history = table.history(1).await.unwrap();
        assert_eq!(history[0].tidegate["rows"], 2);
    }
    // Once more changes nothing, and removes nothing.
    assert_eq!(roll_forward(&lake, &specs).await, [true, true]);
    assert_eq!(data_files(folder.path()), files);
}

#[tokio::test]
async fn files_put_together_since_are_left_to_older_versions() {
    let (folder, lake) = lake().await;
    let (intent, specs) = prepared(&lake).await;
    let log = lake.flow_log(&"flow".into());
    log.write_intent(&intent).await.unwrap();
    roll_forward(&lake, &specs).await;
    append(&lake, "one", &people(&[(3, "c")])).await;
    let options = OptimizeOptions {
        small_files_min: 2,
        ..OptimizeOptions::default()
    };
    assert_eq!(
        lake.optimize(&name("one"), &options).await.unwrap().removed,
        2
    );
    let files = data_files(folder.path());
    assert_eq!(roll_forward(&lake, &specs).await, [true, true]);
    assert_eq!(data_files(folder.path()), files);
    let table = lake.table(&name("one")).await.unwrap().unwrap();
    let before = table.at(crate::AsOf::Version(0)).await.unwrap();
    assert_eq!(names(&before).await, ["a", "b"]);
}

#[tokio::test]
async fn a_file_that_is_gone_is_told_before_anything_is_committed() {
    let (folder, lake) = lake().await;
    let (intent, specs) = prepared(&lake).await;
    for table in &intent.prepared.as_ref().unwrap().tables {
        let path = folder.path().join(&table.table).join(table.files[0].path());
        std::fs::remove_file(path).unwrap();
    }
    let table = intent.prepared.unwrap().tables.remove(0);
    let commit = table.into_commit(specs[0].clone(), "run", step(1, None));
    let error = lake.commit_prepared(commit).await.unwrap_err();
    assert!(matches!(error, LakeError::Damaged { .. }), "{error}");
    assert!(lake.table(&name("one")).await.unwrap().is_none());
}

#[tokio::test]
async fn files_of_folders_and_odd_names_are_read_as_they_were() {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringViewArray};

    let (_folder, lake) = lake().await;
    let rows = batch([
        (
            "k",
            Arc::new(StringViewArray::from(vec!["a b/ü%", ""])) as ArrayRef,
        ),
        ("n", Arc::new(Int64Array::from(vec![1, 2]))),
    ]);
    let mut spec = spec("odd", &rows);
    spec.partitioned_by = vec!["k".to_owned()];
    let files = write(&lake, &spec, &CommitMode::Append, &[rows])
        .await
        .unwrap();
    let text = serde_json::to_string(&files).unwrap();
    let read: Vec<DataFile> = serde_json::from_str(&text).unwrap();
    assert_eq!(read, files);
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    lake.commit_prepared(Commit::append(spec, read, "run"))
        .await
        .unwrap();
    let table = lake.table(&name("odd")).await.unwrap().unwrap();
    assert_eq!(table.rows().await.unwrap(), Some(2));
    let sum = crate::testing::query(table.provider(), "SELECT sum(n) AS s FROM t").await;
    assert!(sum.contains("| 3 |"), "{sum}");
}

use std::path::Path;

use arrow::array::{ArrayRef, Int64Array, StringViewArray, StructArray, TimestampMicrosecondArray};
use arrow::datatypes::{Fields, TimeUnit};
use tempfile::TempDir;

use super::*;
use crate::testing::{
    append, batch, commit, data_files, lake, name, names, open, people, query, spec, step,
};
use crate::{Commit, Committed, LakeTable, OptimizeOptions, PreparedTable, VacuumOptions};

/// Upserts rows and deletes keys, by `columns`.
async fn stage(
    lake: &Lake,
    spec: &TableSpec,
    columns: &[&str],
    rows: Option<&RecordBatch>,
    gone: Option<&RecordBatch>,
) -> Staged {
    let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    let mut writer = lake.upsert_plan(spec, &columns).await.unwrap().writer();
    if let Some(rows) = rows {
        writer.write(rows, None).unwrap();
    }
    if let Some(gone) = gone {
        writer.delete(gone).unwrap();
    }
    writer.finish().unwrap()
}

fn commit_of(spec: &TableSpec, staged: Staged) -> Commit {
    Commit {
        mode: staged.mode,
        ..Commit::append(spec.clone(), staged.files, "run")
    }
}

async fn upsert(
    lake: &Lake,
    spec: &TableSpec,
    rows: Option<&RecordBatch>,
    gone: Option<&RecordBatch>,
) -> Committed {
    let staged = stage(lake, spec, &["id"], rows, gone).await;
    lake.commit(commit_of(spec, staged)).await.unwrap()
}

/// The files of a version, and how many of them another version has, too.
async fn kept(before: &LakeTable, after: &LakeTable) -> usize {
    let before = before.files().await.unwrap();
    let after = after.files().await.unwrap();
    let same = |file: &&Arc<crate::TableFile>| before.iter().any(|old| old.path() == file.path());
    after.iter().filter(same).count()
}

/// Nothing lies about that the table does not have; also no keys.
async fn tidy(folder: &TempDir, table: &LakeTable) {
    let mut wanted: Vec<String> = Vec::new();
    let mut version = Some(table.clone());
    while let Some(table) = version {
        for file in table.files().await.unwrap() {
            let path = Path::new(folder.path())
                .join(table.name().key())
                .join(file.path());
            wanted.push(path.display().to_string());
        }
        version = match table.version() {
            0 => None,
            newer => Some(table.at(crate::AsOf::Version(newer - 1)).await.unwrap()),
        };
    }
    wanted.sort();
    wanted.dedup();
    assert_eq!(data_files(&folder.path().join(table.name().key())), wanted);
}

#[tokio::test]
async fn the_newest_row_of_a_key_takes_the_place_of_the_older() {
    let (folder, lake) = lake().await;
    let first = people(&[(1, "a"), (2, "b"), (3, "c")]);
    let spec = spec("t", &first);
    // The first upsert makes the table.
    upsert(&lake, &spec, Some(&first), None).await;
    let gone = people(&[(3, "ignored"), (9, "never there")]);
    let done = upsert(
        &lake,
        &spec,
        Some(&people(&[(2, "B"), (4, "d")])),
        Some(&gone),
    )
    .await;
    assert_eq!(names(&done.table).await, ["a", "B", "d"]);
    assert!(!done.already_done);
    tidy(&folder, &done.table).await;
    let history = done.table.history(1).await.unwrap();
    assert_eq!(history[0].operation.as_deref(), Some("MERGE"));
    // All rows of a file replaced: it just goes.
    let all = people(&[(1, "A"), (2, "BB"), (4, "D")]);
    let done = upsert(&lake, &spec, Some(&all), None).await;
    assert_eq!(names(&done.table).await, ["A", "BB", "D"]);
    assert_eq!(done.table.files().await.unwrap().len(), 1);
    // And a table may become empty.
    let done = upsert(&lake, &spec, None, Some(&all)).await;
    assert_eq!(names(&done.table).await, Vec::<String>::new());
    assert_eq!(done.table.files().await.unwrap().len(), 0);
    tidy(&folder, &done.table).await;
}

#[tokio::test]
async fn only_files_that_hold_a_key_are_written_anew() {
    let (folder, lake) = lake().await;
    let wanted = [
        (0..100).collect::<Vec<i64>>(),
        (0..100).map(|at| at * 7 % 100).collect(),
    ];
    for (table, order) in ["sorted", "mixed"].iter().zip(wanted) {
        // A hundred files; by their bounds all may hold all keys, or each only its own.
        for file in 0..100_i64 {
            let rows: Vec<(i64, &str)> = match *table {
                "sorted" => (file * 10..file * 10 + 10).map(|id| (id, "old")).collect(),
                _ => (0..10)
                    .map(|row| (row * 100 + order[file as usize], "old"))
                    .collect(),
            };
            append(&lake, table, &people(&rows)).await;
        }
        let before = lake.table(&name(table)).await.unwrap().unwrap();
        let rows = people(&[(5, "new"), (505, "new"), (999, "new"), (1_000_000, "new")]);
        let spec = spec(table, &rows);
        let done = upsert(&lake, &spec, Some(&rows), None).await;
        let files = done.table.files().await.unwrap().len();
        let hit = if *table == "sorted" { 3 } else { 2 };
        assert_eq!(kept(&before, &done.table).await, 100 - hit, "{table}");
        assert_eq!(files, 101, "{table}");
        assert_eq!(done.table.rows().await.unwrap(), Some(1001));
        let answer = query(
            done.table.provider(),
            "SELECT count(*) AS n FROM t WHERE name = 'new'",
        );
        assert!(answer.await.contains("| 4 |"));
        tidy(&folder, &done.table).await;
    }
}

#[tokio::test]
async fn bounds_alone_tell_most_files_apart() {
    let (folder, lake) = lake().await;
    for file in 0..4_i64 {
        append(
            &lake,
            "t",
            &people(&[(file * 10, "a"), (file * 10 + 5, "b")]),
        )
        .await;
    }
    let table = lake.table(&name("t")).await.unwrap().unwrap();
    // Files that need not be read may as well be gone.
    for file in &table.files().await.unwrap() {
        let statistics = file.statistics();
        let low = statistics.bound_at(
            &["id".to_owned()],
            &DataType::Int64,
            crate::statistics::End::Min,
        );
        if low != Some(datafusion::common::ScalarValue::Int64(Some(20))) {
            std::fs::remove_file(folder.path().join("t").join(file.path())).unwrap();
        }
    }
    let rows = people(&[(25, "B"), (18, "between"), (-3, "below")]);
    let done = upsert(&lake, &spec("t", &rows), Some(&rows), None).await;
    assert_eq!(done.table.rows().await.unwrap(), Some(10));
}

/// A table of windows: the key is a structure and a text that may be NULL.
fn windows(rows: &[(Option<&str>, i64, i64)]) -> RecordBatch {
    let start =
        TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.1 * 60_000_000));
    let end = TimestampMicrosecondArray::from_iter_values(
        rows.iter().map(|row| (row.1 + 10) * 60_000_000),
    );
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields = ["start", "end"].map(|name| Field::new(name, time.clone(), true));
    let ends: Vec<ArrayRef> = vec![
        Arc::new(start.with_timezone("UTC")),
        Arc::new(end.with_timezone("UTC")),
    ];
    let window = StructArray::new(Fields::from(fields.to_vec()), ends, None);
    batch([
        (
            "card",
            Arc::new(StringViewArray::from_iter(rows.iter().map(|row| row.0))) as ArrayRef,
        ),
        ("w", Arc::new(window)),
        (
            "n",
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2))),
        ),
    ])
}

#[tokio::test]
async fn keys_may_be_windows_and_null() {
    let (folder, lake) = lake().await;
    let spec = spec("t", &windows(&[]));
    for hour in 0..5 {
        let rows = windows(&[
            (Some("a"), hour * 60, 1),
            (None, hour * 60, 2),
            (Some("b"), hour * 60 + 10, 3),
        ]);
        append(&lake, "t", &rows).await;
    }
    let before = lake.table(&name("t")).await.unwrap().unwrap();
    // The bounds of the window's start and end say that only one file can hold it.
    for file in before.files().await.unwrap() {
        let path = folder.path().join("t").join(file.path());
        let low = file
            .add
            .stats
            .as_deref()
            .unwrap()
            .contains("1970-01-01T02:00:00");
        if !low {
            std::fs::rename(&path, path.with_extension("away")).unwrap();
        }
    }
    let rows = windows(&[(None, 120, 20), (Some("a"), 130, 7)]);
    let staged = stage(&lake, &spec, &["card", "w"], Some(&rows), None).await;
    let done = lake.commit(commit_of(&spec, staged)).await.unwrap();
    assert_eq!(kept(&before, &done.table).await, 4);
    for file in before.files().await.unwrap() {
        let path = folder.path().join("t").join(file.path());
        let _ = std::fs::rename(path.with_extension("away"), &path);
    }
    let sql = "SELECT card, sum(n) AS s FROM t WHERE w['start'] >= TIMESTAMP '1970-01-01 02:00:00' \
               AND w['start'] < TIMESTAMP '1970-01-01 03:00:00' GROUP BY card ORDER BY card";
    let answer = query(done.table.provider(), sql).await;
    let lines: Vec<&str> = answer.lines().skip(3).take(3).map(str::trim).collect();
    assert_eq!(
        lines,
        ["| a    | 8  |", "| b    | 3  |", "|      | 20 |"],
        "{answer}"
    );
}

#[tokio::test]
async fn a_row_may_move_to_another_folder() {
    let (folder, lake) = lake().await;
    let day = |rows: &[(i64, &str, &str)]| {
        batch([
            (
                "id",
                Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0))) as ArrayRef,
            ),
            (
                "day",
                Arc::new(StringViewArray::from_iter_values(rows.iter().map(|r| r.1))),
            ),
            (
                "name",
                Arc::new(StringViewArray::from_iter_values(rows.iter().map(|r| r.2))),
            ),
        ])
    };
    let first = day(&[
        (1, "mon", "a"),
        (2, "mon", "b"),
        (3, "tue", "c"),
        (4, "", "d"),
    ]);
    let mut spec = spec("t", &first);
    spec.partitioned_by = vec!["day".to_owned()];
    commit(&lake, &spec, CommitMode::Append, &first, None)
        .await
        .unwrap();
    let moved = day(&[(1, "tue", "A")]);
    let done = upsert(&lake, &spec, Some(&moved), None).await;
    let sql = "SELECT id, day, name FROM t ORDER BY id";
    let answer = query(done.table.provider(), sql).await;
    assert!(
        answer.contains("| 1  | tue | A    |") && answer.contains("| 2  | mon | b    |"),
        "{answer}"
    );
    assert_eq!(done.table.rows().await.unwrap(), Some(4));
    // With the folder in the key, other folders are not even looked at.
    for file in done.table.files().await.unwrap() {
        let values = file.partition_values();
        if values["day"].as_deref() == Some("mon") {
            std::fs::remove_file(folder.path().join("t").join(file.path())).unwrap();
        }
    }
    // Delta has no empty text in a folder: it is NULL, and still the same key.
    let rows = day(&[(3, "tue", "C"), (4, "", "D")]);
    let staged = stage(&lake, &spec, &["day", "id"], Some(&rows), None).await;
    let done = lake.commit(commit_of(&spec, staged)).await.unwrap();
    assert_eq!(done.table.rows().await.unwrap(), Some(4));
}

#[tokio::test]
async fn keys_known_to_be_new_are_not_looked_for() {
    let (folder, lake) = lake().await;
    append(&lake, "t", &people(&[(1, "a"), (5, "e")])).await;
    let rows = people(&[(2, "b"), (3, "c")]);
    let spec = spec("t", &rows);
    let plan = lake.upsert_plan(&spec, &["ID".to_owned()]).await.unwrap();
    let mut writer = plan.writer();
    let new = BooleanArray::from(vec![true, true]);
    writer.write(&rows, Some(&new)).unwrap();
    let some = BooleanArray::from(vec![Some(true), Some(false)]);
    writer
        .write(&people(&[(7, "g"), (5, "E")]), Some(&some))
        .unwrap();
    assert!(
        writer
            .write(&rows, Some(&BooleanArray::from(vec![true])))
            .is_err()
    );
    assert!(writer.memory_bytes() > 0);
    let staged = writer.finish().unwrap();
    let CommitMode::Upsert(upsert) = &staged.mode else {
        panic!("{:?}", staged.mode);
    };
    assert_eq!(
        (upsert.keys(), upsert.columns()),
        (1, &["id".to_owned()][..])
    );
    let done = lake.commit(commit_of(&spec, staged)).await.unwrap();
    assert_eq!(names(&done.table).await, ["a", "b", "c", "E", "g"]);
    tidy(&folder, &done.table).await;
    // Given up, it leaves nothing.
    let mut writer = plan.writer();
    writer.write(&people(&[(1, "x")]), None).unwrap();
    drop(writer);
    tidy(&folder, &done.table).await;
}

#[tokio::test]
async fn parts_of_several_writers_are_one_commit() {
    let (_folder, lake) = lake().await;
    append(&lake, "t", &people(&[(1, "a"), (2, "b"), (3, "c")])).await;
    let spec = spec("t", &people(&[]));
    let mut parts = Vec::new();
    for id in 1..=2 {
        parts.push(stage(&lake, &spec, &["id"], Some(&people(&[(id, "new")])), None).await);
    }
    let staged = Staged::merge(parts).unwrap().unwrap();
    let done = lake.commit(commit_of(&spec, staged)).await.unwrap();
    assert_eq!(names(&done.table).await, ["new", "new", "c"]);
    assert!(Staged::merge([]).unwrap().is_none());
}

#[tokio::test]
async fn an_optimise_in_between_is_no_conflict() {
    let (folder, lake) = lake().await;
    for id in 0..4 {
        append(&lake, "t", &people(&[(id, "old")])).await;
    }
    let rows = people(&[(2, "new")]);
    let spec = spec("t", &rows);
    let staged = stage(&lake, &spec, &["id"], Some(&rows), None).await;
    let options = OptimizeOptions {
        small_files_min: 2,
        ..OptimizeOptions::default()
    };
    let other = open(&folder).await;
    assert_eq!(
        other.optimize(&name("t"), &options).await.unwrap().removed,
        4
    );
    let done = lake.commit(commit_of(&spec, staged)).await.unwrap();
    assert_eq!(names(&done.table).await, ["old", "old", "new", "old"]);
    tidy(&folder, &done.table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_at_once_lose_nothing() {
    let (folder, lake) = lake().await;
    append(
        &lake,
        "t",
        &people(&[(0, "old"), (1, "old"), (2, "old"), (3, "old")]),
    )
    .await;
    let spec = spec("t", &people(&[]));
    let mut writers = Vec::new();
    for writer in 0..4_i64 {
        let (lake, spec) = (open(&folder).await, spec.clone());
        writers.push(tokio::spawn(async move {
            for round in 0..5 {
                let text = format!("{writer}.{round}");
                upsert(&lake, &spec, Some(&people(&[(writer, &text)])), None).await;
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let table = lake.table(&name("t")).await.unwrap().unwrap();
    assert_eq!(names(&table).await, ["0.4", "1.4", "2.4", "3.4"]);
    assert_eq!(table.version(), 20);
    tidy(&folder, &table).await;
}

/// A kill between any two steps of an upsert, and the same intent done again by another process.
#[tokio::test]
async fn a_restart_finishes_an_upsert_from_its_intent() {
    for killed_after in ["staging", "rewriting", "committing", "cleaning"] {
        let (folder, lake) = lake().await;
        let epoch = |epoch, predecessor| Some(step(epoch, predecessor));
        let first = people(&[(1, "a"), (2, "b"), (3, "c")]);
        let spec = spec("t", &first);
        commit(&lake, &spec, CommitMode::Append, &first, epoch(1, None))
            .await
            .unwrap();
        let rows = people(&[(2, "B"), (4, "d")]);
        let staged = stage(
            &lake,
            &spec,
            &["id"],
            Some(&rows),
            Some(&people(&[(3, "")])),
        )
        .await;
        let text =
            serde_json::to_string(&PreparedTable::of(&commit_of(&spec, staged.clone()))).unwrap();
        let again = || {
            let read: PreparedTable = serde_json::from_str(&text).unwrap();
            read.into_commit(spec.clone(), "run", step(2, Some(1)))
        };
        match killed_after {
            "rewriting" => {
                let CommitMode::Upsert(upsert) = &staged.mode else {
                    panic!("{:?}", staged.mode);
                };
                let table = lake.table(&name("t")).await.unwrap().unwrap();
                let mut rewriter = Rewriter::new(&lake, &spec, upsert);
                let rewritten = rewriter.against(&table).await.unwrap();
                assert_eq!((rewritten.gone.len(), rewritten.files.len()), (1, 1));
            }
            "committing" => {
                let keys = folder.path().join("t").join(KEYS_FOLDER);
                let away = folder.path().join("away");
                std::fs::create_dir(&away).unwrap();
                let moved = |from: &Path, to: &Path| {
                    for file in std::fs::read_dir(from).unwrap() {
                        let file = file.unwrap();
                        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
                    }
                };
                moved(&keys, &away);
                lake.commit_prepared(again()).await.unwrap();
                moved(&away, &keys);
                std::fs::remove_dir_all(&away).unwrap();
            }
            "cleaning" => {
                lake.commit_prepared(again()).await.unwrap();
            }
            _ => {}
        }
        let other = open(&folder).await;
        let done = other.commit_prepared(again()).await.unwrap();
        let committed = matches!(killed_after, "committing" | "cleaning");
        assert_eq!(done.already_done, committed, "{killed_after}");
        assert_eq!(done.version, 1, "{killed_after}");
        assert_eq!(names(&done.table).await, ["a", "B", "d"], "{killed_after}");
        if killed_after != "rewriting" {
            tidy(&folder, &done.table).await;
        }
        // What a kill left behind is nobody's, and the vacuum takes it.
        let options = VacuumOptions {
            retention: std::time::Duration::ZERO,
            dry_run: false,
        };
        other.vacuum(&name("t"), &options).await.unwrap();
        let files = done.table.files().await.unwrap();
        assert_eq!(
            data_files(folder.path()).len(),
            files.len(),
            "{killed_after}"
        );
        let error = other.commit_prepared({
            let mut old = again();
            old.step = epoch(1, None);
            old
        });
        assert!(error.await.is_err(), "an older epoch is fenced");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_do_the_same_intent_once() {
    let (folder, lake) = lake().await;
    let spec = spec("t", &people(&[]));
    append(&lake, "t", &people(&[(1, "old"), (2, "kept")])).await;
    for epoch in 1..=15 {
        let text = format!("{epoch}");
        let rows = people(&[(1, &text)]);
        let staged = stage(&lake, &spec, &["id"], Some(&rows), None).await;
        // As both read it from the intent: the keys are in files, which the faster one removes.
        let prepared = PreparedTable::of(&commit_of(&spec, staged));
        let text = serde_json::to_string(&prepared).unwrap();
        let prepared: PreparedTable = serde_json::from_str(&text).unwrap();
        let mut rivals = Vec::new();
        for _ in 0..2 {
            let rival = open(&folder).await;
            let before = (epoch > 1).then(|| epoch - 1);
            let commit = prepared
                .clone()
                .into_commit(spec.clone(), "run", step(epoch, before));
            rivals.push(tokio::spawn(
                async move { rival.commit_prepared(commit).await },
            ));
        }
        for rival in rivals {
            // Within one millisecond both may write the very same commit, and both have done it.
            assert_eq!(rival.await.unwrap().unwrap().version, epoch);
        }
    }
    let table = lake.table(&name("t")).await.unwrap().unwrap();
    assert_eq!(names(&table).await, ["15", "kept"]);
    tidy(&folder, &table).await;
}

#[tokio::test]
async fn keys_that_cannot_be_are_told() {
    let (_folder, lake) = lake().await;
    let rows = people(&[(1, "a")]);
    let spec = spec("t", &rows);
    for (columns, said) in [
        (vec![], "at least one"),
        (vec!["nope".to_owned()], "`nope`"),
    ] {
        let error = lake
            .upsert_plan(&spec, &columns)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(said), "{error}");
    }
    let plan = lake.upsert_plan(&spec, &["id".to_owned()]).await.unwrap();
    let names = batch([(
        "name",
        Arc::new(StringViewArray::from(vec!["a"])) as ArrayRef,
    )]);
    let error = plan.writer().delete(&names).unwrap_err().to_string();
    assert!(error.contains("no column `id`"), "{error}");
}

#[tokio::test]
async fn a_key_column_that_came_later_is_null_in_older_files() {
    let (_folder, lake) = lake().await;
    append(&lake, "t", &people(&[(1, "a"), (2, "b")])).await;
    let wide = |id: i64, region: Option<&str>, name: &str| {
        batch([
            ("id", Arc::new(Int64Array::from(vec![id])) as ArrayRef),
            ("name", Arc::new(StringViewArray::from(vec![name]))),
            ("region", Arc::new(StringViewArray::from(vec![region]))),
        ])
    };
    let spec = spec("t", &wide(1, None, "x"));
    for rows in [wide(1, None, "A"), wide(2, Some("eu"), "B")] {
        let staged = stage(&lake, &spec, &["id", "region"], Some(&rows), None).await;
        lake.commit(commit_of(&spec, staged)).await.unwrap();
    }
    let table = lake.table(&name("t")).await.unwrap().unwrap();
    assert_eq!(names(&table).await, ["A", "B", "b"]);
}

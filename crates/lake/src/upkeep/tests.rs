use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, StringViewArray};

use super::*;
use crate::testing::{
    append, batch, commit, data_files, lake, name, names, open, people, query, run, spec, write,
};
use crate::{AsOf, CommitMode, TableSpec};

const NOW: VacuumOptions = VacuumOptions {
    retention: Duration::ZERO,
    dry_run: false,
};

fn always() -> OptimizeOptions {
    OptimizeOptions {
        small_files_min: 2,
        run: "upkeep".to_owned(),
    }
}

#[tokio::test]
async fn a_file_that_is_larger_than_all_others_together_waits() {
    let (_folder, lake) = lake().await;
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(
        (0..20_000_i64).map(|id| id.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64)),
    ));
    append(&lake, "t", &batch([("id", ids)])).await;
    let one = |id: i64| batch([("id", Arc::new(Int64Array::from(vec![id])) as ArrayRef)]);
    for id in 0..4 {
        append(&lake, "t", &one(id)).await;
    }
    let done = lake.optimize(&name("t"), &always()).await.unwrap();
    assert_eq!((done.removed, done.added), (4, 1));
    // Nor is there anything to do while only these two are there.
    let done = lake.optimize(&name("t"), &always()).await.unwrap();
    assert_eq!(done, Optimized::default());
    let table = lake.table(&name("t")).await.unwrap().unwrap();
    assert_eq!(table.rows().await.unwrap(), Some(20_004));
}

#[tokio::test]
async fn small_files_are_put_together() {
    let (folder, lake) = lake().await;
    for id in 0..6 {
        append(&lake, "t", &people(&[(id, &format!("n{id}"))])).await;
    }
    let few = OptimizeOptions {
        small_files_min: 7,
        ..always()
    };
    assert_eq!(
        lake.optimize(&name("t"), &few).await.unwrap(),
        Optimized::default()
    );
    let done = lake.optimize(&name("t"), &always()).await.unwrap();
    assert_eq!(
        done,
        Optimized {
            removed: 6,
            added: 1,
            version: Some(6)
        }
    );
    let table = open(&folder)
        .await
        .table(&name("t"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(table.files().await.unwrap().len(), 1);
    assert_eq!(names(&table).await, ["n0", "n1", "n2", "n3", "n4", "n5"]);
    assert_eq!(
        table.history(1).await.unwrap()[0].operation.as_deref(),
        Some("OPTIMIZE")
    );
    // The versions before are still there.
    assert_eq!(
        names(&table.at(AsOf::Version(1)).await.unwrap()).await,
        ["n0", "n1"]
    );
    assert_eq!(
        lake.optimize(&name("t"), &always()).await.unwrap(),
        Optimized::default()
    );
}

#[tokio::test]
async fn files_of_different_columns_and_folders_are_put_together() {
    let (_folder, lake) = lake().await;
    let partitioned = |rows: &arrow::array::RecordBatch| TableSpec {
        partitioned_by: vec!["p".to_owned()],
        cluster_by: vec!["id".to_owned()],
        ..spec("t", rows)
    };
    let old = batch([
        (
            "p",
            Arc::new(StringViewArray::from(vec![Some("x"), Some("y"), None])) as ArrayRef,
        ),
        ("id", Arc::new(Int64Array::from(vec![9, 8, 7]))),
    ]);
    let new = batch([
        (
            "p",
            Arc::new(StringViewArray::from(vec![Some("x"), Some("y"), None])) as ArrayRef,
        ),
        ("id", Arc::new(Int64Array::from(vec![3, 2, 1]))),
        (
            "extra",
            Arc::new(StringViewArray::from(vec!["e3", "e2", "e1"])),
        ),
    ]);
    commit(&lake, &partitioned(&old), CommitMode::Append, &old, None)
        .await
        .unwrap();
    let table = commit(&lake, &partitioned(&new), CommitMode::Append, &new, None).await;
    let sql = "SELECT * FROM t ORDER BY id";
    let before = query(table.unwrap().table.provider(), sql).await;
    let done = lake.optimize(&name("t"), &always()).await.unwrap();
    assert_eq!((done.removed, done.added), (6, 3));
    let table = lake.table(&name("t")).await.unwrap().unwrap();
    assert_eq!(query(table.provider(), sql).await, before);
    // Within a file, rows are in the order of the clustering.
    let x = run(table.provider(), "SELECT id FROM t WHERE p = 'x'").await;
    let ids = x[0]
        .column(0)
        .as_any()
        .downcast_ref::<Int64Array>()
        .unwrap();
    assert_eq!(ids.values(), &[3, 9]);
    assert_eq!(table.spec().cluster_by, ["id"]);
}

#[tokio::test]
async fn only_files_that_nobody_refers_to_are_removed() {
    let (folder, lake) = lake().await;
    append(&lake, "t", &people(&[(1, "Ada")])).await;
    let rows = people(&[(2, "Bob")]);
    commit(&lake, &spec("t", &rows), CommitMode::Overwrite, &rows, None)
        .await
        .unwrap();
    // As a killed writer leaves it.
    write(&lake, &spec("t", &rows), &CommitMode::Append, &[rows])
        .await
        .unwrap();
    assert_eq!(data_files(folder.path()).len(), 3);
    let kept = lake
        .vacuum(&name("t"), &VacuumOptions::default())
        .await
        .unwrap();
    assert_eq!(kept.files.len(), 0);
    let dry = VacuumOptions {
        dry_run: true,
        ..NOW
    };
    assert_eq!(lake.vacuum(&name("t"), &dry).await.unwrap().files.len(), 2);
    assert_eq!(data_files(folder.path()).len(), 3);
    let gone = lake.vacuum(&name("t"), &NOW).await.unwrap();
    assert_eq!(gone.files.len(), 2);
    assert!(gone.bytes > 0);
    assert_eq!(data_files(folder.path()).len(), 1);
    let table = lake.table(&name("t")).await.unwrap().unwrap();
    assert_eq!(names(&table).await, ["Bob"]);
}

#[tokio::test]
async fn a_file_replaced_lately_is_kept() {
    let (folder, lake) = lake().await;
    append(&lake, "t", &people(&[(1, "Ada")])).await;
    for file in data_files(folder.path()) {
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        std::fs::File::options()
            .append(true)
            .open(file)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
    }
    let rows = people(&[(2, "Bob")]);
    commit(&lake, &spec("t", &rows), CommitMode::Overwrite, &rows, None)
        .await
        .unwrap();
    let minute = VacuumOptions {
        retention: Duration::from_secs(60),
        dry_run: false,
    };
    assert_eq!(
        lake.vacuum(&name("t"), &minute).await.unwrap().files.len(),
        0
    );
    let table = lake.table(&name("t")).await.unwrap().unwrap();
    assert_eq!(
        names(&table.at(AsOf::Version(0)).await.unwrap()).await,
        ["Ada"]
    );
}

#[tokio::test]
async fn a_checkpoint_can_be_asked_for() {
    let (folder, lake) = lake().await;
    let table = append(&lake, "t", &people(&[(1, "Ada")])).await.table;
    table.checkpoint().await.unwrap();
    assert!(
        folder
            .path()
            .join("t/_delta_log/00000000000000000000.checkpoint.parquet")
            .is_file()
    );
    let fresh = open(&folder)
        .await
        .table(&name("t"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(names(&fresh).await, ["Ada"]);
}

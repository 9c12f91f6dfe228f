use crate::testing::{append, commit, lake, name, names_of, people, spec};
use crate::{CommitMode, LakeError, OptimizeOptions};

#[tokio::test]
async fn appended_rows_are_read_on() {
    let (_folder, lake) = lake().await;
    append(&lake, "t", &people(&[(1, "Ada")])).await;
    append(&lake, "t", &people(&[(2, "Bob")])).await;
    let table = append(&lake, "t", &people(&[(3, "Cyd")])).await.table;
    let changes = table.appended_since(0).await.unwrap();
    assert_eq!(
        (changes.since(), changes.until(), changes.rows()),
        (0, 2, Some(2))
    );
    assert_eq!(names_of(changes.provider()).await, ["Bob", "Cyd"]);
    let none = table.appended_since(2).await.unwrap();
    assert!(none.is_empty());
    assert!(names_of(none.provider()).await.is_empty());
}

#[tokio::test]
async fn putting_files_together_is_no_change() {
    let (_folder, lake) = lake().await;
    for id in 0..4 {
        append(&lake, "t", &people(&[(id, &format!("n{id}"))])).await;
    }
    let options = OptimizeOptions {
        small_files_min: 2,
        ..OptimizeOptions::default()
    };
    assert_eq!(
        lake.optimize(&name("t"), &options).await.unwrap().version,
        Some(4)
    );
    let table = append(&lake, "t", &people(&[(9, "n9")])).await.table;
    let changes = table.appended_since(2).await.unwrap();
    assert_eq!(names_of(changes.provider()).await, ["n3", "n9"]);
}

#[tokio::test]
async fn a_commit_that_took_rows_away_is_refused_by_name() {
    let (_folder, lake) = lake().await;
    let rows = people(&[(1, "Ada")]);
    append(&lake, "t", &rows).await;
    append(&lake, "t", &rows).await;
    commit(&lake, &spec("t", &rows), CommitMode::Overwrite, &rows, None)
        .await
        .unwrap();
    let table = append(&lake, "t", &rows).await.table;
    let error = table.appended_since(0).await.unwrap_err();
    assert!(
        matches!(&error, LakeError::NotAppended { version: 2, operation, .. } if operation == "WRITE"),
        "{error}"
    );
    assert!(
        error.to_string().contains("refresh the flow in full"),
        "{error}"
    );
    assert_eq!(table.appended_since(2).await.unwrap().rows(), Some(1));
}

#[tokio::test]
async fn a_log_that_does_not_reach_back_is_said_so() {
    let (folder, lake) = lake().await;
    append(&lake, "t", &people(&[(1, "Ada")])).await;
    append(&lake, "t", &people(&[(2, "Bob")])).await;
    let table = append(&lake, "t", &people(&[(3, "Cyd")])).await.table;
    std::fs::remove_file(folder.path().join("t/_delta_log/00000000000000000001.json")).unwrap();
    let error = table.appended_since(0).await.unwrap_err();
    assert!(
        matches!(
            error,
            LakeError::LogGone {
                since: 0,
                version: 1,
                ..
            }
        ),
        "{error}"
    );
}

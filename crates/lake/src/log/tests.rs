use crate::error::LakeError;
use crate::testing::{append, lake, name, names, open, people};
use crate::{AsOf, LakeTable};

async fn grow(lake: &crate::Lake, versions: i64) -> LakeTable {
    let mut table = None;
    for id in 0..versions {
        table = Some(
            append(lake, "t", &people(&[(id, &format!("n{id:03}"))]))
                .await
                .table,
        );
    }
    table.unwrap()
}

#[tokio::test]
async fn a_state_is_the_same_from_checkpoint_and_from_commits() {
    let (folder, lake) = lake().await;
    let grown = grow(&lake, 45).await;
    let log = folder.path().join("t/_delta_log");
    assert!(
        log.join("00000000000000000040.checkpoint.parquet")
            .is_file()
    );
    assert!(log.join("_last_checkpoint").is_file());
    let fresh = open(&folder)
        .await
        .table(&name("t"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(fresh.version(), 44);
    assert_eq!(fresh.schema(), grown.schema());
    let paths = |files: Vec<std::sync::Arc<crate::TableFile>>| -> Vec<String> {
        files
            .iter()
            .map(|file| format!("{:?}", (file.path(), file.rows(), file.bytes())))
            .collect()
    };
    let from_checkpoint = paths(fresh.files().await.unwrap());
    assert_eq!(from_checkpoint.len(), 45);
    assert_eq!(from_checkpoint, paths(grown.files().await.unwrap()));
    // Even when the commits that the checkpoint stands for are gone.
    for version in 0..40 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    let short = open(&folder)
        .await
        .table(&name("t"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(paths(short.files().await.unwrap()), from_checkpoint);
    assert_eq!(names(&short).await.len(), 45);
    let error = short.at(AsOf::Version(3)).await.unwrap_err();
    assert!(
        matches!(
            error,
            LakeError::NoVersion {
                oldest: 20,
                newest: 44,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn epochs_survive_a_checkpoint() {
    let (folder, lake) = lake().await;
    let rows = people(&[(1, "Ada")]);
    let spec = crate::testing::spec("t", &rows);
    for epoch in 1..=21_u64 {
        let step = crate::testing::step(epoch, Some(epoch - 1).filter(|epoch| *epoch > 0));
        crate::testing::commit(&lake, &spec, crate::CommitMode::Append, &rows, Some(step))
            .await
            .unwrap();
    }
    assert!(
        folder
            .path()
            .join("t/_delta_log/00000000000000000020.checkpoint.parquet")
            .is_file()
    );
    let fresh = open(&folder)
        .await
        .table(&name("t"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(fresh.flow_epoch(&"flow".into()), Some(21));
}

#[tokio::test]
async fn a_table_is_read_as_it_was() {
    let (folder, lake) = lake().await;
    grow(&lake, 2).await;
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    let between = chrono::Utc::now();
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    let table = append(&lake, "t", &people(&[(9, "late")])).await.table;
    assert_eq!(
        names(&table.at(AsOf::Version(0)).await.unwrap()).await,
        ["n000"]
    );
    let then = table.at(AsOf::Timestamp(between)).await.unwrap();
    assert_eq!(then.version(), 1);
    assert_eq!(names(&then).await, ["n000", "n001"]);
    let now = table.at(AsOf::Timestamp(chrono::Utc::now())).await.unwrap();
    assert_eq!(now.version(), 2);
    let before = chrono::DateTime::from_timestamp_millis(0).unwrap();
    let error = table.at(AsOf::Timestamp(before)).await.unwrap_err();
    assert!(matches!(error, LakeError::NoVersion { .. }), "{error}");
    let error = table.at(AsOf::Version(3)).await.unwrap_err();
    assert!(
        error.to_string().contains("it has versions 0 to 2"),
        "{error}"
    );
    drop(folder);
}

#[tokio::test]
async fn asking_again_sees_what_others_wrote() {
    let (folder, lake) = lake().await;
    grow(&lake, 1).await;
    let old = lake.table(&name("t")).await.unwrap().unwrap();
    // Loaded files are carried on, not read again.
    assert_eq!(old.files().await.unwrap().len(), 1);
    grow(&open(&folder).await, 2).await;
    let new = lake.table(&name("t")).await.unwrap().unwrap();
    assert_eq!((old.version(), new.version()), (0, 2));
    assert_eq!(new.files().await.unwrap().len(), 3);
    assert_eq!(old.files().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_damaged_log_is_named() {
    let (folder, lake) = lake().await;
    grow(&lake, 4).await;
    let log = folder.path().join("t/_delta_log");
    let second = log.join("00000000000000000001.json");
    let kept = std::fs::read(&second).unwrap();
    std::fs::remove_file(&second).unwrap();
    let error = open(&folder).await.table(&name("t")).await.unwrap_err();
    assert!(
        error.to_string().contains("version 1 is missing"),
        "{error}"
    );
    std::fs::write(&second, &kept[..kept.len() / 2]).unwrap();
    let error = open(&folder).await.table(&name("t")).await.unwrap_err();
    assert!(
        error.to_string().contains("00000000000000000001.json"),
        "{error}"
    );
    std::fs::write(&second, kept).unwrap();
    open(&folder)
        .await
        .table(&name("t"))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_table_from_the_future_is_refused() {
    let (folder, lake) = lake().await;
    grow(&lake, 1).await;
    let line = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["timeMachine"],"writerFeatures":["timeMachine"]}}"#;
    std::fs::write(
        folder.path().join("t/_delta_log/00000000000000000001.json"),
        line,
    )
    .unwrap();
    let error = lake.table(&name("t")).await.unwrap_err();
    assert!(error.to_string().contains("timeMachine"), "{error}");
}

use super::*;
use crate::testing::lake;

fn read(path: &str, from: u64, to: u64) -> FileRead {
    FileRead {
        relation: "__r0".to_owned(),
        path: path.to_owned(),
        from,
        to,
        size: to,
        modified_ms: 7,
        etag: None,
        first_line: None,
    }
}

fn intent(epoch: u64, files: Vec<FileRead>) -> Intent {
    Intent {
        files,
        ..Intent::new(epoch, "run", "print")
    }
}

#[tokio::test]
async fn an_epoch_has_one_intent() {
    let (_folder, lake) = lake().await;
    let log = lake.flow_log(&"flow".into());
    assert_eq!(log.pending(None).await.unwrap(), None);
    let first = intent(1, vec![read("a.csv", 0, 10)]);
    assert_eq!(
        log.write_intent(&first).await.unwrap(),
        IntentOutcome::Written
    );
    // Another process gets what the first wrote, and does that.
    let second = intent(1, vec![read("b.csv", 0, 10)]);
    let outcome = log.write_intent(&second).await.unwrap();
    assert_eq!(outcome, IntentOutcome::Exists(Box::new(first.clone())));
    assert_eq!(log.pending(None).await.unwrap(), Some(first));
    assert_eq!(log.pending(Some(1)).await.unwrap(), None);
    assert_eq!(
        lake.flow_log(&"other".into()).pending(None).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn positions_are_the_sum_of_what_was_committed() {
    let (_folder, lake) = lake().await;
    let log = lake.flow_log(&"flow".into());
    let mut first = intent(1, vec![read("a.csv", 0, 10), read("b.csv", 0, 5)]);
    first.tables.push(TableRead {
        relation: "__r1".to_owned(),
        table: "shop.orders".to_owned(),
        after: None,
        until: 4,
    });
    log.write_intent(&first).await.unwrap();
    let next = NextLine {
        relation: "__r0".to_owned(),
        path: "a.csv".to_owned(),
        line: 3,
    };
    log.close(1, vec![next]).await.unwrap();
    log.write_intent(&intent(2, vec![read("a.csv", 10, 30)]))
        .await
        .unwrap();

    assert!(log.positions(None).await.unwrap().files.is_empty());
    let one = log.positions(Some(1)).await.unwrap();
    assert_eq!(one.epoch, 1);
    assert_eq!(one.file("__r0", "a.csv").unwrap().to, 10);
    assert_eq!(one.file("__r0", "a.csv").unwrap().next_line, Some(3));
    assert_eq!(one.file("__r0", "b.csv").unwrap().next_line, None);
    assert_eq!(one.tables["__r1"].version, 4);
    let two = log.positions(Some(2)).await.unwrap();
    assert_eq!(two.file("__r0", "a.csv").unwrap().to, 30);
    assert_eq!(two.file("__r0", "b.csv").unwrap().to, 5);
    assert_eq!(two.file("__r1", "a.csv"), None);
}

#[tokio::test]
async fn a_restart_forgets_what_was_read() {
    let (_folder, lake) = lake().await;
    let log = lake.flow_log(&"flow".into());
    log.write_intent(&intent(1, vec![read("a.csv", 0, 10)]))
        .await
        .unwrap();
    let restart = Intent {
        restart: true,
        ..intent(2, vec![read("b.csv", 0, 5)])
    };
    log.write_intent(&restart).await.unwrap();
    let positions = log.positions(Some(2)).await.unwrap();
    assert_eq!(positions.file("__r0", "a.csv"), None);
    assert!(positions.file("__r0", "b.csv").is_some());
}

#[tokio::test]
async fn snapshots_keep_adding_up_short_and_say_the_same() {
    let (folder, lake) = lake().await;
    let log = lake.flow_log(&"a flow".into());
    let last = 2 * SNAPSHOT_EVERY_EPOCHS + 3;
    for epoch in 1..=last {
        let path = format!("{}.csv", epoch % 5);
        log.write_intent(&intent(epoch, vec![read(&path, epoch - 1, epoch)]))
            .await
            .unwrap();
        log.positions(Some(epoch)).await.unwrap();
    }
    let own = folder.path().join("_tidegate/flows/a!20flow");
    assert_eq!(std::fs::read_dir(own.join("positions")).unwrap().count(), 2);
    let with = log.positions(Some(last)).await.unwrap();
    assert_eq!(with.files["__r0"].len(), 5);
    // Without the intents that a snapshot stands for, the sum is the same.
    for epoch in 1..=2 * SNAPSHOT_EVERY_EPOCHS {
        std::fs::remove_file(own.join(intent_name(epoch))).unwrap();
    }
    assert_eq!(log.positions(Some(last)).await.unwrap(), with);
    // And without the snapshots too: then what is missing is named.
    std::fs::remove_dir_all(own.join("positions")).unwrap();
    let error = log.positions(Some(last)).await.unwrap_err();
    assert!(matches!(&error, LakeError::Damaged { place, .. } if place.contains("intents/")));
}

#[tokio::test]
async fn a_newer_format_is_refused_by_name() {
    let (folder, lake) = lake().await;
    let log = lake.flow_log(&"flow".into());
    let newer = r#"{"format_version":99,"epoch":1,"something":"else"}"#;
    let path = folder.path().join("_tidegate/flows/flow/intents");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("00000000000000000001.json"), newer).unwrap();
    let error = log.pending(None).await.unwrap_err();
    assert!(
        matches!(
            error,
            LakeError::NewerFormat {
                found: 99,
                known: FLOW_LOG_FORMAT,
                ..
            }
        ),
        "{error}"
    );
    std::fs::write(path.join("00000000000000000001.json"), "{\"format_ver").unwrap();
    assert!(matches!(
        log.pending(None).await,
        Err(LakeError::Damaged { .. })
    ));
}

#[tokio::test]
async fn offsets_and_checkpoints_are_added_up() {
    let (_folder, lake) = lake().await;
    let log = lake.flow_log(&"flow".into());
    let offsets = |pairs: &[(&str, i64)]| {
        let partitions = pairs.iter().map(|(name, next)| ((*name).to_owned(), *next));
        Offsets::from([("__r0".to_owned(), partitions.collect())])
    };
    let last = SNAPSHOT_EVERY_EPOCHS + 2;
    for epoch in 1..=last {
        let next = i64::try_from(epoch).unwrap();
        let partition = format!("clicks/{}", epoch % 3);
        let intent = Intent {
            offsets: offsets(&[(&partition, next * 10)]),
            checkpoint: (epoch % 2 == 0).then(|| format!("c{epoch}")),
            ..intent(epoch, Vec::new())
        };
        log.write_intent(&intent).await.unwrap();
        log.positions(Some(epoch)).await.unwrap();
    }
    let found = log.positions(Some(last)).await.unwrap();
    assert_eq!(found.offset("__r0", "clicks/0"), Some(180));
    assert_eq!(found.offset("__r0", "clicks/1"), Some(160));
    assert_eq!(found.offset("__r0", "clicks/2"), Some(170));
    assert_eq!(found.offset("__r1", "clicks/0"), None);
    assert_eq!(found.checkpoint.as_deref(), Some("c18"));
    let earlier = log.positions(Some(5)).await.unwrap();
    assert_eq!(earlier.checkpoint.as_deref(), Some("c4"));
    assert_eq!(earlier.offset("__r0", "clicks/2"), Some(50));
    // A flow that starts anew starts with nothing.
    let restart = Intent {
        restart: true,
        offsets: offsets(&[("clicks/9", 1)]),
        ..intent(last + 1, Vec::new())
    };
    log.write_intent(&restart).await.unwrap();
    let found = log.positions(Some(last + 1)).await.unwrap();
    assert_eq!(found.offsets, restart.offsets);
    assert_eq!(found.checkpoint, None);
}

#[tokio::test]
async fn logs_of_the_first_format_are_read() {
    let (folder, lake) = lake().await;
    let log = lake.flow_log(&"flow".into());
    let own = folder.path().join("_tidegate/flows/flow");
    for (file, text) in [
        (
            "positions/00000000000000000016.json",
            r#"{"format_version":1,"epoch":16,"fingerprint":"p","files":{},
                "tables":{"__r1":{"table":"t","version":3}}}"#,
        ),
        (
            "intents/00000000000000000017.json",
            r#"{"format_version":1,"epoch":17,"run":"r","written_ms":1,"fingerprint":"p"}"#,
        ),
    ] {
        std::fs::create_dir_all(own.join(file).parent().unwrap()).unwrap();
        std::fs::write(own.join(file), text).unwrap();
    }
    let positions = log.positions(Some(17)).await.unwrap();
    assert_eq!(positions.tables["__r1"].version, 3);
    assert!(positions.offsets.is_empty() && positions.checkpoint.is_none());
    let pending = log.pending(Some(16)).await.unwrap().unwrap();
    assert_eq!(pending.prepared, None);
}

#[tokio::test]
async fn state_is_kept_by_name() {
    let (_folder, lake) = lake().await;
    let log = lake.flow_log(&"a flow".into());
    assert_eq!(log.list_state().await.unwrap(), []);
    let one = Bytes::from_static(b"one");
    log.put_state("7/part 0.arrow", one.clone()).await.unwrap();
    log.put_state("10/part 0.arrow", Bytes::new())
        .await
        .unwrap();
    log.put_state("7/part 0.arrow", one.clone()).await.unwrap();
    let listed = log.list_state().await.unwrap();
    let names: Vec<(&str, u64)> = listed.iter().map(|f| (f.name.as_str(), f.bytes)).collect();
    assert_eq!(names, [("10/part 0.arrow", 0), ("7/part 0.arrow", 3)]);
    assert_eq!(log.get_state("7/part 0.arrow").await.unwrap(), Some(one));
    assert_eq!(log.get_state("7").await.unwrap(), None);
    log.delete_state("7/part 0.arrow").await.unwrap();
    log.delete_state("7/part 0.arrow").await.unwrap();
    assert_eq!(log.list_state().await.unwrap().len(), 1);
    assert!(log.get_state("7//x").await.is_err());
    let other = lake.flow_log(&"other".into());
    assert_eq!(other.list_state().await.unwrap(), []);
}

//! The same questions to every database that can hold the records: what is written must be read
//! back, on SQLite always, on PostgreSQL when a server can be started.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod postgres;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::json;
use tidegate_store::{
    ExpectationOutcome, ExpectationResult, FlowRun, FlowStatus, HEARTBEAT_MICROS_MAX, LineageEdge,
    LineageKind, NewRun, ProcessIdentity, RunId, RunKind, RunStatus, Store, StoreError,
    StoreErrorKind, StoreUrl, Surroundings,
};

/// 2026-10-05 00:00 UTC.
const START: i64 = 1_791_158_400_000_000;

/// A clock that a test turns, and processes that live as it says.
fn surroundings(clock: &Arc<AtomicI64>, host: &str, alive: Option<bool>) -> Surroundings {
    let clock = Arc::clone(clock);
    let process = ProcessIdentity {
        host: host.to_owned(),
        process_id: 4_194_303,
        birth: "boot:1".to_owned(),
    };
    Surroundings::system()
        .with_clock(move || clock.load(Ordering::SeqCst))
        .with_processes(process, move |_| alive)
}

/// Everything that the store promises, asked of one empty database.
async fn check_records(url: &StoreUrl) {
    let clock = Arc::new(AtomicI64::new(START));
    let store = Store::open_in(url, surroundings(&clock, "here", Some(true)))
        .await
        .unwrap();
    check_runs(&store, &clock).await;
    check_flows(&store).await;
    check_expectations(&store).await;
    check_lineage(&store).await;
    check_forgetting(&store).await;
    store.close().await;
}

async fn check_runs(store: &Store, clock: &AtomicI64) {
    let arguments = json!({"tables": ["payments"], "full_refresh": false});
    let first = NewRun::new(RunKind::Update).with_arguments(arguments.clone());
    let first = store.start_run(first).await.unwrap();
    clock.fetch_add(1_500_000, Ordering::SeqCst);
    let second = store.start_run(NewRun::new(RunKind::Test)).await.unwrap();

    let runs = store.list_runs(10).await.unwrap();
    assert_eq!(
        runs.iter().map(|run| &run.id).collect::<Vec<_>>(),
        [&second, &first]
    );
    assert!(first < second, "ids sort by time");
    assert_eq!(runs[1].status, RunStatus::Running);
    assert_eq!(runs[1].arguments, arguments);
    assert_eq!(runs[1].started_micros, START);
    assert_eq!(store.list_runs(1).await.unwrap().len(), 1);

    let error = json!({"table": "payments", "message": "the disk is full"});
    let failed = store.finish_run(&first, RunStatus::Failed, Some(&error));
    failed.await.unwrap();
    let run = store.run(first.short()).await.unwrap();
    assert_eq!(run.id, first);
    assert_eq!(run.status, RunStatus::Failed);
    assert_eq!(run.error, Some(error));
    assert_eq!(run.seconds(), Some(1.5));
    let by_prefix = store.run(&first.as_str().to_uppercase()[..20]).await;
    assert!(by_prefix.is_ok() || matches!(by_prefix, Err(StoreError::AmbiguousRun { .. })));

    let common = &first.as_str()[..4];
    let ambiguous = store.run(common).await.unwrap_err();
    assert!(
        matches!(&ambiguous, StoreError::AmbiguousRun { matches, .. } if matches.len() == 2),
        "{ambiguous}"
    );
    for nothing in ["", "%", "' OR 1=1 --", "ffffffff-ffff"] {
        let unknown = store.run(nothing).await.unwrap_err();
        assert_eq!(
            unknown.kind(),
            StoreErrorKind::Input,
            "{nothing}: {unknown}"
        );
    }
    let unknown = RunId::at(START);
    let unknown = store.finish_run(&unknown, RunStatus::Succeeded, None).await;
    assert!(matches!(unknown, Err(StoreError::UnknownRun { .. })));
}

async fn check_flows(store: &Store) {
    let run = store.start_run(NewRun::new(RunKind::Update)).await.unwrap();
    let mut flow = FlowRun::started(&run, "payments", "payments", START);
    store
        .record_flows(std::slice::from_ref(&flow))
        .await
        .unwrap();
    assert_eq!(store.flows_of(&run).await.unwrap(), [flow.clone()]);

    flow.epoch = Some(7);
    flow.status = FlowStatus::Succeeded;
    flow.seconds = 2.0;
    flow.rows_in = 1_000_000;
    flow.good = 985_017;
    flow.repaired = 3;
    flow.quarantined = 14_980;
    flow.dropped = 4;
    flow.kept_failed = 5;
    flow.bytes = 110_000_000;
    let mut skipped = FlowRun::started(&run, "reports", "it's \"quoted\" ü", START + 1);
    skipped.status = FlowStatus::Skipped;
    skipped.skipped_reason = Some("payments did not move".to_owned());
    skipped.error = Some(json!({"message": "a\nb"}));
    let both = [flow, skipped];
    store.record_flows(&both).await.unwrap();
    assert_eq!(store.flows_of(&run).await.unwrap(), both);
    assert_eq!(store.list_flows(1).await.unwrap(), both[1..]);
    assert_eq!(store.flows_into("payments", 9).await.unwrap(), both[..1]);

    let orphan = FlowRun::started(&RunId::at(START), "payments", "payments", START);
    let refused = store.record_flows(&[orphan]).await;
    assert!(refused.is_err(), "a flow of an unknown run");
}

async fn check_expectations(store: &Store) {
    let run = store.start_run(NewRun::new(RunKind::Update)).await.unwrap();
    let result = |constraint: &str, failed, outcome| ExpectationResult {
        run: run.clone(),
        table: "payments".to_owned(),
        constraint: constraint.to_owned(),
        passed: 1_000 - failed,
        failed,
        outcome,
    };
    let results = [
        result("a_kept", 1, ExpectationOutcome::Keep),
        result("b_dropped", 2, ExpectationOutcome::DropRow),
        result("c_stopped", 0, ExpectationOutcome::FailUpdate),
        result("malformed", 4, ExpectationOutcome::Quarantine),
    ];
    store.record_expectations(&results).await.unwrap();
    store.record_expectations(&results[..1]).await.unwrap();
    assert_eq!(store.expectations_of(&run).await.unwrap(), results);
    assert_eq!(store.list_expectations(2).await.unwrap(), results[..2]);
}

async fn check_lineage(store: &Store) {
    let edge = |from: &str, column: Option<&str>, to: &str, kind| LineageEdge {
        from_table: from.to_owned(),
        from_column: column.map(str::to_owned),
        to_table: to.to_owned(),
        to_column: column.map(str::to_owned),
        kind,
    };
    let first = [
        edge("payments", None, "reports", LineageKind::Condition),
        edge("payments", Some("amount"), "reports", LineageKind::Derived),
        edge("landing/*.csv", Some("id"), "payments", LineageKind::Copied),
    ];
    let both = ["reports", "payments"];
    store.replace_lineage(&both, &first).await.unwrap();
    let second = [edge(
        "refunds",
        Some("amount"),
        "reports",
        LineageKind::Copied,
    )];
    store.replace_lineage(&["reports"], &second).await.unwrap();
    let expected = [first[2].clone(), second[0].clone()];
    assert_eq!(store.lineage().await.unwrap(), expected);
}

async fn check_forgetting(store: &Store) {
    let runs = store.list_runs(100).await.unwrap();
    let ended = runs.iter().filter(|run| run.ended_micros.is_some()).count();
    assert_eq!(ended, 1);
    let forgotten = store.forget_runs_before(i64::MAX).await.unwrap();
    assert_eq!(forgotten, 1);
    assert_eq!(store.list_runs(100).await.unwrap().len(), runs.len() - 1);
}

/// A run that nobody ended reads as interrupted once its process is gone.
async fn check_interruption(url: &StoreUrl) {
    let clock = Arc::new(AtomicI64::new(START));
    let owner = Store::open_in(url, surroundings(&clock, "here", Some(true)))
        .await
        .unwrap();
    let run = owner.start_run(NewRun::new(RunKind::Update)).await.unwrap();
    let seen_by = async |alive| {
        let other = Store::open_in(url, surroundings(&clock, "there", alive));
        let other = other.await.unwrap();
        let status = other.run(run.as_str()).await.unwrap().status;
        other.close().await;
        status
    };
    assert_eq!(seen_by(Some(true)).await, RunStatus::Running);
    assert_eq!(seen_by(Some(false)).await, RunStatus::Interrupted);
    assert_eq!(seen_by(None).await, RunStatus::Running);
    clock.fetch_add(HEARTBEAT_MICROS_MAX + 1, Ordering::SeqCst);
    assert_eq!(seen_by(None).await, RunStatus::Interrupted);
    owner.heartbeat(&run).await.unwrap();
    assert_eq!(seen_by(None).await, RunStatus::Running);
    owner.close().await;
}

/// Several processes' worth of stores open one new database at once, and write.
async fn check_race(url: &StoreUrl) {
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let url = url.clone();
        tasks.push(tokio::spawn(async move {
            let store = Store::open(&url).await.unwrap();
            for _ in 0..5 {
                let run = store.start_run(NewRun::new(RunKind::Update)).await.unwrap();
                let done = store.finish_run(&run, RunStatus::Succeeded, None);
                done.await.unwrap();
            }
            store.close().await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let store = Store::open(url).await.unwrap();
    assert_eq!(store.list_runs(100).await.unwrap().len(), 40);
    store.close().await;
}

#[tokio::test]
async fn memory_holds_the_records() {
    check_records(&StoreUrl::in_memory()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_holds_the_records() {
    let folder = tempfile::tempdir().unwrap();
    // A name that an URL would read differently.
    let odd = folder.path().join("a b").join("100% ü?#");
    check_records(&StoreUrl::of_project(&odd)).await;
    assert!(odd.join(".tidegate/tidegate.db").is_file());
    check_interruption(&StoreUrl::of_file(folder.path().join("interrupted.db"))).await;
    check_race(&StoreUrl::of_file(folder.path().join("race.db"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_holds_the_records() {
    let Some(server) = postgres::Server::start() else {
        return;
    };
    check_records(&server.database("records")).await;
    check_interruption(&server.database("interrupted")).await;
    check_race(&server.database("race")).await;
}

#[tokio::test]
async fn reopening_is_quick() {
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::of_project(folder.path());
    Store::open(&url).await.unwrap().close().await;
    let mut best = std::time::Duration::MAX;
    for _ in 0..5 {
        let begin = std::time::Instant::now();
        let store = Store::open(&url).await.unwrap();
        best = best.min(begin.elapsed());
        store.close().await;
    }
    println!("reopened in {best:?}");
    // Five milliseconds are promised for a release build on a quiet machine.
    assert!(best < std::time::Duration::from_millis(25), "{best:?}");
}

#[tokio::test]
async fn what_cannot_be_opened_is_said_at_once_with_its_place() {
    let begin = std::time::Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").unwrap();
    let error = Store::open(&StoreUrl::of_project(&file)).await.unwrap_err();
    assert!(matches!(error, StoreError::Folder { .. }), "{error}");

    std::fs::write(&file, "this is a text, and no database at all".repeat(50)).unwrap();
    let error = Store::open(&StoreUrl::of_file(&file)).await.unwrap_err();
    assert!(
        error.to_string().contains(file.to_str().unwrap()),
        "{error}"
    );

    let nowhere = "postgres://ann:secret@127.0.0.1:9/shop".parse().unwrap();
    let error = Store::open(&nowhere).await.unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(error.kind(), StoreErrorKind::Retry, "{error:?}");
    assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
}

//! Upserts of three epochs, the process ended at every step of them and started again: the table is
//! that of an undisturbed process.
//!
//! The process that is ended is this test binary, told by a variable to be it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::Staged;
use crate::testing::{name, names, people, spec};
use crate::{
    Commit, FAIL_POINTS, FlowStep, Intent, Lake, Prepared, PreparedTable, TableSpec, VacuumOptions,
    arm_fail_points,
};

/// Says that this process does the epochs, and in which folder.
const FOLDER: &str = "TIDEGATE_UPSERT_KILL_FOLDER";

/// How often a step is passed before it ends the process.
const PASSES: usize = 3;

/// The epochs, as rows that come; a row without a name goes.
const EPOCHS: [&[(i64, &str)]; 3] = [
    &[(1, "a1"), (2, "a2"), (3, "a3"), (4, "a4")],
    &[(2, "b2"), (5, "b5"), (3, "")],
    &[(2, "c2"), (1, "c1"), (6, "c6"), (4, "")],
];

/// Plans an epoch: its files, then its intent.
async fn plan(lake: &Lake, spec: &TableSpec, epoch: u64, predecessor: Option<u64>) -> Intent {
    let rows = EPOCHS[usize::try_from(epoch).unwrap() - 1];
    let (gone, here): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.1.is_empty());
    let mut writer = lake
        .upsert_plan(spec, &["id".to_owned()])
        .await
        .unwrap()
        .writer();
    writer.write(&people(&here), None).unwrap();
    writer.delete(&people(&gone)).unwrap();
    let Staged { files, mode } = writer.finish().unwrap();
    let commit = Commit {
        mode,
        ..Commit::append(spec.clone(), files, "run")
    };
    let mut intent = Intent::new(epoch, "run", "print");
    intent.predecessors.insert(spec.name.key(), predecessor);
    intent.prepared = Some(Prepared {
        tables: vec![PreparedTable::of(&commit)],
    });
    let log = lake.flow_log(&"flow".into());
    log.write_intent(&intent).await.unwrap();
    intent
}

/// Does what is left of the epochs.
async fn epochs(folder: &Path) {
    let lake = Lake::open(folder.to_str().unwrap(), &BTreeMap::new())
        .await
        .unwrap();
    let spec = spec("t", &people(&[]));
    let flow = "flow".into();
    loop {
        let table = lake.table(&spec.name).await.unwrap();
        let done = table.and_then(|table| table.flow_epoch(&flow));
        let epoch = done.unwrap_or(0) + 1;
        if epoch > EPOCHS.len() as u64 {
            return;
        }
        let intent = match lake.flow_log(&flow).pending(done).await.unwrap() {
            Some(intent) => intent,
            None => plan(&lake, &spec, epoch, done).await,
        };
        let step = FlowStep {
            flow: flow.clone(),
            epoch,
            predecessor: intent.predecessors["t"],
        };
        for table in intent.prepared.unwrap().tables {
            let commit = table.into_commit(spec.clone(), "run", step.clone());
            lake.commit_prepared(commit).await.unwrap();
        }
    }
}

/// The process that is ended; without the variable, nothing.
#[tokio::test]
async fn the_process_that_is_ended() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    arm_fail_points();
    epochs(Path::new(&folder)).await;
}

/// Runs the process; whether it was ended.
fn run(folder: &Path, failpoints: &str) -> bool {
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "upsert::kill::the_process_that_is_ended"])
        .env(FOLDER, folder)
        .env("FAILPOINTS", failpoints)
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ended.stdout);
    let killed = ended.status.code() == Some(101) && !text.contains("FAILED");
    assert!(killed || ended.status.success(), "{text}");
    killed
}

#[tokio::test]
async fn an_upsert_killed_at_any_step_and_started_again_gives_the_same_table() {
    let mut killed = 0;
    let steps = FAIL_POINTS.iter().filter(|step| {
        ["lake.intent", "lake.write", "lake.commit", "lake.upsert"]
            .iter()
            .any(|of| step.starts_with(of))
    });
    for step in steps {
        for passes in 0..PASSES {
            let folder = tempfile::tempdir().unwrap();
            let failpoints = format!("{step}={passes}*off->return(exit)");
            killed += usize::from(run(folder.path(), &failpoints));
            assert!(!run(folder.path(), ""), "{step}");
            let lake = Lake::open(folder.path().to_str().unwrap(), &BTreeMap::new())
                .await
                .unwrap();
            let table = lake.table(&name("t")).await.unwrap().unwrap();
            let found = names(&table).await;
            assert_eq!(found, ["c1", "c2", "b5", "c6"], "{step}, {passes}");
            assert_eq!(table.version(), 2, "{step}, {passes}");
            let options = VacuumOptions {
                retention: std::time::Duration::ZERO,
                dry_run: false,
            };
            lake.vacuum(&name("t"), &options).await.unwrap();
            let table = lake.table(&name("t")).await.unwrap().unwrap();
            assert_eq!(names(&table).await.len(), 4, "{step}, {passes}");
        }
    }
    assert!(killed >= 24, "only {killed} were killed");
}

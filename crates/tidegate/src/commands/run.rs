//! `tidegate run`: refreshes tables, shows progress, ends with one report.

mod report;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tidegate_pipeline::events::Silent;
use tidegate_pipeline::{
    CancelToken, FullRefresh, Outcome, TableReport, UpdateReport, UpdateRequest, UpdateStatus,
    Watch, Workspace,
};

use crate::arguments::Run;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::terminal::number;

pub use report::draw;

/// Runs the command.
///
/// # Errors
/// When the project has mistakes, another process runs it, or the machine fails.
pub fn run(arguments: Run, context: &Context) -> Result<Exit, Failure> {
    let request = UpdateRequest {
        tables: arguments.tables,
        full_refresh: match arguments.full_refresh {
            None => FullRefresh::None,
            Some(tables) if tables.is_empty() => FullRefresh::All,
            Some(tables) => FullRefresh::Tables(tables),
        },
    };
    let cancel = CancelToken::default();
    let stop = cancel.clone();
    let folder = context.project_folder()?;
    let (continuous, every, for_length) =
        (arguments.continuous, arguments.every, arguments.for_length);
    let work = async {
        let workspace = context.open_in(&folder)?;
        if !continuous {
            return update(&workspace, &request, context, cancel).await;
        }
        if let Some(length) = for_length {
            let cancel = cancel.clone();
            tokio::spawn(async move {
                tokio::time::sleep(length).await;
                cancel.cancel();
            });
        }
        follow(&workspace, &request, every, context, cancel).await
    };
    let report = context.block_on_stoppable(work, move || stop.cancel())?;
    let mut out = context.screen().out();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        out.write_all(draw(&report, context.screen()).as_bytes())?;
    }
    out.flush()?;
    Ok(exit(&report))
}

/// Updates tables with progress on the screen.
///
/// # Errors
/// When the update could not begin, or the machine fails.
pub async fn update(
    workspace: &Workspace,
    request: &UpdateRequest,
    context: &Context,
    cancel: CancelToken,
) -> Result<UpdateReport, Failure> {
    let progress = Progress::start(context.screen(), context.shows_progress());
    let outcome = workspace
        .update(
            request,
            Watch {
                observer: progress.observer(),
                cancel,
            },
        )
        .await;
    progress.finish();
    outcome.map_err(|error| Failure::in_workspace(workspace, error))
}

/// Follows the sources; says after each round what came of it.
async fn follow(
    workspace: &Workspace,
    request: &UpdateRequest,
    every: Duration,
    context: &Context,
    cancel: CancelToken,
) -> Result<UpdateReport, Failure> {
    let watch = Watch {
        observer: Arc::new(Silent),
        cancel,
    };
    let screen = context.screen();
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    let mut on_round = |tables: &[TableReport]| {
        for table in tables {
            for line in lines(table, &mut told) {
                screen.remark(&line);
            }
        }
    };
    screen.remark("following the sources; `tidegate streams` shows how they stand. Ctrl-C ends it");
    let outcome = workspace.follow(request, every, watch, &mut on_round);
    outcome
        .await
        .map_err(|error| Failure::in_workspace(workspace, error))
}

/// What is said of a table after a round: what was committed, and a failure once.
fn lines(table: &TableReport, told: &mut BTreeMap<String, String>) -> Vec<String> {
    let name = &table.table;
    match &table.outcome {
        Outcome::Refreshed => {
            let was = told.remove(name);
            let again = if was.is_some() { " (well again)" } else { "" };
            let bad = match table.quarantined + table.dropped {
                0 => String::new(),
                bad => format!(", {} kept out", number::count(bad)),
            };
            vec![format!(
                "{name}: {} rows{bad}{again}",
                number::count(table.good)
            )]
        }
        Outcome::Failed { error } if told.get(name) != Some(error) => {
            told.insert(name.clone(), error.clone());
            vec![format!("{name} failed, and is tried again: {error}")]
        }
        _ => {
            let notes = table.notes.iter();
            notes.map(|note| format!("{name}: {note}")).collect()
        }
    }
}

/// The exit code of an update.
pub fn exit(report: &UpdateReport) -> Exit {
    match report.status {
        UpdateStatus::Succeeded => Exit::Done,
        UpdateStatus::Cancelled => Exit::Interrupted,
        UpdateStatus::Failed => Exit::Data,
    }
}

/// Whether a table of the report has something in its quarantine now.
fn quarantines(report: &UpdateReport) -> impl Iterator<Item = &str> {
    let held = report
        .tables
        .iter()
        .filter(|table| table.quarantined > 0 && matches!(table.outcome, Outcome::Refreshed));
    held.map(|table| table.table.as_str())
}

//! `tidegate run`: refreshes tables, shows progress, ends with one report.

mod report;

use std::io::Write;

use tidegate_pipeline::{
    CancelToken, FullRefresh, Outcome, UpdateReport, UpdateRequest, UpdateStatus, Watch, Workspace,
};

use crate::arguments::Run;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::Progress;

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
    let work = async {
        let workspace = context.open_in(&folder)?;
        update(&workspace, &request, context, cancel).await
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

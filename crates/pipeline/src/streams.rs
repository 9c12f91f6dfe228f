//! How the flows of a running project stand: rows a second, lag, watermark, state. `system.streams` shows it, also to other
//! processes: a run that follows its sources writes it down after each round.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{PipelineError, Result};
use crate::report::{Outcome, TableReport};
use crate::update::Kept;
use crate::workspace::Workspace;

/// How one flow stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct StreamState {
    pub(crate) table: String,
    pub(crate) flow: String,
    pub(crate) status: String,
    /// Rows that came in the last round, and in all since the state of the flow began.
    pub(crate) rows: i64,
    pub(crate) rows_total: i64,
    pub(crate) rows_per_second: f64,
    /// Records that are there and were not read, by `topic/partition`.
    pub(crate) lag: BTreeMap<String, i64>,
    /// Microseconds since 1970.
    pub(crate) watermark: Option<i64>,
    pub(crate) state_rows: i64,
    pub(crate) state_bytes: i64,
    pub(crate) late: i64,
    pub(crate) quarantined: i64,
    pub(crate) epoch: Option<i64>,
    /// Milliseconds since 1970.
    pub(crate) updated_ms: i64,
}

fn place(workspace: &Workspace) -> PathBuf {
    workspace.state_folder().join("streams.json")
}

/// How the flows stood when a run last wrote it down; nothing if none did.
///
/// # Errors
/// When what is written cannot be read.
pub(crate) fn read(workspace: &Workspace) -> Result<Vec<StreamState>> {
    let path = place(workspace);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(PipelineError::file("reading", &path, error)),
    };
    serde_json::from_slice(&text)
        .map_err(|error| PipelineError::Request(format!("{} is damaged: {error}", path.display())))
}

/// Writes down how the flows stand after a round. What cannot be written is only not shown.
pub(crate) async fn write(workspace: &Workspace, kept: &Kept, reports: &[TableReport]) {
    let before = read(workspace).unwrap_or_default();
    let now = chrono::Utc::now().timestamp_millis();
    let mut states = Vec::new();
    for report in reports {
        let Some(name) = workspace.project.resolve(&report.table) else {
            continue;
        };
        for flow in workspace.project.flows_into(&name) {
            if !flow.query.is_streaming() {
                continue;
            }
            let key = flow.name.key();
            let earlier = before.iter().find(|state| state.flow == key);
            let mut state = StreamState {
                table: report.table.clone(),
                status: status(&report.outcome),
                rows: whole(report.rows_in),
                quarantined: earlier.map_or(0, |state| state.quarantined)
                    + whole(report.quarantined),
                rows_total: earlier.map_or(0, |state| state.rows_total) + whole(report.rows_in),
                rows_per_second: report.rows_in as f64 / report.seconds.max(0.001),
                updated_ms: now,
                ..StreamState::default()
            };
            if let Some((epoch, dataflow)) = kept.dataflows.lock().get(&key) {
                let stats = dataflow.lock().stats();
                // The rows that were taken; the report counts those that came out.
                let before = earlier.map_or(0, |state| state.rows_total);
                state.rows_total = whole(stats.rows_in);
                state.rows = (state.rows_total - before).max(0);
                state.rows_per_second = state.rows as f64 / report.seconds.max(0.001);
                state.watermark = stats.watermark;
                state.state_rows = stats.operators.iter().map(|one| whole(one.rows)).sum();
                state.state_bytes = i64::try_from(stats.state_bytes()).unwrap_or(i64::MAX);
                state.late = whole(stats.late);
                state.epoch = i64::try_from(*epoch).ok();
            }
            let own = |place: &&String| {
                flow.query.relations.iter().any(|relation| {
                    place.starts_with(&format!(
                        "{}\u{0}",
                        workspace.files().locate(relation.place)
                    ))
                })
            };
            let sources: Vec<_> = {
                let sources = kept.sources.lock();
                let names: Vec<String> = sources.keys().filter(own).cloned().collect();
                names
                    .iter()
                    .filter_map(|name| sources.get(name).cloned())
                    .collect()
            };
            for source in sources {
                let lag = tokio::task::spawn_blocking(move || source.lock().lag());
                state.lag.extend(lag.await.unwrap_or_default());
            }
            state.flow = key;
            states.push(state);
        }
    }
    let written = serde_json::to_vec(&states).map_err(std::io::Error::other);
    let path = place(workspace);
    let beside = path.with_extension("json.new");
    let written = written
        .and_then(|text| std::fs::write(&beside, text))
        .and_then(|()| std::fs::rename(&beside, &path));
    if let Err(error) = written {
        tracing::warn!(%error, "how the streams stand could not be written down");
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn status(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed { error } => format!("failed: {error}"),
        Outcome::Blocked { by } => format!("waits for {by}"),
        _ => "running".to_owned(),
    }
}

//! `tidegate run`: the project's tables, refreshed in dependency order.
//!
//! Tables that do not depend on each other are refreshed side by side. A table that fails stops those that read it and no
//! others. What each table did is reported while it runs ([`crate::events`]) and at the end ([`crate::report`]), and is
//! kept in the run history.

mod again;
mod destination;
mod epoch;
mod feed;
mod follow;
mod history;
mod positions;
mod refresh;
mod restore;
mod round;
mod sink;
mod sources;
mod stateful;
mod stream;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

pub(crate) use epoch::{EpochCommit, EpochFiles, FlowState, TableCommit};
pub use follow::OnRound;
pub(crate) use refresh::{add_promises, quarantine_spec, spec_named, table_spec};
pub(crate) use round::Kept;
pub(crate) use sources::Leaf;
pub(crate) use stateful::{compile, late_columns};
pub(crate) use stream::preload;
pub use watch::TakeRows;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tidegate_project::{SourceMap, Table, TableKind};
use tidegate_store::{NewRun, RunId, RunKind, RunStatus};

use crate::catalog::Catalog;
use crate::error::{PipelineError, Result};
use crate::events::{Event, Meter, Observer};
use crate::lock::ProjectLock;
use crate::report::{Outcome, TableReport, UpdateReport, UpdateStatus};
use crate::rows::CancelToken;
use crate::workspace::Workspace;

/// How often a run says that it goes on, for readers on other machines.
const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(60);

/// What to refresh.
#[derive(Debug, Clone, Default)]
pub struct UpdateRequest {
    /// Tables by name, with all that feed them; none means all.
    pub tables: Vec<String>,
    /// What to read again from the beginning.
    pub full_refresh: FullRefresh,
}

/// What to read again from the beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FullRefresh {
    /// Nothing: only what is new is read.
    #[default]
    None,
    /// Every table of the update.
    All,
    /// These tables.
    Tables(Vec<String>),
}

/// Who watches an update and may stop it.
#[derive(Clone)]
pub struct Watch {
    /// Is told what happens.
    pub observer: Arc<dyn Observer>,
    /// Stops it.
    pub cancel: CancelToken,
}

/// What every table of one update shares.
pub(crate) struct Update<'w> {
    pub(crate) workspace: &'w Workspace,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) run: RunId,
    pub(crate) started_micros: i64,
    pub(crate) watch: Watch,
    /// The round of a run that follows its sources; none for a run that ends.
    pub(crate) round: Option<Arc<round::Round>>,
    /// The texts that places point into, where they are not the project's: of a query that is watched.
    pub(crate) texts: Option<&'w SourceMap>,
    full: BTreeSet<usize>,
}

impl Workspace {
    /// Refreshes tables. A table that fails is told in the report, not as an error.
    ///
    /// # Errors
    /// When nothing could be begun: mistakes in the project, another process at work, a history that cannot be written.
    pub async fn update(&self, request: &UpdateRequest, watch: Watch) -> Result<UpdateReport> {
        self.refuse_mistakes()?;
        self.select(&request.tables)?;
        let _lock = ProjectLock::take(&self.state_folder())?;
        self.update_unlocked(request, watch).await
    }

    /// The update itself, for a caller that sees to it that there is only one.
    pub(crate) async fn update_unlocked(
        &self,
        request: &UpdateRequest,
        watch: Watch,
    ) -> Result<UpdateReport> {
        let started = Instant::now();
        let selected = self.select(&request.tables)?;
        let full = self.full(&request.full_refresh, &selected)?;
        let catalog = Catalog::build(self).await?;
        catalog.refuse_mistakes()?;
        let store = self.store().await?;
        let arguments = serde_json::json!({
            "tables": request.tables,
            "full_refresh": matches!(request.full_refresh, FullRefresh::All | FullRefresh::Tables(_)),
        });
        let run = store
            .start_run(NewRun::new(RunKind::Update).with_arguments(arguments))
            .await?;
        let started_micros = chrono::Utc::now().timestamp_micros();
        let update = Update {
            run,
            started_micros,
            full,
            ..Update::over(self, catalog, watch)
        };
        let heartbeat = async {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                if let Err(error) = store.heartbeat(&update.run).await {
                    tracing::warn!(%error, "could not say that the run goes on");
                }
            }
        };
        let tables = tokio::select! {
            tables = update.refresh_all(&selected) => tables,
            () = heartbeat => Vec::new(),
        };
        let tables: Vec<TableReport> = tables.into_iter().map(|(_, report)| report).collect();
        let status = status_of(&tables, &update.watch.cancel);
        update.record(&tables, status).await?;
        let run = update.run.to_string();
        Ok(UpdateReport {
            run,
            status,
            seconds: started.elapsed().as_secs_f64(),
            tables,
        })
    }

    /// The tables meant and all above them, in dependency order.
    fn select(&self, names: &[String]) -> Result<Vec<usize>> {
        let graph = &self.project.graph;
        if names.is_empty() {
            return Ok(graph.order().to_vec());
        }
        let mut wanted = Vec::with_capacity(names.len());
        for name in names {
            wanted.extend(graph.index(&self.table_named(name)?));
        }
        let wanted: BTreeSet<usize> = graph.with_upstream(&wanted).into_iter().collect();
        Ok(graph
            .order()
            .iter()
            .copied()
            .filter(|index| wanted.contains(index))
            .collect())
    }

    fn full(&self, request: &FullRefresh, selected: &[usize]) -> Result<BTreeSet<usize>> {
        match request {
            FullRefresh::None => Ok(BTreeSet::new()),
            FullRefresh::All => Ok(selected.iter().copied().collect()),
            FullRefresh::Tables(names) => {
                let mut named = Vec::with_capacity(names.len());
                for name in names {
                    named.extend(self.project.graph.index(&self.table_named(name)?));
                }
                // What reads a table as a stream cannot go on from a table that was made anew.
                Ok(self
                    .project
                    .graph
                    .with_downstream(&named)
                    .into_iter()
                    .collect())
            }
        }
    }
}

fn status_of(tables: &[TableReport], cancel: &CancelToken) -> UpdateStatus {
    if cancel.is_cancelled() {
        UpdateStatus::Cancelled
    } else if tables.iter().all(TableReport::is_ok) {
        UpdateStatus::Succeeded
    } else {
        UpdateStatus::Failed
    }
}

impl<'w> Update<'w> {
    /// An update that has no run: for a query, which reads as an update does and writes nothing.
    pub(crate) fn over(workspace: &'w Workspace, catalog: Catalog, watch: Watch) -> Self {
        let full = BTreeSet::new();
        Self {
            workspace,
            catalog: Arc::new(catalog),
            run: RunId::at(0),
            started_micros: 0,
            watch,
            round: None,
            texts: None,
            full,
        }
    }

    /// The texts that places point into.
    pub(crate) fn files(&self) -> &SourceMap {
        self.texts.unwrap_or(self.workspace.files())
    }

    /// Refreshes the tables, each as soon as all it reads is done, a few side by side.
    async fn refresh_all(&self, selected: &[usize]) -> Vec<(usize, TableReport)> {
        let project = &self.workspace.project;
        let tables = selected
            .iter()
            .filter_map(|index| project.tables.get(*index));
        self.tell(Event::UpdateStarted {
            run: self.run.to_string(),
            tables: tables.map(|table| table.name.to_string()).collect(),
        });
        let limit = self.workspace.threads().max(2);
        let mut done: BTreeMap<usize, TableReport> = BTreeMap::new();
        let mut waiting: Vec<usize> = selected.to_vec();
        let mut running = FuturesUnordered::new();
        let mut begun = BTreeSet::new();
        loop {
            let ready: Vec<usize> = waiting
                .iter()
                .copied()
                .filter(|index| {
                    self.sources(*index, selected)
                        .iter()
                        .all(|source| done.contains_key(source))
                })
                .take(limit.saturating_sub(running.len()))
                .collect();
            waiting.retain(|index| !ready.contains(index));
            for index in ready {
                begun.insert(index);
                running.push(self.one(index, self.blocker(index, selected, &done)));
            }
            match running.next().await {
                Some((index, report)) => drop(done.insert(index, report)),
                None => break,
            }
        }
        selected
            .iter()
            .filter_map(|index| done.remove_entry(index))
            .collect()
    }

    /// The tables of this update that a table reads.
    fn sources(&self, index: usize, selected: &[usize]) -> Vec<usize> {
        let edges = self.workspace.project.graph.incoming(index);
        edges
            .map(|edge| edge.from)
            .filter(|from| selected.contains(from) && *from != index)
            .collect()
    }

    /// The failed table that keeps this one from running.
    fn blocker(
        &self,
        index: usize,
        selected: &[usize],
        done: &BTreeMap<usize, TableReport>,
    ) -> Option<String> {
        let sources = self.sources(index, selected);
        let failed = sources
            .iter()
            .filter_map(|source| done.get(source))
            .find(|report| !report.is_ok())?;
        match &failed.outcome {
            Outcome::Blocked { by } => Some(by.clone()),
            _ => Some(failed.table.clone()),
        }
    }

    async fn one(&self, index: usize, blocker: Option<String>) -> (usize, TableReport) {
        let Some(table) = self.workspace.project.tables.get(index) else {
            return (index, TableReport::new("", ""));
        };
        let started = Instant::now();
        let mut report = TableReport::new(table.name.to_string(), table.kind.describe());
        let outcome = match blocker {
            Some(by) => Ok(Outcome::Blocked { by }),
            None => self.refresh_table(index, table, &mut report).await,
        };
        self.close(table, &report, outcome.is_ok()).await;
        let outcome = match outcome {
            Err(PipelineError::Above) => Ok(Outcome::Blocked {
                by: "a table above".to_owned(),
            }),
            outcome => outcome,
        };
        report.outcome = outcome.unwrap_or_else(|error| Outcome::Failed {
            error: self.shown(&error),
        });
        report.seconds = started.elapsed().as_secs_f64();
        self.tell(Event::TableFinished {
            report: Box::new(report.clone()),
        });
        (index, report)
    }

    /// Tells the flows below that all rows of the round were handed on, and lets go of those that were handed here.
    async fn close(&self, table: &Table, report: &TableReport, succeeded: bool) {
        let Some(round) = &self.round else {
            return;
        };
        for flow in self.workspace.project.flows_into(&table.name) {
            for hub in round.hubs.values() {
                hub.forget(&flow.name);
            }
        }
        if let Some(hub) = round.hubs.get(&table.name.key()) {
            hub.close(succeeded.then_some(report.version)).await;
        }
    }

    async fn refresh_table(
        &self,
        index: usize,
        table: &Table,
        report: &mut TableReport,
    ) -> Result<Outcome> {
        if table.kind == TableKind::Topic {
            let (opener, name) = (self.workspace.opener(), table.name.clone());
            let made = tokio::task::spawn_blocking(move || opener.topic(&name).map(drop));
            made.await.map_err(|_| PipelineError::Worker)??;
            return Ok(Outcome::Defined);
        }
        if table.kind.is_view() {
            return Ok(Outcome::Defined);
        }
        if self.watch.cancel.is_cancelled() {
            return Err(PipelineError::Cancelled);
        }
        let meter = Arc::new(Meter::default());
        self.tell(Event::TableStarted {
            table: table.name.to_string(),
            meter: Arc::clone(&meter),
        });
        refresh::Refresh::new(self, index, table, meter)
            .run(report)
            .await
    }

    /// An error as the user will read it: diagnostics with their place in short form.
    fn shown(&self, error: &PipelineError) -> String {
        let Some([first, ..]) = error.diagnostics() else {
            return error.to_string();
        };
        match first.place() {
            Some(place) => format!("{}: {}", self.workspace.files().locate(place), error),
            None => error.to_string(),
        }
    }

    /// Whether the table is to be read again from the beginning.
    pub(crate) fn is_full(&self, index: usize) -> bool {
        self.full.contains(&index)
    }

    pub(crate) fn tell(&self, event: Event) {
        self.watch.observer.event(event);
    }

    async fn record(&self, tables: &[TableReport], status: UpdateStatus) -> Result<()> {
        let store = self.workspace.store().await?;
        history::record(store, &self.run, self.started_micros, tables).await?;
        history::record_lineage(store, self, tables).await?;
        let status = match status {
            UpdateStatus::Succeeded => RunStatus::Succeeded,
            UpdateStatus::Failed => RunStatus::Failed,
            UpdateStatus::Cancelled => RunStatus::Cancelled,
        };
        let failed = tables.iter().find_map(|table| match &table.outcome {
            Outcome::Failed { error } => {
                Some(serde_json::json!({ "table": table.table, "message": error }))
            }
            _ => None,
        });
        store.finish_run(&self.run, status, failed.as_ref()).await?;
        Ok(())
    }
}

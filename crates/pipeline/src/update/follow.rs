//! `tidegate run --continuous`: follows the sources, round by round, until it is stopped.
//!
//! First everything that is there is taken as `tidegate run` does. Then each round opens all flows at once; they read until
//! the round's end and commit ([`super::round`]). What is costly to open (sources, state, keys) stays open between
//! rounds; after a failure it is opened anew from what is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tidegate_project::TableKind;
use tidegate_store::{NewRun, RunKind};

use super::round::{Hub, Kept, Round};
use super::{Update, UpdateRequest, Watch, status_of};
use crate::catalog::Catalog;
use crate::error::Result;
use crate::events::Silent;
use crate::lock::ProjectLock;
use crate::report::{Outcome, TableReport, UpdateReport, UpdateStatus};
use crate::rows::CancelToken;
use crate::streams;
use crate::workspace::Workspace;

/// A table that fails in so many rounds one after the other ends the run.
const FAILURES_MAX: u32 = 5;

/// Is told what a round did: the tables to which something was committed, and those that failed.
pub type OnRound<'a> = &'a mut (dyn FnMut(&[TableReport]) + Send);

impl Workspace {
    /// Follows the sources of tables and keeps all tables current, with a commit every so often, until the watch is
    /// cancelled. What was taken until then is committed.
    ///
    /// # Errors
    /// As [`Workspace::update`]. A table that fails is tried again in the next rounds, and told in the report when it
    /// goes on failing.
    pub async fn follow(
        &self,
        request: &UpdateRequest,
        every: Duration,
        watch: Watch,
        on_round: OnRound<'_>,
    ) -> Result<UpdateReport> {
        self.refuse_mistakes()?;
        let selected = self.select(&request.tables)?;
        let _lock = ProjectLock::take(&self.state_folder())?;
        let first = self.update_unlocked(request, watch.clone()).await?;
        on_round(&first.tables);
        if first.status != UpdateStatus::Succeeded {
            return Ok(first);
        }
        let started = Instant::now();
        let store = self.store().await?;
        let arguments = serde_json::json!({ "tables": request.tables, "continuous": true });
        let run = NewRun::new(RunKind::Update).with_arguments(arguments);
        let run = store.start_run(run).await?;
        let kept = Arc::new(Kept::default());
        let mut sums: BTreeMap<usize, TableReport> = BTreeMap::new();
        let mut failures: BTreeMap<usize, u32> = BTreeMap::new();
        let mut update = Update {
            run,
            started_micros: chrono::Utc::now().timestamp_micros(),
            ..Update::over(self, Catalog::build(self).await?, watch.clone())
        };
        while !watch.cancel.is_cancelled() && failures.values().all(|count| *count < FAILURES_MAX) {
            let round = self.round(&selected, every, &watch, &kept).await?;
            let deadline = round.deadline;
            update.watch = Watch {
                observer: Arc::new(Silent),
                cancel: CancelToken::default(),
            };
            update.round = Some(Arc::new(round));
            let reports = update.refresh_round(&selected).await;
            for (index, report) in &reports {
                match report.is_ok() {
                    true => failures.remove(index),
                    false => failures.insert(*index, failures.get(index).unwrap_or(&0) + 1),
                };
                add(&mut sums, *index, report);
            }
            let told: Vec<TableReport> = reports.into_iter().map(|(_, report)| report).collect();
            streams::write(self, &kept, &told).await;
            if let Err(error) = store.heartbeat(&update.run).await {
                tracing::warn!(%error, "could not say that the run goes on");
            }
            on_round(&told);
            while Instant::now() < deadline && !watch.cancel.is_cancelled() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let tables: Vec<TableReport> = sums.into_values().collect();
        let status = match status_of(&tables, &CancelToken::default()) {
            UpdateStatus::Succeeded => UpdateStatus::Succeeded,
            _ => UpdateStatus::Failed,
        };
        update.record(&tables, status).await?;
        Ok(UpdateReport {
            run: update.run.to_string(),
            status,
            seconds: started.elapsed().as_secs_f64(),
            tables,
        })
    }

    /// The next round: until when, and who hands rows to whom.
    async fn round(
        &self,
        selected: &[usize],
        every: Duration,
        watch: &Watch,
        kept: &Arc<Kept>,
    ) -> Result<Round> {
        let lake = self.lake().await?;
        let project = &self.project;
        let mut readers: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        let over = Update::over(self, Catalog::default(), watch.clone());
        for &index in selected {
            let Some(table) = project.tables.get(index) else {
                continue;
            };
            for flow in project.flows_into(&table.name) {
                for leaf in over.leaves(&flow.query, "", false) {
                    let from = leaf.relation.target.table();
                    let from = from.and_then(|name| project.graph.index(name));
                    if let Some(from) =
                        from.filter(|from| leaf.streaming && selected.contains(from))
                    {
                        let reader = Hub::reader(&flow.name, &leaf.path);
                        readers.entry(from).or_default().push(reader);
                    }
                }
            }
        }
        let mut hubs = BTreeMap::new();
        for (from, readers) in readers {
            let Some(table) = project.tables.get(from) else {
                continue;
            };
            if table.kind == TableKind::StreamingTable {
                let base = lake.table(&table.name).await?.map(|table| table.version());
                hubs.insert(table.name.key(), Hub::new(base, readers));
            }
        }
        Ok(Round {
            deadline: Instant::now() + every,
            stop: watch.cancel.clone(),
            hubs,
            kept: Arc::clone(kept),
        })
    }
}

impl Update<'_> {
    /// Refreshes the tables of a round: those that are fed by streams all at once, the others behind what they read.
    async fn refresh_round(&self, selected: &[usize]) -> Vec<(usize, TableReport)> {
        let project = &self.workspace.project;
        let is_stream = |index: &usize| {
            project.tables.get(*index).is_some_and(|table| {
                matches!(table.kind, TableKind::StreamingTable | TableKind::Sink)
            })
        };
        let mut running = FuturesUnordered::new();
        let mut done: BTreeMap<usize, TableReport> = BTreeMap::new();
        let mut waiting: BTreeSet<usize> = selected.iter().copied().collect();
        let streams: Vec<usize> = selected.iter().copied().filter(is_stream).collect();
        for index in streams {
            waiting.remove(&index);
            running.push(self.one(index, None));
        }
        loop {
            let ready: Vec<usize> = waiting
                .iter()
                .copied()
                .filter(|index| {
                    let sources = self.sources(*index, selected);
                    sources.iter().all(|source| done.contains_key(source))
                })
                .collect();
            for index in ready {
                waiting.remove(&index);
                running.push(self.one(index, self.blocker(index, selected, &done)));
            }
            match running.next().await {
                Some((index, report)) => drop(done.insert(index, report)),
                None => break,
            }
        }
        done.into_iter().collect()
    }
}

/// Adds what a round did to a table to what the rounds before did.
fn add(sums: &mut BTreeMap<usize, TableReport>, index: usize, report: &TableReport) {
    let Some(sum) = sums.get_mut(&index) else {
        sums.insert(index, report.clone());
        return;
    };
    sum.seconds += report.seconds;
    sum.files += report.files;
    sum.bytes += report.bytes;
    sum.rows_in += report.rows_in;
    sum.good += report.good;
    sum.repaired += report.repaired;
    sum.quarantined += report.quarantined;
    sum.dropped += report.dropped;
    sum.version = report.version.or(sum.version);
    for promise in &report.promises {
        let same = |own: &&mut crate::report::ReasonCount| {
            own.constraint == promise.constraint && own.column == promise.column
        };
        match sum.promises.iter_mut().find(same) {
            Some(own) => {
                own.rows += promise.rows;
                own.passed += promise.passed;
            }
            None => sum.promises.push(promise.clone()),
        }
    }
    let mut reasons = sum.promises.clone();
    reasons.retain(|promise| promise.rows > 0);
    reasons.sort_by_key(|promise| std::cmp::Reverse(promise.rows));
    sum.reasons = reasons;
    for note in &report.notes {
        if !sum.notes.contains(note) {
            sum.notes.push(note.clone());
        }
    }
    match (&sum.outcome, &report.outcome) {
        (_, Outcome::Failed { .. } | Outcome::Blocked { .. } | Outcome::Refreshed) => {
            sum.outcome = report.outcome.clone();
        }
        (Outcome::Failed { .. } | Outcome::Blocked { .. }, _) => {
            sum.outcome = Outcome::Refreshed;
        }
        _ => {}
    }
}

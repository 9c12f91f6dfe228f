//! `tidegate run --continuous`: follows the sources, round by round, until it is stopped.
//!
//! First everything that is there is taken as `tidegate run` does. Then each round opens all flows at once; they read until
//! the round's end and commit ([`super::round`]). What is costly to open (sources, state, keys) stays open between
//! rounds; after a failure it is opened anew from what is committed. Tables that are computed as a whole (materialized
//! views) follow at their own pace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use tidegate_project::TableKind;
use tidegate_store::{NewRun, RunKind};
use tokio::sync::watch::{Receiver, Sender, channel};

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
        let update = Update {
            run: store.start_run(run).await?,
            started_micros: chrono::Utc::now().timestamp_micros(),
            ..Update::over(self, Catalog::build(self).await?, silent())
        };
        let following = Following {
            workspace: self,
            every,
            watch: &watch,
            sums: Mutex::default(),
            on_round: Mutex::new(on_round),
        };
        let is_stream = |index: &usize| {
            self.project.tables.get(*index).is_some_and(|table| {
                matches!(table.kind, TableKind::StreamingTable | TableKind::Sink)
            })
        };
        let (streams, tables): (Vec<usize>, Vec<usize>) =
            selected.iter().copied().partition(is_stream);
        let (turns, seen) = channel(());
        let (rounds, refreshed) = tokio::join!(
            following.rounds(&update, &selected, &streams, turns),
            following.tables(&update, &tables, seen),
        );
        rounds.and(refreshed)?;
        let sums = following.sums.into_inner().into_values();
        let tables: Vec<TableReport> = sums.map(|sum| sum.report).collect();
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
                    let target = &leaf.relation.target;
                    // How rows change is known when they are committed.
                    let from = target.table().filter(|_| !target.is_changes());
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

/// What a run that follows its sources has done, for its two loops: the rounds of what streams feed, and the tables that
/// are computed as a whole, which take as long as they take and hold no round up.
struct Following<'f> {
    workspace: &'f Workspace,
    every: Duration,
    watch: &'f Watch,
    /// By the table's number.
    sums: Mutex<BTreeMap<usize, Sum>>,
    on_round: Mutex<OnRound<'f>>,
}

/// What all rounds did to a table.
struct Sum {
    report: TableReport,
    /// Rounds that failed one after the other until now.
    failures: u32,
}

impl Following<'_> {
    /// Feeds what streams feed, round by round, until the watch is cancelled; says so after each.
    async fn rounds(
        &self,
        update: &Update<'_>,
        selected: &[usize],
        streams: &[usize],
        turns: Sender<()>,
    ) -> Result<()> {
        let store = self.workspace.store().await?;
        let kept = Arc::new(Kept::default());
        while !self.is_over() {
            let round = self
                .workspace
                .round(selected, self.every, self.watch, &kept)
                .await?;
            let deadline = round.deadline;
            let update = Update {
                round: Some(Arc::new(round)),
                ..update.beside()
            };
            let told = self.add(update.refresh_round(streams).await);
            streams::write(self.workspace, &kept, &told).await;
            if let Err(error) = store.heartbeat(&update.run).await {
                tracing::warn!(%error, "could not say that the run goes on");
            }
            (self.on_round.lock())(&told);
            turns.send_replace(());
            while Instant::now() < deadline && !self.watch.cancel.is_cancelled() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        kept.upkeep.finished().await;
        Ok(())
    }

    /// Computes the tables that are computed as a whole, behind rounds, and once more when there are no more.
    async fn tables(
        &self,
        update: &Update<'_>,
        tables: &[usize],
        mut turns: Receiver<()>,
    ) -> Result<()> {
        let mut goes_on = !tables.is_empty();
        while goes_on {
            goes_on = turns.changed().await.is_ok();
            let told = self.add(update.refresh_all(tables).await);
            (self.on_round.lock())(&told);
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        let mut sums = self.sums.lock();
        let mut sums = sums.values_mut();
        self.watch.cancel.is_cancelled() || sums.any(|sum| sum.failures >= FAILURES_MAX)
    }

    /// Adds what was done to tables to what was done before.
    fn add(&self, reports: Vec<(usize, TableReport)>) -> Vec<TableReport> {
        let mut sums = self.sums.lock();
        for (index, report) in &reports {
            let failed = !report.is_ok();
            match sums.get_mut(index) {
                Some(sum) => {
                    sum.failures = if failed { sum.failures + 1 } else { 0 };
                    add(&mut sum.report, report);
                }
                None => {
                    let sum = Sum {
                        report: report.clone(),
                        failures: u32::from(failed),
                    };
                    sums.insert(*index, sum);
                }
            }
        }
        reports.into_iter().map(|(_, report)| report).collect()
    }
}

/// Rounds tell what they did in the end, and end by themselves.
fn silent() -> Watch {
    Watch {
        observer: Arc::new(Silent),
        cancel: CancelToken::default(),
    }
}

impl Update<'_> {
    /// The same update.
    fn beside(&self) -> Self {
        Self {
            workspace: self.workspace,
            catalog: Arc::clone(&self.catalog),
            run: self.run.clone(),
            started_micros: self.started_micros,
            watch: silent(),
            round: None,
            texts: None,
            full: BTreeSet::new(),
        }
    }

    /// Feeds all tables of a round at once.
    async fn refresh_round(&self, streams: &[usize]) -> Vec<(usize, TableReport)> {
        let running = streams.iter().map(|index| self.one(*index, None));
        let mut done: Vec<_> = running.collect::<FuturesUnordered<_>>().collect().await;
        done.sort_unstable_by_key(|(index, _)| *index);
        done
    }
}

/// Adds what a round did to a table to what the rounds before did.
fn add(sum: &mut TableReport, report: &TableReport) {
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

//! One epoch of one flow: what it read and wrote, made to count.
//!
//! Data files are written first, and belong to nobody. Then the intent says what was read and which files are to be
//! committed where; then they are, the target last, whose `txn` is the truth of how far a flow is. An epoch whose process
//! was killed behind its intent is finished from it: nothing is read again, so also a source that cannot be read twice
//! loses nothing. One killed before has left nothing that counts.

use tidegate_lake::{
    AsOf, Commit, CommitMode, DataFile, FlowId, FlowLog, FlowStep, Intent, IntentOutcome, Lake,
    LakeError, LakeErrorKind, LakeTable, NextLine, Positions, Prepared, PreparedTable, TableSpec,
};
use tidegate_project::TableName;

use crate::error::{PipelineError, Result};

/// Where a flow stands: its tables and its log.
pub(crate) struct FlowState {
    pub(crate) flow: FlowId,
    pub(crate) log: FlowLog,
    pub(crate) target: Option<LakeTable>,
    pub(crate) quarantine: Option<LakeTable>,
    /// The epoch of a flow that writes no table.
    sent: Option<u64>,
}

impl FlowState {
    pub(crate) async fn load(lake: &Lake, flow: FlowId, target: &TableName) -> Result<Self> {
        Ok(Self {
            log: lake.flow_log(&flow),
            target: lake.table(target).await?,
            quarantine: lake.table(&target.quarantine()).await?,
            sent: None,
            flow,
        })
    }

    /// Where a flow stands that writes no table: its newest intent is its commit, unless it is
    /// [unsettled](Self::unsettled).
    pub(crate) async fn of_sink(lake: &Lake, flow: FlowId) -> Result<Self> {
        let log = lake.flow_log(&flow);
        Ok(Self {
            target: None,
            quarantine: None,
            sent: log.newest().await?,
            log,
            flow,
        })
    }

    /// The newest epoch of a sink, if it went out by a transaction of which nobody noted that it was committed.
    pub(crate) async fn unsettled(&self) -> Result<Option<Intent>> {
        let Some(epoch) = self.sent else {
            return Ok(None);
        };
        let intent = self.log.intent(epoch).await?;
        let intent = intent.filter(|intent| intent.transaction.is_some());
        match intent {
            Some(intent) if !self.log.is_closed(epoch).await? => Ok(Some(intent)),
            _ => Ok(None),
        }
    }

    /// Notes that the unsettled epoch is out; or takes it back, to be read again from where it began.
    pub(crate) async fn settle(&mut self, epoch: u64, is_out: bool) -> Result<()> {
        if is_out {
            self.log.close(epoch, Vec::new()).await?;
        } else {
            self.log.withdraw(epoch).await?;
            self.sent = epoch.checked_sub(1).filter(|before| *before > 0);
        }
        Ok(())
    }

    /// The newest epoch in the target.
    pub(crate) fn committed(&self) -> Option<u64> {
        match self.sent {
            Some(epoch) => Some(epoch),
            None => self.target.as_ref()?.flow_epoch(&self.flow),
        }
    }

    fn quarantined(&self) -> Option<u64> {
        self.quarantine.as_ref()?.flow_epoch(&self.flow)
    }

    pub(crate) async fn positions(&self) -> Result<Positions> {
        Ok(self.log.positions(self.committed()).await?)
    }

    /// Finishes an epoch whose intent was written and which is not in all of its tables yet: the files that the intent
    /// names are committed. `spec` says what a table should be now. Tells whether there was one.
    ///
    /// # Errors
    /// What a commit meets. An intent of which nothing is committed, and which cannot be, is taken back.
    pub(crate) async fn finish_pending(
        &self,
        lake: &Lake,
        spec: &(dyn Fn(&PreparedTable) -> Option<TableSpec> + Sync),
    ) -> Result<bool> {
        let Some(intent) = self.log.pending(self.committed()).await? else {
            return Ok(false);
        };
        let Some(prepared) = intent.prepared.clone() else {
            // It names nothing that could be committed.
            self.log.withdraw(intent.epoch).await?;
            return Ok(false);
        };
        let mut commits = Vec::with_capacity(prepared.tables.len());
        for table in prepared.tables {
            let spec = spec(&table).ok_or_else(|| {
                PipelineError::Request(format!(
                    "epoch {} of flow `{}` was about to be committed to `{}`, whose columns are not known; declare them, or refresh it in full",
                    intent.epoch, self.flow, table.table
                ))
            })?;
            let step = self.step(&intent, &spec);
            commits.push(table.into_commit(spec, &intent.run, step));
        }
        self.make(lake, &intent, commits).await?;
        Ok(true)
    }

    /// Makes the commits of an intent that is written.
    async fn make(&self, lake: &Lake, intent: &Intent, commits: Vec<Commit>) -> Result<u64> {
        let mut version = 0;
        for (number, commit) in commits.into_iter().enumerate() {
            match lake.commit_prepared(commit).await {
                Ok(committed) => version = committed.version,
                Err(error) => {
                    // Where the storage failed, the commit may be there all the same: the next run sees.
                    let held = [self.committed(), self.quarantined()];
                    let is_refused = error.kind() == LakeErrorKind::FixInput
                        || matches!(error, LakeError::Conflict { .. });
                    if number == 0 && is_refused && !held.contains(&Some(intent.epoch)) {
                        self.log.withdraw(intent.epoch).await?;
                    }
                    return Err(error.into());
                }
            }
        }
        Ok(version)
    }

    fn step(&self, intent: &Intent, spec: &TableSpec) -> FlowStep {
        FlowStep {
            flow: self.flow.clone(),
            epoch: intent.epoch,
            predecessor: intent.predecessors.get(&spec.name.key()).copied().flatten(),
        }
    }

    /// An intent for the next epoch that reads nothing yet.
    pub(crate) fn next_intent(&self, run: &str, fingerprint: &str, restart: bool) -> Intent {
        let mut intent = Intent::new(self.committed().unwrap_or(0) + 1, run, fingerprint);
        intent.restart = restart;
        for table in [&self.target, &self.quarantine].into_iter().flatten() {
            intent
                .base_versions
                .insert(table.name().key(), Some(table.version()));
            intent
                .predecessors
                .insert(table.name().key(), table.flow_epoch(&self.flow));
        }
        intent
    }

    /// The target as it was when the intent was written: what keys are checked against. None when it had no rows.
    pub(crate) async fn base(&self, intent: &Intent) -> Result<Option<LakeTable>> {
        let Some(target) = &self.target else {
            return Ok(None);
        };
        match intent.base_versions.get(&target.name().key()) {
            Some(Some(version)) if !intent.restart => {
                Ok(Some(target.at(AsOf::Version(*version)).await?))
            }
            _ => Ok(None),
        }
    }
}

/// What an epoch commits to one table.
pub(crate) struct TableCommit {
    pub(crate) spec: TableSpec,
    pub(crate) files: Vec<DataFile>,
    pub(crate) mode: CommitMode,
}

/// Everything that an epoch commits.
pub(crate) struct EpochFiles {
    /// In the order of the commits; the target is the last.
    pub(crate) tables: Vec<TableCommit>,
    pub(crate) next_lines: Vec<NextLine>,
}

impl EpochFiles {
    /// The commits of a target and its quarantine, which has none if nothing is to be changed in it.
    pub(crate) fn new(state: &FlowState, target: TableCommit, quarantine: TableCommit) -> Self {
        let replaces = !matches!(quarantine.mode, CommitMode::Append);
        let mut tables = Vec::with_capacity(2);
        if !quarantine.files.is_empty() || (replaces && state.quarantine.is_some()) {
            tables.push(quarantine);
        }
        tables.push(target);
        Self {
            tables,
            next_lines: Vec::new(),
        }
    }
}

/// The commits of one epoch.
pub(crate) struct EpochCommit<'e> {
    pub(crate) lake: &'e Lake,
    pub(crate) state: &'e FlowState,
    pub(crate) intent: Intent,
}

impl EpochCommit<'_> {
    /// Writes the intent, which names the files; commits them table by table; then notes what the next epoch can know.
    /// Gives the target's version.
    ///
    /// # Errors
    /// [`PipelineError::Locked`] if another process has begun the same epoch; what a commit meets.
    pub(crate) async fn commit(mut self, files: EpochFiles) -> Result<u64> {
        let state = self.state;
        let commits = files.tables.into_iter().map(|table| {
            let step = state.step(&self.intent, &table.spec);
            let mut commit =
                Commit::append(table.spec, table.files, &self.intent.run).in_step(step);
            commit.mode = table.mode;
            commit
        });
        let commits: Vec<Commit> = commits.collect();
        let tables = commits.iter().map(PreparedTable::of).collect();
        self.intent.prepared = Some(Prepared { tables });
        match state.log.write_intent(&self.intent).await? {
            IntentOutcome::Written => {}
            IntentOutcome::Exists(other) => {
                return Err(PipelineError::Locked {
                    holder: format!("of run {}", other.run),
                });
            }
        }
        let version = state.make(self.lake, &self.intent, commits).await?;
        if !files.next_lines.is_empty()
            && let Err(error) = state.log.close(self.intent.epoch, files.next_lines).await
        {
            // The rows are in; only line numbers of a file that grows would be counted again.
            tracing::warn!(flow = %state.flow, %error, "could not note the line numbers");
        }
        Ok(version)
    }
}

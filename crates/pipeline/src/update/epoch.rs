//! One epoch of one flow: the intent before it reads, the commits after it wrote.
//!
//! The target's `txn` is the truth of how far a flow is. The quarantine is committed first and the target last, so an
//! epoch that is in the target is in both. An epoch found half-committed (its process was killed between the two) is done
//! again from its intent; one of which nothing was committed is withdrawn and planned anew, because the files or the
//! contract may have been mended since.

use std::sync::Arc;

use tidegate_lake::{
    AsOf, Commit, CommitMode, DataFile, FlowId, FlowLog, FlowStep, Intent, IntentOutcome, Lake,
    LakeTable, NextLine, Positions, TableSpec,
};
use tidegate_project::TableName;

use crate::error::{PipelineError, Result};

/// Where a flow stands: its tables and its log.
pub(crate) struct FlowState {
    pub(crate) flow: FlowId,
    pub(crate) log: FlowLog,
    pub(crate) target: Option<LakeTable>,
    pub(crate) quarantine: Option<LakeTable>,
}

impl FlowState {
    pub(crate) async fn load(lake: &Lake, flow: FlowId, target: &TableName) -> Result<Self> {
        Ok(Self {
            log: lake.flow_log(&flow),
            target: lake.table(target).await?,
            quarantine: lake.table(&target.quarantine()).await?,
            flow,
        })
    }

    /// The newest epoch in the target.
    pub(crate) fn committed(&self) -> Option<u64> {
        self.target.as_ref()?.flow_epoch(&self.flow)
    }

    fn quarantined(&self) -> Option<u64> {
        self.quarantine.as_ref()?.flow_epoch(&self.flow)
    }

    pub(crate) async fn positions(&self) -> Result<Positions> {
        Ok(self.log.positions(self.committed()).await?)
    }

    /// The intent of an epoch that was begun and is not in the target yet, if it must be done again as it is: its
    /// quarantine is committed already. An intent of which nothing is committed is withdrawn.
    pub(crate) async fn half_done(&self) -> Result<Option<Intent>> {
        let Some(intent) = self.log.pending(self.committed()).await? else {
            return Ok(None);
        };
        if self.quarantined() == Some(intent.epoch) {
            return Ok(Some(intent));
        }
        self.log.withdraw(intent.epoch).await?;
        Ok(None)
    }

    /// Takes back the intent of an epoch that failed before anything of it was committed. If that fails too, the next
    /// run takes it back.
    pub(crate) async fn withdraw(&self, intent: &Intent) {
        if self.quarantined() == Some(intent.epoch) {
            return;
        }
        if let Err(error) = self.log.withdraw(intent.epoch).await {
            tracing::warn!(flow = %self.flow, %error, "could not take back an intent");
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

    /// Writes the intent down. Another process that began the same epoch is refused here.
    pub(crate) async fn begin(&self, intent: &Intent) -> Result<()> {
        match self.log.write_intent(intent).await? {
            IntentOutcome::Written => Ok(()),
            IntentOutcome::Exists(other) if *other == *intent => Ok(()),
            IntentOutcome::Exists(other) => Err(PipelineError::Locked {
                holder: format!("of run {}", other.run),
            }),
        }
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

/// Everything that an epoch commits.
pub(crate) struct EpochFiles {
    pub(crate) target: Arc<TableSpec>,
    pub(crate) quarantine: Arc<TableSpec>,
    pub(crate) good: Vec<DataFile>,
    pub(crate) quarantined: Vec<DataFile>,
    pub(crate) mode: CommitMode,
    pub(crate) quarantine_mode: CommitMode,
    pub(crate) next_lines: Vec<NextLine>,
}

/// The commits of one epoch.
pub(crate) struct EpochCommit<'e> {
    pub(crate) lake: &'e Lake,
    pub(crate) state: &'e FlowState,
    pub(crate) intent: &'e Intent,
}

impl EpochCommit<'_> {
    /// Commits the quarantine, then the target, then notes what the next epoch can know. Gives the target's version.
    pub(crate) async fn commit(&self, files: EpochFiles) -> Result<u64> {
        let replaces = !matches!(files.quarantine_mode, CommitMode::Append);
        if !files.quarantined.is_empty() || (replaces && self.state.quarantine.is_some()) {
            self.one(&files.quarantine, files.quarantined, files.quarantine_mode)
                .await?;
        }
        let version = self.one(&files.target, files.good, files.mode).await?;
        if !files.next_lines.is_empty()
            && let Err(error) = self
                .state
                .log
                .close(self.intent.epoch, files.next_lines)
                .await
        {
            // The rows are in; only line numbers of a file that grows would be counted again.
            tracing::warn!(flow = %self.state.flow, %error, "could not note the line numbers");
        }
        Ok(version)
    }

    async fn one(&self, spec: &TableSpec, files: Vec<DataFile>, mode: CommitMode) -> Result<u64> {
        let step = FlowStep {
            flow: self.state.flow.clone(),
            epoch: self.intent.epoch,
            predecessor: self
                .intent
                .predecessors
                .get(&spec.name.key())
                .copied()
                .flatten(),
        };
        let mut commit = Commit::append(spec.clone(), files, &self.intent.run).in_step(step);
        commit.mode = mode;
        Ok(self.lake.commit(commit).await?.version)
    }
}

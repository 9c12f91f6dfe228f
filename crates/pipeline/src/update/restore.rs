//! The state of a flow from epoch to epoch: saved, forgotten, and taken back.
//!
//! The files of the last two checkpoints are kept. When the newest cannot be read, the one before is taken, and the epoch
//! between them is read again ([`super::again`]): its results are committed, so that what comes out is thrown away. Then
//! the checkpoint is written anew, and all is as if it had never been damaged.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use parking_lot::Mutex;
use tidegate_engine::{Engine, Planned};
use tidegate_lake::{FlowLog, Intent, LakeError, Positions};
use tidegate_stream::{Dataflow, Replay, StreamError};
use tokio::runtime::Handle;

use super::feed::{Inlet, Next};
use super::refresh::{Passed, Refresh, Step};
use super::sources::Leaf;
use super::stateful::{TICK, compile};
use crate::error::{PipelineError, Result};
use crate::events::Meter;
use crate::files::Rejects;
use crate::scan::ScanContext;

impl Passed {
    /// Saves the state with the epoch; gives the name of its checkpoint.
    pub(super) async fn save(&mut self, step: &Step<'_>) -> Result<Option<String>> {
        let Some(dataflow) = &self.dataflow else {
            return Ok(None);
        };
        let name = checkpoint_name(step.intent.epoch);
        let (live, trail) = write(&step.state.log, &name, dataflow).await?;
        self.state_files = live;
        self.state_files.push(name.clone());
        self.state_files.extend(step.known.checkpoint.clone());
        self.trail = trail;
        Ok(Some(name))
    }

    /// Removes what of the state no epoch needs any more. What cannot be removed only takes room.
    pub(super) async fn forget(&self, step: &Step<'_>) {
        if self.state_files.is_empty() {
            return;
        }
        let log = &step.state.log;
        let listed = log.list_state().await.unwrap_or_default();
        for file in listed {
            if !self.state_files.contains(&file.name)
                && let Err(error) = log.delete_state(&file.name).await
            {
                tracing::warn!(flow = %log.flow(), %error, "old state could not be removed");
            }
        }
    }
}

fn checkpoint_name(epoch: u64) -> String {
    format!("checkpoint-{epoch:020}.json")
}

/// Writes the state as it is; gives the segments that are needed from now on, and the trail.
async fn write(
    log: &FlowLog,
    name: &str,
    dataflow: &Mutex<Dataflow>,
) -> Result<(Vec<String>, serde_json::Value)> {
    let checkpoint = dataflow.lock().checkpoint()?;
    for (name, segment) in checkpoint.segments {
        log.put_state(&name, segment.into_bytes()?.into()).await?;
    }
    log.put_state(name, checkpoint.manifest.into()).await?;
    Ok((checkpoint.live, checkpoint.trail))
}

/// An epoch whose checkpoint cannot be read.
struct Damaged {
    intent: Intent,
    /// How far the flow had read before it.
    before: Positions,
    /// What is wrong with the checkpoint.
    reason: String,
}

impl Refresh<'_, '_> {
    /// The state of a flow: as the last round left it, as its checkpoint says, or empty.
    pub(super) async fn dataflow(
        &self,
        step: &Step<'_>,
        scan: &ScanContext,
        engine: &Engine,
        planned: &Planned,
        streams: &[Leaf<'_>],
    ) -> Result<Arc<Mutex<Dataflow>>> {
        let name = step.flow.name.key();
        if let Some(round) = &self.update.round
            && let Some((epoch, dataflow)) = round.kept.dataflows.lock().remove(&name)
            && Some(epoch) == step.state.committed()
        {
            let moved = self.looked_up(step, streams);
            let moved = moved.filter(|leaf| !step.reads.is_as_known(&leaf.path, &step.known));
            let looked_up = look_up(planned, &mut dataflow.lock(), moved);
            match looked_up {
                Ok(()) => return Ok(dataflow),
                // The table has other columns now, with which the query is compiled anew.
                Err(StreamError::Columns { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let empty = self.compiled(engine, planned, streams)?;
        let Some(checkpoint) = &step.known.checkpoint else {
            return Ok(Arc::new(Mutex::new(empty)));
        };
        let log = &step.state.log;
        let reason = match restored(empty, log, checkpoint).await? {
            Ok(mut dataflow) => {
                // What an epoch that failed has left is not written over: it may be of a commit to come.
                avoid(log, &mut dataflow).await?;
                return Ok(Arc::new(Mutex::new(dataflow)));
            }
            Err(reason) => reason,
        };
        let lost = |before: String| PipelineError::StateLost {
            flow: step.flow.name.to_string(),
            table: self.table.name.to_string(),
            newest: reason.clone(),
            before,
        };
        let epoch = step.known.epoch;
        let found = log.intent(epoch).await?;
        let intent = found.filter(|intent| intent.checkpoint.as_ref() == Some(checkpoint));
        let intent = intent.ok_or_else(|| lost(format!("epoch {epoch} does not name it")))?;
        let before = match intent.restart {
            true => Positions::default(),
            false => log.positions(Some(epoch - 1)).await?,
        };
        let damaged = Damaged {
            intent,
            before,
            reason: reason.clone(),
        };
        let again = self.restore_before(step, scan, engine, streams, &damaged);
        let mut dataflow = again.await.map_err(|error| lost(error.to_string()))?;
        look_up(planned, &mut dataflow, self.looked_up(step, streams))?;
        let dataflow = Arc::new(Mutex::new(dataflow));
        write(log, checkpoint, &dataflow).await?;
        let note = format!(
            "the state of epoch {epoch} could not be read ({}); it was made again from the checkpoint before and what the epoch had read",
            damaged.reason
        );
        tracing::warn!(flow = %log.flow(), "{note}");
        step.notes.lock().push(note);
        Ok(dataflow)
    }

    fn compiled(
        &self,
        engine: &Engine,
        planned: &Planned,
        streams: &[Leaf<'_>],
    ) -> Result<Dataflow> {
        let spill = self.update.workspace.state_folder().join("spill");
        compile(engine, planned, self.table, streams, &spill)
    }

    /// The state of a damaged epoch, from the checkpoint before it and the rows that it read.
    async fn restore_before(
        &self,
        step: &Step<'_>,
        scan: &ScanContext,
        engine: &Engine,
        streams: &[Leaf<'_>],
        damaged: &Damaged,
    ) -> Result<Dataflow> {
        let log = &step.state.log;
        if damaged.intent.trail.is_null() {
            let older = "an older Tidegate wrote it, and not what is needed to read its rows again";
            return Err(PipelineError::Request(older.to_owned()));
        }
        let query = &step.flow.query;
        let (intent, before) = (&damaged.intent, &damaged.before);
        let reads = self.update.reads_again(query, intent, before).await?;
        let scan = ScanContext {
            rejects: Arc::new(Rejects::default()),
            meter: Arc::new(Meter::default()),
            ..scan.clone()
        };
        let bindings = self.update.bind(query, "", &reads, &scan).await?;
        let planned = engine.plan(query, &bindings, self.update.files())?;
        let mut dataflow = self.compiled(engine, &planned, streams)?;
        if let Some(checkpoint) = &before.checkpoint {
            let found = restored(dataflow, log, checkpoint).await?;
            dataflow = found.map_err(PipelineError::Request)?;
        }
        avoid(log, &mut dataflow).await?;
        let inlet = self.feed(&reads, None, &scan, engine, &planned, streams);
        let inlet = inlet.await?;
        run_again(dataflow, inlet, log, intent).await
    }

    /// What a flow with state looks rows up in, beside its streams.
    fn looked_up<'s>(
        &'s self,
        step: &'s Step<'_>,
        streams: &'s [Leaf<'_>],
    ) -> impl Iterator<Item = Leaf<'s>> {
        let leaves = self.update.leaves(&step.flow.query, "", false);
        let is_stream =
            |leaf: &Leaf<'_>| streams.iter().any(|stream| stream.binding == leaf.binding);
        leaves.into_iter().filter(move |leaf| !is_stream(leaf))
    }
}

/// Rows to come are looked up in these relations as they are now.
///
/// # Errors
/// [`StreamError::Columns`] if one has other columns than when the query was compiled.
fn look_up<'l>(
    planned: &Planned,
    dataflow: &mut Dataflow,
    leaves: impl Iterator<Item = Leaf<'l>>,
) -> std::result::Result<(), StreamError> {
    for leaf in leaves {
        if let Some(bound) = planned.bindings().get(&leaf.binding) {
            let provider: &Arc<dyn TableProvider> = &bound.provider;
            dataflow.table_changed(&leaf.binding, provider)?;
        }
    }
    Ok(())
}

/// New segments get names that no file of the state has.
async fn avoid(log: &FlowLog, dataflow: &mut Dataflow) -> Result<()> {
    let listed = log.list_state().await?;
    dataflow.avoid(listed.iter().map(|file| file.name.as_str()));
    Ok(())
}

/// Takes a checkpoint back into an empty dataflow; or what is wrong with it.
///
/// # Errors
/// When it is sound and belongs to another query, or a newer Tidegate wrote it.
async fn restored(
    mut dataflow: Dataflow,
    log: &FlowLog,
    checkpoint: &str,
) -> Result<std::result::Result<Dataflow, String>> {
    let manifest = match there(log.get_state(checkpoint).await) {
        Ok(manifest) => manifest,
        Err(reason) => return Ok(Err(format!("{checkpoint}: {reason}"))),
    };
    let (log, handle) = (log.clone(), Handle::current());
    let restoring = tokio::task::spawn_blocking(move || {
        let mut read = |name: &str| read_state(&log, name, &handle);
        let restored = dataflow.restore(&manifest, &mut read);
        restored.map(|()| dataflow)
    });
    match restoring.await.map_err(|_| PipelineError::Worker)? {
        Ok(dataflow) => Ok(Ok(dataflow)),
        Err(StreamError::Damaged { message }) => Ok(Err(format!("{checkpoint}: {message}"))),
        Err(error) => Err(error.into()),
    }
}

/// A file of the state. Blocks.
fn read_state(log: &FlowLog, name: &str, handle: &Handle) -> std::io::Result<Vec<u8>> {
    let found = there(handle.block_on(log.get_state(name)));
    found.map(Vec::from).map_err(std::io::Error::other)
}

/// The bytes of a file of the state, or why there are none.
fn there(
    found: std::result::Result<Option<bytes::Bytes>, LakeError>,
) -> Result<bytes::Bytes, String> {
    match found {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err("it is not there".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Pushes the rows of an epoch again; what comes out is thrown away.
async fn run_again(
    mut dataflow: Dataflow,
    mut inlet: Inlet,
    log: &FlowLog,
    intent: &Intent,
) -> Result<Dataflow> {
    let (log, trail, handle) = (log.clone(), intent.trail.clone(), Handle::current());
    let work = tokio::task::spawn_blocking(move || {
        let mut read = |name: &str| read_state(&log, name, &handle);
        let mut replay = Replay::begin(&trail, &mut read)?;
        loop {
            match inlet.next(TICK)? {
                Next::Rows(binding, _, batch) => replay.push(&mut dataflow, &binding, &batch)?,
                Next::Quiet => {}
                Next::End => break,
            }
        }
        replay.finish(&mut dataflow)?;
        Ok(dataflow)
    });
    work.await.map_err(|_| PipelineError::Worker)?
}

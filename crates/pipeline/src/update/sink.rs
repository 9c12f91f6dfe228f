//! Sinks: the rows of a query leave, to Kafka or to a topic, as soon as they are there.
//!
//! A sink has no table that could hold its epoch. One that delivers at least once has its intent as its commit, written when
//! everything was sent and is durable: after a kill in between, the rows since the last intent are sent again.
//!
//! One that delivers exactly once sends an epoch in a transaction, which is committed behind the intent, together with the
//! number of the epoch; then the log notes that it is out. An intent without that note is looked up where it was sent to:
//! it is noted, or taken back and its epoch read again. The sink is opened before the log is read: from then on nobody else
//! can commit under its identity.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use parking_lot::Mutex;
use tidegate_connect::ConnectError;
use tidegate_lake::{CommitMode, FlowId, Intent, IntentOutcome, Offsets};
use tidegate_project::{Flow, SinkTarget};

use super::epoch::FlowState;
use super::feed::programmed;
use super::refresh::{Passed, Refresh, Step};
use super::stateful::{Aside, Flowing, Streamed};
use crate::error::{PipelineError, Result};
use crate::files::Rejects;
use crate::records::Opener;
use crate::report::{Outcome, TableReport};
use crate::rows::Load;
use crate::scan::{ScanContext, ScanTypes};
use crate::sinks::{OpenSink, is_exactly_once, refused};

/// The sink of a flow; opened when it is needed first, or left open by the round before.
pub(crate) struct Outlet {
    pub(crate) open: Option<OpenSink>,
    pub(crate) opener: Opener,
    pub(crate) target: SinkTarget,
    /// The identity of its transactions, without one in the options.
    pub(crate) identity: String,
}

impl Outlet {
    /// Does something with the sink, where it may block. A sink with which something failed is closed.
    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut OpenSink) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let open = self.open.take();
        let (opener, target) = (self.opener.clone(), self.target.clone());
        let identity = self.identity.clone();
        let work = tokio::task::spawn_blocking(move || {
            let mut sink = match open {
                Some(open) => open,
                None => opener.open_sink(&target, &identity)?,
            };
            let done = work(&mut sink)?;
            Ok::<_, PipelineError>((sink, done))
        });
        let done = work.await.map_err(|_| PipelineError::Worker)?;
        let (sink, done) = done.map_err(|error| match error {
            PipelineError::Connect(wrong @ ConnectError::NoFields { .. }) => {
                refused(&self.target, wrong.to_string())
            }
            other => other,
        })?;
        self.open = Some(sink);
        Ok(done)
    }

    /// Closes the sink; a transaction that is open is taken back.
    async fn close(&mut self) {
        if let Some(open) = self.open.take() {
            // It has no result but that it is over.
            let _ = tokio::task::spawn_blocking(move || drop(open)).await;
        }
    }
}

impl Refresh<'_, '_> {
    /// Sends what is new of a sink's query.
    pub(crate) async fn run_sink(
        &self,
        target: &SinkTarget,
        report: &mut TableReport,
    ) -> Result<Outcome> {
        let workspace = self.update.workspace;
        let Some(flow) = workspace.project.flows_into(&self.table.name).next() else {
            return Ok(Outcome::Skipped);
        };
        let name = self.table.name.key();
        let kept = self.update.round.as_ref().map(|round| &round.kept);
        let fenced = kept.and_then(|kept| kept.fenced.lock().get(&name).cloned());
        if let Some((sink, identity)) = fenced {
            return Err(ConnectError::Fenced { sink, identity }.into());
        }
        let mut outlet = Outlet {
            open: kept.and_then(|kept| kept.sinks.lock().remove(&name)),
            opener: workspace.opener(),
            target: target.clone(),
            identity: format!("{}-{name}", workspace.project.name),
        };
        let outcome = self.send_new(flow, &mut outlet, report).await;
        if let (Some(kept), Ok(_)) = (kept, &outcome) {
            let open = outlet.open.take();
            kept.sinks.lock().extend(open.map(|open| (name, open)));
        } else if let (Some(kept), Err(PipelineError::Connect(error))) = (kept, &outcome)
            && let ConnectError::Fenced { sink, identity } = error
        {
            let taken = (sink.clone(), identity.clone());
            kept.fenced.lock().insert(name, taken);
        }
        outlet.close().await;
        outcome
    }

    async fn send_new(
        &self,
        flow: &Flow,
        outlet: &mut Outlet,
        report: &mut TableReport,
    ) -> Result<Outcome> {
        let state = self.settled(flow, outlet).await?;
        let known = match self.full {
            true => Default::default(),
            false => state.positions().await?,
        };
        let reads = self.update.plan_reads(&flow.query, &known).await?;
        if !self.full && self.nothing_new(&flow.query, &reads) {
            return Ok(Outcome::Skipped);
        }
        let run = self.update.run.to_string();
        let mut intent = state.next_intent(&run, &flow.query.text, self.full);
        intent.files.clone_from(&reads.file_reads);
        intent.tables.clone_from(&reads.table_reads);
        let step = Step {
            flow,
            state,
            intent,
            reads,
            mode: CommitMode::Append,
            known,
            notes: Default::default(),
        };
        let passed = self.send(outlet, flow, &step).await;
        report.notes.extend(step.told());
        let mut passed = passed?;
        report.rows_in += passed.counts.rows_in;
        report.good += passed.counts.good;
        passed.offsets = step.reads.offsets();
        if self.update.round.is_some() && passed.is_still(&step) {
            self.keep(&step, &mut passed, step.state.committed());
            return Ok(Outcome::Skipped);
        }
        self.commit_sent(outlet, &step, &mut passed).await?;
        passed.forget(&step).await;
        self.keep(&step, &mut passed, Some(step.intent.epoch));
        Ok(Outcome::Refreshed)
    }

    /// Where the sink stands, when it is known whether its newest epoch is out.
    async fn settled(&self, flow: &Flow, outlet: &mut Outlet) -> Result<FlowState> {
        let exactly_once = is_exactly_once(&outlet.target)?;
        let was_open = outlet.open.is_some();
        if exactly_once {
            outlet.with(|_| Ok(())).await?;
        }
        let lake = self.update.workspace.lake().await?;
        let mut state = FlowState::of_sink(lake, FlowId::new(flow.name.key())).await?;
        let Some(intent) = state.unsettled().await? else {
            return Ok(state);
        };
        let epoch = intent.epoch;
        if exactly_once && was_open {
            // A sink that stays open has settled its own: this is of another process, which has the identity now.
            return Err(ConnectError::Fenced {
                sink: flow.name.to_string(),
                identity: intent.transaction.unwrap_or_default(),
            }
            .into());
        }
        // Who reads everything again, or may send rows twice, need not know.
        let is_out = match exactly_once && !self.full {
            true => outlet.with(move |sink| is_out(sink, &intent)).await?,
            false => false,
        };
        state.settle(epoch, is_out).await?;
        Ok(state)
    }

    /// Makes what was sent count: the intent; then the transaction, if there is one, and that it is committed.
    async fn commit_sent(
        &self,
        outlet: &mut Outlet,
        step: &Step<'_>,
        passed: &mut Passed,
    ) -> Result<()> {
        let mut intent = passed.intent(step).await?;
        let transactions = outlet.open.as_mut().and_then(|sink| sink.transactions());
        let open = transactions.filter(|transactions| transactions.is_open());
        intent.transaction = open.map(|open| open.identity().to_owned());
        if let IntentOutcome::Exists(other) = step.state.log.write_intent(&intent).await? {
            return Err(PipelineError::Locked {
                holder: format!("of run {}", other.run),
            });
        }
        if intent.transaction.is_none() {
            return Ok(());
        }
        let commit = |sink: &mut OpenSink| match sink.transactions() {
            Some(transactions) => Ok(transactions.commit()?),
            None => Ok(()),
        };
        outlet.with(commit).await?;
        step.state.log.close(intent.epoch, Vec::new()).await?;
        Ok(())
    }

    pub(super) async fn send(
        &self,
        outlet: &mut Outlet,
        flow: &Flow,
        step: &Step<'_>,
    ) -> Result<Passed> {
        let workspace = self.update.workspace;
        let engine = workspace.ordered_engine()?;
        let scan = ScanContext {
            stamp: Arc::new(self.stamp(step)),
            meter: Arc::clone(&self.meter),
            rejects: Arc::new(Rejects::default()),
            types: ScanTypes::Discovered,
            workers: workspace.threads(),
            cancel: self.update.watch.cancel.clone(),
        };
        let streamed = self.streamed(step, &scan, &engine).await?;
        let Some(streamed) = streamed else {
            return Err(PipelineError::Request(format!(
                "the query of sink `{}` reads no stream",
                flow.name
            )));
        };
        let source: Arc<str> = format!("flow {}", flow.name).into();
        let aside = Arc::new(Mutex::new(Aside::default()));
        let mut dataflow = None;
        let mut identified = Arc::new(Schema::empty());
        let (until, loads): (_, Box<dyn Iterator<Item = Result<Load>> + Send>) = match streamed {
            Streamed::Rows(program, inlet) => {
                (inlet.until(), Box::new(programmed(inlet, program, source)))
            }
            Streamed::State(state, inlet) => {
                let until = inlet.until();
                identified = {
                    let state = state.lock();
                    Arc::new(state.schema().project(state.key())?)
                };
                dataflow = Some(Arc::clone(&state));
                let loads = Flowing::new(inlet, state, source, Arc::clone(&aside));
                (until, Box::new(loads))
            }
        };
        let outgoing = Outgoing {
            loads,
            aside,
            identified,
            epoch: step.intent.epoch,
        };
        let work = move |sink: &mut OpenSink| outgoing.send(sink);
        let rows = outlet.with(work).await?;
        let mut passed = Passed::of_sink(rows, self.schema_of_sink());
        passed.until = std::mem::take(&mut *until.lock());
        passed.dataflow = dataflow;
        passed.offsets = Offsets::new();
        Ok(passed)
    }

    fn schema_of_sink(&self) -> SchemaRef {
        let known = self.update.catalog.schema(&self.table.name);
        known.unwrap_or_else(|| Arc::new(Schema::empty()))
    }
}

/// What a sink is to send in an epoch.
struct Outgoing {
    loads: Box<dyn Iterator<Item = Result<Load>> + Send>,
    aside: Arc<Mutex<Aside>>,
    /// The columns that identify a row of the result, if there are any.
    identified: SchemaRef,
    epoch: u64,
}

impl Outgoing {
    /// Sends everything, in a transaction where there are some; gives how many records. Blocks.
    fn send(self, sink: &mut OpenSink) -> Result<u64> {
        let mut sent = 0;
        for load in self.loads {
            let load = load?;
            let gone = std::mem::take(&mut self.aside.lock().gone);
            for keys in gone.iter().filter(|_| !self.identified.fields().is_empty()) {
                sent += keys.num_rows() as u64;
                let schema = Arc::clone(&self.identified);
                let keys = RecordBatch::try_new(schema, keys.columns().to_vec())?;
                begin(sink, self.epoch)?;
                sink.send_gone(&keys)?;
            }
            if let Load::Batch(incoming) = load
                && incoming.columns.num_rows() > 0
            {
                sent += incoming.columns.num_rows() as u64;
                begin(sink, self.epoch)?;
                sink.send(&incoming.columns)?;
            }
        }
        sink.flush()?;
        Ok(sent)
    }
}

/// Begins the transaction of an epoch with the first that is sent, where there are transactions.
fn begin(sink: &mut OpenSink, epoch: u64) -> Result<()> {
    if let Some(transactions) = sink.transactions()
        && !transactions.is_open()
    {
        transactions.begin(epoch)?;
    }
    Ok(())
}

/// Whether the transaction of an epoch was committed, of which the log does not say so.
fn is_out(sink: &mut OpenSink, intent: &Intent) -> Result<bool> {
    let sink_name = sink.name().to_owned();
    let begun_as = intent.transaction.clone().unwrap_or_default();
    let Some(transactions) = sink.transactions() else {
        return Ok(false);
    };
    if transactions.identity() != begun_as {
        return Err(PipelineError::OtherIdentity {
            sink: sink_name,
            epoch: intent.epoch,
            begun_as,
            now: transactions.identity().to_owned(),
        });
    }
    match transactions.committed()? {
        Some(epoch) if epoch == intent.epoch => Ok(true),
        // Epochs with nothing to send have no transaction.
        Some(epoch) if epoch < intent.epoch => Ok(false),
        found => Err(PipelineError::EpochForgotten {
            sink: sink_name,
            epoch: intent.epoch,
            found: found.map_or("none".to_owned(), |found| found.to_string()),
        }),
    }
}

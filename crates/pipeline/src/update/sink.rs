//! Sinks: the rows of a query leave, to Kafka or to a topic, as soon as they are there.
//!
//! A sink has no table that could hold its epoch. Its commit is the intent itself, written when everything was sent and is
//! durable: after a kill in between, the rows since the last intent are sent again (at least once).

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_connect::live::kafka::{KafkaSink, KafkaSinkOptions};
use tidegate_connect::live::{AvroEncoder, Encoder, LiveSink, TopicSink, ValueEncoder};
use tidegate_lake::{CommitMode, FlowId, IntentOutcome, Offsets};
use tidegate_project::{Diagnostic, Flow, RecordSource, SinkTarget};

use super::epoch::FlowState;
use super::feed::programmed;
use super::refresh::{Passed, Refresh, Step};
use super::stateful::{Aside, Flowing, Streamed};
use crate::codes;
use crate::error::{PipelineError, Result};
use crate::files::Rejects;
use crate::records::Opener;
use crate::report::{Outcome, TableReport};
use crate::rows::Load;
use crate::scan::{ScanContext, ScanTypes};

/// A sink that is open.
pub(crate) type OpenSink = Box<dyn LiveSink>;

impl Refresh<'_, '_> {
    /// Sends what is new of a sink's query.
    pub(crate) async fn run_sink(
        &self,
        target: &SinkTarget,
        report: &mut TableReport,
    ) -> Result<Outcome> {
        let project = &self.update.workspace.project;
        let Some(flow) = project.flows_into(&self.table.name).next() else {
            return Ok(Outcome::Skipped);
        };
        let lake = self.update.workspace.lake().await?;
        let state = FlowState::of_sink(lake, FlowId::new(flow.name.key())).await?;
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
        let passed = self.send(target, flow, &step).await;
        report.notes.extend(step.told());
        let mut passed = passed?;
        report.rows_in += passed.counts.rows_in;
        report.good += passed.counts.good;
        passed.offsets = step.reads.offsets();
        if self.update.round.is_some() && passed.is_still(&step) {
            self.keep(&step, &mut passed, step.state.committed());
            return Ok(Outcome::Skipped);
        }
        let intent = passed.intent(&step).await?;
        if let IntentOutcome::Exists(other) = step.state.log.write_intent(&intent).await? {
            return Err(PipelineError::Locked {
                holder: format!("of run {}", other.run),
            });
        }
        passed.forget(&step).await;
        self.keep(&step, &mut passed, Some(step.intent.epoch));
        Ok(Outcome::Refreshed)
    }

    pub(super) async fn send(
        &self,
        target: &SinkTarget,
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
        let (until, loads): (_, Box<dyn Iterator<Item = Result<Load>> + Send>) = match streamed {
            Streamed::Rows(program, inlet) => {
                (inlet.until(), Box::new(programmed(inlet, program, source)))
            }
            Streamed::State(state, inlet) => {
                dataflow = Some(Arc::clone(&state));
                let until = inlet.until();
                (until, Box::new(Flowing::new(inlet, state, source, aside)))
            }
        };
        let name = self.table.name.key();
        let kept = self
            .update
            .round
            .as_ref()
            .map(|round| Arc::clone(&round.kept));
        let open = kept
            .as_ref()
            .and_then(|kept| kept.sinks.lock().remove(&name));
        let (opener, target) = (workspace.opener(), target.clone());
        let work = tokio::task::spawn_blocking(move || {
            let mut sink = match open {
                Some(open) => open,
                None => opener.open_sink(&target)?,
            };
            let mut rows = 0;
            for load in loads {
                if let Load::Batch(incoming) = load?
                    && incoming.columns.num_rows() > 0
                {
                    rows += incoming.columns.num_rows() as u64;
                    sink.send(&incoming.columns)?;
                }
            }
            sink.flush()?;
            Ok::<_, PipelineError>((rows, sink))
        });
        let (rows, sink) = work.await.map_err(|_| PipelineError::Worker)??;
        if let Some(kept) = kept {
            kept.sinks.lock().insert(name, sink);
        }
        let mut passed = Passed::of_sink(rows, self.schema_of_sink());
        passed.until = std::mem::take(&mut *until.lock());
        passed.dataflow = dataflow;
        passed.offsets = Offsets::new();
        Ok(passed)
    }

    fn schema_of_sink(&self) -> arrow::datatypes::SchemaRef {
        let known = self.update.catalog.schema(&self.table.name);
        known.unwrap_or_else(|| Arc::new(arrow::datatypes::Schema::empty()))
    }
}

impl Opener {
    /// Opens what a sink writes to. Blocks.
    ///
    /// # Errors
    /// A diagnostic for an option that cannot be; what reaching it meets.
    pub(crate) fn open_sink(&self, target: &SinkTarget) -> Result<OpenSink> {
        let pairs: BTreeMap<&str, &str> = target
            .options
            .iter()
            .map(|(name, option)| (name.as_str(), option.value.as_str()))
            .collect();
        let mut pairs = pairs;
        let values: Option<Box<dyn ValueEncoder>> = match target.format.as_deref() {
            None | Some("json") => None,
            Some("avro") => {
                let registry = pairs.remove("schemaRegistry");
                let (Some(registry), Some(topic)) = (registry, pairs.get("topic")) else {
                    let message = "a sink of Avro needs `schemaRegistry` and `topic`".to_owned();
                    return Err(refused(target, message));
                };
                Some(Box::new(AvroEncoder::new(registry, None, topic)?))
            }
            Some(other) => {
                let message = format!("a sink writes JSON or Avro, and not {other}");
                return Err(refused(target, message));
            }
        };
        let (encoder, rest) = Encoder::take(pairs, values)?;
        let given = rest
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        match &target.to {
            RecordSource::Kafka => {
                let (options, left) = KafkaSinkOptions::take(given)?;
                unknown(target, &left)?;
                Ok(Box::new(KafkaSink::new(&options, encoder)?))
            }
            RecordSource::Topic(name) => {
                unknown(target, &rest)?;
                let clock = Arc::new(|| chrono::Utc::now().timestamp_millis());
                let writer = self.topic(name)?.writer()?;
                Ok(Box::new(TopicSink::new(writer, encoder, clock)))
            }
        }
    }
}

fn unknown(target: &SinkTarget, left: &BTreeMap<String, String>) -> Result<()> {
    match left.keys().next() {
        Some(name) => Err(refused(
            target,
            format!("`{name}` is not an option of a sink"),
        )),
        None => Ok(()),
    }
}

fn refused(target: &SinkTarget, message: String) -> PipelineError {
    let diagnostic = Diagnostic::error(codes::OPTION, message)
        .at(target.place, "this sink")
        .help("a sink takes bootstrapServers, topic, kafka.…, key and valueIncludesKey");
    PipelineError::Diagnostics(vec![diagnostic])
}

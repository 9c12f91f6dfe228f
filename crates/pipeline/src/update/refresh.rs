//! One table of an update: which of its flows have something to do, and doing it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parking_lot::Mutex;
use tidegate_gate::{
    Counts, Gate, KeyIndex, KeyIndexOptions, LimitVerdict, Stamp, evaluate_limits,
    quarantine_schema,
};
use tidegate_lake::{
    CommitMode, FlowId, Intent, Lake, LakeTable, NextLine, Offsets, OptimizeOptions, Positions,
    PreparedTable, Staged, TableRead, TableSpec,
};
use tidegate_project::{
    ClusterBy, Flow, FlowKind, OnViolation, Query, Table, TableKind, TableName,
};

use tidegate_stream::Dataflow;

use super::Update;
use super::destination::{GoodPlan, Hand, TableDestination, WritePlans, Written};
use super::epoch::{EpochCommit, EpochFiles, FlowState, TableCommit};
use super::sources::{Reads, is_file_known};
use crate::catalog::Catalog;
use crate::error::{PipelineError, Result};
use crate::events::{Event, Meter};
use crate::gates::{GateSettings, gate_of};
use crate::report::{Outcome, ReasonCount, TableReport};
use crate::rows::{Load, Route, drive};
use crate::scan::Origin;

/// A table being refreshed.
pub(crate) struct Refresh<'u, 'w> {
    pub(crate) update: &'u Update<'w>,
    pub(crate) table: &'w Table,
    pub(crate) meter: Arc<Meter>,
    pub(crate) full: bool,
}

/// A flow about to run: where it stands, what it reads, what it will commit.
pub(crate) struct Step<'s> {
    pub(crate) flow: &'s Flow,
    pub(crate) state: FlowState,
    pub(crate) intent: Intent,
    pub(crate) reads: Reads,
    pub(crate) mode: CommitMode,
    /// How far the flow had read before.
    pub(crate) known: Positions,
    /// What is worth telling about the step.
    pub(crate) notes: Mutex<Vec<String>>,
}

impl Step<'_> {
    /// What is worth telling since the last call: about the step, and what its sources told.
    pub(crate) fn told(&self) -> Vec<String> {
        let mut notes = std::mem::take(&mut *self.notes.lock());
        notes.extend(self.reads.told());
        notes
    }
}

/// By which columns rows take the place of others.
pub(crate) struct UpsertBy {
    pub(crate) key: Vec<String>,
    /// The keys of rows that are gone, asked when all rows have passed.
    pub(crate) gone: Box<dyn FnOnce() -> Result<Option<RecordBatch>> + Send>,
}

/// What the rows of a step came to, before they are committed.
pub(crate) struct Passed {
    pub(crate) counts: Counts,
    pub(crate) written: Written,
    pub(crate) schema: SchemaRef,
    pub(crate) next_lines: Vec<NextLine>,
    /// The keys of the table with those of the step.
    pub(crate) keys: Option<KeyIndex>,
    /// The tables that rows were handed on from, and their versions then, by relation.
    pub(crate) until: BTreeMap<String, (String, u64)>,
    /// How the good rows are committed, if not as the step says.
    pub(crate) mode: Option<CommitMode>,
    /// Late rows, where they are kept.
    pub(crate) late: Option<TableCommit>,
    /// The next offsets of live sources, by relation.
    pub(crate) offsets: Offsets,
    /// What remembers rows from epoch to epoch.
    pub(crate) dataflow: Option<Arc<Mutex<Dataflow>>>,
    /// The files of the state that are needed from this epoch on.
    pub(crate) state_files: Vec<String>,
    /// What leads from the state of the epoch before to that of this one, beside the rows.
    pub(crate) trail: serde_json::Value,
}

impl Passed {
    /// What a sink sent.
    pub(super) fn of_sink(rows: u64, schema: SchemaRef) -> Self {
        Self {
            counts: Counts {
                rows_in: rows,
                good: rows,
                ..Counts::default()
            },
            written: Written::default(),
            schema,
            next_lines: Vec::new(),
            keys: None,
            until: BTreeMap::new(),
            mode: None,
            late: None,
            offsets: Offsets::new(),
            dataflow: None,
            state_files: Vec::new(),
            trail: serde_json::Value::Null,
        }
    }

    /// The intent of the step, with all that is known only now. Saves the state.
    pub(super) async fn intent(&mut self, step: &Step<'_>) -> Result<Intent> {
        let mut intent = step.intent.clone();
        intent.checkpoint = self.save(step).await?;
        intent.trail = std::mem::take(&mut self.trail);
        intent.offsets = std::mem::take(&mut self.offsets);
        intent.began = step.reads.began(&step.known);
        for (relation, (table, until)) in &self.until {
            match intent
                .tables
                .iter_mut()
                .find(|read| read.relation == *relation)
            {
                Some(read) => read.until = *until,
                None => intent.tables.push(TableRead {
                    relation: relation.clone(),
                    table: table.clone(),
                    after: None,
                    until: *until,
                }),
            }
        }
        Ok(intent)
    }

    /// Whether nothing was read, and nothing is to be written.
    pub(super) fn is_still(&self, step: &Step<'_>) -> bool {
        let Ok(moved) = self.moved(step) else {
            return false;
        };
        self.counts.rows_in == 0
            && self.written.good.is_empty()
            && self.written.quarantine.is_empty()
            && self.late.is_none()
            && !moved
    }

    /// Whether a source was read on.
    fn moved(&self, step: &Step<'_>) -> Result<bool> {
        let offsets = self.offsets.iter().any(|(relation, partitions)| {
            let before = step.known.offsets.get(relation);
            before != Some(partitions) && !partitions.is_empty()
        });
        let known = |relation: &String| step.known.tables.get(relation).map(|known| known.version);
        let tables = step.intent.tables.iter().any(|read| {
            let until = self
                .until
                .get(&read.relation)
                .map_or(read.until, |(_, until)| *until);
            read.after.is_some() && known(&read.relation) != Some(until)
        });
        let handed = self
            .until
            .iter()
            .any(|(relation, (_, until))| known(relation) != Some(*until));
        let mut files = step.intent.files.iter();
        let files = files.any(|read| !is_file_known(read, &step.known));
        Ok(offsets || tables || handed || files)
    }
}

/// What became of the rows of a table when a flow ran.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ran {
    /// Nothing was committed.
    Nothing,
    /// Rows came to those that were there.
    Appended,
    /// Rows went, too.
    Rewrote,
}

impl<'u, 'w> Refresh<'u, 'w> {
    pub(crate) fn new(
        update: &'u Update<'w>,
        index: usize,
        table: &'w Table,
        meter: Arc<Meter>,
    ) -> Self {
        Self {
            update,
            table,
            meter,
            full: update.is_full(index),
        }
    }

    /// Runs every flow of the table, one after the other: they write the same table.
    pub(crate) async fn run(&self, report: &mut TableReport) -> Result<Outcome> {
        if let Some(target) = &self.table.sink {
            return self.run_sink(target, report).await;
        }
        let project = &self.update.workspace.project;
        self.update
            .workspace
            .finish_retry(self.table, &self.update.catalog)
            .await?;
        let (mut outcome, mut rewrote) = (Outcome::Skipped, false);
        let mut restart = self.full;
        for number in project.graph.flows_into(&self.table.name) {
            let Some(flow) = project.flows.get(*number) else {
                continue;
            };
            // Only the first flow empties the table; the others add to it, reading from the beginning as well.
            match self.run_flow(*number, flow, restart, report).await? {
                Ran::Nothing => {}
                ran => {
                    outcome = Outcome::Refreshed;
                    rewrote |= ran == Ran::Rewrote;
                }
            }
            restart = self.full;
        }
        let lake = self.update.workspace.lake().await?;
        if outcome == Outcome::Refreshed {
            self.put_together(lake, rewrote).await;
        }
        report.version = lake
            .table(&self.table.name)
            .await?
            .map(|table| table.version());
        Ok(outcome)
    }

    /// Puts small files together where many have gathered. The rows are committed: what fails here only leaves the files
    /// as they are. No round waits for it, unless the table's own commits take files away, with which it must not compete.
    async fn put_together(&self, lake: &Lake, rewrites: bool) {
        let name = &self.table.name;
        for name in [name.clone(), name.quarantine(), name.late()] {
            let options = OptimizeOptions {
                run: self.update.run.to_string(),
                ..OptimizeOptions::default()
            };
            let (lake, table) = (lake.clone(), name.clone());
            let work = async move {
                if let Err(error) = lake.optimize(&table, &options).await {
                    tracing::warn!(%table, %error, "small files could not be put together");
                }
            };
            match self.update.round.as_ref().filter(|_| !rewrites) {
                Some(round) => round.kept.upkeep.begin(&name, work),
                None => work.await,
            }
        }
    }

    /// Runs one flow.
    async fn run_flow(
        &self,
        number: usize,
        flow: &Flow,
        restart: bool,
        report: &mut TableReport,
    ) -> Result<Ran> {
        let Some(step) = self.begin(flow, number, restart, report).await? else {
            return Ok(Ran::Nothing);
        };
        self.meter.expect_bytes(step.reads.bytes());
        report.files += step.reads.file_count();
        report.bytes += step.reads.bytes();
        report.notes.extend(step.reads.notes.iter().cloned());
        let lake = self.update.workspace.lake().await?.clone();
        let passed = self.pass(&lake, number, &step).await;
        report.notes.extend(step.told());
        let mut passed = passed?;
        if let Err(error) = self.judge_counts(&passed.counts, report) {
            lake.discard(&self.table.name, &passed.written.good).await?;
            lake.discard(&self.table.name.quarantine(), &passed.written.quarantine)
                .await?;
            return Err(error);
        }
        if self.update.round.is_some() && passed.is_still(&step) {
            self.keep(&step, &mut passed, step.state.committed());
            return Ok(Ran::Nothing);
        }
        let epoch = step.intent.epoch;
        let mode = passed.mode.take().unwrap_or_else(|| step.mode.clone());
        let ran = match mode {
            CommitMode::Append => Ran::Appended,
            _ => Ran::Rewrote,
        };
        self.commit(&lake, &step, &mut passed, mode).await?;
        self.keep(&step, &mut passed, Some(epoch));
        Ok(ran)
    }

    /// Keeps what the next round would have to read again.
    pub(super) fn keep(&self, step: &Step<'_>, passed: &mut Passed, epoch: Option<u64>) {
        let only = self
            .update
            .workspace
            .project
            .graph
            .flows_into(&self.table.name)
            .len()
            == 1;
        let kept = self.update.round.as_ref().map(|round| &round.kept);
        let (Some(kept), Some(epoch)) = (kept, epoch) else {
            return;
        };
        if let Some(keys) = passed.keys.take().filter(|_| only) {
            let name = self.table.name.key();
            kept.keys.lock().insert(name, (epoch, keys));
        }
        if let Some(dataflow) = passed.dataflow.take() {
            let name = step.flow.name.key();
            kept.dataflows.lock().insert(name, (epoch, dataflow));
        }
    }

    /// Makes the rows of a step count.
    async fn commit(
        &self,
        lake: &Lake,
        step: &Step<'_>,
        passed: &mut Passed,
        mode: CommitMode,
    ) -> Result<()> {
        let mut files = EpochFiles::new(
            &step.state,
            TableCommit {
                spec: table_spec(self.table, &passed.schema),
                files: std::mem::take(&mut passed.written.good),
                mode,
            },
            TableCommit {
                spec: quarantine_spec(&self.table.name),
                files: std::mem::take(&mut passed.written.quarantine),
                mode: step.mode.clone(),
            },
        );
        files.next_lines = std::mem::take(&mut passed.next_lines);
        let late = passed.late.take();
        let mut intent = passed.intent(step).await?;
        if let Some(late) = late {
            let before = lake.table(&late.spec.name).await?;
            let before = before.and_then(|table| table.flow_epoch(&step.state.flow));
            intent.predecessors.insert(late.spec.name.key(), before);
            files.tables.insert(0, late);
        }
        EpochCommit {
            lake,
            state: &step.state,
            intent,
        }
        .commit(files)
        .await?;
        passed.forget(step).await;
        Ok(())
    }

    /// What one of the tables should be that the epochs of this table are committed to.
    fn spec_named(
        &self,
        target: Option<&LakeTable>,
        prepared: &PreparedTable,
    ) -> Option<TableSpec> {
        spec_named(self.table, &self.update.catalog, target, prepared)
    }

    /// Decides what the flow reads; none when there is nothing to do.
    async fn begin<'s>(
        &self,
        flow: &'s Flow,
        number: usize,
        restart: bool,
        report: &mut TableReport,
    ) -> Result<Option<Step<'s>>> {
        let workspace = self.update.workspace;
        let lake = workspace.lake().await?;
        let load = || FlowState::load(lake, FlowId::new(flow.name.key()), &self.table.name);
        let mut state = load().await?;
        let spec = |prepared: &PreparedTable| self.spec_named(state.target.as_ref(), prepared);
        if state.finish_pending(lake, &spec).await? {
            if self.update.round.is_some() {
                // These rows were handed to nobody: the flows below begin the next round behind them.
                return Err(PipelineError::Above);
            }
            state = load().await?;
        }
        let complete = self.table.kind == TableKind::MaterializedView;
        let first = workspace.project.graph.flows_into(&self.table.name).first() == Some(&number);
        let mode = if complete || (restart && first) {
            CommitMode::Overwrite
        } else {
            CommitMode::Append
        };
        let fingerprint = self.fingerprint(flow);
        let positions = state.positions().await?;
        let once = matches!(flow.kind, FlowKind::Append { once: true, .. });
        if once && !restart && state.committed().is_some() {
            return Ok(None);
        }
        let fresh = complete || restart || once;
        let known = if fresh {
            Default::default()
        } else {
            positions.clone()
        };
        let reads = self.update.plan_reads(&flow.query, &known).await?;
        let nothing_new = match complete {
            true => {
                positions.epoch > 0
                    && positions.fingerprint == fingerprint
                    && reads.unmoved(&positions)
            }
            false => !restart && !once && self.nothing_new(&flow.query, &reads),
        };
        if nothing_new && !(complete && restart) {
            report.notes.extend(reads.notes);
            return Ok(None);
        }
        let run = self.update.run.to_string();
        let mut intent = state.next_intent(&run, &fingerprint, fresh);
        intent.files.clone_from(&reads.file_reads);
        intent.tables.clone_from(&reads.table_reads);
        Ok(Some(Step {
            flow,
            state,
            intent,
            reads,
            mode,
            known,
            notes: Mutex::default(),
        }))
    }

    /// Whether no streaming leaf has anything that was not read yet.
    pub(super) fn nothing_new(&self, query: &Query, reads: &Reads) -> bool {
        let files = reads.files.values().all(|files| match &files.origin {
            Origin::Slices(slices) => slices.is_empty(),
            Origin::Records(records) => records.is_drained(),
        });
        if let Some(round) = &self.update.round
            && self.update.leaves(query, "", false).iter().any(|leaf| {
                let target = &leaf.relation.target;
                let name = target
                    .table()
                    .filter(|_| leaf.streaming && !target.is_changes());
                name.is_some_and(|name| round.hubs.contains_key(&name.key()))
            })
        {
            return false;
        }
        let tables = reads
            .table_reads
            .iter()
            .all(|read| read.after == Some(read.until));
        files && tables
    }

    /// What the table and flow say, so that a changed definition is seen.
    fn fingerprint(&self, flow: &Flow) -> String {
        let table = self.table;
        let promises: Vec<String> = table
            .expectations
            .iter()
            .map(|expectation| {
                format!(
                    "{} {} {:?}",
                    expectation.name, expectation.expression.text, expectation.on_violation
                )
            })
            .collect();
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|column| format!("{} {} {}", column.name, column.data_type, column.nullable))
            .collect();
        format!(
            "{}\n{}\n{}",
            flow.query.text,
            columns.join(","),
            promises.join("\n")
        )
    }

    /// The stamp of every row that the step quarantines. Its time is the intent's, so that an epoch done again gives the
    /// same rows.
    pub(crate) fn stamp(&self, step: &Step<'_>) -> Stamp {
        Stamp {
            flow: step.flow.name.key().into(),
            run: step.intent.run.as_str().into(),
            epoch: i64::try_from(step.intent.epoch).unwrap_or(i64::MAX),
            time_micros: step.intent.written_ms.saturating_mul(1_000),
        }
    }

    /// Sends loads through the table's gate into part writers. With `key`, good rows take the place of those with the same
    /// values in these columns, and `gone` names keys whose rows go without another.
    pub(crate) async fn through_gate(
        &self,
        lake: &Lake,
        step: &Step<'_>,
        schema: SchemaRef,
        settings: &GateSettings,
        loads: impl Iterator<Item = Result<Load>> + Send + 'static,
        upsert: Option<UpsertBy>,
    ) -> Result<Passed> {
        let gate = gate_of(self.update.workspace, self.table, &schema, settings)?;
        let keys = self.keys(step, &gate).await?;
        let (stamp, meter) = (self.stamp(step), Arc::clone(&self.meter));
        let spec = table_spec(self.table, &schema);
        let round = self.update.round.as_ref();
        let plans = WritePlans {
            good: match &upsert {
                Some(by) => GoodPlan::Upsert(lake.upsert_plan(&spec, &by.key).await?),
                None => GoodPlan::Append(lake.write_plan(&spec, &step.mode).await?),
            },
            quarantine: lake
                .write_plan(&quarantine_spec(&self.table.name), &CommitMode::Append)
                .await?,
            hand: Hand::of(round, &self.table.name.key()),
        };
        let (cancel, table) = (
            self.update.watch.cancel.clone(),
            self.table.name.to_string(),
        );
        let workers = self.update.workspace.threads();
        let work = tokio::task::spawn_blocking(move || {
            let destinations = (0..workers)
                .map(|_| TableDestination::new(&plans))
                .collect();
            let route = Route {
                table: &table,
                gate: &gate,
                stamp: &stamp,
                meter: &meter,
                cancel: &cancel,
                raw_column: false,
                metadata_column: false,
            };
            let mut driven = drive(loads, &route, keys, destinations)?;
            if let (Some(by), Some(first)) = (upsert, driven.destinations.first_mut())
                && let Some(gone) = (by.gone)()?
            {
                first.delete(&gone)?;
            }
            let mut written = Written::default();
            let mut staged = Vec::new();
            for destination in driven.destinations {
                staged.extend(destination.finish(&mut written)?);
            }
            if let Some(staged) = Staged::merge(staged)? {
                written.good = staged.files;
                written.mode = Some(staged.mode);
            }
            let next_lines = driven
                .next_lines
                .into_iter()
                .map(|(source, line)| NextLine {
                    relation: String::new(),
                    path: source.to_string(),
                    line,
                });
            Ok(Passed {
                counts: driven.counts,
                mode: written.mode.take(),
                written,
                schema,
                next_lines: next_lines.collect(),
                late: None,
                offsets: Offsets::new(),
                until: BTreeMap::new(),
                dataflow: None,
                state_files: Vec::new(),
                trail: serde_json::Value::Null,
                keys: Some(driven.keys),
            })
        });
        work.await.map_err(|_| PipelineError::Worker)?
    }

    /// The keys that the table holds: as the last round left them, or read from the table.
    async fn keys(&self, step: &Step<'_>, gate: &Gate) -> Result<KeyIndex> {
        if gate.contract().key.is_empty() {
            return Ok(KeyIndex::new(KeyIndexOptions::default()));
        }
        if let Some(round) = &self.update.round
            && let Some((epoch, keys)) = round.kept.keys.lock().remove(&self.table.name.key())
            && Some(epoch) == step.state.committed()
        {
            return Ok(keys);
        }
        let mut keys = KeyIndex::new(KeyIndexOptions::default());
        if let Some(base) = step.state.base(&step.intent).await? {
            super::stream::preload(self.update.workspace, gate, &mut keys, &base).await?;
        }
        Ok(keys)
    }

    /// Adds up, holds the sum against the rule that no row disappears, and looks at the limits.
    fn judge_counts(&self, counts: &Counts, report: &mut TableReport) -> Result<()> {
        let table = self.table.name.to_string();
        report.rows_in += counts.rows_in;
        report.good += counts.good;
        report.repaired += counts.repaired;
        report.quarantined += counts.quarantined;
        report.dropped += counts.dropped;
        add_promises(self.table, counts, &mut report.promises);
        report.reasons = report
            .promises
            .iter()
            .filter(|promise| promise.rows > 0)
            .cloned()
            .collect();
        report
            .reasons
            .sort_by_key(|reason| std::cmp::Reverse(reason.rows));
        if counts.good + counts.quarantined + counts.dropped != counts.rows_in {
            let Counts {
                rows_in,
                good,
                quarantined,
                dropped,
                ..
            } = *counts;
            return Err(PipelineError::RowsLost {
                table,
                rows_in,
                good,
                quarantined,
                dropped,
            });
        }
        match evaluate_limits(&self.table.quarantine, counts) {
            LimitVerdict::Within => Ok(()),
            LimitVerdict::Alert(message) => {
                report.notes.push(format!("alert: {message}"));
                self.update.tell(Event::Alert { table, message });
                Ok(())
            }
            LimitVerdict::Fail(message) => Err(PipelineError::QuarantineLimit { table, message }),
        }
    }

    /// The table's own columns, as the catalog knows them.
    pub(crate) fn schema(&self) -> Result<SchemaRef> {
        self.update.catalog.schema(&self.table.name).ok_or_else(|| {
            PipelineError::Request(format!(
                "the columns of `{}` are not known yet",
                self.table.name
            ))
        })
    }
}

/// What one of the tables should be that the epochs of `table` are committed to: itself, its quarantine, or its late rows.
/// `target` is the table as it is. None if its columns are not known.
pub(crate) fn spec_named(
    table: &Table,
    catalog: &Catalog,
    target: Option<&LakeTable>,
    prepared: &PreparedTable,
) -> Option<TableSpec> {
    if prepared.table == table.name.quarantine().key() {
        return Some(quarantine_spec(&table.name));
    }
    if prepared.table == table.name.late().key() {
        let columns = prepared.schema().ok().flatten()?;
        return Some(late_spec(&table.name, columns));
    }
    let schema = catalog.schema(&table.name);
    let schema = schema.or_else(|| target.map(LakeTable::schema))?;
    Some(table_spec(table, &schema))
}

/// What a table of these columns should be.
pub(crate) fn table_spec(table: &Table, schema: &SchemaRef) -> TableSpec {
    let mut spec = TableSpec::new(table.name.clone(), Arc::clone(schema));
    spec.partitioned_by = table.partition_columns().map(str::to_owned).collect();
    if let Some(ClusterBy::Columns(columns)) = &table.cluster_by {
        spec.cluster_by = columns.iter().map(|column| column.name.clone()).collect();
    }
    spec.comment.clone_from(&table.comment);
    let comments = table
        .columns
        .iter()
        .filter_map(|column| Some((column.name.clone(), column.comment.clone()?)));
    spec.column_comments = comments.collect();
    spec.properties.clone_from(&table.properties);
    spec.location.clone_from(&table.location);
    spec
}

/// What the quarantine of a table should be.
pub(crate) fn quarantine_spec(table: &TableName) -> TableSpec {
    let mut spec = TableSpec::new(table.quarantine(), quarantine_schema());
    spec.comment = Some(format!("rows that did not pass the gate of {table}"));
    spec
}

/// What the table of a table's late rows should be.
pub(crate) fn late_spec(table: &TableName, columns: SchemaRef) -> TableSpec {
    let mut spec = TableSpec::new(table.late(), columns);
    spec.comment = Some(format!("rows that came too late for {table}"));
    spec
}

/// Adds the promises of an epoch to those of the table.
pub(crate) fn add_promises(table: &Table, counts: &Counts, promises: &mut Vec<ReasonCount>) {
    for (key, count) in &counts.reasons {
        let declared = table
            .expectations
            .iter()
            .find(|expectation| expectation.name == *key.constraint);
        let outcome = declared.map_or("quarantined", |expectation| {
            match expectation.on_violation {
                OnViolation::Keep => "kept",
                OnViolation::DropRow => "dropped",
                OnViolation::FailUpdate => "failed",
                OnViolation::Quarantine => "quarantined",
            }
        });
        let promise = ReasonCount {
            constraint: key.constraint.to_string(),
            column: key.column.as_ref().map(ToString::to_string),
            outcome: outcome.to_owned(),
            rows: count.failed,
            passed: count.passed,
        };
        match promises
            .iter_mut()
            .find(|own| own.constraint == promise.constraint && own.column == promise.column)
        {
            Some(known) => {
                known.rows += promise.rows;
                known.passed += promise.passed;
            }
            None => promises.push(promise),
        }
    }
}

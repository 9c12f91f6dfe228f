//! `quarantine retry`: held rows, changed by expressions if wanted, through the same gate again, once.
//!
//! A retry is an epoch of the flow `<table>__retry`. Its intent names what it is about to commit, so that one that was
//! killed between its two commits is finished by the next: the quarantine first says where each row went, then the table
//! takes the rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, UInt64Type};
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use tidegate_engine::{CompiledExpression, CompiledProjection, EngineError};
use tidegate_gate::{Counts, Gate, Incoming, KeyIndex, KeyIndexOptions, Stamp};
use tidegate_lake::{AsOf, CommitMode, FlowId, Intent, LakeTable, PartWriter};
use tidegate_project::{Expression, SourceMap, Table, parse_expression};

use super::reread::Rereader;
use super::rows::{self, Fate};
use crate::catalog::Catalog;
use crate::discovery::FileOptions;
use crate::error::{PipelineError, Result};
use crate::gates::{GateSettings, gate_of};
use crate::lock::ProjectLock;
use crate::report::ReasonCount;
use crate::update::{
    EpochCommit, EpochFiles, FlowState, TableCommit, add_promises, preload, quarantine_spec,
    spec_named, table_spec,
};
use crate::workspace::Workspace;

/// What to send through the gate again, and how to change it first.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct RetryRequest {
    /// The table.
    pub table: String,
    /// Columns and the SQL expressions that give their new text, over the row's fields as text.
    pub set: Vec<(String, String)>,
    /// Only rows for which this SQL expression is TRUE.
    pub filter: Option<String>,
}

/// What a retry came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RetryReport {
    /// Rows that were sent through the gate.
    pub tried: u64,
    /// Rows that are in the table now.
    pub released: u64,
    /// Rows that a `DROP ROW` promise dropped.
    pub dropped: u64,
    /// Rows that are still held.
    pub still_held: u64,
    /// Why those are held.
    pub reasons: Vec<ReasonCount>,
}

impl Workspace {
    /// Sends held rows of a table through its gate again.
    ///
    /// # Errors
    /// Mistakes in the expressions; a table without a quarantine; what an update can meet. Nothing is changed then.
    pub async fn quarantine_retry(&self, request: &RetryRequest) -> Result<RetryReport> {
        self.refuse_mistakes()?;
        let name = self.table_named(&request.table)?;
        let table = self
            .project
            .table(&name)
            .ok_or_else(|| PipelineError::UnknownTable {
                name: request.table.clone(),
                nearest: None,
            })?;
        let _lock = ProjectLock::take(&self.state_folder())?;
        let catalog = Catalog::build(self).await?;
        catalog.refuse_mistakes()?;
        self.finish_retry(table, &catalog).await?;
        self.retry(table, &catalog, request).await
    }

    /// Finishes a retry of this table that was killed between its two commits, if there is one.
    pub(crate) async fn finish_retry(&self, table: &Table, catalog: &Catalog) -> Result<()> {
        let state = FlowState::load(self.lake().await?, retry_flow(table), &table.name).await?;
        let finished = state
            .finish_pending(self.lake().await?, &|prepared| {
                spec_named(table, catalog, state.target.as_ref(), prepared)
            })
            .await?;
        if finished {
            tracing::info!(table = %table.name, "a retry that was cut off is finished");
        }
        Ok(())
    }

    async fn retry(
        &self,
        table: &Table,
        catalog: &Catalog,
        request: &RetryRequest,
    ) -> Result<RetryReport> {
        let lake = self.lake().await?;
        let state = FlowState::load(lake, retry_flow(table), &table.name).await?;
        let Some(quarantine) = state.quarantine.clone() else {
            return Err(PipelineError::Request(format!(
                "`{}` has no quarantined rows",
                table.name
            )));
        };
        let text = serde_json::to_string(request).map_err(|error| {
            PipelineError::Request(format!("the request cannot be kept: {error}"))
        })?;
        let run = format!("retry-{}", uuid::Uuid::now_v7());
        let intent = state.next_intent(&run, &text, false);
        let (report, files) = self
            .work(table, catalog, request, &state, &intent, &quarantine)
            .await?;
        EpochCommit {
            lake,
            state: &state,
            intent,
        }
        .commit(files)
        .await?;
        Ok(report)
    }

    async fn work(
        &self,
        table: &Table,
        catalog: &Catalog,
        request: &RetryRequest,
        state: &FlowState,
        intent: &Intent,
        quarantine: &LakeTable,
    ) -> Result<(RetryReport, EpochFiles)> {
        let lake = self.lake().await?;
        let base = match intent.base_versions.get(&quarantine.name().key()) {
            Some(Some(version)) => quarantine.at(AsOf::Version(*version)).await?,
            _ => quarantine.clone(),
        };
        let schema = match (catalog.schema(&table.name), &state.target) {
            (_, Some(target)) => target.schema(),
            (Some(schema), None) => schema,
            (None, None) => {
                return Err(PipelineError::Request(format!(
                    "`{}` has no columns yet",
                    table.name
                )));
            }
        };
        let settings = self.retry_settings(table)?;
        let gate = gate_of(self, table, &schema, &settings)?;
        let mut keys = KeyIndex::new(KeyIndexOptions::default());
        if let (false, Some(target)) = (gate.contract().key.is_empty(), state.base(intent).await?) {
            preload(self, &gate, &mut keys, &target).await?;
        }
        let names: Vec<String> = gate
            .contract()
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        let reread = Rereader::of(self, table, &names).await?;
        let (good, held) = (table_spec(table, &schema), quarantine_spec(&table.name));
        let replaced = base.files().await?;
        let mode = CommitMode::Replace(replaced);
        let mut work = Work {
            change: Change::compile(self, &gate, &base, request, reread)?,
            good: lake.write_plan(&good, &CommitMode::Append).await?.writer(),
            held: lake.write_plan(&held, &mode).await?.writer(),
            stamp: stamp(table, intent),
            counts: Counts::default(),
            tried: 0,
            gate,
            keys,
        };
        let session = self.engine()?.session_state();
        let plan = base.provider().scan(&session, None, &[], None).await?;
        let mut stream = execute_stream(plan, session.task_ctx())?;
        while let Some(batch) = stream.try_next().await? {
            work.batch(&batch)?;
        }
        let report = work.report(table);
        let files = EpochFiles::new(
            state,
            TableCommit {
                spec: good,
                files: work.good.finish()?,
                mode: CommitMode::Append,
            },
            TableCommit {
                spec: held,
                files: work.held.finish()?,
                mode,
            },
        );
        Ok((report, files))
    }

    /// How the table's source reads values, so that a retry reads them alike.
    fn retry_settings(&self, table: &Table) -> Result<GateSettings> {
        for flow in self.project.flows_into(&table.name) {
            for relation in &flow.query.relations {
                if let tidegate_project::RelationTarget::Files {
                    format, options, ..
                } = &relation.target
                {
                    let options = FileOptions::parse(format.as_deref(), options)?;
                    return Ok(GateSettings {
                        coercion: options.written,
                        positions: true,
                        ..GateSettings::default()
                    });
                }
            }
        }
        Ok(GateSettings {
            positions: true,
            ..GateSettings::default()
        })
    }
}

fn retry_flow(table: &Table) -> FlowId {
    FlowId::new(format!("{}__retry", table.name.key()))
}

fn stamp(table: &Table, intent: &Intent) -> Stamp {
    Stamp {
        flow: table.name.key().into(),
        run: intent.run.as_str().into(),
        epoch: i64::try_from(intent.epoch).unwrap_or(i64::MAX),
        time_micros: intent.written_ms.saturating_mul(1_000),
    }
}

/// The request's expressions, compiled over the fields as text.
struct Change {
    names: Vec<String>,
    set: Option<(Vec<String>, CompiledProjection)>,
    set_raw: Option<CompiledProjection>,
    filter: Option<CompiledExpression>,
    reread: Option<Rereader>,
}

/// The column of the quarantine that holds a row as it was written.
const RAW_COLUMN: &str = "raw";

impl Change {
    fn compile(
        workspace: &Workspace,
        gate: &Gate,
        quarantine: &LakeTable,
        request: &RetryRequest,
        reread: Option<Rereader>,
    ) -> Result<Self> {
        let names: Vec<String> = gate
            .contract()
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        let fields = RecordBatch::new_empty(rows::text_schema(&names));
        let seen =
            rows::with_own_columns(&fields, &RecordBatch::new_empty(quarantine.schema()))?.schema();
        let mut files = SourceMap::default();
        let mut parsed = |label: &str, text: &str| {
            parse_expression(&mut files, label, text).map_err(|diagnostics| PipelineError::Query {
                diagnostics,
                files: Box::new(files.clone()),
            })
        };
        let filter = request
            .filter
            .as_ref()
            .map(|text| parsed("--where", text))
            .transpose()?;
        let (mut expressions, mut raw) = (Vec::new(), Vec::new());
        for (column, text) in &request.set {
            let own = names.iter().find(|name| name.eq_ignore_ascii_case(column));
            match own {
                Some(name) => expressions.push((name.clone(), parsed("--set", text)?)),
                None if column.eq_ignore_ascii_case(RAW_COLUMN) => {
                    raw.push((RAW_COLUMN.to_owned(), parsed("--set", text)?));
                }
                None => {
                    return Err(PipelineError::Request(format!(
                        "--set names `{column}`, which is no column of the table; it has {}, and `raw` is the row as it was written",
                        names.join(", ")
                    )));
                }
            }
        }
        let engine = workspace.engine()?;
        let refused = |error: EngineError| PipelineError::from(error).in_query(&files);
        let compiled = |expressions: &[(String, Expression)]| match expressions.is_empty() {
            true => Ok(None),
            false => engine
                .projection(expressions, Arc::clone(&seen), &files)
                .map(Some)
                .map_err(refused),
        };
        let filter = filter.map(|filter| {
            engine
                .predicate(&filter, Arc::clone(&seen), &files)
                .map_err(refused)
        });
        let (set, set_raw) = (compiled(&expressions)?, compiled(&raw)?);
        let set = set.map(|set| {
            (
                expressions.iter().map(|(name, _)| name.clone()).collect(),
                set,
            )
        });
        Ok(Self {
            names,
            set,
            set_raw,
            filter: filter.transpose()?,
            reread,
        })
    }

    /// The text of the rows to be tried, with the changes made; and which rows these are. Rows that still cannot be cut
    /// into fields are not among them.
    fn apply(&self, batch: &RecordBatch) -> Result<(RecordBatch, Vec<usize>)> {
        let fields = rows::fields_as_columns(batch, &self.names)?;
        let seen = rows::with_own_columns(&fields, batch)?;
        let filter = self
            .filter
            .as_ref()
            .map(|filter| filter.evaluate(&seen))
            .transpose()?;
        let tried = rows::tried(batch, filter.as_ref())?;
        let chosen = picks(&tried);
        let (fields, batch) = (
            take_record_batch(&fields, &chosen)?,
            take_record_batch(batch, &chosen)?,
        );
        let (fields, readable) = self.read_again(fields, &batch)?;
        let (fields, batch) = (
            take_record_batch(&fields, &picks(&readable))?,
            take_record_batch(&batch, &picks(&readable))?,
        );
        let tried = readable.into_iter().map(|row| tried[row]).collect();
        let Some((names, set)) = &self.set else {
            return Ok((fields, tried));
        };
        let changed = set.evaluate(&rows::with_own_columns(&fields, &batch)?)?;
        let mut columns: BTreeMap<usize, ArrayRef> = BTreeMap::new();
        for (name, column) in names.iter().zip(changed.columns()) {
            columns.insert(
                fields.schema().index_of(name)?,
                cast(column, &DataType::Utf8View)?,
            );
        }
        let all = fields.columns().iter().enumerate();
        let all = all
            .map(|(index, column)| columns.remove(&index).unwrap_or_else(|| Arc::clone(column)))
            .collect();
        Ok((RecordBatch::try_new(fields.schema(), all)?, tried))
    }

    /// Cuts rows into fields again: all where their text is changed, otherwise those that have none. Gives the rows that
    /// have fields then.
    fn read_again(
        &self,
        fields: RecordBatch,
        batch: &RecordBatch,
    ) -> Result<(RecordBatch, Vec<usize>)> {
        let known = rows::column(batch, "fields")?;
        let wanted: Vec<usize> = (0..batch.num_rows())
            .filter(|row| self.set_raw.is_some() || known.is_null(*row))
            .collect();
        let all = || (0..batch.num_rows()).collect();
        if wanted.is_empty() {
            return Ok((fields, all()));
        }
        let Some(reread) = &self.reread else {
            return Ok((
                fields,
                (0..batch.num_rows())
                    .filter(|row| known.is_valid(*row))
                    .collect(),
            ));
        };
        let raw = match &self.set_raw {
            Some(set) => Arc::clone(
                set.evaluate(&rows::with_own_columns(&fields, batch)?)?
                    .column(0),
            ),
            None => Arc::clone(rows::column(batch, RAW_COLUMN)?),
        };
        let raw = cast(&raw, &DataType::Utf8View)?;
        let raw = raw.as_string_view();
        let texts: Vec<Option<&str>> = wanted
            .iter()
            .map(|row| raw.is_valid(*row).then(|| raw.value(*row)))
            .collect();
        let found = tokio::task::block_in_place(|| reread.read(&texts))?;
        rows::replaced(&fields, &wanted, &found)
    }
}

fn picks(rows: &[usize]) -> UInt32Array {
    rows.iter()
        .filter_map(|row| u32::try_from(*row).ok())
        .collect()
}

/// A retry on its way through the batches of the quarantine.
struct Work {
    change: Change,
    gate: Gate,
    keys: KeyIndex,
    good: PartWriter,
    held: PartWriter,
    stamp: Stamp,
    counts: Counts,
    tried: u64,
}

impl Work {
    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let (fields, tried) = self.change.apply(batch)?;
        let mut fates = vec![Fate::Untried; batch.num_rows()];
        if tried.is_empty() {
            return Ok(self.held.write(batch)?);
        }
        let mut judged = self.gate.judge(Incoming::typed(fields, "quarantine"))?;
        self.gate.admit_keys(&mut self.keys, &mut judged)?;
        let split = self.gate.split(judged, &self.stamp)?;
        for row in &tried {
            fates[*row] = Fate::Dropped;
        }
        for line in split.good_line.iter().flatten() {
            if let Some(row) = usize::try_from(*line).ok().and_then(|line| tried.get(line)) {
                fates[*row] = Fate::Released;
            }
        }
        if let Some(failures) = &split.quarantined {
            let lines = cast(rows::column(failures, "line")?, &DataType::UInt64)?;
            let lines = lines.as_primitive::<UInt64Type>().clone();
            for (failure, line) in lines.values().iter().enumerate() {
                if let Some(row) = usize::try_from(*line).ok().and_then(|line| tried.get(line)) {
                    fates[*row] = Fate::Held(failure);
                }
            }
        }
        self.tried += tried.len() as u64;
        self.counts.merge(&split.counts);
        self.good.write(&split.good)?;
        let written =
            rows::written_down(batch, &fates, split.quarantined.as_ref(), self.stamp.epoch)?;
        Ok(self.held.write(&written)?)
    }

    fn report(&self, table: &Table) -> RetryReport {
        let mut reasons = Vec::new();
        add_promises(table, &self.counts, &mut reasons);
        reasons.retain(|reason: &ReasonCount| reason.rows > 0);
        RetryReport {
            tried: self.tried,
            released: self.counts.good,
            dropped: self.counts.dropped,
            still_held: self.counts.quarantined,
            reasons,
        }
    }
}

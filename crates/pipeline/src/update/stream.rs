//! The rows of one step on their way: straight from files through the gate, or through the flow's query.
//!
//! A flow that only copies columns of files is the straight way: pieces are decoded, judged and written by the same
//! threads. Any other flow runs its query in the engine; what comes out goes through the same gate, with the position of
//! each row beside it where the query leaves rows apart.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringViewArray, StructArray};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use tidegate_connect::SchemaEvolutionMode;
use tidegate_engine::CopiedColumn;
use tidegate_gate::{Counts, Gate, Incoming, KeyIndex};
use tidegate_lake::{Lake, LakeTable, NextLine};
use tidegate_project::FlowKind;
use tokio::runtime::Handle;

use super::refresh::{Passed, Refresh, Step, quarantine_spec};
use crate::catalog::storable;
use crate::discovery::repair_layout;
use crate::error::{PipelineError, Result};
use crate::files::{Rejects, position_fields};
use crate::gates::GateSettings;
use crate::rows::{Load, Shape};
use crate::scan::{LeafFiles, METADATA, POSITION, ScanContext, ScanTypes};
use crate::workspace::Workspace;

impl Refresh<'_, '_> {
    /// Reads, judges and writes the rows of a step.
    pub(crate) async fn pass(&self, lake: &Lake, number: usize, step: &Step<'_>) -> Result<Passed> {
        let copies = self
            .update
            .catalog
            .flow(number)
            .and_then(|flow| flow.copies.as_deref())
            .filter(|copies| copies.iter().all(|copied| copied.column != METADATA));
        let mut passed = match (copies, straight(step)) {
            (Some(copies), Some(files)) => self.pass_straight(lake, step, copies, files).await,
            _ => self.pass_query(lake, number, step).await,
        }?;
        passed.offsets = step.reads.offsets();
        Ok(passed)
    }

    async fn pass_straight(
        &self,
        lake: &Lake,
        step: &Step<'_>,
        copies: &[CopiedColumn],
        files: &LeafFiles,
    ) -> Result<Passed> {
        let columns = self.columns(copies, files)?;
        let wanted: Vec<String> = columns.iter().map(|column| column.source.clone()).collect();
        let names = Some(
            columns
                .iter()
                .map(|column| column.field.name().clone())
                .collect(),
        );
        let fields: Vec<_> = columns.into_iter().map(|column| column.field).collect();
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let settings = GateSettings {
            coercion: files.options.written.clone(),
            repair: files.options.repair,
            ..GateSettings::default()
        };
        let shape = Shape {
            layout: repair_layout(&files.discovered, &files.options),
            names,
        };
        let loads = files.loads(
            &wanted,
            Arc::clone(&files.options.read),
            Arc::new(shape),
            Arc::clone(&self.meter),
            Handle::current(),
        );
        let mut passed = self
            .through_gate(lake, step, schema, &settings, loads, None)
            .await?;
        let relation = step.reads.files.keys().next().cloned().unwrap_or_default();
        let ends = std::mem::take(&mut passed.next_lines);
        passed.next_lines = files
            .slices()
            .iter()
            .filter_map(|slice| {
                let line = ends
                    .iter()
                    .find(|end| end.path == slice.file.display())?
                    .line;
                Some(NextLine {
                    relation: relation.clone(),
                    path: slice.file.url.clone(),
                    line,
                })
            })
            .collect();
        Ok(passed)
    }

    /// The table's columns and where each comes from; columns that only the files have are added where the table may
    /// grow.
    fn columns(&self, copies: &[CopiedColumn], files: &LeafFiles) -> Result<Vec<CopiedField>> {
        let known = self.schema()?;
        let source_of = |name: &str| {
            let copied = copies
                .iter()
                .find(|copied| copied.name.eq_ignore_ascii_case(name));
            copied.map_or_else(|| name.to_owned(), |copied| copied.column.clone())
        };
        let mut columns: Vec<CopiedField> = known
            .fields()
            .iter()
            .map(|field| CopiedField {
                source: source_of(field.name()),
                field: Arc::clone(field),
            })
            .collect();
        let grows = match files.options.read.evolution {
            Some(mode) => mode == SchemaEvolutionMode::AddNewColumns,
            None => self.table.columns.is_empty(),
        };
        if grows {
            for found in files.options.schema_of(&files.discovered).fields() {
                let there = |column: &CopiedField| column.source.eq_ignore_ascii_case(found.name());
                if !columns.iter().any(there) {
                    let field = Arc::new(storable(found).with_nullable(true));
                    columns.push(CopiedField {
                        source: found.name().clone(),
                        field,
                    });
                }
            }
        }
        Ok(columns)
    }

    async fn pass_query(&self, lake: &Lake, number: usize, step: &Step<'_>) -> Result<Passed> {
        let workspace = self.update.workspace;
        let rejects = Arc::new(Rejects::keeping());
        let ordered = !self.table.primary_key.is_empty();
        let engine = if ordered {
            workspace.ordered_engine()?
        } else {
            workspace.engine()?.clone()
        };
        let scan = ScanContext {
            stamp: Arc::new(self.stamp(step)),
            meter: Arc::clone(&self.meter),
            rejects: Arc::clone(&rejects),
            types: ScanTypes::Discovered,
            workers: workspace.threads(),
            cancel: self.update.watch.cancel.clone(),
        };
        if let FlowKind::Append { once: false, .. } = step.flow.kind
            && let Some(streamed) = self.streamed(step, &scan, &engine).await?
        {
            let planned = self.update.catalog.flow(number).map(|flow| &flow.schema);
            let schema = self.query_schema(planned)?;
            let mut passed = self.pass_streamed(lake, step, streamed, schema).await?;
            self.add_rejects(lake, step, &rejects, &mut passed).await?;
            return Ok(passed);
        }
        let bindings = self
            .update
            .bind(&step.flow.query, "", &step.reads, &scan)
            .await?;
        let planned = engine.plan(&step.flow.query, &bindings, workspace.files())?;
        // Places are for those rows that the gate may turn away.
        let judged = !self.table.columns.is_empty() || !self.table.expectations.is_empty();
        let carried = match judged {
            true => engine.carry(&planned, POSITION)?,
            false => None,
        };
        let stream = engine.execute(carried.as_ref().unwrap_or(&planned)).await?;
        let schema = self.query_schema(Some(planned.schema()))?;
        let source: Arc<str> = format!("flow {}", step.flow.name).into();
        let loads = batches(stream, source, Handle::current());
        let settings = GateSettings::default();
        let mut passed = self
            .through_gate(lake, step, schema, &settings, loads, None)
            .await?;
        self.add_rejects(lake, step, &rejects, &mut passed).await?;
        Ok(passed)
    }

    /// The table's columns, or for a table that declares none, all that its flows give.
    fn query_schema(&self, planned: Option<&SchemaRef>) -> Result<SchemaRef> {
        match (self.update.catalog.schema(&self.table.name), planned) {
            (Some(known), _) => Ok(known),
            (None, Some(planned)) => {
                let fields = planned.fields().iter().map(|field| storable(field));
                Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
            }
            (None, None) => self.schema(),
        }
    }

    /// Rows that the files' own types turned away before the query go to the quarantine too, and are counted.
    async fn add_rejects(
        &self,
        lake: &Lake,
        step: &Step<'_>,
        rejects: &Rejects,
        passed: &mut Passed,
    ) -> Result<()> {
        let (batches, counts) = rejects.take();
        let mut own = Counts {
            rows_in: counts.quarantined,
            quarantined: counts.quarantined,
            ..Counts::default()
        };
        own.reasons = counts.reasons;
        passed.counts.merge(&own);
        let mut writer = lake
            .write_plan(&quarantine_spec(&self.table.name), &step.mode)
            .await?
            .writer();
        for batch in batches {
            writer.write(&batch)?;
        }
        passed.written.quarantine.extend(writer.finish()?);
        Ok(())
    }
}

/// A column of the table and the column of the files that it copies.
struct CopiedField {
    source: String,
    field: Arc<arrow::datatypes::Field>,
}

/// The files of a step that reads one set of files and nothing else.
fn straight<'s>(step: &'s Step<'_>) -> Option<&'s LeafFiles> {
    let [relation] = step.flow.query.relations.as_slice() else {
        return None;
    };
    step.reads.files.get(&relation.binding)
}

/// Puts the keys of a table into an index.
pub(crate) async fn preload(
    workspace: &Workspace,
    gate: &Gate,
    keys: &mut KeyIndex,
    table: &LakeTable,
) -> Result<()> {
    let schema = table.schema();
    let mut columns = Vec::with_capacity(gate.contract().key.len());
    for index in &gate.contract().key {
        let name = &gate.contract().columns[*index].name;
        let position = schema
            .fields()
            .iter()
            .position(|field| field.name().eq_ignore_ascii_case(name));
        columns.push(position.ok_or_else(|| {
            PipelineError::Request(format!("table `{}` has no column `{name}` yet, which is part of its key; refresh it in full", table.name()))
        })?);
    }
    let state = workspace.engine()?.session_state();
    let plan = table
        .provider()
        .scan(&state, Some(&columns), &[], None)
        .await?;
    let mut stream = execute_stream(plan, state.task_ctx())?;
    while let Some(batch) = stream.next().await {
        gate.preload_keys(keys, &batch?)?;
    }
    Ok(())
}

/// The batches of a running query as loads. Pulled by worker threads, which wait for the query.
fn batches(
    mut stream: SendableRecordBatchStream,
    source: Arc<str>,
    handle: Handle,
) -> impl Iterator<Item = Result<Load>> + Send {
    let mut ready: std::collections::VecDeque<Load> = std::collections::VecDeque::new();
    let mut ended = false;
    std::iter::from_fn(move || {
        loop {
            if let Some(load) = ready.pop_front() {
                return Some(Ok(load));
            }
            if ended {
                return None;
            }
            let split = match handle.block_on(stream.next()) {
                None => return None,
                Some(Err(error)) => Err(error.into()),
                Some(Ok(batch)) => incoming(&batch, &source),
            };
            match split {
                Ok(parts) => {
                    ready.extend(parts.into_iter().map(|part| Load::Batch(Box::new(part))))
                }
                Err(error) => {
                    ended = true;
                    return Some(Err(error));
                }
            }
        }
    })
}

/// A batch of a query as the gate takes it: with its position column taken off, cut where the source changes.
pub(super) fn incoming(batch: &RecordBatch, source: &Arc<str>) -> Result<Vec<Incoming>> {
    let Ok(index) = batch.schema().index_of(POSITION) else {
        return Ok(vec![Incoming::typed(batch.clone(), Arc::clone(source))]);
    };
    let mut columns = batch.clone();
    let position = columns.remove_column(index);
    let Some((sources, lines, raws)) = position_parts(&position) else {
        return Ok(vec![Incoming::typed(columns, Arc::clone(source))]);
    };
    let mut parts = Vec::new();
    let mut start = 0;
    while start < columns.num_rows() {
        let name = sources.is_valid(start).then(|| sources.value(start));
        let same = |row: &usize| sources.is_valid(*row).then(|| sources.value(*row)) == name;
        let length = (start..columns.num_rows()).take_while(same).count();
        let raw = raws.slice(start, length);
        parts.push(Incoming {
            columns: columns.slice(start, length),
            line: (start..start + length)
                .map(|row| lines.value(row).unsigned_abs())
                .collect(),
            raw: (raw.null_count() == 0).then(|| Arc::new(raw) as ArrayRef),
            malformed: Vec::new(),
            source: name.map_or_else(|| Arc::clone(source), Into::into),
            layout: None,
        });
        start += length;
    }
    Ok(parts)
}

fn position_parts(
    position: &ArrayRef,
) -> Option<(&StringViewArray, &Int64Array, &StringViewArray)> {
    let parts = position.as_any().downcast_ref::<StructArray>()?;
    debug_assert_eq!(parts.fields(), &position_fields());
    Some((
        parts.column(0).as_any().downcast_ref()?,
        parts.column(1).as_any().downcast_ref()?,
        parts.column(2).as_any().downcast_ref()?,
    ))
}

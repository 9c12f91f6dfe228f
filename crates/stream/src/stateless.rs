//! Projections and filters, run on batches as they come.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{filter_record_batch, not, prep_null_mask_filter};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;

use crate::error::Result;
use crate::operator::{Changes, Operator, Turn};

/// One step.
#[derive(Debug)]
pub(crate) enum Step {
    /// Keeps the rows for which this is TRUE.
    Keep(Arc<dyn PhysicalExpr>),
    /// Computes new columns. `keys` are those that tell the rows of an updated result from each
    /// other; the others of a deleted row are not known.
    Compute {
        expressions: Vec<Arc<dyn PhysicalExpr>>,
        schema: SchemaRef,
        keys: Vec<usize>,
    },
}

/// Steps over the rows of an operator.
pub(crate) struct Stateless {
    pub(crate) input: Box<dyn Operator>,
    pub(crate) steps: Vec<Step>,
    /// Whether its rows replace each other by key.
    pub(crate) updating: bool,
}

impl Operator for Stateless {
    fn turn(&mut self, turn: &mut Turn<'_>) -> Result<Changes> {
        let changes = self.input.turn(turn)?;
        let mut rows = changes.rows;
        let mut deletes = changes.deletes;
        for step in &self.steps {
            match step {
                Step::Keep(condition) => {
                    let mut kept = Vec::with_capacity(rows.len());
                    for batch in rows {
                        self.keep(condition, batch, &mut kept, &mut deletes)?;
                    }
                    rows = kept;
                }
                Step::Compute {
                    expressions,
                    schema,
                    keys,
                } => {
                    let project = |batch: &RecordBatch| project(expressions, schema, batch);
                    rows = rows.iter().map(project).collect::<Result<_>>()?;
                    let keys = |batch: &RecordBatch| project_keys(expressions, schema, keys, batch);
                    deletes = deletes.iter().map(keys).collect::<Result<_>>()?;
                }
            }
        }
        Ok(Changes {
            rows,
            deletes,
            watermark: changes.watermark,
        })
    }

    fn inputs(&mut self) -> Vec<&mut Box<dyn Operator>> {
        vec![&mut self.input]
    }

    fn inputs_ref(&self) -> Vec<&dyn Operator> {
        vec![self.input.as_ref()]
    }
}

impl Stateless {
    fn keep(
        &self,
        condition: &Arc<dyn PhysicalExpr>,
        batch: RecordBatch,
        kept: &mut Vec<RecordBatch>,
        deletes: &mut Vec<RecordBatch>,
    ) -> Result<()> {
        let verdict = condition.evaluate(&batch)?.into_array(batch.num_rows())?;
        let verdict = match verdict.as_boolean_opt() {
            Some(verdict) if verdict.null_count() > 0 => prep_null_mask_filter(verdict),
            Some(verdict) => verdict.clone(),
            // NULL for all.
            None => return Ok(()),
        };
        let passed = verdict.true_count();
        if passed < batch.num_rows() && self.updating {
            deletes.push(filter_record_batch(&batch, &not(&verdict)?)?);
        }
        if passed == batch.num_rows() {
            kept.push(batch);
        } else if passed > 0 {
            kept.push(filter_record_batch(&batch, &verdict)?);
        }
        Ok(())
    }
}

fn project(
    expressions: &[Arc<dyn PhysicalExpr>],
    schema: &SchemaRef,
    batch: &RecordBatch,
) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let columns = expressions
        .iter()
        .map(|expression| expression.evaluate(batch)?.into_array(rows))
        .collect::<datafusion::common::Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::clone(schema);
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

/// As [`project`], of rows of which only the keys are known.
fn project_keys(
    expressions: &[Arc<dyn PhysicalExpr>],
    schema: &SchemaRef,
    keys: &[usize],
    batch: &RecordBatch,
) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let column = |at: usize, expression: &Arc<dyn PhysicalExpr>| match keys.contains(&at) {
        true => expression.evaluate(batch)?.into_array(rows),
        false => Ok(new_null_array(schema.field(at).data_type(), rows)),
    };
    let columns = expressions
        .iter()
        .enumerate()
        .map(|(at, expression)| column(at, expression))
        .collect::<datafusion::common::Result<_>>()?;
    crate::groups::batch(nullable(schema), columns, rows)
}

/// The same columns, each of which may be NULL.
pub(crate) fn nullable(schema: &SchemaRef) -> Schema {
    let open = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
    let fields: Vec<Field> = schema.fields().iter().map(open).collect();
    Schema::new(fields)
}

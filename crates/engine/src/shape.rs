//! Queries that make each row of the result from one row of one relation.
//!
//! Such a query can run on batches as they come, and a row's position can be kept beside it. Here
//! they are recognised, compiled ([`RowProgram`]) and widened by a column ([`carry`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, UInt64Array};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DataFusionError};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection, SubqueryAlias, TableScan};
use datafusion::optimizer::Optimizer;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::physical_expr::PhysicalExpr;

use crate::error::{EngineError, sentence};
use crate::expression;
use crate::plan::Planned;

/// A column that a query only copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedColumn {
    /// The relation, by its binding.
    pub binding: String,
    /// The column's name in the relation.
    pub column: String,
    /// Its name in the result.
    pub name: String,
}

/// A row-wise query, compiled to run on batches of its one relation.
#[derive(Clone, Debug)]
pub struct RowProgram {
    binding: String,
    input: SchemaRef,
    output: SchemaRef,
    steps: Vec<Step>,
}

/// What a [`RowProgram`] makes of a batch.
#[derive(Clone, Debug)]
pub struct RowResult {
    /// The rows that came through, in their order.
    pub batch: RecordBatch,
    /// For each of them, which row of the batch it was, from 0; `None` if all came through.
    pub rows: Option<UInt64Array>,
}

#[derive(Clone, Debug)]
enum Step {
    Keep(Arc<dyn PhysicalExpr>),
    Compute(Vec<Arc<dyn PhysicalExpr>>, SchemaRef),
}

impl RowProgram {
    /// The relation that the query reads, by its binding.
    pub fn binding(&self) -> &str {
        &self.binding
    }

    /// The columns that a batch must have: those of the relation.
    pub fn input(&self) -> &SchemaRef {
        &self.input
    }

    /// The columns of the result.
    pub fn schema(&self) -> &SchemaRef {
        &self.output
    }

    /// Runs the query on one batch.
    ///
    /// # Errors
    /// [`EngineError::Value`] if a value breaks an operation, [`EngineError::MissingColumn`] if the
    /// batch has other columns than the relation.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RowResult, EngineError> {
        if batch.num_columns() != self.input.fields().len() {
            return Err(EngineError::MissingColumn {
                column: format!("all {} columns of the relation", self.input.fields().len()),
                available: format!("{} columns", batch.num_columns()),
            });
        }
        let mut current = batch.clone();
        let mut rows: Option<UInt64Array> = None;
        for step in &self.steps {
            match step {
                Step::Compute(expressions, schema) => {
                    current = expression::project(expressions, schema, &current)?;
                }
                Step::Keep(condition) => keep(condition, &mut current, &mut rows)?,
            }
        }
        Ok(RowResult {
            batch: current,
            rows,
        })
    }
}

fn keep(
    condition: &Arc<dyn PhysicalExpr>,
    batch: &mut RecordBatch,
    rows: &mut Option<UInt64Array>,
) -> Result<(), EngineError> {
    let verdict = condition.evaluate(batch)?.into_array(batch.num_rows())?;
    let verdict = expression::truth(&verdict)?;
    if verdict.true_count() == batch.num_rows() {
        return Ok(());
    }
    let before = rows
        .take()
        .unwrap_or_else(|| (0_u64..).take(batch.num_rows()).collect());
    let arrow = |error| EngineError::from(DataFusionError::from(error));
    let kept = filter(&before, &verdict).map_err(arrow)?;
    *rows = kept.as_any().downcast_ref::<UInt64Array>().cloned();
    *batch = filter_record_batch(batch, &verdict).map_err(arrow)?;
    Ok(())
}

/// The one relation of a row-wise plan; `None` for other plans.
pub(crate) fn row_source(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::Projection(node) => {
            let plain = node.expr.iter().all(of_one_row);
            plain.then(|| row_source(&node.input)).flatten()
        }
        LogicalPlan::Filter(node) => {
            let plain = of_one_row(&node.predicate);
            plain.then(|| row_source(&node.input)).flatten()
        }
        LogicalPlan::SubqueryAlias(node) => row_source(&node.input),
        LogicalPlan::TableScan(scan) => {
            let bare = scan.projection.is_none() && scan.filters.is_empty() && scan.fetch.is_none();
            bare.then_some(scan)
        }
        _ => None,
    }
}

fn of_one_row(expression: &Expr) -> bool {
    let mut plain = true;
    let walked = expression.apply(|part| {
        plain = !matches!(
            part,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Unnest(_)
        );
        Ok(if plain {
            TreeNodeRecursion::Continue
        } else {
            TreeNodeRecursion::Stop
        })
    });
    plain && walked.is_ok()
}

/// The columns that a plan copies, if it does nothing else.
pub(crate) fn identity(plan: &LogicalPlan) -> Option<Vec<CopiedColumn>> {
    let scan = row_source(plan)?;
    let binding = scan.table_name.table().to_owned();
    let names = copied(plan)?;
    let fields = plan.schema().fields();
    let columns = names
        .into_iter()
        .zip(fields)
        .map(|(column, field)| CopiedColumn {
            binding: binding.clone(),
            column,
            name: field.name().clone(),
        });
    Some(columns.collect())
}

fn copied(plan: &LogicalPlan) -> Option<Vec<String>> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let fields = scan.projected_schema.fields();
            Some(fields.iter().map(|field| field.name().clone()).collect())
        }
        LogicalPlan::SubqueryAlias(node) => copied(&node.input),
        LogicalPlan::Projection(node) => {
            let below = copied(&node.input)?;
            let position = |expression: &Expr| {
                let column = expression.clone().unalias_nested().data;
                let column = column.try_as_col()?.clone();
                node.input.schema().index_of_column(&column).ok()
            };
            node.expr
                .iter()
                .map(|expression| below.get(position(expression)?).cloned())
                .collect()
        }
        _ => None,
    }
}

/// Compiles a row-wise plan; `None` for other plans.
pub(crate) fn row_program(
    state: &SessionState,
    planned: &Planned,
) -> Result<Option<RowProgram>, EngineError> {
    let Some(scan) = row_source(&planned.plan) else {
        return Ok(None);
    };
    let mut steps = Vec::new();
    compile(state, &planned.plan, &mut steps)?;
    Ok(Some(RowProgram {
        binding: scan.table_name.table().to_owned(),
        input: scan.source.schema(),
        output: Arc::clone(&planned.schema),
        steps,
    }))
}

fn compile(
    state: &SessionState,
    plan: &LogicalPlan,
    steps: &mut Vec<Step>,
) -> Result<(), EngineError> {
    match plan {
        LogicalPlan::Projection(node) => {
            compile(state, &node.input, steps)?;
            let compiled = node
                .expr
                .iter()
                .map(|e| expression::physical(state, e.clone(), node.input.schema()))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| contradiction(&error))?;
            let schema = Arc::new(node.schema.as_arrow().clone());
            steps.push(Step::Compute(compiled, schema));
        }
        LogicalPlan::Filter(node) => {
            compile(state, &node.input, steps)?;
            let predicate = node.predicate.clone();
            let compiled = expression::physical(state, predicate, node.input.schema())
                .map_err(|error| contradiction(&error))?;
            steps.push(Step::Keep(compiled));
        }
        LogicalPlan::SubqueryAlias(node) => compile(state, &node.input, steps)?,
        _ => {}
    }
    Ok(())
}

fn contradiction(error: &DataFusionError) -> EngineError {
    EngineError::Bug {
        message: sentence(error),
    }
}

/// Whether a plan does nothing that needs to know more than one row of a relation.
pub(crate) fn keeps_no_state(plan: &LogicalPlan) -> bool {
    let plain = match plan {
        LogicalPlan::Projection(node) => node.expr.iter().all(of_one_row_or_list),
        LogicalPlan::Filter(node) => of_one_row(&node.predicate),
        LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::EmptyRelation(_) => true,
        _ => false,
    };
    plain && plan.inputs().into_iter().all(keeps_no_state)
}

/// As [`of_one_row`], but lists may become rows.
fn of_one_row_or_list(expression: &Expr) -> bool {
    match expression {
        Expr::Alias(alias) => of_one_row_or_list(&alias.expr),
        Expr::Unnest(list) => of_one_row(&list.expr),
        other => of_one_row(other),
    }
}

/// The columns that a plan reads, by binding.
pub(crate) fn columns_read(
    state: &SessionState,
    planned: &Planned,
) -> Result<BTreeMap<String, BTreeSet<usize>>, EngineError> {
    let optimizer = Optimizer::with_rules(vec![Arc::new(OptimizeProjections::new())]);
    let plan = optimizer
        .optimize(planned.plan.clone(), state, |_, _| {})
        .map_err(|error| contradiction(&error))?;
    let mut read: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let columns = read.entry(scan.table_name.table().to_owned()).or_default();
            match &scan.projection {
                Some(projection) => columns.extend(projection),
                None => columns.extend(0..scan.source.schema().fields().len()),
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(|error| contradiction(&error))?;
    Ok(read)
}

/// A row-wise plan with one more column of its relation at the end.
pub(crate) fn carry(planned: &Planned, column: &str) -> Result<Option<Planned>, EngineError> {
    let Some(scan) = row_source(&planned.plan) else {
        return Ok(None);
    };
    if scan.source.schema().column_with_name(column).is_none() {
        return Ok(None);
    }
    let plan = widened(&planned.plan, column).map_err(|error| contradiction(&error))?;
    let schema = Arc::new(plan.schema().as_arrow().clone());
    Ok(Some(Planned {
        plan,
        schema,
        bindings: Arc::clone(&planned.bindings),
    }))
}

fn widened(plan: &LogicalPlan, column: &str) -> Result<LogicalPlan, DataFusionError> {
    Ok(match plan {
        LogicalPlan::Projection(node) => {
            let input = widened(&node.input, column)?;
            let carried = input
                .schema()
                .iter()
                .filter(|(_, field)| field.name() == column)
                .last()
                .map(|(qualifier, field)| Column::new(qualifier.cloned(), field.name()));
            let mut expressions = node.expr.clone();
            if let Some(carried) = carried {
                let carried = Expr::Column(carried);
                if !expressions.contains(&carried) {
                    expressions.push(carried);
                }
            }
            LogicalPlan::Projection(Projection::try_new(expressions, Arc::new(input))?)
        }
        LogicalPlan::Filter(node) => {
            let input = widened(&node.input, column)?;
            LogicalPlan::Filter(Filter::try_new(node.predicate.clone(), Arc::new(input))?)
        }
        LogicalPlan::SubqueryAlias(node) => {
            let input = widened(&node.input, column)?;
            LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), node.alias.clone())?)
        }
        other => other.clone(),
    })
}

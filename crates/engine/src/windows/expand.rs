//! Windows over finished tables: an aggregation by a window marker becomes one by plain columns.
//!
//! A row is grouped by one end of its window, a number, instead of the structure of both, which is
//! made anew above the aggregation: that is several times faster to group by. A row in several
//! windows is repeated for each ([`WindowMarker::Hopping`], [`WindowMarker::Cumulating`]); a session is told by
//! its start, found by looking back along the times of a key ([`WindowMarker::Session`]). Rows without
//! a time are in no window. The rule runs before all others of the optimizer.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{
    Column, DFSchemaRef, NullHandling, Result, ScalarValue, UnnestOptions, plan_err,
};
use datafusion::functions_aggregate::min_max::max_udaf;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, WindowFrame,
    WindowFrameBound, WindowFrameUnits, col, when,
};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::{WindowMarker, marker_of};
use crate::spark::windows::{self as functions, Step};

/// What tells a row's window from the others of its marker.
const KEY: &str = "__window_key";
/// The last time of a row's session.
const LAST: &str = "__window_last";
/// The time before a row's, of the same key.
const PREVIOUS: &str = "__window_previous";

/// The optimizer's rule.
#[derive(Debug)]
pub(crate) struct ExpandWindows;

impl OptimizerRule for ExpandWindows {
    fn name(&self) -> &str {
        "expand_windows"
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Aggregate(aggregate) => expanded(aggregate),
            other => Ok(Transformed::no(other)),
        })
    }
}

/// A marker that an aggregation groups by.
struct Grouped {
    marker: WindowMarker,
    /// The marker's call, as it stands in the plan.
    call: Expr,
    time: Expr,
    /// Whether the call also stands inside another expression, which must be able to read it.
    nested: bool,
}

fn expanded(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let Some(window) = grouped(&aggregate)? else {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    };
    let input = with_key(&aggregate, &window)?;
    let key = match window.marker {
        WindowMarker::Tumbling { length, start } => {
            functions::call(Step::Start, &[length, start], vec![window.time.clone()])
        }
        _ => col(KEY),
    };
    let inside = window_of(&window.marker, &key, &col(LAST));
    let replaced = |expression: &Expr| {
        let replaced = expression.clone().transform(|part| {
            Ok(match part == window.call {
                true => Transformed::yes(inside.clone()),
                false => Transformed::no(part),
            })
        });
        replaced.map(|replaced| replaced.data)
    };
    let is_window = |expression: &Expr| expression.clone().unalias_nested().data == window.call;
    let mut windows_at = Vec::new();
    let mut groups = Vec::with_capacity(aggregate.group_expr.len());
    for (at, group) in aggregate.group_expr.iter().enumerate() {
        if is_window(group) {
            windows_at.push(at);
            groups.push(key.clone().alias(format!("{KEY}{at}")));
        } else {
            groups.push(replaced(group)?);
        }
    }
    let mut aggregates = aggregate
        .aggr_expr
        .iter()
        .map(replaced)
        .collect::<Result<Vec<_>>>()?;
    if matches!(window.marker, WindowMarker::Session { .. }) {
        aggregates.push(max_udaf().call(vec![window.time.clone()]).alias(LAST));
    }
    let grouped = Aggregate::try_new(Arc::new(input), groups, aggregates)?;
    let output = restored(&aggregate.schema, &grouped, &window.marker, &windows_at);
    let plan = LogicalPlanBuilder::new(LogicalPlan::Aggregate(grouped)).project(output)?;
    Ok(Transformed::yes(plan.build()?))
}

/// The marker that an aggregation groups by.
fn grouped(aggregate: &Aggregate) -> Result<Option<Grouped>> {
    let mut found: Vec<Grouped> = Vec::new();
    for group in &aggregate.group_expr {
        let whole = group.clone().unalias_nested().data;
        group.apply(|part| {
            if let (Expr::ScalarFunction(_), Some((marker, time))) = (part, marker_of(part)) {
                let nested = *part != whole;
                match found.iter_mut().find(|known| known.call == *part) {
                    Some(known) => known.nested |= nested,
                    None => found.push(Grouped {
                        marker,
                        call: part.clone(),
                        time,
                        nested,
                    }),
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    // Tumbling windows beside another are plain functions.
    if found.len() > 1 {
        found.retain(|window| !window.marker.is_tumbling());
    }
    let Some(mut window) = found.pop() else {
        return Ok(None);
    };
    if !found.is_empty() {
        return plan_err!("a query groups by one overlapping window, not by several");
    }
    for expression in &aggregate.aggr_expr {
        expression.apply(|part| {
            window.nested |= *part == window.call;
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(Some(window))
}

/// The aggregation's input with the [`KEY`] of each row's window, a row for each of its windows.
fn with_key(aggregate: &Aggregate, window: &Grouped) -> Result<LogicalPlan> {
    let input = LogicalPlanBuilder::from(Arc::clone(&aggregate.input));
    let time = || vec![window.time.clone()];
    let plan = match window.marker {
        WindowMarker::Tumbling { .. } => input.filter(window.time.clone().is_not_null())?,
        WindowMarker::Hopping {
            length,
            slide,
            start,
        } => {
            let starts = functions::call(Step::HoppingStarts, &[length, slide, start], time());
            repeated(input, starts)?
        }
        WindowMarker::Cumulating { max, step } => {
            let ends = functions::call(Step::CumulatingEnds, &[max, step], time());
            repeated(input, ends)?
        }
        WindowMarker::Session { gap } => {
            sessions(input, window, gap, &other_keys(aggregate, &window.call))?
        }
    };
    plan.build()
}

/// The keys that a session belongs to.
fn other_keys(aggregate: &Aggregate, call: &Expr) -> Vec<Expr> {
    let reads_window = |group: &Expr| group.exists(|part| Ok(part == call)).unwrap_or(true);
    aggregate
        .group_expr
        .iter()
        .filter(|group| !reads_window(group))
        .map(|group| group.clone().unalias_nested().data)
        .collect()
}

/// The columns of a plan, with one more.
fn beside(input: LogicalPlanBuilder, more: Expr) -> Result<LogicalPlanBuilder> {
    let columns = input.schema().columns();
    input.project(columns.into_iter().map(Expr::Column).chain([more]))
}

/// A row for each element of `list`, which becomes its key.
fn repeated(input: LogicalPlanBuilder, list: Expr) -> Result<LogicalPlanBuilder> {
    let options = UnnestOptions::default().with_null_handling(NullHandling::Drop);
    beside(input, list.alias(KEY))?.unnest_column_with_options(Column::from_name(KEY), options)
}

/// The start of each row's session: the latest time, up to the row's own, that came more than the
/// gap after the one before it.
fn sessions(
    input: LogicalPlanBuilder,
    window: &Grouped,
    gap: i64,
    keys: &[Expr],
) -> Result<LogicalPlanBuilder> {
    let time = &window.time;
    let unbounded = || WindowFrameBound::Preceding(ScalarValue::UInt64(None));
    let before = WindowFrameBound::Preceding(ScalarValue::UInt64(Some(1)));
    let input = input.filter(time.clone().is_not_null())?;
    let previous = latest(time.clone(), time, keys.to_vec(), unbounded(), before)?;
    let input = input.window([previous.alias(PREVIOUS)])?;
    let late = functions::call(Step::Shift, &[gap], vec![col(PREVIOUS)]);
    let begins = col(PREVIOUS).is_null().or(time.clone().gt(late));
    let begun = when(begins, time.clone()).end()?;
    let current = WindowFrameBound::CurrentRow;
    let start = latest(begun, time, keys.to_vec(), unbounded(), current)?;
    let input = input.window([start.alias(KEY)])?;
    if !window.nested {
        return Ok(input);
    }
    let mut session = keys.to_vec();
    session.push(col(KEY));
    let end = WindowFrameBound::Following(ScalarValue::UInt64(None));
    let last = latest(time.clone(), time, session, unbounded(), end)?;
    input.window([last.alias(LAST)])
}

/// The greatest value among the rows of a key, from one bound to the other along the time.
fn latest(
    value: Expr,
    time: &Expr,
    keys: Vec<Expr>,
    from: WindowFrameBound,
    to: WindowFrameBound,
) -> Result<Expr> {
    Expr::from(WindowFunction::new(max_udaf(), vec![value]))
        .partition_by(keys)
        .order_by(vec![time.clone().sort(true, true)])
        .window_frame(WindowFrame::new_bounds(WindowFrameUnits::Rows, from, to))
        .build()
}

/// The window of a key; `last` is the last time of a session.
fn window_of(marker: &WindowMarker, key: &Expr, last: &Expr) -> Expr {
    let later = |time: &Expr, by: i64| functions::call(Step::Shift, &[by], vec![time.clone()]);
    let (start, end) = match *marker {
        WindowMarker::Tumbling { length, .. } | WindowMarker::Hopping { length, .. } => {
            (key.clone(), later(key, length))
        }
        WindowMarker::Session { gap } => (key.clone(), later(last, gap)),
        WindowMarker::Cumulating { max, .. } => {
            let start = functions::call(Step::Start, &[max, 0], vec![later(key, -1)]);
            (start, key.clone())
        }
    };
    functions::call(Step::Window, &[], vec![start, end])
}

/// The columns that the aggregation had before, off those that it has now.
fn restored(
    before: &DFSchemaRef,
    now: &Aggregate,
    marker: &WindowMarker,
    windows_at: &[usize],
) -> Vec<Expr> {
    let column = |at: usize| Expr::Column(Column::from(now.schema.qualified_field(at)));
    let last = now.schema.fields().len() - 1;
    before
        .iter()
        .enumerate()
        .map(|(at, (relation, field))| {
            let value = match windows_at.contains(&at) {
                true => window_of(marker, &column(at), &column(last)),
                false => column(at),
            };
            let name = Column::new(relation.cloned(), field.name());
            match value {
                Expr::Column(same) if same == name => Expr::Column(same),
                other => other.alias_qualified(name.relation, name.name),
            }
        })
        .collect()
}

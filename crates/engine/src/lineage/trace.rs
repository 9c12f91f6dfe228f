//! The walk over a plan that finds the origins of its columns.

use std::collections::{BTreeSet, HashMap};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Join, LogicalPlan, Unnest};

use super::{ColumnLineage, ColumnOrigins, Influence, InfluenceKind, Origin, OriginKind};
use crate::bindings::Bindings;

type Origins = BTreeSet<Origin>;

/// The lineage of an analysed plan.
pub(crate) fn trace(plan: &LogicalPlan, bindings: &Bindings) -> ColumnLineage {
    let mut walk = Walk {
        bindings,
        influences: BTreeSet::new(),
        recursive: HashMap::new(),
    };
    let columns = walk.plan(plan);
    let fields = plan.schema().fields();
    ColumnLineage {
        columns: fields
            .iter()
            .zip(columns)
            .map(|(field, origins)| ColumnOrigins {
                name: field.name().clone(),
                origins,
            })
            .collect(),
        influences: walk.influences,
    }
}

struct Walk<'b> {
    bindings: &'b Bindings,
    influences: BTreeSet<Influence>,
    /// The columns of the recursive common tables around, by name.
    recursive: HashMap<String, Vec<Origins>>,
}

/// What can be named at a node: its input columns with their origins.
struct Input<'p> {
    schema: &'p DFSchema,
    columns: Vec<Origins>,
}

impl Walk<'_> {
    /// The origins of each column of a plan, in order.
    fn plan(&mut self, plan: &LogicalPlan) -> Vec<Origins> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let binding = scan.table_name.table();
                if let Some(known) = self.recursive.get(binding) {
                    return known.clone();
                }
                let fields = scan.projected_schema.fields();
                let names = fields
                    .iter()
                    .map(|field| self.origin(binding, field.name()));
                names.map(|origin| BTreeSet::from([origin])).collect()
            }
            LogicalPlan::Projection(node) => {
                let input = self.input(&node.input);
                let expressions = node.expr.iter();
                expressions.map(|e| self.expression(e, &input)).collect()
            }
            LogicalPlan::Filter(node) => {
                let input = self.input(&node.input);
                self.influence(&node.predicate, &input, InfluenceKind::Filter);
                input.columns
            }
            LogicalPlan::Window(node) => {
                let input = self.input(&node.input);
                let mut columns = input.columns.clone();
                for expression in &node.window_expr {
                    columns.push(aggregated(self.expression(expression, &input)));
                }
                columns
            }
            LogicalPlan::Aggregate(node) => self.aggregate(node),
            LogicalPlan::Join(node) => self.join(node),
            LogicalPlan::Union(node) => {
                let mut sides = node.inputs.iter().map(|input| self.plan(input));
                let mut columns = sides.next().unwrap_or_default();
                for side in sides {
                    for (column, more) in columns.iter_mut().zip(side) {
                        column.extend(more);
                    }
                }
                columns
            }
            LogicalPlan::Unnest(node) => self.unnest(node),
            LogicalPlan::Distinct(Distinct::On(node)) => {
                let input = self.input(&node.input);
                for expression in &node.on_expr {
                    self.influence(expression, &input, InfluenceKind::Group);
                }
                let selected = node.select_expr.iter();
                selected.map(|e| self.expression(e, &input)).collect()
            }
            LogicalPlan::RecursiveQuery(node) => {
                let mut columns = self.plan(&node.static_term);
                self.recursive.insert(node.name.clone(), columns.clone());
                for (column, more) in columns.iter_mut().zip(self.plan(&node.recursive_term)) {
                    column.extend(more);
                }
                columns
            }
            LogicalPlan::Sort(node) => {
                let input = self.input(&node.input);
                if node.fetch.is_some() {
                    for sort in &node.expr {
                        self.influence(&sort.expr, &input, InfluenceKind::Order);
                    }
                }
                input.columns
            }
            LogicalPlan::Limit(node) => {
                if let LogicalPlan::Sort(sort) = node.input.as_ref() {
                    let input = self.input(&sort.input);
                    for sort in &sort.expr {
                        self.influence(&sort.expr, &input, InfluenceKind::Order);
                    }
                }
                self.plan(&node.input)
            }
            LogicalPlan::Subquery(node) => self.plan(&node.subquery),
            other => self.others(other),
        }
    }

    /// Nodes that pass their one input through, and those without input.
    fn others(&mut self, plan: &LogicalPlan) -> Vec<Origins> {
        let width = plan.schema().fields().len();
        let inputs = plan.inputs();
        match inputs.as_slice() {
            [one] if one.schema().fields().len() == width => self.plan(one),
            [] => vec![Origins::new(); width],
            several => {
                let mut all = Origins::new();
                for input in several {
                    all.extend(self.plan(input).into_iter().flatten());
                }
                vec![computed(all); width]
            }
        }
    }

    fn input<'p>(&mut self, plan: &'p LogicalPlan) -> Input<'p> {
        Input {
            schema: plan.schema(),
            columns: self.plan(plan),
        }
    }

    fn origin(&self, binding: &str, column: &str) -> Origin {
        Origin {
            binding: binding.to_owned(),
            table: self.bindings.display(binding).to_owned(),
            column: column.to_owned(),
            kind: OriginKind::Copied,
        }
    }

    fn aggregate(&mut self, node: &Aggregate) -> Vec<Origins> {
        let input = self.input(&node.input);
        let mut columns = Vec::new();
        for expression in &node.group_expr {
            self.influence(expression, &input, InfluenceKind::Group);
            match expression {
                Expr::GroupingSet(sets) => {
                    let distinct = sets.distinct_expr().into_iter();
                    columns.extend(distinct.map(|e| self.expression(e, &input)));
                }
                plain => columns.push(self.expression(plain, &input)),
            }
        }
        let width = node.schema.fields().len();
        while columns.len() + node.aggr_expr.len() < width {
            columns.push(Origins::new());
        }
        for expression in &node.aggr_expr {
            columns.push(aggregated(self.expression(expression, &input)));
        }
        columns
    }

    fn join(&mut self, node: &Join) -> Vec<Origins> {
        let (left, right) = (self.input(&node.left), self.input(&node.right));
        for (one, other) in &node.on {
            self.influence(one, &left, InfluenceKind::Join);
            self.influence(other, &right, InfluenceKind::Join);
        }
        if let Some(condition) = &node.filter {
            self.influence(condition, &left, InfluenceKind::Join);
            self.influence(condition, &right, InfluenceKind::Join);
        }
        let width = node.schema.fields().len();
        let mut columns = left.columns;
        if columns.len() < width {
            columns.extend(right.columns);
        } else if matches!(
            node.join_type,
            datafusion::common::JoinType::RightSemi | datafusion::common::JoinType::RightAnti
        ) {
            columns = right.columns;
        }
        columns.resize(width, Origins::new());
        columns
    }

    fn unnest(&mut self, node: &Unnest) -> Vec<Origins> {
        let columns = self.plan(&node.input);
        let listed: Vec<usize> = node.list_type_columns.iter().map(|(at, _)| *at).collect();
        node.dependency_indices
            .iter()
            .map(|at| {
                let origins = columns.get(*at).cloned().unwrap_or_default();
                let changed = listed.contains(at) || node.struct_type_columns.contains(at);
                if changed { computed(origins) } else { origins }
            })
            .collect()
    }

    /// The origins of an expression's value.
    fn expression(&mut self, expression: &Expr, input: &Input<'_>) -> Origins {
        match expression {
            Expr::Alias(alias) => self.expression(&alias.expr, input),
            Expr::Column(column) => lookup(column, input),
            other => {
                let mut all = Origins::new();
                let mut subqueries = Vec::new();
                let _ = other.apply(|part| {
                    match part {
                        Expr::Column(column) => all.extend(lookup(column, input)),
                        Expr::ScalarSubquery(subquery) => subqueries.push(subquery.clone()),
                        Expr::InSubquery(subquery) => subqueries.push(subquery.subquery.clone()),
                        Expr::Exists(subquery) => subqueries.push(subquery.subquery.clone()),
                        _ => {}
                    }
                    Ok(TreeNodeRecursion::Continue)
                });
                for subquery in subqueries {
                    let columns = self.plan(&subquery.subquery);
                    all.extend(columns.into_iter().flatten());
                    for outer in &subquery.outer_ref_columns {
                        if let Expr::OuterReferenceColumn(_, column) = outer {
                            self.note(lookup(column, input), InfluenceKind::Filter);
                        }
                    }
                }
                computed(all)
            }
        }
    }

    /// Notes what an expression decides by.
    fn influence(&mut self, expression: &Expr, input: &Input<'_>, kind: InfluenceKind) {
        let origins = self.expression(expression, input);
        self.note(origins, kind);
    }

    fn note(&mut self, origins: Origins, kind: InfluenceKind) {
        let found = origins.into_iter().map(|origin| Influence {
            binding: origin.binding,
            table: origin.table,
            column: origin.column,
            kind,
        });
        self.influences.extend(found);
    }
}

fn lookup(column: &Column, input: &Input<'_>) -> Origins {
    let at = input.schema.maybe_index_of_column(column);
    at.and_then(|at| input.columns.get(at).cloned())
        .unwrap_or_default()
}

fn computed(origins: Origins) -> Origins {
    raised(origins, OriginKind::Computed)
}

fn aggregated(origins: Origins) -> Origins {
    raised(origins, OriginKind::Aggregated)
}

fn raised(origins: Origins, least: OriginKind) -> Origins {
    origins
        .into_iter()
        .map(|origin| Origin {
            kind: origin.kind.max(least),
            ..origin
        })
        .collect()
}

//! From an analysed plan to a tree of operators.
//!
//! The plan is prepared by those rules of DataFusion's optimizer that move filters down, find the keys
//! of joins and drop columns; then each node becomes an operator, or is refused with the reason. On the
//! way up, three things are known of each result: which of its columns are event times, which scans it
//! takes its rows from, and whether its rows replace each other.

mod aggregate;
mod join;
mod marker;
mod prepare;
mod rank;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use datafusion::common::DFSchemaRef;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, TableScan, Union as UnionNode};
use datafusion::physical_expr::PhysicalExpr;
use tidegate_engine::{Engine, Planned};

use crate::error::{Result, StreamError};
use crate::lateness::Rule;
use crate::operator::{Marks, Operator};
use crate::options::{Input, Options, OutputMode};
use crate::paths::{Part, Path, Timed, carried, trace};
use crate::scan::Scan;
use crate::shard::Shard;
use crate::sharded::{Inlet, Sharded};
use crate::spill::Spill;
use crate::stateless::{Stateless, Step};
use crate::union::Union;

/// A compiled plan.
pub(crate) struct Compiled {
    pub(crate) root: Box<dyn Operator>,
    pub(crate) marks: Marks,
    /// The columns that tell the rows of an updated result apart.
    pub(crate) key: Vec<usize>,
    /// Whether rows of the result take the place of others.
    pub(crate) updates: bool,
}

/// An operator, and what is known of its result.
pub(crate) struct Built {
    pub(crate) operator: Box<dyn Operator>,
    pub(crate) schema: DFSchemaRef,
    pub(crate) times: Vec<Timed>,
    /// The scans below that no operator closes windows for yet.
    pub(crate) scans: Vec<usize>,
    /// For rows that replace each other: what tells them apart.
    pub(crate) key: Option<Vec<KeyColumn>>,
    /// What its rows are, as text that stays the same as long as they mean the same.
    pub(crate) meaning: String,
}

/// A column that tells updated rows apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyColumn {
    pub(crate) column: usize,
    /// What it is, as the user would say.
    pub(crate) name: String,
    /// For a window: which of its parts would do in its place.
    pub(crate) parts: Vec<Part>,
}

/// Compiles a plan.
pub(crate) fn compile(
    engine: &Engine,
    planned: &Planned,
    inputs: &[Input],
    options: &Options,
    spill: &Arc<Spill>,
) -> Result<Compiled> {
    let state = engine.session_state();
    let plan = prepare::prepared(&state, planned.logical_plan())?;
    let mut compiler = Compiler {
        state: &state,
        planned,
        inputs,
        options,
        spill,
        marks: Marks::default(),
        rules: Vec::new(),
    };
    let built = compiler.build(&plan, options.output == OutputMode::Update)?;
    for (scan, (cell, rules)) in compiler.rules.into_iter().enumerate() {
        cell.set(rules)
            .map_err(|_| StreamError::bug(format!("scan {scan} has its rules twice")))?;
    }
    let updates = built.key.is_some();
    let key = built.key.unwrap_or_default();
    Ok(Compiled {
        root: built.operator,
        marks: compiler.marks,
        key: key.iter().map(|column| column.column).collect(),
        updates,
    })
}

type Rules = (Arc<OnceLock<Vec<Rule>>>, Vec<Rule>);

/// The state of a compilation.
pub(crate) struct Compiler<'a> {
    pub(crate) state: &'a SessionState,
    pub(crate) planned: &'a Planned,
    pub(crate) inputs: &'a [Input],
    pub(crate) options: &'a Options,
    pub(crate) spill: &'a Arc<Spill>,
    pub(crate) marks: Marks,
    /// By scan: the rules of the operators that close windows for it.
    rules: Vec<Rules>,
}

impl Compiler<'_> {
    /// An operator with state: over its inputs, of shards that are made so. `key` tells the rows of an
    /// updated result apart.
    pub(crate) fn stateful<S: Shard + 'static>(
        &self,
        inlets: Vec<Inlet>,
        key: Option<&[KeyColumn]>,
        make: impl Fn() -> Result<S> + Send + 'static,
    ) -> Result<Box<dyn Operator>> {
        let key = key.map(|key| key.iter().map(|column| column.column).collect());
        let make = move || Ok(Box::new(make()?) as Box<dyn Shard>);
        let made = Sharded::new(inlets, Box::new(make), key, self.spill, self.options)?;
        Ok(Box::new(made))
    }

    /// Builds a node; `top`: only projections and filters are above, so that its rows may replace
    /// each other.
    pub(crate) fn build(&mut self, plan: &LogicalPlan, top: bool) -> Result<Built> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(node) => {
                let input = self.build(&node.input, top)?;
                Ok(Built {
                    schema: Arc::clone(&node.schema),
                    ..input
                })
            }
            LogicalPlan::Projection(node) => {
                let input = self.build(&node.input, top)?;
                self.projection(input, &node.expr, &node.schema)
            }
            LogicalPlan::Filter(node) => {
                if let Some(built) = self.top_rows(node, top)? {
                    return Ok(built);
                }
                let input = self.build(&node.input, top)?;
                self.filter(input, &node.predicate)
            }
            LogicalPlan::Aggregate(node) => self.aggregate(node, top),
            LogicalPlan::Join(node) => self.join(node),
            LogicalPlan::Union(node) => self.union(node),
            LogicalPlan::Distinct(Distinct::All(input)) => self.distinct(input),
            other => Err(refused(other)),
        }
    }

    fn scan(&mut self, scan: &TableScan) -> Result<Built> {
        let binding = scan.table_name.table();
        let Some(input) = self.inputs.iter().find(|input| input.binding == binding) else {
            return Err(StreamError::unsupported(
                format!("`{}` is not read as a stream", self.display(binding)),
                "join it to a stream, or read it as `STREAM`",
            ));
        };
        let source = scan.source.schema();
        let time = match &input.watermark {
            None => None,
            Some(spec) => Some(source.index_of(&spec.time).map_err(|_| {
                StreamError::unsupported(
                    format!(
                        "the watermark's column `{}` is not in `{}`",
                        spec.time,
                        self.display(binding)
                    ),
                    "name one of its columns",
                )
            })?),
        };
        let number = self.rules.len();
        let cell = Arc::new(OnceLock::new());
        self.rules.push((Arc::clone(&cell), Vec::new()));
        let place = |at: usize| match &scan.projection {
            Some(columns) => columns.iter().position(|column| *column == at),
            None => Some(at),
        };
        let times = time.and_then(place).map(|column| Timed {
            path: Path {
                column,
                part: Part::Whole,
            },
            offset: 0,
            sources: vec![(number, 0)],
        });
        let operator = Scan {
            binding: binding.to_owned(),
            time,
            projection: scan.projection.clone(),
            schema: Arc::new(scan.projected_schema.as_arrow().clone()),
            rules: cell,
        };
        let mut built = Built {
            operator: Box::new(operator),
            schema: Arc::clone(&scan.projected_schema),
            times: times.into_iter().collect(),
            scans: vec![number],
            key: None,
            meaning: self.display(binding).to_owned(),
        };
        for filter in &scan.filters {
            built = self.filter(built, filter)?;
        }
        Ok(built)
    }

    fn union(&mut self, node: &UnionNode) -> Result<Built> {
        let inputs = node.inputs.iter().map(|input| self.build(input, false));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        // An event time of the result is one in each of the inputs.
        let mut times: Option<Vec<Timed>> = None;
        for input in &inputs {
            times = Some(match times {
                None => input.times.clone(),
                Some(times) => times
                    .iter()
                    .filter_map(|time| shared(time, input))
                    .collect(),
            });
        }
        let meanings: Vec<&str> = inputs.iter().map(|input| input.meaning.as_str()).collect();
        Ok(Built {
            meaning: format!("all of ({})", meanings.join("), (")),
            scans: inputs
                .iter()
                .flat_map(|input| input.scans.clone())
                .collect(),
            operator: Box::new(Union {
                inputs: inputs.into_iter().map(|input| input.operator).collect(),
                schema: Arc::new(node.schema.as_arrow().clone()),
            }),
            schema: Arc::clone(&node.schema),
            times: times.unwrap_or_default(),
            key: None,
        })
    }

    fn projection(
        &mut self,
        input: Built,
        expressions: &[Expr],
        schema: &DFSchemaRef,
    ) -> Result<Built> {
        let compiled = expressions
            .iter()
            .map(|expression| self.physical(expression, &input.schema))
            .collect::<Result<Vec<_>>>()?;
        let key = match &input.key {
            Some(key) => Some(carried_key(key, expressions, &input.schema)?),
            None => None,
        };
        let keys = key.iter().flatten().map(|column| column.column).collect();
        let step = Step::Compute {
            expressions: compiled,
            schema: Arc::new(schema.as_arrow().clone()),
            keys,
        };
        let times = carried(expressions.iter(), &input.schema, &input.times);
        let computed: Vec<String> = expressions
            .iter()
            .filter(|expression| trace(expression, &input.schema).is_none())
            .map(|expression| self.text(expression))
            .collect();
        let meaning = match computed.is_empty() {
            true => input.meaning.clone(),
            false => format!("{} with {}", input.meaning, computed.join(", ")),
        };
        let mut built = self.stepped(input, step);
        built.schema = Arc::clone(schema);
        built.times = times;
        built.key = key;
        built.meaning = meaning;
        Ok(built)
    }

    pub(crate) fn filter(&mut self, input: Built, predicate: &Expr) -> Result<Built> {
        let condition = self.physical(predicate, &input.schema)?;
        let meaning = format!("{} where {}", input.meaning, self.text(predicate));
        let mut built = self.stepped(input, Step::Keep(condition));
        built.meaning = meaning;
        Ok(built)
    }

    fn stepped(&self, input: Built, step: Step) -> Built {
        Built {
            operator: Box::new(Stateless {
                updating: input.key.is_some(),
                input: input.operator,
                steps: vec![step],
            }),
            ..input
        }
    }

    /// Compiles an expression over the columns of a schema.
    pub(crate) fn physical(
        &self,
        expression: &Expr,
        schema: &DFSchemaRef,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(self
            .state
            .create_physical_expr(expression.clone(), schema)?)
    }

    /// The scans of an event time are to turn rows away that come after their windows have closed.
    pub(crate) fn close_by(&mut self, built: &Built, time: &Timed, rule: impl Fn(i64) -> Rule) {
        for (scan, shift) in &time.sources {
            if built.scans.contains(scan)
                && let Some((_, rules)) = self.rules.get_mut(*scan)
            {
                rules.push(rule(*shift));
            }
        }
    }

    /// An expression as text, with the names of tables as the user knows them.
    pub(crate) fn text(&self, expression: &Expr) -> String {
        let mut text = expression.to_string();
        for (binding, bound) in self.planned.bindings().iter() {
            text = text.replace(&format!("{binding}."), &format!("{}.", bound.display));
        }
        text
    }

    fn display<'d>(&'d self, binding: &'d str) -> &'d str {
        self.planned.bindings().display(binding)
    }
}

/// An event time that is one of another input, too.
fn shared(time: &Timed, other: &Built) -> Option<Timed> {
    let same = other.times.iter().find(|known| known.path == time.path)?;
    let sources = time.sources.iter().chain(&same.sources).copied().collect();
    Some(Timed {
        path: time.path,
        offset: time.offset.min(same.offset),
        sources,
    })
}

/// Where the key columns of an updated result stand after a projection.
fn carried_key(
    key: &[KeyColumn],
    expressions: &[Expr],
    schema: &DFSchemaRef,
) -> Result<Vec<KeyColumn>> {
    let paths: BTreeMap<usize, Path> = expressions
        .iter()
        .enumerate()
        .filter_map(|(at, expression)| {
            let (path, shift) = trace(whole(expression), schema)?;
            (shift == 0).then_some((at, path))
        })
        .collect();
    let find = |wanted: &KeyColumn| {
        let at = |part: Part| {
            let path = Path {
                column: wanted.column,
                part,
            };
            let found = paths.iter().find(|(_, known)| **known == path);
            found.map(|(at, _)| *at)
        };
        let whole = at(Part::Whole).map(|at| (at, wanted.parts.clone()));
        let part = || wanted.parts.iter().find_map(|part| at(*part));
        whole.or_else(|| part().map(|at| (at, Vec::new())))
    };
    key.iter()
        .map(|wanted| match find(wanted) {
            Some((column, parts)) => Ok(KeyColumn {
                column,
                name: wanted.name.clone(),
                parts,
            }),
            None => Err(StreamError::unsupported(
                format!(
                    "updated rows are told apart by `{}`, which the query does not select",
                    wanted.name
                ),
                "add it to the list of columns, or use append output",
            )),
        })
        .collect()
}

/// Without casts between whole numbers, which keep them apart.
fn whole(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => whole(&alias.expr),
        Expr::Cast(cast) if cast.field.data_type().is_integer() => whole(&cast.expr),
        other => other,
    }
}

/// Why a node cannot be streamed.
fn refused(plan: &LogicalPlan) -> StreamError {
    let (reason, help) = match plan {
        LogicalPlan::Sort(_) => (
            "an endless result has no last row, so that it cannot be sorted",
            "leave out ORDER BY, and sort when the table is read",
        ),
        LogicalPlan::Limit(_) => (
            "an endless result has no first rows to be limited to",
            "leave out LIMIT; for the first rows of each key, use `ROW_NUMBER() OVER (PARTITION BY … ORDER BY …) <= n`",
        ),
        LogicalPlan::Window(_) => (
            "a window function needs all rows of its partition, which never are all there",
            "only `ROW_NUMBER() OVER (PARTITION BY … ORDER BY …)`, compared with a constant in WHERE or QUALIFY, can be streamed",
        ),
        LogicalPlan::Unnest(_) => (
            "a generator of rows (`explode`) cannot be streamed yet",
            "put it into a streaming table of its own",
        ),
        LogicalPlan::RecursiveQuery(_) => (
            "a recursive query never ends on a stream",
            "write it over a table",
        ),
        LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => (
            "a query without a stream ends at once",
            "run it as a materialized view",
        ),
        _ => (
            "this part of the query cannot be streamed",
            "put it into a materialized view",
        ),
    };
    StreamError::unsupported(reason, help)
}

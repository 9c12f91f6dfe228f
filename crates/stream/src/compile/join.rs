//! Joins: keys, and how far apart in time the rows of a pair may be.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::row::{RowConverter, SortField};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef, JoinType, NullEquality};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Join as JoinNode, LogicalPlan, Operator};
use datafusion::physical_expr::PhysicalExpr;
use hashbrown::DefaultHashBuilder;

use super::{Built, Compiler};
use crate::error::{Result, StreamError};
use crate::join::lookup::Lookup;
use crate::join::side::{Side, SideKeys};
use crate::join::{Join, JoinParts, JoinSide, Reach, Shape};
use crate::lateness::{Rule, Windows};
use crate::paths::{Part, Path, Timed, is_window, trace};
use crate::sharded::Inlet;

/// Bounds of the right time less the left, by the paths of both.
type Bounds = BTreeMap<(PathKey, PathKey), Bound>;
type PathKey = (usize, u8);

#[derive(Clone, Copy, Debug, Default)]
struct Bound {
    least: Option<i64>,
    most: Option<i64>,
}

/// A bound that was chosen: event times of both sides, and the number.
struct Chosen {
    left: Timed,
    right: Timed,
    by: i64,
}

impl Compiler<'_> {
    /// Whether a plan reads a stream.
    pub(super) fn is_stream(&self, plan: &LogicalPlan) -> Result<bool> {
        let mut found = false;
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                let binding = scan.table_name.table();
                found |= self.inputs.iter().any(|input| input.binding == binding);
            }
            Ok(match found {
                true => TreeNodeRecursion::Stop,
                false => TreeNodeRecursion::Continue,
            })
        })?;
        Ok(found)
    }

    /// A join.
    pub(super) fn join(&mut self, node: &JoinNode) -> Result<Built> {
        if node.null_equality == NullEquality::NullEqualsNull {
            return Err(StreamError::unsupported(
                "a join in which NULL equals NULL cannot be streamed",
                "compare with `=`",
            ));
        }
        match (self.is_stream(&node.left)?, self.is_stream(&node.right)?) {
            (true, true) => self.streams(node),
            (true, false) => self.lookup(node, true),
            _ => self.lookup(node, false),
        }
    }

    fn streams(&mut self, node: &JoinNode) -> Result<Built> {
        check_join(node)?;
        let left = self.build(&node.left, false)?;
        let right = self.build(&node.right, false)?;
        let both: DFSchemaRef = Arc::new(left.schema.join(&right.schema)?);
        let bounds = bounds(node, &both, left.schema.fields().len(), &left, &right);
        let most = chosen(&bounds, &left, &right, |bound| bound.most);
        let least = chosen(&bounds, &left, &right, |bound| {
            bound.least.map(|least| -least)
        });
        let shape = self.shape(node, &both, left.schema.fields().len())?;
        for (side, bound) in [(true, most.is_some()), (false, least.is_some())] {
            if shape.gives_alone(side) && !bound {
                return Err(StreamError::unsupported(
                    "rows without a match can never be told, as nothing says until when a match may come",
                    "bound the time in ON, such as `b.ts BETWEEN a.ts AND a.ts + INTERVAL 1 HOUR`, with a watermark on both streams",
                ));
            }
        }
        let times = join_times(&left, &right, most.as_ref(), least.as_ref(), node.join_type);
        let span = span(most.as_ref(), least.as_ref());
        let meaning = self.join_meaning(node, &left, &right);
        let (one, other): (Vec<Expr>, Vec<Expr>) = node.on.iter().cloned().unzip();
        let converter = self.converter(&one, &left.schema)?;
        let hasher = DefaultHashBuilder::default();
        let left_reach = most
            .as_ref()
            .map(|most| (most.left.clone(), most.by, most.right.offset));
        let right_reach = least
            .as_ref()
            .map(|least| (least.right.clone(), least.by, least.left.offset));
        // A late row would miss what the other side has dropped.
        let left_late = least.as_ref().map(|least| least.left.clone());
        let right_late = most.as_ref().map(|most| most.right.clone());
        let left = self.join_side(left, &one, (&converter, &hasher), left_reach, left_late)?;
        let right = self.join_side(
            right,
            &other,
            (&converter, &hasher),
            right_reach,
            right_late,
        )?;
        let (left, left_inlet) = left;
        let (right, right_inlet) = right;
        let parts = Arc::new(JoinParts {
            left,
            right,
            shape,
            span,
            time_to_live: self.options.time_to_live_micros,
            meaning: meaning.clone(),
        });
        let inlets = vec![left_inlet, right_inlet];
        Ok(Built {
            operator: self.stateful(inlets, None, move || Ok(Join::new(&parts)))?,
            schema: Arc::clone(&node.schema),
            times,
            scans: Vec::new(),
            key: None,
            meaning,
        })
    }

    fn join_meaning(&self, node: &JoinNode, left: &Built, right: &Built) -> String {
        format!(
            "{} of ({}) and ({}) on {}{}",
            node.join_type,
            left.meaning,
            right.meaning,
            node.on
                .iter()
                .map(|(one, other)| format!("{} = {}", self.text(one), self.text(other)))
                .collect::<Vec<_>>()
                .join(" and "),
            node.filter
                .as_ref()
                .map(|filter| format!(" where {}", self.text(filter)))
                .unwrap_or_default(),
        )
    }

    fn join_side(
        &mut self,
        built: Built,
        keys: &[Expr],
        (converter, hasher): (&Arc<RowConverter>, &DefaultHashBuilder),
        reach: Option<(Timed, i64, i64)>,
        late: Option<Timed>,
    ) -> Result<(JoinSide, Inlet)> {
        let slot = self.marks.slot();
        if let Some(late) = &late {
            self.close_by(&built, late, |shift| Rule {
                slot,
                shift,
                windows: Windows::Instants,
            });
        }
        let time = match &reach {
            Some((time, ..)) => Some(self.path(time.path, &built.schema)?),
            None => None,
        };
        let keys = self.side_keys(keys, &built.schema, (converter, hasher), time)?;
        let inlet = Inlet {
            operator: built.operator,
            keys: keys.keys.clone(),
            mark: Some((slot, late.map_or(0, |late| late.offset))),
        };
        let side = JoinSide {
            keys: Arc::new(keys),
            reach: reach.map(|(_, by, offset)| Reach { reach: by, offset }),
        };
        Ok((side, inlet))
    }

    fn side_keys(
        &self,
        keys: &[Expr],
        schema: &DFSchemaRef,
        (converter, hasher): (&Arc<RowConverter>, &DefaultHashBuilder),
        time: Option<Arc<dyn PhysicalExpr>>,
    ) -> Result<SideKeys> {
        let keys = keys.iter().map(|key| self.physical(key, schema));
        Ok(SideKeys {
            keys: keys.collect::<Result<_>>()?,
            converter: Arc::clone(converter),
            time,
            schema: Arc::new(schema.as_arrow().clone()),
            hasher: hasher.clone(),
        })
    }

    fn converter(&self, keys: &[Expr], schema: &DFSchemaRef) -> Result<Arc<RowConverter>> {
        let fields = keys.iter().map(|key| {
            let compiled = self.physical(key, schema)?;
            Ok(SortField::new(compiled.data_type(schema.as_arrow())?))
        });
        let fields = fields.collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(RowConverter::new(fields)?))
    }

    /// A time at a path, compiled.
    fn path(&self, path: Path, schema: &DFSchemaRef) -> Result<Arc<dyn PhysicalExpr>> {
        let column = Expr::Column(schema.columns()[path.column].clone());
        let get = datafusion::functions::core::expr_fn::get_field;
        let expression = match path.part {
            Part::Whole => column,
            Part::Start => get(column, "start"),
            Part::End => get(column, "end"),
        };
        self.physical(&expression, schema)
    }

    fn shape(&self, node: &JoinNode, both: &DFSchemaRef, left: usize) -> Result<Shape> {
        let filter = node.filter.as_ref();
        let filter = filter.map(|filter| self.physical(filter, both));
        let open = |schema: &DFSchemaRef| {
            let schema = Arc::new(schema.as_arrow().clone());
            Arc::new(crate::stateless::nullable(&schema))
        };
        Ok(Shape {
            join: node.join_type,
            both: open(both),
            left,
            filter: filter.transpose()?,
            schema: open(&node.schema),
        })
    }

    /// A join of a stream with a table.
    fn lookup(&mut self, node: &JoinNode, is_left: bool) -> Result<Built> {
        let keeps_table = match node.join_type {
            JoinType::Inner => false,
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => !is_left,
            JoinType::Right => is_left,
            _ => true,
        };
        if keeps_table {
            return Err(StreamError::unsupported(
                "a table's rows without a match can never be told, as the stream never ends",
                "keep only rows of the stream: put it on the side that the outer join keeps",
            ));
        }
        let (stream, table) = match is_left {
            true => (&node.left, &node.right),
            false => (&node.right, &node.left),
        };
        let input = self.build(stream, false)?;
        let table_schema = table.schema();
        let (left, right) = match is_left {
            true => (&input.schema, table_schema),
            false => (table_schema, &input.schema),
        };
        let both: DFSchemaRef = Arc::new(left.join(right)?);
        let shape = self.shape(node, &both, left.fields().len())?;
        let (mut own, mut other): (Vec<Expr>, Vec<Expr>) = node.on.iter().cloned().unzip();
        if !is_left {
            std::mem::swap(&mut own, &mut other);
        }
        let converter = self.converter(&own, &input.schema)?;
        let hasher = DefaultHashBuilder::default();
        let keys = self.side_keys(&own, &input.schema, (&converter, &hasher), None)?;
        let table_keys = self.side_keys(&other, table_schema, (&converter, &hasher), None)?;
        // The stream's columns keep their times, moved to where they stand now.
        let before = match is_left {
            true => 0,
            false => left.fields().len(),
        };
        let times = input.times.iter().map(|time| Timed {
            path: Path {
                column: time.path.column + before,
                ..time.path
            },
            ..time.clone()
        });
        let times = times.collect();
        Ok(Built {
            operator: Box::new(Lookup {
                input: input.operator,
                keys,
                table: Side::new(&Arc::new(table_keys)),
                loaded: false,
                plan: table.as_ref().clone(),
                state: self.state.clone(),
                shape,
                is_left,
            }),
            schema: Arc::clone(&node.schema),
            times,
            scans: input.scans,
            key: None,
            meaning: format!("{} joined to {}", input.meaning, table_names(table, self)),
        })
    }
}

/// Whether a join of two streams can be streamed at all.
fn check_join(node: &JoinNode) -> Result<()> {
    let supported = matches!(
        node.join_type,
        JoinType::Inner
            | JoinType::Left
            | JoinType::Right
            | JoinType::Full
            | JoinType::LeftSemi
            | JoinType::LeftAnti
    );
    if !supported {
        return Err(StreamError::unsupported(
            format!(
                "a {} join of two streams cannot be streamed",
                node.join_type
            ),
            "write it as an INNER or LEFT join",
        ));
    }
    if node.on.is_empty() {
        return Err(StreamError::unsupported(
            "a join of two streams without an equality would compare each row with all others",
            "join by a key, or by the windows of both",
        ));
    }
    Ok(())
}

fn table_names(plan: &LogicalPlan, compiler: &Compiler<'_>) -> String {
    let mut names = Vec::new();
    let walked = plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            names.push(compiler.display(scan.table_name.table()).to_owned());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    match walked {
        Ok(_) => names.join(", "),
        Err(_) => "a table".to_owned(),
    }
}

fn key_of(path: Path) -> PathKey {
    let part = match path.part {
        Part::Whole => 0,
        Part::Start => 1,
        Part::End => 2,
    };
    (path.column, part)
}

/// How far apart the event times of a pair may be.
fn bounds(node: &JoinNode, both: &DFSchema, count: usize, left: &Built, right: &Built) -> Bounds {
    let mut bounds = Bounds::new();
    for (one, other) in &node.on {
        equal(&mut bounds, one, other, left, right);
    }
    for part in node
        .filter
        .iter()
        .flat_map(|filter| split_conjunction(filter))
    {
        match part {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                compared(&mut bounds, left, *op, right, both, count);
            }
            Expr::Between(between) if !between.negated => {
                compared(
                    &mut bounds,
                    &between.expr,
                    Operator::GtEq,
                    &between.low,
                    both,
                    count,
                );
                compared(
                    &mut bounds,
                    &between.expr,
                    Operator::LtEq,
                    &between.high,
                    both,
                    count,
                );
            }
            _ => {}
        }
    }
    bounds
}

/// An equality of keys that are times, or windows.
fn equal(bounds: &mut Bounds, one: &Expr, other: &Expr, left: &Built, right: &Built) {
    let (Some((mut one, by)), Some((mut other, more))) =
        (trace(one, &left.schema), trace(other, &right.schema))
    else {
        return;
    };
    let whole = |path: &Path, built: &Built| {
        path.part == Part::Whole && is_window(built.schema.field(path.column).data_type())
    };
    if whole(&one, left) && whole(&other, right) {
        one.part = Part::End;
        other.part = Part::End;
    }
    let apart = by.saturating_sub(more);
    let bound = bounds.entry((key_of(one), key_of(other))).or_default();
    bound.least = Some(bound.least.map_or(apart, |least| least.max(apart)));
    bound.most = Some(bound.most.map_or(apart, |most| most.min(apart)));
}

/// A comparison of times of both sides.
fn compared(
    bounds: &mut Bounds,
    one: &Expr,
    op: Operator,
    other: &Expr,
    both: &DFSchema,
    count: usize,
) {
    let (Some((one, by)), Some((other, more))) = (trace(one, both), trace(other, both)) else {
        return;
    };
    // As `right op left`, plus numbers.
    let (right, left, op, apart) = match (one.column >= count, other.column >= count) {
        (true, false) => (one, other, op, more.saturating_sub(by)),
        (false, true) => match op.swap() {
            Some(op) => (other, one, op, by.saturating_sub(more)),
            None => return,
        },
        _ => return,
    };
    let right = Path {
        column: right.column - count,
        ..right
    };
    let bound = bounds.entry((key_of(left), key_of(right))).or_default();
    let (least, most) = match op {
        Operator::GtEq => (Some(apart), None),
        Operator::Gt => (Some(apart.saturating_add(1)), None),
        Operator::LtEq => (None, Some(apart)),
        Operator::Lt => (None, Some(apart.saturating_sub(1))),
        Operator::Eq => (Some(apart), Some(apart)),
        _ => (None, None),
    };
    if let Some(least) = least {
        bound.least = Some(bound.least.map_or(least, |known| known.max(least)));
    }
    if let Some(most) = most {
        bound.most = Some(bound.most.map_or(most, |known| known.min(most)));
    }
}

/// The bound that lets go soonest, among those between event times.
fn chosen(
    bounds: &Bounds,
    left: &Built,
    right: &Built,
    of: impl Fn(&Bound) -> Option<i64>,
) -> Option<Chosen> {
    let find = |built: &Built, key: PathKey| {
        let times = built.times.iter();
        times
            .filter(|time| key_of(time.path) == key)
            .max_by_key(|time| time.offset)
            .cloned()
    };
    let found = bounds.iter().filter_map(|((one, other), bound)| {
        Some(Chosen {
            left: find(left, *one)?,
            right: find(right, *other)?,
            by: of(bound)?,
        })
    });
    found.min_by_key(|chosen| chosen.by)
}

/// The bounds of a pair, if both are of the same times.
fn span(most: Option<&Chosen>, least: Option<&Chosen>) -> Option<(i64, i64)> {
    let (most, least) = (most?, least?);
    let same = most.left.path == least.left.path && most.right.path == least.right.path;
    same.then_some((-least.by, most.by))
}

/// The event times of a join's result: a row that was remembered is as old as the other side's watermark lets it
/// be.
fn join_times(
    left: &Built,
    right: &Built,
    most: Option<&Chosen>,
    least: Option<&Chosen>,
    join: JoinType,
) -> Vec<Timed> {
    let held = |time: &Timed, own: &Timed, other: &Timed, by: i64, before: usize| {
        // Of the same column, such as the start of a window whose end is the bound.
        let apart = time.offset.saturating_sub(own.offset);
        let oldest = own.offset.min(other.offset.saturating_sub(by));
        (time.path.column == own.path.column).then(|| Timed {
            path: Path {
                column: time.path.column + before,
                ..time.path
            },
            offset: oldest.saturating_add(apart),
            sources: Vec::new(),
        })
    };
    let count = left.schema.fields().len();
    let lefts = most.iter().flat_map(|most| {
        let held = |time| held(time, &most.left, &most.right, most.by, 0);
        left.times.iter().filter_map(held).collect::<Vec<_>>()
    });
    let rights = least.iter().flat_map(|least| {
        let held = |time| held(time, &least.right, &least.left, least.by, count);
        right.times.iter().filter_map(held).collect::<Vec<_>>()
    });
    match join {
        JoinType::LeftSemi | JoinType::LeftAnti => lefts.collect(),
        _ => lefts.chain(rights).collect(),
    }
}

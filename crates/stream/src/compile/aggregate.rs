//! Aggregates: by window, by session, or running.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::DFSchemaRef;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Aggregate as AggregateNode, Expr};
use datafusion::physical_expr::aggregate::LoweredAggregateBuilder;

use super::marker::{Marker, marker_of};
use super::{Built, Compiler, KeyColumn};
use crate::error::{Result, StreamError};
use crate::groups::{Aggregate, Grouping};
use crate::lateness::{Rule, Windows};
use crate::paths::{Part, Path, Timed, time_of};
use crate::running::{RunningAggregate, RunningParts};
use crate::session::{SessionAggregate, SessionParts};
use crate::sharded::Inlet;
use crate::slices::Slices;
use crate::window::{Layout, LayoutColumn, WindowAggregate, WindowParts};

/// What an aggregation groups by.
struct GroupedBy {
    /// The window, and the expression of its time.
    marker: Option<(Marker, Expr)>,
    /// For each group expression: the part of the window that it is; `None` for a key.
    parts: Vec<Option<Part>>,
}

impl Compiler<'_> {
    /// An aggregation.
    pub(super) fn aggregate(&mut self, node: &AggregateNode, top: bool) -> Result<Built> {
        let input = self.build(&node.input, false)?;
        if input.key.is_some() {
            return Err(StreamError::bug("an updated result below an aggregate"));
        }
        let grouped = grouped_by(&node.group_expr)?;
        let (grouping, layout) = self.grouping(node, &grouped, &input.schema)?;
        let keys: Vec<String> = node.group_expr.iter().map(|e| self.text(e)).collect();
        let meaning = format!("by {} of {}", keys.join(", "), input.meaning);
        let found = match &grouped.marker {
            Some((marker, time)) => Some((*marker, time.clone(), None)),
            None => self.time_key(node, &input),
        };
        match found {
            Some((marker, time, at)) => {
                let event = self.event_time(&time, &input, top)?;
                let windowed = Windowed {
                    marker,
                    time,
                    event,
                    at,
                };
                self.windowed(
                    input,
                    windowed,
                    grouping,
                    layout,
                    meaning,
                    (node, &grouped, top),
                )
            }
            None => self.running(input, grouping, layout, meaning, node, top),
        }
    }

    /// A key that is an event time itself, such as the window of a query below.
    fn time_key(
        &self,
        node: &AggregateNode,
        input: &Built,
    ) -> Option<(Marker, Expr, Option<usize>)> {
        let timed = |(at, key): (usize, &Expr)| {
            let time = time_of(key, &input.schema, &input.times);
            let (time, key) = match time {
                Some(time) => (time, key.clone()),
                None => self.window_end(key, input)?,
            };
            let offset = time.offset;
            let slices = Slices::Values { offset: 0 };
            Some((offset, (Marker::Slices(slices), key, Some(at))))
        };
        let found = node.group_expr.iter().enumerate().filter_map(timed);
        found
            .max_by_key(|(offset, _)| *offset)
            .map(|(_, found)| found)
    }

    /// For a key that is a whole window: its end, as an expression.
    pub(super) fn window_end(&self, key: &Expr, input: &Built) -> Option<(Timed, Expr)> {
        let (path, _) = crate::paths::trace(key, &input.schema)?;
        let column = input.schema.field(path.column);
        if path.part != Part::Whole || !crate::paths::is_window(column.data_type()) {
            return None;
        }
        let end = datafusion::functions::core::expr_fn::get_field(key.clone(), "end");
        let time = time_of(&end, &input.schema, &input.times)?;
        Some((time, end))
    }

    /// The event time of a window; refused if there is none and results are to be final.
    fn event_time(&self, time: &Expr, input: &Built, top: bool) -> Result<Timed> {
        if let Some(event) = time_of(time, &input.schema, &input.times) {
            return Ok(event);
        }
        let updating = top && self.options.output == crate::OutputMode::Update;
        if !updating {
            return Err(StreamError::unsupported(
                format!(
                    "a window over `{}` never closes, as it has no watermark",
                    self.text(time)
                ),
                "say `WATERMARK <column> DELAY OF INTERVAL …` after the stream, with the column of the window",
            ));
        }
        Err(StreamError::unsupported(
            format!(
                "the windows over `{}` would be kept for good, as it has no watermark",
                self.text(time)
            ),
            "say `WATERMARK <column> DELAY OF INTERVAL …` after the stream, with the column of the window",
        ))
    }

    fn windowed(
        &mut self,
        input: Built,
        windowed: Windowed,
        grouping: Grouping,
        layout: Layout,
        meaning: String,
        (node, grouped, top): (&AggregateNode, &GroupedBy, bool),
    ) -> Result<Built> {
        let updating = top && self.options.output == crate::OutputMode::Update;
        let slot = self.marks.slot();
        let slices = match windowed.marker {
            Marker::Slices(slices) => slices,
            Marker::Session { gap } => {
                let place = (node, grouped, slot, updating);
                return self.session(input, windowed, (grouping, layout), meaning, place, gap);
            }
        };
        let offset = windowed.event.offset;
        self.close_by(&input, &windowed.event, |shift| Rule {
            slot,
            shift,
            windows: Windows::Slices(slices),
        });
        let time = self.physical(&windowed.time, &input.schema)?;
        let key = updating.then(|| self.key_columns(node, grouped, ends_of(slices)));
        let times = self.window_times(grouped, &windowed, slices, &input, node);
        let kind = match windowed.at {
            Some(_) => "values".to_owned(),
            None => format!("{slices:?}"),
        };
        let inlet = Inlet {
            operator: input.operator,
            keys: grouping.keys.clone(),
            mark: Some((slot, offset)),
        };
        let parts = Arc::new(WindowParts {
            grouping: Arc::new(grouping),
            layout,
            slices,
            time,
            offset,
            meaning: format!("{kind} over {} {meaning}", self.text(&windowed.time)),
            updating,
            memory_bytes: self.options.memory_bytes,
        });
        let spill = Arc::clone(self.spill);
        let meaning = parts.meaning.clone();
        let make = move || Ok(WindowAggregate::new(&parts, &spill));
        Ok(Built {
            meaning,
            operator: self.stateful(vec![inlet], key.as_deref(), make)?,
            schema: Arc::clone(&node.schema),
            times,
            scans: Vec::new(),
            key,
        })
    }

    /// The event times of a window aggregate's result.
    fn window_times(
        &self,
        grouped: &GroupedBy,
        windowed: &Windowed,
        slices: Slices,
        input: &Built,
        node: &AggregateNode,
    ) -> Vec<Timed> {
        let offset = windowed.event.offset;
        let longest = match slices {
            Slices::Tumbling { length, .. } | Slices::Hopping { length, .. } => length,
            Slices::Cumulating { max, .. } => max,
            Slices::Values { .. } => {
                // Keys keep the bounds that they had below.
                return crate::paths::carried(node.group_expr.iter(), &input.schema, &input.times)
                    .into_iter()
                    .map(|time| Timed {
                        sources: Vec::new(),
                        ..time
                    })
                    .collect();
            }
        };
        let timed = |column: usize, part: Part, end: bool| Timed {
            path: Path { column, part },
            offset: offset
                .saturating_add(1)
                .saturating_sub(if end { 0 } else { longest }),
            sources: Vec::new(),
        };
        let parts = grouped.parts.iter().enumerate();
        parts
            .flat_map(|(at, part)| match part {
                Some(Part::Whole) => {
                    vec![timed(at, Part::Start, false), timed(at, Part::End, true)]
                }
                Some(Part::Start) => vec![timed(at, Part::Whole, false)],
                Some(Part::End) => vec![timed(at, Part::Whole, true)],
                None => Vec::new(),
            })
            .collect()
    }

    /// An aggregate by session.
    fn session(
        &mut self,
        input: Built,
        windowed: Windowed,
        (grouping, layout): (Grouping, Layout),
        meaning: String,
        place: (&AggregateNode, &GroupedBy, usize, bool),
        gap: i64,
    ) -> Result<Built> {
        let (node, grouped, slot, updating) = place;
        self.close_by(&input, &windowed.event, |shift| Rule {
            slot,
            shift,
            windows: Windows::Session { gap },
        });
        let either = vec![Part::Start, Part::End];
        let key = updating.then(|| self.key_columns(node, grouped, either));
        // A session to come ends after the watermark; when it began, nobody knows.
        let ends = grouped
            .parts
            .iter()
            .enumerate()
            .filter_map(|(column, part)| {
                let part = match part {
                    Some(Part::Whole) => Part::End,
                    Some(Part::End) => Part::Whole,
                    _ => return None,
                };
                Some(Timed {
                    path: Path { column, part },
                    offset: windowed.event.offset,
                    sources: Vec::new(),
                })
            });
        let inlet = Inlet {
            operator: input.operator,
            keys: grouping.keys.clone(),
            mark: Some((slot, windowed.event.offset)),
        };
        let parts = Arc::new(SessionParts {
            time: self.physical(&windowed.time, &input.schema)?,
            grouping: Arc::new(grouping),
            layout,
            gap,
            offset: windowed.event.offset,
            meaning: format!("gap {gap} over {} {meaning}", self.text(&windowed.time)),
            updating,
        });
        let meaning = parts.meaning.clone();
        let make = move || SessionAggregate::new(&parts);
        Ok(Built {
            meaning,
            operator: self.stateful(vec![inlet], key.as_deref(), make)?,
            schema: Arc::clone(&node.schema),
            times: ends.collect(),
            scans: Vec::new(),
            key,
        })
    }

    /// The columns that tell the rows of an updated aggregate apart; `either`: the parts of a window
    /// that would do.
    fn key_columns(
        &self,
        node: &AggregateNode,
        grouped: &GroupedBy,
        either: Vec<Part>,
    ) -> Vec<KeyColumn> {
        let enough = |part: &Option<Part>| match part {
            Some(Part::Whole) => either.clone(),
            _ => Vec::new(),
        };
        let groups = node.group_expr.iter().zip(&grouped.parts).enumerate();
        groups
            .map(|(column, (expression, part))| KeyColumn {
                column,
                name: self.text(expression),
                parts: enough(part),
            })
            .collect()
    }

    fn running(
        &mut self,
        input: Built,
        grouping: Grouping,
        layout: Layout,
        meaning: String,
        node: &AggregateNode,
        top: bool,
    ) -> Result<Built> {
        if self.options.output == crate::OutputMode::Append {
            return Err(StreamError::unsupported(
                "an aggregate without a window is never final, so that its rows cannot be appended",
                "group by `window(time, '…')`, or use update output",
            ));
        }
        if !top {
            return Err(StreamError::unsupported(
                "an aggregate without a window changes its rows again and again, which nothing above it can follow",
                "group by `window(time, '…')`, or give it a table of its own",
            ));
        }
        let grouped = GroupedBy {
            marker: None,
            parts: vec![None; node.group_expr.len()],
        };
        let key = self.key_columns(node, &grouped, Vec::new());
        let inlet = Inlet {
            operator: input.operator,
            keys: grouping.keys.clone(),
            mark: None,
        };
        let parts = Arc::new(RunningParts {
            grouping: Arc::new(grouping),
            layout,
            meaning: meaning.clone(),
            time_to_live: self.options.time_to_live_micros,
        });
        let operator = self.stateful(vec![inlet], Some(&key), move || {
            RunningAggregate::new(&parts)
        })?;
        Ok(Built {
            operator,
            schema: Arc::clone(&node.schema),
            times: Vec::new(),
            scans: Vec::new(),
            key: Some(key),
            meaning,
        })
    }

    /// Compiles keys and aggregates.
    fn grouping(
        &self,
        node: &AggregateNode,
        grouped: &GroupedBy,
        schema: &DFSchemaRef,
    ) -> Result<(Grouping, Layout)> {
        let mut columns = Vec::new();
        let mut keys = Vec::new();
        let mut key_fields: Vec<FieldRef> = Vec::new();
        for (at, (expression, part)) in node.group_expr.iter().zip(&grouped.parts).enumerate() {
            columns.push(match part {
                Some(part) => LayoutColumn::Window(*part),
                None => {
                    keys.push(self.physical(expression, schema)?);
                    let field = node.schema.field(at).as_ref().clone();
                    let field = field.with_name(format!("key{}", keys.len()));
                    key_fields.push(Arc::new(field.with_nullable(true)));
                    LayoutColumn::Key(keys.len() - 1)
                }
            });
        }
        let context = PhysicalPlanningContext::default();
        let physical = schema.as_arrow();
        let mut aggregates = Vec::new();
        for expression in &node.aggr_expr {
            let properties = self.state.execution_props();
            let lowered =
                LoweredAggregateBuilder::new(expression, schema, physical, properties, &context)
                    .build()?;
            let mut arguments = lowered.aggregate.expressions();
            arguments.extend(lowered.order_bys.iter().map(|by| Arc::clone(&by.expr)));
            columns.push(LayoutColumn::Value(aggregates.len()));
            aggregates.push(Aggregate {
                meaning: self.text(&expression.clone().unalias_nested().data),
                function: lowered.aggregate,
                filter: lowered.filter,
                arguments,
            });
        }
        let grouping = Grouping {
            keys,
            key_schema: Arc::new(Schema::new(key_fields.clone())),
            key_fields,
            aggregates,
        };
        let layout = Layout {
            schema: Arc::new(node.schema.as_arrow().clone()),
            columns,
        };
        Ok((grouping, layout))
    }
}

/// How an aggregation is windowed.
struct Windowed {
    marker: Marker,
    /// The expression of the event time.
    time: Expr,
    event: Timed,
    /// The key that is the event time itself.
    at: Option<usize>,
}

/// The parts of a window that tell it from others.
fn ends_of(slices: Slices) -> Vec<Part> {
    match slices {
        Slices::Cumulating { .. } => vec![Part::End],
        _ => vec![Part::Start, Part::End],
    }
}

/// Which of the keys are a window.
fn grouped_by(groups: &[Expr]) -> Result<GroupedBy> {
    let mut marker: Option<(Marker, Expr)> = None;
    let mut parts = Vec::with_capacity(groups.len());
    for group in groups {
        if matches!(group, Expr::GroupingSet(_)) {
            return Err(StreamError::unsupported(
                "ROLLUP, CUBE and GROUPING SETS cannot be streamed",
                "write one query for each set of keys",
            ));
        }
        let Some((part, found, time)) = window_part(group)? else {
            parts.push(None);
            continue;
        };
        match &marker {
            Some(known) if *known != (found, time.clone()) => {
                return Err(StreamError::unsupported(
                    "a query groups by one window, not by several",
                    "write one query for each window",
                ));
            }
            _ => marker = Some((found, time)),
        }
        parts.push(Some(part));
    }
    Ok(GroupedBy { marker, parts })
}

/// The part of a window that an expression is.
fn window_part(expression: &Expr) -> Result<Option<(Part, Marker, Expr)>> {
    if let Some((marker, time)) = marker_of(expression) {
        return Ok(Some((Part::Whole, marker, time)));
    }
    let call = match expression {
        Expr::Alias(alias) => return window_part(&alias.expr),
        Expr::ScalarFunction(call) if call.func.name() == "get_field" => call,
        _ => return Ok(None),
    };
    let [of, Expr::Literal(field, _)] = call.args.as_slice() else {
        return Ok(None);
    };
    let part = match field.try_as_str() {
        Some(Some("start")) => Part::Start,
        Some(Some("end")) => Part::End,
        _ => return Ok(None),
    };
    Ok(marker_of(of).map(|(marker, time)| (part, marker, time)))
}

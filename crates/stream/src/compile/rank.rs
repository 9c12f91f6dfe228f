//! Rankings: `ROW_NUMBER() … <= n`, and DISTINCT.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::row::SortField;
use datafusion::common::{DFSchemaRef, ScalarValue};
use datafusion::logical_expr::expr::{Sort, WindowFunctionDefinition};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator, Window};
use datafusion::physical_expr::PhysicalExpr;

use super::{Built, Compiler, KeyColumn};
use crate::OutputMode;
use crate::error::{Result, StreamError};
use crate::lateness::{Rule, Windows};
use crate::paths::{Timed, carried, time_of, trace};
use crate::rank::{Rank, RankParts, When};
use crate::sharded::Inlet;

type Compiled = Arc<dyn PhysicalExpr>;

impl Compiler<'_> {
    /// A filter over `ROW_NUMBER()`; `None` for other filters.
    pub(super) fn top_rows(&mut self, filter: &Filter, top: bool) -> Result<Option<Built>> {
        let LogicalPlan::Window(window) = filter.input.as_ref() else {
            return Ok(None);
        };
        let [Expr::WindowFunction(function)] = window.window_expr.as_slice() else {
            return Ok(None);
        };
        let number = window.schema.fields().len() - 1;
        let is_number = match &function.fun {
            WindowFunctionDefinition::WindowUDF(function) => function.name() == "row_number",
            WindowFunctionDefinition::AggregateUDF(_) => false,
        };
        let mut limit: Option<usize> = None;
        let mut rest = Vec::new();
        for part in split_conjunction(&filter.predicate) {
            match limit_of(part, &window.schema, number) {
                Some(most) => limit = Some(limit.map_or(most, |limit| limit.min(most))),
                None => rest.push(part.clone()),
            }
        }
        let (true, Some(limit)) = (is_number, limit) else {
            return Ok(None);
        };
        let params = &function.params;
        let built = self.ranked(window, &params.partition_by, &params.order_by, limit, top)?;
        Ok(Some(match conjunction(rest) {
            Some(rest) => self.filter(built, &rest)?,
            None => built,
        }))
    }

    fn ranked(
        &mut self,
        window: &Window,
        partition: &[Expr],
        order: &[Sort],
        limit: usize,
        top: bool,
    ) -> Result<Built> {
        let input = self.build(&window.input, false)?;
        let updating = top && self.options.output == OutputMode::Update;
        let (when, time) = self.when(&input, partition, order, updating)?;
        let number = window.schema.fields().len() - 1;
        let key = updating
            .then(|| ranked_key(&input, partition, limit, number))
            .transpose()?;
        let schema = Arc::clone(&window.schema);
        let texts: Vec<String> = partition.iter().map(|key| self.text(key)).collect();
        let orders: Vec<String> = order.iter().map(|sort| sort.to_string()).collect();
        let meaning = format!(
            "first {limit} by {} in the order {} of {}, {}",
            texts.join(", "),
            orders.join(", "),
            input.meaning,
            if updating { "updated" } else { "appended" },
        );
        self.ranking(
            input,
            (partition, order),
            (limit, when, time),
            schema,
            key,
            meaning,
        )
    }

    /// When the rows of a ranking come out, and by which time.
    fn when(
        &self,
        input: &Built,
        partition: &[Expr],
        order: &[Sort],
        updating: bool,
    ) -> Result<(When, Option<(Expr, Timed)>)> {
        let time = |key: &Expr| {
            let found = time_of(key, &input.schema, &input.times);
            match found {
                Some(time) => Some((key.clone(), time)),
                None => self.window_end(key, input).map(|(time, end)| (end, time)),
            }
        };
        if updating {
            return Ok((When::Changed, None));
        }
        let closes = partition.iter().filter_map(time);
        if let Some(time) = closes.max_by_key(|(_, time)| time.offset) {
            return Ok((When::Closed, Some(time)));
        }
        if let [first] = order
            && first.asc
            && let Some(time) = time_of(&first.expr, &input.schema, &input.times)
        {
            return Ok((When::Settled, Some((first.expr.clone(), time))));
        }
        Err(StreamError::unsupported(
            "the first rows of a key are never final, unless they are ordered by event time or ranked in a window",
            "use update output, order by the watermark's column, or partition by a window",
        ))
    }

    fn ranking(
        &mut self,
        input: Built,
        (partition, order): (&[Expr], &[Sort]),
        (limit, when, time): (usize, When, Option<(Expr, Timed)>),
        schema: DFSchemaRef,
        key: Option<Vec<KeyColumn>>,
        meaning: String,
    ) -> Result<Built> {
        let slot = self.marks.slot();
        if let Some((_, event)) = &time {
            self.close_by(&input, event, |shift| Rule {
                slot,
                shift,
                windows: Windows::Instants,
            });
        }
        let (keys, key_schema) = self.keys_of(&input, partition)?;
        let (orders, order_fields) = self.orders_of(&input, order)?;
        let physical_time = match &time {
            Some((expression, event)) => {
                Some((self.physical(expression, &input.schema)?, event.offset))
            }
            None => None,
        };
        let columns: Vec<Expr> = input
            .schema
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        let without_sources = |time: Timed| Timed {
            // Rows that waited come out when others of their time would be late.
            offset: time.offset,
            sources: Vec::new(),
            ..time
        };
        let times = match when {
            When::Changed => Vec::new(),
            When::First => carried(columns.iter(), &input.schema, &input.times),
            // What was held back is as old as the watermark that was passed, not older.
            When::Settled | When::Closed => {
                let held = time
                    .iter()
                    .filter_map(|(expression, _)| trace(expression, &input.schema));
                let held: Vec<_> = held.map(|(path, _)| path).collect();
                carried(columns.iter(), &input.schema, &input.times)
                    .into_iter()
                    .filter(|time| held.contains(&time.path))
                    .map(without_sources)
                    .collect()
            }
        };
        let offset = time.as_ref().map(|(_, event)| event.offset);
        let inlet = Inlet {
            operator: input.operator,
            keys: keys.clone(),
            mark: offset.map(|offset| (slot, offset)),
        };
        let parts = Arc::new(RankParts {
            input_schema: Arc::new(input.schema.as_arrow().clone()),
            keys,
            key_schema,
            order: orders,
            order_fields,
            limit,
            when,
            time: physical_time,
            schema: Arc::new(schema.as_arrow().clone()),
            meaning: meaning.clone(),
            time_to_live: self.options.time_to_live_micros,
        });
        Ok(Built {
            operator: self.stateful(vec![inlet], key.as_deref(), move || Rank::new(&parts))?,
            schema,
            times,
            scans: match when {
                When::First => input.scans,
                _ => Vec::new(),
            },
            key,
            meaning,
        })
    }

    /// The keys of a ranking, compiled, and their columns.
    fn keys_of(&self, input: &Built, partition: &[Expr]) -> Result<(Vec<Compiled>, SchemaRef)> {
        let mut key_fields = Vec::new();
        let mut keys = Vec::new();
        for (at, expression) in partition.iter().enumerate() {
            let compiled = self.physical(expression, &input.schema)?;
            let data_type = compiled.data_type(input.schema.as_arrow())?;
            key_fields.push(Field::new(format!("key{at}"), data_type, true));
            keys.push(compiled);
        }
        Ok((keys, Arc::new(Schema::new(key_fields))))
    }

    /// What rows are ordered by, compiled, and how.
    fn orders_of(&self, input: &Built, order: &[Sort]) -> Result<(Vec<Compiled>, Vec<SortField>)> {
        let mut orders = Vec::new();
        let mut order_fields = Vec::new();
        for sort in order {
            let compiled = self.physical(&sort.expr, &input.schema)?;
            let data_type = compiled.data_type(input.schema.as_arrow())?;
            let options = arrow::compute::SortOptions::new(!sort.asc, sort.nulls_first);
            order_fields.push(SortField::new_with_options(data_type, options));
            orders.push(compiled);
        }
        Ok((orders, order_fields))
    }

    /// DISTINCT: each row once. Rows that hold an event time are forgotten once it has passed.
    pub(super) fn distinct(&mut self, input: &LogicalPlan) -> Result<Built> {
        let input = self.build(input, false)?;
        let columns: Vec<Expr> = input
            .schema
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        let time = |key: &Expr| {
            let found = time_of(key, &input.schema, &input.times);
            match found {
                Some(time) => Some((key.clone(), time)),
                None => self.window_end(key, &input).map(|(time, end)| (end, time)),
            }
        };
        let time = columns
            .iter()
            .filter_map(time)
            .max_by_key(|(_, time)| time.offset);
        let names: Vec<&str> = columns
            .iter()
            .filter_map(|column| column.try_as_col().map(|column| column.name.as_str()))
            .collect();
        let meaning = format!("distinct {} of {}", names.join(", "), input.meaning);
        let schema = Arc::clone(&input.schema);
        self.ranking(
            input,
            (&columns, &[]),
            (1, When::First, time),
            schema,
            None,
            meaning,
        )
    }
}

/// What tells the rows of an updated ranking apart.
fn ranked_key(
    input: &Built,
    partition: &[Expr],
    limit: usize,
    number: usize,
) -> Result<Vec<KeyColumn>> {
    let mut key = Vec::new();
    for expression in partition {
        let Some(column) = expression
            .clone()
            .unalias_nested()
            .data
            .try_as_col()
            .cloned()
        else {
            return Err(StreamError::unsupported(
                format!("updated rows are told apart by `{expression}`, which is no column"),
                "compute it in a query below, and partition by the column",
            ));
        };
        key.push(KeyColumn {
            column: input.schema.index_of_column(&column)?,
            name: column.name,
            parts: Vec::new(),
        });
    }
    if limit > 1 {
        key.push(KeyColumn {
            column: number,
            name: "row_number()".to_owned(),
            parts: Vec::new(),
        });
    }
    Ok(key)
}

/// `n` if a condition is that the row's number is at most `n`.
fn limit_of(condition: &Expr, schema: &DFSchemaRef, number: usize) -> Option<usize> {
    let is_number = |expression: &Expr| row_number(expression, schema) == Some(number);
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (op, value) = match (is_number(left), is_number(right)) {
                (true, false) => (*op, integer(right)?),
                (false, true) => (op.swap()?, integer(left)?),
                _ => return None,
            };
            match (op, value) {
                (Operator::LtEq, n) | (Operator::Eq, n @ 1) => usize::try_from(n).ok(),
                (Operator::Lt, n) => usize::try_from(n - 1).ok(),
                _ => None,
            }
        }
        Expr::Between(between) if !between.negated && is_number(&between.expr) => {
            let low = integer(&between.low)?;
            let high = integer(&between.high)?;
            (low <= 1).then(|| usize::try_from(high).ok())?
        }
        _ => None,
    }
}

/// The column of an expression that is a column or a cast of one.
fn row_number(expression: &Expr, schema: &DFSchemaRef) -> Option<usize> {
    match expression {
        Expr::Cast(cast) => row_number(&cast.expr, schema),
        Expr::Alias(alias) => row_number(&alias.expr, schema),
        Expr::Column(column) => schema.index_of_column(column).ok(),
        _ => None,
    }
}

fn integer(expression: &Expr) -> Option<i64> {
    match expression {
        Expr::Literal(value, _) => match value.cast_to(&arrow::datatypes::DataType::Int64).ok()? {
            ScalarValue::Int64(value) => value,
            _ => None,
        },
        Expr::Cast(cast) => integer(&cast.expr),
        _ => None,
    }
}

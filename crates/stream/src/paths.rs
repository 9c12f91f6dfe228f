//! Which columns are event times.
//!
//! An event time of an operator's result is a column, or an end of a window in a column, whose values to come
//! are bounded by the watermark. Expressions are followed as long as they only move a time by a constant.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// Where a time stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    pub(crate) column: usize,
    pub(crate) part: Part,
}

/// Which part of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Whole,
    /// `start` of a window.
    Start,
    /// `end` of a window.
    End,
}

/// An event time of an operator's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timed {
    pub(crate) path: Path,
    /// Values to come are not before the watermark plus this, in microseconds.
    pub(crate) offset: i64,
    /// The scans whose event time this is, and by how much it was moved since.
    pub(crate) sources: Vec<(usize, i64)>,
}

/// Where an expression's value comes from, and by how many microseconds it was moved.
pub(crate) fn trace(expression: &Expr, schema: &DFSchema) -> Option<(Path, i64)> {
    match expression {
        Expr::Alias(alias) => trace(&alias.expr, schema),
        Expr::Column(column) => {
            let column = schema.index_of_column(column).ok()?;
            Some((
                Path {
                    column,
                    part: Part::Whole,
                },
                0,
            ))
        }
        Expr::Cast(cast) => {
            let (path, shift) = trace(&cast.expr, schema)?;
            let from = type_at(path, schema)?;
            let same = is_time(&from) && is_time(cast.field.data_type());
            same.then_some((path, shift))
        }
        Expr::ScalarFunction(call) => function(call.func.name(), &call.args, schema),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (moved, by, sign) = match op {
                Operator::Plus => match micros(right) {
                    Some(by) => (left, by, 1),
                    None => (right, micros(left)?, 1),
                },
                Operator::Minus => (left, micros(right)?, -1),
                _ => return None,
            };
            let (path, shift) = trace(moved, schema)?;
            Some((path, shift.checked_add(by.checked_mul(sign)?)?))
        }
        _ => None,
    }
}

fn function(name: &str, arguments: &[Expr], schema: &DFSchema) -> Option<(Path, i64)> {
    match (name, arguments) {
        ("get_field", [of, Expr::Literal(field, _)]) => {
            let (path, shift) = trace(of, schema)?;
            let part = match field.try_as_str()?? {
                "start" => Part::Start,
                "end" => Part::End,
                _ => return None,
            };
            let whole = path.part == Part::Whole && is_window(&column_type(path, schema)?);
            whole.then_some((Path { part, ..path }, shift))
        }
        // The last moment of a window.
        ("window_time", [of]) => {
            let (path, shift) = trace(of, schema)?;
            let whole = path.part == Part::Whole && is_window(&column_type(path, schema)?);
            let part = Part::End;
            whole.then_some((Path { part, ..path }, shift - 1))
        }
        _ => None,
    }
}

/// A constant length of time, in microseconds.
fn micros(expression: &Expr) -> Option<i64> {
    match expression {
        Expr::Alias(alias) => micros(&alias.expr),
        Expr::Cast(cast) => micros(&cast.expr),
        Expr::Literal(value, _) => match value {
            ScalarValue::IntervalDayTime(Some(value)) => i64::from(value.days)
                .checked_mul(86_400_000_000)?
                .checked_add(i64::from(value.milliseconds) * 1_000),
            ScalarValue::IntervalMonthDayNano(Some(value)) => {
                let plain = value.months == 0 && value.nanoseconds % 1_000 == 0;
                let days = i64::from(value.days).checked_mul(86_400_000_000)?;
                plain.then(|| days.checked_add(value.nanoseconds / 1_000))?
            }
            ScalarValue::DurationMicrosecond(value) => *value,
            _ => None,
        },
        _ => None,
    }
}

fn column_type(path: Path, schema: &DFSchema) -> Option<DataType> {
    let field = schema.fields().get(path.column)?;
    Some(field.data_type().clone())
}

fn type_at(path: Path, schema: &DFSchema) -> Option<DataType> {
    let whole = column_type(path, schema)?;
    match (path.part, &whole) {
        (Part::Whole, _) => Some(whole),
        (_, DataType::Struct(fields)) => {
            let name = match path.part {
                Part::Start => "start",
                _ => "end",
            };
            let (_, field) = fields.find(name)?;
            Some(field.data_type().clone())
        }
        _ => None,
    }
}

/// A time in microseconds.
pub(crate) fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, _))
}

/// A window: its start and end.
pub(crate) fn is_window(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(fields) => {
            let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
            names == ["start", "end"] && fields.iter().all(|field| is_time(field.data_type()))
        }
        _ => false,
    }
}

/// The event times of a list of expressions over columns with these event times.
pub(crate) fn carried<'e>(
    expressions: impl Iterator<Item = &'e Expr>,
    schema: &Arc<DFSchema>,
    times: &[Timed],
) -> Vec<Timed> {
    let mut carried = Vec::new();
    for (column, expression) in expressions.enumerate() {
        let Some((path, shift)) = trace(expression, schema) else {
            continue;
        };
        for time in times {
            let part = match (path.part, time.path.part) {
                _ if path.column != time.path.column => continue,
                (Part::Whole, part) => part,
                (one, other) if one == other => Part::Whole,
                _ => continue,
            };
            carried.push(Timed {
                path: Path { column, part },
                offset: time.offset.saturating_add(shift),
                sources: moved(&time.sources, shift),
            });
        }
    }
    carried
}

fn moved(sources: &[(usize, i64)], by: i64) -> Vec<(usize, i64)> {
    let moved = |(scan, shift): &(usize, i64)| (*scan, shift.saturating_add(by));
    sources.iter().map(moved).collect()
}

/// The event time that an expression is, moved as the expression says.
pub(crate) fn time_of(expression: &Expr, schema: &DFSchema, times: &[Timed]) -> Option<Timed> {
    let (path, shift) = trace(expression, schema)?;
    let time = times
        .iter()
        .filter(|time| time.path == path)
        .max_by_key(|time| time.offset)?;
    Some(Timed {
        path,
        offset: time.offset.saturating_add(shift),
        sources: moved(&time.sources, shift),
    })
}

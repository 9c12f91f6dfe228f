//! Spark's conversions between types, put where Arrow's differ.
//!
//! Arrow writes a timestamp as `2024-01-01T10:00:00Z` and a DOUBLE as `10000000.0`, Spark as
//! `2024-01-01 10:00:00` and `1.0E7`; Spark reads `2024-1-5 9:05` as a time, Arrow does not; it ignores
//! blanks around a number in text, Arrow does not; a number cast to a TIMESTAMP counts seconds in
//! Spark, microseconds in Arrow. The rule runs after the coercion of types, so that
//! the conversions that coercion made are seen too.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, lit};
use datafusion::optimizer::AnalyzerRule;

use super::functions;
use crate::windows;

/// The analyzer rule.
#[derive(Debug)]
pub(super) struct SparkCasts;

impl AnalyzerRule for SparkCasts {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            if plan.expressions().is_empty() {
                return Ok(Transformed::no(plan));
            }
            let schema = match &plan {
                LogicalPlan::TableScan(scan) => DFSchema::try_from_qualified_schema(
                    scan.table_name.clone(),
                    scan.source.schema().as_ref(),
                )?,
                other => merge_schema(&other.inputs()),
            };
            let preserver = NamePreserver::new(&plan);
            let mapped = plan.map_expressions(|expression| {
                let name = preserver.save(&expression);
                let rewritten = rewrite_expression(expression, &schema)?;
                Ok(rewritten.update_data(|expression| name.restore(expression)))
            })?;
            mapped.map_data(LogicalPlan::recompute_schema)
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "spark_casts"
    }
}

/// Puts Spark's conversions into one expression over the columns of `schema`.
pub(crate) fn rewrite_expression(expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expression.transform_up(|expression| {
        let (inner, field, quiet) = match expression {
            Expr::Cast(Cast { expr, field }) => (*expr, field, false),
            Expr::TryCast(TryCast { expr, field }) => (*expr, field, true),
            other => return windows::with_plain_time(other, schema),
        };
        let from = inner.get_type(schema)?;
        let cast = if quiet { try_cast } else { plain_cast };
        let Some(conversion) = conversion(&from, field.data_type()) else {
            return Ok(Transformed::no(cast(inner, field)));
        };
        Ok(Transformed::yes(match conversion {
            Conversion::Text(function) => written(function, inner, field.data_type().clone())?,
            Conversion::Read(function) if quiet => call(&format!("try_{function}"), inner)?,
            Conversion::Read(function) => call(function, inner)?,
            Conversion::Trimmed => cast(trimmed(inner), field),
            Conversion::FromSeconds => moment(inner, &from, field, cast)?,
            Conversion::ToSeconds => cast(call("unix_timestamp", inner)?, field),
        }))
    })
}

fn plain_cast(expression: Expr, field: FieldRef) -> Expr {
    Expr::Cast(Cast {
        expr: Box::new(expression),
        field,
    })
}

fn try_cast(expression: Expr, field: FieldRef) -> Expr {
    Expr::TryCast(TryCast {
        expr: Box::new(expression),
        field,
    })
}

enum Conversion {
    /// To text as Spark writes it, by this function.
    Text(&'static str),
    /// From text as Spark reads it, by this function.
    Read(&'static str),
    /// From text without the blanks around.
    Trimmed,
    /// From a number of seconds since 1970.
    FromSeconds,
    /// To the whole seconds since 1970.
    ToSeconds,
}

fn conversion(from: &DataType, to: &DataType) -> Option<Conversion> {
    let is_text = |data_type: &DataType| {
        matches!(
            data_type,
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8
        )
    };
    match (from, to) {
        (DataType::Timestamp(..), to) if is_text(to) => Some(Conversion::Text("timestamp_text")),
        (DataType::Float32 | DataType::Float64, to) if is_text(to) => {
            Some(Conversion::Text("double_text"))
        }
        (from, DataType::Date32) if is_text(from) => Some(Conversion::Read("to_date")),
        (from, DataType::Timestamp(TimeUnit::Microsecond, Some(_))) if is_text(from) => {
            Some(Conversion::Read("to_timestamp"))
        }
        (from, to)
            if is_text(from)
                && (to.is_numeric()
                    || matches!(to, DataType::Boolean | DataType::Timestamp(..))) =>
        {
            Some(Conversion::Trimmed)
        }
        (from, DataType::Timestamp(_, Some(_))) if from.is_numeric() => {
            Some(Conversion::FromSeconds)
        }
        (DataType::Timestamp(_, Some(_)), to) if to.is_integer() => Some(Conversion::ToSeconds),
        _ => None,
    }
}

fn call(function: &str, argument: Expr) -> Result<Expr> {
    match functions::named(function) {
        Some(function) => Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
            function,
            vec![argument],
        ))),
        None => internal_err!("there is no function {function}"),
    }
}

/// The moment of a number of seconds; a DECIMAL or DOUBLE counts microseconds, too.
fn moment(
    seconds: Expr,
    from: &DataType,
    field: FieldRef,
    cast: fn(Expr, FieldRef) -> Expr,
) -> Result<Expr> {
    let whole = Arc::new(Field::new("", DataType::Int64, true));
    let moment = if from.is_integer() {
        call("timestamp_seconds", cast(seconds, whole))?
    } else {
        let million = match from {
            DataType::Decimal128(..) => lit(ScalarValue::Decimal128(Some(1_000_000), 7, 0)),
            _ => lit(1e6),
        };
        call("timestamp_micros", cast(seconds * million, whole))?
    };
    Ok(plain_cast(moment, field))
}

fn written(function: &str, expression: Expr, data_type: DataType) -> Result<Expr> {
    let written = call(function, expression)?;
    if data_type == DataType::Utf8View {
        return Ok(written);
    }
    Ok(Expr::Cast(Cast::new(Box::new(written), data_type)))
}

/// A literal is trimmed at once; a column by the function, which copies nothing that needs no
/// trimming.
fn trimmed(expression: Expr) -> Expr {
    if let Expr::Literal(
        ScalarValue::Utf8(Some(text))
        | ScalarValue::Utf8View(Some(text))
        | ScalarValue::LargeUtf8(Some(text)),
        _,
    ) = &expression
    {
        if text.trim().len() == text.len() {
            return expression;
        }
        return datafusion::logical_expr::lit(text.trim());
    }
    Expr::ScalarFunction(ScalarFunction::new_udf(
        datafusion::functions::string::btrim(),
        vec![expression],
    ))
}

//! Spark's conversions between types, put where Arrow's differ.
//!
//! Arrow writes a timestamp as `2024-01-01T10:00:00Z`, Spark as `2024-01-01 10:00:00`; Spark ignores
//! blanks around a number in text, Arrow does not. The rule runs after the coercion of types, so that
//! the conversions that coercion made are seen too.

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use super::functions;

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
        Ok(match expression {
            Expr::Cast(Cast { expr, field }) => {
                let from = expr.get_type(schema)?;
                match conversion(&from, field.data_type()) {
                    Some(Conversion::Text) => {
                        Transformed::yes(text(*expr, field.data_type().clone()))
                    }
                    Some(Conversion::Trimmed) => Transformed::yes(Expr::Cast(Cast {
                        expr: Box::new(trimmed(*expr)),
                        field,
                    })),
                    None => Transformed::no(Expr::Cast(Cast { expr, field })),
                }
            }
            Expr::TryCast(TryCast { expr, field }) => {
                let from = expr.get_type(schema)?;
                match conversion(&from, field.data_type()) {
                    Some(Conversion::Text) => {
                        Transformed::yes(text(*expr, field.data_type().clone()))
                    }
                    Some(Conversion::Trimmed) => Transformed::yes(Expr::TryCast(TryCast {
                        expr: Box::new(trimmed(*expr)),
                        field,
                    })),
                    None => Transformed::no(Expr::TryCast(TryCast { expr, field })),
                }
            }
            other => Transformed::no(other),
        })
    })
}

enum Conversion {
    /// To text, as Spark writes it.
    Text,
    /// From text without the blanks around.
    Trimmed,
}

fn conversion(from: &DataType, to: &DataType) -> Option<Conversion> {
    let is_text = |data_type: &DataType| {
        matches!(
            data_type,
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8
        )
    };
    match (from, to) {
        (DataType::Timestamp(..), to) if is_text(to) => Some(Conversion::Text),
        (from, to)
            if is_text(from)
                && (to.is_numeric()
                    || matches!(
                        to,
                        DataType::Boolean | DataType::Date32 | DataType::Timestamp(..)
                    )) =>
        {
            Some(Conversion::Trimmed)
        }
        _ => None,
    }
}

fn text(expression: Expr, data_type: DataType) -> Expr {
    let written = Expr::ScalarFunction(ScalarFunction::new_udf(
        functions::timestamp_text(),
        vec![expression],
    ));
    if data_type == DataType::Utf8View {
        return written;
    }
    Expr::Cast(Cast::new(Box::new(written), data_type))
}

/// A literal is trimmed at once; a column by the function, which copies nothing that needs no
/// trimming.
fn trimmed(expression: Expr) -> Expr {
    use datafusion::common::ScalarValue;
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

//! Whole numbers as Spark types them: INT where they fit, BIGINT beyond, DECIMAL further on.
//!
//! DataFusion makes every whole number a BIGINT. The difference is seen only where a literal decides
//! the type of a result (`SELECT 1`, `CASE … THEN 1`, `coalesce(n, 0)`), and only there it is given
//! its type; elsewhere the literal stays bare, because some functions want to see it so. What
//! arithmetic makes of literals is settled in [`crate::spark`].

use sqlparser::ast::{DataType, Expr, UnaryOperator, Value, ValueWithSpan};

use super::trees;

/// Gives a bare whole number the type that Spark gives it.
pub(super) fn type_integer(expression: &mut Expr) {
    let Some(data_type) = type_of(expression) else {
        return;
    };
    let bare = std::mem::replace(expression, trees::null());
    *expression = trees::cast(bare, data_type);
}

/// As [`type_integer`], for each result of a CASE.
pub(super) fn type_results(expression: &mut Expr) {
    let Expr::Case {
        conditions,
        else_result,
        ..
    } = expression
    else {
        return;
    };
    for condition in conditions {
        type_integer(&mut condition.result);
    }
    if let Some(result) = else_result {
        type_integer(result);
    }
}

fn type_of(expression: &Expr) -> Option<DataType> {
    match expression {
        Expr::Value(ValueWithSpan {
            value: Value::Number(text, long),
            ..
        }) => match (long, text.parse::<i32>().is_ok()) {
            (true, _) => Some(DataType::BigInt(None)),
            (false, true) => Some(DataType::Int(None)),
            (false, false) => None,
        },
        Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            expr,
        } => type_of(expr),
        Expr::Nested(inner) => type_of(inner),
        _ => None,
    }
}

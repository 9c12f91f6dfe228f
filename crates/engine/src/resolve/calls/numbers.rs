//! Numbers by Spark's names.

use sqlparser::ast::{BinaryOperator, Expr, Function, Value};

use super::{choice, named};
use crate::resolve::mistake::Mistake;
use crate::resolve::{literals, trees};
use crate::spark;

/// Rewrites a call on numbers; `None` if it is none of these.
///
/// # Errors
/// None at present.
pub(super) fn rewrite(
    name: &str,
    given: &[Expr],
    function: &Function,
) -> Result<Option<Expr>, Mistake> {
    let renamed = |other: &str| Expr::Function(named(function.clone(), other));
    let zero = || literals::whole(0);
    Ok(Some(match (name, given) {
        ("log" | "ln", [one]) => trees::call("ln", vec![positive(one)]),
        ("log", [base, one]) => trees::call("log", vec![positive(base), positive(one)]),
        ("log2" | "log10", [one]) => trees::call(name, vec![positive(one)]),
        ("log1p", [one]) => {
            let sum = trees::binary(literals::whole(1), BinaryOperator::Plus, one.clone());
            trees::call("ln", vec![positive(&sum)])
        }
        ("positive", [one]) => one.clone(),
        ("sign", _) => renamed("signum"),
        ("ceiling", _) => renamed("ceil"),
        ("rand" | "random", _) => trees::call("random", Vec::new()),
        ("e", []) => trees::call("exp", vec![literals::whole(1)]),
        ("zeroifnull", [one]) => trees::call("coalesce", vec![one.clone(), zero()]),
        ("nullifzero", [one]) => trees::call("nullif", vec![one.clone(), zero()]),
        ("try_divide", [left, right]) => operation(left, trying("/"), right),
        ("try_add", [left, right]) => operation(left, trying("+"), right),
        ("try_subtract", [left, right]) => operation(left, trying("-"), right),
        ("try_multiply", [left, right]) => operation(left, trying("*"), right),
        ("mod", [left, right]) => operation(left, BinaryOperator::Modulo, right),
        ("bool_to_int", [one]) => choice(one.clone(), literals::whole(1), Some(zero())),
        _ => return Ok(None),
    }))
}

/// The number, or NULL if it has no logarithm.
fn positive(number: &Expr) -> Expr {
    let zero = || literals::whole(0);
    let bounded = trees::call("greatest", vec![number.clone(), zero()]);
    trees::call("nullif", vec![bounded, zero()])
}

/// The operator that gives NULL where it fails.
fn trying(sign: &str) -> BinaryOperator {
    BinaryOperator::Custom(format!("{}{sign}", spark::TRYING))
}

fn operation(left: &Expr, operator: BinaryOperator, right: &Expr) -> Expr {
    let (left, right) = (trees::nested(left.clone()), trees::nested(right.clone()));
    trees::binary(left, operator, right)
}

/// Whether an expression is the constant TRUE.
pub(super) fn is_true(expression: &Expr) -> bool {
    matches!(expression, Expr::Value(value) if value.value == Value::Boolean(true))
}

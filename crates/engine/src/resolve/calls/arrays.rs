//! Arrays and maps by Spark's names.

use sqlparser::ast::{BinaryOperator, DataType, Expr, Function, UnaryOperator};

use super::{choice, named, numbers};
use crate::resolve::mistake::Mistake;
use crate::resolve::{literals, trees};

/// Rewrites a call on arrays or maps; `None` if it is none of these.
///
/// # Errors
/// None at present.
pub(super) fn rewrite(
    name: &str,
    given: &[Expr],
    function: &Function,
) -> Result<Option<Expr>, Mistake> {
    let renamed = |other: &str| Expr::Function(named(function.clone(), other));
    Ok(Some(match (name, given) {
        // Of NULL it is NULL with ANSI mode on, not -1.
        ("size" | "array_size" | "cardinality", _) => {
            let less = literals::negative_one();
            trees::call("nullif", vec![renamed("size"), less])
        }
        ("array_position", [array, element]) => {
            let present = |of: &Expr| Expr::IsNotNull(Box::new(of.clone()));
            let both = trees::binary(present(array), BinaryOperator::And, present(element));
            let found = trees::cast(renamed(name), DataType::BigInt(None));
            let found = vec![found, literals::whole(0)];
            choice(both, trees::call("coalesce", found), None)
        }
        ("array_sort", [array]) => {
            let order = vec![
                array.clone(),
                trees::string("ASC"),
                trees::string("NULLS LAST"),
            ];
            trees::call("array_sort", order)
        }
        ("sort_array", [array]) => sorted(array, true),
        ("sort_array", [array, ascending]) => sorted(array, numbers::is_true(ascending)),
        ("array_join", _) => renamed("array_to_string"),
        ("array_prepend", [array, element]) => {
            trees::call("array_prepend", vec![element.clone(), array.clone()])
        }
        ("array_remove", [_, _]) => renamed("array_remove_all"),
        ("arrays_overlap", _) => renamed("array_has_any"),
        ("transform", [_, _]) => renamed("array_transform"),
        ("filter", [_, _]) => renamed("array_filter"),
        ("exists", [_, _]) => renamed("array_any_match"),
        ("element_at", [_, _]) => renamed("spark_element_at"),
        ("map_contains_key", [map, key]) => {
            let keys = trees::call("map_keys", vec![map.clone()]);
            trees::call("array_has", vec![keys, key.clone()])
        }
        ("forall", [array, condition]) => {
            let Expr::Lambda(mut lambda) = condition.clone() else {
                return Ok(None);
            };
            lambda.body = Box::new(Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr: Box::new(Expr::Nested(lambda.body)),
            });
            let any = trees::call("array_any_match", vec![array.clone(), Expr::Lambda(lambda)]);
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr: Box::new(any),
            }
        }
        _ => return Ok(None),
    }))
}

/// Spark puts NULL first when it sorts upwards, last when downwards.
fn sorted(array: &Expr, ascending: bool) -> Expr {
    let (order, nulls) = match ascending {
        true => ("ASC", "NULLS FIRST"),
        false => ("DESC", "NULLS LAST"),
    };
    let arguments = vec![array.clone(), trees::string(order), trees::string(nulls)];
    trees::call("array_sort", arguments)
}

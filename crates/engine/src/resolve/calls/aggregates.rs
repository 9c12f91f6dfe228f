//! Aggregates by Spark's names.

use sqlparser::ast::{
    DataType, DuplicateTreatment, Expr, Function, FunctionArgumentClause, FunctionArguments,
    NullTreatment, OrderByExpr, OrderByOptions, Value,
};

use super::{Rewritten, arguments, choice, named, with_arguments, wrong_arguments};
use crate::resolve::mistake::Mistake;
use crate::resolve::{literals, trees};

/// Spark's names of aggregates that the session does not know by that name.
pub(in crate::resolve) const NAMES: &[&str] = &[
    "any",
    "any_value",
    "approx_count_distinct",
    "approx_percentile",
    "bool_and",
    "bool_or",
    "collect_list",
    "collect_set",
    "count_if",
    "every",
    "first",
    "last",
    "max_by",
    "mean",
    "min_by",
    "percentile",
    "percentile_approx",
    "some",
    "std",
    "string_agg",
    "listagg",
    "try_avg",
    "variance",
];

/// Rewrites a call of an aggregate; anything else is given back.
///
/// # Errors
/// A mistake if the arguments cannot be right.
pub(super) fn rewrite(name: &str, function: Function) -> Result<Rewritten, Mistake> {
    let renamed = match name {
        "mean" | "try_avg" => Some("avg"),
        "std" => Some("stddev"),
        "variance" => Some("var_samp"),
        "every" => Some("bool_and"),
        "some" | "any" => Some("bool_or"),
        "approx_count_distinct" => Some("approx_distinct"),
        "percentile" => Some("percentile_cont"),
        "approx_percentile" => Some("percentile_approx"),
        "listagg" => Some("string_agg"),
        _ => None,
    };
    let done = match name {
        "count" => Expr::Function(count(function)),
        "count_if" => Expr::Function(count_if(function)?),
        "first" | "first_value" | "any_value" => Expr::Function(ends(function, "first_value")),
        "last" | "last_value" => Expr::Function(ends(function, "last_value")),
        "max_by" => Expr::Function(by(function, false)?),
        "min_by" => Expr::Function(by(function, true)?),
        "approx_count_distinct" | "mode" => {
            let first = arguments(&function).into_iter().take(1).collect();
            let called = renamed.unwrap_or(name);
            let call = Expr::Function(named(with_arguments(function, first), called));
            match name {
                "mode" => call,
                _ => trees::cast(call, DataType::BigInt(None)),
            }
        }
        // Of unsigned 64 bits in DataFusion, which Spark's tables cannot hold.
        "row_number" | "rank" | "dense_rank" | "ntile" => {
            trees::cast(Expr::Function(function), DataType::Int(None))
        }
        "percentile" => {
            let given: Vec<Expr> = arguments(&function).into_iter().take(2).collect();
            if given.len() != 2 {
                return Err(wrong_arguments(&function, "`percentile(column, 0.5)`"));
            }
            let name = renamed.unwrap_or(name);
            Expr::Function(named(with_arguments(function, given), name))
        }
        _ => match renamed {
            Some(other) => Expr::Function(named(function, other)),
            None => return Ok(Rewritten::Not(function)),
        },
    };
    Ok(Rewritten::Done(done))
}

/// `count(a, b)` counts the rows in which none is NULL.
fn count(function: Function) -> Function {
    let given = arguments(&function);
    let [first, rest @ ..] = given.as_slice() else {
        return function;
    };
    if rest.is_empty() {
        // `count(1)` is known to the planner as a count of rows.
        let given = given.into_iter().map(|mut one| {
            literals::make_plain(&mut one);
            one
        });
        return with_arguments(function, given.collect());
    }
    let condition = rest
        .iter()
        .fold(Expr::IsNotNull(Box::new(first.clone())), |all, one| {
            let present = Expr::IsNotNull(Box::new(one.clone()));
            trees::binary(all, sqlparser::ast::BinaryOperator::And, present)
        });
    let distinct = matches!(
        &function.args,
        FunctionArguments::List(list)
            if list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
    );
    let counted = if distinct {
        super::named_struct(given.clone())
    } else {
        literals::whole(1)
    };
    with_arguments(function, vec![choice(condition, counted, None)])
}

fn count_if(function: Function) -> Result<Function, Mistake> {
    let mut given = arguments(&function);
    match (given.pop(), given.is_empty()) {
        (Some(condition), true) => {
            let counted = choice(condition, literals::whole(1), None);
            Ok(named(with_arguments(function, vec![counted]), "count"))
        }
        _ => Err(wrong_arguments(&function, "`count_if(condition)`")),
    }
}

/// `first(x, true)` skips NULL.
fn ends(function: Function, name: &str) -> Function {
    let mut given = arguments(&function);
    let mut function = named(function, name);
    if given.len() == 2
        && let Some(Expr::Value(value)) = given.pop()
    {
        if value.value == Value::Boolean(true) {
            function.null_treatment = Some(NullTreatment::IgnoreNulls);
        }
        return with_arguments(function, given);
    }
    function
}

/// `max_by(x, y)`: the `x` of the row with the greatest `y`; rows where `y` is NULL do not count.
fn by(function: Function, ascending: bool) -> Result<Function, Mistake> {
    let mut given = arguments(&function);
    let (Some(order), Some(value), true) = (given.pop(), given.pop(), given.is_empty()) else {
        return Err(wrong_arguments(&function, "`max_by(value, order)`"));
    };
    let mut function = named(with_arguments(function, vec![value]), "first_value");
    if let FunctionArguments::List(list) = &mut function.args {
        let sort = OrderByExpr {
            expr: order,
            options: OrderByOptions {
                asc: Some(ascending),
                nulls_first: Some(false),
            },
            with_fill: None,
        };
        list.clauses
            .push(FunctionArgumentClause::OrderBy(vec![sort]));
    }
    Ok(function)
}

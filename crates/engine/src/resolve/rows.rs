//! Rows of several values compared at once: `(a, b) IN (…)`.
//!
//! The parts are compared one by one, which scans and joins understand.

use sqlparser::ast::{
    BinaryOperator, Expr, SelectItem, SetExpr, Spanned, TableFactor, TableWithJoins, UnaryOperator,
};

use super::mistake::Mistake;
use super::{literals, trees};

/// `(a, b) IN ((1, 2), (3, 4))` as comparisons of the parts, which scans understand.
pub(super) fn spread(expression: &mut Expr) {
    let Expr::InList {
        expr,
        list,
        negated,
    } = expression
    else {
        return;
    };
    let Expr::Tuple(left) = expr.as_ref() else {
        return;
    };
    let rows = list.iter().map(|row| match row {
        Expr::Tuple(right) if right.len() == left.len() => all_equal(left, right.iter().cloned()),
        _ => None,
    });
    let Some(found) = rows
        .collect::<Option<Vec<Expr>>>()
        .and_then(|rows| joined(BinaryOperator::Or, rows.into_iter()))
    else {
        return;
    };
    *expression = match negated {
        true => Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr: Box::new(found),
        },
        false => found,
    };
}

/// `(a, b) IN (SELECT x, y …)` as EXISTS over the subquery, whose columns get names under `alias`.
///
/// # Errors
/// NOT IN is refused: it means something else than NOT EXISTS where a value is NULL.
pub(super) fn as_exists(expression: &mut Expr, alias: &str) -> Result<(), Mistake> {
    let Expr::InSubquery {
        expr,
        subquery,
        negated,
    } = expression
    else {
        return Ok(());
    };
    let Expr::Tuple(parts) = expr.as_ref() else {
        return Ok(());
    };
    if *negated {
        let instead = "write `NOT EXISTS (SELECT … WHERE …)`, which says what NULL means";
        let span = expr.span();
        return Err(Mistake::unsupported(
            "NOT IN with several columns",
            span,
            instead,
        ));
    }
    let names: Vec<String> = (1..=parts.len()).map(|at| format!("__{at}")).collect();
    let columns = names.iter().map(|name| trees::column(Some(alias), name));
    let from = TableWithJoins {
        relation: TableFactor::Derived {
            lateral: false,
            subquery: subquery.clone(),
            alias: Some(trees::table_alias(alias, &names)),
            sample: None,
        },
        joins: Vec::new(),
    };
    let one = SelectItem::ExprWithAlias {
        expr: literals::whole(1),
        alias: trees::ident("found"),
    };
    let mut select = trees::select(vec![one], vec![from]);
    select.selection = all_equal(parts, columns);
    *expression = Expr::Exists {
        subquery: Box::new(trees::query(SetExpr::Select(Box::new(select)))),
        negated: false,
    };
    Ok(())
}

/// Whether all parts of a row are equal to those of another.
fn all_equal(left: &[Expr], right: impl Iterator<Item = Expr>) -> Option<Expr> {
    let pairs = left.iter().zip(right).map(|(one, other)| {
        let (one, other) = (trees::nested(one.clone()), trees::nested(other));
        trees::binary(one, BinaryOperator::Eq, other)
    });
    joined(BinaryOperator::And, pairs)
}

fn joined(operator: BinaryOperator, parts: impl Iterator<Item = Expr>) -> Option<Expr> {
    parts
        .reduce(|one, other| trees::binary(one, operator.clone(), other))
        .map(|joined| Expr::Nested(Box::new(joined)))
}

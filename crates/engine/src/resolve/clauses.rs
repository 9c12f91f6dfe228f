//! The clauses that may name the columns of the result: GROUP BY, HAVING, QUALIFY, ORDER BY.
//!
//! Spark lets GROUP BY, HAVING and QUALIFY use the aliases of the projection; a column of FROM comes
//! first in GROUP BY, an alias in ORDER BY. An alias is replaced by what it stands for, so that the
//! planner sees the same expression twice.

use sqlparser::ast::{
    Expr, GroupByExpr, GroupByWithModifier, OrderBy, OrderByExpr, OrderByKind, OrderByOptions,
    Select, Spanned, Value, ValueWithSpan,
};

use super::expressions::Aliases;
use super::mistake::Mistake;
use super::scope::{Scope, same};
use super::select::Item;
use super::{Resolver, literals, trees};

/// `ORDER BY 1, 2, …, n`.
pub(super) fn by_position(columns: usize, options: OrderByOptions) -> OrderByKind {
    let expressions = (1..=columns).map(|at| OrderByExpr {
        expr: trees::number(at),
        options,
        with_fill: None,
    });
    OrderByKind::Expressions(expressions.collect())
}

impl Resolver<'_> {
    pub(super) fn group_by(&mut self, select: &mut Select, items: &[Item], scope: &Scope<'_>) {
        let (mut expressions, modifiers) = match std::mem::replace(
            &mut select.group_by,
            GroupByExpr::Expressions(Vec::new(), Vec::new()),
        ) {
            GroupByExpr::All(modifiers) => (self.all_groups(items), modifiers),
            GroupByExpr::Expressions(mut expressions, modifiers) => {
                for expression in &mut expressions {
                    self.group(expression, items, scope);
                }
                (expressions, modifiers)
            }
        };
        for modifier in modifiers {
            match modifier {
                GroupByWithModifier::Rollup => {
                    let sets = expressions.drain(..).map(|e| vec![e]).collect();
                    expressions = vec![Expr::Rollup(sets)];
                }
                GroupByWithModifier::Cube => {
                    let sets = expressions.drain(..).map(|e| vec![e]).collect();
                    expressions = vec![Expr::Cube(sets)];
                }
                GroupByWithModifier::GroupingSets(mut sets) => {
                    self.expression_with(&mut sets, scope, &Aliases::after(items));
                    expressions = vec![sets];
                }
                GroupByWithModifier::Totals => {
                    let span = select.select_token.0.span;
                    self.report(Mistake::unsupported("WITH TOTALS", span, "use WITH ROLLUP"));
                }
            }
        }
        select.group_by = GroupByExpr::Expressions(expressions, Vec::new());
    }

    /// `GROUP BY ALL`: every item that aggregates nothing.
    fn all_groups(&self, items: &[Item]) -> Vec<Expr> {
        items
            .iter()
            .filter(|item| !self.functions.aggregates(&item.expression))
            .filter(|item| !is_constant(&item.expression))
            .map(|item| item.expression.clone())
            .collect()
    }

    fn group(&mut self, expression: &mut Expr, items: &[Item], scope: &Scope<'_>) {
        if let Some(at) = position(expression) {
            match items.get(at.wrapping_sub(1)) {
                Some(item) => *expression = item.expression.clone(),
                None => {
                    let message = format!(
                        "GROUP BY {at} names a column of the result that there is not: it has {}",
                        items.len()
                    );
                    let span = expression.span();
                    let code = crate::codes::UNKNOWN_COLUMN;
                    self.report(Mistake::new(code, message, span, "no such position"));
                }
            }
            return;
        }
        self.expression_with(expression, scope, &Aliases::after(items));
    }

    pub(super) fn having(&mut self, select: &mut Select, items: &[Item], scope: &Scope<'_>) {
        let aliases = Aliases::first(items);
        if let Some(condition) = &mut select.having {
            self.expression_with(condition, scope, &aliases);
            let grouped =
                matches!(&select.group_by, GroupByExpr::Expressions(all, _) if !all.is_empty());
            let aggregated = self.functions.aggregates(condition)
                || items
                    .iter()
                    .any(|item| self.functions.aggregates(&item.expression));
            if !grouped && !aggregated {
                let span = condition.span();
                let mistake = Mistake::new(
                    crate::codes::GROUPING,
                    "HAVING in a query that groups and aggregates nothing",
                    span,
                    "this decides about groups",
                );
                self.report(mistake.help("use WHERE to decide about rows"));
            }
        }
        if let Some(condition) = &mut select.qualify {
            self.expression_with(condition, scope, &aliases);
        }
    }

    pub(super) fn order_by(
        &mut self,
        order_by: &mut Option<OrderBy>,
        items: &[Item],
        distinct: bool,
        scope: &Scope<'_>,
    ) {
        let Some(order_by) = order_by else { return };
        if let OrderByKind::All(options) = &order_by.kind {
            order_by.kind = by_position(items.len(), *options);
            return;
        }
        let OrderByKind::Expressions(expressions) = &mut order_by.kind else {
            return;
        };
        for sort in expressions {
            let expression = &mut sort.expr;
            if position(expression).is_some() {
                continue;
            }
            if let Some(at) = result_column(expression, items, scope) {
                *expression = trees::number(at + 1);
                continue;
            }
            let aliases = if distinct {
                Aliases::by_name(items)
            } else {
                Aliases::first(items)
            };
            self.expression_with(expression, scope, &aliases);
        }
    }
}

/// The one column of the result that an identifier of ORDER BY means. A name that several columns
/// of the result have is left to the scope, which may know better.
fn result_column(expression: &Expr, items: &[Item], _scope: &Scope<'_>) -> Option<usize> {
    let Expr::Identifier(written) = expression else {
        return None;
    };
    let mut matching = items
        .iter()
        .enumerate()
        .filter(|(_, item)| same(&item.name, &written.value));
    let (at, _) = matching.next()?;
    matching.next().is_none().then_some(at)
}

/// The position in a result that a whole number of ORDER BY or GROUP BY stands for.
pub(super) fn position(expression: &Expr) -> Option<usize> {
    match expression {
        Expr::Value(ValueWithSpan {
            value: Value::Number(text, _),
            ..
        }) => text.parse().ok(),
        _ => None,
    }
}

fn is_constant(expression: &Expr) -> bool {
    match expression {
        Expr::Value(_) | Expr::TypedString(_) => true,
        number if literals::is_number(number) => true,
        Expr::Cast { expr, .. } | Expr::Nested(expr) => is_constant(expr),
        _ => false,
    }
}

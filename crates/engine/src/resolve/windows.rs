//! Windows of time in a query: the names that GROUP BY gives them, and where they may stand.
//!
//! `GROUP BY window(ts, '10 minutes')` makes a column `window` that SELECT, HAVING and ORDER BY can
//! name. A tumbling window is a function and may stand anywhere; the others give a row several
//! windows, or one that other rows decide, and can only be grouped by.

use std::ops::ControlFlow;

use arrow::datatypes::{DataType, Field, Fields};
use sqlparser::ast::{Expr, Function, GroupByExpr, OrderBy, Query, Select, Visit, Visitor};
use sqlparser::ast::{GroupByWithModifier, Spanned};
use sqlparser::tokenizer::Span;

use super::mistake::Mistake;
use super::relations::last_part;
use super::scope::{Found, Scope, ScopeColumn};
use super::select::Item;
use super::{Resolver, calls};
use crate::codes;
use crate::spark::types::timestamp;
use crate::windows::{CUMULATING, HOPPING, SESSION};

impl Resolver<'_> {
    /// Brings the windows of GROUP BY into sight by their names.
    pub(super) fn window_names(&mut self, select: &Select, scope: &mut Scope<'_>) {
        let GroupByExpr::Expressions(groups, _) = &select.group_by else {
            return;
        };
        for group in groups {
            let Expr::Function(function) = group else {
                continue;
            };
            let name = last_part(&function.name).to_lowercase();
            let taken = !matches!(scope.find(None, &name), Found::Nothing);
            if taken || !calls::WINDOWS.contains(&name.as_str()) {
                continue;
            }
            let mut target = group.clone();
            // GROUP BY itself reports what is wrong with it.
            let known = self.mistakes.len();
            self.expression(&mut target, scope);
            self.mistakes.truncate(known);
            let ends = ["start", "end"].map(|name| Field::new(name, timestamp(), true));
            scope.push(ScopeColumn {
                relation: None,
                name,
                target,
                data_type: Some(DataType::Struct(Fields::from(ends.to_vec()))),
                in_star: false,
                bare: true,
            });
        }
    }

    /// Reports overlapping windows and sessions that are not grouped by, and what GROUP BY cannot do
    /// with them.
    pub(super) fn check_windows(
        &mut self,
        select: &Select,
        items: &[Item],
        order_by: &Option<OrderBy>,
    ) {
        let grouped = markers(&select.group_by);
        if let Some((first, _)) = grouped.first() {
            if let Some((_, span)) = grouped.iter().find(|(other, _)| other != first) {
                let message = "a query groups by several overlapping windows";
                let label = "the second one";
                let mistake = Mistake::new(codes::GROUPING, message, *span, label);
                self.report(mistake.help("group by one in a subquery, by the other around it"));
            }
            self.check_grouping_sets(&select.group_by, &grouped);
        }
        let mut elsewhere = markers(&select.selection);
        elsewhere.extend(markers(&select.from));
        let mut behind = markers(&select.having);
        behind.extend(markers(&select.qualify));
        behind.extend(markers(&select.distinct));
        behind.extend(markers(order_by));
        for item in items {
            behind.extend(markers(&item.expression));
        }
        behind.retain(|(marker, _)| !grouped.iter().any(|(known, _)| known == marker));
        elsewhere.extend(behind);
        if let Some((marker, span)) = elsewhere.first() {
            self.report(not_grouped(marker, *span));
        }
    }

    /// A session belongs to the other keys, so that these cannot be left out in turn.
    fn check_grouping_sets(&mut self, group_by: &GroupByExpr, grouped: &[(Function, Span)]) {
        let GroupByExpr::Expressions(groups, modifiers) = group_by else {
            return;
        };
        let is_set = |group: &Expr| {
            matches!(
                group,
                Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_)
            )
        };
        let sets = groups.iter().any(is_set)
            || modifiers
                .iter()
                .any(|modifier| !matches!(modifier, GroupByWithModifier::Totals));
        let session = grouped
            .iter()
            .find(|(marker, _)| last_part(&marker.name) == SESSION);
        if let (true, Some((_, span))) = (sets, session) {
            let construct = "a session window among ROLLUP, CUBE or GROUPING SETS";
            let instead = "group by the session window in a subquery, and roll up its result";
            self.report(Mistake::unsupported(construct, *span, instead));
        }
    }

    /// Reports overlapping windows and sessions in an expression that groups nothing.
    pub(super) fn check_no_windows(&mut self, expression: &Expr) {
        if let Some((marker, span)) = markers(expression).first() {
            self.report(not_grouped(marker, *span));
        }
    }
}

fn not_grouped(marker: &Function, span: Span) -> Mistake {
    let (what, why) = match last_part(&marker.name).as_str() {
        SESSION => ("a session window", "the rows around a row decide"),
        CUMULATING => ("a cumulating window", "a row is in several"),
        _ => ("a hopping window", "a row is in several"),
    };
    let message = format!("{what} stands outside GROUP BY: {why}");
    Mistake::new(codes::GROUPING, message, span, "not grouped by")
        .help("write the same call in GROUP BY; only `window(time, length)` may stand anywhere")
}

/// The calls of markers that can only be grouped by, outside subqueries, and where they are.
fn markers(of: &impl Visit) -> Vec<(Function, Span)> {
    let mut search = Search {
        found: Vec::new(),
        depth: 0,
    };
    let _ = of.visit(&mut search);
    search.found
}

struct Search {
    found: Vec<(Function, Span)>,
    depth: usize,
}

impl Visitor for Search {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expression
            && self.depth == 0
            && [HOPPING, SESSION, CUMULATING].contains(&last_part(&function.name).as_str())
        {
            self.found.push((function.clone(), function.name.span()));
        }
        ControlFlow::Continue(())
    }
}

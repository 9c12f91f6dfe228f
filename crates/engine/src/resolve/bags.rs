//! EXCEPT ALL and INTERSECT ALL: rows count as often as they occur.
//!
//! The planner takes rows out by whether they occur at all. So equal rows are numbered on either
//! side, which makes every row differ, and the numbers are dropped afterwards.

use sqlparser::ast::{
    Expr, SelectItem, SetExpr, SetOperator, SetQuantifier, TableFactor, TableWithJoins, WindowSpec,
    WindowType,
};
use sqlparser::tokenizer::Span;

use super::{OutputColumn, Resolver, trees};

impl Resolver<'_> {
    /// Rewrites a settled operation of both sides with ALL, whose result has these columns.
    pub(super) fn as_bags(&mut self, body: &mut SetExpr, columns: &[OutputColumn]) {
        let SetExpr::SetOperation {
            op: SetOperator::Except | SetOperator::Intersect,
            set_quantifier,
            left,
            right,
        } = body
        else {
            return;
        };
        if *set_quantifier != SetQuantifier::All {
            return;
        }
        *set_quantifier = SetQuantifier::None;
        let names: Vec<String> = (1..=columns.len()).map(|at| format!("__{at}")).collect();
        for side in [left, right] {
            let alias = self.generate("bag");
            number(side, &names, &alias);
        }
        let alias = self.generate("bag");
        let mut all = names.clone();
        all.push("__number".to_owned());
        let projection = names.iter().zip(columns).map(|(name, column)| {
            let expr = trees::column(Some(&alias), name);
            let alias = trees::ident(&column.name);
            SelectItem::ExprWithAlias { expr, alias }
        });
        let operation = std::mem::replace(
            body,
            SetExpr::Select(Box::new(trees::select(Vec::new(), Vec::new()))),
        );
        let select = trees::select(projection.collect(), vec![derived(operation, &alias, &all)]);
        *body = SetExpr::Select(Box::new(select));
    }
}

/// Puts the number of each row among those equal to it behind its columns.
fn number(side: &mut SetExpr, names: &[String], alias: &str) {
    let columns: Vec<Expr> = names
        .iter()
        .map(|name| trees::column(Some(alias), name))
        .collect();
    let mut row_number = trees::function("row_number", Vec::new(), Span::empty());
    row_number.over = Some(WindowType::WindowSpec(WindowSpec {
        window_name: None,
        partition_by: columns.clone(),
        order_by: Vec::new(),
        window_frame: None,
    }));
    let numbered = SelectItem::ExprWithAlias {
        expr: Expr::Function(row_number),
        alias: trees::ident("__number"),
    };
    let projection = columns.into_iter().map(SelectItem::UnnamedExpr);
    let projection = projection.chain([numbered]).collect();
    let inner = std::mem::replace(
        side,
        SetExpr::Select(Box::new(trees::select(Vec::new(), Vec::new()))),
    );
    let select = trees::select(projection, vec![derived(inner, alias, names)]);
    *side = SetExpr::Select(Box::new(select));
}

fn derived(body: SetExpr, alias: &str, names: &[String]) -> TableWithJoins {
    TableWithJoins {
        relation: TableFactor::Derived {
            lateral: false,
            subquery: Box::new(trees::query(body)),
            alias: Some(trees::table_alias(alias, names)),
            sample: None,
        },
        joins: Vec::new(),
    }
}

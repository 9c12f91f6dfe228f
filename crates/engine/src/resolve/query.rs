//! Whole queries: common tables, set operations, VALUES, and what stands behind the body.

use sqlparser::ast::{
    Cte, Expr, LimitClause, OrderBy, OrderByKind, Query, SetExpr, SetOperator, SetQuantifier,
    Spanned, TableAlias, TableFactor, TableWithJoins, Values, With,
};
use sqlparser::tokenizer::Span;

use super::mistake::{Mistake, list};
use super::scope::{Scope, same};
use super::{CommonTable, OutputColumn, Resolver, trees};
use crate::codes;

/// What becomes of the names of a result's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// They are the names of a result, or of columns that can be named.
    Kept,
    /// Nobody sees them: a later branch of UNION takes the names of the first.
    Lost,
}

impl Resolver<'_> {
    /// Settles a query within `outer`; the columns of its result.
    pub(super) fn query(
        &mut self,
        query: &mut Query,
        outer: Option<&Scope<'_>>,
    ) -> Vec<OutputColumn> {
        self.query_named(query, Names::Kept, outer)
    }

    fn query_named(
        &mut self,
        query: &mut Query,
        names: Names,
        outer: Option<&Scope<'_>>,
    ) -> Vec<OutputColumn> {
        self.refuse_clauses(query);
        let known = self.common_tables.len();
        if let Some(with) = &mut query.with {
            self.with(with, outer);
        }
        let mut order_by = query.order_by.take();
        let columns = self.set_expression(&mut query.body, &mut order_by, names, outer);
        query.order_by = order_by;
        if let Some(LimitClause::LimitOffset { limit, .. }) = &mut query.limit_clause
            && matches!(limit, Some(Expr::Identifier(word)) if same(&word.value, "all"))
        {
            *limit = None;
        }
        self.common_tables.truncate(known);
        columns
    }

    fn refuse_clauses(&mut self, query: &Query) {
        let span = query.span();
        if query.fetch.is_some() {
            self.report(Mistake::unsupported(
                "FETCH",
                span,
                "write `LIMIT n` instead",
            ));
        }
        if !query.pipe_operators.is_empty() {
            let instead = "write the steps as subqueries or as a WITH clause";
            self.report(Mistake::unsupported(
                "the pipe operator `|>`",
                span,
                instead,
            ));
        }
        if !query.locks.is_empty() || query.for_clause.is_some() {
            self.report(Mistake::unsupported("FOR UPDATE and its kin", span, ""));
        }
    }

    fn with(&mut self, with: &mut With, outer: Option<&Scope<'_>>) {
        for table in &mut with.cte_tables {
            let columns = if with.recursive {
                self.recursive_table(table, outer)
            } else {
                let columns = self.query(&mut table.query, outer);
                self.renamed(columns, &table.alias)
            };
            self.check_unique(&columns);
            let name = table.alias.name.value.clone();
            self.common_tables.push(CommonTable { name, columns });
        }
    }

    /// A common table that may read itself: its first branch says what its columns are.
    fn recursive_table(&mut self, table: &mut Cte, outer: Option<&Scope<'_>>) -> Vec<OutputColumn> {
        let SetExpr::SetOperation { left, right, .. } = table.query.body.as_mut() else {
            let columns = self.query(&mut table.query, outer);
            return self.renamed(columns, &table.alias);
        };
        let columns = self.set_expression(left, &mut None, Names::Kept, outer);
        let columns = self.renamed(columns, &table.alias);
        let known = self.common_tables.len();
        self.common_tables.push(CommonTable {
            name: table.alias.name.value.clone(),
            columns: columns.clone(),
        });
        self.set_expression(right, &mut None, Names::Lost, outer);
        self.common_tables.truncate(known);
        columns
    }

    /// The columns under the names that an alias `t(a, b)` gives them.
    pub(super) fn renamed(
        &mut self,
        mut columns: Vec<OutputColumn>,
        alias: &TableAlias,
    ) -> Vec<OutputColumn> {
        if alias.columns.is_empty() {
            return columns;
        }
        if alias.columns.len() != columns.len() {
            let message = format!(
                "`{}` has {} columns, but {} names are given",
                alias.name.value,
                columns.len(),
                alias.columns.len()
            );
            let names = columns.iter().map(|column| column.name.as_str());
            let note = format!("its columns are {}", list(names));
            let mistake = Mistake::new(
                codes::COLUMN_COUNT,
                message,
                alias.name.span,
                "the list of names does not fit",
            );
            self.report(mistake.note(note));
        }
        for (column, written) in columns.iter_mut().zip(&alias.columns) {
            column.name.clone_from(&written.name.value);
        }
        columns
    }

    /// Settles the body of a query together with its ORDER BY.
    fn set_expression(
        &mut self,
        body: &mut SetExpr,
        order_by: &mut Option<OrderBy>,
        names: Names,
        outer: Option<&Scope<'_>>,
    ) -> Vec<OutputColumn> {
        match body {
            SetExpr::Select(select) => self.select(select, order_by, names, outer),
            SetExpr::Query(query) => {
                let columns = self.query_named(query, names, outer);
                self.order_result(order_by, &columns);
                columns
            }
            SetExpr::SetOperation {
                left,
                right,
                op,
                set_quantifier,
            } => {
                let span = right.span();
                if *op == SetOperator::Minus {
                    *op = SetOperator::Except;
                }
                let by_name = matches!(
                    set_quantifier,
                    SetQuantifier::ByName
                        | SetQuantifier::AllByName
                        | SetQuantifier::DistinctByName
                );
                let later = if by_name { Names::Kept } else { Names::Lost };
                let first = self.set_expression(left, &mut None, names, outer);
                let second = self.set_expression(right, &mut None, later, outer);
                if !by_name {
                    self.check_branches(&first, &second, *op, span);
                }
                let columns: Vec<OutputColumn> = first
                    .into_iter()
                    .map(|column| OutputColumn {
                        data_type: None,
                        ..column
                    })
                    .collect();
                self.as_bags(body, &columns);
                self.order_result(order_by, &columns);
                columns
            }
            SetExpr::Values(values) => {
                let (select, columns) = self.values(values, outer);
                *body = select;
                self.order_result(order_by, &columns);
                columns
            }
            other => {
                let instead = "a query begins with SELECT, VALUES or WITH";
                self.report(Mistake::unsupported(
                    "this statement",
                    other.span(),
                    instead,
                ));
                Vec::new()
            }
        }
    }

    fn check_branches(
        &mut self,
        first: &[OutputColumn],
        second: &[OutputColumn],
        operator: SetOperator,
        span: Span,
    ) {
        if first.len() == second.len() || first.is_empty() || second.is_empty() {
            return;
        }
        let message = format!(
            "the two sides of {operator} have {} and {} columns",
            first.len(),
            second.len()
        );
        let side = |columns: &[OutputColumn]| list(columns.iter().map(|c| c.name.as_str()));
        let mistake = Mistake::new(codes::COLUMN_COUNT, message, span, "the second side")
            .note(format!("the first side has {}", side(first)))
            .note(format!("the second side has {}", side(second)));
        self.report(mistake);
    }

    /// `VALUES` as a SELECT whose columns are `col1`, `col2`, …
    fn values(
        &mut self,
        values: &mut Values,
        outer: Option<&Scope<'_>>,
    ) -> (SetExpr, Vec<OutputColumn>) {
        let scope = Scope::within(outer);
        let mut values = std::mem::replace(
            values,
            Values {
                explicit_row: false,
                value_keyword: false,
                rows: Vec::new(),
            },
        );
        let width = values.rows.first().map_or(0, |row| row.content.len());
        for row in &mut values.rows {
            if row.content.len() != width {
                let message = format!(
                    "a row of VALUES has {} values, the first has {width}",
                    row.content.len()
                );
                let span = Span::union_iter(row.content.iter().map(Spanned::span));
                self.report(Mistake::new(codes::COLUMN_COUNT, message, span, "this row"));
            }
            for value in &mut row.content {
                self.expression(value, &scope);
            }
        }
        let names: Vec<String> = (1..=width).map(|at| format!("col{at}")).collect();
        let alias = self.generate("values");
        let projection = names
            .iter()
            .map(|name| sqlparser::ast::SelectItem::UnnamedExpr(trees::column(Some(&alias), name)))
            .collect();
        let from = TableWithJoins {
            relation: TableFactor::Derived {
                lateral: false,
                subquery: Box::new(trees::query(SetExpr::Values(values))),
                alias: Some(trees::table_alias(&alias, &names)),
                sample: None,
            },
            joins: Vec::new(),
        };
        let columns = names
            .into_iter()
            .map(|name| OutputColumn {
                name,
                data_type: None,
                span: Span::empty(),
            })
            .collect();
        let select = trees::select(projection, vec![from]);
        (SetExpr::Select(Box::new(select)), columns)
    }

    /// The ORDER BY of a body that is no SELECT: only the columns of the result can be named.
    fn order_result(&mut self, order_by: &mut Option<OrderBy>, columns: &[OutputColumn]) {
        let Some(order_by) = order_by else { return };
        if let OrderByKind::All(options) = &order_by.kind {
            let options = *options;
            order_by.kind = super::clauses::by_position(columns.len(), options);
            return;
        }
        let OrderByKind::Expressions(expressions) = &mut order_by.kind else {
            return;
        };
        let mut scope = Scope::root();
        for column in columns {
            let mut named = super::scope::ScopeColumn::of("", &column.name, None);
            named.relation = None;
            named.target = trees::column(None, &column.name);
            scope.push(named);
        }
        for expression in expressions {
            if super::clauses::position(&expression.expr).is_none() {
                self.expression(&mut expression.expr, &scope);
            }
        }
    }

    /// Reports columns of one result that share a name, unless they only come from different
    /// relations (`SELECT * FROM a JOIN b`), which the planner can tell apart.
    pub(super) fn check_unique(&mut self, columns: &[OutputColumn]) {
        for (at, column) in columns.iter().enumerate() {
            let twin = columns[..at].iter().find(|other| other.name == column.name);
            if twin.is_none() || column.span == Span::empty() {
                continue;
            }
            let mistake = Mistake::new(
                codes::DUPLICATE_COLUMN,
                format!("two columns of the result are named `{}`", column.name),
                column.span,
                "the second one",
            );
            self.report(mistake.help(format!(
                "give one of them another name: `… AS {}_2`",
                column.name
            )));
        }
    }
}

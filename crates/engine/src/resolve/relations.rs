//! FROM: relations and joins, and the columns that they bring into sight.

use arrow::datatypes::DataType;
use sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, Join, JoinConstraint, JoinOperator,
    ObjectName, Spanned, TableAlias, TableFactor, TableWithJoins,
};
use sqlparser::tokenizer::Span;

use super::mistake::{Mistake, list, nearest};
use super::scope::{Found, Scope, ScopeColumn, same};
use super::{OutputColumn, Resolver, trees};
use crate::codes;

/// A column that a relation brings, before it has a scope.
struct Brought {
    name: String,
    data_type: Option<DataType>,
    in_star: bool,
}

impl Brought {
    fn of(column: OutputColumn) -> Self {
        Self {
            name: column.name,
            data_type: column.data_type,
            in_star: true,
        }
    }
}

impl Resolver<'_> {
    /// Settles a FROM clause; the scope that it makes.
    pub(super) fn from<'p>(
        &mut self,
        from: &mut [TableWithJoins],
        outer: Option<&'p Scope<'p>>,
    ) -> Scope<'p> {
        let mut scope = Scope::within(outer);
        for table in from {
            self.table_with_joins(table, &mut scope);
        }
        scope
    }

    fn table_with_joins(&mut self, table: &mut TableWithJoins, scope: &mut Scope<'_>) {
        let start = scope.columns.len();
        self.factor(&mut table.relation, scope);
        for join in &mut table.joins {
            let before = scope.columns.len();
            self.factor(&mut join.relation, scope);
            self.join(join, scope, start, before);
        }
    }

    fn factor(&mut self, factor: &mut TableFactor, scope: &mut Scope<'_>) {
        let span = factor.span();
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                sample,
                ..
            } => {
                if sample.is_some() {
                    let instead = "filter with `rand() < 0.1` for a sample";
                    self.report(Mistake::unsupported("TABLESAMPLE", span, instead));
                }
                let brought = self.named_table(name, span);
                let default = last_part(name);
                self.bring(alias, &default, brought, scope);
            }
            TableFactor::Table {
                name,
                alias,
                args: Some(arguments),
                ..
            } => {
                let arguments = std::mem::take(&mut arguments.args);
                let (name, mut alias) = (name.clone(), alias.take());
                *factor = self.table_function(&name, arguments, &mut alias, scope, span);
            }
            TableFactor::Function {
                name, args, alias, ..
            } => {
                let arguments = std::mem::take(args);
                let (name, mut alias) = (name.clone(), alias.take());
                *factor = self.table_function(&name, arguments, &mut alias, scope, span);
            }
            TableFactor::Derived {
                lateral,
                subquery,
                alias,
                sample: _,
            } => {
                let parent = if *lateral {
                    Some(&*scope)
                } else {
                    scope.parent
                };
                let columns = self.query(subquery, parent);
                let columns = match alias {
                    Some(alias) => self.renamed(columns, alias),
                    None => columns,
                };
                self.check_unique(&columns);
                let default = self.generate("derived");
                let brought = columns.into_iter().map(Brought::of).collect();
                self.bring(alias, &default, brought, scope);
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias,
            } => {
                let mut inner = Scope::within(scope.parent);
                self.table_with_joins(table_with_joins, &mut inner);
                if let Some(alias) = alias {
                    for column in &mut inner.columns {
                        column.relation = Some(alias.name.value.clone());
                        column.target = trees::column(Some(&alias.name.value), &column.name);
                    }
                }
                scope.columns.append(&mut inner.columns);
            }
            _ => {
                let construct = construct_of(factor);
                self.report(Mistake::unsupported(construct, span, ""));
            }
        }
    }

    /// The columns of a binding or of a common table; its name becomes the exact one.
    fn named_table(&mut self, name: &mut ObjectName, span: Span) -> Vec<Brought> {
        let written = last_part(name);
        if name.0.len() == 1
            && let Some(table) = self
                .common_tables
                .iter()
                .rev()
                .find(|table| same(&table.name, &written))
        {
            let columns = table.columns.clone();
            *name = trees::object_name(&table.name);
            return columns.into_iter().map(Brought::of).collect();
        }
        if let Some(binding) = self.bindings.get(&written) {
            let fields = binding.provider.schema();
            let brought = fields.fields().iter().map(|field| Brought {
                name: field.name().clone(),
                data_type: Some(field.data_type().clone()),
                in_star: !binding.hidden.contains(field.name()),
            });
            return brought.collect();
        }
        let known: Vec<&str> = self.common_tables.iter().map(|t| t.name.as_str()).collect();
        let mut mistake = Mistake::new(
            codes::UNKNOWN_RELATION,
            format!("there is no table `{name}`"),
            span,
            "not found",
        );
        if let Some(near) = nearest(&written, known) {
            mistake = mistake.help(format!("did you mean `{near}`?"));
        }
        self.report(mistake);
        Vec::new()
    }

    /// Puts the columns of a relation into the scope, under a name that no other has.
    fn bring(
        &mut self,
        alias: &mut Option<TableAlias>,
        default: &str,
        brought: Vec<Brought>,
        scope: &mut Scope<'_>,
    ) {
        let written = alias
            .as_ref()
            .map_or_else(|| default.to_owned(), |alias| alias.name.value.clone());
        let exact = if scope.has_relation(&written) {
            self.generate("relation")
        } else {
            written.clone()
        };
        let mut given = alias
            .take()
            .unwrap_or_else(|| trees::table_alias(&exact, &[]));
        given.name.value.clone_from(&exact);
        given.name.quote_style = None;
        let names: Vec<String> = given.columns.iter().map(|c| c.name.value.clone()).collect();
        for (at, column) in brought.into_iter().enumerate() {
            let name = names.get(at).cloned().unwrap_or(column.name);
            if !names.is_empty() && at >= names.len() {
                let more = trees::table_alias("", std::slice::from_ref(&name)).columns;
                given.columns.extend(more);
            }
            let mut entry = ScopeColumn::of(&exact, &name, column.data_type);
            entry.relation = Some(written.clone());
            entry.in_star = column.in_star;
            scope.push(entry);
        }
        *alias = Some(given);
    }

    /// `range(…)`, `explode(…)` in FROM.
    fn table_function(
        &mut self,
        name: &ObjectName,
        arguments: Vec<FunctionArg>,
        alias: &mut Option<TableAlias>,
        scope: &mut Scope<'_>,
        span: Span,
    ) -> TableFactor {
        let mut expressions: Vec<Expr> = arguments.into_iter().filter_map(plain).collect();
        for expression in &mut expressions {
            self.expression(expression, &Scope::within(scope.parent));
        }
        let written = last_part(name).to_lowercase();
        let default = self.generate("function");
        let given = alias.is_some();
        let column = match written.as_str() {
            "range" => "id",
            "explode" | "explode_outer" | "unnest" => "col",
            _ => {
                let mistake = Mistake::new(
                    codes::UNKNOWN_FUNCTION,
                    format!("there is no table function `{written}`"),
                    span,
                    "not found",
                );
                self.report(mistake.help("table functions are `range` and `explode`"));
                "col"
            }
        };
        let mut full = alias
            .take()
            .unwrap_or_else(|| trees::table_alias(&default, &[]));
        if full.columns.is_empty() {
            full.columns = trees::table_alias("", &[column.to_owned()]).columns;
        }
        let name_of_column = full.columns[0].name.value.clone();
        let mut slot = Some(full);
        let brought = vec![Brought {
            name: name_of_column,
            data_type: None,
            in_star: true,
        }];
        self.bring(&mut slot, if given { "" } else { &default }, brought, scope);
        if written == "range" {
            let args = expressions
                .into_iter()
                .map(|e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e)))
                .collect();
            return TableFactor::Function {
                lateral: false,
                name: trees::object_name("range"),
                args,
                with_ordinality: false,
                alias: slot,
            };
        }
        TableFactor::UNNEST {
            alias: slot,
            array_exprs: expressions,
            with_offset: false,
            with_offset_alias: None,
            with_ordinality: false,
        }
    }

    fn join(&mut self, join: &mut Join, scope: &mut Scope<'_>, start: usize, before: usize) {
        let span = join.relation.span();
        let kind = kind_of(&mut join.join_operator);
        let Some((kind, constraint)) = kind else {
            let instead = "write it as a plain JOIN with ON";
            self.report(Mistake::unsupported("this kind of join", span, instead));
            return;
        };
        let names = match constraint {
            JoinConstraint::On(condition) => {
                self.expression(condition, scope);
                None
            }
            JoinConstraint::Using(names) => Some(
                names
                    .iter()
                    .map(|name| (last_part(name), name.span()))
                    .collect::<Vec<_>>(),
            ),
            JoinConstraint::Natural => Some(common_names(scope, start, before, span)),
            JoinConstraint::None => None,
        };
        if let Some(names) = names {
            let condition = self.using(&names, kind, scope, start, before);
            *constraint = condition.map_or(JoinConstraint::None, JoinConstraint::On);
        }
        match kind {
            Kind::LeftOnly => scope.columns.truncate(before),
            Kind::RightOnly => {
                scope.columns.drain(start..before);
            }
            _ => {}
        }
    }

    /// `USING (…)` as a condition; the columns that it joins become one.
    fn using(
        &mut self,
        names: &[(String, Span)],
        kind: Kind,
        scope: &mut Scope<'_>,
        start: usize,
        before: usize,
    ) -> Option<Expr> {
        let mut condition: Option<Expr> = None;
        let mut merged = Vec::new();
        for (name, span) in names {
            let left = self.side(scope, start..before, name, *span);
            let right = self.side(scope, before..scope.columns.len(), name, *span);
            let (Some(left), Some(right)) = (left, right) else {
                continue;
            };
            let (one, other) = (scope.columns[left].clone(), scope.columns[right].clone());
            let equal = trees::binary(one.target.clone(), BinaryOperator::Eq, other.target.clone());
            condition = Some(match condition {
                Some(rest) => trees::binary(rest, BinaryOperator::And, equal),
                None => equal,
            });
            let target = match kind {
                Kind::Right | Kind::RightOnly => other.target,
                Kind::Full => trees::call("coalesce", vec![one.target.clone(), other.target]),
                _ => one.target.clone(),
            };
            for at in [left, right] {
                scope.columns[at].in_star = false;
                scope.columns[at].bare = false;
            }
            merged.push(ScopeColumn {
                relation: None,
                target,
                in_star: true,
                bare: true,
                ..one
            });
        }
        if matches!(kind, Kind::LeftOnly | Kind::RightOnly) {
            for column in &mut scope.columns[start..] {
                column.bare = true;
                column.in_star = true;
            }
        } else {
            scope.columns.splice(start..start, merged);
        }
        condition
    }

    /// The place of a column that USING names, on one side of the join.
    fn side(
        &mut self,
        scope: &Scope<'_>,
        range: std::ops::Range<usize>,
        name: &str,
        span: Span,
    ) -> Option<usize> {
        let columns = &scope.columns[range.clone()];
        let part = Scope {
            columns: columns.to_vec(),
            parent: None,
        };
        if let Found::One(found) = part.find(None, name) {
            let at = columns
                .iter()
                .position(|c| c.name == found.name && c.target == found.target && c.bare);
            return at.map(|at| range.start + at);
        }
        let names = columns.iter().map(|column| column.name.as_str());
        let mistake = Mistake::new(
            codes::UNKNOWN_COLUMN,
            format!("USING needs a column `{name}` on both sides of the join, exactly once"),
            span,
            "not on both sides",
        );
        self.report(mistake.note(format!("one side has {}", list(names))));
        None
    }
}

/// Which sides of a join keep their rows and columns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Inner,
    Left,
    Right,
    Full,
    LeftOnly,
    RightOnly,
}

/// The kind of a join with its constraint; SEMI and ANTI become LEFT SEMI and LEFT ANTI.
fn kind_of(operator: &mut JoinOperator) -> Option<(Kind, &mut JoinConstraint)> {
    if let JoinOperator::Semi(constraint) = operator {
        *operator = JoinOperator::LeftSemi(std::mem::replace(constraint, JoinConstraint::None));
    } else if let JoinOperator::Anti(constraint) = operator {
        *operator = JoinOperator::LeftAnti(std::mem::replace(constraint, JoinConstraint::None));
    }
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::CrossJoin(constraint) => Some((Kind::Inner, constraint)),
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
            Some((Kind::Left, constraint))
        }
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
            Some((Kind::Right, constraint))
        }
        JoinOperator::FullOuter(constraint) => Some((Kind::Full, constraint)),
        JoinOperator::LeftSemi(constraint) | JoinOperator::LeftAnti(constraint) => {
            Some((Kind::LeftOnly, constraint))
        }
        JoinOperator::RightSemi(constraint) | JoinOperator::RightAnti(constraint) => {
            Some((Kind::RightOnly, constraint))
        }
        _ => None,
    }
}

/// The names that both sides of a NATURAL join have.
fn common_names(scope: &Scope<'_>, start: usize, before: usize, span: Span) -> Vec<(String, Span)> {
    let (left, right) = (&scope.columns[start..before], &scope.columns[before..]);
    left.iter()
        .filter(|column| column.bare && column.in_star)
        .filter(|column| right.iter().any(|other| same(&other.name, &column.name)))
        .map(|column| (column.name.clone(), span))
        .collect()
}

fn plain(argument: FunctionArg) -> Option<Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression))
        | FunctionArg::Named {
            arg: FunctionArgExpr::Expr(expression),
            ..
        } => Some(expression),
        _ => None,
    }
}

/// The last part of a qualified name.
pub(super) fn last_part(name: &ObjectName) -> String {
    name.0
        .last()
        .and_then(|part| part.as_ident())
        .map_or_else(|| name.to_string(), |ident| ident.value.clone())
}

fn construct_of(factor: &TableFactor) -> &'static str {
    match factor {
        TableFactor::Pivot { .. } => "PIVOT",
        TableFactor::Unpivot { .. } => "UNPIVOT",
        TableFactor::MatchRecognize { .. } => "MATCH_RECOGNIZE",
        TableFactor::UNNEST { .. } => "UNNEST in FROM (write `LATERAL VIEW explode(…)`)",
        _ => "this kind of relation",
    }
}

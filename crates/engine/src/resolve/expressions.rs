//! Expressions: every identifier replaced by the column it means, Spark's operators and calls
//! rewritten to what the planner knows.

use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, Function, FunctionArguments, Ident, Query, SetExpr, Spanned,
    UnaryOperator, Values, VisitMut, VisitorMut,
};
use sqlparser::tokenizer::Span;

use super::mistake::{Mistake, list, nearest};
use super::scope::{Found, Scope, ScopeColumn, same, texts};
use super::select::Item;
use super::{Resolver, calls, literals, rows, trees};
use crate::codes;
use crate::session::FunctionKind;

/// The aliases of the projection that an expression may use, and when.
pub(super) struct Aliases<'i> {
    items: &'i [Item],
    /// Before the columns of FROM, or after.
    first: bool,
    /// Left as a name, or replaced by what it stands for.
    by_name: bool,
}

impl<'i> Aliases<'i> {
    /// None.
    pub(super) fn none() -> Self {
        Self::after(&[])
    }

    /// Where no column of FROM has the name.
    pub(super) fn after(items: &'i [Item]) -> Self {
        Self {
            items,
            first: false,
            by_name: false,
        }
    }

    /// Before the columns of FROM, outside aggregates.
    pub(super) fn first(items: &'i [Item]) -> Self {
        Self {
            items,
            first: true,
            by_name: false,
        }
    }

    /// Before the columns of FROM, left as names.
    pub(super) fn by_name(items: &'i [Item]) -> Self {
        Self {
            items,
            first: true,
            by_name: true,
        }
    }

    fn find(&self, name: &str) -> Option<Expr> {
        let item = self
            .items
            .iter()
            .rev()
            .find(|item| same(&item.name, name))?;
        if self.first && !item.aliased {
            return None;
        }
        if self.by_name {
            return Some(trees::column(None, &item.name));
        }
        Some(trees::nested(item.expression.clone()))
    }
}

impl Resolver<'_> {
    /// Settles an expression over the columns of a scope.
    pub(super) fn expression(&mut self, expression: &mut Expr, scope: &Scope<'_>) {
        self.expression_with(expression, scope, &Aliases::none());
    }

    /// Settles an expression that may also use aliases of the projection.
    pub(super) fn expression_with(
        &mut self,
        expression: &mut Expr,
        scope: &Scope<'_>,
        aliases: &Aliases<'_>,
    ) {
        let mut walk = Walk {
            resolver: self,
            scope,
            aliases,
            parameters: Vec::new(),
            subqueries: Vec::new(),
            aggregates: 0,
        };
        let _ = expression.visit(&mut walk);
    }
}

struct Walk<'w, 'a, 's, 'i> {
    resolver: &'w mut Resolver<'a>,
    scope: &'w Scope<'s>,
    aliases: &'w Aliases<'i>,
    /// The parameters of the lambdas around, innermost last.
    parameters: Vec<String>,
    /// The settled subqueries whose places are kept free while their surroundings are walked.
    subqueries: Vec<Query>,
    /// How many aggregates are around.
    aggregates: usize,
}

impl VisitorMut for Walk<'_, '_, '_, '_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::InSubquery { .. } = expression {
            let alias = self.resolver.generate("in");
            if let Err(mistake) = rows::as_exists(expression, &alias) {
                self.resolver.report(mistake);
            }
        }
        match expression {
            Expr::Subquery(query)
            | Expr::Exists {
                subquery: query, ..
            }
            | Expr::InSubquery {
                subquery: query, ..
            } => self.take_subquery(query),
            Expr::CompoundFieldAccess { .. } => peel(expression),
            Expr::Function(function) => {
                calls::prepare(function);
                if self.kind(function) == Some(FunctionKind::Aggregate) {
                    self.aggregates += 1;
                }
            }
            Expr::Struct { values, fields } if fields.is_empty() => {
                *expression = calls::named_struct(std::mem::take(values));
            }
            Expr::InList { .. } => rows::spread(expression),
            Expr::Tuple(values) => {
                *expression = calls::named_struct(std::mem::take(values));
            }
            Expr::Lambda(lambda) => {
                let names = lambda.params.iter().map(|p| p.name.value.clone());
                self.parameters.extend(names.collect::<Vec<_>>());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        match expression {
            Expr::Subquery(query)
            | Expr::Exists {
                subquery: query, ..
            }
            | Expr::InSubquery {
                subquery: query, ..
            } => {
                if let Some(settled) = self.subqueries.pop() {
                    **query = settled;
                }
            }
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => self.identifier(expression),
            Expr::Lambda(lambda) => {
                let left = self
                    .parameters
                    .len()
                    .saturating_sub(lambda.params.iter().count());
                self.parameters.truncate(left);
            }
            Expr::Function(function) => {
                if let Some(over) = &mut function.over {
                    literals::make_bounds_plain(over);
                }
                self.call(expression);
            }
            Expr::Interval(interval) => literals::make_plain(&mut interval.value),
            other => {
                rewrite_operator(other);
                literals::settle(other);
            }
        }
        ControlFlow::Continue(())
    }
}

impl Walk<'_, '_, '_, '_> {
    fn kind(&self, function: &Function) -> Option<FunctionKind> {
        let name = super::relations::last_part(&function.name).to_lowercase();
        self.resolver.functions.kind(&name)
    }

    /// Settles a subquery and leaves an empty one in its place, for the walk not to enter it.
    fn take_subquery(&mut self, query: &mut Query) {
        let empty = trees::query(SetExpr::Values(Values {
            explicit_row: false,
            value_keyword: false,
            rows: Vec::new(),
        }));
        let mut taken = std::mem::replace(query, empty);
        self.resolver.query(&mut taken, Some(self.scope));
        self.subqueries.push(taken);
    }

    fn call(&mut self, expression: &mut Expr) {
        let Expr::Function(function) = expression else {
            return;
        };
        let name = super::relations::last_part(&function.name).to_lowercase();
        match self.kind(function) {
            Some(FunctionKind::Aggregate) => self.aggregates = self.aggregates.saturating_sub(1),
            Some(_) => {}
            None => {
                self.unknown_function(&name, function);
                return;
            }
        }
        let bare = function.args == FunctionArguments::None && function.over.is_none();
        if bare && !function.name.0.is_empty() && self.is_column(&name) {
            let span = function.name.span();
            let mut column = Expr::Identifier(Ident::with_span(span, name));
            self.identifier(&mut column);
            *expression = column;
            return;
        }
        let mut settled = function.clone();
        settled.name = trees::object_name(&name);
        if let Some(part) = settled.name.0.first_mut()
            && let sqlparser::ast::ObjectNamePart::Identifier(ident) = part
        {
            ident.span = function.name.span();
        }
        match calls::rewrite(settled) {
            Ok(rewritten) => *expression = rewritten,
            Err(mistake) => self.resolver.report(mistake),
        }
    }

    fn is_column(&self, name: &str) -> bool {
        matches!(self.scope.find(None, name), Found::One(_))
    }

    fn unknown_function(&mut self, name: &str, function: &Function) {
        let span = function.name.span();
        let message = format!("there is no function `{name}`");
        let mut mistake = Mistake::new(codes::UNKNOWN_FUNCTION, message, span, "not found");
        if let Some(near) = self.resolver.functions.nearest(name) {
            mistake = mistake.help(format!("did you mean `{near}`?"));
        }
        self.resolver.report(mistake);
    }

    fn identifier(&mut self, expression: &mut Expr) {
        let parts = match expression {
            Expr::Identifier(one) => vec![one.clone()],
            Expr::CompoundIdentifier(parts) => parts.clone(),
            _ => return,
        };
        if let Some(number) = literals::suffixed(&parts[0])
            && parts.len() == 1
        {
            *expression = number;
            return;
        }
        let span = Span::union_iter(parts.iter().map(|part| part.span));
        if let Some(parameter) = self.parameter(&parts[0].value) {
            let root = trees::column(None, &parameter);
            *expression = with_fields(root, None, &parts[1..]);
            return;
        }
        if let [one] = parts.as_slice()
            && self.aliases.first
            && self.aggregates == 0
            && let Some(meant) = self.aliases.find(&one.value)
        {
            *expression = meant;
            return;
        }
        let mut scope = Some(self.scope);
        let mut own = true;
        while let Some(current) = scope {
            match find_parts(current, &parts) {
                Ok(Some((column, fields))) => {
                    let root = trees::spanned(column.target.clone(), span);
                    *expression = with_fields(root, column.data_type.as_ref(), fields);
                    return;
                }
                Ok(None) => {}
                Err(several) => {
                    self.ambiguous(&parts, several, span);
                    return;
                }
            }
            // An alias that comes first was looked for above, unless a field of it is meant.
            let late = !self.aliases.first || (parts.len() > 1 && self.aggregates == 0);
            if own
                && late
                && let Some(meant) = self.aliases.find(&parts[0].value)
            {
                *expression = with_fields(meant, None, &parts[1..]);
                return;
            }
            own = false;
            scope = current.parent;
        }
        self.unknown(&parts, span);
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let found = self.parameters.iter().rev().find(|p| same(p, name));
        found.cloned()
    }

    fn ambiguous(&mut self, parts: &[Ident], several: Vec<String>, span: Span) {
        let written = texts(parts).join(".");
        let message = format!("`{written}` can mean several columns");
        let names = list(several.iter().map(String::as_str));
        let mistake = Mistake::new(codes::AMBIGUOUS_COLUMN, message, span, "which one?")
            .help(format!("write one of {names}"));
        self.resolver.report(mistake);
    }

    fn unknown(&mut self, parts: &[Ident], span: Span) {
        let written = texts(parts).join(".");
        if let [relation, column, ..] = parts
            && self.scope.has_relation(&relation.value)
        {
            let columns: Vec<&str> = self
                .scope
                .columns
                .iter()
                .filter(|c| c.is_of(Some(&relation.value)))
                .map(|c| c.name.as_str())
                .collect();
            let message = format!("`{}` has no column `{}`", relation.value, column.value);
            let mistake = Mistake::new(codes::UNKNOWN_COLUMN, message, column.span, "not found");
            self.resolver
                .report(advised(mistake, &column.value, &columns));
            return;
        }
        let relations = self.scope.relations();
        if let [relation, _, ..] = parts
            && !relations.is_empty()
            && let Some(near) = nearest(&relation.value, relations.iter().copied())
        {
            let message = format!("no relation of the query is named `{}`", relation.value);
            let code = codes::UNKNOWN_RELATION;
            let mistake = Mistake::new(code, message, relation.span, "not found");
            let mistake = mistake.help(format!("did you mean `{near}`?"));
            self.resolver.report(mistake);
            return;
        }
        let mut columns: Vec<&str> = Vec::new();
        let mut scope = Some(self.scope);
        while let Some(current) = scope {
            let visible = current.columns.iter().filter(|c| c.bare);
            columns.extend(visible.map(|c| c.name.as_str()));
            scope = current.parent;
        }
        let message = format!("there is no column `{written}`");
        let mistake = Mistake::new(codes::UNKNOWN_COLUMN, message, span, "not found");
        let last = parts.last().map_or("", |part| part.value.as_str());
        self.resolver.report(advised(mistake, last, &columns));
    }
}

/// The nearest of the names that exist, and what they are.
fn advised(mistake: Mistake, written: &str, columns: &[&str]) -> Mistake {
    let mistake = match nearest(written, columns.iter().copied()) {
        Some(near) => mistake.help(format!("did you mean `{near}`?")),
        None => mistake,
    };
    match columns {
        [] => mistake.note("the query has no columns here"),
        some => mistake.note(format!("there are {}", list(some.iter().copied()))),
    }
}

/// The column that the first parts of a name mean in one scope, and the parts behind it.
type PartsFound<'s, 'p> = Option<(&'s ScopeColumn, &'p [Ident])>;

/// Looks up `relation.column.field…`, `schema.relation.column…` and `column.field…`.
fn find_parts<'s, 'p>(
    scope: &'s Scope<'_>,
    parts: &'p [Ident],
) -> Result<PartsFound<'s, 'p>, Vec<String>> {
    let longest = parts.len().saturating_sub(1).min(3);
    let mut several = None;
    for qualifiers in (0..=longest).rev() {
        let relation = qualifiers.checked_sub(1).map(|at| parts[at].value.as_str());
        match scope.find(relation, &parts[qualifiers].value) {
            Found::One(column) => return Ok(Some((column, &parts[qualifiers + 1..]))),
            Found::Many(columns) => {
                several = Some(columns.iter().map(|c| c.describe()).collect());
            }
            Found::Nothing => {}
        }
    }
    several.map_or(Ok(None), Err)
}

/// `root.field.field`, the fields' names made exact as far as the type is known.
fn with_fields(mut root: Expr, data_type: Option<&DataType>, fields: &[Ident]) -> Expr {
    let mut data_type = data_type.cloned();
    for field in fields {
        let known = match &data_type {
            Some(DataType::Struct(all)) => {
                let exact = all.iter().find(|f| f.name() == &field.value);
                exact
                    .or_else(|| all.iter().find(|f| same(f.name(), &field.value)))
                    .cloned()
            }
            _ => None,
        };
        let name = known.as_ref().map_or(&field.value, |known| known.name());
        root = trees::call("get_field", vec![root, trees::string(name)]);
        data_type = known.map(|known| known.data_type().clone());
    }
    root
}

/// Turns `a.b[0].c` so that the leading names can be looked up as one, and later fields are calls.
fn peel(expression: &mut Expr) {
    let Expr::CompoundFieldAccess { root, access_chain } = expression else {
        return;
    };
    let mut names = match root.as_ref() {
        Expr::Identifier(one) => vec![one.clone()],
        Expr::CompoundIdentifier(parts) => parts.clone(),
        _ => Vec::new(),
    };
    let mut chain = std::mem::take(access_chain).into_iter().peekable();
    if !names.is_empty() {
        while let Some(AccessExpr::Dot(Expr::Identifier(_))) = chain.peek() {
            if let Some(AccessExpr::Dot(Expr::Identifier(name))) = chain.next() {
                names.push(name);
            }
        }
    }
    let mut current = match names.len() {
        0 => std::mem::replace(root.as_mut(), trees::null()),
        1 => Expr::Identifier(names.remove(0)),
        _ => Expr::CompoundIdentifier(names),
    };
    for access in chain {
        current = match access {
            AccessExpr::Dot(Expr::Identifier(name)) => {
                trees::call("get_field", vec![current, trees::string(&name.value)])
            }
            AccessExpr::Dot(Expr::Value(value)) => {
                trees::call("get_field", vec![current, Expr::Value(value)])
            }
            other => Expr::CompoundFieldAccess {
                root: Box::new(current),
                access_chain: vec![other],
            },
        };
    }
    *expression = current;
}

/// Operators that the planner does not know.
fn rewrite_operator(expression: &mut Expr) {
    let take = |slot: &mut Box<Expr>| Box::new(std::mem::replace(slot.as_mut(), trees::null()));
    match expression {
        Expr::BinaryOp { left, op, right } if *op == BinaryOperator::Spaceship => {
            *expression = Expr::IsNotDistinctFrom(take(left), take(right));
        }
        Expr::BinaryOp { left, op, right } if *op == BinaryOperator::StringConcat => {
            *expression = trees::call("concat", vec![*take(left), *take(right)]);
        }
        Expr::BinaryOp { left, op, right } if *op == BinaryOperator::MyIntegerDivide => {
            *expression = trees::call("div", vec![*take(left), *take(right)]);
        }
        Expr::RLike {
            negated,
            expr,
            pattern,
            ..
        } => {
            let found = trees::call("regexp_like", vec![*take(expr), *take(pattern)]);
            *expression = match negated {
                true => Expr::UnaryOp {
                    op: UnaryOperator::Not,
                    expr: Box::new(found),
                },
                false => found,
            };
        }
        Expr::UnaryOp { op, .. } if *op == UnaryOperator::BangNot => *op = UnaryOperator::Not,
        Expr::UnaryOp { op, expr } if *op == UnaryOperator::BitwiseNot => {
            *expression = trees::call("bitwise_not", vec![*take(expr)]);
        }
        _ => {}
    }
}

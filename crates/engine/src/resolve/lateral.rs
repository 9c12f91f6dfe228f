//! Generators: `explode` and its kin, in LATERAL VIEW and in the projection.
//!
//! Both become a subquery in FROM that gives the columns in sight and, beside them, what is
//! generated; every column keeps its name to the user and is reached through the subquery. The
//! planner does the rest with its UNNEST.

use arrow::datatypes::DataType;
use sqlparser::ast::{
    Expr, Function, FunctionArguments, Ident, LateralView, Select, SelectItem, SetExpr, Spanned,
    TableFactor, TableWithJoins,
};
use sqlparser::tokenizer::Span;

use super::calls::arguments;
use super::mistake::Mistake;
use super::relations::last_part;
use super::scope::{Scope, ScopeColumn};
use super::{Resolver, trees};
use crate::codes;

/// What a generator makes: expressions for the subquery, and the columns read off them.
struct Generated {
    expressions: Vec<Expr>,
    columns: Vec<(String, Expr)>,
}

impl Resolver<'_> {
    pub(super) fn lateral_views(&mut self, select: &mut Select, scope: &mut Scope<'_>) {
        for view in std::mem::take(&mut select.lateral_views) {
            self.lateral_view(view, select, scope);
        }
    }

    fn lateral_view(&mut self, view: LateralView, select: &mut Select, scope: &mut Scope<'_>) {
        let span = view.lateral_view.span();
        let Expr::Function(function) = view.lateral_view else {
            let instead = "write `LATERAL VIEW explode(…) name AS column`";
            self.report(Mistake::unsupported("this LATERAL VIEW", span, instead));
            return;
        };
        let relation = last_part(&view.lateral_view_name);
        self.generate_columns(
            function,
            view.outer,
            &view.lateral_col_alias,
            &relation,
            select,
            scope,
        );
    }

    /// Moves generators out of the projection: `SELECT explode(a) AS x` reads as
    /// `LATERAL VIEW explode(a) … AS x`.
    pub(super) fn selected_generators(&mut self, select: &mut Select, scope: &mut Scope<'_>) {
        for at in 0..select.projection.len() {
            let (expression, names) = match &select.projection[at] {
                SelectItem::UnnamedExpr(expression) => (expression, Vec::new()),
                SelectItem::ExprWithAlias { expr, alias } => (expr, vec![alias.clone()]),
                SelectItem::ExprWithAliases { expr, aliases } => (expr, aliases.clone()),
                _ => continue,
            };
            let Expr::Function(function) = expression else {
                continue;
            };
            if !is_generator(&last_part(&function.name).to_lowercase()) {
                continue;
            }
            let function = function.clone();
            let relation = self.generate("generated");
            let made = self.generate_columns(function, false, &names, &relation, select, scope);
            let items: Vec<SelectItem> = made
                .iter()
                .map(|name| SelectItem::UnnamedExpr(trees::column(Some(&relation), name)))
                .collect();
            for column in &mut scope.columns {
                if column.relation.as_deref() == Some(&relation) {
                    column.in_star = false;
                }
            }
            select.projection.splice(at..=at, items);
        }
    }

    /// Adds the columns of a generator to the scope, and its subquery to FROM; the columns' names.
    fn generate_columns(
        &mut self,
        function: Function,
        outer: bool,
        names: &[Ident],
        relation: &str,
        select: &mut Select,
        scope: &mut Scope<'_>,
    ) -> Vec<String> {
        let span = function.name.span();
        let name = last_part(&function.name).to_lowercase();
        if !is_generator(&name) {
            let mistake = Mistake::new(
                codes::UNKNOWN_FUNCTION,
                format!("`{name}` makes no rows"),
                span,
                "not a generator",
            );
            self.report(mistake.help(
                "generators are `explode`, `posexplode` and their `_outer` forms, and `inline`",
            ));
            return Vec::new();
        }
        let FunctionArguments::List(_) = &function.args else {
            return Vec::new();
        };
        let Some(mut argument) = arguments(&function).into_iter().next() else {
            let message = format!("`{name}` needs an array or a map");
            self.report(Mistake::new(codes::ARGUMENTS, message, span, "no argument"));
            return Vec::new();
        };
        self.expression(&mut argument, scope);
        let data_type = scope
            .columns
            .iter()
            .find(|column| column.target == argument)
            .and_then(|column| column.data_type.clone());
        let outer = outer || name.ends_with("_outer");
        let alias = self.generate("lateral");
        let plain = name.trim_end_matches("_outer");
        let generated = match generated(
            plain,
            argument,
            data_type.as_ref(),
            names.len(),
            outer,
            &alias,
        ) {
            Some(generated) => generated,
            None => {
                let construct = format!("`{name}` of this argument");
                let instead = "read the array from a column whose type is known, or use `explode`";
                self.report(Mistake::unsupported(&construct, span, instead));
                return Vec::new();
            }
        };
        if !names.is_empty() && names.len() != generated.columns.len() {
            let message = format!(
                "`{name}` makes {} columns here, but {} names are given",
                generated.columns.len(),
                names.len()
            );
            self.report(Mistake::new(
                codes::COLUMN_COUNT,
                message,
                span,
                "this generator",
            ));
        }
        self.wrap(select, scope, generated.expressions, &alias, span);
        let mut made = Vec::new();
        for (at, (default, target)) in generated.columns.into_iter().enumerate() {
            let name = names.get(at).map_or(default, |given| given.value.clone());
            let mut column = ScopeColumn::of(relation, &name, None);
            column.target = target;
            scope.push(column);
            made.push(name);
        }
        made
    }

    /// Replaces FROM by a subquery that gives its columns and the generated ones.
    fn wrap(
        &mut self,
        select: &mut Select,
        scope: &mut Scope<'_>,
        expressions: Vec<Expr>,
        alias: &str,
        _span: Span,
    ) {
        let mut projection = Vec::new();
        for (at, column) in scope.columns.iter_mut().enumerate() {
            let name = format!("__c{at}");
            let target = std::mem::replace(&mut column.target, trees::column(Some(alias), &name));
            projection.push(SelectItem::ExprWithAlias {
                expr: target,
                alias: trees::ident(&name),
            });
        }
        for (at, expression) in expressions.into_iter().enumerate() {
            projection.push(SelectItem::ExprWithAlias {
                expr: expression,
                alias: trees::ident(&format!("__g{at}")),
            });
        }
        let inner = trees::select(projection, std::mem::take(&mut select.from));
        let factor = TableFactor::Derived {
            lateral: false,
            subquery: Box::new(trees::query(SetExpr::Select(Box::new(inner)))),
            alias: Some(trees::table_alias(alias, &[])),
            sample: None,
        };
        select.from = vec![TableWithJoins {
            relation: factor,
            joins: Vec::new(),
        }];
    }
}

fn is_generator(name: &str) -> bool {
    matches!(
        name,
        "explode" | "explode_outer" | "posexplode" | "posexplode_outer" | "inline" | "inline_outer"
    )
}

fn generated(
    name: &str,
    argument: Expr,
    data_type: Option<&DataType>,
    names: usize,
    outer: bool,
    alias: &str,
) -> Option<Generated> {
    let unnest = |argument: Expr| {
        let function = if outer { "unnest_outer" } else { "unnest" };
        trees::call(function, vec![argument])
    };
    let slot = |at: usize| trees::column(Some(alias), &format!("__g{at}"));
    let field = |name: &str| trees::call("get_field", vec![slot(0), trees::string(name)]);
    let is_map = match data_type {
        Some(DataType::Map(..)) => true,
        Some(_) => false,
        None => names == 2 && name == "explode",
    };
    match name {
        "explode" if is_map => Some(Generated {
            expressions: vec![unnest(trees::call("map_entries", vec![argument]))],
            columns: vec![
                ("key".to_owned(), field("key")),
                ("value".to_owned(), field("value")),
            ],
        }),
        "explode" => Some(Generated {
            expressions: vec![unnest(argument)],
            columns: vec![("col".to_owned(), slot(0))],
        }),
        "posexplode" => {
            let positions = trees::call("array_positions_from_zero", vec![argument.clone()]);
            Some(Generated {
                expressions: vec![unnest(positions), unnest(argument)],
                columns: vec![("pos".to_owned(), slot(0)), ("col".to_owned(), slot(1))],
            })
        }
        "inline" => {
            let (DataType::List(item) | DataType::LargeList(item)) = data_type? else {
                return None;
            };
            let DataType::Struct(fields) = item.data_type() else {
                return None;
            };
            let columns = fields.iter().map(|f| (f.name().clone(), field(f.name())));
            Some(Generated {
                expressions: vec![unnest(argument)],
                columns: columns.collect(),
            })
        }
        _ => None,
    }
}

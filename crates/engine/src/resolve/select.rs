//! SELECT: the projection with its wildcards, aliases and generated names.

use arrow::datatypes::DataType;
use sqlparser::ast::{
    Distinct, ExcludeSelectItem, Expr, Ident, OrderBy, Select, SelectItem,
    SelectItemQualifiedWildcardKind, Spanned, WildcardAdditionalOptions, WindowType,
};
use sqlparser::tokenizer::Span;

use super::expressions::Aliases;
use super::mistake::{Mistake, list, nearest};
use super::query::Names;
use super::scope::{Scope, ScopeColumn, same, texts};
use super::{OutputColumn, Resolver, naming, trees};
use crate::codes;

/// One column of a projection, settled.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) expression: Expr,
    pub(super) data_type: Option<DataType>,
    pub(super) span: Span,
    /// Whether the user gave it the name.
    pub(super) aliased: bool,
}

impl Item {
    fn copied(column: &ScopeColumn, span: Span) -> Self {
        Self {
            name: column.name.clone(),
            expression: trees::spanned(column.target.clone(), span),
            data_type: column.data_type.clone(),
            span: Span::empty(),
            aliased: false,
        }
    }

    /// As DataFusion's planner is to see it: with an alias wherever the name would be another.
    fn into_select_item(self) -> SelectItem {
        let own = match &self.expression {
            Expr::Identifier(one) => Some(&one.value),
            Expr::CompoundIdentifier(parts) => parts.last().map(|part| &part.value),
            _ => None,
        };
        if own == Some(&self.name) {
            return SelectItem::UnnamedExpr(self.expression);
        }
        SelectItem::ExprWithAlias {
            expr: self.expression,
            alias: trees::ident(&self.name),
        }
    }
}

impl Resolver<'_> {
    /// Settles a SELECT and the ORDER BY behind it; the columns of its result.
    pub(super) fn select(
        &mut self,
        select: &mut Select,
        order_by: &mut Option<OrderBy>,
        names: Names,
        outer: Option<&Scope<'_>>,
    ) -> Vec<OutputColumn> {
        self.refuse_select_clauses(select);
        let mut scope = self.from(&mut select.from, outer);
        self.lateral_views(select, &mut scope);
        self.selected_generators(select, &mut scope);
        if let Some(condition) = &mut select.selection {
            self.expression(condition, &scope);
        }
        self.window_names(select, &mut scope);
        let mut items = self.projection(std::mem::take(&mut select.projection), &scope);
        for window in &mut select.named_window {
            if let sqlparser::ast::NamedWindowExpr::WindowSpec(spec) = &mut window.1 {
                let mut over = Some(WindowType::WindowSpec(spec.clone()));
                let mut carrier = trees::function("count", Vec::new(), Span::empty());
                carrier.over = over.take();
                let mut carrier = Expr::Function(carrier);
                self.expression(&mut carrier, &scope);
                if let Expr::Function(carrier) = carrier
                    && let Some(WindowType::WindowSpec(settled)) = carrier.over
                {
                    *spec = settled;
                }
            }
        }
        self.group_by(select, &items, &scope);
        self.having(select, &items, &scope);
        let distinct = select.distinct.is_some();
        if let Some(Distinct::On(expressions)) = &mut select.distinct {
            for expression in expressions {
                self.expression(expression, &scope);
            }
        }
        self.order_by(order_by, &items, distinct, &scope);
        self.check_windows(select, &items, order_by);
        match names {
            Names::Kept => self.check_names(&items),
            Names::Lost => self.tell_apart(&mut items),
        }
        let columns = items
            .iter()
            .map(|item| OutputColumn {
                name: item.name.clone(),
                data_type: item.data_type.clone(),
                span: item.span,
            })
            .collect();
        select.projection = items.into_iter().map(Item::into_select_item).collect();
        columns
    }

    fn refuse_select_clauses(&mut self, select: &Select) {
        let span = select.select_token.0.span;
        let mut refuse = |present: bool, construct: &str, instead: &str| {
            if present {
                self.report(Mistake::unsupported(construct, span, instead));
            }
        };
        refuse(!select.sort_by.is_empty(), "SORT BY", "use ORDER BY");
        refuse(
            !select.cluster_by.is_empty(),
            "CLUSTER BY in a query",
            "use ORDER BY",
        );
        refuse(select.top.is_some(), "TOP", "use LIMIT");
        refuse(
            !select.connect_by.is_empty(),
            "CONNECT BY",
            "use WITH RECURSIVE",
        );
        refuse(
            select.into.is_some(),
            "SELECT INTO",
            "a table is declared by CREATE … AS SELECT",
        );
        refuse(
            select.value_table_mode.is_some(),
            "SELECT AS STRUCT",
            "use `named_struct`",
        );
        refuse(select.prewhere.is_some(), "PREWHERE", "use WHERE");
    }

    /// Two columns of one SELECT may not share a name, unless they are plain columns of two
    /// relations, which the planner tells apart.
    fn check_names(&mut self, items: &[Item]) {
        for (at, item) in items.iter().enumerate() {
            let plain = |item: &Item| matches!(item.expression, Expr::CompoundIdentifier(_));
            let twin = items[..at].iter().find(|other| {
                other.name == item.name
                    && !(plain(other) && plain(item) && differ(&other.expression, &item.expression))
            });
            if twin.is_none() {
                continue;
            }
            let message = format!("two columns of the result are named `{}`", item.name);
            let span = if item.span == Span::empty() {
                item.expression.span()
            } else {
                item.span
            };
            let mistake = Mistake::new(codes::DUPLICATE_COLUMN, message, span, "the second one");
            self.report(mistake.help("give one of them another name with AS"));
        }
    }

    /// Gives a column whose name another one has already a name that nobody writes.
    fn tell_apart(&mut self, items: &mut [Item]) {
        for at in 1..items.len() {
            if items[..at].iter().any(|other| other.name == items[at].name) {
                items[at].name = self.generate("column");
            }
        }
    }

    fn projection(&mut self, written: Vec<SelectItem>, scope: &Scope<'_>) -> Vec<Item> {
        let mut items: Vec<Item> = Vec::with_capacity(written.len());
        for item in written {
            match item {
                SelectItem::Wildcard(options) => {
                    let span = options.wildcard_token.0.span;
                    let columns: Vec<&ScopeColumn> =
                        scope.columns.iter().filter(|c| c.in_star).collect();
                    if scope.columns.is_empty() && self.mistakes.is_empty() {
                        self.report(Mistake::new(
                            codes::UNKNOWN_COLUMN,
                            "`*` has nothing to stand for: the query has no FROM",
                            span,
                            "no columns",
                        ));
                    }
                    let expanded = columns.iter().map(|c| Item::copied(c, span)).collect();
                    items.extend(self.with_options(expanded, &options, scope));
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    let expanded = self.qualified_wildcard(kind, &options, scope);
                    items.extend(self.with_options(expanded, &options, scope));
                }
                SelectItem::UnnamedExpr(expression) => {
                    let name = naming::name_of(&expression);
                    let item = self.item(expression, name, None, &items, scope);
                    items.push(item);
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let item = self.item(expr, alias.value.clone(), Some(&alias), &items, scope);
                    items.push(item);
                }
                SelectItem::ExprWithAliases { expr, aliases } => {
                    let span = expr.span();
                    let message = format!(
                        "several names, {}, for one expression that gives one column",
                        list(texts(&aliases))
                    );
                    let label = "only `explode` of a map and `posexplode` give several columns";
                    self.report(Mistake::new(codes::COLUMN_COUNT, message, span, label));
                }
            }
        }
        items
    }

    fn item(
        &mut self,
        mut expression: Expr,
        name: String,
        alias: Option<&Ident>,
        before: &[Item],
        scope: &Scope<'_>,
    ) -> Item {
        let span = alias.map_or_else(|| expression.span(), |alias| alias.span);
        self.expression_with(&mut expression, scope, &Aliases::after(before));
        let data_type = scope
            .columns
            .iter()
            .find(|column| column.target == expression)
            .and_then(|column| column.data_type.clone());
        Item {
            name,
            expression,
            data_type,
            span,
            aliased: alias.is_some(),
        }
    }

    fn qualified_wildcard(
        &mut self,
        kind: SelectItemQualifiedWildcardKind,
        options: &WildcardAdditionalOptions,
        scope: &Scope<'_>,
    ) -> Vec<Item> {
        let span = options.wildcard_token.0.span;
        let SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
            self.report(Mistake::unsupported("`.*` after an expression", span, ""));
            return Vec::new();
        };
        let relation = super::relations::last_part(&name);
        let span = Span::union(&name.span(), &span);
        let columns: Vec<&ScopeColumn> = scope
            .columns
            .iter()
            .filter(|column| column.is_of(Some(&relation)))
            .collect();
        if !columns.is_empty() {
            return columns
                .iter()
                .map(|column| Item::copied(column, span))
                .collect();
        }
        if let Some(fields) = struct_fields(scope, &relation, span) {
            return fields;
        }
        let relations = scope.relations();
        let mut mistake = Mistake::new(
            codes::UNKNOWN_RELATION,
            format!("no relation of the query is named `{relation}`"),
            span,
            "not found",
        );
        if let Some(near) = nearest(&relation, relations.iter().copied()) {
            mistake = mistake.help(format!("did you mean `{near}.*`?"));
        } else if !relations.is_empty() {
            mistake = mistake.note(format!("there are {}", list(relations)));
        }
        self.report(mistake);
        Vec::new()
    }

    /// `* EXCEPT (…)`, `* REPLACE (…)`, `* RENAME (…)`.
    fn with_options(
        &mut self,
        mut items: Vec<Item>,
        options: &WildcardAdditionalOptions,
        scope: &Scope<'_>,
    ) -> Vec<Item> {
        let mut excluded: Vec<Ident> = Vec::new();
        if let Some(except) = &options.opt_except {
            excluded.push(except.first_element.clone());
            excluded.extend(except.additional_elements.iter().cloned());
        }
        let names = match &options.opt_exclude {
            Some(ExcludeSelectItem::Single(name)) => std::slice::from_ref(name),
            Some(ExcludeSelectItem::Multiple(names)) => names.as_slice(),
            None => &[],
        };
        excluded.extend(names.iter().filter_map(|n| n.0.last()?.as_ident().cloned()));
        for name in &excluded {
            self.check_named(name, &items, "EXCEPT");
        }
        items.retain(|item| !excluded.iter().any(|name| same(&name.value, &item.name)));
        for replaced in options
            .opt_replace
            .iter()
            .flat_map(|replace| &replace.items)
        {
            self.check_named(&replaced.column_name, &items, "REPLACE");
            let mut expression = replaced.expr.clone();
            self.expression(&mut expression, scope);
            for item in &mut items {
                if same(&item.name, &replaced.column_name.value) {
                    item.expression.clone_from(&expression);
                    item.data_type = None;
                }
            }
        }
        let renamed = match &options.opt_rename {
            Some(sqlparser::ast::RenameSelectItem::Single(one)) => std::slice::from_ref(one),
            Some(sqlparser::ast::RenameSelectItem::Multiple(all)) => all.as_slice(),
            None => &[],
        };
        for rename in renamed {
            self.check_named(&rename.ident, &items, "RENAME");
            for item in &mut items {
                if same(&item.name, &rename.ident.value) {
                    item.name.clone_from(&rename.alias.value);
                }
            }
        }
        items
    }

    fn check_named(&mut self, name: &Ident, items: &[Item], clause: &str) {
        if items.iter().any(|item| same(&item.name, &name.value)) {
            return;
        }
        let names = || items.iter().map(|item| item.name.as_str());
        let message = format!("{clause} names `{}`, which `*` does not have", name.value);
        let mut mistake = Mistake::new(codes::UNKNOWN_COLUMN, message, name.span, "not found");
        mistake = match nearest(&name.value, names()) {
            Some(near) => mistake.help(format!("did you mean `{near}`?")),
            None => mistake.note(format!("`*` stands for {}", list(names()))),
        };
        self.report(mistake);
    }
}

/// The fields of a struct column as items, for `column.*`.
fn struct_fields(scope: &Scope<'_>, column: &str, span: Span) -> Option<Vec<Item>> {
    let super::scope::Found::One(found) = scope.find(None, column) else {
        return None;
    };
    let Some(DataType::Struct(fields)) = &found.data_type else {
        return None;
    };
    let items = fields.iter().map(|field| Item {
        name: field.name().clone(),
        expression: trees::call(
            "get_field",
            vec![found.target.clone(), trees::string(field.name())],
        ),
        data_type: Some(field.data_type().clone()),
        span,
        aliased: false,
    });
    Some(items.collect())
}

/// Whether two plain columns are not the same one.
fn differ(one: &Expr, other: &Expr) -> bool {
    match (one, other) {
        (Expr::CompoundIdentifier(one), Expr::CompoundIdentifier(other)) => {
            texts(one) != texts(other)
        }
        _ => true,
    }
}

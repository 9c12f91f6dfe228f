//! Tables in a query's tree become bindings.
//!
//! Every table that is not a common table expression in scope is replaced by `__r0`, `__r1`, … with
//! an alias, and becomes a [`Relation`]. A common table expression hides a table of its name from
//! its own declaration on, and not before: `WITH t AS (SELECT * FROM t) SELECT * FROM t` reads the
//! table once.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use sqlparser::ast::{
    self, Expr, FunctionArg, Ident, ObjectName, ObjectNamePart, Spanned, TableAlias, TableFactor,
    VisitMut, VisitorMut,
};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::model::{Query, Relation, RelationTarget};
use crate::source::Place;

use super::cursor::too_many_parts;
use super::decorate::{Decoration, Decorations};
use super::query::text_of;
use super::tokens::token_place;
use super::{Context, Parsed};

/// Formats that can stand before a path in back-ticks.
const PATH_FORMATS: &[&str] = &[
    "csv",
    "tsv",
    "json",
    "jsonl",
    "parquet",
    "avro",
    "excel",
    "xlsx",
    "xls",
    "ods",
    "text",
    "delta",
    "orc",
    "xml",
    "binaryfile",
];

/// Takes the tables out of a tree.
pub(super) fn bind(
    context: &Context<'_>,
    mut ast: ast::Query,
    decorations: Decorations,
    place: Place,
) -> Result<Query, Vec<Diagnostic>> {
    let mut binder = Binder {
        context,
        decorations,
        query_place: place,
        scope: Vec::new(),
        frames: Vec::new(),
        relations: Vec::new(),
        qualified: Vec::new(),
        diagnostics: Vec::new(),
    };
    let _: ControlFlow<()> = ast.visit(&mut binder);
    binder.refuse_left_over();
    if !binder.diagnostics.is_empty() {
        return Err(binder.diagnostics);
    }
    if !binder.qualified.is_empty() {
        let mut shortener = Shortener(binder.qualified);
        let _: ControlFlow<()> = ast.visit(&mut shortener);
    }
    Ok(Query {
        ast,
        text: text_of(context, place),
        place,
        relations: binder.relations,
    })
}

/// What [`Binder`] puts back when it leaves a query.
struct Frame {
    with: Option<ast::With>,
    scope_before: usize,
}

pub(super) struct Binder<'c> {
    context: &'c Context<'c>,
    decorations: Decorations,
    query_place: Place,
    /// The common table expressions that can be seen here, in lower case.
    scope: Vec<String>,
    frames: Vec<Frame>,
    relations: Vec<Relation>,
    /// Names of relations that were written with dots, to shorten what refers to them.
    qualified: Vec<Vec<String>>,
    diagnostics: Vec<Diagnostic>,
}

impl VisitorMut for Binder<'_> {
    type Break = ();

    /// Visits the common table expressions one after the other, each seeing those before it, and
    /// keeps them out of the way of the visitor.
    fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
        let scope_before = self.scope.len();
        let mut with = query.with.take();
        if let Some(with) = &mut with {
            for cte in &mut with.cte_tables {
                let name = cte.alias.name.value.to_lowercase();
                self.refuse_binding_name(&cte.alias.name);
                if with.recursive {
                    self.scope.push(name);
                    let _ = cte.query.visit(self);
                } else {
                    let _ = cte.query.visit(self);
                    self.scope.push(name);
                }
            }
        }
        self.frames.push(Frame { with, scope_before });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
        if let Some(frame) = self.frames.pop() {
            query.with = frame.with;
            self.scope.truncate(frame.scope_before);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let Err(diagnostic) = self.bind_factor(factor) {
            self.diagnostics.push(*diagnostic);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
        if let Some(into) = &select.into {
            let place = self.place(into.name.span());
            self.refuse(
                "SELECT … INTO makes a table of its own",
                place,
                "a table is made by `CREATE … AS SELECT …`",
            );
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &mut ast::Statement) -> ControlFlow<()> {
        let place = self.place(statement.span());
        self.refuse(
            "a query only reads",
            place,
            "rows get into a table by its own query, or by `CREATE FLOW … AS INSERT INTO …`",
        );
        ControlFlow::Continue(())
    }
}

impl Binder<'_> {
    pub(super) fn context(&self) -> &Context<'_> {
        self.context
    }

    pub(super) fn place(&self, span: sqlparser::tokenizer::Span) -> Place {
        match span.start.line {
            0 => self.query_place,
            _ => token_place(self.context, span),
        }
    }

    fn refuse(&mut self, message: &str, place: Place, help: &str) {
        let diagnostic = Diagnostic::error(codes::REFUSED_QUERY, message);
        self.diagnostics
            .push(diagnostic.at(place, "not in a query").help(help));
    }

    /// A query of a WITH must not hide a binding.
    fn refuse_binding_name(&mut self, name: &Ident) {
        let digits = name.value.strip_prefix("__r");
        if digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())) {
            let place = self.place(name.span);
            let message = format!("the name `{}` is Tidegate's own", name.value);
            let diagnostic = Diagnostic::error(codes::RESERVED_NAME, message);
            self.diagnostics
                .push(diagnostic.at(place, "choose another name"));
        }
    }

    /// Nothing that was written beside a table may get lost: what no table took is a mistake.
    fn refuse_left_over(&mut self) {
        let mut left: Vec<Decoration> = self.decorations.drain().map(|(_, left)| left).collect();
        left.retain(|left| left.streaming || left.as_of.is_some() || left.watermark.is_some());
        left.sort_by_key(|left| left.place);
        for decoration in left {
            let help = "STREAM, versions and WATERMARK belong to a table or to read_files(…)";
            self.refuse("this is not a table of the query", decoration.place, help);
        }
    }

    fn bind_factor(&mut self, factor: &mut TableFactor) -> Parsed<()> {
        let TableFactor::Table {
            name,
            alias,
            args,
            with_hints,
            version,
            ..
        } = factor
        else {
            return Ok(());
        };
        let Some(parts) = identifiers(name) else {
            return Ok(());
        };
        let Some(last) = parts.last().cloned() else {
            return Ok(());
        };
        let decoration = parts
            .first()
            .and_then(|first| self.decorations.remove(&first.span.start));
        let decoration = decoration.unwrap_or_else(|| Decoration {
            streaming: false,
            as_of: None,
            watermark: None,
            place: self.place(name.span()),
        });
        if !with_hints.is_empty() || version.is_some() {
            self.refuse(
                "a table takes no such options in a query",
                decoration.place,
                "name the table alone",
            );
            return Ok(());
        }
        let target = match args {
            Some(args) => self.function(&parts, &args.args, &decoration)?,
            None => self.table(&parts, &decoration)?,
        };
        let Some(target) = target else {
            return Ok(());
        };
        if parts.len() > 1 && alias.is_none() && matches!(target, RelationTarget::Table { .. }) {
            let lower = parts.iter().map(|part| part.value.to_lowercase());
            self.qualified.push(lower.collect());
        }
        let binding = format!("__r{}", self.relations.len());
        let span = last.span;
        alias.get_or_insert(TableAlias {
            explicit: true,
            name: last,
            columns: Vec::new(),
            at: None,
        });
        *args = None;
        *name = ObjectName(vec![ObjectNamePart::Identifier(Ident::with_span(
            span, &binding,
        ))]);
        self.relations.push(Relation {
            binding,
            target,
            streaming: decoration.streaming,
            watermark: decoration.watermark,
            place: decoration.place,
        });
        Ok(())
    }

    /// A table, or files by a path in back-ticks; `None` for a common table expression.
    fn table(
        &mut self,
        parts: &[Ident],
        decoration: &Decoration,
    ) -> Parsed<Option<RelationTarget>> {
        let as_of = decoration.as_of.clone();
        if let [format, path] = parts
            && path.quote_style.is_some()
            && PATH_FORMATS
                .iter()
                .any(|known| format.value.eq_ignore_ascii_case(known))
        {
            let format = format.value.to_ascii_lowercase();
            if as_of.is_some() && format != "delta" {
                self.refuse(
                    "only Delta tables have versions",
                    decoration.place,
                    "leave the version away",
                );
            }
            return Ok(Some(RelationTarget::Files {
                path: path.value.clone(),
                format: Some(format),
                options: BTreeMap::new(),
                as_of,
            }));
        }
        if let [name] = parts
            && self.scope.contains(&name.value.to_lowercase())
        {
            if decoration.streaming || as_of.is_some() || decoration.watermark.is_some() {
                let message = format!(
                    "`{}` is a query of this `WITH`, and not a table",
                    name.value
                );
                let help =
                    "write STREAM, versions and WATERMARK beside the table, inside of the `WITH`";
                self.refuse(&message, decoration.place, help);
            }
            return Ok(None);
        }
        let written: Vec<String> = parts.iter().map(|part| part.value.clone()).collect();
        match self.context.namespace.resolve(&written) {
            Some(name) => Ok(Some(RelationTarget::Table {
                name,
                as_of,
                changes: false,
            })),
            None => Err(Box::new(too_many_parts(decoration.place))),
        }
    }

    /// `read_files(…)` and its kin; `None` for another function, which is the engine's.
    fn function(
        &mut self,
        parts: &[Ident],
        arguments: &[FunctionArg],
        decoration: &Decoration,
    ) -> Parsed<Option<RelationTarget>> {
        let is = |known: &str| matches!(parts, [name] if name.value.eq_ignore_ascii_case(known));
        if decoration.as_of.is_some() {
            self.refuse(
                "only tables have versions",
                decoration.place,
                "leave the version away",
            );
        }
        if is("read_files") {
            return self.read_files(arguments, decoration).map(Some);
        }
        if is("cloud_files") {
            return self.cloud_files(arguments, decoration).map(Some);
        }
        if is("read_kafka") {
            return self.read_kafka(arguments, decoration).map(Some);
        }
        if is("read_topic") {
            return self.read_topic(arguments, decoration).map(Some);
        }
        if is("table_changes") {
            return self.table_changes(arguments, decoration).map(Some);
        }
        if decoration.streaming || decoration.watermark.is_some() {
            let name: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
            let message = format!("`{}` cannot be read as a stream", name.join("."));
            self.refuse(
                &message,
                decoration.place,
                "STREAM takes a table, read_files('folder', …), read_kafka(…), read_topic('name') or table_changes('name')",
            );
        }
        Ok(None)
    }
}

/// The parts of a name, if all are identifiers.
fn identifiers(name: &ObjectName) -> Option<Vec<Ident>> {
    name.0.iter().map(|part| part.as_ident().cloned()).collect()
}

/// Shortens `schema.table.column` to `table.column`, as the table's alias is its last part.
struct Shortener(Vec<Vec<String>>);

impl Shortener {
    /// How many leading parts to cut from a reference whose first `qualifiers` parts name a table.
    fn excess(&self, parts: &[&str], qualifiers: usize) -> usize {
        let names = parts.get(..qualifiers).unwrap_or(&[]);
        let is_table = |written: &&Vec<String>| {
            written.len() >= names.len()
                && written[written.len() - names.len()..]
                    .iter()
                    .zip(names)
                    .all(|(written, name)| written.eq_ignore_ascii_case(name))
        };
        match names.len() > 1 && self.0.iter().any(|written| is_table(&written)) {
            true => names.len() - 1,
            false => 0,
        }
    }
}

impl VisitorMut for Shortener {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expression {
            let names: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
            // The longest name of a table that something follows.
            let excess = (2..names.len())
                .rev()
                .map(|qualifiers| self.excess(&names, qualifiers))
                .find(|excess| *excess > 0);
            parts.drain(..excess.unwrap_or(0));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let ast::SelectItem::QualifiedWildcard(
                ast::SelectItemQualifiedWildcardKind::ObjectName(name),
                _,
            ) = item
                && let Some(parts) = identifiers(name)
            {
                let names: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
                let excess = self.excess(&names, names.len());
                name.0.drain(..excess);
            }
        }
        ControlFlow::Continue(())
    }
}

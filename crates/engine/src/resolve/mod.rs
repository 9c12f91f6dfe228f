//! What the names of a query mean, settled before planning.
//!
//! Spark compares names without case and keeps them as written; DataFusion compares exactly. So the
//! tree is walked once with the schemas of the bound relations at hand, and every identifier is
//! replaced by the exact name it means, or reported with its place and the nearest name. On the way
//! the constructs are rewritten that Spark has and DataFusion's planner has not (`*`, `USING`,
//! `GROUP BY ALL`, `LATERAL VIEW`, aliases of the same SELECT, …), and every column of the result
//! gets the name that Spark would give it. Types are left to the planner, except that those of plain
//! columns are remembered to find the fields of structs.

mod bags;
mod calls;
mod clauses;
mod expressions;
mod functions;
mod lateral;
mod literals;
mod mistake;
mod naming;
mod query;
mod relations;
mod rows;
mod scope;
mod select;
mod trees;
mod windows;

use arrow::datatypes::{DataType, SchemaRef};
use sqlparser::ast;
use sqlparser::tokenizer::Span;

pub(crate) use functions::Functions;
pub(crate) use mistake::Mistake;

use crate::bindings::Bindings;
use scope::{Scope, ScopeColumn};

/// A column of a result, as far as it is known before planning.
#[derive(Clone, Debug)]
pub(crate) struct OutputColumn {
    /// Its name, as Spark would give it.
    pub(crate) name: String,
    /// Its type, for a column that is only copied.
    pub(crate) data_type: Option<DataType>,
    /// Where it is written.
    pub(crate) span: Span,
}

/// A common table expression that is in sight.
#[derive(Clone, Debug)]
struct CommonTable {
    name: String,
    columns: Vec<OutputColumn>,
}

/// The walk over one query.
pub(crate) struct Resolver<'a> {
    bindings: &'a Bindings,
    functions: &'a Functions,
    common_tables: Vec<CommonTable>,
    mistakes: Vec<Mistake>,
    generated: usize,
}

impl<'a> Resolver<'a> {
    fn new(bindings: &'a Bindings, functions: &'a Functions) -> Self {
        Self {
            bindings,
            functions,
            common_tables: Vec::new(),
            mistakes: Vec::new(),
            generated: 0,
        }
    }

    /// Takes down a mistake; the walk goes on.
    fn report(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    /// A name that no user writes.
    fn generate(&mut self, what: &str) -> String {
        self.generated += 1;
        format!("__{what}{}", self.generated)
    }

    fn finish<T>(self, result: T) -> Result<T, Vec<Mistake>> {
        if self.mistakes.is_empty() {
            Ok(result)
        } else {
            Err(self.mistakes)
        }
    }
}

/// Settles the names of a query in place; the columns of its result.
///
/// # Errors
/// All mistakes found, in the order of the walk.
pub(crate) fn resolve_query(
    query: &mut ast::Query,
    bindings: &Bindings,
    functions: &Functions,
) -> Result<Vec<OutputColumn>, Vec<Mistake>> {
    let mut resolver = Resolver::new(bindings, functions);
    let columns = resolver.query(query, None);
    if resolver.mistakes.is_empty() {
        resolver.check_unique(&columns);
    }
    resolver.finish(columns)
}

/// Settles the names of an expression over the columns of `schema`, in place; the name that a
/// column of this expression would have.
///
/// # Errors
/// All mistakes found.
pub(crate) fn resolve_expression(
    expression: &mut ast::Expr,
    schema: &SchemaRef,
    functions: &Functions,
) -> Result<String, Vec<Mistake>> {
    let bindings = Bindings::new();
    let mut resolver = Resolver::new(&bindings, functions);
    let name = naming::name_of(expression);
    let mut scope = Scope::root();
    for field in schema.fields() {
        scope.push(ScopeColumn::bare(field.name(), field.data_type()));
    }
    resolver.expression(expression, &scope);
    resolver.check_no_windows(expression);
    resolver.finish(name)
}

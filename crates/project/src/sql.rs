//! SQL: from the text of a file to tables, flows and queries.
//!
//! The whole file is tokenized once by `sqlparser`, with locations, and cut into statements. The
//! heads of statements (this room's own grammar) are parsed by hand from the tokens; queries and
//! expressions are handed to `sqlparser`'s parser, so that their trees carry the locations of the
//! file. A mistake ends its statement, or only its column or constraint, and never hides the next
//! one. What a name refers to is left to [`crate::check`].

mod bind;
mod clauses;
mod columns;
mod cursor;
mod decorate;
mod dialect;
mod flow;
mod mistakes;
mod query;
mod statement;
mod tokens;
mod types;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::model::{Expression, Flow, Query, Table};
use crate::names::{Namespace, TableName};
use crate::source::{FileId, SourceFile, SourceMap};

/// What the SQL of a project holds, in the order it was read.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) tables: Vec<Table>,
    pub(crate) flows: Vec<Flow>,
    /// Tables with a mistake in their statement: what they lack is no further mistake.
    pub(crate) incomplete: HashSet<TableName>,
    /// A flow could not be read, so that a table may seem to have none.
    pub(crate) flow_lost: bool,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Where the parser is: the file, and what its earlier statements have set.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) file: FileId,
    pub(crate) source: &'a SourceFile,
    pub(crate) namespace: Namespace,
    pub(crate) configuration: Arc<BTreeMap<String, String>>,
}

/// A result whose mistake is large, and rare.
pub(crate) type Parsed<T> = Result<T, Box<Diagnostic>>;

/// Reads a file of statements into `parts`.
pub(crate) fn read_script(
    files: &SourceMap,
    file: FileId,
    namespace: &Namespace,
    parts: &mut Parts,
) {
    let Some(source) = files.file(file) else {
        return;
    };
    let mut context = Context {
        file,
        source,
        namespace: namespace.clone(),
        configuration: Arc::default(),
    };
    statement::read_statements(&mut context, parts);
}

/// Parses one query, for `tidegate query`, the shell and tests. The text is kept in `files` under
/// `label`. Unqualified names belong to the default schema.
///
/// # Errors
/// All mistakes found, with places in the text.
pub fn parse_query(
    files: &mut SourceMap,
    label: &str,
    sql: &str,
) -> Result<Query, Vec<Diagnostic>> {
    let file = files.add(label, sql);
    with_context(files, file, query::parse_whole_query)
}

/// Parses one expression, as in `quarantine retry --set` and `--where`. The text is kept in `files`
/// under `label`.
///
/// # Errors
/// All mistakes found, with places in the text.
pub fn parse_expression(
    files: &mut SourceMap,
    label: &str,
    sql: &str,
) -> Result<Expression, Vec<Diagnostic>> {
    let file = files.add(label, sql);
    with_context(files, file, query::parse_whole_expression)
}

fn with_context<T>(
    files: &SourceMap,
    file: FileId,
    parse: impl FnOnce(&Context<'_>) -> Result<T, Vec<Diagnostic>>,
) -> Result<T, Vec<Diagnostic>> {
    let Some(source) = files.file(file) else {
        return Err(Vec::new());
    };
    let context = Context {
        file,
        source,
        namespace: Namespace::new(None, "default"),
        configuration: Arc::default(),
    };
    parse(&context)
}

/// Reads any bytes as a file of statements, checks and draws what comes of it: for fuzzing, where
/// nothing may panic or hang.
pub fn fuzz_parse(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let root = std::path::Path::new("/");
    let loaded = crate::Loader::new().load_texts(root, &[("fuzz.sql", &text)]);
    for diagnostic in loaded.diagnostics.iter().take(100) {
        diagnostic.render(&loaded.project.files, crate::RenderStyle::default());
        diagnostic.to_json(&loaded.project.files);
    }
}

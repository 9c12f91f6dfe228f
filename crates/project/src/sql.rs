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
mod files;
mod flow;
mod mistakes;
mod query;
mod sink;
mod statement;
mod tokens;
mod types;
mod variables;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::model::{Column, Expression, Flow, Query, Table};
use crate::names::{Namespace, TableName};
use crate::settings::Settings;
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
    /// What `SET` has said.
    pub(crate) configuration: Arc<BTreeMap<String, String>>,
    /// What `${name}` stands for: the project's configuration, and values of `SET` as written.
    pub(crate) variables: BTreeMap<String, String>,
}

/// A result whose mistake is large, and rare.
pub(crate) type Parsed<T> = Result<T, Box<Diagnostic>>;

/// Reads a file of statements into `parts`.
pub(crate) fn read_script(
    files: &SourceMap,
    file: FileId,
    namespace: &Namespace,
    variables: &BTreeMap<String, String>,
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
        variables: variables.clone(),
    };
    statement::read_statements(&mut context, parts);
}

/// Parses one query, for `tidegate query`, the shell and tests. The text is kept in `files` under
/// `label`. Unqualified names belong to the schema `default`; [`parse_query_with`] takes the
/// project's.
///
/// # Errors
/// All mistakes found, with places in the text.
pub fn parse_query(
    files: &mut SourceMap,
    label: &str,
    sql: &str,
) -> Result<Query, Vec<Diagnostic>> {
    let defaults = Settings::of(std::path::Path::new(""));
    parse_query_with(&defaults, files, label, sql)
}

/// Parses one query as [`parse_query`] does, with a project's catalog, schema and configuration.
///
/// # Errors
/// All mistakes found, with places in the text.
pub fn parse_query_with(
    settings: &Settings,
    files: &mut SourceMap,
    label: &str,
    sql: &str,
) -> Result<Query, Vec<Diagnostic>> {
    let file = files.add(label, sql);
    with_context(settings, files, file, query::parse_whole_query)
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
    let defaults = Settings::of(std::path::Path::new(""));
    with_context(&defaults, files, file, query::parse_whole_expression)
}

/// Parses a list of columns, as in the option `schema` of a file reader: `id BIGINT NOT NULL, name STRING`. The text is
/// kept in `files` under `label`.
///
/// # Errors
/// All mistakes found, with places in the text.
pub fn parse_columns(
    files: &mut SourceMap,
    label: &str,
    text: &str,
) -> Result<Vec<Column>, Vec<Diagnostic>> {
    let file = files.add(label, text);
    let defaults = Settings::of(std::path::Path::new(""));
    with_context(&defaults, files, file, columns::parse_whole_columns)
}

fn with_context<T>(
    settings: &Settings,
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
        namespace: Namespace::new(settings.catalog.as_deref(), &settings.schema),
        configuration: Arc::default(),
        variables: settings.configuration.clone(),
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

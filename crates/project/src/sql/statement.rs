//! Statements: what a file of a project can say.

use std::sync::Arc;

use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::model::{Flow, FlowKind, Table, TableKind};
use crate::names::TableName;
use crate::nearest::nearest;
use crate::source::Place;

use super::clauses::{Clause, Clauses, parse_clauses, skip_to_query};
use super::columns::{Specification, parse_specification};
use super::cursor::Cursor;
use super::flow::{parse_auto_cdc, parse_flow};
use super::query::{parse_query_here, place_of};
use super::sink::parse_sink_target;
use super::tokens::{split_statements, tokenize};
use super::variables::substitute;
use super::{Context, Parsed, Parts};

/// Reads all statements of the context's file.
pub(crate) fn read_statements(context: &mut Context<'_>, parts: &mut Parts) {
    let tokens = tokenize(context);
    let mut statements = split_statements(&tokens.tokens);
    if let Some(mistake) = tokens.mistake {
        parts.diagnostics.push(*mistake);
        // What was cut off in the middle is no further mistake, but its table exists.
        let is_cut = tokens.tokens.last().map(|token| &token.token) != Some(&Token::SemiColon);
        if let Some(cut) = statements.pop_if(|_| is_cut) {
            lose_statement(context, &tokens.tokens[cut.tokens], parts);
        }
    }
    for statement in statements {
        let own = &tokens.tokens[statement.tokens];
        if statement.semicolon_missing {
            let place = place_of(context, own);
            let place = Place::new(context.file, place.end..place.end);
            let diagnostic = Diagnostic::error(codes::MISSING_SEMICOLON, "a `;` is missing");
            let diagnostic = diagnostic.at(place, "the statement ends here");
            parts.diagnostics.push(diagnostic);
        }
        read_statement(context, own, parts);
    }
}

/// The words that begin a statement.
const HEADS: &[&str] = &["CREATE", "SET", "USE"];

fn read_statement(context: &mut Context<'_>, written: &[TokenWithSpan], parts: &mut Parts) {
    let put_in = match substitute(context, written) {
        None => None,
        Some(Ok(tokens)) => Some(tokens),
        Some(Err(diagnostic)) => {
            lose_statement(context, written, parts);
            return parts.diagnostics.push(*diagnostic);
        }
    };
    let tokens = put_in.as_deref().unwrap_or(written);
    let cursor = Cursor::new(context, tokens);
    let result = if cursor.is_word_at(0, "CREATE") {
        return read_create(cursor, parts);
    } else if cursor.is_word_at(0, "APPLY") || cursor.is_word_at(0, "AUTO") {
        let mut cursor = cursor;
        return match parse_auto_cdc(&mut cursor, None) {
            Ok(flow) => parts.flows.push(flow),
            Err(mistakes) => lose_flow(parts, mistakes),
        };
    } else if cursor.is_word_at(0, "SET") {
        parse_set(cursor).map(Effect::Set)
    } else if cursor.is_word_at(0, "USE") {
        parse_use(cursor)
    } else {
        Err(unknown_statement(&cursor, HEADS))
    };
    match result {
        Ok(Effect::Set(setting)) => {
            context
                .variables
                .insert(setting.key.clone(), setting.written);
            Arc::make_mut(&mut context.configuration).insert(setting.key, setting.value);
        }
        Ok(Effect::UseCatalog(catalog)) => context.namespace.use_catalog(&catalog),
        Ok(Effect::UseSchema(schema)) => context.namespace.use_schema(&schema),
        Ok(Effect::UseBoth(catalog, schema)) => {
            context.namespace.use_catalog(&catalog);
            context.namespace.use_schema(&schema);
        }
        Err(diagnostic) => parts.diagnostics.push(*diagnostic),
    }
}

/// A statement that cannot be read as a whole: what it seems to declare exists, so that others may
/// name it, and what is wrong with the rest is not said.
fn lose_statement(context: &Context<'_>, tokens: &[TokenWithSpan], parts: &mut Parts) {
    let cursor = Cursor::new(context, tokens);
    let mut unsaid = Parts::default();
    if cursor.is_word_at(0, "CREATE") {
        read_create(cursor, &mut unsaid);
    }
    parts.flow_lost = true;
    let names = unsaid.tables.iter().map(|table| table.name.clone());
    parts.incomplete.extend(names);
    parts.tables.append(&mut unsaid.tables);
}

fn lose_flow(parts: &mut Parts, mistakes: Vec<Diagnostic>) {
    parts.flow_lost = true;
    parts.diagnostics.extend(mistakes);
}

/// What a statement changes for those after it in its file.
enum Effect {
    Set(Setting),
    UseCatalog(String),
    UseSchema(String),
    UseBoth(String, String),
}

fn unknown_statement(cursor: &Cursor<'_>, known: &[&str]) -> Box<Diagnostic> {
    let found = cursor.found();
    let message = format!("{found} is no statement of a project");
    let diagnostic = Diagnostic::error(codes::UNKNOWN_STATEMENT, message);
    let diagnostic = diagnostic.at(cursor.here(), "not known here");
    let word = cursor.peek_word().unwrap_or_default();
    let help = match word.to_ascii_uppercase().as_str() {
        "SELECT" | "WITH" | "FROM" | "VALUES" => {
            "a query needs a table to feed: `CREATE MATERIALIZED VIEW name AS SELECT …`".to_owned()
        }
        "INSERT" => {
            "rows come by a flow: `CREATE FLOW name AS INSERT INTO table SELECT …`".to_owned()
        }
        "UPDATE" | "DELETE" | "MERGE" | "DROP" | "ALTER" | "TRUNCATE" => {
            "a project says what its tables are, and not what is done to them".to_owned()
        }
        "REFRESH" => "`tidegate run` refreshes tables".to_owned(),
        "GRANT" | "REVOKE" => "access is not part of the tables".to_owned(),
        word => match nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("a statement begins with {}", known.join(", ")),
        },
    };
    Box::new(diagnostic.help(help))
}

/// What `SET` says.
struct Setting {
    key: String,
    /// The value; a string's content.
    value: String,
    /// The value as written, which is what `${key}` puts in.
    written: String,
}

/// `SET k = v`, `SET TIME ZONE 'z'`.
fn parse_set(mut cursor: Cursor<'_>) -> Parsed<Setting> {
    cursor.expect_words(&["SET"])?;
    if cursor.words(&["TIME", "ZONE"]) {
        let (zone, _) = cursor.string("a time zone in quotes")?;
        cursor.expect_done("`;`")?;
        return Ok(Setting {
            key: "spark.sql.session.timeZone".to_owned(),
            written: format!("'{zone}'"),
            value: zone,
        });
    }
    let start = cursor.here();
    let mut end = start;
    while !cursor.is_done() && cursor.peek().map(|token| &token.token) != Some(&Token::Eq) {
        cursor.skip(1);
        end = cursor.previous();
    }
    let key = cursor.text(start.to(end)).replace('`', "");
    if !cursor.symbol(&Token::Eq) || key.is_empty() {
        return Err(cursor.expected("`SET key = value`"));
    }
    let rest = cursor.rest();
    if rest.is_empty() {
        return Err(cursor.expected("a value"));
    }
    let written = cursor.text(place_of(cursor.context(), rest)).to_owned();
    let value = match rest {
        [only] => match &only.token {
            Token::SingleQuotedString(text) => text.clone(),
            _ => written.clone(),
        },
        _ => written.clone(),
    };
    Ok(Setting {
        key,
        value,
        written,
    })
}

/// `USE [CATALOG | SCHEMA | DATABASE] name`.
fn parse_use(mut cursor: Cursor<'_>) -> Parsed<Effect> {
    cursor.expect_words(&["USE"])?;
    let of_catalog = cursor.words(&["CATALOG"]);
    if !of_catalog && !cursor.words(&["SCHEMA"]) {
        cursor.words(&["DATABASE"]);
    }
    let (parts, place) = cursor.parts("a name")?;
    cursor.expect_done("`;`")?;
    match (of_catalog, parts.as_slice()) {
        (true, [catalog]) => Ok(Effect::UseCatalog(catalog.clone())),
        (false, [schema]) => Ok(Effect::UseSchema(schema.clone())),
        (false, [catalog, schema]) => Ok(Effect::UseBoth(catalog.clone(), schema.clone())),
        _ => {
            let diagnostic = Diagnostic::error(codes::SYNTAX, "the name has too many parts");
            Err(Box::new(diagnostic.at(
                place,
                "write `USE CATALOG name`, `USE SCHEMA name` or `USE catalog.schema`",
            )))
        }
    }
}

/// The beginning of a `CREATE` that makes a table.
struct Head {
    kind: TableKind,
    private: bool,
}

fn read_create(mut cursor: Cursor<'_>, parts: &mut Parts) {
    let head = match parse_head(&mut cursor) {
        Ok(Some(head)) => head,
        Ok(None) => {
            return match parse_flow(&mut cursor) {
                Ok(flow) => parts.flows.push(flow),
                Err(mistakes) => lose_flow(parts, mistakes),
            };
        }
        Err(diagnostic) => return parts.diagnostics.push(*diagnostic),
    };
    cursor.words(&["IF", "NOT", "EXISTS"]);
    let what = format!("the name of the {}", head.kind.describe());
    if cursor.is_word_at(0, "AS") && !cursor.is_word_at(1, "AS") {
        return parts.diagnostics.push(*cursor.expected(&what));
    }
    match cursor.table_name(&what) {
        Ok((name, place)) => read_table(cursor, &head, name, place, parts),
        Err(diagnostic) => parts.diagnostics.push(*diagnostic),
    }
}

/// Takes the words up to the name; `None` for a flow.
fn parse_head(cursor: &mut Cursor<'_>) -> Parsed<Option<Head>> {
    cursor.expect_words(&["CREATE"])?;
    let start = cursor.here();
    let refresh = cursor.words(&["OR", "REFRESH"]);
    let replace = !refresh && cursor.words(&["OR", "REPLACE"]);
    let or_place = start.to(cursor.previous());
    let private_place = cursor.here();
    let private = cursor.words(&["PRIVATE"]);
    let kind = if cursor.words(&["STREAMING", "TABLE"]) {
        TableKind::StreamingTable
    } else if cursor.words(&["MATERIALIZED", "VIEW"]) {
        TableKind::MaterializedView
    } else if cursor.words(&["TEMPORARY", "VIEW"]) || cursor.words(&["TEMP", "VIEW"]) {
        TableKind::View { temporary: true }
    } else if cursor.words(&["VIEW"]) {
        TableKind::View { temporary: false }
    } else if cursor.words(&["TOPIC"]) {
        TableKind::Topic
    } else if cursor.words(&["SINK"]) {
        TableKind::Sink
    } else if !refresh && !replace && !private && cursor.words(&["FLOW"]) {
        cursor.words(&["IF", "NOT", "EXISTS"]);
        return Ok(None);
    } else {
        return Err(not_creatable(cursor));
    };
    let misplaced = |words: &str, place| {
        let message = format!("a {} is not created with {words}", kind.describe());
        Err(Box::new(
            Diagnostic::error(codes::MISPLACED_CLAUSE, message).at(place, "leave it away"),
        ))
    };
    match kind {
        TableKind::StreamingTable if replace => misplaced("OR REPLACE", or_place),
        TableKind::Topic | TableKind::Sink if replace => misplaced("OR REPLACE", or_place),
        _ if refresh && !kind.is_stored() => misplaced("OR REFRESH", or_place),
        _ if private && !kind.is_stored() => misplaced("PRIVATE", private_place),
        _ => Ok(Some(Head { kind, private })),
    }
}

/// What follows CREATE is nothing that a project can create.
fn not_creatable(cursor: &Cursor<'_>) -> Box<Diagnostic> {
    let word = cursor.peek_word().unwrap_or_default().to_ascii_uppercase();
    let help = match word.as_str() {
        "TABLE" => {
            "write `CREATE STREAMING TABLE` for rows that are appended, or `CREATE MATERIALIZED VIEW` for the result of a query"
        }
        "LIVE" => "LIVE is the older word: write `CREATE MATERIALIZED VIEW`",
        "STREAMING" if cursor.is_word_at(1, "LIVE") => {
            "LIVE is the older word: write `CREATE STREAMING TABLE`"
        }
        "INCREMENTAL" => "that is the older word: write `CREATE STREAMING TABLE`",
        "EXTERNAL" => "files are read by `read_files('folder', …)` in a query",
        "SCHEMA" | "DATABASE" | "CATALOG" => "schemas are made when a table in them is",
        "FUNCTION" => "functions are not part of a project yet",
        _ => "",
    };
    let diagnostic = cursor.expected_one_of(&[
        "STREAMING TABLE",
        "MATERIALIZED VIEW",
        "TEMPORARY VIEW",
        "VIEW",
        "FLOW",
        "TOPIC",
        "SINK",
    ]);
    match help.is_empty() {
        true => diagnostic,
        false => Box::new(Diagnostic {
            code: codes::UNKNOWN_STATEMENT,
            ..diagnostic.help(help)
        }),
    }
}

fn read_table(
    mut cursor: Cursor<'_>,
    head: &Head,
    name: TableName,
    place: Place,
    parts: &mut Parts,
) {
    let mistakes_before = parts.diagnostics.len();
    let mut specification = Specification::default();
    let mut sink = None;
    if head.kind == TableKind::Sink {
        match parse_sink_target(&mut cursor) {
            Ok(target) => sink = Some(target),
            Err(diagnostic) => {
                parts.diagnostics.push(*diagnostic);
                skip_to_query(&mut cursor);
            }
        }
    } else if cursor.peek().map(|token| &token.token) == Some(&Token::LParen) {
        match parse_specification(&mut cursor) {
            Ok(parsed) => specification = parsed,
            Err(diagnostic) => {
                parts.diagnostics.push(*diagnostic);
                skip_to_query(&mut cursor);
            }
        }
    }
    parts.diagnostics.append(&mut specification.diagnostics);
    let mut clauses = parse_clauses(&mut cursor);
    parts.diagnostics.append(&mut clauses.diagnostics);
    refuse_unstored(head.kind, &specification, &clauses, &mut parts.diagnostics);
    let has_query = cursor.words(&["AS"]);
    if has_query && head.kind == TableKind::Topic {
        let message = "a topic has no query: rows are pushed to it, or come from a sink";
        let diagnostic = Diagnostic::error(codes::MISPLACED_CLAUSE, message)
            .at(cursor.previous(), "not here")
            .help(format!(
                "write `CREATE SINK name TO topic('{name}') AS SELECT …`"
            ));
        parts.diagnostics.push(diagnostic);
    } else if has_query {
        match parse_query_here(&cursor) {
            Ok(query) => parts.flows.push(Flow {
                name: name.clone(),
                target: name.clone(),
                kind: match head.kind {
                    TableKind::StreamingTable | TableKind::Sink => FlowKind::Append {
                        once: false,
                        by_name: true,
                    },
                    _ => FlowKind::Complete,
                },
                query,
                configuration: Arc::clone(&cursor.context().configuration),
                place,
                target_place: place,
            }),
            Err(mistakes) => parts.diagnostics.extend(mistakes),
        }
    }
    let is_whole = !parts.diagnostics[mistakes_before..]
        .iter()
        .any(Diagnostic::is_error);
    let needs_query = !matches!(head.kind, TableKind::StreamingTable | TableKind::Topic);
    if !has_query && needs_query && is_whole {
        let message = format!("a {} needs a query", head.kind.describe());
        let diagnostic = Diagnostic::error(codes::MISPLACED_CLAUSE, message)
            .at(place, "has no `AS SELECT …`")
            .help("add `AS SELECT …`, or make it a STREAMING TABLE that flows feed");
        parts.diagnostics.push(diagnostic);
    }
    let mistakes = &parts.diagnostics[mistakes_before..];
    if mistakes.iter().any(Diagnostic::is_error) {
        parts.incomplete.insert(name.clone());
    }
    let table = make_table(
        head,
        name,
        place,
        specification,
        clauses,
        &mut parts.diagnostics,
    );
    parts.tables.push(Table { sink, ..table });
}

/// What is about rows stored in a table has no effect where none are.
fn refuse_unstored(
    kind: TableKind,
    specification: &Specification,
    clauses: &Clauses,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if kind.is_stored() {
        return;
    }
    for expectation in &specification.expectations {
        let message = format!(
            "an expectation on a {} would have no effect",
            kind.describe()
        );
        diagnostics.push(
            Diagnostic::error(codes::NO_EFFECT, message)
                .at(expectation.place, "no row passes here")
                .help("put it on the table that reads its rows"),
        );
    }
    let first_column = specification.columns.first().map(|column| column.place);
    let first_key = specification.keys.first().map(|(_, place)| *place);
    if let Some(place) = first_column.or(first_key).filter(|_| kind.is_view()) {
        let message = format!(
            "the columns of a {} are those of its query",
            kind.describe()
        );
        diagnostics.push(
            Diagnostic::error(codes::NO_EFFECT, message)
                .at(place, "declared here")
                .help("name and cast the columns in the query"),
        );
    }
    for (clause, place) in &clauses.places {
        if !matches!(clause, Clause::Comment | Clause::Properties) {
            let words = clause.words().join(" ");
            let message = format!("{words} on a {} would have no effect", kind.describe());
            let diagnostic = Diagnostic::error(codes::NO_EFFECT, message);
            diagnostics.push(diagnostic.at(*place, "nothing is stored in a table here"));
        }
    }
}

fn make_table(
    head: &Head,
    name: TableName,
    place: Place,
    specification: Specification,
    clauses: Clauses,
    diagnostics: &mut Vec<Diagnostic>,
) -> Table {
    let Specification {
        mut columns,
        expectations,
        keys,
        ..
    } = specification;
    let primary_key = crate::check::primary_key(&mut columns, &keys, diagnostics);
    Table {
        name,
        kind: head.kind,
        private: head.private,
        columns,
        primary_key,
        expectations,
        partitioned_by: clauses.partitioned_by,
        cluster_by: clauses.cluster_by,
        location: clauses.location,
        comment: clauses.comment,
        properties: clauses.properties,
        quarantine: clauses.quarantine,
        schedule: clauses.schedule,
        trigger: clauses.trigger,
        row_filter: clauses.row_filter,
        sink: None,
        streaming: clauses.streaming,
        place,
    }
}

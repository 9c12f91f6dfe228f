//! What stands in brackets behind a table's name: columns, expectations, keys.
//!
//! Each item is parsed for itself, so that a mistake in one does not hide the next.

use sqlparser::tokenizer::Token;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::model::{Column, ColumnReference, Expectation, Mask, OnViolation};
use crate::source::Place;

use super::cursor::Cursor;
use super::query::{parse_row_expression, whole_tokens};
use super::types::parse_type;
use super::{Context, Parsed};

/// The items of a table's brackets.
#[derive(Debug, Default)]
pub(crate) struct Specification {
    pub(crate) columns: Vec<Column>,
    pub(crate) expectations: Vec<Expectation>,
    /// `PRIMARY KEY (a, b)`, with the place of the words.
    pub(crate) keys: Vec<(Vec<ColumnReference>, Place)>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Takes `( … )`.
pub(crate) fn parse_specification(cursor: &mut Cursor<'_>) -> Parsed<Specification> {
    let open = cursor.here();
    let inside = cursor.group("`(`")?;
    let mut specification = Specification::default();
    if inside.is_done() {
        let diagnostic = Diagnostic::error(codes::SYNTAX, "the list of columns is empty");
        return Err(Box::new(diagnostic.at(open, "nothing in these brackets").help(
            "name the columns with their types, or leave the brackets away to take those of the query",
        )));
    }
    for mut item in inside.split_at_commas() {
        if let Err(diagnostic) = parse_item(&mut item, &mut specification) {
            specification.diagnostics.push(*diagnostic);
        }
    }
    Ok(specification)
}

/// Takes `name type, …` to the end: the columns of a text that is nothing else.
pub(crate) fn parse_whole_columns(context: &Context<'_>) -> Result<Vec<Column>, Vec<Diagnostic>> {
    let tokens = whole_tokens(context)?;
    let cursor = Cursor::new(context, &tokens);
    let (mut columns, mut mistakes): (Vec<Column>, Vec<Diagnostic>) = Default::default();
    for mut item in cursor.split_at_commas() {
        match parse_column(&mut item, &mut Vec::new()) {
            Ok(column) => columns.push(column),
            Err(mistake) => mistakes.push(*mistake),
        }
    }
    if mistakes.is_empty() {
        Ok(columns)
    } else {
        Err(mistakes)
    }
}

fn parse_item(item: &mut Cursor<'_>, into: &mut Specification) -> Parsed<()> {
    if item.is_done() {
        return Err(item.expected("a column or a constraint"));
    }
    if item.words(&["CONSTRAINT"]) {
        return parse_constraint(item, into);
    }
    if item.is_word_at(0, "EXPECT") && is_open(item, 1) {
        let diagnostic = item.expected("`CONSTRAINT name` before EXPECT");
        return Err(Box::new(diagnostic.help(
            "every expectation has a name: `CONSTRAINT valid_amount EXPECT (amount > 0)`",
        )));
    }
    if item.is_word_at(0, "PRIMARY") && item.is_word_at(1, "KEY") {
        return parse_key(item, into);
    }
    if item.is_word_at(0, "FOREIGN") && item.is_word_at(1, "KEY") {
        return Err(refused_constraint(item, "FOREIGN KEY"));
    }
    let column = parse_column(item, &mut into.diagnostics)?;
    into.columns.push(column);
    Ok(())
}

fn is_open(item: &Cursor<'_>, ahead: usize) -> bool {
    item.rest().get(ahead).map(|token| &token.token) == Some(&Token::LParen)
}

/// `name EXPECT (…) [ON VIOLATION …]` or `name PRIMARY KEY (…)`.
fn parse_constraint(item: &mut Cursor<'_>, into: &mut Specification) -> Parsed<()> {
    let (name, place) = item.identifier("the name of the constraint")?;
    if item.is_word_at(0, "PRIMARY") {
        return parse_key(item, into);
    }
    for refused in ["FOREIGN KEY", "UNIQUE", "CHECK"] {
        let head = refused.split(' ').next().unwrap_or(refused);
        if item.is_word_at(0, head) {
            return Err(refused_constraint(item, refused));
        }
    }
    if !item.words(&["EXPECT"]) {
        return Err(item.expected_one_of(&["EXPECT", "PRIMARY KEY"]));
    }
    let group = item
        .group("`(` with what is expected of every row")
        .map_err(|diagnostic| {
            Box::new(diagnostic.help("put the expression in brackets: `EXPECT (amount > 0)`"))
        })?;
    let expression = parse_row_expression(group)?;
    let on_violation = match item.words(&["ON", "VIOLATION"]) {
        true => parse_violation(item)?,
        false => OnViolation::Keep,
    };
    item.expect_done("`ON VIOLATION`, `,` or `)`")?;
    into.expectations.push(Expectation {
        name,
        expression,
        on_violation,
        place,
    });
    Ok(())
}

fn refused_constraint(item: &Cursor<'_>, words: &str) -> Box<Diagnostic> {
    let message = format!("a table has no {words} constraints");
    let help = match words {
        "CHECK" => "write `CONSTRAINT name EXPECT (…) ON VIOLATION FAIL UPDATE`",
        "UNIQUE" => "declare a PRIMARY KEY: its columns are unique within the table",
        _ => "join the other table in the query, and expect the joined column to be there",
    };
    let diagnostic = Diagnostic::error(codes::MISPLACED_CLAUSE, message);
    Box::new(diagnostic.at(item.here(), "not here").help(help))
}

fn parse_violation(item: &mut Cursor<'_>) -> Parsed<OnViolation> {
    if item.words(&["FAIL", "UPDATE"]) {
        Ok(OnViolation::FailUpdate)
    } else if item.words(&["DROP", "ROW"]) {
        Ok(OnViolation::DropRow)
    } else if item.words(&["QUARANTINE"]) {
        Ok(OnViolation::Quarantine)
    } else {
        Err(item.expected_one_of(&["FAIL UPDATE", "DROP ROW", "QUARANTINE"]))
    }
}

fn parse_key(item: &mut Cursor<'_>, into: &mut Specification) -> Parsed<()> {
    let start = item.here();
    item.expect_words(&["PRIMARY", "KEY"])?;
    let place = start.to(item.previous());
    let columns = item.column_list("`(` with the columns of the key")?;
    // Databricks' words about keys that it does not enforce.
    while item.words(&["NOT", "ENFORCED"]) || item.words(&["DEFERRABLE"]) || item.words(&["RELY"]) {
    }
    item.expect_done("`,` or `)`")?;
    into.keys.push((columns, place));
    Ok(())
}

/// `name type [NOT NULL] [PRIMARY KEY] [COMMENT s] [MASK f …]`, the clauses in any order.
fn parse_column(item: &mut Cursor<'_>, warnings: &mut Vec<Diagnostic>) -> Parsed<Column> {
    let (name, place) = item.identifier("the name of a column")?;
    if item.is_done() || item.is_word_at(0, "COMMENT") {
        let message = format!("the column `{name}` has no type");
        let diagnostic = Diagnostic::error(codes::SYNTAX, message);
        return Err(Box::new(diagnostic.at(place, "a type must follow").help(
            "give every column a type, or leave the list away and name the columns in the query",
        )));
    }
    let parsed = parse_type(item)?;
    warnings.extend(parsed.warnings);
    let mut column = Column {
        name,
        data_type: parsed.data_type,
        nullable: true,
        primary_key: false,
        comment: None,
        mask: None,
        place,
    };
    while !item.is_done() {
        if item.words(&["NOT", "NULL"]) {
            column.nullable = false;
        } else if item.words(&["PRIMARY", "KEY"]) {
            column.primary_key = true;
            column.nullable = false;
        } else if item.words(&["COMMENT"]) {
            column.comment = Some(item.string("a string")?.0);
        } else if item.is_word_at(0, "MASK") {
            column.mask = Some(parse_mask(item)?);
        } else {
            return Err(not_a_column_clause(item));
        }
    }
    Ok(column)
}

fn not_a_column_clause(item: &Cursor<'_>) -> Box<Diagnostic> {
    for (word, help) in [
        (
            "DEFAULT",
            "put the value in by the query: `coalesce(column, value) AS column`",
        ),
        ("GENERATED", "compute the column in the query"),
        ("NULL", "a column may be NULL unless it says NOT NULL"),
        ("COLLATE", "compare with `lower(column)` in the query"),
    ] {
        if item.is_word_at(0, word) {
            let message = format!("a column here takes no {word}");
            let diagnostic = Diagnostic::error(codes::MISPLACED_CLAUSE, message);
            return Box::new(diagnostic.at(item.here(), "not here").help(help));
        }
    }
    item.expected_one_of(&["NOT NULL", "PRIMARY KEY", "COMMENT", "MASK", ","])
}

/// `MASK f [USING COLUMNS (a, 'constant')]`.
fn parse_mask(item: &mut Cursor<'_>) -> Parsed<Mask> {
    let start = item.here();
    item.expect_words(&["MASK"])?;
    let (_, name) = item.parts("the name of a function")?;
    let function = item.text(name).to_owned();
    let using_columns = match item.words(&["USING", "COLUMNS"]) {
        true => parse_arguments(item)?,
        false => Vec::new(),
    };
    Ok(Mask {
        function,
        using_columns,
        place: start.to(item.previous()),
    })
}

/// `(a, 'b', 3)`: columns and constants, as written.
pub(crate) fn parse_arguments(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    let group = cursor.group("`(`")?;
    if group.is_done() {
        return Ok(Vec::new());
    }
    let mut arguments = Vec::new();
    for item in group.split_at_commas() {
        let expression = parse_row_expression(item)?;
        arguments.push(expression.text);
    }
    Ok(arguments)
}

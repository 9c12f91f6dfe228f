//! `CREATE FLOW f AS INSERT INTO …` and `AUTO CDC INTO …`.

use std::sync::Arc;

use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::model::{AutoCdc, CdcColumns, ColumnReference, Flow, FlowKind, Query, ScdType};
use crate::names::TableName;
use crate::source::Place;

use super::Parsed;
use super::cursor::Cursor;
use super::query::{parse_expression_here, parse_query_here, parse_tokens};
use super::tokens::{closing, unquoted};

/// Takes what comes behind `CREATE FLOW`.
pub(crate) fn parse_flow(cursor: &mut Cursor<'_>) -> Result<Flow, Vec<Diagnostic>> {
    let one = |diagnostic: Box<Diagnostic>| vec![*diagnostic];
    let (name, place) = cursor.table_name("the name of the flow").map_err(one)?;
    if cursor.words(&["COMMENT"]) {
        cursor.string("a string").map_err(one)?;
    }
    cursor.expect_words(&["AS"]).map_err(one)?;
    if cursor.is_word_at(0, "AUTO") || cursor.is_word_at(0, "APPLY") {
        return parse_auto_cdc(cursor, Some((name, place)));
    }
    if !cursor.words(&["INSERT"]) {
        return Err(one(
            cursor.expected_one_of(&["INSERT INTO", "AUTO CDC INTO"])
        ));
    }
    let early = cursor.words(&["ONCE"]);
    cursor.expect_words(&["INTO"]).map_err(one)?;
    let once = early || late_once(cursor);
    let (target, target_place) = cursor
        .table_name("the name of a streaming table")
        .map_err(one)?;
    let by_name = cursor.words(&["BY", "NAME"]);
    let query = parse_query_here(cursor)?;
    Ok(Flow {
        name,
        target,
        kind: FlowKind::Append { once, by_name },
        query,
        configuration: Arc::clone(&cursor.context().configuration),
        place,
        target_place,
    })
}

/// `INTO ONCE t`, unless the table itself is called `once`.
fn late_once(cursor: &mut Cursor<'_>) -> bool {
    const AFTER_NAME: &[&str] = &["BY", "SELECT", "WITH", "FROM", "VALUES", "TABLE"];
    let name_follows = matches!(
        cursor.rest().get(1).map(|token| &token.token),
        Some(Token::Word(_))
    );
    let is_name = AFTER_NAME.iter().any(|word| cursor.is_word_at(1, word));
    name_follows && !is_name && cursor.words(&["ONCE"])
}

/// Takes `AUTO CDC INTO t FROM …` or `APPLY CHANGES INTO t FROM …`. Without a name of its own, the
/// flow is called as its table.
pub(crate) fn parse_auto_cdc(
    cursor: &mut Cursor<'_>,
    name: Option<(TableName, Place)>,
) -> Result<Flow, Vec<Diagnostic>> {
    let one = |diagnostic: Box<Diagnostic>| vec![*diagnostic];
    let start = cursor.here();
    if !cursor.words(&["AUTO", "CDC"]) && !cursor.words(&["APPLY", "CHANGES"]) {
        return Err(one(
            cursor.expected_one_of(&["AUTO CDC INTO", "APPLY CHANGES INTO"])
        ));
    }
    cursor.expect_words(&["INTO"]).map_err(one)?;
    let place = start.to(cursor.previous());
    let (target, target_place) = cursor
        .table_name("the name of a streaming table")
        .map_err(one)?;
    let query = parse_source(cursor)?;
    let changes = parse_changes(cursor, place).map_err(one)?;
    cursor
        .expect_done("another clause of AUTO CDC, or `;`")
        .map_err(one)?;
    let (name, place) = name.unwrap_or_else(|| (target.clone(), target_place));
    Ok(Flow {
        name,
        target,
        kind: FlowKind::AutoCdc(Box::new(changes)),
        query,
        configuration: Arc::clone(&cursor.context().configuration),
        place,
        target_place,
    })
}

/// `FROM source`: as the query `SELECT * FROM source`.
fn parse_source(cursor: &mut Cursor<'_>) -> Result<Query, Vec<Diagnostic>> {
    let one = |diagnostic: Box<Diagnostic>| vec![*diagnostic];
    let from = cursor
        .peek()
        .map(|token| token.span)
        .unwrap_or_else(sqlparser::tokenizer::Span::empty);
    cursor.expect_words(&["FROM"]).map_err(one)?;
    let rest = cursor.rest();
    let end = source_end(rest);
    if end == 0 {
        return Err(one(cursor.expected("`STREAM` with the name of a table")));
    }
    let mut tokens: Vec<TokenWithSpan> = [
        Token::make_keyword("SELECT"),
        Token::Mul,
        Token::make_keyword("FROM"),
    ]
    .map(|token| TokenWithSpan { token, span: from })
    .into();
    tokens.extend_from_slice(&rest[..end]);
    let query = parse_tokens(cursor.context(), &tokens)?;
    cursor.skip(end);
    Ok(query)
}

/// How many tokens the source has: up to the first word of the clauses, outside of brackets.
fn source_end(tokens: &[TokenWithSpan]) -> usize {
    const ENDS: &[&str] = &[
        "KEYS", "WHERE", "IGNORE", "APPLY", "SEQUENCE", "COLUMNS", "STORED", "TRACK",
    ];
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let ends = |word: &str| ENDS.iter().any(|end| word.eq_ignore_ascii_case(end));
        if at > 0 && unquoted(&token.token).is_some_and(ends) {
            return at;
        }
        if token.token == Token::LParen {
            at = closing(tokens, at).unwrap_or(tokens.len());
        }
        at += 1;
    }
    tokens.len()
}

fn parse_changes(cursor: &mut Cursor<'_>, place: Place) -> Parsed<AutoCdc> {
    if cursor.is_word_at(0, "WHERE") {
        let diagnostic = cursor.expected("`KEYS`");
        return Err(Box::new(diagnostic.help(
            "filter the changes in a view, and read that view as a stream",
        )));
    }
    cursor.expect_words(&["KEYS"])?;
    let keys = cursor.column_list("`(` with the columns of the key")?;
    let mut ignore_null_updates = false;
    let mut apply_as_delete = None;
    let mut apply_as_truncate = None;
    let mut sequence_by = None;
    let mut columns = CdcColumns::All;
    let mut history = ScdType::Latest;
    let mut track_history_on = None;
    while !cursor.is_done() {
        if cursor.words(&["IGNORE", "NULL", "UPDATES"]) {
            ignore_null_updates = true;
        } else if cursor.words(&["APPLY", "AS", "DELETE", "WHEN"]) {
            apply_as_delete = Some(parse_expression_here(cursor)?);
        } else if cursor.words(&["APPLY", "AS", "TRUNCATE", "WHEN"]) {
            apply_as_truncate = Some(parse_expression_here(cursor)?);
        } else if cursor.words(&["SEQUENCE", "BY"]) {
            sequence_by = Some(parse_expression_here(cursor)?);
        } else if cursor.words(&["COLUMNS"]) {
            columns = parse_cdc_columns(cursor)?;
        } else if cursor.words(&["STORED", "AS", "SCD", "TYPE"]) {
            history = parse_scd_type(cursor)?;
        } else if cursor.words(&["TRACK", "HISTORY", "ON"]) {
            track_history_on = Some(parse_cdc_columns(cursor)?);
        } else {
            return Err(cursor.expected_one_of(&[
                "IGNORE NULL UPDATES",
                "APPLY AS DELETE WHEN",
                "APPLY AS TRUNCATE WHEN",
                "SEQUENCE BY",
                "COLUMNS",
                "STORED AS SCD TYPE",
                "TRACK HISTORY ON",
            ]));
        }
    }
    let Some(sequence_by) = sequence_by else {
        let diagnostic = cursor.expected("`SEQUENCE BY`");
        return Err(Box::new(
            diagnostic.help("SEQUENCE BY says which change of a key is the later one"),
        ));
    };
    if track_history_on.is_some() && history == ScdType::Latest {
        let message = "TRACK HISTORY ON needs STORED AS SCD TYPE 2";
        let diagnostic = Diagnostic::error(codes::MISPLACED_CLAUSE, message);
        return Err(Box::new(diagnostic.at(place, "keeps no history")));
    }
    Ok(AutoCdc {
        keys,
        ignore_null_updates,
        apply_as_delete,
        apply_as_truncate,
        sequence_by,
        columns,
        history,
        track_history_on,
        place,
    })
}

fn parse_scd_type(cursor: &mut Cursor<'_>) -> Parsed<ScdType> {
    let place = cursor.here();
    match cursor.whole_number("`1` or `2`")? {
        (1, _) => Ok(ScdType::Latest),
        (2, _) => Ok(ScdType::History),
        _ => {
            let diagnostic =
                Diagnostic::error(codes::SYNTAX, "there are SCD TYPE 1 and SCD TYPE 2");
            Err(Box::new(diagnostic.at(place, "expected `1` or `2`")))
        }
    }
}

/// `(a, b)`, `a, b`, `*`, or `* EXCEPT (a, b)`.
fn parse_cdc_columns(cursor: &mut Cursor<'_>) -> Parsed<CdcColumns> {
    if cursor.symbol(&Token::Mul) {
        return match cursor.words(&["EXCEPT"]) {
            true => cursor
                .column_list("`(` with columns")
                .map(CdcColumns::AllExcept),
            false => Ok(CdcColumns::All),
        };
    }
    if cursor.peek().map(|token| &token.token) == Some(&Token::LParen) {
        return cursor.column_list("`(` with columns").map(CdcColumns::Only);
    }
    let mut columns = Vec::new();
    loop {
        let (name, place) = cursor.identifier("columns, or `* EXCEPT (…)`")?;
        columns.push(ColumnReference { name, place });
        if !cursor.symbol(&Token::Comma) {
            return Ok(CdcColumns::Only(columns));
        }
    }
}

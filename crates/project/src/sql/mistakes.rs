//! What `sqlparser` says of a mistake, in our words and with a place.

use sqlparser::keywords::Keyword;
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::nearest::nearest;
use crate::source::Place;

use super::Context;
use super::tokens::{quote, token_place, unquoted};

/// The words that hold a query together, for "did you mean".
const QUERY_WORDS: &[&str] = &[
    "SELECT",
    "DISTINCT",
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "QUALIFY",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "JOIN",
    "INNER",
    "LEFT",
    "RIGHT",
    "CROSS",
    "OUTER",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "STREAM",
    "BETWEEN",
    "LATERAL",
    "WATERMARK",
];

/// The diagnostic for a mistake that the parser met in `tokens` after taking `index` of them.
pub(crate) fn from_parser(
    context: &Context<'_>,
    what: &str,
    error: &ParserError,
    tokens: &[TokenWithSpan],
    index: usize,
) -> Diagnostic {
    let text = match error {
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
        ParserError::RecursionLimitExceeded => {
            let at = index.min(tokens.len().saturating_sub(1));
            let place = place_at(context, tokens, at);
            return Diagnostic::error(codes::TOO_DEEP, format!("the {what} is nested too deeply"))
                .at(place, "too deep here")
                .help("put an inner part into a view, or into a `WITH` query");
        }
    };
    let (words, location) = split_location(text);
    let expectation = split_expectation(words);
    let at = location
        .and_then(|(line, column)| {
            tokens.iter().position(|token| {
                let start = token.span.start;
                (start.line, start.column) == (line, column)
            })
        })
        .or_else(|| last_token_like(expectation?.1, &tokens[..index.min(tokens.len())]))
        .unwrap_or(match words.contains("found: EOF") {
            true => tokens.len(),
            false => index.saturating_sub(1),
        });
    let place = place_at(context, tokens, at);
    let (message, label) = match expectation {
        Some((expected, _)) => {
            let found = match tokens.get(at) {
                Some(token) => quote(context, token),
                None => format!("the end of the {what}"),
            };
            let expected = plain_expectation(expected);
            let message = format!("expected {expected}, found {found}");
            (message, format!("expected {expected}"))
        }
        None => (lower_first(words), "here".to_owned()),
    };
    with_slip(
        Diagnostic::error(codes::SYNTAX, message).at(place, label),
        tokens,
        at,
    )
}

/// The diagnostic for tokens that are left after a query or an expression.
pub(crate) fn left_over(
    context: &Context<'_>,
    what: &str,
    tokens: &[TokenWithSpan],
    at: usize,
) -> Diagnostic {
    let found = tokens
        .get(at)
        .map_or(String::new(), |token| quote(context, token));
    let message = format!("expected the end of the {what}, found {found}");
    let place = place_at(context, tokens, at);
    let diagnostic =
        Diagnostic::error(codes::SYNTAX, message).at(place, format!("the {what} ends before this"));
    with_slip(diagnostic, tokens, at)
}

/// Adds "did you mean", if the word at the mistake or the one before it looks like a slip of a word
/// that holds queries together.
fn with_slip(diagnostic: Diagnostic, tokens: &[TokenWithSpan], at: usize) -> Diagnostic {
    let head = tokens.get(at).and_then(|token| unquoted(&token.token));
    let head = head.unwrap_or_default().to_ascii_uppercase();
    if ["ORDER", "GROUP", "SORT", "CLUSTER", "DISTRIBUTE"].contains(&head.as_str()) {
        return diagnostic.help(format!("did you mean `{head} BY`?"));
    }
    let suspects = [Some(at), at.checked_sub(1)];
    for suspect in suspects.into_iter().flatten() {
        let Some(Token::Word(word)) = tokens.get(suspect).map(|token| &token.token) else {
            continue;
        };
        if word.quote_style.is_some() || word.keyword != Keyword::NoKeyword || word.value.len() < 4
        {
            continue;
        }
        if let Some(near) = nearest(&word.value, QUERY_WORDS.iter().copied())
            && !near.eq_ignore_ascii_case(&word.value)
        {
            let written = &word.value;
            return diagnostic.help(format!(
                "did you mean `{near}` where you wrote `{written}`?"
            ));
        }
    }
    diagnostic
}

/// `Expected: a, found: b` or `Expected a, found: b`.
fn split_expectation(words: &str) -> Option<(&str, &str)> {
    let rest = words.strip_prefix("Expected")?;
    let rest = rest.strip_prefix(':').unwrap_or(rest).trim_start();
    rest.rsplit_once(", found: ")
}

/// The last token that reads like this.
fn last_token_like(written: &str, tokens: &[TokenWithSpan]) -> Option<usize> {
    tokens
        .iter()
        .rposition(|token| token.token.to_string() == written)
}

fn place_at(context: &Context<'_>, tokens: &[TokenWithSpan], at: usize) -> Place {
    match (tokens.get(at), tokens.last()) {
        (Some(token), _) => token_place(context, token.span),
        (None, Some(last)) => {
            let last = token_place(context, last.span);
            Place::new(context.file, last.end..last.end)
        }
        (None, None) => Place::new(context.file, 0..0),
    }
}

/// Cuts ` at Line: 3, Column: 5` off the end.
fn split_location(text: &str) -> (&str, Option<(u64, u64)>) {
    let Some((words, location)) = text.rsplit_once(" at Line: ") else {
        return (text, None);
    };
    let numbers = location
        .split_once(", Column: ")
        .and_then(|(line, column)| Some((line.parse().ok()?, column.parse().ok()?)));
    (words, numbers)
}

/// The parser's expectations, in the words of somebody who writes SQL.
fn plain_expectation(expected: &str) -> String {
    let is_keyword = |c: char| c.is_ascii_uppercase() || c == '_';
    match expected {
        "an expression" | "an expression:" => "an expression".to_owned(),
        "identifier" => "a name".to_owned(),
        "joined table" => "a table or a query".to_owned(),
        "SELECT, VALUES, or a subquery in the query body" => "`SELECT`".to_owned(),
        symbol if symbol.len() <= 2 => format!("`{symbol}`"),
        keyword if keyword.chars().all(is_keyword) => format!("`{keyword}`"),
        other => other.to_owned(),
    }
}

fn lower_first(words: &str) -> String {
    let mut characters = words.chars();
    match characters.next() {
        Some(first) if !characters.as_str().starts_with(char::is_uppercase) => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => words.to_owned(),
    }
}

/// Inner queries, the innermost first: where a mistake in one of them is found, and not merely
/// the brackets around it.
pub(crate) fn inner_queries(tokens: &[TokenWithSpan]) -> Vec<std::ops::Range<usize>> {
    let mut open = Vec::new();
    let mut queries = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen => open.push(at),
            Token::RParen => {
                let Some(start) = open.pop() else { continue };
                let first = tokens
                    .get(start + 1)
                    .and_then(|token| unquoted(&token.token));
                let is_query = first.is_some_and(|word| {
                    ["SELECT", "WITH"]
                        .iter()
                        .any(|head| word.eq_ignore_ascii_case(head))
                });
                if is_query {
                    queries.push(start + 1..at);
                }
            }
            _ => {}
        }
    }
    queries
}

//! `${name}` in SQL: the values of the project's configuration, and of `SET`, put into tokens.
//!
//! Spark puts them into the text before it parses; here they go into the tokens, so that every
//! place stays one of the file. A reference in a string or a back-ticked name becomes part of it;
//! elsewhere it becomes the tokens of its value. A value is not looked into for more references.

use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Word};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::nearest::nearest;
use crate::source::Place;

use super::dialect::DIALECT;
use super::tokens::token_place;
use super::{Context, Parsed};

/// The statement's tokens with all references put in; `None` if there are none.
pub(crate) fn substitute(
    context: &Context<'_>,
    tokens: &[TokenWithSpan],
) -> Option<Parsed<Vec<TokenWithSpan>>> {
    let refers = |token: &TokenWithSpan| match &token.token {
        Token::SingleQuotedString(text) => text.contains("${"),
        Token::Word(word) => word.quote_style.is_some() && word.value.contains("${"),
        Token::Placeholder(text) => text == "$",
        _ => false,
    };
    tokens
        .iter()
        .any(refers)
        .then(|| substitute_all(context, tokens))
}

fn substitute_all(context: &Context<'_>, tokens: &[TokenWithSpan]) -> Parsed<Vec<TokenWithSpan>> {
    let mut put_in = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        let place = token_place(context, token.span);
        match &token.token {
            Token::SingleQuotedString(text) if text.contains("${") => {
                let token_with_values = Token::SingleQuotedString(expand(context, text, place)?);
                put_in.push(TokenWithSpan::new(token_with_values, token.span));
            }
            Token::Word(word) if word.quote_style.is_some() && word.value.contains("${") => {
                let value = expand(context, &word.value, place)?;
                let word = Word {
                    value,
                    ..word.clone()
                };
                put_in.push(TokenWithSpan::new(Token::Word(word), token.span));
            }
            Token::Placeholder(text) if text == "$" => {
                at = put_in_bare(context, tokens, at - 1, &mut put_in)?;
            }
            _ => put_in.push(token.clone()),
        }
    }
    Ok(put_in)
}

/// A reference that is not inside of a token; gives the index behind it.
fn put_in_bare(
    context: &Context<'_>,
    tokens: &[TokenWithSpan],
    start: usize,
    put_in: &mut Vec<TokenWithSpan>,
) -> Parsed<usize> {
    let is = |at: usize, token: &Token| tokens.get(at).is_some_and(|found| found.token == *token);
    let end = (start + 2..tokens.len()).find(|&at| is(at, &Token::RBrace));
    let dollar = token_place(context, tokens[start].span);
    let (true, Some(end)) = (is(start + 1, &Token::LBrace), end) else {
        let diagnostic = Diagnostic::error(codes::SYNTAX, "a reference is written `${name}`");
        return Err(Box::new(
            diagnostic.at(dollar, "expected `{name}` after this"),
        ));
    };
    let place = dollar.to(token_place(context, tokens[end].span));
    let written = context.source.text().get(place.start + 2..place.end - 1);
    let value = lookup(context, written.unwrap_or_default(), place)?;
    let mut value_tokens = Vec::new();
    let tokenized =
        Tokenizer::new(&DIALECT, value).tokenize_with_location_into_buf(&mut value_tokens);
    if tokenized.is_err() {
        let diagnostic =
            Diagnostic::error(codes::BAD_TOKEN, "the value put in here cannot be read");
        return Err(Box::new(diagnostic.at(place, format!("is `{value}`"))));
    }
    let value_tokens = value_tokens.into_iter().map(|token| token.token);
    for token in value_tokens.filter(|token| !matches!(token, Token::Whitespace(_))) {
        put_in.push(TokenWithSpan::new(token, tokens[start].span));
    }
    Ok(end + 1)
}

/// A text with its references put in.
fn expand(context: &Context<'_>, text: &str, place: Place) -> Parsed<String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, reference)) = rest.split_once("${") {
        let Some((name, after)) = reference.split_once('}') else {
            break;
        };
        expanded.push_str(before);
        expanded.push_str(without_quotes(lookup(context, name, place)?));
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Inside of a string, the quotes around a value are not part of it.
fn without_quotes(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('\'').or_else(|| inner('"')).unwrap_or(value)
}

fn lookup<'c>(context: &'c Context<'_>, name: &str, place: Place) -> Parsed<&'c str> {
    let name = name.trim();
    if let Some(value) = context.variables.get(name) {
        return Ok(value);
    }
    let message = format!("nothing is configured under the name `{name}`");
    let diagnostic = Diagnostic::error(codes::MISSING_VARIABLE, message).at(place, "refers to it");
    let known = context.variables.keys().map(String::as_str);
    Err(Box::new(match nearest(name, known) {
        Some(near) => diagnostic.help(format!("did you mean `${{{near}}}`?")),
        None => diagnostic.help(format!(
            "write `SET {name} = value` before it, or give it a value under [configuration]"
        )),
    }))
}

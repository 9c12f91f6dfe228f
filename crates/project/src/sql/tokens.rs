//! Tokens: a file's text in pieces, without spaces and comments, and cut into statements.

use std::ops::Range;

use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::source::Place;

use super::Context;
use super::dialect::DIALECT;

/// The tokens of a text, up to the first piece that has no end or no meaning.
pub(crate) struct Tokens {
    pub(crate) tokens: Vec<TokenWithSpan>,
    /// Why they end before the text does.
    pub(crate) mistake: Option<Box<Diagnostic>>,
}

/// Cuts the text of the context's file into tokens.
pub(crate) fn tokenize(context: &Context<'_>) -> Tokens {
    let text = context.source.text();
    let mut tokens = Vec::with_capacity(text.len() / 4);
    let mut tokenizer = Tokenizer::new(&DIALECT, text);
    let result = tokenizer.tokenize_with_location_into_buf(&mut tokens);
    let mistake = result.err().map(|error| {
        let at = error.location;
        // The error is found at the end of the text; the piece begins behind the last token.
        let begin = tokens.last().map_or(0, |token| {
            let end = token.span.end;
            context.source.offset(end.line, end.column)
        });
        let end = context.source.offset(at.line, at.column);
        Box::new(token_mistake(context, &error.message, begin, end))
    });
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    join_raw_strings(context, &mut tokens);
    for token in &mut tokens {
        // In Spark a text in double quotes is a string too.
        if let Token::DoubleQuotedString(text) = &mut token.token {
            token.token = Token::SingleQuotedString(std::mem::take(text));
        }
    }
    Tokens { tokens, mistake }
}

fn token_mistake(context: &Context<'_>, message: &str, begin: usize, end: usize) -> Diagnostic {
    let text = context.source.text();
    let message = match message {
        m if m.contains("Unterminated string") => "this string has no closing quote",
        m if m.contains("close delimiter") => "this name has no closing back-tick",
        m if m.contains("comment") => "this comment has no end: `*/` is missing",
        _ => "this means nothing in SQL",
    };
    let is_open = message != "this means nothing in SQL";
    let width = text
        .get(begin..)
        .and_then(|rest| rest.chars().next())
        .map_or(0, char::len_utf8);
    let range = if is_open {
        begin..begin + width
    } else {
        begin..end.max(begin + width)
    };
    Diagnostic::error(codes::BAD_TOKEN, message).at(
        Place::new(context.file, range),
        match is_open {
            true => "begins here; everything behind it is taken as part of it",
            false => "cannot be read",
        },
    )
}

/// Spark's raw strings: `r'\d+'` is `\d+`, where the tokenizer sees a word and a string.
fn join_raw_strings(context: &Context<'_>, tokens: &mut Vec<TokenWithSpan>) {
    let is_raw = |pair: &[TokenWithSpan]| {
        matches!(&pair[0].token, Token::Word(word)
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("r"))
            && matches!(
                pair[1].token,
                Token::SingleQuotedString(_) | Token::DoubleQuotedString(_)
            )
            && pair[0].span.end == pair[1].span.start
    };
    if !tokens.windows(2).any(is_raw) {
        return;
    }
    let mut joined: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens.drain(..) {
        let raw = joined
            .last()
            .is_some_and(|last| is_raw(&[last.clone(), token.clone()]));
        if raw {
            let place = token_place(context, token.span);
            let written = &context.source.text()[place.start..place.end];
            let content = written
                .get(1..written.len().saturating_sub(1))
                .unwrap_or("");
            if let Some(word) = joined.last_mut() {
                word.span = Span::new(word.span.start, token.span.end);
                word.token = Token::SingleQuotedString(content.to_owned());
            }
        } else {
            joined.push(token);
        }
    }
    *tokens = joined;
}

/// The place of a token.
pub(crate) fn token_place(context: &Context<'_>, span: Span) -> Place {
    let start = context.source.offset(span.start.line, span.start.column);
    let end = context.source.offset(span.end.line, span.end.column);
    Place::new(context.file, start..end)
}

/// A statement's tokens.
pub(crate) struct Statement {
    /// Its tokens, without the `;`.
    pub(crate) tokens: Range<usize>,
    /// Whether another statement begins without a `;` before it.
    pub(crate) semicolon_missing: bool,
}

/// Cuts tokens into statements, at each `;`, and at a `CREATE` that begins a line.
pub(crate) fn split_statements(tokens: &[TokenWithSpan]) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut start = 0;
    for (at, token) in tokens.iter().enumerate() {
        let is_semicolon = token.token == Token::SemiColon;
        let begins_line = at > start && tokens[at - 1].span.end.line < token.span.start.line;
        let is_head = begins_line && is_create(&tokens[at..]);
        if is_semicolon || is_head {
            if at > start {
                statements.push(Statement {
                    tokens: start..at,
                    semicolon_missing: is_head,
                });
            }
            start = at + usize::from(is_semicolon);
        }
    }
    if start < tokens.len() {
        statements.push(Statement {
            tokens: start..tokens.len(),
            semicolon_missing: false,
        });
    }
    statements
}

/// Whether these tokens begin a `CREATE` statement, and not a name that is `create`.
fn is_create(tokens: &[TokenWithSpan]) -> bool {
    const SECOND: &[&str] = &[
        "OR",
        "PRIVATE",
        "STREAMING",
        "MATERIALIZED",
        "TEMPORARY",
        "TEMP",
        "VIEW",
        "FLOW",
        "TABLE",
        "LIVE",
        "FUNCTION",
    ];
    let word = |at: usize| tokens.get(at).and_then(|token| unquoted(&token.token));
    word(0).is_some_and(|first| first.eq_ignore_ascii_case("CREATE"))
        && word(1).is_some_and(|second| {
            SECOND
                .iter()
                .any(|known| second.eq_ignore_ascii_case(known))
        })
}

/// The text of a word that is not back-ticked.
pub(crate) fn unquoted(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}

/// Whether a token is this word, in any case and without back-ticks.
pub(crate) fn is_word(token: Option<&TokenWithSpan>, expected: &str) -> bool {
    token
        .and_then(|token| unquoted(&token.token))
        .is_some_and(|word| word.eq_ignore_ascii_case(expected))
}

/// The index of the `)` that closes the `(` at `open`.
pub(crate) fn closing(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// A token as it is quoted in messages: what stands in the text, cut when it is long.
pub(crate) fn quote(context: &Context<'_>, token: &TokenWithSpan) -> String {
    const QUOTED_CHARACTERS: usize = 40;
    let place = token_place(context, token.span);
    let written = &context.source.text()[place.start..place.end];
    let first_line = written.lines().next().unwrap_or("");
    let mut shown: String = first_line.chars().take(QUOTED_CHARACTERS).collect();
    if shown.len() < written.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}

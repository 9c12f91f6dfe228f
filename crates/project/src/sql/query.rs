//! Queries and expressions: tokens in, trees out.
//!
//! What SQL writes beside tables is taken out of the tokens first ([`super::decorate`]), then
//! `sqlparser` makes a tree, then the tables in the tree become bindings ([`super::bind`]).

use std::ops::ControlFlow;

use sqlparser::ast::{self, Visit, Visitor};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use crate::check::query_is_executed;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::model::{Expression, Query};
use crate::source::Place;

use super::cursor::Cursor;
use super::decorate::{Decorated, decorate};
use super::dialect::DIALECT;
use super::mistakes::{from_parser, inner_queries, left_over};
use super::tokens::{token_place, tokenize, unquoted};
use super::variables::substitute;
use super::{Context, Parsed, bind};

/// How many operators may follow each other in one list item: the tree is as deep as that.
const CHAIN_MAX: usize = 1_000;
/// How deep types may be nested in a cast.
const TYPE_DEPTH_MAX: usize = 50;

/// Parses all tokens that are left as a query.
pub(crate) fn parse_query_here(cursor: &Cursor<'_>) -> Result<Query, Vec<Diagnostic>> {
    if cursor.is_done() {
        return Err(vec![*cursor.expected("a query")]);
    }
    parse_tokens(cursor.context(), cursor.rest())
}

/// Parses tokens as a query.
pub(crate) fn parse_tokens(
    context: &Context<'_>,
    written: &[TokenWithSpan],
) -> Result<Query, Vec<Diagnostic>> {
    guard_depth(context, written).map_err(|diagnostic| vec![*diagnostic])?;
    let Decorated {
        tokens,
        decorations,
        diagnostics,
    } = decorate(context, written);
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let ast = parse_tree(context, &tokens).map_err(|diagnostic| vec![*diagnostic])?;
    let place = place_of(context, written);
    bind::bind(context, ast, decorations, place)
}

fn parse_tree(context: &Context<'_>, tokens: &[TokenWithSpan]) -> Parsed<ast::Query> {
    let outer = match try_tree(context, tokens) {
        Ok(ast) => return Ok(ast),
        Err(outer) => outer,
    };
    // The parser tries several ways to read a bracket, and reports the last; the mistake inside is
    // the better one to show.
    for range in inner_queries(tokens) {
        try_tree(context, &tokens[range])?;
    }
    Err(outer)
}

fn try_tree(context: &Context<'_>, tokens: &[TokenWithSpan]) -> Parsed<ast::Query> {
    let mut parser = Parser::new(&DIALECT).with_tokens_with_locations(tokens.to_vec());
    let ast = parser.parse_query().map_err(|error| {
        Box::new(from_parser(
            context,
            "query",
            &error,
            tokens,
            parser.index(),
        ))
    })?;
    match parser.index() < tokens.len() {
        true => Err(Box::new(left_over(
            context,
            "query",
            tokens,
            parser.index(),
        ))),
        false => Ok(*ast),
    }
}

/// Takes the expression that is next, as far as it goes.
pub(crate) fn parse_expression_here(cursor: &mut Cursor<'_>) -> Parsed<Expression> {
    let context = cursor.context();
    if cursor.is_done() {
        return Err(cursor.expected("an expression"));
    }
    let tokens = cursor.rest();
    guard_depth(context, tokens)?;
    let mut parser = Parser::new(&DIALECT).with_tokens_with_locations(tokens.to_vec());
    let ast = parser.parse_expr().map_err(|error| {
        Box::new(from_parser(
            context,
            "expression",
            &error,
            tokens,
            parser.index(),
        ))
    })?;
    let taken = parser.index().min(tokens.len());
    cursor.skip(taken);
    let place = place_of(context, &tokens[..taken]);
    Ok(Expression {
        ast,
        text: text_of(context, place),
        place,
    })
}

/// Parses all tokens of a group as one expression over a row.
pub(crate) fn parse_row_expression(mut cursor: Cursor<'_>) -> Parsed<Expression> {
    let tokens = cursor.rest();
    let expression = parse_expression_here(&mut cursor)?;
    if !cursor.is_done() {
        let at = tokens.len() - cursor.rest().len();
        return Err(Box::new(left_over(
            cursor.context(),
            "expression",
            tokens,
            at,
        )));
    }
    refuse_subqueries(cursor.context(), &expression)?;
    Ok(expression)
}

/// An expression over a row cannot look at other rows.
fn refuse_subqueries(context: &Context<'_>, expression: &Expression) -> Parsed<()> {
    struct Subqueries;
    impl Visitor for Subqueries {
        // Small, as every frame of the walk holds many of them.
        type Break = Span;
        fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<Span> {
            ControlFlow::Break(ast::Spanned::span(query))
        }
    }
    let ControlFlow::Break(span) = expression.ast.visit(&mut Subqueries) else {
        return Ok(());
    };
    let place = token_place(context, span);
    let diagnostic = Diagnostic::error(codes::ROW_ONLY, "this expression looks at one row only")
        .at(place, "a query looks at other rows")
        .help("join what it looks up in the table's query, and test the joined column here");
    Err(Box::new(diagnostic))
}

/// A whole text as a query.
pub(crate) fn parse_whole_query(context: &Context<'_>) -> Result<Query, Vec<Diagnostic>> {
    let tokens = whole_tokens(context)?;
    let query = match tokens.is_empty() {
        true => parse_query_here(&Cursor::new(context, &tokens))?,
        false => parse_tokens(context, &tokens)?,
    };
    let refusals = query_is_executed(&query);
    match refusals.is_empty() {
        true => Ok(query),
        false => Err(refusals),
    }
}

/// A whole text as an expression over a row.
pub(crate) fn parse_whole_expression(context: &Context<'_>) -> Result<Expression, Vec<Diagnostic>> {
    let tokens = whole_tokens(context)?;
    parse_row_expression(Cursor::new(context, &tokens)).map_err(|diagnostic| vec![*diagnostic])
}

pub(crate) fn whole_tokens(context: &Context<'_>) -> Result<Vec<TokenWithSpan>, Vec<Diagnostic>> {
    let mut tokens = tokenize(context);
    if let Some(mistake) = tokens.mistake {
        return Err(vec![*mistake]);
    }
    while tokens.tokens.last().map(|token| &token.token) == Some(&Token::SemiColon) {
        tokens.tokens.pop();
    }
    match substitute(context, &tokens.tokens) {
        Some(put_in) => put_in.map_err(|diagnostic| vec![*diagnostic]),
        None => Ok(tokens.tokens),
    }
}

pub(crate) fn place_of(context: &Context<'_>, tokens: &[TokenWithSpan]) -> Place {
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => {
            token_place(context, first.span).to(token_place(context, last.span))
        }
        _ => Place::new(context.file, 0..0),
    }
}

pub(crate) fn text_of(context: &Context<'_>, place: Place) -> String {
    let text = context.source.text();
    text.get(place.start..place.end).unwrap_or("").to_owned()
}

/// Refuses tokens whose tree would be so deep that walking it could exhaust the stack. The parser
/// itself bounds brackets; this bounds chains (`a + a + a …`) and nested types.
fn guard_depth(context: &Context<'_>, tokens: &[TokenWithSpan]) -> Parsed<()> {
    let mut chains = vec![0usize];
    let mut type_depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        let chain = chains.len() - 1;
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => chains.push(0),
            Token::RParen | Token::RBracket | Token::RBrace if chain > 0 => {
                chains.pop();
            }
            Token::Comma => chains[chain] = 0,
            Token::Lt if at > 0 && is_nested_type(&tokens[at - 1]) => type_depth += 1,
            Token::Gt => type_depth = type_depth.saturating_sub(1),
            Token::ShiftRight => type_depth = type_depth.saturating_sub(2),
            Token::Number(..) | Token::SingleQuotedString(_) | Token::Period => {}
            Token::Word(word) if !is_chaining(&word.value, word.quote_style) => {}
            _ => chains[chain] += 1,
        }
        let last = chains.last().copied().unwrap_or(0);
        if last > CHAIN_MAX || type_depth > TYPE_DEPTH_MAX {
            let message = match last > CHAIN_MAX {
                true => format!("an expression can have at most {CHAIN_MAX} operators in a row"),
                false => format!("a type can be nested at most {TYPE_DEPTH_MAX} deep"),
            };
            let place = token_place(context, token.span);
            let diagnostic = Diagnostic::error(codes::TOO_DEEP, message).at(place, "too many");
            return Err(Box::new(
                diagnostic.help("`column IN (…)` and functions take lists of any length"),
            ));
        }
    }
    Ok(())
}

pub(crate) fn is_nested_type(token: &TokenWithSpan) -> bool {
    unquoted(&token.token).is_some_and(|word| {
        ["ARRAY", "MAP", "STRUCT"]
            .iter()
            .any(|name| word.eq_ignore_ascii_case(name))
    })
}

/// Words that make a tree one deeper.
fn is_chaining(word: &str, quote_style: Option<char>) -> bool {
    const CHAINING: &[&str] = &[
        "AND",
        "OR",
        "NOT",
        "IS",
        "LIKE",
        "ILIKE",
        "RLIKE",
        "REGEXP",
        "BETWEEN",
        "DIV",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "MINUS",
        "XOR",
        "COLLATE",
        "INTERVAL",
        "CASE",
    ];
    quote_style.is_none()
        && CHAINING
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
}

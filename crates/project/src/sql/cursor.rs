//! A cursor over the tokens of a statement: what hand-written grammar is made of.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::model::ColumnReference;
use crate::names::TableName;
use crate::nearest::nearest;
use crate::source::Place;

use super::query::is_nested_type;
use super::tokens::{closing, is_word, quote, token_place, unquoted};
use super::{Context, Parsed};

/// A position in some tokens.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'t> {
    context: &'t Context<'t>,
    tokens: &'t [TokenWithSpan],
    at: usize,
    /// Where the tokens end: the point behind the last, or the `)` of a group.
    end: Place,
    /// What stands at the end, for messages.
    end_name: &'static str,
    /// `>>` closes two types; this says that its first half is used up.
    half_shift: bool,
}

impl<'t> Cursor<'t> {
    /// A cursor over the tokens of a statement.
    pub(crate) fn new(context: &'t Context<'t>, tokens: &'t [TokenWithSpan]) -> Self {
        let end = tokens
            .last()
            .map_or(Place::new(context.file, 0..0), |last| {
                let last = token_place(context, last.span);
                Place::new(context.file, last.end..last.end)
            });
        Self {
            context,
            tokens,
            at: 0,
            end,
            end_name: "the end of the statement",
            half_shift: false,
        }
    }

    /// Where the parser is.
    pub(crate) fn context(&self) -> &'t Context<'t> {
        self.context
    }

    /// The tokens that are left.
    pub(crate) fn rest(&self) -> &'t [TokenWithSpan] {
        &self.tokens[self.at.min(self.tokens.len())..]
    }

    /// Whether no token is left.
    pub(crate) fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// The next token.
    pub(crate) fn peek(&self) -> Option<&'t TokenWithSpan> {
        self.tokens.get(self.at)
    }

    /// Takes `count` tokens.
    pub(crate) fn skip(&mut self, count: usize) {
        self.at = (self.at + count).min(self.tokens.len());
        self.half_shift = false;
    }

    /// The place of the next token, or of the end.
    pub(crate) fn here(&self) -> Place {
        self.peek()
            .map_or(self.end, |token| token_place(self.context, token.span))
    }

    /// The place of the token before.
    pub(crate) fn previous(&self) -> Place {
        match self.at.checked_sub(1).and_then(|at| self.tokens.get(at)) {
            Some(token) => token_place(self.context, token.span),
            None => self.here(),
        }
    }

    /// The text between two places.
    pub(crate) fn text(&self, place: Place) -> &'t str {
        let text = self.context.source.text();
        text.get(place.start..place.end).unwrap_or("")
    }

    /// Whether the token `ahead` of the next is this word.
    pub(crate) fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        is_word(self.tokens.get(self.at + ahead), word)
    }

    /// The unquoted word that is next.
    pub(crate) fn peek_word(&self) -> Option<&'t str> {
        self.peek().and_then(|token| unquoted(&token.token))
    }

    /// Takes these words if they are next.
    pub(crate) fn words(&mut self, words: &[&str]) -> bool {
        let all = words
            .iter()
            .enumerate()
            .all(|(ahead, word)| self.is_word_at(ahead, word));
        if all {
            self.skip(words.len());
        }
        all
    }

    /// Takes these words, which must be next.
    pub(crate) fn expect_words(&mut self, words: &[&str]) -> Parsed<()> {
        for word in words {
            if !self.words(&[word]) {
                return Err(self.expected_one_of(&[word]));
            }
        }
        Ok(())
    }

    /// Takes this symbol if it is next.
    pub(crate) fn symbol(&mut self, symbol: &Token) -> bool {
        let found = self.peek().is_some_and(|token| token.token == *symbol);
        if found {
            self.skip(1);
        }
        found
    }

    /// Takes this symbol, which must be next.
    pub(crate) fn expect_symbol(&mut self, symbol: &Token) -> Parsed<()> {
        match self.symbol(symbol) {
            true => Ok(()),
            false => Err(self.expected(&format!("`{symbol}`"))),
        }
    }

    /// Takes one `>` of a type, which may be half of a `>>`.
    pub(crate) fn expect_closing_angle(&mut self) -> Parsed<()> {
        match self.peek().map(|token| &token.token) {
            Some(Token::Gt) => {
                self.skip(1);
                Ok(())
            }
            Some(Token::ShiftRight) if self.half_shift => {
                self.skip(1);
                Ok(())
            }
            Some(Token::ShiftRight) => {
                self.half_shift = true;
                Ok(())
            }
            _ => Err(self.expected("`>`")),
        }
    }

    /// Takes an identifier; any word can be one.
    pub(crate) fn identifier(&mut self, what: &str) -> Parsed<(String, Place)> {
        let place = self.here();
        match self.peek().map(|token| &token.token) {
            Some(Token::Word(word)) if !word.value.is_empty() => {
                let name = word.value.clone();
                self.skip(1);
                Ok((name, place))
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Takes a name with dots in it, as its parts.
    pub(crate) fn parts(&mut self, what: &str) -> Parsed<(Vec<String>, Place)> {
        let (first, mut place) = self.identifier(what)?;
        let mut parts = vec![first];
        while self.symbol(&Token::Period) {
            let (part, part_place) = self.identifier("the rest of the name")?;
            parts.push(part);
            place = place.to(part_place);
        }
        Ok((parts, place))
    }

    /// Takes the name of a table or flow.
    pub(crate) fn table_name(&mut self, what: &str) -> Parsed<(TableName, Place)> {
        let (parts, place) = self.parts(what)?;
        match self.context.namespace.resolve(&parts) {
            Some(name) => Ok((name, place)),
            None => Err(Box::new(too_many_parts(place))),
        }
    }

    /// Takes a string.
    pub(crate) fn string(&mut self, what: &str) -> Parsed<(String, Place)> {
        let place = self.here();
        match self.peek().map(|token| &token.token) {
            Some(Token::SingleQuotedString(text)) => {
                let text = text.clone();
                self.skip(1);
                Ok((text, place))
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Takes a whole number.
    pub(crate) fn whole_number(&mut self, what: &str) -> Parsed<(u64, Place)> {
        let place = self.here();
        let number = match self.peek().map(|token| &token.token) {
            Some(Token::Number(digits, _)) => digits.parse().ok(),
            _ => None,
        };
        match number {
            Some(number) => {
                self.skip(1);
                Ok((number, place))
            }
            None => Err(self.expected(what)),
        }
    }

    /// Takes `( … )` and gives a cursor over what is inside.
    pub(crate) fn group(&mut self, what: &str) -> Parsed<Cursor<'t>> {
        let open = self.here();
        if self.peek().map(|token| &token.token) != Some(&Token::LParen) {
            return Err(self.expected(what));
        }
        let Some(close) = closing(self.tokens, self.at) else {
            let diagnostic = Diagnostic::error(codes::SYNTAX, "this `(` is never closed");
            return Err(Box::new(
                diagnostic.at(open, "no `)` for it in this statement"),
            ));
        };
        let inside = Cursor {
            context: self.context,
            tokens: &self.tokens[self.at + 1..close],
            at: 0,
            end: token_place(self.context, self.tokens[close].span),
            end_name: "`)`",
            half_shift: false,
        };
        self.skip(close + 1 - self.at);
        Ok(inside)
    }

    /// Cuts what is left at its commas, outside of parentheses, brackets and the angles of types.
    pub(crate) fn split_at_commas(&self) -> Vec<Cursor<'t>> {
        let mut items = Vec::new();
        let (mut depth, mut angles) = (0i32, 0i32);
        let mut start = self.at;
        for (at, token) in self.tokens.iter().enumerate().skip(self.at) {
            match token.token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth -= 1,
                // Elsewhere than behind ARRAY, MAP or STRUCT it compares.
                Token::Lt if at > 0 && is_nested_type(&self.tokens[at - 1]) => angles += 1,
                Token::Gt => angles = (angles - 1).max(0),
                Token::ShiftRight => angles = (angles - 2).max(0),
                Token::Comma if depth <= 0 && angles == 0 => {
                    items.push(self.part(start, at));
                    start = at + 1;
                    depth = 0;
                }
                _ => {}
            }
        }
        items.push(Cursor {
            at: 0,
            tokens: &self.tokens[start.min(self.tokens.len())..],
            ..self.clone()
        });
        items
    }

    fn part(&self, start: usize, comma: usize) -> Cursor<'t> {
        Cursor {
            context: self.context,
            tokens: &self.tokens[start..comma],
            at: 0,
            end: token_place(self.context, self.tokens[comma].span),
            end_name: "`,`",
            half_shift: false,
        }
    }

    /// Takes `(a, b)`, a list of columns.
    pub(crate) fn column_list(&mut self, what: &str) -> Parsed<Vec<ColumnReference>> {
        let mut group = self.group(what)?;
        let mut columns = Vec::new();
        loop {
            let (name, place) = group.identifier("the name of a column")?;
            columns.push(ColumnReference { name, place });
            if !group.symbol(&Token::Comma) {
                break;
            }
        }
        group.expect_done("`,` or `)`")?;
        Ok(columns)
    }

    /// Nothing may be left.
    pub(crate) fn expect_done(&self, what: &str) -> Parsed<()> {
        match self.is_done() {
            true => Ok(()),
            false => Err(self.expected(what)),
        }
    }

    /// What is next, for messages.
    pub(crate) fn found(&self) -> String {
        match self.peek() {
            Some(token) => quote(self.context, token),
            None => self.end_name.to_owned(),
        }
    }

    /// The mistake that something else is next.
    pub(crate) fn expected(&self, what: &str) -> Box<Diagnostic> {
        let message = format!("expected {what}, found {}", self.found());
        let diagnostic = Diagnostic::error(codes::SYNTAX, message);
        Box::new(diagnostic.at(self.here(), format!("expected {what}")))
    }

    /// The mistake that none of these words is next, with the nearest of them.
    pub(crate) fn expected_one_of(&self, words: &[&str]) -> Box<Diagnostic> {
        let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        let what = match quoted.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => quoted.concat(),
        };
        let diagnostic = self.expected(&what);
        let near = self.peek_word().and_then(|word| {
            let first_words = words.iter().flat_map(|words| words.split(' ').next());
            nearest(word, first_words).filter(|near| !near.eq_ignore_ascii_case(word))
        });
        match near {
            Some(near) => Box::new(diagnostic.help(format!("did you mean `{near}`?"))),
            None => diagnostic,
        }
    }
}

/// The mistake of a name with more than three parts.
pub(crate) fn too_many_parts(place: Place) -> Diagnostic {
    Diagnostic::error(codes::SYNTAX, "a name has at most three parts")
        .at(place, "too many parts")
        .help("write `name`, `schema.name` or `catalog.schema.name`")
}

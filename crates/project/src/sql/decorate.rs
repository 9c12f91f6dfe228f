//! What SQL writes beside a table, taken out of the tokens of a query.
//!
//! `STREAM t`, `STREAM(t)`, `t@v3`, `VERSION AS OF`, `TIMESTAMP AS OF` and `WATERMARK … DELAY OF …`
//! are Spark's and Databricks' own; the parser does not know all of them, and planners know none.
//! This walks the tokens, finds each place where a relation stands (after FROM, JOIN, or a comma in
//! a FROM), takes those words out, and keeps them by the location of the relation's name, under
//! which [`super::bind`] finds them again in the tree.

use std::collections::HashMap;

use sqlparser::ast::{self, Expr};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Word};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::model::{AsOf, Expression, Watermark};
use crate::source::Place;

use super::cursor::Cursor;
use super::query::parse_expression_here;
use super::tokens::{closing, is_word, token_place, unquoted};
use super::{Context, Parsed};

/// What was written beside a relation.
#[derive(Clone, Debug)]
pub(crate) struct Decoration {
    pub(crate) streaming: bool,
    pub(crate) as_of: Option<AsOf>,
    pub(crate) watermark: Option<Watermark>,
    /// The relation's name, with the arguments of a call.
    pub(crate) place: Place,
}

/// Decorations by the location at which the relation's name begins.
pub(crate) type Decorations = HashMap<Location, Decoration>;

/// The tokens that are left, and what was taken out.
pub(crate) struct Decorated {
    pub(crate) tokens: Vec<TokenWithSpan>,
    pub(crate) decorations: Decorations,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Takes the decorations out of the tokens of a query.
pub(crate) fn decorate(context: &Context<'_>, tokens: &[TokenWithSpan]) -> Decorated {
    let mut scanner = Scanner {
        context,
        tokens,
        at: 0,
        levels: vec![Level::default()],
        kept: Vec::with_capacity(tokens.len() + 8),
        decorations: HashMap::new(),
        diagnostics: Vec::new(),
    };
    scanner.run();
    Decorated {
        tokens: scanner.kept,
        decorations: scanner.decorations,
        diagnostics: scanner.diagnostics,
    }
}

/// Where a level of brackets is in its query.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    /// A SELECT was seen: a FROM belongs to it, and not to `extract(… FROM …)`.
    selects: bool,
    /// Between FROM and the clause after it.
    in_from: bool,
    /// The next token begins a relation.
    expects: bool,
}

/// Words that end a FROM clause.
const ENDS_FROM: &[&str] = &[
    "WHERE",
    "GROUP",
    "HAVING",
    "QUALIFY",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "MINUS",
    "WINDOW",
    "CLUSTER",
    "DISTRIBUTE",
    "SORT",
];

/// Words that cannot be an alias: they come after a relation.
const AFTER_RELATION: &[&str] = &[
    "ON",
    "USING",
    "JOIN",
    "INNER",
    "LEFT",
    "RIGHT",
    "FULL",
    "CROSS",
    "NATURAL",
    "SEMI",
    "ANTI",
    "OUTER",
    "LATERAL",
    "PIVOT",
    "UNPIVOT",
    "TABLESAMPLE",
    "AS",
    "VERSION",
    "TIMESTAMP",
    "FOR",
];

struct Scanner<'t> {
    context: &'t Context<'t>,
    tokens: &'t [TokenWithSpan],
    at: usize,
    levels: Vec<Level>,
    kept: Vec<TokenWithSpan>,
    decorations: Decorations,
    diagnostics: Vec<Diagnostic>,
}

impl<'t> Scanner<'t> {
    fn run(&mut self) {
        while let Some(token) = self.tokens.get(self.at) {
            let level = self.level();
            match &token.token {
                Token::LParen => self.open(level),
                Token::RParen => {
                    self.keep(1);
                    if self.levels.len() > 1 {
                        self.levels.pop();
                    }
                }
                Token::Comma => {
                    self.keep(1);
                    self.set(|level| level.expects = level.in_from);
                }
                Token::Word(word) if level.expects => self.relation_or_word(word),
                Token::Word(word) if word.quote_style.is_none() => self.word(&word.value, level),
                _ => {
                    self.keep(1);
                    self.set(|level| level.expects = false);
                }
            }
        }
    }

    fn level(&self) -> Level {
        self.levels.last().copied().unwrap_or_default()
    }

    fn set(&mut self, change: impl FnOnce(&mut Level)) {
        if let Some(level) = self.levels.last_mut() {
            change(level);
        }
    }

    fn keep(&mut self, count: usize) {
        let end = (self.at + count).min(self.tokens.len());
        self.kept.extend_from_slice(&self.tokens[self.at..end]);
        self.at = end;
    }

    fn peek(&self, ahead: usize) -> Option<&'t TokenWithSpan> {
        self.tokens.get(self.at + ahead)
    }

    fn is_word(&self, ahead: usize, word: &str) -> bool {
        is_word(self.peek(ahead), word)
    }

    fn is_one_of(&self, ahead: usize, words: &[&str]) -> bool {
        let word = self.peek(ahead).and_then(|token| unquoted(&token.token));
        word.is_some_and(|word| words.iter().any(|known| word.eq_ignore_ascii_case(known)))
    }

    fn open(&mut self, level: Level) {
        let is_query = self.is_one_of(1, &["SELECT", "WITH", "VALUES", "FROM"]);
        let is_relation = level.expects && !is_query;
        self.keep(1);
        self.set(|level| level.expects = false);
        self.levels.push(Level {
            selects: is_relation,
            in_from: is_relation,
            expects: is_relation,
        });
    }

    fn word(&mut self, word: &str, level: Level) {
        let is = |known: &str| word.eq_ignore_ascii_case(known);
        if is("SELECT") {
            self.set(|level| (level.selects, level.in_from, level.expects) = (true, false, false));
        } else if is("FROM") {
            let compares = self.at > 0 && is_word(self.tokens.get(self.at - 1), "DISTINCT");
            let begins = match self
                .at
                .checked_sub(1)
                .map(|before| &self.tokens[before].token)
            {
                None | Some(Token::LParen) => true,
                _ => level.selects,
            };
            if begins && !compares {
                self.set(|level| (level.in_from, level.expects) = (true, true));
            }
        } else if is("JOIN") && level.in_from {
            self.set(|level| level.expects = true);
        } else if is("TABLE") && self.begins_query() && self.names_follow(1) {
            return self.table_query();
        } else if ENDS_FROM.iter().any(|end| is(end)) || (is("LATERAL") && self.is_word(1, "VIEW"))
        {
            self.set(|level| level.in_from = false);
        }
        self.keep(1);
    }

    /// Whether a query can begin at this token.
    fn begins_query(&self) -> bool {
        const BEFORE: &[&str] = &["UNION", "ALL", "DISTINCT", "EXCEPT", "INTERSECT", "MINUS"];
        match self
            .at
            .checked_sub(1)
            .map(|before| &self.tokens[before].token)
        {
            None | Some(Token::LParen) => true,
            Some(token) => unquoted(token)
                .is_some_and(|word| BEFORE.iter().any(|known| word.eq_ignore_ascii_case(known))),
        }
    }

    fn names_follow(&self, ahead: usize) -> bool {
        matches!(
            self.peek(ahead).map(|token| &token.token),
            Some(Token::Word(_))
        )
    }

    /// `TABLE t` is `SELECT * FROM t`.
    fn table_query(&mut self) {
        let span = self.tokens[self.at].span;
        for token in [
            Token::make_keyword("SELECT"),
            Token::Mul,
            Token::make_keyword("FROM"),
        ] {
            self.kept.push(TokenWithSpan { token, span });
        }
        self.at += 1;
        self.set(|level| (level.selects, level.in_from, level.expects) = (true, true, true));
    }

    fn relation_or_word(&mut self, word: &Word) {
        let is = |known: &str| word.quote_style.is_none() && word.value.eq_ignore_ascii_case(known);
        let opens = self.peek(1).map(|token| &token.token) == Some(&Token::LParen);
        if is("LATERAL") {
            self.keep(1);
        } else if is("SELECT") || is("WITH") || (opens && (is("VALUES") || is("TABLE"))) {
            self.set(|level| {
                (level.expects, level.selects) = (false, level.selects || is("SELECT"))
            });
            self.set(|level| level.in_from = level.in_from && !is("SELECT"));
            self.keep(1);
        } else {
            self.set(|level| level.expects = false);
            let start = self.at;
            if let Err(diagnostic) = self.relation() {
                self.diagnostics.push(*diagnostic);
                self.at = self.at.max(start + 1);
            }
        }
    }

    /// `[STREAM] name [(arguments)] [version] [WATERMARK …] [alias] [WATERMARK …]`.
    fn relation(&mut self) -> Parsed<()> {
        let stream_place = token_place(self.context, self.tokens[self.at].span);
        let in_brackets = self.is_word(0, "STREAM")
            && self.peek(1).map(|token| &token.token) == Some(&Token::LParen);
        let streaming = in_brackets
            || (self.is_word(0, "STREAM")
                && self.names_follow(1)
                && !self.is_one_of(1, ENDS_FROM)
                && !self.is_one_of(1, AFTER_RELATION));
        let mut bracket_end = None;
        if in_brackets {
            bracket_end = Some(self.open_stream_bracket(stream_place)?);
        } else if streaming {
            self.at += 1;
        }
        let Some(first) = self.tokens.get(self.at) else {
            return Ok(());
        };
        let key = first.span.start;
        let mut place = self.name(first)?;
        if self.peek(0).map(|token| &token.token) == Some(&Token::LParen) {
            let open = self.at;
            let Some(close) = closing(self.tokens, open) else {
                let diagnostic = Diagnostic::error(codes::SYNTAX, "this `(` is never closed");
                let open = token_place(self.context, self.tokens[open].span);
                return Err(Box::new(diagnostic.at(open, "no `)` for it in this query")));
            };
            self.keep(close + 1 - open);
            place = place.to(token_place(self.context, self.tokens[close].span));
        }
        let mut decoration = Decoration {
            streaming,
            as_of: self.version()?,
            watermark: None,
            place,
        };
        if let Some(end) = bracket_end {
            self.close_stream_bracket(end)?;
            decoration.as_of = match decoration.as_of {
                None => self.version()?,
                given => given,
            };
        }
        decoration.watermark = self.watermark()?;
        if decoration.watermark.is_none() {
            self.alias();
            decoration.watermark = self.watermark()?;
        }
        self.decorations.insert(key, decoration);
        Ok(())
    }

    /// Takes `STREAM (`, and gives the index of its `)`.
    fn open_stream_bracket(&mut self, place: Place) -> Parsed<usize> {
        let open = self.at + 1;
        let wrong = |words: &str| {
            let message = "STREAM takes the name of a table, or read_files(…)";
            let diagnostic = Diagnostic::error(codes::SYNTAX, message).at(place, words);
            Err(Box::new(diagnostic.help(
                "write `STREAM name` or `STREAM read_files('folder', …)`",
            )))
        };
        let Some(close) = closing(self.tokens, open) else {
            return wrong("its `(` is never closed");
        };
        self.at = open + 1;
        match self.names_follow(0) && !self.is_one_of(0, &["SELECT", "WITH", "VALUES"]) {
            true => Ok(close),
            false => {
                self.at = close + 1;
                wrong("does not take a query")
            }
        }
    }

    fn close_stream_bracket(&mut self, end: usize) -> Parsed<()> {
        let here = self.at;
        self.at = end + 1;
        if here == end {
            return Ok(());
        }
        let place = token_place(self.context, self.tokens[here.min(end)].span);
        let message = "expected `)` after the name of the stream";
        let diagnostic = Diagnostic::error(codes::SYNTAX, message).at(place, "expected `)`");
        Err(Box::new(diagnostic))
    }

    /// Keeps `a.b.c`.
    fn name(&mut self, first: &TokenWithSpan) -> Parsed<Place> {
        let mut place = token_place(self.context, first.span);
        self.keep(1);
        while self.peek(0).map(|token| &token.token) == Some(&Token::Period) && self.names_follow(1)
        {
            place = place.to(token_place(self.context, self.tokens[self.at + 1].span));
            self.keep(2);
        }
        Ok(place)
    }

    /// `@v3`, `@20260131…`, `[FOR] VERSION AS OF 3`, `[FOR] TIMESTAMP AS OF e`.
    fn version(&mut self) -> Parsed<Option<AsOf>> {
        if self.peek(0).map(|token| &token.token) == Some(&Token::AtSign) {
            let as_of = self.at_version()?;
            self.at += 2;
            return Ok(Some(as_of));
        }
        let ahead = usize::from(self.is_word(0, "FOR"));
        if !(self.is_word(ahead + 1, "AS") && self.is_word(ahead + 2, "OF")) {
            return Ok(None);
        }
        let by_version = self.is_one_of(ahead, &["VERSION", "SYSTEM_VERSION"]);
        let by_time = self.is_one_of(ahead, &["TIMESTAMP", "SYSTEM_TIME"]);
        if !by_version && !by_time {
            return Ok(None);
        }
        self.at += ahead + 3;
        if by_time {
            return Ok(Some(AsOf::Timestamp(Box::new(self.expression()?))));
        }
        let number = match self.peek(0).map(|token| &token.token) {
            Some(Token::Number(digits, _) | Token::SingleQuotedString(digits)) => {
                digits.parse().ok()
            }
            _ => None,
        };
        match number {
            Some(number) => {
                self.at += 1;
                Ok(Some(AsOf::Version(number)))
            }
            None => Err(self.cursor().expected("the number of a version")),
        }
    }

    fn at_version(&self) -> Parsed<AsOf> {
        let expected = "`@v` with a version, or `@` with a time as yyyyMMddHHmmssSSS";
        let token = self.peek(1);
        let word = match token.map(|token| &token.token) {
            Some(Token::Word(word)) => word.value.as_str(),
            Some(Token::Number(digits, _)) => digits.as_str(),
            _ => "",
        };
        let version = word
            .strip_prefix(['v', 'V'])
            .and_then(|digits| digits.parse().ok());
        if let Some(version) = version {
            return Ok(AsOf::Version(version));
        }
        match (token, written_time(word)) {
            (Some(token), Some(time)) => {
                let value = ast::Value::SingleQuotedString(time.clone());
                Ok(AsOf::Timestamp(Box::new(Expression {
                    ast: Expr::Value(value.with_span(token.span)),
                    text: format!("'{time}'"),
                    place: token_place(self.context, token.span),
                })))
            }
            _ => Err(self.cursor().expected(expected)),
        }
    }

    /// `WATERMARK e [AS name] DELAY OF interval`.
    fn watermark(&mut self) -> Parsed<Option<Watermark>> {
        let follows = self.peek(1).is_some_and(|token| {
            matches!(token.token, Token::Word(_) | Token::LParen)
                && !self.is_one_of(1, ENDS_FROM)
                && !self.is_one_of(1, AFTER_RELATION)
        });
        if !self.is_word(0, "WATERMARK") || !follows {
            return Ok(None);
        }
        let begin = token_place(self.context, self.tokens[self.at].span);
        self.at += 1;
        let time = self.expression()?;
        let mut cursor = self.cursor();
        let alias = match cursor.words(&["AS"]) {
            true => Some(cursor.identifier("a name for the event time")?.0),
            false => None,
        };
        cursor.expect_words(&["DELAY", "OF"])?;
        self.at = self.tokens.len() - cursor.rest().len();
        let delay = self.expression()?;
        Ok(Some(Watermark {
            place: begin.to(delay.place),
            time,
            alias,
            delay,
        }))
    }

    /// Keeps `[AS] alias`, if a WATERMARK comes behind it; the parser knows aliases itself.
    fn alias(&mut self) {
        let name = usize::from(self.is_word(0, "AS"));
        let is_alias = self.names_follow(name) && self.is_word(name + 1, "WATERMARK");
        if is_alias && !self.is_one_of(name, ENDS_FROM) && !self.is_one_of(name, AFTER_RELATION) {
            self.keep(name + 1);
        }
    }

    fn cursor(&self) -> Cursor<'t> {
        Cursor::new(self.context, &self.tokens[self.at.min(self.tokens.len())..])
    }

    fn expression(&mut self) -> Parsed<Expression> {
        let mut cursor = self.cursor();
        let expression = parse_expression_here(&mut cursor)?;
        self.at = self.tokens.len() - cursor.rest().len();
        Ok(expression)
    }
}

/// `20260131` with a time behind it, as far as it is given: a time as SQL writes it.
fn written_time(digits: &str) -> Option<String> {
    if digits.len() < 8 || digits.len() > 17 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let padded = format!("{digits:0<17}");
    let part = |from: usize, to: usize| &padded[from..to];
    Some(format!(
        "{}-{}-{} {}:{}:{}.{}",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14),
        part(14, 17)
    ))
}

//! The splitter: from a block of delimited text to text columns, without copying values.
//!
//! A row is a line, unless a quoted value spans lines. Whatever is wrong with a row costs that row
//! only: a quote that never closes makes its own line malformed, and the next line begins afresh
//! (see [`super::quoted`]).

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::buffer::Buffer;
use bytes::Bytes;

use super::index::Index;
use super::quoted::Careful;
use crate::batch::{Malformed, MalformedKind};
use crate::blocks::{Block, NOT_VALID, invalid_ranges};
use crate::formats::csv::dialect::Dialect;
use crate::options::MultiLine;
use crate::views::{TextColumn, block_view, side_view};

/// A field that goes nowhere.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// Everything about a file that its splitter must know.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub dialect: Dialect,
    pub newline: u8,
    pub multi_line: MultiLine,
    /// Rows with fewer fields are padded with NULL.
    pub pad: bool,
    /// The longest row in bytes.
    pub limit: usize,
    /// For each field of a row, its column, or [`NOWHERE`].
    pub targets: Vec<u32>,
    /// How many columns there are.
    pub columns: usize,
    /// For each field, whether it is a number or a time by what was discovered.
    pub numeric: Vec<bool>,
}

impl Rules {
    /// How many fields a row has.
    pub(crate) fn expected(&self) -> usize {
        self.targets.len()
    }

    /// Whether the dialect needs nothing beyond one-byte delimiters and doubled quotes.
    fn plain(&self) -> bool {
        let dialect = &self.dialect;
        dialect.delimiter.len() == 1
            && dialect.escape.is_none()
            && dialect.comment.is_none()
            && !dialect.trim_leading
            && !dialect.trim_trailing
    }
}

/// The rows of a block.
pub(crate) struct Rows {
    pub columns: Vec<ArrayRef>,
    pub raw: ArrayRef,
    pub line: Vec<u32>,
    pub malformed: Vec<Malformed>,
    pub overrun: usize,
    pub lines: u64,
}

/// Splits a block, from `skip` on.
pub(crate) fn split(block: &Block, skip: usize, rules: &Rules) -> Rows {
    let data = block.data.as_slice();
    if skip >= block.own {
        // The record before reaches over this whole block.
        let lines = memchr::memchr_iter(rules.newline, &data[..block.own]).count() as u64;
        let mut splitter = Splitter::new(data, block, block.own, rules);
        splitter.lines = (block.lines_before + lines) as u32;
        return splitter.finish(block, skip - block.own);
    }
    let mut splitter = Splitter::new(data, block, skip, rules);
    splitter.lines += memchr::memchr_iter(rules.newline, &data[..skip]).count() as u32;
    if rules.plain() {
        splitter.run::<true>();
    } else {
        splitter.run::<false>();
    }
    let overrun = splitter.at.min(block.end).saturating_sub(block.own);
    splitter.finish(block, overrun)
}

pub(crate) struct Splitter<'a> {
    pub(super) data: &'a [u8],
    pub(super) rules: &'a Rules,
    pub(super) delimiter: &'a [u8],
    pub(super) quote: u8,
    pub(super) end: usize,
    own: usize,
    last: bool,
    cut: bool,
    pub(super) index: Index,
    /// The next position's index.
    pub(super) next: usize,
    /// Where the current row begins.
    pub(super) at: usize,
    /// The line on which it begins.
    pub(super) lines: u32,
    columns: Vec<TextColumn>,
    side: Vec<u8>,
    raw: TextColumn,
    line: Vec<u32>,
    malformed: Vec<Malformed>,
    /// Invalid bytes, latest first, and where the next one begins.
    invalid: Vec<(usize, usize)>,
    next_invalid: usize,
    /// Where the first line inside the current row's quotes ends, and the index behind it.
    pub(super) first_newline: Option<(usize, usize)>,
    pub(super) crossings: u32,
}

/// Why a row is malformed.
pub(super) struct Broken(pub String);

impl<'a> Splitter<'a> {
    fn new(data: &'a [u8], block: &Block, at: usize, rules: &'a Rules) -> Self {
        let delimiter = rules.dialect.delimiter.as_bytes();
        let first = delimiter.first().copied().unwrap_or(b',');
        let quote = rules.dialect.quote.unwrap_or(first);
        let mut invalid = invalid_ranges(&data[at..block.own], at, true);
        invalid.reverse();
        let rows = expected_rows(&data[at..block.own], rules.newline);
        let next_invalid = invalid.last().map_or(usize::MAX, |range| range.0);
        Self {
            data,
            rules,
            delimiter,
            quote,
            end: block.end,
            own: block.own,
            last: block.last,
            cut: block.cut,
            index: Index::new(at, block.end, first, quote, rules.newline),
            next: 0,
            at,
            lines: block.lines_before as u32,
            columns: (0..rules.columns)
                .map(|_| TextColumn::with_capacity(rows))
                .collect(),
            side: Vec::new(),
            raw: TextColumn::with_capacity(rows),
            line: Vec::with_capacity(rows),
            malformed: Vec::new(),
            invalid,
            next_invalid,
            first_newline: None,
            crossings: 0,
        }
    }

    fn run<const PLAIN: bool>(&mut self) {
        while self.at < self.own {
            if !self.index.has_line(self.next) {
                self.index.advance(self.data, self.next);
                self.next = 0;
            }
            if !PLAIN
                && self
                    .rules
                    .dialect
                    .comment
                    .is_some_and(|mark| self.data[self.at] == mark)
            {
                self.skip_line();
                continue;
            }
            self.first_newline = None;
            self.crossings = 0;
            match self.record::<PLAIN>() {
                Ok((fields, stop)) => self.close(fields, stop),
                Err(Broken(message)) => self.reject_line(MalformedKind::BrokenQuote, message),
            }
        }
    }

    /// Takes one record apart, from `self.at`: its fields are pushed, `self.next` moves behind it.
    /// Gives the number of fields and where its last newline stands.
    #[inline(always)]
    fn record<const PLAIN: bool>(&mut self) -> Result<(usize, usize), Broken> {
        let data = self.data;
        let delimiter = self.delimiter[0];
        let newline = self.rules.newline;
        let (mut start, mut field, mut next) = (self.at, 0, self.next);
        loop {
            let Some(&position) = self.index.positions().get(next) else {
                // Only within a record that crosses lines.
                if self.index.extend(data) {
                    continue;
                }
                return Err(Broken("a quoted value is not closed".to_owned()));
            };
            let position = position as usize;
            let byte = data[position];
            if byte == delimiter {
                next += 1;
                if !PLAIN {
                    if position < start || !self.is_delimiter(position, start) {
                        continue;
                    }
                    self.emit_trimmed(field, start, position);
                } else {
                    self.emit(field, start, position);
                }
                field += 1;
                start = position + if PLAIN { 1 } else { self.delimiter.len() };
            } else if byte == newline {
                next += 1;
                let stop = self.without_return(start, position);
                if PLAIN {
                    self.emit(field, start, stop);
                } else {
                    self.emit_trimmed(field, start, stop);
                }
                self.next = next;
                return Ok((field + 1, position));
            } else if position == start || (!PLAIN && self.opens_behind_spaces(start, position)) {
                next += 1;
                let value = self.quoted(&mut next, position)?;
                self.emit_quoted(field, &value);
                field += 1;
                if value.ends_record {
                    self.next = next;
                    return Ok((field, value.behind));
                }
                start = value.behind + if PLAIN { 1 } else { self.delimiter.len() };
            } else {
                // A quote inside an unquoted value is a character like others.
                next += 1;
            }
        }
    }

    /// The end of a line's text, without the carriage return before its line feed.
    #[inline(always)]
    pub(super) fn without_return(&self, start: usize, newline_at: usize) -> usize {
        let returns =
            self.rules.newline == b'\n' && newline_at > start && self.data[newline_at - 1] == b'\r';
        newline_at - usize::from(returns)
    }

    /// Whether the whole delimiter stands at `position`, and no escape before it (where there are
    /// no quotes, a backslash makes a delimiter part of the value).
    pub(super) fn is_delimiter(&self, position: usize, start: usize) -> bool {
        if !self.data[position..self.end].starts_with(self.delimiter) {
            return false;
        }
        match (self.rules.dialect.quote, self.rules.dialect.escape) {
            (None, Some(escape)) => self.data[start..position]
                .iter()
                .rev()
                .take_while(|&&byte| byte == escape)
                .count()
                .is_multiple_of(2),
            _ => true,
        }
    }

    fn opens_behind_spaces(&self, start: usize, position: usize) -> bool {
        self.rules.dialect.trim_leading
            && position > start
            && self.data[start..position]
                .iter()
                .all(|&byte| byte == b' ' || byte == b'\t')
    }

    #[inline(always)]
    fn target(&mut self, field: usize) -> Option<&mut TextColumn> {
        let target = *self.rules.targets.get(field)?;
        self.columns.get_mut(target as usize)
    }

    #[inline(always)]
    fn emit(&mut self, field: usize, start: usize, stop: usize) {
        let data = self.data;
        let Some(column) = self.target(field) else {
            return;
        };
        if start == stop {
            column.push_null();
        } else {
            column.push(block_view(data, start, stop - start));
        }
    }

    fn emit_trimmed(&mut self, field: usize, mut start: usize, mut stop: usize) {
        let blank = |byte: u8| byte == b' ' || byte == b'\t';
        if self.rules.dialect.trim_leading {
            while start < stop && blank(self.data[start]) {
                start += 1;
            }
        }
        if self.rules.dialect.trim_trailing {
            while start < stop && blank(self.data[stop - 1]) {
                stop -= 1;
            }
        }
        if let (None, Some(escape)) = (self.rules.dialect.quote, self.rules.dialect.escape)
            && self.data[start..stop].contains(&escape)
        {
            self.emit_unescaped(field, start, stop);
            return;
        }
        self.emit(field, start, stop);
    }

    #[inline]
    fn emit_quoted(&mut self, field: usize, value: &super::quoted::Quoted) {
        if value.escaped {
            self.emit_unescaped(field, value.start, value.stop);
            return;
        }
        let data = self.data;
        if let Some(column) = self.target(field) {
            column.push(block_view(data, value.start, value.stop - value.start));
        }
    }

    fn emit_unescaped(&mut self, field: usize, start: usize, stop: usize) {
        let text = super::quoted::unescape(
            &self.data[start..stop],
            self.rules.dialect.quote,
            self.rules.dialect.escape,
        );
        let Some(&target) = self.rules.targets.get(field) else {
            return;
        };
        if let Some(column) = self.columns.get_mut(target as usize) {
            column.push(side_view(&mut self.side, &text));
        }
    }

    /// Decides over a record that was taken apart; `newline_at` is where it ends.
    #[inline(always)]
    fn close(&mut self, fields: usize, newline_at: usize) {
        let at = self.at;
        let stop = self.without_return(at, newline_at);
        let expected = self.rules.targets.len();
        let strange = fields != expected
            || stop == at
            || self.crossings > 0
            || stop - at > self.rules.limit
            || self.next_invalid <= newline_at
            || newline_at >= self.own;
        if strange && !self.admit(fields, stop, newline_at) {
            return;
        }
        self.raw.push(block_view(self.data, at, stop - at));
        self.line.push(self.lines);
        self.lines += 1 + self.crossings;
        self.at = newline_at + 1;
    }

    /// The rare questions about a record: true if it is a row after all. Otherwise it has been
    /// dealt with.
    #[cold]
    fn admit(&mut self, fields: usize, stop: usize, newline_at: usize) -> bool {
        let expected = self.rules.expected();
        let at = self.at;
        if newline_at > self.own {
            self.check_overrun(newline_at);
        }
        if stop == at && self.crossings == 0 {
            self.roll_back();
            self.step_behind(newline_at);
            return false;
        }
        let trailing = self.rules.dialect.trailing_delimiter
            && fields == expected + 1
            && self.data[at..stop].ends_with(self.delimiter);
        let fits = fields == expected || trailing || (self.rules.pad && fields < expected);
        if self.crossings > 0 {
            if stop - at > self.rules.limit {
                let message = self.not_complete();
                self.reject_line(MalformedKind::BrokenQuote, message);
                return false;
            }
            if !fits || self.holds_a_row(at, stop) {
                let message = "a quoted value is not closed on its line, and the lines below do not complete the row";
                self.reject_line(MalformedKind::BrokenQuote, message.to_owned());
                return false;
            }
        }
        if let Some((kind, message)) = self.spoilt(stop, newline_at) {
            self.reject(stop, newline_at, kind, message);
        } else if !fits {
            let message = format!("{fields} fields, where {expected} were expected");
            self.reject(
                stop,
                newline_at,
                MalformedKind::FieldCount {
                    expected,
                    found: fields,
                },
                message,
            );
        } else {
            let rows = self.line.len() + 1;
            self.columns.iter_mut().for_each(|column| column.pad(rows));
            return true;
        }
        false
    }

    /// The rows of `quoted.rs` that a multi-line value would swallow.
    fn holds_a_row(&self, at: usize, stop: usize) -> bool {
        self.rules.multi_line == MultiLine::Careful
            && Careful {
                data: self.data,
                rules: self.rules,
            }
            .holds_a_row(at, stop)
    }

    /// Text of the look-ahead has not been checked with the block.
    fn check_overrun(&mut self, newline_at: usize) {
        let mut more = invalid_ranges(&self.data[self.own..newline_at], self.own, true);
        if self.next_invalid == usize::MAX && !more.is_empty() {
            more.reverse();
            self.invalid = more;
            self.next_invalid = self.invalid.last().map_or(usize::MAX, |range| range.0);
        }
    }

    /// What is wrong with the current record up to `stop`, whatever its fields are. Its length comes first:
    /// of what is too long, a small block does not see all.
    fn spoilt(&self, stop: usize, newline_at: usize) -> Option<(MalformedKind, String)> {
        let limit = self.rules.limit;
        if stop - self.at > limit {
            let message = format!("the row is longer than {limit} bytes (option maxRowBytes)");
            Some((MalformedKind::TooLong, message))
        } else if self.next_invalid <= newline_at {
            Some((MalformedKind::Encoding, NOT_VALID.to_owned()))
        } else if newline_at >= self.end && self.last && self.cut {
            let message = "the file breaks off in this row".to_owned();
            Some((MalformedKind::Truncated, message))
        } else {
            None
        }
    }

    /// Takes back what was pushed of the current record.
    fn roll_back(&mut self) {
        let rows = self.line.len();
        self.columns
            .iter_mut()
            .for_each(|column| column.truncate(rows));
    }

    /// Goes on behind the current record.
    fn step_behind(&mut self, newline_at: usize) {
        self.lines += 1 + self.crossings;
        self.at = newline_at + 1;
        while self.next_invalid < self.at {
            self.invalid.pop();
            self.next_invalid = self.invalid.last().map_or(usize::MAX, |range| range.0);
        }
    }

    /// The record up to `stop` is malformed.
    fn reject(&mut self, stop: usize, newline_at: usize, kind: MalformedKind, message: String) {
        self.roll_back();
        let kept = stop.min(self.at + self.rules.limit);
        let raw = Bytes::copy_from_slice(&self.data[self.at..kept]);
        self.malformed.push(Malformed {
            line: u64::from(self.lines),
            raw,
            kind,
            message,
        });
        self.step_behind(newline_at);
    }

    /// Only the first line of the current record is malformed; decoding goes on with the next one.
    #[cold]
    fn reject_line(&mut self, kind: MalformedKind, message: String) {
        let newline_at = self.next_line();
        self.crossings = 0;
        let stop = self.without_return(self.at, newline_at);
        if let Some((kind, spoilt)) = self.spoilt(stop, newline_at) {
            let message = match kind {
                MalformedKind::Encoding => {
                    message + ", and bytes are not valid in the file's encoding"
                }
                _ => spoilt,
            };
            self.reject(stop, newline_at, kind, message);
        } else {
            self.reject(stop, newline_at, kind, message);
        }
    }

    fn skip_line(&mut self) {
        self.first_newline = None;
        self.crossings = 0;
        let newline_at = self.next_line();
        self.step_behind(newline_at);
    }

    /// Moves `next` behind the newline that ends the line at `self.at`; gives its place.
    fn next_line(&mut self) -> usize {
        if let Some((newline_at, next)) = self.first_newline {
            self.next = next;
            return newline_at;
        }
        loop {
            let Some(&position) = self.index.positions().get(self.next) else {
                if self.index.extend(self.data) {
                    continue;
                }
                return self.end;
            };
            self.next += 1;
            let position = position as usize;
            if position >= self.at && self.data[position] == self.rules.newline {
                return position;
            }
        }
    }

    fn finish(self, block: &Block, overrun: usize) -> Rows {
        let buffers: Arc<[Buffer]> = if self.side.is_empty() {
            Arc::from([block.data.clone()])
        } else {
            Arc::from([block.data.clone(), Buffer::from_vec(self.side)])
        };
        let newline = self.rules.newline;
        let beyond = if overrun == 0 || self.at <= block.own {
            0
        } else {
            memchr::memchr_iter(newline, &self.data[block.own..block.own + overrun]).count()
        };
        Rows {
            columns: self
                .columns
                .into_iter()
                .map(|column| column.finish(&buffers))
                .collect(),
            raw: self.raw.finish(&buffers),
            line: self.line,
            malformed: self.malformed,
            overrun,
            lines: u64::from(self.lines) - beyond as u64,
        }
    }
}

/// About how many rows a text has, from those in its first part.
pub(crate) fn expected_rows(text: &[u8], newline: u8) -> usize {
    let sample = &text[..text.len().min(64 << 10)];
    match memchr::memchr_iter(newline, sample).count() {
        0 => memchr::memchr_iter(newline, text).count() + 2,
        lines => lines * text.len() / sample.len() * 17 / 16 + 16,
    }
}

//! Quoted values, the place where CSV readers lose rows.
//!
//! A quoted value that meets a newline is tried as one that spans lines: it must close with a quote
//! before a delimiter or line end, and the record must have as many fields as expected, within the
//! row limit. And unless the option `multiLine` says to trust quotes, none of the lines inside may
//! be a complete row of its own: where one is, it is far likelier that a quote is missing than that
//! a value holds a row. Otherwise only the first line is malformed.

use memchr::memchr;

use super::decode::{Broken, Rules, Splitter};
use crate::options::MultiLine;

/// A quoted value and what follows it.
pub(super) struct Quoted {
    /// Where its text begins and stops, inside the quotes.
    pub start: usize,
    pub stop: usize,
    /// Whether there are escapes in it.
    pub escaped: bool,
    /// Where the delimiter or newline behind it stands.
    pub behind: usize,
    /// Whether that is the end of the record.
    pub ends_record: bool,
}

impl Splitter<'_> {
    /// Reads the quoted value that `open` (the quote's place) begins; `next` is the index of the
    /// position behind it and moves behind the delimiter or newline that follows the value.
    #[inline]
    pub(super) fn quoted(&mut self, next: &mut usize, open: usize) -> Result<Quoted, Broken> {
        let (data, quote, newline) = (self.data, self.quote, self.rules.newline);
        let mut escaped = false;
        let close = loop {
            let Some(&position) = self.index.positions().get(*next) else {
                if self.index.extend(data) {
                    continue;
                }
                return Err(Broken("a quoted value is not closed".to_owned()));
            };
            let position = position as usize;
            *next += 1;
            let byte = data[position];
            if byte == quote {
                if self.is_escaped(open, position) {
                    escaped = true;
                } else if data[position + 1] == quote && position + 1 < self.end {
                    escaped = true;
                    // The second quote's position; known, or the first of the next window.
                    if *next == self.index.positions().len() {
                        self.index.extend(data);
                    }
                    *next += 1;
                } else {
                    break position;
                }
            } else if byte == newline {
                self.cross(position, *next)?;
            }
        };
        if let Some(escape) = self.rules.dialect.escape {
            escaped = escaped || memchr(escape, &data[open + 1..close]).is_some();
        }
        self.behind(next, close)
            .map(|(behind, ends_record)| Quoted {
                start: open + 1,
                stop: close,
                escaped,
                behind,
                ends_record,
            })
    }

    /// Whether an odd number of escape characters stands before the quote at `position`.
    #[inline(always)]
    fn is_escaped(&self, open: usize, position: usize) -> bool {
        match self.rules.dialect.escape {
            Some(escape) if escape != self.quote => {
                let before = self.data[open + 1..position].iter().rev();
                !before
                    .take_while(|&&byte| byte == escape)
                    .count()
                    .is_multiple_of(2)
            }
            _ => false,
        }
    }

    /// A newline inside a quoted value.
    #[cold]
    fn cross(&mut self, position: usize, next: usize) -> Result<(), Broken> {
        if self.first_newline.is_none() {
            self.first_newline = Some((position, next));
        }
        let never = self.rules.multi_line == MultiLine::Never;
        // Where the look-ahead of a small block ends, a big one goes on: what is too long is said first.
        let too_long = !never && position - self.at > self.rules.limit;
        if position >= self.end && !too_long {
            return Err(Broken("a quoted value is not closed".to_owned()));
        }
        if never {
            return Err(Broken(
                "a quoted value is not closed on its line".to_owned(),
            ));
        }
        if too_long {
            return Err(Broken(self.not_complete()));
        }
        self.crossings += 1;
        Ok(())
    }

    /// What is said of a record over several lines that is longer than it may be. A small block does not
    /// see more of it than that, so nothing else may be said.
    pub(super) fn not_complete(&self) -> String {
        let limit = self.rules.limit;
        format!(
            "a quoted value is not closed on its line, nor the row complete within {limit} bytes"
        )
    }

    /// Whether the record crosses lines and `position` is beyond its limit.
    fn is_beyond(&self, position: usize) -> bool {
        self.crossings > 0 && position - self.at > self.rules.limit
    }

    /// What follows the closing quote: a delimiter, or the end of the record, else it is broken.
    #[inline]
    fn behind(&mut self, next: &mut usize, close: usize) -> Result<(usize, bool), Broken> {
        let data = self.data;
        let mut at = close + 1;
        if self.is_beyond(close) {
            return Err(Broken(self.not_complete()));
        }
        if self.rules.dialect.trim_trailing {
            while matches!(data[at], b' ' | b'\t') && !data[at..].starts_with(self.delimiter) {
                at += 1;
            }
        }
        let newline = self.rules.newline;
        let returns = newline == b'\n' && data[at] == b'\r' && data[at + 1] == b'\n';
        let newline_at = at + usize::from(returns);
        let ends = data[newline_at] == newline;
        let delimited = data[at.min(self.end)..self.end].starts_with(self.delimiter);
        if !(ends || delimited) {
            if self.is_beyond(at) {
                return Err(Broken(self.not_complete()));
            }
            let place = close - self.at + 2;
            return Err(Broken(format!(
                "text behind a closing quote (character {place} of the row)"
            )));
        }
        let behind = if ends { newline_at } else { at };
        loop {
            match self.index.positions().get(*next).copied() {
                Some(position) if position as usize > behind => break,
                Some(_) => *next += 1,
                None if self.index.extend(data) => {}
                None => break,
            }
        }
        Ok((behind, ends))
    }
}

/// A value's text without its escapes.
pub(super) fn unescape(text: &[u8], quote: Option<u8>, escape: Option<u8>) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let doubled = Some(*first) == quote && tail.first().copied() == quote;
        let marked = Some(*first) == escape
            && tail.first().is_some_and(|&byte| {
                Some(byte) == quote || Some(byte) == escape || quote.is_none()
            });
        match tail {
            [second, after @ ..] if doubled || marked => {
                plain.push(*second);
                rest = after;
            }
            _ => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}

/// Looks for lines inside a record that are rows of their own.
pub(super) struct Careful<'a> {
    pub data: &'a [u8],
    pub rules: &'a Rules,
}

impl Careful<'_> {
    /// Whether one of the lines of `data[at..stop]`, neither the first nor the last, is a complete
    /// row.
    pub(super) fn holds_a_row(&self, at: usize, stop: usize) -> bool {
        if self.rules.expected() < 2 {
            return false;
        }
        let newline = self.rules.newline;
        let Some(first) = memchr(newline, &self.data[at..stop]) else {
            return false;
        };
        let mut line = at + first + 1;
        while let Some(length) = memchr(newline, &self.data[line..stop]) {
            let text = &self.data[line..line + length];
            if self.is_row(text.strip_suffix(b"\r").unwrap_or(text)) {
                return true;
            }
            line += length + 1;
        }
        false
    }

    /// Whether a line has the right number of fields, quotes only where they belong, and figures
    /// where there are figures in other rows.
    fn is_row(&self, line: &[u8]) -> bool {
        let delimiter = self.rules.dialect.delimiter.as_bytes();
        let (mut rest, mut field) = (line, 0);
        loop {
            let (value, after) = match self.rules.dialect.quote {
                Some(quote) if rest.first() == Some(&quote) => {
                    let Some(close) = closing(rest, quote) else {
                        return false;
                    };
                    (&rest[1..close], &rest[close + 1..])
                }
                quote => {
                    let stop = memchr::memmem::find(rest, delimiter).unwrap_or(rest.len());
                    if quote.is_some_and(|quote| rest[..stop].contains(&quote)) {
                        return false;
                    }
                    rest.split_at(stop)
                }
            };
            let figure = value
                .first()
                .is_none_or(|&byte| byte.is_ascii_digit() || b"+-.".contains(&byte));
            if self.rules.numeric.get(field).copied().unwrap_or(false) && !figure {
                return false;
            }
            field += 1;
            if after.is_empty() {
                return field == self.rules.expected();
            }
            let Some(behind) = after.strip_prefix(delimiter) else {
                return false;
            };
            rest = behind;
        }
    }
}

/// Where the quoted value that `text` begins with closes.
fn closing(text: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr(quote, &text[at..])?;
        if text.get(at + 1) != Some(&quote) {
            return Some(at);
        }
        at += 2;
    }
}

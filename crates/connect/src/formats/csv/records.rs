//! A plain, lenient reader of the few records that discovery looks at: the head of a file, its
//! header. The rows themselves go through the splitter.

use std::borrow::Cow;

use super::dialect::Dialect;
use super::quoted::unescape;

/// A record of a head.
pub(super) struct Record<'a> {
    /// Its fields, without quotes.
    pub fields: Vec<Cow<'a, str>>,
    /// Which of them were quoted.
    pub quoted: usize,
    /// Whether quotes did not fit.
    pub broken: bool,
    /// Where the next record begins.
    pub behind: usize,
    /// The first line's text.
    pub line: &'a str,
}

/// Reads records one after the other.
pub(super) struct Records<'a> {
    text: &'a str,
    at: usize,
    newline: char,
    dialect: &'a Dialect,
}

impl<'a> Records<'a> {
    /// Reads `text` from `at` on. Skips nothing but blank lines.
    pub(super) fn new(text: &'a str, at: usize, newline: u8, dialect: &'a Dialect) -> Self {
        Self {
            text,
            at,
            newline: char::from(newline),
            dialect,
        }
    }

    fn line_end(&self, from: usize) -> usize {
        memchr::memchr(self.newline as u8, &self.text.as_bytes()[from..])
            .map_or(self.text.len(), |length| from + length)
    }

    /// Takes a record apart; quotes may span lines. `None` if the quotes do not fit.
    fn with_quotes(&self) -> Option<Record<'a>> {
        let dialect = self.dialect;
        let quote = char::from(dialect.quote?);
        let delimiter = dialect.delimiter.as_str();
        let (mut at, mut fields, mut quoted) = (self.at, Vec::new(), 0);
        let mut line_end = self.line_end(at);
        loop {
            let rest = &self.text[at..];
            let lead = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            let skipped = if dialect.trim_leading { lead } else { 0 };
            if let Some(inside) = rest[skipped..].strip_prefix(quote) {
                let close = closing(inside, quote, dialect.escape)?;
                let plain = unescape(&inside.as_bytes()[..close], dialect.quote, dialect.escape);
                fields.push(Cow::Owned(String::from_utf8_lossy(&plain).into_owned()));
                quoted += 1;
                at += skipped + 1 + close + 1;
                if dialect.trim_trailing {
                    at += self.text[at..].len() - self.text[at..].trim_start_matches([' ']).len();
                }
            } else {
                if at > line_end {
                    line_end = self.line_end(at);
                }
                let stop = self.text[at..line_end]
                    .find(delimiter)
                    .map_or(line_end, |length| at + length);
                let value = self.text[at..stop]
                    .strip_suffix('\r')
                    .unwrap_or(&self.text[at..stop]);
                fields.push(Cow::Borrowed(value));
                at = stop;
            }
            let rest = &self.text[at..];
            if let Some(after) = rest.strip_prefix(delimiter) {
                at = self.text.len() - after.len();
                continue;
            }
            let rest = rest
                .strip_prefix('\r')
                .filter(|rest| rest.starts_with('\n'))
                .unwrap_or(rest);
            if rest.is_empty() || rest.starts_with(self.newline) {
                let behind = (self.text.len() - rest.len() + 1).min(self.text.len());
                let line = &self.text[self.at..self.line_end(self.at)];
                return Some(Record {
                    fields,
                    quoted,
                    broken: false,
                    behind,
                    line,
                });
            }
            return None;
        }
    }

    fn without_quotes(&self) -> Record<'a> {
        let stop = self.line_end(self.at);
        let line = &self.text[self.at..stop];
        let plain = line.strip_suffix('\r').unwrap_or(line);
        let fields = plain
            .split(self.dialect.delimiter.as_str())
            .map(Cow::Borrowed)
            .collect();
        let broken = self.dialect.quote.is_some();
        Record {
            fields,
            quoted: 0,
            broken,
            behind: (stop + 1).min(self.text.len()),
            line,
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        while self.text[self.at..].starts_with(['\n', '\r']) {
            self.at += 1;
        }
        if self.at >= self.text.len() {
            return None;
        }
        let mut record = match self.with_quotes() {
            Some(record) => record,
            None => self.without_quotes(),
        };
        if self.dialect.trim_leading || self.dialect.trim_trailing {
            for field in &mut record.fields {
                *field = Cow::Owned(field.trim().to_owned());
            }
        }
        self.at = record.behind;
        Some(record)
    }
}

/// Where the quoted value in `inside` (behind its opening quote) closes.
fn closing(inside: &str, quote: char, escape: Option<u8>) -> Option<usize> {
    let bytes = inside.as_bytes();
    let quote = quote as u8;
    let mut at = 0;
    loop {
        at += memchr::memchr(quote, &bytes[at..])?;
        let marked = escape.is_some_and(|escape| {
            !bytes[..at]
                .iter()
                .rev()
                .take_while(|&&byte| byte == escape)
                .count()
                .is_multiple_of(2)
        });
        if !marked && bytes.get(at + 1) != Some(&quote) {
            return Some(at);
        }
        at += if marked { 1 } else { 2 };
    }
}

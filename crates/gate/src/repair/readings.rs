//! The other ways in which one row of delimited text can be read.
//!
//! Every reading that is plausible is listed, also the ones that compete: a row is repaired only if
//! exactly one of them fits the contract, so a reading left out could make a wrong one look right.

use std::fmt;

use crate::incoming::{Layout, MalformedKind};

/// Readings tried of one row; a row with more is left alone.
const READINGS_MAX: usize = 256;

/// Longest row that is tried, in bytes.
const ROW_BYTES_MAX: usize = 64 << 10;

/// Delimiters that a row may have instead.
const DELIMITERS: [&str; 4] = [",", ";", "\t", "|"];

/// What was done to read a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RepairKind {
    /// Another delimiter parts its fields, or some of them.
    OtherDelimiter,
    /// A value has a delimiter in it that is not quoted.
    JoinedFields,
    /// A delimiter is there twice.
    DroppedEmptyField,
    /// Fields are missing at its end, and are NULL.
    MissingTrailingFields,
    /// A quote is not closed, or not closed before a delimiter.
    ClosedQuote,
}

impl RepairKind {
    /// The word that repairs are counted by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtherDelimiter => "other_delimiter",
            Self::JoinedFields => "joined_fields",
            Self::DroppedEmptyField => "dropped_empty_field",
            Self::MissingTrailingFields => "missing_trailing_fields",
            Self::ClosedQuote => "closed_quote",
        }
    }
}

impl fmt::Display for RepairKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One way to read a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    /// A text, or NULL, for each name of the layout.
    pub(super) fields: Vec<Option<String>>,
    pub(super) kind: RepairKind,
}

/// A field where it stands in the row.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: usize,
    end: usize,
    quoted: bool,
}

/// All plausible readings of a malformed row, each once; none if it cannot be repaired.
pub(super) fn readings(row: &[u8], kind: &MalformedKind, layout: &Layout) -> Vec<Reading> {
    let text = match std::str::from_utf8(row) {
        Ok(text) if text.len() <= ROW_BYTES_MAX => text.trim_end_matches(['\r', '\n']),
        _ => return Vec::new(),
    };
    let row = Row { text, layout };
    let mut readings = Vec::new();
    let complete = match kind {
        MalformedKind::FieldCount { .. } => row.with_other_count(&mut readings),
        MalformedKind::BrokenQuote => row.with_closed_quote(&mut readings),
        _ => None,
    };
    if complete.is_none() || readings.len() > READINGS_MAX {
        return Vec::new();
    }
    let mut once: Vec<Reading> = Vec::with_capacity(readings.len());
    for reading in readings {
        if once.iter().all(|other| other.fields != reading.fields) {
            once.push(reading);
        }
    }
    once
}

struct Row<'r> {
    text: &'r str,
    layout: &'r Layout,
}

impl Row<'_> {
    /// Cuts the text from `from` on at the delimiters outside quotes; none if a quote is broken.
    fn cut(&self, from: usize, delimiters: &[&str]) -> Option<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut start = from;
        loop {
            let (end, quoted) = match self.closing_quote(start) {
                Some(close) => (close?, true),
                None => (self.next_delimiter(start, delimiters), false),
            };
            pieces.push(Piece { start, end, quoted });
            let rest = &self.text[end..];
            if rest.is_empty() {
                return Some(pieces);
            }
            let delimiter = delimiters
                .iter()
                .find(|delimiter| rest.starts_with(**delimiter))?;
            start = end + delimiter.len();
        }
    }

    /// If a field begins with a quote: where it ends behind the closing one, if there is one.
    fn closing_quote(&self, start: usize) -> Option<Option<usize>> {
        let quote = self.layout.quote?;
        let bytes = self.text.as_bytes();
        if bytes.get(start) != Some(&quote) {
            return None;
        }
        let mut at = start + 1;
        while let Some(byte) = bytes.get(at) {
            if self.layout.escape == Some(*byte) && *byte != quote {
                at += 2;
            } else if *byte != quote {
                at += 1;
            } else if bytes.get(at + 1) == Some(&quote) {
                at += 2;
            } else {
                return Some(Some(at + 1));
            }
        }
        Some(None)
    }

    fn next_delimiter(&self, from: usize, delimiters: &[&str]) -> usize {
        let rest = &self.text[from..];
        let found = delimiters
            .iter()
            .filter_map(|delimiter| rest.find(delimiter))
            .min();
        found.map_or(self.text.len(), |at| from + at)
    }

    fn value(&self, piece: Piece) -> Option<String> {
        let text = &self.text[piece.start..piece.end];
        let Some(quote) = self.layout.quote.filter(|_| piece.quoted).map(char::from) else {
            return (!text.is_empty()).then(|| text.to_owned());
        };
        let inner = text
            .strip_prefix(quote)
            .and_then(|text| text.strip_suffix(quote))
            .unwrap_or(text);
        let mut value = String::with_capacity(inner.len());
        let mut characters = inner.chars().peekable();
        let escape = self.layout.escape.map(char::from);
        while let Some(c) = characters.next() {
            let escapes = c == quote || Some(c) == escape;
            match characters.peek() {
                Some(next) if escapes && (*next == quote || Some(*next) == escape) => {
                    value.push(*next);
                    characters.next();
                }
                _ => value.push(c),
            }
        }
        Some(value)
    }

    fn values(&self, pieces: &[Piece]) -> Vec<Option<String>> {
        pieces.iter().map(|piece| self.value(*piece)).collect()
    }

    /// A row with too many or too few fields.
    fn with_other_count(&self, readings: &mut Vec<Reading>) -> Option<()> {
        let expected = self.layout.names.len();
        let own = self.layout.delimiter.as_str();
        for other in DELIMITERS.iter().filter(|other| **other != own) {
            for delimiters in [&[*other][..], &[own, *other][..]] {
                if self.text.contains(other)
                    && let Some(pieces) = self.cut(0, delimiters)
                    && pieces.len() == expected
                {
                    readings.push(Reading {
                        fields: self.values(&pieces),
                        kind: RepairKind::OtherDelimiter,
                    });
                }
            }
        }
        let Some(pieces) = self.cut(0, &[own]) else {
            return Some(());
        };
        if pieces.len() < expected {
            // A row that is one field only says nothing about which fields are missing.
            if pieces.len() > 1 {
                let mut fields = self.values(&pieces);
                fields.resize(expected, None);
                readings.push(Reading {
                    fields,
                    kind: RepairKind::MissingTrailingFields,
                });
            }
            return Some(());
        }
        self.join(&pieces, &mut Vec::new(), expected, readings)?;
        self.drop_empty(&pieces, &mut Vec::new(), pieces.len() - expected, readings)
    }

    /// All groupings of adjacent pieces into `left` fields; none if there are too many.
    fn join(
        &self,
        pieces: &[Piece],
        fields: &mut Vec<Option<String>>,
        left: usize,
        readings: &mut Vec<Reading>,
    ) -> Option<()> {
        if readings.len() > READINGS_MAX {
            return None;
        }
        if left == 0 || pieces.len() < left {
            if left == 0 && pieces.is_empty() {
                readings.push(Reading {
                    fields: fields.clone(),
                    kind: RepairKind::JoinedFields,
                });
            }
            return Some(());
        }
        for size in 1..=pieces.len() - left + 1 {
            let (group, rest) = pieces.split_at(size);
            let (first, last) = (group[0], group[size - 1]);
            let empty = |piece: Piece| piece.start == piece.end;
            // A value hardly begins or ends with a delimiter, and a quoted one is whole.
            if size > 1 && (group.iter().any(|piece| piece.quoted) || empty(first) || empty(last)) {
                continue;
            }
            fields.push(self.value(Piece {
                start: first.start,
                end: last.end,
                quoted: first.quoted,
            }));
            self.join(rest, fields, left - 1, readings)?;
            fields.pop();
        }
        Some(())
    }

    /// All ways to leave out `excess` empty fields; none if there are too many.
    fn drop_empty(
        &self,
        pieces: &[Piece],
        fields: &mut Vec<Option<String>>,
        excess: usize,
        readings: &mut Vec<Reading>,
    ) -> Option<()> {
        if readings.len() > READINGS_MAX {
            return None;
        }
        if excess == 0 {
            let mut fields = fields.clone();
            fields.extend(self.values(pieces));
            readings.push(Reading {
                fields,
                kind: RepairKind::DroppedEmptyField,
            });
            return Some(());
        }
        for (at, piece) in pieces.iter().enumerate() {
            if piece.start == piece.end {
                let before = fields.len();
                fields.extend(self.values(&pieces[..at]));
                self.drop_empty(&pieces[at + 1..], fields, excess - 1, readings)?;
                fields.truncate(before);
            }
        }
        Some(())
    }

    /// A row with a broken quote: the first field that has one may end at each later delimiter.
    fn with_closed_quote(&self, readings: &mut Vec<Reading>) -> Option<()> {
        let quote = char::from(self.layout.quote?);
        let own = [self.layout.delimiter.as_str()];
        let mut before = Vec::new();
        let mut start = 0;
        loop {
            let end = match self.closing_quote(start) {
                None => self.next_delimiter(start, &own),
                Some(Some(end))
                    if end == self.text.len() || self.text[end..].starts_with(own[0]) =>
                {
                    end
                }
                Some(_) => break,
            };
            let quoted = self.text[start..].starts_with(quote);
            before.push(self.value(Piece { start, end, quoted }));
            if end == self.text.len() {
                return Some(());
            }
            start = end + own[0].len();
        }
        let mut end = start;
        while end < self.text.len() {
            end = self.next_delimiter(end + 1, &own);
            let behind = (end + own[0].len()).min(self.text.len());
            let rest = if end == self.text.len() {
                Some(Vec::new())
            } else {
                self.cut(behind, &own)
            };
            let Some(rest) =
                rest.filter(|rest| before.len() + 1 + rest.len() == self.layout.names.len())
            else {
                continue;
            };
            let written = &self.text[start..end];
            let inner = written.strip_prefix(quote).unwrap_or(written);
            let mut values = vec![inner.to_owned()];
            if inner.contains(quote) {
                values.push(written.to_owned());
                values.push(written.replace(quote, ""));
            }
            for value in values {
                let mut fields = before.clone();
                fields.push(Some(value));
                fields.extend(self.values(&rest));
                readings.push(Reading {
                    fields,
                    kind: RepairKind::ClosedQuote,
                });
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout {
            names: ["id", "name", "amount"].map(str::to_owned).to_vec(),
            delimiter: ",".into(),
            quote: Some(b'"'),
            escape: None,
            constants: Vec::new(),
        }
    }

    /// The readings as `field|field|…`, NULL being empty.
    fn read(row: &str, kind: MalformedKind) -> Vec<String> {
        readings(row.as_bytes(), &kind, &layout())
            .iter()
            .map(|reading| {
                let fields: Vec<&str> = reading
                    .fields
                    .iter()
                    .map(|field| field.as_deref().unwrap_or_default())
                    .collect();
                assert_eq!(fields.len(), 3);
                format!("{}: {}", reading.kind, fields.join("|"))
            })
            .collect()
    }

    fn count(row: &str) -> Vec<String> {
        read(
            row,
            MalformedKind::FieldCount {
                expected: 3,
                found: 0,
            },
        )
    }

    #[test]
    fn rows_with_another_field_count() {
        assert_eq!(count("1;Shop;5.00"), ["other_delimiter: 1|Shop|5.00"]);
        assert_eq!(
            count("1,Shop;5.00"),
            [
                "other_delimiter: 1|Shop|5.00",
                "missing_trailing_fields: 1|Shop;5.00|"
            ]
        );
        assert_eq!(count("1,Shop\r\n"), ["missing_trailing_fields: 1|Shop|"]);
        assert_eq!(count("1"), [""; 0]);
        assert_eq!(
            count("1,Shop, Inc,5"),
            [
                "joined_fields: 1|Shop| Inc,5",
                "joined_fields: 1|Shop, Inc|5",
                "joined_fields: 1,Shop| Inc|5"
            ]
        );
        assert_eq!(
            count("1,\"a, b\",,5"),
            ["dropped_empty_field: 1|a, b|5"],
            "quoted and empty fields are not joined"
        );
        assert_eq!(
            count("1,Shop,5,"),
            [
                "joined_fields: 1|Shop,5|",
                "joined_fields: 1,Shop|5|",
                "dropped_empty_field: 1|Shop|5"
            ]
        );
        assert!(count(&"x,".repeat(400)).is_empty(), "too many ways");
    }

    #[test]
    fn rows_with_a_broken_quote() {
        let quote = |row: &str| read(row, MalformedKind::BrokenQuote);
        assert_eq!(quote("1,\"Shop, Inc,5"), ["closed_quote: 1|Shop, Inc|5"]);
        assert_eq!(quote("1,Shop,\"5"), ["closed_quote: 1|Shop|5"]);
        assert_eq!(
            quote("1,\"Sh\"op,5"),
            [
                "closed_quote: 1|Sh\"op|5",
                "closed_quote: 1|\"Sh\"op|5",
                "closed_quote: 1|Shop|5"
            ]
        );
        assert_eq!(quote("\"1,2"), [""; 0]);
    }

    #[test]
    fn rows_that_are_not_text_or_too_long_are_left_alone() {
        let kind = MalformedKind::FieldCount {
            expected: 3,
            found: 1,
        };
        assert!(readings(b"1,\xff,3,4", &kind, &layout()).is_empty());
        assert!(readings(&vec![b','; 1 << 20], &kind, &layout()).is_empty());
        assert!(readings(b"1,2,3,4", &MalformedKind::Encoding, &layout()).is_empty());
    }
}

//! JSON that is not a value per line: an array, values one behind the other, values over several
//! lines. Cut here, in order, into blocks of whole elements, with bounded memory.
//!
//! An element that is broken costs itself: the next one is looked for where an element can begin
//! (behind a comma or on a new line, at the same indentation) and begins with the same first key.

use arrow::buffer::Buffer;

use super::scan::{Flaw, Scanner};
use crate::encoding::TextReader;
use crate::error::{ConnectError, Result};
use crate::views::PADDING;

/// One element of a stream, as offsets into its block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    pub start: usize,
    pub end: usize,
    /// The line on which it begins, from the block's first.
    pub line: u32,
    /// What is wrong with it.
    pub flaw: Option<Trouble>,
}

impl Element {
    fn new(start: usize, end: usize, flaw: Option<Trouble>) -> Self {
        Self {
            start,
            end,
            line: 0,
            flaw,
        }
    }
}

/// What can be wrong with an element as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Json(Flaw),
    TooLong,
    Truncated,
}

/// Elements that are decoded together.
pub(super) struct Group {
    pub data: Buffer,
    pub end: usize,
    pub elements: Vec<Element>,
    pub lines: u64,
    pub bytes: u64,
}

/// Cuts a text into groups of elements.
pub(super) struct Elements {
    reader: TextReader,
    block: usize,
    limit: usize,
    carry: Vec<u8>,
    ended: bool,
    error: Option<ConnectError>,
    /// How far the carried text is indented on its line; `None` behind other text.
    indent: Option<usize>,
    /// The first key of the last good element.
    shape: Vec<u8>,
    /// Reading past the rest of a broken element that has been told already.
    passing: Option<Seeker>,
}

/// What comes next in a text.
enum Next {
    Element(Element, usize),
    /// More text must be read to tell; up to here nothing is left.
    More(usize),
}

impl Elements {
    pub(super) fn new(reader: TextReader, block: usize, limit: usize) -> Self {
        Self {
            reader,
            block,
            limit,
            carry: Vec::new(),
            ended: false,
            error: None,
            indent: Some(0),
            shape: Vec::new(),
            passing: None,
        }
    }

    fn fill(&mut self, data: &mut Vec<u8>, wanted: usize) {
        match self.reader.fill(data, wanted) {
            Ok(ended) => self.ended = ended,
            Err(error) => {
                self.ended = true;
                self.error = Some(error);
            }
        }
    }

    /// The next group; `None` at the end.
    pub(super) fn next_group(&mut self) -> Option<Result<Group>> {
        let mut data = std::mem::take(&mut self.carry);
        let mut wanted = self.block.saturating_sub(data.len()).max(1);
        loop {
            if !self.ended {
                self.fill(&mut data, wanted);
            }
            if data.is_empty() {
                return self.error.take().map(Err);
            }
            let text = data.len();
            data.resize(text + PADDING, b'\n');
            let (elements, consumed) = self.scan(&data, text);
            if elements.is_empty() && !self.ended && consumed == 0 {
                data.truncate(text);
                wanted = text.max(4096);
                continue;
            }
            let consumed = if self.ended { text } else { consumed };
            self.indent = indentation(&data[..consumed], self.indent);
            self.carry = data[consumed..text].to_vec();
            let lines = memchr::memchr_iter(b'\n', &data[..consumed]).count() as u64;
            let data = Buffer::from_vec(data);
            return Some(Ok(Group {
                data,
                end: text,
                elements,
                lines,
                bytes: consumed as u64,
            }));
        }
    }

    /// The elements that are complete in `data[..text]`, and up to where they reach.
    fn scan(&mut self, data: &[u8], text: usize) -> (Vec<Element>, usize) {
        let scanner = Scanner {
            data,
            end: text,
            newlines: true,
        };
        let (mut elements, mut at, mut line, mut counted) = (Vec::new(), 0, 0u32, 0);
        loop {
            match self.next_element(scanner, at) {
                Next::More(upto) => return (elements, upto),
                Next::Element(mut element, behind) => {
                    line +=
                        memchr::memchr_iter(b'\n', &data[counted..element.start]).count() as u32;
                    counted = element.start;
                    element.line = line;
                    elements.push(element);
                    at = behind;
                }
            }
        }
    }

    fn next_element(&mut self, scanner: Scanner<'_>, mut at: usize) -> Next {
        let Scanner { data, end, .. } = scanner;
        if let Some(mut seeker) = self.passing.take() {
            match seeker.seek(data, at, end, self.ended) {
                Sought::Found(place) => at = place,
                Sought::Nothing => {
                    self.passing = Some(seeker);
                    return Next::More(end);
                }
                Sought::Unclear(place) => {
                    self.passing = Some(seeker);
                    return Next::More(place);
                }
            }
        }
        // Between elements: white space, commas, record separators, the brackets of the array.
        while at < end
            && matches!(
                data[at],
                b' ' | b'\t' | b'\r' | b'\n' | b',' | 0x1e | b'[' | b']'
            )
        {
            at += 1;
        }
        if at >= end {
            return Next::More(end);
        }
        // Only so much of the text is looked at as one element may be long, whatever is in memory.
        let window = (at + self.limit + 1).min(end);
        let full = window - at > self.limit;
        let limited = Scanner {
            end: window,
            ..scanner
        };
        let found = limited.value(at);
        if !full && !self.ended && !found.is_ok_and(|behind| behind < end) {
            return Next::More(at);
        }
        match found {
            Ok(behind) if behind - at <= self.limit => {
                if let Some(shape) = shape_of(limited, at) {
                    self.shape.clear();
                    self.shape.extend_from_slice(shape);
                }
                Next::Element(Element::new(at, behind, None), behind)
            }
            Ok(_) => self.broken(scanner, limited, at, None),
            Err(flaw) if full && flaw.at >= window => self.broken(scanner, limited, at, None),
            Err(flaw) => self.broken(scanner, limited, at, Some(flaw)),
        }
    }

    /// The broken element at `start`, up to where the next one begins; without a flaw it is too long.
    fn broken(
        &mut self,
        scanner: Scanner<'_>,
        limited: Scanner<'_>,
        start: usize,
        flaw: Option<Flaw>,
    ) -> Next {
        let Scanner { data, end, .. } = scanner;
        let window = limited.end;
        let trouble = match flaw {
            None => Trouble::TooLong,
            Some(flaw) if flaw.at >= end && self.error.is_some() => Trouble::Truncated,
            Some(flaw) => Trouble::Json(flaw),
        };
        let indent = indentation(&data[..start], self.indent);
        // An element that never closes must not take those behind it along; where lines do not tell
        // where they begin, its own parts could be mistaken for them.
        let from = match flaw {
            Some(flaw) if flaw.at < window => flaw.at.max(start + 1),
            _ if indent.is_some() => start + 1,
            _ => window,
        };
        let shape = match self.shape.as_slice() {
            [] => shape_of(limited, start).map(<[u8]>::to_vec),
            known => Some(known.to_vec()),
        };
        let mut seeker = Seeker::new(shape, indent, &data[start..from]);
        let element = |end| Element::new(start, end, Some(trouble));
        match seeker.seek(data, from, end, self.ended) {
            Sought::Found(next) => Next::Element(element(trimmed(data, start, next)), next),
            Sought::Nothing if self.ended => Next::Element(element(trimmed(data, start, end)), end),
            _ if window - start <= self.limit => Next::More(start),
            Sought::Nothing => {
                self.passing = Some(seeker);
                Next::Element(element(end), end)
            }
            Sought::Unclear(place) => {
                self.passing = Some(seeker);
                Next::Element(element(place), place)
            }
        }
    }
}

/// Looks for the place where the next element can begin.
struct Seeker {
    shape: Option<Vec<u8>>,
    /// The indentation of the broken element, if it stood on a line of its own.
    indent: Option<usize>,
    /// The last byte that was no white space.
    last: u8,
    /// The indentation so far, on the current line; `None` behind other text.
    column: Option<usize>,
}

enum Sought {
    Found(usize),
    Nothing,
    /// The text ends before one can tell.
    Unclear(usize),
}

impl Seeker {
    /// For an element whose text up to where one seeks is `before`.
    fn new(shape: Option<Vec<u8>>, indent: Option<usize>, before: &[u8]) -> Self {
        let mut seeker = Self {
            shape,
            indent,
            last: b'{',
            column: None,
        };
        before.iter().for_each(|&byte| seeker.step(byte));
        seeker
    }

    fn step(&mut self, byte: u8) {
        match byte {
            b'\n' => self.column = Some(0),
            b' ' | b'\t' => self.column = self.column.map(|column| column + 1),
            b'\r' => {}
            _ => {
                self.column = None;
                self.last = byte;
            }
        }
    }

    fn seek(&mut self, data: &[u8], from: usize, end: usize, ended: bool) -> Sought {
        for at in from..end {
            if data[at] == b'{' {
                let aligned = self.indent.is_some() && self.column == self.indent;
                let follows = self.indent.is_none() && matches!(self.last, b',' | b'}');
                if aligned || follows {
                    let scanner = Scanner {
                        data,
                        end,
                        newlines: true,
                    };
                    let window = end - at > SHAPE_MAX;
                    match shape_of(scanner, at) {
                        shape if self.shape.is_none() || shape == self.shape.as_deref() => {
                            return Sought::Found(at);
                        }
                        None if !ended && !window => return Sought::Unclear(at),
                        _ => {}
                    }
                }
            }
            self.step(data[at]);
        }
        Sought::Nothing
    }
}

/// How much of an element is looked at to tell its first key, in bytes.
const SHAPE_MAX: usize = 4096;

/// The first key of an object, quotes and all; `None` if that cannot be told.
fn shape_of(scanner: Scanner<'_>, start: usize) -> Option<&[u8]> {
    let data = scanner.data;
    let near = Scanner {
        end: scanner.end.min(start + SHAPE_MAX),
        ..scanner
    };
    if data[start] != b'{' {
        return None;
    }
    let first = near.space(start + 1);
    if first >= near.end || data[first] != b'"' {
        return None;
    }
    let close = near
        .string(first)
        .ok()
        .filter(|passed| passed.close < near.end)?
        .close;
    Some(&data[first..=close])
}

/// How far the text behind `before` is indented on its line, `indent` being that of its beginning;
/// `None` if something else stands before it.
fn indentation(before: &[u8], indent: Option<usize>) -> Option<usize> {
    let line = memchr::memrchr(b'\n', before);
    let (offset, rest) = match line {
        Some(newline) => (Some(0), &before[newline + 1..]),
        None => (indent, before),
    };
    let blank = rest.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
    offset.filter(|_| blank).map(|offset| offset + rest.len())
}

/// The end of an element's text without the comma and white space behind it.
fn trimmed(data: &[u8], start: usize, end: usize) -> usize {
    let kept = data[start..end]
        .iter()
        .rposition(|byte| !byte.is_ascii_whitespace() && *byte != b',');
    kept.map_or(end, |place| start + place + 1)
}

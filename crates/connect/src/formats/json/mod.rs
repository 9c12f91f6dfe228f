//! JSON: an object per line, an array of objects, or objects one behind the other.
//!
//! [`scan`] checks and passes over values, [`decode`] makes columns of objects, [`stream`] cuts what
//! is not a value per line, [`infer`] finds types.

mod decode;
mod infer;
pub(crate) mod messages;
mod scan;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

use self::decode::Objects;
use self::infer::Keys;
use self::scan::{Flaw, Scanner};
use self::stream::{Element, Elements, Group, Trouble};
use crate::batch::{Decoded, Malformed, MalformedKind, Piece, RawBatch};
use crate::blocks::{Block, Cutting, NOT_VALID, invalid_ranges};
use crate::columns::Plan;
use crate::discover::{Found, Layout};
use crate::error::{ConnectError, Result};
use crate::formats::csv::expected_rows;
use crate::formats::{Format, FormatReader};
use crate::listing::FileEntry;
use crate::options::{MultiLine, ReadOptions, SchemaEvolutionMode};
use crate::reading::{Pieces, Reading, Slice};
use crate::source::Source;
use crate::textfile::{TextHead, middle, open_blocks, open_text, row_limit};
use crate::views::{PADDING, TextColumn, block_view};

/// JSON in the list of formats.
pub(crate) static READER: FormatReader = FormatReader {
    format: Format::Json,
    extensions: &["json", "jsonl", "ndjson", "geojson"],
    recognises,
    discover,
    pieces,
};

/// How JSON values are laid out in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonLayout {
    /// A value per line.
    Lines,
    /// An array, or values one behind the other, over any lines.
    Stream,
}

fn recognises(head: &[u8]) -> bool {
    let text = crate::encoding::to_utf8(head, crate::encoding::detect(head));
    let mut rest = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace());
    match rest.next() {
        Some(b'{') => matches!(rest.next(), Some(b'"' | b'}')),
        Some(b'[') => rest.next() == Some(b'{'),
        _ => false,
    }
}

/// Tells lines from a stream: in the former, one of the first lines is an object.
fn layout_of(text: &[u8], options: &ReadOptions) -> JsonLayout {
    match (options.json_lines, options.multi_line) {
        (Some(true), _) | (None, Some(MultiLine::Never)) => return JsonLayout::Lines,
        (Some(false), _) | (None, Some(MultiLine::Always)) => return JsonLayout::Stream,
        _ => {}
    }
    let lines = || {
        text.split(|&byte| byte == b'\n')
            .map(<[u8]>::trim_ascii)
            .filter(|line| !line.is_empty())
    };
    if lines().next().is_some_and(|line| line.starts_with(b"[")) {
        return JsonLayout::Stream;
    }
    let complete = lines().take(20).any(|line| {
        let padded = padded(line);
        let scanner = Scanner {
            data: &padded,
            end: line.len(),
            newlines: false,
        };
        line.starts_with(b"{") && scanner.value(0) == Ok(line.len())
    });
    let opened = lines()
        .take(20)
        .filter(|line| line.starts_with(b"{") && line.len() > 2)
        .count();
    let many = lines().take(20).count();
    // Lines that are all broken still are lines, if each looks like an object.
    if complete || (opened == many && many > 1) {
        JsonLayout::Lines
    } else {
        JsonLayout::Stream
    }
}

fn padded(text: &[u8]) -> Vec<u8> {
    let mut padded = text.to_vec();
    padded.resize(text.len() + PADDING, b'\n');
    padded
}

fn discover(source: &Source, options: &ReadOptions) -> Result<Found> {
    let mut head = TextHead::read(source, options)?;
    let layout = layout_of(&head.text, options);
    let mut keys = Keys::default();
    sample(head.whole_lines(), layout, &mut keys);
    if !head.complete
        && layout == JsonLayout::Lines
        && let Some(more) = middle(source, &head, options)?
    {
        sample(&more, layout, &mut keys);
    }
    let columns = keys.columns(options.infer_types != Some(false));
    let notes = std::mem::take(&mut head.notes);
    Ok(Found {
        encoding: head.encoding,
        layout: Layout::Json(layout),
        columns,
        notes,
    })
}

/// Takes the objects of a text into account; broken ones are passed over.
fn sample(text: &[u8], layout: JsonLayout, keys: &mut Keys) {
    let data = padded(text);
    let scanner = Scanner {
        data: &data,
        end: text.len(),
        newlines: layout == JsonLayout::Stream,
    };
    let mut at = 0;
    while at < text.len() {
        if layout == JsonLayout::Stream {
            while at < text.len()
                && matches!(
                    data[at],
                    b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']' | 0x1e
                )
            {
                at += 1;
            }
        }
        let behind = keys.add(scanner, scanner.space(at));
        at = match (layout, behind) {
            (JsonLayout::Stream, Some(behind)) => behind,
            (JsonLayout::Stream, None) => {
                memchr::memmem::find(&data[at + 1..text.len().max(at + 1)], b"\n{")
                    .map_or(text.len(), |next| at + 1 + next)
            }
            (JsonLayout::Lines, _) => {
                memchr::memchr(b'\n', &data[at..]).map_or(text.len(), |next| at + next + 1)
            }
        };
    }
}

fn pieces(reading: &Reading, source: Source, slice: Slice) -> Result<Pieces> {
    let options = reading.options();
    let head = TextHead::read_up_to(&source, options, options.sample_size().min(64 << 10))?;
    let plan = Plan::new(reading, source.file(), Vec::new())?;
    let limit = row_limit(options, 16 << 20);
    let shared = Arc::new(Shared {
        plan,
        mode: options.evolution_mode(),
        limit,
        newline: head.newline(),
        file: Arc::clone(source.file()),
    });
    if layout_of(&head.text, options) == JsonLayout::Stream {
        if slice.from > 0 {
            let reason = "it is JSON that is not a value per line";
            return Err(ConnectError::NotResumable {
                path: source.name(),
                reason,
            });
        }
        let mut elements = Elements::new(
            open_text(&source, &slice, &head)?,
            options.block_size(),
            limit,
        );
        return Ok(Box::new(std::iter::from_fn(move || {
            let group = elements.next_group()?;
            Some(group.map(|group| {
                Box::new(GroupPiece {
                    group,
                    shared: Arc::clone(&shared),
                }) as Box<dyn Piece>
            }))
        })));
    }
    let cutting = Cutting {
        block: options.block_size(),
        ahead: 0,
        limit,
        newline: shared.newline,
    };
    let mut blocks = open_blocks(&source, &slice, &head, cutting)?;
    Ok(Box::new(std::iter::from_fn(move || {
        let block = blocks.next_block()?;
        Some(block.map(|block| {
            Box::new(LinesPiece {
                block,
                shared: Arc::clone(&shared),
            }) as Box<dyn Piece>
        }))
    })))
}

/// What the pieces of a file have in common.
struct Shared {
    plan: Plan,
    mode: SchemaEvolutionMode,
    limit: usize,
    newline: u8,
    file: Arc<FileEntry>,
}

/// The rows of a piece beside their columns.
#[derive(Default)]
struct Rows {
    line: Vec<u32>,
    raw: TextColumn,
    malformed: Vec<Malformed>,
}

impl Rows {
    fn reject(
        &mut self,
        line: u32,
        raw: &[u8],
        limit: usize,
        kind: MalformedKind,
        message: String,
    ) {
        let raw = Bytes::copy_from_slice(&raw[..raw.len().min(limit)]);
        self.malformed.push(Malformed {
            line: u64::from(line),
            raw,
            kind,
            message,
        });
    }
}

impl Shared {
    fn objects<'a>(&'a self, scanner: Scanner<'a>, rows: usize) -> Objects<'a> {
        Objects::new(scanner, &self.plan, self.mode, self.file.display(), rows)
    }

    fn batch(
        &self,
        mut objects: Objects<'_>,
        rows: Rows,
        text: &arrow::buffer::Buffer,
    ) -> Result<RawBatch> {
        if !objects.refused.is_empty() {
            return Err(ConnectError::NewColumns {
                path: self.file.display(),
                columns: std::mem::take(&mut objects.refused),
            });
        }
        let notes = std::mem::take(&mut objects.notes).into_vec();
        let found = objects.finish(text);
        let raw = rows.raw.finish(&found.buffers);
        let columns = self
            .plan
            .assemble(found.columns, found.more, rows.line.len())?;
        Ok(RawBatch {
            columns,
            line: rows.line,
            raw: Some(raw),
            malformed: rows.malformed,
            extra: self.plan.wanted,
            notes,
            file: Arc::clone(&self.file),
        })
    }
}

/// The message about a flaw, with its place in the row.
fn explain(flaw: Flaw, start: usize) -> String {
    format!(
        "{} (character {} of the row)",
        flaw.what,
        flaw.at.saturating_sub(start) + 1
    )
}

struct LinesPiece {
    block: Block,
    shared: Arc<Shared>,
}

impl Piece for LinesPiece {
    fn bytes(&self) -> u64 {
        self.block.bytes
    }

    fn decode(&self, skip: usize) -> Result<Decoded> {
        let Shared { limit, newline, .. } = *self.shared;
        let data = self.block.data.as_slice();
        let own = self.block.own;
        let scanner = Scanner {
            data,
            end: own,
            newlines: false,
        };
        let estimate = expected_rows(&data[..own], newline);
        let mut objects = self.shared.objects(scanner, estimate);
        let mut rows = Rows {
            raw: TextColumn::with_capacity(estimate),
            ..Rows::default()
        };
        let mut invalid = invalid_ranges(&data[skip..own], skip, true)
            .into_iter()
            .peekable();
        let (mut at, mut line) = (skip, self.block.lines_before as u32);
        while at < own {
            let start = scanner.space(at).min(own);
            if start == own || data[start] == newline {
                at = start + 1;
                line += 1;
                continue;
            }
            let taken = objects
                .take(start, line)
                .and_then(|behind| self.line_end(behind, &mut objects));
            let newline_at = match taken {
                Ok(newline_at) => newline_at,
                Err(_) => {
                    memchr::memchr(newline, &data[start..own]).map_or(own, |length| start + length)
                }
            };
            let text = trim_return(&data[at..newline_at.min(own)]);
            let mut valid = true;
            while invalid.next_if(|&(from, _)| from < newline_at).is_some() {
                valid = false;
            }
            let flaw = taken.err().map(|flaw| explain(flaw, at));
            let broken = self.verdict(text, newline_at, valid, flaw);
            match broken {
                Some((kind, message)) => {
                    if taken.is_ok() {
                        objects.take_back_row();
                    }
                    rows.reject(line, text, limit, kind, message);
                }
                None => {
                    rows.line.push(line);
                    rows.raw.push(block_view(data, at, text.len()));
                }
            }
            at = newline_at + 1;
            line += 1;
        }
        let batch = self.shared.batch(objects, rows, &self.block.data)?;
        Ok(Decoded {
            batch,
            overrun: 0,
            lines: u64::from(line),
        })
    }
}

impl LinesPiece {
    /// What is wrong with a row, if anything.
    #[inline(always)]
    fn verdict(
        &self,
        text: &[u8],
        newline_at: usize,
        valid: bool,
        flaw: Option<String>,
    ) -> Option<(MalformedKind, String)> {
        let limit = self.shared.limit;
        if text.len() > limit {
            let message = format!("the row is longer than {limit} bytes (option maxRowBytes)");
            Some((MalformedKind::TooLong, message))
        } else if newline_at >= self.block.own && self.block.cut {
            let message = "the file breaks off in this row".to_owned();
            Some((MalformedKind::Truncated, message))
        } else if !valid {
            Some((MalformedKind::Encoding, NOT_VALID.to_owned()))
        } else {
            flaw.map(|message| (MalformedKind::Json, message))
        }
    }

    /// Behind an object its line must end; if it does not, the object is no row.
    #[inline(always)]
    fn line_end(&self, behind: usize, objects: &mut Objects<'_>) -> Result<usize, Flaw> {
        let data = self.block.data.as_slice();
        let scanner = Scanner {
            data,
            end: self.block.own,
            newlines: false,
        };
        let at = scanner.space(behind);
        // With carriage returns as line ends, `space` has passed over this one.
        let at = if self.shared.newline == b'\r' {
            behind + blanks(&data[behind..])
        } else {
            at
        };
        if at >= self.block.own || data[at] == self.shared.newline {
            return Ok(at.min(self.block.own));
        }
        objects.take_back_row();
        Err(Flaw {
            at,
            what: "text behind the object",
        })
    }
}

fn blanks(text: &[u8]) -> usize {
    text.iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count()
}

fn trim_return(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\r").unwrap_or(text)
}

struct GroupPiece {
    group: Group,
    shared: Arc<Shared>,
}

impl Piece for GroupPiece {
    fn bytes(&self) -> u64 {
        self.group.bytes
    }

    fn decode(&self, _skip: usize) -> Result<Decoded> {
        let data = self.group.data.as_slice();
        let scanner = Scanner {
            data,
            end: self.group.end,
            newlines: true,
        };
        let count = self.group.elements.len();
        let mut objects = self.shared.objects(scanner, count);
        let mut rows = Rows {
            raw: TextColumn::with_capacity(count),
            ..Rows::default()
        };
        let mut invalid = invalid_ranges(&data[..self.group.end], 0, false)
            .into_iter()
            .peekable();
        for element in &self.group.elements {
            let Element {
                start,
                end,
                line,
                flaw,
            } = *element;
            while invalid.next_if(|&(_, to)| to <= start).is_some() {}
            let mut broken = flaw.map(|trouble| describe(trouble, start, self.shared.limit));
            if invalid.peek().is_some_and(|&(from, _)| from < end) {
                let message = NOT_VALID.to_owned();
                broken = Some((MalformedKind::Encoding, message));
            }
            if broken.is_none() {
                broken = objects
                    .take(start, line)
                    .err()
                    .map(|flaw| (MalformedKind::Json, explain(flaw, start)));
            }
            match broken {
                Some((kind, message)) => {
                    rows.reject(line, &data[start..end], self.shared.limit, kind, message)
                }
                None => {
                    rows.line.push(line);
                    rows.raw.push(block_view(data, start, end - start));
                }
            }
        }
        let batch = self.shared.batch(objects, rows, &self.group.data)?;
        Ok(Decoded {
            batch,
            overrun: 0,
            lines: self.group.lines,
        })
    }
}

fn describe(trouble: Trouble, start: usize, limit: usize) -> (MalformedKind, String) {
    match trouble {
        Trouble::Json(flaw) => (MalformedKind::Json, explain(flaw, start)),
        Trouble::TooLong => (
            MalformedKind::TooLong,
            format!("the value is longer than {limit} bytes (option maxRowBytes)"),
        ),
        Trouble::Truncated => (
            MalformedKind::Truncated,
            "the file breaks off in this value".to_owned(),
        ),
    }
}

//! Entries for fuzzing, and what must hold of any bytes: no reader panics; the result does not
//! depend on how the text is cut into blocks; every line is in a row, malformed, or one that is
//! skipped by right; and each row's raw text is what stands in the file at its lines.
//!
//! Each function asserts this and so panics only for a mistake of ours. The formats that carry their
//! own types are in [`typed`].

mod typed;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, StringViewArray};
use bytes::Bytes;

use crate::batch::MalformedKind;
use crate::compression::Compression;
use crate::discover::{Discovered, Layout, discover_source};
use crate::encoding::Encoding;
use crate::error::{ConnectError, Result};
use crate::formats::{Format, written};
use crate::options::ReadOptions;
use crate::reading::{Reading, Slice};
use crate::source::Source;

/// All that came out of a file.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// Column names, in order.
    pub names: Vec<String>,
    /// Rows by line: raw text and values.
    pub rows: Vec<(u64, Vec<u8>, Vec<Option<String>>)>,
    /// Malformed rows: line, raw text, kind, message.
    pub malformed: Vec<(u64, Bytes, MalformedKind, String)>,
    /// The error that ended it.
    pub error: Option<String>,
    /// The number of lines.
    pub lines: u64,
}

/// Reads all of a source, its pieces one after the other as a pipeline would.
pub(crate) fn read_source(source: &Source, reading: &Reading) -> Outcome {
    let mut outcome = Outcome::default();
    let slice = Slice::whole(source.file());
    if let Err(error) = collect(source, reading, slice, &mut outcome) {
        outcome.error = Some(error.to_string());
    }
    outcome
}

fn collect(source: &Source, reading: &Reading, slice: Slice, outcome: &mut Outcome) -> Result<()> {
    let (mut skip, mut base, mut known) = (0, slice.first_line, HashSet::new());
    // New columns may come in any order of pieces: by name, then, as in the first that has them.
    for piece in reading.pieces_of(source.clone(), slice)? {
        let decoded = piece?.decode(skip)?;
        let batch = &decoded.batch;
        for field in batch.columns.schema().fields() {
            if known.insert(field.name().clone()) {
                outcome.names.push(field.name().clone());
            }
        }
        let schema = batch.columns.schema();
        let fields = schema.fields().iter().zip(batch.columns.columns());
        let texts = fields.map(|(field, column)| Ok((field.name().as_str(), written(column)?)));
        let texts = texts.collect::<Result<HashMap<_, _>, _>>();
        let texts = texts.map_err(|source| ConnectError::Arrow {
            path: batch.file.display(),
            source,
        })?;
        let column = |name: &String| texts.get(name.as_str())?.as_string_view_opt();
        let columns: Vec<_> = outcome.names.iter().map(column).collect();
        for (row, line) in batch.line.iter().enumerate() {
            let value = |column: &Option<&StringViewArray>| {
                column
                    .filter(|column| column.is_valid(row))
                    .map(|column| column.value(row).to_owned())
            };
            let values = columns.iter().map(value).collect();
            let raw = batch.raw.as_ref().and_then(|raw| raw.as_string_view_opt());
            let raw = raw
                .map(|raw| raw.value(row).as_bytes().to_vec())
                .unwrap_or_default();
            outcome.rows.push((base + u64::from(*line), raw, values));
        }
        for bad in &batch.malformed {
            outcome.malformed.push((
                base + bad.line,
                bad.raw.clone(),
                bad.kind,
                bad.message.clone(),
            ));
        }
        base += decoded.lines;
        skip = decoded.overrun;
        outcome.lines += decoded.lines;
    }
    assert_eq!(skip, 0, "a record reaches beyond the end of the file");
    for (_, _, values) in &mut outcome.rows {
        values.resize(outcome.names.len(), None);
    }
    Ok(())
}

/// Reads bytes as a format, in big blocks and in blocks of `block` bytes, and compares. `None` if
/// the bytes cannot be understood at all.
fn both(bytes: &[u8], format: Format, block: usize) -> Option<(Outcome, Discovered)> {
    let options = |block_bytes| ReadOptions {
        format: Some(format),
        block_bytes: Some(block_bytes),
        max_row_bytes: Some(200),
        compression: Some(Compression::None),
        encoding: Some(Encoding::Utf8),
        ..ReadOptions::default()
    };
    let (whole, discovered) = wholly(bytes, options(1 << 20))?;
    let (pieces, _) = wholly(bytes, options(block.max(1)))?;
    assert_eq!(
        whole, pieces,
        "the result depends on the size of the blocks ({block})"
    );
    Some((whole, discovered))
}

/// Finds out what bytes are and reads all of them so. `None` if they cannot be understood at all.
fn wholly(bytes: &[u8], options: ReadOptions) -> Option<(Outcome, Discovered)> {
    let source = Source::memory("fuzz", Bytes::copy_from_slice(bytes), &options);
    let discovered = discover_source(&source, &options).ok()?;
    let reading = Reading::new(Arc::new(discovered.clone()), Arc::new(options), None);
    Some((read_source(&source, &reading), discovered))
}

pub use self::typed::{fuzz_avro, fuzz_excel, fuzz_parquet};

/// A block size that the input chooses.
fn block_of(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(7usize, |sum, &byte| (sum * 31 + usize::from(byte)) % 97)
        + 1
}

/// CSV of any bytes.
pub fn fuzz_csv(bytes: &[u8]) {
    let Some((outcome, discovered)) = both(bytes, Format::Csv, block_of(bytes)) else {
        return;
    };
    let Layout::Csv(dialect) = &discovered.layout else {
        return;
    };
    if discovered.columns.is_empty() {
        return;
    }
    let newline = if bytes.contains(&b'\n') || !bytes.contains(&b'\r') {
        b'\n'
    } else {
        b'\r'
    };
    let comment = dialect.comment;
    account(bytes, newline, &outcome, |line| {
        line.is_empty() || line == b"\r" || comment.is_some_and(|mark| line.first() == Some(&mark))
    });
}

/// JSON of any bytes.
pub fn fuzz_json(bytes: &[u8]) {
    let Some((outcome, discovered)) = both(bytes, Format::Json, block_of(bytes)) else {
        return;
    };
    if discovered.layout == Layout::Json(crate::JsonLayout::Lines) && !bytes.contains(&b'\r') {
        account(bytes, b'\n', &outcome, |line| line.trim_ascii().is_empty());
    }
}

/// Text of any bytes.
pub fn fuzz_text(bytes: &[u8]) {
    let Some((outcome, _)) = both(bytes, Format::Text, block_of(bytes)) else {
        return;
    };
    let newline = if bytes.contains(&b'\n') || !bytes.contains(&b'\r') {
        b'\n'
    } else {
        b'\r'
    };
    account(bytes, newline, &outcome, |_| false);
}

/// Finding out what any bytes are, compressed or not, and reading them so.
pub fn fuzz_discover(bytes: &[u8]) {
    let options = ReadOptions {
        block_bytes: Some(block_of(bytes)),
        ..ReadOptions::default()
    };
    wholly(bytes, options);
}

/// Every line of the text is in a row, malformed, before the first row (header and preamble), or
/// skipped by right; and raw texts are what the file says.
fn account(bytes: &[u8], newline: u8, outcome: &Outcome, may_skip: impl Fn(&[u8]) -> bool) {
    assert_eq!(outcome.error, None);
    let mark = if bytes.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let mut lines: Vec<&[u8]> = bytes[mark..].split(|&byte| byte == newline).collect();
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let mut covered: BTreeMap<u64, u64> = BTreeMap::new();
    for (line, raw, _) in &outcome.rows {
        let count = 1 + memchr::memchr_iter(newline, raw).count() as u64;
        let written = lines[*line as usize - 1..(line - 1 + count) as usize].join(&newline);
        let written = written
            .strip_suffix(b"\r")
            .filter(|_| newline == b'\n')
            .unwrap_or(&written);
        assert_eq!(raw.as_slice(), written, "raw text of line {line}");
        assert!(covered.insert(*line, count).is_none(), "line {line} twice");
    }
    for (line, raw, ..) in &outcome.malformed {
        let count = 1 + memchr::memchr_iter(newline, raw).count() as u64;
        assert!(
            lines[*line as usize - 1]
                .starts_with(&raw[..raw.len().min(lines[*line as usize - 1].len())])
        );
        assert!(covered.insert(*line, count).is_none(), "line {line} twice");
    }
    let first = covered.keys().next().copied().unwrap_or(u64::MAX);
    let mut next = first;
    for (line, count) in covered {
        for skipped in next..line {
            assert!(
                may_skip(lines[skipped as usize - 1]),
                "line {skipped} is lost"
            );
        }
        assert!(line >= next, "line {line} overlaps the row before it");
        next = line + count;
    }
    for skipped in next..=lines.len() as u64 {
        assert!(
            first == u64::MAX || may_skip(lines[skipped as usize - 1]),
            "line {skipped} is lost"
        );
    }
}

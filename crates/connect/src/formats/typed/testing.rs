//! Reading whole files of bytes in the tests of the typed formats.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use bytes::Bytes;

use super::written;
use crate::batch::Decoded;
use crate::discover::{Discovered, discover_source};
use crate::error::{ConnectError, Result};
use crate::options::ReadOptions;
use crate::reading::{Reading, Slice};
use crate::source::Source;

/// What came out of a file: what it is, its pieces, and the error that ended it.
pub(crate) struct Opened {
    pub discovered: Discovered,
    pub pieces: Vec<Decoded>,
    pub error: Option<ConnectError>,
}

/// Reads `bytes` as a file called `name`.
pub(crate) fn open(
    name: &str,
    bytes: &[u8],
    options: &[(&str, &str)],
    wanted: Option<&[&str]>,
) -> Result<Opened> {
    let (options, rest) = ReadOptions::take(options.iter().copied())?;
    assert!(rest.is_empty(), "unknown options {rest:?}");
    let source = Source::memory(name, Bytes::copy_from_slice(bytes), &options);
    let discovered = discover_source(&source, &options)?;
    let wanted: Option<Vec<String>> =
        wanted.map(|names| names.iter().map(ToString::to_string).collect());
    let reading = Reading::new(
        Arc::new(discovered.clone()),
        Arc::new(options),
        wanted.as_deref(),
    );
    let mut opened = Opened {
        discovered,
        pieces: Vec::new(),
        error: None,
    };
    for piece in reading.pieces_of(source.clone(), Slice::whole(source.file()))? {
        match piece.and_then(|piece| piece.decode(0)) {
            Ok(decoded) => opened.pieces.push(decoded),
            Err(error) => {
                opened.error = Some(error);
                break;
            }
        }
    }
    Ok(opened)
}

impl Opened {
    /// The names of the batches' columns.
    pub(crate) fn names(&self) -> Vec<String> {
        let first = &self.pieces[0].batch.columns;
        first
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect()
    }

    /// Rows as text: the line (from 1), then the values with `|` between them, NULL as `-`.
    pub(crate) fn rows(&self) -> Vec<String> {
        let mut rows = Vec::new();
        let mut base = 1;
        for piece in &self.pieces {
            let batch = &piece.batch;
            assert_eq!(batch.line.len(), batch.columns.num_rows());
            let columns: Vec<ArrayRef> = batch
                .columns
                .columns()
                .iter()
                .map(|column| written(column).unwrap())
                .collect();
            for (row, line) in batch.line.iter().enumerate() {
                assert!(u64::from(*line) < piece.lines);
                let values: Vec<String> = columns
                    .iter()
                    .map(|column| {
                        let texts = column.as_string_view();
                        let text = texts.iter().nth(row).flatten();
                        text.unwrap_or("-").to_owned()
                    })
                    .collect();
                rows.push(format!("{}:{}", base + u64::from(*line), values.join("|")));
            }
            base += piece.lines;
        }
        rows
    }

    /// Malformed rows as text: line, kind, message.
    pub(crate) fn malformed(&self) -> Vec<String> {
        let mut rows = Vec::new();
        let mut base = 1;
        for piece in &self.pieces {
            for bad in &piece.batch.malformed {
                rows.push(format!(
                    "{}:{}: {}",
                    base + bad.line,
                    bad.kind.name(),
                    bad.message
                ));
            }
            base += piece.lines;
        }
        rows
    }
}

/// The message of a file that cannot be read; it must name the file and say what to do.
pub(crate) fn refusal(name: &str, bytes: &[u8], options: &[(&str, &str)]) -> String {
    let error = match open(name, bytes, options, None) {
        Err(error) => error,
        Ok(opened) => opened.error.expect("this file cannot be read"),
    };
    let message = error.to_string();
    assert!(message.contains(name), "{message}");
    message
}

/// A small, seeded generator: the tests must do the same every time.
pub(crate) fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// The file with some bytes changed, cut off or doubled.
pub(crate) fn mutated(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut random = numbers(seed);
    let mut next = |below: usize| (random.next().unwrap_or(0) % below.max(1) as u64) as usize;
    let mut changed = bytes.to_vec();
    for _ in 0..=next(6) {
        let at = next(changed.len());
        match next(10) {
            0 => changed.truncate(at),
            1 => {
                let to = (at + next(64)).min(changed.len());
                changed.drain(at..to);
            }
            2 => {
                let to = (at + next(64)).min(changed.len());
                let part = changed[at..to].to_vec();
                changed.splice(at..at, part);
            }
            3 => changed[at..]
                .iter_mut()
                .take(8)
                .for_each(|byte| *byte = 0xff),
            _ => {
                if let Some(byte) = changed.get_mut(at) {
                    *byte = next(256) as u8;
                }
            }
        }
        if changed.is_empty() {
            break;
        }
    }
    changed
}

//! Plain text: every line is a row with one column, `value`. Empty lines are rows with an empty
//! value.

use std::sync::Arc;

use arrow::buffer::Buffer;
use arrow::datatypes::DataType;
use bytes::Bytes;

use crate::batch::{Decoded, Malformed, MalformedKind, Piece, RawBatch};
use crate::blocks::{Block, Blocks, Cutting, NOT_VALID, invalid_ranges};
use crate::columns::{Plan, Slot};
use crate::discover::{DiscoveredColumn, Found, Layout};
use crate::error::Result;
use crate::formats::{Format, FormatReader};
use crate::listing::FileEntry;
use crate::options::ReadOptions;
use crate::reading::{Pieces, Reading, Slice};
use crate::source::Source;
use crate::textfile::{TextHead, open_blocks, row_limit};
use crate::views::{TextColumn, block_view};

/// Plain text in the list of formats.
pub(crate) static READER: FormatReader = FormatReader {
    format: Format::Text,
    extensions: &["txt", "log", "text"],
    recognises: |_| true,
    discover,
    pieces,
};

fn discover(source: &Source, options: &ReadOptions) -> Result<Found> {
    let head = TextHead::read(source, options)?;
    let column = DiscoveredColumn {
        name: "value".to_owned(),
        data_type: DataType::Utf8View,
        nullable: false,
        evidence: "a line of text".to_owned(),
    };
    Ok(Found {
        encoding: head.encoding,
        layout: Layout::Text,
        columns: vec![column],
        notes: head.notes,
    })
}

fn pieces(reading: &Reading, source: Source, slice: Slice) -> Result<Pieces> {
    let head = TextHead::read(&source, reading.options())?;
    let plan = Arc::new(Plan::new(reading, source.file(), vec!["value".to_owned()])?);
    let limit = row_limit(reading.options(), 1 << 20);
    let cutting = Cutting {
        block: reading.options().block_size(),
        ahead: 0,
        limit,
        newline: head.newline(),
    };
    let mut blocks: Blocks = open_blocks(&source, &slice, &head, cutting)?;
    let file = Arc::clone(source.file());
    Ok(Box::new(std::iter::from_fn(move || {
        let block = match blocks.next_block()? {
            Ok(block) => block,
            Err(error) => return Some(Err(error)),
        };
        let piece = TextPiece {
            block,
            cutting,
            plan: Arc::clone(&plan),
            file: Arc::clone(&file),
        };
        Some(Ok(Box::new(piece) as Box<dyn Piece>))
    })))
}

struct TextPiece {
    block: Block,
    cutting: Cutting,
    plan: Arc<Plan>,
    file: Arc<FileEntry>,
}

impl TextPiece {
    /// What is wrong with a line, if anything.
    fn verdict(&self, length: usize, valid: bool, ended: bool) -> Option<(MalformedKind, String)> {
        let limit = self.cutting.limit;
        if length > limit {
            let message = format!("the line is longer than {limit} bytes (option maxRowBytes)");
            Some((MalformedKind::TooLong, message))
        } else if !ended && self.block.cut {
            let message = "the file breaks off in this line".to_owned();
            Some((MalformedKind::Truncated, message))
        } else {
            (!valid).then(|| (MalformedKind::Encoding, NOT_VALID.to_owned()))
        }
    }
}

impl Piece for TextPiece {
    fn bytes(&self) -> u64 {
        self.block.bytes
    }

    fn decode(&self, skip: usize) -> Result<Decoded> {
        let data = self.block.data.as_slice();
        let own = self.block.own;
        let mut invalid = invalid_ranges(&data[skip..own], skip, true)
            .into_iter()
            .peekable();
        let mut column = TextColumn::default();
        let (mut line, mut malformed) = (Vec::new(), Vec::new());
        let (mut at, mut number) = (skip, self.block.lines_before as u32);
        while at < own {
            let newline = memchr::memchr(self.cutting.newline, &data[at..own]);
            let mut end = newline.map_or(own, |length| at + length);
            let next = newline.map_or(own, |length| at + length + 1);
            if self.cutting.newline == b'\n' && end > at && data[end - 1] == b'\r' {
                end -= 1;
            }
            let mut valid = true;
            while invalid.next_if(|&(from, _)| from < next).is_some() {
                valid = false;
            }
            let kind = self.verdict(end - at, valid, newline.is_some());
            match kind {
                Some((kind, message)) => {
                    let kept = &data[at..end.min(at + self.cutting.limit)];
                    let raw = Bytes::copy_from_slice(kept);
                    malformed.push(Malformed {
                        line: u64::from(number),
                        raw,
                        kind,
                        message,
                    });
                }
                None => {
                    column.push(block_view(data, at, end - at));
                    line.push(number);
                }
            }
            number += 1;
            at = next;
        }
        let buffers: Arc<[Buffer]> = Arc::from([self.block.data.clone()]);
        let rows = column.len();
        let value = column.finish(&buffers);
        let mut columns = vec![None; self.plan.names.len()];
        if let Slot::Column(slot) = self.plan.slots[0] {
            columns[slot] = Some(Arc::clone(&value));
        }
        let columns = self.plan.assemble(columns, Vec::new(), rows)?;
        let batch = RawBatch {
            columns,
            line,
            raw: Some(value),
            malformed,
            extra: self.plan.wanted,
            notes: Vec::new(),
            file: Arc::clone(&self.file),
        };
        Ok(Decoded {
            batch,
            overrun: 0,
            lines: u64::from(number),
        })
    }
}

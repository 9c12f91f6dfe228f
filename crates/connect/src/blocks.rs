//! Cuts a text source into blocks: each ends at a newline and carries a look-ahead behind it, into
//! which its last record may reach. Sequential and bounded in memory: a line longer than the row
//! limit is cut to just over the limit here, and the rest is read past.

use arrow::buffer::Buffer;

use crate::encoding::TextReader;
use crate::error::{ConnectError, Result};
use crate::views::PADDING;

/// A block of UTF-8 text (its validity is for the decoder to check).
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// The block's own text, the look-ahead, and [`PADDING`] newlines.
    pub data: Buffer,
    /// Where the block's own text ends; behind a newline, or at the end of the source.
    pub own: usize,
    /// Where the look-ahead ends.
    pub end: usize,
    /// Nothing follows `end`.
    pub last: bool,
    /// The source broke at `end`: what follows the last newline is part of a row.
    pub cut: bool,
    /// Lines that were read past before the block's text (preamble and header).
    pub lines_before: u64,
    /// Bytes of text the block stands for (more than `own` if a long line was cut).
    pub bytes: u64,
}

/// How to cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cutting {
    /// Bytes of a block.
    pub block: usize,
    /// Bytes of look-ahead.
    pub ahead: usize,
    /// The longest row; longer lines are cut to one byte more.
    pub limit: usize,
    /// The byte that ends a line.
    pub newline: u8,
}

/// The blocks of a text, in order.
pub(crate) struct Blocks {
    reader: TextReader,
    cutting: Cutting,
    carry: Vec<u8>,
    ended: bool,
    error: Option<ConnectError>,
    lines_before: u64,
}

impl Blocks {
    /// Cuts `reader`'s text from its current position on.
    pub(crate) fn new(reader: TextReader, cutting: Cutting) -> Self {
        Self {
            reader,
            cutting,
            carry: Vec::new(),
            ended: false,
            error: None,
            lines_before: 0,
        }
    }

    /// Reads past the first `bytes` of text; the lines in them are counted to the next block.
    pub(crate) fn skip(&mut self, mut bytes: usize) {
        while bytes > 0 {
            if self.carry.is_empty() {
                if self.ended {
                    return;
                }
                let mut text = Vec::new();
                self.fill(&mut text, bytes.min(1 << 20));
                self.carry = text;
            }
            let count = bytes.min(self.carry.len());
            self.lines_before +=
                memchr::memchr_iter(self.cutting.newline, &self.carry[..count]).count() as u64;
            self.carry.drain(..count);
            bytes -= count;
        }
    }

    fn fill(&mut self, data: &mut Vec<u8>, wanted: usize) {
        if self.ended {
            return;
        }
        match self.reader.fill(data, wanted) {
            Ok(ended) => self.ended = ended,
            Err(error) => {
                self.ended = true;
                self.error = Some(error);
            }
        }
    }

    /// The next block; `None` at the end.
    pub(crate) fn next_block(&mut self) -> Option<Result<Block>> {
        let Cutting {
            block,
            ahead,
            limit,
            newline,
        } = self.cutting;
        let goal = block + ahead;
        let mut data = std::mem::take(&mut self.carry);
        data.reserve((goal + PADDING + 1).saturating_sub(data.len()));
        if data.len() < goal {
            let wanted = goal - data.len();
            self.fill(&mut data, wanted);
        }
        if data.is_empty() {
            return self.error.take().map(Err);
        }
        let mut dropped = 0;
        let own = loop {
            if self.ended && data.len() <= block {
                break data.len();
            }
            let head = data.len().min(block);
            if let Some(at) = memchr::memrchr(newline, &data[..head]) {
                break at + 1;
            }
            if let Some(at) = memchr::memchr(newline, &data[head..]) {
                let own = head + at + 1;
                if data.len() < own + ahead {
                    let wanted = own + ahead - data.len();
                    self.fill(&mut data, wanted);
                }
                break own;
            }
            if self.ended {
                break data.len();
            }
            if data.len() > limit {
                dropped = self.drop_line(&mut data);
                break data.len();
            }
            let wanted = block.max(4096);
            self.fill(&mut data, wanted);
        };
        Some(Ok(self.close(data, own, dropped)))
    }

    /// Cuts the one, too long line that `data` is, and reads past the rest of it; what follows is
    /// carried on. Tells how many bytes were left out.
    fn drop_line(&mut self, data: &mut Vec<u8>) -> u64 {
        let keep = self.cutting.limit + 1;
        let mut dropped = (data.len() - keep) as u64;
        data.truncate(keep);
        let mut scratch = Vec::new();
        while !self.ended {
            scratch.clear();
            self.fill(&mut scratch, 1 << 20);
            if let Some(at) = memchr::memchr(self.cutting.newline, &scratch) {
                data.push(self.cutting.newline);
                self.carry = scratch.split_off(at + 1);
                return dropped + at as u64;
            }
            dropped += scratch.len() as u64;
        }
        dropped
    }

    fn close(&mut self, mut data: Vec<u8>, own: usize, dropped: u64) -> Block {
        let end = data.len();
        if own < end {
            // With the room of the next block, so that it is copied once.
            let room = self.cutting.block + self.cutting.ahead + PADDING + 1;
            self.carry = Vec::with_capacity(room.max(end - own));
            self.carry.extend_from_slice(&data[own..]);
        }
        data.resize(end + PADDING, self.cutting.newline);
        Block {
            data: Buffer::from_vec(data),
            own,
            end,
            last: self.ended && (own < end || self.carry.is_empty()),
            cut: self.ended && self.error.is_some(),
            lines_before: std::mem::take(&mut self.lines_before),
            bytes: own as u64 + dropped,
        }
    }
}

/// What is said of a row with wrong bytes.
pub(crate) const NOT_VALID: &str = "bytes that are not valid in the file's encoding; if all of the file is in another one, \
     say so with the option encoding";

/// The bytes of a text that are not valid UTF-8, as ranges `from..to` in order; `offset` is added to
/// all. At the speed of memory for a text that is right. With `a_line_once`, only the first of each
/// line is told: enough where one wrong byte spoils its line anyway.
pub(crate) fn invalid_ranges(text: &[u8], offset: usize, a_line_once: bool) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    if simdutf8::basic::from_utf8(text).is_ok() {
        return ranges;
    }
    let mut at = 0;
    while let Err(error) = simdutf8::compat::from_utf8(&text[at..]) {
        let bad = at + error.valid_up_to();
        let length = error.error_len().unwrap_or(text.len() - bad).max(1);
        ranges.push((offset + bad, offset + bad + length));
        at = bad + length;
        if a_line_once {
            at = memchr::memchr2(b'\n', b'\r', &text[at..]).map_or(text.len(), |line| at + line);
        }
    }
    ranges
}

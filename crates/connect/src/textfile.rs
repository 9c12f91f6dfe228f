//! What all text formats share: the head of a file as UTF-8, how its lines end, and opening a slice
//! of it as blocks.

use crate::blocks::{Blocks, Cutting};
use crate::compression::Compression;
use crate::encoding::{Encoding, TextReader, byte_order_mark, detect, to_utf8};
use crate::error::{ConnectError, Result};
use crate::options::ReadOptions;
use crate::reading::Slice;
use crate::source::Source;

/// The head of a text file.
pub(crate) struct TextHead {
    /// The text, without byte order mark; ends at a line's end unless the file ends.
    pub text: Vec<u8>,
    /// Whether that is the whole file.
    pub complete: bool,
    /// The encoding of the file.
    pub encoding: Encoding,
    /// The length of the byte order mark.
    pub mark: usize,
    /// What was noticed.
    pub notes: Vec<String>,
}

impl TextHead {
    /// Reads as much as discovery looks at.
    pub(crate) fn read(source: &Source, options: &ReadOptions) -> Result<Self> {
        Self::read_up_to(source, options, options.sample_size())
    }

    /// Reads the first `limit` bytes.
    pub(crate) fn read_up_to(source: &Source, options: &ReadOptions, limit: usize) -> Result<Self> {
        let head = source.head(limit)?;
        let told = byte_order_mark(&head.bytes);
        let mut notes = Vec::new();
        let encoding = match (options.encoding, told) {
            (None, Some((encoding, _))) => encoding,
            // "UTF-16" leaves the order of the bytes to the mark.
            (Some(given), Some((big, _)))
                if given == Encoding::UTF_16LE && big == Encoding::UTF_16BE =>
            {
                big
            }
            (Some(given), _) => given,
            (None, None) => {
                let found = detect(&head.bytes);
                if found != Encoding::Utf8 {
                    notes.push(format!(
                        "not UTF-8; read as {}, which the bytes suggest",
                        found.name()
                    ));
                }
                found
            }
        };
        let mark = told
            .filter(|(mark, _)| *mark == encoding)
            .map_or(0, |(_, length)| length);
        let text = to_utf8(&head.bytes, encoding);
        Ok(Self {
            text,
            complete: head.complete,
            encoding,
            mark,
            notes,
        })
    }

    /// The byte that ends a line: a line feed, unless there are only carriage returns.
    pub(crate) fn newline(&self) -> u8 {
        let feeds = memchr::memchr(b'\n', &self.text).is_some();
        if !feeds && memchr::memchr(b'\r', &self.text).is_some() {
            b'\r'
        } else {
            b'\n'
        }
    }
}

/// The row limit in bytes.
pub(crate) fn row_limit(options: &ReadOptions, default: usize) -> usize {
    options.max_row_bytes.unwrap_or(default)
}

/// Opens a slice as blocks of UTF-8, behind the byte order mark.
pub(crate) fn open_blocks(
    source: &Source,
    slice: &Slice,
    head: &TextHead,
    cutting: Cutting,
) -> Result<Blocks> {
    let refuse = |reason| ConnectError::NotResumable {
        path: source.name(),
        reason,
    };
    if slice.from > 0 {
        if source.compression() != Compression::None {
            return Err(refuse("it is compressed"));
        }
        if !head.encoding.resumable() {
            return Err(refuse("its encoding has no places to resume at"));
        }
    }
    let mark = head.mark as u64;
    let raw = if source.compression() == Compression::None {
        source.decompressed_part(slice.from.max(mark), slice.to)?
    } else {
        let mut raw = source.decompressed()?;
        raw.fill(&mut Vec::new(), head.mark)?;
        raw
    };
    Ok(Blocks::new(TextReader::new(raw, head.encoding), cutting))
}

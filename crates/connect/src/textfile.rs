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
                let mut found = detect(&head.bytes);
                if found == Encoding::Utf8 && head.bytes.is_ascii() && !head.complete {
                    // ASCII says nothing yet; perhaps the middle does.
                    found = middle_encoding(source)?;
                }
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

    /// The text up to the last line end (all of it, if that is the whole file or one line).
    pub(crate) fn whole_lines(&self) -> &[u8] {
        if self.complete {
            return &self.text;
        }
        let end = memchr::memrchr(self.newline(), &self.text).map_or(self.text.len(), |at| at + 1);
        &self.text[..end]
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
    Ok(Blocks::new(open_text(source, slice, head)?, cutting))
}

/// Opens a slice as UTF-8, behind the byte order mark.
pub(crate) fn open_text(source: &Source, slice: &Slice, head: &TextHead) -> Result<TextReader> {
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
    Ok(TextReader::new(raw, head.encoding))
}

/// The encoding of a plainly stored file, by its middle.
fn middle_encoding(source: &Source) -> Result<Encoding> {
    if source.compression() != Compression::None {
        return Ok(Encoding::Utf8);
    }
    let from = source.size() / 2;
    let bytes = source.read_range(from, from + (64 << 10))?;
    let start = memchr::memchr2(b'\n', b'\r', &bytes).map_or(0, |at| at + 1);
    Ok(detect(&bytes[start..]))
}

/// A sample as a string; what is not valid becomes replacement characters (of equal length, so that
/// offsets stay).
pub(crate) fn lossy(text: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(text) {
        Ok(valid) => valid.into(),
        Err(_) => {
            let mut plain = text.to_vec();
            let mut at = 0;
            while let Err(error) = std::str::from_utf8(&plain[at..]) {
                let bad = at + error.valid_up_to();
                let length = error.error_len().unwrap_or(plain.len() - bad);
                plain[bad..bad + length].fill(0x1a);
                at = bad + length;
            }
            String::from_utf8(plain).unwrap_or_default().into()
        }
    }
}

/// Whole lines from the middle of a big, plainly stored UTF-8 file.
pub(crate) fn middle(
    source: &Source,
    head: &TextHead,
    options: &ReadOptions,
) -> Result<Option<Vec<u8>>> {
    let length = options.sample_size() as u64 / 4;
    let plain = source.compression() == Compression::None && head.encoding == Encoding::Utf8;
    if !plain || source.size() < 4 * options.sample_size() as u64 {
        return Ok(None);
    }
    let from = source.size() / 2;
    let bytes = source.read_range(from, from + length)?;
    let newline = head.newline();
    let Some(first) = memchr::memchr(newline, &bytes) else {
        return Ok(None);
    };
    let last = memchr::memrchr(newline, &bytes).unwrap_or(first);
    Ok(Some(bytes[first + 1..(last + 1).max(first + 1)].to_vec()))
}

//! How text is encoded: told from a byte order mark or from the bytes, and turned into UTF-8 while
//! blocks are read, so that decoders see nothing else.
//!
//! A few rows that are not valid UTF-8 do not make a file Latin-1: those rows are malformed and the
//! others stay. Where a legacy encoding itself has bytes that mean nothing, the byte `0xFF` is put
//! in their place, which no UTF-8 text holds, so that the row concerned is found malformed too.

use encoding_rs::{Decoder, DecoderResult};

use crate::compression::Decompressor;
use crate::error::Result;

/// A text encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// UTF-8, and with it ASCII.
    #[default]
    Utf8,
    /// Any other, among them UTF-16.
    Other(&'static encoding_rs::Encoding),
}

impl Encoding {
    /// UTF-16, little end first.
    pub const UTF_16LE: Self = Self::Other(encoding_rs::UTF_16LE);
    /// UTF-16, big end first.
    pub const UTF_16BE: Self = Self::Other(encoding_rs::UTF_16BE);

    /// The encoding of this name (any label of the WHATWG standard, `latin1` and the like).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.trim();
        if name.eq_ignore_ascii_case("utf-16") || name.eq_ignore_ascii_case("utf16") {
            return Some(Self::UTF_16LE);
        }
        let found = encoding_rs::Encoding::for_label(name.as_bytes()).or_else(|| {
            // Java's names, which Spark's users write: ISO8859_1, Cp1252.
            let plain = name.to_ascii_lowercase().replace('_', "-");
            let plain = plain
                .replace("iso8859", "iso-8859")
                .replace("cp125", "windows-125");
            encoding_rs::Encoding::for_label(plain.as_bytes())
        })?;
        Some(if found == encoding_rs::UTF_8 {
            Self::Utf8
        } else {
            Self::Other(found)
        })
    }

    /// The standard name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Other(encoding) => encoding.name(),
        }
    }

    /// Bytes per character at least; a slice must begin at a multiple.
    #[must_use]
    pub fn unit(self) -> u64 {
        if self == Self::UTF_16LE || self == Self::UTF_16BE {
            2
        } else {
            1
        }
    }

    /// Whether one can begin to decode at any newline of the file.
    #[must_use]
    pub(crate) fn resumable(self) -> bool {
        match self {
            Self::Utf8 => true,
            Self::Other(encoding) => encoding.is_single_byte() || self.unit() == 2,
        }
    }
}

/// The byte order mark at the start of a file: the encoding it tells, and its length.
#[must_use]
pub fn byte_order_mark(head: &[u8]) -> Option<(Encoding, usize)> {
    match head {
        [0xef, 0xbb, 0xbf, ..] => Some((Encoding::Utf8, 3)),
        [0xff, 0xfe, ..] => Some((Encoding::UTF_16LE, 2)),
        [0xfe, 0xff, ..] => Some((Encoding::UTF_16BE, 2)),
        _ => None,
    }
}

/// Tells the encoding from a sample of a file, byte order marks first.
#[must_use]
pub fn detect(head: &[u8]) -> Encoding {
    if let Some((encoding, _)) = byte_order_mark(head) {
        return encoding;
    }
    if let Some(encoding) = detect_utf16(head) {
        return encoding;
    }
    if simdutf8::basic::from_utf8(head).is_ok() {
        return Encoding::Utf8;
    }
    let census = Census::of(head);
    // Valid multi-byte sequences hardly ever arise by chance in a legacy encoding.
    if census.invalid == 0
        || census.multibyte * 2 >= census.invalid
        || census.odd * 4 > census.invalid
    {
        return Encoding::Utf8;
    }
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
    detector.feed(head, true);
    let guess = detector.guess(None, chardetng::Utf8Detection::Deny);
    if guess == encoding_rs::UTF_8 {
        Encoding::Utf8
    } else {
        Encoding::Other(guess)
    }
}

/// UTF-16 without a mark: in mostly Western text, every other byte is zero.
fn detect_utf16(head: &[u8]) -> Option<Encoding> {
    let pairs = head.len() / 2;
    if pairs < 2 {
        return None;
    }
    let (mut even, mut odd) = (0usize, 0usize);
    for pair in head.chunks_exact(2) {
        even += usize::from(pair[0] == 0);
        odd += usize::from(pair[1] == 0);
    }
    if odd * 10 >= pairs * 4 && even * 20 <= pairs {
        Some(Encoding::UTF_16LE)
    } else if even * 10 >= pairs * 4 && odd * 20 <= pairs {
        Some(Encoding::UTF_16BE)
    } else {
        None
    }
}

/// What a sample that is not valid UTF-8 consists of.
struct Census {
    multibyte: usize,
    invalid: usize,
    /// Invalid bytes that no Western text would hold.
    odd: usize,
}

impl Census {
    fn of(sample: &[u8]) -> Self {
        let mut census = Self {
            multibyte: 0,
            invalid: 0,
            odd: 0,
        };
        let mut rest = sample;
        loop {
            let (valid, bad) = match std::str::from_utf8(rest) {
                Ok(text) => (text, None),
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    (
                        std::str::from_utf8(valid).unwrap_or_default(),
                        Some((after, error.error_len())),
                    )
                }
            };
            census.multibyte += valid.chars().filter(|c| !c.is_ascii()).count();
            match bad {
                // Cut at the sample's end: says nothing.
                None | Some((_, None)) => return census,
                Some((after, Some(length))) => {
                    census.invalid += 1;
                    census.odd += usize::from(is_odd(after[0]));
                    rest = &after[length..];
                }
            }
        }
    }
}

/// Bytes that mean nothing in windows-1252, or a letter so rare that it rather is damage.
fn is_odd(byte: u8) -> bool {
    matches!(byte, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d | 0xfe | 0xff)
}

/// Text of a file as UTF-8, whatever it was.
pub(crate) struct TextReader {
    raw: Decompressor,
    transcode: Option<Box<Transcode>>,
}

struct Transcode {
    decoder: Decoder,
    stored: Vec<u8>,
    consumed: usize,
    at_end: bool,
}

impl TextReader {
    /// Reads `raw`, whose mark (if any) has been skipped, as `encoding`.
    pub(crate) fn new(raw: Decompressor, encoding: Encoding) -> Self {
        let transcode = match encoding {
            Encoding::Utf8 => None,
            Encoding::Other(other) => Some(Box::new(Transcode {
                decoder: other.new_decoder_without_bom_handling(),
                stored: Vec::new(),
                consumed: 0,
                at_end: false,
            })),
        };
        Self { raw, transcode }
    }

    /// Reads until `buffer` has grown by at least `wanted` bytes or the text ends; true at the end.
    /// On an error, what came out before it is in `buffer`.
    pub(crate) fn fill(&mut self, buffer: &mut Vec<u8>, wanted: usize) -> Result<bool> {
        let Some(transcode) = self.transcode.as_mut() else {
            return self.raw.fill(buffer, wanted);
        };
        let goal = buffer.len() + wanted;
        while buffer.len() < goal {
            if transcode.consumed == transcode.stored.len() {
                if transcode.at_end {
                    return Ok(true);
                }
                transcode.stored.clear();
                transcode.consumed = 0;
                transcode.at_end = self.raw.fill(&mut transcode.stored, 64 << 10)?;
            }
            transcode.step(buffer);
            if transcode.at_end && transcode.consumed == transcode.stored.len() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Transcode {
    fn step(&mut self, buffer: &mut Vec<u8>) {
        let source = &self.stored[self.consumed..];
        let old = buffer.len();
        buffer.resize(old + source.len() * 3 + 16, 0);
        let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(
            source,
            &mut buffer[old..],
            self.at_end,
        );
        buffer.truncate(old + written);
        self.consumed += read;
        if matches!(result, DecoderResult::Malformed(..)) {
            buffer.push(0xff);
        }
    }
}

/// Turns a whole sample into UTF-8 (for discovery); a cut character at its end is left out.
#[must_use]
pub(crate) fn to_utf8(sample: &[u8], encoding: Encoding) -> Vec<u8> {
    let skip = byte_order_mark(sample)
        .filter(|(told, _)| *told == encoding)
        .map_or(0, |(_, length)| length);
    let sample = &sample[skip..];
    match encoding {
        Encoding::Utf8 => sample.to_vec(),
        Encoding::Other(other) => {
            let mut transcode = Transcode {
                decoder: other.new_decoder_without_bom_handling(),
                stored: sample.to_vec(),
                consumed: 0,
                at_end: false,
            };
            let mut text = Vec::new();
            while transcode.consumed < transcode.stored.len() {
                transcode.step(&mut text);
            }
            text
        }
    }
}

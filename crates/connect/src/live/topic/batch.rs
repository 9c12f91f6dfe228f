//! A batch as it stands in a segment: a head of fixed size, then columns (timestamps, lengths of values, values, and
//! the same for keys and headers), compressed or not. All numbers are little-endian.
//!
//! ```text
//! 0  length of what follows this field   u32      24 codec, flags, 2 bytes of zero
//! 4  CRC-32C of what follows from 16 on  u32      28 length of the body before compression  u32
//! 8  offset of the first record          i64      32 largest timestamp                      i64
//! 16 records                             u32      40 body
//! 20 smallest version that reads it      u32
//! ```
//! The offset is outside the checksum, since it is given under the lock; that batches follow one another without a
//! gap is checked instead.

use std::borrow::Cow;

use super::super::fetched::{ByteColumnBuilder, NULL_LENGTH};
use super::super::headers::HeadersBuilder;
use super::{Record, TopicCompression};

/// Bytes of the head.
pub(super) const HEAD: usize = 40;
/// The version that is written.
const VERSION: u32 = 1;
/// Most bytes of a batch, packed or not.
pub(super) const BATCH_MAX: usize = 1 << 30;

const KEYS: u8 = 1;
const HEADERS: u8 = 2;
/// All timestamps are the same: only one is written.
const ONE_TIME: u8 = 4;

/// The head of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// Bytes of the batch, the head included.
    pub length: usize,
    pub base: i64,
    pub count: u32,
    pub timestamp_max: i64,
    checksum: u32,
    version: u32,
    codec: u8,
    flags: u8,
    body: usize,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    i64::from_le_bytes(word)
}

impl Head {
    /// Reads a head; `None` if `bytes` are too few or cannot be one.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEAD {
            return None;
        }
        let head = Self {
            length: (u32_at(bytes, 0) as usize).saturating_add(4),
            checksum: u32_at(bytes, 4),
            base: i64_at(bytes, 8),
            count: u32_at(bytes, 16),
            version: u32_at(bytes, 20),
            codec: bytes[24],
            flags: bytes[25],
            body: u32_at(bytes, 28) as usize,
            timestamp_max: i64_at(bytes, 32),
        };
        let fits = (HEAD..=BATCH_MAX).contains(&head.length) && head.body <= BATCH_MAX;
        (fits && head.count > 0 && head.base >= 0).then_some(head)
    }

    /// The offset behind the last record.
    pub(super) fn end(&self) -> i64 {
        self.base + i64::from(self.count)
    }

    /// Whether `batch` (all its bytes) is as it was written.
    pub(super) fn is_whole(&self, batch: &[u8]) -> bool {
        batch.len() == self.length && crc32c::crc32c(&batch[16..]) == self.checksum
    }
}

/// Columns of strings being written: lengths, and the strings with a line feed behind each.
#[derive(Default)]
struct Strings {
    lengths: Vec<u8>,
    bytes: Vec<u8>,
}

impl Strings {
    fn push(&mut self, value: Option<&[u8]>) {
        let length = value.map_or(NULL_LENGTH, |value| value.len() as u32);
        self.lengths.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.bytes.push(b'\n');
    }

    fn write(self, body: &mut Vec<u8>) {
        body.extend_from_slice(&(self.bytes.len() as u32).to_le_bytes());
        body.extend_from_slice(&self.lengths);
        body.extend_from_slice(&self.bytes);
    }
}

/// Makes a batch of records; its offset is set later by [`set_base`]. `None` if it would be too large.
pub(super) fn encode<'a>(
    records: impl Iterator<Item = &'a Record> + Clone,
    compression: TopicCompression,
) -> Option<Vec<u8>> {
    let count = records.clone().count();
    let bytes: usize = records.clone().map(Record::bytes).sum();
    if count == 0 || bytes.saturating_add(count * 64) > BATCH_MAX {
        return None;
    }
    let first = records.clone().next().map_or(-1, |one| one.timestamp_ms);
    let mut flags = 0;
    if records.clone().all(|one| one.timestamp_ms == first) {
        flags |= ONE_TIME;
    }
    let mut batch = vec![0; HEAD];
    batch.reserve(bytes + 16 * count + 64);
    let times = match flags & ONE_TIME {
        0 => count,
        _ => 1,
    };
    for record in records.clone().take(times) {
        batch.extend_from_slice(&record.timestamp_ms.to_le_bytes());
    }
    let (mut keys, mut values, mut headers) =
        (Strings::default(), Strings::default(), Strings::default());
    values.bytes.reserve(bytes + count);
    values.lengths.reserve(4 * count);
    let with_keys = records.clone().any(|one| one.key.is_some());
    let with_headers = records.clone().any(|one| !one.headers.is_empty());
    for record in records.clone() {
        values.push(record.value.as_deref());
        if with_keys {
            keys.push(record.key.as_deref());
        }
        if with_headers {
            headers.push(headers_of(record).as_deref());
        }
    }
    values.write(&mut batch);
    if with_keys {
        flags |= KEYS;
        keys.write(&mut batch);
    }
    if with_headers {
        flags |= HEADERS;
        headers.write(&mut batch);
    }
    let latest = records.map(|one| one.timestamp_ms).max().unwrap_or(first);
    let body = batch.len() - HEAD;
    let codec = compress(&mut batch, compression);
    let length = (batch.len() - 4) as u32;
    batch[0..4].copy_from_slice(&length.to_le_bytes());
    batch[16..20].copy_from_slice(&(count as u32).to_le_bytes());
    batch[20..24].copy_from_slice(&VERSION.to_le_bytes());
    batch[24] = codec;
    batch[25] = flags;
    batch[28..32].copy_from_slice(&(body as u32).to_le_bytes());
    batch[32..40].copy_from_slice(&latest.to_le_bytes());
    let checksum = crc32c::crc32c(&batch[16..]);
    batch[4..8].copy_from_slice(&checksum.to_le_bytes());
    Some(batch)
}

/// Sets the offset of the first record.
pub(super) fn set_base(batch: &mut [u8], base: i64) {
    batch[8..16].copy_from_slice(&base.to_le_bytes());
}

/// Packs the body where that makes it smaller; tells the codec.
fn compress(batch: &mut Vec<u8>, compression: TopicCompression) -> u8 {
    let packed = match compression {
        TopicCompression::None => return 0,
        TopicCompression::Lz4 => lz4_flex::block::compress(&batch[HEAD..]),
        TopicCompression::Zstd => match zstd::bulk::compress(&batch[HEAD..], 1) {
            Ok(packed) => packed,
            Err(_) => return 0,
        },
    };
    if packed.len() >= batch.len() - HEAD {
        return 0;
    }
    batch.truncate(HEAD);
    batch.extend_from_slice(&packed);
    compression as u8
}

/// The headers of a record: for each the length of its name, the name, the length of its value, the value.
fn headers_of(record: &Record) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for (name, value) in &record.headers {
        bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        let length = value
            .as_ref()
            .map_or(NULL_LENGTH, |value| value.len() as u32);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    (!bytes.is_empty()).then_some(bytes)
}

/// Records taken out of batches.
pub(super) struct Columns {
    pub offsets: Vec<i64>,
    pub timestamps_ms: Vec<i64>,
    pub keys: ByteColumnBuilder,
    pub values: ByteColumnBuilder,
    pub headers: HeadersBuilder,
}

impl Columns {
    /// With room for so many bytes of values.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            offsets: Vec::new(),
            timestamps_ms: Vec::new(),
            keys: ByteColumnBuilder::default(),
            values: ByteColumnBuilder::with_capacity(bytes, 0),
            headers: HeadersBuilder::new(),
        }
    }

    /// Adds the records of a batch from offset `from` on. An error says what is wrong with the batch.
    pub(super) fn add(&mut self, head: &Head, batch: &[u8], from: i64) -> Result<(), String> {
        if head.version > VERSION {
            return Err(format!(
                "it was written in format {}, and this Tidegate reads formats up to {VERSION}",
                head.version
            ));
        }
        let body = unpack(head, &batch[HEAD..])?;
        let mut body = Body {
            bytes: &body,
            count: head.count as usize,
        };
        let skip = usize::try_from(from - head.base).unwrap_or(0);
        let broken = || "its parts contradict each other".to_owned();
        let times = match head.flags & ONE_TIME {
            0 => body.take(8 * body.count),
            _ => body.take(8),
        };
        let times = times.ok_or_else(broken)?;
        let time = |row: usize| i64_at(times, if times.len() == 8 { 0 } else { 8 * row });
        let rows = skip..body.count;
        self.timestamps_ms.extend(rows.clone().map(time));
        self.offsets
            .extend(rows.clone().map(|row| head.base + row as i64));
        let (lengths, bytes) = body.strings(skip).ok_or_else(broken)?;
        self.values
            .extend(numbers(lengths), bytes)
            .then_some(())
            .ok_or_else(broken)?;
        if head.flags & KEYS != 0 {
            let (lengths, bytes) = body.strings(skip).ok_or_else(broken)?;
            self.keys
                .extend(numbers(lengths), bytes)
                .then_some(())
                .ok_or_else(broken)?;
        } else {
            rows.clone().for_each(|_| self.keys.push(None));
        }
        if head.flags & HEADERS != 0 {
            let (lengths, bytes) = body.strings(skip).ok_or_else(broken)?;
            self.add_headers(lengths, bytes).ok_or_else(broken)?;
        } else {
            rows.for_each(|_| self.headers.none());
        }
        Ok(())
    }

    fn add_headers(&mut self, lengths: &[u8], bytes: &[u8]) -> Option<()> {
        let mut at = 0;
        for length in numbers(lengths) {
            if length == NULL_LENGTH {
                self.headers.none();
                at += 1;
                continue;
            }
            let mut rest = bytes.get(at..at + length as usize)?;
            let mut headers = Vec::new();
            while !rest.is_empty() {
                let name = std::str::from_utf8(sized(&mut rest)??).ok()?;
                headers.push((name, sized(&mut rest)?));
            }
            self.headers.some(headers.into_iter());
            at += length as usize + 1;
        }
        Some(())
    }
}

/// A string behind its length: nothing where there is none, NULL inside.
fn sized<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, behind) = rest.split_at_checked(4)?;
    let length = u32_at(length, 0);
    if length == NULL_LENGTH {
        *rest = behind;
        return Some(None);
    }
    let (value, behind) = behind.split_at_checked(length as usize)?;
    *rest = behind;
    Some(Some(value))
}

fn unpack<'a>(head: &Head, packed: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
    let body = match head.codec {
        0 => Cow::Borrowed(packed),
        1 => lz4_flex::block::decompress(packed, head.body)
            .map_err(|error| format!("its lz4 body cannot be unpacked: {error}"))?
            .into(),
        2 => zstd::bulk::decompress(packed, head.body)
            .map_err(|error| format!("its zstd body cannot be unpacked: {error}"))?
            .into(),
        other => {
            return Err(format!(
                "it is packed by a codec that is not known ({other})"
            ));
        }
    };
    if body.len() != head.body {
        return Err("its body is shorter than it says".to_owned());
    }
    Ok(body)
}

fn numbers(lengths: &[u8]) -> impl Iterator<Item = u32> {
    lengths
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}

/// The body of a batch, taken apart from its beginning.
struct Body<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Body<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    /// A column of strings without its first `skip`: their lengths, and the strings.
    fn strings(&mut self, skip: usize) -> Option<(&'a [u8], &'a [u8])> {
        let total = u32_at(self.take(4)?, 0) as usize;
        let lengths = self.take(4 * self.count)?;
        let bytes = self.take(total)?;
        let real = |length: u32| {
            if length == NULL_LENGTH {
                0
            } else {
                length as usize
            }
        };
        let skipped: usize = numbers(&lengths[..4 * skip])
            .map(|length| real(length) + 1)
            .sum();
        Some((&lengths[4 * skip..], bytes.get(skipped..)?))
    }
}

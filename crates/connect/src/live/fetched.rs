//! Records as a source hands them over: columns of bytes, laid out so that the decoders of text read them where they
//! are. Between two values stands a line feed, and room follows the last one, as in a block of a file.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryViewArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};

use super::positions::Positions;
use crate::views::{PADDING, block_view};

/// Most bytes of one column of [`Fetched`]: places in it are 32-bit numbers.
pub const COLUMN_BYTES_MAX: usize = i32::MAX as usize;

/// Byte strings one behind the other in one buffer, a line feed behind each.
#[derive(Debug, Clone)]
pub struct ByteColumn {
    data: Buffer,
    /// Where each begins, and behind them where the next would.
    starts: Vec<u32>,
    nulls: Option<NullBuffer>,
}

impl ByteColumn {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the string of this row is NULL.
    #[must_use]
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// The string of a row; `None` is NULL.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        let (from, to) = self.span(row);
        (!self.is_null(row)).then(|| &self.data[from..to])
    }

    /// Where the string of a row stands in [`Self::data`]: from, and behind its end.
    #[must_use]
    pub fn span(&self, row: usize) -> (usize, usize) {
        let behind = self.starts[row + 1] as usize - 1;
        (self.starts[row] as usize, behind)
    }

    /// Where all strings stand in [`Self::data`], the line feed behind the last included.
    #[must_use]
    pub fn region(&self) -> (usize, usize) {
        let place = |start: Option<&u32>| start.map_or(0, |&start| start as usize);
        (place(self.starts.first()), place(self.starts.last()))
    }

    /// The buffer; at least 64 bytes follow the last string.
    #[must_use]
    pub fn data(&self) -> &Buffer {
        &self.data
    }

    /// Bytes of all strings, with the line feeds between them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let (from, to) = self.region();
        to - from
    }

    /// The rows `from..to`, in the same buffer.
    #[must_use]
    pub fn slice(&self, from: usize, to: usize) -> Self {
        Self {
            data: self.data.clone(),
            starts: self.starts[from..=to].to_vec(),
            nulls: self
                .nulls
                .as_ref()
                .map(|nulls| nulls.slice(from, to - from)),
        }
    }

    /// The same as an Arrow column, in the same buffer.
    #[must_use]
    pub fn to_array(&self) -> BinaryViewArray {
        let views: ScalarBuffer<u128> = (0..self.len())
            .map(|row| {
                let (from, to) = self.span(row);
                block_view(&self.data, from, to - from)
            })
            .collect();
        let checked = BinaryViewArray::try_new(views, vec![self.data.clone()], self.nulls.clone());
        checked.unwrap_or_else(|_| (0..self.len()).map(|row| self.get(row)).collect())
    }
}

/// Makes a [`ByteColumn`].
#[derive(Debug, Default)]
pub struct ByteColumnBuilder {
    data: Vec<u8>,
    starts: Vec<u32>,
    /// The rows that are NULL.
    nulls: Vec<u32>,
}

impl ByteColumnBuilder {
    /// With room for so many bytes and rows.
    #[must_use]
    pub fn with_capacity(bytes: usize, rows: usize) -> Self {
        Self {
            data: Vec::with_capacity(bytes + rows + PADDING),
            starts: Vec::with_capacity(rows + 1),
            nulls: Vec::new(),
        }
    }

    /// Adds a string. The caller keeps the whole below [`COLUMN_BYTES_MAX`].
    #[inline]
    pub fn push(&mut self, value: Option<&[u8]>) {
        let row = self.starts.len() as u32;
        self.starts.push(self.data.len() as u32);
        match value {
            Some(value) => self.data.extend_from_slice(value),
            None => self.nulls.push(row),
        }
        self.data.push(b'\n');
    }

    /// Adds strings that stand one behind the other with a line feed behind each: `lengths` are theirs, [`NULL_LENGTH`]
    /// means NULL. Tells whether `bytes` is as long as they say.
    pub(crate) fn extend(&mut self, lengths: impl Iterator<Item = u32>, bytes: &[u8]) -> bool {
        let base = self.data.len();
        let mut at = base;
        for length in lengths {
            if length == NULL_LENGTH {
                self.nulls.push(self.starts.len() as u32);
            }
            self.starts.push(at as u32);
            at += 1 + if length == NULL_LENGTH {
                0
            } else {
                length as usize
            };
        }
        self.data.extend_from_slice(bytes);
        at == self.data.len()
    }

    /// How many strings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Whether all of them are NULL.
    #[must_use]
    pub fn is_all_null(&self) -> bool {
        self.nulls.len() == self.starts.len()
    }

    /// The finished column.
    #[must_use]
    pub fn finish(mut self) -> ByteColumn {
        let rows = self.starts.len();
        self.starts.push(self.data.len() as u32);
        self.data.resize(self.data.len() + PADDING, b'\n');
        let nulls = (!self.nulls.is_empty()).then(|| {
            let mut bits = vec![0xffu8; rows.div_ceil(8)];
            for row in self.nulls {
                bits[row as usize / 8] &= !(1 << (row % 8));
            }
            NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, rows))
        });
        ByteColumn {
            data: Buffer::from_vec(self.data),
            starts: self.starts,
            nulls,
        }
    }
}

/// The length that means NULL.
pub(crate) const NULL_LENGTH: u32 = u32::MAX;

/// Records of one partition, offsets ascending (gaps are allowed: compaction and transactions leave them).
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition in it.
    pub partition: i32,
    /// The offset of each record.
    pub offsets: Vec<i64>,
    /// The time of each record: milliseconds since 1970 in UTC; -1 where there is none.
    pub timestamps_ms: Vec<i64>,
    /// The keys; `None` if no record has one.
    pub keys: Option<ByteColumn>,
    /// The values.
    pub values: ByteColumn,
    /// The headers, `List<Struct<key Utf8View, value BinaryView>>`; `None` if no record has one.
    pub headers: Option<ArrayRef>,
    /// The offset to go on from: behind the last record, and behind what follows it and is no record.
    pub next: i64,
}

impl Fetched {
    /// How many records there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.offsets.len()
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.values.bytes() + self.keys.as_ref().map_or(0, ByteColumn::bytes)
    }

    /// Moves the position of its partition behind these records.
    pub fn advance(&self, positions: &mut Positions) {
        positions.set(&self.topic, self.partition, self.next);
    }

    /// The records `from..to`; positions go on behind the last of them.
    #[must_use]
    pub fn slice(&self, from: usize, to: usize) -> Self {
        let whole = to == self.rows();
        Self {
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            offsets: self.offsets[from..to].to_vec(),
            timestamps_ms: self.timestamps_ms[from..to].to_vec(),
            keys: self.keys.as_ref().map(|keys| keys.slice(from, to)),
            values: self.values.slice(from, to),
            headers: self
                .headers
                .as_ref()
                .map(|headers| headers.slice(from, to - from)),
            next: match whole {
                true => self.next,
                false => self.offsets[to],
            },
        }
    }
}

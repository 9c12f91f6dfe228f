//! Text columns without copies: Arrow string views built straight from the block that was read.
//! Values of at most 12 bytes are inlined by Arrow's format; longer ones point into the block
//! (buffer 0) or, if they had escapes, into a side buffer (buffer 1).
//!
//! The one place with `unsafe` in this crate is here: Arrow would otherwise check every value's
//! UTF-8 again, though the whole block has been checked at the speed of memory.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};

/// Newlines that must follow the text of a block, so that loads of whole words stay inside and the
/// last line has an end.
pub(crate) const PADDING: usize = 64;

/// The longest value that a view holds itself.
const INLINE: usize = 12;

/// The view of `data[start..start + len]`, `data` being buffer 0. At least 16 bytes must follow
/// `start` in `data`.
#[inline(always)]
pub(crate) fn block_view(data: &[u8], start: usize, len: usize) -> u128 {
    let mut word = [0u8; 16];
    word.copy_from_slice(&data[start..start + 16]);
    let word = u128::from_le_bytes(word);
    if len <= INLINE {
        let kept = word & ((1u128 << (len * 8)) - 1);
        (kept << 32) | len as u128
    } else {
        ((start as u128) << 96) | ((word & 0xffff_ffff) << 32) | len as u128
    }
}

/// The view of `value`, appended to `side` (buffer 1) if it is too long to be inlined.
pub(crate) fn side_view(side: &mut Vec<u8>, value: &[u8]) -> u128 {
    let len = value.len();
    let mut word = [0u8; 16];
    if len <= INLINE {
        word[..4].copy_from_slice(&(len as u32).to_le_bytes());
        word[4..4 + len].copy_from_slice(value);
        return u128::from_le_bytes(word);
    }
    let offset = side.len() as u32;
    side.extend_from_slice(value);
    word[..4].copy_from_slice(&(len as u32).to_le_bytes());
    word[4..8].copy_from_slice(&value[..4]);
    word[8..12].copy_from_slice(&1u32.to_le_bytes());
    word[12..].copy_from_slice(&offset.to_le_bytes());
    u128::from_le_bytes(word)
}

/// One text column under construction.
#[derive(Default)]
pub(crate) struct TextColumn {
    views: Vec<u128>,
    nulls: Vec<u32>,
}

impl TextColumn {
    pub(crate) fn with_capacity(rows: usize) -> Self {
        Self {
            views: Vec::with_capacity(rows),
            nulls: Vec::new(),
        }
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, view: u128) {
        self.views.push(view);
    }

    #[inline]
    pub(crate) fn push_null(&mut self) {
        self.nulls.push(self.views.len() as u32);
        self.views.push(0);
    }

    pub(crate) fn len(&self) -> usize {
        self.views.len()
    }

    /// Takes back everything from row `rows` on.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.views.truncate(rows);
        while self.nulls.last().is_some_and(|&row| row as usize >= rows) {
            self.nulls.pop();
        }
    }

    /// NULL up to row `rows`.
    pub(crate) fn pad(&mut self, rows: usize) {
        while self.views.len() < rows {
            self.push_null();
        }
    }

    /// The finished array. Every view must lie within `buffers`, at character boundaries of text
    /// that is valid UTF-8.
    pub(crate) fn finish(self, buffers: &Arc<[Buffer]>) -> ArrayRef {
        let rows = self.views.len();
        let nulls = (!self.nulls.is_empty()).then(|| {
            let mut bits = vec![0xffu8; rows.div_ceil(8)];
            for row in self.nulls {
                bits[row as usize / 8] &= !(1 << (row % 8));
            }
            NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, rows))
        });
        Arc::new(string_array(self.views, buffers, nulls))
    }
}

fn string_array(
    views: Vec<u128>,
    buffers: &Arc<[Buffer]>,
    nulls: Option<NullBuffer>,
) -> StringViewArray {
    let views = ScalarBuffer::from(views);
    #[cfg(test)]
    StringViewArray::try_new(views.clone(), Arc::clone(buffers), nulls.clone())
        .expect("valid views");
    #[expect(
        unsafe_code,
        reason = "each view is made by block_view or side_view from text whose UTF-8 was checked as a \
        whole, and cut only beside ASCII bytes or whole delimiters; checked again in this crate's tests"
    )]
    // SAFETY: see the reason above.
    unsafe {
        StringViewArray::new_unchecked(views, Arc::clone(buffers), nulls)
    }
}

/// A column that holds `value` in every row.
pub(crate) fn constant(value: Option<&str>, rows: usize) -> ArrayRef {
    let Some(value) = value else {
        return Arc::new(StringViewArray::new_null(rows));
    };
    let mut bytes = value.as_bytes().to_vec();
    bytes.resize(bytes.len() + 16, 0);
    let view = block_view(&bytes, 0, value.len());
    let buffers: Arc<[Buffer]> = Arc::from([Buffer::from_vec(bytes)]);
    Arc::new(string_array(vec![view; rows], &buffers, None))
}

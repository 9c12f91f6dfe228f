//! Text columns, value by value, without copying: the loop that every coercion from text runs in.
//!
//! A column is one pass over its views. A `fast` parser takes the values that are written plainly; a
//! `slow` one, kept out of the loop's code, sees the rest: white space, NULL texts, other forms, and
//! failures, which are few and stand apart in a list.

use arrow::array::{Array, ArrowPrimitiveType, PrimitiveArray, StringViewArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};

use super::options::CoercionOptions;
use super::problem::Problem;

/// A value that does not coerce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueFailure {
    /// Its row in the batch.
    pub row: u32,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Longest text that lies in its view.
const INLINE_BYTES: usize = 12;

/// Bytes of a view.
const VIEW_BYTES: usize = 16;

/// The text of a view.
#[inline(always)]
fn text_of<'a>(view: &'a [u8], buffers: &'a [Buffer]) -> &'a [u8] {
    let word = |at: usize| {
        u32::from_le_bytes([view[at], view[at + 1], view[at + 2], view[at + 3]]) as usize
    };
    let length = word(0);
    if length <= INLINE_BYTES {
        return &view[4..4 + length];
    }
    let offset = word(12);
    &buffers[word(8)][offset..offset + length]
}

/// Calls `each` with every value that is not NULL and its row.
#[inline(always)]
pub(super) fn for_each_text<'a>(
    text: &'a StringViewArray,
    mut each: impl FnMut(usize, Option<&'a [u8]>),
) {
    let views = text.views().inner().as_slice().chunks_exact(VIEW_BYTES);
    let buffers = text.data_buffers();
    match text.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => {
            for (row, view) in views.enumerate() {
                each(row, Some(text_of(view, buffers)));
            }
        }
        Some(nulls) => {
            for (row, view) in views.enumerate() {
                each(row, nulls.is_valid(row).then(|| text_of(view, buffers)));
            }
        }
    }
}

/// Which rows are not NULL: those of the text, less the ones that are cleared. Costs nothing until
/// there is one.
#[derive(Debug)]
pub(super) struct Validity {
    bits: Vec<u64>,
    rows: usize,
}

impl Validity {
    /// That of a text column.
    pub(super) fn of(text: &StringViewArray) -> Self {
        let bits = match text.nulls().filter(|nulls| nulls.null_count() > 0) {
            Some(nulls) => nulls.inner().bit_chunks().iter_padded().collect(),
            None => Vec::new(),
        };
        Self {
            bits,
            rows: text.len(),
        }
    }

    /// Makes a row NULL.
    #[cold]
    pub(super) fn clear(&mut self, row: usize) {
        if self.bits.is_empty() {
            self.bits = vec![u64::MAX; self.rows.div_ceil(64)];
        }
        self.bits[row / 64] &= !(1 << (row % 64));
    }

    /// The finished bitmap, if any row is NULL.
    pub(super) fn finish(self) -> Option<NullBuffer> {
        (!self.bits.is_empty()).then(|| {
            NullBuffer::new(BooleanBuffer::new(
                Buffer::from_vec(self.bits),
                0,
                self.rows,
            ))
        })
    }
}

/// What the slow parser says of a text: a value, NULL, or a problem.
pub(super) type Slow<N> = Result<Option<N>, Problem>;

/// White space passed over and NULL texts found, `parse` sees the rest.
#[cold]
#[inline(never)]
pub(super) fn slowly<N>(
    bytes: &[u8],
    options: &CoercionOptions,
    parse: impl FnOnce(&str) -> Result<N, Problem>,
) -> Slow<N> {
    let text = String::from_utf8_lossy(bytes);
    let text = if options.trim { text.trim() } else { &text };
    if text.is_empty() || options.is_null_value(text.as_bytes()) {
        return Ok(None);
    }
    parse(text).map(Some)
}

/// Coerces a text column to a primitive type.
#[inline(always)]
pub(super) fn parse_primitive<T: ArrowPrimitiveType>(
    text: &StringViewArray,
    options: &CoercionOptions,
    fast: impl Fn(&[u8]) -> Option<T::Native>,
    slow: impl Fn(&str) -> Result<T::Native, Problem>,
) -> (PrimitiveArray<T>, Vec<ValueFailure>) {
    let rows = text.len();
    let mut values: Vec<T::Native> = Vec::with_capacity(rows);
    let mut validity = Validity::of(text);
    let mut failures = Vec::new();
    let named_nulls = !options.null_values.is_empty();
    for_each_text(text, |row, bytes| {
        let Some(bytes) = bytes else {
            values.push(T::Native::default());
            return;
        };
        if !(named_nulls && options.is_null_value(bytes))
            && let Some(value) = fast(bytes)
        {
            values.push(value);
            return;
        }
        match slowly(bytes, options, &slow) {
            Ok(Some(value)) => values.push(value),
            outcome => {
                validity.clear(row);
                values.push(T::Native::default());
                if let Err(problem) = outcome {
                    failures.push(ValueFailure {
                        row: row as u32,
                        problem,
                    });
                }
            }
        }
    });
    (
        PrimitiveArray::new(values.into(), validity.finish()),
        failures,
    )
}

//! What comes out of a decoder: a [`RawBatch`] of columns, where each row stood, its raw text, and
//! the rows that could not be taken apart. Plain data; judging it is the gate's work.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use bytes::Bytes;

use crate::error::Result;
use crate::listing::FileEntry;

/// One part of a source that a worker decodes on its own: a block of a text file (ending at a
/// newline, with a look-ahead behind it), a row group, a sheet.
pub trait Piece: Send + Sync {
    /// Decodes the piece. `skip` is the number of bytes at its start that the record before it has
    /// already taken ([`Decoded::overrun`] of the piece before; 0 for the first of a slice).
    ///
    /// Pieces may be decoded on any thread, in any order, speculatively with `skip` = 0; if the
    /// piece before then reports an overrun, this one is decoded again with it. Pure: the same
    /// `skip` gives the same result.
    ///
    /// # Errors
    /// Only for what concerns the whole piece; bad rows are in [`RawBatch::malformed`].
    fn decode(&self, skip: usize) -> Result<Decoded>;

    /// How many bytes of the source (decompressed) this piece stands for; for progress.
    fn bytes(&self) -> u64;

    /// What each row's record had beside its value, for sources of records; `None` for files. `lines` are those of the
    /// rows, as in [`RawBatch::line`].
    ///
    /// # Errors
    /// If a line is none of the piece's.
    fn row_metadata(&self, _lines: &[u32]) -> Result<Option<ArrayRef>> {
        Ok(None)
    }
}

/// A decoded piece.
#[derive(Debug)]
pub struct Decoded {
    /// The rows.
    pub batch: RawBatch,
    /// Bytes behind this piece's own end that its last, multi-line record took. The next piece
    /// must be decoded with `skip` = this.
    pub overrun: usize,
    /// Physical lines (or, for formats without lines, rows) in the piece: the next piece's rows are
    /// numbered from this piece's base plus this.
    pub lines: u64,
}

/// Rows as they came from a source, before the gate.
#[derive(Debug, Clone)]
pub struct RawBatch {
    /// The columns: first the wanted ones in the wanted order, then (see [`Self::extra`]) what else
    /// was found. Text formats give `Utf8View`, whose views point into the block as it was read;
    /// typed formats give their own types. An empty field is NULL, a quoted empty one is `''`.
    pub columns: RecordBatch,
    /// For each row, the line (0-based, from the piece's first line) on which it begins.
    pub line: Vec<u32>,
    /// For each row, the text as written, without its line end (`Utf8View`). `None` for formats
    /// that have no text.
    pub raw: Option<ArrayRef>,
    /// The rows that could not be taken apart, in file order.
    pub malformed: Vec<Malformed>,
    /// Where in `columns` those begin that nobody asked for (new columns, then
    /// `_rescued_data`); equal to `columns.num_columns()` if there are none.
    pub extra: usize,
    /// Things worth telling that cost no row, such as a key that occurs twice in one object.
    pub notes: Vec<BatchNote>,
    /// The file the rows are from; of a live source, a name in the place of the URL ("topic payments/3").
    pub file: Arc<FileEntry>,
}

/// A row that could not be taken apart into columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The line (0-based, from the piece's first line) on which it begins.
    pub line: u64,
    /// The bytes as written, without the line end; cut off at the row limit for
    /// [`MalformedKind::TooLong`]. Transcoded sources give UTF-8 here.
    pub raw: Bytes,
    /// What is wrong.
    pub kind: MalformedKind,
    /// The same, for a person, with the place inside the row.
    pub message: String,
}

/// The ways a row can be malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MalformedKind {
    /// More or fewer fields than the header or the contract has.
    FieldCount {
        /// Fields there should be.
        expected: usize,
        /// Fields there are.
        found: usize,
    },
    /// A quoted value that never closes, or text behind its closing quote.
    BrokenQuote,
    /// Bytes that are not valid in the file's encoding.
    Encoding,
    /// Not valid JSON, or not an object.
    Json,
    /// Longer than `maxRowBytes`; the rest was skipped.
    TooLong,
    /// The file ended in the middle of it (a truncated compressed stream).
    Truncated,
    /// A cell of a workbook that holds an error.
    Cell,
    /// A record of a stream without a value, or whose bytes are not what its schema says.
    Undecodable,
}

impl MalformedKind {
    /// The kind as one word, as `system.quarantine` shows it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::FieldCount { .. } => "field_count",
            Self::BrokenQuote => "broken_quote",
            Self::Encoding => "encoding",
            Self::Json => "json",
            Self::TooLong => "too_long",
            Self::Truncated => "truncated",
            Self::Cell => "cell",
            Self::Undecodable => "undecodable",
        }
    }
}

/// A remark about rows that were nevertheless good, counted rather than repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchNote {
    /// An object has the same key twice; the last value was taken.
    DuplicateKeys {
        /// Rows concerned.
        rows: u64,
        /// The first of them (0-based line in the piece).
        first_line: u32,
    },
    /// More fields or keys than declared, left out because `schemaEvolutionMode` is `none`.
    DroppedFields {
        /// Rows concerned.
        rows: u64,
        /// The first of them (0-based line in the piece).
        first_line: u32,
    },
}

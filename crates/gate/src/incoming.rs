//! What comes to the gate: a batch with the place of every row, and the rows that could not even be
//! cut into fields.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;

use crate::counts::ReasonKind;

/// A decoded batch.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The fields: text (`Utf8View`) or typed, matched to the contract by name without regard to
    /// case. Columns the contract does not know are passed over; missing ones are NULL.
    pub columns: RecordBatch,
    /// The line or row number of each row, ascending, relative to the `first_line` given to
    /// [`crate::Judged::set_first_line`]. Empty means 0, 1, 2, …
    pub line: Vec<u64>,
    /// Each row as it was written (`Utf8View`, `Utf8`, `BinaryView` or `Binary`); none for typed
    /// formats and queries, whose quarantined rows are then rendered as JSON.
    pub raw: Option<ArrayRef>,
    /// Rows that are not in `columns` because they could not be cut into fields.
    pub malformed: Vec<Malformed>,
    /// Where the rows came from: a path or URL, or the name of a flow.
    pub source: Arc<str>,
    /// How the text was cut into fields; needed only to repair rows, so none where `repair` is off.
    pub layout: Option<Arc<Layout>>,
}

impl Incoming {
    /// A batch without raw text, malformed rows or a layout, its rows numbered from 0.
    pub fn typed(columns: RecordBatch, source: impl Into<Arc<str>>) -> Self {
        Self {
            columns,
            line: Vec::new(),
            raw: None,
            malformed: Vec::new(),
            source: source.into(),
            layout: None,
        }
    }

    /// How many rows came in, the malformed included.
    pub fn rows(&self) -> usize {
        self.columns.num_rows() + self.malformed.len()
    }
}

/// How delimited text was cut, so that another cut can be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The names of the fields in the order of the file.
    pub names: Vec<String>,
    /// What stands between fields.
    pub delimiter: String,
    /// The quote, if values can be quoted.
    pub quote: Option<u8>,
    /// What escapes a quote inside a quoted value, if that is not the quote doubled.
    pub escape: Option<u8>,
    /// Columns that every row of the file has with one text: those of Hive partition folders.
    pub constants: Vec<(String, Option<String>)>,
}

/// A row that could not be cut into fields.
#[derive(Debug, Clone)]
pub struct Malformed {
    /// Its line or row number, relative as in [`Incoming::line`].
    pub line: u64,
    /// The row as it was written, in any encoding.
    pub raw: Buffer,
    /// What is wrong with it.
    pub kind: MalformedKind,
    /// What is wrong with it, as a sentence.
    pub message: String,
}

/// What can be wrong with a row before its values are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MalformedKind {
    /// Too many or too few fields.
    FieldCount {
        /// How many fields the layout has.
        expected: usize,
        /// How many the row has.
        found: usize,
    },
    /// A quote that is never closed, or text after a closing quote.
    BrokenQuote,
    /// Bytes that are not text in the file's encoding.
    Encoding,
    /// Not valid JSON, or not an object.
    Json,
    /// Longer than the reader allows.
    TooLong,
    /// Its event time is too far ahead of the clock, or missing where rows are put into windows by it.
    Future,
    /// Anything else that a format finds.
    Other,
}

impl MalformedKind {
    /// The reason it is quarantined for.
    pub(crate) fn reason(&self) -> ReasonKind {
        match self {
            Self::Future => ReasonKind::Future,
            _ => ReasonKind::Malformed,
        }
    }
}

impl fmt::Display for MalformedKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FieldCount { expected, found } => {
                write!(formatter, "{found} fields, expected {expected}")
            }
            Self::BrokenQuote => formatter.write_str("broken quote"),
            Self::Encoding => formatter.write_str("not valid text"),
            Self::Json => formatter.write_str("not valid JSON"),
            Self::TooLong => formatter.write_str("too long"),
            Self::Future => formatter.write_str("no event time that can be used"),
            Self::Other => formatter.write_str("malformed"),
        }
    }
}

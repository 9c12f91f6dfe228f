//! The formats: a file or folder for each, with the same functions in each. What there is, is the
//! one list [`READERS`]; nothing else in this crate names all of them.
//!
//! A format's module has a `READER` that says how it is recognised, and two functions:
//! `discover` looks at one file and says what it found; `pieces` cuts a slice into pieces.

pub(crate) mod avro;
pub(crate) mod csv;
pub(crate) mod excel;
pub(crate) mod json;
pub(crate) mod parquet;
pub(crate) mod text;
pub(crate) mod typed;

pub(crate) use self::typed::written;

use crate::discover::Found;
use crate::error::Result;
use crate::options::ReadOptions;
use crate::reading::{Pieces, Reading, Slice};
use crate::source::Source;

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Avro object container files.
    Avro,
    /// Delimited text: CSV, TSV and their kin.
    Csv,
    /// Workbooks: .xlsx, .xls, .ods.
    Excel,
    /// JSON: a value per line, an array, or values one after the other.
    Json,
    /// Parquet.
    Parquet,
    /// Lines of text: one column, `value`.
    Text,
}

impl Format {
    /// The name, as in the option `format`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avro => "avro",
            Self::Csv => "csv",
            Self::Excel => "excel",
            Self::Json => "json",
            Self::Parquet => "parquet",
            Self::Text => "text",
        }
    }

    /// The format of this name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "avro" => Self::Avro,
            "csv" | "tsv" => Self::Csv,
            "excel" | "xlsx" | "xls" | "ods" => Self::Excel,
            "json" | "jsonl" | "ndjson" => Self::Json,
            "parquet" => Self::Parquet,
            "text" | "txt" => Self::Text,
            _ => return None,
        })
    }
}

/// What a format's module gives to the others.
pub(crate) struct FormatReader {
    /// The format.
    pub format: Format,
    /// File name extensions (without compression's) that mean it.
    pub extensions: &'static [&'static str],
    /// Whether the beginning of a file (decompressed, as stored) looks like it. Asked in the list's
    /// order, for files whose name says nothing.
    pub recognises: fn(&[u8]) -> bool,
    /// Finds out what one file is like. Blocks.
    pub discover: fn(&Source, &ReadOptions) -> Result<Found>,
    /// Cuts a slice of a file into pieces. Blocks.
    pub pieces: fn(&Reading, Source, Slice) -> Result<Pieces>,
}

/// All formats there are. The binary ones come first, since their marks cannot be mistaken, and
/// plain text last, since it is everything.
pub(crate) static READERS: &[&FormatReader] = &[
    &parquet::READER,
    &avro::READER,
    &excel::READER,
    &json::READER,
    &csv::READER,
    &text::READER,
];

/// The module of a format.
pub(crate) fn reader_of(format: Format) -> &'static FormatReader {
    READERS
        .iter()
        .find(|reader| reader.format == format)
        .copied()
        .unwrap_or(&text::READER)
}

/// The names of all formats, for messages.
pub(crate) fn known() -> String {
    READERS
        .iter()
        .map(|reader| reader.format.name())
        .collect::<Vec<_>>()
        .join(", ")
}

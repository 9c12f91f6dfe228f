//! What a reader can be told: the options of `read_files(…)`, under the names that Spark and
//! Databricks use. Each option is declared once, in [`OPTIONS`]: its names, what it may be, its
//! meaning, and how it is set. Every option's default is "find it out".
//!
//! Options that are not about reading (null tokens, date formats, …) are handed back, for the gate.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use crate::compression::Compression;
use crate::encoding::Encoding;
use crate::error::{ConnectError, Result};
use crate::formats::Format;
use crate::store::Stores;

/// One option, as data: for parsing, for `--help` and for the reference page.
pub struct OptionSpec {
    /// The canonical name first, then its aliases.
    pub names: &'static [&'static str],
    /// What the value may be.
    pub expected: &'static str,
    /// What it does, and what happens without it.
    pub help: &'static str,
    set: fn(&mut ReadOptions, &str) -> Option<()>,
}

/// What becomes of columns in a file that the table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SchemaEvolutionMode {
    /// They are given as extra text columns, so that the table can take them.
    #[default]
    AddNewColumns,
    /// They are kept in a JSON text column (`_rescued_data`).
    Rescue,
    /// The file is refused.
    FailOnNewColumns,
    /// They are left out.
    None,
}

/// What a row with fewer or more fields than expected is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ragged {
    /// Malformed.
    #[default]
    Strict,
    /// Missing trailing fields are NULL; more fields than expected are still malformed.
    Pad,
}

/// Whether a quoted value may span lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MultiLine {
    /// Yes, unless one of the lines inside would be a complete row of its own: then a quote is
    /// missing, and only the first line is malformed.
    #[default]
    Careful,
    /// Yes; quotes are trusted.
    Always,
    /// No: a row is a line.
    Never,
}

/// Everything a reader can be told; see [`OPTIONS`] for the names. `None` means: find it out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadOptions {
    /// The file format.
    pub format: Option<Format>,
    /// How files are compressed.
    pub compression: Option<Compression>,
    /// How text is encoded.
    pub encoding: Option<Encoding>,
    /// How many header lines there are (0 = none).
    pub header: Option<usize>,
    /// The field delimiter: one or more characters.
    pub delimiter: Option<String>,
    /// The quote character; `Some(None)` = quotes mean nothing.
    pub quote: Option<Option<u8>>,
    /// The escape character inside quotes (a backslash, or the quote itself = doubling).
    pub escape: Option<u8>,
    /// Lines that begin with this are comments; `Some(None)` = there are no comments.
    pub comment: Option<Option<u8>>,
    /// Lines before the header that are neither data nor header.
    pub skip_rows: Option<usize>,
    /// Cut spaces and tabs before a value.
    pub trim_leading: bool,
    /// Cut spaces and tabs behind a value.
    pub trim_trailing: bool,
    /// Whether values may span lines.
    pub multi_line: Option<MultiLine>,
    /// What a row of another length is.
    pub ragged: Ragged,
    /// JSON: `Some(true)` = one value per line, `Some(false)` = an array or values in a stream.
    pub json_lines: Option<bool>,
    /// What becomes of new columns.
    pub evolution: Option<SchemaEvolutionMode>,
    /// The name of the column for rescued fields (default `_rescued_data`).
    pub rescued_column: Option<String>,
    /// Types are inferred (default) or every column is STRING.
    pub infer_types: Option<bool>,
    /// Only files whose name matches this glob.
    pub path_glob_filter: Option<String>,
    /// Only files modified after this.
    pub modified_after: Option<DateTime<Utc>>,
    /// Only files modified before this.
    pub modified_before: Option<DateTime<Utc>>,
    /// `Some(true)`: take all files below a folder and do not read `k=v` folders as columns.
    pub recursive_lookup: Option<bool>,
    /// Excel: the sheet's name or number (from 1).
    pub sheet: Option<String>,
    /// The longest row, in bytes, that is taken; longer ones are malformed.
    pub max_row_bytes: Option<usize>,
    /// The size of a piece in bytes.
    pub block_bytes: Option<usize>,
    /// How much of a file's head is looked at to find out its format and types, in bytes.
    pub sample_bytes: Option<usize>,
    /// The columns and types to take in place of what would be found: exactly these, in this order, by
    /// name or, in files without a header, by position. What the file has is given as it is; making the
    /// types of it is the gate's. Set by whoever understands SQL types (the option `schema` is handed back
    /// by [`Self::take`]).
    pub schema: Option<Vec<(String, DataType)>>,
    /// Settings of the object store (`aws_region`, `endpoint`, …), beyond those of the environment.
    pub store: BTreeMap<String, String>,
    /// The object stores in use, shared by all clones of these options.
    pub stores: Stores,
}

impl ReadOptions {
    /// Takes the options that are about reading; the rest is handed back (second), as are names
    /// nobody knows: who knows the last taker of options reports them.
    ///
    /// # Errors
    /// [`ConnectError::OptionValue`] for a value that cannot be.
    pub fn take<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(Self, BTreeMap<String, String>)> {
        let mut options = Self::default();
        let mut rest = BTreeMap::new();
        for (name, value) in pairs {
            if let Some(spec) = find(name) {
                (spec.set)(&mut options, value).ok_or_else(|| ConnectError::OptionValue {
                    name: spec.names[0],
                    value: value.to_owned(),
                    expected: spec.expected.to_owned(),
                })?;
            } else if is_store_setting(name) {
                options
                    .store
                    .insert(name.to_ascii_lowercase(), value.to_owned());
            } else {
                rest.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok((options, rest))
    }

    /// Every name an option can be given under, for finding the nearest one.
    pub fn names() -> impl Iterator<Item = &'static str> {
        OPTIONS.iter().flat_map(|spec| spec.names.iter().copied())
    }

    /// The piece size in bytes.
    #[must_use]
    pub fn block_size(&self) -> usize {
        self.block_bytes.unwrap_or(4 << 20)
    }

    /// The bytes of a head that discovery looks at.
    #[must_use]
    pub fn sample_size(&self) -> usize {
        self.sample_bytes.unwrap_or(256 << 10)
    }

    /// The name of the column for rescued fields.
    #[must_use]
    pub fn rescued_name(&self) -> &str {
        self.rescued_column.as_deref().unwrap_or("_rescued_data")
    }

    /// What becomes of new columns, with the default: whoever gives the columns wants exactly these.
    #[must_use]
    pub fn evolution_mode(&self) -> SchemaEvolutionMode {
        self.evolution.unwrap_or(match self.schema {
            Some(_) => SchemaEvolutionMode::None,
            None => SchemaEvolutionMode::AddNewColumns,
        })
    }
}

fn find(name: &str) -> Option<&'static OptionSpec> {
    OPTIONS.iter().find(|spec| {
        spec.names
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    })
}

/// Names that object_store's own configuration understands.
fn is_store_setting(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["aws_", "azure_", "google_", "s3_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || matches!(
            name.as_str(),
            "endpoint" | "region" | "allow_http" | "skip_signature"
        )
}

pub(crate) fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// `\t`, `\\`, `\u0001` and "tab" as the characters they mean.
fn unescape(text: &str) -> Option<String> {
    if text.eq_ignore_ascii_case("tab") {
        return Some("\t".to_owned());
    }
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' || rest.as_str().is_empty() {
            out.push(c);
            continue;
        }
        match rest.next()? {
            't' => out.push('\t'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            '0' => out.push('\0'),
            '\\' => out.push('\\'),
            'u' | 'x' => {
                let digits: String = rest.by_ref().take(4).collect();
                out.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
            }
            other => out.push(other),
        }
    }
    Some(out)
}

/// One ASCII character, or nothing for an empty text.
fn one_byte(text: &str) -> Option<Option<u8>> {
    let text = unescape(text)?;
    match text.as_bytes() {
        [] => Some(None),
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Some(Some(*byte)),
        _ => None,
    }
}

/// A byte size, plain or with a unit: `65536`, `64k`, `4mb`.
pub(crate) fn byte_size(text: &str) -> Option<usize> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: usize = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    number
        .checked_mul(unit)
        .filter(|&bytes| bytes > 0 && bytes <= (1 << 30))
}

/// A time in ISO 8601, a plain date being its first moment, UTC without a zone.
pub(crate) fn moment(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(zoned) = DateTime::parse_from_rfc3339(text) {
        return Some(zoned.with_timezone(&Utc));
    }
    for form in [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
    ] {
        if let Ok(naive) = NaiveDateTime::parse_from_str(text, form) {
            return Some(naive.and_utc());
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc())
}

macro_rules! option {
    ($names:expr, $expected:expr, $help:expr, $set:expr) => {
        OptionSpec {
            names: &$names,
            expected: $expected,
            help: $help,
            set: $set,
        }
    };
}

/// The options of every reader, in alphabetical order of their canonical names.
pub static OPTIONS: &[OptionSpec] = &[
    option!(
        ["blockBytes"],
        "a size such as 4mb",
        "The size of the pieces that are decoded side by side; 4 MiB.",
        |o, v| {
            o.block_bytes = Some(byte_size(v)?);
            Some(())
        }
    ),
    option!(
        ["comment"],
        "one ASCII character, or '' for no comments",
        "Lines that begin with it are skipped; found from the head of the file.",
        |o, v| {
            o.comment = Some(one_byte(v)?);
            Some(())
        }
    ),
    option!(
        ["compression", "codec"],
        "none, gzip, zstd, bzip2 or xz",
        "How the files are compressed; told from their first bytes, then their name.",
        |o, v| {
            o.compression = Some(Compression::from_name(v)?);
            Some(())
        }
    ),
    option!(
        ["delimiter", "sep"],
        "one or more characters",
        "What stands between two fields; found by trying which gives every line as many fields.",
        |o, v| {
            let text = unescape(v)?;
            let fits = !text.is_empty() && !text.contains(['\n', '\r']);
            o.delimiter = fits.then_some(text);
            fits.then_some(())
        }
    ),
    option!(
        ["encoding", "charset"],
        "the name of an encoding, such as UTF-8, UTF-16LE or windows-1252",
        "How the text is encoded; told from a byte order mark, then from the bytes of the head.",
        |o, v| {
            o.encoding = Some(Encoding::from_name(v)?);
            Some(())
        }
    ),
    option!(
        ["escape"],
        "one ASCII character",
        "What stands before a quote inside a quoted value: the quote itself, or a backslash; found.",
        |o, v| {
            o.escape = Some(one_byte(v)??);
            Some(())
        }
    ),
    option!(
        ["format"],
        "the name of a format",
        "csv, tsv, json, text, parquet, avro, excel; told from the name, then the content.",
        |o, v| {
            if v.eq_ignore_ascii_case("tsv") && o.delimiter.is_none() {
                o.delimiter = Some("\t".to_owned());
            }
            o.format = Some(Format::from_name(v)?);
            Some(())
        }
    ),
    option!(
        ["header"],
        "true, false or the number of header lines",
        "Whether the first line names the columns; found by comparing it with the lines below. With \
         several header lines, the parts of a name are joined with _.",
        |o, v| {
            o.header = Some(match truth(v) {
                Some(flag) => usize::from(flag),
                None => v.trim().parse().ok().filter(|&n: &usize| n <= 100)?,
            });
            Some(())
        }
    ),
    option!(
        ["ignoreLeadingWhiteSpace"],
        "true or false",
        "Cut spaces and tabs before unquoted values; false.",
        |o, v| {
            o.trim_leading = truth(v)?;
            Some(())
        }
    ),
    option!(
        ["ignoreTrailingWhiteSpace"],
        "true or false",
        "Cut spaces and tabs behind unquoted values; false.",
        |o, v| {
            o.trim_trailing = truth(v)?;
            Some(())
        }
    ),
    option!(
        ["inferColumnTypes", "inferSchema"],
        "true or false",
        "Find out the columns' types (true), or read every column as STRING.",
        |o, v| {
            o.infer_types = Some(truth(v)?);
            Some(())
        }
    ),
    option!(
        ["jsonLines"],
        "true or false",
        "JSON: one object per line, or an array or objects over several lines; found.",
        |o, v| {
            o.json_lines = Some(truth(v)?);
            Some(())
        }
    ),
    option!(
        ["maxRowBytes"],
        "a size such as 1mb, at most 1gb",
        "Longer rows are malformed; 1 MiB, for JSON and workbooks 16 MiB.",
        |o, v| {
            o.max_row_bytes = Some(byte_size(v)?);
            Some(())
        }
    ),
    option!(
        ["modifiedAfter"],
        "a date or time such as 2026-01-31T12:00:00Z",
        "Only files modified after it.",
        |o, v| {
            o.modified_after = Some(moment(v)?);
            Some(())
        }
    ),
    option!(
        ["modifiedBefore"],
        "a date or time such as 2026-01-31T12:00:00Z",
        "Only files modified before it.",
        |o, v| {
            o.modified_before = Some(moment(v)?);
            Some(())
        }
    ),
    option!(
        ["multiLine"],
        "true, false or careful",
        "Whether quoted values (CSV) or objects (JSON) may span lines. careful, for CSV: yes, unless a \
         line inside is a complete row of its own, for then a quote is missing.",
        |o, v| {
            o.multi_line = Some(match truth(v) {
                Some(true) => MultiLine::Always,
                Some(false) => MultiLine::Never,
                None if v.trim().eq_ignore_ascii_case("careful") => MultiLine::Careful,
                None => return None,
            });
            Some(())
        }
    ),
    option!(
        ["pathGlobFilter", "fileNamePattern"],
        "a glob such as *.csv",
        "Only files whose name matches.",
        |o, v| {
            o.path_glob_filter = Some(v.to_owned());
            Some(())
        }
    ),
    option!(
        ["quote"],
        "one ASCII character, or '' for none",
        "What values are quoted with; found, and \" if nothing speaks against it.",
        |o, v| {
            o.quote = Some(one_byte(v)?);
            Some(())
        }
    ),
    option!(
        ["ragged"],
        "strict or pad",
        "strict: a row with too few or too many fields is malformed. pad: missing trailing fields are NULL.",
        |o, v| {
            o.ragged = match v.trim().to_ascii_lowercase().as_str() {
                "strict" => Ragged::Strict,
                "pad" => Ragged::Pad,
                _ => return None,
            };
            Some(())
        }
    ),
    option!(
        ["recursiveFileLookup"],
        "true or false",
        "true: k=v folders are plain folders. Folders are always read with all that is below them.",
        |o, v| {
            o.recursive_lookup = Some(truth(v)?);
            Some(())
        }
    ),
    option!(
        ["rescuedDataColumn"],
        "a column name",
        "The name of the column that keeps fields nobody declared, as JSON; _rescued_data.",
        |o, v| {
            let name = v.trim();
            o.rescued_column = Some(name.to_owned());
            o.evolution = o.evolution.or(Some(SchemaEvolutionMode::Rescue));
            (!name.is_empty()).then_some(())
        }
    ),
    option!(
        ["sampleBytes"],
        "a size such as 256kb",
        "How much of a file's head is looked at to find out its form; 256 KiB.",
        |o, v| {
            o.sample_bytes = Some(byte_size(v)?);
            Some(())
        }
    ),
    option!(
        ["schemaEvolutionMode"],
        "addNewColumns, rescue, failOnNewColumns or none",
        "What becomes of columns in a file that the table does not have; addNewColumns, or none where the \
         option schema gives the columns.",
        |o, v| {
            o.evolution = Some(match v.trim().to_ascii_lowercase().as_str() {
                "addnewcolumns" => SchemaEvolutionMode::AddNewColumns,
                "rescue" => SchemaEvolutionMode::Rescue,
                "failonnewcolumns" => SchemaEvolutionMode::FailOnNewColumns,
                "none" => SchemaEvolutionMode::None,
                _ => return None,
            });
            Some(())
        }
    ),
    option!(
        ["sheet", "sheetName"],
        "a sheet's name, or its number from 1",
        "Excel: which sheet to read; the first that is not hidden.",
        |o, v| {
            o.sheet = Some(v.to_owned());
            Some(())
        }
    ),
    option!(
        ["skipRows"],
        "a number of lines",
        "Lines to skip before the header; found from the head of the file.",
        |o, v| {
            o.skip_rows = Some(v.trim().parse().ok()?);
            Some(())
        }
    ),
];

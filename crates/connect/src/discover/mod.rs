//! Finding out what a set of files is: its format, how it is compressed and encoded, its dialect,
//! its columns and their types. From the heads of a few files (and a look into the middle of big
//! ones), never from all of the data.

pub(crate) mod types;

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::DataType;
use tokio::runtime::Handle;

use crate::columns::NameIndex;
use crate::compression::Compression;
use crate::encoding::Encoding;
use crate::error::{ConnectError, Result};
use crate::formats::csv::dialect::Dialect;
use crate::formats::json::JsonLayout;
use crate::formats::{Format, READERS, known, reader_of};
use crate::listing::FileEntry;
use crate::options::ReadOptions;
use crate::source::Source;

/// How many files of a set are looked at.
const FILES_MAX: usize = 16;

/// What a set of files is like.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovered {
    /// The format of all of them.
    pub format: Format,
    /// How the first one is compressed; each file's own is told again when it is read.
    pub compression: Compression,
    /// How text is encoded; each file's own is told again when it is read, unless it was given.
    pub encoding: Encoding,
    /// How a file is laid out.
    pub layout: Layout,
    /// The columns: those of the files, merged by name, then those of the `k=v` folders.
    pub columns: Vec<DiscoveredColumn>,
    /// What was noticed on the way, in plain sentences.
    pub notes: Vec<String>,
}

/// How a file of a format is laid out.
#[derive(Debug, Clone, PartialEq)]
pub enum Layout {
    /// Delimited text.
    Csv(Dialect),
    /// JSON values.
    Json(JsonLayout),
    /// Lines of text.
    Text,
    /// The format describes itself (Parquet, Avro), or is a sheet.
    Typed,
}

/// A column that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct DiscoveredColumn {
    /// Its name; unique in the set, without regard to case.
    pub name: String,
    /// Its type, as far as the sample tells.
    pub data_type: DataType,
    /// Whether the sample had a NULL in it, or a file lacked it.
    pub nullable: bool,
    /// What the type was told from.
    pub evidence: String,
}

/// What one file is like.
pub(crate) struct Found {
    /// How text in it is encoded.
    pub encoding: Encoding,
    /// How it is laid out.
    pub layout: Layout,
    /// Its columns, in its order.
    pub columns: Vec<DiscoveredColumn>,
    /// What was noticed.
    pub notes: Vec<String>,
}

/// Finds out what `files` are like. Needs a Tokio runtime around it.
///
/// # Errors
/// If there are no files, one cannot be opened, or the format cannot be told.
pub async fn discover(files: &[FileEntry], options: &ReadOptions) -> Result<Discovered> {
    let handle = Handle::try_current().map_err(|_| ConnectError::Machinery {
        what: "discover must be called within a Tokio runtime",
    })?;
    let (files, options) = (files.to_vec(), options.clone());
    tokio::task::spawn_blocking(move || discover_blocking(&files, &options, &handle))
        .await
        .map_err(|_| ConnectError::Machinery {
            what: "the discovery of a file's form ended early",
        })?
}

/// The same on the calling thread, which may block; `handle` reaches remote stores.
///
/// # Errors
/// As [`discover`].
pub fn discover_blocking(
    files: &[FileEntry],
    options: &ReadOptions,
    handle: &Handle,
) -> Result<Discovered> {
    let Some(first) = files.first() else {
        return Err(ConnectError::NoFiles {
            path: String::new(),
            hidden: 0,
            filtered: 0,
        });
    };
    // The first file that is not empty speaks for the format; an empty one says nothing.
    let speaker = files.iter().find(|file| file.size > 0).unwrap_or(first);
    let source = Source::open(&Arc::new(speaker.clone()), options, handle)?;
    let mut discovered = discover_source(&source, options)?;
    let mut merged = Merged::new(discovered.columns, discovered.notes);
    for file in choose(files, speaker) {
        let source = Source::open(&Arc::new(file.clone()), options, handle)?;
        merged.add(
            (reader_of(discovered.format).discover)(&source, options)?,
            &source.name(),
        );
    }
    discovered.columns = match &options.schema {
        Some(declared) => declared.iter().map(declared_column).collect(),
        None => merged.columns,
    };
    discovered.notes = merged.notes;
    types::add_partitions(
        &mut discovered.columns,
        files,
        options.infer_types != Some(false),
    );
    Ok(discovered)
}

/// A column as the option `schema` says.
pub(crate) fn declared_column((name, data_type): &(String, DataType)) -> DiscoveredColumn {
    DiscoveredColumn {
        name: name.clone(),
        data_type: data_type.clone(),
        nullable: true,
        evidence: "declared".to_owned(),
    }
}

/// Finds out what one open file is like.
pub(crate) fn discover_source(source: &Source, options: &ReadOptions) -> Result<Discovered> {
    let format = match options.format {
        Some(format) => format,
        None => recognise(source, options)?,
    };
    let reader = reader_of(format);
    if reader.format != format {
        return Err(ConnectError::UnknownFormat {
            path: source.name(),
            known: known(),
        });
    }
    let Found {
        encoding,
        layout,
        columns,
        notes,
    } = (reader.discover)(source, options)?;
    Ok(Discovered {
        format,
        compression: source.compression(),
        encoding,
        layout,
        columns,
        notes,
    })
}

/// Some files of a set besides the first: spread evenly, the last among them.
fn choose<'a>(
    files: &'a [FileEntry],
    speaker: &'a FileEntry,
) -> impl Iterator<Item = &'a FileEntry> {
    let others: Vec<&FileEntry> = files
        .iter()
        .filter(|file| file.size > 0 && file.url != speaker.url)
        .collect();
    let count = others.len().min(FILES_MAX - 1);
    (0..count).map(move |n| others[others.len() - 1 - n * others.len() / count.max(1)])
}

/// Tells the format from the name, then from the content.
fn recognise(source: &Source, options: &ReadOptions) -> Result<Format> {
    let name = source.file().name();
    let (plain, _) = Compression::split_name(&name);
    let extension = Path::new(plain)
        .extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase());
    let head = source.head(options.sample_size().min(64 << 10))?;
    let by_content = || {
        READERS
            .iter()
            .find(|reader| (reader.recognises)(&head.bytes))
    };
    if let Some(extension) = extension {
        let named = READERS
            .iter()
            .find(|reader| reader.extensions.contains(&extension.as_str()));
        if let Some(reader) = named {
            return Ok(reader.format);
        }
    }
    by_content()
        .map(|reader| reader.format)
        .ok_or_else(|| ConnectError::UnknownFormat {
            path: source.name(),
            known: known(),
        })
}

/// Files seen so far, as one.
struct Merged {
    columns: Vec<DiscoveredColumn>,
    notes: Vec<String>,
    index: NameIndex,
}

impl Merged {
    fn new(columns: Vec<DiscoveredColumn>, notes: Vec<String>) -> Self {
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        Self {
            columns,
            notes,
            index: NameIndex::new(&names),
        }
    }

    fn add(&mut self, other: Found, path: &str) {
        for note in other.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        let mut seen = vec![false; self.columns.len()];
        for column in other.columns {
            match self.index.find(&column.name) {
                Some(at) => {
                    if let Some(flag) = seen.get_mut(at) {
                        *flag = true;
                    }
                    types::merge(&mut self.columns[at], column);
                }
                None => {
                    self.notes.push(format!(
                        "{path}: has a column that others lack: {}",
                        column.name
                    ));
                    self.index.insert(&column.name, self.columns.len());
                    self.columns.push(DiscoveredColumn {
                        nullable: true,
                        ..column
                    });
                }
            }
        }
        for (at, seen) in seen.into_iter().enumerate() {
            if !seen {
                self.columns[at].nullable = true;
            }
        }
    }
}

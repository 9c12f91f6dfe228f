//! A reading: what was discovered about a set of files, what is wanted of them, and the way from a
//! slice of a file to pieces that workers decode.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::batch::Piece;
use crate::discover::Discovered;
use crate::error::Result;
use crate::formats::reader_of;
use crate::listing::FileEntry;
use crate::options::ReadOptions;
use crate::source::Source;

/// A part of a file: bytes `from..to` as stored.
///
/// A compressed file, and every format that is not lines of text, can only be read whole
/// (`from` = 0).
#[derive(Debug, Clone)]
pub struct Slice {
    /// The file.
    pub file: Arc<FileEntry>,
    /// The first byte; a line must begin there.
    pub from: u64,
    /// The byte behind the last.
    pub to: u64,
    /// The number of the line (or row) at `from`; a file begins with line 1.
    pub first_line: u64,
}

impl Slice {
    /// The whole of a file.
    #[must_use]
    pub fn whole(file: &Arc<FileEntry>) -> Self {
        Self {
            file: Arc::clone(file),
            from: 0,
            to: file.size,
            first_line: 1,
        }
    }
}

/// Pieces in file order; blocking, to be pulled on a feeder thread. After an `Err` it ends; what
/// came before remains valid.
pub type Pieces = Box<dyn Iterator<Item = Result<Box<dyn Piece>>> + Send>;

/// Everything needed to decode slices of a set of files. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reading {
    discovered: Arc<Discovered>,
    options: Arc<ReadOptions>,
    wanted: Arc<[String]>,
}

impl Reading {
    /// Reads the columns `wanted`, in this order, or without it all that were discovered (those of
    /// the `k=v` folders last).
    #[must_use]
    pub fn new(
        discovered: Arc<Discovered>,
        options: Arc<ReadOptions>,
        wanted: Option<&[String]>,
    ) -> Self {
        let wanted = match wanted {
            Some(names) => names.into(),
            None => discovered
                .columns
                .iter()
                .map(|column| column.name.clone())
                .collect(),
        };
        Self {
            discovered,
            options,
            wanted,
        }
    }

    /// What was discovered about the files.
    #[must_use]
    pub fn discovered(&self) -> &Discovered {
        &self.discovered
    }

    /// The options of the reading.
    #[must_use]
    pub fn options(&self) -> &ReadOptions {
        &self.options
    }

    /// The wanted columns' names: the first columns of every batch.
    #[must_use]
    pub fn wanted(&self) -> &[String] {
        &self.wanted
    }

    /// Cuts a slice into pieces. Opening happens at the first pull; its errors come as the first
    /// item. Never pull from async code: it blocks, and reaches remote stores through `handle`.
    #[must_use]
    pub fn pieces(&self, slice: Slice, handle: Handle) -> Pieces {
        let reading = self.clone();
        let mut opened: Option<Pieces> = None;
        let mut pending = Some(slice);
        Box::new(std::iter::from_fn(move || {
            if let Some(slice) = pending.take() {
                match reading.open(slice, &handle) {
                    Ok(pieces) => opened = Some(pieces),
                    Err(error) => return Some(Err(error)),
                }
            }
            let next = opened.as_mut()?.next();
            if next.as_ref().is_none_or(Result::is_err) {
                opened = None;
            }
            next
        }))
    }

    fn open(&self, slice: Slice, handle: &Handle) -> Result<Pieces> {
        self.pieces_of(Source::open(&slice.file, &self.options, handle)?, slice)
    }

    /// The same of a file that is open.
    pub(crate) fn pieces_of(&self, source: Source, slice: Slice) -> Result<Pieces> {
        (reader_of(self.discovered.format).pieces)(self, source, slice)
    }
}

//! Workbooks: .xlsx, .xlsm, .xlsb, .xls and .ods. One sheet is read (option `sheet`: its name or its
//! number; otherwise the first that is visible); a piece is a run of its rows.
//!
//! Cells are given as text, in a form from which nothing is lost: numbers as short as they can be to
//! mean the same, dates and times in ISO form, formulas by the value the program stored with them. The
//! gate makes of them what the contract says. Merged cells hold their value in every row and column
//! they cover. A row with an error such as `#DIV/0!` in a wanted column is malformed.
//!
//! The line of a row is its number in the sheet.

mod archive;
mod biff;
mod cell;
mod compound;
mod merged;
mod ods;
pub(crate) mod parts;
mod table;
mod workbook;

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewBuilder};
use bytes::Bytes;
use crossbeam_channel::{Sender, bounded};

use self::table::Table;
use self::workbook::{SheetRow, Workbook};
use super::typed::{Rows, assemble, damaged, guarded, plain};
use crate::batch::{Decoded, Malformed, MalformedKind, Piece, RawBatch};
use crate::columns::{Plan, Slot, names_by_position};
use crate::discover::types::Guess;
use crate::discover::{Found, Layout};
use crate::encoding::Encoding;
use crate::error::{ConnectError, Result};
use crate::formats::{Format, FormatReader};
use crate::listing::FileEntry;
use crate::options::ReadOptions;
use crate::reading::{Pieces, Reading, Slice};
use crate::source::Source;

const NAME: &str = "Excel";
/// Rows that are looked at to find the table in a sheet and its types, and the most bytes of them.
const SAMPLE_ROWS: usize = 1_000;
const SAMPLE_BYTES: usize = 32 << 20;
/// Rows and cells of a piece, at most.
const PIECE_ROWS: usize = 8_192;
const PIECE_CELLS: usize = 1 << 20;
/// Longest row that is taken, unless `maxRowBytes` says otherwise.
const ROW_BYTES: usize = 16 << 20;
/// Pieces that may wait to be fetched.
const WAITING: usize = 2;

/// Workbooks in the list of formats.
pub(crate) static READER: FormatReader = FormatReader {
    format: Format::Excel,
    extensions: &["xlsx", "xlsm", "xlsb", "xls", "ods"],
    recognises: workbook::recognises,
    discover,
    pieces,
};

fn discover(source: &Source, options: &ReadOptions) -> Result<Found> {
    let name = source.name();
    let source = plain(source, options)?;
    let bytes = source.read_range(0, source.size())?;
    guarded(&name, NAME, || {
        let (rows, mut notes) = sample(&name, bytes.clone(), options)?;
        let table = Table::find(&rows, options);
        notes.extend(table.notes.iter().cloned());
        let mut guesses = vec![Guess::default(); table.names.len()];
        for row in rows.iter().filter(|row| row.number >= table.first_row) {
            for (at, guess) in guesses.iter_mut().enumerate() {
                guess.add(row.get(table.first_column + at as u32));
            }
        }
        let infer = options.infer_types != Some(false);
        let named = table.names.iter().zip(&guesses);
        Ok(Found {
            encoding: Encoding::Utf8,
            layout: Layout::Typed,
            columns: named
                .map(|(name, guess)| guess.column(name, infer))
                .collect(),
            notes,
        })
    })
}

/// The first rows of the sheet, with what is to be said about the choice of it.
fn sample(name: &str, bytes: Bytes, options: &ReadOptions) -> Result<(Vec<SheetRow>, Vec<String>)> {
    let mut workbook = Workbook::open(name, bytes, row_bytes_max(options))?;
    let (sheet, notes) = workbook.choose(options.sheet.as_deref())?;
    let (mut rows, mut seen) = (Vec::new(), 0);
    workbook.rows(&sheet, &mut |row| {
        seen += row.bytes;
        rows.push(row);
        if rows.len() < SAMPLE_ROWS && seen < SAMPLE_BYTES {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    Ok((rows, notes))
}

fn row_bytes_max(options: &ReadOptions) -> usize {
    options.max_row_bytes.unwrap_or(ROW_BYTES)
}

fn pieces(reading: &Reading, source: Source, _slice: Slice) -> Result<Pieces> {
    let name = source.name();
    let file = Arc::clone(source.file());
    let source = plain(&source, reading.options())?;
    let bytes = source.read_range(0, source.size())?;
    let (rows, _) = guarded(&name, NAME, || {
        sample(&name, bytes.clone(), reading.options())
    })?;
    let table = Table::find(&rows, reading.options());
    let mut names = table.names.clone();
    if !table.has_header {
        names = names_by_position(reading, &file, names);
        // Columns that the sheet does not have are empty in all rows.
        names.truncate(table.names.len());
    }
    let plan = Plan::new(reading, &file, names)?;
    let options = reading.options().clone();
    let (sender, receiver) = bounded(WAITING);
    let batches = Batches::new(plan, table, file, options.block_size(), sender.clone());
    let reader = std::thread::Builder::new().name("tidegate-sheet".to_owned());
    let work = move || {
        let outcome = guarded(&name, NAME, || read_sheet(&name, bytes, &options, batches));
        if let Err(error) = outcome {
            // Nobody listens any more: then nobody wants to know.
            let _ = sender.send(Err(error));
        }
    };
    reader.spawn(work).map_err(|_| ConnectError::Machinery {
        what: "no thread could be started to read a workbook",
    })?;
    Ok(Box::new(receiver.into_iter()))
}

/// Reads the sheet and sends its pieces, until nobody wants them.
fn read_sheet(name: &str, bytes: Bytes, options: &ReadOptions, mut batches: Batches) -> Result<()> {
    let mut workbook = Workbook::open(name, bytes, row_bytes_max(options))?;
    let (sheet, _) = workbook.choose(options.sheet.as_deref())?;
    let mut failed = None;
    let outcome = workbook.rows(&sheet, &mut |row| match batches.push(&row) {
        Ok(true) => ControlFlow::Continue(()),
        Ok(false) => ControlFlow::Break(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    // Rows before a damage are rows.
    batches.flush()?;
    outcome
}

/// Rows on their way into pieces.
struct Batches {
    plan: Plan,
    table: Table,
    file: Arc<FileEntry>,
    sender: Sender<Result<Box<dyn Piece>>>,
    columns: Vec<(usize, StringViewBuilder)>,
    line: Vec<u32>,
    malformed: Vec<Malformed>,
    /// The row of the sheet, from 0, at which the piece begins, and the one behind its last.
    base: u32,
    next: u32,
    bytes: u64,
    /// When a piece is large enough.
    rows_max: usize,
    bytes_max: u64,
}

impl Batches {
    fn new(
        plan: Plan,
        table: Table,
        file: Arc<FileEntry>,
        block_size: usize,
        sender: Sender<Result<Box<dyn Piece>>>,
    ) -> Self {
        let kept = plan
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| **slot != Slot::Drop);
        let kept: Vec<usize> = kept.map(|(at, _)| at).collect();
        let rows_max = (PIECE_CELLS / kept.len().max(1)).clamp(1, PIECE_ROWS);
        // A builder without a capacity makes room for a thousand, in each of 16,384 columns.
        let builder = || StringViewBuilder::with_capacity(rows_max.min(64));
        let columns = kept.into_iter().map(|at| (at, builder())).collect();
        Self {
            rows_max,
            bytes_max: block_size as u64,
            plan,
            table,
            file,
            sender,
            columns,
            line: Vec::new(),
            malformed: Vec::new(),
            base: 0,
            next: 0,
            bytes: 0,
        }
    }

    /// Takes a row; false if nobody wants more.
    fn push(&mut self, row: &SheetRow) -> Result<bool> {
        if row.number < self.table.first_row {
            return Ok(true);
        }
        self.next = row.number + 1;
        if let Some((kind, message)) = self.fault(row) {
            let line = u64::from(row.number - self.base);
            let raw = row.written();
            self.bytes += raw.len() as u64;
            self.malformed.push(Malformed {
                line,
                raw: raw.into(),
                kind,
                message,
            });
        } else {
            self.line.push(row.number - self.base);
            for (at, column) in &mut self.columns {
                let value = row.get(self.table.first_column + *at as u32);
                self.bytes += value.map_or(0, str::len) as u64;
                column.append_option(value);
            }
        }
        if self.line.len() + self.malformed.len() >= self.rows_max || self.bytes >= self.bytes_max {
            return self.flush();
        }
        Ok(true)
    }

    /// What is wrong with a row: too long, an error in a cell that is wanted, or a cell beside the table.
    fn fault(&self, row: &SheetRow) -> Option<(MalformedKind, String)> {
        if row.too_long {
            let message = "the row is longer than maxRowBytes".to_owned();
            return Some((MalformedKind::TooLong, message));
        }
        let (first, width) = (self.table.first_column, self.table.names.len());
        for (column, error) in &row.errors {
            let wanted = column
                .checked_sub(first)
                .and_then(|at| self.plan.slots.get(at as usize));
            if wanted.is_some_and(|slot| *slot != Slot::Drop) {
                let place = cell::place(row.number, *column);
                return Some((
                    MalformedKind::Cell,
                    format!("cell {place} holds the error {error}"),
                ));
            }
        }
        let beside = row
            .cells
            .iter()
            .find(|cell| cell.column < first || cell.column - first >= width as u32)?;
        let found = row
            .cells
            .last()
            .map_or(0, |last| last.column.saturating_sub(first) as usize + 1)
            .max(width + 1);
        let place = cell::place(row.number, beside.column);
        let message = format!("cell {place} lies beside the table, which has {width} columns");
        Some((
            MalformedKind::FieldCount {
                expected: width,
                found,
            },
            message,
        ))
    }

    /// Sends what has gathered; false if nobody wants more.
    fn flush(&mut self) -> Result<bool> {
        if self.next == self.base {
            return Ok(true);
        }
        let finish = |column: &mut (usize, StringViewBuilder)| {
            (column.0, Arc::new(column.1.finish()) as ArrayRef)
        };
        let rows = Rows {
            columns: self.columns.iter_mut().map(finish).collect(),
            line: std::mem::take(&mut self.line),
            malformed: std::mem::take(&mut self.malformed),
        };
        let piece = SheetPiece {
            batch: assemble(&self.plan, &self.file, rows)?,
            lines: u64::from(self.next - self.base),
            bytes: std::mem::take(&mut self.bytes),
        };
        self.base = self.next;
        Ok(self.sender.send(Ok(Box::new(piece))).is_ok())
    }
}

/// Rows of a sheet, already in columns: a workbook can only be read from front to back.
struct SheetPiece {
    batch: RawBatch,
    lines: u64,
    bytes: u64,
}

impl Piece for SheetPiece {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn decode(&self, _skip: usize) -> Result<Decoded> {
        Ok(Decoded {
            batch: self.batch.clone(),
            overrun: 0,
            lines: self.lines,
        })
    }
}

/// The error of a workbook that nobody may read.
fn locked(name: &str) -> ConnectError {
    ConnectError::Damaged {
        path: name.to_owned(),
        format: NAME,
        message: "it is protected by a password".to_owned(),
        help: "Save it without one".to_owned(),
    }
}

/// The error of a workbook that cannot be read.
fn broken(name: &str, message: impl Into<String>) -> ConnectError {
    damaged(name, NAME, message)
}

#[cfg(test)]
pub(crate) mod damage;
#[cfg(test)]
pub(crate) mod tests;

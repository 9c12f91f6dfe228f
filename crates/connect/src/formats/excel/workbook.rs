//! A workbook of any of its kinds, as rows of cells in order. .xlsx, .xlsb and .ods are streamed, so that
//! a cell in the last row and column of an empty sheet costs no room; .xls is small by nature and read
//! whole, if its cells are in proportion to it.

use std::fmt::Display;
use std::io::Cursor;
use std::ops::ControlFlow;

use bytes::Bytes;
use calamine::{
    Cell, DataRef, Dimensions, Reader, Sheet, SheetType, SheetVisible, Xls, Xlsb, Xlsx,
};

use super::cell::Content;
use super::merged::Merged;
use super::ods::Spreadsheet;
use super::{archive, biff, broken, compound, locked};
use crate::error::{ConnectError, Result};

type Input = Cursor<Bytes>;

/// The mark of a zip archive, which .xlsx, .xlsb and .ods are.
const ZIP: &[u8] = b"PK\x03\x04";
/// The mark of a compound file, which .xls is, and any encrypted workbook.
const COMPOUND: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
const ODS: &[u8] = b"application/vnd.oasis.opendocument.spreadsheet";

/// One cell that holds something.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SheetCell {
    /// Its column, from 0.
    pub column: u32,
    pub text: String,
    /// Whether it holds a text, and not a number, a date or a truth.
    pub is_text: bool,
    /// Whether it only repeats the cell to its left, with which it is merged.
    pub covered: bool,
}

/// One row that holds something.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SheetRow {
    /// Its number, from 0.
    pub number: u32,
    /// Its cells, by column.
    pub cells: Vec<SheetCell>,
    /// Its errors, by column.
    pub errors: Vec<(u32, String)>,
    /// What its cells take.
    pub bytes: usize,
    /// Whether that is too much: then some cells are left out.
    pub too_long: bool,
}

/// What a cell takes besides its text.
const CELL_BYTES: usize = 8;

impl SheetRow {
    /// The text in a column.
    pub(super) fn get(&self, column: u32) -> Option<&str> {
        Some(&self.cell(column)?.text)
    }

    /// The cell in a column.
    pub(super) fn cell(&self, column: u32) -> Option<&SheetCell> {
        let at = self.cells.binary_search_by_key(&column, |cell| cell.column);
        Some(&self.cells[at.ok()?])
    }

    /// The row as one line, a tab between its cells.
    pub(super) fn written(&self) -> String {
        let cells = self
            .cells
            .iter()
            .map(|cell| (cell.column, cell.text.as_str()));
        let mut all: Vec<(u32, &str)> = cells
            .chain(self.errors.iter().map(|error| (error.0, error.1.as_str())))
            .collect();
        all.sort_by_key(|cell| cell.0);
        all.into_iter()
            .map(|cell| cell.1)
            .collect::<Vec<_>>()
            .join("\t")
    }
}

/// Whether bytes begin as a workbook does.
pub(super) fn recognises(head: &[u8]) -> bool {
    let has = |part: &[u8]| memchr::memmem::find(head, part).is_some();
    head.starts_with(COMPOUND)
        || (head.starts_with(ZIP) && (has(b"xl/") || has(b"[Content_Types].xml") || has(ODS)))
}

/// An open workbook.
pub(super) struct Workbook {
    name: String,
    kind: Kind,
    row_bytes_max: usize,
}

enum Kind {
    Xlsx(Box<Xlsx<Input>>),
    Xlsb(Box<Xlsb<Input>>),
    Xls(Box<Xls<Input>>),
    Ods(Spreadsheet),
}

impl Workbook {
    /// Opens a workbook by what its bytes say it is. Rows of more than `row_bytes_max` bytes are cut.
    pub(super) fn open(name: &str, bytes: Bytes, row_bytes_max: usize) -> Result<Self> {
        let kind = if bytes.is_empty() {
            return Err(broken(name, "the file is empty"));
        } else if bytes.starts_with(COMPOUND) {
            Self::open_compound(name, &bytes)?
        } else if bytes.starts_with(ZIP) {
            Self::open_archive(name, bytes)?
        } else {
            return Err(broken(
                name,
                "it is no workbook: neither a zip archive (.xlsx, .xlsb, .ods) nor a compound file (.xls)",
            ));
        };
        Ok(Self {
            name: name.to_owned(),
            kind,
            row_bytes_max,
        })
    }

    fn open_compound(name: &str, bytes: &[u8]) -> Result<Kind> {
        if memchr::memmem::find(bytes, &utf16("EncryptedPackage")).is_some() {
            return Err(locked(name));
        }
        let fail = |error: String| broken(name, error);
        let mut stream = compound::cells(bytes).map_err(fail)?;
        biff::check(&mut stream).map_err(fail)?;
        let clean = compound::wrap(stream).map_err(fail)?;
        Xls::new(Cursor::new(clean.into()))
            .map(|book| Kind::Xls(Box::new(book)))
            .map_err(|error| unreadable(name, &error))
    }

    fn open_archive(name: &str, bytes: Bytes) -> Result<Kind> {
        let has = |part: &[u8]| memchr::memmem::find(&bytes, part).is_some();
        if !has(b"PK\x05\x06") {
            return Err(broken(
                name,
                format!(
                    "it breaks off after {} bytes: the archive's list of parts at its end is missing",
                    bytes.len()
                ),
            ));
        }
        archive::check(&bytes).map_err(|error| broken(name, error))?;
        if has(ODS) {
            Spreadsheet::open(name, bytes).map(Kind::Ods)
        } else if has(b"xl/workbook.bin") {
            Xlsb::new(Cursor::new(bytes))
                .map(|book| Kind::Xlsb(Box::new(book)))
                .map_err(|error| unreadable(name, &error))
        } else {
            Xlsx::new(Cursor::new(bytes))
                .map(|book| Kind::Xlsx(Box::new(book)))
                .map_err(|error| unreadable(name, &error))
        }
    }

    fn sheets(&self) -> Vec<Sheet> {
        match &self.kind {
            Kind::Xlsx(book) => book.sheets_metadata().to_vec(),
            Kind::Xlsb(book) => book.sheets_metadata().to_vec(),
            Kind::Xls(book) => book.sheets_metadata().to_vec(),
            Kind::Ods(book) => book.sheets.clone(),
        }
    }

    /// The sheet of this name or number (from 1), or the first that is visible; with what is to be said
    /// about the choice.
    pub(super) fn choose(&self, wanted: Option<&str>) -> Result<(String, Vec<String>)> {
        let sheets: Vec<Sheet> = self
            .sheets()
            .into_iter()
            .filter(|sheet| sheet.typ == SheetType::WorkSheet)
            .collect();
        let names: Vec<&str> = sheets.iter().map(|sheet| sheet.name.as_str()).collect();
        let Some(wanted) = wanted else {
            let visible = sheets
                .iter()
                .position(|sheet| sheet.visible == SheetVisible::Visible);
            let Some(chosen) = visible.or((!sheets.is_empty()).then_some(0)) else {
                return Err(broken(&self.name, "the workbook has no sheet with cells"));
            };
            let others: Vec<String> = names
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != chosen)
                .take(8)
                .map(|(_, name)| format!("{name:?}"))
                .collect();
            let note = || {
                format!(
                    "read from the sheet {:?}; others are {} (option sheet)",
                    names[chosen],
                    others.join(", ")
                )
            };
            let notes = if others.is_empty() {
                Vec::new()
            } else {
                vec![note()]
            };
            return Ok((names[chosen].to_owned(), notes));
        };
        let by_name = names.iter().find(|name| **name == wanted).or_else(|| {
            names
                .iter()
                .find(|name| name.to_lowercase() == wanted.to_lowercase())
        });
        let by_number = || {
            wanted
                .parse::<usize>()
                .ok()
                .and_then(|number| names.get(number.checked_sub(1)?))
        };
        match by_name.or_else(by_number) {
            Some(name) => Ok(((*name).to_owned(), Vec::new())),
            None => {
                let there: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
                let expected = format!("a sheet of {}: it has {}", self.name, there.join(", "));
                Err(ConnectError::OptionValue {
                    name: "sheet",
                    value: wanted.to_owned(),
                    expected,
                })
            }
        }
    }

    /// Gives the rows of a sheet in order, merged cells filled, until told to stop.
    pub(super) fn rows(
        &mut self,
        sheet: &str,
        take: &mut dyn FnMut(SheetRow) -> ControlFlow<()>,
    ) -> Result<()> {
        let merged = Merged::new(self.merged(sheet)?);
        let name = self.name.clone();
        let mut rows = Rows {
            name: &name,
            merged,
            row: SheetRow::default(),
            row_bytes_max: self.row_bytes_max,
            take,
        };
        let fail = |error: &dyn Display| broken(&name, format!("sheet {sheet:?}: {error}"));
        match &mut self.kind {
            Kind::Xlsx(book) => {
                let mut cells = book
                    .worksheet_cells_reader(sheet)
                    .map_err(|error| fail(&error))?;
                rows.stream(|| cells.next_cell().map_err(|error| fail(&error)))
            }
            Kind::Xlsb(book) => {
                let mut cells = book
                    .worksheet_cells_reader(sheet)
                    .map_err(|error| fail(&error))?;
                rows.stream(|| cells.next_cell().map_err(|error| fail(&error)))
            }
            Kind::Xls(book) => {
                let range = book.worksheet_range(sheet).map_err(|error| fail(&error))?;
                rows.range(&range)
            }
            Kind::Ods(book) => book.rows(&name, sheet, &mut rows),
        }
    }

    /// The merged areas of a sheet, where the format tells them.
    fn merged(&mut self, sheet: &str) -> Result<Vec<Dimensions>> {
        match &mut self.kind {
            Kind::Xlsx(book) => book
                .merge_cells_by_sheet_name(sheet)
                .map_err(|error| unreadable(&self.name, &error)),
            Kind::Xls(book) => book
                .merge_cells_by_sheet_name(sheet)
                .map_err(|error| unreadable(&self.name, &error)),
            Kind::Xlsb(_) | Kind::Ods(_) => Ok(Vec::new()),
        }
    }
}

/// Cells on their way into rows.
pub(super) struct Rows<'a> {
    name: &'a str,
    pub(super) merged: Merged,
    row: SheetRow,
    pub(super) row_bytes_max: usize,
    take: &'a mut dyn FnMut(SheetRow) -> ControlFlow<()>,
}

impl Rows<'_> {
    fn stream<'c>(
        &mut self,
        mut next: impl FnMut() -> Result<Option<Cell<DataRef<'c>>>>,
    ) -> Result<()> {
        while let Some(cell) = next()? {
            if self
                .cell(cell.get_position(), Content::from(cell.get_value()))?
                .is_break()
            {
                return Ok(());
            }
        }
        self.end();
        Ok(())
    }

    fn range(&mut self, range: &calamine::Range<calamine::Data>) -> Result<()> {
        let (top, left) = range.start().unwrap_or_default();
        for (row, column, value) in range.used_cells() {
            let place = (top + row as u32, left + column as u32);
            if self.cell(place, Content::from(value))?.is_break() {
                return Ok(());
            }
        }
        self.end();
        Ok(())
    }

    /// Takes a cell; the row before it is complete when another begins.
    pub(super) fn cell(
        &mut self,
        (row, column): (u32, u32),
        content: Content<'_>,
    ) -> Result<ControlFlow<()>> {
        if row < self.row.number {
            return Err(broken(
                self.name,
                format!("row {} stands behind row {}", row + 1, self.row.number + 1),
            ));
        }
        if row > self.row.number {
            if self.finish().is_break() {
                return Ok(ControlFlow::Break(()));
            }
            self.row.number = row;
        }
        let length = match &content {
            Content::Empty => return Ok(ControlFlow::Continue(())),
            Content::Text(text) => text.len(),
            Content::Value(text) | Content::Error(text) => text.len(),
        };
        self.row.bytes = self.row.bytes.saturating_add(length + CELL_BYTES);
        if self.row.bytes > self.row_bytes_max {
            self.row.too_long = true;
            return Ok(ControlFlow::Continue(()));
        }
        let is_text = matches!(content, Content::Text(_));
        let text = match content {
            Content::Error(error) => {
                self.row.errors.push((column, error));
                return Ok(ControlFlow::Continue(()));
            }
            Content::Text(text) => text.into_owned(),
            Content::Value(text) => text,
            Content::Empty => String::new(),
        };
        self.row.cells.push(SheetCell {
            column,
            text,
            is_text,
            covered: false,
        });
        Ok(ControlFlow::Continue(()))
    }

    /// The last row is complete.
    pub(super) fn end(&mut self) {
        let _ = self.finish();
    }

    /// Gives the current row away, if it holds anything.
    fn finish(&mut self) -> ControlFlow<()> {
        let mut row = std::mem::take(&mut self.row);
        self.row.number = row.number;
        if row.cells.is_empty() && row.errors.is_empty() && !row.too_long {
            return ControlFlow::Continue(());
        }
        row.cells.sort_by_key(|cell| cell.column);
        row.cells.dedup_by_key(|cell| cell.column);
        self.merged.fill(&mut row, self.row_bytes_max);
        (self.take)(row)
    }
}

fn unreadable(name: &str, error: &dyn Display) -> ConnectError {
    let text = error.to_string();
    if text.to_lowercase().contains("password") {
        locked(name)
    } else {
        broken(name, text)
    }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

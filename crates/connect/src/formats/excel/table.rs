//! Where in a sheet the table is: its header, its first row, its columns.
//!
//! Titles and remarks above a table fill few cells; the header is the first row that is nearly as wide
//! as the table and holds only texts, no two of them alike. Without such a row there is no header.

use std::collections::HashSet;

use super::workbook::SheetRow;
use crate::columns::unique_names;
use crate::options::ReadOptions;

/// Rows in which the header is looked for.
const LOOKED_AT: usize = 50;
/// Most columns that a sheet can have.
const COLUMNS_MAX: u32 = 1 << 14;

/// The table of a sheet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    /// The columns' names.
    pub names: Vec<String>,
    /// The sheet's row, from 0, at which the data begin.
    pub first_row: u32,
    /// The sheet's column, from 0, of the first column.
    pub first_column: u32,
    /// What is to be said about the choice.
    pub notes: Vec<String>,
}

impl Table {
    /// Finds the table in the first rows of a sheet.
    pub(super) fn find(rows: &[SheetRow], options: &ReadOptions) -> Self {
        let skipped = options.skip_rows.unwrap_or(0) as u32;
        let rows: Vec<&SheetRow> = rows
            .iter()
            .filter(|row| row.number >= skipped && !row.cells.is_empty())
            .collect();
        if rows.is_empty() {
            let notes = vec!["the sheet is empty".to_owned()];
            return Self {
                names: Vec::new(),
                first_row: skipped,
                first_column: 0,
                notes,
            };
        }
        let (begin, header) = match options.header {
            Some(0) => (0, 0),
            Some(count) => (0, count.min(rows.len())),
            None => find_header(&rows),
        };
        let first_data = begin + header;
        let body = &rows[begin..];
        let first_column = body
            .iter()
            .filter_map(|row| row.cells.first())
            .map(|cell| cell.column)
            .min()
            .unwrap_or(0);
        let last_column = body
            .iter()
            .filter_map(|row| row.cells.last())
            .map(|cell| cell.column)
            .max()
            .unwrap_or(0);
        let last_column = last_column.min(COLUMNS_MAX - 1).max(first_column);
        let written = (first_column..=last_column)
            .map(|column| name(&rows[begin..first_data], column))
            .collect();
        let (names, mut notes) = unique_names(written);
        if header == 0 {
            notes.retain(|note| !note.contains("has no name"));
            notes.push(
                "no header row was found; columns are called column_1, column_2, …".to_owned(),
            );
        } else if begin > 0 {
            let row = rows[begin].number + 1;
            notes.push(format!(
                "the header is in row {row}; what stands above it is no part of the table"
            ));
        }
        let first_row = rows
            .get(first_data)
            .map_or_else(|| rows[rows.len() - 1].number + 1, |row| row.number);
        Self {
            names,
            first_row,
            first_column,
            notes,
        }
    }
}

/// Where the table begins, and how many header rows it has (0 or 1).
fn find_header(rows: &[&SheetRow]) -> (usize, usize) {
    let width = rows
        .iter()
        .take(LOOKED_AT * 4)
        .map(|row| row.cells.len())
        .max()
        .unwrap_or(0);
    let wide = |row: &&SheetRow| row.cells.len() * 10 >= width * 6;
    let Some(begin) = rows.iter().take(LOOKED_AT).position(wide) else {
        return (0, 0);
    };
    (begin, usize::from(is_header(rows[begin])))
}

/// Only texts, at most one in ten of them repeated (merged headings repeat).
fn is_header(row: &SheetRow) -> bool {
    let names: HashSet<&str> = row.cells.iter().map(|cell| cell.text.trim()).collect();
    let repeated = row.cells.len() - names.len();
    let short = row
        .cells
        .iter()
        .all(|cell| cell.text.chars().count() <= 200);
    row.errors.is_empty()
        && short
        && row.cells.iter().all(|cell| cell.is_text)
        && repeated * 10 <= row.cells.len()
}

/// The name of a column from the header's rows, one below the other.
fn name(header: &[&SheetRow], column: u32) -> String {
    let mut parts: Vec<&str> = header
        .iter()
        .filter_map(|row| row.get(column))
        .map(str::trim)
        .collect();
    parts.dedup();
    parts
        .join(" ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

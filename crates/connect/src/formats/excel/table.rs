//! Where in a sheet the table is: its header, its first row, its columns.
//!
//! Titles and remarks above a table fill few cells, and merged ones count as one. The header is the first
//! row that is nearly as wide as the table and holds only texts, no two of them alike; a wider one of the
//! kind is a better one, as long as no row of data lies between. Without such a row there is no header.

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
    /// Whether the names stand in the sheet.
    pub has_header: bool,
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
                has_header: false,
                notes,
            };
        }
        let found = find_header(&rows);
        let (begin, header) = match options.header {
            None => found,
            // Whoever says where the table begins is believed.
            Some(count) if options.skip_rows.is_some() => (0, count.min(rows.len())),
            // The row that was found is the last of the header's.
            Some(count) => {
                let begin = found.0.saturating_sub(count.saturating_sub(1));
                (begin, count.min(rows.len() - begin))
            }
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
            has_header: header > 0,
            notes,
        }
    }
}

/// Where the table begins, and how many header rows it has (0 or 1).
fn find_header(rows: &[&SheetRow]) -> (usize, usize) {
    let looked_at = rows.iter().take(LOOKED_AT * 4);
    let width = looked_at.map(|row| own_cells(row)).max().unwrap_or(0);
    let wide = |row: &SheetRow| own_cells(row) * 10 >= width * 6;
    let is_data = |row: &SheetRow| wide(row) && !is_header(row);
    let top = &rows[..rows.len().min(LOOKED_AT)];
    let Some(first) = top.iter().position(|row| wide(row)) else {
        return (0, 0);
    };
    if !top.iter().any(|row| is_data(row)) {
        // All is text: a wider row could as well be data.
        return (first, 1);
    }
    let mut best: Option<usize> = None;
    for (at, row) in top.iter().enumerate().skip(first) {
        let header = best.map(|best| own_cells(top[best]));
        if is_data(row) {
            // A title with a date beside it is narrower than what follows.
            if own_cells(row) >= header.unwrap_or(width) || (best.is_none() && at > first + 4) {
                break;
            }
        } else if wide(row) && header.is_none_or(|header| own_cells(row) > header) {
            best = Some(at);
        }
    }
    best.map_or((first, 0), |best| (best, 1))
}

/// How many cells a row has, merged ones counted once.
fn own_cells(row: &SheetRow) -> usize {
    row.cells.iter().filter(|cell| !cell.covered).count()
}

/// Only texts, at most one in ten of them repeated.
fn is_header(row: &SheetRow) -> bool {
    let own = || row.cells.iter().filter(|cell| !cell.covered);
    let names: HashSet<&str> = own().map(|cell| cell.text.trim()).collect();
    let repeated = own_cells(row) - names.len();
    row.errors.is_empty()
        && own().all(|cell| cell.is_text && cell.text.chars().count() <= 200)
        && repeated * 10 <= own_cells(row)
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

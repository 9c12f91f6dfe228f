//! Merged cells: the program stores their value in the first one only; here every cell they cover
//! gets it, in rows that hold something of their own.

use super::workbook::{SheetCell, SheetRow};
use calamine::Dimensions;

/// Most merged areas that are followed; a sheet with more is no table.
const AREAS_MAX: usize = 100_000;
/// Most cells of a row that are looked at: those of a sheet lie beside each other, damaged ones need not.
const COVERED_MAX: usize = 1 << 15;

/// The merged areas of a sheet while its rows go by.
pub(super) struct Merged {
    /// Areas that did not begin yet, the next one last.
    coming: Vec<Dimensions>,
    /// Areas that reach into the current row, with their value.
    open: Vec<(Dimensions, Option<SheetCell>)>,
}

impl Merged {
    /// Follows these areas.
    pub(super) fn new(mut areas: Vec<Dimensions>) -> Self {
        areas.retain(is_area);
        areas.truncate(AREAS_MAX);
        areas.sort_by_key(|area| std::cmp::Reverse(area.start));
        Self {
            coming: areas,
            open: Vec::new(),
        }
    }

    /// Follows one more, which begins in the current row.
    pub(super) fn add(&mut self, area: Dimensions) {
        if is_area(&area) && self.coming.len() < AREAS_MAX {
            self.coming.push(area);
        }
    }

    /// Fills the row's covered cells.
    pub(super) fn fill(&mut self, row: &mut SheetRow, row_bytes_max: usize) {
        if self.coming.is_empty() && self.open.is_empty() {
            return;
        }
        self.open.retain(|(area, _)| area.end.0 >= row.number);
        while let Some(area) = self.coming.pop_if(|area| area.start.0 <= row.number) {
            if area.end.0 >= row.number {
                let first = (row.number == area.start.0).then(|| row.cell(area.start.1));
                self.open.push((area, first.flatten().cloned()));
            }
        }
        let last = row.cells.last().map_or(0, |cell| cell.column);
        let mut covered = Vec::new();
        let mut left = COVERED_MAX;
        for (area, value) in &self.open {
            let Some(value) = value else { continue };
            // A title across the sheet must not make the table wider than its rows are.
            let to = if area.start.0 == row.number {
                area.end.1
            } else {
                area.end.1.min(last.max(area.start.1))
            };
            for column in (area.start.1..=to).take(left) {
                left -= 1;
                if row.cell(column).is_some() {
                    continue;
                }
                row.bytes += value.text.len();
                if row.bytes > row_bytes_max {
                    row.too_long = true;
                    left = 0;
                    break;
                }
                covered.push(SheetCell {
                    column,
                    covered: column > area.start.1,
                    ..value.clone()
                });
            }
        }
        if !covered.is_empty() {
            row.cells.append(&mut covered);
            row.cells.sort_by_key(|cell| cell.column);
            row.cells.dedup_by_key(|cell| cell.column);
        }
    }
}

fn is_area(area: &Dimensions) -> bool {
    area.end > area.start && area.end.0 >= area.start.0 && area.end.1 >= area.start.1
}

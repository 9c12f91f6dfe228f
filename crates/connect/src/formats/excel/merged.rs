//! Merged cells: the program stores their value in the first one only; here every cell they cover
//! gets it, in rows that hold something of their own.

use super::workbook::{SheetCell, SheetRow};
use calamine::Dimensions;

/// Most merged areas that are followed; a sheet with more is no table.
const AREAS_MAX: usize = 100_000;

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
        areas.retain(|area| {
            area.end > area.start && area.end.0 >= area.start.0 && area.end.1 >= area.start.1
        });
        areas.truncate(AREAS_MAX);
        areas.sort_by_key(|area| std::cmp::Reverse(area.start));
        Self {
            coming: areas,
            open: Vec::new(),
        }
    }

    /// Fills the row's covered cells.
    pub(super) fn fill(&mut self, row: &mut SheetRow) {
        if self.coming.is_empty() && self.open.is_empty() {
            return;
        }
        self.open.retain(|(area, _)| area.end.0 >= row.number);
        while let Some(area) = self.coming.pop_if(|area| area.start.0 <= row.number) {
            if area.end.0 >= row.number {
                let value = row
                    .cells
                    .iter()
                    .find(|cell| area.start == (row.number, cell.column))
                    .cloned();
                self.open.push((area, value));
            }
        }
        let last = row.cells.last().map_or(0, |cell| cell.column);
        let mut added = false;
        for (area, value) in &self.open {
            let Some(value) = value else { continue };
            // A title across the sheet must not make the table wider than its rows are.
            let to = if area.start.0 == row.number {
                area.end.1
            } else {
                area.end.1.min(last.max(area.start.1))
            };
            for column in (area.start.1..=to).take(1 << 14) {
                if row.get(column).is_none() {
                    row.cells.push(SheetCell {
                        column,
                        ..value.clone()
                    });
                    added = true;
                }
            }
        }
        if added {
            row.cells.sort_by_key(|cell| cell.column);
        }
    }
}

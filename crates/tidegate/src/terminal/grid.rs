//! A grid of texts that fits the terminal: long values are cut, and where there are too many columns the middle ones are
//! left out and named. What is left out is always said.

use std::fmt::Write as _;

use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width, presets,
};
use unicode_width::UnicodeWidthStr;

/// No column is cut below this width.
const WIDTH_MIN: usize = 8;
/// A value alone is never wider than this on a terminal.
const CUT: &str = "…";

/// A column's heading.
#[derive(Debug, Clone)]
pub struct Heading {
    /// Its text.
    pub text: String,
    /// Whether values stand at the right, as numbers do.
    pub right: bool,
}

impl Heading {
    /// A column of text.
    pub fn left(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            right: false,
        }
    }

    /// A column of numbers.
    pub fn right(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            right: true,
        }
    }
}

/// Headings and rows of text.
#[derive(Debug, Clone, Default)]
pub struct Grid {
    /// The columns.
    pub headings: Vec<Heading>,
    /// The rows, each with a value a column.
    pub rows: Vec<Vec<String>>,
}

/// Which columns are shown, and how wide.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    /// Index and width; a gap where columns are left out.
    shown: Vec<Option<(usize, usize)>>,
    left_out: Vec<usize>,
}

impl Grid {
    /// An empty grid.
    pub fn new(headings: Vec<Heading>) -> Self {
        Self {
            headings,
            rows: Vec::new(),
        }
    }

    /// Draws it within `width` columns, with lines around; as wide as it is without a width.
    pub fn draw(&self, width: Option<usize>) -> String {
        self.drawn(presets::UTF8_FULL_CONDENSED, width, 1)
    }

    /// Draws it as aligned columns with a line under the headings and nothing around.
    pub fn draw_open(&self, width: Option<usize>) -> String {
        self.drawn("     ─             ", width, 0)
    }

    fn drawn(&self, preset: &str, width: Option<usize>, border: usize) -> String {
        let natural = self.natural_widths();
        let layout = match width {
            Some(width) => fit(&natural, width.saturating_sub(border), 3),
            None => Layout {
                shown: natural.iter().copied().enumerate().map(Some).collect(),
                left_out: Vec::new(),
            },
        };
        let mut table = Table::new();
        table
            .load_preset(preset)
            .force_no_tty()
            .set_truncation_indicator(CUT);
        table.set_content_arrangement(ContentArrangement::Disabled);
        let heading = |slot: &Option<(usize, usize)>| match slot {
            Some((index, width)) => Cell::new(cut(&self.headings[*index].text, *width)),
            None => Cell::new(CUT),
        };
        table.set_header(layout.shown.iter().map(heading));
        for row in &self.rows {
            let cell = |slot: &Option<(usize, usize)>| match slot {
                Some((index, width)) => cut(row.get(*index).map_or("", String::as_str), *width),
                None => CUT.to_owned(),
            };
            table.add_row(Row::from(layout.shown.iter().map(cell).collect::<Vec<_>>()));
        }
        for (place, slot) in layout.shown.iter().enumerate() {
            let (Some((index, width)), Some(column)) = (slot, table.column_mut(place)) else {
                continue;
            };
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(*width as u16)));
            if self.headings[*index].right {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text: String = table
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect();
        if !layout.left_out.is_empty() {
            let names: Vec<_> = layout
                .left_out
                .iter()
                .map(|index| self.headings[*index].text.as_str())
                .collect();
            let _ = writeln!(text, "not shown, for want of width: {}", names.join(", "));
        }
        text
    }

    fn natural_widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self
            .headings
            .iter()
            .map(|heading| heading.text.width())
            .collect();
        for row in &self.rows {
            for (width, value) in widths.iter_mut().zip(row) {
                *width = (*width).max(value.width());
            }
        }
        widths.iter().map(|width| (*width).max(1)).collect()
    }
}

/// Chooses widths so that the columns fit: first the widest are cut, then the middle ones are left out.
fn fit(natural: &[usize], available: usize, overhead: usize) -> Layout {
    let columns = natural.len();
    let total = |cap: usize, widths: &mut dyn Iterator<Item = usize>| -> usize {
        widths.map(|width| width.min(cap) + overhead).sum()
    };
    let widest = natural.iter().copied().max().unwrap_or(0);
    if total(WIDTH_MIN, &mut natural.iter().copied()) <= available {
        let cap = largest(WIDTH_MIN, widest, |cap| {
            total(cap, &mut natural.iter().copied()) <= available
        });
        let shown = natural
            .iter()
            .map(|width| (*width).min(cap))
            .enumerate()
            .map(Some)
            .collect();
        return Layout {
            shown,
            left_out: Vec::new(),
        };
    }
    // One column at the start, one at the end, and so on inward, until the next would not fit.
    let gap = CUT.width() + overhead;
    let (mut head, mut tail) = (1.min(columns), 0);
    while head + tail < columns {
        let take_head = head <= tail;
        let (next_head, next_tail) = if take_head {
            (head + 1, tail)
        } else {
            (head, tail + 1)
        };
        let mut kept = natural[..next_head]
            .iter()
            .chain(&natural[columns - next_tail..])
            .copied();
        if total(WIDTH_MIN, &mut kept) + gap > available {
            break;
        }
        (head, tail) = (next_head, next_tail);
    }
    let width = |index: usize| Some((index, natural[index].min(WIDTH_MIN)));
    let mut shown: Vec<_> = (0..head).map(width).collect();
    let left_out: Vec<usize> = (head..columns - tail).collect();
    if !left_out.is_empty() {
        shown.push(None);
    }
    shown.extend((columns - tail..columns).map(width));
    Layout { shown, left_out }
}

/// The largest number from `low` to `high` for which `fits` holds; it holds for `low`.
fn largest(low: usize, high: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (low, high.max(low));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) {
            low = middle
        } else {
            high = middle - 1
        }
    }
    low
}

/// The text within `width` columns, with an ellipsis where it was cut.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for letter in text.chars() {
        let wide = unicode_width::UnicodeWidthChar::width(letter).unwrap_or(0);
        if used + wide + CUT.width() > width {
            break;
        }
        kept.push(letter);
        used += wide;
    }
    kept.push_str(CUT);
    kept
}

/// One line without control characters: data must not move the cursor, ring the bell or change colours.
pub fn one_line(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' => line.push('↵'),
            '\t' => line.push('⇥'),
            '\r' => line.push('␍'),
            control if control.is_control() => {
                let _ = write!(line, "\\u{{{:x}}}", u32::from(control));
            }
            other => line.push(other),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(columns: usize, value: &str) -> Grid {
        let mut grid = Grid::new(
            (0..columns)
                .map(|index| Heading::left(format!("column_{index}")))
                .collect(),
        );
        grid.rows.push(vec![value.to_owned(); columns]);
        grid
    }

    #[test]
    fn every_line_fits() {
        for width in [20, 40, 80, 133] {
            for columns in [1, 3, 9, 60] {
                let text = grid(
                    columns,
                    "a value that is rather long, with wide letters 漢字",
                )
                .draw(Some(width));
                for line in text.lines().filter(|line| !line.starts_with("not shown")) {
                    assert!(line.width() <= width, "{} > {width}:\n{text}", line.width());
                }
            }
        }
    }

    #[test]
    fn what_is_left_out_is_named() {
        let text = grid(9, "123456789012").draw(Some(40));
        assert!(
            text.contains("not shown, for want of width: column_"),
            "{text}"
        );
        assert!(
            text.contains("column_0") && text.contains("column_8"),
            "{text}"
        );
    }

    #[test]
    fn without_a_width_nothing_is_cut() {
        let long = "x".repeat(500);
        assert!(grid(3, &long).draw(None).contains(&long));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(one_line("a\nb\u{1b}[31mc"), "a↵b\\u{1b}[31mc");
    }
}

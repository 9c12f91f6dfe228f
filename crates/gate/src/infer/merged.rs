//! Values that ended up in the wrong column: `San Francisco CA` as the city, and no state.
//!
//! If most rows in which one column is missing end, in another column, with a value that the missing
//! column usually holds, while the other rows hardly ever do, the two were written into one.

use super::sample::{MISSING, SampleColumn};

/// Two columns written into one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Merged {
    /// The column that holds both.
    pub(crate) into: usize,
    /// The column that is missing then.
    pub(crate) missing: usize,
    /// The values that were found at the end of the first.
    pub(crate) endings: Vec<String>,
    /// The rows.
    pub(crate) rows: Vec<usize>,
}

/// Most values of the column that can be missing: codes, not prose.
const VALUES: u64 = 100;
/// Longest such value in bytes.
const LONGEST: usize = 24;

/// Finds pairs of columns that were written into one.
pub(crate) fn find(columns: &[SampleColumn]) -> Vec<Merged> {
    let mut found = Vec::new();
    for (missing, column) in columns.iter().enumerate() {
        let gone = column.rows.iter().filter(|code| **code == MISSING).count();
        let codes = column
            .present_values()
            .all(|(_, value)| value.text.len() <= LONGEST);
        if gone < 5
            || column.present() < 20
            || column.distinct() > VALUES
            || !codes
            || gone as u64 > column.present()
        {
            continue;
        }
        let others = columns
            .iter()
            .enumerate()
            .filter(|(at, other)| *at != missing && other.is_text());
        found.extend(others.filter_map(|(into, other)| pair(column, other, missing, into, gone)));
    }
    found
}

fn pair(
    column: &SampleColumn,
    other: &SampleColumn,
    missing: usize,
    into: usize,
    gone: usize,
) -> Option<Merged> {
    let ends: Vec<Option<&str>> = other
        .values
        .iter()
        .map(|value| ending(&value.text, column))
        .collect();
    let ends_at = |row: usize| {
        (other.rows[row] != MISSING)
            .then(|| ends[other.rows[row] as usize])
            .flatten()
    };
    let (with, without): (Vec<usize>, Vec<usize>) = (0..column.rows.len())
        .filter(|&row| ends_at(row).is_some())
        .partition(|&row| column.rows[row] == MISSING);
    if with.len() < 5 || with.len() * 2 < gone || without.len() * 100 > column.present() as usize {
        return None;
    }
    let mut endings: Vec<String> = column
        .present_values()
        .map(|(_, value)| value.text.clone())
        .collect();
    endings.sort();
    Some(Merged {
        into,
        missing,
        endings,
        rows: with,
    })
}

/// The value of the column that a text ends with, behind a blank or a comma.
fn ending<'a>(text: &'a str, column: &SampleColumn) -> Option<&'a str> {
    let at = text.rfind([' ', ','])?;
    let last = &text[at + 1..];
    (at > 0 && column.present_values().any(|(_, value)| value.text == last)).then_some(last)
}

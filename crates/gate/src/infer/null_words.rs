//! Words that stand for a missing value, as the reader's option `nullValue` takes them.
//!
//! The option holds for every column, so a word must be beyond doubt: it means nothing else (`N/A`), or
//! it stands among numbers, or it is all that a column holds.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::quoted;
use super::sample::{MISSING, Sample, SampleColumn};
use crate::profile::ValueKind;
use crate::profile::suspicion::grouped;

/// Words that mean nothing else, lower-case.
const CERTAIN: [&str; 12] = [
    "#n/a",
    "#null!",
    "(blank)",
    "(empty)",
    "(null)",
    "<na>",
    "\\n",
    "n.a.",
    "n/a",
    "nan",
    "null",
    "not available",
];

/// The words that were found, and the cells they stood in.
#[derive(Clone, Debug, Default)]
pub(crate) struct NullWords {
    pub(crate) words: BTreeSet<String>,
    /// For each column the rows that held one of them.
    pub(crate) rows: Vec<Vec<usize>>,
}

impl NullWords {
    /// What is to be said about them.
    pub(crate) fn remark(&self) -> Option<String> {
        let words: Vec<String> = self.words.iter().map(|word| quoted(word)).collect();
        let cells: usize = self.rows.iter().map(Vec::len).sum();
        (!words.is_empty()).then(|| {
            format!(
                "{} stands for a missing value in {} cells",
                words.join(", "),
                grouped(cells as u64)
            )
        })
    }

    /// The reader's option for them.
    pub(crate) fn option(&self) -> Option<(String, String)> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => None,
            [word] => Some(("nullValue".to_owned(), (*word).to_owned())),
            words => Some(("nullValues".to_owned(), words.join(","))),
        }
    }
}

/// Finds the words and takes them out of the sample.
pub(crate) fn remove(sample: &mut Sample) -> NullWords {
    let mut words = BTreeSet::new();
    for column in sample.columns.iter().filter(|column| column.is_text()) {
        words.extend(in_column(column));
    }
    let mut rows = Vec::with_capacity(sample.columns.len());
    for column in &mut sample.columns {
        let mut of_column = Vec::new();
        if column.is_text() && !words.is_empty() {
            let is_word: Vec<bool> = column
                .values
                .iter()
                .map(|value| words.contains(&value.text))
                .collect();
            of_column.extend(
                column
                    .rows
                    .iter()
                    .enumerate()
                    .filter(|(_, code)| **code != MISSING && is_word[**code as usize])
                    .map(|(row, _)| row),
            );
            column.remove(|value| words.contains(&value.text));
        }
        rows.push(of_column);
    }
    NullWords { words, rows }
}

fn in_column(column: &SampleColumn) -> Vec<String> {
    let mut kinds: BTreeMap<ValueKind, u64> = BTreeMap::new();
    for (_, value) in column.present_values() {
        *kinds.entry(value.reading.kind.family()).or_insert(0) += value.count;
    }
    let placeholders = kinds.remove(&ValueKind::Placeholder).unwrap_or(0);
    let measured = kinds
        .iter()
        .max_by_key(|(_, count)| **count)
        .is_some_and(|(kind, _)| !matches!(kind, ValueKind::Text | ValueKind::Boolean));
    let alone = kinds.is_empty() && column.distinct() == 1;
    let of_kind = column
        .present_values()
        .filter(|(_, value)| value.reading.kind == ValueKind::Placeholder);
    let certain = |text: &str| CERTAIN.contains(&text.trim().to_lowercase().as_str());
    let chosen = of_kind
        .filter(|(_, value)| placeholders > 0 && (measured || alone || certain(&value.text)));
    chosen.map(|(_, value)| value.text.clone()).collect()
}

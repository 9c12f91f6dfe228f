//! The primary key: a column that is unique, always there, and by name or place meant to identify.

use arrow::datatypes::DataType;

use super::evidence::{FEWEST, list};
use super::names;
use super::sample::SampleColumn;
use super::types::InferredType;
use crate::profile::kind::ValueKind;
use crate::profile::suspicion::grouped;

/// A key that was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    /// The column.
    pub(crate) column: usize,
    /// Why.
    pub(crate) evidence: String,
    /// Other columns that would do.
    pub(crate) others: Vec<usize>,
}

/// Finds the key of a sample of so many rows.
pub(crate) fn find(columns: &[SampleColumn], types: &[InferredType], rows: u64) -> Option<Key> {
    let mut candidates: Vec<(u32, usize)> = columns
        .iter()
        .enumerate()
        .filter_map(|(at, column)| {
            rank(column, &types[at].data_type, at, rows).map(|rank| (rank, at))
        })
        .collect();
    candidates.sort_by_key(|&(rank, at)| (std::cmp::Reverse(rank), at));
    let (_, best) = *candidates.first()?;
    let others = candidates
        .iter()
        .skip(1)
        .map(|candidate| candidate.1)
        .filter(|&at| columns[at].distinct() == rows)
        .collect();
    Some(Key {
        column: best,
        evidence: evidence(&columns[best]),
        others,
    })
}

/// How well a column would do; `None` if not at all.
fn rank(column: &SampleColumn, data_type: &DataType, at: usize, rows: u64) -> Option<u32> {
    let (present, distinct) = (column.present(), column.distinct());
    let name = u32::from(names::key_rank(&column.name));
    let identifies = matches!(
        data_type,
        DataType::Int32 | DataType::Int64 | DataType::Decimal128(_, 0) | DataType::Utf8View
    ) || !column.is_text();
    let measured =
        data_type.is_floating() || matches!(data_type, DataType::Boolean | DataType::Date32);
    let uuid = column.of_kind(|kind| kind == ValueKind::Uuid) == present;
    let code =
        column.of_kind(|kind| matches!(kind, ValueKind::Integer | ValueKind::DigitCode)) == present;
    let exactly = distinct == present && present == rows;
    let nearly = distinct * 100 >= present * 99 && present * 100 >= rows * 99;
    let meant = name > 0 || uuid || (at == 0 && code);
    let unique = exactly || (nearly && name >= 2);
    (rows >= FEWEST && identifies && !measured && meant && unique)
        .then(|| name * 10 + u32::from(uuid) * 5 + u32::from(at == 0) * 4 + u32::from(exactly) * 3)
}

fn evidence(column: &SampleColumn) -> String {
    let (present, distinct) = (column.present(), column.distinct());
    if present == distinct {
        return format!("all {} values are different", grouped(present));
    }
    let twice = column
        .present_values()
        .filter(|(_, value)| value.count > 1)
        .map(|(_, value)| (value.text.as_str(), value.count));
    format!(
        "{} different values in {} rows; what comes twice will be quarantined: {}",
        grouped(distinct),
        grouped(present),
        list(twice, 3)
    )
}

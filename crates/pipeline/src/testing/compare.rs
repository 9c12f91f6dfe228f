//! Expected rows beside the rows that are there: equal or not, and what differs.
//!
//! Both sides are compared as text in the types of the table: an expected `10.5` in a DECIMAL(12,2) column is `10.50`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::Result;

/// Rows as text, `None` for NULL.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// The columns of these names, as text. A name that is not there is a column of NULLs.
pub(crate) fn rows_of(batches: &[RecordBatch], columns: &[String]) -> Result<Rows> {
    let mut rows = Vec::new();
    let options = FormatOptions::default().with_null("NULL");
    for batch in batches {
        let found: Vec<Option<ArrayRef>> = columns
            .iter()
            .map(|name| {
                let schema = batch.schema();
                let index = schema
                    .fields()
                    .iter()
                    .position(|field| field.name().eq_ignore_ascii_case(name))?;
                Some(batch.column(index).clone())
            })
            .collect();
        let formatters = found
            .iter()
            .map(|column| {
                column
                    .as_ref()
                    .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
                    .transpose()
            })
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let cells = found.iter().zip(&formatters).map(|(column, formatter)| {
                let valid = column.as_ref().is_some_and(|column| column.is_valid(row));
                formatter
                    .as_ref()
                    .filter(|_| valid)
                    .map(|formatter| formatter.value(row).to_string())
            });
            rows.push(cells.collect());
        }
    }
    Ok(rows)
}

/// What differs, as a diff a person can read; none when nothing does.
pub(crate) fn difference(
    columns: &[String],
    expected: &Rows,
    found: &Rows,
    ordered: bool,
) -> Option<String> {
    let (missing, unexpected) = if ordered {
        if expected == found {
            return None;
        }
        in_order(expected, found)
    } else {
        as_sets(expected, found)
    };
    if missing.is_empty() && unexpected.is_empty() {
        return None;
    }
    let mut text = String::new();
    let _ = writeln!(text, "    {}", columns.join(" | "));
    for (sign, rows) in [('-', &missing), ('+', &unexpected)] {
        for row in rows.iter().take(20) {
            let _ = writeln!(text, "  {sign} {}", shown(row));
        }
        if rows.len() > 20 {
            let _ = writeln!(text, "  {sign} … {} more", rows.len() - 20);
        }
    }
    let _ = writeln!(
        text,
        "    (- expected and not there, + there and not expected; {} rows expected, {} found)",
        expected.len(),
        found.len()
    );
    Some(text)
}

fn shown(row: &[Option<String>]) -> String {
    let cells: Vec<&str> = row
        .iter()
        .map(|cell| cell.as_deref().unwrap_or("NULL"))
        .collect();
    cells.join(" | ")
}

type Sides<'r> = (Vec<&'r Vec<Option<String>>>, Vec<&'r Vec<Option<String>>>);

fn as_sets<'r>(expected: &'r Rows, found: &'r Rows) -> Sides<'r> {
    let mut counts: BTreeMap<&Vec<Option<String>>, i64> = BTreeMap::new();
    for row in expected {
        *counts.entry(row).or_default() += 1;
    }
    for row in found {
        *counts.entry(row).or_default() -= 1;
    }
    let (mut missing, mut unexpected) = (Vec::new(), Vec::new());
    for (row, count) in counts {
        let side = if count > 0 {
            &mut missing
        } else {
            &mut unexpected
        };
        side.extend(std::iter::repeat_n(
            row,
            usize::try_from(count.unsigned_abs()).unwrap_or(0),
        ));
    }
    (missing, unexpected)
}

fn in_order<'r>(expected: &'r Rows, found: &'r Rows) -> Sides<'r> {
    let longest = expected.len().max(found.len());
    let (mut missing, mut unexpected) = (Vec::new(), Vec::new());
    for index in 0..longest {
        let (want, have) = (expected.get(index), found.get(index));
        if want != have {
            missing.extend(want);
            unexpected.extend(have);
        }
    }
    (missing, unexpected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(texts: &[&str]) -> Rows {
        texts
            .iter()
            .map(|text| vec![Some((*text).to_owned())])
            .collect()
    }

    #[test]
    fn order_counts_only_when_asked() {
        let columns = ["id".to_owned()];
        assert_eq!(
            difference(&columns, &rows(&["a", "b"]), &rows(&["b", "a"]), false),
            None
        );
        assert!(difference(&columns, &rows(&["a", "b"]), &rows(&["b", "a"]), true).is_some());
    }

    #[test]
    fn a_row_that_is_there_twice_is_found() {
        let text =
            difference(&["id".to_owned()], &rows(&["a"]), &rows(&["a", "a"]), false).unwrap();
        assert!(text.contains("+ a") && !text.contains("- a"), "{text}");
    }
}

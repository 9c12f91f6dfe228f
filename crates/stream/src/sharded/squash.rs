//! Updated results of several turns as those of one: the newest row of each key.

use std::collections::HashMap;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::row::{OwnedRow, RowConverter, SortField};

use crate::error::Result;
use crate::operator::Changes;

/// What became of a key in the end: which row of which batch; `None` if it is gone.
type Newest = HashMap<OwnedRow, Option<(usize, usize)>>;

/// Adds the changes of one turn after the other to `out`, as if they were of one; `key` are the columns that
/// tell rows apart.
pub(super) fn squash(turns: Vec<Changes>, key: &[usize], out: &mut Changes) -> Result<()> {
    let mut newest = Newest::new();
    let mut batches: Vec<RecordBatch> = Vec::new();
    for turn in turns {
        for batch in &turn.deletes {
            for gone in keys_of(batch, key)? {
                newest.insert(gone, None);
            }
        }
        for batch in turn.rows {
            for (row, known) in keys_of(&batch, key)?.into_iter().enumerate() {
                newest.insert(known, Some((batches.len(), row)));
            }
            batches.push(batch);
        }
        // A key may be named that was never given out.
        out.deletes.extend(turn.deletes);
    }
    let mut stays: Vec<Vec<bool>> = batches.iter().map(|b| vec![false; b.num_rows()]).collect();
    for (batch, row) in newest.into_values().flatten() {
        stays[batch][row] = true;
    }
    for (batch, stays) in batches.iter().zip(stays) {
        let rows = filter_record_batch(batch, &BooleanArray::from(stays))?;
        if rows.num_rows() > 0 {
            out.rows.push(rows);
        }
    }
    Ok(())
}

fn keys_of(batch: &RecordBatch, key: &[usize]) -> Result<Vec<OwnedRow>> {
    let columns: Vec<ArrayRef> = key.iter().map(|at| batch.column(*at).clone()).collect();
    let fields = columns
        .iter()
        .map(|column| SortField::new(column.data_type().clone()));
    let rows = RowConverter::new(fields.collect())?.convert_columns(&columns)?;
    Ok(rows.iter().map(|row| row.owned()).collect())
}

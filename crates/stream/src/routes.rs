//! Which rows go where, by a hash of their keys.
//!
//! State that was cut so is saved so; the hash is the same in every process and, as a test value in
//! the manifest shows, in every version.

use std::hash::BuildHasherDefault;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use datafusion::common::hash_utils::create_hashes_with_hasher;
use twox_hash::XxHash64;

use crate::error::Result;

type Hasher = BuildHasherDefault<XxHash64>;

/// For each row, to which of `count` places its keys belong; by the hash's bits from `shift` on.
pub(crate) fn routes(
    keys: &[ArrayRef],
    rows: usize,
    count: usize,
    shift: u32,
) -> Result<Vec<usize>> {
    if keys.is_empty() {
        return Ok(vec![0; rows]);
    }
    let mut hashes = vec![0; rows];
    create_hashes_with_hasher(keys, &Hasher::default(), &mut hashes)?;
    let place = |hash: u64| usize::try_from(hash >> shift).unwrap_or(0) % count;
    Ok(hashes.into_iter().map(place).collect())
}

/// A number that is another if keys are hashed in another way.
pub(crate) fn fingerprint() -> Result<u64> {
    let numbers: ArrayRef = std::sync::Arc::new(Int64Array::from(vec![Some(7), None]));
    let texts: ArrayRef = std::sync::Arc::new(StringArray::from(vec!["a key", "another key"]));
    let mut hashes = vec![0; 2];
    create_hashes_with_hasher([&numbers, &texts], &Hasher::default(), &mut hashes)?;
    Ok(hashes.iter().fold(0, |all, one| all.rotate_left(1) ^ one))
}

/// The rows of each of `count` places.
pub(crate) fn cut(batch: &RecordBatch, routes: &[usize], count: usize) -> Result<Vec<RecordBatch>> {
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); count];
    for (route, row) in routes.iter().zip(0_u32..) {
        rows[*route].push(row);
    }
    let part = |rows: Vec<u32>| Ok(take_record_batch(batch, &UInt32Array::from(rows))?);
    rows.into_iter().map(part).collect()
}

/// The rows in the order of their places, and where each place begins in them.
pub(crate) fn sorted(
    batch: &RecordBatch,
    routes: &[usize],
    count: usize,
) -> Result<(RecordBatch, Vec<usize>)> {
    let mut begins = vec![0; count + 1];
    for route in routes {
        begins[route + 1] += 1;
    }
    for place in 0..count {
        begins[place + 1] += begins[place];
    }
    let mut next = begins.clone();
    let mut order = vec![0_u32; routes.len()];
    for (route, row) in routes.iter().zip(0_u32..) {
        order[next[*route]] = row;
        next[*route] += 1;
    }
    Ok((take_record_batch(batch, &UInt32Array::from(order))?, begins))
}

//! Rows cut into fragments: runs of rows of one key of which none comes more than a gap after the
//! one before.

use arrow::array::{Int64Array, UInt32Array, UInt64Array};
use arrow::compute::{SortColumn, lexsort_to_indices, sort_to_indices};

use crate::error::Result;

/// A run of rows of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment {
    pub(super) key: usize,
    pub(super) start: i64,
    pub(super) last: i64,
    /// A row of the batch that has its key.
    pub(super) row: u32,
}

/// Cuts rows into fragments, ordered by key and time; and says in which each row is.
pub(super) fn fragments(
    keys: &[usize],
    times: &[i64],
    gap: i64,
) -> Result<(Vec<Fragment>, Vec<usize>)> {
    let order = by_key_and_time(keys, times)?;
    let mut fragments: Vec<Fragment> = Vec::new();
    let mut indexes = vec![0; keys.len()];
    // Of the fragment that is being made.
    let (mut key, mut until, mut count) = (usize::MAX, i64::MIN, 0);
    for row in order.values() {
        let at = *row as usize;
        let time = times[at];
        if keys[at] != key || time > until {
            key = keys[at];
            count += 1;
            fragments.push(Fragment {
                key,
                start: time,
                last: time,
                row: *row,
            });
        } else if let Some(fragment) = fragments.last_mut() {
            fragment.last = time;
        }
        until = time.saturating_add(gap);
        indexes[at] = count - 1;
    }
    Ok((fragments, indexes))
}

/// The rows in the order of keys and times.
fn by_key_and_time(keys: &[usize], times: &[i64]) -> Result<UInt32Array> {
    let first = times.iter().copied().min().unwrap_or(0);
    let last = times.iter().copied().max().unwrap_or(0);
    let most = keys.iter().copied().max().unwrap_or(0) as u64;
    let bits = u64::BITS - last.abs_diff(first).leading_zeros();
    if bits <= most.leading_zeros() {
        // Both fit into one number, which is sorted several times faster.
        let rows = keys.iter().zip(times);
        let both = rows.map(|(key, time)| {
            let key = (*key as u64).checked_shl(bits).unwrap_or(0);
            key | time.wrapping_sub(first).cast_unsigned()
        });
        let both = UInt64Array::from_iter_values(both);
        return Ok(sort_to_indices(&both, None, None)?);
    }
    let column = |values| SortColumn {
        values,
        options: None,
    };
    let keys = UInt64Array::from_iter_values(keys.iter().map(|key| *key as u64));
    let times = Int64Array::from_iter_values(times.iter().copied());
    let columns = [
        column(std::sync::Arc::new(keys) as _),
        column(std::sync::Arc::new(times) as _),
    ];
    Ok(lexsort_to_indices(&columns, None)?)
}

#[cfg(test)]
mod tests {
    use super::fragments;

    #[test]
    fn rows_of_a_key_within_the_gap_are_one_fragment() {
        // With times close together, and too far apart for one number.
        for far in [0, i64::MAX / 2] {
            let keys = [1, 0, 1, 1, 0, 1];
            let times = [5, -far, 9, 20, 4, 7];
            let (found, indexes) = fragments(&keys, &times, 3).unwrap();
            let found: Vec<_> = found.iter().map(|f| (f.key, f.start, f.last)).collect();
            match far {
                0 => {
                    assert_eq!(found, [(0, 0, 0), (0, 4, 4), (1, 5, 9), (1, 20, 20)]);
                    assert_eq!(indexes, [2, 0, 2, 3, 1, 2]);
                }
                _ => assert_eq!(found[..2], [(0, -far, -far), (0, 4, 4)]),
            }
        }
    }
}

//! The numbers of a batch.

use crate::counts::{ConstraintCount, Counts, ReasonKey};
use crate::gate::Gate;
use crate::verdict::Judged;

/// Counts a judged batch of which so many rows are good.
pub(super) fn count(gate: &Gate, judged: &Judged, good: usize) -> Counts {
    let accepted = judged
        .repairs
        .as_ref()
        .map_or(0, |repairs| repairs.accepted().len());
    let rows = judged.coerced.num_rows() as u64;
    let outcomes = judged.outcomes.as_slice();
    let quarantined = outcomes
        .iter()
        .filter(|outcome| outcome.quarantines())
        .count();
    let mut counts = Counts {
        rows_in: judged.rows_in() as u64,
        good: good as u64,
        repaired: accepted as u64,
        quarantined: (quarantined + judged.malformed.len() - accepted) as u64,
        dropped: outcomes.iter().filter(|outcome| outcome.drops()).count() as u64,
        ..Counts::default()
    };
    let names = gate.reason_keys();
    // A repaired row kept every promise that it was judged by.
    let mut set = |key: &ReasonKey, judged: u64, failed: u64| {
        let passed = judged.saturating_sub(failed) + accepted as u64;
        counts
            .reasons
            .insert(key.clone(), ConstraintCount { passed, failed });
    };
    set(
        &names.malformed,
        rows + (judged.malformed.len() - accepted) as u64,
        (judged.malformed.len() - accepted) as u64,
    );
    let mut by_column = vec![0_u64; gate.contract().columns.len()];
    for failure in &judged.type_failures {
        by_column[failure.column as usize] += 1;
    }
    for (column, key) in &names.types {
        set(key, rows, by_column[*column]);
    }
    for (column, key) in &names.not_null {
        let failed = judged
            .null_failures
            .iter()
            .find(|(place, _)| place == column);
        set(
            key,
            rows - by_column[*column],
            failed.map_or(0, |(_, rows)| rows.len() as u64),
        );
    }
    if let Some(key) = &names.duplicate_key {
        let keyed = judged
            .keys
            .iter()
            .filter(|key| **key != crate::keys::NO_KEY)
            .count() as u64;
        set(key, keyed, judged.duplicates.len() as u64);
    }
    for (place, key) in names.expectations.iter().enumerate() {
        let failed = judged
            .broken
            .iter()
            .find(|broken| broken.expectation == place);
        set(
            key,
            judged.evaluated[place],
            failed.map_or(0, |broken| broken.rows.len() as u64),
        );
    }
    counts
}

//! The numbers of a batch.

use std::collections::BTreeMap;

use crate::counts::{ConstraintCount, Counts, ReasonKey};
use crate::gate::Gate;
use crate::incoming::MalformedKind;
use crate::keys::NO_KEY;
use crate::repair::RepairKind;
use crate::verdict::Judged;

/// Counts a judged batch of which so many rows are good.
pub(super) fn count(gate: &Gate, judged: &Judged, good: usize) -> Counts {
    let repairs = repairs(judged);
    let repaired: u64 = repairs.values().sum();
    let malformed = judged.malformed.len() as u64 - repaired;
    let outcomes = judged.outcomes.as_slice();
    let quarantined = outcomes
        .iter()
        .filter(|outcome| outcome.quarantines())
        .count() as u64;
    let mut counts = Counts {
        rows_in: judged.rows_in() as u64,
        good: good as u64,
        repaired,
        repairs,
        quarantined: quarantined + malformed,
        dropped: outcomes.iter().filter(|outcome| outcome.drops()).count() as u64,
        ..Counts::default()
    };
    count_reasons(gate, judged, malformed, &mut counts);
    counts
}

fn repairs(judged: &Judged) -> BTreeMap<RepairKind, u64> {
    let mut kinds = BTreeMap::new();
    if let Some(repairs) = &judged.repairs {
        for accepted in repairs.accepted() {
            *kinds.entry(repairs.kind(accepted.reading)).or_default() += 1;
        }
    }
    kinds
}

fn count_reasons(gate: &Gate, judged: &Judged, malformed: u64, counts: &mut Counts) {
    let rows = judged.coerced.num_rows() as u64;
    let names = gate.reason_keys();
    let repaired = counts.repaired;
    // A repaired row kept every promise that it was judged by.
    let mut set = |key: &ReasonKey, judged: u64, failed: u64| {
        let passed = judged.saturating_sub(failed) + repaired;
        counts
            .reasons
            .insert(key.clone(), ConstraintCount { passed, failed });
    };
    let future = judged.malformed.iter();
    let future = future
        .filter(|row| row.kind == MalformedKind::Future)
        .count() as u64;
    set(&names.malformed, rows + malformed, malformed - future);
    if future > 0 {
        set(&names.future, rows + future, future);
    }
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
        let keyed = judged.keys.iter().filter(|key| **key != NO_KEY).count() as u64;
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
}

//! Admission: keys are taken in, and repairs settled, in the order of the rows.
//!
//! This is the only part of the gate that is not parallel, so it does as little as it can: hashes
//! were made before, and runs of good rows are taken in together.

use crate::error::Result;
use crate::gate::Gate;
use crate::keys::{KeyIndex, NO_KEY};
use crate::verdict::Judged;

/// Lets the keys of otherwise admitted rows in, marks rows whose key is taken, and settles repairs.
pub(crate) fn admit(
    gate: &Gate,
    mut keys: Option<&mut KeyIndex>,
    judged: &mut Judged,
) -> Result<()> {
    if std::mem::replace(&mut judged.keys_admitted, true) {
        return Ok(());
    }
    let hashes = std::mem::take(&mut judged.keys);
    let mut repairs = judged.repairs.take();
    let mut duplicates = Vec::new();
    let mut from = 0;
    loop {
        let line = repairs.as_ref().and_then(|repairs| repairs.next_line());
        let to = line.map_or(hashes.len(), |line| {
            from + rows_before(judged, from, hashes.len(), line)
        });
        if let Some(keys) = keys.as_deref_mut() {
            admit_rows(keys, judged, &hashes, from..to, &mut duplicates)?;
        }
        from = to;
        match repairs.as_mut().filter(|_| line.is_some()) {
            Some(repairs) => repairs.settle_next(keys.as_deref_mut())?,
            None => break,
        }
    }
    for row in &duplicates {
        judged
            .outcomes
            .add(*row as usize, gate.options().on_duplicate_key);
    }
    (judged.keys, judged.duplicates, judged.repairs) = (hashes, duplicates, repairs);
    Ok(())
}

/// How many rows from `from` on lie before a line.
fn rows_before(judged: &Judged, from: usize, rows: usize, line: u64) -> usize {
    match judged.line.get(from..rows) {
        Some(lines) if !lines.is_empty() => lines.partition_point(|own| *own < line),
        _ => {
            usize::try_from(line)
                .unwrap_or(usize::MAX)
                .clamp(from, rows.max(from))
                - from
        }
    }
}

/// Runs of good rows are taken in together; the bad ones between them are only looked up.
fn admit_rows(
    keys: &mut KeyIndex,
    judged: &Judged,
    hashes: &[u128],
    rows: std::ops::Range<usize>,
    duplicates: &mut Vec<u32>,
) -> Result<()> {
    if judged.outcomes.all_good() {
        let first = rows.start;
        return keys.insert_all(&hashes[rows], |at| duplicates.push((first + at) as u32));
    }
    let outcomes = judged.outcomes.as_slice();
    let mut from = rows.start;
    while from < rows.end {
        let good = outcomes[from..rows.end]
            .iter()
            .take_while(|outcome| outcome.is_good())
            .count();
        keys.insert_all(&hashes[from..from + good], |at| {
            duplicates.push((from + at) as u32)
        })?;
        from += good;
        if from < rows.end {
            if hashes[from] != NO_KEY && keys.contains(hashes[from])? {
                duplicates.push(from as u32);
            }
            from += 1;
        }
    }
    Ok(())
}

//! The split: good rows one way, quarantined rows with their reasons the other.

mod count;
mod reasons;
mod rejected;

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{filter_record_batch, interleave_record_batch};

use self::reasons::Reasons;
use crate::admit::admit;
use crate::counts::{Counts, ReasonKey};
use crate::error::{GateError, Result};
use crate::gate::Gate;
use crate::repair::{Accepted, RepairKind};
use crate::verdict::Judged;

/// What every quarantined row is stamped with.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The flow's name.
    pub flow: Arc<str>,
    /// The run's id.
    pub run: Arc<str>,
    /// The epoch of the flow.
    pub epoch: i64,
    /// The time, in microseconds since 1970 UTC.
    pub time_micros: i64,
}

/// Why an update must stop: the first row that breaks a `FAIL UPDATE` promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailUpdate {
    /// Where the row came from.
    pub source: Arc<str>,
    /// Its line or row number there.
    pub line: u64,
    /// The promise it breaks.
    pub reason: ReasonKey,
    /// The value concerned, as text.
    pub value: Option<String>,
    /// What is wrong, as a sentence.
    pub message: String,
    /// The row as it was written, or as JSON where it never was text; cut at a limit.
    pub raw: String,
}

/// A malformed row that had exactly one valid reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairedRow {
    /// Its line.
    pub line: u64,
    /// What was done.
    pub kind: RepairKind,
    /// The row as it was written.
    pub raw: String,
}

/// A batch, parted.
#[derive(Debug)]
pub struct Split {
    /// The rows for the table, of [`crate::Contract::schema`], in their order.
    pub good: RecordBatch,
    /// The line of each good row; only with [`crate::GateOptions::positions`].
    pub good_line: Option<Vec<u64>>,
    /// The rows for the quarantine, of [`crate::quarantine_schema`], in their order.
    pub quarantined: Option<RecordBatch>,
    /// The malformed rows among the good ones, and what was done to read them.
    pub repaired: Vec<RepairedRow>,
    /// The numbers.
    pub counts: Counts,
    /// Set when the update must stop; nothing of it may then be committed.
    pub fail: Option<FailUpdate>,
}

/// Parts the rows of a judged batch.
pub(crate) fn split(gate: &Gate, mut judged: Judged, stamp: &Stamp) -> Result<Split> {
    if !judged.keys_admitted {
        if !gate.contract().key.is_empty() {
            return Err(GateError::KeysNotAdmitted(judged.source.to_string()));
        }
        admit(gate, None, &mut judged)?;
    }
    let (good, good_line) = good_rows(gate, &judged)?;
    let counts = count::count(gate, &judged, good.num_rows());
    let repaired = repaired_rows(&judged);
    let untouched = judged.outcomes.all_good() && judged.malformed.is_empty();
    if untouched {
        return Ok(Split {
            good,
            good_line,
            quarantined: None,
            repaired,
            counts,
            fail: None,
        });
    }
    let reasons = Reasons::gather(gate, &judged)?;
    let fail = rejected::first_failure(gate, &judged, &reasons)?;
    let quarantined = rejected::quarantine(gate, &judged, &reasons, stamp)?;
    Ok(Split {
        good,
        good_line,
        quarantined,
        repaired,
        counts,
        fail,
    })
}

fn repaired_rows(judged: &Judged) -> Vec<RepairedRow> {
    let Some(repairs) = &judged.repairs else {
        return Vec::new();
    };
    let row = |accepted: &Accepted| {
        let malformed = &judged.malformed[accepted.malformed];
        RepairedRow {
            line: judged.first_line + malformed.line,
            kind: repairs.kind(accepted.reading),
            raw: String::from_utf8_lossy(malformed.raw.as_slice()).into_owned(),
        }
    };
    repairs.accepted().iter().map(row).collect()
}

/// The rows for the table: as they are if all are good, otherwise filtered; repaired rows are put in
/// at their places.
fn good_rows(gate: &Gate, judged: &Judged) -> Result<(RecordBatch, Option<Vec<u64>>)> {
    let accepted = judged
        .repairs
        .as_ref()
        .map_or(&[][..], |repairs| repairs.accepted());
    let all_good = judged.outcomes.all_good();
    if !accepted.is_empty() {
        return with_repaired(gate, judged, accepted);
    }
    let line = |rows: &mut dyn Iterator<Item = usize>| {
        gate.options().positions.then(|| {
            rows.map(|row| judged.first_line + judged.line_of(row))
                .collect()
        })
    };
    let rows = judged.coerced.num_rows();
    if all_good {
        return Ok((declared(gate, &judged.coerced)?, line(&mut (0..rows))));
    }
    let outcomes = judged.outcomes.as_slice();
    let mask = BooleanBuffer::collect_bool(rows, |row| outcomes[row].is_good());
    let good_line = line(&mut mask.set_indices());
    let filtered = filter_record_batch(&judged.coerced, &BooleanArray::new(mask, None))?;
    Ok((declared(gate, &filtered)?, good_line))
}

/// The batch under the contract's schema, in which `NOT NULL` is said.
fn declared(gate: &Gate, batch: &RecordBatch) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(gate.schema()),
        batch.columns().to_vec(),
        &options,
    )?)
}

fn with_repaired(
    gate: &Gate,
    judged: &Judged,
    accepted: &[Accepted],
) -> Result<(RecordBatch, Option<Vec<u64>>)> {
    let Some(repairs) = &judged.repairs else {
        return Ok((declared(gate, &judged.coerced)?, None));
    };
    let rows = judged.coerced.num_rows();
    let mut places = Vec::with_capacity(rows + accepted.len());
    let mut lines = Vec::with_capacity(rows + accepted.len());
    let mut waiting = accepted.iter().peekable();
    for row in 0..=rows {
        let line = if row < rows {
            judged.line_of(row)
        } else {
            u64::MAX
        };
        while let Some(next) =
            waiting.next_if(|next| row == rows || judged.malformed[next.malformed].line <= line)
        {
            places.push((1, next.reading));
            lines.push(judged.first_line + judged.malformed[next.malformed].line);
        }
        if row < rows && judged.outcomes.get(row).is_good() {
            places.push((0, row));
            lines.push(judged.first_line + line);
        }
    }
    let merged = interleave_record_batch(&[&judged.coerced, repairs.readings()], &places)?;
    Ok((
        declared(gate, &merged)?,
        gate.options().positions.then_some(lines),
    ))
}

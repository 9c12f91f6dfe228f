//! Repair: a row that could not be cut into fields is read in every other plausible way
//! (`readings.rs`), all readings of a batch are judged by the same gate together, and one is taken
//! only if it is the only one of its row that breaks no promise, the key included.

mod readings;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray, StringViewBuilder};
use arrow::datatypes::{DataType, Field, Schema};

pub use self::readings::RepairKind;
use self::readings::readings;
use crate::error::Result;
use crate::gate::Gate;
use crate::incoming::{Incoming, Layout, Malformed};
use crate::keys::{KeyIndex, NO_KEY};
use crate::verdict::{Judged, judge_rows};

/// Readings that are judged together, at most; rows beyond them are left as they are.
const READINGS_MAX: usize = 1 << 20;

/// A malformed row that has exactly one valid reading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Accepted {
    /// Its place among the malformed rows.
    pub(crate) malformed: usize,
    /// The reading's row in [`Repairs::readings`].
    pub(crate) reading: usize,
}

/// The readings of one malformed row.
#[derive(Debug)]
struct Pending {
    malformed: usize,
    line: u64,
    readings: std::ops::Range<usize>,
}

/// The readings of a batch's malformed rows.
#[derive(Debug)]
pub(crate) struct Repairs {
    judged: Judged,
    kinds: Vec<RepairKind>,
    /// Which readings break no promise but perhaps that of the key.
    fits: Vec<bool>,
    /// In the order of lines.
    pending: Vec<Pending>,
    settled: usize,
    accepted: Vec<Accepted>,
    refusals: BTreeMap<usize, String>,
}

impl Repairs {
    /// Reads the malformed rows of a batch in other ways and judges them; none if there are no ways.
    pub(crate) fn prepare(
        gate: &Gate,
        layout: &Layout,
        malformed: &[Malformed],
        source: &Arc<str>,
    ) -> Result<Option<Box<Self>>> {
        let mut columns: Vec<StringViewBuilder> = layout
            .names
            .iter()
            .map(|_| StringViewBuilder::new())
            .collect();
        let (mut kinds, mut pending) = (Vec::new(), Vec::new());
        for (place, row) in malformed.iter().enumerate() {
            if kinds.len() > READINGS_MAX {
                break;
            }
            let from = kinds.len();
            for reading in readings(row.raw.as_slice(), &row.kind, layout) {
                kinds.push(reading.kind);
                for (column, field) in columns.iter_mut().zip(reading.fields) {
                    column.append_option(field);
                }
            }
            if kinds.len() > from {
                pending.push(Pending {
                    malformed: place,
                    line: row.line,
                    readings: from..kinds.len(),
                });
            }
        }
        if pending.is_empty() {
            return Ok(None);
        }
        pending.sort_by_key(|pending| pending.line);
        let batch = batch(layout, columns, kinds.len())?;
        let judged = judge_rows(gate, Incoming::typed(batch, Arc::clone(source)))?;
        let fits = fitting(&judged);
        let (accepted, refusals) = (Vec::new(), BTreeMap::new());
        Ok(Some(Box::new(Self {
            judged,
            kinds,
            fits,
            pending,
            settled: 0,
            accepted,
            refusals,
        })))
    }

    /// The line of the next row that is not settled.
    pub(crate) fn next_line(&self) -> Option<u64> {
        self.pending.get(self.settled).map(|pending| pending.line)
    }

    /// Settles the next row: takes its reading if exactly one fits and has a key that is free.
    pub(crate) fn settle_next(&mut self, keys: Option<&mut KeyIndex>) -> Result<()> {
        let Some(pending) = self.pending.get(self.settled) else {
            return Ok(());
        };
        self.settled += 1;
        let mut fitting: Vec<usize> = pending
            .readings
            .clone()
            .filter(|reading| self.fits[*reading])
            .collect();
        let key_of = |reading: usize| self.judged.keys.get(reading).copied().unwrap_or(NO_KEY);
        if let Some(keys) = keys {
            let mut free = Vec::with_capacity(fitting.len());
            for reading in fitting {
                if key_of(reading) == NO_KEY || !keys.contains(key_of(reading))? {
                    free.push(reading);
                }
            }
            if let [reading] = free[..]
                && key_of(reading) != NO_KEY
            {
                keys.insert_one(key_of(reading))?;
            }
            fitting = free;
        }
        if let [reading] = fitting[..] {
            self.accepted.push(Accepted {
                malformed: pending.malformed,
                reading,
            });
        } else {
            let tried = pending.readings.len();
            let refusal = format!(
                "repair tried {tried} other readings, of which {} fit",
                fitting.len()
            );
            self.refusals.insert(pending.malformed, refusal);
        }
        Ok(())
    }

    /// The readings, coerced.
    pub(crate) fn readings(&self) -> &RecordBatch {
        &self.judged.coerced
    }

    /// The rows that are repaired, in the order of lines.
    pub(crate) fn accepted(&self) -> &[Accepted] {
        &self.accepted
    }

    /// What was done to make a reading.
    pub(crate) fn kind(&self, reading: usize) -> RepairKind {
        self.kinds[reading]
    }

    /// Whether a malformed row is repaired.
    pub(crate) fn repaired(&self) -> impl Iterator<Item = usize> {
        self.accepted.iter().map(|accepted| accepted.malformed)
    }

    /// Why a malformed row is not repaired, if it was tried.
    pub(crate) fn refusal(&self, place: usize) -> Option<&str> {
        self.refusals.get(&place).map(String::as_str)
    }
}

/// The readings as text columns, with the columns that every row of the file has.
fn batch(layout: &Layout, columns: Vec<StringViewBuilder>, rows: usize) -> Result<RecordBatch> {
    let mut fields = Vec::with_capacity(columns.len() + layout.constants.len());
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(fields.capacity());
    for (name, mut column) in layout.names.iter().zip(columns) {
        fields.push(Field::new(name, DataType::Utf8View, true));
        arrays.push(Arc::new(column.finish()));
    }
    for (name, text) in &layout.constants {
        fields.push(Field::new(name, DataType::Utf8View, true));
        arrays.push(Arc::new(
            std::iter::repeat_n(text.as_deref(), rows).collect::<StringViewArray>(),
        ));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

/// Which rows break no promise at all, not even one that would only be counted.
fn fitting(judged: &Judged) -> Vec<bool> {
    let mut fits = vec![true; judged.coerced.num_rows()];
    let nulls = judged.null_failures.iter().flat_map(|(_, rows)| rows);
    let broken = judged.broken.iter().flat_map(|broken| &broken.rows);
    let types = judged.type_failures.iter().map(|failure| &failure.row);
    for row in nulls.chain(broken).chain(types) {
        fits[*row as usize] = false;
    }
    fits
}

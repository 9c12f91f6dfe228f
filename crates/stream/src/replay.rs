//! [`Replay`]: an epoch run again from the checkpoint before it, because its own is damaged.
//!
//! What comes out was given out when the epoch ran first, and is thrown away. Why the state is the same in the end: see
//! [`crate::trail`].

use std::collections::{BTreeMap, HashMap};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Schema;
use arrow::row::{OwnedRow, RowConverter, SortField};
use serde_json::Value;

use crate::dataflow::Dataflow;
use crate::error::{Result, StreamError};
use crate::trail::{self, Exception, ReadTrail};

/// An epoch on its way again through a dataflow that was restored from the checkpoint before it.
///
/// All its rows are pushed, in any order; then it is [finished](Replay::finish).
pub struct Replay {
    trail: ReadTrail,
    /// The exceptional rows that did not come by yet, by binding.
    awaited: BTreeMap<String, Awaited>,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Replay")
            .field("exceptions", &self.trail.exceptions.len())
            .finish_non_exhaustive()
    }
}

/// Rows of a binding with how many of each are awaited.
struct Awaited {
    converter: RowConverter,
    /// The columns that are compared: those whose values can be.
    columns: Vec<usize>,
    rows: HashMap<OwnedRow, usize>,
    left: usize,
}

impl Replay {
    /// Begins to run an epoch again. `trail` is what its checkpoint gave ([`crate::Checkpoint::trail`]), `read` gives
    /// segments.
    ///
    /// # Errors
    /// [`StreamError::Damaged`] if that cannot be read, or cannot lead to the same state.
    pub fn begin(
        trail: &Value,
        read: &mut dyn FnMut(&str) -> std::io::Result<Vec<u8>>,
    ) -> std::result::Result<Self, StreamError> {
        let trail = trail::read(trail, read)?;
        let mut awaited = BTreeMap::new();
        for exception in &trail.exceptions {
            let batch = &exception.batch;
            let known = match awaited.entry(exception.binding.clone()) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(Awaited::of(batch.schema_ref())?)
                }
            };
            known.add(batch)?;
        }
        Ok(Self { trail, awaited })
    }

    /// Takes rows of a stream.
    ///
    /// # Errors
    /// As [`Dataflow::push`].
    pub fn push(
        &mut self,
        dataflow: &mut Dataflow,
        binding: &str,
        batch: &RecordBatch,
    ) -> std::result::Result<(), StreamError> {
        let plain = match self.awaited.get_mut(binding) {
            Some(awaited) if awaited.left > 0 => awaited.without(batch)?,
            _ => batch.clone(),
        };
        dataflow.again(binding, &plain, self.trail.began)
    }

    /// All rows were pushed: lets the exceptional ones follow as they came, and puts the clocks where they stood.
    ///
    /// # Errors
    /// [`StreamError::Damaged`] if rows that the epoch had did not come: they are other rows.
    pub fn finish(self, dataflow: &mut Dataflow) -> std::result::Result<(), StreamError> {
        let left: usize = self.awaited.values().map(|awaited| awaited.left).sum();
        if left > 0 {
            return Err(StreamError::damaged(format!(
                "the epoch was read again, and {left} rows that it had did not come"
            )));
        }
        for Exception {
            binding,
            met,
            batch,
        } in self.trail.exceptions
        {
            if let Some(met) = met {
                dataflow.stand_at(&met, self.trail.began)?;
                dataflow.again(&binding, &batch, self.trail.began)?;
            }
        }
        dataflow.end_again(&self.trail.clocks, self.trail.counters, self.trail.ended)
    }
}

impl Awaited {
    fn of(schema: &Schema) -> Result<Self> {
        let fields = schema.fields().iter().enumerate();
        let (columns, fields) = fields
            .map(|(at, field)| (at, SortField::new(field.data_type().clone())))
            .filter(|(_, field)| RowConverter::supports_fields(std::slice::from_ref(field)))
            .unzip();
        Ok(Self {
            converter: RowConverter::new(fields)?,
            columns,
            rows: HashMap::new(),
            left: 0,
        })
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in &self.converter.convert_columns(&self.compared(batch))? {
            *self.rows.entry(row.owned()).or_default() += 1;
        }
        self.left += batch.num_rows();
        Ok(())
    }

    /// The rows of a batch that are not awaited; the others have come now.
    fn without(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = self.converter.convert_columns(&self.compared(batch))?;
        let keep = rows.iter().map(|row| {
            match self.rows.get_mut(&row.owned()).filter(|count| **count > 0) {
                Some(count) => {
                    *count -= 1;
                    self.left -= 1;
                    Some(false)
                }
                None => Some(true),
            }
        });
        let keep: BooleanArray = keep.collect();
        Ok(filter_record_batch(batch, &keep)?)
    }

    fn compared(&self, batch: &RecordBatch) -> Vec<ArrayRef> {
        let columns = self.columns.iter();
        columns.map(|&at| batch.column(at).clone()).collect()
    }
}

//! The newest state of each key, of which results are asked after every change.
//!
//! States are columns, written once: a change of some keys takes their states out of where they stand,
//! merges, and writes them as a new part; an index says where the newest state of a key is. So a change costs what
//! changed, not what is there; and a checkpoint writes only the parts that are new. Parts are put
//! together when more than half of their rows are outdated.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, interleave_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::physical_plan::aggregates::group_values::GroupValues;
use serde_json::Value;

use crate::checkpoint::{SegmentReader, SegmentWriter, saved, to_save};
use crate::error::{Result, StreamError};
use crate::groups::{Grouping, Results};

/// The column of a part that says when a key was last touched.
const TOUCHED: &str = "touched#";
/// Parts smaller than this are put together with the next, unless they are in a checkpoint.
const PART_ROWS: usize = 8192;

/// States of keys.
pub(crate) struct KeyedStates {
    grouping: Arc<Grouping>,
    index: Option<Box<dyn GroupValues>>,
    /// Where the state of each key is, by its number in the index.
    places: Vec<Place>,
    parts: Vec<Part>,
    indexes: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    part: u32,
    row: u32,
}

const NOWHERE: Place = Place {
    part: u32::MAX,
    row: u32::MAX,
};

#[derive(Debug)]
struct Part {
    batch: RecordBatch,
    /// The segment it was saved as.
    segment: Option<String>,
}

impl KeyedStates {
    pub(crate) fn new(grouping: &Arc<Grouping>) -> Result<Self> {
        Ok(Self {
            index: grouping.values()?,
            grouping: Arc::clone(grouping),
            places: Vec::new(),
            parts: Vec::new(),
            indexes: Vec::new(),
        })
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Bytes held, about.
    pub(crate) fn size(&self) -> usize {
        let parts: usize = self
            .parts
            .iter()
            .map(|part| part.batch.get_array_memory_size())
            .sum();
        let index = self.index.as_ref().map_or(0, |index| index.size());
        parts + index + self.places.capacity() * size_of::<Place>()
    }

    fn total_rows(&self) -> usize {
        self.parts.iter().map(|part| part.batch.num_rows()).sum()
    }

    /// Merges states of distinct keys, and gives the results of these keys.
    pub(crate) fn apply(&mut self, delta: &RecordBatch, now: i64) -> Result<Results> {
        let rows = delta.num_rows();
        let grouping = Arc::clone(&self.grouping);
        let keys = grouping.keys_of(delta).to_vec();
        self.find(&keys, rows)?;
        let mut accumulators = grouping.accumulators()?;
        let positions: Vec<usize> = (0..rows).collect();
        accumulators.merge(&grouping, delta, &positions, rows)?;
        let (old_rows, old) = self.standing()?;
        if let Some(old) = old {
            accumulators.merge(&grouping, &old, &old_rows, rows)?;
        }
        let states = accumulators.states()?;
        let states = grouping.state_batch(keys.clone(), states, rows)?;
        accumulators.merge(&grouping, &states, &positions, rows)?;
        let values = accumulators.results()?;
        self.append(touched(&states, now)?)?;
        self.tidy()?;
        Ok(Results { keys, values, rows })
    }

    /// Numbers keys into `indexes`; those that are new get a place that is nowhere.
    fn find(&mut self, keys: &[ArrayRef], rows: usize) -> Result<()> {
        self.indexes.clear();
        let count = match &mut self.index {
            Some(index) => {
                index.intern(keys, &mut self.indexes)?;
                index.len()
            }
            None => {
                self.indexes.resize(rows, 0);
                self.places.len().max(usize::from(rows > 0))
            }
        };
        self.places.resize(count, NOWHERE);
        Ok(())
    }

    /// Of the keys just found: the states that stand, and which of the keys each belongs to.
    fn standing(&self) -> Result<(Vec<usize>, Option<RecordBatch>)> {
        let mut rows = Vec::new();
        let mut places = Vec::new();
        for (row, key) in self.indexes.iter().enumerate() {
            let place = self.places.get(*key).copied().unwrap_or(NOWHERE);
            if place != NOWHERE {
                rows.push(row);
                places.push(place);
            }
        }
        if rows.is_empty() {
            return Ok((rows, None));
        }
        let batch = self.gather(&places)?;
        Ok((rows, Some(batch)))
    }

    fn gather(&self, places: &[Place]) -> Result<RecordBatch> {
        let mut numbers = vec![usize::MAX; self.parts.len()];
        let mut batches: Vec<&RecordBatch> = Vec::new();
        let mut indices = Vec::with_capacity(places.len());
        for place in places {
            let part = place.part as usize;
            if numbers[part] == usize::MAX {
                numbers[part] = batches.len();
                batches.push(&self.parts[part].batch);
            }
            indices.push((numbers[part], place.row as usize));
        }
        match batches.as_slice() {
            [one] => {
                let rows = UInt32Array::from_iter_values(places.iter().map(|place| place.row));
                Ok(take_record_batch(one, &rows)?)
            }
            several => Ok(interleave_record_batch(several, &indices)?),
        }
    }

    /// Adds a part with the states of the keys just found.
    fn append(&mut self, batch: RecordBatch) -> Result<()> {
        let small = self.parts.last().is_some_and(|last| {
            last.segment.is_none() && last.batch.num_rows() + batch.num_rows() <= PART_ROWS
        });
        let mut from = 0;
        match (small, self.parts.last_mut()) {
            (true, Some(last)) => {
                from = last.batch.num_rows();
                let schema = last.batch.schema();
                last.batch = concat_batches(&schema, [&last.batch, &batch])?;
            }
            _ => self.parts.push(Part {
                batch,
                segment: None,
            }),
        }
        let part = number(self.parts.len().saturating_sub(1))?;
        for (row, key) in self.indexes.iter().enumerate() {
            self.places[*key] = Place {
                part,
                row: number(from + row)?,
            };
        }
        Ok(())
    }

    /// Puts the parts together if much of them is outdated.
    fn tidy(&mut self) -> Result<()> {
        let (live, total) = (self.places.len(), self.total_rows());
        if total > 2 * live + 2 * PART_ROWS || self.parts.len() > 256 {
            let places = std::mem::take(&mut self.places);
            self.rebuild(&places)?;
        }
        Ok(())
    }

    /// Makes one part, and a new index, of what stands at these places.
    fn rebuild(&mut self, places: &[Place]) -> Result<()> {
        self.places.clear();
        self.index = self.grouping.values()?;
        if places.is_empty() {
            self.parts.clear();
            return Ok(());
        }
        let batch = self.gather(places)?;
        self.parts.clear();
        self.adopt(batch, None)
    }

    fn adopt(&mut self, batch: RecordBatch, segment: Option<String>) -> Result<()> {
        let keys = self.grouping.keys_of(&batch).to_vec();
        self.find(&keys, batch.num_rows())?;
        self.parts.push(Part {
            batch,
            segment: None,
        });
        let part = number(self.parts.len() - 1)?;
        for (row, key) in self.indexes.iter().enumerate() {
            self.places[*key] = Place {
                part,
                row: number(row)?,
            };
        }
        if let Some(last) = self.parts.last_mut() {
            last.segment = segment;
        }
        Ok(())
    }

    /// Forgets the keys that were last touched before this; says how many.
    pub(crate) fn expire(&mut self, before: i64) -> Result<usize> {
        let touched: Vec<Option<Int64Array>> = self
            .parts
            .iter()
            .map(|part| {
                let column = part.batch.column_by_name(TOUCHED)?;
                column.as_primitive_opt::<Int64Type>().cloned()
            })
            .collect();
        let is_live = |place: &Place| {
            let times = touched.get(place.part as usize).and_then(Option::as_ref);
            times.is_none_or(|times| times.value(place.row as usize) >= before)
        };
        let live: Vec<Place> = self.places.iter().copied().filter(is_live).collect();
        let gone = self.places.len() - live.len();
        if gone > 0 {
            self.rebuild(&live)?;
        }
        Ok(gone)
    }

    /// Writes the parts that are new; the value says which parts there are, oldest first.
    pub(crate) fn save(&mut self, writer: &mut SegmentWriter) -> Result<Value> {
        let mut used = vec![false; self.parts.len()];
        for place in &self.places {
            used[place.part as usize] = true;
        }
        let mut names = Vec::new();
        for (part, used) in self.parts.iter_mut().zip(used) {
            match &part.segment {
                Some(name) if used => writer.keep(name),
                None if used => part.segment = Some(writer.write(&part.batch)?),
                _ => {}
            }
            names.extend(part.segment.clone().filter(|_| used));
        }
        to_save(&names)
    }

    /// Takes back what was saved.
    pub(crate) fn load(&mut self, state: &Value, reader: &mut SegmentReader<'_>) -> Result<()> {
        self.places.clear();
        self.parts.clear();
        self.index = self.grouping.values()?;
        for name in saved::<Vec<String>>(state)? {
            let batch = reader.read(&name)?;
            self.grouping.check_keys(&batch)?;
            // Of the same aggregates, or the parts could not be put together.
            let batch = self.completed(batch)?;
            self.adopt(batch, Some(name))?;
        }
        Ok(())
    }

    /// States with those of aggregates that are new in the query, empty.
    fn completed(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let mut accumulators = self.grouping.accumulators()?;
        let positions: Vec<usize> = (0..rows).collect();
        accumulators.merge(&self.grouping, &batch, &positions, rows)?;
        let keys = self.grouping.keys_of(&batch).to_vec();
        let states = self
            .grouping
            .state_batch(keys, accumulators.states()?, rows)?;
        let times = batch.column_by_name(TOUCHED);
        let times = times.and_then(|column| column.as_primitive_opt::<Int64Type>());
        match times {
            Some(times) => with_times(&states, times.clone()),
            None => touched(&states, 0),
        }
    }
}

fn number(count: usize) -> Result<u32> {
    u32::try_from(count).map_err(|_| StreamError::bug("a part has over four billion rows"))
}

fn touched(states: &RecordBatch, now: i64) -> Result<RecordBatch> {
    with_times(states, Int64Array::from_value(now, states.num_rows()))
}

fn with_times(states: &RecordBatch, times: Int64Array) -> Result<RecordBatch> {
    let mut fields = states.schema_ref().fields().to_vec();
    fields.push(Arc::new(Field::new(TOUCHED, DataType::Int64, false)));
    let mut columns = states.columns().to_vec();
    columns.push(Arc::new(times));
    crate::groups::batch(Schema::new(fields), columns, states.num_rows())
}

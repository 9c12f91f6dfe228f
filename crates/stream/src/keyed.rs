//! The newest state of each key, of which results are asked after every change.
//!
//! A change of some keys takes their states out of where they stand ([`crate::parts`]), merges, and
//! writes them anew; an index says where the newest state of a key is. So a change costs what changed,
//! not what is there.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::physical_plan::aggregates::group_values::GroupValues;
use serde_json::Value;

use crate::checkpoint::{SegmentReader, SegmentWriter};
use crate::error::{Result, StreamError};
use crate::groups::{Grouping, Results};
use crate::parts::{Parts, Place};

/// The column that says when a key was last touched.
const TOUCHED: &str = "touched#";

/// Which keys have states, and where these stand.
type Standing = (Vec<usize>, Option<(Vec<Place>, RecordBatch)>);

/// States of keys.
pub(crate) struct KeyedStates {
    grouping: Arc<Grouping>,
    index: Option<Box<dyn GroupValues>>,
    /// Where the state of each key is, by its number in the index.
    places: Vec<Place>,
    parts: Parts,
    indexes: Vec<usize>,
}

impl KeyedStates {
    pub(crate) fn new(grouping: &Arc<Grouping>) -> Result<Self> {
        Ok(Self {
            index: grouping.values()?,
            grouping: Arc::clone(grouping),
            places: Vec::new(),
            parts: Parts::default(),
            indexes: Vec::new(),
        })
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Bytes held, about.
    pub(crate) fn size(&self) -> usize {
        let index = self.index.as_ref().map_or(0, |index| index.size());
        self.parts.bytes() + index + self.places.capacity() * size_of::<Place>()
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
        if let Some((places, old)) = old {
            accumulators.merge(&grouping, &old, &old_rows, rows)?;
            self.parts.forget(&places);
        }
        let states = accumulators.states()?;
        let states = grouping.state_batch(keys.clone(), states, rows)?;
        accumulators.merge(&grouping, &states, &positions, rows)?;
        let values = accumulators.results()?;
        let first = self.parts.append(touched(&states, now)?)?;
        for (row, key) in self.indexes.iter().enumerate() {
            self.places[*key] = first.after(row);
        }
        if self.parts.is_untidy(self.places.len()) {
            let places = std::mem::take(&mut self.places);
            self.rebuild(&places)?;
        }
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
        self.places.resize(count, Place::NOWHERE);
        Ok(())
    }

    /// Of the keys just found: the states that stand, and which of the keys each belongs to.
    fn standing(&self) -> Result<Standing> {
        let mut rows = Vec::new();
        let mut places = Vec::new();
        for (row, key) in self.indexes.iter().enumerate() {
            if self.places[*key] != Place::NOWHERE {
                rows.push(row);
                places.push(self.places[*key]);
            }
        }
        let batch = match places.as_slice() {
            [] => None,
            some => Some(self.parts.gather(some)?),
        };
        Ok((rows, batch.map(|batch| (places, batch))))
    }

    /// Keeps only what stands at these places.
    fn rebuild(&mut self, places: &[Place]) -> Result<()> {
        let first = self.parts.rewrite(places)?;
        let places: Vec<Place> = (0..places.len()).map(|row| first.after(row)).collect();
        self.adopt(&places)
    }

    /// Makes the index of what stands at these places.
    fn adopt(&mut self, places: &[Place]) -> Result<()> {
        self.places.clear();
        self.index = self.grouping.values()?;
        if places.is_empty() {
            return Ok(());
        }
        let batch = self.parts.gather(places)?;
        let keys = self.grouping.keys_of(&batch).to_vec();
        self.find(&keys, batch.num_rows())?;
        for (place, key) in places.iter().zip(&self.indexes) {
            self.places[*key] = *place;
        }
        Ok(())
    }

    /// Forgets the keys that were last touched before this.
    pub(crate) fn expire(&mut self, before: i64) -> Result<()> {
        if self.places.is_empty() {
            return Ok(());
        }
        let batch = self.parts.gather(&self.places)?;
        let times = batch.column_by_name(TOUCHED);
        let times = times
            .and_then(|column| column.as_primitive_opt::<Int64Type>())
            .ok_or_else(|| StreamError::bug("states do not say when they were touched"))?;
        let stays = self.places.iter().zip(times.values());
        let live: Vec<Place> = stays
            .filter(|(_, time)| **time >= before)
            .map(|(place, _)| *place)
            .collect();
        match live.len() < self.places.len() {
            true => self.rebuild(&live),
            false => Ok(()),
        }
    }

    /// The places of the keys of each shard.
    pub(crate) fn by_shard(&self) -> Result<Vec<Vec<Place>>> {
        let keys = |batch: &RecordBatch| Ok(self.grouping.keys_of(batch).to_vec());
        self.parts.by_shard(self.places.iter().copied(), &keys)
    }

    /// The states at these places alone.
    pub(crate) fn only(&self, places: &[Place]) -> Result<Self> {
        let mut only = Self::new(&self.grouping)?;
        let places = self.parts.copy(places, &mut only.parts)?;
        only.adopt(&places)?;
        Ok(only)
    }

    /// Writes what is new; the value says what there is.
    pub(crate) fn save(&mut self, writer: &mut SegmentWriter<'_>) -> Result<Value> {
        self.parts.save(self.places.iter().copied(), writer)
    }

    /// Takes back what was saved.
    pub(crate) fn load(&mut self, state: &Value, reader: &mut SegmentReader<'_>) -> Result<()> {
        let grouping = Arc::clone(&self.grouping);
        let places = self.parts.load(state, reader, &mut |batch| {
            grouping.check_keys(batch)?;
            grouping.completed(batch)
        })?;
        self.adopt(&places)
    }
}

fn touched(states: &RecordBatch, now: i64) -> Result<RecordBatch> {
    with_numbers(
        states,
        TOUCHED,
        Int64Array::from_value(now, states.num_rows()),
    )
}

/// A batch with one more column of numbers.
pub(crate) fn with_numbers(
    batch: &RecordBatch,
    name: &str,
    numbers: Int64Array,
) -> Result<RecordBatch> {
    let mut fields = batch.schema_ref().fields().to_vec();
    fields.push(Arc::new(Field::new(name, DataType::Int64, true)));
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(numbers));
    crate::groups::batch(Schema::new(fields), columns, batch.num_rows())
}

//! Session windows: rows of a key of which none comes more than a gap after the one before.
//!
//! The rows of a batch are cut into fragments; fragments and open sessions of a key that touch become
//! one. Only sessions that changed are merged and written; a session closes when the watermark has passed
//! its end, so that no row to come can prolong it.

mod cut;
mod merging;
mod open;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::compute::{filter_record_batch, take};
use arrow::datatypes::Int64Type;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::aggregates::group_values::GroupValues;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::{SegmentReader, SegmentWriter, saved, to_save};
use crate::clock::BEFORE_ALL;
use crate::error::{Result, StreamError};
use crate::groups::{Grouping, Results};
use crate::keyed::with_numbers;
use crate::operator::{Changes, Identity};
use crate::parts::{Parts, Place};
use crate::shard::{Due, Give, Handed, Shard};
use crate::window::{Layout, WindowColumns, shifted, times};
use merging::{Merging, merging};
use open::Open;

const START: &str = "start#";
const LAST: &str = "last#";

/// What a session aggregate is made from.
pub(crate) struct SessionParts {
    pub(crate) grouping: Arc<Grouping>,
    pub(crate) layout: Layout,
    pub(crate) gap: i64,
    /// The event time of a row.
    pub(crate) time: Arc<dyn PhysicalExpr>,
    /// How far times may be behind the watermark of the input.
    pub(crate) offset: i64,
    pub(crate) meaning: String,
    pub(crate) updating: bool,
}

/// An aggregate by session.
pub(crate) struct SessionAggregate {
    parts: Arc<SessionParts>,
    index: Option<Box<dyn GroupValues>>,
    open: Open,
    states: Parts,
    closed: i64,
}

impl SessionAggregate {
    pub(crate) fn new(parts: &Arc<SessionParts>) -> Result<Self> {
        Ok(Self {
            index: parts.grouping.values()?,
            parts: Arc::clone(parts),
            open: Open::default(),
            states: Parts::default(),
            closed: BEFORE_ALL,
        })
    }

    /// Adds rows. For updated results: the sessions that changed, and those that are no more.
    fn take(&mut self, batch: &RecordBatch, changes: &mut Changes) -> Result<()> {
        let (batch, times) = self.usable(batch)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let gap = self.parts.gap;
        let grouping = Arc::clone(&self.parts.grouping);
        let given = grouping.evaluate(&batch)?;
        let keys = self.number(&given.keys, given.rows)?;
        let (fragments, mut indexes) = cut::fragments(&keys, times.values(), gap)?;
        let merging = merging(&mut self.open, &fragments, gap)?;
        let count = merging.sessions.len();
        for index in &mut indexes {
            *index = merging.fragments[*index];
        }
        let mut accumulators = grouping.accumulators()?;
        accumulators.update(&given, &indexes, count)?;
        if !merging.old.is_empty() {
            let old = self.states.gather(&merging.old)?;
            accumulators.merge(&grouping, &old, &merging.old_in, count)?;
            self.states.forget(&merging.old);
        }
        let states = accumulators.states()?;
        let rows = UInt32Array::from(merging.rows.clone());
        let keys = taken(&given.keys, &rows)?;
        let states = grouping.state_batch(keys.clone(), states, count)?;
        if self.parts.updating {
            let positions: Vec<usize> = (0..count).collect();
            accumulators.merge(&grouping, &states, &positions, count)?;
            let values = accumulators.results()?;
            self.told(&merging, &given.keys, (keys, values), changes)?;
        }
        self.keep(&states, &merging)
    }

    /// The rows whose session may still be open, and their times.
    fn usable(&self, batch: &RecordBatch) -> Result<(RecordBatch, TimestampMicrosecondArray)> {
        let all = times(&self.parts.time, batch)?;
        let open = |time: i64| time.saturating_add(self.parts.gap) >= self.closed;
        if all.null_count() == 0 && arrow::compute::min(&all).is_none_or(open) {
            return Ok((batch.clone(), all));
        }
        let usable = all.iter().map(|time| Some(time.is_some_and(open)));
        let batch = filter_record_batch(batch, &usable.collect())?;
        let times = times(&self.parts.time, &batch)?;
        Ok((batch, times))
    }

    fn number(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<usize>> {
        let mut numbers = Vec::with_capacity(rows);
        match &mut self.index {
            Some(index) => {
                index.intern(keys, &mut numbers)?;
                self.open.resize(index.len());
            }
            None => {
                numbers.resize(rows, 0);
                self.open.resize(1);
            }
        }
        Ok(numbers)
    }

    /// Writes the states of the sessions that were made.
    fn keep(&mut self, states: &RecordBatch, merging: &Merging) -> Result<()> {
        let states = with_numbers(states, START, merging.starts.clone().into())?;
        let states = with_numbers(&states, LAST, merging.lasts.clone().into())?;
        let first = self.states.append(states)?;
        for (row, session) in merging.sessions.iter().enumerate() {
            self.open.set_place(*session, first.after(row));
        }
        self.tidy()
    }

    /// The newest rows of sessions that changed, and the windows that are no more.
    fn told(
        &self,
        merging: &Merging,
        batch_keys: &[ArrayRef],
        (keys, values): (Vec<ArrayRef>, Vec<ArrayRef>),
        changes: &mut Changes,
    ) -> Result<()> {
        let gap = self.parts.gap;
        let rows = merging.sessions.len();
        let windows = windows(merging.starts.clone(), &merging.lasts, gap);
        let results = Results { keys, values, rows };
        if !merging.gone.is_empty() {
            let at = UInt32Array::from_iter_values(merging.gone.iter().map(|gone| gone.0));
            let nothing = results
                .values
                .iter()
                .map(|value| new_null_array(value.data_type(), at.len()));
            let gone = Results {
                keys: taken(batch_keys, &at)?,
                values: nothing.collect(),
                rows: at.len(),
            };
            let gone_at = merging.gone.iter().map(|gone| (gone.1, gone.2));
            let (starts, lasts): (Vec<i64>, Vec<i64>) = gone_at.unzip();
            let ends = self::windows(starts, &lasts, gap);
            let mut layout = self.parts.layout.clone();
            layout.schema = Arc::new(crate::stateless::nullable(&layout.schema));
            changes.deletes.push(layout.assemble(gone, Some(&ends))?);
        }
        let told = self.parts.layout.assemble(results, Some(&windows))?;
        changes.rows.push(told);
        Ok(())
    }

    /// Closes the sessions that ended before the watermark.
    fn close(&mut self, watermark: i64, changes: &mut Changes) -> Result<()> {
        let done = self.open.close(watermark.saturating_sub(self.parts.gap))?;
        let places = done.places;
        if places.is_empty() {
            return Ok(());
        }
        if !self.parts.updating {
            let states = self.states.gather(&places)?;
            let rows = states.num_rows();
            let positions: Vec<usize> = (0..rows).collect();
            let grouping = &self.parts.grouping;
            let mut accumulators = grouping.accumulators()?;
            accumulators.merge(grouping, &states, &positions, rows)?;
            let results = Results {
                keys: grouping.keys_of(&states).to_vec(),
                values: accumulators.results()?,
                rows,
            };
            let ends = windows(done.starts, &done.lasts, self.parts.gap);
            changes
                .rows
                .push(self.parts.layout.assemble(results, Some(&ends))?);
        }
        self.states.forget(&places);
        self.tidy()
    }

    fn tidy(&mut self) -> Result<()> {
        let live = self.open.len();
        if self.states.is_untidy(live) || self.open.keys() > 4 * live + 65_536 {
            let places = self.places();
            let first = self.states.rewrite(&places)?;
            let places: Vec<Place> = (0..places.len()).map(|row| first.after(row)).collect();
            self.adopt(&places)?;
        }
        Ok(())
    }

    fn places(&self) -> Vec<Place> {
        self.open.iter().map(|session| session.place).collect()
    }

    /// Makes the index of the sessions at these places.
    fn adopt(&mut self, places: &[Place]) -> Result<()> {
        self.open = Open::default();
        self.index = self.parts.grouping.values()?;
        if places.is_empty() {
            return Ok(());
        }
        let states = self.states.gather(places)?;
        let column = |name: &str| {
            let column = states.column_by_name(name);
            let column = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
            column.cloned().ok_or_else(|| {
                StreamError::damaged(format!("a segment of sessions has no `{name}`"))
            })
        };
        let (starts, lasts) = (column(START)?, column(LAST)?);
        let grouping = Arc::clone(&self.parts.grouping);
        let keys = self.number(grouping.keys_of(&states), states.num_rows())?;
        for (row, (key, place)) in keys.into_iter().zip(places).enumerate() {
            self.open
                .add(key, starts.value(row), lasts.value(row), *place)?;
        }
        Ok(())
    }
}

fn taken(arrays: &[ArrayRef], rows: &UInt32Array) -> Result<Vec<ArrayRef>> {
    let taken = arrays.iter().map(|array| Ok(take(array, rows, None)?));
    taken.collect()
}

/// Windows from starts and last times.
fn windows(starts: Vec<i64>, lasts: &[i64], gap: i64) -> WindowColumns {
    let ends = lasts.iter().map(|last| last.saturating_add(gap));
    WindowColumns {
        start: TimestampMicrosecondArray::from(starts),
        end: TimestampMicrosecondArray::from(ends.collect::<Vec<i64>>()),
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    closed: i64,
    parts: Value,
}

impl Shard for SessionAggregate {
    fn work(&mut self, handed: Handed, out: &mut Changes) -> Result<()> {
        let input = handed.input();
        for batch in &input.rows {
            self.take(batch, out)?;
        }
        let watermark = shifted(input.watermark, self.parts.offset);
        if watermark > self.closed {
            self.close(watermark, out)?;
            self.closed = watermark;
        }
        Ok(())
    }

    fn identity(&self) -> Identity {
        Identity {
            kind: "session aggregate",
            meaning: self.parts.meaning.clone(),
        }
    }

    fn bytes(&self) -> usize {
        let index = self.index.as_ref().map_or(0, |index| index.size());
        self.states.bytes() + index + self.open.bytes()
    }

    fn rows(&self) -> usize {
        self.open.len()
    }

    fn due(&self) -> Due {
        let first = self.open.first().map(|last| {
            let end = last.saturating_add(self.parts.gap).saturating_add(1);
            end.saturating_sub(self.parts.offset)
        });
        Due::by_watermark(first)
    }

    fn save(&mut self, writer: &mut SegmentWriter<'_>) -> Result<Value> {
        let places = self.places();
        to_save(&Saved {
            closed: self.closed,
            parts: self.states.save(places.into_iter(), writer)?,
        })
    }

    fn load(&mut self, state: &Value, reader: &mut SegmentReader<'_>) -> Result<()> {
        let state: Saved = saved(state)?;
        self.closed = state.closed;
        let grouping = Arc::clone(&self.parts.grouping);
        let places = self.states.load(&state.parts, reader, &mut |batch| {
            grouping.check_keys(batch)?;
            grouping.completed(batch)
        })?;
        self.adopt(&places)
    }

    fn divide(&mut self, give: &mut Give<'_>) -> Result<()> {
        let grouping = Arc::clone(&self.parts.grouping);
        let keys = |batch: &RecordBatch| Ok(grouping.keys_of(batch).to_vec());
        let places = self.states.by_shard(self.places().into_iter(), &keys)?;
        for (number, places) in places.into_iter().enumerate() {
            let mut shard = Self::new(&self.parts)?;
            let places = self.states.copy(&places, &mut shard.states)?;
            shard.adopt(&places)?;
            shard.closed = self.closed;
            give(number, Box::new(shard))?;
        }
        Ok(())
    }
}

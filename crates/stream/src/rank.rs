//! The first rows of each key: top-N, the first row by time, distinct rows.
//!
//! Only rows that could still come out are kept. When they come out is the difference: at once, and again
//! when others take their place (updated results); when the watermark says that no earlier row can come;
//! when the window that they are ranked in has closed; or, if all are alike, at once and once.

mod keeping;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::aggregates::group_values::GroupValues;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::{SegmentReader, SegmentWriter, saved, to_save};
use crate::clock::BEFORE_ALL;
use crate::columns::{arrays, fitted};
use crate::error::Result;
use crate::keyed::with_numbers;
use crate::operator::{Changes, Identity};
use crate::parts::{Parts, Place};
use crate::shard::{Due, Give, Handed, Shard};
use crate::window::{shifted, times};
use keeping::{index, own, places, touches};

const SEQUENCE: &str = "sequence#";
const GIVEN: &str = "given#";
const TOUCHED: &str = "touched#";

/// When rows come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// At once, and again when their number changes.
    Changed,
    /// When no row with an earlier time can come; they are ordered by time.
    Settled,
    /// When the time that is part of their key has passed.
    Closed,
    /// At once: the rows of a key are all alike.
    First,
}

/// What a ranking is made from.
pub(crate) struct RankParts {
    /// The columns of the input.
    pub(crate) input_schema: SchemaRef,
    /// The key; empty ranks all rows together.
    pub(crate) keys: Vec<Arc<dyn PhysicalExpr>>,
    pub(crate) key_schema: SchemaRef,
    pub(crate) order: Vec<Arc<dyn PhysicalExpr>>,
    pub(crate) order_fields: Vec<SortField>,
    /// How many rows of each key come out.
    pub(crate) limit: usize,
    pub(crate) when: When,
    /// The event time, and how far it may be behind the watermark of the input.
    pub(crate) time: Option<(Arc<dyn PhysicalExpr>, i64)>,
    /// The columns of the result: those of the input, and the row's number if there is one more.
    pub(crate) schema: SchemaRef,
    pub(crate) meaning: String,
    pub(crate) time_to_live: Option<i64>,
}

/// A ranking by key.
pub(crate) struct Rank {
    parts: Arc<RankParts>,
    converter: RowConverter,
    index: Option<Box<dyn GroupValues>>,
    ranked: Vec<Ranked>,
    rows: Parts,
    /// Keys of which rows have come out for good.
    given: Parts,
    /// What waits for the watermark: time and key.
    waiting: BTreeSet<(i64, usize)>,
    sequence: i64,
    closed: i64,
    swept: i64,
    kept: usize,
}

/// The rows of a key.
#[derive(Debug, Default)]
struct Ranked {
    /// In their order.
    kept: Vec<Kept>,
    /// How many have come out for good, and where that is written.
    given: usize,
    given_at: Option<Place>,
    touched: i64,
}

#[derive(Debug)]
struct Kept {
    order: Box<[u8]>,
    sequence: i64,
    time: i64,
    row: Row,
}

/// Where a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// In the state.
    At(Place),
    /// In the batch that is being taken.
    New(u32),
}

impl Rank {
    pub(crate) fn new(parts: &Arc<RankParts>) -> Result<Self> {
        Ok(Self {
            converter: RowConverter::new(parts.order_fields.clone())?,
            index: index(&parts.key_schema)?,
            parts: Arc::clone(parts),
            ranked: Vec::new(),
            rows: Parts::default(),
            given: Parts::default(),
            waiting: BTreeSet::new(),
            sequence: 0,
            closed: BEFORE_ALL,
            swept: i64::MIN,
            kept: 0,
        })
    }

    fn number(&mut self, batch: &RecordBatch) -> Result<Vec<usize>> {
        let keys = arrays(&self.parts.keys, batch)?;
        self.number_keys(&keys, batch.num_rows())
    }

    fn number_keys(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<usize>> {
        let mut numbers = Vec::with_capacity(rows);
        match &mut self.index {
            Some(index) => {
                index.intern(keys, &mut numbers)?;
                self.ranked.resize_with(index.len(), Ranked::default);
            }
            None => {
                numbers.resize(rows, 0);
                self.ranked.resize_with(1, Ranked::default);
            }
        }
        Ok(numbers)
    }

    fn times(&self, batch: &RecordBatch) -> Result<Option<Vec<Option<i64>>>> {
        let Some((time, _)) = &self.parts.time else {
            return Ok(None);
        };
        Ok(Some(times(time, batch)?.iter().collect()))
    }

    /// Takes rows; for [`When::Changed`] and [`When::First`], gives those that come out.
    fn take(&mut self, batch: &RecordBatch, now: i64, out: &mut Vec<RecordBatch>) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let keys = self.number(batch)?;
        let orders = self.orders(batch)?;
        let times = self.times(batch)?;
        // By key: the first position that changed.
        let mut changed: BTreeMap<usize, usize> = BTreeMap::new();
        for (row, key) in keys.into_iter().enumerate() {
            let time = match times.as_ref().map(|times| times[row]) {
                Some(None) => continue,
                Some(Some(time)) if time < self.closed => continue,
                Some(Some(time)) => time,
                None => BEFORE_ALL,
            };
            let order = orders
                .as_ref()
                .map_or(&[] as &[u8], |orders| orders.row(row).data());
            let ranked = &mut self.ranked[key];
            ranked.touched = now;
            let free = self.parts.limit.saturating_sub(ranked.given);
            let at = ranked
                .kept
                .partition_point(|kept| kept.order.as_ref() <= order);
            if at >= free {
                continue;
            }
            ranked.kept.insert(
                at,
                Kept {
                    order: order.into(),
                    sequence: self.sequence,
                    time,
                    row: Row::New(u32::try_from(row).unwrap_or(u32::MAX)),
                },
            );
            self.sequence += 1;
            self.kept += 1;
            if ranked.kept.len() > free {
                ranked.kept.pop();
                self.kept -= 1;
            }
            let first = changed.entry(key).or_insert(at);
            *first = (*first).min(at);
            if matches!(self.parts.when, When::Settled | When::Closed) {
                self.waiting.insert((time, key));
            }
        }
        match self.parts.when {
            When::First => self.give_first(batch, &changed, out)?,
            _ => self.write(batch, changed.keys().copied())?,
        }
        if self.parts.when == When::Changed {
            self.tell(&changed, out)?;
        }
        self.tidy()
    }

    /// What rows are ordered by, comparable as bytes; `None` if by nothing.
    fn orders(&self, batch: &RecordBatch) -> Result<Option<Rows>> {
        if self.parts.order.is_empty() {
            return Ok(None);
        }
        let columns = arrays(&self.parts.order, batch)?;
        Ok(Some(self.converter.convert_columns(&columns)?))
    }

    /// Puts the rows of a batch that stay into the state.
    fn write(&mut self, batch: &RecordBatch, keys: impl Iterator<Item = usize>) -> Result<()> {
        let mut rows = Vec::new();
        let mut sequences = Vec::new();
        let mut new: Vec<(usize, usize)> = Vec::new();
        for key in keys {
            for (at, kept) in self.ranked[key].kept.iter().enumerate() {
                if let Row::New(row) = kept.row {
                    rows.push(row);
                    sequences.push(kept.sequence);
                    new.push((key, at));
                }
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let rows = take_record_batch(batch, &UInt32Array::from(rows))?;
        let rows = with_numbers(&rows, SEQUENCE, Int64Array::from(sequences))?;
        let first = self.rows.append(rows)?;
        for (count, (key, at)) in new.into_iter().enumerate() {
            self.ranked[key].kept[at].row = Row::At(first.after(count));
        }
        Ok(())
    }

    /// The rows of keys that are new; of these only the key is remembered.
    fn give_first(
        &mut self,
        batch: &RecordBatch,
        changed: &BTreeMap<usize, usize>,
        out: &mut Vec<RecordBatch>,
    ) -> Result<()> {
        let mut rows: Vec<(u32, usize)> = Vec::new();
        for key in changed.keys() {
            let ranked = &mut self.ranked[*key];
            for kept in ranked.kept.drain(..) {
                if let Row::New(row) = kept.row {
                    rows.push((row, *key));
                }
                ranked.given += 1;
                self.kept -= 1;
                if self.parts.time.is_some() {
                    self.waiting.insert((kept.time, *key));
                }
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        rows.sort_unstable();
        let keys: Vec<usize> = rows.iter().map(|(_, key)| *key).collect();
        let rows = UInt32Array::from_iter_values(rows.into_iter().map(|(row, _)| row));
        let rows = take_record_batch(batch, &rows)?;
        self.remember(&rows, &keys)?;
        out.push(self.numbered(rows, None)?);
        Ok(())
    }

    /// Writes down that rows of these keys, which have one row each here, have come out.
    fn remember(&mut self, rows: &RecordBatch, keys: &[usize]) -> Result<()> {
        let columns = arrays(&self.parts.keys, rows)?;
        let schema = self.parts.key_schema.as_ref().clone();
        let batch = crate::groups::batch(schema, columns, rows.num_rows())?;
        let numbers = |of: &dyn Fn(&Ranked) -> i64| {
            Int64Array::from_iter_values(keys.iter().map(|key| of(&self.ranked[*key])))
        };
        let given = numbers(&|ranked| i64::try_from(ranked.given).unwrap_or(i64::MAX));
        let touched = numbers(&|ranked| ranked.touched);
        let batch = with_numbers(&batch, GIVEN, given)?;
        let batch = with_numbers(&batch, TOUCHED, touched)?;
        let first = self.given.append(batch)?;
        for (count, key) in keys.iter().enumerate() {
            self.ranked[*key].given_at = Some(first.after(count));
        }
        Ok(())
    }

    /// The rows from the first position that changed, with their new numbers.
    fn tell(&self, changed: &BTreeMap<usize, usize>, out: &mut Vec<RecordBatch>) -> Result<()> {
        let mut places = Vec::new();
        let mut numbers = Vec::new();
        for (key, first) in changed {
            let rows = self.ranked[*key].kept.iter().zip(1_u64..).skip(*first);
            for (kept, number) in rows {
                if let Row::At(place) = kept.row {
                    places.push(place);
                    numbers.push(number);
                }
            }
        }
        out.extend(self.gathered(&places, numbers)?);
        Ok(())
    }

    /// Rows of the state, with their numbers.
    fn gathered(&self, places: &[Place], numbers: Vec<u64>) -> Result<Option<RecordBatch>> {
        if places.is_empty() {
            return Ok(None);
        }
        let rows = self.rows.gather(places)?;
        let columns: Vec<usize> = (0..self.parts.input_schema.fields().len()).collect();
        let rows = rows.project(&columns)?;
        self.numbered(rows, Some(numbers)).map(Some)
    }

    fn numbered(&self, rows: RecordBatch, numbers: Option<Vec<u64>>) -> Result<RecordBatch> {
        let mut columns = rows.columns().to_vec();
        if columns.len() < self.parts.schema.fields().len() {
            let numbers = numbers.unwrap_or_else(|| vec![1; rows.num_rows()]);
            columns.push(Arc::new(UInt64Array::from(numbers)));
        }
        let schema = self.parts.schema.as_ref().clone();
        crate::groups::batch(schema, columns, rows.num_rows())
    }

    /// Gives out what the watermark has passed.
    fn close(&mut self, watermark: i64, out: &mut Vec<RecordBatch>) -> Result<()> {
        let mut places = Vec::new();
        let mut numbers = Vec::new();
        let mut settled = Vec::new();
        while let Some((time, key)) = self.waiting.first().copied()
            && time < watermark
        {
            self.waiting.pop_first();
            let ranked = &mut self.ranked[key];
            let passed = ranked
                .kept
                .iter()
                .take_while(|kept| kept.time < watermark)
                .count();
            for kept in ranked.kept.drain(..passed) {
                let Row::At(place) = kept.row else { continue };
                ranked.given += 1;
                self.kept -= 1;
                places.push(place);
                numbers.push(ranked.given as u64);
                settled.push(key);
            }
            if matches!(self.parts.when, When::Closed | When::First) {
                // Nothing of this key can come any more.
                *ranked = Ranked::default();
            }
        }
        let Some(rows) = self.gathered(&places, numbers)? else {
            return Ok(());
        };
        if self.parts.when == When::Settled {
            // The last row of each key says how many.
            let mut last: BTreeMap<usize, u32> = BTreeMap::new();
            last.extend(settled.iter().copied().zip(0_u32..));
            let at = UInt32Array::from_iter_values(last.values().copied());
            let keys: Vec<usize> = last.into_keys().collect();
            self.remember(&take_record_batch(&rows, &at)?, &keys)?;
        }
        out.push(rows);
        Ok(())
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    closed: i64,
    sequence: i64,
    swept: i64,
    rows: Value,
    given: Value,
    /// If keys have a life: when the keys of the rows were touched, and then those of `given`.
    touched: Option<String>,
}

impl Shard for Rank {
    fn work(&mut self, handed: Handed, out: &mut Changes) -> Result<()> {
        let input = handed.input();
        self.sweep(handed.now)?;
        for batch in &input.rows {
            self.take(batch, handed.now, &mut out.rows)?;
        }
        if let Some((_, offset)) = self.parts.time {
            let watermark = shifted(input.watermark, offset);
            if watermark > self.closed {
                self.close(watermark, &mut out.rows)?;
                self.closed = watermark;
                self.tidy()?;
            }
        }
        Ok(())
    }

    fn identity(&self) -> Identity {
        Identity {
            kind: match self.parts.when {
                When::First => "deduplication",
                _ => "ranking",
            },
            meaning: self.parts.meaning.clone(),
        }
    }

    fn bytes(&self) -> usize {
        let index = self.index.as_ref().map_or(0, |index| index.size());
        let kept = self.kept * (size_of::<Kept>() + 16);
        let lists = self.ranked.capacity() * size_of::<Ranked>();
        let waiting = self.waiting.len() * 2 * size_of::<(i64, usize)>();
        self.rows.bytes() + self.given.bytes() + index + kept + lists + waiting
    }

    fn rows(&self) -> usize {
        match self.parts.when {
            When::First => self.given_places().len(),
            _ => self.kept,
        }
    }

    fn due(&self) -> Due {
        let time = match self.parts.when {
            // These come out; keys that were given are only forgotten, best all at once.
            When::Settled | When::Closed => self.waiting.first(),
            When::Changed | When::First => self.waiting.last(),
        };
        let offset = self.parts.time.as_ref().map_or(0, |(_, offset)| *offset);
        let passed = time.map(|(time, _)| time.saturating_add(1).saturating_sub(offset));
        Due {
            now: Due::by_life(self.parts.time_to_live, self.swept, self.ranked.len()).now,
            ..Due::by_watermark(passed)
        }
    }

    fn is_timeless(&self) -> bool {
        self.parts.time.is_none() && self.parts.time_to_live.is_none()
    }

    fn save(&mut self, writer: &mut SegmentWriter<'_>) -> Result<Value> {
        let (rows, given) = (self.touched_rows(), self.touched_given());
        let touched = match self.parts.time_to_live {
            Some(_) => Some(writer.write(&touches(&rows, &given)?)?),
            None => None,
        };
        to_save(&Saved {
            closed: self.closed,
            sequence: self.sequence,
            swept: self.swept,
            rows: self.rows.save(places(&rows).into_iter(), writer)?,
            given: self.given.save(places(&given).into_iter(), writer)?,
            touched,
        })
    }

    fn load(&mut self, state: &Value, reader: &mut SegmentReader<'_>) -> Result<()> {
        let state: Saved = saved(state)?;
        (self.closed, self.sequence) = (state.closed, state.sequence);
        self.swept = state.swept;
        let schema = Arc::clone(&self.parts.input_schema);
        let rows = self
            .rows
            .load(&state.rows, reader, &mut |batch| fitted(&schema, batch))?;
        let given = self.given.load(&state.given, reader, &mut |_| Ok(None))?;
        let touched = match state.touched {
            Some(name) => own(&reader.read(&name)?, TOUCHED)?.values().to_vec(),
            // When, nobody wrote down: they live on.
            None => vec![state.swept.max(0); rows.len() + given.len()],
        };
        self.adopt(&rows, &given, &touched)
    }

    fn divide(&mut self, give: &mut Give<'_>) -> Result<()> {
        let parts = Arc::clone(&self.parts);
        let of_rows = |batch: &RecordBatch| arrays(&parts.keys, batch);
        let count = parts.keys.len();
        let of_given = |batch: &RecordBatch| Ok(batch.columns()[..count].to_vec());
        let touched: HashMap<Place, i64> = self.touched_rows().into_iter().collect();
        let given_touched: HashMap<Place, i64> = self.touched_given().into_iter().collect();
        let rows = self.rows.by_shard(touched.keys().copied(), &of_rows)?;
        let given = self
            .given
            .by_shard(given_touched.keys().copied(), &of_given)?;
        for (number, (mut rows, mut given)) in rows.into_iter().zip(given).enumerate() {
            rows.sort_unstable();
            given.sort_unstable();
            let mut times: Vec<i64> = rows.iter().map(|place| touched[place]).collect();
            times.extend(given.iter().map(|place| given_touched[place]));
            let mut shard = Self::new(&parts)?;
            (shard.closed, shard.sequence) = (self.closed, self.sequence);
            shard.swept = self.swept;
            let rows = self.rows.copy(&rows, &mut shard.rows)?;
            let given = self.given.copy(&given, &mut shard.given)?;
            shard.adopt(&rows, &given, &times)?;
            give(number, Box::new(shard))?;
        }
        Ok(())
    }
}

//! The first rows of each key: top-N, the first row by time, distinct rows.
//!
//! Only rows that could still come out are kept. When they come out is the difference: at once, and again
//! when others take their place (updated results); when the watermark says that no earlier row can come;
//! when the window that they are ranked in has closed; or, if all are alike, at once and once.

mod keeping;

use std::collections::{BTreeMap, BTreeSet};
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
use crate::operator::{Changes, Identity, Operator, Turn};
use crate::options::OperatorStats;
use crate::parts::{Parts, Place};
use crate::window::{shifted, times};
use keeping::index;

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
    pub(crate) input: Box<dyn Operator>,
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
    pub(crate) slot: usize,
    /// The columns of the result: those of the input, and the row's number if there is one more.
    pub(crate) schema: SchemaRef,
    pub(crate) meaning: String,
    pub(crate) time_to_live: Option<i64>,
}

/// A ranking by key.
pub(crate) struct Rank {
    parts: RankParts,
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
    pub(crate) fn new(parts: RankParts) -> Result<Self> {
        Ok(Self {
            converter: RowConverter::new(parts.order_fields.clone())?,
            index: index(&parts.key_schema)?,
            parts,
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
}

impl Operator for Rank {
    fn turn(&mut self, turn: &mut Turn<'_>) -> Result<Changes> {
        let input = self.parts.input.turn(turn)?;
        self.sweep(turn.now)?;
        let mut rows = Vec::new();
        for batch in &input.rows {
            self.take(batch, turn.now, &mut rows)?;
        }
        if let Some((_, offset)) = self.parts.time {
            let watermark = shifted(input.watermark, offset);
            if watermark > self.closed {
                self.close(watermark, &mut rows)?;
                self.closed = watermark;
                self.tidy()?;
            }
            turn.marks.set(self.parts.slot, self.closed);
        }
        Ok(Changes::rows(rows, input.watermark))
    }

    fn inputs(&mut self) -> Vec<&mut Box<dyn Operator>> {
        vec![&mut self.parts.input]
    }

    fn inputs_ref(&self) -> Vec<&dyn Operator> {
        vec![self.parts.input.as_ref()]
    }

    fn identity(&self) -> Option<Identity> {
        Some(Identity {
            kind: match self.parts.when {
                When::First => "deduplication",
                _ => "ranking",
            },
            meaning: self.parts.meaning.clone(),
        })
    }

    fn bytes(&self) -> usize {
        let index = self.index.as_ref().map_or(0, |index| index.size());
        let kept = self.kept * (size_of::<Kept>() + 16);
        let lists = self.ranked.capacity() * size_of::<Ranked>();
        self.rows.bytes() + self.given.bytes() + index + kept + lists
    }

    fn stats(&self) -> Option<OperatorStats> {
        Some(OperatorStats {
            name: self.identity()?.kind.to_owned(),
            rows: match self.parts.when {
                When::First => self.given_places().len() as u64,
                _ => self.kept as u64,
            },
            bytes: self.bytes(),
            spilled_bytes: 0,
        })
    }

    fn save(&mut self, writer: &mut SegmentWriter) -> Result<Value> {
        let (rows, given) = (self.places(), self.given_places());
        to_save(&Saved {
            closed: self.closed,
            sequence: self.sequence,
            swept: self.swept,
            rows: self.rows.save(rows.into_iter(), writer)?,
            given: self.given.save(given.into_iter(), writer)?,
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
        self.adopt(&rows, &given)?;
        let now = state.swept.max(0);
        for ranked in &mut self.ranked {
            ranked.touched = ranked.touched.max(now);
        }
        Ok(())
    }
}

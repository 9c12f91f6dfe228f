//! The first rows of each key: top-N, the first row by time, distinct rows.
//!
//! Only rows that could still come out are kept. When they come out is the difference: at once, and again
//! when others take their place (updated results); when the watermark says that no earlier row can come;
//! when the window that they are ranked in has closed; or, if all are alike, at once and once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::{SegmentReader, SegmentWriter, saved, to_save};
use crate::clock::BEFORE_ALL;
use crate::error::{Result, StreamError};
use crate::keyed::with_numbers;
use crate::operator::{Changes, Identity, Operator, Turn};
use crate::options::OperatorStats;
use crate::parts::{Parts, Place};
use crate::window::{shifted, times};

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

    /// Forgets keys that were not touched for too long.
    fn sweep(&mut self, now: i64) -> Result<()> {
        let Some(life) = self.parts.time_to_live else {
            return Ok(());
        };
        if now.saturating_sub(self.swept) < life / 8 {
            return Ok(());
        }
        self.swept = now;
        let before = now.saturating_sub(life);
        let settled = self.parts.when == When::Settled;
        let mut gone = false;
        for ranked in &mut self.ranked {
            let waits = settled && !ranked.kept.is_empty();
            let used = ranked.given > 0 || !ranked.kept.is_empty();
            if used && !waits && ranked.touched < before {
                self.kept -= ranked.kept.len();
                *ranked = Ranked::default();
                gone = true;
            }
        }
        match gone {
            true => self.rebuild(),
            false => Ok(()),
        }
    }

    fn tidy(&mut self) -> Result<()> {
        // Keys whose time has passed stay in the index until it is made anew.
        let passes = matches!(self.parts.when, When::Closed | When::First);
        let passed = passes
            && self.parts.time.is_some()
            && self.ranked.len() > 4 * self.waiting.len() + 65_536;
        match passed || self.rows.is_untidy(self.kept) || self.given.is_untidy(self.ranked.len()) {
            true => self.rebuild(),
            false => Ok(()),
        }
    }

    /// Puts together what is still used, and numbers its keys anew.
    fn rebuild(&mut self) -> Result<()> {
        let rows = self.places();
        let first = self.rows.rewrite(&rows)?;
        let rows: Vec<Place> = (0..rows.len()).map(|row| first.after(row)).collect();
        let given = self.given_places();
        let first = self.given.rewrite(&given)?;
        let given: Vec<Place> = (0..given.len()).map(|row| first.after(row)).collect();
        let touched = self.touched();
        self.adopt(&rows, &given)?;
        for (ranked, touched) in self.ranked.iter_mut().zip(touched) {
            ranked.touched = touched;
        }
        Ok(())
    }

    /// When keys were touched, in the order in which [`Self::adopt`] will number them.
    fn touched(&self) -> Vec<i64> {
        let given = self
            .ranked
            .iter()
            .filter(|ranked| ranked.given_at.is_some());
        let kept = self
            .ranked
            .iter()
            .filter(|ranked| ranked.given_at.is_none() && !ranked.kept.is_empty());
        given.chain(kept).map(|ranked| ranked.touched).collect()
    }

    fn places(&self) -> Vec<Place> {
        let kept = self.ranked.iter().flat_map(|ranked| &ranked.kept);
        kept.filter_map(|kept| match kept.row {
            Row::At(place) => Some(place),
            Row::New(_) => None,
        })
        .collect()
    }

    fn given_places(&self) -> Vec<Place> {
        self.ranked
            .iter()
            .filter_map(|ranked| ranked.given_at)
            .collect()
    }

    /// Makes everything else from the rows at these places, and the keys of which some have come
    /// out.
    fn adopt(&mut self, rows: &[Place], given: &[Place]) -> Result<()> {
        self.ranked.clear();
        self.waiting.clear();
        self.kept = rows.len();
        self.index = index(&self.parts.key_schema)?;
        if !given.is_empty() {
            let batch = self.given.gather(given)?;
            let count = self.parts.keys.len();
            let numbers = self.number_keys(&batch.columns()[..count], batch.num_rows())?;
            let (counts, touched) = (own(&batch, GIVEN)?, own(&batch, TOUCHED)?);
            for (row, key) in numbers.into_iter().enumerate() {
                let ranked = &mut self.ranked[key];
                ranked.given = usize::try_from(counts.value(row)).unwrap_or(0);
                ranked.given_at = Some(given[row]);
                ranked.touched = touched.value(row);
            }
            if self.parts.when == When::First && self.parts.time.is_some() {
                self.wait_for_keys(&batch)?;
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let batch = self.rows.gather(rows)?;
        let sequences = own(&batch, SEQUENCE)?;
        let schema = self.parts.input_schema.as_ref().clone();
        let columns = batch.columns()[..schema.fields().len()].to_vec();
        let batch = crate::groups::batch(schema, columns, batch.num_rows())?;
        let keys = self.number(&batch)?;
        let orders = self.orders(&batch)?;
        let times = self.times(&batch)?;
        for (row, key) in keys.into_iter().enumerate() {
            let time = times.as_ref().and_then(|times| times[row]);
            let time = time.unwrap_or(BEFORE_ALL);
            self.ranked[key].kept.push(Kept {
                order: orders
                    .as_ref()
                    .map_or(&[] as &[u8], |orders| orders.row(row).data())
                    .into(),
                sequence: sequences.value(row),
                time,
                row: Row::At(rows[row]),
            });
            if matches!(self.parts.when, When::Settled | When::Closed) {
                self.waiting.insert((time, key));
            }
        }
        for ranked in &mut self.ranked {
            let by = |one: &Kept, other: &Kept| {
                (&one.order, one.sequence).cmp(&(&other.order, other.sequence))
            };
            ranked.kept.sort_unstable_by(by);
        }
        Ok(())
    }

    /// Keys that hold a time are forgotten once it has passed; here the keys alone are at hand.
    fn wait_for_keys(&mut self, batch: &RecordBatch) -> Result<()> {
        let count = self.parts.keys.len();
        if count != self.parts.input_schema.fields().len() {
            return Err(StreamError::bug("distinct rows by a part of their columns"));
        }
        let schema = self.parts.input_schema.as_ref().clone();
        let columns = batch.columns()[..count].to_vec();
        let rows = crate::groups::batch(schema, columns, batch.num_rows())?;
        let keys = self.number(&rows)?;
        if let Some(times) = self.times(&rows)? {
            let times = times.into_iter().zip(keys);
            let times = times.filter_map(|(time, key)| Some((time?, key)));
            self.waiting.extend(times);
        }
        Ok(())
    }
}

fn own(batch: &RecordBatch, name: &str) -> Result<Int64Array> {
    let column = batch.column_by_name(name);
    let column = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
    column
        .cloned()
        .ok_or_else(|| StreamError::damaged(format!("a segment of ranked rows has no `{name}`")))
}

fn index(keys: &SchemaRef) -> Result<Option<Box<dyn GroupValues>>> {
    if keys.fields().is_empty() {
        return Ok(None);
    }
    Ok(Some(new_group_values(
        Arc::clone(keys),
        &GroupOrdering::None,
    )?))
}

/// The values of expressions for every row of a batch.
pub(crate) fn arrays(
    expressions: &[Arc<dyn PhysicalExpr>],
    batch: &RecordBatch,
) -> Result<Vec<ArrayRef>> {
    let arrays = expressions
        .iter()
        .map(|expression| expression.evaluate(batch)?.into_array(batch.num_rows()));
    Ok(arrays.collect::<datafusion::common::Result<_>>()?)
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

/// Rows that were kept by the columns of before, as rows of the columns of now: columns that are new
/// are NULL.
pub(crate) fn fitted(schema: &SchemaRef, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
    let before = batch.schema_ref();
    let count = schema.fields().len();
    let same = before.fields().len() > count
        && schema
            .fields()
            .iter()
            .zip(before.fields())
            .all(|(now, before)| {
                now.name() == before.name() && now.data_type() == before.data_type()
            })
        && before.fields()[count..]
            .iter()
            .all(|field| field.name().ends_with('#'));
    if same {
        return Ok(None);
    }
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for field in schema.fields() {
        let found = batch.column_by_name(field.name());
        let found = found.filter(|column| column.data_type() == field.data_type());
        columns.push(match found {
            Some(column) => Arc::clone(column),
            None if field.is_nullable() => {
                arrow::array::new_null_array(field.data_type(), batch.num_rows())
            }
            None => {
                return Err(StreamError::StateMismatch {
                    operator: "the rows that are kept".to_owned(),
                    reason: format!("they have no `{}`, which cannot be NULL", field.name()),
                });
            }
        });
        fields.push(Arc::clone(field));
    }
    for (field, column) in before.fields().iter().zip(batch.columns()) {
        if field.name().ends_with('#') {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    crate::groups::batch(Schema::new(fields), columns, batch.num_rows()).map(Some)
}

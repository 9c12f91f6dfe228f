//! What a ranking remembers: forgotten in time, put together, and made anew from rows and keys.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{Field, Int64Type, Schema, SchemaRef};
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

use super::{GIVEN, Kept, Rank, Ranked, Row, SEQUENCE, TOUCHED, When};
use crate::clock::BEFORE_ALL;
use crate::error::{Result, StreamError};
use crate::parts::Place;

impl Rank {
    /// Forgets keys that were not touched for too long.
    pub(super) fn sweep(&mut self, now: i64) -> Result<()> {
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

    pub(super) fn tidy(&mut self) -> Result<()> {
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
    pub(super) fn rebuild(&mut self) -> Result<()> {
        let (rows, given) = (self.touched_rows(), self.touched_given());
        let touched: Vec<i64> = rows.iter().chain(&given).map(|(_, time)| *time).collect();
        let (rows, given) = (places(&rows), places(&given));
        let first = self.rows.rewrite(&rows)?;
        let rows: Vec<Place> = (0..rows.len()).map(|row| first.after(row)).collect();
        let first = self.given.rewrite(&given)?;
        let given: Vec<Place> = (0..given.len()).map(|row| first.after(row)).collect();
        self.adopt(&rows, &given, &touched)
    }

    /// Where the rows are, in order, and when their keys were touched.
    pub(super) fn touched_rows(&self) -> Vec<(Place, i64)> {
        let of = |ranked: &Ranked| {
            let touched = ranked.touched;
            let places = ranked.kept.iter().filter_map(move |kept| match kept.row {
                Row::At(place) => Some((place, touched)),
                Row::New(_) => None,
            });
            places.collect::<Vec<_>>()
        };
        let mut touched: Vec<(Place, i64)> = self.ranked.iter().flat_map(of).collect();
        touched.sort_unstable();
        touched
    }

    /// The same for the keys of which rows have come out for good.
    pub(super) fn touched_given(&self) -> Vec<(Place, i64)> {
        let of = |ranked: &Ranked| Some((ranked.given_at?, ranked.touched));
        let mut touched: Vec<(Place, i64)> = self.ranked.iter().filter_map(of).collect();
        touched.sort_unstable();
        touched
    }

    pub(super) fn given_places(&self) -> Vec<Place> {
        self.ranked
            .iter()
            .filter_map(|ranked| ranked.given_at)
            .collect()
    }

    /// Makes everything else from the rows at these places, and the keys of which some have come
    /// out.
    /// `touched` says when the keys of the rows were touched, and then those of `given`.
    pub(super) fn adopt(&mut self, rows: &[Place], given: &[Place], touched: &[i64]) -> Result<()> {
        self.ranked.clear();
        self.waiting.clear();
        self.kept = rows.len();
        self.index = index(&self.parts.key_schema)?;
        if !given.is_empty() {
            let batch = self.given.gather(given)?;
            let count = self.parts.keys.len();
            let numbers = self.number_keys(&batch.columns()[..count], batch.num_rows())?;
            let counts = own(&batch, GIVEN)?;
            for (row, key) in numbers.into_iter().enumerate() {
                let ranked = &mut self.ranked[key];
                ranked.given = usize::try_from(counts.value(row)).unwrap_or(0);
                ranked.given_at = Some(given[row]);
                ranked.touched = touched.get(rows.len() + row).copied().unwrap_or(0);
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
            let touched = touched.get(row).copied().unwrap_or(0);
            let ranked = &mut self.ranked[key];
            ranked.touched = ranked.touched.max(touched);
            ranked.kept.push(Kept {
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

pub(super) fn own(batch: &RecordBatch, name: &str) -> Result<Int64Array> {
    let column = batch.column_by_name(name);
    let column = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
    column
        .cloned()
        .ok_or_else(|| StreamError::damaged(format!("a segment of ranked rows has no `{name}`")))
}

/// Places without times.
pub(super) fn places(touched: &[(Place, i64)]) -> Vec<Place> {
    touched.iter().map(|(place, _)| *place).collect()
}

/// Times without places.
pub(super) fn touches(rows: &[(Place, i64)], given: &[(Place, i64)]) -> Result<RecordBatch> {
    let times = rows.iter().chain(given).map(|(_, time)| *time);
    let times = Int64Array::from_iter_values(times);
    let field = Field::new(TOUCHED, times.data_type().clone(), false);
    let rows = times.len();
    crate::groups::batch(Schema::new(vec![field]), vec![Arc::new(times)], rows)
}

/// An empty index of these keys; `None` without keys.
pub(super) fn index(keys: &SchemaRef) -> Result<Option<Box<dyn GroupValues>>> {
    if keys.fields().is_empty() {
        return Ok(None);
    }
    Ok(Some(new_group_values(
        Arc::clone(keys),
        &GroupOrdering::None,
    )?))
}

//! Joins of two streams, and of a stream with a table.
//!
//! Each side remembers its rows by key until the watermark of the other says that no match can come; a
//! row is matched with what the other side remembers when it comes, so that each pair is found once.
//! Rows without a match come out (for outer joins) when none can come any more.

pub(crate) mod lookup;
pub(crate) mod side;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{filter_record_batch, prep_null_mask_filter, take_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::common::JoinType;
use datafusion::physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::{SegmentReader, SegmentWriter, saved, to_save};
use crate::clock::AFTER_ALL;
use crate::error::{Result, StreamError};
use crate::operator::{Changes, Identity};
use crate::shard::{Due, Give, Handed, SHARDS, Shard};
use crate::window::shifted;
use side::{Generation, Keyed, SavedGeneration, Side, SideKeys};

/// Pairs that are looked at together.
const PAIRS: usize = 32_768;

/// Of which columns a join's rows are made, and which of them count.
pub(crate) struct Shape {
    pub(crate) join: JoinType,
    /// Left columns, then right columns.
    pub(crate) both: SchemaRef,
    /// How many columns are the left side's.
    pub(crate) left: usize,
    pub(crate) filter: Option<Arc<dyn PhysicalExpr>>,
    /// The columns of the result.
    pub(crate) schema: SchemaRef,
}

impl Shape {
    /// Pairs as rows; of two batches with as many rows.
    fn paired(&self, left: &RecordBatch, right: &RecordBatch) -> Result<RecordBatch> {
        let columns = left.columns().iter().chain(right.columns()).cloned();
        let schema = self.both.as_ref().clone();
        crate::groups::batch(schema, columns.collect(), left.num_rows())
    }

    /// Which pairs the condition keeps; `None` for all.
    fn kept(&self, pairs: &RecordBatch) -> Result<Option<arrow::array::BooleanArray>> {
        let Some(filter) = &self.filter else {
            return Ok(None);
        };
        let verdict = filter.evaluate(pairs)?.into_array(pairs.num_rows())?;
        Ok(Some(match verdict.as_boolean_opt() {
            Some(verdict) if verdict.null_count() > 0 => prep_null_mask_filter(verdict),
            Some(verdict) => verdict.clone(),
            None => vec![false; pairs.num_rows()].into(),
        }))
    }

    /// A side's rows without a match.
    fn alone(&self, rows: &RecordBatch, is_left: bool) -> Result<RecordBatch> {
        let count = rows.num_rows();
        let nulls = |range: std::ops::Range<usize>| {
            range.map(|at| new_null_array(self.both.field(at).data_type(), count))
        };
        let own = rows.columns().iter().cloned();
        let columns: Vec<ArrayRef> = match (self.one_sided(), is_left) {
            (true, _) => own.collect(),
            (false, true) => own
                .chain(nulls(self.left..self.both.fields().len()))
                .collect(),
            (false, false) => nulls(0..self.left).chain(own).collect(),
        };
        crate::groups::batch(self.schema.as_ref().clone(), columns, count)
    }

    /// Whether only the left side's columns come out.
    fn one_sided(&self) -> bool {
        matches!(self.join, JoinType::LeftSemi | JoinType::LeftAnti)
    }

    /// Whether pairs come out.
    fn gives_pairs(&self) -> bool {
        !self.one_sided()
    }

    /// Whether rows of a side without a match come out.
    pub(crate) fn gives_alone(&self, is_left: bool) -> bool {
        match self.join {
            JoinType::Full => true,
            JoinType::Left | JoinType::LeftAnti => is_left,
            JoinType::Right => !is_left,
            _ => false,
        }
    }

    fn output(&self, pairs: RecordBatch) -> Result<RecordBatch> {
        let rows = pairs.num_rows();
        let columns = pairs.columns().to_vec();
        crate::groups::batch(self.schema.as_ref().clone(), columns, rows)
    }
}

/// When rows of a side can have no match any more: their time plus `reach` is before the other side's
/// watermark (moved by `offset`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) reach: i64,
    pub(crate) offset: i64,
}

impl Reach {
    /// Rows before this time are out.
    fn before(self, watermark: i64) -> i64 {
        shifted(shifted(watermark, self.offset), -self.reach)
    }

    /// The first watermark with which rows of this time are out.
    fn watermark_after(self, time: i64) -> i64 {
        match time {
            AFTER_ALL => AFTER_ALL,
            time => time
                .saturating_add(self.reach)
                .saturating_sub(self.offset)
                .saturating_add(1),
        }
    }
}

/// How the rows of one input are remembered.
pub(crate) struct JoinSide {
    pub(crate) keys: Arc<SideKeys>,
    /// When they are dropped; `None` never.
    pub(crate) reach: Option<Reach>,
}

/// What a join is made from.
pub(crate) struct JoinParts {
    pub(crate) left: JoinSide,
    pub(crate) right: JoinSide,
    pub(crate) shape: Shape,
    /// The least and greatest that the right time is after the left, if both sides are dropped by
    /// these times.
    pub(crate) span: Option<(i64, i64)>,
    pub(crate) time_to_live: Option<i64>,
    pub(crate) meaning: String,
}

/// A join of two streams.
pub(crate) struct Join {
    parts: Arc<JoinParts>,
    left: Side,
    right: Side,
    /// When generations were last looked through for those that are too old.
    now: i64,
}

/// Pairs of a batch and what a side remembers: rows of the batch, a generation, its rows.
#[derive(Default)]
struct Pairs {
    given: Vec<u32>,
    generation: usize,
    rows: Vec<u32>,
}

impl Join {
    pub(crate) fn new(parts: &Arc<JoinParts>) -> Self {
        Self {
            left: Side::new(&parts.left.keys),
            right: Side::new(&parts.right.keys),
            parts: Arc::clone(parts),
            now: i64::MIN,
        }
    }

    /// Matches rows of a side with what the other remembers, and remembers them.
    fn take(
        &mut self,
        batch: &RecordBatch,
        is_left: bool,
        now: i64,
        out: &mut Vec<RecordBatch>,
    ) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let parts = Arc::clone(&self.parts);
        let (own, other) = match is_left {
            true => (&mut self.left, &mut self.right),
            false => (&mut self.right, &mut self.left),
        };
        let given = own.keys.read(batch)?;
        let mut done = vec![false; batch.num_rows()];
        for number in 0..other.generations.len() {
            let mut pairs = Pairs {
                generation: number,
                ..Pairs::default()
            };
            for row in 0..batch.num_rows() {
                if !given.can_match(row) {
                    continue;
                }
                let generation = &other.generations[number];
                generation.matches(&given, row, |found| {
                    let (time, at) = (given.times[row], generation.times[found as usize]);
                    let apart = match is_left {
                        true => at.saturating_sub(time),
                        false => time.saturating_sub(at),
                    };
                    if parts
                        .span
                        .is_none_or(|(least, most)| least <= apart && apart <= most)
                    {
                        pairs.given.push(u32::try_from(row).unwrap_or(u32::MAX));
                        pairs.rows.push(found);
                    }
                });
                if pairs.given.len() >= PAIRS {
                    let full = std::mem::take(&mut pairs);
                    pairs.generation = number;
                    pair(&parts.shape, &given, &mut done, other, is_left, &full, out)?;
                }
            }
            pair(&parts.shape, &given, &mut done, other, is_left, &pairs, out)?;
        }
        own.add(given, &done, now)
    }

    /// Lets go of what can have no match any more.
    fn release(
        &mut self,
        left: i64,
        right: i64,
        now: i64,
        out: &mut Vec<RecordBatch>,
    ) -> Result<()> {
        let parts = Arc::clone(&self.parts);
        let touched = self.life().map(|life| now.saturating_sub(life));
        self.now = now;
        for (own, reach, watermark, is_left) in [
            (&mut self.left, parts.left.reach, right, true),
            (&mut self.right, parts.right.reach, left, false),
        ] {
            let before = reach.map(|reach| reach.before(watermark));
            if let Some(before) = before
                && parts.shape.gives_alone(is_left)
            {
                for rows in own.left_over(before)? {
                    out.push(parts.shape.alone(&rows, is_left)?);
                }
            }
            own.drop_before(before.unwrap_or(i64::MIN), touched);
        }
        Ok(())
    }

    /// How long rows are kept that no time bounds.
    fn life(&self) -> Option<i64> {
        match (self.parts.left.reach, self.parts.right.reach) {
            (None, None) => self.parts.time_to_live,
            _ => None,
        }
    }
}

/// Gives out pairs, and notes which rows have a match.
fn pair(
    shape: &Shape,
    given: &Keyed,
    done: &mut [bool],
    other: &mut Side,
    is_left: bool,
    pairs: &Pairs,
    out: &mut Vec<RecordBatch>,
) -> Result<()> {
    if pairs.given.is_empty() {
        return Ok(());
    }
    let generation: &mut Generation = &mut other.generations[pairs.generation];
    let rows = UInt32Array::from(pairs.given.clone());
    let own = take_record_batch(&given.batch, &rows)?;
    let found = generation.gather(&pairs.rows)?;
    let both = match is_left {
        true => shape.paired(&own, &found)?,
        false => shape.paired(&found, &own)?,
    };
    let kept = shape.kept(&both)?;
    let mut firsts: Vec<bool> = Vec::with_capacity(pairs.given.len());
    for (at, (row, found)) in pairs.given.iter().zip(&pairs.rows).enumerate() {
        let counts = kept.as_ref().is_none_or(|kept| kept.value(at));
        let left_done = match is_left {
            true => &mut done[*row as usize],
            false => &mut generation.done[*found as usize],
        };
        firsts.push(counts && !*left_done);
        if counts {
            done[*row as usize] = true;
            generation.done[*found as usize] = true;
        }
    }
    if shape.gives_pairs() {
        let both = match &kept {
            Some(kept) => filter_record_batch(&both, kept)?,
            None => both,
        };
        out.push(shape.output(both)?);
    } else if shape.join == JoinType::LeftSemi {
        let left: Vec<usize> = (0..shape.left).collect();
        let rows = both.project(&left)?;
        let firsts = filter_record_batch(&rows, &firsts.into())?;
        out.push(shape.output(firsts)?);
    }
    Ok(())
}

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    left: Vec<SavedGeneration>,
    right: Vec<SavedGeneration>,
}

impl Shard for Join {
    fn work(&mut self, handed: Handed, out: &mut Changes) -> Result<()> {
        let [left, right] = handed.inputs.as_slice() else {
            return Err(StreamError::bug("a join of other than two inputs"));
        };
        for batch in &left.rows {
            self.take(batch, true, handed.now, &mut out.rows)?;
        }
        for batch in &right.rows {
            self.take(batch, false, handed.now, &mut out.rows)?;
        }
        self.release(left.watermark, right.watermark, handed.now, &mut out.rows)
    }

    fn identity(&self) -> Identity {
        Identity {
            kind: "join",
            meaning: self.parts.meaning.clone(),
        }
    }

    fn bytes(&self) -> usize {
        self.left.bytes() + self.right.bytes()
    }

    fn rows(&self) -> usize {
        self.left.rows() + self.right.rows()
    }

    fn due(&self) -> Due {
        let parts = &self.parts;
        let due = |side: &Side, reach: Option<Reach>, is_left: bool| {
            let time = match parts.shape.gives_alone(is_left) {
                true => side.least(),
                // Nothing comes out: rows are only dropped, best all at once.
                false => side.greatest(),
            };
            match (reach, time) {
                (Some(reach), Some(time)) => reach.watermark_after(time),
                _ => AFTER_ALL,
            }
        };
        // The rows of a side wait for the watermark of the other.
        let watermarks = vec![
            due(&self.right, parts.right.reach, false),
            due(&self.left, parts.left.reach, true),
        ];
        let now = Due::by_life(self.life(), self.now, self.rows()).now;
        Due { watermarks, now }
    }

    fn is_timeless(&self) -> bool {
        let parts = &self.parts;
        parts.left.reach.is_none() && parts.right.reach.is_none() && parts.time_to_live.is_none()
    }

    fn save(&mut self, writer: &mut SegmentWriter<'_>) -> Result<Value> {
        to_save(&Saved {
            left: self.left.save(writer)?,
            right: self.right.save(writer)?,
        })
    }

    fn load(&mut self, state: &Value, reader: &mut SegmentReader<'_>) -> Result<()> {
        let state: Saved = saved(state)?;
        self.left.load(state.left, reader)?;
        self.right.load(state.right, reader)
    }

    fn divide(&mut self, give: &mut Give<'_>) -> Result<()> {
        let (left, right) = (self.left.by_shard()?, self.right.by_shard()?);
        for number in 0..SHARDS {
            let mut shard = Self::new(&self.parts);
            shard.now = self.now;
            shard.left = self.left.only(&left, number)?;
            shard.right = self.right.only(&right, number)?;
            give(number, Box::new(shard))?;
        }
        Ok(())
    }
}

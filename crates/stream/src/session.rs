//! Session windows: rows of a key of which none comes more than a gap after the one before.
//!
//! The rows of a batch are cut into fragments; fragments and open sessions of a key that touch become
//! one. Only sessions that changed are merged and written; a session closes when the watermark has passed
//! its end, so that no row to come can prolong it.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray, UInt32Array,
    new_null_array,
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
use crate::operator::{Changes, Identity, Operator, Turn};
use crate::options::OperatorStats;
use crate::parts::{Parts, Place};
use crate::window::{Layout, WindowColumns, shifted, times};

const START: &str = "start#";
const LAST: &str = "last#";

/// What a session aggregate is made from.
pub(crate) struct SessionParts {
    pub(crate) input: Box<dyn Operator>,
    pub(crate) grouping: Arc<Grouping>,
    pub(crate) layout: Layout,
    pub(crate) gap: i64,
    /// The event time of a row.
    pub(crate) time: Arc<dyn PhysicalExpr>,
    /// How far times may be behind the watermark of the input.
    pub(crate) offset: i64,
    pub(crate) slot: usize,
    pub(crate) meaning: String,
    pub(crate) updating: bool,
}

/// An aggregate by session.
pub(crate) struct SessionAggregate {
    parts: SessionParts,
    index: Option<Box<dyn GroupValues>>,
    /// The open sessions of each key, by the key's number in the index.
    sessions: Vec<Vec<Session>>,
    /// Open sessions in the order they close: last time, key, start.
    closing: BTreeSet<(i64, usize, i64)>,
    states: Parts,
    closed: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Session {
    start: i64,
    last: i64,
    place: Place,
}

/// A run of rows of a key, or what became of several.
struct Fragment {
    key: usize,
    start: i64,
    last: i64,
    /// A row of the batch that has its key.
    row: u32,
}

/// What new fragments make of the open sessions.
#[derive(Default)]
struct Merging {
    /// The sessions that come out.
    made: Vec<Fragment>,
    /// For each new fragment, in which of them it is.
    fragments: Vec<usize>,
    /// The open sessions that go in, and in which of them each is.
    old: Vec<Place>,
    old_in: Vec<usize>,
    /// The windows that are no more: a row of the key, start, last.
    gone: Vec<(u32, i64, i64)>,
}

impl SessionAggregate {
    pub(crate) fn new(parts: SessionParts) -> Result<Self> {
        Ok(Self {
            index: parts.grouping.values()?,
            parts,
            sessions: Vec::new(),
            closing: BTreeSet::new(),
            states: Parts::default(),
            closed: BEFORE_ALL,
        })
    }

    /// Adds rows. For updated results: the sessions that changed, and those that are no more.
    fn take(&mut self, batch: &RecordBatch, changes: &mut Changes) -> Result<()> {
        let all = times(&self.parts.time, batch)?;
        let open = |time: i64| time.saturating_add(self.parts.gap) >= self.closed;
        let usable = all
            .iter()
            .map(|time| Some(time.is_some_and(open)))
            .collect();
        let batch = filter_record_batch(batch, &usable)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let times = times(&self.parts.time, &batch)?;
        let grouping = Arc::clone(&self.parts.grouping);
        let given = grouping.evaluate(&batch)?;
        let keys = self.number(&given.keys, given.rows)?;
        let (fragments, indexes) = self.fragments(&keys, times.values());
        let mut accumulators = grouping.accumulators()?;
        accumulators.update(&given, &indexes, fragments.len())?;
        let states = accumulators.states()?;
        let firsts = UInt32Array::from_iter_values(fragments.iter().map(|one| one.row));
        let states = grouping.state_batch(taken(&given.keys, &firsts)?, states, firsts.len())?;
        let merging = self.merging(fragments);
        let count = merging.made.len();
        accumulators.merge(&grouping, &states, &merging.fragments, count)?;
        if !merging.old.is_empty() {
            let old = self.states.gather(&merging.old)?;
            accumulators.merge(&grouping, &old, &merging.old_in, count)?;
        }
        let states = accumulators.states()?;
        let rows = UInt32Array::from_iter_values(merging.made.iter().map(|made| made.row));
        let keys = taken(&given.keys, &rows)?;
        let states = grouping.state_batch(keys.clone(), states, count)?;
        if self.parts.updating {
            let positions: Vec<usize> = (0..count).collect();
            accumulators.merge(&grouping, &states, &positions, count)?;
            let values = accumulators.results()?;
            self.told(&merging, &given.keys, (keys, values), changes)?;
        }
        self.keep(&states, &merging.made)
    }

    fn number(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<usize>> {
        let mut numbers = Vec::with_capacity(rows);
        match &mut self.index {
            Some(index) => {
                index.intern(keys, &mut numbers)?;
                self.sessions.resize_with(index.len(), Vec::new);
            }
            None => {
                numbers.resize(rows, 0);
                self.sessions.resize_with(1, Vec::new);
            }
        }
        Ok(numbers)
    }

    /// Cuts rows into fragments, ordered by key and time; and says in which each row is.
    fn fragments(&self, keys: &[usize], times: &[i64]) -> (Vec<Fragment>, Vec<usize>) {
        let mut order: Vec<(usize, i64, u32)> = keys
            .iter()
            .zip(times)
            .zip(0_u32..)
            .map(|((key, time), row)| (*key, *time, row))
            .collect();
        order.sort_unstable();
        let mut fragments: Vec<Fragment> = Vec::new();
        let mut indexes = vec![0; keys.len()];
        for (key, time, row) in order {
            match fragments.last_mut() {
                Some(last)
                    if last.key == key && time <= last.last.saturating_add(self.parts.gap) =>
                {
                    last.last = time;
                }
                _ => fragments.push(Fragment {
                    key,
                    start: time,
                    last: time,
                    row,
                }),
            }
            indexes[row as usize] = fragments.len() - 1;
        }
        (fragments, indexes)
    }

    /// Puts fragments and open sessions that touch together; the sessions that go in are no more.
    fn merging(&mut self, fragments: Vec<Fragment>) -> Merging {
        let mut merging = Merging::default();
        let gap = self.parts.gap;
        let mut from = 0;
        while let Some(first) = fragments.get(from) {
            let key = first.key;
            let until = fragments[from..]
                .iter()
                .position(|fragment| fragment.key != key)
                .map_or(fragments.len(), |count| from + count);
            let row = first.row;
            let open = std::mem::take(&mut self.sessions[key]);
            let mut spans: Vec<(i64, i64, Option<usize>)> = fragments[from..until]
                .iter()
                .enumerate()
                .map(|(at, fragment)| (fragment.start, fragment.last, Some(from + at)))
                .collect();
            spans.extend(
                open.iter()
                    .map(|session| (session.start, session.last, None)),
            );
            spans.sort_unstable_by_key(|(start, last, new)| (*start, *last, new.is_some()));
            merging.fragments.resize(until, 0);
            for group in touching(&spans, gap) {
                if group.iter().all(|(_, _, new)| new.is_none()) {
                    // Sessions that nothing touched.
                    let stays = open
                        .iter()
                        .filter(|s| group.iter().any(|(start, ..)| *start == s.start));
                    self.sessions[key].extend(stays.copied());
                    continue;
                }
                let number = merging.made.len();
                let last = group.iter().map(|(_, last, _)| *last).max();
                merging.made.push(Fragment {
                    key,
                    start: group.first().map_or(0, |(start, ..)| *start),
                    last: last.unwrap_or(0),
                    row,
                });
                for (start, last, new) in group {
                    match new {
                        Some(fragment) => merging.fragments[*fragment] = number,
                        None => {
                            self.closing.remove(&(*last, key, *start));
                            let found = open.iter().find(|s| s.start == *start);
                            merging.old.extend(found.map(|session| session.place));
                            merging.old_in.extend(found.map(|_| number));
                            merging.gone.push((row, *start, *last));
                        }
                    }
                }
            }
            from = until;
        }
        merging
    }

    /// Writes the states of the sessions that were made.
    fn keep(&mut self, states: &RecordBatch, made: &[Fragment]) -> Result<()> {
        let starts = Int64Array::from_iter_values(made.iter().map(|made| made.start));
        let lasts = Int64Array::from_iter_values(made.iter().map(|made| made.last));
        let states = with_numbers(states, START, starts)?;
        let first = self.states.append(with_numbers(&states, LAST, lasts)?)?;
        for (row, made) in made.iter().enumerate() {
            self.sessions[made.key].push(Session {
                start: made.start,
                last: made.last,
                place: first.after(row),
            });
            self.closing.insert((made.last, made.key, made.start));
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
        let rows = merging.made.len();
        let windows = windows(merging.made.iter().map(|m| (m.start, m.last)), gap);
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
            let ends = self::windows(merging.gone.iter().map(|g| (g.1, g.2)), gap);
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
        let mut done: Vec<(i64, usize, i64)> = Vec::new();
        while let Some((last, key, start)) = self.closing.first().copied()
            && last.saturating_add(self.parts.gap) < watermark
        {
            self.closing.pop_first();
            done.push((last, key, start));
        }
        if done.is_empty() {
            return Ok(());
        }
        done.sort_unstable_by_key(|(last, key, start)| (*start, *last, *key));
        let mut places = Vec::with_capacity(done.len());
        for (_, key, start) in &done {
            let sessions = &mut self.sessions[*key];
            if let Some(at) = sessions.iter().position(|session| session.start == *start) {
                places.push(sessions.swap_remove(at).place);
            }
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
            let ends = windows(done.iter().map(|d| (d.2, d.0)), self.parts.gap);
            changes
                .rows
                .push(self.parts.layout.assemble(results, Some(&ends))?);
        }
        self.tidy()
    }

    fn tidy(&mut self) -> Result<()> {
        let live = self.closing.len();
        if self.states.is_untidy(live) || self.sessions.len() > 4 * live + 65_536 {
            let places = self.places();
            let first = self.states.rewrite(&places)?;
            let places: Vec<Place> = (0..places.len()).map(|row| first.after(row)).collect();
            self.adopt(&places)?;
        }
        Ok(())
    }

    fn places(&self) -> Vec<Place> {
        self.sessions
            .iter()
            .flatten()
            .map(|session| session.place)
            .collect()
    }

    /// Makes the index of the sessions at these places.
    fn adopt(&mut self, places: &[Place]) -> Result<()> {
        self.sessions.clear();
        self.closing.clear();
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
            let session = Session {
                start: starts.value(row),
                last: lasts.value(row),
                place: *place,
            };
            self.closing.insert((session.last, key, session.start));
            self.sessions[key].push(session);
        }
        Ok(())
    }
}

/// Spans, ordered by start, as groups that touch.
fn touching(spans: &[(i64, i64, Option<usize>)], gap: i64) -> Vec<&[(i64, i64, Option<usize>)]> {
    let mut groups = Vec::new();
    let mut from = 0;
    let mut end = i64::MIN;
    for (at, (start, last, _)) in spans.iter().enumerate() {
        if at > from && *start > end {
            groups.push(&spans[from..at]);
            from = at;
            end = i64::MIN;
        }
        end = end.max(last.saturating_add(gap));
    }
    if from < spans.len() {
        groups.push(&spans[from..]);
    }
    groups
}

fn taken(arrays: &[ArrayRef], rows: &UInt32Array) -> Result<Vec<ArrayRef>> {
    let taken = arrays.iter().map(|array| Ok(take(array, rows, None)?));
    taken.collect()
}

/// Windows from starts and last times.
fn windows(sessions: impl Iterator<Item = (i64, i64)>, gap: i64) -> WindowColumns {
    let ends = |(start, last): (i64, i64)| (start, last.saturating_add(gap));
    let (starts, ends): (Vec<i64>, Vec<i64>) = sessions.map(ends).unzip();
    WindowColumns {
        start: TimestampMicrosecondArray::from(starts),
        end: TimestampMicrosecondArray::from(ends),
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    closed: i64,
    parts: Value,
}

impl Operator for SessionAggregate {
    fn turn(&mut self, turn: &mut Turn<'_>) -> Result<Changes> {
        let input = self.parts.input.turn(turn)?;
        let mut changes = Changes::none(input.watermark);
        for batch in &input.rows {
            self.take(batch, &mut changes)?;
        }
        let watermark = shifted(input.watermark, self.parts.offset);
        if watermark > self.closed {
            self.close(watermark, &mut changes)?;
            self.closed = watermark;
        }
        turn.marks.set(self.parts.slot, self.closed);
        Ok(changes)
    }

    fn inputs(&mut self) -> Vec<&mut Box<dyn Operator>> {
        vec![&mut self.parts.input]
    }

    fn inputs_ref(&self) -> Vec<&dyn Operator> {
        vec![self.parts.input.as_ref()]
    }

    fn identity(&self) -> Option<Identity> {
        Some(Identity {
            kind: "session aggregate",
            meaning: self.parts.meaning.clone(),
        })
    }

    fn bytes(&self) -> usize {
        let index = self.index.as_ref().map_or(0, |index| index.size());
        let sessions = self.sessions.capacity() * size_of::<Vec<Session>>()
            + self.closing.len() * 2 * size_of::<Session>();
        self.states.bytes() + index + sessions
    }

    fn stats(&self) -> Option<OperatorStats> {
        Some(OperatorStats {
            name: "session aggregate".to_owned(),
            rows: self.closing.len() as u64,
            bytes: self.bytes(),
            spilled_bytes: 0,
        })
    }

    fn save(&mut self, writer: &mut SegmentWriter) -> Result<Value> {
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
}

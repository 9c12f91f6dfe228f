//! Aggregates by window: tumbling, hopping, cumulating, and by the windows of a query below.
//!
//! Rows go to panes ([`crate::slices`]); what becomes of panes is up to [`crate::window_state`]: final
//! rows when the watermark passes a window's end, or the newest rows of windows that changed.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StructArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, SchemaRef, TimestampMicrosecondType};
use datafusion::physical_expr::PhysicalExpr;
use serde_json::Value;

use crate::checkpoint::{SegmentReader, SegmentWriter};
use crate::clock::{AFTER_ALL, BEFORE_ALL};
use crate::error::{Result, StreamError};
use crate::groups::{Evaluated, Grouping, Results};
use crate::operator::{Changes, Identity};
use crate::paths::Part;
use crate::shard::{Due, Give, Handed, Shard};
use crate::slices::{Slices, Window};
use crate::spill::Spill;
use crate::window_state::WindowState;

/// Where the columns of an aggregate's result come from.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) schema: SchemaRef,
    pub(crate) columns: Vec<LayoutColumn>,
}

/// One column of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LayoutColumn {
    /// A key, by its number.
    Key(usize),
    /// The window, or an end of it.
    Window(Part),
    /// The result of an aggregate, by its number.
    Value(usize),
}

/// The windows of a batch of results.
#[derive(Clone, Debug)]
pub(crate) struct WindowColumns {
    pub(crate) start: TimestampMicrosecondArray,
    pub(crate) end: TimestampMicrosecondArray,
}

impl WindowColumns {
    /// The same window for so many rows.
    pub(crate) fn repeated(window: Window, rows: usize) -> Self {
        Self {
            start: TimestampMicrosecondArray::from_value(window.start, rows),
            end: TimestampMicrosecondArray::from_value(window.end, rows),
        }
    }
}

impl Layout {
    /// The result's rows.
    pub(crate) fn assemble(
        &self,
        results: Results,
        windows: Option<&WindowColumns>,
    ) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (at, column) in self.columns.iter().enumerate() {
            columns.push(match *column {
                LayoutColumn::Key(key) => Arc::clone(&results.keys[key]),
                LayoutColumn::Value(value) => Arc::clone(&results.values[value]),
                LayoutColumn::Window(part) => {
                    let windows = windows
                        .ok_or_else(|| StreamError::bug("a result of windows without windows"))?;
                    window_column(part, windows, self.schema.field(at).data_type())?
                }
            });
        }
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(results.rows));
        let schema = Arc::clone(&self.schema);
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }
}

fn window_column(part: Part, windows: &WindowColumns, data_type: &DataType) -> Result<ArrayRef> {
    let typed = |array: &TimestampMicrosecondArray, data_type: &DataType| -> ArrayRef {
        match data_type {
            DataType::Timestamp(_, zone) => Arc::new(array.clone().with_timezone_opt(zone.clone())),
            _ => Arc::new(array.clone()),
        }
    };
    Ok(match (part, data_type) {
        (Part::Start, time) => typed(&windows.start, time),
        (Part::End, time) => typed(&windows.end, time),
        (Part::Whole, DataType::Struct(fields)) if fields.len() == 2 => {
            let ends = vec![
                typed(&windows.start, fields[0].data_type()),
                typed(&windows.end, fields[1].data_type()),
            ];
            Arc::new(StructArray::try_new(fields.clone(), ends, None)?)
        }
        (Part::Whole, other) => {
            return Err(StreamError::bug(format!("a window of type {other}")));
        }
    })
}

/// What a window aggregate is made from.
pub(crate) struct WindowParts {
    pub(crate) grouping: Arc<Grouping>,
    pub(crate) layout: Layout,
    pub(crate) slices: Slices,
    /// The event time of a row.
    pub(crate) time: Arc<dyn PhysicalExpr>,
    /// How far times may be behind the watermark of the input.
    pub(crate) offset: i64,
    pub(crate) meaning: String,
    pub(crate) updating: bool,
    /// The budget of the whole dataflow.
    pub(crate) memory_bytes: usize,
}

/// An aggregate by window.
pub(crate) struct WindowAggregate {
    parts: Arc<WindowParts>,
    state: WindowState,
    /// Windows that end by then have closed.
    closed: i64,
}

impl WindowAggregate {
    pub(crate) fn new(parts: &Arc<WindowParts>, spill: &Arc<Spill>) -> Self {
        Self {
            state: WindowState::new(parts, spill),
            parts: Arc::clone(parts),
            closed: BEFORE_ALL,
        }
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        let times = times(&self.parts.time, batch)?;
        let given = self.parts.grouping.evaluate(batch)?;
        let slices = self.parts.slices;
        for (pane, rows) in cut(&times, slices) {
            if slices.last_end(pane).is_none_or(|end| end <= self.closed) {
                continue;
            }
            match rows {
                Rows::All => self.state.add(pane, &given)?,
                some => self.state.add(pane, &chosen(&given, &some)?)?,
            }
        }
        Ok(())
    }
}

/// A watermark, as it is for times so far behind it.
pub(crate) fn shifted(watermark: i64, offset: i64) -> i64 {
    match watermark {
        BEFORE_ALL | AFTER_ALL => watermark,
        other => other.saturating_add(offset),
    }
}

/// The event times of a batch, in microseconds.
pub(crate) fn times(
    time: &Arc<dyn PhysicalExpr>,
    batch: &RecordBatch,
) -> Result<TimestampMicrosecondArray> {
    let times = time.evaluate(batch)?.into_array(batch.num_rows())?;
    match times.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(times) => Ok(times.clone()),
        None => Err(StreamError::bug(format!(
            "event time has the type {}",
            times.data_type()
        ))),
    }
}

/// Some rows of a batch.
enum Rows {
    All,
    Run { from: usize, count: usize },
    These(UInt32Array),
}

/// The rows of each pane, in the order of the panes. Rows without a time are in none.
fn cut(times: &TimestampMicrosecondArray, slices: Slices) -> Vec<(i64, Rows)> {
    let (Some(first), Some(last)) = (arrow::compute::min(times), arrow::compute::max(times)) else {
        return Vec::new();
    };
    let pane = slices.pane_of(first);
    if times.null_count() == 0 && pane == slices.pane_of(last) {
        return vec![(pane, Rows::All)];
    }
    if times.null_count() == 0
        && let Some(runs) = runs(times.values(), slices)
    {
        return runs;
    }
    // Panes by number; times seldom change the pane from row to row.
    let mut panes: std::collections::BTreeMap<i64, Vec<u32>> = std::collections::BTreeMap::new();
    let (mut from, mut to) = (0, 0);
    let mut rows: Vec<u32> = Vec::new();
    for (row, time) in (0_u32..).zip(times.iter()) {
        let Some(time) = time else { continue };
        if time < from || time >= to {
            if !rows.is_empty() {
                panes.insert(from, std::mem::take(&mut rows));
            }
            from = slices.pane_of(time);
            to = slices.pane_end(from);
            rows = panes.remove(&from).unwrap_or_default();
        }
        rows.push(row);
    }
    panes.insert(from, rows);
    panes
        .into_iter()
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(pane, rows)| (pane, Rows::These(UInt32Array::from(rows))))
        .collect()
}

/// The panes as runs of rows, if each is one run.
fn runs(times: &[i64], slices: Slices) -> Option<Vec<(i64, Rows)>> {
    let mut runs: Vec<(i64, usize)> = Vec::new();
    let (mut from, mut to) = (0, 0);
    for (row, time) in times.iter().enumerate() {
        if *time < from || *time >= to {
            from = slices.pane_of(*time);
            to = slices.pane_end(from);
            if runs.len() >= 64 || runs.iter().any(|(pane, _)| *pane == from) {
                return None;
            }
            runs.push((from, row));
        }
    }
    let ends = runs
        .iter()
        .skip(1)
        .map(|(_, row)| *row)
        .chain([times.len()]);
    let rows = runs.iter().zip(ends).map(|((pane, from), end)| {
        let count = end - from;
        (*pane, Rows::Run { from: *from, count })
    });
    let mut rows: Vec<(i64, Rows)> = rows.collect();
    rows.sort_by_key(|(pane, _)| *pane);
    Some(rows)
}

/// Some rows of what was evaluated.
fn chosen(given: &Evaluated, rows: &Rows) -> Result<Evaluated> {
    let one = |array: &ArrayRef| -> Result<ArrayRef> {
        Ok(match rows {
            Rows::All => Arc::clone(array),
            Rows::Run { from, count } => array.slice(*from, *count),
            Rows::These(these) => take(array, these, None)?,
        })
    };
    let all = |arrays: &Vec<ArrayRef>| arrays.iter().map(one).collect::<Result<Vec<_>>>();
    Ok(Evaluated {
        rows: match rows {
            Rows::All => given.rows,
            Rows::Run { count, .. } => *count,
            Rows::These(these) => these.len(),
        },
        keys: all(&given.keys)?,
        arguments: given.arguments.iter().map(all).collect::<Result<_>>()?,
        filters: given
            .filters
            .iter()
            .map(|filter| filter.as_ref().map(one).transpose())
            .collect::<Result<_>>()?,
    })
}

impl Shard for WindowAggregate {
    fn work(&mut self, handed: Handed, out: &mut Changes) -> Result<()> {
        let input = handed.input();
        for batch in &input.rows {
            self.take(batch)?;
        }
        let watermark = shifted(input.watermark, self.parts.offset);
        let closes = watermark > self.closed;
        let flush = handed.flush || closes;
        self.state
            .early(self.closed, flush, handed.now, &mut out.rows)?;
        if closes {
            self.state.close(self.closed, watermark, &mut out.rows)?;
            self.closed = watermark;
        }
        Ok(())
    }

    fn identity(&self) -> Identity {
        let output = match self.parts.updating {
            true => "update",
            false => "append",
        };
        Identity {
            kind: "window aggregate",
            meaning: format!("{}; {output} output", self.parts.meaning),
        }
    }

    fn bytes(&self) -> usize {
        self.state.bytes()
    }

    fn rows(&self) -> usize {
        self.state.rows()
    }

    fn spilled_bytes(&self) -> u64 {
        self.state.spilled_bytes()
    }

    fn due(&self) -> Due {
        let end = self.state.last_end();
        Due::by_watermark(end.map(|end| end.saturating_sub(self.parts.offset)))
    }

    fn save(&mut self, writer: &mut SegmentWriter<'_>) -> Result<Value> {
        self.state.save(self.closed, writer)
    }

    fn load(&mut self, state: &Value, reader: &mut SegmentReader<'_>) -> Result<()> {
        self.closed = self.state.load(state, reader)?;
        Ok(())
    }

    fn relieve(&mut self, budget: usize) -> Result<bool> {
        self.state.relieve(budget)
    }

    fn divide(&mut self, give: &mut Give<'_>) -> Result<()> {
        let (parts, closed) = (Arc::clone(&self.parts), self.closed);
        self.state.divide(&mut |number, state| {
            let parts = Arc::clone(&parts);
            give(
                number,
                Box::new(Self {
                    parts,
                    state,
                    closed,
                }),
            )
        })
    }
}

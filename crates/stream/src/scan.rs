//! Where rows of a stream enter the tree.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::SchemaRef;

use crate::error::Result;
use crate::lateness::{Rule, late_rows};
use crate::operator::{Changes, Event, Operator, Turn};

/// One mention of a stream in the query.
pub(crate) struct Scan {
    pub(crate) binding: String,
    /// The column of event time in the batches that are pushed.
    pub(crate) time: Option<usize>,
    /// The columns that the query reads, if not all.
    pub(crate) projection: Option<Vec<usize>>,
    pub(crate) schema: SchemaRef,
    /// When rows are late; set once the operators above are known.
    pub(crate) rules: Arc<std::sync::OnceLock<Vec<Rule>>>,
}

impl Operator for Scan {
    fn turn(&mut self, turn: &mut Turn<'_>) -> Result<Changes> {
        let watermark = turn.clocks.watermark(&self.binding);
        let Event::Rows { binding, batch } = turn.event else {
            return Ok(Changes::none(watermark));
        };
        if binding != self.binding || batch.num_rows() == 0 {
            return Ok(Changes::none(watermark));
        }
        let batch = self.in_time(batch, turn)?;
        let batch = match &self.projection {
            Some(columns) => batch.project(columns)?,
            None => batch,
        };
        // Names may differ; types were checked.
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = batch.columns().to_vec();
        let schema = Arc::clone(&self.schema);
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
        Ok(Changes::rows(vec![batch], watermark))
    }

    fn inputs(&mut self) -> Vec<&mut Box<dyn Operator>> {
        Vec::new()
    }

    fn inputs_ref(&self) -> Vec<&dyn Operator> {
        Vec::new()
    }
}

impl Scan {
    /// The rows that are not late; those that are, are counted and kept.
    fn in_time(&self, batch: &RecordBatch, turn: &mut Turn<'_>) -> Result<RecordBatch> {
        let rules = self.rules.get().map_or(&[] as &[Rule], Vec::as_slice);
        let late = self
            .time
            .and_then(|time| late_rows(batch, time, rules, turn.marks));
        let Some(late) = late else {
            return Ok(batch.clone());
        };
        *turn.late_rows += late.true_count() as u64;
        if let Some(kept) = &mut turn.late {
            kept.push((self.binding.clone(), filter_record_batch(batch, &late)?));
        }
        Ok(filter_record_batch(batch, &not(&late)?)?)
    }
}

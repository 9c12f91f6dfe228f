//! A stream joined to a table: each row is looked up when it comes.
//!
//! The table's part of the plan is run once, by DataFusion, and kept with an index; again when the caller
//! says that the table has changed. Rows that were given out stay as they were.

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use datafusion::catalog::TableProvider;
use datafusion::common::JoinType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::provider_as_source;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::collect;

use super::Shape;
use super::side::{Keyed, Side, SideKeys};
use crate::error::{Result, StreamError};
use crate::operator::{Changes, Operator, Turn};

/// A join of a stream with a table.
pub(crate) struct Lookup {
    pub(crate) input: Box<dyn Operator>,
    pub(crate) keys: SideKeys,
    /// The table; empty until it is first asked.
    pub(crate) table: Side,
    pub(crate) loaded: bool,
    pub(crate) plan: LogicalPlan,
    pub(crate) state: SessionState,
    pub(crate) shape: Shape,
    /// Whether the stream is the left side.
    pub(crate) is_left: bool,
}

impl Lookup {
    fn load(&mut self) -> Result<()> {
        if self.loaded {
            return Ok(());
        }
        let batches = run(&self.state, &self.plan)?;
        self.table.generations.clear();
        if !batches.is_empty() {
            let schema = &self.table.keys.schema;
            let rows = batches.iter().map(|batch| {
                let columns = batch.columns().to_vec();
                crate::groups::batch(schema.as_ref().clone(), columns, batch.num_rows())
            });
            let rows = rows.collect::<Result<Vec<_>>>()?;
            let all = concat_batches(schema, &rows)?;
            let given = self.table.keys.read(&all)?;
            self.table.add(given, &[], 0)?;
        }
        self.loaded = true;
        Ok(())
    }

    fn take(&self, batch: &RecordBatch, out: &mut Vec<RecordBatch>) -> Result<()> {
        let given = self.keys.read(batch)?;
        let mut matched = vec![false; batch.num_rows()];
        let mut pairs: (Vec<u32>, Vec<u32>) = Default::default();
        if let Some(table) = self.table.generations.first() {
            for (row, at) in (0..batch.num_rows()).zip(0_u32..) {
                if given.can_match(row) {
                    table.matches(&given, row, |found| {
                        pairs.0.push(at);
                        pairs.1.push(found);
                    });
                }
                if pairs.0.len() >= super::PAIRS {
                    let pairs = std::mem::take(&mut pairs);
                    self.pair(&given, pairs, &mut matched, out)?;
                }
            }
            self.pair(&given, pairs, &mut matched, out)?;
        }
        let chosen = match self.shape.join {
            JoinType::LeftSemi => matched,
            _ if self.shape.gives_alone(self.is_left) => matched.iter().map(|m| !m).collect(),
            _ => return Ok(()),
        };
        let rows = filter_record_batch(batch, &chosen.into())?;
        if rows.num_rows() > 0 {
            out.push(self.shape.alone(&rows, self.is_left)?);
        }
        Ok(())
    }

    fn pair(
        &self,
        given: &Keyed,
        (rows, found): (Vec<u32>, Vec<u32>),
        matched: &mut [bool],
        out: &mut Vec<RecordBatch>,
    ) -> Result<()> {
        let (Some(table), false) = (self.table.generations.first(), rows.is_empty()) else {
            return Ok(());
        };
        let own = take_record_batch(&given.batch, &UInt32Array::from(rows.clone()))?;
        let found = table.gather(&found)?;
        let both = match self.is_left {
            true => self.shape.paired(&own, &found)?,
            false => self.shape.paired(&found, &own)?,
        };
        let kept = self.shape.kept(&both)?;
        for (at, row) in rows.iter().enumerate() {
            matched[*row as usize] |= kept.as_ref().is_none_or(|kept| kept.value(at));
        }
        if self.shape.gives_pairs() {
            let both = match &kept {
                Some(kept) => filter_record_batch(&both, kept)?,
                None => both,
            };
            out.push(self.shape.output(both)?);
        }
        Ok(())
    }
}

impl Operator for Lookup {
    fn turn(&mut self, turn: &mut Turn<'_>) -> Result<Changes> {
        let input = self.input.turn(turn)?;
        let mut rows = Vec::new();
        for batch in input.rows.iter().filter(|batch| batch.num_rows() > 0) {
            self.load()?;
            self.take(batch, &mut rows)?;
        }
        Ok(Changes::rows(rows, input.watermark))
    }

    fn inputs(&mut self) -> Vec<&mut Box<dyn Operator>> {
        vec![&mut self.input]
    }

    fn inputs_ref(&self) -> Vec<&dyn Operator> {
        vec![self.input.as_ref()]
    }

    fn table_changed(&mut self, binding: &str, provider: &Arc<dyn TableProvider>) -> Result<()> {
        let mut known = None;
        self.plan.apply(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && scan.table_name.table() == binding
            {
                known = Some(scan.source.schema());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let (Some(known), now) = (known, provider.schema()) else {
            return Ok(());
        };
        if known.fields() != now.fields() {
            return Err(StreamError::columns(binding, &known, &now));
        }
        let plan = self.plan.clone().transform(|node| match node {
            LogicalPlan::TableScan(mut scan) if scan.table_name.table() == binding => {
                scan.source = provider_as_source(Arc::clone(provider));
                Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        self.plan = plan.data;
        self.loaded = false;
        Ok(())
    }
}

/// Runs a plan over tables to its end. On a thread of its own, as the caller may be inside a runtime, which must
/// not be blocked from within.
pub(crate) fn run(state: &SessionState, plan: &LogicalPlan) -> Result<Vec<RecordBatch>> {
    let work = || -> Result<Vec<RecordBatch>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StreamError::bug(format!("no runtime: {error}")))?;
        let batches = runtime.block_on(async {
            let physical = state.create_physical_plan(plan).await?;
            collect(physical, state.task_ctx()).await
        });
        Ok(batches?)
    };
    std::thread::scope(|scope| {
        scope
            .spawn(work)
            .join()
            .unwrap_or_else(|_| Err(StreamError::bug("reading a table of a join broke off")))
    })
}

//! Aggregates by key: the one structure under windows, sessions and running aggregates.
//!
//! [`Groups`] knows three operations: rows are added ([`Groups::update`]), states of another are added
//! ([`Groups::merge`]), and everything is taken out, as states ([`Groups::drain`]) or as results
//! ([`Groups::evaluate`]). A batch of states has the key columns first, then the columns of each
//! aggregate's state, named so that an aggregate is found again after the query has changed.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::{GroupsAccumulatorAdapter, PhysicalExpr};
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

use crate::error::{Result, StreamError};

/// One aggregate of a query.
#[derive(Debug)]
pub(crate) struct Aggregate {
    /// What it computes, as text that stays the same as long as its meaning does.
    pub(crate) meaning: String,
    pub(crate) function: Arc<AggregateFunctionExpr>,
    pub(crate) filter: Option<Arc<dyn PhysicalExpr>>,
    /// Its arguments, then what it orders by.
    pub(crate) arguments: Vec<Arc<dyn PhysicalExpr>>,
}

impl Aggregate {
    fn accumulator(&self) -> Result<Box<dyn GroupsAccumulator>> {
        if self.function.groups_accumulator_supported() {
            return Ok(self.function.create_groups_accumulator()?);
        }
        let function = Arc::clone(&self.function);
        let one_by_one = GroupsAccumulatorAdapter::new(move || function.create_accumulator());
        Ok(Box::new(one_by_one))
    }
}

/// What is grouped by, and what is computed of each group.
#[derive(Debug)]
pub(crate) struct Grouping {
    /// The keys, but for windows.
    pub(crate) keys: Vec<Arc<dyn PhysicalExpr>>,
    pub(crate) key_fields: Vec<FieldRef>,
    pub(crate) key_schema: SchemaRef,
    pub(crate) aggregates: Vec<Aggregate>,
}

/// What the aggregates of a batch are computed from.
#[derive(Clone, Debug)]
pub(crate) struct Evaluated {
    pub(crate) rows: usize,
    pub(crate) keys: Vec<ArrayRef>,
    /// By aggregate.
    pub(crate) arguments: Vec<Vec<ArrayRef>>,
    pub(crate) filters: Vec<Option<ArrayRef>>,
}

impl Grouping {
    /// Evaluates keys and arguments for every row of a batch.
    pub(crate) fn evaluate(&self, batch: &RecordBatch) -> Result<Evaluated> {
        let rows = batch.num_rows();
        let all = |expressions: &[Arc<dyn PhysicalExpr>]| -> Result<Vec<ArrayRef>> {
            let arrays = expressions
                .iter()
                .map(|e| e.evaluate(batch)?.into_array(rows));
            Ok(arrays.collect::<datafusion::common::Result<_>>()?)
        };
        let arguments = self.aggregates.iter().map(|a| all(&a.arguments));
        let filters = self.aggregates.iter().map(|aggregate| {
            let filter = aggregate.filter.as_ref();
            let value = filter.map(|filter| filter.evaluate(batch)?.into_array(rows));
            Ok(value.transpose()?)
        });
        Ok(Evaluated {
            rows,
            keys: all(&self.keys)?,
            arguments: arguments.collect::<Result<_>>()?,
            filters: filters.collect::<Result<_>>()?,
        })
    }

    /// Fresh accumulators of all aggregates.
    pub(crate) fn accumulators(&self) -> Result<Accumulators> {
        let all = self.aggregates.iter().map(Aggregate::accumulator);
        Ok(Accumulators {
            all: all.collect::<Result<_>>()?,
        })
    }

    /// Fresh group values of the keys; `None` without keys.
    pub(crate) fn values(&self) -> Result<Option<Box<dyn GroupValues>>> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let schema = Arc::clone(&self.key_schema);
        Ok(Some(new_group_values(schema, &GroupOrdering::None)?))
    }

    /// The batch of states of these keys.
    pub(crate) fn state_batch(
        &self,
        keys: Vec<ArrayRef>,
        states: Vec<Vec<ArrayRef>>,
        rows: usize,
    ) -> Result<RecordBatch> {
        let mut fields: Vec<FieldRef> = self.key_fields.clone();
        let mut columns = keys;
        for (aggregate, state) in self.aggregates.iter().zip(states) {
            for (at, column) in state.into_iter().enumerate() {
                let name = format!("{}#{at}", aggregate.meaning);
                let field = Field::new(name, column.data_type().clone(), true);
                fields.push(Arc::new(field));
                columns.push(column);
            }
        }
        batch(Schema::new(fields), columns, rows)
    }

    /// The states of a batch by aggregate; of an aggregate that the batch does not know, none.
    fn states_of(&self, batch: &RecordBatch) -> Vec<Option<Vec<ArrayRef>>> {
        let schema = batch.schema_ref();
        let of = |aggregate: &Aggregate| {
            let columns: Vec<ArrayRef> = (0_usize..)
                .map_while(|at| {
                    let name = format!("{}#{at}", aggregate.meaning);
                    let (at, _) = schema.column_with_name(&name)?;
                    Some(Arc::clone(batch.column(at)))
                })
                .collect();
            (!columns.is_empty()).then_some(columns)
        };
        self.aggregates.iter().map(of).collect()
    }

    /// The key columns of a batch of states.
    pub(crate) fn keys_of<'b>(&self, batch: &'b RecordBatch) -> &'b [ArrayRef] {
        let count = self.keys.len().min(batch.num_columns());
        &batch.columns()[..count]
    }

    /// Saved states, with those of aggregates that are new in the query, and without those that are
    /// gone; `None` if they are as they should be. Columns of the saver's own stay at the end.
    pub(crate) fn completed(&self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let states = self.states_of(batch);
        let known: usize = states.iter().flatten().map(Vec::len).sum();
        let own = |at: usize| {
            let name = batch.schema_ref().field(at).name();
            name.ends_with('#').then_some(at)
        };
        let own: Vec<usize> = (self.keys.len()..batch.num_columns())
            .filter_map(own)
            .collect();
        let expected = self.keys.len() + known + own.len();
        if states.iter().all(Option::is_some) && batch.num_columns() == expected {
            return Ok(None);
        }
        let rows = batch.num_rows();
        let positions: Vec<usize> = (0..rows).collect();
        let mut accumulators = self.accumulators()?;
        accumulators.merge(self, batch, &positions, rows)?;
        let keys = self.keys_of(batch).to_vec();
        let states = self.state_batch(keys, accumulators.states()?, rows)?;
        let mut fields = states.schema_ref().fields().to_vec();
        let mut columns = states.columns().to_vec();
        for at in own {
            fields.push(Arc::clone(&batch.schema_ref().fields()[at]));
            columns.push(Arc::clone(batch.column(at)));
        }
        self::batch(Schema::new(fields), columns, rows).map(Some)
    }

    /// Whether saved states are of the same keys.
    pub(crate) fn check_keys(&self, batch: &RecordBatch) -> Result<()> {
        let fits = self.key_fields.iter().enumerate().all(|(at, field)| {
            let saved = batch.schema_ref().fields().get(at);
            saved.is_some_and(|saved| saved.data_type() == field.data_type())
        });
        match fits {
            true => Ok(()),
            false => Err(StreamError::damaged(
                "a segment has other keys than its manifest says",
            )),
        }
    }
}

/// A batch of so many rows, which may have no columns.
pub(crate) fn batch(schema: Schema, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)?;
    Ok(batch)
}

/// The accumulators of all aggregates, over groups that are numbered by someone else.
pub(crate) struct Accumulators {
    all: Vec<Box<dyn GroupsAccumulator>>,
}

impl Accumulators {
    /// Adds rows; `indexes` says to which group each belongs.
    pub(crate) fn update(
        &mut self,
        given: &Evaluated,
        indexes: &[usize],
        groups: usize,
    ) -> Result<()> {
        let inputs = given.arguments.iter().zip(&given.filters);
        for (accumulator, (arguments, filter)) in self.all.iter_mut().zip(inputs) {
            let filter: Option<&BooleanArray> = filter.as_ref().map(|array| array.as_boolean());
            accumulator.update_batch(arguments, indexes, filter, groups)?;
        }
        Ok(())
    }

    /// Adds the states of a batch.
    pub(crate) fn merge(
        &mut self,
        grouping: &Grouping,
        batch: &RecordBatch,
        indexes: &[usize],
        groups: usize,
    ) -> Result<()> {
        let states = grouping.states_of(batch);
        for ((accumulator, aggregate), states) in
            self.all.iter_mut().zip(&grouping.aggregates).zip(states)
        {
            match states {
                Some(states) => accumulator.merge_batch(&states, indexes, groups)?,
                None => begin(accumulator.as_mut(), aggregate, groups)?,
            }
        }
        Ok(())
    }

    /// Takes out all states.
    pub(crate) fn states(&mut self) -> Result<Vec<Vec<ArrayRef>>> {
        let states = self.all.iter_mut().map(|a| a.state(EmitTo::All));
        Ok(states.collect::<datafusion::common::Result<_>>()?)
    }

    /// Takes out all results.
    pub(crate) fn results(&mut self) -> Result<Vec<ArrayRef>> {
        let results = self.all.iter_mut().map(|a| a.evaluate(EmitTo::All));
        Ok(results.collect::<datafusion::common::Result<_>>()?)
    }

    pub(crate) fn size(&self) -> usize {
        self.all.iter().map(|accumulator| accumulator.size()).sum()
    }
}

/// Gives an aggregate that is new in the query an empty state for each group that was there before.
fn begin(
    accumulator: &mut dyn GroupsAccumulator,
    aggregate: &Aggregate,
    groups: usize,
) -> Result<()> {
    let types = aggregate.function.state_fields()?;
    let states: Vec<ArrayRef> = types
        .iter()
        .map(|field| arrow::array::new_empty_array(field.data_type()))
        .collect();
    Ok(accumulator.merge_batch(&states, &[], groups)?)
}

/// The hash table that DataFusion makes at first: room for 512 keys, of which its `size` knows nothing.
const UNCOUNTED_BYTES: usize = 48 << 10;

/// Groups by their keys.
pub(crate) struct Groups {
    grouping: Arc<Grouping>,
    values: Option<Box<dyn GroupValues>>,
    accumulators: Accumulators,
    /// How many groups there are.
    len: usize,
    indexes: Vec<usize>,
}

impl Groups {
    pub(crate) fn new(grouping: &Arc<Grouping>) -> Result<Self> {
        Ok(Self {
            values: grouping.values()?,
            accumulators: grouping.accumulators()?,
            grouping: Arc::clone(grouping),
            len: 0,
            indexes: Vec::new(),
        })
    }

    /// How many groups there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes held, about.
    pub(crate) fn size(&self) -> usize {
        let values = self.values.as_ref();
        let values = values.map_or(0, |values| UNCOUNTED_BYTES + values.size());
        values + self.accumulators.size()
    }

    fn intern(&mut self, keys: &[ArrayRef], rows: usize) -> Result<()> {
        match &mut self.values {
            Some(values) => {
                self.indexes.clear();
                values.intern(keys, &mut self.indexes)?;
                self.len = values.len();
            }
            None => {
                self.indexes.clear();
                self.indexes.resize(rows, 0);
                self.len = self.len.max(usize::from(rows > 0));
            }
        }
        Ok(())
    }

    /// Adds rows.
    pub(crate) fn update(&mut self, given: &Evaluated) -> Result<()> {
        if given.rows == 0 {
            return Ok(());
        }
        self.intern(&given.keys, given.rows)?;
        self.accumulators.update(given, &self.indexes, self.len)
    }

    /// Adds states.
    pub(crate) fn merge(&mut self, states: &RecordBatch) -> Result<()> {
        if states.num_rows() == 0 {
            return Ok(());
        }
        let grouping = Arc::clone(&self.grouping);
        self.intern(grouping.keys_of(states), states.num_rows())?;
        self.accumulators
            .merge(&grouping, states, &self.indexes, self.len)
    }

    fn take_keys(&mut self) -> Result<Vec<ArrayRef>> {
        self.len = 0;
        match &mut self.values {
            Some(values) => Ok(values.emit(EmitTo::All)?),
            None => Ok(Vec::new()),
        }
    }

    /// Takes everything out, as states.
    pub(crate) fn drain(&mut self) -> Result<RecordBatch> {
        let rows = self.len;
        let keys = self.take_keys()?;
        let states = self.accumulators.states()?;
        self.grouping.state_batch(keys, states, rows)
    }

    /// Takes everything out, as keys and results.
    pub(crate) fn evaluate(&mut self) -> Result<Results> {
        let rows = self.len;
        Ok(Results {
            keys: self.take_keys()?,
            values: self.accumulators.results()?,
            rows,
        })
    }
}

/// The results of groups.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    pub(crate) keys: Vec<ArrayRef>,
    /// By aggregate.
    pub(crate) values: Vec<ArrayRef>,
    pub(crate) rows: usize,
}

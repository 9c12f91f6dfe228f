//! `sum` of BIGINT and of long DECIMALs: an overflow is an error, not another number.
//!
//! DataFusion adds without looking. Where a sum cannot overflow in practice (of DOUBLE, of a DECIMAL
//! whose sum is given ten digits more), its own is used.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowNumericType, AsArray, BooleanArray, PrimitiveArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::sum_checked;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, FieldRef, Int64Type};
use arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity,
    Signature, StatisticsArgs,
};

/// The aggregate.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct CheckedSum {
    inner: Sum,
}

impl CheckedSum {
    pub(super) fn new() -> Self {
        Self { inner: Sum::new() }
    }
}

/// Whether a sum of this type can overflow.
fn is_checked(arguments: &AccumulatorArgs<'_>) -> bool {
    let data_type = arguments.return_field.data_type();
    let long = matches!(data_type, DataType::Decimal128(precision, _) if *precision == DECIMAL128_MAX_PRECISION);
    !arguments.is_distinct && (long || *data_type == DataType::Int64)
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.inner.return_type(given)
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(arguments)
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if !is_checked(&arguments) {
            return self.inner.accumulator(arguments);
        }
        let data_type = arguments.return_field.data_type().clone();
        Ok(match data_type {
            DataType::Int64 => Box::new(Total::<Int64Type>::new(data_type)),
            _ => Box::new(Total::<Decimal128Type>::new(data_type)),
        })
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(arguments)
    }

    fn create_groups_accumulator(
        &self,
        arguments: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        if !is_checked(&arguments) {
            return self.inner.create_groups_accumulator(arguments);
        }
        let data_type = arguments.return_field.data_type().clone();
        Ok(match data_type {
            DataType::Int64 => Box::new(GroupTotals::<Int64Type>::new(data_type)),
            _ => Box::new(GroupTotals::<Decimal128Type>::new(data_type)),
        })
    }

    fn create_sliding_accumulator(
        &self,
        arguments: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        self.inner.create_sliding_accumulator(arguments)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_expr()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.set_monotonicity(data_type)
    }

    fn value_from_stats(&self, statistics: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        self.inner.value_from_stats(statistics)
    }
}

fn plus<N: ArrowNativeTypeOp>(one: N, other: N) -> Result<N, ArrowError> {
    one.add_checked(other).map_err(|_| {
        ArrowError::ArithmeticOverflow("a sum does not fit its type (an overflow)".to_owned())
    })
}

/// Refuses a decimal of more digits than its type has.
fn fitting(array: ArrayRef) -> Result<ArrayRef> {
    if let DataType::Decimal128(precision, _) = array.data_type() {
        let decimals = array.as_primitive::<Decimal128Type>();
        decimals.validate_decimal_precision(*precision)?;
    }
    Ok(array)
}

/// The sum of all rows.
#[derive(Debug)]
struct Total<T: ArrowNumericType> {
    sum: Option<T::Native>,
    data_type: DataType,
}

impl<T: ArrowNumericType> Total<T> {
    fn new(data_type: DataType) -> Self {
        Self {
            sum: None,
            data_type,
        }
    }
}

impl<T: ArrowNumericType + std::fmt::Debug> Accumulator for Total<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if let Some(more) = sum_checked(values[0].as_primitive::<T>())? {
            let sum = self.sum.unwrap_or_default();
            self.sum = Some(plus(sum, more)?);
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::new_primitive::<T>(
            self.sum,
            &self.data_type,
        )?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = ScalarValue::new_primitive::<T>(self.sum, &self.data_type)?;
        fitting(sum.to_array()?)?;
        Ok(sum)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The sums of groups.
#[derive(Debug)]
struct GroupTotals<T: ArrowNumericType> {
    sums: Vec<T::Native>,
    /// Whether a group has a value that is not NULL.
    seen: Vec<bool>,
    data_type: DataType,
}

impl<T: ArrowNumericType> GroupTotals<T> {
    fn new(data_type: DataType) -> Self {
        Self {
            sums: Vec::new(),
            seen: Vec::new(),
            data_type,
        }
    }

    fn add(&mut self, group: usize, value: T::Native) -> Result<()> {
        self.sums[group] = plus(self.sums[group], value)?;
        self.seen[group] = true;
        Ok(())
    }

    fn emit(&mut self, emit: EmitTo) -> ArrayRef {
        let sums = emit.take_needed(&mut self.sums);
        let nulls = NullBuffer::from(emit.take_needed(&mut self.seen));
        let sums = PrimitiveArray::<T>::new(sums.into(), Some(nulls));
        Arc::new(sums.with_data_type(self.data_type.clone()))
    }
}

/// The values that a filter lets through; the others are NULL.
fn filtered<T: ArrowNumericType>(
    values: &ArrayRef,
    filter: Option<&BooleanArray>,
) -> Result<PrimitiveArray<T>> {
    let Some(filter) = filter else {
        return Ok(values.as_primitive::<T>().clone());
    };
    let left_out = match filter.null_count() {
        0 => arrow::compute::not(filter)?,
        _ => arrow::compute::not(&arrow::compute::prep_null_mask_filter(filter))?,
    };
    Ok(arrow::compute::nullif(values, &left_out)?
        .as_primitive::<T>()
        .clone())
}

impl<T: ArrowNumericType + Send> GroupsAccumulator for GroupTotals<T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.sums.resize(total, T::Native::default());
        self.seen.resize(total, false);
        let values = filtered::<T>(&values[0], filter)?;
        if values.null_count() == 0 {
            for (group, value) in groups.iter().zip(values.values()) {
                self.add(*group, *value)?;
            }
            return Ok(());
        }
        for (group, value) in groups.iter().zip(values.iter()) {
            if let Some(value) = value {
                self.add(*group, value)?;
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.update_batch(states, groups, None, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        fitting(self.emit(emit))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.emit(emit)])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = filtered::<T>(&values[0], filter)?;
        Ok(vec![Arc::new(
            values.with_data_type(self.data_type.clone()),
        )])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<T::Native>() + self.seen.capacity()
    }
}

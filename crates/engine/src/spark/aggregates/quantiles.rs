//! `percentile_approx(value, share)`: a value that is there, not one between two.
//!
//! DataFusion's own gives a DOUBLE between the neighbours; Spark gives a value of the column, of the
//! column's type, exactly as long as there are no more values than the accuracy says. Values are
//! kept as whole numbers that sort as they do, so that no BIGINT or DECIMAL passes through a float.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Decimal128Type, Field, FieldRef, Float64Type, Int64Type, Schema, UInt64Type,
};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, ColumnarValue, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;

use super::summary::{Sample, Summary};
use crate::spark::types;

/// Spark's default: a rank is wrong by one in so many at most.
const ACCURACY: u64 = 10_000;

/// The aggregate.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Quantiles {
    signature: Signature,
}

impl Quantiles {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl AggregateUDFImpl for Quantiles {
    fn name(&self) -> &str {
        "percentile_approx"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let [value, share, accuracy @ ..] = given else {
            return plan_err!("write `percentile_approx(column, 0.5)`");
        };
        let value = match value {
            DataType::Date32 | DataType::Timestamp(..) | DataType::Decimal128(..) => value.clone(),
            other if other.is_signed_integer() => other.clone(),
            DataType::Float32 => DataType::Float32,
            DataType::Float64 | DataType::Utf8 | DataType::Utf8View | DataType::Null => {
                DataType::Float64
            }
            other => {
                let name = types::name_of(other);
                return plan_err!("percentile_approx of {name}: it needs numbers or times");
            }
        };
        let share = match share {
            DataType::List(_) => DataType::new_list(DataType::Float64, true),
            _ => DataType::Float64,
        };
        let accuracy = accuracy.iter().map(|_| DataType::Int64);
        Ok([value, share].into_iter().chain(accuracy).collect())
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(match &given[1] {
            DataType::List(_) => DataType::new_list(given[0].clone(), true),
            _ => given[0].clone(),
        })
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |what: &str, data_type| {
            Arc::new(Field::new(
                format!("{}[{what}]", arguments.name),
                data_type,
                true,
            ))
        };
        Ok(vec![
            field("samples", DataType::Binary),
            field("count", DataType::UInt64),
        ])
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let shares = constant(&arguments.exprs[1])?;
        let (shares, listed) = match &shares {
            ScalarValue::List(list) => {
                let shares = list.value(0);
                let shares = shares.as_primitive::<Float64Type>();
                (shares.iter().flatten().collect(), true)
            }
            ScalarValue::Float64(Some(share)) => (vec![*share], false),
            other => return exec_err!("percentile_approx: {other} is no share of 1"),
        };
        if let Some(wrong) = shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return exec_err!("percentile_approx: the share {wrong} is not from 0 to 1");
        }
        let accuracy = match arguments.exprs.get(2).map(constant).transpose()? {
            Some(ScalarValue::Int64(Some(accuracy))) => u64::try_from(accuracy).unwrap_or(0),
            Some(other) => return exec_err!("percentile_approx: {other} is no accuracy"),
            None => ACCURACY,
        };
        if accuracy == 0 {
            return exec_err!("percentile_approx: the accuracy must be greater than 0");
        }
        Ok(Box::new(Gathered {
            summary: Summary::new(accuracy),
            data_type: arguments.expr_fields[0].data_type().clone(),
            shares,
            listed,
        }))
    }
}

fn constant(expression: &Arc<dyn PhysicalExpr>) -> Result<ScalarValue> {
    let row = arrow::array::RecordBatch::new_empty(Arc::new(Schema::empty()));
    match expression.evaluate(&row) {
        Ok(ColumnarValue::Scalar(value)) => Ok(value),
        _ => exec_err!("percentile_approx: the share and the accuracy must be constant"),
    }
}

#[derive(Debug)]
struct Gathered {
    summary: Summary,
    data_type: DataType,
    shares: Vec<f64>,
    listed: bool,
}

impl Gathered {
    fn value(&mut self, share: f64) -> Result<ScalarValue> {
        let Some(key) = self.summary.quantile(share) else {
            return ScalarValue::try_from(&self.data_type);
        };
        let whole = || {
            i64::try_from(key).map_err(|_| exec_datafusion_err!("{key} is no value of the column"))
        };
        match &self.data_type {
            DataType::Decimal128(precision, scale) => {
                Ok(ScalarValue::Decimal128(Some(key), *precision, *scale))
            }
            DataType::Float32 | DataType::Float64 => {
                ScalarValue::Float64(Some(double(whole()?))).cast_to(&self.data_type)
            }
            DataType::Date32 => ScalarValue::from(whole()?)
                .cast_to(&DataType::Int32)?
                .cast_to(&DataType::Date32),
            other => ScalarValue::from(whole()?).cast_to(other),
        }
    }
}

/// Doubles as whole numbers of the same order, and back.
fn key(double: f64) -> i64 {
    let bits = double.to_bits().cast_signed();
    bits ^ (((bits >> 63).cast_unsigned()) >> 1).cast_signed()
}

fn double(key: i64) -> f64 {
    let bits = key ^ (((key >> 63).cast_unsigned()) >> 1).cast_signed();
    f64::from_bits(bits.cast_unsigned())
}

impl Accumulator for Gathered {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = &values[0];
        match values.data_type() {
            DataType::Decimal128(..) => {
                let values = values.as_primitive::<Decimal128Type>();
                values.iter().flatten().for_each(|v| self.summary.add(v));
            }
            DataType::Float32 | DataType::Float64 => {
                let values = arrow::compute::cast(values, &DataType::Float64)?;
                let values = values.as_primitive::<Float64Type>();
                let keys = values.iter().flatten().map(|value| key(value).into());
                keys.for_each(|key| self.summary.add(key));
            }
            data_type => {
                let narrow = match data_type {
                    DataType::Date32 => arrow::compute::cast(values, &DataType::Int32)?,
                    _ => Arc::clone(values),
                };
                let wide = arrow::compute::cast(&narrow, &DataType::Int64)?;
                let wide = wide.as_primitive::<Int64Type>();
                wide.iter()
                    .flatten()
                    .for_each(|v| self.summary.add(v.into()));
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let samples = states[0].as_binary::<i32>();
        let counts = states[1].as_primitive::<UInt64Type>();
        for (samples, count) in samples.iter().zip(counts.iter()) {
            let (Some(samples), Some(count)) = (samples, count) else {
                continue;
            };
            self.summary.merge(&read(samples), count);
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (samples, count) = self.summary.samples();
        Ok(vec![
            ScalarValue::Binary(Some(written(samples))),
            ScalarValue::UInt64(Some(count)),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let shares = self.shares.clone();
        let values = shares.into_iter().map(|share| self.value(share));
        let mut values = values.collect::<Result<Vec<ScalarValue>>>()?;
        if self.listed {
            if self.summary.samples().1 == 0 {
                return ScalarValue::try_from(DataType::new_list(self.data_type.clone(), true));
            }
            let list = ScalarValue::new_list_nullable(&values, &self.data_type);
            return Ok(ScalarValue::List(list));
        }
        match values.pop() {
            Some(value) => Ok(value),
            None => ScalarValue::try_from(&self.data_type),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.summary.bytes()
    }
}

/// Samples as bytes, 32 each.
fn written(samples: &[Sample]) -> Vec<u8> {
    let bytes = samples.iter().flat_map(|sample| {
        let ranks = [sample.g.to_le_bytes(), sample.delta.to_le_bytes()];
        sample.value.to_le_bytes().into_iter().chain(ranks.concat())
    });
    bytes.collect()
}

fn read(bytes: &[u8]) -> Vec<Sample> {
    let (samples, _) = bytes.as_chunks::<32>();
    let part = |bytes: &[u8; 32], at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(word)
    };
    samples
        .iter()
        .map(|bytes| {
            let (low, high) = (part(bytes, 0), part(bytes, 8));
            Sample {
                value: (u128::from(high) << 64 | u128::from(low)).cast_signed(),
                g: part(bytes, 16),
                delta: part(bytes, 24),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Sample, double, key, read, written};

    #[test]
    fn doubles_sort_as_their_keys() {
        let sorted = [
            f64::NEG_INFINITY,
            -2.5,
            -0.0,
            0.0,
            1e-300,
            1.0,
            2.5,
            f64::INFINITY,
        ];
        let keys = sorted.map(key);
        assert!(keys.is_sorted());
        assert_eq!(keys.map(double), sorted);
    }

    #[test]
    fn samples_are_read_as_they_were_written() {
        let samples = [-5, i128::MAX].map(|value| Sample {
            value,
            g: 3,
            delta: 7,
        });
        assert_eq!(read(&written(&samples)), samples);
    }
}

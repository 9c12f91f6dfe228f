//! Arithmetic that differs: `/`, whole numbers that must not overflow, `div`, `sqrt`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::compute::kernels::{cmp, numeric};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::error::ArrowError;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use super::decimals;
use super::kernel::{self, Kernel};

/// The functions with names of their own.
pub(super) fn kernels() -> Vec<Kernel> {
    vec![
        Kernel::new(
            "div",
            |given| {
                kernel::count(given, 2..=2, "`div(dividend, divisor)`")?;
                Ok(vec![DataType::Int64; 2])
            },
            |_| Ok(DataType::Int64),
            whole_division,
        ),
        // DataFusion's refuses what is below zero; Spark gives NaN.
        Kernel::new(
            "sqrt",
            |given| {
                kernel::count(given, 1..=1, "`sqrt(number)`")?;
                Ok(vec![DataType::Float64])
            },
            |_| Ok(DataType::Float64),
            |arguments| {
                let numbers = kernel::array(arguments, 0)?;
                let numbers = numbers.as_primitive::<Float64Type>();
                let roots = numbers.unary::<_, Float64Type>(f64::sqrt);
                kernel::result(arguments, Arc::new(roots))
            },
        ),
    ]
}

pub(super) fn checked_plus() -> Kernel {
    Kernel::new("add", same, first, |a| binary(a, numeric::add))
}

pub(super) fn checked_minus() -> Kernel {
    Kernel::new("subtract", same, first, |a| binary(a, numeric::sub))
}

pub(super) fn checked_multiply() -> Kernel {
    Kernel::new("multiply", same, first, |a| binary(a, numeric::mul))
}

fn same(given: &[DataType]) -> Result<Vec<DataType>> {
    kernel::count(given, 2..=2, "two operands")?;
    Ok(given.to_vec())
}

fn first(given: &[DataType]) -> Result<DataType> {
    Ok(given.first().cloned().unwrap_or(DataType::Null))
}

type Operation =
    fn(&dyn arrow::array::Datum, &dyn arrow::array::Datum) -> Result<ArrayRef, ArrowError>;

fn binary(arguments: &ScalarFunctionArgs, operation: Operation) -> Result<ColumnarValue> {
    let result = match (&arguments.args[0], &arguments.args[1]) {
        (ColumnarValue::Array(left), ColumnarValue::Array(right)) => operation(left, right),
        (ColumnarValue::Array(left), ColumnarValue::Scalar(right)) => {
            operation(left, &right.to_scalar()?)
        }
        (ColumnarValue::Scalar(left), ColumnarValue::Array(right)) => {
            operation(&left.to_scalar()?, right)
        }
        (ColumnarValue::Scalar(left), ColumnarValue::Scalar(right)) => {
            operation(&left.to_array()?, &right.to_array()?)
        }
    };
    kernel::result(arguments, result?)
}

/// `/`: decimals to a decimal of Spark's precision and scale, doubles to a double.
pub(super) fn divide() -> Kernel {
    Kernel::new(
        "divide",
        same,
        |given| match given {
            [
                DataType::Decimal128(left_precision, left_scale),
                DataType::Decimal128(right_precision, right_scale),
            ] => {
                let left = (*left_precision, *left_scale);
                let right = (*right_precision, *right_scale);
                let (precision, scale) = decimals::quotient_type(left, right);
                Ok(DataType::Decimal128(precision, scale))
            }
            _ => Ok(DataType::Float64),
        },
        |arguments| match arguments.return_field.data_type() {
            DataType::Decimal128(precision, scale) => {
                decimals::divide(arguments, *precision, *scale)
            }
            _ => divide_doubles(arguments),
        },
    )
}

fn divide_doubles(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    if let ColumnarValue::Scalar(divisor) = &arguments.args[1]
        && divisor.is_null()
    {
        return null(arguments, &DataType::Float64);
    }
    let left = kernel::array(arguments, 0)?;
    let right = kernel::array(arguments, 1)?;
    let right = right.as_primitive::<Float64Type>();
    let zero = cmp::eq(right, &Float64Array::new_scalar(0.0))?;
    let zeros = arrow::compute::and(&zero, &arrow::compute::is_not_null(&left)?)?;
    if zeros.true_count() > 0 {
        return exec_err!("division by zero; use `try_divide` to get NULL instead");
    }
    let quotient = numeric::div(&left, right)?;
    kernel::result(arguments, quotient)
}

fn whole_division(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let left = kernel::array(arguments, 0)?;
    let right = kernel::array(arguments, 1)?;
    let (left, right) = (
        left.as_primitive::<Int64Type>(),
        right.as_primitive::<Int64Type>(),
    );
    let quotients: Int64Array = arrow::compute::try_binary(left, right, |one, other| {
        if other == 0 {
            return Err(ArrowError::DivideByZero);
        }
        one.checked_div(other)
            .ok_or_else(|| ArrowError::ArithmeticOverflow(format!("{one} div {other}")))
    })?;
    kernel::result(arguments, Arc::new(quotients))
}

fn null(arguments: &ScalarFunctionArgs, data_type: &DataType) -> Result<ColumnarValue> {
    let nulls = arrow::array::new_null_array(data_type, arguments.number_rows.max(1));
    kernel::result(arguments, nulls)
}

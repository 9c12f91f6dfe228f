//! Arithmetic that differs: `/`, whole numbers that must not overflow, `div`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array};
use arrow::compute::kernels::{cmp, numeric};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Float64Type, Int64Type, i256,
};
use arrow::error::ArrowError;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use super::kernel::{self, Kernel};

/// The functions with names of their own.
pub(super) fn kernels() -> Vec<Kernel> {
    vec![Kernel::new(
        "div",
        |given| {
            kernel::count(given, 2..=2, "`div(dividend, divisor)`")?;
            Ok(vec![DataType::Int64; 2])
        },
        |_| Ok(DataType::Int64),
        whole_division,
    )]
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
                let (precision, scale) = quotient_type(left, (*right_precision, *right_scale));
                Ok(DataType::Decimal128(precision, scale))
            }
            _ => Ok(DataType::Float64),
        },
        |arguments| match arguments.return_field.data_type() {
            DataType::Decimal128(precision, scale) => {
                divide_decimals(arguments, *precision, *scale)
            }
            _ => divide_doubles(arguments),
        },
    )
}

/// The type of a quotient of decimals, each (precision, scale), as Spark computes it: six digits
/// behind the point at least, digits given up from the scale when there are too many.
fn quotient_type(left: (u8, i8), right: (u8, i8)) -> (u8, i8) {
    let wide = |n: u8| i32::from(n);
    let scaled = |n: i8| i32::from(n);
    let whole = wide(left.0) - scaled(left.1) + scaled(right.1);
    let scale = 6.max(scaled(left.1) + wide(right.0) + 1);
    let precision = whole + scale;
    let most = i32::from(DECIMAL128_MAX_PRECISION);
    let (precision, scale) = if precision <= most {
        (precision, scale)
    } else {
        let kept = scale.min(6);
        (most, (most - whole).max(kept))
    };
    let narrow = |n: i32| u8::try_from(n).unwrap_or(DECIMAL128_MAX_PRECISION);
    (narrow(precision), i8::try_from(scale).unwrap_or(6))
}

fn divide_decimals(
    arguments: &ScalarFunctionArgs,
    precision: u8,
    scale: i8,
) -> Result<ColumnarValue> {
    let left = kernel::array(arguments, 0)?;
    let right = kernel::array(arguments, 1)?;
    let (left, right) = (
        left.as_primitive::<Decimal128Type>(),
        right.as_primitive::<Decimal128Type>(),
    );
    let shift = i32::from(scale) - i32::from(left.scale()) + i32::from(right.scale());
    let shift = u32::try_from(shift.max(0)).unwrap_or(0);
    let narrow = 10_i128.checked_pow(shift);
    let wide = i256::from_i128(10).checked_pow(shift).unwrap_or(i256::ONE);
    let quotients: Decimal128Array = arrow::compute::try_binary(left, right, |one, other| {
        if other == 0 {
            return Err(ArrowError::DivideByZero);
        }
        let small = narrow.and_then(|factor| one.checked_mul(factor));
        if let Some(dividend) = small {
            return Ok(rounded(dividend, other));
        }
        let dividend = i256::from_i128(one).checked_mul(wide);
        dividend
            .and_then(|dividend| rounded_wide(dividend, i256::from_i128(other)))
            .ok_or_else(|| ArrowError::ArithmeticOverflow("a quotient has too many digits".into()))
    })?;
    let quotients = quotients.with_precision_and_scale(precision, scale)?;
    quotients.validate_decimal_precision(precision)?;
    kernel::result(arguments, Arc::new(quotients))
}

/// The quotient, half of the last digit rounded away from zero.
fn rounded(dividend: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (dividend / divisor, dividend % divisor);
    if rest.unsigned_abs() >= divisor.unsigned_abs().div_ceil(2) {
        let away = if (dividend < 0) == (divisor < 0) {
            1
        } else {
            -1
        };
        return quotient + away;
    }
    quotient
}

fn rounded_wide(dividend: i256, divisor: i256) -> Option<i128> {
    let quotient = dividend.checked_div(divisor)?;
    let rest = dividend.checked_rem(divisor)?.wrapping_abs();
    let twice = rest.checked_mul(i256::from_i128(2))?;
    let away = twice >= divisor.wrapping_abs();
    let step = match (away, dividend.is_negative() == divisor.is_negative()) {
        (false, _) => i256::ZERO,
        (true, true) => i256::ONE,
        (true, false) => i256::MINUS_ONE,
    };
    quotient.checked_add(step)?.to_i128()
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

//! `round` and `bround`: to so many digits behind the point, or before it if they are negative.
//!
//! A tie goes away from zero in `round`, to the even digit in `bround`. A DECIMAL gets a type of as
//! many digits as the result can have. A DOUBLE is rounded as it is written: 2.675 to 2.68, although
//! the number that stands for it is a little less.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, Decimal128Array, PrimitiveArray};
use arrow::compute::try_unary;
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type,
};
use arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs};

use super::kernel::{self, Kernel};

/// Where a tie goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tie {
    AwayFromZero,
    ToEven,
}

/// The functions with names of their own.
pub(super) fn kernels() -> Vec<Kernel> {
    vec![
        Kernel::by_arguments("round", takes, returns, |arguments| {
            round(arguments, Tie::AwayFromZero)
        }),
        Kernel::by_arguments("bround", takes, returns, |arguments| {
            round(arguments, Tie::ToEven)
        }),
    ]
}

fn takes(given: &[DataType]) -> Result<Vec<DataType>> {
    kernel::count(given, 1..=2, "`round(number, digits)`")?;
    let number = match &given[0] {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Decimal128(..) => given[0].clone(),
        other if other.is_numeric() || other.is_null() || kernel::is_text(other) => {
            DataType::Float64
        }
        other => return plan_err!("round needs a number, not {other}"),
    };
    let mut wanted = vec![number];
    match given.get(1) {
        Some(digits) if digits.is_integer() || digits.is_null() => wanted.push(digits.clone()),
        Some(other) => return plan_err!("the digits to round to are a whole number, not {other}"),
        None => {}
    }
    Ok(wanted)
}

fn digits_of(value: Option<&ScalarValue>) -> Result<Option<i32>> {
    match value {
        Some(value) if value.is_null() => Ok(None),
        Some(value) => match value.cast_to(&DataType::Int32)? {
            ScalarValue::Int32(digits) => Ok(digits),
            other => plan_err!("{other} is no number of digits"),
        },
        None => plan_err!("the digits to round to must be constant"),
    }
}

fn returns(given: &ReturnFieldArgs<'_>) -> Result<DataType> {
    let digits = match given.scalar_arguments.get(1) {
        Some(value) => digits_of(*value)?.unwrap_or(0),
        None => 0,
    };
    Ok(match given.arg_fields[0].data_type() {
        DataType::Decimal128(precision, scale) => rounded_type(*precision, *scale, digits),
        other => other.clone(),
    })
}

/// The type of a rounded decimal: one digit more before the point, as 9.9 becomes 10.
fn rounded_type(precision: u8, scale: i8, digits: i32) -> DataType {
    let whole = i32::from(precision) - i32::from(scale) + 1;
    let scale = digits.clamp(0, i32::from(scale));
    let precision = if digits < 0 {
        whole.max(digits.saturating_neg().saturating_add(1))
    } else {
        whole + scale
    };
    let precision = u8::try_from(precision).unwrap_or(DECIMAL128_MAX_PRECISION);
    DataType::Decimal128(
        precision.min(DECIMAL128_MAX_PRECISION),
        i8::try_from(scale).unwrap_or(0),
    )
}

fn round(arguments: &ScalarFunctionArgs, tie: Tie) -> Result<ColumnarValue> {
    let digits = match arguments.args.get(1) {
        None => Some(0),
        Some(ColumnarValue::Scalar(digits)) => digits_of(Some(digits))?,
        Some(ColumnarValue::Array(_)) => {
            return exec_err!("the digits to round to must be constant");
        }
    };
    let data_type = arguments.return_field.data_type();
    let Some(digits) = digits else {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from(data_type)?));
    };
    let array = kernel::array(arguments, 0)?;
    let rounded: ArrayRef = match data_type {
        DataType::Int8 => Arc::new(integers::<Int8Type>(&array, digits, tie)?),
        DataType::Int16 => Arc::new(integers::<Int16Type>(&array, digits, tie)?),
        DataType::Int32 => Arc::new(integers::<Int32Type>(&array, digits, tie)?),
        DataType::Int64 => Arc::new(integers::<Int64Type>(&array, digits, tie)?),
        DataType::Decimal128(precision, scale) => {
            Arc::new(decimals(&array, (*precision, *scale), digits, tie)?)
        }
        DataType::Float32 => {
            let numbers = array.as_primitive::<Float32Type>();
            Arc::new(numbers.unary::<_, Float32Type>(|number| single(number, digits, tie)))
        }
        _ => {
            let numbers = array.as_primitive::<Float64Type>();
            Arc::new(numbers.unary::<_, Float64Type>(|number| double(number, digits, tie)))
        }
    };
    kernel::result(arguments, rounded)
}

fn overflow() -> ArrowError {
    ArrowError::ArithmeticOverflow("a rounded number does not fit its type".to_owned())
}

fn integers<T>(array: &ArrayRef, digits: i32, tie: Tie) -> Result<PrimitiveArray<T>>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128> + TryFrom<i128>,
{
    let numbers = array.as_primitive::<T>();
    if digits >= 0 {
        return Ok(numbers.clone());
    }
    let dropped = digits.unsigned_abs();
    Ok(try_unary(numbers, |number| {
        let rounded = without_digits(number.into(), dropped, tie);
        let back = 10_i128.checked_pow(dropped).unwrap_or(0);
        let whole = rounded.checked_mul(back).ok_or_else(overflow)?;
        T::Native::try_from(whole).map_err(|_| overflow())
    })?)
}

fn decimals(
    array: &ArrayRef,
    (precision, scale): (u8, i8),
    digits: i32,
    tie: Tie,
) -> Result<Decimal128Array> {
    let numbers = array.as_primitive::<Decimal128Type>();
    let kept = digits.min(numbers.scale().into());
    let dropped = u32::try_from(i32::from(numbers.scale()) - kept).unwrap_or(0);
    let back = 10_i128.checked_pow(kept.min(0).unsigned_abs()).unwrap_or(0);
    let rounded: Decimal128Array = try_unary(numbers, |number| {
        let rounded = without_digits(number, dropped, tie);
        rounded.checked_mul(back).ok_or_else(overflow)
    })?;
    let rounded = rounded.with_precision_and_scale(precision, scale)?;
    rounded.validate_decimal_precision(precision)?;
    Ok(rounded)
}

/// A whole number without its last digits.
fn without_digits(number: i128, dropped: u32, tie: Tie) -> i128 {
    let Some(unit) = 10_i128.checked_pow(dropped) else {
        return 0;
    };
    let (quotient, rest) = (number / unit, number % unit);
    let rest = rest.unsigned_abs();
    // Not twice the rest, which may not fit.
    let half = rest.cmp(&(unit.unsigned_abs() - rest));
    quotient
        + if away(half, quotient % 2 != 0, tie) {
            number.signum()
        } else {
            0
        }
}

/// Whether a rest moves the number away from zero: by how it compares to a half.
fn away(half: Ordering, odd: bool, tie: Tie) -> bool {
    match half {
        Ordering::Less => false,
        Ordering::Greater => true,
        Ordering::Equal => tie == Tie::AwayFromZero || odd,
    }
}

fn single(number: f32, digits: i32, tie: Tie) -> f32 {
    // By its text, as the double beside it has other digits.
    let written = number.to_string().parse::<f64>();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the nearest FLOAT is what is asked for"
    )]
    written.map_or(number, |wide| double(wide, digits, tie) as f32)
}

/// The largest double below which doubles have digits behind the point.
const FRACTIONAL_BELOW: f64 = 4_503_599_627_370_496.0;

fn double(number: f64, digits: i32, tie: Tie) -> f64 {
    let unit = 10_f64.powi(digits.saturating_abs());
    let scaled = if digits < 0 {
        number / unit
    } else {
        number * unit
    };
    if !scaled.is_finite() || (digits >= 0 && scaled.abs() >= FRACTIONAL_BELOW) {
        return number;
    }
    let size = scaled.abs();
    let (whole, fraction) = (size.floor(), size.fract());
    let near_tie = (fraction - 0.5).abs() <= 4.0 * f64::EPSILON * size.max(1.0);
    let half = if near_tie {
        beyond(number, digits)
    } else {
        fraction.total_cmp(&0.5)
    };
    let rounded = whole
        + if away(half, whole % 2.0 != 0.0, tie) {
            1.0
        } else {
            0.0
        };
    let back = if digits < 0 {
        rounded * unit
    } else {
        rounded / unit
    };
    back.copysign(number)
}

/// How the digits of a written number that are beyond the kept ones compare to a half.
fn beyond(number: f64, digits: i32) -> Ordering {
    let text = format!("{:e}", number.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let written: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let Ok(kept) = usize::try_from(exponent.saturating_add(digits).saturating_add(1)) else {
        return Ordering::Less;
    };
    match written.get(kept..) {
        None | Some([]) => Ordering::Less,
        Some([b'5', rest @ ..]) if rest.iter().all(|digit| *digit == b'0') => Ordering::Equal,
        Some([first, ..]) if *first >= b'5' => Ordering::Greater,
        Some(_) => Ordering::Less,
    }
}

#[cfg(test)]
mod tests {
    use super::{Tie, double, single, without_digits};

    #[test]
    fn doubles_are_rounded_as_they_are_written() {
        let up = |number, digits| double(number, digits, Tie::AwayFromZero);
        assert_eq!(up(2.675, 2), 2.68);
        assert_eq!(up(1.005, 2), 1.01);
        assert_eq!(up(-0.5, 0), -1.0);
        assert_eq!(up(2.5, 0), 3.0);
        assert_eq!(up(125.0, -1), 130.0);
        assert_eq!(up(0.3, 20), 0.3);
        assert_eq!(up(1e300, 2), 1e300);
        assert_eq!(up(1e15 + 0.3, 0), 1e15);
        assert!(up(f64::NAN, 1).is_nan());
        assert_eq!(up(f64::INFINITY, 1), f64::INFINITY);
        let even = |number, digits| double(number, digits, Tie::ToEven);
        assert_eq!(even(2.5, 0), 2.0);
        assert_eq!(even(3.5, 0), 4.0);
        assert_eq!(even(2.665, 2), 2.66);
        assert_eq!(even(-25.0, -1), -20.0);
        assert_eq!(single(2.675, 2, Tie::AwayFromZero), 2.68);
    }

    #[test]
    fn whole_numbers_lose_digits() {
        assert_eq!(without_digits(25, 1, Tie::AwayFromZero), 3);
        assert_eq!(without_digits(-25, 1, Tie::AwayFromZero), -3);
        assert_eq!(without_digits(25, 1, Tie::ToEven), 2);
        assert_eq!(without_digits(24, 1, Tie::AwayFromZero), 2);
        assert_eq!(without_digits(7, 0, Tie::AwayFromZero), 7);
        assert_eq!(without_digits(7, 50, Tie::AwayFromZero), 0);
        assert_eq!(without_digits(i128::MAX, 38, Tie::AwayFromZero), 2);
    }
}

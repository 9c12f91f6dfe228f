//! Decimals whose results can have too many digits: `/`, and `+`, `-` and `*` where 38 digits may
//! not be enough.
//!
//! Where they are enough, Arrow's own kernels do the work. Elsewhere those give results of more
//! digits than their type has; here the scale is reduced as in Spark, and what does not fit then is
//! an error.

use std::sync::Arc;

use arrow::array::{AsArray, Decimal128Array};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, i256};
use arrow::error::ArrowError;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{ColumnarValue, Operator, ScalarFunctionArgs};

use super::kernel::{self, Kernel};

pub(super) fn plus() -> Kernel {
    Kernel::new(
        "decimal_add",
        two,
        |given| result_type(Operator::Plus, given),
        |arguments| run(arguments, Operator::Plus),
    )
}

pub(super) fn minus() -> Kernel {
    Kernel::new(
        "decimal_subtract",
        two,
        |given| result_type(Operator::Minus, given),
        |arguments| run(arguments, Operator::Minus),
    )
}

pub(super) fn multiply() -> Kernel {
    Kernel::new(
        "decimal_multiply",
        two,
        |given| result_type(Operator::Multiply, given),
        |arguments| run(arguments, Operator::Multiply),
    )
}

fn two(given: &[DataType]) -> Result<Vec<DataType>> {
    kernel::count(given, 2..=2, "two operands")?;
    Ok(given.to_vec())
}

/// Whether an operation on decimals, each (precision, scale), may need more digits than there are.
pub(in crate::spark) fn may_overflow(operator: Operator, left: (u8, i8), right: (u8, i8)) -> bool {
    needed(operator, left, right).0 > DECIMAL128_MAX_PRECISION.into()
}

/// The precision and scale that hold every result.
fn needed(operator: Operator, left: (u8, i8), right: (u8, i8)) -> (i32, i32) {
    let (left_scale, right_scale) = (i32::from(left.1), i32::from(right.1));
    let (left_precision, right_precision) = (i32::from(left.0), i32::from(right.0));
    if operator == Operator::Multiply {
        return (
            left_precision + right_precision + 1,
            left_scale + right_scale,
        );
    }
    let scale = left_scale.max(right_scale);
    let whole = (left_precision - left_scale).max(right_precision - right_scale);
    (whole + scale + 1, scale)
}

fn result_type(operator: Operator, given: &[DataType]) -> Result<DataType> {
    let [
        DataType::Decimal128(left_precision, left_scale),
        DataType::Decimal128(right_precision, right_scale),
    ] = given
    else {
        return plan_err!("two decimals are needed");
    };
    let left = (*left_precision, *left_scale);
    let (precision, scale) = needed(operator, left, (*right_precision, *right_scale));
    let (precision, scale) = fitted(precision, scale);
    Ok(DataType::Decimal128(precision, scale))
}

fn overflow() -> ArrowError {
    ArrowError::ArithmeticOverflow("a DECIMAL has more than 38 digits (an overflow)".to_owned())
}

fn run(arguments: &ScalarFunctionArgs, operator: Operator) -> Result<ColumnarValue> {
    let DataType::Decimal128(precision, scale) = *arguments.return_field.data_type() else {
        return plan_err!("a decimal comes of decimals");
    };
    let (left, right) = (kernel::array(arguments, 0)?, kernel::array(arguments, 1)?);
    let (left, right) = (
        left.as_primitive::<Decimal128Type>(),
        right.as_primitive::<Decimal128Type>(),
    );
    let (left_scale, right_scale) = (i32::from(left.scale()), i32::from(right.scale()));
    let full = match operator {
        Operator::Multiply => left_scale + right_scale,
        _ => left_scale.max(right_scale),
    };
    let added = |scale: i32| match operator {
        Operator::Multiply => Digits::new(0),
        _ => Digits::new(full - scale),
    };
    let steps = Steps {
        operator,
        left: added(left_scale),
        right: added(right_scale),
        dropped: Digits::new(full - i32::from(scale)),
    };
    let limit = 10_i128.checked_pow(precision.into()).unwrap_or(i128::MAX);
    let results: Decimal128Array = arrow::compute::try_binary(left, right, |one, other| {
        let result = steps.narrow(one, other).or_else(|| steps.wide(one, other));
        result
            .filter(|result| result.unsigned_abs() < limit.unsigned_abs())
            .ok_or_else(overflow)
    })?;
    let results = results.with_precision_and_scale(precision, scale)?;
    kernel::result(arguments, Arc::new(results))
}

/// A number of digits, and the power of ten that adds them.
struct Digits {
    count: u32,
    /// None if it is more than 128 bits hold.
    power: Option<i128>,
}

impl Digits {
    fn new(count: i32) -> Self {
        let count = u32::try_from(count).unwrap_or(0);
        Self {
            count,
            power: 10_i128.checked_pow(count),
        }
    }

    fn added_to(&self, number: i128) -> Option<i128> {
        match self.count {
            0 => Some(number),
            _ => number.checked_mul(self.power?),
        }
    }

    fn added_to_wide(&self, number: i128) -> Option<i256> {
        let power = i256::from_i128(10).checked_pow(self.count)?;
        i256::from_i128(number).checked_mul(power)
    }
}

/// What is done with the digits of two operands: zeros added to each, then digits taken from the
/// result.
struct Steps {
    operator: Operator,
    left: Digits,
    right: Digits,
    dropped: Digits,
}

impl Steps {
    fn narrow(&self, left: i128, right: i128) -> Option<i128> {
        let (left, right) = (self.left.added_to(left)?, self.right.added_to(right)?);
        let result = match self.operator {
            Operator::Multiply => left.checked_mul(right)?,
            Operator::Minus => left.checked_sub(right)?,
            _ => left.checked_add(right)?,
        };
        match self.dropped.count {
            0 => Some(result),
            _ => Some(rounded(result, self.dropped.power?)),
        }
    }

    /// The same in 256 bits, for where 128 are too few on the way.
    fn wide(&self, left: i128, right: i128) -> Option<i128> {
        let left = self.left.added_to_wide(left)?;
        let right = self.right.added_to_wide(right)?;
        let result = match self.operator {
            Operator::Multiply => left.checked_mul(right)?,
            Operator::Minus => left.checked_sub(right)?,
            _ => left.checked_add(right)?,
        };
        rounded_wide(result, i256::from_i128(10).checked_pow(self.dropped.count)?)
    }
}

/// The type of a quotient of decimals, each (precision, scale), as Spark computes it: six digits
/// behind the point at least, digits given up from the scale when there are too many.
pub(super) fn quotient_type(left: (u8, i8), right: (u8, i8)) -> (u8, i8) {
    let wide = |n: u8| i32::from(n);
    let scaled = |n: i8| i32::from(n);
    let whole = wide(left.0) - scaled(left.1) + scaled(right.1);
    let scale = 6.max(scaled(left.1) + wide(right.0) + 1);
    fitted(whole + scale, scale)
}

/// The type of a result that would need this precision and scale: digits are given up behind the
/// point when there are too many, though not the last six.
fn fitted(precision: i32, scale: i32) -> (u8, i8) {
    let most = i32::from(DECIMAL128_MAX_PRECISION);
    let (precision, scale) = if precision <= most {
        (precision, scale)
    } else {
        let whole = precision - scale;
        (most, (most - whole).max(scale.min(6)))
    };
    let narrow = |n: i32| u8::try_from(n).unwrap_or(DECIMAL128_MAX_PRECISION);
    (narrow(precision), i8::try_from(scale).unwrap_or(6))
}

pub(super) fn divide(
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

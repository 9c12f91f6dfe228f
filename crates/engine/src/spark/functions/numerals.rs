//! `conv`: a number as text, from one base to another.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringViewBuilder};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use super::kernel::{self, Kernel};

/// The bases that have digits.
const BASES: std::ops::RangeInclusive<u32> = 2..=36;

/// The functions with names of their own.
pub(super) fn kernels() -> Vec<Kernel> {
    vec![Kernel::new(
        "conv",
        |given| {
            kernel::count(given, 3..=3, "`conv(number, from_base, to_base)`")?;
            Ok(vec![DataType::Utf8View, DataType::Int32, DataType::Int32])
        },
        |_| Ok(DataType::Utf8View),
        conv,
    )]
}

fn conv(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let texts = kernel::text(arguments, 0)?;
    let (from, to) = (kernel::array(arguments, 1)?, kernel::array(arguments, 2)?);
    let (from, to) = (
        from.as_primitive::<Int32Type>(),
        to.as_primitive::<Int32Type>(),
    );
    let mut builder = StringViewBuilder::with_capacity(texts.len());
    for row in 0..texts.len() {
        if texts.is_null(row) || from.is_null(row) || to.is_null(row) {
            builder.append_null();
            continue;
        }
        builder.append_option(converted(texts.value(row), from.value(row), to.value(row))?);
    }
    kernel::result(arguments, Arc::new(builder.finish()))
}

/// Digits up to the first that is none; NULL without digits or with a base that has none. A
/// negative base to write in asks for a sign; otherwise a negative number is written as the
/// unsigned one of the same 64 bits.
fn converted(text: &str, from: i32, to: i32) -> Result<Option<String>> {
    let base = u32::try_from(from).ok().filter(|base| BASES.contains(base));
    let text = text.trim();
    let (Some(base), true, false) = (base, BASES.contains(&to.unsigned_abs()), text.is_empty())
    else {
        return Ok(None);
    };
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let mut value = 0_u64;
    for digit in digits.chars().map_while(|digit| digit.to_digit(base)) {
        let next = value.checked_mul(base.into());
        let Some(next) = next.and_then(|next| next.checked_add(digit.into())) else {
            return exec_err!("conv: '{text}' has more than 64 bits (an overflow)");
        };
        value = next;
    }
    if negative {
        value = value.wrapping_neg();
    }
    let signed = to < 0 && value.cast_signed() < 0;
    if signed {
        value = value.wrapping_neg();
    }
    let written = in_base(value, to.unsigned_abs());
    Ok(Some(if signed {
        format!("-{written}")
    } else {
        written
    }))
}

fn in_base(mut value: u64, base: u32) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(value % u64::from(base)).unwrap_or(0);
        let digit = char::from_digit(digit, base).unwrap_or('0');
        digits.push(digit.to_ascii_uppercase());
        value /= u64::from(base);
        if value == 0 {
            break;
        }
    }
    digits.iter().rev().collect()
}

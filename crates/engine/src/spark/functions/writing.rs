//! Times and doubles as Spark writes them when they become text.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringViewBuilder};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use super::kernel::{self, Kernel};
use super::patterns::Pattern;
use super::times::{time_type, written};

/// The functions with names of their own.
pub(super) fn kernels() -> Vec<Kernel> {
    vec![
        Kernel::new(
            "timestamp_text",
            |given| {
                kernel::count(given, 1..=1, "one timestamp")?;
                Ok(vec![time_type(&given[0])])
            },
            |_| Ok(DataType::Utf8View),
            timestamp_text,
        ),
        Kernel::new(
            "double_text",
            |given| {
                kernel::count(given, 1..=1, "one DOUBLE")?;
                Ok(given.to_vec())
            },
            |_| Ok(DataType::Utf8View),
            double_text,
        ),
    ]
}

/// No more digits of the fraction than it has.
fn timestamp_text(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let pattern = Pattern::new("yyyy-MM-dd HH:mm:ss").map_err(|e| exec_datafusion_err!("{e}"))?;
    written(arguments, 0, |moment, out| {
        pattern.write(&moment, true, out);
        let nanoseconds = chrono::Timelike::nanosecond(&moment);
        if nanoseconds != 0 {
            let digits = format!("{nanoseconds:09}");
            out.push('.');
            out.push_str(digits.trim_end_matches('0'));
        }
    })
}

fn double_text(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let array: ArrayRef = kernel::array(arguments, 0)?;
    let mut builder = StringViewBuilder::with_capacity(array.len());
    let mut buffer = String::new();
    let mut append = |text: Option<(f64, String)>| match text {
        Some((number, digits)) => {
            buffer.clear();
            write_double(number, &digits, &mut buffer);
            builder.append_value(&buffer);
        }
        None => builder.append_null(),
    };
    // A FLOAT has fewer digits than the DOUBLE beside it.
    if let Some(numbers) = array.as_primitive_opt::<Float32Type>() {
        let texts = numbers
            .iter()
            .map(|n| n.map(|n| (f64::from(n), format!("{n:e}"))));
        texts.for_each(&mut append);
    } else {
        let numbers = array.as_primitive::<Float64Type>().iter();
        let texts = numbers.map(|number| number.map(|number| (number, format!("{number:e}"))));
        texts.for_each(&mut append);
    }
    kernel::result(arguments, Arc::new(builder.finish()))
}

/// As Java does: plain from a thousandth to ten million, with an exponent elsewhere.
fn write_double(number: f64, digits: &str, out: &mut String) {
    let (mantissa, exponent) = digits.split_once('e').unwrap_or((digits, "0"));
    if number.is_nan() {
        out.push_str("NaN");
    } else if number.is_infinite() {
        out.push_str(if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        });
    } else if number == 0.0 || (1e-3..1e7).contains(&number.abs()) {
        let plain = digits.parse::<f64>().unwrap_or(number);
        let _ = write!(out, "{plain:?}");
    } else {
        let point = if mantissa.contains('.') { "" } else { ".0" };
        let _ = write!(out, "{mantissa}{point}E{exponent}");
    }
}

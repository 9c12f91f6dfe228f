//! Coercion: text, or a typed column, becomes the declared type, or a `type` failure.
//!
//! A value either becomes the declared type without losing anything, or it fails and says why: a
//! number that would lose digits or overflow, a date that the calendar does not have, a text that
//! could mean two things. How text may be written is said by [`CoercionOptions`]; the default is
//! strict. Text columns take one pass each (`text.rs`), with a parser by hand a type; nested types are
//! read from JSON text (`nested.rs`); typed columns are converted only where converting back gives the
//! same value (`typed.rs`).

mod calendar;
mod date;
mod fuzz;
mod json;
mod moment;
mod nested;
mod number;
mod options;
mod pattern;
mod problem;
mod scalar;
mod text;
mod typed;
mod zone;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringViewArray};
use arrow::datatypes::{DataType, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit};

pub use options::{
    BinaryFormat, CoercionOptions, CurrencyOption, DateOrder, EpochUnit, OPTIONS, OptionDeclaration,
};
pub use pattern::Pattern;
pub(crate) use problem::shown;
pub use problem::{NestedKind, NestedProblem, Problem, type_name};
pub use text::ValueFailure;

use crate::error::Result;

/// A column of the declared type.
#[derive(Debug, Clone)]
pub struct CoercedColumn {
    /// The values; NULL where one failed.
    pub array: ArrayRef,
    /// The values that failed, in the order of rows, at most one a row.
    pub failures: Vec<ValueFailure>,
}

/// Coerces a column of any type to `data_type`.
///
/// # Errors
/// When an Arrow kernel refuses; never for a value.
pub fn coerce_column(
    array: &ArrayRef,
    data_type: &DataType,
    options: &CoercionOptions,
) -> Result<CoercedColumn> {
    let (array, failures) = match array.as_any().downcast_ref::<StringViewArray>() {
        Some(text) => coerce_text(text, data_type, options)?,
        None => typed::convert(array, data_type, options)?,
    };
    Ok(CoercedColumn { array, failures })
}

/// Coerces the lines of any bytes to every type under several options: the entry of a fuzzer.
///
/// # Panics
/// When a coercion loses count of its rows, or reports a failure on a row that has a value.
pub fn fuzz_coercion(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<Option<&str>> = text
        .split('\n')
        .map(|line| (line != "\\N").then_some(line))
        .collect();
    let column: ArrayRef = Arc::new(lines.iter().copied().collect::<StringViewArray>());
    for options in fuzz::options() {
        for data_type in fuzz::types() {
            let Ok(coerced) = coerce_column(&column, &data_type, &options) else {
                continue;
            };
            assert_eq!(coerced.array.len(), lines.len(), "{data_type}");
            let in_order = coerced
                .failures
                .is_sorted_by(|left, right| left.row < right.row);
            assert!(
                in_order,
                "failures of {data_type} are not in the order of rows"
            );
            for failure in &coerced.failures {
                let row = failure.row as usize;
                assert!(
                    coerced.array.is_null(row),
                    "a failed {data_type} has a value"
                );
                let message = failure
                    .problem
                    .message(lines[row].unwrap_or_default(), &data_type);
                assert!(
                    lines[row].is_some() && !message.is_empty(),
                    "NULL failed as {data_type}"
                );
            }
        }
    }
}

/// Coerces a text column.
fn coerce_text(
    text: &StringViewArray,
    data_type: &DataType,
    options: &CoercionOptions,
) -> Result<scalar::Parsed> {
    Ok(match data_type {
        DataType::Utf8View => (strings(text, options), Vec::new()),
        DataType::Boolean => scalar::booleans(text, options),
        DataType::Int8 => scalar::integers::<Int8Type>(text, options),
        DataType::Int16 => scalar::integers::<Int16Type>(text, options),
        DataType::Int32 => scalar::integers::<Int32Type>(text, options),
        DataType::Int64 => scalar::integers::<Int64Type>(text, options),
        DataType::Float32 => scalar::floats(text, options),
        DataType::Float64 => scalar::doubles(text, options),
        DataType::Decimal128(precision, scale) => {
            scalar::decimals(text, *precision, *scale, options)?
        }
        DataType::Date32 => date::dates(text, options),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => {
            date::timestamps(text, Arc::clone(zone), options)
        }
        DataType::Timestamp(TimeUnit::Microsecond, None) => date::local_timestamps(text, options),
        DataType::BinaryView => scalar::binaries(text, options),
        DataType::List(_) | DataType::Struct(_) | DataType::Map(_, _) => {
            nested::from_json(text, data_type, options)?
        }
        _ => typed::by_cast(&(Arc::new(text.clone()) as ArrayRef), data_type)?,
    })
}

/// Strings stay as they are, but for the texts that stand for NULL.
fn strings(array: &StringViewArray, options: &CoercionOptions) -> ArrayRef {
    if options.null_values.is_empty() && !options.empty_string_is_null {
        return Arc::new(array.clone());
    }
    let mut validity = text::Validity::of(array);
    text::for_each_text(array, |row, bytes| {
        let stands_for_null = |bytes: &[u8]| {
            options.is_null_value(bytes) || (bytes.is_empty() && options.empty_string_is_null)
        };
        if bytes.is_some_and(stands_for_null) {
            validity.clear(row);
        }
    });
    match validity.finish() {
        None => Arc::new(array.clone()),
        nulls => {
            let (views, buffers, _) = array.clone().into_parts();
            // The views were those of a valid array; only more of them are NULL now.
            match StringViewArray::try_new(views, buffers, nulls) {
                Ok(masked) => Arc::new(masked),
                Err(_) => Arc::new(array.clone()),
            }
        }
    }
}

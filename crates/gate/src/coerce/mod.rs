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
    let mut validity = text::Validity::new(array.len());
    text::for_each_text(array, |row, bytes| {
        let keep = bytes.is_some_and(|bytes| {
            !(options.is_null_value(bytes) || (bytes.is_empty() && options.empty_string_is_null))
        });
        if !keep {
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

//! `from_json` and `to_json`: text to columns of a declared type and back, by Arrow's JSON reader
//! and writer, which take no number through a float.
//!
//! A text that is no JSON gives a struct of NULLs (NULL where another type is asked for), a value
//! that does not fit its field gives NULL there, as Spark does.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringViewArray, StringViewBuilder};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field};
use arrow::json::ReaderBuilder;
use arrow::json::writer::{EncoderOptions, make_encoder};
use datafusion::common::{Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs};

use super::kernel::{self, Kernel};
use crate::spark::types;

/// How many rows are read at once, and read one by one when one of them is no JSON.
const ROWS_AT_ONCE: usize = 1024;

/// The functions with names of their own.
pub(super) fn kernels() -> Vec<Kernel> {
    vec![
        Kernel::by_arguments(
            "from_json",
            |given| {
                kernel::count(given, 2..=2, "`from_json(text, 'a INT, b STRING')`")?;
                // The second stays as it is: a conversion would hide that it is constant.
                Ok(vec![DataType::Utf8View, given[1].clone()])
            },
            declared,
            from_json,
        ),
        Kernel::new(
            "to_json",
            |given| {
                kernel::count(given, 1..=1, "`to_json(struct, map or array)`")?;
                match &given[0] {
                    DataType::Struct(_) | DataType::Map(..) | DataType::List(_) => {
                        Ok(given.to_vec())
                    }
                    other => plan_err!(
                        "to_json writes a struct, a map or an array, not {}",
                        types::name_of(other)
                    ),
                }
            },
            |_| Ok(DataType::Utf8View),
            to_json,
        ),
    ]
}

/// The type that the second argument declares.
fn declared(given: &ReturnFieldArgs<'_>) -> Result<DataType> {
    let schema = given.scalar_arguments.get(1).copied().flatten();
    match schema.and_then(|schema| schema.try_as_str().flatten()) {
        Some(text) => types::parse(text),
        None => plan_err!("from_json needs its columns as a constant such as 'a INT, b STRING'"),
    }
}

fn from_json(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let field = Arc::new(Field::new(
        "value",
        arguments.return_field.data_type().clone(),
        true,
    ));
    let texts = kernel::text(arguments, 0)?;
    let mut parts: Vec<ArrayRef> = Vec::new();
    for start in (0..texts.len()).step_by(ROWS_AT_ONCE) {
        let rows = texts.slice(start, ROWS_AT_ONCE.min(texts.len() - start));
        match read(&rows, &field)? {
            Some(values) => parts.push(values),
            None => {
                for row in 0..rows.len() {
                    parts.push(read_one(&rows.slice(row, 1), &field)?);
                }
            }
        }
    }
    if parts.is_empty() {
        parts.push(arrow::array::new_empty_array(field.data_type()));
    }
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    kernel::result(arguments, concat(&parts)?)
}

fn read_one(row: &StringViewArray, field: &Arc<Field>) -> Result<ArrayRef> {
    if let Some(values) = read(row, field)? {
        return Ok(values);
    }
    let nothing = match field.data_type() {
        DataType::Struct(_) => "{}",
        _ => "null",
    };
    let nothing = StringViewArray::from(vec![nothing]);
    read(&nothing, field)?.ok_or_else(|| exec_datafusion_err!("from_json cannot make a NULL"))
}

/// The rows as values; `None` if one of them is not exactly one JSON value.
fn read(rows: &StringViewArray, field: &Arc<Field>) -> Result<Option<ArrayRef>> {
    let mut decoder = ReaderBuilder::new_with_field(Arc::clone(field))
        .with_batch_size(rows.len())
        .with_coerce_primitive(true)
        .with_ignore_type_conflicts(true)
        .build_decoder()?;
    for (row, text) in rows.iter().enumerate() {
        // The end of the line ends a number.
        let text = text.filter(|text| !text.trim().is_empty());
        let line = format!("{}\n", text.unwrap_or("null"));
        let Ok(taken) = decoder.decode(line.as_bytes()) else {
            return Ok(None);
        };
        let rest = &line.as_bytes()[taken..];
        let whole = decoder.len() == row + 1 && !decoder.has_partial_record();
        if !whole || !rest.trim_ascii().is_empty() {
            return Ok(None);
        }
    }
    let Ok(batch) = decoder.flush() else {
        return Ok(None);
    };
    Ok(batch.map(|batch| Arc::clone(batch.column(0))))
}

fn to_json(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let array = kernel::array(arguments, 0)?;
    let options = EncoderOptions::default()
        .with_timestamp_format("%Y-%m-%dT%H:%M:%S%.3f".to_owned())
        .with_timestamp_tz_format("%Y-%m-%dT%H:%M:%S%.3fZ".to_owned());
    let mut encoder = make_encoder(&arguments.arg_fields[0], array.as_ref(), &options)?;
    let mut builder = StringViewBuilder::with_capacity(array.len());
    let mut written = Vec::new();
    for row in 0..array.len() {
        if encoder.is_null(row) {
            builder.append_null();
            continue;
        }
        written.clear();
        encoder.encode(row, &mut written);
        let text = std::str::from_utf8(&written);
        builder.append_value(text.map_err(|error| exec_datafusion_err!("to_json: {error}"))?);
    }
    kernel::result(arguments, Arc::new(builder.finish()))
}

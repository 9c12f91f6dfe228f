//! Rows as they come, into the columns as they are stored.
//!
//! Columns that have the stored type already are taken as they are, without a copy; types that
//! differ only in the names of nested fields are relabelled; only the rest is cast.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, RecordBatchOptions, StructArray,
    new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef};
use arrow::error::ArrowError;

use crate::error::LakeError;
use crate::schema;

/// Casts that would lose a value fail instead of giving NULL.
const STRICT: CastOptions<'static> = CastOptions {
    safe: false,
    format_options: arrow::util::display::FormatOptions::new(),
};

/// The rows with the columns of `schema`, in its order.
pub(crate) fn batch(
    table: &str,
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, LakeError> {
    let failed = |error: ArrowError| LakeError::DataFile {
        place: format!("rows for table `{table}`"),
        source: Box::new(error),
    };
    let given = batch.schema_ref();
    for field in given.fields() {
        if schema::position(schema.fields(), field.name()).is_none() {
            return Err(LakeError::SchemaChange {
                table: table.to_owned(),
                column: field.name().clone(),
                stored: "not there".to_owned(),
                wanted: field.data_type().to_string(),
                remedy: "declare it in the table's columns",
            });
        }
    }
    let columns = schema
        .fields()
        .iter()
        .map(
            |field| match schema::position(given.fields(), field.name()) {
                Some(index) => array(batch.column(index), field),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            },
        )
        .collect::<Result<Vec<ArrayRef>, ArrowError>>()
        .map_err(failed)?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(failed)
}

/// An array with the type of `field`.
fn array(array: &ArrayRef, field: &Field) -> Result<ArrayRef, ArrowError> {
    let wanted = field.data_type();
    if array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    match (array.data_type(), wanted) {
        (DataType::List(_), DataType::List(element)) => {
            let list = array.as_list::<i32>();
            let values = self::array(list.values(), element)?;
            let list = ListArray::try_new(
                Arc::clone(element),
                list.offsets().clone(),
                values,
                list.nulls().cloned(),
            )?;
            Ok(Arc::new(list))
        }
        (DataType::Struct(_), DataType::Struct(fields)) => {
            Ok(Arc::new(structure(array.as_struct(), fields)?))
        }
        (DataType::Map(_, _), DataType::Map(entries, sorted)) => {
            let DataType::Struct(pair) = entries.data_type() else {
                return Err(ArrowError::SchemaError("a map without entries".to_owned()));
            };
            let map = array.as_map();
            let columns = map
                .entries()
                .columns()
                .iter()
                .zip(pair)
                .map(|(column, field)| self::array(column, field))
                .collect::<Result<Vec<_>, _>>()?;
            let pairs = StructArray::try_new(pair.clone(), columns, None)?;
            let map = MapArray::try_new(
                Arc::clone(entries),
                map.offsets().clone(),
                pairs,
                map.nulls().cloned(),
                *sorted,
            )?;
            Ok(Arc::new(map))
        }
        _ => cast_with_options(array, wanted, &STRICT),
    }
}

/// A struct with these fields, found by name; one that is missing is NULL.
fn structure(array: &StructArray, fields: &Fields) -> Result<StructArray, ArrowError> {
    let columns = fields
        .iter()
        .map(
            |field| match schema::position(array.fields(), field.name()) {
                Some(index) => self::array(array.column(index), field),
                None => Ok(new_null_array(field.data_type(), array.len())),
            },
        )
        .collect::<Result<Vec<_>, _>>()?;
    StructArray::try_new_with_length(fields.clone(), columns, array.nulls().cloned(), array.len())
}

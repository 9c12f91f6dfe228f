//! Columns of batches: computed, and fitted to a schema that has changed.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, GenericByteViewArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{ByteViewType, DataType, Schema, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;

use crate::error::{Result, StreamError};

/// The values of expressions for every row of a batch.
pub(crate) fn arrays(
    expressions: &[Arc<dyn PhysicalExpr>],
    batch: &RecordBatch,
) -> Result<Vec<ArrayRef>> {
    let arrays = expressions
        .iter()
        .map(|expression| expression.evaluate(batch)?.into_array(batch.num_rows()));
    Ok(arrays.collect::<datafusion::common::Result<_>>()?)
}

/// Rows that were kept by the columns of before, as rows of the columns of now: columns that are new
/// are NULL.
pub(crate) fn fitted(schema: &SchemaRef, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
    let before = batch.schema_ref();
    let count = schema.fields().len();
    let same = before.fields().len() > count
        && schema
            .fields()
            .iter()
            .zip(before.fields())
            .all(|(now, before)| {
                now.name() == before.name() && now.data_type() == before.data_type()
            })
        && before.fields()[count..]
            .iter()
            .all(|field| field.name().ends_with('#'));
    if same {
        return Ok(None);
    }
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for field in schema.fields() {
        let found = batch.column_by_name(field.name());
        let found = found.filter(|column| column.data_type() == field.data_type());
        columns.push(match found {
            Some(column) => Arc::clone(column),
            None if field.is_nullable() => {
                arrow::array::new_null_array(field.data_type(), batch.num_rows())
            }
            None => {
                return Err(StreamError::StateMismatch {
                    operator: "the rows that are kept".to_owned(),
                    reason: format!("they have no `{}`, which cannot be NULL", field.name()),
                });
            }
        });
        fields.push(Arc::clone(field));
    }
    for (field, column) in before.fields().iter().zip(batch.columns()) {
        if field.name().ends_with('#') {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    crate::groups::batch(Schema::new(fields), columns, batch.num_rows()).map(Some)
}

/// A batch that holds no memory but that of its own rows, about: what is kept must not keep a whole
/// block of a file with it.
pub(crate) fn owned(batch: RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(owned_column);
    let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
    let schema = batch.schema_ref().as_ref().clone();
    crate::groups::batch(schema, columns, batch.num_rows())
}

fn owned_column(column: &ArrayRef) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::Utf8View => Ok(owned_views(column.as_string_view(), column)),
        DataType::BinaryView => Ok(owned_views(column.as_binary_view(), column)),
        _ => {
            let held = column.get_array_memory_size();
            let used = column.to_data().get_slice_memory_size()?;
            if held <= 2 * used + 1024 {
                return Ok(Arc::clone(column));
            }
            let all = UInt32Array::from_iter_values((0_u32..).take(column.len()));
            Ok(take(column, &all, None)?)
        }
    }
}

fn owned_views<T: ByteViewType>(views: &GenericByteViewArray<T>, column: &ArrayRef) -> ArrayRef {
    let text: usize = views.data_buffers().iter().map(|buffer| buffer.len()).sum();
    let held = text + views.views().inner().capacity();
    let used = views.total_buffer_bytes_used() + views.len() * size_of::<u128>();
    match held <= 2 * used + 1024 {
        true => Arc::clone(column),
        false => Arc::new(views.gc()),
    }
}

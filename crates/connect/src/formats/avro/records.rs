//! Records of Avro that stand alone, without a file around them: those of streams.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow_avro::reader::ReaderBuilder;

use super::container::Header;
use super::schema::Schema;
use super::{MEMORY_MAX, NAME, walk};
use crate::error::Result;
use crate::formats::typed::{damaged, guarded};

/// A schema by which records are decoded.
pub(crate) struct Records {
    header: Header,
}

impl Records {
    /// Takes the JSON of a schema apart; the error says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let schema = Schema::parse(text)?;
        let header = Header::of(schema)?;
        Ok(Self { header })
    }

    /// The schema of the columns.
    pub(crate) fn columns(&self) -> &SchemaRef {
        &self.header.columns
    }

    /// Checks that `bytes` are one record; the error says what is wrong.
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<(), String> {
        walk::check(&self.header.schema.row, 1, bytes, MEMORY_MAX)
            .map(drop)
            .map_err(|fault| match fault.field.as_str() {
                "" => fault.message,
                field => format!("field {field}: {}", fault.message),
            })
    }

    /// Decodes `rows` records that were checked, one behind the other.
    pub(crate) fn decode(&self, source: &str, rows: usize, bytes: &[u8]) -> Result<RecordBatch> {
        let fail = |message: String| damaged(source, NAME, message);
        guarded(source, NAME, || {
            if bytes.is_empty() {
                let columns = self.columns().fields().iter();
                let columns =
                    columns.map(|field| arrow::array::new_null_array(field.data_type(), rows));
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                let fields = self.columns().fields().iter();
                let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
                let schema = arrow::datatypes::Schema::new(fields.collect::<Vec<_>>());
                let empty =
                    RecordBatch::try_new_with_options(schema.into(), columns.collect(), &options);
                return empty.map_err(|error| fail(error.to_string()));
            }
            let reader = ReaderBuilder::new()
                .with_batch_size(rows.max(1))
                .build(self.header.framed(rows as u64, bytes))
                .map_err(|error| fail(error.to_string()))?;
            let schema = reader.schema();
            let batches: Vec<RecordBatch> = reader
                .collect::<Result<_, _>>()
                .map_err(|error| fail(error.to_string()))?;
            let batch =
                concat_batches(&schema, &batches).map_err(|error| fail(error.to_string()))?;
            match batch.num_rows() == rows {
                true => Ok(batch),
                false => Err(fail(format!(
                    "{} rows came out of {rows}",
                    batch.num_rows()
                ))),
            }
        })
    }
}

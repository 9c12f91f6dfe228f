//! Formats of values that need a schema: Avro and Protocol Buffers.

use arrow::datatypes::Fields;

use super::fetched::Fetched;
use crate::error::Result;
use crate::formats::typed;

/// Decodes values by a schema. Used by any thread.
pub trait Codec: Send + Sync {
    /// The columns of the newest schema of these records.
    ///
    /// # Errors
    /// If there is no schema, or it cannot be had.
    fn columns(&self, sample: &[Fetched]) -> Result<Fields>;

    /// Decodes the values of records of `source` ("topic payments/3"): the names of the columns, and rows whose line
    /// is their place among the records. What will not decode is malformed.
    ///
    /// # Errors
    /// If a schema cannot be had now.
    #[doc(hidden)]
    fn decode(&self, source: &str, fetched: &Fetched) -> Result<(Vec<String>, typed::Rows)>;
}

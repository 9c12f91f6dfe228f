//! A relation over batches in memory: for tests, for the rows given by `tests/*.toml`, and for
//! small tables that the caller has at hand.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;

use crate::error::EngineError;

/// A table of these batches.
///
/// # Errors
/// [`EngineError::Bug`] if a batch does not have the schema.
pub fn provider(
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
) -> Result<Arc<dyn TableProvider>, EngineError> {
    let table = MemTable::try_new(schema, vec![batches]).map_err(|error| EngineError::Bug {
        message: crate::error::sentence(&error),
    })?;
    Ok(Arc::new(table))
}

/// A table of these columns without rows: to plan a query before its data exists.
///
/// # Errors
/// None in practice; as [`provider`].
pub fn empty(schema: SchemaRef) -> Result<Arc<dyn TableProvider>, EngineError> {
    provider(schema, Vec::new())
}

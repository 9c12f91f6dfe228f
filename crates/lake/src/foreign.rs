//! Tables of other writers that need the Delta library's own reader.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use deltalake::DeltaTable;

use crate::error::LakeError;
use crate::table::LakeTable;

/// The Delta library's provider of this table at this version.
pub(crate) async fn provider(table: &LakeTable) -> Result<Arc<dyn TableProvider>, LakeError> {
    let failed = |error| LakeError::delta(table.name(), error);
    let mut delta = DeltaTable::new(table.inner().place.log_store());
    delta.load_version(table.version()).await.map_err(failed)?;
    delta
        .table_provider()
        .await
        .map_err(|error| failed(error.into()))
}

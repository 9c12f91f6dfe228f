//! Parquet files by DataFusion's own scan, where nothing of the way of a row is missed by it.
//!
//! Parquet has types of its own, so that no value needs to be coerced and no row can be turned away. Where also no place of
//! a row is asked for, the files need not come through the gate: DataFusion reads the statistics in their footers,
//! passes over row groups and pages, and orders joins by their sizes.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use datafusion::catalog::Session;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use tidegate_connect::{Format, SchemaEvolutionMode};

use crate::error::Result;
use crate::scan::LeafFiles;

/// The files as DataFusion's table of these columns; none where the way through the gate says more.
///
/// # Errors
/// When a path is none that DataFusion understands.
pub(crate) async fn table(
    files: &LeafFiles,
    columns: &SchemaRef,
    session: &dyn Session,
) -> Result<Option<ListingTable>> {
    let plain = files.discovered.format == Format::Parquet
        && files.options.live.is_none()
        && !matches!(
            files.options.read.evolution,
            Some(SchemaEvolutionMode::Rescue | SchemaEvolutionMode::FailOnNewColumns)
        )
        && files
            .slices()
            .iter()
            .all(|slice| slice.file.partitions.is_empty() && slice.file.local_path().is_some());
    if !plain {
        return Ok(None);
    }
    let mut paths = Vec::with_capacity(files.slices().len());
    for slice in files.slices() {
        paths.push(ListingTableUrl::parse(&slice.file.url)?);
    }
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension("");
    for path in &paths {
        let written = options.infer_schema(session, path).await?;
        if !written
            .fields()
            .iter()
            .all(|field| as_it_is(field, columns))
        {
            return Ok(None);
        }
    }
    let config = ListingTableConfig::new_with_multi_paths(paths)
        .with_listing_options(options)
        .with_schema(Arc::clone(columns));
    Ok(Some(ListingTable::try_new(config)?))
}

/// Whether a file's column is what the table says of it, with no value that could fail to fit; a column that the table
/// does not have is passed over.
fn as_it_is(written: &Field, columns: &SchemaRef) -> bool {
    let same = |field: &&Arc<Field>| field.name().eq_ignore_ascii_case(written.name());
    let Some(column) = columns.fields().iter().find(same) else {
        return true;
    };
    column.name() == written.name() && holds(column.data_type(), written.data_type())
}

/// Whether every value of `written` is a value of `column`.
fn holds(column: &DataType, written: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Dictionary, Float16, Float32, Float64, Int8, Int16, Int32, Int64,
        LargeBinary, LargeUtf8, Timestamp, UInt8, UInt16, UInt32, Utf8, Utf8View,
    };
    match (column, written) {
        (column, written) if column == written => true,
        (column, Dictionary(_, values)) => holds(column, values),
        (Utf8View, Utf8 | LargeUtf8) | (BinaryView, Binary | LargeBinary) => true,
        (Int16, Int8 | UInt8)
        | (Int32, Int8 | Int16 | UInt8 | UInt16)
        | (Int64, Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32)
        | (Float32, Float16)
        | (Float64, Float16 | Float32) => true,
        (Timestamp(TimeUnit::Microsecond, column), Timestamp(TimeUnit::Microsecond, written)) => {
            column.is_some() == written.is_some()
        }
        _ => false,
    }
}

//! Rows of data files, read as they lie in the files and written into new ones.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use datafusion::common::ScalarValue;
use futures::StreamExt;
use object_store::ObjectMeta;
use object_store::buffered::BufReader;
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::arrow_reader::RowSelection;

use crate::error::LakeError;
use crate::schema;
use crate::storage::Place;
use crate::table::{LakeTable, TableFile};
use crate::write::{DataFile, PartWriter};

/// Rows handed on at a time.
const ROWS_AT_ONCE: usize = 64 << 10;

/// A file, and which of its rows are meant; `None`: all.
pub(crate) type Selected = (Arc<TableFile>, Option<RowSelection>);

/// A Parquet file about to be read.
pub(crate) type Reader = ParquetRecordBatchStreamBuilder<BufReader>;

/// Writes the rows of these files anew, or those that are selected.
pub(crate) async fn rewrite(
    table: &LakeTable,
    files: &[Selected],
    mut writer: PartWriter,
    cluster_by: &[String],
) -> Result<Vec<DataFile>, LakeError> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<RecordBatch>(4);
    let cluster_by = cluster_by.to_vec();
    let shown = table.name().key();
    let encoding = tokio::task::spawn_blocking(move || {
        let mut kept = Vec::new();
        while let Some(batch) = receiver.blocking_recv() {
            if cluster_by.is_empty() {
                writer.write(&batch)?;
            } else {
                kept.push(batch);
            }
        }
        write_sorted(&shown, &mut writer, &kept, &cluster_by)?;
        writer.finish()
    });
    let read = read_all(table, files, &sender).await;
    drop(sender);
    let written = encoding
        .await
        .map_err(|error| LakeError::Bug(error.to_string()))?;
    match (read, written) {
        (Ok(()), written) => written,
        (Err(error), Ok(files)) => {
            for file in files {
                table.inner().place.delete(file.path()).await?;
            }
            Err(error)
        }
        // A writer that failed stops reading: its error says why.
        (Err(_), Err(error)) => Err(error),
    }
}

/// Opens a Parquet file below a place.
pub(crate) async fn open(place: &Place, file: &ObjectMeta) -> Result<Reader, LakeError> {
    let reader = BufReader::new(Arc::clone(&place.store), file);
    match ParquetRecordBatchStreamBuilder::new(reader).await {
        Ok(builder) => Ok(builder.with_batch_size(ROWS_AT_ONCE)),
        Err(error) => Err(LakeError::DataFile {
            place: file.location.to_string(),
            source: Box::new(error),
        }),
    }
}

async fn read_all(
    table: &LakeTable,
    files: &[Selected],
    sender: &tokio::sync::mpsc::Sender<RecordBatch>,
) -> Result<(), LakeError> {
    let place = &table.inner().place;
    for (file, selection) in files {
        let shown = place.show(file.path());
        let failed = |error| LakeError::DataFile {
            place: shown.clone(),
            source: Box::new(error),
        };
        let mut builder = open(place, &file.object_meta(place)).await?;
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection.clone());
        }
        let mut batches = builder.build().map_err(failed)?;
        while let Some(batch) = batches.next().await {
            let batch = with_folders(table, file, &batch.map_err(failed)?)?;
            if sender.send(batch).await.is_err() {
                return Err(LakeError::Bug("the writer stopped".to_owned()));
            }
        }
    }
    Ok(())
}

/// Rows of a file with the columns that its folder stands for.
pub(crate) fn with_folders(
    table: &LakeTable,
    file: &TableFile,
    batch: &RecordBatch,
) -> Result<RecordBatch, LakeError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| LakeError::DataFile {
        place: file.path().to_owned(),
        source,
    };
    let whole = table.schema();
    let mut fields = batch.schema_ref().fields().to_vec();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    for column in table.partitioned_by() {
        let Some(index) = schema::position(whole.fields(), column) else {
            continue;
        };
        let field = Arc::clone(&whole.fields()[index]);
        let text = file
            .partition_values()
            .get(field.name())
            .and_then(Option::as_deref);
        let value = match text.filter(|text| !text.is_empty()) {
            Some(text) => ScalarValue::try_from_string(text.to_owned(), field.data_type()),
            None => ScalarValue::try_from(field.data_type()),
        };
        let value = value.and_then(|value| value.to_array_of_size(batch.num_rows()));
        columns.push(value.map_err(|error| failed(Box::new(error)))?);
        fields.push(field);
    }
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    RecordBatch::try_new(schema, columns).map_err(|error| failed(Box::new(error)))
}

/// Sorts rows by the clustering columns and writes them.
fn write_sorted(
    table: &str,
    writer: &mut PartWriter,
    batches: &[RecordBatch],
    cluster_by: &[String],
) -> Result<(), LakeError> {
    let Some(first) = batches.first() else {
        return Ok(());
    };
    let failed = |error| LakeError::DataFile {
        place: format!("sorting table `{table}`"),
        source: Box::new(error),
    };
    // Files written before a column came do not have it.
    let batches: Vec<RecordBatch> = batches
        .iter()
        .map(|batch| writer.conform(batch))
        .collect::<Result<_, _>>()?;
    let schema = batches
        .first()
        .map_or_else(|| first.schema(), RecordBatch::schema);
    let whole = concat_batches(&schema, &batches).map_err(failed)?;
    let by: Vec<SortColumn> = cluster_by
        .iter()
        .filter_map(|column| schema::position(schema.fields(), column))
        .map(|index| SortColumn {
            values: Arc::clone(whole.column(index)),
            options: None,
        })
        .collect();
    let order: UInt32Array = lexsort_to_indices(&by, None).map_err(failed)?;
    let mut start = 0;
    while start < order.len() {
        let rows = ROWS_AT_ONCE.min(order.len() - start);
        let part = take_record_batch(&whole, &order.slice(start, rows)).map_err(failed)?;
        writer.write(&part)?;
        start += rows;
    }
    Ok(())
}

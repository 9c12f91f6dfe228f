//! Rows into folders by the values of the partition columns.
//!
//! Values are told apart by their row encoding, and written as Delta writes partition values: the
//! text of the value, NULL for none.

use std::collections::HashMap;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::LakeError;

/// The folder of rows whose value is NULL, as Hive names it.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// What is percent-encoded in a partition's folder: all but the unreserved characters of RFC 3986, as delta-rs does it.
/// Readers that take the values from the folders (Polars, Hive) decode them so.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// How values are written in the log.
const FORMAT: FormatOptions<'static> = FormatOptions::new()
    .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.6f"))
    .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.6f"));

/// The values of the partition columns, as Delta writes them; `None` is NULL.
pub(super) type FolderValues = Vec<Option<String>>;

/// The rows of one folder.
type Part = (FolderValues, RecordBatch);

/// Rows about to be split.
pub(super) struct PartitionSplit<'a> {
    table: &'a str,
    folders: Vec<ArrayRef>,
    inside: RecordBatch,
}

impl<'a> PartitionSplit<'a> {
    pub fn new(
        table: &'a str,
        batch: &RecordBatch,
        folders: &[usize],
        inside: &[usize],
    ) -> Result<Self, LakeError> {
        let folders = folders
            .iter()
            .map(|index| ArrayRef::clone(batch.column(*index)))
            .collect();
        let inside = batch
            .project(inside)
            .map_err(|error| failed(table, error))?;
        Ok(PartitionSplit {
            table,
            folders,
            inside,
        })
    }

    /// The rows of each folder, with the folder's values. Rows keep their order.
    pub fn parts(&self) -> Result<Vec<Part>, LakeError> {
        self.split().map_err(|error| failed(self.table, error))
    }

    fn split(&self) -> Result<Vec<Part>, ArrowError> {
        let fields = self
            .folders
            .iter()
            .map(|c| SortField::new(c.data_type().clone()))
            .collect();
        let converter = RowConverter::new(fields)?;
        let rows = converter.convert_columns(&self.folders)?;
        let mut groups: HashMap<&[u8], usize> = HashMap::new();
        let mut indices: Vec<Vec<u32>> = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let bytes = row.data();
            let group = *groups.entry(bytes).or_insert_with(|| {
                indices.push(Vec::new());
                indices.len() - 1
            });
            indices[group].push(u32::try_from(index).unwrap_or(u32::MAX));
        }
        indices
            .into_iter()
            .map(|indices| {
                let first = indices.first().map_or(0, |index| *index as usize);
                let values = self.values_at(first)?;
                if indices.len() == self.inside.num_rows() {
                    return Ok((values, self.inside.clone()));
                }
                let rows = take_record_batch(&self.inside, &UInt32Array::from(indices))?;
                Ok((values, rows))
            })
            .collect()
    }

    fn values_at(&self, row: usize) -> Result<FolderValues, ArrowError> {
        self.folders
            .iter()
            .map(|column| value_text(column, row))
            .collect()
    }
}

/// One value as Delta writes it; `None` for NULL, and for the empty text, which Delta cannot tell
/// from it.
fn value_text(column: &ArrayRef, row: usize) -> Result<Option<String>, ArrowError> {
    if column.is_null(row) {
        return Ok(None);
    }
    let text = match column.data_type() {
        DataType::BinaryView => {
            use arrow::array::AsArray;
            String::from_utf8_lossy(column.as_binary_view().value(row)).into_owned()
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            use arrow::array::AsArray;
            use arrow::datatypes::TimestampMicrosecondType;
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            let time = chrono::DateTime::from_timestamp_micros(micros).ok_or_else(|| {
                ArrowError::CastError(format!("{micros} µs is no time that can be a folder"))
            })?;
            time.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
        }
        _ => ArrayFormatter::try_new(column.as_ref(), &FORMAT)?
            .value(row)
            .to_string(),
    };
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn failed(table: &str, error: ArrowError) -> LakeError {
    LakeError::DataFile {
        place: format!("partitions of table `{table}`"),
        source: Box::new(error),
    }
}

/// The folder of these values below the table's: `a=1/b=x/`, empty without partition columns.
pub(super) fn folder<'a>(
    columns: impl Iterator<Item = &'a str>,
    values: &[Option<String>],
) -> String {
    let mut path = String::new();
    for (column, value) in columns.zip(values) {
        path.extend(utf8_percent_encode(column, RESERVED));
        path.push('=');
        match value {
            Some(value) => path.extend(utf8_percent_encode(value, RESERVED)),
            None => path.push_str(NULL_FOLDER),
        }
        path.push('/');
    }
    path
}

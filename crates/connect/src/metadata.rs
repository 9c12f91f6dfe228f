//! The `_metadata` column: of each row, the file it is from and where it stood there. Made on
//! request, for those queries that name it.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StructArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

use crate::listing::FileEntry;
use crate::views::constant;

/// The fields of `_metadata`: `file_path`, `file_name`, `file_size` (bytes),
/// `file_modification_time`, `row_number` (the physical line, or the row of a sheet or row group,
/// from 1).
#[must_use]
pub fn metadata_fields() -> Fields {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Fields::from(vec![
        Field::new("file_path", DataType::Utf8View, false),
        Field::new("file_name", DataType::Utf8View, false),
        Field::new("file_size", DataType::Int64, false),
        Field::new("file_modification_time", time, false),
        Field::new("row_number", DataType::Int64, false),
    ])
}

/// The `_metadata` column of rows at these lines (from 1) of `file`.
#[must_use]
pub fn metadata_column(file: &FileEntry, lines: &[u64]) -> StructArray {
    let rows = lines.len();
    let numbers = lines.iter().map(|&line| line as i64);
    let times = TimestampMicrosecondArray::from_value(file.modified.timestamp_micros(), rows);
    let columns: Vec<ArrayRef> = vec![
        constant(Some(&file.display()), rows),
        constant(Some(&file.name()), rows),
        Arc::new(Int64Array::from_value(file.size as i64, rows)),
        Arc::new(times.with_timezone("UTC")),
        Arc::new(Int64Array::from_iter_values(numbers)),
    ];
    StructArray::new(metadata_fields(), columns, None)
}

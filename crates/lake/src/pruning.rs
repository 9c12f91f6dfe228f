//! The log's bounds in the form in which DataFusion decides which files cannot hold a wanted row.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array, new_null_array};
use arrow::datatypes::{DataType, Fields, Schema};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};

use crate::provider::ScanFile;
use crate::statistics::End;

/// The bounds of some files: one container a file.
pub(crate) struct FilePruning<'a> {
    files: &'a [ScanFile],
    schema: &'a Schema,
    folders: &'a Fields,
}

impl<'a> FilePruning<'a> {
    pub fn new(files: &'a [ScanFile], schema: &'a Schema, folders: &'a Fields) -> Self {
        FilePruning {
            files,
            schema,
            folders,
        }
    }

    fn bounds(&self, column: &Column, end: End) -> Option<ArrayRef> {
        let name = column.name();
        if let Some(index) = self.folders.iter().position(|field| field.name() == name) {
            let values = self.files.iter().map(|file| file.values[index].clone());
            return ScalarValue::iter_to_array(values).ok();
        }
        let data_type = self.schema.field_with_name(name).ok()?.data_type();
        let null = null_of(data_type)?;
        let values = self.files.iter().map(|file| {
            let bound = file.file.statistics().bound(name, data_type, end);
            bound.map_or_else(|| null.clone(), |(value, _)| value)
        });
        ScalarValue::iter_to_array(values).ok()
    }
}

fn null_of(data_type: &DataType) -> Option<ScalarValue> {
    let array = new_null_array(data_type, 1);
    ScalarValue::try_from_array(&array, 0).ok()
}

impl PruningStatistics for FilePruning<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, End::Min)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, End::Max)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let name = column.name();
        let counts: UInt64Array = match self.folders.iter().position(|field| field.name() == name) {
            Some(index) => self
                .files
                .iter()
                .map(|file| match file.values[index].is_null() {
                    true => file.file.rows(),
                    false => Some(0),
                })
                .collect(),
            None => self
                .files
                .iter()
                .map(|file| file.file.statistics().nulls(name))
                .collect(),
        };
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let counts: UInt64Array = self.files.iter().map(|file| file.file.rows()).collect();
        Some(Arc::new(counts))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

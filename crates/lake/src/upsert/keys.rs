//! A set of keys: whether a row has one, and whether a file can hold such a row.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, Scalar};
use arrow::compute::kernels::cmp::{eq, gt_eq, lt_eq, not_distinct};
use arrow::compute::{
    SortOptions, and, is_null, nullif, or, prep_null_mask_filter, sort_to_indices,
};
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use datafusion::common::ScalarValue;

use crate::provider::partition_value;
use crate::statistics::End;
use crate::table::TableFile;

/// Keys, as the table stores their columns.
pub(super) struct KeySet {
    /// Which of the columns make folders.
    folders: Vec<bool>,
    converter: RowConverter,
    rows: HashSet<Box<[u8]>>,
    leaves: Vec<Leaf>,
}

/// A column of the keys, or a field of one, by which files can be told apart.
struct Leaf {
    /// The names on the way to it.
    path: Vec<String>,
    field: Field,
    folder: bool,
    values: ArrayRef,
    /// The smallest and the greatest value; `None` if all are NULL.
    bounds: Option<(ScalarValue, ScalarValue)>,
}

impl KeySet {
    /// The keys of a batch with the columns `schema`, some of which make folders.
    pub fn new(
        schema: &SchemaRef,
        partitioned_by: &[String],
        keys: &RecordBatch,
    ) -> Result<KeySet, ArrowError> {
        let fields = schema.fields().iter();
        let folders: Vec<bool> = fields
            .clone()
            .map(|field| partitioned_by.contains(field.name()))
            .collect();
        let sorted = fields.map(|field| SortField::new(field.data_type().clone()));
        let mut set = KeySet {
            folders,
            converter: RowConverter::new(sorted.collect())?,
            rows: HashSet::new(),
            leaves: Vec::new(),
        };
        let columns = set.comparable(keys)?;
        let rows = set.converter.convert_columns(&columns)?;
        set.rows = rows.iter().map(|row| row.data().into()).collect();
        for (at, column) in columns.iter().enumerate() {
            let field = schema.field(at);
            leaves(Vec::new(), field, set.folders[at], column, &mut set.leaves)?;
        }
        Ok(set)
    }

    /// Which rows have one of the keys.
    pub fn hits(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let rows = self.converter.convert_columns(&self.comparable(batch)?)?;
        let hits = rows.iter().map(|row| self.rows.contains(row.data()));
        Ok(hits.map(Some).collect())
    }

    /// Whether a file can hold a row with one of the keys, by what the log says of it.
    pub fn may_be_in(&self, file: &TableFile) -> Result<bool, ArrowError> {
        if !self.leaves.iter().all(|leaf| leaf.may_meet(file)) {
            return Ok(false);
        }
        let mut possible: Option<BooleanArray> = None;
        for leaf in &self.leaves {
            let Some(within) = leaf.within(file)? else {
                continue;
            };
            possible = Some(match possible {
                Some(before) => and(&before, &within)?,
                None => within,
            });
        }
        Ok(possible.is_none_or(|possible| possible.true_count() > 0))
    }

    /// The key columns, those of folders without empty texts: Delta cannot tell them from NULL.
    fn comparable(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, ArrowError> {
        let columns = batch.columns().iter().zip(&self.folders);
        columns
            .map(|(column, folder)| match (folder, column.data_type()) {
                (true, DataType::Utf8View) => {
                    let empty = arrow::array::StringViewArray::new_scalar("");
                    nullif(column, &prep_null_mask(&eq(column, &empty)?))
                }
                _ => Ok(column.clone()),
            })
            .collect()
    }
}

/// NULL as false.
fn prep_null_mask(mask: &BooleanArray) -> BooleanArray {
    match mask.null_count() {
        0 => mask.clone(),
        _ => prep_null_mask_filter(mask),
    }
}

/// Adds a column, or the fields that it is made of.
fn leaves(
    mut path: Vec<String>,
    field: &Field,
    folder: bool,
    values: &ArrayRef,
    found: &mut Vec<Leaf>,
) -> Result<(), ArrowError> {
    path.push(field.name().clone());
    if let DataType::Struct(inner) = field.data_type() {
        let nulls = is_null(values)?;
        for (field, values) in inner.iter().zip(values.as_struct().columns()) {
            leaves(path.clone(), field, folder, &nullif(values, &nulls)?, found)?;
        }
        return Ok(());
    }
    // A NaN is in no bound.
    if field.data_type().is_floating() {
        return Ok(());
    }
    let options = SortOptions {
        nulls_first: false,
        descending: false,
    };
    let order = sort_to_indices(values, Some(options), None)?;
    let valid = values.len() - values.null_count();
    let at = |index: usize| {
        let row = usize::try_from(order.value(index)).unwrap_or(usize::MAX);
        ScalarValue::try_from_array(values, row).map_err(ArrowError::from)
    };
    let bounds = match valid {
        0 => None,
        _ => Some((at(0)?, at(valid - 1)?)),
    };
    found.push(Leaf {
        path,
        field: field.clone(),
        folder,
        values: values.clone(),
        bounds,
    });
    Ok(())
}

impl Leaf {
    /// The bounds of a file's values; `None` if they are not known.
    fn of_file(&self, file: &TableFile) -> Option<(ScalarValue, ScalarValue)> {
        let statistics = file.statistics();
        let bound = |end| statistics.bound_at(&self.path, self.field.data_type(), end);
        Some((bound(End::Min)?, bound(End::Max)?))
    }

    /// Whether a file may have NULLs here.
    fn may_be_null(&self, file: &TableFile) -> bool {
        file.statistics()
            .nulls_at(&self.path)
            .is_none_or(|count| count > 0)
    }

    /// A first look: whether the values of the keys and those of the file overlap at all.
    fn may_meet(&self, file: &TableFile) -> bool {
        if self.folder || (self.values.null_count() > 0 && self.may_be_null(file)) {
            return true;
        }
        let Some((low, high)) = self.of_file(file) else {
            return true;
        };
        let Some((least, most)) = &self.bounds else {
            // All keys are NULL here, and the file has no NULLs.
            return false;
        };
        *least <= high && *most >= low
    }

    /// Which keys have a value here that the file may have; `None`: nothing is known of it.
    fn within(&self, file: &TableFile) -> Result<Option<BooleanArray>, ArrowError> {
        if self.folder {
            let value = scalar(&partition_value(file, &self.field).map_err(ArrowError::from)?)?;
            return Ok(Some(not_distinct(&self.values, &value)?));
        }
        let Some((low, high)) = self.of_file(file) else {
            return Ok(None);
        };
        let above = gt_eq(&self.values, &scalar(&low)?)?;
        let below = lt_eq(&self.values, &scalar(&high)?)?;
        let within = prep_null_mask(&and(&above, &below)?);
        Ok(Some(match self.may_be_null(file) {
            true => or(&within, &is_null(&self.values)?)?,
            false => within,
        }))
    }
}

fn scalar(value: &ScalarValue) -> Result<Scalar<ArrayRef>, ArrowError> {
    value.to_scalar().map_err(ArrowError::from)
}

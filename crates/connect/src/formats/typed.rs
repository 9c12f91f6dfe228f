//! What the formats that carry their own types have in common: the border at which a decoder's panic
//! becomes an error, types without equal in a contract, and the way from a file's columns to a batch.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder, UnionArray, make_array,
};
use arrow::compute::{CastOptions, can_cast_types, cast, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, Int64Type, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::batch::{Malformed, RawBatch};
use crate::columns::{Plan, Slot};
use crate::compression::Compression;
use crate::discover::types::timestamp;
use crate::error::{ConnectError, Result};
use crate::listing::FileEntry;
use crate::options::ReadOptions;
use crate::rescue::rescued_column;
use crate::source::Source;

/// Runs a decoder that is not ours. Its panic, which only a file that lies about itself can cause,
/// becomes an error that names the file.
pub(crate) fn guarded<T>(
    path: &str,
    format: &'static str,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(damaged(
            path,
            format,
            format!("its parts contradict each other ({})", reason(&*panic)),
        ))
    })
}

fn reason(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no reason given")
}

/// The error of a file that is not what its format promises.
pub(crate) fn damaged(
    path: &str,
    format: &'static str,
    message: impl Into<String>,
) -> ConnectError {
    ConnectError::Damaged {
        path: path.to_owned(),
        format,
        message: message.into(),
        help: "Copy or write the file again, or say format => '…' if it is something else"
            .to_owned(),
    }
}

/// The source itself, or its content in memory if it is compressed as a whole: these formats are read
/// at any place of the file.
pub(crate) fn plain(source: &Source, options: &ReadOptions) -> Result<Source> {
    if source.compression() == Compression::None {
        return Ok(source.clone());
    }
    let options = ReadOptions {
        compression: Some(Compression::None),
        ..options.clone()
    };
    Ok(Source::memory(
        &source.name(),
        source.read_all()?.into(),
        &options,
    ))
}

/// The type that a contract would have for a file's type.
pub(crate) fn contract_type(data_type: &DataType) -> DataType {
    let item = |field: &Field| {
        Field::new(
            field.name(),
            contract_type(field.data_type()),
            field.is_nullable(),
        )
    };
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8View,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => DataType::BinaryView,
        DataType::Dictionary(_, values) => contract_type(values),
        DataType::RunEndEncoded(_, values) => contract_type(values.data_type()),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, Some(_)) => timestamp(),
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale)
            if (0..=i16::from(*precision)).contains(&i16::from(*scale)) && *precision <= 38 =>
        {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => DataType::List(Arc::new(item(field))),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| item(field)).collect::<Fields>())
        }
        DataType::Map(entries, _) => DataType::Map(Arc::new(item(entries)), false),
        same @ (DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32) => same.clone(),
        _ => DataType::Utf8View,
    }
}

/// A column as the gate takes it: as it is, if a contract has its type or may decide about its
/// conversion (timestamps, decimals); otherwise converted without loss, at the worst to text.
pub(crate) fn to_contract(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let target = contract_type(array.data_type());
    let left_to_gate = matches!(
        array.data_type(),
        DataType::Timestamp(..)
            | DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal256(..)
    ) && target != DataType::Utf8View;
    if target == *array.data_type() || left_to_gate {
        return Ok(Arc::clone(array));
    }
    if target != DataType::Utf8View && can_cast_types(array.data_type(), &target) {
        let strict = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        return cast_with_options(array, &target, &strict);
    }
    written(array)
}

/// A column as text. Moments with a zone are written in UTC.
pub(crate) fn written(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Utf8View => return Ok(Arc::clone(array)),
        DataType::Utf8 | DataType::LargeUtf8 => return cast(array, &DataType::Utf8View),
        DataType::Dictionary(_, values) => return written(&cast(array, values)?),
        DataType::Union(..) => return written_union(array.as_union()),
        _ => {}
    }
    let (array, suffix) = match array.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let local = DataType::Timestamp(*unit, None);
            let data = array.to_data().into_builder().data_type(local).build()?;
            (make_array(data), "Z")
        }
        _ => (Arc::clone(array), ""),
    };
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
    let nulls = array.logical_nulls();
    let mut builder = StringViewBuilder::with_capacity(array.len());
    let mut text = String::new();
    for row in 0..array.len() {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            builder.append_null();
            continue;
        }
        text.clear();
        if formatter.value(row).write(&mut text).is_ok() {
            text.push_str(suffix);
        } else {
            text = unshown(&array, row)?;
        }
        builder.append_value(&text);
    }
    Ok(Arc::new(builder.finish()))
}

/// A value that no calendar knows: the number it is.
fn unshown(array: &ArrayRef, row: usize) -> Result<String, ArrowError> {
    let number = cast(&array.slice(row, 1), &DataType::Int64);
    match number {
        Ok(number) => Ok(number.as_primitive::<Int64Type>().value(0).to_string()),
        // Inside a list or a struct, the rest shall be seen.
        Err(_) => {
            let options = FormatOptions::default().with_display_error(true);
            let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
            Ok(formatter.value(row).to_string())
        }
    }
}

/// A column of several types: each value as its own type writes it.
fn written_union(array: &UnionArray) -> Result<ArrayRef, ArrowError> {
    let DataType::Union(fields, _) = array.data_type() else {
        return Ok(Arc::new(StringViewArray::new_null(array.len())));
    };
    let mut children: HashMap<i8, StringViewArray> = HashMap::new();
    for (id, _) in fields.iter() {
        let child = written(array.child(id))?;
        children.insert(id, child.as_string_view().clone());
    }
    let values = (0..array.len()).map(|row| {
        let child = children.get(&array.type_id(row))?;
        let at = array.value_offset(row);
        child.is_valid(at).then(|| child.value(at))
    });
    Ok(Arc::new(values.collect::<StringViewArray>()))
}

/// Which of the file's columns have to be read.
pub(crate) fn needed(plan: &Plan) -> Vec<usize> {
    let read = |slot: &Slot| *slot != Slot::Drop;
    plan.slots
        .iter()
        .enumerate()
        .filter(|(_, slot)| read(slot))
        .map(|(at, _)| at)
        .collect()
}

/// Rows of a file: the columns that were read (by their place in the file), and where each row stood.
pub struct Rows {
    /// The columns, by their place in the file.
    pub columns: Vec<(usize, ArrayRef)>,
    /// Of each row, where it stood.
    pub line: Vec<u32>,
    /// What could not be decoded.
    pub malformed: Vec<Malformed>,
}

/// Puts the columns of a file where the plan wants them.
pub(crate) fn assemble(plan: &Plan, file: &Arc<FileEntry>, rows: Rows) -> Result<RawBatch> {
    let count = rows.line.len();
    let arrow = |source| ConnectError::Arrow {
        path: file.display(),
        source,
    };
    let mut columns: Vec<Option<ArrayRef>> = vec![None; plan.names.len()];
    let mut rescued: Vec<(&str, ArrayRef)> = Vec::new();
    for (at, array) in rows.columns {
        match plan.slots[at] {
            Slot::Column(to) => columns[to] = Some(to_contract(&array).map_err(arrow)?),
            Slot::Rescue => {
                rescued.push((&plan.file_names[at], written(&array).map_err(arrow)?));
            }
            Slot::Drop => {}
        }
    }
    if let Some(rescue) = plan.rescue {
        columns[rescue] = Some(if rescued.is_empty() {
            Arc::new(StringViewArray::new_null(count))
        } else {
            rescued_column(&rescued, count, &file.display())
        });
    }
    Ok(RawBatch {
        columns: plan.assemble(columns, Vec::new(), count)?,
        line: rows.line,
        raw: None,
        malformed: rows.malformed,
        extra: plan.wanted,
        notes: Vec::new(),
        file: Arc::clone(file),
    })
}

#[cfg(test)]
pub(crate) mod testing;

//! Arrays and maps: subscripts, `element_at`, `map_entries`.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Builder, ListArray, ListBuilder, StructArray, UInt64Array,
    make_comparator,
};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::{DataType, Field, Fields, Int64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use super::kernel::{self, Kernel};

/// The functions with names of their own.
pub(super) fn kernels() -> Vec<Kernel> {
    vec![
        Kernel::new(
            "spark_element_at",
            |given| element_types(given, "`element_at(array, 1)` or `element_at(map, key)`"),
            item_type,
            |arguments| element(arguments, Count::FromOne, Outside::Error),
        ),
        Kernel::new(
            "try_element_at",
            |given| element_types(given, "`try_element_at(array, 1)`"),
            item_type,
            |arguments| element(arguments, Count::FromOne, Outside::Null),
        ),
        Kernel::new(
            "get",
            |given| element_types(given, "`get(array, 0)`"),
            item_type,
            |arguments| element(arguments, Count::FromZero, Outside::Null),
        ),
        Kernel::new(
            "array_positions_from_zero",
            |given| Ok(given.to_vec()),
            |_| Ok(DataType::new_list(DataType::Int32, true)),
            positions,
        ),
        Kernel::new(
            "map_entries",
            |given| {
                kernel::count(given, 1..=1, "`map_entries(map)`")?;
                Ok(given.to_vec())
            },
            |given| {
                Ok(DataType::new_list(
                    DataType::Struct(entry_fields(&given[0])?),
                    true,
                ))
            },
            map_entries,
        ),
    ]
}

/// `array[index]`.
pub(super) fn subscript() -> Kernel {
    Kernel::new(
        "subscript",
        |given| element_types(given, "`array[0]`"),
        item_type,
        |arguments| element(arguments, Count::FromZero, Outside::Error),
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Count {
    FromZero,
    FromOne,
}

/// What an index stands for that the array does not have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    Error,
    Null,
}

fn element_types(given: &[DataType], usage: &str) -> Result<Vec<DataType>> {
    kernel::count(given, 2..=2, usage)?;
    match &given[0] {
        DataType::List(_) => Ok(vec![given[0].clone(), DataType::Int64]),
        DataType::LargeList(item) | DataType::FixedSizeList(item, _) | DataType::ListView(item) => {
            Ok(vec![DataType::List(Arc::clone(item)), DataType::Int64])
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => Ok(vec![given[0].clone(), fields[0].data_type().clone()]),
            _ => plan_err!("this map has no keys"),
        },
        other => plan_err!("an array or a map is needed, not {other}"),
    }
}

fn item_type(given: &[DataType]) -> Result<DataType> {
    match given.first() {
        Some(DataType::List(item)) => Ok(item.data_type().clone()),
        Some(DataType::Map(entries, _)) => match entries.data_type() {
            DataType::Struct(fields) => Ok(fields[1].data_type().clone()),
            _ => plan_err!("this map has no values"),
        },
        _ => plan_err!("an array or a map is needed"),
    }
}

fn element(
    arguments: &ScalarFunctionArgs,
    count: Count,
    outside: Outside,
) -> Result<ColumnarValue> {
    let container = kernel::array(arguments, 0)?;
    let key = kernel::array(arguments, 1)?;
    let found = match container.data_type() {
        DataType::Map(..) => of_map(&container, &key)?,
        _ => of_list(&container, &key, count, outside)?,
    };
    kernel::result(arguments, found)
}

fn of_list(
    container: &ArrayRef,
    index: &ArrayRef,
    count: Count,
    outside: Outside,
) -> Result<ArrayRef> {
    let lists = container.as_list::<i32>();
    let index = index.as_primitive::<Int64Type>();
    let mut rows: Vec<Option<u64>> = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        if lists.is_null(row) || index.is_null(row) {
            rows.push(None);
            continue;
        }
        let start = i64::from(lists.value_offsets()[row]);
        let length = i64::from(lists.value_length(row));
        let asked = index.value(row);
        let at = match count {
            Count::FromZero => asked,
            Count::FromOne if asked == 0 => {
                return exec_err!("element_at counts from 1; there is no element 0");
            }
            Count::FromOne if asked < 0 => length + asked,
            Count::FromOne => asked - 1,
        };
        let inside = (0..length).contains(&at);
        if !inside && outside == Outside::Error {
            let instead = match count {
                Count::FromZero => "get",
                Count::FromOne => "try_element_at",
            };
            return exec_err!(
                "the array has {length} elements, there is no element {asked}; use `{instead}` to get NULL instead"
            );
        }
        rows.push(inside.then(|| u64::try_from(start + at).unwrap_or(0)));
    }
    Ok(take(lists.values(), &UInt64Array::from(rows), None)?)
}

fn of_map(container: &ArrayRef, keys: &ArrayRef) -> Result<ArrayRef> {
    let maps = container.as_map();
    let compare = make_comparator(maps.keys(), keys, SortOptions::default())?;
    let rows: UInt64Array = (0..maps.len())
        .map(|row| {
            if maps.is_null(row) || keys.is_null(row) {
                return None;
            }
            let start = usize::try_from(maps.value_offsets()[row]).unwrap_or(0);
            let end = usize::try_from(maps.value_offsets()[row + 1]).unwrap_or(0);
            let at = (start..end).find(|at| compare(*at, row).is_eq())?;
            u64::try_from(at).ok()
        })
        .collect();
    Ok(take(maps.values(), &rows, None)?)
}

/// `key` and `value`, however the map itself calls them.
fn entry_fields(map: &DataType) -> Result<Fields> {
    match map {
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => Ok(Fields::from(vec![
                fields[0].as_ref().clone().with_name("key"),
                fields[1].as_ref().clone().with_name("value"),
            ])),
            _ => plan_err!("this map has no entries"),
        },
        other => plan_err!("a map is needed, not {other}"),
    }
}

/// The entries of a map as an array of structs.
fn map_entries(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let array = kernel::array(arguments, 0)?;
    let maps = array.as_map();
    let fields = entry_fields(maps.data_type())?;
    let columns = maps.entries().columns().to_vec();
    let entries = StructArray::try_new(fields.clone(), columns, maps.entries().nulls().cloned())?;
    let item = Arc::new(Field::new_list_field(DataType::Struct(fields), true));
    let offsets = maps.offsets().clone();
    let lists = ListArray::try_new(item, offsets, Arc::new(entries), maps.nulls().cloned())?;
    kernel::result(arguments, Arc::new(lists))
}

/// `[0, 1, …, n - 1]` for an array of n elements, for `posexplode`.
fn positions(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let array = kernel::array(arguments, 0)?;
    let array = match array.data_type() {
        DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            arrow::compute::cast(&array, &DataType::List(Arc::clone(item)))?
        }
        _ => array,
    };
    let Some(lists) = array.as_list_opt::<i32>() else {
        return exec_err!("posexplode needs an array, not {}", array.data_type());
    };
    let item = Arc::new(Field::new_list_field(DataType::Int32, true));
    let mut builder = ListBuilder::new(Int32Builder::new()).with_field(item);
    for row in 0..lists.len() {
        if lists.is_null(row) {
            builder.append_null();
            continue;
        }
        for at in 0..lists.value_length(row) {
            builder.values().append_value(at);
        }
        builder.append(true);
    }
    kernel::result(arguments, Arc::new(builder.finish()))
}

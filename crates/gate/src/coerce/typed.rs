//! Typed columns (Parquet, Avro, a query) to the declared type, where nothing is lost.
//!
//! A conversion is taken only if converting back gives the same value; numbers become times only if
//! `epoch` says what they count. Floats become decimals through their shortest decimal text, so that
//! 0.1 is 0.1.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListArray, MapArray, StringViewBuilder, StructArray,
    TimestampMicrosecondBuilder, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{CastOptions, can_cast_types, cast, cast_with_options, nullif};
use arrow::datatypes::{DataType, FieldRef, Fields, TimeUnit, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::options::CoercionOptions;
use super::problem::{NestedKind, NestedProblem, Problem};
use super::scalar::Parsed;
use super::text::ValueFailure;
use super::zone::Zone;
use crate::contract::field_named;
use crate::error::Result;

/// Converts a column that is not `Utf8View`.
pub(super) fn convert(
    array: &ArrayRef,
    target: &DataType,
    options: &CoercionOptions,
) -> Result<Parsed> {
    let source = array.data_type();
    if source == target {
        return Ok((Arc::clone(array), Vec::new()));
    }
    if matches!(source, DataType::Null) {
        return Ok((new_null_array(target, array.len()), Vec::new()));
    }
    if is_text(source) || through_text(source, target, options) {
        let text = to_text(array)?;
        return super::coerce_text(text.as_string_view(), target, options);
    }
    if is_text(target) {
        return Ok((cast(&to_text(array)?, target)?, Vec::new()));
    }
    match (source, target) {
        (DataType::Struct(_), DataType::Struct(fields)) => twice(array, |array, failures| {
            structs(array.as_struct(), fields, options, failures)
        }),
        (DataType::List(_), DataType::List(item)) => twice(array, |array, failures| {
            lists(array.as_list(), item, options, failures)
        }),
        (
            DataType::LargeList(field)
            | DataType::ListView(field)
            | DataType::LargeListView(field)
            | DataType::FixedSizeList(field, _),
            DataType::List(_),
        ) => convert(
            &cast(array, &DataType::List(Arc::clone(field)))?,
            target,
            options,
        ),
        (DataType::Map(_, _), DataType::Map(entries, _)) => twice(array, |array, failures| {
            maps(array.as_map(), entries, options, failures)
        }),
        (DataType::Timestamp(_, None), DataType::Timestamp(TimeUnit::Microsecond, Some(zone))) => {
            instants(array, Arc::clone(zone), options)
        }
        _ => by_cast(array, target),
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// Whether a conversion is exact only by way of text.
fn through_text(source: &DataType, target: &DataType, options: &CoercionOptions) -> bool {
    match target {
        DataType::Decimal128(_, _) => source.is_floating(),
        DataType::Timestamp(_, _) => source.is_numeric() && options.epoch.is_some(),
        _ => false,
    }
}

/// A column as text, without loss: numbers shortest, times in ISO form, nested values as JSON-like text.
fn to_text(array: &ArrayRef) -> Result<ArrayRef> {
    let nested = array.data_type().is_nested();
    if !nested && can_cast_types(array.data_type(), &DataType::Utf8View) {
        return Ok(cast(array, &DataType::Utf8View)?);
    }
    let formatter = ArrayFormatter::try_new(array.as_ref(), &FormatOptions::new())?;
    let mut builder = StringViewBuilder::with_capacity(array.len());
    for row in 0..array.len() {
        if array.is_null(row) {
            builder.append_null();
        } else {
            builder.append_value(formatter.value(row).try_to_string()?);
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// Local times become instants, in the zone of the options.
fn instants(array: &ArrayRef, zone: Arc<str>, options: &CoercionOptions) -> Result<Parsed> {
    let (local, mut failures) = by_cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    let local = local.as_primitive::<TimestampMicrosecondType>();
    let own = Zone::Named(options.time_zone);
    let mut instants = TimestampMicrosecondBuilder::with_capacity(local.len());
    for (row, local) in local.iter().enumerate() {
        match local.map(|local| own.instant(local)).transpose() {
            Ok(instant) => instants.append_option(instant),
            Err(problem) => {
                instants.append_null();
                failures.push(ValueFailure {
                    row: row as u32,
                    problem,
                });
            }
        }
    }
    failures.sort_by_key(|failure| failure.row);
    Ok((Arc::new(instants.finish().with_timezone(zone)), failures))
}

/// Whether Arrow's cast means what SQL means; it reads numbers as times of any unit.
fn has_meaning(source: &DataType, target: &DataType) -> bool {
    let number_and_time = (source.is_numeric() && target.is_temporal())
        || (source.is_temporal() && target.is_numeric());
    // Arrow makes a list of one of any value, which nobody has asked for.
    let same_shape = source.is_nested() == target.is_nested();
    !number_and_time && same_shape && can_cast_types(source, target)
}

/// Converts by Arrow's cast, and keeps what converts back to itself.
pub(super) fn by_cast(array: &ArrayRef, target: &DataType) -> Result<Parsed> {
    let source = array.data_type();
    if !has_meaning(source, target) {
        let failures = failures_where(array.len(), |row| {
            array
                .is_valid(row)
                .then(|| Problem::NoConversion(Box::new(source.clone())))
        });
        return Ok((new_null_array(target, array.len()), failures));
    }
    let safe = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    let converted = cast_with_options(array, target, &safe)?;
    let changed = match target {
        // Lists of other layouts went another way; what is left has no order to compare by.
        _ if source.is_nested() => None,
        // Both are the nearest value, as from text; only an overflow is a loss.
        DataType::Float32 if matches!(source, DataType::Float64) => overflowed(array, &converted),
        _ if is_text(source) => None,
        _ => Some(distinct(
            &cast_with_options(&converted, source, &safe)?,
            array,
        )?),
    };
    let failures = failures_where(array.len(), |row| {
        if array.is_null(row) {
            None
        } else if converted.is_null(row) {
            Some(if is_text(source) {
                Problem::Format
            } else {
                Problem::OutOfRange
            })
        } else if changed.as_ref().is_some_and(|changed| changed.value(row)) {
            let overflow = matches!((source, target), (DataType::Float64, DataType::Float32));
            Some(if overflow {
                Problem::OutOfRange
            } else {
                Problem::NotExact(Box::new(source.clone()))
            })
        } else {
            None
        }
    });
    Ok((without(converted, &failures)?, failures))
}

fn overflowed(array: &ArrayRef, converted: &ArrayRef) -> Option<BooleanArray> {
    let before = array.as_primitive_opt::<arrow::datatypes::Float64Type>()?;
    let after = converted.as_primitive_opt::<arrow::datatypes::Float32Type>()?;
    let pairs = before.values().iter().zip(after.values());
    Some(
        pairs
            .map(|(before, after)| Some(before.is_finite() && !after.is_finite()))
            .collect(),
    )
}

fn failures_where(rows: usize, problem: impl Fn(usize) -> Option<Problem>) -> Vec<ValueFailure> {
    (0..rows)
        .filter_map(|row| {
            problem(row).map(|problem| ValueFailure {
                row: row as u32,
                problem,
            })
        })
        .collect()
}

/// The array with NULL where a value failed.
fn without(array: ArrayRef, failures: &[ValueFailure]) -> Result<ArrayRef> {
    if failures.is_empty() {
        return Ok(array);
    }
    let mut failed = vec![false; array.len()];
    for failure in failures {
        failed[failure.row as usize] = true;
    }
    Ok(nullif(array.as_ref(), &BooleanArray::from(failed))?)
}

/// Builds a nested column; where values failed, builds it again without them.
fn twice(
    array: &ArrayRef,
    build: impl Fn(&ArrayRef, &mut Vec<ValueFailure>) -> Result<Option<ArrayRef>>,
) -> Result<Parsed> {
    let mut failures = Vec::new();
    if let Some(built) = build(array, &mut failures)? {
        return Ok((built, failures));
    }
    failures.sort_by_key(|failure| failure.row);
    failures.dedup_by_key(|failure| failure.row);
    let remaining = without(Arc::clone(array), &failures)?;
    let built = build(&remaining, &mut Vec::new())?;
    let built = built.ok_or_else(|| {
        arrow::error::ArrowError::CastError(
            "a nested column failed after its failures were removed".into(),
        )
    })?;
    Ok((built, failures))
}

/// Converts a child column; its failures go to their owner's row under a path.
fn child(
    array: &ArrayRef,
    field: &FieldRef,
    options: &CoercionOptions,
    failures: &mut Vec<ValueFailure>,
    owner: impl Fn(usize) -> Option<(usize, String)>,
) -> Result<ArrayRef> {
    let (converted, own) = convert(array, field.data_type(), options)?;
    let formatter =
        ArrayFormatter::try_new(array.as_ref(), &FormatOptions::new().with_null("null"))?;
    let mut fail = |at: usize, problem: NestedKind| {
        let Some((row, step)) = owner(at) else { return };
        let value = formatter.value(at).try_to_string().unwrap_or_default();
        let nested = match problem {
            NestedKind::Value(Problem::Nested(inner)) => NestedProblem {
                path: format!("{step}{}{}", separator(&inner.path), inner.path),
                ..*inner
            },
            problem => NestedProblem {
                path: step,
                value,
                data_type: field.data_type().clone(),
                problem,
            },
        };
        failures.push(ValueFailure {
            row: row as u32,
            problem: Problem::Nested(Box::new(nested)),
        });
    };
    if !field.is_nullable() {
        for at in (0..array.len()).filter(|at| array.is_null(*at)) {
            fail(at, NestedKind::Missing);
        }
    }
    for failure in own {
        fail(failure.row as usize, NestedKind::Value(failure.problem));
    }
    Ok(converted)
}

fn separator(path: &str) -> &'static str {
    if path.starts_with('[') { "" } else { "." }
}

fn structs(
    array: &StructArray,
    fields: &Fields,
    options: &CoercionOptions,
    failures: &mut Vec<ValueFailure>,
) -> Result<Option<ArrayRef>> {
    let before = failures.len();
    let mut columns = Vec::with_capacity(fields.len());
    for (place, field) in fields.iter().enumerate() {
        let found = field_named(array.fields(), field.name(), place);
        let source = match found {
            Some(at) => Arc::clone(array.column(at)),
            None => new_null_array(field.data_type(), array.len()),
        };
        let owner = |row: usize| array.is_valid(row).then(|| (row, field.name().clone()));
        columns.push(child(&source, field, options, failures, owner)?);
    }
    if failures.len() > before {
        return Ok(None);
    }
    let nulls = array.nulls().cloned();
    Ok(Some(Arc::new(StructArray::try_new_with_length(
        fields.clone(),
        columns,
        nulls,
        array.len(),
    )?)))
}

/// The owner of each element between the offsets, and its place there.
fn owners(offsets: &[i32], nulls: Option<&NullBuffer>) -> Vec<Option<(usize, usize)>> {
    let mut owners = Vec::new();
    for (row, pair) in offsets.windows(2).enumerate() {
        let valid = nulls.is_none_or(|nulls| nulls.is_valid(row));
        owners.extend((0..pair[1] - pair[0]).map(|place| valid.then_some((row, place as usize))));
    }
    owners
}

fn rebased(offsets: &[i32]) -> OffsetBuffer<i32> {
    OffsetBuffer::from_lengths(offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize))
}

fn lists(
    array: &ListArray,
    item: &FieldRef,
    options: &CoercionOptions,
    failures: &mut Vec<ValueFailure>,
) -> Result<Option<ArrayRef>> {
    let before = failures.len();
    let offsets = array.value_offsets();
    let (first, last) = (offsets[0] as usize, offsets[array.len()] as usize);
    let owners = owners(offsets, array.nulls());
    let owner = |at: usize| owners[at].map(|(row, place)| (row, format!("[{place}]")));
    let values = child(
        &array.values().slice(first, last - first),
        item,
        options,
        failures,
        owner,
    )?;
    if failures.len() > before {
        return Ok(None);
    }
    let nulls = array.nulls().cloned();
    Ok(Some(Arc::new(ListArray::try_new(
        Arc::clone(item),
        rebased(offsets),
        values,
        nulls,
    )?)))
}

fn maps(
    array: &MapArray,
    entries: &FieldRef,
    options: &CoercionOptions,
    failures: &mut Vec<ValueFailure>,
) -> Result<Option<ArrayRef>> {
    let DataType::Struct(pair) = entries.data_type() else {
        return Ok(None);
    };
    let before = failures.len();
    let offsets = array.value_offsets();
    let (first, last) = (offsets[0] as usize, offsets[array.len()] as usize);
    let owners = owners(offsets, array.nulls());
    let key_column = array.keys().slice(first, last - first);
    let formatter = ArrayFormatter::try_new(key_column.as_ref(), &FormatOptions::new())?;
    let owner =
        |at: usize| owners[at].map(|(row, _)| (row, format!("['{}']", formatter.value(at))));
    let keys = child(&key_column, &pair[0], options, failures, owner)?;
    let values = child(
        &array.values().slice(first, last - first),
        &pair[1],
        options,
        failures,
        owner,
    )?;
    if failures.len() > before {
        return Ok(None);
    }
    let inner = StructArray::try_new(pair.clone(), vec![keys, values], None)?;
    let nulls = array.nulls().cloned();
    Ok(Some(Arc::new(MapArray::try_new(
        Arc::clone(entries),
        rebased(offsets),
        inner,
        nulls,
        false,
    )?)))
}

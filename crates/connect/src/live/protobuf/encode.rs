//! Columns to messages: what [`super::column`] reads, the other way round. The columns of a batch are brought to the
//! types of the message once; then each row is written field by field into one buffer.
//!
//! A NULL is a field that is not there: readers see NULL where presence is known (`optional`, messages), and the default of
//! the field's type elsewhere.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, Float32Array, Float64Array,
    Int32Array, Int64Array, StringViewArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, TimeUnit};
use arrow::error::ArrowError;
use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::wire::{put_bytes_key, put_fixed_key, put_varint, put_varint_key, to_zigzag};
use crate::formats::written;

/// The rows of a batch as messages.
pub(super) struct Rows {
    fields: Vec<Slot>,
}

/// A column with the field that it is.
struct Slot {
    number: u32,
    column: Column,
}

/// A column in the type of its field.
enum Column {
    Boolean(BooleanArray),
    Int32(Kind, Int32Array),
    Int64(Kind, Int64Array),
    UInt32(Kind, UInt32Array),
    UInt64(Kind, UInt64Array),
    Float32(Float32Array),
    Float64(Float64Array),
    Text(StringViewArray),
    Bytes(BinaryViewArray),
    /// `google.protobuf.Timestamp`.
    Time(TimestampMicrosecondArray),
    /// A message with the one field `value`.
    Wrapped(Box<Column>),
    Struct(Option<NullBuffer>, Rows),
    List {
        offsets: OffsetBuffer<i32>,
        nulls: Option<NullBuffer>,
        items: Box<Column>,
        packed: bool,
    },
    Map {
        offsets: OffsetBuffer<i32>,
        nulls: Option<NullBuffer>,
        entries: Rows,
    },
}

/// Why columns are not those of a message.
#[derive(Debug)]
pub(super) enum Unfit {
    /// The message has no fields of these names (`a.b` inside another).
    Missing(Vec<String>),
    /// A value cannot be one of its field.
    Value(String),
}

impl From<ArrowError> for Unfit {
    fn from(error: ArrowError) -> Self {
        Self::Value(error.to_string())
    }
}

impl Rows {
    /// The columns as the fields of their names.
    pub(super) fn new<'a>(
        message: &MessageDescriptor,
        columns: impl Iterator<Item = (&'a Arc<Field>, &'a ArrayRef)>,
    ) -> Result<Self, Unfit> {
        let (mut fields, mut missing) = (Vec::new(), Vec::new());
        for (column, array) in columns {
            let Some(field) = message.get_field_by_name(column.name()) else {
                missing.push(column.name().clone());
                continue;
            };
            match Slot::new(&field, array) {
                Ok(slot) => fields.push(slot),
                Err(Unfit::Missing(inner)) => {
                    let inner = inner
                        .iter()
                        .map(|inner| format!("{}.{inner}", field.name()));
                    missing.extend(inner);
                }
                Err(Unfit::Value(message)) => {
                    return Err(Unfit::Value(format!("{}: {message}", field.name())));
                }
            }
        }
        match missing.is_empty() {
            true => Ok(Self { fields }),
            false => Err(Unfit::Missing(missing)),
        }
    }

    /// Writes the message of a row.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        for field in &self.fields {
            if field.column.is_there(row) {
                field.column.write(field.number, row, out);
            }
        }
    }
}

impl Slot {
    fn new(field: &FieldDescriptor, array: &ArrayRef) -> Result<Self, Unfit> {
        if field.cardinality() == Cardinality::Required && array.logical_null_count() > 0 {
            return Err(Unfit::Value(
                "it is NULL, and the message requires it".to_owned(),
            ));
        }
        let column = match field.kind() {
            Kind::Message(entry) if field.is_map() => Column::of_map(&entry, array)?,
            kind if field.is_list() => Column::of_list(&kind, field.is_packed(), array)?,
            kind => Column::new(&kind, array)?,
        };
        Ok(Self {
            number: field.number(),
            column,
        })
    }
}

/// A column in another type; an error where a value has none there.
fn to(array: &ArrayRef, kind: &DataType) -> Result<ArrayRef, ArrowError> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(array, kind, &options)
}

impl Column {
    fn new(kind: &Kind, array: &ArrayRef) -> Result<Self, Unfit> {
        use arrow::datatypes::{
            Float32Type, Float64Type, Int32Type, Int64Type, UInt32Type, UInt64Type,
        };
        Ok(match kind {
            Kind::Bool => Self::Boolean(to(array, &DataType::Boolean)?.as_boolean().clone()),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                let array = to(array, &DataType::Int32)?;
                Self::Int32(kind.clone(), array.as_primitive::<Int32Type>().clone())
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                let array = to(array, &DataType::Int64)?;
                Self::Int64(kind.clone(), array.as_primitive::<Int64Type>().clone())
            }
            Kind::Uint32 | Kind::Fixed32 => {
                let array = to(array, &DataType::UInt32)?;
                Self::UInt32(kind.clone(), array.as_primitive::<UInt32Type>().clone())
            }
            Kind::Uint64 | Kind::Fixed64 => {
                let array = to(array, &DataType::UInt64)?;
                Self::UInt64(kind.clone(), array.as_primitive::<UInt64Type>().clone())
            }
            Kind::Float => {
                let array = to(array, &DataType::Float32)?;
                Self::Float32(array.as_primitive::<Float32Type>().clone())
            }
            Kind::Double => {
                let array = to(array, &DataType::Float64)?;
                Self::Float64(array.as_primitive::<Float64Type>().clone())
            }
            Kind::String => Self::Text(written(array)?.as_string_view().clone()),
            Kind::Bytes => {
                let array = to(array, &DataType::BinaryView)?;
                Self::Bytes(array.as_binary_view().clone())
            }
            Kind::Enum(names) => Self::of_enum(names, array)?,
            Kind::Message(message) => Self::of_message(message, array)?,
        })
    }

    /// Names of an enumeration become their numbers; numbers stay what they are.
    fn of_enum(names: &EnumDescriptor, array: &ArrayRef) -> Result<Self, Unfit> {
        if array.data_type().is_integer() {
            return Self::new(&Kind::Int32, array);
        }
        let texts = written(array)?;
        let number = |name: &str| {
            let value = names.get_value_by_name(name);
            let unknown = || format!("{} has no value {name:?}", names.full_name());
            value.map(|value| value.number()).ok_or_else(unknown)
        };
        let numbers = texts
            .as_string_view()
            .iter()
            .map(|name| name.map(number).transpose())
            .collect::<Result<Int32Array, String>>();
        Ok(Self::Int32(Kind::Int32, numbers.map_err(Unfit::Value)?))
    }

    fn of_message(message: &MessageDescriptor, array: &ArrayRef) -> Result<Self, Unfit> {
        use arrow::datatypes::TimestampMicrosecondType;
        if message.full_name() == "google.protobuf.Timestamp" {
            let kind = DataType::Timestamp(TimeUnit::Microsecond, None);
            let array = match array.data_type() {
                DataType::Timestamp(_, Some(_)) => {
                    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
                    to(&to(array, &utc)?, &kind)?
                }
                _ => to(array, &kind)?,
            };
            return Ok(Self::Time(
                array.as_primitive::<TimestampMicrosecondType>().clone(),
            ));
        }
        match array.data_type() {
            DataType::Struct(columns) => {
                let array = array.as_struct();
                let rows = Rows::new(message, columns.iter().zip(array.columns()))?;
                Ok(Self::Struct(array.nulls().cloned(), rows))
            }
            // A message inside itself is read as its bytes.
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
                Self::new(&Kind::Bytes, array)
            }
            kind => match (message.get_field_by_name("value"), message.fields().len()) {
                (Some(value), 1) => Ok(Self::Wrapped(Box::new(Self::new(&value.kind(), array)?))),
                _ => Err(Unfit::Value(format!(
                    "a value of the type {kind} cannot be a message {}",
                    message.full_name()
                ))),
            },
        }
    }

    fn of_list(kind: &Kind, packed: bool, array: &ArrayRef) -> Result<Self, Unfit> {
        let item = match array.data_type() {
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::FixedSizeList(item, _)
            | DataType::ListView(item)
            | DataType::LargeListView(item) => item,
            kind => return Err(Unfit::Value(format!("{kind} is not a list"))),
        };
        let array = to(array, &DataType::List(Arc::clone(item)))?;
        let list = array.as_list::<i32>();
        if list.values().logical_null_count() > 0 {
            return Err(Unfit::Value(
                "a list has a NULL in it, which a repeated field cannot have".to_owned(),
            ));
        }
        Ok(Self::List {
            offsets: list.offsets().clone(),
            nulls: list.nulls().cloned(),
            items: Box::new(Self::new(kind, list.values())?),
            packed,
        })
    }

    fn of_map(entry: &MessageDescriptor, array: &ArrayRef) -> Result<Self, Unfit> {
        let DataType::Map(..) = array.data_type() else {
            let message = format!("{} is not a map", array.data_type());
            return Err(Unfit::Value(message));
        };
        let map = array.as_map();
        let slot = |number: u32, array: &ArrayRef| {
            let field = entry.get_field(number).ok_or_else(|| {
                Unfit::Value(format!("{} is no entry of a map", entry.full_name()))
            })?;
            Slot::new(&field, array)
        };
        Ok(Self::Map {
            offsets: map.offsets().clone(),
            nulls: map.nulls().cloned(),
            entries: Rows {
                fields: vec![slot(1, map.keys())?, slot(2, map.values())?],
            },
        })
    }

    fn is_there(&self, row: usize) -> bool {
        let nulls = match self {
            Self::Boolean(array) => array.nulls(),
            Self::Int32(_, array) => array.nulls(),
            Self::Int64(_, array) => array.nulls(),
            Self::UInt32(_, array) => array.nulls(),
            Self::UInt64(_, array) => array.nulls(),
            Self::Float32(array) => array.nulls(),
            Self::Float64(array) => array.nulls(),
            Self::Text(array) => array.nulls(),
            Self::Bytes(array) => array.nulls(),
            Self::Time(array) => array.nulls(),
            Self::Wrapped(inner) => return inner.is_there(row),
            Self::Struct(nulls, _) | Self::List { nulls, .. } | Self::Map { nulls, .. } => {
                nulls.as_ref()
            }
        };
        nulls.is_none_or(|nulls| nulls.is_valid(row))
    }

    /// Writes the field of a row, which is there.
    fn write(&self, number: u32, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::List {
                offsets,
                items,
                packed,
                ..
            } => {
                let rows = offsets[row] as usize..offsets[row + 1] as usize;
                if *packed && !rows.is_empty() {
                    put_inside(number, out, |out| {
                        rows.for_each(|row| items.write_value(row, out));
                    });
                } else if !*packed {
                    rows.for_each(|row| items.write(number, row, out));
                }
            }
            Self::Map {
                offsets, entries, ..
            } => {
                for entry in offsets[row] as usize..offsets[row + 1] as usize {
                    put_inside(number, out, |out| entries.write(entry, out));
                }
            }
            Self::Struct(_, rows) => put_inside(number, out, |out| rows.write(row, out)),
            Self::Wrapped(inner) => put_inside(number, out, |out| inner.write(1, row, out)),
            Self::Time(times) => {
                let micros = times.value(row);
                put_inside(number, out, |out| {
                    put_varint_key(1, out);
                    put_varint(micros.div_euclid(1_000_000) as u64, out);
                    put_varint_key(2, out);
                    put_varint(micros.rem_euclid(1_000_000) as u64 * 1_000, out);
                });
            }
            Self::Text(texts) => {
                put_bytes_key(number, out);
                put_sized(texts.value(row).as_bytes(), out);
            }
            Self::Bytes(bytes) => {
                put_bytes_key(number, out);
                put_sized(bytes.value(row), out);
            }
            scalar => {
                match scalar.fixed() {
                    Some(bytes) => put_fixed_key(number, bytes, out),
                    None => put_varint_key(number, out),
                }
                scalar.write_value(row, out);
            }
        }
    }

    /// How many bytes a value has, if it is always so many.
    fn fixed(&self) -> Option<usize> {
        match self {
            Self::Float32(_) | Self::Int32(Kind::Sfixed32, _) | Self::UInt32(Kind::Fixed32, _) => {
                Some(4)
            }
            Self::Float64(_) | Self::Int64(Kind::Sfixed64, _) | Self::UInt64(Kind::Fixed64, _) => {
                Some(8)
            }
            _ => None,
        }
    }

    /// Writes a number as it stands behind its key, or among others of a list.
    fn write_value(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Boolean(array) => put_varint(u64::from(array.value(row)), out),
            Self::Int32(Kind::Sfixed32, array) => out.extend(array.value(row).to_le_bytes()),
            Self::Int32(Kind::Sint32, array) => {
                put_varint(to_zigzag(i64::from(array.value(row))), out);
            }
            // Negative ones have all ten bytes, so that they can be read as 64 bits, too.
            Self::Int32(_, array) => put_varint(i64::from(array.value(row)) as u64, out),
            Self::Int64(Kind::Sfixed64, array) => out.extend(array.value(row).to_le_bytes()),
            Self::Int64(Kind::Sint64, array) => put_varint(to_zigzag(array.value(row)), out),
            Self::Int64(_, array) => put_varint(array.value(row) as u64, out),
            Self::UInt32(Kind::Fixed32, array) => out.extend(array.value(row).to_le_bytes()),
            Self::UInt32(_, array) => put_varint(u64::from(array.value(row)), out),
            Self::UInt64(Kind::Fixed64, array) => out.extend(array.value(row).to_le_bytes()),
            Self::UInt64(_, array) => put_varint(array.value(row), out),
            Self::Float32(array) => out.extend(array.value(row).to_le_bytes()),
            Self::Float64(array) => out.extend(array.value(row).to_le_bytes()),
            // These have a length before them, and never stand among others.
            Self::Text(_)
            | Self::Bytes(_)
            | Self::Time(_)
            | Self::Wrapped(_)
            | Self::Struct(..)
            | Self::List { .. }
            | Self::Map { .. } => {}
        }
    }
}

/// Bytes with their length before them.
fn put_sized(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// A field with what `write` gives inside, and its length before it.
fn put_inside(number: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    put_bytes_key(number, out);
    // Nearly all lengths take one byte; where more are needed, what is inside moves.
    let at = out.len();
    out.push(0);
    write(out);
    let length = (out.len() - at - 1) as u64;
    if length < 0x80 {
        out[at] = length as u8;
    } else {
        let mut longer = Vec::with_capacity(5);
        put_varint(length, &mut longer);
        out.splice(at..=at, longer);
    }
}

//! Messages to columns: for each field a builder, filled straight from the bytes, without a message in between.
//!
//! What a field has that is not in the bytes: NULL where presence is known (`optional`, `oneof`, messages, proto2), its
//! default elsewhere, as all readers of Protocol Buffers have it.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewBuilder, BooleanBuilder, Float32Builder, Float64Builder, Int32Builder,
    Int64Builder, ListArray, MapArray, StringViewBuilder, StructArray, TimestampMicrosecondBuilder,
    UInt64Builder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields as ArrowFields};
use arrow::error::ArrowError;
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::wire::{Fields, Raw, varint, zigzag};

/// Messages inside messages, at most.
const DEPTH_MAX: usize = 32;

/// A message under construction as columns.
pub(super) struct Message {
    fields: Vec<Slot>,
    /// Where the field of a number is; numbers are mostly small.
    index: Vec<(u32, usize)>,
    rows: usize,
}

/// A field.
struct Slot {
    name: String,
    number: u32,
    column: Column,
    repeated: bool,
    /// Whether a field that is not there is NULL.
    nullable: bool,
}

enum Column {
    Boolean(BooleanBuilder),
    Int32(Kind, Int32Builder),
    Int64(Kind, Int64Builder),
    UInt64(Kind, UInt64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Text(StringViewBuilder),
    Bytes(BinaryViewBuilder),
    Enum(EnumDescriptor, StringViewBuilder),
    /// `google.protobuf.Timestamp`.
    Time(TimestampMicrosecondBuilder),
    /// A message with one field, `value`, that stands for a value that may be NULL (`google.protobuf.Int64Value`, …).
    Wrapped(Box<Column>),
    Struct(Box<Message>, Vec<bool>),
    List(Vec<i32>, Box<Column>),
    Map(Vec<i32>, Box<Message>),
}

impl Message {
    /// Empty columns for a message.
    pub(super) fn new(descriptor: &MessageDescriptor) -> Self {
        Self::inside(descriptor, &mut Vec::new())
    }

    fn inside(descriptor: &MessageDescriptor, above: &mut Vec<String>) -> Self {
        above.push(descriptor.full_name().to_owned());
        // In the order of their declaration, as the table would be written.
        let mut fields: Vec<FieldDescriptor> = descriptor.fields().collect();
        let declared = &descriptor.descriptor_proto().field;
        fields.sort_by_key(|field| {
            let name = Some(field.name());
            declared.iter().position(|one| one.name.as_deref() == name)
        });
        let fields: Vec<Slot> = fields.iter().map(|field| Slot::new(field, above)).collect();
        above.pop();
        let numbers = fields.iter().enumerate();
        let mut index: Vec<(u32, usize)> = numbers.map(|(at, one)| (one.number, at)).collect();
        index.sort_unstable();
        Self {
            fields,
            index,
            rows: 0,
        }
    }

    fn find(&self, number: u32) -> Option<usize> {
        // Dense numbers from 1 on, which is nearly all of them.
        if let Some((found, at)) = self.index.get(number as usize - 1)
            && *found == number
        {
            return Some(*at);
        }
        let at = self.index.binary_search_by_key(&number, |one| one.0).ok()?;
        Some(self.index[at].1)
    }

    /// Checks that a message can be taken; the error says what is wrong.
    pub(super) fn check(&self, bytes: &[u8]) -> Result<(), String> {
        let mut fields = Fields::of(bytes);
        while let Some((number, value)) = fields.next()? {
            if let Some(at) = self.find(number) {
                let field = &self.fields[at];
                let checked = field.column.check(value);
                checked.map_err(|message| format!("field {}: {message}", field.name))?;
            }
        }
        Ok(())
    }

    /// Takes a message that was checked, as a row.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        // Of each field the last value counts; most messages have each once.
        let mut last: [Option<Raw<'_>>; 64] = [None; 64];
        let mut many: Vec<Option<Raw<'_>>> = Vec::new();
        if self.fields.len() > last.len() {
            many.resize(self.fields.len(), None);
        }
        let last = if many.is_empty() {
            &mut last[..]
        } else {
            &mut many[..]
        };
        // Messages that come in several parts are one: their bytes, one behind the other.
        let mut joined: Vec<(usize, Vec<u8>)> = Vec::new();
        let mut fields = Fields::of(bytes);
        while let Ok(Some((number, value))) = fields.next() {
            let Some(at) = self.find(number) else {
                continue;
            };
            let field = &mut self.fields[at];
            if field.repeated {
                field.column.add(value);
            } else if let (true, Some(Raw::Bytes(before)), Raw::Bytes(more)) =
                (field.column.is_message(), last[at], value)
            {
                match joined.iter_mut().find(|(which, _)| *which == at) {
                    Some((_, all)) => all.extend_from_slice(more),
                    None => joined.push((at, [before, more].concat())),
                }
            } else if field.column.fits(value) {
                last[at] = Some(value);
            }
        }
        for (at, field) in self.fields.iter_mut().enumerate() {
            if field.repeated {
                field.column.close();
                continue;
            }
            let whole = joined.iter().find(|(which, _)| *which == at);
            match (whole, last[at]) {
                (Some((_, all)), _) => field.column.push(Raw::Bytes(all)),
                (None, Some(value)) => field.column.push(value),
                (None, None) if field.nullable => field.column.push_null(),
                (None, None) => field.column.push_default(),
            }
        }
        self.rows += 1;
    }

    /// A row of which nothing is there.
    fn take_nothing(&mut self) {
        for field in &mut self.fields {
            match field.repeated {
                true => field.column.close(),
                false => field.column.push_null(),
            }
        }
        self.rows += 1;
    }

    /// The finished columns, in order.
    pub(super) fn finish(self) -> Result<Vec<(Field, ArrayRef)>, ArrowError> {
        let finish = |slot: Slot| {
            let array = slot.column.finish()?;
            let field = Field::new(slot.name, array.data_type().clone(), true);
            Ok((field, array))
        };
        self.fields.into_iter().map(finish).collect()
    }
}

impl Slot {
    fn new(field: &FieldDescriptor, above: &mut Vec<String>) -> Self {
        let single = Column::new(&field.kind(), above);
        let column = match field.kind() {
            Kind::Message(entry) if field.is_map() && above.len() < DEPTH_MAX => {
                Column::Map(vec![0], Box::new(Message::inside(&entry, above)))
            }
            _ if field.is_list() => Column::List(vec![0], Box::new(single)),
            _ => single,
        };
        Self {
            name: field.name().to_owned(),
            number: field.number(),
            repeated: matches!(column, Column::List(..) | Column::Map(..)),
            column,
            nullable: field.supports_presence(),
        }
    }
}

impl Column {
    fn new(kind: &Kind, above: &mut Vec<String>) -> Self {
        match kind {
            Kind::Bool => Self::Boolean(BooleanBuilder::new()),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                Self::Int32(kind.clone(), Int32Builder::new())
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint32 | Kind::Fixed32 => {
                Self::Int64(kind.clone(), Int64Builder::new())
            }
            Kind::Uint64 | Kind::Fixed64 => Self::UInt64(kind.clone(), UInt64Builder::new()),
            Kind::Float => Self::Float32(Float32Builder::new()),
            Kind::Double => Self::Float64(Float64Builder::new()),
            Kind::String => Self::Text(StringViewBuilder::new()),
            Kind::Bytes => Self::Bytes(BinaryViewBuilder::new()),
            Kind::Enum(names) => Self::Enum(names.clone(), StringViewBuilder::new()),
            Kind::Message(message) => Self::of_message(message, above),
        }
    }

    fn of_message(message: &MessageDescriptor, above: &mut Vec<String>) -> Self {
        let name = message.full_name();
        if name == "google.protobuf.Timestamp" {
            let times = TimestampMicrosecondBuilder::new();
            return Self::Time(times.with_timezone("UTC"));
        }
        let package = name.strip_prefix("google.protobuf.");
        if let (true, Some(value)) = (
            package.is_some_and(|name| name.ends_with("Value") && name.len() > 5),
            message.get_field_by_name("value"),
        ) && message.fields().len() == 1
            && !matches!(value.kind(), Kind::Message(_) | Kind::Enum(_))
        {
            return Self::Wrapped(Box::new(Self::new(&value.kind(), above)));
        }
        // A message inside itself is no column: its bytes are.
        if above.iter().any(|one| one == name) || above.len() >= DEPTH_MAX {
            return Self::Bytes(BinaryViewBuilder::new());
        }
        Self::Struct(Box::new(Message::inside(message, above)), Vec::new())
    }

    fn is_message(&self) -> bool {
        matches!(self, Self::Struct(..) | Self::Time(_) | Self::Wrapped(_))
    }

    /// Whether a value has the form of this column's.
    fn fits(&self, value: Raw<'_>) -> bool {
        match self {
            Self::Boolean(_) | Self::Enum(..) => matches!(value, Raw::Varint(_)),
            Self::Int32(kind, _) => match kind {
                Kind::Sfixed32 => matches!(value, Raw::Four(_)),
                _ => matches!(value, Raw::Varint(_)),
            },
            Self::Int64(kind, _) => match kind {
                Kind::Sfixed64 => matches!(value, Raw::Eight(_)),
                Kind::Fixed32 => matches!(value, Raw::Four(_)),
                _ => matches!(value, Raw::Varint(_)),
            },
            Self::UInt64(Kind::Fixed64, _) => matches!(value, Raw::Eight(_)),
            Self::UInt64(..) => matches!(value, Raw::Varint(_)),
            Self::Float32(_) => matches!(value, Raw::Four(_)),
            Self::Float64(_) => matches!(value, Raw::Eight(_)),
            Self::List(_, item) => item.fits(value) || matches!(value, Raw::Bytes(_)),
            _ => matches!(value, Raw::Bytes(_)),
        }
    }

    /// Whether the values of a list of these may stand together in one field.
    fn packs(&self) -> bool {
        !(self.is_message() || matches!(self, Self::Text(_) | Self::Bytes(_)))
    }

    /// Checks a value; one of another form is passed over, as all readers of Protocol Buffers do.
    fn check(&self, value: Raw<'_>) -> Result<(), String> {
        let Raw::Bytes(bytes) = value else {
            return Ok(());
        };
        match self {
            Self::Text(_) => match simdutf8::basic::from_utf8(bytes) {
                Ok(_) => Ok(()),
                Err(_) => Err("its text is not valid UTF-8".to_owned()),
            },
            Self::Struct(message, _) | Self::Map(_, message) => message.check(bytes),
            Self::Time(_) => time(bytes).map(drop),
            Self::Wrapped(inner) => {
                let mut fields = Fields::of(bytes);
                while let Some((number, value)) = fields.next()? {
                    if number == 1 {
                        inner.check(value)?;
                    }
                }
                Ok(())
            }
            Self::List(_, item) if item.packs() => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    item.unpack(&mut rest).ok_or("its list breaks off")?;
                }
                Ok(())
            }
            Self::List(_, item) => item.check(value),
            _ => Ok(()),
        }
    }

    /// The next of values that stand together.
    fn unpack<'a>(&self, rest: &mut &'a [u8]) -> Option<Raw<'a>> {
        let four = |rest: &mut &'a [u8]| {
            let (value, behind) = rest.split_first_chunk()?;
            *rest = behind;
            Some(Raw::Four(u32::from_le_bytes(*value)))
        };
        let eight = |rest: &mut &'a [u8]| {
            let (value, behind) = rest.split_first_chunk()?;
            *rest = behind;
            Some(Raw::Eight(u64::from_le_bytes(*value)))
        };
        match self {
            Self::Float32(_) | Self::Int32(Kind::Sfixed32, _) | Self::Int64(Kind::Fixed32, _) => {
                four(rest)
            }
            Self::Float64(_) | Self::Int64(Kind::Sfixed64, _) | Self::UInt64(Kind::Fixed64, _) => {
                eight(rest)
            }
            _ => varint(rest).map(Raw::Varint),
        }
    }

    /// Adds to a list or map.
    fn add(&mut self, value: Raw<'_>) {
        match self {
            Self::List(_, item) if item.fits(value) => item.push(value),
            Self::List(_, item) if item.packs() => {
                if let Raw::Bytes(mut rest) = value {
                    while let Some(value) = item.unpack(&mut rest) {
                        item.push(value);
                    }
                }
            }
            Self::Map(_, entries) => {
                if let Raw::Bytes(entry) = value {
                    entries.take(entry);
                }
            }
            _ => {}
        }
    }

    /// Ends a list or map.
    fn close(&mut self) {
        match self {
            Self::List(offsets, item) => offsets.push(item.len() as i32),
            Self::Map(offsets, entries) => offsets.push(entries.rows as i32),
            _ => {}
        }
    }

    fn push(&mut self, value: Raw<'_>) {
        match (self, value) {
            (Self::Boolean(column), Raw::Varint(number)) => column.append_value(number != 0),
            (Self::Int32(Kind::Sint32, column), Raw::Varint(number)) => {
                column.append_value(zigzag(number) as i32);
            }
            (Self::Int32(_, column), Raw::Varint(number)) => column.append_value(number as i32),
            (Self::Int32(_, column), Raw::Four(number)) => column.append_value(number as i32),
            (Self::Int64(Kind::Sint64, column), Raw::Varint(number)) => {
                column.append_value(zigzag(number));
            }
            (Self::Int64(Kind::Uint32, column), Raw::Varint(number)) => {
                column.append_value(i64::from(number as u32));
            }
            (Self::Int64(_, column), Raw::Varint(number) | Raw::Eight(number)) => {
                column.append_value(number as i64);
            }
            (Self::Int64(_, column), Raw::Four(number)) => column.append_value(i64::from(number)),
            (Self::UInt64(_, column), Raw::Varint(number) | Raw::Eight(number)) => {
                column.append_value(number);
            }
            (Self::Float32(column), Raw::Four(bits)) => column.append_value(f32::from_bits(bits)),
            (Self::Float64(column), Raw::Eight(bits)) => column.append_value(f64::from_bits(bits)),
            (Self::Text(column), Raw::Bytes(text)) => {
                column.append_value(String::from_utf8_lossy(text));
            }
            (Self::Bytes(column), Raw::Bytes(bytes)) => column.append_value(bytes),
            (Self::Enum(names, column), Raw::Varint(number)) => {
                match names.get_value(number as i32) {
                    Some(value) => column.append_value(value.name()),
                    None => column.append_value((number as i32).to_string()),
                }
            }
            (Self::Time(column), Raw::Bytes(bytes)) => column.append_option(time(bytes).ok()),
            (Self::Wrapped(inner), Raw::Bytes(bytes)) => {
                let mut last = None;
                let mut fields = Fields::of(bytes);
                while let Ok(Some((number, value))) = fields.next() {
                    if number == 1 && inner.fits(value) {
                        last = Some(value);
                    }
                }
                match last {
                    Some(value) => inner.push(value),
                    None => inner.push_default(),
                }
            }
            (Self::Struct(message, valid), Raw::Bytes(bytes)) => {
                message.take(bytes);
                valid.push(true);
            }
            (column, _) => column.push_null(),
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Boolean(column) => column.append_null(),
            Self::Int32(_, column) => column.append_null(),
            Self::Int64(_, column) => column.append_null(),
            Self::UInt64(_, column) => column.append_null(),
            Self::Float32(column) => column.append_null(),
            Self::Float64(column) => column.append_null(),
            Self::Text(column) | Self::Enum(_, column) => column.append_null(),
            Self::Bytes(column) => column.append_null(),
            Self::Time(column) => column.append_null(),
            Self::Wrapped(inner) => inner.push_null(),
            Self::Struct(message, valid) => {
                message.take_nothing();
                valid.push(false);
            }
            Self::List(..) | Self::Map(..) => self.close(),
        }
    }

    fn push_default(&mut self) {
        match self {
            Self::Boolean(_) | Self::UInt64(..) | Self::Enum(..) => self.push(Raw::Varint(0)),
            Self::Int32(_, column) => column.append_value(0),
            Self::Int64(_, column) => column.append_value(0),
            Self::Float32(column) => column.append_value(0.0),
            Self::Float64(column) => column.append_value(0.0),
            Self::Text(_) | Self::Bytes(_) => self.push(Raw::Bytes(&[])),
            _ => self.push_null(),
        }
    }

    fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        match self {
            Self::Boolean(column) => column.len(),
            Self::Int32(_, column) => column.len(),
            Self::Int64(_, column) => column.len(),
            Self::UInt64(_, column) => column.len(),
            Self::Float32(column) => column.len(),
            Self::Float64(column) => column.len(),
            Self::Text(column) | Self::Enum(_, column) => column.len(),
            Self::Bytes(column) => column.len(),
            Self::Time(column) => column.len(),
            Self::Wrapped(inner) => inner.len(),
            Self::Struct(message, _) => message.rows,
            Self::List(offsets, _) | Self::Map(offsets, _) => offsets.len() - 1,
        }
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Boolean(mut column) => Arc::new(column.finish()),
            Self::Int32(_, mut column) => Arc::new(column.finish()),
            Self::Int64(_, mut column) => Arc::new(column.finish()),
            Self::UInt64(_, mut column) => Arc::new(column.finish()),
            Self::Float32(mut column) => Arc::new(column.finish()),
            Self::Float64(mut column) => Arc::new(column.finish()),
            Self::Text(mut column) | Self::Enum(_, mut column) => Arc::new(column.finish()),
            Self::Bytes(mut column) => Arc::new(column.finish()),
            Self::Time(mut column) => Arc::new(column.finish()),
            Self::Wrapped(inner) => inner.finish()?,
            Self::Struct(message, valid) => {
                let nulls = NullBuffer::from(valid);
                Arc::new(structs(*message, Some(nulls))?)
            }
            Self::List(offsets, item) => {
                let item = item.finish()?;
                let field = Field::new_list_field(item.data_type().clone(), true);
                let offsets = OffsetBuffer::new(offsets.into());
                Arc::new(ListArray::try_new(Arc::new(field), offsets, item, None)?)
            }
            Self::Map(offsets, entries) => {
                let entries = structs(*entries, None)?;
                let (fields, columns, _) = entries.into_parts();
                let value = fields.get(1).map(|field| field.data_type().clone());
                let fields = ArrowFields::from(vec![
                    Field::new("key", columns[0].data_type().clone(), false),
                    Field::new("value", value.unwrap_or(DataType::Null), true),
                ]);
                let entries = StructArray::try_new(fields.clone(), columns, None)?;
                let field = Field::new("entries", DataType::Struct(fields), false);
                let offsets = OffsetBuffer::new(offsets.into());
                let map = MapArray::try_new(Arc::new(field), offsets, entries, None, false);
                Arc::new(map?)
            }
        })
    }
}

fn structs(message: Message, nulls: Option<NullBuffer>) -> Result<StructArray, ArrowError> {
    let rows = message.rows;
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = message.finish()?.into_iter().unzip();
    if fields.is_empty() {
        return Ok(StructArray::new_empty_fields(rows, nulls));
    }
    StructArray::try_new(fields.into(), columns, nulls)
}

/// The microseconds since 1970 of a `google.protobuf.Timestamp`.
fn time(bytes: &[u8]) -> Result<i64, String> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    let mut fields = Fields::of(bytes);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Raw::Varint(number)) => seconds = number as i64,
            (2, Raw::Varint(number)) => nanos = i64::from(number as i32),
            _ => {}
        }
    }
    let micros = seconds.checked_mul(1_000_000);
    let micros = micros.and_then(|micros| micros.checked_add(nanos.div_euclid(1000)));
    micros.ok_or_else(|| format!("a time of {seconds} seconds is too far away"))
}

/// The type of each column of a message.
pub(super) fn types(descriptor: &MessageDescriptor) -> Result<Vec<Field>, ArrowError> {
    let columns = Message::new(descriptor).finish()?;
    Ok(columns.into_iter().map(|(field, _)| field).collect())
}

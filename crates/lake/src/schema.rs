//! Columns: Arrow's types and Delta's, and what a table may become.
//!
//! Delta writes its schema as JSON with Spark's type names. In memory a table's columns are those
//! of a contract: text and bytes as views, times in microseconds. Names compare without case, as
//! everywhere in Spark.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use serde_json::{Map, Value, json};

use crate::error::LakeError;

/// The key of a column's comment in the metadata of Arrow and of Delta fields.
pub const COMMENT: &str = "comment";

/// The time zone of a `TIMESTAMP`.
const UTC: &str = "UTC";

/// The type in which a value of this type is stored and read back; `None` if Delta has none.
fn storable_type(data_type: &DataType) -> Option<DataType> {
    let inner = |field: &FieldRef, name: &str| -> Option<FieldRef> {
        let stored = storable_type(field.data_type())?;
        Some(Arc::new(Field::new(name, stored, field.is_nullable())))
    };
    Some(match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32 => data_type.clone(),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, Some(_)) => {
            DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
        }
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
            if *scale >= 0 =>
        {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8View,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => DataType::BinaryView,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => DataType::List(inner(field, "element")?),
        DataType::Struct(fields) => DataType::Struct(
            fields
                .iter()
                .map(|field| inner(field, field.name()))
                .collect::<Option<Fields>>()?,
        ),
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else {
                return None;
            };
            let [key, value] = pair.as_ref() else {
                return None;
            };
            let key = Arc::new(Field::new("key", storable_type(key.data_type())?, false));
            map_type(key, inner(value, "value")?)
        }
        DataType::Dictionary(_, value) => storable_type(value)?,
        DataType::RunEndEncoded(_, values) => storable_type(values.data_type())?,
        _ => return None,
    })
}

fn map_type(key: FieldRef, value: FieldRef) -> DataType {
    let pair = DataType::Struct(Fields::from(vec![key, value]));
    DataType::Map(Arc::new(Field::new("key_value", pair, false)), false)
}

/// The schema in which rows of this schema are stored and read back.
///
/// # Errors
/// A column whose type Delta Lake cannot store, or two columns whose names differ only in case.
pub fn storable(table: &str, schema: &Schema) -> Result<SchemaRef, LakeError> {
    let mut seen = HashMap::new();
    let mut fields = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        if let Some(first) = seen.insert(field.name().to_lowercase(), field.name()) {
            return Err(LakeError::Specification {
                table: table.to_owned(),
                reason: format!(
                    "columns `{first}` and `{}` have the same name; rename one with AS",
                    field.name()
                ),
            });
        }
        let data_type = storable_type(field.data_type()).ok_or_else(|| LakeError::Type {
            table: table.to_owned(),
            column: field.name().clone(),
            data_type: field.data_type().to_string(),
        })?;
        let stored = Field::new(field.name(), data_type, field.is_nullable());
        let comment = field.metadata().get(COMMENT);
        let metadata = comment.map(|comment| (COMMENT.to_owned(), comment.clone()));
        fields.push(stored.with_metadata(metadata.into_iter().collect()));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The same columns without comments: queries carry no metadata from one plan to the next.
pub(crate) fn without_metadata(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter();
    let bare = fields.map(|field| field.as_ref().clone().with_metadata(HashMap::new()));
    Arc::new(Schema::new(bare.collect::<Vec<_>>()))
}

/// Delta's JSON of a [`storable`] schema.
pub(crate) fn to_json(table: &str, schema: &Schema) -> Result<String, LakeError> {
    struct_to_json(table, schema.fields()).map(|json| json.to_string())
}

fn struct_to_json(table: &str, fields: &Fields) -> Result<Value, LakeError> {
    let fields = fields
        .iter()
        .map(|field| {
            let metadata: Map<String, Value> = field
                .metadata()
                .iter()
                .map(|(key, value)| {
                    // What a foreign writer kept in the field's metadata was JSON, and is again.
                    let plain = || Value::String(value.clone());
                    let kept = match key.as_str() {
                        COMMENT => plain(),
                        _ => serde_json::from_str(value).unwrap_or_else(|_| plain()),
                    };
                    (key.clone(), kept)
                })
                .collect();
            Ok(json!({
                "name": field.name(),
                "type": type_to_json(table, field)?,
                "nullable": field.is_nullable(),
                "metadata": metadata,
            }))
        })
        .collect::<Result<Vec<Value>, LakeError>>()?;
    Ok(json!({ "type": "struct", "fields": fields }))
}

fn type_to_json(table: &str, field: &Field) -> Result<Value, LakeError> {
    let primitive = |name: &str| Ok(Value::String(name.to_owned()));
    let refused = || LakeError::Type {
        table: table.to_owned(),
        column: field.name().clone(),
        data_type: field.data_type().to_string(),
    };
    match field.data_type() {
        DataType::Boolean => primitive("boolean"),
        DataType::Int8 => primitive("byte"),
        DataType::Int16 => primitive("short"),
        DataType::Int32 => primitive("integer"),
        DataType::Int64 => primitive("long"),
        DataType::Float32 => primitive("float"),
        DataType::Float64 => primitive("double"),
        DataType::Date32 => primitive("date"),
        DataType::Timestamp(_, Some(_)) => primitive("timestamp"),
        DataType::Timestamp(_, None) => primitive("timestamp_ntz"),
        DataType::Utf8View => primitive("string"),
        DataType::BinaryView => primitive("binary"),
        DataType::Decimal128(precision, scale) => {
            primitive(&format!("decimal({precision},{scale})"))
        }
        DataType::List(element) => Ok(json!({
            "type": "array",
            "elementType": type_to_json(table, element)?,
            "containsNull": element.is_nullable(),
        })),
        DataType::Struct(fields) => struct_to_json(table, fields),
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else {
                return Err(refused());
            };
            let [key, value] = pair.as_ref() else {
                return Err(refused());
            };
            Ok(json!({
                "type": "map",
                "keyType": type_to_json(table, key)?,
                "valueType": type_to_json(table, value)?,
                "valueContainsNull": value.is_nullable(),
            }))
        }
        _ => Err(refused()),
    }
}

/// Reads Delta's JSON of a schema.
pub(crate) fn from_json(table: &str, text: &str) -> Result<SchemaRef, LakeError> {
    let damaged = |reason: String| LakeError::Damaged {
        place: format!("schema of table `{table}`"),
        reason,
    };
    let value: Value = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
    let fields = struct_from_json(&value).map_err(|unknown| match unknown {
        Unknown::Shape(what) => damaged(what),
        Unknown::Type(name) => LakeError::Unsupported {
            table: table.to_owned(),
            action: "read",
            features: format!("the column type `{name}`"),
        },
    })?;
    Ok(Arc::new(Schema::new(fields)))
}

/// Why a schema cannot be read.
enum Unknown {
    Shape(String),
    Type(String),
}

fn struct_from_json(value: &Value) -> Result<Fields, Unknown> {
    let fields = value.get("fields").and_then(Value::as_array);
    let fields = fields.ok_or_else(|| Unknown::Shape("a struct without `fields`".to_owned()))?;
    fields
        .iter()
        .map(|field| {
            let name = field.get("name").and_then(Value::as_str);
            let name = name.ok_or_else(|| Unknown::Shape("a field without `name`".to_owned()))?;
            let missing = || Unknown::Shape(format!("field `{name}` without `type`"));
            let data_type = type_from_json(field.get("type").ok_or_else(missing)?)?;
            let nullable = field
                .get("nullable")
                .and_then(Value::as_bool)
                .unwrap_or(true);
            let metadata = field
                .get("metadata")
                .and_then(Value::as_object)
                .into_iter()
                .flatten();
            let metadata = metadata.map(|(key, value)| {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                (key.clone(), text)
            });
            Ok(Field::new(name, data_type, nullable).with_metadata(metadata.collect()))
        })
        .collect::<Result<Vec<Field>, Unknown>>()
        .map(Fields::from)
}

fn type_from_json(value: &Value) -> Result<DataType, Unknown> {
    if let Some(name) = value.as_str() {
        return primitive_from_name(name).ok_or_else(|| Unknown::Type(name.to_owned()));
    }
    let part = |key: &str| {
        value
            .get(key)
            .ok_or_else(|| Unknown::Shape(format!("a type without `{key}`")))
    };
    let flag = |key: &str| value.get(key).and_then(Value::as_bool).unwrap_or(true);
    match value.get("type").and_then(Value::as_str) {
        Some("struct") => Ok(DataType::Struct(struct_from_json(value)?)),
        Some("array") => {
            let element = type_from_json(part("elementType")?)?;
            Ok(DataType::List(Arc::new(Field::new(
                "element",
                element,
                flag("containsNull"),
            ))))
        }
        Some("map") => {
            let key = Field::new("key", type_from_json(part("keyType")?)?, false);
            let values = type_from_json(part("valueType")?)?;
            let value = Field::new("value", values, flag("valueContainsNull"));
            Ok(map_type(Arc::new(key), Arc::new(value)))
        }
        _ => Err(Unknown::Type(value.to_string())),
    }
}

fn primitive_from_name(name: &str) -> Option<DataType> {
    Some(match name {
        "boolean" => DataType::Boolean,
        "byte" => DataType::Int8,
        "short" => DataType::Int16,
        "integer" => DataType::Int32,
        "long" => DataType::Int64,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        "timestamp_ntz" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "string" => DataType::Utf8View,
        "binary" => DataType::BinaryView,
        _ => {
            let inner = name.strip_prefix("decimal(")?.strip_suffix(')')?;
            let (precision, scale) = inner.split_once(',')?;
            DataType::Decimal128(precision.trim().parse().ok()?, scale.trim().parse().ok()?)
        }
    })
}

/// Whether a time without a zone is stored anywhere in these columns.
pub(crate) fn has_timestamp_ntz(fields: &Fields) -> bool {
    fn inside(data_type: &DataType) -> bool {
        match data_type {
            DataType::Timestamp(_, None) => true,
            DataType::List(field) | DataType::Map(field, _) => inside(field.data_type()),
            DataType::Struct(fields) => has_timestamp_ntz(fields),
            _ => false,
        }
    }
    fields.iter().any(|field| inside(field.data_type()))
}

/// The index of a column by name: as written, or else without case.
pub(crate) fn position(fields: &Fields, name: &str) -> Option<usize> {
    let exact = fields.iter().position(|field| field.name() == name);
    exact.or_else(|| {
        let lower = name.to_lowercase();
        fields
            .iter()
            .position(|field| field.name().to_lowercase() == lower)
    })
}

/// How a table's schema and the rows to be written come together, without touching old files.
///
/// New columns come at the end and may be NULL; numbers may become wider; NOT NULL may be given
/// up. A column of the table that the rows do not have is written as NULL.
pub(crate) fn evolve(
    table: &str,
    stored: &Schema,
    wanted: &Schema,
) -> Result<SchemaRef, LakeError> {
    let fields = evolve_fields(table, "", stored.fields(), wanted.fields())?;
    Ok(Arc::new(Schema::new(fields)))
}

fn evolve_fields(
    table: &str,
    parent: &str,
    stored: &Fields,
    wanted: &Fields,
) -> Result<Fields, LakeError> {
    let mut fields = Vec::with_capacity(stored.len());
    for field in stored {
        let Some(index) = position(wanted, field.name()) else {
            if !field.is_nullable() {
                return Err(LakeError::SchemaChange {
                    table: table.to_owned(),
                    column: format!("{parent}{}", field.name()),
                    stored: "NOT NULL".to_owned(),
                    wanted: "missing".to_owned(),
                    remedy: "write the column, or refresh the table in full",
                });
            }
            fields.push(Arc::clone(field));
            continue;
        };
        let other = &wanted[index];
        let path = format!("{parent}{}", field.name());
        let data_type = evolve_type(table, &path, field.data_type(), other.data_type())?;
        let mut metadata = field.metadata().clone();
        if let Some(comment) = other.metadata().get(COMMENT) {
            metadata.insert(COMMENT.to_owned(), comment.clone());
        }
        let nullable = field.is_nullable() || other.is_nullable();
        let field = Field::new(field.name(), data_type, nullable).with_metadata(metadata);
        fields.push(Arc::new(field));
    }
    for field in wanted {
        if position(stored, field.name()).is_none() {
            fields.push(Arc::new(field.as_ref().clone().with_nullable(true)));
        }
    }
    Ok(Fields::from(fields))
}

fn evolve_type(
    table: &str,
    column: &str,
    stored: &DataType,
    wanted: &DataType,
) -> Result<DataType, LakeError> {
    use DataType::{
        Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, List, Map as MapOf, Struct,
    };
    let rank = |data_type: &DataType| match data_type {
        Int8 => Some(1),
        Int16 => Some(2),
        Int32 => Some(3),
        Int64 => Some(4),
        _ => None,
    };
    if let (Some(left), Some(right)) = (rank(stored), rank(wanted)) {
        return Ok(if left >= right {
            stored.clone()
        } else {
            wanted.clone()
        });
    }
    match (stored, wanted) {
        (left, right) if left == right => Ok(left.clone()),
        (Float32 | Float64, Float32 | Float64) => Ok(Float64),
        (Decimal128(precision, scale), Decimal128(wider, same)) if scale == same => {
            Ok(Decimal128(*precision.max(wider), *scale))
        }
        (Struct(left), Struct(right)) => Ok(Struct(evolve_fields(
            table,
            &format!("{column}."),
            left,
            right,
        )?)),
        (List(left), List(right)) => {
            let path = format!("{column}.element");
            let element = evolve_type(table, &path, left.data_type(), right.data_type())?;
            let nullable = left.is_nullable() || right.is_nullable();
            Ok(List(Arc::new(Field::new("element", element, nullable))))
        }
        (MapOf(left, _), MapOf(right, _)) if left.data_type() == right.data_type() => {
            Ok(stored.clone())
        }
        _ => Err(LakeError::SchemaChange {
            table: table.to_owned(),
            column: column.to_owned(),
            stored: stored.to_string(),
            wanted: wanted.to_string(),
            remedy: "CAST it in the query to the table's type, or refresh the table in full",
        }),
    }
}

#[cfg(test)]
mod tests;

//! The types of SQL, as Spark names them, in Arrow.
//!
//! The same mapping as that of declared columns in `tidegate-project`: strings and binaries are
//! views, a TIMESTAMP counts microseconds in UTC, a DECIMAL without numbers is DECIMAL(10, 0).

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, TimeUnit};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::planner::TypePlanner;
use sqlparser::ast;
use sqlparser::dialect::DatabricksDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

/// The types of Spark.
#[derive(Debug)]
pub(crate) struct SparkTypes;

impl TypePlanner for SparkTypes {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        let data_type = data_type(sql_type)?;
        Ok(Some(Arc::new(Field::new("", data_type, true))))
    }
}

/// A type as text (`ARRAY<INT>`), or the columns of a struct (`a INT, b STRING`).
///
/// # Errors
/// A sentence about what cannot be read.
pub(crate) fn parse(text: &str) -> Result<DataType> {
    let whole = |text: &str| {
        let mut parser = Parser::new(&DatabricksDialect {}).try_with_sql(text).ok()?;
        let parsed = parser.parse_data_type().ok()?;
        (parser.peek_token() == Token::EOF).then_some(parsed)
    };
    match whole(text).or_else(|| whole(&format!("STRUCT<{text}>"))) {
        Some(sql_type) => data_type(&sql_type),
        None => plan_err!("'{text}' is no list of columns; write for instance 'a INT, b STRING'"),
    }
}

/// A TIMESTAMP.
pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn data_type(sql_type: &ast::DataType) -> Result<DataType> {
    use ast::DataType as Sql;
    Ok(match sql_type {
        Sql::Boolean | Sql::Bool => DataType::Boolean,
        Sql::TinyInt(_) => DataType::Int8,
        Sql::SmallInt(_) | Sql::Int2(_) => DataType::Int16,
        Sql::Int(_) | Sql::Integer(_) | Sql::Int4(_) | Sql::Int32 => DataType::Int32,
        Sql::BigInt(_) | Sql::Int8(_) | Sql::Int64 => DataType::Int64,
        Sql::Float(_) | Sql::Real | Sql::Float4 | Sql::Float32 => DataType::Float32,
        Sql::Double(_) | Sql::DoublePrecision | Sql::Float8 | Sql::Float64 => DataType::Float64,
        Sql::Decimal(info) | Sql::Numeric(info) | Sql::Dec(info) => decimal(info)?,
        Sql::String(_)
        | Sql::Text
        | Sql::Varchar(_)
        | Sql::Char(_)
        | Sql::Character(_)
        | Sql::CharacterVarying(_)
        | Sql::CharVarying(_) => DataType::Utf8View,
        Sql::Binary(_) | Sql::Varbinary(_) | Sql::Bytes(_) | Sql::Blob(_) => DataType::BinaryView,
        Sql::Date | Sql::Date32 => DataType::Date32,
        Sql::Timestamp(_, ast::TimezoneInfo::WithoutTimeZone) | Sql::TimestampNtz(_) => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        Sql::Timestamp(..) => timestamp(),
        Sql::Interval { .. } => DataType::Interval(IntervalUnit::MonthDayNano),
        Sql::Array(ast::ArrayElemTypeDef::AngleBracket(item)) => {
            DataType::List(Arc::new(Field::new_list_field(data_type(item)?, true)))
        }
        Sql::Map(key, value) => map(data_type(key)?, data_type(value)?),
        Sql::Struct(fields, _) => structure(fields)?,
        Sql::Custom(name, arguments) => custom(&name.to_string(), arguments, sql_type)?,
        other => return unknown(other),
    })
}

fn unknown<T>(sql_type: &ast::DataType) -> Result<T> {
    plan_err!("there is no type `{sql_type}`")
}

fn custom(name: &str, arguments: &[String], sql_type: &ast::DataType) -> Result<DataType> {
    Ok(match (name.to_uppercase().as_str(), arguments) {
        ("LONG", []) => DataType::Int64,
        ("SHORT", []) => DataType::Int16,
        ("BYTE", []) => DataType::Int8,
        ("TIMESTAMP_NTZ", []) => DataType::Timestamp(TimeUnit::Microsecond, None),
        ("TIMESTAMP_LTZ", []) => timestamp(),
        ("VOID", []) => DataType::Null,
        _ => return unknown(sql_type),
    })
}

fn decimal(info: &ast::ExactNumberInfo) -> Result<DataType> {
    let (precision, scale) = match info {
        ast::ExactNumberInfo::None => (10, 0),
        ast::ExactNumberInfo::Precision(precision) => (*precision, 0),
        ast::ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    let fitting = u8::try_from(precision)
        .ok()
        .filter(|precision| (1..=38).contains(precision))
        .zip(i8::try_from(scale).ok().filter(|scale| *scale >= 0));
    match fitting {
        Some((precision, scale)) if i16::from(precision) >= i16::from(scale) => {
            Ok(DataType::Decimal128(precision, scale))
        }
        _ => plan_err!(
            "DECIMAL({precision}, {scale}) cannot be: a precision is 1 to 38, a scale 0 to the precision"
        ),
    }
}

fn map(key: DataType, value: DataType) -> DataType {
    let entries = Fields::from(vec![
        Field::new("key", key, false),
        Field::new("value", value, true),
    ]);
    let entries = Field::new("entries", DataType::Struct(entries), false);
    DataType::Map(Arc::new(entries), false)
}

fn structure(fields: &[ast::StructField]) -> Result<DataType> {
    let mut out = Vec::with_capacity(fields.len());
    for (at, field) in fields.iter().enumerate() {
        let name = field
            .field_name
            .as_ref()
            .map_or_else(|| format!("col{}", at + 1), |name| name.value.clone());
        out.push(Field::new(name, data_type(&field.field_type)?, true));
    }
    Ok(DataType::Struct(out.into()))
}

/// A type as Spark names it, in lower case, for `typeof`.
pub(crate) fn name_of(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "void".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 => "tinyint".to_owned(),
        DataType::Int16 | DataType::UInt8 => "smallint".to_owned(),
        DataType::Int32 | DataType::UInt16 => "int".to_owned(),
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => "bigint".to_owned(),
        DataType::Float16 | DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp".to_owned(),
        DataType::Timestamp(_, None) => "timestamp_ntz".to_owned(),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("array<{}>", name_of(item.data_type()))
        }
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{}:{}", field.name(), name_of(field.data_type())))
                .collect();
            format!("struct<{}>", fields.join(","))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => format!(
                "map<{},{}>",
                name_of(fields[0].data_type()),
                name_of(fields[1].data_type())
            ),
            other => other.to_string(),
        },
        DataType::Interval(_) | DataType::Duration(_) => "interval".to_owned(),
        DataType::Dictionary(_, value) => name_of(value),
        other => other.to_string().to_lowercase(),
    }
}

//! The statistics of a data file for the log, taken from those that Parquet keeps anyway.
//!
//! Written as JSON text by hand, because a decimal's digits would not survive a number type.

use std::fmt::Write;

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use chrono::{DateTime, Days, NaiveDate};
use parquet::data_type::AsBytes;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;

/// Delta's own default: readers expect statistics of so many first columns.
const INDEXED_COLUMNS_MAX: usize = 32;

/// The smallest and largest value of a leaf column, and its NULLs.
#[derive(Default)]
struct Leaf {
    min: Option<Value>,
    max: Option<Value>,
    nulls: Option<u64>,
    /// Whether a row group said nothing about bounds although it has values.
    unknown: bool,
}

/// A value as Parquet keeps it.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Value {
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(Vec<u8>),
}

/// The JSON of the statistics of a finished file.
pub(super) fn to_json(metadata: &ParquetMetaData, schema: &Schema) -> String {
    let rows: i64 = metadata
        .row_groups()
        .iter()
        .map(|group| group.num_rows())
        .sum();
    let mut leaf = 0;
    let mut min = String::new();
    let mut max = String::new();
    let mut nulls = String::new();
    write_fields(
        metadata,
        schema.fields(),
        &mut leaf,
        [&mut min, &mut max, &mut nulls],
    );
    format!(
        r#"{{"numRecords":{rows},"minValues":{{{min}}},"maxValues":{{{max}}},"nullCount":{{{nulls}}}}}"#
    )
}

/// Writes the members of these fields to the three objects.
fn write_fields(
    metadata: &ParquetMetaData,
    fields: &Fields,
    leaf: &mut usize,
    [min, max, nulls]: [&mut String; 3],
) {
    for field in fields {
        match field.data_type() {
            DataType::Struct(inner) => {
                let (mut low, mut high, mut none) = (String::new(), String::new(), String::new());
                write_fields(metadata, inner, leaf, [&mut low, &mut high, &mut none]);
                for (whole, part) in [(&mut *min, low), (&mut *max, high), (&mut *nulls, none)] {
                    if !part.is_empty() {
                        write_member(whole, field.name(), &format!("{{{part}}}"));
                    }
                }
            }
            DataType::List(_) | DataType::Map(_, _) => *leaf += leaves(field),
            _ => {
                if *leaf < INDEXED_COLUMNS_MAX {
                    write_leaf(metadata, field, *leaf, [&mut *min, &mut *max, &mut *nulls]);
                }
                *leaf += 1;
            }
        }
    }
}

fn leaves(field: &Field) -> usize {
    match field.data_type() {
        DataType::List(inner) | DataType::Map(inner, _) => leaves(inner),
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field)).sum(),
        _ => 1,
    }
}

fn write_leaf(
    metadata: &ParquetMetaData,
    field: &Field,
    leaf: usize,
    [min, max, nulls]: [&mut String; 3],
) {
    let found = read_leaf(metadata, leaf);
    if let Some(count) = found.nulls {
        write_member(nulls, field.name(), &count.to_string());
    }
    if found.unknown {
        return;
    }
    let text = |value: Option<Value>| value.and_then(|value| value_json(&value, field.data_type()));
    if let (Some(low), Some(high)) = (text(found.min), text(found.max)) {
        write_member(min, field.name(), &low);
        write_member(max, field.name(), &high);
    }
}

fn write_member(object: &mut String, name: &str, value: &str) {
    if !object.is_empty() {
        object.push(',');
    }
    // Writing to a text cannot fail.
    let _ = write!(object, "{}:{value}", quoted(name));
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn read_leaf(metadata: &ParquetMetaData, leaf: usize) -> Leaf {
    let mut found = Leaf {
        nulls: Some(0),
        ..Leaf::default()
    };
    for group in metadata.row_groups() {
        let statistics = group
            .columns()
            .get(leaf)
            .and_then(|column| column.statistics());
        let Some(statistics) = statistics else {
            return Leaf {
                unknown: true,
                ..Leaf::default()
            };
        };
        let group_nulls = statistics.null_count_opt();
        found.nulls = found.nulls.zip(group_nulls).map(|(sum, nulls)| sum + nulls);
        match bounds(statistics) {
            Some((low, high)) => {
                found.min = Some(match found.min.take() {
                    Some(min) if min <= low => min,
                    _ => low,
                });
                found.max = Some(match found.max.take() {
                    Some(max) if max >= high => max,
                    _ => high,
                });
            }
            None => {
                let rows = u64::try_from(group.num_rows()).unwrap_or(0);
                found.unknown |= group_nulls != Some(rows);
            }
        }
    }
    found
}

fn bounds(statistics: &Statistics) -> Option<(Value, Value)> {
    let bytes = |bytes: &[u8]| Value::Text(bytes.to_vec());
    Some(match statistics {
        Statistics::Boolean(s) => (Value::Bool(*s.min_opt()?), Value::Bool(*s.max_opt()?)),
        Statistics::Int32(s) => (
            Value::Integer((*s.min_opt()?).into()),
            Value::Integer((*s.max_opt()?).into()),
        ),
        Statistics::Int64(s) => (
            Value::Integer((*s.min_opt()?).into()),
            Value::Integer((*s.max_opt()?).into()),
        ),
        Statistics::Float(s) => (
            Value::Float((*s.min_opt()?).into()),
            Value::Float((*s.max_opt()?).into()),
        ),
        Statistics::Double(s) => (Value::Float(*s.min_opt()?), Value::Float(*s.max_opt()?)),
        Statistics::ByteArray(s) => (bytes(s.min_opt()?.data()), bytes(s.max_opt()?.data())),
        Statistics::FixedLenByteArray(s) => (
            Value::Integer(big_endian(s.min_opt()?.as_bytes())?),
            Value::Integer(big_endian(s.max_opt()?.as_bytes())?),
        ),
        Statistics::Int96(_) => return None,
    })
}

/// A decimal's digits, as Parquet keeps them in at most 16 bytes.
fn big_endian(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first()? & 0x80 != 0;
    let mut whole = [if negative { 0xff } else { 0 }; 16];
    let start = 16_usize.checked_sub(bytes.len())?;
    whole.get_mut(start..)?.copy_from_slice(bytes);
    Some(i128::from_be_bytes(whole))
}

/// A value as Delta writes it; `None` for one that Delta has no statistics of.
fn value_json(value: &Value, data_type: &DataType) -> Option<String> {
    match (value, data_type) {
        (Value::Integer(micros), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            let time = DateTime::from_timestamp_micros(i64::try_from(*micros).ok()?)?;
            let zone = if zone.is_some() { "Z" } else { "" };
            Some(format!(
                "\"{}{zone}\"",
                time.format("%Y-%m-%dT%H:%M:%S%.6f")
            ))
        }
        (Value::Integer(days), DataType::Date32) => {
            let epoch = NaiveDate::default();
            let days = i64::try_from(*days).ok()?;
            let distance = Days::new(days.unsigned_abs());
            let date = if days < 0 {
                epoch.checked_sub_days(distance)
            } else {
                epoch.checked_add_days(distance)
            };
            Some(format!("\"{}\"", date?.format("%Y-%m-%d")))
        }
        (Value::Integer(digits), DataType::Decimal128(_, scale)) => {
            Some(decimal_text(*digits, usize::try_from(*scale).ok()?))
        }
        (Value::Integer(number), data_type) if data_type.is_integer() => Some(number.to_string()),
        (Value::Float(number), DataType::Float32 | DataType::Float64) if number.is_finite() => {
            Some(serde_json::Value::from(*number).to_string())
        }
        (Value::Text(bytes), DataType::Utf8View) => std::str::from_utf8(bytes).ok().map(quoted),
        _ => None,
    }
}

fn decimal_text(digits: i128, scale: usize) -> String {
    let sign = if digits < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", digits.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let point = if scale == 0 { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_delta_does() {
        assert_eq!(decimal_text(-5, 2), "-0.05");
        assert_eq!(decimal_text(123_456, 3), "123.456");
        assert_eq!(decimal_text(7, 0), "7");
        assert_eq!(big_endian(&[0xff, 0xfe]), Some(-2));
        let date = value_json(&Value::Integer(-1), &DataType::Date32);
        assert_eq!(date.as_deref(), Some("\"1969-12-31\""));
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let time = value_json(&Value::Integer(1_500_000), &utc);
        assert_eq!(time.as_deref(), Some("\"1970-01-01T00:00:01.500000Z\""));
        assert_eq!(
            value_json(&Value::Float(f64::NAN), &DataType::Float64),
            None
        );
    }
}

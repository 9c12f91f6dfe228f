//! What the log says about the values in a data file, as Arrow values.
//!
//! Bounds are used in two ways: to leave out files that cannot hold a wanted row, where a bound may
//! be too wide; and to answer `min` and `max` without reading, where it must be exact. Which bounds
//! are exact depends on the type and on how writers shorten values.

use std::collections::HashMap;

use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{DataType, Schema, TimeUnit};
use chrono::{NaiveDate, Utc};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The statistics of one data file, by column.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileStatistics {
    /// The number of rows in the file.
    #[serde(rename = "numRecords", default)]
    pub rows: Option<u64>,
    #[serde(default)]
    min_values: HashMap<String, Box<RawValue>>,
    #[serde(default)]
    max_values: HashMap<String, Box<RawValue>>,
    #[serde(default)]
    null_count: HashMap<String, Box<RawValue>>,
}

/// Which end of the values a bound is.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum End {
    Min,
    Max,
}

impl FileStatistics {
    /// Reads the JSON of an `add` action. What cannot be read is taken as not known.
    pub fn parse(text: Option<&str>) -> FileStatistics {
        text.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// The number of NULLs in a column.
    pub fn nulls(&self, column: &str) -> Option<u64> {
        self.null_count.get(column)?.get().parse().ok()
    }

    /// A bound of a column's values, and whether a row really has it.
    pub fn bound(
        &self,
        column: &str,
        data_type: &DataType,
        end: End,
    ) -> Option<(ScalarValue, bool)> {
        let values = if end == End::Min {
            &self.min_values
        } else {
            &self.max_values
        };
        parse_bound(values.get(column)?.get(), data_type, end)
    }

    /// As [`Self::nulls`], for a field of a column: the names on the way to it.
    pub fn nulls_at(&self, path: &[String]) -> Option<u64> {
        member(&self.null_count, path)?.parse().ok()
    }

    /// As [`Self::bound`], for a field of a column: the names on the way to it.
    pub fn bound_at(&self, path: &[String], data_type: &DataType, end: End) -> Option<ScalarValue> {
        let values = if end == End::Min {
            &self.min_values
        } else {
            &self.max_values
        };
        let (value, _) = parse_bound(member(values, path)?, data_type, end)?;
        Some(value)
    }

    /// The statistics in DataFusion's form, for the columns of `schema`. Only for files of which no
    /// row is struck out.
    pub fn to_datafusion(&self, schema: &Schema, bytes: u64) -> Statistics {
        let known = |count: Option<u64>| match count.and_then(|count| usize::try_from(count).ok()) {
            Some(count) => Precision::Exact(count),
            None => Precision::Absent,
        };
        let rows = known(self.rows);
        let column = |name: &str, data_type: &DataType| {
            let bound = |end| match self.bound(name, data_type, end) {
                Some((value, true)) => Precision::Exact(value),
                Some((value, _)) => Precision::Inexact(value),
                None => Precision::Absent,
            };
            ColumnStatistics {
                null_count: known(self.nulls(name)),
                min_value: bound(End::Min),
                max_value: bound(End::Max),
                byte_size: column_bytes(data_type, &rows),
                ..ColumnStatistics::new_unknown()
            }
        };
        let fields = schema.fields().iter();
        Statistics {
            num_rows: rows,
            total_byte_size: Precision::Inexact(usize::try_from(bytes).unwrap_or(usize::MAX)),
            column_statistics: fields
                .map(|field| column(field.name(), field.data_type()))
                .collect(),
        }
    }
}

/// What an object says of a field, by the names on the way to it.
fn member<'a>(object: &'a HashMap<String, Box<RawValue>>, path: &[String]) -> Option<&'a str> {
    let (first, rest) = path.split_first()?;
    let mut found: &RawValue = object.get(first)?;
    for name in rest {
        let inner: HashMap<String, &RawValue> = serde_json::from_str(found.get()).ok()?;
        found = inner.get(name).copied()?;
    }
    Some(found.get())
}

/// The size in memory of a column whose values are all of one width.
fn column_bytes(data_type: &DataType, rows: &Precision<usize>) -> Precision<usize> {
    match (data_type.primitive_width(), rows.get_value()) {
        (Some(width), Some(rows)) => Precision::Inexact(width.saturating_mul(*rows)),
        _ => Precision::Absent,
    }
}

fn parse_bound(json: &str, data_type: &DataType, end: End) -> Option<(ScalarValue, bool)> {
    let text = || serde_json::from_str::<String>(json).ok();
    let number = json.trim();
    Some(match data_type {
        DataType::Boolean => (ScalarValue::Boolean(Some(number.parse().ok()?)), true),
        DataType::Int8 => (ScalarValue::Int8(Some(number.parse().ok()?)), true),
        DataType::Int16 => (ScalarValue::Int16(Some(number.parse().ok()?)), true),
        DataType::Int32 => (ScalarValue::Int32(Some(number.parse().ok()?)), true),
        DataType::Int64 => (ScalarValue::Int64(Some(number.parse().ok()?)), true),
        // A NaN is in no bound, and zeros have two signs.
        DataType::Float32 => (ScalarValue::Float32(Some(number.parse().ok()?)), false),
        DataType::Float64 => (ScalarValue::Float64(Some(number.parse().ok()?)), false),
        DataType::Decimal128(precision, scale) => {
            let value = parse_decimal(number, *scale)?;
            (
                ScalarValue::Decimal128(Some(value), *precision, *scale),
                true,
            )
        }
        DataType::Date32 => {
            let date = NaiveDate::parse_from_str(&text()?, "%Y-%m-%d").ok()?;
            let days = date.signed_duration_since(NaiveDate::default()).num_days();
            (ScalarValue::Date32(Some(i32::try_from(days).ok()?)), true)
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let text = text()?;
            let time = string_to_datetime(&Utc, &text).ok()?.timestamp_micros();
            // Spark cuts bounds to milliseconds, so the true maximum may be a little later.
            let exact = fraction_digits(&text) == 6;
            let slack = if end == End::Max && !exact { 999 } else { 0 };
            let time = Some(time.checked_add(slack)?);
            (ScalarValue::TimestampMicrosecond(time, zone.clone()), exact)
        }
        // Long texts are cut by every writer, each at its own length.
        DataType::Utf8View => (ScalarValue::Utf8View(Some(text()?)), false),
        _ => return None,
    })
}

/// The digits after the point of a time's seconds.
fn fraction_digits(text: &str) -> usize {
    let Some((_, fraction)) = text.split_once('.') else {
        return 0;
    };
    fraction.bytes().take_while(u8::is_ascii_digit).count()
}

/// Reads a JSON number as a decimal of this scale; `None` if it does not fit exactly.
fn parse_decimal(text: &str, scale: i8) -> Option<i128> {
    let scale = usize::try_from(scale).ok()?;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let shift = i32::try_from(scale).ok()? - i32::try_from(fraction.len()).ok()? + exponent;
    let value: i128 = format!("{whole}{fraction}").parse().ok()?;
    let value = value.checked_mul(10_i128.checked_pow(u32::try_from(shift).ok()?)?)?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(json: &str, data_type: &DataType, end: End) -> Option<(ScalarValue, bool)> {
        parse_bound(json, data_type, end)
    }

    #[test]
    fn decimals_keep_all_their_digits() {
        assert_eq!(
            parse_decimal("12345678901234567890.12", 2),
            Some(1_234_567_890_123_456_789_012)
        );
        assert_eq!(parse_decimal("-0.5", 2), Some(-50));
        assert_eq!(parse_decimal("1.5e3", 1), Some(15_000));
        assert_eq!(parse_decimal("0.123", 2), None);
    }

    #[test]
    fn a_cut_maximum_is_widened_and_not_exact() {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let (value, exact) = bound("\"1970-01-01T00:00:00.001Z\"", &utc, End::Max).unwrap();
        assert_eq!(
            value,
            ScalarValue::TimestampMicrosecond(Some(1999), Some("UTC".into()))
        );
        assert!(!exact);
        let (value, exact) = bound("\"1970-01-01T00:00:00.001000Z\"", &utc, End::Max).unwrap();
        assert_eq!(
            value,
            ScalarValue::TimestampMicrosecond(Some(1000), Some("UTC".into()))
        );
        assert!(exact);
        assert!(!bound("\"abc\"", &DataType::Utf8View, End::Min).unwrap().1);
    }

    #[test]
    fn broken_statistics_are_not_known() {
        assert_eq!(FileStatistics::parse(Some("{\"numRecords\":")).rows, None);
        let nested = r#"{"numRecords":3,"nullCount":{"a":1,"s":{"x":2}},"minValues":{"a":"x"}}"#;
        let statistics = FileStatistics::parse(Some(nested));
        assert_eq!(statistics.rows, Some(3));
        assert_eq!(statistics.nulls("a"), Some(1));
        assert_eq!(statistics.nulls("s"), None);
        assert_eq!(statistics.bound("a", &DataType::Int64, End::Min), None);
    }
}

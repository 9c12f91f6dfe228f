//! What a fuzzer coerces to, and under which options.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

use super::options::{BinaryFormat, CoercionOptions, CurrencyOption, DateOrder, EpochUnit};
use super::pattern::Pattern;

/// One of every type that text can become.
pub(super) fn types() -> Vec<DataType> {
    let item = Fields::from(vec![
        Field::new("sku", DataType::Utf8View, false),
        Field::new("price", DataType::Decimal128(10, 2), true),
    ]);
    let entry = Fields::from(vec![
        Field::new("key", DataType::Utf8View, false),
        Field::new("value", DataType::Int32, true),
    ]);
    let nested = Fields::from(vec![
        Field::new("id", DataType::Int64, true),
        Field::new(
            "lines",
            DataType::List(Arc::new(Field::new(
                "element",
                DataType::Struct(item),
                true,
            ))),
            true,
        ),
        Field::new(
            "tags",
            DataType::Map(
                Arc::new(Field::new("key_value", DataType::Struct(entry), false)),
                false,
            ),
            true,
        ),
    ]);
    vec![
        DataType::Boolean,
        DataType::Int8,
        DataType::Int64,
        DataType::UInt64,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal128(5, 2),
        DataType::Decimal128(38, 10),
        DataType::Decimal128(5, -2),
        DataType::Utf8View,
        DataType::BinaryView,
        DataType::Date32,
        DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Struct(nested),
    ]
}

/// The strict options, lenient ones, and ones with patterns.
pub(super) fn options() -> [CoercionOptions; 3] {
    let lenient = CoercionOptions {
        null_values: vec!["NA".into(), "0".into()],
        empty_string_is_null: true,
        decimal_separator: ',',
        thousands_separator: Some('.'),
        currency: CurrencyOption::Codes,
        parentheses_negative: true,
        percent: true,
        date_order: DateOrder::DayMonth,
        two_digit_years: Some(1970),
        epoch: Some(EpochUnit::Nanoseconds),
        time_zone: chrono_tz::Tz::Europe__Berlin,
        truncate_fraction: true,
        binary_format: BinaryFormat::Hex,
        ..CoercionOptions::default()
    };
    let compile = |patterns: &[&str]| {
        patterns
            .iter()
            .filter_map(|pattern| Pattern::compile(pattern))
            .collect()
    };
    let patterned = CoercionOptions {
        trim: false,
        thousands_separator: Some('\''),
        date_formats: compile(&["d/M/y", "yyyyMMdd"]),
        timestamp_formats: compile(&[
            "yyyy-MM-dd'T'HH:mm[:ss[.SSS]][XXX]",
            "EEE d MMM yy hh:mm a VV",
        ]),
        timestamp_ntz_formats: compile(&["[yyyy][MM][dd]HHmm"]),
        binary_format: BinaryFormat::Base64,
        ..CoercionOptions::default()
    };
    [CoercionOptions::default(), lenient, patterned]
}

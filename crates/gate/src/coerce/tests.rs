//! What coerces, to what, and what does not: one table a type.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringViewArray};
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use arrow::util::display::array_value_to_string;

use super::*;

fn options(pairs: &[(&str, &str)]) -> CoercionOptions {
    let map: BTreeMap<String, String> = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    CoercionOptions::from_options(&map).unwrap()
}

/// Coerces one text by way of a batch of several rows; its value as text, or why there is none.
fn coerce_one(text: &str, data_type: &DataType, options: &CoercionOptions) -> String {
    let column: ArrayRef = Arc::new(StringViewArray::from(vec![None, Some(text), None]));
    let coerced = coerce_column(&column, data_type, options).unwrap();
    assert_eq!(coerced.array.data_type(), data_type);
    assert!(coerced.array.is_null(0) && coerced.array.is_null(2));
    match coerced.failures.as_slice() {
        [] if coerced.array.is_null(1) => "NULL".into(),
        [] => array_value_to_string(&coerced.array, 1).unwrap(),
        [failure] => {
            assert_eq!(failure.row, 1);
            assert!(coerced.array.is_null(1), "a failed value is NULL");
            let message = failure.problem.message(text, data_type);
            assert!(message.len() > 10);
            match &failure.problem {
                Problem::Nested(_) => message,
                problem => format!("{problem:?}"),
            }
        }
        failures => panic!("{failures:?}"),
    }
}

/// Checks a table of texts and what becomes of them.
fn check(data_type: &DataType, pairs: &[(&str, &str)], table: &[(&str, &str)]) {
    let options = options(pairs);
    for (text, expected) in table {
        assert_eq!(
            coerce_one(text, data_type, &options),
            *expected,
            "{text:?} as {data_type}"
        );
    }
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn local_timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

#[test]
fn integers() {
    check(
        &DataType::Int64,
        &[],
        &[
            ("0", "0"),
            ("-5", "-5"),
            ("+5", "5"),
            ("007", "7"),
            (" 42\t", "42"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("1.5e1", "15"),
            ("120e-1", "12"),
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("9223372036854775808", "OutOfRange"),
            ("1e400", "OutOfRange"),
            ("0e400", "0"),
            ("100000000000000000000000000000000000000000e-40", "10"),
            ("1.5", "DigitsLost"),
            ("1e-1", "DigitsLost"),
            (
                "0.0000000000000000000000000000000000000000000001",
                "DigitsLost",
            ),
            ("", "NULL"),
            ("  ", "NULL"),
            ("abc", "NotANumber"),
            ("1O0", "NotANumber"),
            ("--", "NotANumber"),
            ("-", "NotANumber"),
            (".", "NotANumber"),
            ("1e", "NotANumber"),
            ("e5", "NotANumber"),
            ("0x10", "NotANumber"),
            ("1_000", "Separator"),
            ("1,234", "Separator"),
            ("1 234", "Separator"),
            ("$5", "Currency"),
            ("12 EUR", "Currency"),
            ("5%", "Percent"),
            ("(5)", "Parentheses"),
            ("12.3.4", "NotANumber"),
            ("NaN", "NotANumber"),
            ("٣", "NotANumber"),
        ],
    );
    check(
        &DataType::Int8,
        &[],
        &[("127", "127"), ("-128", "-128"), ("128", "OutOfRange")],
    );
    check(
        &DataType::Int16,
        &[],
        &[("-32768", "-32768"), ("32768", "OutOfRange")],
    );
    check(
        &DataType::Int32,
        &[],
        &[("1e3", "1000"), ("2147483648", "OutOfRange")],
    );
}

#[test]
fn decimals() {
    let money = DataType::Decimal128(12, 2);
    check(
        &money,
        &[],
        &[
            ("12.34", "12.34"),
            ("-12.3", "-12.30"),
            ("12.340", "12.34"),
            ("12.345", "DigitsLost"),
            (".5", "0.50"),
            ("5.", "5.00"),
            ("1e3", "1000.00"),
            ("1.5E-1", "0.15"),
            ("9999999999.99", "9999999999.99"),
            ("10000000000.00", "OutOfRange"),
            ("-9999999999.995", "DigitsLost"),
            ("0.00000000000000000000000000", "0.00"),
            ("12 EUR", "Currency"),
            ("1,5", "Separator"),
            ("1,234.50", "Separator"),
            ("12.3.4", "NotANumber"),
            ("twelve", "NotANumber"),
            ("N/A", "NotANumber"),
            ("NULL?", "NotANumber"),
            ("NaN", "NotANumber"),
        ],
    );
    let large = DataType::Decimal128(38, 0);
    let digits = "9".repeat(38);
    check(
        &large,
        &[],
        &[
            (&digits, &digits),
            (&format!("{digits}0"), "OutOfRange"),
            (&format!("{digits}.5"), "DigitsLost"),
        ],
    );
    check(
        &DataType::Decimal128(38, 38),
        &[],
        &[
            ("0.5", &format!("0.5{}", "0".repeat(37))),
            ("1", "OutOfRange"),
        ],
    );
    check(
        &DataType::Decimal128(5, -2),
        &[],
        &[("12300", "12300"), ("12345", "DigitsLost")],
    );
}

#[test]
fn numbers_in_other_dress() {
    let money = DataType::Decimal128(12, 2);
    check(
        &money,
        &[("decimalSeparator", ","), ("thousandsSeparator", ".")],
        &[
            ("1.234,50", "1234.50"),
            ("1234,5", "1234.50"),
            ("-1.234.567,8", "-1234567.80"),
            ("1.23", "Grouping"),
            ("12.34,5", "Grouping"),
            ("1,234.5", "Separator"),
            ("1..234", "Grouping"),
            (".234", "Grouping"),
        ],
    );
    check(
        &money,
        &[("thousandsSeparator", ",")],
        &[
            ("1,234.50", "1234.50"),
            ("1234.50", "1234.50"),
            ("12,34", "Grouping"),
            ("1234,567", "Grouping"),
            ("1,234,56", "Grouping"),
        ],
    );
    check(
        &money,
        &[("decimalSeparator", ","), ("thousandsSeparator", " ")],
        &[
            ("1 234,50", "1234.50"),
            ("1\u{a0}234,50", "1234.50"),
            ("1\u{202f}234", "1234.00"),
        ],
    );
    check(
        &money,
        &[("thousandsSeparator", "'")],
        &[("1'234.50", "1234.50"), ("1’234.50", "1234.50")],
    );
    check(
        &money,
        &[("currency", "signs")],
        &[
            ("$12.50", "12.50"),
            ("12.50 €", "12.50"),
            ("-£3", "-3.00"),
            ("£-3", "-3.00"),
            ("12 EUR", "Currency"),
            ("$$5", "NotANumber"),
        ],
    );
    check(
        &money,
        &[
            ("currency", "codes"),
            ("parenthesesNegative", "true"),
            ("percent", "true"),
        ],
        &[
            ("12 EUR", "12.00"),
            ("USD 12", "12.00"),
            ("AED 12", "12.00"),
            ("12ZWG", "12.00"),
            ("12 eur", "NotANumber"),
            ("12 ABC", "NotANumber"),
            ("12 EURO", "NotANumber"),
            ("(12.50)", "-12.50"),
            ("($5)", "-5.00"),
            ("(-5)", "NotANumber"),
            ("50%", "0.50"),
            ("1.5%", "DigitsLost"),
            ("12.5 %", "DigitsLost"),
            ("()", "NotANumber"),
            ("%", "NotANumber"),
            ("EUR", "NotANumber"),
        ],
    );
    check(
        &DataType::Float64,
        &[("percent", "true"), ("decimalSeparator", ",")],
        &[("12,5 %", "0.125"), ("-1,5e3", "-1500.0")],
    );
}

#[test]
fn floats() {
    check(
        &DataType::Float64,
        &[],
        &[
            ("0.1", "0.1"),
            ("-0", "-0.0"),
            ("1e308", "1e308"),
            ("1e309", "OutOfRange"),
            ("NaN", "NaN"),
            ("-Infinity", "-inf"),
            ("inf", "inf"),
            ("nano", "NotANumber"),
            ("infinite", "NotANumber"),
            ("123456789012345678", "1.2345678901234568e17"),
            ("1,5", "Separator"),
            ("0.30000000000000004", "0.30000000000000004"),
        ],
    );
    check(
        &DataType::Float32,
        &[],
        &[
            ("0.1", "0.1"),
            ("3.5e38", "OutOfRange"),
            ("16777217", "16777216.0"),
        ],
    );
    check(
        &DataType::Float64,
        &[("nanValue", "n/v"), ("positiveInf", "max")],
        &[("N/V", "NaN"), ("max", "inf")],
    );
}

#[test]
fn fast_floats_round_as_the_standard_library_does() {
    let mut state = 7_u64;
    let texts: Vec<String> = (0..20_000)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let digits = format!("{}", state >> (state % 50));
            let at = (state % (digits.len() as u64 + 1)) as usize;
            format!("{}.{}", &digits[..at], &digits[at..])
        })
        .filter(|text| text.len() > 1)
        .collect();
    let column: ArrayRef = Arc::new(StringViewArray::from_iter_values(&texts));
    let doubles = coerce_column(&column, &DataType::Float64, &CoercionOptions::default()).unwrap();
    let floats = coerce_column(&column, &DataType::Float32, &CoercionOptions::default()).unwrap();
    assert!(doubles.failures.is_empty() && floats.failures.is_empty());
    let doubles =
        arrow::array::AsArray::as_primitive::<arrow::datatypes::Float64Type>(&doubles.array);
    let floats =
        arrow::array::AsArray::as_primitive::<arrow::datatypes::Float32Type>(&floats.array);
    for (row, text) in texts.iter().enumerate() {
        assert_eq!(doubles.value(row), text.parse::<f64>().unwrap(), "{text}");
        assert_eq!(floats.value(row), text.parse::<f32>().unwrap(), "{text}");
    }
}

#[test]
fn booleans() {
    check(
        &DataType::Boolean,
        &[],
        &[
            ("true", "true"),
            ("FALSE", "false"),
            ("T", "true"),
            ("no", "false"),
            ("Y", "true"),
            ("1", "true"),
            ("0", "false"),
            ("on", "true"),
            ("off", "false"),
            (" yes ", "true"),
            ("2", "NotABoolean"),
            ("maybe", "NotABoolean"),
        ],
    );
    check(
        &DataType::Boolean,
        &[("trueValues", "ja"), ("falseValues", "nein")],
        &[("JA", "true"), ("true", "NotABoolean")],
    );
}

#[test]
fn dates() {
    check(
        &DataType::Date32,
        &[],
        &[
            ("2024-01-15", "2024-01-15"),
            ("2024-1-5", "2024-01-05"),
            ("2024/01/15", "2024-01-15"),
            ("2024.01.15", "2024-01-15"),
            ("20240115", "2024-01-15"),
            ("15.01.2024", "2024-01-15"),
            ("1.2.2024", "2024-02-01"),
            ("15/01/2024", "2024-01-15"),
            ("01/15/2024", "2024-01-15"),
            ("05/05/2024", "2024-05-05"),
            ("01/02/2024", "DayOrMonth"),
            ("01-02-2024", "DayOrMonth"),
            ("15 January 2024", "2024-01-15"),
            ("15-Jan-2024", "2024-01-15"),
            ("15Jan2024", "2024-01-15"),
            ("15. Jan. 2024", "2024-01-15"),
            ("Jan 15, 2024", "2024-01-15"),
            ("January 15th, 2024", "2024-01-15"),
            ("1st of", "NotADate"),
            ("Sept 1 2024", "2024-09-01"),
            ("2024-Jan-15", "2024-01-15"),
            ("Mon, 15 Jan 2024", "2024-01-15"),
            ("Tuesday 15 Jan 2024", "WrongWeekday"),
            ("2024-01-15T00:00:00Z", "2024-01-15"),
            ("2024-01-15 12:00:00", "TimeLost"),
            ("2026-02-30", "NoSuchDay"),
            ("2026-13-45", "NoSuchDay"),
            ("31.04.2024", "NoSuchDay"),
            ("13/13/2024", "NoSuchDay"),
            ("0000", "NotADate"),
            ("0000-01-01", "NoSuchDay"),
            ("2024", "NotADate"),
            ("2024-01", "NotADate"),
            ("202401", "NotADate"),
            ("15/01/24", "ShortYear"),
            ("yesterday", "NotADate"),
            ("not-a-date", "NotADate"),
            ("2024-01/15", "NotADate"),
            ("2024-01-15x", "NotADate"),
            ("", "NULL"),
        ],
    );
    check(
        &DataType::Date32,
        &[("dateOrder", "dmy")],
        &[("01/02/2024", "2024-02-01"), ("01/15/2024", "NoSuchDay")],
    );
    check(
        &DataType::Date32,
        &[("dateOrder", "mdy")],
        &[("01/02/2024", "2024-01-02"), ("01.02.2024", "2024-02-01")],
    );
    check(
        &DataType::Date32,
        &[("dateOrder", "mdy"), ("twoDigitYears", "1970")],
        &[
            ("1/2/69", "2069-01-02"),
            ("1/2/70", "1970-01-02"),
            ("15-Jan-99", "1999-01-15"),
        ],
    );
    check(
        &DataType::Date32,
        &[("dateFormat", "dd/MM/yyyy|yyyyMMdd")],
        &[
            ("01/02/2024", "2024-02-01"),
            ("20240102", "2024-01-02"),
            ("2024-01-02", "Format"),
            ("31/02/2024", "NoSuchDay"),
        ],
    );
}

#[test]
fn timestamps() {
    check(
        &timestamp(),
        &[],
        &[
            ("2024-01-15T12:34:56Z", "2024-01-15T12:34:56Z"),
            ("2024-01-15T12:34:56.789Z", "2024-01-15T12:34:56.789Z"),
            ("2024-01-15 12:34:56.789012", "2024-01-15T12:34:56.789012Z"),
            ("2024-01-15T12:34:56+02:00", "2024-01-15T10:34:56Z"),
            ("2024-01-15T12:34:56.5-0530", "2024-01-15T18:04:56.500Z"),
            ("2024-01-15 12:34:56 +02", "2024-01-15T10:34:56Z"),
            ("2024-01-15 12:34:56.789Z", "2024-01-15T12:34:56.789Z"),
            ("2024-01-15T12:34:56.789z", "2024-01-15T12:34:56.789Z"),
            ("2024-01-15T12:34:5x.789Z", "NotATimestamp"),
            ("2024-01-15x12:34:56.789Z", "NotATimestamp"),
            ("2024-01-15T12:60:56.789Z", "NoSuchTime"),
            ("2024-01-15T12:34:56Europe/Berlin", "2024-01-15T11:34:56Z"),
            ("2024-07-15 12:34:56 Europe/Berlin", "2024-07-15T10:34:56Z"),
            (
                "2024-07-15T12:34:56+02:00[Europe/Berlin]",
                "2024-07-15T10:34:56Z",
            ),
            ("2024-07-15 12:34 GMT+2", "2024-07-15T10:34:00Z"),
            ("2024-03-31 02:30:00 Europe/Berlin", "SkippedTime"),
            ("2024-10-27 02:30:00 Europe/Berlin", "TwiceTime"),
            ("2024-01-15 12:34:56 CST", "UnknownZone"),
            ("2024-01-15 12:34:56 Europe/Gotham", "UnknownZone"),
            ("2024-01-15", "2024-01-15T00:00:00Z"),
            ("2024-01-15 12:34", "2024-01-15T12:34:00Z"),
            ("2024-01-15T1234", "2024-01-15T12:34:00Z"),
            ("20240115T123456Z", "2024-01-15T12:34:56Z"),
            ("20240115 123456", "2024-01-15T12:34:56Z"),
            ("15.01.2024 12:34:56", "2024-01-15T12:34:56Z"),
            ("15.01.2024, 12:34", "2024-01-15T12:34:00Z"),
            ("Jan 15, 2024 3:04 PM", "2024-01-15T15:04:00Z"),
            ("Jan 15, 2024 at 12:04 a.m.", "2024-01-15T00:04:00Z"),
            ("1/15/2024 12:00:01 PM", "2024-01-15T12:00:01Z"),
            ("2024-01-15 3pm", "2024-01-15T15:00:00Z"),
            ("2024-01-15 13:00 PM", "NoSuchTime"),
            ("Mon, 15 Jan 2024 12:34:56 GMT", "2024-01-15T12:34:56Z"),
            (
                "2024-01-15T12:34:56.123456000Z",
                "2024-01-15T12:34:56.123456Z",
            ),
            ("2024-01-15T12:34:56.1234567Z", "FractionLost"),
            ("2026-02-30T12:00:00Z", "NoSuchDay"),
            ("2026-13-45T10:00:00Z", "NoSuchDay"),
            ("2026-10-01T25:61:00Z", "NoSuchTime"),
            ("2026-10-01T24:00:00Z", "NoSuchTime"),
            ("2026-10-01T23:59:60Z", "NoSuchTime"),
            ("yesterday", "NotATimestamp"),
            ("0000", "NotATimestamp"),
            ("1705322096", "NotATimestamp"),
            ("2024-01-15T", "NotATimestamp"),
            ("2024-01-15 7", "NotATimestamp"),
            ("2024-01-15T12:34:5", "NotATimestamp"),
            ("2024-01-15T12:34:56.Z", "NotATimestamp"),
            ("2024-01-15T12:34:56+19:00", "UnknownZone"),
            ("01/02/2024 12:00", "DayOrMonth"),
        ],
    );
    check(
        &local_timestamp(),
        &[],
        &[
            ("2024-01-15T12:34:56.5", "2024-01-15T12:34:56.500"),
            ("2024-01-15T12:34:56Z", "ZoneLost"),
            ("2024-01-15 12:34:56 Europe/Berlin", "ZoneLost"),
            ("15.01.2024 12:34", "2024-01-15T12:34:00"),
        ],
    );
}

#[test]
fn timestamps_as_told() {
    check(
        &timestamp(),
        &[("timeZone", "Europe/Berlin")],
        &[
            ("2024-07-15T12:00:00", "2024-07-15T10:00:00Z"),
            ("2024-07-15T12:00:00Z", "2024-07-15T12:00:00Z"),
            ("2024-07-15", "2024-07-14T22:00:00Z"),
        ],
    );
    check(
        &timestamp(),
        &[("epoch", "seconds")],
        &[
            ("1705322096", "2024-01-15T12:34:56Z"),
            ("1705322096.25", "2024-01-15T12:34:56.250Z"),
            ("-1", "1969-12-31T23:59:59Z"),
            ("1e30", "OutOfRange"),
            ("2024-01-15", "2024-01-15T00:00:00Z"),
        ],
    );
    check(
        &timestamp(),
        &[("epoch", "ms")],
        &[("1705322096789", "2024-01-15T12:34:56.789Z")],
    );
    check(
        &timestamp(),
        &[("epoch", "ns")],
        &[
            ("1705322096789000000", "2024-01-15T12:34:56.789Z"),
            ("1705322096789000001", "FractionLost"),
        ],
    );
    check(
        &timestamp(),
        &[("epoch", "ns"), ("excessFraction", "truncate")],
        &[
            ("1705322096789000001", "2024-01-15T12:34:56.789Z"),
            (
                "2024-01-15T12:34:56.1234567Z",
                "2024-01-15T12:34:56.123456Z",
            ),
        ],
    );
    check(
        &timestamp(),
        &[("timestampFormat", "dd/MM/yyyy HH:mm:ss[.SSS][ XXX]")],
        &[
            ("15/01/2024 12:34:56", "2024-01-15T12:34:56Z"),
            ("15/01/2024 12:34:56.789 +01:00", "2024-01-15T11:34:56.789Z"),
            ("2024-01-15T12:34:56Z", "Format"),
            ("15/01/2024 12:34:56 ", "2024-01-15T12:34:56Z"),
        ],
    );
    check(
        &timestamp(),
        &[("timestampFormat", "EEE MMM d h:mm a yyyy 'o''clock'")],
        &[
            ("Mon Jan 15 3:04 PM 2024 o'clock", "2024-01-15T15:04:00Z"),
            ("Tue Jan 15 3:04 PM 2024 o'clock", "WrongWeekday"),
        ],
    );
}

#[test]
fn null_values_and_strings() {
    check(
        &DataType::Int64,
        &[("nullValues", "NA,-1")],
        &[
            ("NA", "NULL"),
            (" NA ", "NULL"),
            ("-1", "NULL"),
            ("-2", "-2"),
        ],
    );
    check(
        &DataType::Utf8View,
        &[("nullValue", "NA")],
        &[("NA", "NULL"), ("NAB", "NAB"), ("", ""), (" x ", " x ")],
    );
    check(
        &DataType::Utf8View,
        &[("emptyStringIsNull", "true")],
        &[("", "NULL"), (" ", " ")],
    );
    check(
        &DataType::Int64,
        &[("trimValues", "false")],
        &[(" 1", "NotANumber"), ("1", "1")],
    );
}

#[test]
fn binaries() {
    check(&DataType::BinaryView, &[], &[("ab", "6162")]);
    check(
        &DataType::BinaryView,
        &[("binaryFormat", "hex")],
        &[("00fF", "00ff"), ("0", "NotBinary"), ("zz", "NotBinary")],
    );
    check(
        &DataType::BinaryView,
        &[("binaryFormat", "base64")],
        &[
            ("aGk=", "6869"),
            ("aGk", "6869"),
            ("aGlo", "686968"),
            ("aA==", "68"),
            ("a", "NotBinary"),
            ("aGl=", "NotBinary"),
            ("aGk==", "NotBinary"),
            ("a*==", "NotBinary"),
        ],
    );
}

fn order() -> DataType {
    let lines = Fields::from(vec![
        Field::new("sku", DataType::Utf8View, false),
        Field::new("price", DataType::Decimal128(10, 2), true),
    ]);
    let tags = Fields::from(vec![
        Field::new("key", DataType::Utf8View, false),
        Field::new("value", DataType::Int32, true),
    ]);
    DataType::Struct(Fields::from(vec![
        Field::new("id", DataType::Int64, true),
        Field::new(
            "lines",
            DataType::List(Arc::new(Field::new(
                "element",
                DataType::Struct(lines),
                true,
            ))),
            true,
        ),
        Field::new(
            "tags",
            DataType::Map(
                Arc::new(Field::new("key_value", DataType::Struct(tags), false)),
                false,
            ),
            true,
        ),
        Field::new("note", DataType::Utf8View, true),
    ]))
}

#[test]
fn nested_values_from_json() {
    check(
        &order(),
        &[],
        &[
            (
                r#"{"id": 12345678901234567, "lines": [{"sku": "a", "price": 0.10}, null], "tags": {"x": "7"}, "note": {"any": [1]}}"#,
                r#"{id: 12345678901234567, lines: [{sku: a, price: 0.10}, ], tags: {x: 7}, note: {"any": [1]}}"#,
            ),
            (
                r#"{"ID": "5", "lines": null}"#,
                "{id: 5, lines: , tags: , note: }",
            ),
            ("null", "NULL"),
            ("", "NULL"),
            (
                r#"{"id": 1.5}"#,
                "at id: '1.5' is not a valid BIGINT: digits behind the point would be lost",
            ),
            (
                r#"{"lines": [{"sku": "a"}, {"sku": "b", "price": "1.999"}]}"#,
                "at lines[1].price: '1.999' is not a valid DECIMAL(10,2): digits behind the point would be lost",
            ),
            (
                r#"{"lines": [{"price": 1}]}"#,
                "at lines[0].sku: STRING is required",
            ),
            (
                r#"{"lines": [5]}"#,
                "at lines[0]: '5' is not a STRUCT<sku: STRING, price: DECIMAL(10,2)>",
            ),
            (
                r#"{"tags": {"k": "x"}}"#,
                "at tags['k']: 'x' is not a valid INT: not a number",
            ),
            (
                r#"{"id": {"a": 1}}"#,
                r#"at id: '{"a": 1}' is not a BIGINT"#,
            ),
            (
                "[1]",
                "at : '[1]' is not a STRUCT<id: BIGINT, lines: ARRAY<STRUCT<sku: STRING, price: DECIMAL(10,2)>>, tags: MAP<STRING, INT>, note: STRING>",
            ),
            ("{", "Json { offset: 1 }"),
        ],
    );
    let deep = "[".repeat(10_000);
    assert_eq!(
        coerce_one(&deep, &order(), &CoercionOptions::default()),
        "TooDeep"
    );
}

#[test]
fn failures_in_nested_values_leave_the_other_rows_alone() {
    let texts = [
        Some(r#"{"id": 1}"#),
        Some(r#"{"id": "x"}"#),
        Some(r#"{"id": 3, "lines": [{"sku": "s"}]}"#),
        Some("{"),
        None,
    ];
    let column: ArrayRef = Arc::new(StringViewArray::from(texts.to_vec()));
    let coerced = coerce_column(&column, &order(), &CoercionOptions::default()).unwrap();
    let rows: Vec<u32> = coerced.failures.iter().map(|failure| failure.row).collect();
    assert_eq!(rows, [1, 3]);
    let valid: Vec<bool> = (0..5).map(|row| coerced.array.is_valid(row)).collect();
    assert_eq!(valid, [true, false, true, false, false]);
    assert_eq!(
        array_value_to_string(&coerced.array, 2).unwrap(),
        "{id: 3, lines: [{sku: s, price: }], tags: , note: }"
    );
}

/// A small generator of pseudo-random numbers (SplitMix64), so that failures can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A text of pieces that parsers look for, or of any characters.
    fn text(&mut self) -> String {
        const PIECES: &[&str] = &[
            "0",
            "1",
            "9",
            "12",
            "2024",
            "-",
            "+",
            ".",
            ",",
            ":",
            "/",
            " ",
            "T",
            "Z",
            "e",
            "E",
            "(",
            ")",
            "%",
            "$",
            "€",
            "EUR",
            "jan",
            "Monday",
            "th",
            "pm",
            "a.m.",
            "at",
            "GMT",
            "[",
            "]",
            "{",
            "}",
            "\"",
            "\\u",
            "d83d",
            "Europe/Berlin",
            "null",
            "true",
            "inf",
            "NaN",
            "'",
            "_",
            "\u{a0}",
            "\u{2212}",
            "é",
            "\0",
            "\n",
            "59",
            "60",
            "99999999999999999999",
            ":30",
            "id",
            "\"id\":",
            "\"lines\":[",
            "|",
        ];
        (0..self.below(12))
            .map(|_| match self.below(8) {
                0 => char::from_u32(self.next() as u32 % 0x11_0000)
                    .unwrap_or('\u{fffd}')
                    .to_string(),
                _ => PIECES[self.below(PIECES.len())].to_owned(),
            })
            .collect()
    }
}

#[test]
fn no_text_makes_a_coercion_panic_and_every_row_is_accounted_for() {
    let mut random = Random(42);
    for _ in 0..20 {
        let lines: Vec<String> = (0..200)
            .map(|_| {
                if random.below(20) == 0 {
                    "\\N".to_owned()
                } else {
                    random.text()
                }
            })
            .collect();
        fuzz_coercion(lines.join("\n").as_bytes());
        let bytes: Vec<u8> = (0..2_000).map(|_| random.next() as u8).collect();
        fuzz_coercion(&bytes);
    }
}

#[test]
fn a_number_is_never_changed_on_its_way_into_a_decimal() {
    let mut random = Random(3);
    let data_type = DataType::Decimal128(20, 6);
    for _ in 0..3_000 {
        let whole = random.next() >> random.below(64);
        let places = random.below(9);
        let behind: String = (0..places)
            .map(|_| char::from(b'0' + random.below(10) as u8))
            .collect();
        let text = if places == 0 {
            whole.to_string()
        } else {
            format!("{whole}.{behind}")
        };
        let kept = behind.trim_end_matches('0');
        let expected = if kept.len() > 6 {
            "DigitsLost".to_owned()
        } else if whole >= 10_u64.pow(14) {
            "OutOfRange".to_owned()
        } else {
            format!("{whole}.{kept:0<6}")
        };
        let found = coerce_one(&text, &data_type, &CoercionOptions::default());
        assert_eq!(found, expected, "{text}");
    }
}

/// Converts a typed column; each value as text, or why there is none.
fn convert(column: ArrayRef, data_type: &DataType, pairs: &[(&str, &str)]) -> Vec<String> {
    let coerced = coerce_column(&column, data_type, &options(pairs)).unwrap();
    assert_eq!(coerced.array.data_type(), data_type);
    (0..column.len())
        .map(|row| {
            let failed = coerced
                .failures
                .iter()
                .find(|failure| failure.row as usize == row);
            match failed {
                Some(failure) => {
                    assert!(coerced.array.is_null(row));
                    let value = array_value_to_string(&column, row).unwrap();
                    failure.problem.message(&value, data_type)
                }
                None if coerced.array.is_null(row) => "NULL".into(),
                None => array_value_to_string(&coerced.array, row).unwrap(),
            }
        })
        .collect()
}

#[test]
fn typed_numbers_keep_their_value_or_fail() {
    use arrow::array::{BooleanArray, Decimal128Array, Float64Array, Int64Array, UInt64Array};
    let longs = || -> ArrayRef {
        Arc::new(Int64Array::from(vec![
            Some(5),
            None,
            Some(1 << 40),
            Some((1 << 53) + 1),
        ]))
    };
    let found = convert(longs(), &DataType::Int32, &[]);
    assert_eq!(found[..2], ["5", "NULL"]);
    assert_eq!(
        found[2],
        "'1099511627776' is not a valid INT: out of the type's range"
    );
    assert_eq!(
        convert(longs(), &DataType::Float64, &[])[3],
        "'9007199254740993' is not a valid DOUBLE: the BIGINT would be changed"
    );
    assert_eq!(
        convert(longs(), &DataType::Decimal128(5, 2), &[])[..2],
        ["5.00", "NULL"]
    );
    assert_eq!(
        convert(longs(), &DataType::Utf8View, &[])[2],
        "1099511627776"
    );
    assert_eq!(
        convert(longs(), &timestamp(), &[])[0],
        "'5' is not a valid TIMESTAMP: BIGINT has no lossless way to TIMESTAMP"
    );
    assert_eq!(
        convert(longs(), &timestamp(), &[("epoch", "seconds")])[0],
        "1970-01-01T00:00:05Z"
    );
    assert_eq!(
        convert(longs(), &DataType::new_list(DataType::Int64, true), &[])[0],
        "'5' is not a valid ARRAY<BIGINT>: BIGINT has no lossless way to ARRAY<BIGINT>"
    );
    let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![7, u64::MAX]));
    assert_eq!(convert(unsigned, &DataType::Int64, &[])[0], "7");
    let cents: ArrayRef = Arc::new(
        Decimal128Array::from(vec![1250, 1255])
            .with_precision_and_scale(10, 2)
            .unwrap(),
    );
    let found = convert(Arc::clone(&cents), &DataType::Decimal128(10, 1), &[]);
    assert_eq!(
        found,
        [
            "12.5",
            "'12.55' is not a valid DECIMAL(10,1): the DECIMAL(10,2) would be changed"
        ]
    );
    assert_eq!(
        convert(cents, &DataType::Int64, &[])[0],
        "'12.50' is not a valid BIGINT: the DECIMAL(10,2) would be changed"
    );
    let doubles = || -> ArrayRef { Arc::new(Float64Array::from(vec![0.1, 1e300, f64::NAN, 3.0])) };
    assert_eq!(convert(doubles(), &DataType::Float32, &[])[0], "0.1");
    assert!(convert(doubles(), &DataType::Float32, &[])[1].ends_with("out of the type's range"));
    assert_eq!(convert(doubles(), &DataType::Float32, &[])[2], "NaN");
    assert_eq!(
        convert(doubles(), &DataType::Decimal128(20, 18), &[])[0],
        "0.100000000000000000"
    );
    assert!(convert(doubles(), &DataType::Decimal128(20, 18), &[])[2].ends_with("not a number"));
    assert_eq!(convert(doubles(), &DataType::Int64, &[])[3], "3");
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    assert_eq!(convert(flags, &DataType::Int64, &[]), ["1"]);
    let counts: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    assert_eq!(convert(counts, &DataType::Boolean, &[])[0], "true");
}

#[test]
fn typed_times_and_texts() {
    use arrow::array::{
        BinaryArray, Date32Array, DictionaryArray, NullArray, StringArray,
        TimestampMicrosecondArray,
    };
    let local: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0, 1_500_000]));
    assert_eq!(
        convert(
            Arc::clone(&local),
            &timestamp(),
            &[("timeZone", "Europe/Berlin")]
        )[0],
        "1969-12-31T23:00:00Z"
    );
    let skipped: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_711_852_200_000_000]));
    let found = convert(skipped, &timestamp(), &[("timeZone", "Europe/Berlin")]);
    assert!(
        found[0].ends_with("when its clocks went forward"),
        "{}",
        found[0]
    );
    let found = convert(local, &DataType::Date32, &[]);
    assert_eq!(found[0], "1970-01-01");
    assert!(
        found[1].ends_with("the TIMESTAMP_NTZ would be changed"),
        "{}",
        found[1]
    );
    let days: ArrayRef = Arc::new(Date32Array::from(vec![1]));
    assert_eq!(convert(days, &timestamp(), &[]), ["1970-01-02T00:00:00Z"]);
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("7"), Some("x"), None]));
    assert_eq!(convert(texts, &DataType::Int64, &[])[..1], ["7"]);
    let dictionary: DictionaryArray<arrow::datatypes::Int8Type> =
        vec!["1.50", "1.50", "no"].into_iter().collect();
    let found = convert(Arc::new(dictionary), &DataType::Decimal128(5, 2), &[]);
    assert_eq!(found[..2], ["1.50", "1.50"]);
    assert!(found[2].ends_with("not a number"));
    let bytes: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"ok", b"\xff"]));
    let found = convert(Arc::clone(&bytes), &DataType::Utf8View, &[]);
    assert_eq!(found[0], "ok");
    assert_eq!(convert(bytes, &DataType::BinaryView, &[]), ["6f6b", "ff"]);
    assert_eq!(
        convert(Arc::new(NullArray::new(2)), &order(), &[]),
        ["NULL", "NULL"]
    );
}

#[test]
fn typed_nested_values_are_converted_part_by_part() {
    use arrow::array::{
        Float64Array, Int32Array, LargeListArray, ListArray, StringArray, StructArray,
    };
    use arrow::buffer::OffsetBuffer;
    let prices: ArrayRef = Arc::new(Float64Array::from(vec![
        Some(0.5),
        Some(0.125),
        None,
        Some(2.0),
    ]));
    let skus: ArrayRef = Arc::new(StringArray::from(vec![
        Some("a"),
        Some("b"),
        Some("c"),
        None,
    ]));
    let lines = StructArray::from(vec![
        (
            Arc::new(Field::new("PRICE", DataType::Float64, true)),
            prices,
        ),
        (Arc::new(Field::new("sku", DataType::Utf8, true)), skus),
    ]);
    let item = Arc::new(Field::new("item", lines.data_type().clone(), true));
    let lists = ListArray::new(
        Arc::clone(&item),
        OffsetBuffer::from_lengths([1, 0, 2, 1]),
        Arc::new(lines.clone()),
        None,
    );
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3, 4]));
    let orders: ArrayRef = Arc::new(StructArray::from(vec![
        (
            Arc::new(Field::new("id", DataType::Int32, true)),
            Arc::clone(&ids),
        ),
        (
            Arc::new(Field::new("lines", lists.data_type().clone(), true)),
            Arc::new(lists) as ArrayRef,
        ),
    ]));
    let expected = [
        "{id: 1, lines: [{sku: a, price: 0.50}], tags: , note: }",
        "{id: 2, lines: [], tags: , note: }",
        "at lines[0].price: '0.125' is not a valid DECIMAL(10,2): digits behind the point would be lost",
        "at lines[0].sku: STRING is required",
    ];
    assert_eq!(convert(Arc::clone(&orders), &order(), &[]), expected);
    assert_eq!(
        convert(orders.slice(2, 2), &order(), &[]),
        expected[2..],
        "slices keep their offsets"
    );
    let large = LargeListArray::new(
        item,
        OffsetBuffer::from_lengths([3, 1]),
        Arc::new(lines),
        None,
    );
    let DataType::Struct(fields) = order() else {
        panic!()
    };
    let found = convert(Arc::new(large), fields[1].data_type(), &[]);
    assert!(
        found[0].starts_with("at [1].price") && found[1].starts_with("at [0].sku"),
        "{found:?}"
    );
}

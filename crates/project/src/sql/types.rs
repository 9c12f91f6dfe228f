//! Types: Spark's names, as Arrow.
//!
//! STRING and BINARY are views; a TIMESTAMP is in microseconds and UTC, a TIMESTAMP_NTZ has no
//! zone. The fields inside of lists and maps are called as the Delta crates call them (`element`,
//! `key_value`, `key`, `value`), so that a contract and its table are one schema.

use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};
use sqlparser::tokenizer::Token;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::nearest::nearest;
use crate::source::Place;

use super::Parsed;
use super::cursor::Cursor;

/// The largest precision of a DECIMAL.
const DECIMAL_DIGITS_MAX: u64 = 38;
/// How deep types may be nested.
const DEPTH_MAX: usize = 50;

/// Names for "did you mean".
const NAMES: &[&str] = &[
    "STRING",
    "BIGINT",
    "LONG",
    "INT",
    "INTEGER",
    "SMALLINT",
    "SHORT",
    "TINYINT",
    "BYTE",
    "FLOAT",
    "REAL",
    "DOUBLE",
    "BOOLEAN",
    "DATE",
    "TIMESTAMP",
    "TIMESTAMP_NTZ",
    "DECIMAL",
    "NUMERIC",
    "BINARY",
    "ARRAY",
    "MAP",
    "STRUCT",
];

/// A type, and a warning that goes with it.
pub(crate) struct ParsedType {
    pub(crate) data_type: DataType,
    pub(crate) warnings: Vec<Diagnostic>,
}

/// Takes a type.
pub(crate) fn parse_type(cursor: &mut Cursor<'_>) -> Parsed<ParsedType> {
    let mut warnings = Vec::new();
    let data_type = parse_nested(cursor, 0, &mut warnings)?;
    Ok(ParsedType {
        data_type,
        warnings,
    })
}

fn parse_nested(
    cursor: &mut Cursor<'_>,
    depth: usize,
    warnings: &mut Vec<Diagnostic>,
) -> Parsed<DataType> {
    let place = cursor.here();
    if depth > DEPTH_MAX {
        let message = format!("a type can be nested at most {DEPTH_MAX} deep");
        let diagnostic = Diagnostic::error(codes::TOO_DEEP, message);
        return Err(Box::new(diagnostic.at(place, "too deep")));
    }
    let Some(word) = cursor.peek_word() else {
        return Err(cursor.expected("a type"));
    };
    let name = word.to_ascii_uppercase();
    cursor.skip(1);
    if let Some(simple) = simple_type(&name) {
        return Ok(simple);
    }
    match name.as_str() {
        "DECIMAL" | "DEC" | "NUMERIC" => parse_decimal(cursor),
        "CHAR" | "CHARACTER" | "VARCHAR" => {
            parse_sized_string(cursor, place, warnings).map(|()| DataType::Utf8View)
        }
        "ARRAY" => {
            expect_open(cursor, "ARRAY<INT>")?;
            let element = parse_nested(cursor, depth + 1, warnings)?;
            cursor.expect_closing_angle()?;
            Ok(DataType::List(Arc::new(Field::new(
                "element", element, true,
            ))))
        }
        "MAP" => parse_map(cursor, depth, warnings),
        "STRUCT" => parse_struct(cursor, depth, warnings),
        _ => Err(Box::new(unknown_type(&name, place))),
    }
}

fn simple_type(name: &str) -> Option<DataType> {
    Some(match name {
        "STRING" => DataType::Utf8View,
        "BIGINT" | "LONG" => DataType::Int64,
        "INT" | "INTEGER" => DataType::Int32,
        "SMALLINT" | "SHORT" => DataType::Int16,
        "TINYINT" | "BYTE" => DataType::Int8,
        "FLOAT" | "REAL" => DataType::Float32,
        "DOUBLE" => DataType::Float64,
        "BOOLEAN" => DataType::Boolean,
        "DATE" => DataType::Date32,
        "TIMESTAMP" | "TIMESTAMP_LTZ" => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        "TIMESTAMP_NTZ" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "BINARY" => DataType::BinaryView,
        _ => return None,
    })
}

fn expect_open(cursor: &mut Cursor<'_>, example: &str) -> Parsed<()> {
    match cursor.symbol(&Token::Lt) {
        true => Ok(()),
        false => Err(cursor.expected(&format!("`<`, as in `{example}`"))),
    }
}

/// `DECIMAL`, `DECIMAL(p)` and `DECIMAL(p, s)`; ten digits without a fraction by default.
fn parse_decimal(cursor: &mut Cursor<'_>) -> Parsed<DataType> {
    if cursor.peek().map(|token| &token.token) != Some(&Token::LParen) {
        return Ok(DataType::Decimal128(10, 0));
    }
    let mut group = cursor.group("`(`")?;
    let (precision, precision_place) = group.whole_number("the number of digits")?;
    let (scale, scale_place) = match group.symbol(&Token::Comma) {
        true => group.whole_number("the number of digits behind the point")?,
        false => (0, precision_place),
    };
    group.expect_done("`,` or `)`")?;
    let wrong = |message: String, place: Place, words: &str| {
        Err(Box::new(
            Diagnostic::error(codes::UNKNOWN_TYPE, message).at(place, words),
        ))
    };
    if !(1..=DECIMAL_DIGITS_MAX).contains(&precision) {
        let message = format!("a DECIMAL has 1 to {DECIMAL_DIGITS_MAX} digits");
        return wrong(message, precision_place, "not so many");
    }
    if scale > precision {
        let message = "a DECIMAL cannot have more digits behind the point than in all".to_owned();
        return wrong(message, scale_place, &format!("more than {precision}"));
    }
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision), Ok(scale)) => Ok(DataType::Decimal128(precision, scale)),
        _ => wrong(
            "a DECIMAL is too large".to_owned(),
            precision_place,
            "too large",
        ),
    }
}

/// `CHAR(n)` and `VARCHAR(n)` are strings whose length nothing checks: say so.
fn parse_sized_string(
    cursor: &mut Cursor<'_>,
    place: Place,
    warnings: &mut Vec<Diagnostic>,
) -> Parsed<()> {
    let mut group = cursor.group("`(` with a length")?;
    let (length, _) = group.whole_number("a length")?;
    group.expect_done("`)`")?;
    let diagnostic = Diagnostic::warning(
        codes::UNCHECKED_LENGTH,
        "the column is stored as STRING, and its length is not checked",
    );
    warnings.push(
        diagnostic
            .at(place.to(cursor.previous()), "read as STRING")
            .help(format!(
                "write STRING and `CONSTRAINT name EXPECT (length(column) <= {length})`"
            )),
    );
    Ok(())
}

fn parse_map(
    cursor: &mut Cursor<'_>,
    depth: usize,
    warnings: &mut Vec<Diagnostic>,
) -> Parsed<DataType> {
    expect_open(cursor, "MAP<STRING, INT>")?;
    let key_place = cursor.here();
    let key = parse_nested(cursor, depth + 1, warnings)?;
    if matches!(key, DataType::Map(..)) {
        let diagnostic = Diagnostic::error(codes::REFUSED_TYPE, "the key of a MAP cannot be a MAP");
        return Err(Box::new(diagnostic.at(key_place, "not as a key")));
    }
    cursor.expect_symbol(&Token::Comma)?;
    let value = parse_nested(cursor, depth + 1, warnings)?;
    cursor.expect_closing_angle()?;
    let entry = DataType::Struct(
        vec![
            Field::new("key", key, false),
            Field::new("value", value, true),
        ]
        .into(),
    );
    let entries = Field::new("key_value", entry, false);
    Ok(DataType::Map(Arc::new(entries), false))
}

/// `STRUCT<a: INT NOT NULL COMMENT '…', b STRING>`.
fn parse_struct(
    cursor: &mut Cursor<'_>,
    depth: usize,
    warnings: &mut Vec<Diagnostic>,
) -> Parsed<DataType> {
    expect_open(cursor, "STRUCT<name: STRING, age: INT>")?;
    let mut fields: Vec<Field> = Vec::new();
    loop {
        let (name, place) = cursor.identifier("the name of a field")?;
        let repeated = fields
            .iter()
            .any(|field| field.name().eq_ignore_ascii_case(&name));
        if repeated {
            let message = format!("the struct has two fields called `{name}`");
            let diagnostic = Diagnostic::error(codes::DUPLICATE_COLUMN, message);
            return Err(Box::new(diagnostic.at(place, "again")));
        }
        cursor.symbol(&Token::Colon);
        let data_type = parse_nested(cursor, depth + 1, warnings)?;
        let nullable = !cursor.words(&["NOT", "NULL"]);
        if cursor.words(&["COMMENT"]) {
            cursor.string("a string")?;
        }
        fields.push(Field::new(name, data_type, nullable));
        if !cursor.symbol(&Token::Comma) {
            break;
        }
    }
    cursor.expect_closing_angle()?;
    Ok(DataType::Struct(fields.into()))
}

/// The mistake of a name that is no type, or none that a table can hold.
fn unknown_type(name: &str, place: Place) -> Diagnostic {
    let refused = match name {
        "INTERVAL" => "store the two times, or a number with its unit in the name",
        "VARIANT" | "OBJECT" => "declare a STRUCT, or keep the JSON text as STRING",
        "VOID" | "NULL" => "a column needs a type that can hold values",
        "GEOGRAPHY" | "GEOMETRY" => "keep the coordinates as DOUBLE, or the shape as STRING",
        "TIME" => "use TIMESTAMP, or STRING",
        _ => "",
    };
    if !refused.is_empty() {
        let message = format!("a column of a table cannot be {name}");
        return Diagnostic::error(codes::REFUSED_TYPE, message)
            .at(place, "cannot be stored")
            .help(refused);
    }
    let foreign = match name {
        "TEXT" | "NVARCHAR" | "CLOB" | "UUID" | "JSON" => Some("STRING"),
        "DATETIME" | "TIMESTAMPTZ" => Some("TIMESTAMP"),
        "BOOL" => Some("BOOLEAN"),
        "INT8" | "INT64" => Some("BIGINT"),
        "INT4" | "INT32" => Some("INT"),
        "INT2" | "INT16" => Some("SMALLINT"),
        "FLOAT4" | "FLOAT32" => Some("FLOAT"),
        "FLOAT8" | "FLOAT64" | "NUMBER" => Some("DOUBLE"),
        "BYTES" | "BLOB" | "BYTEA" | "VARBINARY" => Some("BINARY"),
        _ => None,
    };
    let diagnostic = Diagnostic::error(codes::UNKNOWN_TYPE, format!("no type is called `{name}`"))
        .at(place, "not a type");
    match foreign.or_else(|| nearest(name, NAMES.iter().copied())) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help("the types are STRING, BIGINT, INT, SMALLINT, TINYINT, DOUBLE, FLOAT, DECIMAL(p, s), BOOLEAN, DATE, TIMESTAMP, TIMESTAMP_NTZ, BINARY, ARRAY<…>, MAP<…, …> and STRUCT<…>"),
    }
}

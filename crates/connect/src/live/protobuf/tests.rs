//! Messages as a foreign writer (Python's protobuf) has written them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::util::pretty::pretty_format_batches;

use super::*;
use crate::batch::Piece;
use crate::live::registry::tests::Answers;
use crate::live::{ByteColumnBuilder, LiveFormat, LiveReading, ValueEncoder};
use crate::options::ReadOptions;

const PROTO: &str = r#"
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Kind { UNKNOWN = 0; CARD = 1; }
message Header { string note = 1; }
message Payment {
  message Item { string sku = 1; uint32 count = 2; }
  int64 id = 1;
  string card = 2;
  double amount = 3;
  Kind kind = 4;
  repeated Item items = 5;
  repeated sint32 codes = 6;
  google.protobuf.Timestamp at = 7;
  google.protobuf.Int64Value limit = 8;
  map<string, int32> tags = 9;
  fixed64 total = 10;
  optional bool seen = 11;
  Payment nested = 12;
  repeated fixed64 sums = 13;
}
"#;

/// A payment with everything in it.
const FULL: &str = "08f9ffffffffffffffff011207c3a4206361726419000000000000294020012a090a01611080d0acf30e2a0032040100d8043a0b08c0d490cd0610959aef3a42004a0e0a017810ffffffffffffffffff014a050a017910025105000000000000805800620208036a1001000000000000000000000000010000";

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

fn fetched(values: &[&[u8]]) -> Fetched {
    let mut column = ByteColumnBuilder::default();
    values.iter().for_each(|value| column.push(Some(value)));
    Fetched {
        topic: "payments".into(),
        partition: 0,
        offsets: (0..values.len() as i64).collect(),
        timestamps_ms: vec![0; values.len()],
        keys: None,
        values: column.finish(),
        headers: None,
        next: values.len() as i64,
    }
}

fn decode(codec: ProtobufCodec, records: Fetched) -> crate::Decoded {
    let options = ReadOptions::default();
    let sample = std::slice::from_ref(&records);
    let found =
        LiveReading::discover(LiveFormat::Protobuf, &options, Some(&codec), sample).unwrap();
    let reading = LiveReading::new(
        "topic",
        LiveFormat::Protobuf,
        Arc::new(found),
        Arc::new(options),
        None,
        Some(Arc::new(codec)),
    );
    reading.pieces(records)[0].decode(0).unwrap()
}

fn given(name: Option<&str>) -> Result<ProtobufCodec> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.proto");
    std::fs::write(&path, PROTO).unwrap();
    ProtobufCodec::new(&LiveOptions {
        proto_file: Some(path.display().to_string()),
        message_name: name.map(str::to_owned),
        ..LiveOptions::default()
    })
}

/// A column as Arrow shows it, a line a row.
fn shown(batch: &RecordBatch, column: &str) -> Vec<String> {
    let array: ArrayRef = Arc::clone(batch.column_by_name(column).unwrap());
    let one = RecordBatch::try_from_iter_with_nullable([("c", array, true)]).unwrap();
    let text = pretty_format_batches(&[one]).unwrap().to_string();
    let lines: Vec<&str> = text.lines().collect();
    lines[3..lines.len() - 1]
        .iter()
        .map(|line| line.trim_matches(['|', ' ']).to_owned())
        .collect()
}

#[test]
fn messages_become_columns() {
    let full = bytes(FULL);
    let decoded = decode(given(Some("shop.Payment")).unwrap(), fetched(&[&full, b""]));
    let batch = &decoded.batch.columns;
    assert!(decoded.batch.malformed.is_empty());
    for (column, rows) in [
        ("id", ["-7", "0"]),
        ("card", ["ä card", ""]),
        ("amount", ["12.5", "0.0"]),
        ("kind", ["CARD", "UNKNOWN"]),
        (
            "items",
            ["[{sku: a, count: 4000000000}, {sku: , count: 0}]", "[]"],
        ),
        ("codes", ["[-1, 0, 300]", "[]"]),
        ("at", ["2026-03-01T12:00:00.123456Z", ""]),
        ("limit", ["0", ""]),
        ("tags", ["{x: -1, y: 2}", "{}"]),
        ("total", ["9223372036854775813", "0"]),
        ("seen", ["false", ""]),
        ("nested", ["0803", ""]),
    ] {
        assert_eq!(shown(batch, column), rows, "{column}");
    }
    let sums = batch.column_by_name("sums").unwrap().as_list::<i32>();
    assert_eq!(sums.value_length(0), 2);
}

#[test]
fn parts_of_a_message_are_one_and_the_last_value_counts() {
    // id 1, then id 2; at with seconds, then at with nanos; a field that nobody declared.
    let value = bytes("080108023a0208053a0310e807f80601");
    let decoded = decode(given(Some("Payment")).unwrap(), fetched(&[&value]));
    let batch = &decoded.batch.columns;
    assert_eq!(shown(batch, "id"), ["2"]);
    assert_eq!(shown(batch, "at"), ["1970-01-01T00:00:05.000001Z"]);
}

#[test]
fn what_is_no_message_stands_apart() {
    let full = bytes(FULL);
    let good = bytes("0805");
    let mut values: Vec<&[u8]> = (1..full.len()).map(|length| &full[..length]).collect();
    let wrong = bytes("1202c3");
    let text = bytes("1201ff");
    values.extend([&wrong[..], &text, &good]);
    let decoded = decode(given(Some("Payment")).unwrap(), fetched(&values));
    let malformed = &decoded.batch.malformed;
    // Cut between two fields it is a message still.
    assert_eq!(malformed.len() + decoded.batch.line.len(), values.len());
    assert!(malformed.len() > 60, "{}", malformed.len());
    assert!(malformed.iter().any(|row| row.message.contains("UTF-8")));
    assert_eq!(*decoded.batch.line.last().unwrap(), values.len() as u32 - 1);
    let error = given(Some("Paiment")).err().unwrap().to_string();
    assert!(error.contains("shop.Payment"), "{error}");
}

#[test]
fn messages_are_found_in_a_registry() {
    let schema = serde_json::json!({"schema": PROTO, "schemaType": "PROTOBUF"});
    let answers = Answers::start(&[("/schemas/ids/7", &schema.to_string())]);
    let codec = ProtobufCodec::new(&LiveOptions {
        registry: Some(answers.address.clone()),
        ..LiveOptions::default()
    });
    // The second message of the file; the first, in its short form; one inside the second; an id that is not there.
    let values: Vec<Vec<u8>> = [
        "00000000070202 0809",
        "0000000007 00 0a0161",
        "0000000007 040200 0a0162",
        "0000000063 00 0a0161",
        "0000000007 0208 0a0161",
    ]
    .iter()
    .map(|hex| bytes(&hex.replace(' ', "")))
    .collect();
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    let decoded = decode(codec.unwrap(), fetched(&values));
    assert_eq!(decoded.batch.line, [0, 1, 2]);
    let batch = &decoded.batch.columns;
    assert_eq!(shown(batch, "id"), ["9", "", ""]);
    assert_eq!(shown(batch, "note"), ["", "a", ""]);
    assert_eq!(shown(batch, "sku"), ["", "", "b"]);
    assert_eq!(decoded.batch.malformed.len(), 2);
    let message = &decoded.batch.malformed[0].message;
    assert!(message.contains("id 99"), "{message}");
}

fn local(text: &str, name: Option<&str>) -> (LiveOptions, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("local.proto");
    std::fs::write(&path, text).unwrap();
    let options = LiveOptions {
        proto_file: Some(path.display().to_string()),
        message_name: name.map(str::to_owned),
        ..LiveOptions::default()
    };
    (options, folder)
}

#[test]
fn columns_become_the_messages_that_they_were() {
    let (full, short) = (bytes(FULL), bytes("0805"));
    let decoded = decode(
        given(Some("shop.Payment")).unwrap(),
        fetched(&[&full, &short]),
    );
    let batch = &decoded.batch.columns;
    let (options, _folder) = local(PROTO, Some("shop.Payment"));
    let mut encoder = ProtobufEncoder::new(&options, "payments").unwrap();
    let encoded = encoder.encode(batch, "topic payments").unwrap();
    let again: Vec<&[u8]> = (0..2).map(|row| encoded.get(row).unwrap()).collect();
    let again = decode(given(Some("shop.Payment")).unwrap(), fetched(&again));
    assert!(again.batch.malformed.is_empty());
    assert_eq!(&again.batch.columns, batch);
    // What a foreign writer leaves out, since it is the default, is the only thing that it writes otherwise.
    assert!(encoded.get(0).unwrap().starts_with(&full[..33]));
}

#[test]
fn columns_that_are_no_fields_are_named() {
    use arrow::array::{Int64Array, StringArray, StructArray};
    let (options, _folder) = local(PROTO, Some("Payment"));
    let mut encoder = ProtobufEncoder::new(&options, "payments").unwrap();
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let inner: ArrayRef = Arc::new(StructArray::from(vec![(
        Arc::new(Field::new("no", arrow::datatypes::DataType::Int64, true)),
        Arc::clone(&ids),
    )]));
    let rows = [("id", Arc::clone(&ids)), ("what", Arc::clone(&ids))];
    let error = |rows: RecordBatch, encoder: &mut ProtobufEncoder| {
        encoder.encode(&rows, "topic payments").err().unwrap()
    };
    let missing = error(RecordBatch::try_from_iter(rows).unwrap(), &mut encoder);
    assert!(
        matches!(&missing, ConnectError::NoFields { columns, .. } if columns == &["what"]),
        "{missing}"
    );
    let (options, _folder) = local(
        "syntax = \"proto3\"; message A { B b = 1; } message B { int64 id = 1; }",
        None,
    );
    let mut nested = ProtobufEncoder::new(&options, "payments").unwrap();
    let rows = RecordBatch::try_from_iter([("b", inner)]).unwrap();
    let missing = error(rows, &mut nested).to_string();
    assert!(missing.contains("b.no"), "{missing}");
    let kind: ArrayRef = Arc::new(StringArray::from(vec!["CASH"]));
    let wrong = error(
        RecordBatch::try_from_iter([("kind", kind)]).unwrap(),
        &mut encoder,
    );
    assert!(wrong.to_string().contains("CASH"), "{wrong}");
}

#[test]
fn a_schema_is_registered_where_there_is_none_and_used_where_there_is() {
    use arrow::array::{
        Decimal128Array, Int64Array, ListArray, StringViewArray, TimestampMicrosecondArray,
    };
    let answers = Answers::start(&[("/subjects/out-value/versions", r#"{"id":9}"#)]);
    let pairs = [("schemaRegistry", answers.address.as_str())];
    let (options, _) = LiveOptions::take_schema(pairs).unwrap();
    let mut encoder = ProtobufEncoder::new(&options, "out").unwrap();
    let times = TimestampMicrosecondArray::from(vec![Some(-1), None]).with_timezone("UTC");
    let lists = ListArray::from_iter_primitive::<arrow::datatypes::Int32Type, _, _>([
        Some(vec![Some(1), Some(300)]),
        None,
    ]);
    let money = Decimal128Array::from(vec![1250, 5]).with_precision_and_scale(10, 2);
    let columns: [(&str, ArrayRef); 5] = [
        ("id", Arc::new(Int64Array::from(vec![Some(-1), None]))),
        ("name", Arc::new(StringViewArray::from(vec!["a", "b"]))),
        ("at", Arc::new(times)),
        ("codes", Arc::new(lists)),
        ("money", Arc::new(money.unwrap())),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let encoded = encoder.encode(&rows, "Kafka topic out").unwrap();
    let declared = super::encoder::declaration(&rows.schema(), "").unwrap();
    let schema = serde_json::json!({"schema": declared, "schemaType": "PROTOBUF", "id": 9});
    let answers = Answers::start(&[
        ("/schemas/ids/9", &schema.to_string()),
        ("/subjects/out-value/versions/latest", &schema.to_string()),
    ]);
    let pairs = [("schemaRegistry", answers.address.as_str())];
    let (options, _) = LiveOptions::take_schema(pairs).unwrap();
    let values: Vec<&[u8]> = (0..2).map(|row| encoded.get(row).unwrap()).collect();
    let decoded = decode(ProtobufCodec::new(&options).unwrap(), fetched(&values));
    let batch = &decoded.batch.columns;
    for (column, rows) in [
        ("id", ["-1", ""]),
        ("name", ["a", "b"]),
        ("at", ["1969-12-31T23:59:59.999999Z", ""]),
        ("codes", ["[1, 300]", "[]"]),
        ("money", ["12.50", "0.05"]),
    ] {
        assert_eq!(shown(batch, column), rows, "{column}");
    }
    // What is registered is taken, and written by.
    let mut known = ProtobufEncoder::new(&options, "out").unwrap();
    let again = known.encode(&rows, "Kafka topic out").unwrap();
    assert_eq!(again.get(0), encoded.get(0));
}

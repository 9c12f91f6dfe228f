//! Messages as a foreign writer (Python's protobuf) has written them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::util::pretty::pretty_format_batches;

use super::*;
use crate::batch::Piece;
use crate::live::registry::tests::Answers;
use crate::live::{ByteColumnBuilder, LiveFormat, LiveReading};
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

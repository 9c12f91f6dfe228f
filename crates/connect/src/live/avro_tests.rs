//! Avro as a foreign writer (fastavro) has written it, and our own.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type};

use super::registry::tests::Answers;
use super::tests::fetched;
use super::*;
use crate::batch::Piece;
use crate::options::ReadOptions;

const FIRST: &str = r#"{"type":"record","name":"A","fields":[{"name":"id","type":"long"},{"name":"name","type":["null","string"]}]}"#;
const SECOND: &str = r#"{"type":"record","name":"A","fields":[{"name":"id","type":"int"},{"name":"name","type":["null","string"]},{"name":"more","type":"double","default":0.5}]}"#;
/// `{"id": 1, "name": "one"}` and `{"id": 2, "name": None}` by the first, `{"id": 3, "name": "three", "more": 1.5}` by
/// the second.
const ONE: &[u8] = &[2, 2, 6, b'o', b'n', b'e'];
const TWO: &[u8] = &[4, 0];
const THREE: &[u8] = &[
    6, 2, 10, b't', b'h', b'r', b'e', b'e', 0, 0, 0, 0, 0, 0, 0xf8, 0x3f,
];

fn framed(id: u8, body: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0, id], body].concat()
}

fn decode(codec: AvroCodec, records: Fetched) -> crate::Decoded {
    let options = ReadOptions::default();
    let sample = std::slice::from_ref(&records);
    let found = LiveReading::discover(LiveFormat::Avro, &options, Some(&codec), sample).unwrap();
    let reading = LiveReading::new(
        "topic",
        LiveFormat::Avro,
        Arc::new(found),
        Arc::new(options),
        None,
        Some(Arc::new(codec)),
    );
    reading.pieces(records)[0].decode(0).unwrap()
}

#[test]
fn each_record_is_read_by_its_own_schema() {
    let schema = |text: &str| serde_json::json!({"schema": text}).to_string();
    let newest = serde_json::json!({"schema": SECOND, "id": 2, "version": 2}).to_string();
    let answers = Answers::start(&[
        ("/schemas/ids/1", &schema(FIRST)),
        ("/schemas/ids/2", &schema(SECOND)),
        ("/subjects/payments-value/versions/latest", &newest),
    ]);
    let codec = AvroCodec::new(&LiveOptions {
        registry: Some(answers.address.clone()),
        ..LiveOptions::default()
    })
    .unwrap();
    let values = [
        framed(1, ONE),
        framed(2, THREE),
        framed(1, TWO),
        framed(9, ONE),
        framed(1, &ONE[..4]),
        b"{}".to_vec(),
        framed(1, &[ONE, &[0]].concat()),
        framed(2, THREE),
    ];
    let values: Vec<Option<&[u8]>> = values.iter().map(|value| Some(value.as_slice())).collect();
    let decoded = decode(codec, fetched(&values));
    let batch = &decoded.batch.columns;
    assert_eq!(decoded.batch.line, [0, 1, 2, 7]);
    let names: Vec<&str> = batch.column(1).as_string_view().iter().flatten().collect();
    assert_eq!(names, ["one", "three", "three"]);
    // One schema says long and the other int: the contract decides.
    assert_eq!(batch.column(0).data_type(), &DataType::Utf8View);
    let ids: Vec<&str> = batch.column(0).as_string_view().iter().flatten().collect();
    assert_eq!(ids, ["1", "3", "2", "3"]);
    let more = batch.column(2).as_primitive::<Float64Type>();
    assert_eq!((more.is_null(0), more.value(1)), (true, 1.5));
    let broken: Vec<u64> = decoded.batch.malformed.iter().map(|row| row.line).collect();
    assert_eq!(broken, [3, 4, 5, 6]);
    assert!(decoded.batch.malformed[0].message.contains("id 9"));
    assert!(decoded.batch.malformed[2].message.contains("123"));
}

#[test]
fn without_a_registry_all_are_read_by_the_schema_that_is_given() {
    let codec = AvroCodec::new(&LiveOptions {
        avro_schema: Some(FIRST.to_owned()),
        ..LiveOptions::default()
    })
    .unwrap();
    let decoded = decode(codec, fetched(&[Some(TWO), None, Some(ONE)]));
    assert_eq!(decoded.batch.line, [0, 2]);
    assert_eq!(
        decoded.batch.columns.column(0).data_type(),
        &DataType::Int64
    );
    assert!(AvroCodec::new(&LiveOptions::default()).is_err());
    let wrong = LiveOptions {
        avro_schema: Some("\"long\"".to_owned()),
        ..LiveOptions::default()
    };
    assert!(AvroCodec::new(&wrong).is_err());
}

#[test]
fn rows_are_written_with_the_id_of_their_schema() {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
    let answers = Answers::start(&[("/subjects/out-value/versions", r#"{"id":258}"#)]);
    let registry = [("schemaRegistry", answers.address.as_str())];
    let (options, _) = LiveOptions::take_schema(registry).unwrap();
    let mut encoder = AvroEncoder::new(&options, "out").unwrap();
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let names: ArrayRef = Arc::new(StringViewArray::from(vec![Some("one"), None]));
    let rows =
        RecordBatch::try_from_iter_with_nullable([("id", ids, false), ("name", names, true)]);
    let encoded = encoder.encode(&rows.unwrap(), "Kafka topic out").unwrap();
    let body = [&[0, 0, 0, 1, 2][..], ONE].concat();
    assert_eq!(encoded.get(0), Some(&body[..]));
    let body = [&[0, 0, 0, 1, 2][..], TWO].concat();
    assert_eq!(encoded.get(1), Some(&body[..]));
}

#[test]
fn rows_are_written_by_the_schema_that_is_given() {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
    let schema = r#"{"type":"record","name":"Row","fields":[{"name":"name","type":["null","string"]},{"name":"id","type":"int"}]}"#;
    let (options, rest) =
        LiveOptions::take_schema([("AvroSchema", schema), ("key", "id")]).unwrap();
    assert_eq!(rest, [("key", "id")]);
    let mut encoder = AvroEncoder::new(&options, "out").unwrap();
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let names: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None]));
    let rows = [("id", Arc::clone(&ids)), ("name", names)];
    let rows = RecordBatch::try_from_iter(rows).unwrap();
    let encoded = encoder.encode(&rows, "topic out").unwrap();
    assert_eq!(encoded.get(0), Some(&[2, 2, b'a', 2][..]));
    assert_eq!(encoded.get(1), Some(&[0, 4][..]));
    let more = RecordBatch::try_from_iter([("id", Arc::clone(&ids)), ("more", ids)]).unwrap();
    let error = encoder.encode(&more, "topic out").err().unwrap();
    assert!(error.to_string().contains("more"), "{error}");
    assert!(matches!(error, crate::ConnectError::NoFields { .. }));
    let large: ArrayRef = Arc::new(Int64Array::from(vec![1 << 40]));
    let wide = RecordBatch::try_from_iter([("id", large)]).unwrap();
    assert!(encoder.encode(&wide, "topic out").is_err());
}

//! Avro files as they should be, and as they should not.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::DataType;
use arrow_avro::compression::CompressionCodec;
use arrow_avro::writer::WriterBuilder;
use arrow_avro::writer::format::AvroOcfFormat;

use super::damage::{ocf, text};
use crate::formats::typed::testing::{open, refusal};

fn columns(from: i64, rows: i64) -> RecordBatch {
    let range = || from..from + rows;
    let times = TimestampMicrosecondArray::from_iter_values(range().map(|n| n * 1_000_000))
        .with_timezone("+00:00");
    RecordBatch::try_from_iter_with_nullable([
        (
            "id",
            Arc::new(Int64Array::from_iter_values(range())) as ArrayRef,
            false,
        ),
        (
            "name",
            Arc::new(StringArray::from_iter(
                range().map(|n| (n % 4 > 0).then(|| format!("name {n}"))),
            )) as ArrayRef,
            true,
        ),
        (
            "ok",
            Arc::new(BooleanArray::from_iter(range().map(|n| Some(n % 2 == 0)))) as ArrayRef,
            false,
        ),
        (
            "small",
            Arc::new(Int32Array::from_iter_values(range().map(|n| n as i32))) as ArrayRef,
            false,
        ),
        ("at", Arc::new(times) as ArrayRef, false),
    ])
    .unwrap()
}

/// Blocks of ten rows.
pub(super) fn file(blocks: i64, codec: Option<CompressionCodec>) -> Vec<u8> {
    let schema = columns(0, 0).schema().as_ref().clone();
    let mut bytes = Vec::new();
    let mut writer = WriterBuilder::new(schema)
        .with_compression(codec)
        .build::<_, AvroOcfFormat>(&mut bytes)
        .unwrap();
    for block in 0..blocks {
        writer.write(&columns(block * 10, 10)).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    bytes
}

#[test]
fn blocks_are_read_in_pieces_whatever_their_compression() {
    for codec in [
        None,
        Some(CompressionCodec::Deflate),
        Some(CompressionCodec::Snappy),
        Some(CompressionCodec::ZStandard),
    ] {
        let bytes = file(30, codec);
        let small = open("t.avro", &bytes, &[("blockBytes", "300")], None).unwrap();
        assert!(small.pieces.len() > 5, "{}", small.pieces.len());
        let whole = open("t.avro", &bytes, &[], None).unwrap();
        assert_eq!((whole.pieces.len(), whole.rows()), (1, small.rows()));
        let rows = whole.rows();
        assert_eq!(rows.len(), 300);
        assert_eq!(rows[4], "5:4|-|true|4|1970-01-01T00:00:04Z");
        assert_eq!(rows[299], "300:299|name 299|false|299|1970-01-01T00:04:59Z");
    }
}

#[test]
fn columns_are_those_that_are_wanted_in_that_order() {
    let bytes = file(2, None);
    let mode = [("schemaEvolutionMode", "none")];
    let opened = open("t.avro", &bytes, &mode, Some(&["OK", "missing", "id"])).unwrap();
    assert_eq!(
        (opened.names().join(","), opened.rows()[13].as_str()),
        ("OK,missing,id".to_owned(), "14:false|-|13")
    );
    assert_eq!(
        open("t.avro", &bytes, &mode, Some(&["missing"]))
            .unwrap()
            .rows()
            .len(),
        20
    );
    let rescued = open(
        "t.avro",
        &bytes,
        &[("schemaEvolutionMode", "rescue")],
        Some(&["id", "ok", "small"]),
    )
    .unwrap();
    assert!(
        rescued.rows()[1].contains("{\"name\":\"name 1\",\"at\":\"1970-01-01T00:00:01Z\""),
        "{}",
        rescued.rows()[1]
    );
    let types: Vec<DataType> = opened
        .discovered
        .columns
        .iter()
        .map(|column| column.data_type.clone())
        .collect();
    assert_eq!(
        types[..4],
        [
            DataType::Int64,
            DataType::Utf8View,
            DataType::Boolean,
            DataType::Int32
        ]
    );
}

#[test]
fn a_cut_file_gives_its_whole_blocks_and_then_the_reason() {
    let bytes = file(10, None);
    let options = [("format", "avro")];
    assert!(refusal("t.avro", b"", &options).contains("is empty"));
    assert!(refusal("t.avro", b"PAR1PAR1", &options).contains("does not begin with the mark"));
    assert!(refusal("t.avro", &bytes[..40], &options).contains("header"));
    let opened = open("t.avro", &bytes[..bytes.len() - 3], &options, None).unwrap();
    assert_eq!(opened.rows().len(), 90);
    let message = opened.error.unwrap().to_string();
    assert!(
        message.contains("t.avro")
            && message.contains("breaks off")
            && message.contains("rows before it were read"),
        "{message}"
    );

    let mut spoilt = bytes.clone();
    let last = spoilt.len() - 1;
    spoilt[last] ^= 1;
    let opened = open("t.avro", &spoilt, &options, None).unwrap();
    assert_eq!(opened.rows().len(), 90);
    assert!(opened.error.unwrap().to_string().contains("sync mark"));

    let none = open("t.avro", &file(0, None), &options, None).unwrap();
    assert!(none.error.is_none() && none.pieces.is_empty() && none.discovered.columns.len() == 5);
}

/// One row after the other, as one block.
fn written(schema: &str, rows: &[Vec<u8>]) -> Vec<u8> {
    ocf(schema, "null", &[(rows.len() as i64, rows.concat())])
}

#[test]
fn a_null_is_null_in_every_kind_of_union() {
    let schema = r#"{"type":"record","name":"r","fields":[
        {"name":"first","type":["null","string"]},
        {"name":"last","type":["string","null"]},
        {"name":"many","type":["null","int","string"]},
        {"name":"inner","type":["null",{"type":"record","name":"i","fields":[
            {"name":"s","type":["null","string"]},{"name":"n","type":"int"}]}]},
        {"name":"list","type":{"type":"array","items":["null","string"]}}]}"#;
    let full = [
        [vec![2], text("a")].concat(),
        [vec![0], text("b")].concat(),
        [vec![4], text("c")].concat(),
        [vec![2, 2], text("d"), vec![14]].concat(),
        [vec![4, 2], text("e"), vec![0, 0]].concat(),
    ];
    let empty = [
        [vec![2], text("")].concat(),
        [vec![0], text("")].concat(),
        [vec![4], text("")].concat(),
        vec![2, 0, 12],
        vec![0],
    ];
    let number = [vec![0], vec![2], vec![2, 84], vec![0], vec![2, 0, 0]];
    let none = [vec![0], vec![2], vec![0], vec![0], vec![0]];
    let rows = [full, empty, number, none].map(|row| row.concat());
    let opened = open("t.avro", &written(schema, &rows), &[], None).unwrap();
    assert!(opened.error.is_none(), "{:?}", opened.error);
    assert_eq!(
        opened.rows(),
        [
            "1:a|b|c|{s: d, n: 7}|[e, ]",
            "2:|||{s: , n: 6}|[]",
            "3:-|-|42|-|[]",
            "4:-|-|-|-|[]"
        ]
    );
}

#[test]
fn a_named_type_may_be_used_again_and_its_first_use_left_out() {
    let schema = r#"{"type":"record","name":"a.b.Row","fields":[
        {"name":"one","type":{"type":"record","name":"Place","fields":[{"name":"city","type":"string"}]}},
        {"name":"two","type":"Place"},
        {"name":"three","type":["null","a.b.Place"],"default":null},
        {"name":"four","type":{"type":"enum","name":"c.Kind","symbols":["x","y"]}},
        {"name":"five","type":{"type":"c.Kind"}}]}"#;
    let row = [
        text("Kiel"),
        text("Ulm"),
        vec![2],
        text("Husum"),
        vec![0, 2],
    ]
    .concat();
    let bytes = written(schema, &[row]);
    let all = open("t.avro", &bytes, &[], None).unwrap();
    assert_eq!(all.rows(), ["1:{city: Kiel}|{city: Ulm}|{city: Husum}|x|y"]);
    let mode = [("schemaEvolutionMode", "none")];
    let some = open("t.avro", &bytes, &mode, Some(&["five", "three", "two"])).unwrap();
    assert_eq!(some.rows(), ["1:y|{city: Husum}|{city: Ulm}"]);
}

#[test]
fn a_uuid_is_text_and_rows_without_bytes_are_rows() {
    let schema = r#"{"type":"record","name":"r","fields":[
        {"name":"id","type":{"type":"string","logicalType":"uuid"}}]}"#;
    let id = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    let opened = open("t.avro", &written(schema, &[text(id)]), &[], None).unwrap();
    assert_eq!(opened.rows(), [format!("1:{id}")]);
    let schema = r#"{"type":"record","name":"r","fields":[{"name":"n","type":"null"}]}"#;
    let bytes = ocf(schema, "null", &[(3, Vec::new()), (2, Vec::new())]);
    let opened = open("t.avro", &bytes, &[], None).unwrap();
    assert!(opened.error.is_none(), "{:?}", opened.error);
    assert_eq!(opened.rows(), ["1:-", "2:-", "3:-", "4:-", "5:-"]);
}

//! Parquet files as they should be, and as they should not.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, DictionaryArray, Float64Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Int32Type, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use crate::formats::typed::testing::{open, refusal};

pub(super) fn columns(rows: i32) -> RecordBatch {
    let ids = Int64Array::from_iter_values((0..i64::from(rows)).map(|n| n + 1));
    let names = StringArray::from_iter(
        (0..rows).map(|n| (n % 3 > 0).then(|| format!("a name that is longer than a view {n}"))),
    );
    let amounts = Decimal128Array::from_iter_values((0..i128::from(rows)).map(|n| n * 125))
        .with_precision_and_scale(12, 2)
        .unwrap();
    let times =
        TimestampMicrosecondArray::from_iter_values((0..i64::from(rows)).map(|n| n * 1_000_000))
            .with_timezone("UTC");
    let kinds: DictionaryArray<Int32Type> = (0..rows).map(|n| ["x", "y"][n as usize % 2]).collect();
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(
        (0..rows).map(|n| (n % 2 == 0).then(|| vec![Some(n), None])),
    );
    RecordBatch::try_from_iter_with_nullable([
        ("Id", Arc::new(ids) as ArrayRef, false),
        ("name", Arc::new(names) as ArrayRef, true),
        ("amount", Arc::new(amounts) as ArrayRef, false),
        ("at", Arc::new(times) as ArrayRef, false),
        ("kind", Arc::new(kinds) as ArrayRef, false),
        ("list", Arc::new(lists) as ArrayRef, true),
        (
            "big",
            Arc::new(UInt64Array::from_iter_values(
                (0..rows as u64).map(|n| u64::MAX - n),
            )) as ArrayRef,
            false,
        ),
    ])
    .unwrap()
}

pub(crate) fn file(batch: &RecordBatch, group: usize) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn every_row_group_is_a_piece_and_columns_keep_their_types() {
    let bytes = file(&columns(250), 100);
    let opened = open("t.parquet", &bytes, &[], None).unwrap();
    assert_eq!(
        opened
            .pieces
            .iter()
            .map(|piece| piece.lines)
            .collect::<Vec<_>>(),
        [100, 100, 50]
    );
    let rows = opened.rows();
    assert_eq!(rows.len(), 250);
    assert_eq!(
        rows[0],
        "1:1|-|0.00|1970-01-01T00:00:00Z|x|[0, ]|18446744073709551615"
    );
    assert_eq!(
        rows[101],
        "102:102|a name that is longer than a view 101|126.25|1970-01-01T00:01:41Z|y|-|18446744073709551514"
    );
    let types: Vec<DataType> = opened
        .discovered
        .columns
        .iter()
        .map(|column| column.data_type.clone())
        .collect();
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(
        types[..5],
        [
            DataType::Int64,
            DataType::Utf8View,
            DataType::Decimal128(12, 2),
            time,
            DataType::Utf8View
        ]
    );
    assert_eq!(types[6], DataType::Decimal128(20, 0));
    let schema = opened.pieces[0].batch.columns.schema();
    assert_eq!(schema.field(1).data_type(), &DataType::Utf8View);
    assert!(opened.discovered.columns[1].nullable && !opened.discovered.columns[0].nullable);
}

#[test]
fn columns_are_those_that_are_wanted_in_that_order() {
    let bytes = file(&columns(10), 100);
    let mode = [("schemaEvolutionMode", "none")];
    let opened = open(
        "t.parquet",
        &bytes,
        &mode,
        Some(&["amount", "id", "missing"]),
    )
    .unwrap();
    assert_eq!(opened.names(), ["amount", "id", "missing"]);
    assert_eq!(opened.rows()[3], "4:3.75|4|-");

    let nothing = open("t.parquet", &bytes, &mode, Some(&["missing"])).unwrap();
    assert_eq!(nothing.rows().len(), 10);

    let rescued = open(
        "t.parquet",
        &bytes,
        &[("schemaEvolutionMode", "rescue")],
        Some(&["id", "name", "list", "big", "at"]),
    )
    .unwrap();
    assert_eq!(
        rescued.names().last().map(String::as_str),
        Some("_rescued_data")
    );
    assert!(
        rescued.rows()[2].contains("{\"amount\":\"2.50\",\"kind\":\"x\",\"_file_path\":"),
        "{}",
        rescued.rows()[2]
    );

    let new = open(
        "t.parquet",
        &bytes,
        &[("schemaEvolutionMode", "failOnNewColumns")],
        Some(&["id"]),
    );
    assert!(new.err().unwrap().to_string().contains("amount"));
}

#[test]
fn a_file_is_recognised_by_its_content_and_may_be_compressed_as_a_whole() {
    use std::io::Write;
    let bytes = file(&columns(30), 100);
    assert_eq!(
        open("data.bin", &bytes, &[], None).unwrap().rows().len(),
        30
    );
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(&bytes).unwrap();
    let zipped = zipped.finish().unwrap();
    assert_eq!(
        open("t.parquet.gz", &zipped, &[], None)
            .unwrap()
            .rows()
            .len(),
        30
    );
}

#[test]
fn a_file_without_rows_or_with_doubled_names_is_read() {
    let empty = file(&columns(0), 100);
    let opened = open("t.parquet", &empty, &[], None).unwrap();
    assert_eq!(
        (opened.discovered.columns.len(), opened.pieces.len()),
        (7, 0)
    );

    let twice = RecordBatch::try_from_iter([
        ("a", Arc::new(Int32Array::from(vec![1])) as ArrayRef),
        ("A", Arc::new(Float64Array::from(vec![0.5])) as ArrayRef),
    ])
    .unwrap();
    let opened = open("t.parquet", &file(&twice, 10), &[], None).unwrap();
    assert_eq!(
        (opened.names(), opened.rows()),
        (
            vec!["a".to_owned(), "A_2".to_owned()],
            vec!["1:1|0.5".to_owned()]
        )
    );
}

#[test]
fn a_cut_file_is_refused_with_the_reason() {
    let bytes = file(&columns(250), 100);
    let options = [("format", "parquet")];
    assert!(refusal("t.parquet", b"", &options).contains("is empty"));
    assert!(
        refusal("t.parquet", b"id,name\n1,x\n", &options)
            .contains("does not begin with the mark PAR1")
    );
    for length in [4, 11, 500, bytes.len() / 2, bytes.len() - 1] {
        let message = refusal("t.parquet", &bytes[..length], &options);
        assert!(
            message.contains("breaks off after")
                && message.contains("Copy or write the file again"),
            "{message}"
        );
    }
    // Without its middle, the footer promises more than there is.
    let mut hollow = bytes.clone();
    hollow.drain(4..bytes.len() / 2);
    refusal("t.parquet", &hollow, &options);
}

#[test]
fn a_moment_beyond_the_calendar_is_rescued_as_its_number() {
    let times = TimestampMicrosecondArray::from(vec![0, i64::MIN]).with_timezone("UTC");
    let ids = Int32Array::from(vec![1, 2]);
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(ids) as ArrayRef),
        ("at", Arc::new(times) as ArrayRef),
    ])
    .unwrap();
    let mode = [("schemaEvolutionMode", "rescue")];
    let opened = open("t.parquet", &file(&batch, 10), &mode, Some(&["id"])).unwrap();
    let rows = opened.rows();
    assert!(
        rows[0].contains(r#""at":"1970-01-01T00:00:00Z""#),
        "{}",
        rows[0]
    );
    assert!(
        rows[1].contains(r#""at":"-9223372036854775808""#),
        "{}",
        rows[1]
    );
}

//! Records of every format become rows, and what is no row stands apart with its offset.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};

use super::*;
use crate::batch::{Decoded, MalformedKind, Piece};
use crate::options::ReadOptions;

/// Records with these values from offset 100 on; `None` leaves a gap of one offset.
pub(super) fn fetched(values: &[Option<&[u8]>]) -> Fetched {
    let mut offsets = Vec::new();
    let mut column = ByteColumnBuilder::default();
    for (at, value) in values.iter().enumerate() {
        if let Some(value) = value {
            offsets.push(100 + at as i64);
            column.push(Some(value));
        }
    }
    Fetched {
        topic: "payments".into(),
        partition: 3,
        timestamps_ms: offsets.iter().map(|offset| offset * 1000).collect(),
        next: 100 + values.len() as i64,
        offsets,
        keys: None,
        values: column.finish(),
        headers: None,
    }
}

fn reading(
    format: LiveFormat,
    options: &[(&str, &str)],
    wanted: Option<&[&str]>,
    sample: &Fetched,
) -> LiveReading {
    let (options, rest) = ReadOptions::take(options.iter().copied()).unwrap();
    assert!(rest.is_empty());
    let found =
        LiveReading::discover(format, &options, None, std::slice::from_ref(sample)).unwrap();
    let wanted: Option<Vec<String>> =
        wanted.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    LiveReading::new(
        "topic",
        format,
        Arc::new(found),
        Arc::new(options),
        wanted.as_deref(),
        None,
    )
}

fn decode(reading: &LiveReading, fetched: Fetched) -> Decoded {
    let mut pieces = reading.pieces(fetched);
    assert_eq!(pieces.len(), 1);
    pieces.remove(0).decode(0).unwrap()
}

fn texts(decoded: &Decoded, column: usize) -> Vec<Option<String>> {
    let column = decoded.batch.columns.column(column).as_string_view();
    column.iter().map(|text| text.map(str::to_owned)).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[test]
fn json_values_are_rows_whatever_lines_they_have() {
    let values: Vec<Option<&[u8]>> = vec![
        Some(b"{\"id\":1,\"name\":\"a name of some length\"}"),
        Some(b"\n{\n  \"id\": 2,\n  \"name\": \"b\"\n}\n"),
        None,
        Some(b"{\"id\":3,\"name\":\"not"),
        Some(b" closed\"}"),
        Some(b"{\"id\":[1,"),
        Some(b"2]}"),
        Some(b""),
        Some(b"{\"id\":4} {\"id\":5}"),
        Some(b"[{\"id\":6}]"),
        Some(b"{\"id\":7,\"name\":\"\xff\"}"),
        Some(b"{\"name\":\"raw\nline feed\",\"id\":8}"),
        Some(b"{\"id\":9,\"name\":\"tab\\t\"}"),
    ];
    let records = fetched(&values);
    let reading = reading(LiveFormat::Json, &[], Some(&["id", "name"]), &records);
    let decoded = decode(&reading, records);
    assert_eq!(texts(&decoded, 0), some(&["1", "2", "9"]));
    assert_eq!(
        texts(&decoded, 1),
        some(&["a name of some length", "b", "tab\t"])
    );
    assert_eq!(decoded.batch.line, [0, 1, 12]);
    let broken: Vec<(u64, MalformedKind)> = decoded
        .batch
        .malformed
        .iter()
        .map(|row| (row.line, row.kind))
        .collect();
    let json = |line| (line, MalformedKind::Json);
    assert_eq!(
        broken,
        [
            json(3),
            json(4),
            json(5),
            json(6),
            json(7),
            json(8),
            json(9),
            (10, MalformedKind::Encoding),
            json(11)
        ]
    );
    assert_eq!(
        &decoded.batch.malformed[5].raw[..],
        b"{\"id\":4} {\"id\":5}"
    );
    assert_eq!(decoded.lines, 13);
    let raw = decoded.batch.raw.as_ref().unwrap().as_string_view();
    assert_eq!(raw.value(1), "\n{\n  \"id\": 2,\n  \"name\": \"b\"\n}\n");
    assert_eq!(decoded.batch.file.display(), "topic payments/3");
}

#[test]
fn columns_are_told_from_the_first_records() {
    let records = fetched(&[
        Some(b"{\"id\":1,\"at\":\"2026-03-01T12:00:00Z\"}"),
        Some(b"{\"id\":2,\"more\":{\"a\":1.5}}"),
    ]);
    let found = reading(LiveFormat::Json, &[], None, &records);
    let names: Vec<&str> = found.wanted().iter().map(String::as_str).collect();
    assert_eq!(names, ["id", "at", "more"]);
    assert_eq!(found.discovered().columns[0].data_type, DataType::Int64);
    let none = fetched(&[]);
    let found = reading(LiveFormat::Json, &[], None, &none);
    assert!(found.wanted().is_empty());
    assert_eq!(found.discovered().notes.len(), 1);
}

#[test]
fn tombstones_stand_apart() {
    let mut records = fetched(&[Some(b"{\"id\":1}")]);
    let mut values = ByteColumnBuilder::default();
    values.push(None);
    records.values = values.finish();
    for format in [LiveFormat::Json, LiveFormat::Csv] {
        let reading = reading(format, &[], Some(&["id"]), &records);
        let decoded = decode(&reading, records.clone());
        assert_eq!(decoded.batch.columns.num_rows(), 0);
        let [row] = decoded.batch.malformed.as_slice() else {
            panic!("one row")
        };
        assert_eq!(row.kind, MalformedKind::Undecodable);
        assert!(row.message.contains("tombstone"), "{}", row.message);
    }
}

#[test]
fn csv_values_are_rows_that_cannot_reach_into_each_other() {
    let values: Vec<Option<&[u8]>> = vec![
        Some(b"1,first name here"),
        Some(b"2,\"two\nlines, one value\""),
        Some(b"3,\"never closed"),
        Some(b"4,d\r\n"),
        Some(b""),
        Some(b"5,\"open\nagain"),
        Some(b"6,f"),
        Some(b"7,g\n8,h"),
        Some(b"   "),
        Some(b"# 9,i"),
        Some(b"10,k,more"),
        Some(b"11,\xff"),
        Some(b"12,l"),
    ];
    let records = fetched(&values);
    let reading = reading(LiveFormat::Csv, &[], Some(&["id", "name"]), &records);
    let decoded = decode(&reading, records);
    assert_eq!(texts(&decoded, 0), some(&["1", "2", "4", "6", "# 9", "12"]));
    assert_eq!(
        texts(&decoded, 1),
        some(&[
            "first name here",
            "two\nlines, one value",
            "d",
            "f",
            "i",
            "l"
        ])
    );
    assert_eq!(decoded.batch.line, [0, 1, 3, 6, 9, 12]);
    let broken: Vec<u64> = decoded.batch.malformed.iter().map(|row| row.line).collect();
    assert_eq!(broken, [2, 4, 5, 7, 8, 10, 11]);
    let seven = &decoded.batch.malformed[3];
    assert_eq!(&seven.raw[..], b"7,g\n8,h");
    assert!(seven.message.contains("2 rows"), "{}", seven.message);
}

#[test]
fn csv_takes_the_dialect_it_is_told() {
    let records = fetched(&[Some(b"1;'a;b'"), Some(b"2;c")]);
    let options = [("sep", ";"), ("quote", "'")];
    let reading = reading(LiveFormat::Csv, &options, None, &records);
    assert_eq!(reading.wanted(), ["_c0", "_c1"]);
    let decoded = decode(&reading, records);
    assert_eq!(texts(&decoded, 1), some(&["a;b", "c"]));
}

#[test]
fn raw_records_have_the_columns_of_spark() {
    let records = fetched(&[Some(b"a"), None, Some(b"\xff\x00b, longer than a view")]);
    let reading = reading(LiveFormat::Raw, &[], None, &records);
    let names: Vec<&str> = reading.wanted().iter().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "key",
            "value",
            "topic",
            "partition",
            "offset",
            "timestamp",
            "headers"
        ]
    );
    let pieces = reading.pieces(records);
    let decoded = pieces[0].decode(0).unwrap();
    let columns = &decoded.batch.columns;
    assert_eq!(columns.column(0).null_count(), 2);
    let values = columns.column(1).as_binary_view();
    assert_eq!(values.value(1), b"\xff\x00b, longer than a view");
    assert_eq!(columns.column(2).as_string_view().value(1), "payments");
    let offsets = columns.column(4).as_primitive::<Int64Type>();
    assert_eq!(offsets.values(), &[100, 102]);
    // With the gap, the line is still the offset less the first.
    assert_eq!(decoded.batch.line, [0, 2]);
    assert_eq!((pieces[0].first_offset(), decoded.lines), (100, 3));
    let metadata = pieces[0].metadata(&[2]).unwrap();
    assert_eq!(
        metadata.column(2).as_primitive::<Int64Type>().values(),
        &[102]
    );
    assert_eq!(metadata.fields(), &live_metadata_fields());
}

#[test]
fn large_parts_are_cut_into_pieces_that_go_on_where_the_last_ended() {
    let line = format!("{{\"id\":7,\"text\":\"{}\"}}", "x".repeat(1000));
    let values = vec![Some(line.as_bytes()); 100];
    let records = fetched(&values);
    let reading = reading(LiveFormat::Json, &[("blockBytes", "10k")], None, &records);
    let pieces = reading.pieces(records);
    assert!(pieces.len() > 5);
    let mut next = 100;
    for piece in &pieces {
        assert_eq!(piece.first_offset(), next);
        let decoded = piece.decode(0).unwrap();
        assert_eq!(decoded.batch.columns.num_rows(), piece.fetched().rows());
        assert_eq!(decoded.batch.line[0], 0);
        next = piece.fetched().next;
    }
    assert_eq!(next, 200);
}

#[test]
fn positions_are_written_as_spark_writes_them() {
    let mut positions = Positions::new();
    positions.set(&"b".into(), 1, 5);
    positions.set(&"a.x".into(), 0, 7);
    let text = serde_json::to_string(&positions).unwrap();
    assert_eq!(text, r#"{"a.x":{"0":7},"b":{"1":5}}"#);
    assert_eq!(serde_json::from_str::<Positions>(&text).unwrap(), positions);
    assert_eq!(positions.len(), 2);
}

#[test]
fn beginnings_are_read_from_options() {
    use super::start::Place;
    let start = Start::from_offsets(r#"{"t":{"0":23,"1":-2,"2":-1}}"#).unwrap();
    let places: Vec<Place> = (0..4).map(|partition| start.of("t", partition)).collect();
    assert_eq!(
        places,
        [
            Place::Offset(23),
            Place::Earliest,
            Place::Latest,
            Place::Earliest
        ]
    );
    assert_eq!(Start::from_offsets(" Latest").unwrap(), Start::Latest);
    let time = Start::from_timestamp("2026-03-01T12:00:00Z").unwrap();
    assert_eq!(time, Start::Timestamp(1_772_366_400_000));
    let times = Start::from_timestamps(r#"{"t":{"1":5}}"#).unwrap();
    assert_eq!(times.of("t", 1), Place::Timestamp(5));
    for wrong in ["soon", "{\"t\":3}", ""] {
        let error = Start::from_offsets(wrong).unwrap_err().to_string();
        assert!(error.contains("startingOffsets"), "{error}");
    }
}

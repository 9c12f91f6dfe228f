//! Which columns a reading gives, in every format: those of the option `schema`, and what becomes of
//! others by `schemaEvolutionMode`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use tokio::runtime::Handle;

use crate::formats::excel::tests::sheet;
use crate::formats::{avro, parquet};
use crate::fuzz::{Outcome, read_source};
use crate::source::Source;
use crate::tests::rows;
use crate::{Discovered, FileEntry, ReadOptions, Reading, discover};

/// The same rows in every format: `id` and `price` are numbers where a format has them.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(Int64Array::from(vec![1, 2]))),
        ("price", Arc::new(Int64Array::from(vec![10, 20]))),
        ("note", Arc::new(StringArray::from(vec!["x", "y"]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let schema = r#"{"type":"record","name":"r","fields":[
        {"name":"id","type":"long"},{"name":"price","type":"long"},{"name":"note","type":"string"}]}"#;
    let records = [
        [vec![2, 20], avro::damage::text("x")].concat(),
        [vec![4, 40], avro::damage::text("y")].concat(),
    ];
    vec![
        ("f.csv", b"id,price,note\n1,10,x\n2,20,y\n".to_vec()),
        (
            "f.json",
            b"{\"id\":1,\"price\":10,\"note\":\"x\"}\n{\"note\":\"y\",\"price\":20,\"id\":2}\n"
                .to_vec(),
        ),
        ("f.parquet", parquet::tests::file(&batch, 10)),
        (
            "f.avro",
            avro::damage::ocf(schema, "null", &[(2, records.concat())]),
        ),
        (
            "f.xlsx",
            sheet(&[
                &["id", "price", "note"],
                &["1", "10", "x"],
                &["2", "20", "y"],
            ]),
        ),
    ]
}

/// Reads a file through the public functions, as `schema` says and of that the columns `wanted`.
async fn read(
    name: &str,
    bytes: &[u8],
    pairs: &[(&str, &str)],
    schema: Option<&[(&str, DataType)]>,
    wanted: Option<&[&str]>,
) -> (Discovered, Outcome) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let (mut options, rest) = ReadOptions::take(pairs.iter().copied()).unwrap();
    assert!(rest.is_empty(), "{rest:?}");
    let own = |(name, data_type): &(&str, DataType)| ((*name).to_owned(), data_type.clone());
    options.schema = schema.map(|columns| columns.iter().map(own).collect());
    let file = Arc::new(FileEntry::local(&path).unwrap());
    let discovered = discover(&[FileEntry::clone(&file)], &options)
        .await
        .unwrap();
    let handle = Handle::current();
    let source = Source::open(&file, &options, &handle).unwrap();
    let wanted: Option<Vec<String>> =
        wanted.map(|names| names.iter().map(ToString::to_string).collect());
    let reading = Reading::new(
        Arc::new(discovered.clone()),
        Arc::new(options),
        wanted.as_deref(),
    );
    let outcome = read_source(&source, &reading);
    (discovered, outcome)
}

#[tokio::test]
async fn a_given_schema_says_which_columns_there_are_and_in_which_order() {
    let schema = [
        ("note", DataType::Utf8View),
        ("missing", DataType::Date32),
        ("ID", DataType::Decimal128(9, 2)),
    ];
    for (name, bytes) in files() {
        let (discovered, outcome) = read(name, &bytes, &[], Some(&schema), None).await;
        let columns = discovered.columns.iter();
        let found: Vec<(&str, DataType)> = columns
            .map(|column| (column.name.as_str(), column.data_type.clone()))
            .collect();
        assert_eq!(found, schema, "{name}");
        assert!(discovered.columns.iter().all(|column| column.nullable));
        assert_eq!(outcome.error, None, "{name}");
        // What the schema does not name, such as price, is not there.
        assert_eq!(outcome.names, ["note", "missing", "ID"], "{name}");
        assert_eq!(rows(&outcome), ["x|-|1", "y|-|2"], "{name}");
        let (_, part) = read(name, &bytes, &[], Some(&schema), Some(&["ID", "missing"])).await;
        assert_eq!(part.names, ["ID", "missing"], "{name}");
        assert_eq!(rows(&part), ["1|-", "2|-"], "{name}");
    }
}

#[tokio::test]
async fn without_a_header_a_given_schema_names_the_columns_by_position() {
    let text = |name| (name, DataType::Utf8View);
    let schema = [text("a"), text("b"), text("c")];
    let headless = [("header", "false")];
    for (name, bytes) in [
        ("f.csv", b"1,10,x\n2,20,y\n".to_vec()),
        ("f.xlsx", sheet(&[&["1", "10", "x"], &["2", "20", "y"]])),
    ] {
        let (_, all) = read(name, &bytes, &headless, Some(&schema), None).await;
        assert_eq!(all.names, ["a", "b", "c"], "{name}");
        assert_eq!(rows(&all), ["1|10|x", "2|20|y"], "{name}");
        // A query that wants one of them gets that one, and not the first.
        let (_, part) = read(name, &bytes, &headless, Some(&schema), Some(&["c", "b"])).await;
        assert_eq!(rows(&part), ["x|10", "y|20"], "{name}");
        let (_, short) = read(name, &bytes, &headless, Some(&schema[..2]), None).await;
        assert_eq!(rows(&short), ["1|10", "2|20"], "{name}");
        // Those of a table, which come all and in its order, name them, too.
        let wanted = Some(&["x", "y", "z"] as &[&str]);
        let (_, table) = read(name, &bytes, &headless, None, wanted).await;
        assert_eq!(rows(&table), ["1|10|x", "2|20|y"], "{name}");
    }
    let wide = [text("a"), text("b"), text("c"), text("d")];
    let bytes = sheet(&[&["1", "10", "x"], &["2", "20", "y"]]);
    let (_, outcome) = read("f.xlsx", &bytes, &headless, Some(&wide), None).await;
    assert_eq!(rows(&outcome), ["1|10|x|-", "2|20|y|-"]);
    let padded = [("header", "false"), ("ragged", "pad")];
    let (_, outcome) = read("f.csv", b"1,10,x\n", &padded, Some(&wide), None).await;
    assert_eq!(rows(&outcome), ["1|10|x|-"]);
    let (_, outcome) = read("f.csv", b"1,10,x\n", &headless, Some(&wide), None).await;
    assert_eq!((outcome.rows.len(), outcome.malformed.len()), (0, 1));
}

#[tokio::test]
async fn new_columns_go_where_the_mode_says_in_every_format() {
    let wanted = Some(&["note", "id"] as &[&str]);
    for (name, bytes) in files() {
        let with = |mode| [("schemaEvolutionMode", mode)];
        let (_, added) = read(name, &bytes, &with("addNewColumns"), None, wanted).await;
        assert_eq!(added.names, ["note", "id", "price"], "{name}");
        assert_eq!(rows(&added), ["x|1|10", "y|2|20"], "{name}");
        let (_, left) = read(name, &bytes, &with("none"), None, wanted).await;
        assert_eq!(left.names, ["note", "id"], "{name}");
        assert_eq!(rows(&left), ["x|1", "y|2"], "{name}");
        let (_, refused) = read(name, &bytes, &with("failOnNewColumns"), None, wanted).await;
        let error = refused.error.unwrap();
        assert!(
            error.contains(name) && error.contains("new columns price"),
            "{error}"
        );
        let (_, rescued) = read(name, &bytes, &with("rescue"), None, wanted).await;
        assert_eq!(rescued.names, ["note", "id", "_rescued_data"], "{name}");
        let kept = &rows(&rescued)[1];
        // Text stays text and JSON its own; typed formats write their values.
        assert!(
            kept.starts_with("y|2|{\"price\":") && kept.contains("20") && kept.contains(name),
            "{kept}"
        );
        // The default, with and without a schema.
        let (_, default) = read(name, &bytes, &[], None, wanted).await;
        assert_eq!(default.names, added.names, "{name}");
        let schema = [("id", DataType::Int64)];
        let mode = with("rescue");
        let (_, both) = read(name, &bytes, &mode, Some(&schema), None).await;
        assert_eq!(both.names, ["id", "_rescued_data"], "{name}");
        assert!(
            rows(&both)[0].contains("\"note\":\"x\""),
            "{:?}",
            rows(&both)
        );
        let mode = with("addNewColumns");
        let (_, grown) = read(name, &bytes, &mode, Some(&schema), None).await;
        assert_eq!(grown.names, ["id", "price", "note"], "{name}");
    }
}

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int8Array,
    Int32Array, Int32Builder, Int64Array, ListBuilder, MapBuilder, RecordBatch, StringArray,
    StringBuilder, StringViewArray, StructArray, TimestampMicrosecondArray, TimestampSecondArray,
    UInt32Array,
};
use arrow::datatypes::{DataType, Field};

use super::*;
use crate::testing::{append, batch, commit, data_files, lake, name, query, run, spec, write};
use crate::{CommitMode, TARGET_FILE_SIZE};

const APPEND: CommitMode = CommitMode::Append;

/// A column of every kind, two rows: one with values, one of NULLs.
fn everything() -> RecordBatch {
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.append_value([Some("a"), None]);
    tags.append_null();
    let mut attributes = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    attributes.keys().append_value("k");
    attributes.values().append_value(7);
    attributes.append(true).unwrap();
    attributes.append(false).unwrap();
    let place = StructArray::from(vec![
        (
            Arc::new(Field::new("x", DataType::Float64, true)),
            Arc::new(Float64Array::from(vec![Some(1.5), None])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("Town", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec![Some("Ulm"), None])),
        ),
    ]);
    let price = Decimal128Array::from(vec![Some(-12_345), None]);
    let at = TimestampMicrosecondArray::from(vec![Some(1_700_000_000_123_456), None]);
    batch([
        (
            "Id",
            Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef,
        ),
        ("tiny", Arc::new(Int8Array::from(vec![Some(-1), None]))),
        ("yes", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        (
            "price",
            Arc::new(price.with_precision_and_scale(12, 2).unwrap()),
        ),
        ("day", Arc::new(Date32Array::from(vec![Some(-1), None]))),
        ("at", Arc::new(at.with_timezone("UTC"))),
        (
            "local",
            Arc::new(TimestampSecondArray::from(vec![Some(5), None])),
        ),
        (
            "name",
            Arc::new(StringViewArray::from(vec![
                Some("a long enough name"),
                None,
            ])),
        ),
        (
            "blob",
            Arc::new(BinaryViewArray::from(vec![
                Some(b"\x00\xff".as_ref()),
                None,
            ])),
        ),
        ("tags", Arc::new(tags.finish())),
        ("attributes", Arc::new(attributes.finish())),
        ("place", Arc::new(place)),
        (
            "count",
            Arc::new(UInt32Array::from(vec![Some(4_000_000_000), None])),
        ),
    ])
}

#[tokio::test]
async fn every_type_comes_back_as_it_went() {
    let (_folder, lake) = lake().await;
    let rows = everything();
    let table = append(&lake, "t", &rows).await.table;
    let back = run(table.provider(), "SELECT * FROM t ORDER BY \"Id\"").await;
    let expected = conform::batch("t", &rows, &table.schema()).unwrap();
    assert_eq!(back.len(), 1);
    assert_eq!(back[0].columns(), expected.columns());
    let types: Vec<String> = table
        .schema()
        .fields()
        .iter()
        .map(|field| field.data_type().to_string())
        .collect();
    assert_eq!(types[5], "Timestamp(µs, \"UTC\")");
    assert_eq!(types[7], "Utf8View");
    assert_eq!(types[12], "Int64");
}

#[tokio::test]
async fn a_file_says_what_is_in_it() {
    let (_folder, lake) = lake().await;
    let table = append(&lake, "t", &everything()).await.table;
    let files = table.files().await.unwrap();
    let stats = files[0].add.stats.as_deref().unwrap();
    let stats: serde_json::Value = serde_json::from_str(stats).unwrap();
    assert_eq!(stats["numRecords"], 2);
    assert_eq!(stats["nullCount"]["Id"], 1);
    assert_eq!(stats["nullCount"]["place"]["x"], 1);
    assert_eq!(stats["minValues"]["price"], -123.45);
    assert_eq!(stats["maxValues"]["day"], "1969-12-31");
    assert_eq!(stats["maxValues"]["at"], "2023-11-14T22:13:20.123456Z");
    assert_eq!(stats["minValues"]["local"], "1970-01-01T00:00:05.000000");
    assert_eq!(stats["minValues"]["name"], "a long enough name");
    assert_eq!(stats["minValues"]["place"]["Town"], "Ulm");
    assert_eq!(stats["minValues"].get("tags"), None);
    assert_eq!(stats["minValues"].get("yes"), None);
    assert_eq!(files[0].rows(), Some(2));
    let on_disk = std::fs::metadata(
        table
            .inner()
            .place
            .local
            .as_ref()
            .unwrap()
            .join(files[0].path()),
    );
    assert_eq!(files[0].bytes(), on_disk.unwrap().len());
}

#[tokio::test]
async fn text_that_is_not_true_to_its_type_fails_the_write() {
    let (folder, lake) = lake().await;
    let number = batch([("n", Arc::new(Int32Array::from(vec![1])) as ArrayRef)]);
    let text = batch([("n", Arc::new(StringViewArray::from(vec!["x"])) as ArrayRef)]);
    let mut writer = lake
        .write_plan(&spec("t", &number), &APPEND)
        .await
        .unwrap()
        .writer();
    writer.write(&number).unwrap();
    assert!(matches!(
        writer.write(&text),
        Err(LakeError::DataFile { .. })
    ));
    let other = batch([("unknown", Arc::new(Int32Array::from(vec![1])) as ArrayRef)]);
    assert!(matches!(
        writer.write(&other),
        Err(LakeError::SchemaChange { .. })
    ));
    drop(writer);
    assert_eq!(data_files(folder.path()).len(), 0);
}

#[tokio::test]
async fn rows_go_into_folders_by_value() {
    let (folder, lake) = lake().await;
    let rows = batch([
        (
            "id",
            Arc::new(Int64Array::from_iter_values(0..6)) as ArrayRef,
        ),
        (
            "Country",
            Arc::new(StringViewArray::from(vec![
                Some("DE"),
                Some("FR"),
                None,
                Some("DE"),
                Some("a/b c"),
                Some(""),
            ])),
        ),
        ("day", Arc::new(Date32Array::from(vec![1, 1, 1, 2, 1, 1]))),
    ]);
    let partitioned_by = vec!["country".to_owned(), "day".to_owned()];
    let spec = TableSpec {
        partitioned_by,
        ..spec("t", &rows)
    };
    let done = commit(&lake, &spec, APPEND, &rows, None).await.unwrap();
    assert_eq!(done.table.partitioned_by(), ["Country", "day"]);
    let root = folder.path().join("t");
    assert!(root.join("Country=DE/day=1970-01-02").is_dir());
    assert!(root.join("Country=a%2Fb%20c/day=1970-01-02").is_dir());
    // The empty text and NULL are one folder to Delta.
    assert!(
        root.join("Country=__HIVE_DEFAULT_PARTITION__/day=1970-01-02")
            .is_dir()
    );
    assert_eq!(data_files(&root).len(), 5);
    let sql =
        "SELECT id, \"Country\" FROM t WHERE \"Country\" = 'a/b c' OR day = DATE '1970-01-03'";
    let answer = query(done.table.provider(), &format!("{sql} ORDER BY id")).await;
    let expected = "\
+----+---------+
| id | Country |
+----+---------+
| 3  | DE      |
| 4  | a/b c   |
+----+---------+";
    assert_eq!(answer, expected);
    // A change of partitioning takes a full refresh.
    let plain = crate::testing::spec("t", &rows);
    let refused = commit(&lake, &plain, APPEND, &rows, None)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, LakeError::Specification { .. }),
        "{refused}"
    );
    commit(&lake, &plain, CommitMode::Overwrite, &rows, None)
        .await
        .unwrap();
}

#[tokio::test]
async fn many_folders_keep_few_files_open() {
    let (_folder, lake) = lake().await;
    let count = 3 * i64::try_from(OPEN_FILES_MAX).unwrap();
    let rows = batch([
        (
            "p",
            Arc::new(Int64Array::from_iter_values(0..count)) as ArrayRef,
        ),
        ("x", Arc::new(Int64Array::from_iter_values(0..count))),
    ]);
    let spec = TableSpec {
        partitioned_by: vec!["p".to_owned()],
        ..spec("t", &rows)
    };
    let mut writer = lake.write_plan(&spec, &APPEND).await.unwrap().writer();
    writer.write(&rows).unwrap();
    assert!(writer.open.len() <= OPEN_FILES_MAX);
    let files = writer.finish().unwrap();
    assert_eq!(files.len(), usize::try_from(count).unwrap());
}

#[tokio::test]
async fn files_are_ended_at_the_target_size() {
    let (_folder, lake) = lake().await;
    let values = (0..60_000_u64).map(|n| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let rows = batch([(
        "text",
        Arc::new(StringViewArray::from_iter_values(values)) as ArrayRef,
    )]);
    let mut spec = spec("t", &rows);
    spec.properties = BTreeMap::from([(TARGET_FILE_SIZE.to_owned(), "100 KiB".to_owned())]);
    let batches: Vec<RecordBatch> = (0..60).map(|part| rows.slice(part * 1000, 1000)).collect();
    let files = write(&lake, &spec, &APPEND, &batches).await.unwrap();
    assert!(files.len() > 3, "{}", files.len());
    for file in &files {
        assert!(file.bytes() < 200 << 10, "{}", file.bytes());
    }
    assert_eq!(files.iter().map(DataFile::rows).sum::<u64>(), 60_000);
    spec.properties = BTreeMap::from([(TARGET_FILE_SIZE.to_owned(), "big".to_owned())]);
    let refused = write(&lake, &spec, &APPEND, &[]).await.unwrap_err();
    assert!(refused.to_string().contains("'big'"), "{refused}");
}

#[tokio::test]
async fn a_writer_given_up_leaves_nothing() {
    let (folder, lake) = lake().await;
    let rows = everything();
    let mut spec = spec("t", &rows);
    spec.properties = BTreeMap::from([(TARGET_FILE_SIZE.to_owned(), "1".to_owned())]);
    let mut writer = lake.write_plan(&spec, &APPEND).await.unwrap().writer();
    writer.write(&rows).unwrap();
    writer.write(&rows).unwrap();
    assert_eq!(data_files(folder.path()).len(), 2);
    writer.abort();
    assert_eq!(data_files(folder.path()).len(), 0);
    // Files that were handed over stay until somebody commits or discards them.
    let files = write(&lake, &spec, &APPEND, &[rows]).await.unwrap();
    assert_eq!(data_files(folder.path()).len(), 1);
    lake.discard(&name("t"), &files).await.unwrap();
    assert_eq!(data_files(folder.path()).len(), 0);
}

#[tokio::test]
async fn a_dictionary_is_made_only_where_values_repeat() {
    let (_folder, lake) = lake().await;
    let rows = batch([
        (
            "id",
            Arc::new(Int64Array::from_iter_values(0..5000)) as ArrayRef,
        ),
        (
            "key",
            Arc::new(StringViewArray::from_iter_values(
                (0..5000).map(|n| format!("key {n:06}")),
            )),
        ),
        (
            "kind",
            Arc::new(StringViewArray::from_iter_values(
                (0..5000).map(|n| ["a", "b"][n % 2]),
            )),
        ),
    ]);
    let table = append(&lake, "t", &rows).await.table;
    let file = &table.files().await.unwrap()[0];
    let path = table
        .inner()
        .place
        .local
        .as_ref()
        .unwrap()
        .join(file.path());
    let reader = parquet::file::serialized_reader::SerializedFileReader::new(
        std::fs::File::open(path).unwrap(),
    )
    .unwrap();
    use parquet::file::reader::FileReader;
    let group = reader.metadata().row_group(0);
    let with: Vec<bool> = group
        .columns()
        .iter()
        .map(|column| column.dictionary_page_offset().is_some())
        .collect();
    assert_eq!(with, [false, false, true]);
}

use super::*;

fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn everything() -> Schema {
    let pair = Fields::from(vec![
        Field::new("keys", DataType::Utf8, false),
        Field::new("values", DataType::Int32, true),
    ]);
    let entries = Field::new("entries", DataType::Struct(pair), false);
    Schema::new(vec![
        field("Id", DataType::Int64).with_nullable(false),
        field("name", DataType::Utf8).with_metadata(HashMap::from([(
            COMMENT.to_owned(),
            "who \"it\" is".to_owned(),
        )])),
        field("price", DataType::Decimal128(12, 2)),
        field(
            "at",
            DataType::Timestamp(TimeUnit::Nanosecond, Some("Europe/Berlin".into())),
        ),
        field("local", DataType::Timestamp(TimeUnit::Second, None)),
        field(
            "tags",
            DataType::List(Arc::new(field("item", DataType::LargeUtf8))),
        ),
        field("attributes", DataType::Map(Arc::new(entries), false)),
        field(
            "place",
            DataType::Struct(Fields::from(vec![field("x", DataType::Float32)])),
        ),
        field("blob", DataType::FixedSizeBinary(4)),
        field("count", DataType::UInt32),
    ])
}

#[test]
fn a_schema_survives_the_way_through_the_log() {
    let stored = storable("t", &everything()).unwrap();
    let json = to_json("t", &stored).unwrap();
    let back = from_json("t", &json).unwrap();
    assert_eq!(stored, back);
    assert!(json.contains(r#""type":"timestamp_ntz""#), "{json}");
    assert!(json.contains(r#"who \"it\" is"#), "{json}");
    assert!(has_timestamp_ntz(stored.fields()));
}

#[test]
fn what_delta_cannot_store_is_named() {
    let schema = Schema::new(vec![field("span", DataType::Duration(TimeUnit::Second))]);
    let error = storable("t", &schema).unwrap_err();
    assert!(
        matches!(&error, LakeError::Type { column, .. } if column == "span"),
        "{error}"
    );
    let twice = Schema::new(vec![field("a", DataType::Int8), field("A", DataType::Int8)]);
    assert!(matches!(
        storable("t", &twice),
        Err(LakeError::Specification { .. })
    ));
}

#[test]
fn a_table_takes_new_columns_and_wider_numbers() {
    let stored = Schema::new(vec![
        field("id", DataType::Int32).with_nullable(false),
        field("x", DataType::Float32),
        field("old", DataType::Utf8View),
    ]);
    let wanted = Schema::new(vec![
        field("new", DataType::Boolean).with_nullable(false),
        field("ID", DataType::Int64).with_nullable(false),
        field("x", DataType::Float64),
    ]);
    let merged = evolve("t", &stored, &wanted).unwrap();
    let expected = Schema::new(vec![
        field("id", DataType::Int64).with_nullable(false),
        field("x", DataType::Float64),
        field("old", DataType::Utf8View),
        field("new", DataType::Boolean),
    ]);
    assert_eq!(*merged, expected);
    // And a narrower number does not make the table narrower again.
    assert_eq!(evolve("t", &merged, &stored).unwrap(), merged);
}

#[test]
fn a_table_refuses_what_would_lose_values() {
    let stored = Schema::new(vec![field("a", DataType::Utf8View)]);
    let wanted = Schema::new(vec![field("a", DataType::Int64)]);
    let error = evolve("t", &stored, &wanted).unwrap_err();
    assert!(
        error.to_string().contains("column `a` of table `t`"),
        "{error}"
    );
    let required = Schema::new(vec![field("k", DataType::Int64).with_nullable(false)]);
    assert!(evolve("t", &required, &wanted).is_err());
}

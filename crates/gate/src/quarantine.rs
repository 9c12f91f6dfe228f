//! The schema of every quarantine table.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

/// The schema of a quarantine batch, the same for every table:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `row_id` | STRING | stable hash of source and position, 32 hexadecimal digits |
/// | `raw` | STRING | the row as written; cut at a limit, which `note` then says |
/// | `raw_bytes` | BINARY | the row's bytes, where they are not UTF-8; otherwise NULL |
/// | `source` | STRING | file or flow it came from |
/// | `line` | BIGINT | its line or row number there |
/// | `fields` | MAP<STRING, STRING> | its fields as text; NULL where it could not be cut into fields |
/// | `reasons` | ARRAY<STRUCT<…>> | every broken promise: `constraint`, `kind`, `column`, `value`, `message` |
/// | `flow`, `run`, `epoch` | STRING, STRING, BIGINT | which update put it there |
/// | `quarantined_at` | TIMESTAMP | when |
/// | `state` | STRING | `held` at first |
/// | `released_epoch` | BIGINT | the epoch that let it through later; otherwise NULL |
/// | `note` | STRING | anything else worth knowing |
pub fn quarantine_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let text = |name: &str, nullable| Field::new(name, DataType::Utf8View, nullable);
        Arc::new(Schema::new(vec![
            text("row_id", false),
            text("raw", false),
            Field::new("raw_bytes", DataType::BinaryView, true),
            text("source", false),
            Field::new("line", DataType::Int64, false),
            Field::new("fields", DataType::Map(map_entries(), false), true),
            Field::new("reasons", DataType::List(reason_item()), false),
            text("flow", false),
            text("run", false),
            Field::new("epoch", DataType::Int64, false),
            Field::new(
                "quarantined_at",
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                false,
            ),
            text("state", false),
            Field::new("released_epoch", DataType::Int64, true),
            text("note", true),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// The `entries` field of `fields`.
pub(crate) fn map_entries() -> Arc<Field> {
    let entries = Fields::from(vec![
        Field::new("key", DataType::Utf8View, false),
        Field::new("value", DataType::Utf8View, true),
    ]);
    Arc::new(Field::new("key_value", DataType::Struct(entries), false))
}

/// The columns of one reason.
pub(crate) fn reason_fields() -> Fields {
    Fields::from(vec![
        Field::new("constraint", DataType::Utf8View, false),
        Field::new("kind", DataType::Utf8View, false),
        Field::new("column", DataType::Utf8View, true),
        Field::new("value", DataType::Utf8View, true),
        Field::new("message", DataType::Utf8View, false),
    ])
}

/// The item field of `reasons`.
pub(crate) fn reason_item() -> Arc<Field> {
    Arc::new(Field::new(
        "element",
        DataType::Struct(reason_fields()),
        false,
    ))
}

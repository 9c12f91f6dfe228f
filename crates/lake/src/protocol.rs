//! Which Delta tables can be read and written, and the lowest protocol a table needs.
//!
//! Every reader of Delta Lake knows reader version 1 and writer version 2; a table stays there
//! unless a column needs more. What is not on these lists is refused by name, never half done.

use std::collections::BTreeMap;

use arrow::datatypes::Schema;

use crate::error::LakeError;
use crate::log::actions::{Metadata, Protocol};
use crate::schema;

const TIMESTAMP_NTZ: &str = "timestampNtz";
const APPEND_ONLY: &str = "appendOnly";

/// Reader features that are understood here, or left to the Delta library's reader.
const READABLE: [&str; 7] = [
    TIMESTAMP_NTZ,
    "columnMapping",
    "deletionVectors",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
];

/// Writer features that ask nothing of a writer unless they are used (see [`uses`]).
const WRITABLE: [&str; 13] = [
    APPEND_ONLY,
    TIMESTAMP_NTZ,
    "changeDataFeed",
    "checkConstraints",
    "clustering",
    "columnMapping",
    "deletionVectors",
    "domainMetadata",
    "generatedColumns",
    "identityColumns",
    "invariants",
    "v2Checkpoint",
    "vacuumProtocolCheck",
];

/// Refuses a table that needs a newer reader.
pub(crate) fn check_readable(table: &str, protocol: &Protocol) -> Result<(), LakeError> {
    let mut unknown = unknown_features(protocol.reader_features.as_deref(), &READABLE);
    if protocol.min_reader_version > 3 {
        unknown.push(format!("reader version {}", protocol.min_reader_version));
    }
    refuse(table, "read", unknown)
}

/// Refuses a table that uses what a writer here would have to do and cannot.
pub(crate) fn check_writable(
    table: &str,
    protocol: &Protocol,
    metadata: &Metadata,
) -> Result<(), LakeError> {
    check_readable(table, protocol)?;
    let mut unknown = unknown_features(protocol.writer_features.as_deref(), &WRITABLE);
    if protocol.min_writer_version > 7 {
        unknown.push(format!("writer version {}", protocol.min_writer_version));
    }
    unknown.extend(uses(metadata));
    refuse(table, "written", unknown)
}

fn refuse(table: &str, action: &'static str, unknown: Vec<String>) -> Result<(), LakeError> {
    if unknown.is_empty() {
        return Ok(());
    }
    let table = table.to_owned();
    Err(LakeError::Unsupported {
        table,
        action,
        features: unknown.join(", "),
    })
}

fn unknown_features(features: Option<&[String]>, known: &[&str]) -> Vec<String> {
    let features = features.unwrap_or_default().iter();
    features
        .filter(|feature| !known.contains(&feature.as_str()))
        .cloned()
        .collect()
}

/// What a table's properties and columns ask of every writer that cannot be done here.
fn uses(metadata: &Metadata) -> Vec<String> {
    let mut found: Vec<String> = metadata
        .configuration
        .iter()
        .filter(|(key, value)| asks_too_much(key, value))
        .map(|(key, value)| format!("property '{key}' = '{value}'"))
        .collect();
    let columns = [
        ("\"delta.invariants\"", "column invariants"),
        ("\"delta.generationExpression\"", "generated columns"),
        ("\"delta.identity.start\"", "identity columns"),
    ];
    let used = columns
        .iter()
        .filter(|(mark, _)| metadata.schema_string.contains(mark));
    found.extend(used.map(|(_, name)| (*name).to_owned()));
    found
}

/// Whether a property asks something of a writer that cannot be done here.
fn asks_too_much(key: &str, value: &str) -> bool {
    match key {
        "delta.columnMapping.mode" => value != "none",
        "delta.enableRowTracking"
        | "delta.enableInCommitTimestamps"
        | "delta.enableTypeWidening"
        | "delta.enableIcebergCompatV1"
        | "delta.enableIcebergCompatV2" => value.eq_ignore_ascii_case("true"),
        _ => key.starts_with("delta.constraints."),
    }
}

/// Refuses properties that a new table would have to obey and that cannot be obeyed here.
pub(crate) fn check_properties(
    table: &str,
    properties: &BTreeMap<String, String>,
) -> Result<(), LakeError> {
    let needs_feature = |key: &str, value: &str| {
        matches!(
            key,
            "delta.enableDeletionVectors" | "delta.enableChangeDataFeed"
        ) && value.eq_ignore_ascii_case("true")
    };
    for (key, value) in properties {
        if asks_too_much(key, value) || needs_feature(key, value) {
            return Err(LakeError::Specification {
                table: table.to_owned(),
                reason: format!(
                    "property '{key}' = '{value}' asks for a Delta feature that Tidegate does not \
                     write; take it out"
                ),
            });
        }
    }
    Ok(())
}

/// The lowest protocol for a table of these columns, not below `current`.
pub(crate) fn needed(
    current: Option<&Protocol>,
    schema: &Schema,
    properties: &BTreeMap<String, String>,
) -> Protocol {
    let mut protocol = current.cloned().unwrap_or(Protocol {
        min_reader_version: 1,
        min_writer_version: 2,
        reader_features: None,
        writer_features: None,
    });
    if !schema::has_timestamp_ntz(schema.fields()) {
        return protocol;
    }
    let append_only = properties.get("delta.appendOnly");
    let append_only = append_only.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    protocol.min_reader_version = 3;
    protocol.min_writer_version = 7;
    add(
        protocol.reader_features.get_or_insert_default(),
        TIMESTAMP_NTZ,
    );
    let writer = protocol.writer_features.get_or_insert_default();
    add(writer, TIMESTAMP_NTZ);
    if append_only {
        add(writer, APPEND_ONLY);
    }
    protocol
}

fn add(features: &mut Vec<String>, feature: &str) {
    if !features.iter().any(|known| known == feature) {
        features.push(feature.to_owned());
    }
}

/// Whether rows may only be added to the table.
pub(crate) fn is_append_only(metadata: &Metadata) -> bool {
    metadata
        .configuration
        .get("delta.appendOnly")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

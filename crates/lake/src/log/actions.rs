//! The lines of a Delta log: what Tidegate reads of them and writes into them.
//!
//! `Add` and `Remove` are those of the Delta library, which knows how paths are encoded. The small
//! actions are declared here with just what is needed, so that unknown actions and fields of other
//! writers do no harm.

use std::collections::BTreeMap;

use deltalake::kernel::{Add, Remove};
use serde::{Deserialize, Serialize};

/// One line of a commit file. At most one of the fields is there.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    pub add: Option<Add>,
    pub remove: Option<Remove>,
    pub meta_data: Option<Metadata>,
    pub protocol: Option<Protocol>,
    pub txn: Option<Txn>,
    pub commit_info: Option<CommitInfo>,
}

/// What the table is: its schema, partitioning and properties.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub format: Format,
    pub schema_string: String,
    #[serde(default)]
    pub partition_columns: Vec<String>,
    #[serde(default)]
    pub configuration: BTreeMap<String, String>,
    #[serde(default)]
    pub created_time: Option<i64>,
}

/// The format of the data files; always Parquet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Format {
    pub provider: String,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

impl Default for Format {
    fn default() -> Self {
        Format {
            provider: "parquet".to_owned(),
            options: BTreeMap::new(),
        }
    }
}

/// What a reader and a writer must know to use the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Protocol {
    pub min_reader_version: i32,
    pub min_writer_version: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader_features: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer_features: Option<Vec<String>>,
}

/// How far an application (for Tidegate: a flow) has written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Txn {
    pub app_id: String,
    pub version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<i64>,
}

/// Who did what, and when.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommitInfo {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_commit_timestamp: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    #[serde(default)]
    pub operation_parameters: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    pub operation_metrics: serde_json::Map<String, serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_info: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_blind_append: Option<bool>,
    /// Tidegate's own: the run, the flow and its epoch, and what the caller added.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub tidegate: serde_json::Map<String, serde_json::Value>,
}

/// Reads one commit file: a JSON object a line.
pub(crate) fn parse_commit(bytes: &[u8]) -> Result<Vec<Line>, serde_json::Error> {
    serde_json::Deserializer::from_slice(bytes)
        .into_iter::<Line>()
        .collect()
}

/// Writes one action as a line.
pub(crate) fn push_line<T: Serialize>(
    commit: &mut Vec<u8>,
    action: &'static str,
    value: &T,
) -> Result<(), serde_json::Error> {
    let mut line = BTreeMap::new();
    line.insert(action, value);
    serde_json::to_writer(&mut *commit, &line)?;
    commit.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_actions_and_fields_are_passed_over() {
        let text = br#"{"commitInfo":{"operation":"WRITE","newField":{"a":[1]}}}
{"domainMetadata":{"domain":"x","configuration":"{}","removed":false}}
{"txn":{"appId":"f","version":7,"lastUpdated":1}}
"#;
        let lines = parse_commit(text).unwrap();
        assert_eq!(lines.len(), 3);
        assert_eq!(
            lines[0].commit_info.as_ref().unwrap().operation.as_deref(),
            Some("WRITE")
        );
        assert_eq!(lines[2].txn.as_ref().unwrap().version, 7);
    }

    #[test]
    fn a_cut_commit_is_an_error() {
        assert!(parse_commit(br#"{"txn":{"appId":"f","#).is_err());
    }
}

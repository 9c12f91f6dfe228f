//! What a table should be: the part of its declaration that is kept in the table itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use tidegate_project::TableName;

use crate::error::LakeError;
use crate::schema::{self, COMMENT};

/// The property with the size that data files should have, in bytes or with a unit (`128 MiB`).
pub const TARGET_FILE_SIZE: &str = "tidegate.targetFileSize";

/// The property with the columns that files are sorted by, separated by commas.
pub const CLUSTER_BY: &str = "tidegate.clusterBy";

/// The size of data files where nothing is said: 256 MiB.
pub const TARGET_FILE_BYTES_DEFAULT: u64 = 256 << 20;

/// What a table should be. It is made so by the first commit, and changed by later ones.
#[derive(Debug, Clone)]
pub struct TableSpec {
    /// The table's name.
    pub name: TableName,
    /// Its columns, those it is partitioned by included.
    pub schema: SchemaRef,
    /// The columns whose values make folders.
    pub partitioned_by: Vec<String>,
    /// The columns that rows are sorted by when files are put together.
    pub cluster_by: Vec<String>,
    /// What the table is, in words.
    pub comment: Option<String>,
    /// What columns are, in words, by name.
    pub column_comments: BTreeMap<String, String>,
    /// `TBLPROPERTIES`; those beginning with `delta.` have their Delta meaning.
    pub properties: BTreeMap<String, String>,
    /// A path or URL outside the warehouse.
    pub location: Option<String>,
}

impl TableSpec {
    /// A table of this name and these columns, and nothing else said.
    #[must_use]
    pub fn new(name: TableName, schema: SchemaRef) -> TableSpec {
        TableSpec {
            name,
            schema,
            partitioned_by: Vec::new(),
            cluster_by: Vec::new(),
            comment: None,
            column_comments: BTreeMap::new(),
            properties: BTreeMap::new(),
            location: None,
        }
    }

    /// The schema as stored: Delta's types, with the comments, partition columns checked.
    pub(crate) fn stored_schema(&self) -> Result<SchemaRef, LakeError> {
        let table = self.name.key();
        let stored = schema::storable(&table, &self.schema)?;
        for column in self.partitioned_by.iter().chain(&self.cluster_by) {
            let Some(index) = schema::position(stored.fields(), column) else {
                return Err(LakeError::Specification {
                    table,
                    reason: format!(
                        "PARTITIONED BY or CLUSTER BY names `{column}`, which is no column of it"
                    ),
                });
            };
            if stored.field(index).data_type().is_nested() {
                return Err(LakeError::Specification {
                    table,
                    reason: format!(
                        "PARTITIONED BY or CLUSTER BY names `{column}`, which is nested"
                    ),
                });
            }
        }
        if !self.partitioned_by.is_empty() && self.partitioned_by.len() == stored.fields().len() {
            return Err(LakeError::Specification {
                table,
                reason: "it is partitioned by all of its columns; leave at least one out"
                    .to_owned(),
            });
        }
        let fields = stored.fields().iter().map(|field| {
            let comment = self
                .column_comments
                .iter()
                .find(|(name, _)| name.to_lowercase() == field.name().to_lowercase());
            match comment {
                Some((_, comment)) => {
                    let mut metadata = field.metadata().clone();
                    metadata.insert(COMMENT.to_owned(), comment.clone());
                    Arc::new(field.as_ref().clone().with_metadata(metadata))
                }
                None => Arc::clone(field),
            }
        });
        Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
    }

    /// The properties as stored: those given, and the clustering.
    pub(crate) fn stored_properties(&self) -> BTreeMap<String, String> {
        let mut properties = self.properties.clone();
        if !self.cluster_by.is_empty() {
            properties.insert(CLUSTER_BY.to_owned(), self.cluster_by.join(","));
        }
        properties
    }
}

/// The size that data files should have, in bytes.
pub(crate) fn target_file_bytes(
    table: &str,
    properties: &BTreeMap<String, String>,
) -> Result<u64, LakeError> {
    let key = [TARGET_FILE_SIZE, "delta.targetFileSize"];
    let Some((key, text)) = key
        .iter()
        .find_map(|key| properties.get(*key).map(|value| (*key, value)))
    else {
        return Ok(TARGET_FILE_BYTES_DEFAULT);
    };
    parse_bytes(text).ok_or_else(|| LakeError::Specification {
        table: table.to_owned(),
        reason: format!(
            "property '{key}' = '{text}' is not a size such as '128 MiB' or '134217728'"
        ),
    })
}

/// Reads `134217728`, `128mb`, `128 MiB`, `1 GB`; units are powers of 1024. At least 1.
fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(factor)
        .filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        assert_eq!(parse_bytes("134217728"), Some(134_217_728));
        assert_eq!(parse_bytes("128 MiB"), Some(128 << 20));
        assert_eq!(parse_bytes("1gb"), Some(1 << 30));
        for wrong in ["", "MB", "-1", "0", "1 tree", "99999999999999999999"] {
            assert_eq!(parse_bytes(wrong), None, "{wrong}");
        }
    }
}

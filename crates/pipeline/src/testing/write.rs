//! `tidegate test --write`: a test made of what is there.
//!
//! A few rows of what feeds a table are given (of a table over files: some of its good rows, and one row of each kind in
//! its quarantine); the table is refreshed from them alone, in memory; and what is then in it and in its quarantine is
//! what the test expects. So it says what the project does today. Whether that is right is for its reader to judge.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use tidegate_project::{RelationTarget, TableName};

use super::case::Given;
use crate::catalog::Catalog;
use crate::error::{PipelineError, Result};
use crate::workspace::Workspace;

/// Rows given of each table.
const ROWS: usize = 5;
/// Quarantined rows that are looked at to find one of each kind.
const HELD: usize = 1_000;

type Row = toml::Table;

impl Workspace {
    /// Writes `tests/<table>.toml` from what the table and what feeds it hold. Gives its path inside the project.
    ///
    /// # Errors
    /// When there is no such table, nothing is in what feeds it, or the file is there already.
    pub async fn write_test(&self, table: &str) -> Result<PathBuf> {
        self.refuse_mistakes()?;
        let name = self.table_named(table)?;
        let inside = PathBuf::from("tests").join(format!("{}.toml", name.key()));
        let path = self.project.root.join(&inside);
        if path.exists() {
            let message = format!(
                "{} is there already; it was left as it is",
                inside.display()
            );
            return Err(PipelineError::Request(message));
        }
        let catalog = Catalog::build(self).await?;
        catalog.refuse_mistakes()?;
        let given = self.given_for(&name).await?;
        if given
            .iter()
            .all(|given| given.rows.as_ref().is_none_or(Vec::is_empty))
        {
            let message = format!("nothing feeds `{name}` yet; `tidegate run {name}` comes first");
            return Err(PipelineError::Request(message));
        }
        let text = self.written_case(&catalog, &name, &given, &path).await?;
        let folder = self.project.root.join("tests");
        std::fs::create_dir_all(&folder)
            .map_err(|source| PipelineError::file("making", &folder, source))?;
        std::fs::write(&path, text)
            .map_err(|source| PipelineError::file("writing", &path, source))?;
        Ok(inside)
    }

    /// Rows of what the table's flows read; of the table itself where they read files.
    async fn given_for(&self, name: &TableName) -> Result<Vec<Given>> {
        let mut sources = BTreeSet::new();
        for flow in self.project.flows_into(name) {
            for relation in &flow.query.relations {
                match &relation.target {
                    RelationTarget::Table { name: source, .. }
                        if self.project.table(source).is_some() =>
                    {
                        sources.insert(source.clone());
                    }
                    _ => {
                        let rows = self.rows_before_the_gate(name).await?;
                        return Ok(vec![given(name, rows)]);
                    }
                }
            }
        }
        let mut all = Vec::new();
        for source in sources {
            let rows = self
                .some_rows(&format!("SELECT * FROM {source} LIMIT {ROWS}"))
                .await?;
            all.push(given(&source, rows));
        }
        Ok(all)
    }

    /// Good rows of a table over files, and a quarantined row of each kind, as far as it could be cut into fields.
    async fn rows_before_the_gate(&self, name: &TableName) -> Result<Vec<Row>> {
        let mut rows = self
            .some_rows(&format!("SELECT * FROM {name} LIMIT {ROWS}"))
            .await?;
        if self
            .lake()
            .await?
            .table(&name.quarantine())
            .await?
            .is_none()
        {
            return Ok(rows);
        }
        let held = format!(
            "SELECT fields, reasons FROM {} WHERE fields IS NOT NULL LIMIT {HELD}",
            name.quarantine()
        );
        let mut seen = BTreeSet::new();
        for mut row in self.some_rows(&held).await? {
            let kinds = row
                .get("reasons")
                .and_then(toml::Value::as_array)
                .map(|reasons| {
                    let kinds = reasons
                        .iter()
                        .filter_map(|reason| Some(reason.get("constraint")?.as_str()?.to_owned()));
                    kinds.collect::<Vec<_>>()
                });
            let Some(kinds) = kinds else { continue };
            // The row that has the key already is not among those given.
            if kinds.iter().any(|kind| kind == "duplicate_key") || !seen.insert(kinds) {
                continue;
            }
            if let Some(toml::Value::Table(fields)) = row.remove("fields") {
                rows.push(fields);
            }
        }
        Ok(rows)
    }

    async fn some_rows(&self, sql: &str) -> Result<Vec<Row>> {
        let batches: Vec<RecordBatch> = self.query(sql).await?.stream.try_collect().await?;
        rows_of(&batches)
    }

    /// The text of the case, with what the given rows come to as its expectation.
    async fn written_case(
        &self,
        catalog: &Catalog,
        name: &TableName,
        given: &[Given],
        path: &Path,
    ) -> Result<String> {
        let folder = tempfile::tempdir()
            .map_err(|source| PipelineError::file("making a folder for", path, source))?;
        let (inner, report) = self
            .run_given(catalog, given, path, folder.path(), vec![name.to_string()])
            .await?;
        if let Some(problem) = super::problem_of(&report) {
            return Err(PipelineError::Request(format!(
                "the given rows do not go through: {problem}"
            )));
        }
        let mut text = format!("name = \"what {name} makes of some rows\"\n");
        for given in given {
            write_rows(
                &mut text,
                "given",
                "table",
                &given.table,
                given.rows.as_deref().unwrap_or_default(),
            );
        }
        let rows = inner.some_rows(&format!("SELECT * FROM {name}")).await?;
        write_rows(&mut text, "expect", "table", &name.to_string(), &rows);
        if inner
            .lake()
            .await?
            .table(&name.quarantine())
            .await?
            .is_some()
        {
            let sql = format!(
                "SELECT line, reasons[0]['constraint'] AS reason FROM {}",
                name.quarantine()
            );
            let rows = inner.some_rows(&sql).await?;
            write_rows(&mut text, "expect", "query", &sql, &rows);
        }
        Ok(text)
    }
}

fn given(name: &TableName, rows: Vec<Row>) -> Given {
    Given {
        table: name.to_string(),
        rows: Some(rows),
        csv: None,
        json: None,
        file: None,
    }
}

/// Rows as TOML: integers and truths as such, nested values nested, all else as text, so that no digit is lost; a NULL
/// is a key that is not there.
fn rows_of(batches: &[RecordBatch]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for batch in batches {
        let text = as_text(batch)?;
        let mut lines = Vec::new();
        let mut writer = arrow::json::LineDelimitedWriter::new(&mut lines);
        writer.write(&text)?;
        writer.finish()?;
        for line in serde_json::Deserializer::from_slice(&lines).into_iter::<Row>() {
            let row = line.map_err(|error| {
                PipelineError::Request(format!("a row cannot be written as TOML: {error}"))
            })?;
            rows.push(row);
        }
    }
    Ok(rows)
}

/// The batch with what TOML cannot write exactly as text.
fn as_text(batch: &RecordBatch) -> Result<RecordBatch> {
    use arrow::datatypes::{DataType, Field, Schema};
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let kind = field.data_type();
        if kind.is_integer() || kind.is_nested() || *kind == DataType::Boolean {
            fields.push(field.as_ref().clone());
            columns.push(column.clone());
        } else {
            fields.push(Field::new(field.name(), DataType::Utf8, true));
            columns.push(arrow::compute::cast(column, &DataType::Utf8)?);
        }
    }
    Ok(RecordBatch::try_new(
        std::sync::Arc::new(Schema::new(fields)),
        columns,
    )?)
}

fn write_rows(text: &mut String, section: &str, key: &str, value: &str, rows: &[Row]) {
    let quoted = toml::Value::String(value.to_owned());
    let _ = write!(text, "\n[[{section}]]\n{key} = {quoted}\n");
    if rows.is_empty() {
        let _ = writeln!(
            text,
            "{} = {}",
            if section == "expect" { "count" } else { "rows" },
            if section == "expect" { "0" } else { "[]" }
        );
        return;
    }
    text.push_str("rows = [\n");
    for row in rows {
        let _ = writeln!(text, "  {},", toml::Value::Table(row.clone()));
    }
    text.push_str("]\n");
}

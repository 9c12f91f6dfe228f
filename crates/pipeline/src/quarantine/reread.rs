//! Reading a quarantined row's text again: what `--set "raw = …"` changed, or what could not be cut into fields before.
//!
//! The text goes through the same reader as the source's files, as a small file of its own, so that a row is cut the same
//! way wherever it stands.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, StringViewArray};
use tidegate_connect::{Discovered, FileEntry, Layout, Reading, Slice};
use tidegate_project::{RelationTarget, Table};
use tokio::runtime::Handle;

use crate::discovery::FileOptions;
use crate::error::{PipelineError, Result};
use crate::workspace::Workspace;

/// Reads single rows as the table's source would.
pub(super) struct Rereader {
    reading: Reading,
    header: Option<String>,
}

impl Rereader {
    /// The reader of a table whose rows come from lines of text; none for any other table.
    pub(super) async fn of(
        workspace: &Workspace,
        table: &Table,
        names: &[String],
    ) -> Result<Option<Self>> {
        let flows = workspace.project.flows_into(&table.name);
        for relation in flows.flat_map(|flow| &flow.query.relations) {
            let RelationTarget::Files {
                path,
                format,
                options,
                ..
            } = &relation.target
            else {
                continue;
            };
            let options = FileOptions::parse(format.as_deref(), options)?;
            let found = workspace
                .discoveries
                .of_path(&workspace.project.root, path, &options)
                .await?;
            let mut discovered = Discovered::clone(&found);
            let header = match &mut discovered.layout {
                Layout::Csv(dialect) => {
                    (dialect.header, dialect.skip_rows) = (1, 0);
                    let columns: Vec<&str> = discovered
                        .columns
                        .iter()
                        .map(|column| column.name.as_str())
                        .collect();
                    Some(columns.join(&dialect.delimiter))
                }
                Layout::Json(_) | Layout::Text => None,
                Layout::Typed => continue,
            };
            let reading = Reading::new(Arc::new(discovered), options.read, Some(names));
            return Ok(Some(Self { reading, header }));
        }
        Ok(None)
    }

    /// The fields of each text, by the wanted names; none for a text that still cannot be cut into them.
    pub(super) fn read(&self, texts: &[Option<&str>]) -> Result<Vec<Option<Vec<Option<String>>>>> {
        let folder = tempfile::tempdir().map_err(|source| {
            PipelineError::file("making a folder in", &std::env::temp_dir(), source)
        })?;
        let path = folder.path().join("rows");
        let starts = self
            .write(texts, &path)
            .map_err(|source| PipelineError::file("writing", &path, source))?;
        let file = Arc::new(FileEntry::local(&path)?);
        let mut found = vec![None; texts.len()];
        let mut line = 1;
        for piece in self.reading.pieces(Slice::whole(&file), Handle::current()) {
            let decoded = piece?.decode(0)?;
            let columns: Vec<StringViewArray> = decoded.batch.columns.columns()
                [..decoded.batch.extra]
                .iter()
                .map(|column| {
                    Ok(arrow::array::AsArray::as_string_view(&arrow::compute::cast(
                        column,
                        &arrow::datatypes::DataType::Utf8View,
                    )?)
                    .clone())
                })
                .collect::<Result<_>>()?;
            for (row, own) in decoded.batch.line.iter().enumerate() {
                let Ok(index) = starts.binary_search(&(line + u64::from(*own))) else {
                    continue;
                };
                let cells = columns
                    .iter()
                    .map(|column| column.is_valid(row).then(|| column.value(row).to_owned()));
                found[index] = Some(cells.collect());
            }
            line += decoded.lines;
        }
        Ok(found)
    }

    /// Writes the texts as lines; gives the line at which each begins.
    fn write(&self, texts: &[Option<&str>], path: &Path) -> std::io::Result<Vec<u64>> {
        let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
        let mut line = 1;
        if let Some(header) = &self.header {
            writeln!(out, "{header}")?;
            line += 1;
        }
        let mut starts = Vec::with_capacity(texts.len());
        for text in texts {
            let text = text.unwrap_or_default();
            starts.push(line);
            writeln!(out, "{text}")?;
            line += 1 + text.matches('\n').count() as u64;
        }
        out.flush()?;
        Ok(starts)
    }
}

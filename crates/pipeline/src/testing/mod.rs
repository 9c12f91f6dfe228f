//! `tidegate test`: given rows, expected rows.
//!
//! A case is the project itself with some tables fed by the given rows, run into a warehouse that lies in memory. Nothing
//! else is different: the same readers, gate, queries and commits. Cases run side by side.

mod case;
mod compare;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use futures::stream::StreamExt;
use futures::{TryStreamExt, stream};
use serde::Serialize;
use tidegate_project::{
    Column, Flow, FlowKind, Graph, Project, QuarantineLimits, RelationTarget, Table, TableKind,
    parse_query,
};

use crate::catalog::Catalog;
use crate::error::{PipelineError, Result};
use crate::events::Silent;
use crate::report::{Outcome, UpdateReport, UpdateStatus};
use crate::rows::CancelToken;
use crate::update::{UpdateRequest, Watch};
use crate::workspace::{OpenOptions, Workspace};
use case::{Case, Expect, Given, Written};

/// Which tests to run.
#[derive(Debug, Clone, Default)]
pub struct TestOptions {
    /// Only cases whose name or file contains this.
    pub filter: Option<String>,
}

/// What the tests came to.
#[derive(Debug, Clone, Serialize)]
pub struct TestReport {
    /// Every case, in the order of the files.
    pub cases: Vec<CaseReport>,
}

impl TestReport {
    /// How many cases failed.
    pub fn failed(&self) -> usize {
        self.cases
            .iter()
            .filter(|case| case.problem.is_some())
            .count()
    }
}

/// What one case came to.
#[derive(Debug, Clone, Serialize)]
pub struct CaseReport {
    /// The file, relative to the project.
    pub file: String,
    /// What the case shows.
    pub name: String,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Why it failed: a diff of rows, or an error; none when it passed.
    pub problem: Option<String>,
}

impl Workspace {
    /// Runs the project's tests.
    ///
    /// # Errors
    /// Mistakes in the project or in a test file; a case that fails is told in the report.
    pub async fn test(&self, options: &TestOptions) -> Result<TestReport> {
        self.refuse_mistakes()?;
        let catalog = Catalog::build(self).await?;
        catalog.refuse_mistakes()?;
        let mut cases = Vec::new();
        for file in test_files(&self.project.root.join("tests"))? {
            let shown = file
                .strip_prefix(&self.project.root)
                .unwrap_or(&file)
                .display()
                .to_string();
            for case in case::read(&file)? {
                let wanted = options
                    .filter
                    .as_ref()
                    .is_none_or(|part| case.name.contains(part) || shown.contains(part));
                if wanted {
                    cases.push((shown.clone(), file.clone(), case));
                }
            }
        }
        let runs = cases.into_iter().map(|(shown, file, case)| {
            let catalog = &catalog;
            async move {
                let started = Instant::now();
                let problem = match self.run_case(catalog, &file, &case).await {
                    Ok(problem) => problem,
                    Err(error) => Some(error.to_string()),
                };
                CaseReport {
                    file: shown,
                    name: case.name,
                    seconds: started.elapsed().as_secs_f64(),
                    problem,
                }
            }
        });
        let cases = stream::iter(runs).buffered(self.threads()).collect().await;
        Ok(TestReport { cases })
    }

    async fn run_case(
        &self,
        catalog: &Catalog,
        file: &Path,
        case: &Case,
    ) -> Result<Option<String>> {
        let folder = tempfile::tempdir()
            .map_err(|source| PipelineError::file("making a folder for", file, source))?;
        let tables = expected_tables(&self.project, case);
        let (inner, report) = self
            .run_given(catalog, &case.given, file, folder.path(), tables)
            .await?;
        if let Some(problem) = problem_of(&report) {
            return Ok(Some(problem));
        }
        for (number, expect) in case.expect.iter().enumerate() {
            if let Some(problem) = inner.hold(expect, file, folder.path(), number).await? {
                return Ok(Some(problem));
            }
        }
        Ok(None)
    }

    /// The project with given rows in it, run into a warehouse of its own in memory.
    async fn run_given(
        &self,
        catalog: &Catalog,
        given: &[Given],
        file: &Path,
        folder: &Path,
        tables: Vec<String>,
    ) -> Result<(Self, UpdateReport)> {
        let mut project = self.project.clone();
        for given in given {
            self.feed(&mut project, catalog, given, file, folder)?;
        }
        // A case holds a handful of rows, most of them bad on purpose: limits on their share mean nothing here.
        for table in &mut project.tables {
            table.quarantine = QuarantineLimits::default();
        }
        project.settings.warehouse = format!("memory:///{}", uuid::Uuid::new_v4());
        project.settings.store = Some("sqlite::memory:".to_owned());
        project.graph = Graph::new(&project.tables, &project.flows);
        let inner = Self::over(
            project,
            Vec::new(),
            &OpenOptions {
                threads: Some(1),
                ..OpenOptions::default()
            },
        );
        let watch = Watch {
            observer: Arc::new(Silent),
            cancel: CancelToken::default(),
        };
        let report = inner
            .update_unlocked(
                &UpdateRequest {
                    tables,
                    ..UpdateRequest::default()
                },
                watch,
            )
            .await?;
        Ok((inner, report))
    }

    /// Puts given rows in the place of what feeds a table.
    fn feed(
        &self,
        project: &mut Project,
        catalog: &Catalog,
        given: &Given,
        file: &Path,
        folder: &Path,
    ) -> Result<()> {
        let name = self.table_named(&given.table)?;
        let (path, format) = to_file(
            given.written(),
            file,
            folder,
            &format!("given-{}", name.name()),
        )?;
        let streaming = self
            .project
            .table(&name)
            .is_some_and(|table| table.kind == TableKind::StreamingTable);
        let stream = if streaming { "STREAM " } else { "" };
        let sql = format!(
            "SELECT * FROM {stream}read_files('{}', format => '{format}')",
            path.display().to_string().replace('\'', "''")
        );
        let query = parse_query(&mut project.files, "given rows", &sql)
            .map_err(PipelineError::Diagnostics)?;
        let Some(table) = project.tables.iter_mut().find(|table| table.name == name) else {
            return Ok(());
        };
        if let (true, Some(schema)) = (table.columns.is_empty(), catalog.schema(&name)) {
            table.columns = declared(table, &schema);
        }
        if let TableKind::View { .. } = table.kind {
            table.kind = TableKind::MaterializedView;
        }
        let kind = if streaming {
            FlowKind::Append {
                once: false,
                by_name: false,
            }
        } else {
            FlowKind::Complete
        };
        let flow = Flow {
            name: name.clone(),
            target: name.clone(),
            kind,
            query,
            configuration: Arc::default(),
            place: table.place,
            target_place: table.place,
        };
        project.flows.retain(|flow| flow.target != name);
        project.flows.push(flow);
        Ok(())
    }

    /// Compares what is there with what is expected; gives what differs.
    async fn hold(
        &self,
        expect: &Expect,
        file: &Path,
        folder: &Path,
        number: usize,
    ) -> Result<Option<String>> {
        let sql = match (&expect.query, &expect.table) {
            (Some(query), _) => query.clone(),
            (None, Some(table)) => format!("SELECT * FROM {table}"),
            (None, None) => return Ok(None),
        };
        let result = self.query(&sql).await?;
        let schema = Arc::clone(&result.schema);
        let found: Vec<RecordBatch> = result.stream.try_collect().await?;
        let count: usize = found.iter().map(RecordBatch::num_rows).sum();
        if let Some(expected) = expect.count
            && expected != count as u64
        {
            return Ok(Some(format!(
                "{sql}\n    {expected} rows expected, {count} found\n"
            )));
        }
        let Some(written) = expect.written() else {
            return Ok(None);
        };
        let (path, format) = to_file(written, file, folder, &format!("expected-{number}"))?;
        let (names, expected) = self
            .expected_rows(&path, format, &schema, expect.columns.as_deref())
            .await?;
        let found = compare::rows_of(&found, &names)?;
        let difference = compare::difference(&names, &expected, &found, expect.ordered);
        Ok(difference.map(|difference| format!("{sql}\n{difference}")))
    }

    /// Expected rows as text in the types of the result, and the columns to compare.
    async fn expected_rows(
        &self,
        path: &Path,
        format: &str,
        schema: &SchemaRef,
        columns: Option<&[String]>,
    ) -> Result<(Vec<String>, compare::Rows)> {
        let batches = self.read_as(path, format, schema).await?;
        let given = batches
            .first()
            .map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
        let names = match columns {
            Some(columns) => columns.to_vec(),
            None if batches.is_empty() => schema
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect(),
            None => given
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect(),
        };
        let rows = compare::rows_of(&batches, &names)?;
        Ok((names, rows))
    }
}

/// Why an update did not succeed, if it did not.
fn problem_of(report: &UpdateReport) -> Option<String> {
    if report.status == UpdateStatus::Succeeded {
        return None;
    }
    let failed = report.tables.iter().find_map(|table| match &table.outcome {
        Outcome::Failed { error } => Some(format!("{}: {error}", table.table)),
        _ => None,
    });
    Some(failed.unwrap_or_else(|| "the update did not succeed".to_owned()))
}

/// The columns of a table that declares none, as if it did.
fn declared(table: &Table, schema: &Schema) -> Vec<Column> {
    let fields = schema.fields().iter();
    let columns = fields.map(|field| Column {
        name: field.name().clone(),
        data_type: field.data_type().clone(),
        nullable: true,
        primary_key: false,
        comment: None,
        mask: None,
        place: table.place,
    });
    columns.collect()
}

/// The tables that the expectations look at, and no others: what lies below them may fail on rows made to be bad.
fn expected_tables(project: &Project, case: &Case) -> Vec<String> {
    let mut names = Vec::new();
    for expect in &case.expect {
        names.extend(
            expect
                .table
                .as_ref()
                .and_then(|table| project.resolve(table)),
        );
        let Some(query) = &expect.query else { continue };
        // A query with mistakes is told when it runs.
        let parsed = parse_query(&mut project.files.clone(), "expected rows", query);
        for relation in parsed.into_iter().flat_map(|query| query.relations) {
            if let RelationTarget::Table { name, .. } = relation.target {
                names.push(name);
            }
        }
    }
    let names = names
        .into_iter()
        .map(|name| name.quarantine_of().unwrap_or(name));
    names
        .filter(|name| project.table(name).is_some())
        .map(|name| name.to_string())
        .collect()
}

/// Written rows as a file, and its format.
fn to_file(
    written: Written<'_>,
    case: &Path,
    folder: &Path,
    name: &str,
) -> Result<(PathBuf, &'static str)> {
    let (text, format) = match written {
        Written::Rows(rows) => (case::to_json_lines(rows), "json"),
        Written::Csv(text) => (text.trim_start_matches('\n').to_owned(), "csv"),
        Written::Json(text) => (text.to_owned(), "json"),
        Written::File(path) => {
            let path = case.parent().unwrap_or(Path::new(".")).join(path);
            let format = if path.extension().is_some_and(|extension| extension == "csv") {
                "csv"
            } else {
                "json"
            };
            return Ok((path, format));
        }
    };
    let path = folder.join(format!("{name}.{format}"));
    std::fs::write(&path, text).map_err(|source| PipelineError::file("writing", &path, source))?;
    Ok((path, format))
}

/// The test files of a project, sorted.
fn test_files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder)
        .map_err(|source| PipelineError::file("listing", folder, source))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    Ok(files)
}

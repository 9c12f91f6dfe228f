//! Queries from outside the project: `tidegate query`, the shell, `quarantine show`, expected rows of a test.
//!
//! They see the tables as they are in the lake now, the views, the quarantines, files, and `system.*`.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use tidegate_gate::Stamp;
use tidegate_project::codes;
use tidegate_project::{
    Diagnostic, Place, Query, RelationTarget, SourceMap, TableName, parse_query,
};

use crate::catalog::Catalog;
use crate::error::{PipelineError, Result};
use crate::events::{Meter, Silent};
use crate::files::Rejects;
use crate::rows::CancelToken;
use crate::scan::{ScanContext, ScanTypes};
use crate::system;
use crate::update::{Update, Watch};
use crate::workspace::{Workspace, nearest};

/// The rows of a query, as they come.
pub struct QueryResult {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows, in batches.
    pub stream: SendableRecordBatchStream,
    rejects: Arc<Rejects>,
}

impl QueryResult {
    /// Rows of files that did not fit the files' own types and are therefore not in the result. Complete when the stream
    /// has ended.
    pub fn left_out(&self) -> u64 {
        self.rejects.counts().quarantined
    }
}

impl Workspace {
    /// Runs a query.
    ///
    /// # Errors
    /// [`PipelineError::Query`] for mistakes, with the texts their places point into; what reading or running meets.
    pub async fn query(&self, sql: &str) -> Result<QueryResult> {
        let mut files = self.project.files.clone();
        let parsed =
            parse_query(&mut files, "query", sql).map_err(|diagnostics| PipelineError::Query {
                diagnostics,
                files: Box::new(files.clone()),
            })?;
        self.run_query(&parsed, &files)
            .await
            .map_err(|error| error.in_query(&files))
    }

    async fn run_query(&self, query: &Query, files: &SourceMap) -> Result<QueryResult> {
        let update = self.reading(query).await?;
        let rejects = Arc::new(Rejects::default());
        let scan = ScanContext {
            stamp: Arc::new(Stamp {
                flow: "query".into(),
                run: "".into(),
                epoch: 0,
                time_micros: 0,
            }),
            meter: Arc::new(Meter::default()),
            rejects: Arc::clone(&rejects),
            types: ScanTypes::Discovered,
            workers: self.threads(),
            cancel: CancelToken::default(),
        };
        let reads = update.plan_reads(query, &Default::default()).await?;
        let bindings = update.bind(query, "", &reads, &scan).await?;
        let engine = self.engine()?;
        let planned = engine.plan(query, &bindings, files)?;
        let stream = engine.execute(&planned).await?;
        Ok(QueryResult {
            schema: Arc::clone(planned.schema()),
            stream,
            rejects,
        })
    }

    /// What a query needs to see of the project. Its flows are planned only if the query names a table that has no rows
    /// yet, so that asking for stored rows stays quick in a large project.
    async fn reading(&self, query: &Query) -> Result<Update<'_>> {
        let watch = Watch {
            observer: Arc::new(Silent),
            cancel: CancelToken::default(),
        };
        let mut update = Update::over(self, Catalog::default(), watch);
        let mut missing = Vec::new();
        for leaf in update.leaves(query, "", false) {
            let RelationTarget::Table { name, .. } = &leaf.relation.target else {
                continue;
            };
            if system::schema(name).is_none() && self.lake().await?.table(name).await?.is_none() {
                missing.push((name.clone(), leaf.relation.place));
            }
        }
        if !missing.is_empty() {
            update.catalog = Arc::new(Catalog::build(self).await?);
        }
        let unknown = missing
            .iter()
            .filter(|(name, _)| update.catalog.schema(name).is_none());
        let mistakes: Vec<Diagnostic> = unknown
            .map(|(name, place)| self.unknown_table(name, *place))
            .collect();
        if mistakes.is_empty() {
            Ok(update)
        } else {
            Err(PipelineError::Diagnostics(mistakes))
        }
    }

    fn unknown_table(&self, name: &TableName, place: Place) -> Diagnostic {
        if self.project.table(name).is_some() {
            let message = format!("table `{name}` has no rows and its columns are not known yet");
            return Diagnostic::error(codes::UNKNOWN_TABLE, message)
                .at(place, "nothing was written to it")
                .help(format!("run `tidegate run {name}` first"));
        }
        let diagnostic =
            Diagnostic::error(codes::UNKNOWN_TABLE, format!("there is no table `{name}`"))
                .at(place, "not a table, view or file");
        let names = self.names().into_iter().chain(system::names()).collect();
        match nearest(&name.to_string(), names) {
            Some(nearest) => diagnostic.help(format!("did you mean `{nearest}`?")),
            None => diagnostic
                .help("files are read with read_files('path') or, for example, csv.`path`"),
        }
    }

    /// The columns of a table, view, quarantine or system table.
    ///
    /// # Errors
    /// [`PipelineError::UnknownTable`]; or that its columns are not known yet.
    pub async fn describe(&self, name: &str) -> Result<SchemaRef> {
        let unknown = || PipelineError::UnknownTable {
            name: name.to_owned(),
            nearest: nearest(name, self.names()),
        };
        let resolved = self.project.resolve(name).ok_or_else(unknown)?;
        if let Some(schema) = system::schema(&resolved) {
            return Ok(schema);
        }
        let catalog = Catalog::build(self).await?;
        if let Some(schema) = catalog.schema(&resolved) {
            return Ok(schema);
        }
        match self.lake().await?.table(&resolved).await? {
            Some(table) => Ok(table.schema()),
            None => Err(unknown()),
        }
    }
}

//! Looking at data before there is a contract: `tidegate profile` and `tidegate infer`, and reading a file in given types.
//!
//! Files go the way of every row ([`crate::rows`]), with a gate that asks for text where the format has no types of its
//! own: a profile must see what is written, not what a reader made of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use tidegate_connect::Slice;
use tidegate_gate::Stamp;
use tidegate_gate::infer::{InferOptions, SqlOptions, infer};
use tidegate_gate::profile::{Profile, ProfileOptions, Profiler};

use crate::discovery::{Discoveries, FileOptions};
use crate::error::{PipelineError, Result};
use crate::events::Meter;
use crate::files::Rejects;
use crate::rows::CancelToken;
use crate::scan::{FileTable, LeafFiles, Origin, ScanContext, ScanTypes};

use crate::workspace::Workspace;

/// Rows of a sample that a contract is inferred from.
const SAMPLE_ROWS: usize = 200_000;

impl Workspace {
    /// Profiles a file, a folder, a pattern or a table.
    ///
    /// # Errors
    /// When it is neither, or cannot be read.
    pub async fn profile(
        &self,
        target: &str,
        options: &BTreeMap<String, String>,
    ) -> Result<Profile> {
        let mut profiler = Profiler::new(ProfileOptions::default());
        let mut stream = match self.table_stream(target).await? {
            Some(stream) => stream,
            None => {
                self.file_stream(&[target.to_owned()], ScanTypes::Written, options)
                    .await?
            }
        };
        while let Some(batch) = stream.try_next().await? {
            let pushed = profiler.push(&batch);
            pushed.map_err(|error| {
                PipelineError::Request(format!("`{target}` cannot be profiled: {error}"))
            })?;
        }
        Ok(profiler.finish())
    }

    /// Infers the declaration of a table from files, with the evidence as comments.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn infer(
        &self,
        paths: &[String],
        name: &str,
        options: &BTreeMap<String, String>,
    ) -> Result<String> {
        let mut stream = self.file_stream(paths, ScanTypes::Written, options).await?;
        let path = match paths {
            [one] => one.clone(),
            several => format!("{{{}}}", several.join(",")),
        };
        let mut sample: Vec<RecordBatch> = Vec::new();
        let mut rows = 0;
        while let Some(batch) = stream.try_next().await? {
            rows += batch.num_rows();
            sample.push(batch);
            if rows >= SAMPLE_ROWS {
                break;
            }
        }
        if rows == 0 {
            return Err(PipelineError::Request(format!(
                "{path}: there are no rows to infer a contract from"
            )));
        }
        let refused = |error: &dyn std::fmt::Display| {
            PipelineError::Request(format!("no contract can be inferred: {error}"))
        };
        let contract = infer(&sample, &InferOptions::default()).map_err(|error| refused(&error))?;
        let options = SqlOptions {
            table: name.to_owned(),
            path,
            format: options.get("format").cloned(),
            options: options
                .iter()
                .filter(|(name, _)| *name != "format")
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        };
        Ok(contract.to_sql(&options))
    }

    /// The rows of a stored table; none when the project has no such table.
    async fn table_stream(&self, name: &str) -> Result<Option<SendableRecordBatchStream>> {
        let Some(resolved) = self.project.resolve(name) else {
            return Ok(None);
        };
        let Some(table) = self.lake().await?.table(&resolved).await? else {
            if self.project.table(&resolved).is_some() {
                let sql = format!("SELECT * FROM {name}");
                return Ok(Some(self.query(&sql).await?.stream));
            }
            return Ok(None);
        };
        let state = self.engine()?.session_state();
        let plan = table.provider().scan(&state, None, &[], None).await?;
        Ok(Some(execute_stream(plan, state.task_ctx())?))
    }

    /// The rows of files in the types asked for.
    pub(crate) async fn file_stream(
        &self,
        paths: &[String],
        types: ScanTypes,
        options: &BTreeMap<String, String>,
    ) -> Result<SendableRecordBatchStream> {
        let options = FileOptions::given(options)?;
        let mut files = Vec::new();
        for path in paths {
            files.extend(tidegate_connect::list(&self.project.root, path, &options.read).await?);
        }
        let discovered = Discoveries::of_files(&files, &options).await?;
        let slices = files
            .into_iter()
            .map(|file| Slice::whole(&Arc::new(file)))
            .collect();
        let scan = ScanContext {
            stamp: Arc::new(Stamp {
                flow: "inspect".into(),
                run: "".into(),
                epoch: 0,
                time_micros: 0,
            }),
            meter: Arc::new(Meter::default()),
            rejects: Arc::new(Rejects::default()),
            types,
            workers: self.threads(),
            cancel: CancelToken::default(),
        };
        let files = LeafFiles {
            options,
            discovered,
            origin: Origin::Slices(Arc::new(slices)),
        };
        let table = FileTable::new(files, scan);
        let state = self.engine()?.session_state();
        let own = table.own_columns();
        let plan = table.scan(&state, Some(&own), &[], None).await?;
        Ok(execute_stream(plan, state.task_ctx())?)
    }

    /// The rows of a file in the types that columns of the same name have in `schema`; other columns are text.
    pub(crate) async fn read_as(
        &self,
        path: &std::path::Path,
        format: &str,
        schema: &SchemaRef,
    ) -> Result<Vec<RecordBatch>> {
        if std::fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0) {
            return Ok(Vec::new());
        }
        let types = ScanTypes::Of(Arc::clone(schema));
        let options = BTreeMap::from([("format".to_owned(), format.to_owned())]);
        let stream = self
            .file_stream(&[path.display().to_string()], types, &options)
            .await?;
        Ok(stream.try_collect().await?)
    }
}

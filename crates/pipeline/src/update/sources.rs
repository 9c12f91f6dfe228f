//! What a flow reads: every file and table at the ends of its query, views seen through, pinned in its intent, and bound
//! to the query when it runs.
//!
//! A *leaf* is a relation that is not a view. Its path is the chain of bindings that leads to it (`__r0`, or `__r1/__r0`
//! through a view); intents and positions are kept under that path.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::ViewTable;
use datafusion::datasource::empty::EmptyTable;
use futures::future::BoxFuture;
use tidegate_connect::{ConnectError, Discovered, FileEntry, Format, Reading, Slice};
use tidegate_engine::Bindings;
use tidegate_gate::{Contract, ContractColumn, Gate, GateOptions, Stamp};
use tidegate_lake::{AsOf, FileRead, Intent, LakeTable, Positions, TableRead};
use tidegate_project::{Query, Relation, RelationTarget, TableKind, TableName};

use super::Update;
use super::positions::{self, FilePlan};
use crate::asof;
use crate::catalog::storable;
use crate::discovery::{Discoveries, FileOptions, repair_layout, schema_of};
use crate::error::{PipelineError, Result};
use crate::events::Meter;
use crate::files::{FileScan, POSITION, RAW, Rejects};
use crate::rows::{CancelToken, Shape};
use crate::system;

/// A relation at the end of a query.
pub(crate) struct Leaf<'p> {
    pub(crate) path: String,
    pub(crate) relation: &'p Relation,
    pub(crate) streaming: bool,
}

/// Files of a leaf, understood.
#[derive(Clone)]
pub(crate) struct LeafFiles {
    pub(crate) options: FileOptions,
    pub(crate) discovered: Arc<Discovered>,
    pub(crate) slices: Arc<Vec<Slice>>,
}

/// What one epoch reads.
#[derive(Default)]
pub(crate) struct Reads {
    pub(crate) files: BTreeMap<String, LeafFiles>,
    pub(crate) file_reads: Vec<FileRead>,
    pub(crate) table_reads: Vec<TableRead>,
    pub(crate) notes: Vec<String>,
    /// A leaf that has no version and may always have moved, such as `system.runs`.
    pub(crate) unversioned: bool,
}

impl Reads {
    /// The bytes of all slices.
    pub(crate) fn bytes(&self) -> u64 {
        self.files
            .values()
            .flat_map(|files| files.slices.iter())
            .map(|slice| slice.to - slice.from)
            .sum()
    }

    /// How many files are read.
    pub(crate) fn file_count(&self) -> u64 {
        self.files
            .values()
            .map(|files| files.slices.len() as u64)
            .sum()
    }

    /// Whether it reads exactly what the positions say was read: then the result is the same.
    pub(crate) fn unmoved(&self, positions: &Positions) -> bool {
        let tables = self.table_reads.iter().all(|read| {
            let position = positions.tables.get(&read.relation);
            position.is_some_and(|position| {
                position.table == read.table && position.version == read.until
            })
        });
        let files = self.file_reads.iter().all(|read| {
            let position = positions.file(&read.relation, &read.path);
            position.is_some_and(|position| {
                position.size == read.size && position.modified_ms == read.modified_ms
            })
        });
        let known_files: usize = positions.files.values().map(BTreeMap::len).sum();
        !self.unversioned
            && tables
            && files
            && self.table_reads.len() == positions.tables.len()
            && self.file_reads.len() == known_files
    }
}

impl<'w> Update<'w> {
    /// The leaves of a query.
    pub(crate) fn leaves<'p>(
        &self,
        query: &'p Query,
        prefix: &str,
        streaming: bool,
    ) -> Vec<Leaf<'p>>
    where
        'w: 'p,
    {
        let mut leaves = Vec::new();
        for relation in &query.relations {
            let path = format!("{prefix}{}", relation.binding);
            let streaming = streaming || relation.streaming;
            match self.view_query(relation) {
                Some(inner) => leaves.extend(self.leaves(inner, &format!("{path}/"), streaming)),
                None => leaves.push(Leaf {
                    path,
                    relation,
                    streaming,
                }),
            }
        }
        leaves
    }

    /// The query of the view that a relation names; none for anything else.
    fn view_query(&self, relation: &Relation) -> Option<&'w Query> {
        let RelationTarget::Table { name, .. } = &relation.target else {
            return None;
        };
        let project = &self.workspace.project;
        let table = project.table(name)?;
        match table.kind {
            TableKind::View { .. } => project
                .flows_into(&table.name)
                .next()
                .map(|flow| &flow.query),
            _ => None,
        }
    }

    /// Everything there is to read now: what is new for streaming leaves, all for the others.
    pub(crate) async fn plan_reads(&self, query: &Query, positions: &Positions) -> Result<Reads> {
        let mut reads = Reads::default();
        for leaf in self.leaves(query, "", false) {
            match &leaf.relation.target {
                RelationTarget::Table { name, as_of } => {
                    if system::schema(name).is_some() {
                        reads.unversioned = true;
                        continue;
                    }
                    let Some(table) = self.stored(name).await? else {
                        continue;
                    };
                    let table = match as_of {
                        Some(as_of) => table.at(asof::resolve(as_of)?).await?,
                        None => table,
                    };
                    let after = positions
                        .tables
                        .get(&leaf.path)
                        .map(|position| position.version);
                    reads.table_reads.push(TableRead {
                        relation: leaf.path,
                        table: table.name().key(),
                        after: after.filter(|_| leaf.streaming),
                        until: table.version(),
                    });
                }
                RelationTarget::Files {
                    path,
                    format,
                    options,
                    ..
                } => {
                    let options = FileOptions::parse(format.as_deref(), options)?;
                    let files = self.list(path, &options, leaf.streaming).await?;
                    if files.is_empty() {
                        continue;
                    }
                    let discovered = Discoveries::of_files(&files, &options).await?;
                    let known = if leaf.streaming {
                        positions
                    } else {
                        &Positions::default()
                    };
                    let FilePlan {
                        slices,
                        reads: file_reads,
                        notes,
                    } = positions::unread(&leaf.path, &files, known, &discovered);
                    reads.file_reads.extend(file_reads);
                    reads.notes.extend(notes);
                    reads.files.insert(
                        leaf.path,
                        LeafFiles {
                            options,
                            discovered,
                            slices: Arc::new(slices),
                        },
                    );
                }
            }
        }
        Ok(reads)
    }

    /// The reads of an intent that must be done again exactly.
    ///
    /// # Errors
    /// When a file of it is gone or shorter than it was.
    pub(crate) async fn reads_again(&self, query: &Query, intent: &Intent) -> Result<Reads> {
        let mut reads = Reads {
            file_reads: intent.files.clone(),
            table_reads: intent.tables.clone(),
            ..Reads::default()
        };
        for leaf in self.leaves(query, "", false) {
            let RelationTarget::Files {
                path,
                format,
                options,
                ..
            } = &leaf.relation.target
            else {
                continue;
            };
            let options = FileOptions::parse(format.as_deref(), options)?;
            let files = self.list(path, &options, true).await?;
            let slices = positions::again(&intent.files, &leaf.path, &files).map_err(|gone| {
                PipelineError::Request(format!(
                    "{gone} was being read when an earlier run was killed, and is no longer as it was; put it back and run again, or read everything anew with --full-refresh"
                ))
            })?;
            let discovered = Discoveries::of_files(&files, &options).await?;
            reads.files.insert(
                leaf.path,
                LeafFiles {
                    options,
                    discovered,
                    slices: Arc::new(slices),
                },
            );
        }
        Ok(reads)
    }

    /// The files of a path. For a stream, a folder or pattern without files is no mistake: they will come.
    async fn list(
        &self,
        path: &str,
        options: &FileOptions,
        streaming: bool,
    ) -> Result<Vec<FileEntry>> {
        match tidegate_connect::list(&self.workspace.project.root, path, &options.read).await {
            Err(ConnectError::NoFiles { .. }) if streaming => Ok(Vec::new()),
            listed => Ok(listed?),
        }
    }

    async fn stored(&self, name: &TableName) -> Result<Option<LakeTable>> {
        Ok(self.workspace.lake().await?.table(name).await?)
    }

    /// Binds a query to what its epoch reads.
    pub(crate) fn bind<'a>(
        &'a self,
        query: &'a Query,
        prefix: &'a str,
        reads: &'a Reads,
        scan: &'a ScanContext,
    ) -> BoxFuture<'a, Result<Bindings>> {
        Box::pin(async move {
            let mut bindings = Bindings::new();
            for relation in &query.relations {
                let path = format!("{prefix}{}", relation.binding);
                let mut hidden = Vec::new();
                let provider: Arc<dyn TableProvider> =
                    match (&relation.target, self.view_query(relation)) {
                        (_, Some(inner)) => {
                            let inner_bindings =
                                self.bind(inner, &format!("{path}/"), reads, scan).await?;
                            let workspace = self.workspace;
                            let planned = workspace.engine()?.plan(
                                inner,
                                &inner_bindings,
                                workspace.files(),
                            )?;
                            Arc::new(ViewTable::new(planned.logical_plan().clone(), None))
                        }
                        (RelationTarget::Table { name, .. }, None) => {
                            self.bind_table(name, &path, reads).await?
                        }
                        (RelationTarget::Files { .. }, None) => {
                            hidden.extend(scan.with_position.then(|| POSITION.to_owned()));
                            self.bind_files(relation, &path, reads, scan)?
                        }
                    };
                bindings.bind_hiding(&relation.binding, provider, relation.describe(), hidden);
            }
            Ok(bindings)
        })
    }

    async fn bind_table(
        &self,
        name: &TableName,
        path: &str,
        reads: &Reads,
    ) -> Result<Arc<dyn TableProvider>> {
        if system::schema(name).is_some() {
            return system::provider(self.workspace, name).await;
        }
        let read = reads.table_reads.iter().find(|read| read.relation == path);
        let (Some(read), Some(table)) = (read, self.stored(name).await?) else {
            let schema = self
                .catalog
                .schema(name)
                .ok_or_else(|| PipelineError::UnknownTable {
                    name: name.to_string(),
                    nearest: None,
                })?;
            return Ok(Arc::new(EmptyTable::new(schema)));
        };
        let table = table.at(AsOf::Version(read.until)).await?;
        match read.after {
            Some(after) => Ok(table.appended_since(after).await?.provider()),
            None => Ok(table.provider()),
        }
    }

    fn bind_files(
        &self,
        relation: &Relation,
        path: &str,
        reads: &Reads,
        scan: &ScanContext,
    ) -> Result<Arc<dyn TableProvider>> {
        let Some(files) = reads.files.get(path) else {
            return Err(PipelineError::Request(format!(
                "{}: there are no files yet, so its columns are not known; declare the table's columns, or put a file there",
                relation.describe()
            )));
        };
        scan.files(files, self.workspace.threads(), &self.watch.cancel)
    }
}

/// How the files of a query are scanned.
pub(crate) struct ScanContext {
    pub(crate) stamp: Arc<Stamp>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) rejects: Arc<Rejects>,
    pub(crate) with_position: bool,
    pub(crate) types: ScanTypes,
}

/// In which types the columns of files are given to a query.
#[derive(Clone)]
pub(crate) enum ScanTypes {
    /// As discovered.
    Discovered,
    /// As written: text, but for formats that have types of their own.
    Written,
    /// As the columns of the same name are here; others as written.
    Of(SchemaRef),
}

impl ScanTypes {
    fn of(&self, field: &Field, typed: bool) -> Field {
        let written = if typed {
            field.clone()
        } else {
            field.clone().with_data_type(DataType::Utf8View)
        };
        match self {
            Self::Discovered => field.clone(),
            Self::Written => written,
            Self::Of(schema) => {
                let known = schema
                    .fields()
                    .iter()
                    .find(|known| known.name().eq_ignore_ascii_case(field.name()));
                known.map_or(written, |known| {
                    field.clone().with_data_type(known.data_type().clone())
                })
            }
        }
    }
}

impl ScanContext {
    /// Files as a table of their own columns.
    pub(crate) fn files(
        &self,
        files: &LeafFiles,
        workers: usize,
        cancel: &CancelToken,
    ) -> Result<Arc<dyn TableProvider>> {
        let reading = Reading::new(
            Arc::clone(&files.discovered),
            Arc::clone(&files.options.read),
            None,
        );
        let scan = FileScan {
            reading: Arc::new(reading),
            slices: Arc::clone(&files.slices),
            shape: Arc::new(Shape {
                layout: repair_layout(&files.discovered, &files.options),
                names: None,
            }),
            gate: Arc::new(self.gate(files)?),
            stamp: Arc::clone(&self.stamp),
            meter: Arc::clone(&self.meter),
            cancel: cancel.clone(),
            workers,
            with_position: self.with_position,
            rejects: Arc::clone(&self.rejects),
        };
        scan.provider()
    }

    /// A gate that asks for nothing but the files' own types.
    fn gate(&self, files: &LeafFiles) -> Result<Gate> {
        let schema = schema_of(&files.discovered);
        let typed = matches!(files.discovered.format, Format::Parquet | Format::Avro);
        let own = schema
            .fields()
            .iter()
            .map(|field| storable(&self.types.of(field, typed)));
        let mut columns: Vec<ContractColumn> = own
            .map(|field| ContractColumn::new(field.name(), field.data_type().clone(), true))
            .collect();
        if self.with_position {
            columns.push(ContractColumn::new(RAW, DataType::Utf8View, true));
        }
        let contract = Contract {
            columns,
            key: Vec::new(),
            coercion: files.options.coercion.clone(),
        };
        let options = GateOptions {
            repair: files.options.repair,
            positions: self.with_position,
            ..GateOptions::default()
        };
        Ok(Gate::new(contract, Vec::new(), options)?)
    }
}

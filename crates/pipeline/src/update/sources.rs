//! What a flow reads: every file and table at the ends of its query, views seen through, pinned in its intent, and bound
//! to the query when it runs.
//!
//! A *leaf* is a relation that is not a view. Its path is the chain of bindings that leads to it (`__r0`, or `__r1/__r0`
//! through a view); intents and positions are kept under that path.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::ViewTable;
use datafusion::datasource::empty::EmptyTable;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tidegate_connect::live::Start;
use tidegate_connect::{ConnectError, FileEntry};
use tidegate_engine::{Bindings, Planned};
use tidegate_lake::{AsOf, FileRead, LakeTable, Offsets, Positions, TableRead, change_schema};
use tidegate_project::{Query, RecordSource, Relation, RelationTarget, TableKind, TableName};

use super::Update;
use super::positions::{self, FilePlan};
use crate::asof;
use crate::discovery::{Discoveries, FileOptions};
use crate::error::{PipelineError, Result};
use crate::records::{RecordsOrigin, Until, kind_of, positions_of};
use crate::scan::{FileTable, LeafFiles, Origin, ScanContext};
use crate::system;

/// A relation at the end of a query.
pub(crate) struct Leaf<'p> {
    pub(crate) path: String,
    /// Its binding in the plan of the whole query: the path with one sign for another.
    pub(crate) binding: String,
    pub(crate) relation: &'p Relation,
    pub(crate) streaming: bool,
}

impl<'p> Leaf<'p> {
    /// A relation of the query itself.
    pub(crate) fn of(relation: &'p Relation) -> Self {
        Self {
            path: relation.binding.clone(),
            binding: relation.binding.clone(),
            streaming: relation.streaming,
            relation,
        }
    }
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
            .flat_map(|files| files.slices())
            .map(|slice| slice.to - slice.from)
            .sum()
    }

    /// How many files are read.
    pub(crate) fn file_count(&self) -> u64 {
        self.files
            .values()
            .map(|files| files.slices().len() as u64)
            .sum()
    }

    /// What live sources told while they were read.
    pub(crate) fn told(&self) -> Vec<String> {
        let origins = self.files.values().filter_map(|files| match &files.origin {
            Origin::Records(origin) => Some(origin),
            Origin::Slices(_) => None,
        });
        origins.flat_map(RecordsOrigin::notes).collect()
    }

    /// How far live sources were read, by relation.
    pub(crate) fn offsets(&self) -> Offsets {
        let records = self.files.iter().filter_map(|(path, files)| {
            let Origin::Records(origin) = &files.origin else {
                return None;
            };
            Some((path.clone(), origin.offsets()))
        });
        records.collect()
    }

    /// Where live sources began with partitions that were not read before, by relation.
    pub(crate) fn began(&self, known: &Positions) -> Offsets {
        let records = self.files.iter().filter_map(|(path, files)| {
            let Origin::Records(origin) = &files.origin else {
                return None;
            };
            let mut began = origin.began();
            began.retain(|partition, _| known.offset(path, partition).is_none());
            (!began.is_empty()).then(|| (path.clone(), began))
        });
        records.collect()
    }

    /// Whether a relation that is read as a whole is known to be as the positions say it was; that of files may be without
    /// being known to be.
    pub(crate) fn is_as_known(&self, relation: &str, positions: &Positions) -> bool {
        let read = self
            .table_reads
            .iter()
            .find(|read| read.relation == relation);
        read.is_some_and(|read| is_table_known(read, positions))
    }

    /// Whether it reads exactly what the positions say was read: then the result is the same.
    pub(crate) fn unmoved(&self, positions: &Positions) -> bool {
        let mut tables = self.table_reads.iter();
        let tables = tables.all(|read| is_table_known(read, positions));
        let mut files = self.file_reads.iter();
        let files = files.all(|read| is_file_known(read, positions));
        let known_files: usize = positions.files.values().map(BTreeMap::len).sum();
        let live = self
            .files
            .values()
            .any(|files| files.options.live.is_some());
        !self.unversioned
            && !live
            && tables
            && files
            && self.table_reads.len() == positions.tables.len()
            && self.file_reads.len() == known_files
    }
}

/// Whether a file is as the positions say it was read.
pub(crate) fn is_file_known(read: &FileRead, positions: &Positions) -> bool {
    let position = positions.file(&read.relation, &read.path);
    position.is_some_and(|position| {
        position.size == read.size && position.modified_ms == read.modified_ms
    })
}

/// Whether a table is at the version that the positions say was read.
fn is_table_known(read: &TableRead, positions: &Positions) -> bool {
    let position = positions.tables.get(&read.relation);
    position.is_some_and(|position| position.table == read.table && position.version == read.until)
}

/// The binding of a path.
fn binding_of(path: &str) -> String {
    path.replace('/', "_")
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
                    binding: binding_of(&path),
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
            if let Some((source, options)) = self.live(leaf.relation)? {
                let files = self.plan_records(&leaf, source, options, positions).await?;
                reads.files.insert(leaf.path, files);
                continue;
            }
            match &leaf.relation.target {
                RelationTarget::Table {
                    name,
                    as_of,
                    changes,
                } => {
                    if system::schema(name).is_some() {
                        reads.unversioned = true;
                        continue;
                    }
                    let hub = self.round.as_ref().filter(|_| leaf.streaming && !changes);
                    let hub = hub.and_then(|round| round.hubs.get(&name.key()));
                    let base = hub.map(|hub| hub.base);
                    let stored = match base {
                        // Its rows are all handed on in this round.
                        Some(None) => None,
                        Some(Some(_)) | None => self.stored(name).await?,
                    };
                    let Some(table) = stored else {
                        continue;
                    };
                    let table = match base.flatten() {
                        Some(version) => table.at(AsOf::Version(version)).await?,
                        None => table,
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
                RelationTarget::Records { .. } => {}
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
                            origin: Origin::Slices(Arc::new(slices)),
                        },
                    );
                }
            }
        }
        Ok(reads)
    }

    /// The live source that a relation names, with its options; none for anything else.
    pub(crate) fn live(&self, relation: &Relation) -> Result<Option<(RecordSource, FileOptions)>> {
        self.workspace.live(relation)
    }

    /// Opens a live source where the last epoch ended, or finds it open from the epoch before.
    async fn plan_records(
        &self,
        leaf: &Leaf<'_>,
        source: RecordSource,
        options: FileOptions,
        positions: &Positions,
    ) -> Result<LeafFiles> {
        let mut options = options;
        if let (Some(_), Some(live)) = (self.texts, &mut options.live) {
            // Who watches wants what comes, unless the query says where to begin.
            let start = [
                "startingoffsets",
                "startingtimestamp",
                "startingoffsetsbytimestamp",
            ];
            let said = match &leaf.relation.target {
                RelationTarget::Records { options, .. } => options
                    .keys()
                    .any(|name| start.contains(&name.to_ascii_lowercase().as_str())),
                RelationTarget::Table { .. } | RelationTarget::Files { .. } => false,
            };
            if !said {
                live.start = Start::Latest;
            }
        }
        let known = match positions.offsets.get(&leaf.path) {
            Some(offsets) if leaf.streaming => positions_of(offsets),
            _ => Default::default(),
        };
        let kept = self.round.as_ref().map(|round| &round.kept.sources);
        let place = format!("{}\u{0}{}", self.flow_place(leaf), leaf.path);
        let open = kept.and_then(|kept| kept.lock().remove(&place));
        let open = open.filter(|open| open.lock().reached == known);
        let discovered = self
            .workspace
            .discoveries
            .of_records(self.workspace, &source, &options);
        let discovered = discovered.await?;
        let open = match open {
            Some(open) => open,
            None => {
                let (project, source, options) =
                    (self.workspace.opener(), source.clone(), options.clone());
                let opened = tokio::task::spawn_blocking(move || {
                    project.open_records(&source, &options, known)
                });
                let opened = opened.await.map_err(|_| PipelineError::Worker)??;
                Arc::new(Mutex::new(opened))
            }
        };
        if let Some(kept) = kept {
            kept.lock().insert(place, Arc::clone(&open));
        }
        let until = match &self.round {
            Some(round) => Until::Moment(round.deadline),
            None => {
                let open = Arc::clone(&open);
                let ends = tokio::task::spawn_blocking(move || open.lock().source.partitions());
                Until::Ends(ends.await.map_err(|_| PipelineError::Worker)??)
            }
        };
        let format = options.live.as_ref().map(|live| live.format);
        let codec = open.lock().codec.clone();
        let origin = RecordsOrigin {
            kind: kind_of(&source),
            format: format.unwrap_or_default(),
            codec,
            open,
            until,
            cancel: match &self.round {
                Some(round) => round.stop.clone(),
                None => self.watch.cancel.clone(),
            },
        };
        Ok(LeafFiles {
            options,
            discovered,
            origin: Origin::Records(origin),
        })
    }

    /// Where in the project a relation stands.
    fn flow_place(&self, leaf: &Leaf<'_>) -> String {
        self.files().locate(leaf.relation.place)
    }

    /// The files of a path. For a stream, a folder or pattern without files is no mistake: they will come.
    pub(super) async fn list(
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
                let path = match prefix.is_empty() {
                    true => relation.binding.clone(),
                    false => {
                        let own = relation.binding.strip_prefix(&binding_of(prefix));
                        format!("{prefix}{}", own.unwrap_or(&relation.binding))
                    }
                };
                let mut hidden = Vec::new();
                let provider: Arc<dyn TableProvider> =
                    match (&relation.target, self.view_query(relation)) {
                        _ if reads.files.contains_key(&path) => {
                            let table = self.bind_files(relation, &path, reads, scan)?;
                            hidden = table.hidden();
                            Arc::new(table)
                        }
                        (_, Some(inner)) => {
                            let prefix = format!("{path}/");
                            let inner = inner.rebound(&binding_of(&prefix));
                            let bound = self.bind_view(&inner, &prefix, reads, scan).await?;
                            // Who looks at the whole plan asks for what its scans read.
                            for (name, inner) in bound.bindings().iter() {
                                let provider = Arc::clone(&inner.provider);
                                let hidden = inner.hidden.clone();
                                bindings.bind_hiding(name, provider, &inner.display, hidden);
                            }
                            Arc::new(ViewTable::new(bound.logical_plan().clone(), None))
                        }
                        (RelationTarget::Table { name, changes, .. }, None) => {
                            self.bind_table(name, *changes, &path, reads).await?
                        }
                        (RelationTarget::Files { .. } | RelationTarget::Records { .. }, None) => {
                            Arc::new(self.bind_files(relation, &path, reads, scan)?)
                        }
                    };
                bindings.bind_hiding(&relation.binding, provider, relation.describe(), hidden);
            }
            Ok(bindings)
        })
    }

    /// The plan of a view in a query.
    async fn bind_view(
        &self,
        view: &Query,
        prefix: &str,
        reads: &Reads,
        scan: &ScanContext,
    ) -> Result<Planned> {
        let bindings = self.bind(view, prefix, reads, scan).await?;
        let workspace = self.workspace;
        Ok(workspace.engine()?.plan(view, &bindings, self.files())?)
    }

    /// Binds a table of the project to what its epoch reads of it: all rows, new ones, or `changes`.
    pub(crate) async fn bind_table(
        &self,
        name: &TableName,
        changes: bool,
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
            let schema = match changes {
                true => change_schema(&schema),
                false => schema,
            };
            return Ok(Arc::new(EmptyTable::new(schema)));
        };
        let table = table.at(AsOf::Version(read.until)).await?;
        if changes {
            let key = self.catalog.key(self.workspace, name);
            return Ok(table.changes_since(read.after, &key).await?);
        }
        match read.after {
            Some(after) => Ok(table.appended_since(after).await?.provider()),
            None => Ok(table.provider()),
        }
    }

    pub(crate) fn bind_files(
        &self,
        relation: &Relation,
        path: &str,
        reads: &Reads,
        scan: &ScanContext,
    ) -> Result<FileTable> {
        let Some(files) = reads.files.get(path) else {
            return Err(PipelineError::Request(format!(
                "{}: there are no files yet, so its columns are not known; declare the table's columns, or put a file there",
                relation.describe()
            )));
        };
        Ok(FileTable::new(files.clone(), scan.clone()))
    }
}

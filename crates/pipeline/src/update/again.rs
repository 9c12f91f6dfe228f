//! What an epoch read, to be read once more: the same bytes of the same files, the same versions of tables, the same
//! offsets.

use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_connect::Slice;
use tidegate_connect::live::Positions as LivePositions;
use tidegate_lake::{FileRead, Intent, Positions};
use tidegate_project::{Query, RecordSource, RelationTarget};

use super::Update;
use super::sources::{Leaf, Reads};
use crate::discovery::{Discoveries, FileOptions};
use crate::error::{PipelineError, Result};
use crate::records::{RecordsOrigin, Until, kind_of, positions_of};
use crate::rows::CancelToken;
use crate::scan::{LeafFiles, Origin};

impl Update<'_> {
    /// What an epoch read whose intent this is, when `before` was how far its flow had read.
    ///
    /// # Errors
    /// When it is not there any more, or not as it was.
    pub(crate) async fn reads_again(
        &self,
        query: &Query,
        intent: &Intent,
        before: &Positions,
    ) -> Result<Reads> {
        let mut reads = Reads {
            table_reads: intent.tables.clone(),
            ..Reads::default()
        };
        for leaf in self.leaves(query, "", false) {
            if let Some((source, options)) = self.live(leaf.relation)? {
                let files = self.records_again(&leaf, source, options, intent, before);
                reads.files.insert(leaf.path.clone(), files.await?);
            } else if let Some(files) = self.files_again(&leaf, intent).await? {
                reads.files.insert(leaf.path, files);
            }
        }
        Ok(reads)
    }

    async fn files_again(&self, leaf: &Leaf<'_>, intent: &Intent) -> Result<Option<LeafFiles>> {
        let RelationTarget::Files {
            path,
            format,
            options,
            ..
        } = &leaf.relation.target
        else {
            return Ok(None);
        };
        let reads = intent.files.iter();
        let reads: Vec<&FileRead> = reads.filter(|read| read.relation == leaf.path).collect();
        let options = FileOptions::parse(format.as_deref(), options)?;
        let files = self.list(path, &options, leaf.streaming).await?;
        if files.is_empty() && reads.is_empty() {
            return Ok(None);
        }
        let discovered = Discoveries::of_files(&files, &options).await?;
        let mut slices = Vec::with_capacity(reads.len());
        for read in reads {
            let file = files.iter().find(|file| file.url == read.path);
            let gone = |what: &str| {
                PipelineError::Request(format!(
                    "{} {what} since epoch {} read it",
                    read.path, intent.epoch
                ))
            };
            let file = file.ok_or_else(|| gone("was removed"))?;
            let moved = file.modified.timestamp_millis() != read.modified_ms;
            if file.size < read.to || (moved && file.size == read.size) {
                return Err(gone("was written anew"));
            }
            slices.push(Slice {
                file: Arc::new(file.clone()),
                from: read.from,
                to: read.to,
                first_line: read.first_line.unwrap_or(1),
            });
        }
        Ok(Some(LeafFiles {
            options,
            discovered,
            origin: Origin::Slices(Arc::new(slices)),
        }))
    }

    /// The records between the offsets of two epochs, from a source of its own.
    async fn records_again(
        &self,
        leaf: &Leaf<'_>,
        source: RecordSource,
        mut options: FileOptions,
        intent: &Intent,
        before: &Positions,
    ) -> Result<LeafFiles> {
        if let Some(live) = &mut options.live {
            // Records that are gone would be missing in the state.
            live.accept_data_loss = false;
        }
        let positions = |offsets: Option<&_>| offsets.map(positions_of).unwrap_or_default();
        let mut known = positions(before.offsets.get(&leaf.path));
        known.merge(&positions(intent.began.get(&leaf.path)));
        let mut ends = LivePositions::new();
        for (topic, partition, end) in positions(intent.offsets.get(&leaf.path)).iter() {
            if known.get(topic, partition).is_some_and(|from| from < end) {
                ends.set(topic, partition, end);
            }
        }
        let workspace = self.workspace;
        let discovered = workspace
            .discoveries
            .of_records(workspace, &source, &options);
        let discovered = discovered.await?;
        let (project, kind) = (workspace.opener(), kind_of(&source));
        let format = options.live.as_ref().map(|live| live.format);
        let opening = options.clone();
        let opened =
            tokio::task::spawn_blocking(move || project.open_records(&source, &opening, known));
        let open = opened.await.map_err(|_| PipelineError::Worker)??;
        let origin = RecordsOrigin {
            kind,
            format: format.unwrap_or_default(),
            codec: open.codec.clone(),
            open: Arc::new(Mutex::new(open)),
            until: Until::Exactly(ends),
            cancel: CancelToken::default(),
        };
        Ok(LeafFiles {
            options,
            discovered,
            origin: Origin::Records(origin),
        })
    }
}

//! What the streaming relations of a flow give while an epoch lasts: batches, each in the order of its source.
//!
//! A *feed* reads one relation on its own and hands batches over through a channel that holds only a few, so a slow flow
//! holds its sources back. A flow that keeps rows apart runs a compiled program on each batch ([`programmed`]); what has
//! state is pushed on by [`super::stateful`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use parking_lot::Mutex;
use tidegate_engine::{Engine, RowProgram};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::round::Handed;
use super::stream::incoming;
use crate::error::{PipelineError, Result};
use crate::files::Taker;
use crate::rows::Load;
use crate::scan::FileTable;

/// How many batches may wait in a channel.
const WAITING_MAX: usize = 4;

/// What comes through a channel.
pub(crate) enum Fed {
    /// Rows of a relation, with all its columns; those that the query does not read are NULL.
    Rows {
        /// The relation, by its binding.
        binding: Arc<str>,
        /// The part of the source whose rows are in order of their own.
        partition: Arc<str>,
        /// The rows.
        batch: RecordBatch,
    },
    /// A relation gave all it had for this epoch.
    Ended,
    /// A relation could not be read on.
    Failed(PipelineError),
}

/// The way of batches into a flow.
pub(crate) struct Feeds {
    sender: Sender<Fed>,
    receiver: Receiver<Fed>,
    begun: usize,
    until: Versions,
}

/// The tables that rows were handed from and the versions they were committed as, by the path of the relation.
type Versions = Arc<Mutex<BTreeMap<String, (String, u64)>>>;

/// Which columns of a relation are read, and how batches of them become batches of all.
#[derive(Clone)]
pub(crate) struct Columns {
    read: Vec<usize>,
    schema: SchemaRef,
}

impl Columns {
    /// The columns `read` (positions, ascending) of all those of `schema`.
    pub(crate) fn new(schema: SchemaRef, read: impl IntoIterator<Item = usize>) -> Self {
        let read = read.into_iter().collect();
        Self { read, schema }
    }

    /// A batch of the columns read, as one of all columns.
    fn widen(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let mut own = batch.columns().iter();
        let mut read = self.read.iter().copied().peekable();
        let columns = self.schema.fields().iter().enumerate().map(|(at, field)| {
            let is_read = read.next_if_eq(&at).is_some();
            match is_read.then(|| own.next()).flatten() {
                Some(column) => Arc::clone(column),
                None => new_null_array(field.data_type(), rows),
            }
        });
        let columns: Vec<ArrayRef> = columns.collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(
            self.nullable(),
            columns,
            &options,
        )?)
    }
}

impl Columns {
    /// A batch with all columns of the table, in any types that are stored alike, as one of this schema.
    fn pick(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let given = batch.schema();
        let columns = self.schema.fields().iter().enumerate().map(|(at, field)| {
            let found = given.index_of(field.name()).ok();
            match found.filter(|_| self.read.contains(&at)) {
                Some(found) => Ok(cast(batch.column(found), field.data_type())?),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            }
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(
            self.nullable(),
            columns,
            &options,
        )?)
    }

    /// The schema, in which the columns that are not read may be NULL, for they are.
    fn nullable(&self) -> SchemaRef {
        let fields = self.schema.fields().iter().enumerate();
        let fields = fields.map(|(at, field)| match self.read.contains(&at) {
            true => Arc::clone(field),
            false => Arc::new(field.as_ref().clone().with_nullable(true)),
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

impl Feeds {
    /// Nothing is read yet.
    pub(crate) fn new() -> Self {
        let (sender, receiver) = channel(WAITING_MAX);
        Self {
            sender,
            receiver,
            begun: 0,
            until: Versions::default(),
        }
    }

    /// Begins to read files or records.
    ///
    /// # Errors
    /// When the relation's columns cannot be read.
    pub(crate) fn scan(
        &mut self,
        binding: &str,
        table: &FileTable,
        columns: Columns,
    ) -> Result<()> {
        let partition = table.partition(&columns.read)?;
        let (sender, binding): (_, Arc<str>) = (self.sender.clone(), binding.into());
        self.begun += 1;
        let handle = Handle::current();
        // Only the partitions of a live source go on side by side.
        let (live, whole): (_, Arc<str>) = (table.is_live(), "".into());
        tokio::task::spawn_blocking(move || {
            let rows = sender.clone();
            let taker: Taker = Arc::new(move |source, batch| {
                let fed = match columns.widen(&batch) {
                    Ok(batch) => Fed::Rows {
                        binding: Arc::clone(&binding),
                        partition: match live {
                            true => Arc::clone(source),
                            false => Arc::clone(&whole),
                        },
                        batch,
                    },
                    Err(error) => Fed::Failed(error),
                };
                rows.blocking_send(fed).is_ok()
            });
            let ended = match partition.scan.run(&partition.schema, &taker, handle) {
                Ok(()) => Fed::Ended,
                Err(error) => Fed::Failed(error),
            };
            let _ = sender.blocking_send(ended);
        });
        Ok(())
    }

    /// Begins to read a table; behind its rows, those that are handed on before they are committed. `path` is that of the
    /// relation.
    ///
    /// # Errors
    /// When its scan cannot be planned.
    pub(crate) async fn table(
        &mut self,
        engine: &Engine,
        binding: &str,
        path: &str,
        provider: &Arc<dyn TableProvider>,
        columns: Columns,
        handed: Option<(String, Receiver<Handed>)>,
    ) -> Result<()> {
        let state = engine.session_state();
        let plan = provider
            .scan(&state, Some(&columns.read), &[], None)
            .await?;
        let mut stream = execute_stream(plan, state.task_ctx())?;
        let (sender, binding): (_, Arc<str>) = (self.sender.clone(), binding.into());
        self.begun += 1;
        let (until, path) = (Arc::clone(&self.until), path.to_owned());
        tokio::spawn(async move {
            let partition: Arc<str> = "".into();
            while let Some(batch) = stream.next().await {
                let batch = batch.map_err(PipelineError::from);
                let fed = match batch.and_then(|batch| columns.widen(&batch)) {
                    Ok(batch) => Fed::Rows {
                        binding: Arc::clone(&binding),
                        partition: Arc::clone(&partition),
                        batch,
                    },
                    Err(error) => Fed::Failed(error),
                };
                let failed = matches!(fed, Fed::Failed(_));
                if sender.send(fed).await.is_err() || failed {
                    return;
                }
            }
            let Some((table, mut handed)) = handed else {
                let _ = sender.send(Fed::Ended).await;
                return;
            };
            let ended = loop {
                let batch = match handed.recv().await {
                    Some(Handed::Rows(batch)) => batch,
                    Some(Handed::Committed(version)) => {
                        until
                            .lock()
                            .extend(version.map(|version| (path, (table, version))));
                        break Fed::Ended;
                    }
                    // The table above failed: nothing of this round may count.
                    None => break Fed::Failed(PipelineError::Above),
                };
                let fed = match columns.pick(&batch) {
                    Ok(batch) => Fed::Rows {
                        binding: Arc::clone(&binding),
                        partition: Arc::clone(&partition),
                        batch,
                    },
                    Err(error) => break Fed::Failed(error),
                };
                if sender.send(fed).await.is_err() {
                    return;
                }
            };
            let _ = sender.send(ended).await;
        });
        Ok(())
    }

    /// What the feeds give, until all have ended.
    pub(crate) fn into_inlet(self) -> Inlet {
        Inlet {
            receiver: self.receiver,
            left: self.begun,
            until: self.until,
            handle: Handle::current(),
        }
    }
}

/// The end of the channel. Its methods block: never call them from async code.
pub(crate) struct Inlet {
    receiver: Receiver<Fed>,
    left: usize,
    until: Versions,
    handle: Handle,
}

/// What an inlet has.
pub(crate) enum Next {
    /// Rows of a relation: its binding, the partition, the batch.
    Rows(Arc<str>, Arc<str>, RecordBatch),
    /// Nothing came for a while.
    Quiet,
    /// All feeds have ended.
    End,
}

impl Inlet {
    /// Where the versions will be that handed rows were committed as; complete when all feeds have ended.
    pub(crate) fn until(&self) -> Versions {
        Arc::clone(&self.until)
    }

    /// Waits for what comes next, at most so long.
    ///
    /// # Errors
    /// What a feed met; then nothing more is to be asked.
    pub(crate) fn next(&mut self, wait: std::time::Duration) -> Result<Next> {
        while self.left > 0 {
            let received = self
                .handle
                .block_on(async { tokio::time::timeout(wait, self.receiver.recv()).await });
            match received {
                Err(_) => return Ok(Next::Quiet),
                Ok(Some(Fed::Rows {
                    binding,
                    partition,
                    batch,
                })) => return Ok(Next::Rows(binding, partition, batch)),
                Ok(Some(Fed::Ended)) => self.left -= 1,
                Ok(Some(Fed::Failed(error))) => {
                    self.left = 0;
                    return Err(error);
                }
                Ok(None) => return Err(PipelineError::Worker),
            }
        }
        Ok(Next::End)
    }
}

/// The batches of one relation through a query that keeps rows apart, as loads.
pub(crate) fn programmed(
    mut inlet: Inlet,
    program: RowProgram,
    source: Arc<str>,
) -> impl Iterator<Item = Result<Load>> + Send {
    const WAIT: std::time::Duration = std::time::Duration::from_secs(3600);
    let mut ready: VecDeque<Load> = VecDeque::new();
    let mut ended = false;
    std::iter::from_fn(move || {
        loop {
            if let Some(load) = ready.pop_front() {
                return Some(Ok(load));
            }
            if ended {
                return None;
            }
            let parts = inlet.next(WAIT).and_then(|next| match next {
                Next::Rows(_, _, batch) => incoming(&program.apply(&batch)?.batch, &source),
                Next::Quiet => Ok(Vec::new()),
                Next::End => {
                    ended = true;
                    Ok(Vec::new())
                }
            });
            match parts {
                Ok(parts) => {
                    ready.extend(parts.into_iter().map(|part| Load::Batch(Box::new(part))))
                }
                Err(error) => {
                    ended = true;
                    return Some(Err(error));
                }
            }
        }
    })
}

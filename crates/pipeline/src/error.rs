//! What can go wrong when a project runs, each with its place and what to do.
//!
//! Mistakes in the project's own text are [`PipelineError::Diagnostics`], which the binary shows as rustc would; the
//! other variants are one sentence each and keep the error of the room below as their source.

use datafusion::error::DataFusionError;
use tidegate_connect::ConnectError;
use tidegate_engine::EngineError;
use tidegate_gate::{FailUpdate, GateError};
use tidegate_lake::LakeError;
use tidegate_project::{Diagnostic, SourceMap};
use tidegate_store::StoreError;

/// The pipeline's result.
pub type Result<T, E = PipelineError> = std::result::Result<T, E>;

/// Why something a project was asked to do could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The project's text has mistakes. Nothing was run.
    #[error("{}", diagnostics_sentence(.0))]
    Diagnostics(Vec<Diagnostic>),
    /// No project file here or above.
    #[error(
        "no project here: `{folder}` and the folders above it have neither tidegate.toml nor spark-pipeline.yml; make one with `tidegate new`, or say where it is with `--project`"
    )]
    NoProject {
        /// The folder where the search began.
        folder: String,
    },
    /// A name that is not a table of the project.
    #[error("there is no table `{name}`{}", nearest.as_ref().map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default())]
    UnknownTable {
        /// The name as given.
        name: String,
        /// The most similar table.
        nearest: Option<String>,
    },
    /// Another process runs this project.
    #[error(
        "another `tidegate` (process {holder}) is running this project; wait for it, or stop it. Nothing was changed"
    )]
    Locked {
        /// The process that holds the lock, as it wrote itself down.
        holder: String,
    },
    /// A row broke a `FAIL UPDATE` promise.
    #[error("`{}` is broken by {}:{}: {}{}; nothing of this update was committed to `{table}`", .fail.reason.constraint, .fail.source, .fail.line, .fail.message, shown_row(.fail))]
    FailUpdate {
        /// The table.
        table: String,
        /// The first row that breaks it.
        fail: Box<FailUpdate>,
    },
    /// More rows were quarantined than `tidegate.quarantine.fail` allows.
    #[error(
        "`{table}`: {message}. Nothing was committed; look at the rows with `tidegate quarantine show {table}` after raising 'tidegate.quarantine.fail', or mend the source"
    )]
    QuarantineLimit {
        /// The table.
        table: String,
        /// How many rows of how many.
        message: String,
    },
    /// The numbers of a flow do not add up: a bug, caught before it was committed.
    #[error(
        "`{table}`: {rows_in} rows came in, but {good} good + {quarantined} quarantined + {dropped} dropped went out; nothing was committed. Please report this bug"
    )]
    RowsLost {
        /// The table.
        table: String,
        /// Rows that came in.
        rows_in: u64,
        /// Good rows.
        good: u64,
        /// Quarantined rows.
        quarantined: u64,
        /// Dropped rows.
        dropped: u64,
    },
    /// A table that is read incrementally was changed otherwise than by appending.
    #[error(
        "`{flow}` reads `{table}` as a stream, but {reason}; refresh it from the beginning with `tidegate run --full-refresh {flow}`"
    )]
    NotAppendOnly {
        /// The reading flow's table.
        flow: String,
        /// The table read.
        table: String,
        /// What happened to it.
        reason: String,
    },
    /// A query cannot be streamed, or not go on.
    #[error(transparent)]
    Stream(Box<tidegate_stream::StreamError>),
    /// The state of a flow is damaged, and cannot be come to again.
    #[error(
        "the state of flow `{flow}` cannot be used: {newest}; and it cannot be made again from the checkpoint before: {before}. If its storage can only not be reached now, run again; else rebuild it with `tidegate run --full-refresh {table}`"
    )]
    StateLost {
        /// The flow.
        flow: String,
        /// Its table.
        table: String,
        /// What is wrong with the newest checkpoint.
        newest: String,
        /// Why the one before does not help.
        before: String,
    },
    /// A table above failed in this round, so that what it had handed on does not count.
    #[error("a table that this one reads failed")]
    Above,
    /// The user interrupted it.
    #[error(
        "interrupted; tables that were finished keep their new rows, the others are as they were"
    )]
    Cancelled,
    /// A worker thread ended without saying why.
    #[error(
        "a worker thread ended unexpectedly; nothing of its flow was committed. Please report this bug"
    )]
    Worker,
    /// A file of the project or the machine could not be used.
    #[error("{action} `{path}`: {source}")]
    File {
        /// What was tried, for example `reading`.
        action: &'static str,
        /// The path.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// What was asked for cannot be done as asked.
    #[error("{0}")]
    Request(String),
    /// A sink that delivers exactly once has another identity than when its last epoch was cut off.
    #[error(
        "{sink}: its epoch {epoch} was cut off when its identity was `{begun_as}`, and now it is `{now}`; say transactionalId => '{begun_as}' for one run, which finds out whether that epoch is there"
    )]
    OtherIdentity {
        /// The sink ("Kafka topic alerts").
        sink: String,
        /// The epoch.
        epoch: u64,
        /// The identity that it was begun with.
        begun_as: String,
        /// The identity now.
        now: String,
    },
    /// The brokers do not know any more which epoch of a sink is out.
    #[error(
        "{sink}: whether epoch {epoch}, which was cut off, is there cannot be told: the epoch that the brokers know as the last one is {found}. They forget it after offsets.retention.minutes (7 days) and with the topic. Either run once with deliveryGuarantee => 'at-least-once', which sends that epoch again, twice if it is there; or make the topic anew and run with --full-refresh, which sends everything"
    )]
    EpochForgotten {
        /// The sink ("Kafka topic alerts").
        sink: String,
        /// The epoch.
        epoch: u64,
        /// What the brokers answered.
        found: String,
    },
    /// A source could not be listed, understood or read.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The gate was set up wrongly, or the machine failed under it.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A table could not be read or committed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A query could not be executed.
    #[error(transparent)]
    Engine(EngineError),
    /// A query that is not part of the project has mistakes; places point into `files`.
    #[error("{}", diagnostics_sentence(diagnostics))]
    Query {
        /// The mistakes.
        diagnostics: Vec<Diagnostic>,
        /// The texts that the places point into.
        files: Box<SourceMap>,
    },
    /// The run history could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A query failed while it ran.
    #[error("{0}")]
    Execution(DataFusionError),
    /// An Arrow kernel refused.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}

/// Mistakes in SQL are diagnostics, whoever finds them.
impl From<EngineError> for PipelineError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Mistakes(diagnostics) => Self::Diagnostics(diagnostics),
            other => Self::Engine(other),
        }
    }
}

/// What went into a query as [`PipelineError::into_datafusion`] comes out of it.
impl From<DataFusionError> for PipelineError {
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::Execution(DataFusionError::External(other)),
            },
            DataFusionError::Context(_, inner) => Self::from(*inner),
            other => Self::Execution(other),
        }
    }
}

impl PipelineError {
    /// The error as one that passes through a running query, and comes out of it as it was.
    pub(crate) fn into_datafusion(self) -> DataFusionError {
        DataFusionError::External(Box::new(self))
    }

    /// The mistakes in SQL or settings, if that is what it is.
    pub fn diagnostics(&self) -> Option<&[Diagnostic]> {
        match self {
            Self::Diagnostics(diagnostics) | Self::Query { diagnostics, .. } => Some(diagnostics),
            _ => None,
        }
    }

    /// The same mistakes, with places in the texts of a query that is not part of the project.
    pub(crate) fn in_query(self, files: &SourceMap) -> Self {
        match self {
            Self::Diagnostics(diagnostics) => Self::Query {
                diagnostics,
                files: Box::new(files.clone()),
            },
            other => other,
        }
    }

    /// An error of the file system, with what was tried.
    pub(crate) fn file(
        action: &'static str,
        path: &std::path::Path,
        source: std::io::Error,
    ) -> Self {
        Self::File {
            action,
            path: path.display().to_string(),
            source,
        }
    }
}

fn diagnostics_sentence(diagnostics: &[Diagnostic]) -> String {
    match diagnostics {
        [one] => one.message.clone(),
        [first, rest @ ..] => format!("{} (and {} more)", first.message, rest.len()),
        [] => "the project has mistakes".to_owned(),
    }
}

fn shown_row(fail: &FailUpdate) -> String {
    if fail.raw.is_empty() {
        String::new()
    } else {
        format!(" (the row: {})", fail.raw.trim_end())
    }
}

//! What can go wrong with a stream, by what the caller should do about it.

use arrow::datatypes::{FieldRef, Schema};
use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use tidegate_engine::EngineError;

/// Why a query could not be streamed, or not go on.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The query cannot be streamed as it stands. Change it as `help` says.
    #[error("{reason}; {help}")]
    Unsupported {
        /// What cannot be streamed, and why.
        reason: String,
        /// What to do instead.
        help: String,
    },

    /// A batch was pushed to a relation that the query does not read as a stream.
    #[error("the query reads no stream `{binding}`; its streams are: {known}")]
    UnknownInput {
        /// The binding that was given.
        binding: String,
        /// Those that exist.
        known: String,
    },

    /// Rows do not have the columns of their relation. Push batches as they were bound; for a table that is looked up, make
    /// a new dataflow.
    #[error("the rows of `{binding}` do not fit: expected {expected}, got {given}")]
    Columns {
        /// The relation.
        binding: String,
        /// Its columns.
        expected: String,
        /// Those of the batch.
        given: String,
    },

    /// A checkpoint belongs to a query of another meaning. Rebuild the table, or bring the old query
    /// back.
    #[error(
        "the kept state of {operator} cannot be used: {reason}; refresh the table in full to rebuild it, or bring the former query back"
    )]
    StateMismatch {
        /// The operator, as a reader of the query would call it.
        operator: String,
        /// What differs.
        reason: String,
    },

    /// A checkpoint cannot be read. Use the one before it.
    #[error("the checkpoint is damaged: {message}")]
    Damaged {
        /// What is wrong with which part.
        message: String,
    },

    /// A newer Tidegate wrote the state. Use that one, or rebuild the table.
    #[error(
        "the kept state has the format version {found}, and this Tidegate reads up to {known}; use the newer Tidegate, or refresh the table in full to rebuild it"
    )]
    NewerFormat {
        /// The version found.
        found: u32,
        /// The newest known here.
        known: u32,
    },

    /// The spill folder cannot be written or read. Make room, or name another folder.
    #[error("state cannot be spilled to {folder}: {source}")]
    Spill {
        /// The folder.
        folder: String,
        /// What the system says.
        source: std::io::Error,
    },

    /// A value broke an operation, or the engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),

    /// Something that should not happen. Report it.
    #[error("the stream contradicts itself (please report this): {message}")]
    Bug {
        /// What was seen.
        message: String,
    },
}

/// An error of an expression or an aggregate.
impl From<DataFusionError> for StreamError {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(EngineError::from(error))
    }
}

/// An error of a column's computation.
impl From<ArrowError> for StreamError {
    fn from(error: ArrowError) -> Self {
        Self::from(DataFusionError::from(error))
    }
}

impl StreamError {
    /// A query that cannot be streamed.
    pub(crate) fn unsupported(reason: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Unsupported {
            reason: reason.into(),
            help: help.into(),
        }
    }

    /// Rows with other columns than those that were bound.
    pub(crate) fn columns(binding: &str, expected: &Schema, given: &Schema) -> Self {
        let text = |schema: &Schema| {
            let field = |field: &FieldRef| format!("{} {}", field.name(), field.data_type());
            let fields: Vec<String> = schema.fields().iter().map(field).collect();
            fields.join(", ")
        };
        Self::Columns {
            binding: binding.to_owned(),
            expected: text(expected),
            given: text(given),
        }
    }

    pub(crate) fn bug(message: impl Into<String>) -> Self {
        Self::Bug {
            message: message.into(),
        }
    }

    pub(crate) fn damaged(message: impl Into<String>) -> Self {
        Self::Damaged {
            message: message.into(),
        }
    }
}

/// The result of most functions here.
pub(crate) type Result<T> = std::result::Result<T, StreamError>;

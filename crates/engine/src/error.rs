//! What can go wrong in the engine, by what the caller should do about it.
//!
//! A mistake in the SQL is a list of diagnostics with places, to be shown as they are. What fails
//! while a plan runs is the data's or the machine's doing and has no place in a file. DataFusion's
//! own texts are cut down to their sentence; its dumps never reach the user.

use datafusion::common::DataFusionError;
use tidegate_project::Diagnostic;

/// Why a query could not be planned or run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The SQL is wrong. Fix it where the diagnostics point.
    #[error("{}", first_message(.0))]
    Mistakes(Vec<Diagnostic>),

    /// A setting cannot be used. Fix the settings.
    #[error("the engine cannot use the setting `{name}`: {message}")]
    Setting {
        /// The setting.
        name: String,
        /// What is wrong with its value.
        message: String,
    },

    /// A value of the data broke an operation (a cast, a division, an overflow). Fix the data or
    /// guard the expression, for instance with `try_cast`.
    #[error("a value could not be computed: {message}")]
    Value {
        /// What happened, with the value if it is known.
        message: String,
    },

    /// Memory or disk for spilling ran out. Raise the limit, or lower the number of threads.
    #[error(
        "the query needs more memory than it may use: {message}; raise `memory` under [engine], or lower `threads`"
    )]
    Resources {
        /// Who asked for how much.
        message: String,
    },

    /// A file or table could not be read. Try again, or repair it.
    #[error("reading failed: {message}")]
    Reading {
        /// What could not be read and why.
        message: String,
    },

    /// A batch does not have the columns that an expression was compiled for.
    #[error("column `{column}` is missing from the batch, which has: {available}")]
    MissingColumn {
        /// The column that is missing.
        column: String,
        /// The columns that are there.
        available: String,
    },

    /// Something that should not happen. Report it.
    #[error("the engine contradicts itself (please report this): {message}")]
    Bug {
        /// What was seen.
        message: String,
    },
}

fn first_message(mistakes: &[Diagnostic]) -> String {
    match mistakes {
        [] => "the query has mistakes".to_owned(),
        [one] => one.message.clone(),
        [first, rest @ ..] => format!("{} (and {} more)", first.message, rest.len()),
    }
}

impl EngineError {
    /// The diagnostics, if the SQL was wrong.
    pub fn diagnostics(&self) -> Option<&[Diagnostic]> {
        match self {
            Self::Mistakes(mistakes) => Some(mistakes),
            _ => None,
        }
    }
}

/// An error of a running plan.
impl From<DataFusionError> for EngineError {
    fn from(error: DataFusionError) -> Self {
        let message = sentence(&error);
        match root(&error) {
            DataFusionError::ResourcesExhausted(_) => Self::Resources { message },
            DataFusionError::IoError(_)
            | DataFusionError::ObjectStore(_)
            | DataFusionError::ParquetError(_)
            | DataFusionError::External(_) => Self::Reading { message },
            DataFusionError::Internal(_) => Self::Bug { message },
            _ => Self::Value { message },
        }
    }
}

/// The innermost error that says something of its own.
pub(crate) fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(all) => all.first().map_or(error, root),
        DataFusionError::External(inner) => match inner.downcast_ref::<DataFusionError>() {
            Some(inner) => root(inner),
            None => error,
        },
        _ => error,
    }
}

/// What an error says, without the names of its kinds, back traces and pleas.
pub(crate) fn sentence(error: &DataFusionError) -> String {
    let text = match root(error) {
        DataFusionError::ArrowError(inner, _) => {
            let text = inner.to_string();
            match text.split_once(" error: ") {
                Some((_, rest)) => rest.to_owned(),
                None => text,
            }
        }
        DataFusionError::Plan(text)
        | DataFusionError::NotImplemented(text)
        | DataFusionError::Execution(text)
        | DataFusionError::Internal(text)
        | DataFusionError::Configuration(text)
        | DataFusionError::ResourcesExhausted(text) => text.clone(),
        other => other.to_string(),
    };
    let text = text.split("\n\nbacktrace:").next().unwrap_or_default();
    let text = text
        .split("This issue was likely caused by a bug in DataFusion")
        .next()
        .unwrap_or_default();
    text.trim().trim_end_matches('.').to_owned()
}

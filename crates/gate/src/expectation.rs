//! Expectations as the gate sees them: a name, a compiled predicate, and what to do with a row for
//! which it is not TRUE.
//!
//! Compiling SQL is `engine`'s; the gate asks for nothing but a Boolean column.

use std::fmt;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use tidegate_project::OnViolation;

/// Why a predicate could not be evaluated on a batch.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct PredicateError {
    /// What the engine said, as one sentence.
    pub message: String,
}

impl PredicateError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

/// A compiled Boolean expression over the contract's judging schema.
pub trait Predicate: Send + Sync {
    /// One answer per row of `batch`; NULL where SQL says NULL.
    ///
    /// # Errors
    /// When a row makes the expression fail (a division by zero, an overflowing cast). The gate then
    /// looks for the rows concerned and judges those as not passing.
    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, PredicateError>;
}

/// An expectation, ready to be judged.
#[derive(Clone)]
pub struct GateExpectation {
    /// The constraint's name.
    pub name: Arc<str>,
    /// The expression as it was written.
    pub text: Arc<str>,
    /// The compiled expression.
    pub predicate: Arc<dyn Predicate>,
    /// Positions in the contract of the columns that it reads.
    pub columns: Vec<usize>,
    /// What happens to a row for which it is not TRUE.
    pub on_violation: OnViolation,
}

impl fmt::Debug for GateExpectation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GateExpectation")
            .field("name", &self.name)
            .field("text", &self.text)
            .field("columns", &self.columns)
            .field("on_violation", &self.on_violation)
            .finish_non_exhaustive()
    }
}

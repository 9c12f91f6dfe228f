//! What can go wrong with the gate itself.
//!
//! A bad *row* is never an error here: it is a verdict. These errors mean that the gate was set up
//! wrongly or that the machine failed under it.

use arrow::error::ArrowError;

/// The gate's result.
pub type Result<T, E = GateError> = std::result::Result<T, E>;

/// Why the gate could not be built or could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// An option of the coercion has a value that is not understood.
    #[error("option `{option}` has the value `{value}`: {expected}")]
    Option {
        /// The option as it was written.
        option: String,
        /// The value as it was written.
        value: String,
        /// What would have been accepted.
        expected: String,
    },
    /// A key of a type that has no equality.
    #[error(
        "key column `{column}` is declared {type_name}: only numbers, text, dates, times, BOOLEAN and BINARY can be a key"
    )]
    KeyType {
        /// The declared column.
        column: String,
        /// Its type.
        type_name: String,
    },
    /// The keys of existing rows cannot be compared with those of new ones.
    #[error("the existing rows' key column `{column}` does not have the declared type: {message}")]
    KeyConversion {
        /// The key column.
        column: String,
        /// What is wrong with the first such value.
        message: String,
    },
    /// A contract or an expectation points at a column that is not there.
    #[error("{what} refers to column number {index}, but the contract has {columns} columns")]
    ColumnIndex {
        /// Who refers to it.
        what: String,
        /// The zero-based number used.
        index: usize,
        /// How many columns there are.
        columns: usize,
    },
    /// Two declared columns have one name.
    #[error("column `{0}` is declared twice; names are compared without regard to case")]
    DuplicateColumn(String),
    /// `NOT NULL` and keys cannot be kept and only counted.
    #[error("rows that break {0} cannot be kept: choose QUARANTINE, DROP ROW or FAIL UPDATE")]
    CannotKeep(&'static str),
    /// A batch contradicts itself.
    #[error("an incoming batch of `{source_name}` has {columns} rows, but {found} {what}")]
    Length {
        /// Where the batch came from.
        source_name: String,
        /// Rows in the columns.
        columns: usize,
        /// Entries in the other part.
        found: usize,
        /// Which other part.
        what: &'static str,
    },
    /// `split` was called before `admit_keys` although the contract has a key.
    #[error(
        "the rows of `{0}` cannot be split before their keys were admitted: call `admit_keys` first, in the order of the rows"
    )]
    KeysNotAdmitted(String),
    /// An existing batch lacks a key column.
    #[error("the existing rows have no column `{0}`, which is part of the key")]
    MissingKeyColumn(String),
    /// A predicate could not be evaluated for a reason that lies in no single row.
    #[error("expectation `{name}` ({text}) could not be evaluated: {source}")]
    Predicate {
        /// The expectation's name.
        name: String,
        /// Its SQL text.
        text: String,
        /// What the engine said.
        source: crate::PredicateError,
    },
    /// The key index could not use its temporary folder.
    #[error(
        "the key index could not {action} its temporary file in `{folder}`: {source}; free some space there or give the run more memory"
    )]
    Spill {
        /// What it tried.
        action: &'static str,
        /// The folder.
        folder: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// An Arrow kernel refused (a bug in the gate, or memory that ran out).
    #[error("arrow: {0}")]
    Arrow(#[from] ArrowError),
}

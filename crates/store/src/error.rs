//! What can go wrong with the records, and what the caller should do about it.

use std::path::PathBuf;

/// A failure of the store. The message names the database (never its password) and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The setting is neither a path, nor a SQLite or PostgreSQL URL.
    #[error(
        "`{url}` is no store: {reason}; expected a path, `sqlite:<path>`, or `postgres://user@host/database`"
    )]
    Url {
        /// The setting as written, with its password hidden.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder of the database file could not be made.
    #[error("cannot make the folder {} for Tidegate's records: {source}; make it writable, or set `store` in tidegate.toml", path.display())]
    Folder {
        /// The folder that was wanted.
        path: PathBuf,
        /// The system's own word.
        source: std::io::Error,
    },
    /// The database did not open.
    #[error(
        "cannot open Tidegate's records in `{url}`: {source}; check that it can be reached and written to, or set `store` in tidegate.toml"
    )]
    Open {
        /// The database, with its password hidden.
        url: String,
        /// The driver's word.
        source: sqlx::Error,
    },
    /// The tables could not be brought to the shape this version needs.
    #[error(
        "cannot bring the records in `{url}` up to date: {source}; a newer Tidegate may have written them"
    )]
    Migrate {
        /// The database, with its password hidden.
        url: String,
        /// The migration's word.
        source: sqlx::migrate::MigrateError,
    },
    /// A statement failed.
    #[error("cannot {doing} in Tidegate's records: {source}")]
    Query {
        /// What was being done, as in "list the runs".
        doing: &'static str,
        /// The driver's word.
        source: sqlx::Error,
    },
    /// No run has this id.
    #[error("no run has an id that starts or ends with `{part}`; `tidegate runs` lists them")]
    UnknownRun {
        /// The part of an id that was asked for.
        part: String,
    },
    /// Several runs have such an id.
    #[error("{} runs have an id that starts or ends with `{part}`, among them {}; write more of it", matches.len(), matches.iter().take(3).cloned().collect::<Vec<_>>().join(", "))]
    AmbiguousRun {
        /// The part of an id that was asked for.
        part: String,
        /// The ids that fit.
        matches: Vec<String>,
    },
    /// A stored word is not one this version knows.
    #[error(
        "column `{column}` of Tidegate's records holds `{value}`; expected {expected}. A newer Tidegate may have written it"
    )]
    Unreadable {
        /// The column.
        column: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        expected: &'static str,
    },
}

/// What the caller of the store should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// A setting or an argument is wrong: show it to the user.
    Input,
    /// The database was busy or away: the same call may go through later.
    Retry,
    /// A disk is full, a folder is read-only, a permission is missing: free it, then go on.
    Resource,
    /// Neither of these: a mistake in Tidegate, or records of a newer version.
    Bug,
}

impl StoreError {
    /// What the caller should do about it.
    pub fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Url { .. } | Self::UnknownRun { .. } | Self::AmbiguousRun { .. } => {
                StoreErrorKind::Input
            }
            Self::Folder { .. } => StoreErrorKind::Resource,
            Self::Open { source, .. } | Self::Query { source, .. } => kind_of(source),
            Self::Migrate { .. } | Self::Unreadable { .. } => StoreErrorKind::Bug,
        }
    }
}

fn kind_of(error: &sqlx::Error) -> StoreErrorKind {
    match error {
        sqlx::Error::Configuration(_) => StoreErrorKind::Input,
        sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) => StoreErrorKind::Retry,
        sqlx::Error::Database(database) => match database.code().as_deref() {
            // SQLite: busy, locked. PostgreSQL: class 08 (connection), 40 (rollback), 57 (shutdown).
            Some("5" | "6" | "261" | "517") => StoreErrorKind::Retry,
            Some(code) if code.len() == 5 && ["08", "40", "57"].contains(&&code[..2]) => {
                StoreErrorKind::Retry
            }
            // SQLite: read-only, cannot open, full, I/O. PostgreSQL: 28 (who), 53 (resources).
            Some("8" | "10" | "13" | "14" | "776" | "1032") => StoreErrorKind::Resource,
            Some(code) if code.len() == 5 && ["28", "53"].contains(&&code[..2]) => {
                StoreErrorKind::Resource
            }
            _ => StoreErrorKind::Bug,
        },
        _ => StoreErrorKind::Bug,
    }
}

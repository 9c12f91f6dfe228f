//! What can go wrong in the lake, named by what the caller should do about it.
//!
//! Every error says which place (table, file or URL) it is about and how to go on. Errors of the
//! libraries below are kept as sources, never as the message itself.

use std::fmt;

/// An error of the lake. [`LakeError::kind`] says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LakeError {
    /// The warehouse, a location or an option is not something that can be opened.
    #[error("cannot use `{place}` as a place for tables: {reason}")]
    Location {
        /// The path or URL as given.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The place can be read but not written.
    #[error(
        "`{place}` cannot be written: permission denied; \
         give this user the right to write there, or set another `warehouse` in tidegate.toml"
    )]
    ReadOnly {
        /// The folder, file or URL that refused.
        place: String,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No room is left on the device (or a quota is used up).
    #[error(
        "no space is left for `{place}`; free space on that device or set another `warehouse` in \
         tidegate.toml, and run again: nothing of this update was committed"
    )]
    Full {
        /// The folder, file or URL that was being written.
        place: String,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Reading or writing failed for another reason (network, device, interrupted, …).
    #[error("{action} `{place}` failed: {source}")]
    Storage {
        /// What was being done, for example `reading`.
        action: &'static str,
        /// The folder, file or URL.
        place: String,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file of the lake holds something else than it should.
    #[error("`{place}` is damaged: {reason}")]
    Damaged {
        /// The file.
        place: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// A file was written by a newer Tidegate.
    #[error(
        "`{place}` has format version {found}, and this Tidegate knows up to {known}; \
         use the newer Tidegate that wrote it"
    )]
    NewerFormat {
        /// The file.
        place: String,
        /// Its format version.
        found: u32,
        /// The newest format version known here.
        known: u32,
    },
    /// The table uses features of Delta Lake that cannot be read or written here.
    #[error("table `{table}` cannot be {action}: it uses {features}, which Tidegate does not know")]
    Unsupported {
        /// The table.
        table: String,
        /// `read` or `written`.
        action: &'static str,
        /// The features, by their Delta names.
        features: String,
    },
    /// A table was asked for that is not there.
    #[error("there is no table `{table}` in `{warehouse}`")]
    NoTable {
        /// The table.
        table: String,
        /// The warehouse that was looked into.
        warehouse: String,
    },
    /// A version or time was asked for that the table does not have (any more).
    #[error("table `{table}` has no version {wanted}; it has versions {oldest} to {newest}")]
    NoVersion {
        /// The table.
        table: String,
        /// The version or time asked for.
        wanted: String,
        /// The oldest version that can still be read.
        oldest: u64,
        /// The newest version.
        newest: u64,
    },
    /// Another process moved the flow on. Nothing was committed.
    #[error(
        "flow `{flow}` was moved on by another process: table `{table}` holds epoch {}, and this \
         update (epoch {epoch}) expected {}; nothing was committed, run the update again",
        Epoch(*stored), Epoch(*expected)
    )]
    Fenced {
        /// The flow.
        flow: String,
        /// The table that holds another epoch.
        table: String,
        /// The epoch that was to be committed.
        epoch: u64,
        /// The epoch found in the table.
        stored: Option<u64>,
        /// The epoch that should have been found.
        expected: Option<u64>,
    },
    /// Files that were to be replaced are no longer part of the table.
    #[error(
        "table `{table}` was changed meanwhile: `{file}` is no longer part of it; nothing was \
         committed, run again"
    )]
    Conflict {
        /// The table.
        table: String,
        /// A file that was to be replaced and is gone.
        file: String,
    },
    /// Many other writers were always faster.
    #[error("table `{table}` is being written by others: gave up after {attempts} attempts")]
    Contended {
        /// The table.
        table: String,
        /// How many versions were tried.
        attempts: usize,
    },
    /// The columns to be written do not fit those of the table.
    #[error(
        "column `{column}` of table `{table}` is {stored} and cannot become {wanted}; {remedy}"
    )]
    SchemaChange {
        /// The table.
        table: String,
        /// The column, with dots for nested ones.
        column: String,
        /// What the table holds.
        stored: String,
        /// What was to be written.
        wanted: String,
        /// How to go on.
        remedy: &'static str,
    },
    /// The specification of a table contradicts itself.
    #[error("table `{table}` cannot be made: {reason}")]
    Specification {
        /// The table.
        table: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A type has no counterpart in Delta Lake.
    #[error("column `{column}` of table `{table}` is {data_type}, which Delta Lake cannot store")]
    Type {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its Arrow type.
        data_type: String,
    },
    /// Rows were changed or removed where only appended rows can be read on.
    #[error(
        "table `{table}` was not only appended to: version {version} ({operation}) removed or \
         changed rows, so a flow cannot read on from version {since}; refresh the flow in full, \
         or read the table without STREAM"
    )]
    NotAppended {
        /// The table.
        table: String,
        /// The version that the reader had read.
        since: u64,
        /// The version that changed rows.
        version: u64,
        /// The Delta operation of that version, for example `DELETE`.
        operation: String,
    },
    /// The log no longer reaches back to the version a flow wants to read on from.
    #[error(
        "table `{table}` no longer holds the log of version {version}, so a flow cannot read on \
         from version {since}; refresh the flow in full"
    )]
    LogGone {
        /// The table.
        table: String,
        /// The version that the reader had read.
        since: u64,
        /// The version whose log file is gone.
        version: u64,
    },
    /// Encoding or decoding a data file failed.
    #[error("data file `{place}`: {source}")]
    DataFile {
        /// The file.
        place: String,
        /// What the Parquet or Arrow library said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The Delta library failed in a way that is not one of the above.
    #[error("table `{table}`: {source}")]
    Delta {
        /// The table.
        table: String,
        /// What the library said.
        #[source]
        source: Box<deltalake::DeltaTableError>,
    },
    /// A promise inside Tidegate was broken.
    #[error("bug in Tidegate, please report it: {0}")]
    Bug(String),
}

/// What a caller should do about a [`LakeError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LakeErrorKind {
    /// Change the project, the options or the table; trying again gives the same.
    FixInput,
    /// Try again: another writer was faster, or the storage failed in passing.
    Retry,
    /// Another process owns this flow now; stop.
    Fenced,
    /// Free space or grant rights, then try again.
    FreeResource,
    /// Report it.
    Bug,
}

impl LakeError {
    /// What the caller should do about this error.
    #[must_use]
    pub fn kind(&self) -> LakeErrorKind {
        match self {
            Self::ReadOnly { .. } | Self::Full { .. } => LakeErrorKind::FreeResource,
            Self::Storage { .. } | Self::Conflict { .. } | Self::Contended { .. } => {
                LakeErrorKind::Retry
            }
            Self::Fenced { .. } => LakeErrorKind::Fenced,
            Self::Bug(_) => LakeErrorKind::Bug,
            _ => LakeErrorKind::FixInput,
        }
    }

    /// Sorts an error of the operating system into a kind, with the place it happened at.
    pub(crate) fn io(
        action: &'static str,
        place: impl Into<String>,
        error: std::io::Error,
    ) -> Self {
        let place = place.into();
        match error.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly {
                    place,
                    source: Box::new(error),
                }
            }
            std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::QuotaExceeded
            | std::io::ErrorKind::FileTooLarge => Self::Full {
                place,
                source: Box::new(error),
            },
            _ => Self::Storage {
                action,
                place,
                source: Box::new(error),
            },
        }
    }

    /// Sorts an error of an object store into a kind, looking through to the operating system's.
    pub(crate) fn store(
        action: &'static str,
        place: impl Into<String>,
        error: object_store::Error,
    ) -> Self {
        let place = place.into();
        if let object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } = error
        {
            return Self::ReadOnly {
                place,
                source: Box::new(error),
            };
        }
        match io_kind(&error) {
            Some(std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem) => {
                Self::ReadOnly {
                    place,
                    source: Box::new(error),
                }
            }
            Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) => {
                Self::Full {
                    place,
                    source: Box::new(error),
                }
            }
            _ => Self::Storage {
                action,
                place,
                source: Box::new(error),
            },
        }
    }

    /// Sorts an error of the Parquet library, which wraps those of the operating system.
    pub(crate) fn parquet(place: impl Into<String>, error: parquet::errors::ParquetError) -> Self {
        match io_kind(&error) {
            Some(kind) => Self::io("writing", place, std::io::Error::new(kind, error)),
            None => Self::DataFile {
                place: place.into(),
                source: Box::new(error),
            },
        }
    }

    /// Sorts an error of the Delta library.
    pub(crate) fn delta(table: impl fmt::Display, error: deltalake::DeltaTableError) -> Self {
        match error {
            deltalake::DeltaTableError::ObjectStore { source } => {
                Self::store("reading or writing the log of", table.to_string(), source)
            }
            other => Self::Delta {
                table: table.to_string(),
                source: Box::new(other),
            },
        }
    }
}

/// The kind of the first error of the operating system among an error and its sources.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        next = error.source();
    }
    None
}

/// Shows an epoch, or that there is none yet.
struct Epoch(Option<u64>);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(epoch) => write!(f, "{epoch}"),
            None => f.write_str("none yet"),
        }
    }
}

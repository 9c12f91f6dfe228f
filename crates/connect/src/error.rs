//! What can go wrong with a source: one enum, each variant with the file, the place, what was
//! expected and what to do. A malformed *row* is no error (see [`crate::Malformed`]); these are
//! about whole files, options and stores.

use std::io;

/// The result of everything in this crate.
pub type Result<T, E = ConnectError> = std::result::Result<T, E>;

/// What the caller should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The data, the path or an option is wrong: a person must change something.
    FixInput,
    /// The store or the network failed: the same call may succeed later.
    Retry,
    /// A resource ran out (file handles, memory, disk).
    FreeResource,
    /// A mistake in Tidegate itself.
    ReportBug,
}

/// A source that cannot be listed, understood or read.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing is at the path.
    #[error("{path}: no such file or folder{}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    Missing {
        /// The path as the reader resolved it.
        path: String,
        /// The most similar name beside it.
        nearest: Option<String>,
    },
    /// The path names a thing that holds no rows, such as a pipe or a socket.
    #[error(
        "{path}: is {what}, but {expected} was expected; copy the data into a regular file first"
    )]
    NotAFile {
        /// The path.
        path: String,
        /// What it is ("a pipe", "a folder", …).
        what: &'static str,
        /// What would have been right.
        expected: &'static str,
    },
    /// The operating system refused to open or read the file.
    #[error("{path}: cannot be read: {source}")]
    Unreadable {
        /// The path.
        path: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The path and its filters match no file.
    #[error("{path}: no file matches{}", filters(*hidden, *filtered))]
    NoFiles {
        /// The path or pattern.
        path: String,
        /// How many were skipped because their name begins with `_` or `.`.
        hidden: usize,
        /// How many were left out by `pathGlobFilter`, `modifiedAfter` or `modifiedBefore`.
        filtered: usize,
    },
    /// A glob that does not parse.
    #[error(
        "pattern {pattern:?} is not a valid glob: {message}; write * for any name, ** for any folders, {{a,b}} for a choice"
    )]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// A URL whose store is not known.
    #[error("{url}: {message}; use a local path, file://, s3://, gs://, az:// or abfss://")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        message: String,
    },
    /// The object store answered with an error.
    #[error("{url}: {source}")]
    Store {
        /// The object's URL.
        url: String,
        /// The store's own error.
        source: object_store::Error,
    },
    /// A reader option with a value it cannot have.
    #[error("option {name}: {value:?} is not {expected}")]
    OptionValue {
        /// The option, in its canonical spelling.
        name: &'static str,
        /// The value given.
        value: String,
        /// What it may be.
        expected: String,
    },
    /// The format could not be told from name or content.
    #[error(
        "{path}: the format cannot be told from the name or the content; say so with format => '…' (one of {known})"
    )]
    UnknownFormat {
        /// The file.
        path: String,
        /// The names of the formats there are.
        known: String,
    },
    /// A compressed stream ends before its end mark. The rows before it have been delivered.
    #[error(
        "{path}: the {compression} stream ends too early, after {decoded} decompressed bytes; rows up to there were read. Copy the file again"
    )]
    Truncated {
        /// The file.
        path: String,
        /// gzip, zstd, bzip2 or xz.
        compression: &'static str,
        /// Decompressed bytes that came out before.
        decoded: u64,
    },
    /// A compressed stream is damaged. The rows before the damage have been delivered.
    #[error(
        "{path}: the {compression} stream is damaged after {decoded} decompressed bytes ({source}); rows up to there were read. Copy the file again, or say compression => '…' if it is not {compression}"
    )]
    Decompress {
        /// The file.
        path: String,
        /// gzip, zstd, bzip2 or xz.
        compression: &'static str,
        /// Decompressed bytes that came out before.
        decoded: u64,
        /// The decompressor's reason.
        source: io::Error,
    },
    /// The file is not what its format promises (a Parquet file cut in half, a broken workbook, …).
    #[error("{path}: not readable as {format}: {message}. {help}")]
    Damaged {
        /// The file.
        path: String,
        /// The format it was read as.
        format: &'static str,
        /// What is wrong, with the place if known.
        message: String,
        /// What to do.
        help: String,
    },
    /// The file has columns that nobody declared, and `schemaEvolutionMode` is `failOnNewColumns`.
    #[error("{path}: new columns {}; add them to the table, or set schemaEvolutionMode to addNewColumns, rescue or none", .columns.join(", "))]
    NewColumns {
        /// The file.
        path: String,
        /// The new columns' names.
        columns: Vec<String>,
    },
    /// A slice asks for a part of a file that can only be read whole.
    #[error("{path}: {reason}; it can only be read from its beginning")]
    NotResumable {
        /// The file.
        path: String,
        /// Why (it is compressed, …).
        reason: &'static str,
    },
    /// A topic's folder could not be read or written.
    #[error("{topic}: cannot {doing}: {source}")]
    Topic {
        /// "topic payments".
        topic: String,
        /// What was tried ("append", "read", …).
        doing: &'static str,
        /// The operating system's reason.
        source: io::Error,
    },
    /// There is no such topic.
    #[error("there is no {topic} ({path}); make it with CREATE TOPIC")]
    NoTopic {
        /// "topic payments".
        topic: String,
        /// Where it would be.
        path: String,
    },
    /// The topic is there with another number of partitions.
    #[error(
        "{topic} has {there} partitions, not {wanted}; keys would move between partitions: make a new topic and copy the records"
    )]
    TopicDiffers {
        /// "topic payments".
        topic: String,
        /// The partitions it has.
        there: i32,
        /// The partitions that were asked for.
        wanted: i32,
    },
    /// A segment of a topic is not as it was written.
    #[error(
        "{topic}: {path} is damaged at offset {offset}: {message}. Restore the file, or go on behind it with startingOffsets"
    )]
    TopicDamaged {
        /// "topic payments".
        topic: String,
        /// The segment.
        path: String,
        /// The offset that was to be read.
        offset: i64,
        /// What is wrong.
        message: String,
    },
    /// Records to be read next were removed by the topic's retention.
    #[error(
        "{source_name}, partition {partition}: the records {wanted} to {} are no longer there; read more often or keep them longer. failOnDataLoss => false goes on at {earliest} without them", .earliest - 1
    )]
    Expired {
        /// The source ("topic payments").
        source_name: String,
        /// The partition.
        partition: i32,
        /// The offset that was to be read.
        wanted: i64,
        /// The first one that is there.
        earliest: i64,
    },
    /// The position is behind the end of what there is.
    #[error(
        "{source_name}, partition {partition}: reading was to go on at {wanted}, but the records end at {end}; the topic was probably deleted and made anew. Run the flow's table with --full-refresh, or restore the topic"
    )]
    BehindEnd {
        /// The source ("topic payments").
        source_name: String,
        /// The partition.
        partition: i32,
        /// The offset that was to be read.
        wanted: i64,
        /// The next offset to be written.
        end: i64,
    },
    /// The topic was deleted and made anew while it was read.
    #[error("{source_name} was deleted and made anew while it was read; start again")]
    Recreated {
        /// The source ("topic payments").
        source_name: String,
    },
    /// A position is of a partition that the source does not have.
    #[error(
        "{source_name} has no partition {partition} of {topic:?}, at which reading was to go on"
    )]
    NoPartition {
        /// The source ("topic payments").
        source_name: String,
        /// The topic of the position.
        topic: String,
        /// The partition of the position.
        partition: i32,
    },
    /// A live source or sink cannot go on.
    #[error("{source_name}: {message}; {help}")]
    Live {
        /// The source or sink ("Kafka topic payments").
        source_name: String,
        /// What is wrong.
        message: String,
        /// What to do.
        help: String,
    },
    /// The schema of a sink's values has no fields for some of its columns.
    #[error("{sink}: {schema} has no field for {}; add it there, or leave the column out of the query", .columns.join(", "))]
    NoFields {
        /// The sink ("Kafka topic alerts").
        sink: String,
        /// What it is that has no such fields ("the message shop.Payment").
        schema: String,
        /// The columns.
        columns: Vec<String>,
    },
    /// Another process has taken the identity of a sink.
    #[error(
        "{sink}: another process writes with the same identity ({identity}) since; only one may. Stop one of them"
    )]
    Fenced {
        /// The sink ("Kafka topic alerts").
        sink: String,
        /// The transactional id.
        identity: String,
    },
    /// A server does not answer now.
    #[error("{source_name}: {message}; it was tried again for {seconds} seconds")]
    Unreachable {
        /// The server or source.
        source_name: String,
        /// What it said.
        message: String,
        /// How long it was tried.
        seconds: u64,
    },
    /// A record is too large.
    #[error("{source_name}: a record of {bytes} bytes is too large; at most {most} are taken")]
    TooLarge {
        /// The source or sink ("topic payments").
        source_name: String,
        /// The record's size in bytes.
        bytes: usize,
        /// The most there may be.
        most: usize,
    },
    /// Arrow refused a batch.
    #[error("{path}: {source}")]
    Arrow {
        /// The file.
        path: String,
        /// Arrow's own error.
        source: arrow::error::ArrowError,
    },
    /// A part of the machinery is missing or ended early (no Tokio runtime, a worker that died).
    #[error("{what}")]
    Machinery {
        /// What is missing.
        what: &'static str,
    },
}

impl ConnectError {
    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreadable { source, .. } | Self::Topic { source, .. } => match source.kind() {
                io::ErrorKind::Interrupted
                | io::ErrorKind::TimedOut
                | io::ErrorKind::ConnectionReset => ErrorKind::Retry,
                io::ErrorKind::OutOfMemory | io::ErrorKind::StorageFull => ErrorKind::FreeResource,
                _ => ErrorKind::FixInput,
            },
            Self::Store { source, .. } => match source {
                object_store::Error::NotFound { .. }
                | object_store::Error::InvalidPath { .. }
                | object_store::Error::PermissionDenied { .. }
                | object_store::Error::Unauthenticated { .. }
                | object_store::Error::UnknownConfigurationKey { .. } => ErrorKind::FixInput,
                _ => ErrorKind::Retry,
            },
            Self::Unreachable { .. } => ErrorKind::Retry,
            Self::Arrow { .. } | Self::Machinery { .. } => ErrorKind::ReportBug,
            _ => ErrorKind::FixInput,
        }
    }

    /// An operating system error on a path, told apart as far as it goes.
    pub(crate) fn from_io(path: impl Into<String>, source: io::Error) -> Self {
        let path = path.into();
        if source.kind() == io::ErrorKind::NotFound {
            return Self::Missing {
                path,
                nearest: None,
            };
        }
        Self::Unreadable { path, source }
    }
}

/// The tail of the "no file matches" message.
fn filters(hidden: usize, filtered: usize) -> String {
    let mut text = String::new();
    if filtered > 0 {
        text +=
            &format!("; {filtered} left out by pathGlobFilter, modifiedAfter or modifiedBefore");
    }
    if hidden > 0 {
        text += &format!("; {hidden} skipped because their name begins with _ or .");
    }
    text
}

//! Sources: from a path to columns of raw text (or of the file's own types), with the place of
//! every row.
//!
//! [`list`] says which files a path means. [`discover`] finds out what they are: format, dialect,
//! encoding, columns. A [`Reading`] cuts a [`Slice`] of a file into [`Piece`]s, which any thread
//! decodes into a [`RawBatch`]. Bad rows stand apart in it and never take good ones with them.
//!
//! What a value means is left to the gate: here `12,50` is text. Which files were read before is
//! left to the pipeline.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod batch;
mod blocks;
mod columns;
mod compression;
mod discover;
mod encoding;
mod error;
mod formats;
#[doc(hidden)]
pub mod fuzz;
mod listing;
pub mod live;
mod metadata;
mod options;
mod reading;
mod rescue;
mod source;
mod store;
#[cfg(test)]
mod tests;
mod textfile;
mod views;

pub use batch::{BatchNote, Decoded, Malformed, MalformedKind, Piece, RawBatch};
pub use compression::Compression;
pub use discover::{Discovered, DiscoveredColumn, Layout, discover, discover_blocking};
pub use encoding::Encoding;
pub use error::{ConnectError, ErrorKind, Result};
pub use formats::Format;
pub use formats::csv::dialect::Dialect;
pub use formats::json::JsonLayout;
pub use listing::{FileEntry, list};
pub use metadata::{metadata_column, metadata_fields};
pub use options::{MultiLine, OPTIONS, OptionSpec, Ragged, ReadOptions, SchemaEvolutionMode};
pub use reading::{Pieces, Reading, Slice};
pub use store::Stores;

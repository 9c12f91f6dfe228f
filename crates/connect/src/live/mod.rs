//! Live sources and sinks: sequences of records in partitions, which go on. Topics that Tidegate keeps itself
//! ([`topic`]) and those of Kafka.
//!
//! A [`LiveSource`] is asked again and again for what has come ([`LiveSource::poll`]); it keeps no positions but the
//! ones it is given. Which positions count is left to the pipeline, which commits them with the results.

mod avro;
mod avro_encoder;
#[cfg(test)]
mod avro_tests;
mod codec;
mod encode;
mod fetched;
mod headers;
pub mod kafka;
mod options;
mod positions;
mod protobuf;
mod reading;
mod registry;
mod sink;
mod start;
#[cfg(test)]
mod tests;
pub mod topic;

use std::sync::Arc;
use std::time::Duration;

pub use avro::AvroCodec;
pub use avro_encoder::AvroEncoder;
pub use codec::Codec;
pub use encode::{Encoded, Encoder, Strings, ValueEncoder};
pub use fetched::{ByteColumn, ByteColumnBuilder, COLUMN_BYTES_MAX, Fetched};
pub use headers::headers_type;
pub use options::{LIVE_OPTIONS, LiveOptionSpec, LiveOptions, Subscription};
pub use positions::{Offsets, Positions};
pub use protobuf::{ProtobufCodec, ProtobufEncoder};
pub(crate) use reading::NO_VALUE;
pub use reading::{
    LiveFormat, LivePiece, LiveReading, live_metadata_fields, partition_name, raw_fields,
};
pub use sink::{Guarantee, LiveSink, TopicSink, Transactions};
pub use start::Start;

use crate::error::Result;

/// What there is of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition in it.
    pub partition: i32,
    /// The first offset that can still be read.
    pub earliest: i64,
    /// The next offset to be written.
    pub end: i64,
}

/// Something worth telling that does not stop a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveNote {
    /// Records that were never read are no longer there (`failOnDataLoss` is false).
    Lost {
        /// The topic.
        topic: Arc<str>,
        /// The partition in it.
        partition: i32,
        /// The first lost offset.
        from: i64,
        /// The offset behind the last lost one.
        to: i64,
    },
    /// A partition that was not there before.
    NewPartition {
        /// The topic.
        topic: Arc<str>,
        /// The partition in it.
        partition: i32,
    },
    /// The servers cannot be reached, or do again; reading goes on by itself.
    Connection {
        /// What happened, for a person.
        message: String,
    },
}

/// A sequence of records in partitions that goes on. Its methods block; it is used from one thread of its own.
pub trait LiveSource: Send {
    /// What it is, for messages: "topic payments", "Kafka topic a.b".
    fn name(&self) -> &str;

    /// The partitions there are now, in order, each with what it holds.
    ///
    /// # Errors
    /// If the source cannot be reached or is gone.
    fn partitions(&mut self) -> Result<Vec<PartitionState>>;

    /// The partitions that are read now, without asking anybody; empty before the first poll or seek.
    fn assigned(&self) -> Vec<(Arc<str>, i32)>;

    /// Goes on from these positions. Partitions that are not named begin where the options say (earliest without a
    /// word), and those that appear later at their beginning.
    ///
    /// # Errors
    /// As [`Self::poll`]; also if a position is of a topic or partition that is not there.
    fn seek(&mut self, next: &Positions) -> Result<()>;

    /// What has come since: returns as soon as there is something, with about `bytes_max` bytes at most (a larger
    /// record comes alone); empty when nothing came within `wait`.
    ///
    /// # Errors
    /// If records to be read are gone and `failOnDataLoss` is on, a topic is gone, or reading fails for good. What
    /// passes by itself (a server that restarts) is no error, but a [`LiveNote`].
    fn poll(&mut self, wait: Duration, bytes_max: usize) -> Result<Vec<Fetched>>;

    /// What is worth telling since the last call.
    fn notes(&mut self) -> Vec<LiveNote> {
        Vec::new()
    }
}

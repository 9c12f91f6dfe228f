//! Which epoch of a sink is out: the committed offset of a consumer group of the sink's own, in partition 0 of its topic.
//! It is committed in the transaction of the epoch, so that both are there or neither. Nobody ever consumes in that group.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::sink::Context;
use super::source::refused;
use crate::error::{ConnectError, Result};

/// The group of an identity.
pub(super) struct Marker {
    consumer: BaseConsumer<Context>,
    topic: String,
}

impl Marker {
    /// The marker of an identity that writes to `topic`. `config` says how brokers are reached.
    ///
    /// # Errors
    /// If a setting is not librdkafka's.
    pub(super) fn new(
        mut config: ClientConfig,
        identity: &str,
        topic: &str,
        context: Context,
    ) -> Result<Self> {
        config
            .set("group.id", group_of(identity))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // Asked while a transaction ends, the brokers say so, and are asked again.
            .set("isolation.level", "read_committed");
        let consumer = config.create_with_context(context);
        Ok(Self {
            consumer: consumer.map_err(|error| refused(&error))?,
            topic: topic.to_owned(),
        })
    }

    /// An epoch as what a transaction commits: offsets, and the group they are of.
    ///
    /// # Errors
    /// If librdkafka has no group.
    pub(super) fn offsets(
        &self,
        epoch: u64,
    ) -> Result<(TopicPartitionList, ConsumerGroupMetadata)> {
        let none = ConnectError::Machinery {
            what: "librdkafka gave no consumer group to commit an epoch in",
        };
        let group = self.consumer.group_metadata().ok_or(none)?;
        let offset = Offset::Offset(i64::try_from(epoch).unwrap_or(i64::MAX));
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset(&self.topic, 0, offset)
            .map_err(|error| refused(&error))?;
        Ok((offsets, group))
    }

    /// The epoch that is committed; `None` if the brokers know of none.
    pub(super) fn committed(&self, wait: Duration) -> KafkaResult<Option<u64>> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.topic, 0);
        let answer = self.consumer.committed_offsets(asked, wait)?;
        let Some(found) = answer.find_partition(&self.topic, 0) else {
            return Ok(None);
        };
        found.error()?;
        match found.offset() {
            Offset::Offset(epoch) => Ok(u64::try_from(epoch).ok()),
            Offset::Invalid => Ok(None),
            _ => Err(KafkaError::OffsetFetch(
                rdkafka::error::RDKafkaErrorCode::InvalidArgument,
            )),
        }
    }
}

/// The group of an identity.
fn group_of(identity: &str) -> String {
    format!("tidegate-sink-{identity}")
}

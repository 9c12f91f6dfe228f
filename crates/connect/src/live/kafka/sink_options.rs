//! What a sink of Kafka is told, and how librdkafka is set up for it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::config;
use crate::error::{ConnectError, Result};
use crate::live::sink::Guarantee;

/// How long a transaction may be open: what brokers allow (`transaction.max.timeout.ms`) when nobody set it.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);
const TIMEOUT_SETTING: &str = "transaction.timeout.ms";

/// What a sink of Kafka is told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KafkaSinkOptions {
    /// The brokers, `host:port` with commas between them.
    pub servers: String,
    /// The topic.
    pub topic: String,
    /// The identity for transactions, one process at a time: rows are there exactly once. None: at least once.
    pub transactional_id: Option<String>,
    /// Settings of librdkafka, given as `kafka.…`.
    pub kafka: BTreeMap<String, String>,
}

impl KafkaSinkOptions {
    /// Takes `bootstrapServers`, `topic`, `deliveryGuarantee`, `transactionalId` (without it, a sink that delivers exactly
    /// once has the identity `own`) and `kafka.…`; the rest is handed back.
    ///
    /// # Errors
    /// If the brokers or the topic are missing, or a value cannot be.
    pub fn take<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        own: &str,
    ) -> Result<(Self, BTreeMap<String, String>)> {
        let mut options = Self::default();
        let mut rest = BTreeMap::new();
        let mut guarantee = Guarantee::default();
        for (name, value) in pairs {
            let lower = name.to_ascii_lowercase();
            match lower.as_str() {
                "bootstrapservers" | "kafka.bootstrap.servers" => {
                    value.clone_into(&mut options.servers);
                }
                "topic" => value.trim().clone_into(&mut options.topic),
                "deliveryguarantee" => guarantee = Guarantee::from_option(value)?,
                "transactionalid" | "kafka.transactional.id" => {
                    options.transactional_id = Some(value.trim().to_owned());
                }
                _ => match lower.strip_prefix("kafka.") {
                    Some(key) => {
                        options.kafka.insert(key.to_owned(), value.to_owned());
                    }
                    None => {
                        rest.insert(name.to_owned(), value.to_owned());
                    }
                },
            }
        }
        for (name, value) in [
            ("bootstrapServers", &options.servers),
            ("topic", &options.topic),
        ] {
            if value.is_empty() {
                return Err(ConnectError::Live {
                    source_name: "the sink of Kafka".to_owned(),
                    message: format!("{name} is missing"),
                    help: "say bootstrapServers => 'host:port', topic => 'name'".to_owned(),
                });
            }
        }
        options.transactional_id = match (guarantee, options.transactional_id.take()) {
            (Guarantee::ExactlyOnce, given) => Some(given.unwrap_or_else(|| own.to_owned())),
            (Guarantee::AtLeastOnce, None) => None,
            (Guarantee::AtLeastOnce, Some(_)) => {
                return Err(ConnectError::Live {
                    source_name: "the sink of Kafka".to_owned(),
                    message: "transactionalId is given, but there are no transactions".to_owned(),
                    help: "say deliveryGuarantee => 'exactly-once', too".to_owned(),
                });
            }
        };
        Ok((options, rest))
    }

    /// How long a transaction may be open: `kafka.transaction.timeout.ms`, or what brokers allow without a setting.
    pub(super) fn timeout(&self) -> Duration {
        let given = self.kafka.get(TIMEOUT_SETTING);
        let given = given.and_then(|given| given.parse().ok());
        given.map_or(TIMEOUT, Duration::from_millis)
    }

    /// How librdkafka is set up.
    pub(super) fn config(&self) -> Result<rdkafka::ClientConfig> {
        let mut settings = BTreeMap::from([
            ("compression.type".to_owned(), "lz4".to_owned()),
            ("linger.ms".to_owned(), "5".to_owned()),
            ("batch.size".to_owned(), (1 << 20).to_string()),
            ("partitioner".to_owned(), "murmur2_random".to_owned()),
            ("message.max.bytes".to_owned(), "200000000".to_owned()),
            (
                "queue.buffering.max.messages".to_owned(),
                "500000".to_owned(),
            ),
            ("queue.buffering.max.kbytes".to_owned(), "262144".to_owned()),
        ]);
        if self.transactional_id.is_some() {
            let timeout = TIMEOUT.as_millis().to_string();
            settings.insert(TIMEOUT_SETTING.to_owned(), timeout);
        }
        settings.extend(self.kafka.clone());
        let mut config = config::common(&self.servers, &settings)?;
        config
            .set("enable.idempotence", "true")
            .set("delivery.report.only.error", "true");
        if let Some(identity) = &self.transactional_id {
            config.set("transactional.id", identity);
        }
        Ok(config)
    }
}

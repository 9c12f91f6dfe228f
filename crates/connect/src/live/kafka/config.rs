//! How librdkafka is set up, and what Java's settings are called there.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::error::{ConnectError, Result};
use crate::live::LiveOptions;

/// Settings of Java's client that have another name here, or none.
const OF_JAVA: &[(&str, &str)] = &[
    ("ssl.truststore.location", "ssl.ca.location, a PEM file"),
    (
        "ssl.truststore.password",
        "ssl.ca.location, a PEM file without a password",
    ),
    ("ssl.keystore.type", "ssl.keystore.location, a PKCS#12 file"),
    (
        "sasl.login.callback.handler.class",
        "sasl.oauthbearer.method",
    ),
    (
        "sasl.client.callback.handler.class",
        "sasl.oauthbearer.method",
    ),
    ("key.deserializer", "the option format"),
    ("value.deserializer", "the option format"),
    ("auto.offset.reset", "the option startingOffsets"),
    (
        "enable.auto.commit",
        "nothing: positions are committed with the results",
    ),
];

/// What consumers and producers have in common.
pub(super) fn common(servers: &str, settings: &BTreeMap<String, String>) -> Result<ClientConfig> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        .set("client.id", "tidegate")
        .set("allow.auto.create.topics", "false")
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.max.ms", "2000")
        .set("receive.message.max.bytes", "2000000000")
        // OpenSSL is our own, and does not know where this machine keeps its authorities.
        .set("ssl.ca.location", authorities())
        .set_log_level(RDKafkaLogLevel::Warning);
    for (name, value) in settings {
        let unknown = OF_JAVA.iter().find(|(java, _)| java == name);
        if let Some((_, here)) = unknown {
            return Err(setting(
                name,
                &format!("it is one of Java's client; say {here}"),
            ));
        }
        match name.as_str() {
            "sasl.jaas.config" => {
                let (user, password) = jaas(value).ok_or_else(|| {
                    setting(name, "no username and password are in it; set kafka.sasl.username and kafka.sasl.password")
                })?;
                config.set("sasl.username", user);
                config.set("sasl.password", password);
            }
            _ => {
                config.set(name, value);
            }
        }
    }
    Ok(config)
}

/// Where the authorities are that the machine trusts: as the environment says, or where they usually are.
fn authorities() -> String {
    std::env::var("SSL_CERT_FILE").unwrap_or_else(|_| "probe".to_owned())
}

/// A consumer.
pub(super) fn consumer(options: &LiveOptions) -> Result<ClientConfig> {
    let servers = options.servers.as_deref().ok_or_else(|| {
        setting(
            "bootstrap.servers",
            "it is missing; say bootstrapServers => 'host:port'",
        )
    })?;
    let partition = options.partition_bytes_max.unwrap_or(4 << 20);
    // Our own first, so that kafka.… stands above them; what positions hang on comes last.
    let mut settings = BTreeMap::from([
        ("fetch.queue.backoff.ms".to_owned(), "5".to_owned()),
        ("fetch.error.backoff.ms".to_owned(), "100".to_owned()),
        ("fetch.wait.max.ms".to_owned(), "100".to_owned()),
        ("fetch.max.bytes".to_owned(), (64 << 20).to_string()),
        ("queued.min.messages".to_owned(), "1000000".to_owned()),
        (
            "topic.metadata.refresh.interval.ms".to_owned(),
            "10000".to_owned(),
        ),
        (
            "max.partition.fetch.bytes".to_owned(),
            partition.to_string(),
        ),
        ("isolation.level".to_owned(), "read_committed".to_owned()),
    ]);
    settings.extend(options.kafka.clone());
    let mut config = common(servers, &settings)?;
    let group = match &options.group_id {
        Some(group) => group.clone(),
        None => format!("tidegate-{}", uuid::Uuid::now_v7()),
    };
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error");
    Ok(config)
}

/// Whether librdkafka has said that it is not let in, or lets nobody in: that does not pass by itself.
pub(super) fn is_refusal(said: &str) -> bool {
    let lower = said.to_lowercase();
    ["authentication", "certificate"]
        .iter()
        .any(|word| lower.contains(word))
}

/// A setting that librdkafka does not take.
pub(super) fn setting(name: &str, message: &str) -> ConnectError {
    ConnectError::Live {
        source_name: "Kafka".to_owned(),
        message: format!("the setting kafka.{name} cannot be used: {message}"),
        help: "settings are those of librdkafka (CONFIGURATION.md there)".to_owned(),
    }
}

/// Name and password of Java's login configuration: `… required username="a" password="b";`.
fn jaas(text: &str) -> Option<(String, String)> {
    let value = |key: &str| {
        let behind = text.split(key).nth(1)?.trim_start().strip_prefix('=')?;
        let quote = behind.trim_start();
        let mark = quote
            .chars()
            .next()
            .filter(|mark| matches!(mark, '"' | '\''))?;
        let inside = &quote[1..];
        Some(inside[..inside.find(mark)?].to_owned())
    };
    Some((value("username")?, value("password")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_reach_librdkafka_under_its_names() {
        let pairs = [
            ("kafka.bootstrap.servers", "a:1,b:2"),
            ("kafka.security.protocol", "SASL_SSL"),
            ("kafka.sasl.mechanism", "SCRAM-SHA-512"),
            (
                "kafka.sasl.jaas.config",
                "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"u\" password='p w';",
            ),
            ("kafka.ssl.ca.location", "ca.pem"),
            ("maxBytesPerPartition", "8mb"),
            ("groupId", "g"),
            ("subscribe", "a, b"),
        ];
        let (options, _, rest) = LiveOptions::take(pairs).unwrap();
        assert!(rest.is_empty(), "{rest:?}");
        let config = consumer(&options).unwrap();
        for (name, value) in [
            ("bootstrap.servers", "a:1,b:2"),
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "u"),
            ("sasl.password", "p w"),
            ("ssl.ca.location", "ca.pem"),
            ("max.partition.fetch.bytes", "8388608"),
            ("group.id", "g"),
            ("enable.auto.commit", "false"),
        ] {
            assert_eq!(config.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn settings_of_java_are_explained() {
        let pairs = [
            ("bootstrapServers", "a:1"),
            ("kafka.ssl.truststore.location", "trust.jks"),
        ];
        let (options, ..) = LiveOptions::take(pairs).unwrap();
        let error = consumer(&options).unwrap_err().to_string();
        assert!(error.contains("ssl.ca.location"), "{error}");
    }
}

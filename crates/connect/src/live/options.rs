//! What `read_kafka(…)` and `read_topic(…)` can be told beyond [`ReadOptions`], under the names that Spark and
//! Databricks use. Each option is declared once, in [`LIVE_OPTIONS`].

use std::collections::{BTreeMap, BTreeSet};

use super::reading::LiveFormat;
use super::start::Start;
use crate::error::{ConnectError, Result};
use crate::options::{ReadOptions, byte_size, truth};

/// One option, as data.
pub struct LiveOptionSpec {
    /// The canonical name first, then its aliases.
    pub names: &'static [&'static str],
    /// What the value may be.
    pub expected: &'static str,
    /// What it does, and what happens without it.
    pub help: &'static str,
    set: fn(&mut LiveOptions, &str) -> Result<Option<()>>,
}

/// Which topics are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscription {
    /// These.
    Topics(Vec<String>),
    /// All whose whole name matches this regular expression, those to come among them.
    Pattern(String),
    /// These partitions of these topics only.
    Partitions(BTreeMap<String, BTreeSet<i32>>),
}

/// Everything a live source can be told; see [`LIVE_OPTIONS`] for the names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LiveOptions {
    /// How values are written.
    pub format: LiveFormat,
    /// Where partitions without a position begin.
    pub start: Start,
    /// Records that are gone before they were read are told and passed over, instead of stopping the flow.
    pub accept_data_loss: bool,
    /// The brokers, `host:port` with commas between them.
    pub servers: Option<String>,
    /// The topics.
    pub subscription: Option<Subscription>,
    /// The consumer group under which positions are shown to Kafka's own tools; they are never read back.
    pub group_id: Option<String>,
    /// Most bytes that one request fetches of one partition.
    pub partition_bytes_max: Option<usize>,
    /// The Schema Registry's address.
    pub registry: Option<String>,
    /// Name and password for the Schema Registry.
    pub registry_credentials: Option<(String, String)>,
    /// A PEM file of the authorities that have signed its certificate, beside those of the machine.
    pub registry_authorities: Option<String>,
    /// An Avro schema, as JSON.
    pub avro_schema: Option<String>,
    /// The file of an Avro schema (`.avsc`).
    pub schema_file: Option<String>,
    /// The file of a message (`.proto`).
    pub proto_file: Option<String>,
    /// The message in it.
    pub message_name: Option<String>,
    /// Settings of librdkafka, given as `kafka.…`.
    pub kafka: BTreeMap<String, String>,
}

impl LiveOptions {
    /// Takes the options that are about live sources, then those about reading; the rest is handed back (third).
    ///
    /// # Errors
    /// [`ConnectError::OptionValue`] for a value that cannot be.
    pub fn take<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(Self, ReadOptions, BTreeMap<String, String>)> {
        let mut options = Self::default();
        let mut others = Vec::new();
        let mut user: (Option<String>, Option<String>) = (None, None);
        for (name, value) in pairs {
            let lower = name.to_ascii_lowercase();
            match (find(name), lower.as_str()) {
                (Some(spec), _) => {
                    let wrong = || ConnectError::OptionValue {
                        name: spec.names[0],
                        value: value.to_owned(),
                        expected: spec.expected.to_owned(),
                    };
                    (spec.set)(&mut options, value)?.ok_or_else(wrong)?;
                    if spec.names[0] == "format" && value.eq_ignore_ascii_case("tsv") {
                        others.push(("sep", "\t"));
                    }
                }
                (None, "schemaregistry.user") => user.0 = Some(value.to_owned()),
                (None, "schemaregistry.password") => user.1 = Some(value.to_owned()),
                (None, lower) => match lower.strip_prefix("kafka.") {
                    Some(key) => {
                        options.kafka.insert(key.to_owned(), value.to_owned());
                    }
                    None => others.push((name, value)),
                },
            }
        }
        if let (Some(name), password) = user {
            options.registry_credentials = Some((name, password.unwrap_or_default()));
        }
        let (read, rest) = ReadOptions::take(others)?;
        Ok((options, read, rest))
    }

    /// Takes the options that say where the schema of a sink's values is; the rest is handed back.
    ///
    /// # Errors
    /// [`ConnectError::OptionValue`] for a value that cannot be.
    pub fn take_schema<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(Self, Vec<(&'a str, &'a str)>)> {
        let of_schema = |name: &str| {
            let name = name.to_ascii_lowercase();
            let canonical = find(&name).map_or(name.as_str(), |spec| spec.names[0]);
            SCHEMA_OPTIONS.contains(&canonical)
        };
        let (schema, rest): (Vec<_>, Vec<_>) =
            pairs.into_iter().partition(|(name, _)| of_schema(name));
        let (options, ..) = Self::take(schema)?;
        Ok((options, rest))
    }

    /// Every name an option can be given under, for finding the nearest one.
    pub fn names() -> impl Iterator<Item = &'static str> {
        LIVE_OPTIONS
            .iter()
            .flat_map(|spec| spec.names.iter().copied())
    }
}

/// The options that say where the schema of values is.
const SCHEMA_OPTIONS: [&str; 8] = [
    "avroSchema",
    "messageName",
    "protoFile",
    "schemaFile",
    "schemaRegistry",
    "schemaRegistry.ca",
    "schemaregistry.password",
    "schemaregistry.user",
];

fn find(name: &str) -> Option<&'static LiveOptionSpec> {
    LIVE_OPTIONS.iter().find(|spec| {
        spec.names
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    })
}

/// Sets a field to a text.
fn put(field: &mut Option<String>, value: &str) -> Result<Option<()>> {
    let text = value.trim();
    *field = (!text.is_empty()).then(|| text.to_owned());
    Ok(field.as_ref().map(|_| ()))
}

/// The options of live sources, in alphabetical order of their canonical names.
pub static LIVE_OPTIONS: &[LiveOptionSpec] = &[
    LiveOptionSpec {
        names: &["assign"],
        expected: "partitions by topic, such as {\"payments\":[0,1]}",
        help: "The partitions to read, in place of subscribe.",
        set: |o, v| {
            let partitions = serde_json::from_str(v).ok();
            o.subscription = partitions.map(Subscription::Partitions);
            Ok(o.subscription.as_ref().map(|_| ()))
        },
    },
    LiveOptionSpec {
        names: &["avroSchema"],
        expected: "an Avro schema as JSON",
        help: "The schema of the values, where there is no Schema Registry.",
        set: |o, v| put(&mut o.avro_schema, v),
    },
    LiveOptionSpec {
        names: &["bootstrapServers", "kafka.bootstrap.servers"],
        expected: "host:port, with commas between several",
        help: "The brokers that are asked first.",
        set: |o, v| put(&mut o.servers, v),
    },
    LiveOptionSpec {
        names: &["failOnDataLoss"],
        expected: "true or false",
        help: "Whether records that were removed before they were read stop the flow (true), or are told and passed over.",
        set: |o, v| {
            let value = truth(v);
            o.accept_data_loss = value == Some(false);
            Ok(value.map(|_| ()))
        },
    },
    LiveOptionSpec {
        names: &["format"],
        expected: "raw, json, csv, avro or protobuf",
        help: "How values are written; raw gives key and value as BINARY beside topic, partition, offset, timestamp and headers.",
        set: |o, v| {
            let format = LiveFormat::from_name(v);
            o.format = format.unwrap_or_default();
            Ok(format.map(|_| ()))
        },
    },
    LiveOptionSpec {
        names: &["groupId", "kafka.group.id"],
        expected: "the name of a consumer group",
        help: "Under which positions are shown to Kafka's own tools; Tidegate keeps its own.",
        set: |o, v| put(&mut o.group_id, v),
    },
    LiveOptionSpec {
        names: &["maxBytesPerPartition", "kafka.max.partition.fetch.bytes"],
        expected: "a size such as 4mb",
        help: "How much one request fetches of one partition; 4 MiB. Larger records come nevertheless.",
        set: |o, v| {
            o.partition_bytes_max = byte_size(v);
            Ok(o.partition_bytes_max.map(|_| ()))
        },
    },
    LiveOptionSpec {
        names: &["messageName"],
        expected: "the full name of a message, such as shop.Payment",
        help: "The message in protoFile; the first one without it.",
        set: |o, v| put(&mut o.message_name, v),
    },
    LiveOptionSpec {
        names: &["protoFile"],
        expected: "the path of a .proto file",
        help: "The message of the values, where there is no Schema Registry.",
        set: |o, v| put(&mut o.proto_file, v),
    },
    LiveOptionSpec {
        names: &["schemaFile", "avroSchemaFile"],
        expected: "the path of an .avsc file",
        help: "The schema of the values, where there is no Schema Registry.",
        set: |o, v| put(&mut o.schema_file, v),
    },
    LiveOptionSpec {
        names: &[
            "schemaRegistry",
            "schemaRegistryAddress",
            "schema.registry.url",
        ],
        expected: "the address of a Schema Registry",
        help: "Where the schemas of Avro and Protobuf values are; with schemaRegistry.user and schemaRegistry.password.",
        set: |o, v| put(&mut o.registry, v),
    },
    LiveOptionSpec {
        names: &["schemaRegistry.ca"],
        expected: "the path of a PEM file",
        help: "The authority that has signed the registry's certificate, if the machine does not know it.",
        set: |o, v| put(&mut o.registry_authorities, v),
    },
    LiveOptionSpec {
        names: &["startingOffsets"],
        expected: "earliest, latest, or offsets such as {\"topic\":{\"0\":23,\"1\":-2}}",
        help: "Where partitions begin that were never read: earliest. Partitions that appear later begin at their first record.",
        set: |o, v| {
            o.start = Start::from_offsets(v)?;
            Ok(Some(()))
        },
    },
    LiveOptionSpec {
        names: &["startingOffsetsByTimestamp"],
        expected: "milliseconds since 1970 by partition, such as {\"topic\":{\"0\":1700000000000}}",
        help: "The same by time.",
        set: |o, v| {
            o.start = Start::from_timestamps(v)?;
            Ok(Some(()))
        },
    },
    LiveOptionSpec {
        names: &["startingTimestamp"],
        expected: "milliseconds since 1970 or a time such as 2026-03-01T12:00:00Z",
        help: "The same for all partitions.",
        set: |o, v| {
            o.start = Start::from_timestamp(v)?;
            Ok(Some(()))
        },
    },
    LiveOptionSpec {
        names: &["subscribe", "topic", "topics"],
        expected: "a topic, or several with commas between them",
        help: "The topics to read.",
        set: |o, v| {
            let names = v.split(',').map(str::trim).filter(|name| !name.is_empty());
            let names: Vec<String> = names.map(str::to_owned).collect();
            let some = (!names.is_empty()).then_some(());
            o.subscription = Some(Subscription::Topics(names));
            Ok(some)
        },
    },
    LiveOptionSpec {
        names: &["subscribePattern"],
        expected: "a regular expression",
        help: "The topics to read: all whose whole name matches, those to come among them.",
        set: |o, v| {
            let right = regex::Regex::new(v).is_ok();
            o.subscription = Some(Subscription::Pattern(v.to_owned()));
            Ok(right.then_some(()))
        },
    },
];

//! Kafka, by librdkafka: a source and a sink.
//!
//! The source assigns partitions to itself instead of joining a group: positions are Tidegate's own, and nobody takes
//! partitions away. [`queue`] hands over what librdkafka has fetched, [`config`] says how it is set up; [`marker`] knows
//! which epoch of a sink is out.

mod cluster;
mod config;
mod marker;
mod queue;
#[cfg(test)]
mod real;
mod sink;
mod sink_options;
mod source;
#[cfg(test)]
mod tests;

pub use self::sink::KafkaSink;
pub use self::sink_options::KafkaSinkOptions;
pub use self::source::KafkaSource;

//! Opening what a sink writes to, as `CREATE SINK … TO` says.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_connect::ConnectError;
use tidegate_connect::live::kafka::{KafkaSink, KafkaSinkOptions};
use tidegate_connect::live::{
    AvroEncoder, Encoder, Guarantee, LiveOptions, LiveSink, ProtobufEncoder, TopicSink,
    ValueEncoder,
};
use tidegate_project::{Diagnostic, RecordSource, SinkTarget};

use crate::codes;
use crate::error::{PipelineError, Result};
use crate::records::Opener;

/// A sink that is open.
pub(crate) type OpenSink = Box<dyn LiveSink>;

/// Whether rows are to be there exactly once.
///
/// # Errors
/// A diagnostic if it cannot be.
pub(crate) fn is_exactly_once(target: &SinkTarget) -> Result<bool> {
    let mut options = target.options.iter();
    let given = options.find(|(name, _)| name.eq_ignore_ascii_case(GUARANTEE));
    let Some((_, given)) = given else {
        return Ok(false);
    };
    let guarantee =
        Guarantee::from_option(&given.value).map_err(|error| refused(target, error.to_string()))?;
    match (guarantee, &target.to) {
        (Guarantee::AtLeastOnce, _) => Ok(false),
        (Guarantee::ExactlyOnce, RecordSource::Kafka) => Ok(true),
        (Guarantee::ExactlyOnce, RecordSource::Topic(_)) => Err(refused(
            target,
            "a topic of the project has no transactions: its sinks deliver at least once"
                .to_owned(),
        )),
    }
}

/// The option that says how often a row is there.
const GUARANTEE: &str = "deliveryGuarantee";

impl Opener {
    /// Opens what a sink writes to. `identity` is the one that its transactions have if the options give none. Blocks.
    ///
    /// # Errors
    /// A diagnostic for an option that cannot be; what reaching it meets.
    pub(crate) fn open_sink(&self, target: &SinkTarget, identity: &str) -> Result<OpenSink> {
        let wrong = |error: ConnectError| refused(target, error.to_string());
        let options = target.options.iter();
        let pairs = options.map(|(name, option)| (name.as_str(), option.value.as_str()));
        let (schema, pairs) = LiveOptions::take_schema(pairs).map_err(wrong)?;
        let topic = topic_of(target);
        let values: Option<Box<dyn ValueEncoder>> = match target.format.as_deref() {
            None | Some("json") => None,
            Some("avro") => Some(Box::new(AvroEncoder::new(&schema, topic).map_err(wrong)?)),
            Some("protobuf") => Some(Box::new(
                ProtobufEncoder::new(&schema, topic).map_err(wrong)?,
            )),
            Some(other) => {
                let message = format!("a sink writes JSON, Avro or Protobuf, and not {other}");
                return Err(refused(target, message));
            }
        };
        let (encoder, rest) = Encoder::take(pairs, values).map_err(wrong)?;
        let given = rest
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        match &target.to {
            RecordSource::Kafka => {
                let (options, left) = KafkaSinkOptions::take(given, identity).map_err(wrong)?;
                unknown(target, &left)?;
                Ok(Box::new(KafkaSink::new(&options, encoder)?))
            }
            RecordSource::Topic(name) => {
                let mut rest = rest;
                rest.retain(|name, _| !name.eq_ignore_ascii_case(GUARANTEE));
                unknown(target, &rest)?;
                let clock = Arc::new(|| chrono::Utc::now().timestamp_millis());
                let writer = self.topic(name)?.writer()?;
                Ok(Box::new(TopicSink::new(writer, encoder, clock)))
            }
        }
    }
}

/// The topic that records go to; empty if the options do not say it.
fn topic_of(target: &SinkTarget) -> &str {
    match &target.to {
        RecordSource::Topic(name) => name.name(),
        RecordSource::Kafka => {
            let mut options = target.options.iter();
            let given = options.find(|(name, _)| name.eq_ignore_ascii_case("topic"));
            given.map_or("", |(_, topic)| topic.value.trim())
        }
    }
}

fn unknown(target: &SinkTarget, left: &BTreeMap<String, String>) -> Result<()> {
    match left.keys().next() {
        Some(name) => Err(refused(
            target,
            format!("`{name}` is not an option of a sink"),
        )),
        None => Ok(()),
    }
}

/// A mistake in what a sink is told.
pub(crate) fn refused(target: &SinkTarget, message: String) -> PipelineError {
    let diagnostic = Diagnostic::error(codes::OPTION, message)
        .at(target.place, "this sink")
        .help("a sink takes bootstrapServers, topic, deliveryGuarantee, transactionalId, kafka.…, key, valueIncludesKey, format and what the format needs");
    PipelineError::Diagnostics(vec![diagnostic])
}

//! A topic of Kafka as a sink: batched, compressed, idempotent, and with transactions where an identity is given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};

use super::config;
use super::source::refused;
use crate::error::{ConnectError, Result};
use crate::live::LiveSink;
use crate::live::encode::Encoder;

/// How long a question to the brokers may take before it is asked again.
const ANSWER: Duration = Duration::from_secs(10);
/// How long it is asked again.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a sink of Kafka is told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KafkaSinkOptions {
    /// The brokers, `host:port` with commas between them.
    pub servers: String,
    /// The topic.
    pub topic: String,
    /// The identity for transactions: one process at a time may have it.
    pub transactional_id: Option<String>,
    /// Settings of librdkafka, given as `kafka.…`.
    pub kafka: BTreeMap<String, String>,
}

impl KafkaSinkOptions {
    /// Takes `bootstrapServers`, `topic` and `kafka.…`; the rest is handed back.
    ///
    /// # Errors
    /// If the brokers or the topic are missing.
    pub fn take<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(Self, BTreeMap<String, String>)> {
        let mut options = Self::default();
        let mut rest = BTreeMap::new();
        for (name, value) in pairs {
            let lower = name.to_ascii_lowercase();
            match lower.as_str() {
                "bootstrapservers" | "kafka.bootstrap.servers" => {
                    value.clone_into(&mut options.servers);
                }
                "topic" => value.trim().clone_into(&mut options.topic),
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
        Ok((options, rest))
    }

    fn config(&self) -> Result<rdkafka::ClientConfig> {
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

/// Keeps what librdkafka says of records that did not arrive.
#[derive(Default)]
struct Reports {
    /// The first failure since the last look.
    failed: Mutex<Option<(RDKafkaErrorCode, String)>>,
    said: Mutex<String>,
}

#[derive(Clone)]
struct Context(Arc<Reports>);

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, line: &str) {
        tracing::debug!(line, "librdkafka");
        line.clone_into(&mut self.0.said.lock());
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
        reason.clone_into(&mut self.0.said.lock());
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, record)) = result {
            let code = error
                .rdkafka_error_code()
                .unwrap_or(RDKafkaErrorCode::Unknown);
            let bytes = record.payload_len();
            let place = (record.topic(), record.partition());
            let message = format!(
                "a record of {bytes} bytes for {}/{}: {error}",
                place.0, place.1
            );
            self.0.failed.lock().get_or_insert((code, message));
        }
    }
}

/// A topic of Kafka as a sink.
pub struct KafkaSink {
    producer: BaseProducer<Context>,
    reports: Arc<Reports>,
    encoder: Encoder,
    topic: String,
    name: String,
    identity: Option<String>,
    open: bool,
}

impl KafkaSink {
    /// A sink into a topic. With an identity, whoever had it before is fenced off.
    ///
    /// # Errors
    /// If a setting is not librdkafka's, there is no such topic, or the brokers do not answer.
    pub fn new(options: &KafkaSinkOptions, encoder: Encoder) -> Result<Self> {
        let reports = Arc::<Reports>::default();
        let context = Context(Arc::clone(&reports));
        let producer: BaseProducer<Context> = options
            .config()?
            .create_with_context(context)
            .map_err(|error| refused(&error))?;
        let sink = Self {
            producer,
            reports,
            encoder,
            name: format!("Kafka topic {}", options.topic),
            topic: options.topic.clone(),
            identity: options.transactional_id.clone(),
            open: false,
        };
        sink.check_topic()?;
        if sink.identity.is_some() {
            sink.retried(|| sink.producer.init_transactions(ANSWER))?;
        }
        Ok(sink)
    }

    /// Producing into a topic that is not there would fail only much later.
    fn check_topic(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let client = self.producer.client();
            let found = self.retried(|| client.fetch_metadata(Some(&self.topic), ANSWER))?;
            let mut topics = found.topics().iter();
            if topics.any(|topic| topic.name() == self.topic && !topic.partitions().is_empty()) {
                return Ok(());
            }
            if begun.elapsed() > Duration::from_secs(2) {
                return Err(ConnectError::Live {
                    source_name: self.name.clone(),
                    message: "there is no such topic, or it may not be written".to_owned(),
                    help: "make it first (kafka-topics.sh --create)".to_owned(),
                });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asks until there is an answer, or for too long.
    fn retried<T>(&self, question: impl Fn() -> KafkaResult<T>) -> Result<T> {
        let begun = Instant::now();
        loop {
            let error = match question() {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            self.producer.poll(Duration::ZERO);
            let passing = match &error {
                KafkaError::Transaction(inner) => inner.is_retriable(),
                other => matches!(
                    other.rdkafka_error_code(),
                    Some(
                        RDKafkaErrorCode::BrokerTransportFailure
                            | RDKafkaErrorCode::AllBrokersDown
                            | RDKafkaErrorCode::OperationTimedOut
                            | RDKafkaErrorCode::RequestTimedOut
                            | RDKafkaErrorCode::LeaderNotAvailable
                            | RDKafkaErrorCode::Resolve
                    )
                ),
            };
            if !passing {
                return Err(self.failed(&error));
            }
            if begun.elapsed() > PATIENCE {
                let said = self.reports.said.lock();
                return Err(ConnectError::Unreachable {
                    source_name: self.name.clone(),
                    message: format!("{error} ({said})"),
                    seconds: begun.elapsed().as_secs(),
                });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn failed(&self, error: &KafkaError) -> ConnectError {
        let code = match error {
            KafkaError::Transaction(inner) => Some(inner.code()),
            other => other.rdkafka_error_code(),
        };
        self.told(
            code.unwrap_or(RDKafkaErrorCode::Unknown),
            &error.to_string(),
        )
    }

    fn told(&self, code: RDKafkaErrorCode, message: &str) -> ConnectError {
        // What has become of a producer is said only once something fails because of it.
        let fatal = self.producer.client().fatal_error();
        let (code, message) = match &fatal {
            Some((code, message)) => (*code, message.as_str()),
            None => (code, message),
        };
        match code {
            RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::InvalidProducerEpoch => ConnectError::Fenced {
                sink: self.name.clone(),
                identity: self.identity.clone().unwrap_or_default(),
            },
            _ => ConnectError::Live {
                source_name: self.name.clone(),
                message: message.to_owned(),
                help: "see to the brokers and the settings kafka.…".to_owned(),
            },
        }
    }

    /// Fails if a record that was sent before did not arrive.
    fn check_arrived(&self) -> Result<()> {
        let failed = self.reports.failed.lock().take();
        match failed {
            Some((code, message)) => Err(self.told(code, &message)),
            None => Ok(()),
        }
    }

    fn send_one(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<()> {
        loop {
            let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic);
            record.key = key;
            record.payload = value;
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, _))
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) =>
                {
                    // The brokers are slower than we are.
                    self.producer.poll(Duration::from_millis(10));
                    self.check_arrived()?;
                }
                Err((error, _)) => return Err(self.failed(&error)),
            }
        }
    }

    /// Ends a transaction in which something failed, so that the next one can begin.
    fn give_up(&mut self) {
        if let Err(error) = self.abort() {
            tracing::warn!(%error, sink = self.name, "a transaction could not be taken back");
        }
    }

    fn try_commit(&mut self) -> Result<()> {
        self.flush()?;
        self.retried(|| self.producer.commit_transaction(ANSWER))?;
        self.open = false;
        Ok(())
    }
}

impl LiveSink for KafkaSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_transactional(&self) -> bool {
        self.identity.is_some()
    }

    fn send(&mut self, rows: &RecordBatch) -> Result<()> {
        let encoded = self.encoder.encode(rows, &self.name)?;
        for row in 0..encoded.rows() {
            let key = encoded.keys.as_ref().and_then(|keys| keys.get(row));
            self.send_one(key, encoded.values.get(row))?;
        }
        self.producer.poll(Duration::ZERO);
        self.check_arrived()
    }

    fn flush(&mut self) -> Result<()> {
        while self.producer.in_flight_count() > 0 {
            match self.producer.flush(Duration::from_millis(500)) {
                Err(error)
                    if error.rdkafka_error_code() != Some(RDKafkaErrorCode::OperationTimedOut) =>
                {
                    return Err(self.failed(&error));
                }
                _ => self.check_arrived()?,
            }
        }
        self.producer.poll(Duration::ZERO);
        self.check_arrived()
    }

    fn begin(&mut self) -> Result<()> {
        if self.identity.is_none() {
            return Err(ConnectError::Machinery {
                what: "a transaction was begun in a sink without an identity",
            });
        }
        self.producer
            .begin_transaction()
            .map_err(|error| self.failed(&error))?;
        self.open = true;
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let committed = self.try_commit();
        if committed.is_err() {
            self.give_up();
        }
        committed
    }

    fn abort(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.open) {
            return Ok(());
        }
        self.producer
            .purge(PurgeConfig::default().queue().inflight());
        self.producer.poll(Duration::ZERO);
        let aborted = self.retried(|| self.producer.abort_transaction(ANSWER));
        // Those that were taken back did not arrive, as they should.
        self.reports.failed.lock().take();
        aborted
    }
}

impl Drop for KafkaSink {
    fn drop(&mut self) {
        if self.open {
            self.give_up();
        }
    }
}

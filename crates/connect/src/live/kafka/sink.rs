//! A topic of Kafka as a sink: batched, compressed, idempotent, and with transactions where an identity is given.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};

use super::config;
use super::marker::Marker;
use super::sink_options::KafkaSinkOptions;
use super::source::refused;
use crate::error::{ConnectError, Result};
use crate::live::encode::{Encoder, Strings};
use crate::live::{LiveSink, Transactions};

/// How long a question to the brokers may take before it is asked again.
const ANSWER: Duration = Duration::from_secs(10);
/// How long it is asked again.
const PATIENCE: Duration = Duration::from_secs(60);

/// After how long the epoch that is out is committed again, since brokers forget it after days.
const MARK_AGAIN: Duration = Duration::from_secs(60 * 60);

/// Keeps what librdkafka says of records that did not arrive.
#[derive(Default)]
struct Reports {
    /// The first failure since the last look.
    failed: Mutex<Option<(RDKafkaErrorCode, String)>>,
    said: Mutex<String>,
}

#[derive(Clone)]
pub(super) struct Context(Arc<Reports>);

impl ConsumerContext for Context {}

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
    identified: Option<Identified>,
}

/// What a sink with transactions has.
struct Identified {
    identity: String,
    marker: Marker,
    timeout: Duration,
    /// When the newest epoch was committed by this process.
    marked: Option<Instant>,
    /// The epoch of the transaction that is open, and when it was begun.
    open: Option<(u64, Instant)>,
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
        let identified = |identity: &String| {
            let reached = config::common(&options.servers, &options.kafka)?;
            Ok::<_, ConnectError>(Identified {
                marker: Marker::new(
                    reached,
                    identity,
                    &options.topic,
                    Context(Arc::clone(&reports)),
                )?,
                identity: identity.clone(),
                timeout: options.timeout(),
                marked: None,
                open: None,
            })
        };
        let identified = options.transactional_id.as_ref().map(identified);
        let identified = identified.transpose()?;
        let sink = Self {
            producer,
            reports,
            encoder,
            name: format!("Kafka topic {}", options.topic),
            topic: options.topic.clone(),
            identified,
        };
        sink.check_topic()?;
        if sink.identified.is_some() {
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
        self.reports.said.lock().clear();
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
                            | RDKafkaErrorCode::WaitingForCoordinator
                            | RDKafkaErrorCode::CoordinatorNotAvailable
                            | RDKafkaErrorCode::CoordinatorLoadInProgress
                            | RDKafkaErrorCode::NotCoordinator
                            | RDKafkaErrorCode::UnstableOffsetCommit
                    )
                ),
            };
            if !passing {
                return Err(self.failed(&error));
            }
            let said = self.reports.said.lock().clone();
            if config::is_refusal(&said) {
                return Err(self.told(RDKafkaErrorCode::Authentication, &said));
            }
            if begun.elapsed() > PATIENCE {
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
        let fenced = matches!(
            code,
            RDKafkaErrorCode::Fenced
                | RDKafkaErrorCode::ProducerFenced
                | RDKafkaErrorCode::InvalidProducerEpoch
        );
        let own = self.identified.as_ref().filter(|_| fenced);
        let live = |message: String, help: String| ConnectError::Live {
            source_name: self.name.clone(),
            message,
            help,
        };
        match own {
            // The brokers take a transaction back that is open for too long, and fence off who began it.
            Some(own) if own.is_overdue() => live(
                format!(
                    "the transaction of the epoch was open for longer than {} seconds, and the brokers took it back; nothing of it is there",
                    own.timeout.as_secs()
                ),
                "raise kafka.transaction.timeout.ms (brokers allow up to their transaction.max.timeout.ms), or run more often, so that an epoch has less to send"
                    .to_owned(),
            ),
            Some(own) => ConnectError::Fenced {
                sink: self.name.clone(),
                identity: own.identity.clone(),
            },
            None if code == RDKafkaErrorCode::InvalidTransactionTimeout => live(
                message.to_owned(),
                "say kafka.transaction.timeout.ms => what the brokers allow (their transaction.max.timeout.ms)".to_owned(),
            ),
            None => live(
                message.to_owned(),
                "see to the brokers and the settings kafka.…".to_owned(),
            ),
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

    fn identified(&mut self) -> Result<&mut Identified> {
        self.identified.as_mut().ok_or(ConnectError::Machinery {
            what: "a transaction was asked of a sink without an identity",
        })
    }

    /// Begins a transaction of librdkafka's.
    fn open(&mut self, epoch: u64) -> Result<()> {
        let begun = self.producer.begin_transaction();
        begun.map_err(|error| self.failed(&error))?;
        self.identified()?.open = Some((epoch, Instant::now()));
        Ok(())
    }

    /// Commits the open transaction, with its epoch.
    fn close(&mut self) -> Result<()> {
        self.flush()?;
        let Some(Identified {
            marker,
            open: Some((epoch, _)),
            ..
        }) = &self.identified
        else {
            return Err(ConnectError::Machinery {
                what: "a transaction was to be committed that was not begun",
            });
        };
        let (offsets, group) = marker.offsets(*epoch)?;
        self.retried(|| {
            self.producer
                .send_offsets_to_transaction(&offsets, &group, ANSWER)
        })?;
        self.retried(|| self.producer.commit_transaction(ANSWER))?;
        let own = self.identified()?;
        own.open = None;
        own.marked = Some(Instant::now());
        Ok(())
    }
}

impl Identified {
    fn is_overdue(&self) -> bool {
        self.open
            .is_some_and(|(_, begun)| begun.elapsed() >= self.timeout)
    }
}

impl LiveSink for KafkaSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn transactions(&mut self) -> Option<&mut dyn Transactions> {
        match self.identified {
            Some(_) => Some(self),
            None => None,
        }
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

    fn send_gone(&mut self, keys: &RecordBatch) -> Result<()> {
        let gone = self.encoder.encode_gone(keys, &self.name)?;
        for row in 0..gone.as_ref().map_or(0, Strings::rows) {
            let key = gone.as_ref().and_then(|gone| gone.get(row));
            self.send_one(key, None)?;
        }
        self.producer.poll(Duration::ZERO);
        self.check_arrived()
    }

    fn flush(&mut self) -> Result<()> {
        // Reports wait to be taken behind the last record, one at a time.
        while self.producer.in_flight_count() > 0 {
            match self.producer.flush(Duration::from_millis(500)) {
                Err(error)
                    if error.rdkafka_error_code() != Some(RDKafkaErrorCode::OperationTimedOut) =>
                {
                    return Err(self.failed(&error));
                }
                _ => self.producer.poll(Duration::ZERO),
            }
            self.check_arrived()?;
        }
        self.producer.poll(Duration::ZERO);
        self.check_arrived()
    }
}

impl Transactions for KafkaSink {
    fn identity(&self) -> &str {
        let own = self.identified.as_ref();
        own.map_or("", |own| own.identity.as_str())
    }

    fn committed(&mut self) -> Result<Option<u64>> {
        let Some(own) = &self.identified else {
            return Ok(None);
        };
        let offset = self.retried(|| own.marker.committed(ANSWER))?;
        Ok(offset)
    }

    fn begin(&mut self, epoch: u64) -> Result<()> {
        let marked = self.identified()?.marked;
        if marked.is_none_or(|marked| marked.elapsed() > MARK_AGAIN) {
            // From here on, an epoch that is not there was taken back; one that nobody knows was forgotten.
            self.open(epoch.saturating_sub(1))?;
            self.close()?;
        }
        self.open(epoch)
    }

    fn is_open(&self) -> bool {
        self.identified
            .as_ref()
            .is_some_and(|own| own.open.is_some())
    }

    fn commit(&mut self) -> Result<()> {
        self.close()
    }

    fn abort(&mut self) -> Result<()> {
        if !self.is_open() {
            return Ok(());
        }
        self.identified()?.open = None;
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
        if let Err(error) = self.abort() {
            tracing::warn!(%error, sink = self.name, "a transaction could not be taken back");
        }
    }
}

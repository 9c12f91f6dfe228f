//! Sinks: where the rows of a query go as records.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::encode::{Encoder, Strings};
use super::topic::{Record, TopicWriter};
use crate::error::{ConnectError, Result};

/// Where rows go as records. Its methods block; it is used from one thread of its own.
///
/// Without a transaction, rows are there at least once: sooner or later after [`Self::send`], all of them after
/// [`Self::flush`].
pub trait LiveSink: Send {
    /// What it is, for messages: "Kafka topic alerts".
    fn name(&self) -> &str;

    /// Its transactions, if rows are to be there exactly once: then rows are sent inside of one only.
    fn transactions(&mut self) -> Option<&mut dyn Transactions> {
        None
    }

    /// Sends rows. Waits where they come faster than they are taken.
    ///
    /// # Errors
    /// If a row cannot be a record, or one that was sent before did not arrive.
    fn send(&mut self, rows: &RecordBatch) -> Result<()>;

    /// Says that rows are gone, of which `keys` has the columns that identify them: sends a record with the key and no value
    /// for each (a tombstone, at which compaction forgets the key). Does nothing where records have another key.
    ///
    /// # Errors
    /// As [`Self::send`].
    fn send_gone(&mut self, keys: &RecordBatch) -> Result<()>;

    /// Waits until everything that was sent is durable.
    ///
    /// # Errors
    /// If something did not arrive.
    fn flush(&mut self) -> Result<()>;
}

/// Transactions of a sink: what was sent in one is seen by readers all at once, or never. Each has the number of an epoch,
/// which is committed with it, and which whoever has the identity next can ask for.
pub trait Transactions {
    /// Under which name the transactions are known. Only one process may have it at a time: opening a sink fences off the
    /// one before.
    fn identity(&self) -> &str;

    /// The epoch of the newest transaction that was committed under this identity; `None` if nothing is known of one.
    /// Nothing hangs when this answers: a transaction that was cut off is committed or taken back.
    ///
    /// # Errors
    /// [`crate::ConnectError::Fenced`] if another process has taken the identity; what asking meets.
    fn committed(&mut self) -> Result<Option<u64>>;

    /// Begins the transaction of an epoch. The epoch before it is known to be out, and is what [`Self::committed`] gives
    /// until this one is committed.
    ///
    /// # Errors
    /// [`crate::ConnectError::Fenced`] if another process has taken the identity.
    fn begin(&mut self, epoch: u64) -> Result<()>;

    /// Whether one was begun and has not ended.
    fn is_open(&self) -> bool;

    /// Commits the transaction; everything sent since its beginning is there when this returns.
    ///
    /// # Errors
    /// As [`Self::begin`], and if something did not arrive, or it is not known whether it did: then the sink is of no
    /// further use, and the next one with this identity knows.
    fn commit(&mut self) -> Result<()>;

    /// Takes back everything since the beginning of the transaction, if one is open.
    ///
    /// # Errors
    /// As [`Self::begin`].
    fn abort(&mut self) -> Result<()>;
}

/// How often a row is there: the option `deliveryGuarantee`, in the words of Flink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Guarantee {
    /// After a kill, rows since the last epoch may be there twice.
    #[default]
    AtLeastOnce,
    /// Once, whatever happens: rows are seen when their epoch is committed.
    ExactlyOnce,
}

impl Guarantee {
    /// `at-least-once` or `exactly-once`.
    ///
    /// # Errors
    /// [`ConnectError::OptionValue`] for another word.
    pub fn from_option(value: &str) -> Result<Self> {
        match value.trim().to_ascii_lowercase().as_str() {
            "at-least-once" => Ok(Self::AtLeastOnce),
            "exactly-once" => Ok(Self::ExactlyOnce),
            _ => Err(ConnectError::OptionValue {
                name: "deliveryGuarantee",
                value: value.to_owned(),
                expected: "'at-least-once' or 'exactly-once'".to_owned(),
            }),
        }
    }
}

/// An embedded topic as a sink.
pub struct TopicSink {
    writer: TopicWriter,
    encoder: Encoder,
    name: String,
    clock: Arc<dyn Fn() -> i64 + Send + Sync>,
}

/// How many records are appended at once.
const APPEND: usize = 10_000;

impl TopicSink {
    /// A sink into the topic of `writer`; `clock` gives the records' time, milliseconds since 1970.
    #[must_use]
    pub fn new(
        writer: TopicWriter,
        encoder: Encoder,
        clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    ) -> Self {
        Self {
            name: format!("topic {}", writer.topic().name()),
            writer,
            encoder,
            clock,
        }
    }

    /// Appends records of these keys and values.
    fn append(&self, keys: Option<&Strings>, values: Option<&Strings>) -> Result<()> {
        let timestamp_ms = (self.clock)();
        let part = |strings: Option<&Strings>, row: usize| {
            let strings = strings?;
            Some(strings.bytes().slice_ref(strings.get(row)?))
        };
        let rows = values.or(keys).map_or(0, Strings::rows);
        let records = (0..rows).map(|row| Record {
            key: part(keys, row),
            value: part(values, row),
            timestamp_ms,
            headers: Vec::new(),
        });
        let records: Vec<Record> = records.collect();
        records
            .chunks(APPEND)
            .try_for_each(|part| self.writer.append(part).map(drop))
    }
}

impl LiveSink for TopicSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(&mut self, rows: &RecordBatch) -> Result<()> {
        let encoded = self.encoder.encode(rows, &self.name)?;
        self.append(encoded.keys.as_ref(), Some(&encoded.values))
    }

    fn send_gone(&mut self, keys: &RecordBatch) -> Result<()> {
        match self.encoder.encode_gone(keys, &self.name)? {
            Some(keys) => self.append(Some(&keys), None),
            None => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<()> {
        // What is appended is durable.
        Ok(())
    }
}

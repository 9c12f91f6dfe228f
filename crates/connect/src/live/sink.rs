//! Sinks: where the rows of a query go as records.

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;

use super::encode::Encoder;
use super::topic::{Record, TopicWriter};
use crate::error::Result;

/// Where rows go as records. Its methods block; it is used from one thread of its own.
///
/// Without a transaction, rows are there at least once: sooner or later after [`Self::send`], all of them after
/// [`Self::flush`]. Between [`Self::begin`] and [`Self::commit`], readers see all of them or none.
pub trait LiveSink: Send {
    /// What it is, for messages: "Kafka topic alerts".
    fn name(&self) -> &str;

    /// Whether it has transactions that are all or nothing whatever happens.
    fn is_transactional(&self) -> bool;

    /// Sends rows. Waits where they come faster than they are taken.
    ///
    /// # Errors
    /// If a row cannot be a record, or one that was sent before did not arrive.
    fn send(&mut self, rows: &RecordBatch) -> Result<()>;

    /// Waits until everything that was sent is durable.
    ///
    /// # Errors
    /// If something did not arrive.
    fn flush(&mut self) -> Result<()>;

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`crate::ConnectError::Fenced`] if another process has taken this sink's identity.
    fn begin(&mut self) -> Result<()>;

    /// Commits the transaction; everything sent since its beginning is there when this returns.
    ///
    /// # Errors
    /// As [`Self::begin`], and if something did not arrive; nothing is there then, and the transaction is over.
    fn commit(&mut self) -> Result<()>;

    /// Takes back everything since the beginning of the transaction.
    ///
    /// # Errors
    /// As [`Self::begin`].
    fn abort(&mut self) -> Result<()>;
}

/// An embedded topic as a sink. Its transactions hold rows back until they are committed: a kill in the middle of the
/// commit may leave a part of them there, so that they are there at least once.
pub struct TopicSink {
    writer: TopicWriter,
    encoder: Encoder,
    name: String,
    clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Rows of the transaction.
    held: Option<Vec<Record>>,
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
            held: None,
        }
    }

    fn append(&self, records: &[Record]) -> Result<()> {
        records
            .chunks(APPEND)
            .try_for_each(|part| self.writer.append(part).map(drop))
    }
}

impl LiveSink for TopicSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_transactional(&self) -> bool {
        false
    }

    fn send(&mut self, rows: &RecordBatch) -> Result<()> {
        let encoded = self.encoder.encode(rows, &self.name)?;
        let timestamp_ms = (self.clock)();
        let part = |bytes: &Bytes, row: Option<&[u8]>| row.map(|row| bytes.slice_ref(row));
        let records = (0..encoded.rows()).map(|row| Record {
            key: encoded
                .keys
                .as_ref()
                .and_then(|keys| part(keys.bytes(), keys.get(row))),
            value: part(encoded.values.bytes(), encoded.values.get(row)),
            timestamp_ms,
            headers: Vec::new(),
        });
        let records: Vec<Record> = records.collect();
        match &mut self.held {
            Some(held) => {
                held.extend(records);
                Ok(())
            }
            None => self.append(&records),
        }
    }

    fn flush(&mut self) -> Result<()> {
        // What is appended is durable.
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        self.held = Some(Vec::new());
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let held = self.held.take().unwrap_or_default();
        self.append(&held)
    }

    fn abort(&mut self) -> Result<()> {
        self.held = None;
        Ok(())
    }
}

//! Appending to a topic: records are dealt to partitions, and appends that come at the same time share one flush to
//! the disk.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};

use super::batch::{BATCH_MAX, encode};
use super::bell::Bell;
use super::log::Log;
use super::partitioner::partition_of;
use super::{Record, Topic};
use crate::error::{ConnectError, Result};

/// How many records without a key go to one partition before it is the next one's turn.
const TURN: u64 = 1000;
/// Most bytes of one batch.
const BATCH_BYTES: usize = 16 << 20;

/// Appends to a topic, from any number of threads; other processes may do so at the same time.
#[derive(Clone)]
pub struct TopicWriter {
    shared: Arc<Shared>,
}

struct Shared {
    topic: Topic,
    lanes: Vec<Lane>,
    bell: Arc<Bell>,
    /// Records without key so far.
    keyless: AtomicU64,
}

/// The way into one partition.
struct Lane {
    log: Mutex<Log>,
    queue: Mutex<Queue>,
    done: Condvar,
}

type Appended = std::result::Result<i64, (io::ErrorKind, String)>;

/// Batches that wait for the one thread that writes.
#[derive(Default)]
struct Queue {
    waiting: Vec<(u64, Vec<u8>)>,
    tickets: u64,
    writing: bool,
    results: HashMap<u64, Appended>,
}

impl TopicWriter {
    pub(super) fn new(topic: &Topic) -> Result<Self> {
        let open = |partition: i32| {
            let log = Log::open(&topic.partition_folder(partition), topic.options())
                .map_err(|error| topic.fail("open", error))?;
            Ok(Lane {
                log: Mutex::new(log),
                queue: Mutex::default(),
                done: Condvar::new(),
            })
        };
        let lanes = (0..topic.options().partitions).map(open);
        let lanes: Vec<Lane> = lanes.collect::<Result<_>>()?;
        // Several writers shall not all begin with the same partition.
        let begin = u64::from(std::process::id()).wrapping_mul(TURN);
        Ok(Self {
            shared: Arc::new(Shared {
                bell: Bell::of(topic.folder()),
                topic: topic.clone(),
                lanes,
                keyless: AtomicU64::new(begin),
            }),
        })
    }

    /// Appends records and returns when they are durable: the partition and offset of each. A record with a key goes
    /// to the partition of its key, others to the partitions in turn.
    ///
    /// # Errors
    /// If the disk is full or fails, or a record is larger than a gigabyte. Records of some partitions may be there
    /// then, and those of others not.
    pub fn append(&self, records: &[Record]) -> Result<Vec<(i32, i64)>> {
        let count = self.shared.lanes.len();
        let mut dealt: Vec<Vec<usize>> = vec![Vec::new(); count];
        for (at, record) in records.iter().enumerate() {
            let partition = match &record.key {
                Some(key) => partition_of(key, count as i32) as usize,
                None => {
                    let turn = self.shared.keyless.fetch_add(1, Ordering::Relaxed) / TURN;
                    (turn % count as u64) as usize
                }
            };
            dealt[partition].push(at);
        }
        if dealt.iter().filter(|rows| !rows.is_empty()).count() > 1 {
            // Few records without keys need not be spread.
            self.shared.skip_turn(records);
        }
        let mut offsets = vec![(0, 0); records.len()];
        let append = |(partition, rows): (usize, &Vec<usize>)| {
            self.shared
                .append_to(partition, records, rows)
                .map(|bases| (partition, bases))
        };
        let used: Vec<(usize, &Vec<usize>)> = dealt
            .iter()
            .enumerate()
            .filter(|(_, rows)| !rows.is_empty())
            .collect();
        let results: Vec<Result<(usize, Vec<i64>)>> = match used.as_slice() {
            [one] => vec![append(*one)],
            // Each partition is flushed on its own: side by side, it takes as long as one.
            many => std::thread::scope(|scope| {
                let running: Vec<_> = many
                    .iter()
                    .map(|&one| scope.spawn(move || append(one)))
                    .collect();
                let ended = running.into_iter().map(|thread| thread.join());
                ended
                    .map(|result| {
                        result.unwrap_or(Err(ConnectError::Machinery {
                            what: "a thread that appends to a topic ended early",
                        }))
                    })
                    .collect()
            }),
        };
        self.shared.bell.ring();
        for result in results {
            let (partition, appended) = result?;
            for (&at, offset) in dealt[partition].iter().zip(appended) {
                offsets[at] = (partition as i32, offset);
            }
        }
        Ok(offsets)
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.shared.topic
    }
}

impl Shared {
    /// Begins the next turn with the next call, where a call was spread.
    fn skip_turn(&self, records: &[Record]) {
        if records.iter().any(|record| record.key.is_none()) {
            let _ = self
                .keyless
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                    Some(count.next_multiple_of(TURN))
                });
        }
    }

    /// Appends these of the records to a partition; the offset of each.
    fn append_to(&self, partition: usize, records: &[Record], rows: &[usize]) -> Result<Vec<i64>> {
        let mut offsets = Vec::with_capacity(rows.len());
        let mut from = 0;
        while from < rows.len() {
            let mut bytes = 0;
            let fits = |&&row: &&usize| {
                bytes += records[row].bytes() + 32;
                bytes <= BATCH_BYTES
            };
            let count = rows[from..].iter().take_while(fits).count().max(1);
            let part = &rows[from..from + count];
            let batch = encode(
                part.iter().map(|&row| &records[row]),
                self.topic.options().compression,
            )
            .ok_or_else(|| ConnectError::TooLarge {
                source_name: self.topic.label().to_owned(),
                bytes: records[part[0]].bytes(),
                most: BATCH_MAX,
            })?;
            let base = self.lanes[partition]
                .append(batch)
                .map_err(|(kind, message)| {
                    self.topic.fail("append", io::Error::new(kind, message))
                })?;
            offsets.extend(base..base + count as i64);
            from += count;
        }
        Ok(offsets)
    }
}

impl Lane {
    /// Appends a batch: either this thread writes all that wait, or another one writes this batch with its own.
    fn append(&self, batch: Vec<u8>) -> Appended {
        let mut queue = self.queue.lock();
        let ticket = queue.tickets;
        queue.tickets += 1;
        queue.waiting.push((ticket, batch));
        loop {
            if let Some(result) = queue.results.remove(&ticket) {
                return result;
            }
            if queue.writing {
                self.done.wait(&mut queue);
                continue;
            }
            queue.writing = true;
            let (tickets, mut batches): (Vec<u64>, Vec<Vec<u8>>) =
                std::mem::take(&mut queue.waiting).into_iter().unzip();
            drop(queue);
            let appended = self.log.lock().append(&mut batches);
            queue = self.queue.lock();
            queue.writing = false;
            match appended {
                Ok(bases) => {
                    let results = bases.into_iter().map(Ok);
                    queue.results.extend(tickets.into_iter().zip(results));
                }
                Err(error) => {
                    let failed = Err((error.kind(), error.to_string()));
                    let results = tickets.into_iter().map(|one| (one, failed.clone()));
                    queue.results.extend(results);
                }
            }
            self.done.notify_all();
        }
    }
}

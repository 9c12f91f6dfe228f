//! Topics of Kafka as a source of records.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::cluster::{Cluster, Place};
use super::config;
use super::queue::{Event, Message, Queue};
use crate::error::{ConnectError, Result};
use crate::live::headers::HeadersBuilder;
use crate::live::start;
use crate::live::{
    ByteColumnBuilder, Fetched, LiveNote, LiveOptions, LiveSource, PartitionState, Positions,
};

/// How often it is looked for new partitions and topics.
const LOOK: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 10_000 });

/// How long the brokers may take to answer for the first time.
const CONNECT: Duration = Duration::from_secs(30);

/// Topics of Kafka as a source of records.
pub struct KafkaSource {
    // Before the consumer, so that it is given back first.
    queue: Queue,
    cluster: Cluster,
    options: LiveOptions,
    /// The next offset of each partition that is read.
    next: BTreeMap<Place, i64>,
    /// Whether the brokers have answered once.
    connected: bool,
    /// Whether positions were given.
    begun: bool,
    looked: Instant,
    notes: Vec<LiveNote>,
    /// Whether the connection was said to be bad.
    troubled: bool,
    /// What librdkafka said last, for errors.
    said: String,
}

impl KafkaSource {
    /// A source of the topics that `options` name. Connecting happens with the first question.
    ///
    /// # Errors
    /// If no brokers or topics are named, or a setting is not librdkafka's.
    pub fn new(options: LiveOptions) -> Result<Self> {
        let settings = config::consumer(&options)?;
        let Some(subscription) = options.subscription.clone() else {
            return Err(ConnectError::Live {
                source_name: "Kafka".to_owned(),
                message: "no topic is named".to_owned(),
                help: "say subscribe => 'topic', subscribePattern or assign".to_owned(),
            });
        };
        let consumer: BaseConsumer = settings.create().map_err(|error| refused(&error))?;
        let consumer = Arc::new(consumer);
        let queue = Queue::of(&consumer).ok_or(ConnectError::Machinery {
            what: "librdkafka gave no queue",
        })?;
        Ok(Self {
            queue,
            cluster: Cluster::new(consumer, subscription)?,
            options,
            next: BTreeMap::new(),
            connected: false,
            begun: false,
            looked: Instant::now(),
            notes: Vec::new(),
            troubled: false,
            said: String::new(),
        })
    }

    /// Shows positions to Kafka's own tools, under the option `groupId`; without it, does nothing. They are never read
    /// back.
    ///
    /// # Errors
    /// If the request cannot be sent.
    pub fn show_positions(&self, positions: &Positions) -> Result<()> {
        if self.options.group_id.is_none() || positions.is_empty() {
            return Ok(());
        }
        let fail = |error: KafkaError| self.cluster.failed(&error.to_string());
        let mut list = TopicPartitionList::new();
        for (topic, partition, next) in positions.iter() {
            list.add_partition_offset(topic, partition, Offset::Offset(next))
                .map_err(fail)?;
        }
        let consumer = &self.cluster.consumer;
        consumer.commit(&list, CommitMode::Async).map_err(fail)
    }

    /// Waits until the brokers answer for the first time. A wrong password is told at once.
    fn connect(&mut self) -> Result<()> {
        let begun = Instant::now();
        while !self.connected {
            let consumer = &self.cluster.consumer;
            let error = match consumer.fetch_metadata(None, Duration::from_millis(500)) {
                Ok(_) => {
                    self.connected = true;
                    break;
                }
                Err(error) => error,
            };
            self.listen();
            if config::is_refusal(&self.said) {
                return Err(self.cluster.failed(&self.said));
            }
            if begun.elapsed() > CONNECT {
                return Err(ConnectError::Unreachable {
                    source_name: self.cluster.name.clone(),
                    message: format!("{error} ({})", self.said),
                    seconds: begun.elapsed().as_secs(),
                });
            }
        }
        Ok(())
    }

    /// Hears what librdkafka has to say, before anything is assigned.
    fn listen(&mut self) {
        while let Some(event) = self.queue.next(Duration::ZERO, |_| {}) {
            match event {
                // It says no more than the lines before it.
                Event::Said(line) if !line.ends_with("brokers are down") => self.said = line,
                _ => {}
            }
        }
    }

    /// Begins partitions that have no position yet.
    fn begin(&mut self, places: &[Place], later: bool) -> Result<()> {
        let mut times = BTreeMap::new();
        let ends = self.cluster.ends(places)?;
        for (place, (earliest, end)) in ends {
            let chosen = match later {
                true => start::Place::Earliest,
                false => self.options.start.of(&place.0, place.1),
            };
            let next = match chosen {
                start::Place::Earliest => earliest,
                start::Place::Latest => end,
                start::Place::Offset(offset) => offset,
                start::Place::Timestamp(time) => {
                    times.insert(place, time);
                    continue;
                }
            };
            self.next.insert(place, next);
        }
        if !times.is_empty() {
            self.next.extend(self.cluster.offsets_since(&times)?);
        }
        Ok(())
    }

    /// Sees to it that a position is one that is there, from the first offset to the one behind the last.
    fn within(&mut self, place: &Place, next: i64, (earliest, end): (i64, i64)) -> Result<i64> {
        if (earliest..=end).contains(&next) {
            return Ok(next);
        }
        if !self.options.accept_data_loss {
            let (source_name, partition) = (format!("Kafka topic {}", place.0), place.1);
            return Err(match next < earliest {
                true => ConnectError::Expired {
                    source_name,
                    partition,
                    wanted: next,
                    earliest,
                },
                false => ConnectError::BehindEnd {
                    source_name,
                    partition,
                    wanted: next,
                    end,
                },
            });
        }
        // Behind the end means that the topic was made anew: all of it is new.
        let (from, to) = match next < earliest {
            true => (next, earliest),
            false => (end, next),
        };
        self.notes.push(LiveNote::Lost {
            topic: Arc::clone(&place.0),
            partition: place.1,
            from,
            to,
        });
        Ok(earliest)
    }

    /// Reads from the positions on.
    fn assign(&self) -> Result<()> {
        let fail = |error: KafkaError| self.cluster.failed(&error.to_string());
        let mut list = TopicPartitionList::new();
        for ((topic, partition), next) in &self.next {
            list.add_partition_offset(topic, *partition, Offset::Offset(*next))
                .map_err(fail)?;
        }
        self.cluster.consumer.assign(&list).map_err(fail)
    }

    /// Looks for partitions and topics that are new, or gone.
    fn look(&mut self) -> Result<()> {
        self.looked = Instant::now();
        let places = match self.cluster.places() {
            Ok(places) => places,
            // Nobody answers: librdkafka goes on trying, and so do we.
            Err(ConnectError::Unreachable { message, .. }) => {
                self.trouble(message);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let known = |place: &&Place| !self.next.contains_key(*place);
        let new: Vec<Place> = places.iter().filter(known).cloned().collect();
        let gone: Vec<Place> = self
            .next
            .keys()
            .filter(|place| places.binary_search(place).is_err())
            .cloned()
            .collect();
        if let Some(place) = gone.first() {
            if !self.options.accept_data_loss {
                return Err(self.cluster.missing(&place.0));
            }
            for place in &gone {
                self.next.remove(place);
                self.trouble(format!("{}/{} was deleted", place.0, place.1));
            }
        }
        if new.is_empty() && gone.is_empty() {
            return Ok(());
        }
        self.begin(&new, true)?;
        self.notes.extend(
            new.into_iter()
                .map(|(topic, partition)| LiveNote::NewPartition { topic, partition }),
        );
        self.assign()
    }

    /// Tells once that the connection is bad.
    fn trouble(&mut self, message: String) {
        if !std::mem::replace(&mut self.troubled, true) {
            self.notes.push(LiveNote::Connection { message });
        }
    }

    /// A partition cannot be read where it should go on.
    fn failed(
        &mut self,
        topic: String,
        partition: i32,
        code: RDKafkaErrorCode,
        message: String,
    ) -> Result<()> {
        let place: Place = (topic.as_str().into(), partition);
        match code {
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                let next = self.next.get(&place).copied().unwrap_or(0);
                for (place, ends) in self.cluster.ends(&[place])? {
                    let right = self.within(&place, next, ends)?;
                    self.next.insert(place, right);
                }
                self.assign()
            }
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopic => self.look(),
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed => Err(self.cluster.failed(&message)),
            _ => {
                self.trouble(format!("{topic}/{partition}: {message}"));
                Ok(())
            }
        }
    }

    /// Takes what has been fetched, up to about `bytes_max`; waits for the first of it.
    fn gather(&mut self, wait: Duration, bytes_max: usize) -> Result<Gathered> {
        let mut gathered = Gathered::default();
        let mut wait = wait;
        loop {
            let event = self.queue.next(wait, |message| gathered.take(&message));
            match event {
                None => return Ok(gathered),
                Some(Event::Messages) => {
                    if gathered.bytes >= bytes_max {
                        return Ok(gathered);
                    }
                    wait = Duration::ZERO;
                }
                Some(Event::End(topic, partition, offset)) => {
                    gathered.ends.push(((topic.into(), partition), offset));
                    wait = Duration::ZERO;
                }
                Some(Event::Failed {
                    topic,
                    partition,
                    code,
                    message,
                }) => {
                    self.failed(topic, partition, code, message)?;
                    wait = Duration::ZERO;
                }
                Some(Event::Said(line)) => {
                    self.trouble(line.clone());
                    self.said = line;
                    wait = Duration::ZERO;
                }
                Some(Event::Other) => wait = Duration::ZERO,
            }
        }
    }

    /// Moves the positions behind what was gathered.
    fn advance(&mut self, gathered: Gathered) -> Vec<Fetched> {
        let mut found = Vec::new();
        for part in gathered.parts {
            let place = (Arc::clone(&part.topic), part.partition);
            let Some(next) = self.next.get_mut(&place) else {
                continue;
            };
            if let Some(fetched) = part.finish(*next) {
                *next = fetched.next;
                found.push(fetched);
            }
        }
        for (place, offset) in gathered.ends {
            let Some(next) = self.next.get_mut(&place) else {
                continue;
            };
            if offset <= *next {
                continue;
            }
            // Behind the last record are marks of transactions, or records of aborted ones.
            *next = offset;
            let part = found
                .iter_mut()
                .find(|one| (&one.topic, one.partition) == (&place.0, place.1));
            match part {
                Some(part) => part.next = offset,
                None => found.push(Fetched {
                    topic: place.0,
                    partition: place.1,
                    offsets: Vec::new(),
                    timestamps_ms: Vec::new(),
                    keys: None,
                    values: ByteColumnBuilder::default().finish(),
                    headers: None,
                    next: offset,
                }),
            }
        }
        found
    }
}

impl LiveSource for KafkaSource {
    fn name(&self) -> &str {
        &self.cluster.name
    }

    fn partitions(&mut self) -> Result<Vec<PartitionState>> {
        self.connect()?;
        let ends = self.cluster.ends(&self.cluster.places()?)?;
        let state = |((topic, partition), (earliest, end))| PartitionState {
            topic,
            partition,
            earliest,
            end,
        };
        Ok(ends.into_iter().map(state).collect())
    }

    fn assigned(&self) -> Vec<(Arc<str>, i32)> {
        self.next.keys().cloned().collect()
    }

    fn seek(&mut self, next: &Positions) -> Result<()> {
        self.connect()?;
        let places = self.cluster.places()?;
        for (topic, partition, _) in next.iter() {
            let there = places
                .iter()
                .any(|place| place.0 == *topic && place.1 == partition);
            if !there && !self.options.accept_data_loss {
                return Err(match places.iter().any(|place| place.0 == *topic) {
                    true => ConnectError::NoPartition {
                        source_name: self.cluster.name.clone(),
                        topic: topic.to_string(),
                        partition,
                    },
                    false => self.cluster.missing(topic),
                });
            }
        }
        self.next.clear();
        let known = |place: &Place| next.get(&place.0, place.1).is_some();
        let (known, new): (Vec<Place>, Vec<Place>) = places.into_iter().partition(known);
        for (place, ends) in self.cluster.ends(&known)? {
            if let Some(wanted) = next.get(&place.0, place.1) {
                let right = self.within(&place, wanted, ends)?;
                self.next.insert(place, right);
            }
        }
        // Where other partitions have positions, one without appeared since.
        self.begin(&new, !next.is_empty())?;
        self.begun = true;
        self.looked = Instant::now();
        self.assign()
    }

    fn poll(&mut self, wait: Duration, bytes_max: usize) -> Result<Vec<Fetched>> {
        if !self.begun {
            self.seek(&Positions::new())?;
        }
        let until = Instant::now() + wait;
        loop {
            if self.looked.elapsed() > LOOK {
                self.look()?;
            }
            let left = until.saturating_duration_since(Instant::now());
            let gathered = self.gather(left, bytes_max)?;
            let found = self.advance(gathered);
            if !found.is_empty() {
                if found.iter().any(|one| one.rows() > 0) && std::mem::take(&mut self.troubled) {
                    self.notes.push(LiveNote::Connection {
                        message: "records come again".to_owned(),
                    });
                }
                return Ok(found);
            }
            if Instant::now() >= until {
                return Ok(found);
            }
        }
    }

    fn notes(&mut self) -> Vec<LiveNote> {
        std::mem::take(&mut self.notes)
    }
}

/// What one call of `poll` took.
#[derive(Default)]
struct Gathered {
    parts: Vec<Part>,
    /// The part of each topic (by its address) and partition.
    index: HashMap<(usize, i32), usize>,
    /// The part of the record before.
    last: Option<((usize, i32), usize)>,
    bytes: usize,
    /// Partitions of which all was read, with the offset to go on from.
    ends: Vec<(Place, i64)>,
}

/// Records of one partition.
struct Part {
    topic: Arc<str>,
    partition: i32,
    offsets: Vec<i64>,
    timestamps_ms: Vec<i64>,
    keys: ByteColumnBuilder,
    values: ByteColumnBuilder,
    headers: HeadersBuilder,
}

impl Gathered {
    #[inline]
    fn take(&mut self, message: &Message<'_>) {
        let place = (message.topic_id, message.partition);
        let at = match self.last {
            Some((last, at)) if last == place => at,
            _ => self.part(place, message),
        };
        let part = &mut self.parts[at];
        part.offsets.push(message.offset);
        part.timestamps_ms.push(message.timestamp_ms);
        part.keys.push(message.key);
        part.values.push(message.value);
        match message.headers {
            [] => part.headers.none(),
            some => part.headers.some(some.iter().copied()),
        }
        let length = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        self.bytes += length(message.key) + length(message.value) + 2;
    }

    #[cold]
    fn part(&mut self, place: (usize, i32), message: &Message<'_>) -> usize {
        let parts = &mut self.parts;
        let at = *self.index.entry(place).or_insert_with(|| {
            parts.push(Part {
                topic: (message.topic)().into(),
                partition: message.partition,
                offsets: Vec::new(),
                timestamps_ms: Vec::new(),
                keys: ByteColumnBuilder::default(),
                values: ByteColumnBuilder::default(),
                headers: HeadersBuilder::new(),
            });
            parts.len() - 1
        });
        self.last = Some((place, at));
        at
    }
}

impl Part {
    /// The records from `next` on; `None` if there are none.
    fn finish(self, next: i64) -> Option<Fetched> {
        let from = self.offsets.partition_point(|&offset| offset < next);
        let rows = self.offsets.len();
        let behind = self.offsets.last()? + 1;
        if from == rows {
            return None;
        }
        let fetched = Fetched {
            topic: self.topic,
            partition: self.partition,
            offsets: self.offsets,
            timestamps_ms: self.timestamps_ms,
            keys: (!self.keys.is_all_null()).then(|| self.keys.finish()),
            values: self.values.finish(),
            headers: self.headers.finish(),
            next: behind,
        };
        Some(match from {
            0 => fetched,
            _ => fetched.slice(from, rows),
        })
    }
}

/// A client that librdkafka does not make: a setting is wrong.
pub(super) fn refused(error: &KafkaError) -> ConnectError {
    match error {
        KafkaError::ClientConfig(_, message, name, _) => config::setting(name, message),
        other => config::setting("…", &other.to_string()),
    }
}

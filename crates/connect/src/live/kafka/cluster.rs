//! What a Kafka cluster says of its topics: partitions, their ends, offsets by time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use regex::Regex;

use crate::error::{ConnectError, Result};
use crate::live::options::Subscription;

/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a question is asked again while nobody answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// A partition of a topic.
pub(super) type Place = (Arc<str>, i32);

/// Asks a cluster.
pub(super) struct Cluster {
    pub consumer: Arc<BaseConsumer>,
    pub name: String,
    pub subscription: Subscription,
    pattern: Option<Regex>,
}

impl Cluster {
    pub(super) fn new(consumer: Arc<BaseConsumer>, subscription: Subscription) -> Result<Self> {
        let (name, pattern) = match &subscription {
            Subscription::Topics(topics) => (named(topics.iter()), None),
            Subscription::Partitions(topics) => (named(topics.keys()), None),
            Subscription::Pattern(pattern) => {
                let whole = Regex::new(&format!("^(?:{pattern})$"));
                let whole = whole.map_err(|_| ConnectError::OptionValue {
                    name: "subscribePattern",
                    value: pattern.clone(),
                    expected: "a regular expression".to_owned(),
                })?;
                (format!("Kafka topics like {pattern}"), Some(whole))
            }
        };
        Ok(Self {
            consumer,
            name,
            subscription,
            pattern,
        })
    }

    /// The partitions there are now. An error for a topic that is not there.
    pub(super) fn places(&self) -> Result<Vec<Place>> {
        let mut places = Vec::new();
        match &self.subscription {
            Subscription::Pattern(_) => {
                let found = self.ask(|wait| self.consumer.fetch_metadata(None, wait))?;
                for topic in found.topics() {
                    let fits = self.pattern.as_ref();
                    if fits.is_some_and(|pattern| pattern.is_match(topic.name())) {
                        let name: Arc<str> = topic.name().into();
                        let partitions = topic.partitions().iter();
                        places.extend(partitions.map(|one| (Arc::clone(&name), one.id())));
                    }
                }
            }
            Subscription::Topics(topics) => {
                for topic in topics {
                    let name: Arc<str> = topic.as_str().into();
                    let partitions = self.partitions(topic)?;
                    places.extend(partitions.into_iter().map(|one| (Arc::clone(&name), one)));
                }
            }
            Subscription::Partitions(topics) => {
                for (topic, wanted) in topics {
                    let name: Arc<str> = topic.as_str().into();
                    let there = self.partitions(topic)?;
                    for &partition in wanted {
                        if !there.contains(&partition) {
                            return Err(ConnectError::NoPartition {
                                source_name: self.name.clone(),
                                topic: topic.clone(),
                                partition,
                            });
                        }
                        places.push((Arc::clone(&name), partition));
                    }
                }
            }
        }
        places.sort();
        Ok(places)
    }

    /// The partitions of a topic.
    fn partitions(&self, topic: &str) -> Result<Vec<i32>> {
        let begun = Instant::now();
        loop {
            let found = self.ask(|wait| self.consumer.fetch_metadata(Some(topic), wait))?;
            let found = found.topics().iter().find(|one| one.name() == topic);
            let partitions = found.map(|one| one.partitions().iter().map(|one| one.id()).collect());
            let partitions: Vec<i32> = partitions.unwrap_or_default();
            if !partitions.is_empty() {
                return Ok(partitions);
            }
            // A topic that was made a moment ago may not be known to every broker.
            if begun.elapsed() > Duration::from_secs(2) {
                return Err(self.missing(topic));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The error of a topic that is not there, with the one that was probably meant.
    pub(super) fn missing(&self, topic: &str) -> ConnectError {
        let all = self.consumer.fetch_metadata(None, ANSWER).ok();
        let nearest = all.as_ref().and_then(|all| {
            let names = all.topics().iter().map(|one| one.name());
            let others = names.filter(|name| !name.starts_with("__") && *name != topic);
            let similar = others.map(|name| (strsim::normalized_levenshtein(name, topic), name));
            let best = similar.max_by(|a, b| a.0.total_cmp(&b.0));
            best.filter(|(similar, _)| *similar > 0.6)
        });
        ConnectError::Live {
            source_name: format!("Kafka topic {topic}"),
            message: "there is no such topic (any more), or it may not be read".to_owned(),
            help: match nearest {
                Some((_, name)) => format!("did you mean {name}?"),
                None => "make it, or name another with subscribe".to_owned(),
            },
        }
    }

    /// Of each partition the first offset there is, and the one behind the last.
    pub(super) fn ends(&self, places: &[Place]) -> Result<BTreeMap<Place, (i64, i64)>> {
        let offsets = |of: Offset| self.offsets(places.iter().map(|place| (place, of)));
        let (first, behind) = (offsets(Offset::Beginning)?, offsets(Offset::End)?);
        let ends = first.into_iter().zip(behind.into_values());
        Ok(ends
            .map(|((place, first), behind)| (place, (first, behind)))
            .collect())
    }

    /// The offset of the first record of a time or later, of each of the partitions; the end where there is none.
    pub(super) fn offsets_since(
        &self,
        times: &BTreeMap<Place, i64>,
    ) -> Result<BTreeMap<Place, i64>> {
        let times = times.iter();
        self.offsets(times.map(|(place, time)| (place, Offset::Offset(*time))))
    }

    /// The offsets of times, by one request to each broker: an [`Offset::Offset`] is a time in milliseconds. Where no
    /// record is as late, the end.
    fn offsets<'p>(
        &self,
        times: impl Iterator<Item = (&'p Place, Offset)>,
    ) -> Result<BTreeMap<Place, i64>> {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), time) in times {
            list.add_partition_offset(topic, *partition, time)
                .map_err(|error| self.failed(&error.to_string()))?;
        }
        if list.count() == 0 {
            return Ok(BTreeMap::new());
        }
        let ask = |list: &TopicPartitionList| {
            self.ask(|wait| {
                let found = self.consumer.offsets_for_times(list.clone(), wait)?;
                found.elements().iter().try_for_each(|one| one.error())?;
                Ok(found)
            })
        };
        let mut offsets = BTreeMap::new();
        let mut behind = TopicPartitionList::new();
        for one in ask(&list)?.elements() {
            match one.offset() {
                Offset::Offset(offset) => {
                    offsets.insert((one.topic().into(), one.partition()), offset);
                }
                _ => {
                    behind
                        .add_partition_offset(one.topic(), one.partition(), Offset::End)
                        .map_err(|error| self.failed(&error.to_string()))?;
                }
            }
        }
        if behind.count() > 0 {
            for one in ask(&behind)?.elements() {
                let Offset::Offset(offset) = one.offset() else {
                    return Err(self.failed("a partition has no end"));
                };
                offsets.insert((one.topic().into(), one.partition()), offset);
            }
        }
        Ok(offsets)
    }

    /// Asks until there is an answer, or for too long.
    fn ask<T>(&self, question: impl Fn(Duration) -> rdkafka::error::KafkaResult<T>) -> Result<T> {
        let begun = Instant::now();
        loop {
            let error = match question(ANSWER) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let code = error.rdkafka_error_code();
            let passing = matches!(
                code,
                Some(
                    RDKafkaErrorCode::BrokerTransportFailure
                        | RDKafkaErrorCode::AllBrokersDown
                        | RDKafkaErrorCode::OperationTimedOut
                        | RDKafkaErrorCode::RequestTimedOut
                        | RDKafkaErrorCode::LeaderNotAvailable
                        | RDKafkaErrorCode::NotLeaderForPartition
                        | RDKafkaErrorCode::NetworkException
                        | RDKafkaErrorCode::Resolve
                        | RDKafkaErrorCode::CoordinatorLoadInProgress
                )
            );
            if !passing {
                return Err(self.failed(&error.to_string()));
            }
            if begun.elapsed() > PATIENCE {
                return Err(ConnectError::Unreachable {
                    source_name: self.name.clone(),
                    message: error.to_string(),
                    seconds: begun.elapsed().as_secs(),
                });
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    pub(super) fn failed(&self, message: &str) -> ConnectError {
        ConnectError::Live {
            source_name: self.name.clone(),
            message: message.to_owned(),
            help: "see to the brokers and the settings kafka.…".to_owned(),
        }
    }
}

fn named<'a>(topics: impl Iterator<Item = &'a String>) -> String {
    let topics: Vec<&str> = topics.map(String::as_str).collect();
    match topics.as_slice() {
        [one] => format!("Kafka topic {one}"),
        many => format!("Kafka topics {}", many.join(", ")),
    }
}

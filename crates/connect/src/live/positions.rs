//! How far a stream was read: the next offset of each partition of each topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Next offset to read of each partition of one topic, by partition number.
pub type Offsets = BTreeMap<i32, i64>;

/// Next offset to read of each partition of each topic. As JSON it is `{"topic":{"0":23}}`, as Spark writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions {
    next: BTreeMap<Arc<str>, Offsets>,
}

impl Positions {
    /// No positions: every partition begins where the source's options say.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next offset to read of a partition, if it is known.
    #[must_use]
    pub fn get(&self, topic: &str, partition: i32) -> Option<i64> {
        self.next.get(topic)?.get(&partition).copied()
    }

    /// Sets the next offset to read of a partition.
    pub fn set(&mut self, topic: &Arc<str>, partition: i32, next: i64) {
        match self.next.get_mut(topic) {
            Some(offsets) => offsets.insert(partition, next),
            None => self
                .next
                .entry(Arc::clone(topic))
                .or_default()
                .insert(partition, next),
        };
    }

    /// Takes over all positions of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (topic, partition, next) in other.iter() {
            self.set(topic, partition, next);
        }
    }

    /// All positions: topic, partition, next offset; in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i32, i64)> {
        self.next.iter().flat_map(|(topic, offsets)| {
            offsets
                .iter()
                .map(move |(&partition, &next)| (topic, partition, next))
        })
    }

    /// The positions in one topic.
    #[must_use]
    pub fn topic(&self, topic: &str) -> Option<&Offsets> {
        self.next.get(topic)
    }

    /// Whether no partition has a position.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next.values().all(BTreeMap::is_empty)
    }

    /// How many partitions have a position.
    #[must_use]
    pub fn len(&self) -> usize {
        self.next.values().map(BTreeMap::len).sum()
    }
}

impl Serialize for Positions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.next.iter().map(|(topic, offsets)| (&**topic, offsets)))
    }
}

impl<'de> Deserialize<'de> for Positions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let next = BTreeMap::<String, Offsets>::deserialize(deserializer)?;
        let next = next
            .into_iter()
            .map(|(topic, offsets)| (Arc::from(topic), offsets))
            .collect();
        Ok(Self { next })
    }
}

//! Event time: how far each partition of each stream has come, and the watermarks that follow.
//!
//! A partition's watermark is its greatest time less the delay. A stream's is the least of its
//! partitions, but for those that are idle: without rows for a while in which others had some. An
//! idle stream follows the others. A watermark never goes back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::options::{Input, Options};

/// No watermark yet.
pub(crate) const BEFORE_ALL: i64 = i64::MIN;
/// The watermark of what has ended.
pub(crate) const AFTER_ALL: i64 = i64::MAX;

/// How far a partition has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Partition {
    /// The greatest event time, in microseconds; [`BEFORE_ALL`] before its first row.
    latest: i64,
    /// When it last had rows, by the caller's clock.
    seen: i64,
}

/// One stream's progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StreamClock {
    delay: i64,
    partitions: BTreeMap<String, Partition>,
    watermark: i64,
    /// When it last had rows, or when the flow first ran.
    seen: Option<i64>,
}

/// The progress of all streams of a flow.
#[derive(Clone, Debug)]
pub(crate) struct Clocks {
    streams: BTreeMap<String, StreamClock>,
    idle: i64,
    finished: bool,
    /// Times later than this do not count yet.
    ceiling: i64,
}

impl Clocks {
    pub(crate) fn new(inputs: &[Input], options: &Options) -> Self {
        let streams = inputs.iter().map(|input| {
            let clock = StreamClock {
                delay: input.watermark.as_ref().map_or(0, |spec| spec.delay_micros),
                partitions: BTreeMap::new(),
                watermark: BEFORE_ALL,
                seen: None,
            };
            (input.binding.clone(), clock)
        });
        Self {
            streams: streams.collect(),
            idle: options.idle_micros,
            finished: false,
            ceiling: AFTER_ALL,
        }
    }

    /// Until another call, no time later than this moves a watermark.
    pub(crate) fn limit(&mut self, ceiling: i64) {
        self.ceiling = ceiling;
    }

    /// Rows of a partition came, the latest of them with this event time; `None` if none of them has a usable one.
    pub(crate) fn saw(&mut self, binding: &str, partition: &str, latest: Option<i64>, now: i64) {
        let Some(stream) = self.streams.get_mut(binding) else {
            return;
        };
        stream.seen = Some(now);
        let Some(latest) = latest else { return };
        match stream.partitions.get_mut(partition) {
            Some(known) => {
                known.latest = known.latest.max(latest);
                known.seen = now;
            }
            None => {
                let progress = Partition { latest, seen: now };
                stream.partitions.insert(partition.to_owned(), progress);
            }
        }
    }

    /// Rows of a partition may come at any time: until it is idle, no watermark passes them.
    pub(crate) fn expect(&mut self, binding: &str, partition: &str, now: i64) {
        if let Some(stream) = self.streams.get_mut(binding)
            && !stream.partitions.contains_key(partition)
        {
            let progress = Partition {
                latest: BEFORE_ALL,
                seen: now,
            };
            stream.partitions.insert(partition.to_owned(), progress);
        }
    }

    /// Moves the watermarks on, as the clock says which partitions are idle.
    pub(crate) fn advance(&mut self, now: i64) {
        let (idle, ceiling) = (self.idle, self.ceiling);
        let is_idle = |seen: i64| now.saturating_sub(seen) >= idle;
        let mut least = AFTER_ALL;
        let mut any_active = false;
        for stream in self.streams.values_mut() {
            stream.seen.get_or_insert(now);
            let active = stream.partitions.values().filter(|p| !is_idle(p.seen));
            let mark = active.map(|p| p.latest.min(ceiling).saturating_sub(stream.delay));
            let mark = mark.min();
            if let Some(mark) = mark {
                any_active = true;
                stream.watermark = stream.watermark.max(mark);
                least = least.min(stream.watermark);
            } else if !stream.seen.is_some_and(is_idle) {
                // Rows without times, or none yet: it holds the others back until it is idle.
                least = least.min(stream.watermark);
            }
        }
        if !any_active {
            return;
        }
        for stream in self.streams.values_mut() {
            let idle = stream.partitions.values().all(|p| is_idle(p.seen));
            if idle && stream.seen.is_some_and(is_idle) {
                stream.watermark = stream.watermark.max(least);
            }
        }
    }

    /// The streams have ended for good.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }

    /// The watermark of a stream.
    pub(crate) fn watermark(&self, binding: &str) -> i64 {
        if self.finished {
            return AFTER_ALL;
        }
        self.streams
            .get(binding)
            .map_or(AFTER_ALL, |stream| stream.watermark)
    }

    /// The watermarks of all streams.
    pub(crate) fn watermarks(&self) -> BTreeMap<String, i64> {
        let streams = self.streams.iter();
        streams
            .map(|(binding, stream)| (binding.clone(), stream.watermark))
            .collect()
    }

    /// Whether the watermarks are these.
    pub(crate) fn stand_at(&self, watermarks: &BTreeMap<String, i64>) -> bool {
        let mut streams = self.streams.iter();
        streams.all(|(binding, stream)| watermarks.get(binding) == Some(&stream.watermark))
    }

    /// Puts the watermarks where they stood once.
    pub(crate) fn set_watermarks(&mut self, watermarks: &BTreeMap<String, i64>) {
        for (binding, watermark) in watermarks {
            if let Some(stream) = self.streams.get_mut(binding) {
                stream.watermark = *watermark;
            }
        }
    }

    /// All of it, for a checkpoint.
    pub(crate) fn save(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(&self.streams)
    }

    /// Takes back what was saved, for the streams that still are; the delay is the query's.
    pub(crate) fn load(&mut self, saved: &serde_json::Value) -> serde_json::Result<()> {
        let saved: BTreeMap<String, StreamClock> = serde_json::from_value(saved.clone())?;
        for (binding, clock) in saved {
            if let Some(stream) = self.streams.get_mut(&binding) {
                let delay = stream.delay;
                *stream = StreamClock { delay, ..clock };
            }
        }
        Ok(())
    }
}

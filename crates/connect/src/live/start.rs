//! Where reading begins in partitions that have no position yet: the options `startingOffsets`, `startingTimestamp`
//! and `startingOffsetsByTimestamp`, as Spark spells them.

use std::collections::BTreeMap;

use super::positions::Positions;
use crate::error::{ConnectError, Result};

/// Where reading begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Start {
    /// At the first record there is.
    #[default]
    Earliest,
    /// Behind the last record there is.
    Latest,
    /// At these offsets; -2 is earliest and -1 latest; partitions that are not named begin at their first record.
    Offsets(Positions),
    /// At the first record of this time (milliseconds since 1970) or later; behind the last one if there is none.
    Timestamp(i64),
    /// The same for each partition; those that are not named begin at their first record.
    Timestamps(BTreeMap<String, BTreeMap<i32, i64>>),
}

/// Where reading of one partition begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Earliest,
    Latest,
    Offset(i64),
    Timestamp(i64),
}

impl Start {
    /// The value of the option `startingOffsets`: earliest, latest, or JSON such as `{"payments":{"0":23,"1":-2}}`.
    ///
    /// # Errors
    /// [`ConnectError::OptionValue`] for anything else.
    pub fn from_offsets(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        if trimmed.eq_ignore_ascii_case("earliest") {
            return Ok(Self::Earliest);
        }
        if trimmed.eq_ignore_ascii_case("latest") {
            return Ok(Self::Latest);
        }
        let positions: Positions =
            serde_json::from_str(trimmed).map_err(|_| ConnectError::OptionValue {
                name: "startingOffsets",
                value: text.to_owned(),
                expected: "earliest, latest, or offsets such as {\"topic\":{\"0\":23,\"1\":-2}} (-2 is earliest, -1 latest)"
                    .to_owned(),
            })?;
        Ok(Self::Offsets(positions))
    }

    /// The value of the option `startingTimestamp`: milliseconds since 1970, or a time in ISO 8601 (UTC without a zone).
    ///
    /// # Errors
    /// [`ConnectError::OptionValue`] for anything else.
    pub fn from_timestamp(text: &str) -> Result<Self> {
        let number = text.trim().parse::<i64>().ok();
        let time = || crate::options::moment(text).map(|time| time.timestamp_millis());
        number
            .or_else(time)
            .map(Self::Timestamp)
            .ok_or_else(|| ConnectError::OptionValue {
                name: "startingTimestamp",
                value: text.to_owned(),
                expected: "milliseconds since 1970 or a time such as 2026-03-01T12:00:00Z"
                    .to_owned(),
            })
    }

    /// The value of the option `startingOffsetsByTimestamp`: JSON such as `{"payments":{"0":1700000000000}}`.
    ///
    /// # Errors
    /// [`ConnectError::OptionValue`] for anything else.
    pub fn from_timestamps(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map(Self::Timestamps)
            .map_err(|_| ConnectError::OptionValue {
                name: "startingOffsetsByTimestamp",
                value: text.to_owned(),
                expected: "milliseconds since 1970 by partition, such as {\"topic\":{\"0\":1700000000000}}"
                    .to_owned(),
            })
    }

    /// Where a partition begins.
    pub(crate) fn of(&self, topic: &str, partition: i32) -> Place {
        match self {
            Self::Earliest => Place::Earliest,
            Self::Latest => Place::Latest,
            Self::Timestamp(time) => Place::Timestamp(*time),
            Self::Offsets(positions) => match positions.get(topic, partition) {
                Some(-1) => Place::Latest,
                None | Some(..0) => Place::Earliest,
                Some(offset) => Place::Offset(offset),
            },
            Self::Timestamps(times) => times
                .get(topic)
                .and_then(|partitions| partitions.get(&partition))
                .map_or(Place::Earliest, |time| Place::Timestamp(*time)),
        }
    }
}

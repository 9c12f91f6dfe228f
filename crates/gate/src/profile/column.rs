//! One column while it is being profiled.
//!
//! Values gather in a dictionary. As long as they fit, everything about them is exact; when they no
//! longer do, the dictionary is poured into the sketches and begins anew.

use arrow::datatypes::DataType;

use super::dictionary::Dictionary;
use super::distribution::Distribution;
use super::kind::{self, ValueKind};
use super::sketch::{HyperLogLog, MisraGries};
use super::tally::{Observed, Sighting, Tally};

/// Values kept as the most frequent ones once counting is no longer exact.
const FREQUENT: usize = 512;
/// Look-alikes kept once counting is no longer exact.
const SUSPECTS: usize = 256;

/// A column while it is being profiled.
#[derive(Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    pub(crate) rows: u64,
    pub(crate) nulls: u64,
    pub(crate) empty: u64,
    dictionary: Dictionary,
    overflow: Option<Box<Overflow>>,
    limits: Limits,
}

/// How much a column may keep exactly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) values: usize,
    pub(crate) bytes: usize,
}

/// What is left of values that were poured out of the dictionary.
#[derive(Clone)]
struct Overflow {
    tally: Tally,
    distinct: HyperLogLog,
    frequent: MisraGries,
    /// Rare values that looked like a frequent one, by text.
    suspects: MisraGries,
    /// Values that came more than once within one filling of the dictionary.
    repeated: Observed,
}

impl Column {
    /// A column without values, `rows_before` of them missing.
    pub(crate) fn new(name: String, data_type: DataType, rows_before: u64, limits: Limits) -> Self {
        Self {
            name,
            data_type,
            rows: rows_before,
            nulls: rows_before,
            empty: 0,
            dictionary: Dictionary::default(),
            overflow: None,
            limits,
        }
    }

    /// Counts `count` missing values.
    pub(crate) fn add_nulls(&mut self, count: u64) {
        self.rows += count;
        self.nulls += count;
    }

    /// Counts one value in row `row`.
    pub(crate) fn add(&mut self, value: &str, row: u64) {
        self.rows += 1;
        if value.is_empty() {
            self.empty += 1;
            return;
        }
        self.dictionary.add(value, 1, row);
        if self.dictionary.len() > self.limits.values || self.dictionary.bytes() > self.limits.bytes
        {
            self.pour();
        }
    }

    /// Pours the dictionary into the sketches.
    fn pour(&mut self) {
        let overflow = self
            .overflow
            .get_or_insert_with(|| Box::new(Overflow::new()));
        overflow.take(&self.dictionary);
        self.dictionary.clear();
    }

    /// Adds everything that a later part of the same data has shown.
    pub(crate) fn merge(&mut self, later: &Self, row_offset: u64) {
        self.rows += later.rows;
        self.nulls += later.nulls;
        self.empty += later.empty;
        if let Some(theirs) = &later.overflow {
            self.pour();
            if let Some(mine) = &mut self.overflow {
                mine.merge(theirs, row_offset);
            }
        }
        for (text, entry) in later.dictionary.iter() {
            self.dictionary
                .add(text, entry.count, entry.first_row + row_offset);
        }
        if self.dictionary.len() > self.limits.values || self.dictionary.bytes() > self.limits.bytes
        {
            self.pour();
        }
    }

    /// Ends counting.
    pub(crate) fn finish(mut self) -> Counted {
        if self.overflow.is_some() {
            self.pour();
        }
        match self.overflow.take() {
            None => Counted::exactly(self),
            Some(overflow) => Counted::roughly(self, *overflow),
        }
    }
}

impl Overflow {
    fn new() -> Self {
        Self {
            tally: Tally::new(),
            distinct: HyperLogLog::new(),
            frequent: MisraGries::new(FREQUENT),
            suspects: MisraGries::new(SUSPECTS),
            repeated: Observed::default(),
        }
    }

    fn take(&mut self, dictionary: &Dictionary) {
        for (text, entry) in dictionary.iter() {
            self.tally.add(
                text,
                u64::from(entry.characters),
                entry.count,
                entry.first_row,
            );
            self.distinct.insert(entry.hash());
            self.frequent.add(text, entry.count, entry.first_row);
            if entry.count > 1 {
                self.repeated.add(text, entry.count, entry.first_row);
            }
        }
        self.frequent.compact();
        self.tally.compact();
        self.suspect(dictionary);
    }

    /// Keeps rare values that look like one of the frequent ones known by now.
    fn suspect(&mut self, dictionary: &Dictionary) {
        let models: Vec<_> = self
            .frequent
            .sorted()
            .into_iter()
            .filter(|(_, counter)| counter.count >= 20)
            .take(64)
            .collect();
        if models.is_empty() {
            return;
        }
        let prepared: Vec<_> = models
            .iter()
            .map(|(text, _)| super::similar::Prepared::new(text))
            .collect();
        for (text, entry) in dictionary.iter().filter(|(_, entry)| entry.count <= 3) {
            let value = super::similar::Prepared::new(text);
            let limit = super::similar::slips_allowed(value.characters());
            if limit > 0
                && prepared.iter().any(|model| {
                    value
                        .distance(model, limit)
                        .is_some_and(|distance| distance > 0)
                })
            {
                self.suspects.add(text, entry.count, entry.first_row);
            }
        }
        self.suspects.compact();
    }

    fn merge(&mut self, other: &Self, row_offset: u64) {
        self.tally.merge(&other.tally, row_offset);
        self.distinct.merge(&other.distinct);
        self.frequent.merge(&other.frequent, row_offset);
        self.suspects.merge(&other.suspects, row_offset);
        self.repeated.merge(&other.repeated, row_offset);
    }
}

/// A column that was counted to its end.
pub(crate) struct Counted {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    pub(crate) rows: u64,
    pub(crate) nulls: u64,
    pub(crate) empty: u64,
    pub(crate) tally: Tally,
    /// Different values, empty text among them.
    pub(crate) distinct: f64,
    pub(crate) exact: bool,
    /// Values by frequency: all of them if exact, else the frequent ones and the suspects.
    pub(crate) frequent: Vec<Sighting>,
    pub(crate) frequent_error: u64,
    /// Values that came more than once: all of them if exact.
    pub(crate) repeated: Observed,
    pub(crate) numbers: Distribution,
    pub(crate) times: Distribution,
    pub(crate) lengths: Distribution,
}

impl Counted {
    fn exactly(column: Column) -> Self {
        let mut tally = Tally::new();
        let mut repeated = Observed::default();
        let (mut numbers, mut times, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        let mut frequent = Vec::with_capacity(column.dictionary.len());
        for (text, entry) in column.dictionary.iter() {
            tally.add(
                text,
                u64::from(entry.characters),
                entry.count,
                entry.first_row,
            );
            let reading = kind::read(text);
            numbers.extend(reading.number.map(|number| (number.value, entry.count)));
            times.extend(
                reading
                    .temporal
                    .map(|moment| (moment.micros as f64, entry.count)),
            );
            lengths.push((f64::from(entry.characters), entry.count));
            if entry.count > 1 {
                repeated.add(text, entry.count, entry.first_row);
            }
            frequent.push(Sighting {
                text: text.to_owned(),
                count: entry.count,
                first_row: entry.first_row,
            });
        }
        tally.compact();
        frequent.sort_by(|a, b| b.count.cmp(&a.count).then(a.first_row.cmp(&b.first_row)));
        Self {
            distinct: column.dictionary.len() as f64 + f64::from(u8::from(column.empty > 0)),
            exact: true,
            frequent,
            frequent_error: 0,
            repeated,
            numbers: Distribution::exact(numbers),
            times: Distribution::exact(times),
            lengths: Distribution::exact(lengths),
            tally,
            name: column.name,
            data_type: column.data_type,
            rows: column.rows,
            nulls: column.nulls,
            empty: column.empty,
        }
    }

    fn roughly(column: Column, overflow: Overflow) -> Self {
        let sighting = |(text, counter): (&str, &super::sketch::Counter)| Sighting {
            text: text.to_owned(),
            count: counter.count,
            first_row: counter.first_row,
        };
        let mut frequent: Vec<Sighting> = overflow
            .frequent
            .sorted()
            .into_iter()
            .map(sighting)
            .collect();
        let rare = overflow
            .suspects
            .sorted()
            .into_iter()
            .filter(|(text, _)| overflow.frequent.get(text).is_none());
        frequent.extend(rare.map(sighting));
        Self {
            distinct: overflow.distinct.estimate(),
            exact: false,
            frequent,
            frequent_error: overflow.frequent.error(),
            repeated: overflow.repeated,
            numbers: Distribution::sketch(overflow.tally.numbers.digest.clone()),
            times: Distribution::sketch(overflow.tally.times.digest.clone()),
            lengths: Distribution::sketch(overflow.tally.length_digest.clone()),
            tally: overflow.tally,
            name: column.name,
            data_type: column.data_type,
            rows: column.rows,
            nulls: column.nulls,
            empty: column.empty,
        }
    }

    /// Values that are there and not empty.
    pub(crate) fn values(&self) -> u64 {
        self.tally.values
    }

    /// The family most values belong to, if it holds at least half of those that are no placeholders.
    pub(crate) fn main_kind(&self) -> Option<(ValueKind, u64)> {
        let placeholders = self
            .tally
            .kinds
            .get(&ValueKind::Placeholder)
            .map_or(0, |observed| observed.rows);
        let (kind, _) = self
            .tally
            .kinds
            .iter()
            .filter(|(kind, _)| **kind != ValueKind::Placeholder)
            .map(|(&kind, observed)| (kind, observed.rows))
            .max_by_key(|&(_, rows)| rows)?;
        let rows = self.tally.in_family(kind);
        (rows * 2 >= self.values() - placeholders).then_some((kind, rows))
    }
}

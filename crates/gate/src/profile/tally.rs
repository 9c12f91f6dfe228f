//! What is counted of a column's values, fed with distinct values and how often each was seen.
//!
//! Everything here is of bounded size and can be merged, so that one tally serves a column of ten
//! values and one of ten billion.

use std::collections::BTreeMap;

use super::kind::{self, Reading, ValueKind};
use super::sketch::{MisraGries, Moments, TDigest};
use super::{mojibake, pattern};

/// Formats that are counted at once.
const FORMATS: usize = 128;
/// Examples kept of each observation.
const EXAMPLES: usize = 5;
/// Extreme values kept at each end.
const EXTREMES: usize = 12;

/// A value with where it was seen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sighting {
    pub(crate) text: String,
    pub(crate) count: u64,
    pub(crate) first_row: u64,
}

/// How many rows and values showed something, with a few of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    pub(crate) rows: u64,
    /// Distinct values; in a column too large to count, those of each part added up.
    pub(crate) values: u64,
    pub(crate) examples: Vec<Sighting>,
}

impl Observed {
    pub(crate) fn add(&mut self, text: &str, count: u64, first_row: u64) {
        self.rows += count;
        if let Some(known) = self
            .examples
            .iter_mut()
            .find(|example| example.text == text)
        {
            known.count += count;
            return;
        }
        self.values += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(Sighting {
                text: text.to_owned(),
                count,
                first_row,
            });
        }
    }

    pub(crate) fn merge(&mut self, other: &Self, row_offset: u64) {
        let (rows, values) = (self.rows + other.rows, self.values + other.values);
        let known = self.values;
        for example in &other.examples {
            self.add(&example.text, example.count, example.first_row + row_offset);
        }
        let again = other.examples.len() as u64 - (self.values - known);
        self.rows = rows;
        self.values = values - again;
    }
}

/// Numbers (or moments) of a column.
#[derive(Clone, Debug)]
pub(crate) struct NumberTally {
    pub(crate) moments: Moments,
    pub(crate) digest: TDigest,
    /// The smallest, ascending, then the largest, descending; each with its text.
    pub(crate) low: Vec<(f64, Sighting)>,
    pub(crate) high: Vec<(f64, Sighting)>,
}

impl NumberTally {
    fn new() -> Self {
        Self {
            moments: Moments::default(),
            digest: TDigest::new(),
            low: Vec::new(),
            high: Vec::new(),
        }
    }

    fn add(&mut self, value: f64, text: &str, count: u64, first_row: u64) {
        self.moments.add(value, count as f64);
        self.digest.add(value, count as f64);
        keep_extreme(&mut self.low, value, text, count, first_row, |a, b| a < b);
        keep_extreme(&mut self.high, value, text, count, first_row, |a, b| a > b);
    }

    fn merge(&mut self, other: &Self, row_offset: u64) {
        self.moments.merge(&other.moments);
        self.digest.merge(&other.digest);
        for (value, seen) in &other.low {
            keep_extreme(
                &mut self.low,
                *value,
                &seen.text,
                seen.count,
                seen.first_row + row_offset,
                |a, b| a < b,
            );
        }
        for (value, seen) in &other.high {
            keep_extreme(
                &mut self.high,
                *value,
                &seen.text,
                seen.count,
                seen.first_row + row_offset,
                |a, b| a > b,
            );
        }
    }
}

fn keep_extreme(
    kept: &mut Vec<(f64, Sighting)>,
    value: f64,
    text: &str,
    count: u64,
    first_row: u64,
    before: impl Fn(f64, f64) -> bool,
) {
    if kept.len() == EXTREMES && kept.last().is_some_and(|last| before(last.0, value)) {
        return;
    }
    if let Some((_, known)) = kept
        .iter_mut()
        .find(|(other, seen)| *other == value && seen.text == text)
    {
        known.count += count;
        return;
    }
    let at = kept.partition_point(|(other, _)| !before(value, *other));
    kept.insert(
        at,
        (
            value,
            Sighting {
                text: text.to_owned(),
                count,
                first_row,
            },
        ),
    );
    kept.truncate(EXTREMES);
}

/// Everything counted of one column, nulls and empty texts left out.
#[derive(Clone)]
pub(crate) struct Tally {
    pub(crate) values: u64,
    pub(crate) kinds: BTreeMap<ValueKind, Observed>,
    pub(crate) numbers: NumberTally,
    pub(crate) times: NumberTally,
    /// How many moments have a time of day.
    pub(crate) timestamps: u64,
    pub(crate) lengths: Moments,
    pub(crate) length_digest: TDigest,
    pub(crate) exact_formats: MisraGries,
    pub(crate) loose_formats: MisraGries,
    /// A value for each format that was seen lately, by format.
    format_examples: BTreeMap<String, Sighting>,
    /// Values too long to have a format.
    pub(crate) prose: u64,
    pub(crate) whitespace: Observed,
    pub(crate) control: Observed,
    pub(crate) mojibake: Observed,
    /// The first and the last value by letter.
    pub(crate) first_text: Option<String>,
    pub(crate) last_text: Option<String>,
    scratch: (String, String),
}

impl Tally {
    /// Nothing counted.
    pub(crate) fn new() -> Self {
        Self {
            values: 0,
            kinds: BTreeMap::new(),
            numbers: NumberTally::new(),
            times: NumberTally::new(),
            timestamps: 0,
            lengths: Moments::default(),
            length_digest: TDigest::new(),
            exact_formats: MisraGries::new(FORMATS),
            loose_formats: MisraGries::new(FORMATS),
            format_examples: BTreeMap::new(),
            prose: 0,
            whitespace: Observed::default(),
            control: Observed::default(),
            mojibake: Observed::default(),
            first_text: None,
            last_text: None,
            scratch: Default::default(),
        }
    }

    /// Counts a value that was seen `count` times.
    pub(crate) fn add(&mut self, text: &str, characters: u64, count: u64, first_row: u64) {
        self.values += count;
        let reading = kind::read(text);
        self.kinds
            .entry(reading.kind)
            .or_default()
            .add(text, count, first_row);
        self.add_measures(&reading, text, count, first_row);
        self.lengths.add(characters as f64, count as f64);
        self.length_digest.add(characters as f64, count as f64);
        self.add_format(text, count, first_row);
        self.add_marks(text, count, first_row);
        if self.first_text.as_deref().is_none_or(|first| text < first) {
            self.first_text = Some(text.to_owned());
        }
        if self.last_text.as_deref().is_none_or(|last| text > last) {
            self.last_text = Some(text.to_owned());
        }
    }

    fn add_measures(&mut self, reading: &Reading, text: &str, count: u64, first_row: u64) {
        if let Some(number) = reading.number {
            self.numbers.add(number.value, text, count, first_row);
        }
        if let Some(moment) = reading.temporal {
            self.times.add(moment.micros as f64, text, count, first_row);
            self.timestamps += if reading.kind == ValueKind::Timestamp {
                count
            } else {
                0
            };
        }
    }

    fn add_format(&mut self, text: &str, count: u64, first_row: u64) {
        let (exact, loose) = (&mut self.scratch.0, &mut self.scratch.1);
        if !pattern::exact(text, exact) {
            self.prose += count;
            return;
        }
        pattern::loosen(exact, loose);
        for format in [&*exact, &*loose] {
            if self.format_examples.len() < 4 * FORMATS
                && !self.format_examples.contains_key(format)
            {
                self.format_examples.insert(
                    format.clone(),
                    Sighting {
                        text: text.to_owned(),
                        count,
                        first_row,
                    },
                );
            }
        }
        self.exact_formats.add(exact, count, first_row);
        self.loose_formats.add(loose, count, first_row);
    }

    fn add_marks(&mut self, text: &str, count: u64, first_row: u64) {
        let outer = |c: Option<char>| c.is_some_and(char::is_whitespace);
        if outer(text.chars().next()) || outer(text.chars().next_back()) {
            self.whitespace.add(text, count, first_row);
        }
        if text.chars().any(is_odd_control) {
            self.control.add(text, count, first_row);
        }
        if mojibake::has_replacement(text) || mojibake::repaired(text).is_some() {
            self.mojibake.add(text, count, first_row);
        }
    }

    /// An example of a format.
    pub(crate) fn format_example(&self, format: &str) -> Option<&Sighting> {
        self.format_examples.get(format)
    }

    /// Ends a group of values: keeps the counters bounded.
    pub(crate) fn compact(&mut self) {
        self.exact_formats.compact();
        self.loose_formats.compact();
        if self.format_examples.len() > 2 * FORMATS {
            let (exact, loose) = (&self.exact_formats, &self.loose_formats);
            self.format_examples
                .retain(|format, _| exact.get(format).is_some() || loose.get(format).is_some());
        }
    }

    /// Adds everything the other has counted.
    pub(crate) fn merge(&mut self, other: &Self, row_offset: u64) {
        self.values += other.values;
        for (&kind, observed) in &other.kinds {
            self.kinds
                .entry(kind)
                .or_default()
                .merge(observed, row_offset);
        }
        self.numbers.merge(&other.numbers, row_offset);
        self.times.merge(&other.times, row_offset);
        self.timestamps += other.timestamps;
        self.lengths.merge(&other.lengths);
        self.length_digest.merge(&other.length_digest);
        self.exact_formats.merge(&other.exact_formats, row_offset);
        self.loose_formats.merge(&other.loose_formats, row_offset);
        for (format, example) in &other.format_examples {
            let moved = Sighting {
                first_row: example.first_row + row_offset,
                ..example.clone()
            };
            self.format_examples.entry(format.clone()).or_insert(moved);
        }
        self.prose += other.prose;
        self.whitespace.merge(&other.whitespace, row_offset);
        self.control.merge(&other.control, row_offset);
        self.mojibake.merge(&other.mojibake, row_offset);
        self.first_text = [self.first_text.take(), other.first_text.clone()]
            .into_iter()
            .flatten()
            .min();
        self.last_text = self.last_text.take().max(other.last_text.clone());
        self.compact();
    }

    /// How many values are of the same family as `kind`.
    pub(crate) fn in_family(&self, kind: ValueKind) -> u64 {
        self.kinds
            .iter()
            .filter(|(other, _)| other.family() == kind.family())
            .map(|(_, observed)| observed.rows)
            .sum()
    }
}

/// Control characters that have no place in a value; line breaks and tabs inside are let pass.
pub(crate) fn is_odd_control(character: char) -> bool {
    (character.is_control() && !matches!(character, '\n' | '\r' | '\t'))
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{feff}')
}

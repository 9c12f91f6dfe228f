//! Accepted values: is the set of a column's values closed, and which of them are slips?
//!
//! A set counts as closed if the chance that the next row brings a new value is small: the share of
//! values seen exactly once, slips left out (Good, "The population frequencies of species and the
//! estimation of population parameters", Biometrika 1953), must be at most 0.2 %. A slip is a rare value
//! that looks like a frequent one, or one that resembles a frequent one and contradicts the dependencies
//! of its rows.

use std::collections::{BTreeMap, BTreeSet};

use super::dependencies::Found;
use super::evidence::FEWEST;
use super::sample::SampleColumn;
use crate::profile::ValueKind;
use crate::profile::similar::{self, Prepared, Rarity};

/// Largest chance of a new value.
const NEW_VALUE: f64 = 0.002;
/// Least mean frequency of an accepted value.
const MEAN_COUNT: u64 = 8;

/// A rare value that is probably another one, miswritten.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slip {
    /// Index of the value.
    pub(crate) value: usize,
    /// Index of what it probably should be.
    pub(crate) meant: usize,
}

/// What the dependencies say about the values of one column, by index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Testimony {
    /// In how many rows each value speaks against a dependency, and what is usual there.
    against: BTreeMap<u32, BTreeMap<u32, BTreeSet<usize>>>,
    /// Rows whose value looks odd but is explained by a third column.
    explained: BTreeSet<usize>,
}

impl Testimony {
    /// Gathers what the dependencies say about a column.
    pub(crate) fn of(column: usize, dependencies: &[Found]) -> Self {
        let mut testimony = Self::default();
        for found in dependencies.iter().filter(|found| found.of == column) {
            testimony.explained.extend(&found.explained);
            for error in &found.errors {
                testimony
                    .against
                    .entry(error.value)
                    .or_default()
                    .entry(error.usual)
                    .or_default()
                    .insert(error.row);
            }
        }
        testimony
    }

    /// What is usual where this value stands, if it speaks against a dependency in half of its rows.
    fn usual(&self, value: usize, count: u64) -> Option<usize> {
        let usual = self.against.get(&(value as u32))?;
        let (meant, rows) = usual.iter().max_by_key(|(_, rows)| rows.len())?;
        (rows.len() as u64 * 2 >= count).then_some(*meant as usize)
    }

    fn explains(&self, column: &SampleColumn, value: usize) -> bool {
        let rows = column
            .rows
            .iter()
            .enumerate()
            .filter(|(_, code)| **code as usize == value);
        let explained = rows.filter(|(row, _)| self.explained.contains(row)).count() as u64;
        explained * 10 >= column.values[value].count * 8
    }
}

/// Finds the slips of a column of words.
pub(crate) fn slips(column: &SampleColumn, testimony: &Testimony) -> Vec<Slip> {
    if !has_spelling(column) {
        return Vec::new();
    }
    let present: Vec<(usize, &str, u64)> = column
        .present_values()
        .map(|(at, value)| (at, value.text.as_str(), value.count))
        .collect();
    let values: Vec<(&str, u64)> = present.iter().map(|value| (value.1, value.2)).collect();
    let mut slips: Vec<Slip> = similar::look_alikes(&values, Rarity::of_rows(column.present()))
        .into_iter()
        .map(|pair| Slip {
            value: present[pair.rare].0,
            meant: present[pair.frequent].0,
        })
        .filter(|slip| !testimony.explains(column, slip.value))
        .collect();
    for &(value, text, count) in &present {
        if let Some(meant) = testimony.usual(value, count)
            && !slips.iter().any(|slip| slip.value == value)
            && column.values[meant].count >= 3 * count
            && resembles(text, &column.values[meant].text)
        {
            slips.push(Slip { value, meant });
        }
    }
    slips
}

/// Whether its values are words: a neighbour of a number, a date or a UUID is just another one.
fn has_spelling(column: &SampleColumn) -> bool {
    column.of_kind(|kind| {
        matches!(
            kind,
            ValueKind::Text | ValueKind::Boolean | ValueKind::Email | ValueKind::Placeholder
        )
    }) * 2
        >= column.present()
}

/// Whether a value that contradicts another may be meant to be it: three characters in ten may differ.
fn resembles(text: &str, meant: &str) -> bool {
    let value = Prepared::new(text);
    let limit = similar::slips_allowed(value.characters()).max(value.characters() * 3 / 10);
    value.distance(&Prepared::new(meant), limit).is_some()
}

/// The values a column may hold, most frequent first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Accepted {
    /// Indices of the values.
    pub(crate) values: Vec<usize>,
    /// Values seen once, which are left out: too rare to be accepted on sight.
    pub(crate) once: Vec<usize>,
    /// The chance that the next row holds a value that was not seen.
    pub(crate) new_value: f64,
}

/// The accepted values, if there are few, each frequent enough, and the set is closed.
pub(crate) fn accepted(column: &SampleColumn, slips: &[Slip], most: usize) -> Option<Accepted> {
    let values: Vec<usize> = column
        .present_values()
        .map(|(at, _)| at)
        .filter(|at| !slips.iter().any(|slip| slip.value == *at))
        .collect();
    let present = column.present();
    if values.is_empty()
        || values.len() > most
        || present < FEWEST.max(values.len() as u64 * MEAN_COUNT)
    {
        return None;
    }
    if values.len() == 1 && slips.is_empty() {
        return None;
    }
    let slipped: u64 = slips
        .iter()
        .map(|slip| column.values[slip.value].count)
        .sum();
    let (once, mut values): (Vec<usize>, Vec<usize>) = values
        .into_iter()
        .partition(|&at| column.values[at].count == 1);
    let new_value = once.len() as f64 / present as f64;
    if values.is_empty() || new_value > NEW_VALUE || slipped * 10 > present {
        return None;
    }
    values.sort_by_key(|&at| std::cmp::Reverse(column.values[at].count));
    Some(Accepted {
        values,
        once,
        new_value,
    })
}

//! What was delivered in a world, and what the tables must hold for it, computed plainly.
//!
//! Whether a row that comes too late is counted depends on when runs began and ended. So windows are held to this: what
//! they counted and the late rows beside the table are together what was delivered, each row once.

use std::collections::{BTreeMap, BTreeSet};

/// How late rows may be, in seconds; the project says the same.
pub(super) const DELAY: i64 = 30;
/// How long the windows are, in seconds.
pub(super) const WINDOW: i64 = 60;
/// How far apart joined rows may be, in seconds.
pub(super) const APART: i64 = 60;
/// When event time begins: seconds since 1970.
pub(super) const BEGIN: i64 = 1_704_067_200;

/// A row of the topic `events`.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) id: i64,
    pub(super) card: String,
    pub(super) amount: i64,
    pub(super) ts: i64,
    pub(super) is_on_time: bool,
}

/// A row of the topic `answers`.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) id: i64,
    pub(super) said: String,
    pub(super) ts: i64,
    pub(super) is_on_time: bool,
}

/// Everything that was delivered.
#[derive(Debug, Default)]
pub(super) struct Truth {
    pub(super) events: Vec<Event>,
    pub(super) answers: Vec<Answer>,
}

/// Count and sum by card and begin of the window.
pub(super) type Windows = BTreeMap<(String, i64), (i64, i64)>;

impl Truth {
    /// The good events, each once.
    pub(super) fn accepted(&self) -> Vec<&Event> {
        let mut seen = BTreeSet::new();
        let events = self.events.iter();
        events
            .filter(|event| event.amount > 0 && seen.insert(event.id))
            .collect()
    }

    /// How many rows the quarantine must hold: those that break the promise, and those whose key was there.
    pub(super) fn quarantined(&self) -> usize {
        self.events.len() - self.accepted().len()
    }

    /// By card: how many accepted events, and their sum.
    pub(super) fn totals(&self) -> BTreeMap<String, (i64, i64)> {
        let mut totals: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for event in self.accepted() {
            let total = totals.entry(event.card.clone()).or_default();
            *total = (total.0 + 1, total.1 + event.amount);
        }
        totals
    }

    /// The pairs of card and remainder that were seen.
    pub(super) fn seen(&self) -> BTreeSet<(String, i64)> {
        let events = self.events.iter();
        events
            .map(|event| (event.card.clone(), event.amount % 5))
            .collect()
    }

    /// Pairs of events and answers that are joined, with how often: at least, because both came in time, and at most.
    pub(super) fn joined(&self) -> BTreeMap<(i64, String), (i64, i64)> {
        let mut pairs: BTreeMap<(i64, String), (i64, i64)> = BTreeMap::new();
        for event in &self.events {
            for answer in &self.answers {
                if event.id == answer.id && (event.ts - answer.ts).abs() <= APART {
                    let must = i64::from(event.is_on_time && answer.is_on_time);
                    let pair = pairs.entry((event.id, answer.said.clone())).or_default();
                    *pair = (pair.0 + must, pair.1 + 1);
                }
            }
        }
        pairs
    }
}

/// What windows of these events count.
pub(super) fn windows<'e>(events: impl IntoIterator<Item = &'e Event>) -> Windows {
    let mut windows = Windows::new();
    for event in events {
        add(&mut windows, &event.card, event.ts, (1, event.amount));
    }
    windows
}

/// Adds to the window of a time.
pub(super) fn add(windows: &mut Windows, card: &str, ts: i64, (count, sum): (i64, i64)) {
    let begin = ts - ts.rem_euclid(WINDOW);
    let window = windows.entry((card.to_owned(), begin)).or_default();
    *window = (window.0 + count, window.1 + sum);
}

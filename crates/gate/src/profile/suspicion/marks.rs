//! Marks a value carries by itself: they need no other values to be seen.

use super::super::column::Counted;
use super::super::kind::ValueKind;
use super::super::mojibake::repaired;
use super::super::report::{Suspicion, SuspicionKind, share};
use super::super::tally::{Observed, is_odd_control};
use super::{observed, percent, rows};

/// Dates that the calendar does not have, in a column of dates.
pub(super) fn impossible_dates(column: &Counted) -> Option<Suspicion> {
    let seen = column.tally.kinds.get(&ValueKind::ImpossibleDate)?;
    let possible = column.tally.in_family(ValueKind::Date);
    (possible > seen.rows).then(|| {
        let message = format!(
            "{} with a date or a time that does not exist",
            rows(seen.rows)
        );
        observed(SuspicionKind::ImpossibleDate, seen, message, |_| None)
    })
}

/// Text decoded with the wrong encoding.
pub(super) fn mojibake(column: &Counted) -> Option<Suspicion> {
    let seen = some(&column.tally.mojibake)?;
    let message = format!("{} were decoded with the wrong encoding", rows(seen.rows));
    let note = |text: &str| repaired(text).map(|meant| format!("probably {meant:?}"));
    Some(observed(SuspicionKind::Mojibake, seen, message, note))
}

/// Control and invisible characters.
pub(super) fn control_characters(column: &Counted) -> Option<Suspicion> {
    let seen = some(&column.tally.control)?;
    let message = format!("{} hold control or invisible characters", rows(seen.rows));
    Some(observed(
        SuspicionKind::ControlCharacter,
        seen,
        message,
        |text| Some(odd_characters(text)),
    ))
}

/// The code points of the first few odd characters.
fn odd_characters(text: &str) -> String {
    let mut codes: Vec<String> = text
        .chars()
        .filter(|&c| is_odd_control(c))
        .map(|c| format!("U+{:04X}", u32::from(c)))
        .collect();
    codes.dedup();
    codes.truncate(4);
    codes.join(" ")
}

/// White space around values.
pub(super) fn white_space(column: &Counted) -> Option<Suspicion> {
    let seen = some(&column.tally.whitespace)?;
    let message = format!("{} begin or end with white space", rows(seen.rows));
    Some(observed(SuspicionKind::Whitespace, seen, message, |_| None))
}

/// Words that stand for a missing value.
pub(super) fn placeholder_words(column: &Counted) -> Option<Suspicion> {
    let seen = column.tally.kinds.get(&ValueKind::Placeholder)?;
    if is_country_code(column, seen) {
        return None;
    }
    let part = percent(share(seen.rows, column.rows));
    let message = format!(
        "{} ({part}) hold a word for a missing value instead of none",
        rows(seen.rows)
    );
    Some(observed(SuspicionKind::Placeholder, seen, message, |_| {
        None
    }))
}

/// `NA` among two-letter codes is Namibia.
fn is_country_code(column: &Counted, seen: &Observed) -> bool {
    let two_letters = column
        .tally
        .exact_formats
        .get("AA")
        .map_or(0, |counter| counter.count);
    two_letters * 10 >= column.values() * 9
        && seen.examples.iter().all(|example| example.text == "NA")
}

fn some(seen: &Observed) -> Option<&Observed> {
    (seen.rows > 0).then_some(seen)
}

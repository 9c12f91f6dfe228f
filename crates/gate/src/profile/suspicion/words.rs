//! Values that are suspicious beside the other values of their column: misspelt, doubled, in the wrong
//! letter case.

use hashbrown::HashMap;

use super::super::column::Counted;
use super::super::kind::ValueKind;
use super::super::report::{Suspicion, SuspicionKind};
use super::super::similar::{self, Rarity};
use super::super::tally::Sighting;
use super::{grouped, observed, of_values, rows};

/// Kinds of which a neighbour is just another value.
fn has_spelling(column: &Counted) -> bool {
    match column.main_kind() {
        None => true,
        Some((kind, _)) => matches!(
            kind,
            ValueKind::Text | ValueKind::Boolean | ValueKind::Email | ValueKind::Placeholder
        ),
    }
}

/// Rare values that are a frequent one with a few characters wrong.
pub(super) fn look_alikes(column: &Counted) -> Option<Suspicion> {
    if !has_spelling(column) {
        return None;
    }
    let values: Vec<(&str, u64)> = column
        .frequent
        .iter()
        .map(|seen| (seen.text.as_str(), seen.count))
        .collect();
    let found: Vec<_> = similar::look_alikes(&values, Rarity::of_rows(column.values()))
        .into_iter()
        .map(|pair| {
            let model = &column.frequent[pair.frequent];
            let note = format!("resembles {:?} ({})", model.text, rows(model.count));
            (column.frequent[pair.rare].clone(), Some(note))
        })
        .collect();
    of_values(SuspicionKind::LookAlike, &found, |count| {
        format!(
            "{} hold a rare value that is a frequent one with a few characters wrong",
            rows(count)
        )
    })
}

/// A column of unique values with a few that come twice.
pub(super) fn duplicates(column: &Counted) -> Option<Suspicion> {
    let (kind, _) = column.main_kind().unwrap_or((ValueKind::Text, 0));
    let may_identify = matches!(
        kind,
        ValueKind::Integer
            | ValueKind::DigitCode
            | ValueKind::Uuid
            | ValueKind::Text
            | ValueKind::Email
    );
    let decimals = column.tally.kinds.contains_key(&ValueKind::Decimal);
    let values = column.values();
    let unique = column.distinct / values.max(1) as f64;
    if !may_identify || decimals || values < 20 || unique < 0.98 || column.repeated.rows == 0 {
        return None;
    }
    let at_least = if column.exact { "" } else { "at least " };
    let message = format!(
        "nearly every value is unique, but {at_least}{} {} more than once",
        grouped(column.repeated.values),
        if column.repeated.values == 1 {
            "comes"
        } else {
            "come"
        }
    );
    Some(observed(
        SuspicionKind::Duplicate,
        &column.repeated,
        message,
        |_| None,
    ))
}

/// Values that differ from a more frequent one in letter case only.
pub(super) fn letter_case(column: &Counted) -> Option<Suspicion> {
    if !has_spelling(column) {
        return None;
    }
    let mut models: HashMap<String, &Sighting> = HashMap::new();
    let mut found = Vec::new();
    for seen in &column.frequent {
        match models.entry(seen.text.to_lowercase()) {
            hashbrown::hash_map::Entry::Vacant(entry) => {
                entry.insert(seen);
            }
            hashbrown::hash_map::Entry::Occupied(entry) => {
                let model = entry.get();
                found.push((
                    seen.clone(),
                    Some(format!(
                        "elsewhere {:?} ({})",
                        model.text,
                        rows(model.count)
                    )),
                ));
            }
        }
    }
    of_values(SuspicionKind::Case, &found, |count| {
        format!(
            "{} hold a value that is elsewhere written with other upper and lower case",
            rows(count)
        )
    })
}

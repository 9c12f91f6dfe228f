//! What looks wrong in a column, and why: a list of rules, each a function of what was counted.
//!
//! A rule reports only what it has evidence for, and says it: how many rows, which values, what they
//! probably should have been. Whether anything is done about it is for a contract to decide.

mod marks;
mod numbers;
mod shapes;
mod words;

use super::column::Counted;
use super::report::{Example, Suspicion, SuspicionKind};
use super::tally::{Observed, Sighting};

/// Every rule, worst suspicion first.
const RULES: &[fn(&Counted) -> Option<Suspicion>] = &[
    marks::impossible_dates,
    marks::mojibake,
    marks::control_characters,
    shapes::mixed_types,
    shapes::mixed_units,
    words::look_alikes,
    shapes::rare_formats,
    numbers::outliers,
    words::duplicates,
    marks::placeholder_words,
    numbers::placeholder_numbers,
    marks::white_space,
    words::letter_case,
];

/// Examples shown of each suspicion.
const EXAMPLES: usize = 8;

/// Everything that looks wrong in a column.
pub(crate) fn suspicions(column: &Counted) -> Vec<Suspicion> {
    RULES.iter().filter_map(|rule| rule(column)).collect()
}

/// A suspicion of what was observed while counting.
fn observed(
    kind: SuspicionKind,
    seen: &Observed,
    message: String,
    note: impl Fn(&str) -> Option<String>,
) -> Suspicion {
    let examples = seen
        .examples
        .iter()
        .map(|sighting| example(sighting, note(&sighting.text)))
        .collect();
    Suspicion {
        kind,
        rows: seen.rows,
        values: seen.values,
        message,
        examples,
    }
}

/// A suspicion of these values; `None` of none.
fn of_values(
    kind: SuspicionKind,
    found: &[(Sighting, Option<String>)],
    message: impl FnOnce(u64) -> String,
) -> Option<Suspicion> {
    if found.is_empty() {
        return None;
    }
    let rows = found.iter().map(|(sighting, _)| sighting.count).sum();
    let examples = found
        .iter()
        .take(EXAMPLES)
        .map(|(sighting, note)| example(sighting, note.clone()))
        .collect();
    Some(Suspicion {
        kind,
        rows,
        values: found.len() as u64,
        message: message(rows),
        examples,
    })
}

fn example(sighting: &Sighting, note: Option<String>) -> Example {
    Example {
        value: sighting.text.clone(),
        count: sighting.count,
        row: sighting.first_row + 1,
        note,
    }
}

/// `1 row`, `2,000 rows`.
pub(crate) fn rows(count: u64) -> String {
    format!(
        "{} {}",
        grouped(count),
        if count == 1 { "row" } else { "rows" }
    )
}

/// A number with a comma between its thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share as per cent: whole numbers from 10 up, and never 0 or 100 for what is not.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        _ if percent == 0.0 || percent == 100.0 => format!("{percent:.0} %"),
        _ if percent < 0.1 => "< 0.1 %".to_owned(),
        _ if percent > 99.9 => "> 99.9 %".to_owned(),
        _ if (10.0..=99.0).contains(&percent) => format!("{percent:.0} %"),
        _ => format!("{percent:.1} %"),
    }
}

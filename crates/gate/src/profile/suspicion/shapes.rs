//! Values whose shape is not that of the others in their column.

use std::collections::BTreeMap;

use super::super::column::Counted;
use super::super::kind::{self, ValueKind};
use super::super::report::{Suspicion, SuspicionKind, share};
use super::super::sketch::MisraGries;
use super::super::tally::Sighting;
use super::{EXAMPLES, example, grouped, of_values, percent, rows};

/// Values of another kind than most: a word among numbers, a percentage among plain numbers.
pub(super) fn mixed_types(column: &Counted) -> Option<Suspicion> {
    let (main, held) = column
        .main_kind()
        .filter(|(kind, _)| *kind != ValueKind::Text)?;
    let codes = matches!(main, ValueKind::Integer | ValueKind::DigitCode);
    let stranger = |kind: ValueKind| {
        kind.family() != main.family()
            && !matches!(kind, ValueKind::Placeholder | ValueKind::ImpossibleDate)
            && !(codes && matches!(kind, ValueKind::Integer | ValueKind::DigitCode))
    };
    let strangers: Vec<_> = column
        .tally
        .kinds
        .iter()
        .filter(|(kind, _)| stranger(**kind))
        .collect();
    let count: u64 = strangers.iter().map(|(_, seen)| seen.rows).sum();
    if count == 0 || (main == ValueKind::Boolean && held < count * 4) {
        return None;
    }
    let kinds: Vec<String> = strangers
        .iter()
        .map(|(kind, seen)| format!("{} ({})", kind.words(), grouped(seen.rows)))
        .collect();
    let message = format!(
        "{} of the values are {}s, but {} hold something else: {}",
        percent(share(held, column.values())),
        main.words(),
        rows(count),
        kinds.join(", ")
    );
    let examples = strangers.iter().flat_map(|(kind, seen)| {
        seen.examples
            .iter()
            .map(|seen| example(seen, Some(kind.words().to_owned())))
    });
    Some(Suspicion {
        kind: SuspicionKind::MixedTypes,
        rows: count,
        values: strangers.iter().map(|(_, seen)| seen.values).sum(),
        message,
        examples: examples.take(EXAMPLES).collect(),
    })
}

/// Numbers whose unit is written in several ways.
pub(super) fn mixed_units(column: &Counted) -> Option<Suspicion> {
    column
        .main_kind()
        .filter(|(kind, _)| *kind == ValueKind::Quantity)?;
    let mut units: BTreeMap<&str, (u64, &Sighting)> = BTreeMap::new();
    for seen in &column.frequent {
        if kind::read(&seen.text).kind == ValueKind::Quantity
            && let Some(unit) = kind::unit_of(&seen.text)
        {
            units.entry(unit).or_insert((0, seen)).0 += seen.count;
        }
    }
    let main = *units.iter().max_by_key(|(_, (count, _))| *count)?.0;
    let mut others: Vec<_> = units.iter().filter(|(unit, _)| **unit != main).collect();
    others.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    let found: Vec<_> = others
        .iter()
        .map(|(unit, (count, seen))| {
            (
                Sighting {
                    count: *count,
                    ..(*seen).clone()
                },
                Some(format!("unit {unit:?}")),
            )
        })
        .collect();
    of_values(SuspicionKind::MixedTypes, &found, |count| {
        format!(
            "the unit is written in {} ways: most often {main:?}, but otherwise in {}",
            units.len(),
            rows(count)
        )
    })
}

/// Formats that hardly any other value has, where nearly all values share a few.
pub(super) fn rare_formats(column: &Counted) -> Option<Suspicion> {
    let (main, _) = column.main_kind().unwrap_or((ValueKind::Text, 0));
    let dominant_only = match main {
        ValueKind::Integer | ValueKind::DigitCode | ValueKind::Date | ValueKind::Timestamp => true,
        ValueKind::Text | ValueKind::Uuid => false,
        _ => return None,
    };
    let values = column.values();
    if values < 50 || column.tally.prose * 50 > values {
        return None;
    }
    let placeholders = column
        .tally
        .kinds
        .get(&ValueKind::Placeholder)
        .map_or(0, |seen| seen.rows);
    let regular =
        |formats: &MisraGries, most: usize| regular_formats(formats, values - placeholders, most);
    let rare = if dominant_only {
        regular(&column.tally.exact_formats, 1)
    } else {
        regular(&column.tally.exact_formats, 12).or_else(|| regular(&column.tally.loose_formats, 6))
    }?;
    let mut found = Vec::new();
    for (format, count) in &rare.rare {
        if let Some(seen) = column.tally.format_example(format)
            && kind::read(&seen.text).kind != ValueKind::Placeholder
        {
            found.push((
                Sighting {
                    count: *count,
                    ..seen.clone()
                },
                Some(format!("format {format}")),
            ));
        }
    }
    of_values(SuspicionKind::RareFormat, &found, |count| {
        format!(
            "{} of the values have the format {}, but {} do not",
            percent(rare.covered),
            rare.usual.join(" or "),
            rows(count)
        )
    })
}

/// The formats nearly all values share, and those hardly any has.
struct RareFormats {
    covered: f64,
    usual: Vec<String>,
    rare: Vec<(String, u64)>,
}

/// Usual formats hold 2 % each and 95 % together, and are at most `most`; rare ones hold 1 % each.
fn regular_formats(formats: &MisraGries, values: u64, most: usize) -> Option<RareFormats> {
    let all = formats.sorted();
    let (usual, rest): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|(_, counter)| counter.count * 50 >= values);
    let held: u64 = usual.iter().map(|(_, counter)| counter.count).sum();
    let words = |format: &str| format.matches(' ').count();
    if usual.is_empty()
        || usual.len() > most
        || held * 20 < values * 19
        || usual.iter().any(|(format, _)| words(format) > 1)
    {
        return None;
    }
    let rare = rest
        .into_iter()
        .filter(|(_, counter)| counter.count * 100 <= values || counter.count <= 3);
    Some(RareFormats {
        covered: share(held, values).min(1.0),
        usual: usual
            .iter()
            .take(3)
            .map(|(format, _)| format!("\u{201c}{format}\u{201d}"))
            .collect(),
        rare: rare
            .map(|(format, counter)| (format.to_owned(), counter.count))
            .collect(),
    })
}

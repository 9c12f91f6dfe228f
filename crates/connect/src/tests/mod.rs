//! Tests of the whole way, from bytes of a file to rows.

mod columns;
pub(crate) mod fuzzing;
pub(crate) mod memory;
mod sources;
mod ways;

use std::sync::Arc;

use bytes::Bytes;

use crate::discover::{Discovered, discover_source};
use crate::fuzz::{Outcome, read_source};
use crate::options::ReadOptions;
use crate::reading::Reading;
use crate::source::Source;

/// Reads `bytes` as a file called `name`.
pub(crate) fn read(
    name: &str,
    bytes: impl AsRef<[u8]>,
    options: &[(&str, &str)],
) -> (Discovered, Outcome) {
    read_wanted(name, bytes, options, None)
}

/// The same, of certain columns.
pub(crate) fn read_wanted(
    name: &str,
    bytes: impl AsRef<[u8]>,
    options: &[(&str, &str)],
    wanted: Option<&[&str]>,
) -> (Discovered, Outcome) {
    let (options, rest) = ReadOptions::take(options.iter().copied()).unwrap();
    assert!(rest.is_empty(), "unknown options {rest:?}");
    let source = Source::memory(name, Bytes::copy_from_slice(bytes.as_ref()), &options);
    let discovered = discover_source(&source, &options).unwrap();
    let wanted: Option<Vec<String>> =
        wanted.map(|names| names.iter().map(ToString::to_string).collect());
    let reading = Reading::new(
        Arc::new(discovered.clone()),
        Arc::new(options),
        wanted.as_deref(),
    );
    let outcome = read_source(&source, &reading);
    (discovered, outcome)
}

/// Rows as text: values with `|` between them, NULL as `-`.
pub(crate) fn rows(outcome: &Outcome) -> Vec<String> {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    outcome
        .rows
        .iter()
        .map(|(_, _, values)| values.iter().map(shown).collect::<Vec<_>>().join("|"))
        .collect()
}

/// Malformed rows as text: `line kind`.
pub(crate) fn malformed(outcome: &Outcome) -> Vec<String> {
    outcome
        .malformed
        .iter()
        .map(|(line, _, kind, _)| format!("{line} {}", kind.name()))
        .collect()
}

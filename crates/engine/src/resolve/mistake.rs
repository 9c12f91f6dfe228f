//! A mistake in a query, found on the tree: what, where, and what to do.

use sqlparser::tokenizer::Span;

/// A mistake with the span of the tree that it is about.
#[derive(Clone, Debug)]
pub(crate) struct Mistake {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) span: Span,
    pub(crate) label: String,
    pub(crate) help: Option<String>,
    pub(crate) notes: Vec<String>,
}

impl Mistake {
    /// A mistake at a span.
    pub(crate) fn new(
        code: &'static str,
        message: impl Into<String>,
        span: Span,
        label: impl Into<String>,
    ) -> Self {
        Self {
            code,
            message: message.into(),
            span,
            label: label.into(),
            help: None,
            notes: Vec::new(),
        }
    }

    /// With advice.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With a further fact.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// A construct that the engine does not execute.
    pub(crate) fn unsupported(construct: &str, span: Span, instead: &str) -> Self {
        let mistake = Self::new(
            crate::codes::UNSUPPORTED,
            format!("{construct} is not executed by Tidegate's engine"),
            span,
            "this construct",
        );
        if instead.is_empty() {
            mistake
        } else {
            mistake.help(instead)
        }
    }
}

/// How many names a message lists before it says how many more there are.
const LISTED_NAMES: usize = 12;

/// The candidate nearest to `written`, if one is near enough to be a slip of the hand.
pub(crate) fn nearest<'n>(
    written: &str,
    candidates: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    let written = written.to_lowercase();
    let allowed = (written.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(written.len()) <= 3 * allowed)
        .map(|candidate| {
            let distance = strsim::osa_distance(&written, &candidate.to_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The names in back-ticks, cut after a dozen.
pub(crate) fn list<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let shown: Vec<String> = names
        .iter()
        .take(LISTED_NAMES)
        .map(|name| format!("`{name}`"))
        .collect();
    let mut text = shown.join(", ");
    if names.len() > LISTED_NAMES {
        text.push_str(&format!(" and {} more", names.len() - LISTED_NAMES));
    }
    text
}

//! A mistake in a project, with the places it concerns, and how it is shown.
//!
//! Shown as rustc shows it: the file, the line, the span underlined, what was expected, and the
//! nearest name that exists. [`draw`] does it. For scripts there is a JSON form. Where the output goes, and whether it has colour, is left
//! to the binary.

mod draw;
mod excerpt;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::{Value, json};

use crate::source::{Place, SourceMap};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The project runs, but hardly as meant.
    Warning,
    /// The project does not run.
    Error,
}

/// A mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Its code; those of this room are in [`crate::codes`].
    pub code: &'static str,
    /// What is wrong, in one plain sentence without a full stop.
    pub message: String,
    /// The places it concerns, the first being the mistake's own, each with a few words.
    pub labels: Vec<(Place, String)>,
    /// What to do about it.
    pub help: Option<String>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

impl Diagnostic {
    /// An error without a place yet.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            labels: Vec::new(),
            help: None,
            notes: Vec::new(),
        }
    }

    /// A warning without a place yet.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    /// Adds a place with a few words about it.
    #[must_use]
    pub fn at(mut self, place: Place, words: impl Into<String>) -> Self {
        self.labels.push((place, words.into()));
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds what else is worth knowing.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Whether it stops the project from running.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The mistake's own place.
    pub fn place(&self) -> Option<Place> {
        self.labels.first().map(|(place, _)| *place)
    }

    /// The mistake as it is shown in a terminal, ending with a newline.
    pub fn render(&self, files: &SourceMap, style: RenderStyle) -> String {
        draw::render(self, files, style)
    }

    /// The mistake for scripts: `severity`, `code`, `message`, `labels` (each with `file`, `line`,
    /// `column`, `end_line`, `end_column`, `start`, `end` and `text`), `help` and `notes`. Lines
    /// and columns count from 1, columns in characters; `start` and `end` are bytes.
    pub fn to_json(&self, files: &SourceMap) -> Value {
        let labels: Vec<Value> = self
            .labels
            .iter()
            .map(|(place, words)| {
                let begin = files.line_column(*place);
                let end = files.line_column(Place {
                    start: place.end,
                    ..*place
                });
                json!({
                    "file": files.label(place.file),
                    "line": begin.map(|at| at.line),
                    "column": begin.map(|at| at.column),
                    "end_line": end.map(|at| at.line),
                    "end_column": end.map(|at| at.column),
                    "start": place.start,
                    "end": place.end,
                    "text": words,
                })
            })
            .collect();
        json!({
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "labels": labels,
            "help": self.help,
            "notes": self.notes,
        })
    }
}

/// How a diagnostic is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenderStyle {
    /// With ANSI colours.
    pub color: bool,
    /// With box-drawing characters, rather than ASCII only.
    pub unicode: bool,
}

impl Default for RenderStyle {
    fn default() -> Self {
        Self {
            color: false,
            unicode: true,
        }
    }
}

/// Puts diagnostics in the order of their places: by file, then by position; those without a place
/// come first.
pub fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by_key(Diagnostic::place);
}

/// All diagnostics as shown in a terminal, with an empty line between them.
pub fn render_all(diagnostics: &[Diagnostic], files: &SourceMap, style: RenderStyle) -> String {
    let shown: Vec<String> = diagnostics
        .iter()
        .map(|diagnostic| diagnostic.render(files, style))
        .collect();
    shown.join("\n")
}

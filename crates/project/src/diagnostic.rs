//! A mistake in a project, with the places it concerns, and how it is shown.
//!
//! Shown as rustc shows it: the file, the line, the span underlined, what was expected, and the
//! nearest name that exists. The drawing itself is `ariadne`'s; [`excerpt`] prepares the text for
//! it. For scripts there is a JSON form. Where the output goes, and whether it has colour, is left
//! to the binary.

mod excerpt;
#[cfg(test)]
mod tests;

use ariadne::{CharSet, Config, IndexType, Label, LabelAttach, Report, ReportKind, Source};
use serde::Serialize;
use serde_json::{Value, json};

use crate::source::{FileId, Place, SourceMap};

use excerpt::{Excerpt, printable};

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
        let mut excerpts: Vec<(FileId, Excerpt)> = Vec::new();
        for (place, _) in &self.labels {
            if files.file(place.file).is_some()
                && !excerpts.iter().any(|(file, _)| *file == place.file)
            {
                excerpts.push((place.file, Excerpt::new(files, place.file, &self.labels)));
            }
        }
        let mut drawn = Vec::new();
        let drawing = match excerpts.is_empty() {
            true => Err(std::io::ErrorKind::NotFound.into()),
            false => self.draw(files, &excerpts, style, &mut drawn),
        };
        match (drawing, String::from_utf8(drawn)) {
            (Ok(()), Ok(text)) => trim_lines(&text),
            _ => self.render_plain(style),
        }
    }

    fn draw(
        &self,
        files: &SourceMap,
        excerpts: &[(FileId, Excerpt)],
        style: RenderStyle,
        drawn: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let labels: Vec<(String, std::ops::Range<usize>, &str)> = self
            .labels
            .iter()
            .filter_map(|(place, words)| {
                let (_, excerpt) = excerpts.iter().find(|(file, _)| *file == place.file)?;
                let label = files.label(place.file).to_owned();
                Some((label, excerpt.range(*place), words.as_str()))
            })
            .collect();
        let Some((file, range, _)) = labels.first().cloned() else {
            return Ok(());
        };
        let kind = match self.severity {
            Severity::Error => ReportKind::Error,
            Severity::Warning => ReportKind::Warning,
        };
        let config = Config::new()
            .with_color(style.color)
            .with_index_type(IndexType::Byte)
            .with_label_attach(LabelAttach::Start)
            .with_char_set(match style.unicode {
                true => CharSet::Unicode,
                false => CharSet::Ascii,
            });
        let mut report = Report::build(kind, (file, range))
            .with_config(config)
            .with_code(self.code)
            .with_message(printable(&self.message));
        for (at, (file, range, words)) in labels.into_iter().enumerate() {
            let color = match (at, self.severity) {
                (0, Severity::Error) => ariadne::Color::Red,
                (0, Severity::Warning) => ariadne::Color::Yellow,
                _ => ariadne::Color::Blue,
            };
            let label = Label::new((file, range)).with_color(color);
            let order = i32::try_from(at).unwrap_or(i32::MAX);
            report.add_label(label.with_message(printable(words)).with_order(order));
        }
        if let Some(help) = &self.help {
            report.set_help(printable(help));
        }
        for note in &self.notes {
            report.add_note(printable(note));
        }
        let sources = excerpts
            .iter()
            .map(|(file, excerpt)| (files.label(*file).to_owned(), excerpt.text().to_owned()));
        report.finish().write(SourceCache::new(sources), drawn)
    }

    /// Without a place, or should the drawing fail: the words alone.
    fn render_plain(&self, style: RenderStyle) -> String {
        let severity = match (self.severity, style.color) {
            (Severity::Error, false) => "Error:",
            (Severity::Error, true) => "\u{1b}[31mError:\u{1b}[0m",
            (Severity::Warning, false) => "Warning:",
            (Severity::Warning, true) => "\u{1b}[33mWarning:\u{1b}[0m",
        };
        let mut text = format!("[{}] {severity} {}\n", self.code, printable(&self.message));
        if let Some(help) = &self.help {
            text.push_str(&format!("  Help: {}\n", printable(help)));
        }
        for note in &self.notes {
            text.push_str(&format!("  Note: {}\n", printable(note)));
        }
        text
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

/// Cuts the spaces that drawing leaves at the ends of lines.
fn trim_lines(text: &str) -> String {
    let mut trimmed = String::with_capacity(text.len());
    for line in text.lines() {
        trimmed.push_str(line.trim_end());
        trimmed.push('\n');
    }
    trimmed
}

/// The few texts of one diagnostic, as `ariadne` asks for them.
struct SourceCache {
    sources: Vec<(String, Source<String>)>,
}

impl SourceCache {
    fn new(texts: impl Iterator<Item = (String, String)>) -> Self {
        let sources = texts.map(|(label, text)| (label, Source::from(text)));
        Self {
            sources: sources.collect(),
        }
    }
}

impl ariadne::Cache<String> for SourceCache {
    type Storage = String;

    fn fetch(&mut self, id: &String) -> Result<&Source<String>, impl std::fmt::Debug> {
        self.sources
            .iter()
            .find(|(label, _)| label == id)
            .map(|(_, source)| source)
            .ok_or(format!("no file {id}"))
    }

    fn display<'a>(&self, id: &'a String) -> Option<impl std::fmt::Display + 'a> {
        Some(id.clone())
    }
}

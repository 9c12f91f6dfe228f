//! Drawing a diagnostic for a terminal. The lines and arrows are `ariadne`'s; [`super::excerpt`]
//! prepares the text for it.

use std::cmp::Reverse;
use std::io;
use std::ops::Range;

use ariadne::{CharSet, Color, Config, IndexType, Label, LabelAttach, Report, ReportKind, Source};

use crate::source::{FileId, SourceMap};

use super::excerpt::{Excerpt, printable};
use super::{Diagnostic, RenderStyle, Severity};

/// The mistake as it is shown in a terminal, ending with a newline.
pub(super) fn render(diagnostic: &Diagnostic, files: &SourceMap, style: RenderStyle) -> String {
    let excerpts = excerpts(diagnostic, files);
    let labels = drawn_labels(diagnostic, files, &excerpts);
    let mut drawn = Vec::new();
    let drawing = draw(diagnostic, labels, excerpts, style, &mut drawn);
    match (drawing, String::from_utf8(drawn)) {
        (Ok(true), Ok(text)) => trim_lines(&text),
        _ => render_plain(diagnostic, style),
    }
}

/// The texts of the files that are labelled, each once.
fn excerpts(diagnostic: &Diagnostic, files: &SourceMap) -> Vec<(FileId, String, Excerpt)> {
    let mut excerpts: Vec<(FileId, String, Excerpt)> = Vec::new();
    for (place, _) in &diagnostic.labels {
        let known = excerpts.iter().any(|(file, ..)| *file == place.file);
        if files.file(place.file).is_some() && !known {
            let excerpt = Excerpt::new(files, place.file, &diagnostic.labels);
            excerpts.push((place.file, files.label(place.file).to_owned(), excerpt));
        }
    }
    excerpts
}

/// A label as `ariadne` takes it.
struct DrawnLabel {
    file: String,
    range: Range<usize>,
    line: usize,
    words: String,
    is_own: bool,
}

/// The labels in the order of the drawing: it goes down each file once, the mistake's own file
/// first, and draws what is on one line from the right.
fn drawn_labels(
    diagnostic: &Diagnostic,
    files: &SourceMap,
    excerpts: &[(FileId, String, Excerpt)],
) -> Vec<DrawnLabel> {
    let mut labels: Vec<DrawnLabel> = Vec::new();
    for (place, words) in &diagnostic.labels {
        let excerpt = excerpts.iter().find(|(file, ..)| *file == place.file);
        if let Some((_, file, excerpt)) = excerpt {
            labels.push(DrawnLabel {
                file: file.clone(),
                range: excerpt.range(*place),
                line: files.line_column(*place).map_or(0, |at| at.line),
                words: printable(words),
                is_own: labels.is_empty(),
            });
        }
    }
    let own_file = labels.first().map(|label| label.file.clone());
    labels.sort_by_key(|label| {
        let is_elsewhere = Some(&label.file) != own_file.as_ref();
        (
            is_elsewhere,
            label.file.clone(),
            label.line,
            Reverse(label.range.start),
        )
    });
    labels
}

/// Draws, unless there is nothing to point at.
fn draw(
    diagnostic: &Diagnostic,
    labels: Vec<DrawnLabel>,
    excerpts: Vec<(FileId, String, Excerpt)>,
    style: RenderStyle,
    drawn: &mut Vec<u8>,
) -> io::Result<bool> {
    let Some(own) = labels.iter().find(|label| label.is_own) else {
        return Ok(false);
    };
    let (kind, own_color) = match diagnostic.severity {
        Severity::Error => (ReportKind::Error, Color::Red),
        Severity::Warning => (ReportKind::Warning, Color::Yellow),
    };
    let mut report = Report::build(kind, (own.file.clone(), own.range.clone()))
        .with_config(config(style))
        .with_code(diagnostic.code)
        .with_message(printable(&diagnostic.message));
    for (order, label) in (0i32..).zip(labels) {
        let color = if label.is_own { own_color } else { Color::Blue };
        report.add_label(
            Label::new((label.file, label.range))
                .with_message(label.words)
                .with_color(color)
                .with_order(order),
        );
    }
    if let Some(help) = &diagnostic.help {
        report.set_help(printable(help));
    }
    for note in &diagnostic.notes {
        report.add_note(printable(note));
    }
    let sources = excerpts.into_iter();
    let sources = sources.map(|(_, label, excerpt)| (label, Source::from(excerpt.into_text())));
    let cache = Sources(sources.collect());
    report.finish().write(cache, drawn)?;
    Ok(true)
}

fn config(style: RenderStyle) -> Config {
    Config::new()
        .with_color(style.color)
        .with_index_type(IndexType::Byte)
        .with_label_attach(LabelAttach::Start)
        .with_char_set(match style.unicode {
            true => CharSet::Unicode,
            false => CharSet::Ascii,
        })
}

/// Without a place, or should the drawing fail: the words alone.
fn render_plain(diagnostic: &Diagnostic, style: RenderStyle) -> String {
    let severity = match (diagnostic.severity, style.color) {
        (Severity::Error, false) => "Error:",
        (Severity::Error, true) => "\u{1b}[31mError:\u{1b}[0m",
        (Severity::Warning, false) => "Warning:",
        (Severity::Warning, true) => "\u{1b}[33mWarning:\u{1b}[0m",
    };
    let message = printable(&diagnostic.message);
    let mut text = format!("[{}] {severity} {message}\n", diagnostic.code);
    if let Some(help) = &diagnostic.help {
        text.push_str(&format!("  Help: {}\n", printable(help)));
    }
    for note in &diagnostic.notes {
        text.push_str(&format!("  Note: {}\n", printable(note)));
    }
    text
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
struct Sources(Vec<(String, Source<String>)>);

impl ariadne::Cache<String> for Sources {
    type Storage = String;

    fn fetch(&mut self, id: &String) -> Result<&Source<String>, impl std::fmt::Debug> {
        self.0
            .iter()
            .find(|(label, _)| label == id)
            .map(|(_, source)| source)
            .ok_or(format!("no file {id}"))
    }

    fn display<'a>(&self, id: &'a String) -> Option<impl std::fmt::Display + 'a> {
        Some(id.clone())
    }
}

//! The text of a file as it can safely be drawn.
//!
//! A terminal must not be steered by what a file contains, and one line of a megabyte must not fill
//! it: control characters and direction marks are replaced, and long lines are cut around what is
//! labelled. Replacing keeps every byte offset; cutting keeps a list of what went away.

use std::ops::Range;

use crate::source::{FileId, Place, SourceFile, SourceMap};

/// Lines longer than this are cut.
const LINE_BYTES_MAX: usize = 240;
/// So much is left on both sides of what is labelled.
const CONTEXT_BYTES: usize = 60;
/// Stands for what was cut away.
const ELLIPSIS: &str = "…";

/// A file's text, made drawable, and where its bytes came from.
pub(super) struct Excerpt {
    text: String,
    cuts: Vec<Cut>,
}

/// A range of the file that was replaced by something shorter.
struct Cut {
    range: Range<usize>,
    /// Where the replacement stands in the prepared text.
    at: usize,
    /// How long the replacement is.
    length: usize,
}

impl Excerpt {
    /// Prepares a file for drawing these labels.
    pub(super) fn new(files: &SourceMap, file: FileId, labels: &[(Place, String)]) -> Self {
        let mut excerpt = Self {
            text: String::new(),
            cuts: Vec::new(),
        };
        let Some(source) = files.file(file) else {
            return excerpt;
        };
        let own: Vec<Place> = labels
            .iter()
            .map(|(place, _)| *place)
            .filter(|place| place.file == file)
            .collect();
        let mut next_line = 0;
        for lines in shown_lines(source, &own) {
            excerpt.push_empty_lines(source, next_line..lines.start);
            for line in lines.clone() {
                excerpt.push_line(source.text(), source.line_range(line), &own);
                if line + 1 < source.line_count() {
                    excerpt.text.push('\n');
                }
            }
            next_line = lines.end;
        }
        excerpt
    }

    /// Lines that are not shown keep their number, and nothing else.
    fn push_empty_lines(&mut self, source: &SourceFile, lines: Range<usize>) {
        if lines.is_empty() {
            return;
        }
        let range = source.line_range(lines.start).start..source.line_range(lines.end).start;
        self.cuts.push(Cut {
            range,
            at: self.text.len(),
            length: lines.len(),
        });
        self.text.extend(std::iter::repeat_n('\n', lines.len()));
    }

    fn push_line(&mut self, text: &str, line: Range<usize>, labels: &[Place]) {
        if line.len() <= LINE_BYTES_MAX {
            return replace_controls(&text[line], &mut self.text);
        }
        let kept = kept_range(text, line.clone(), labels);
        self.push_cut(line.start..kept.start);
        replace_controls(&text[kept.clone()], &mut self.text);
        self.push_cut(kept.end..line.end);
    }

    fn push_cut(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.cuts.push(Cut {
                range,
                at: self.text.len(),
                length: ELLIPSIS.len(),
            });
            self.text.push_str(ELLIPSIS);
        }
    }

    /// The prepared text.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Where a place is in the prepared text: within its first line, and never empty unless the
    /// text is.
    pub(super) fn range(&self, place: Place) -> Range<usize> {
        let start = self.floor(self.offset(place.start).min(self.text.len()));
        let end = self.floor(self.offset(place.end).clamp(start, self.text.len()));
        let line_end = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |at| start + at);
        let end = end.min(line_end);
        if end > start {
            return start..end;
        }
        match self.text[start..].chars().next() {
            Some(next) if next != '\n' => start..start + next.len_utf8(),
            _ => start..start,
        }
    }

    fn offset(&self, offset: usize) -> usize {
        let mut removed = 0;
        let mut added = 0;
        for cut in &self.cuts {
            if offset < cut.range.start {
                break;
            }
            if offset < cut.range.end {
                return cut.at;
            }
            removed += cut.range.len();
            added += cut.length;
        }
        offset + added - removed
    }

    fn floor(&self, mut offset: usize) -> usize {
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

/// The lines that are shown: those in which a label begins, with their neighbours.
fn shown_lines(source: &SourceFile, labels: &[Place]) -> Vec<Range<usize>> {
    let mut lines: Vec<usize> = labels
        .iter()
        .map(|place| source.line_column(place.start).line - 1)
        .collect();
    lines.sort_unstable();
    let mut shown: Vec<Range<usize>> = Vec::new();
    for line in lines {
        let from = line.saturating_sub(1);
        let to = (line + 2).min(source.line_count());
        match shown.last_mut() {
            Some(last) if from <= last.end => last.end = to.max(last.end),
            _ => shown.push(from..to),
        }
    }
    shown
}

/// Which part of a long line is kept: what is labelled in it with something around, or its start.
fn kept_range(text: &str, line: Range<usize>, labels: &[Place]) -> Range<usize> {
    let labelled = labels
        .iter()
        .filter(|place| line.contains(&place.start) || place.start == line.end)
        .map(|place| place.start..place.end.min(line.end))
        .reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))
        .unwrap_or(line.start..line.start);
    let start = labelled.start.saturating_sub(CONTEXT_BYTES).max(line.start);
    let end = (labelled.end + CONTEXT_BYTES)
        .min(start + LINE_BYTES_MAX)
        .min(line.end);
    boundary(text, start)..boundary(text, end)
}

fn boundary(text: &str, mut offset: usize) -> usize {
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// Whether a character would steer the terminal, end a line or turn the direction of text.
fn is_steering(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// Appends a text with every steering character replaced by as many bytes of spaces or `?`.
fn replace_controls(text: &str, into: &mut String) {
    if text
        .bytes()
        .all(|byte| (b' '..0x7f).contains(&byte) || byte == b'\n' || byte == b'\t')
    {
        into.push_str(text);
        return;
    }
    for character in text.chars() {
        match character {
            '\n' | '\t' => into.push(character),
            '\r' => into.push(' '),
            steering if is_steering(steering) => {
                let filler = if steering.is_ascii() { '?' } else { ' ' };
                into.extend(std::iter::repeat_n(filler, steering.len_utf8()));
            }
            other => into.push(other),
        }
    }
}

/// Words that may quote a file, made safe to print on one or a few lines.
pub(super) fn printable(words: &str) -> String {
    words
        .chars()
        .map(|character| match character {
            '\n' => '\n',
            steering if is_steering(steering) => '\u{fffd}',
            other => other,
        })
        .collect()
}

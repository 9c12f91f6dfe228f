//! The text of a file as it can safely be drawn.
//!
//! A terminal must not be steered by what a file contains, and one line of a megabyte must not fill
//! it: control characters and direction marks are replaced, and long lines are cut around what is
//! labelled. Replacing keeps every byte offset; cutting keeps a list of what went away.

use std::ops::Range;

use crate::source::{FileId, Place, SourceMap};

/// Lines longer than this are cut.
const LINE_BYTES_MAX: usize = 240;
/// So much is left on both sides of what is labelled.
const CONTEXT_BYTES: usize = 60;
/// Stands for what was cut away.
const ELLIPSIS: &str = "…";

/// A file's text, made drawable, and where its bytes came from.
pub(super) struct Excerpt {
    text: String,
    /// What was cut: the range in the file, and where the ellipsis stands for it here.
    cuts: Vec<(Range<usize>, usize)>,
}

impl Excerpt {
    /// Prepares a file for drawing these labels.
    pub(super) fn new(files: &SourceMap, file: FileId, labels: &[(Place, String)]) -> Self {
        let text = files.file(file).map_or("", |source| source.text());
        let mut excerpt = Self {
            text: String::with_capacity(text.len()),
            cuts: Vec::new(),
        };
        let own = || {
            labels
                .iter()
                .map(|(place, _)| place)
                .filter(|place| place.file == file)
        };
        let last_label = own().map(|place| place.end).max().unwrap_or(0);
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            if start > last_label + LINE_BYTES_MAX {
                break;
            }
            let range = start..start + line.len();
            if line.len() <= LINE_BYTES_MAX {
                replace_controls(line, &mut excerpt.text);
            } else {
                let kept = kept_range(text, range.clone(), own());
                excerpt.push_cut(text, range.start..kept.start);
                replace_controls(&text[kept.clone()], &mut excerpt.text);
                excerpt.push_cut(text, kept.end..range.end);
            }
            start = range.end;
        }
        excerpt
    }

    fn push_cut(&mut self, text: &str, mut range: Range<usize>) {
        let ends_line = text[range.clone()].ends_with('\n');
        if ends_line {
            range.end -= 1;
        }
        if !range.is_empty() {
            self.cuts.push((range, self.text.len()));
            self.text.push_str(ELLIPSIS);
        }
        if ends_line {
            self.text.push('\n');
        }
    }

    /// The prepared text.
    pub(super) fn text(&self) -> &str {
        &self.text
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
        for (cut, at) in &self.cuts {
            if offset < cut.start {
                break;
            }
            if offset < cut.end {
                return *at;
            }
            removed += cut.len();
            added += ELLIPSIS.len();
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

/// Which part of a long line is kept: what is labelled in it with something around, or its start.
fn kept_range<'a>(
    text: &str,
    line: Range<usize>,
    labels: impl Iterator<Item = &'a Place>,
) -> Range<usize> {
    let within = |place: &&Place| line.contains(&place.start);
    let labelled = labels
        .filter(within)
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

//! The texts a project was read from, and places in them.
//!
//! Every part of a [`Project`](crate::Project) carries a [`Place`], so that a mistake found now by
//! the parser or much later by the planner can be shown in the user's own file. A place is a pair of
//! byte offsets; the SQL tools speak of lines and columns (counted in characters), and the
//! [`SourceMap`] turns the one into the other. Drawing is left to [`crate::diagnostic`].

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use sqlparser::tokenizer::{Location, Span};

/// One text of a [`SourceMap`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct FileId(pub(crate) u32);

/// A range of a file's text, in bytes; `start == end` marks a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// Offset of the first byte.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
}

impl Place {
    /// The place of a byte range of a file.
    pub fn new(file: FileId, range: Range<usize>) -> Self {
        Self {
            file,
            start: range.start,
            end: range.end.max(range.start),
        }
    }

    /// The smallest place that holds both; `self` when they are in different files.
    #[must_use]
    pub fn to(self, other: Place) -> Place {
        if self.file != other.file {
            return self;
        }
        Place {
            file: self.file,
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// A line and a column, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LineColumn {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// How far apart the remembered columns of a long line are, in characters.
const CHECKPOINT_CHARACTERS: usize = 512;

/// A text with its label and the beginnings of its lines.
#[derive(Clone)]
pub struct SourceFile {
    label: Arc<str>,
    text: Arc<str>,
    line_starts: Arc<[usize]>,
    /// For long lines that are not ASCII: the byte offset of every 512th character.
    checkpoints: Arc<HashMap<usize, Vec<usize>>>,
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SourceFile")
            .field("label", &self.label)
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

impl SourceFile {
    fn new(label: &str, text: &str) -> Self {
        let line_starts: Vec<usize> = std::iter::once(0)
            .chain(
                text.bytes()
                    .enumerate()
                    .filter(|(_, byte)| *byte == b'\n')
                    .map(|(at, _)| at + 1),
            )
            .collect();
        let mut checkpoints = HashMap::new();
        for (line, &start) in line_starts.iter().enumerate() {
            let end = line_starts.get(line + 1).copied().unwrap_or(text.len());
            let content = &text[start..end];
            if content.len() > 2 * CHECKPOINT_CHARACTERS && !content.is_ascii() {
                let offsets = content
                    .char_indices()
                    .step_by(CHECKPOINT_CHARACTERS)
                    .map(|(at, _)| start + at)
                    .collect();
                checkpoints.insert(line, offsets);
            }
        }
        Self {
            label: label.into(),
            text: text.into(),
            line_starts: line_starts.into(),
            checkpoints: Arc::new(checkpoints),
        }
    }

    /// What the file is called in messages: its path relative to the project, or a label as
    /// `query`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The byte range of a line (counted from 0), without its end-of-line.
    pub(crate) fn line_range(&self, line: usize) -> Range<usize> {
        let Some(&start) = self.line_starts.get(line) else {
            return self.text.len()..self.text.len();
        };
        let end = match self.line_starts.get(line + 1) {
            Some(&next) => next - 1,
            None => self.text.len(),
        };
        start..end.max(start)
    }

    /// How many lines there are, at least 1.
    pub(crate) fn line_count(&self) -> usize {
        self.line_starts.len()
    }

    /// The byte offset of a line and column, both counted from 1 (columns in characters), moved to
    /// the nearest offset that exists.
    pub fn offset(&self, line: u64, column: u64) -> usize {
        let line = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        let column = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
        let range = self.line_range(line);
        let content = &self.text[range.clone()];
        let (from, left) = match self.checkpoints.get(&line) {
            None if content.len() > 2 * CHECKPOINT_CHARACTERS => {
                return range.start + column.min(content.len());
            }
            None => (range.start, column),
            Some(offsets) => {
                let nearest = (column / CHECKPOINT_CHARACTERS).min(offsets.len().saturating_sub(1));
                let from = offsets.get(nearest).copied().unwrap_or(range.start);
                (from, column - nearest * CHECKPOINT_CHARACTERS)
            }
        };
        self.text[from..range.end.max(from)]
            .char_indices()
            .nth(left)
            .map_or(range.end.max(from), |(at, _)| from + at)
    }

    /// The line and column of a byte offset.
    pub fn line_column(&self, offset: usize) -> LineColumn {
        let offset = floor_boundary(&self.text, offset);
        let line = self.line_starts.partition_point(|&start| start <= offset);
        let start = self.line_starts[line.saturating_sub(1)];
        LineColumn {
            line,
            column: self.text[start..offset].chars().count() + 1,
        }
    }
}

/// The nearest character boundary at or before `offset`.
fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// All texts of a project, by [`FileId`].
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

impl SourceMap {
    /// Keeps a text under a label, and names it.
    pub fn add(&mut self, label: &str, text: &str) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(SourceFile::new(label, text));
        id
    }

    /// The file, or `None` for an id of another map.
    pub fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// The label of a file; empty for an id of another map.
    pub fn label(&self, id: FileId) -> &str {
        self.file(id).map_or("", SourceFile::label)
    }

    /// All files with their ids, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        (0u32..).map(FileId).zip(&self.files)
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The text of a place; empty for a place that is not in this map.
    pub fn text(&self, place: Place) -> &str {
        self.file(place.file).map_or("", |file| {
            let start = floor_boundary(file.text(), place.start);
            let end = floor_boundary(file.text(), place.end).max(start);
            &file.text()[start..end]
        })
    }

    /// Where a place begins, as a line and a column; `None` for a place that is not in this map.
    pub fn line_column(&self, place: Place) -> Option<LineColumn> {
        self.file(place.file)
            .map(|file| file.line_column(place.start))
    }

    /// `label:line:column` of a place's beginning.
    pub fn locate(&self, place: Place) -> String {
        match self.line_column(place) {
            Some(at) => format!("{}:{}:{}", self.label(place.file), at.line, at.column),
            None => String::new(),
        }
    }

    /// The place between two (line, column) pairs, counted from 1 with columns in characters and
    /// the end exclusive, as SQL parsers and planners report them. A pair whose line is 0 is
    /// unknown; `None` if the start is unknown or the file is of another map.
    pub fn place(&self, file: FileId, start: (u64, u64), end: (u64, u64)) -> Option<Place> {
        let source = self.file(file)?;
        if start.0 == 0 {
            return None;
        }
        let from = source.offset(start.0, start.1);
        let to = match end.0 {
            0 => from,
            _ => source.offset(end.0, end.1),
        };
        Some(Place::new(file, from..to.max(from)))
    }

    /// The place of a span of the SQL syntax tree; `None` if the span is empty (a node that was
    /// made, not read).
    pub fn span(&self, file: FileId, span: Span) -> Option<Place> {
        let pair = |location: Location| (location.line, location.column);
        self.place(file, pair(span.start), pair(span.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_columns_agree_on_every_character() {
        let long: String = "añ∆🦀x".repeat(700);
        let ascii = "plain ascii ".repeat(300);
        let text = format!("SELECT 1;\r\n{long}\n\n{ascii}\n\tü end");
        let mut files = SourceMap::default();
        let id = files.add("a.sql", &text);
        let file = files.file(id).unwrap();
        for (offset, _) in text.char_indices().step_by(7) {
            let at = file.line_column(offset);
            let back = file.offset(at.line as u64, at.column as u64);
            assert_eq!(back, offset, "{at:?}");
        }
    }

    #[test]
    fn places_outside_the_text_are_moved_inside() {
        let mut files = SourceMap::default();
        let id = files.add("a.sql", "añb\nc");
        assert_eq!(files.place(id, (9, 9), (9, 12)).unwrap().start, 6);
        assert_eq!(files.place(id, (1, 99), (1, 99)).unwrap().start, 4);
        assert_eq!(files.place(id, (0, 0), (1, 1)), None);
        assert_eq!(files.text(Place::new(id, 2..99)), "ñb\nc");
        assert_eq!(files.locate(Place::new(id, 4..5)), "a.sql:1:4");
    }
}

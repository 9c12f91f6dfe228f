//! Which parts of which files a flow has not read yet, and what its intent says about them.
//!
//! A file is read once. One that has grown is read on from where the last epoch ended, if its format allows that (plain
//! lines of text, not compressed); one that was rewritten or shortened is left alone, and the run says so.

use std::sync::Arc;

use tidegate_connect::{Compression, Discovered, FileEntry, JsonLayout, Layout, Slice};
use tidegate_lake::{FilePosition, FileRead, Positions};

/// What a relation will read in this epoch.
#[derive(Debug, Default)]
pub(crate) struct FilePlan {
    pub(crate) slices: Vec<Slice>,
    pub(crate) reads: Vec<FileRead>,
    pub(crate) notes: Vec<String>,
}

/// Compares what there is with what was read.
pub(crate) fn unread(
    relation: &str,
    files: &[FileEntry],
    positions: &Positions,
    discovered: &Discovered,
) -> FilePlan {
    let mut plan = FilePlan::default();
    for file in files {
        let slice = match positions.file(relation, &file.url) {
            None => Some(Slice::whole(&Arc::new(file.clone()))),
            Some(position) => continued(file, position, discovered, &mut plan.notes),
        };
        if let Some(slice) = slice {
            plan.reads.push(read_of(relation, &slice));
            plan.slices.push(slice);
        }
    }
    plan
}

/// The rest of a file that was read before; none when there is none, or when it cannot be read on.
fn continued(
    file: &FileEntry,
    position: &FilePosition,
    discovered: &Discovered,
    notes: &mut Vec<String>,
) -> Option<Slice> {
    if file.size == position.size {
        if file.modified.timestamp_millis() != position.modified_ms {
            notes.push(format!(
                "{} was written again after it had been read, with the same size; it is not read twice (use --full-refresh to read all again)",
                file.display()
            ));
        }
        return None;
    }
    let appendable = is_appendable(discovered) && discovered.compression == Compression::None;
    if file.size < position.to || !appendable {
        notes.push(format!(
            "{} was rewritten after it had been read ({} bytes then, {} now); it is not read twice (use --full-refresh to read all again)",
            file.display(), position.size, file.size
        ));
        return None;
    }
    Some(Slice {
        file: Arc::new(file.clone()),
        from: position.to,
        to: file.size,
        first_line: position.next_line.unwrap_or(1),
    })
}

/// Whether rows can be added at the end of such a file: lines, but not an array or a workbook.
fn is_appendable(discovered: &Discovered) -> bool {
    match &discovered.layout {
        Layout::Csv(_) | Layout::Text => true,
        Layout::Json(layout) => *layout == JsonLayout::Lines,
        Layout::Typed => false,
    }
}

fn read_of(relation: &str, slice: &Slice) -> FileRead {
    FileRead {
        relation: relation.to_owned(),
        path: slice.file.url.clone(),
        from: slice.from,
        to: slice.to,
        size: slice.file.size,
        modified_ms: slice.file.modified.timestamp_millis(),
        etag: None,
        first_line: Some(slice.first_line),
    }
}

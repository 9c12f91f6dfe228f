//! JSON of a stream: each record's value is an object, whatever lines it has.

use std::sync::Arc;

use super::{Rows, Shared, explain};
use crate::batch::{MalformedKind, RawBatch};
use crate::blocks::{NOT_VALID, invalid_ranges};
use crate::columns::Plan;
use crate::error::Result;
use crate::formats::json::scan::{Flaw, Scanner};
use crate::listing::FileEntry;
use crate::live::{ByteColumn, NO_VALUE};
use crate::reading::Reading;
use crate::textfile::row_limit;
use crate::views::{TextColumn, block_view};

/// Decodes values; the line of a row is its place among them.
pub(crate) fn decode(
    reading: &Reading,
    file: &Arc<FileEntry>,
    values: &ByteColumn,
) -> Result<RawBatch> {
    let options = reading.options();
    let shared = Shared {
        plan: Plan::new(reading, file, Vec::new())?,
        mode: options.evolution_mode(),
        limit: row_limit(options, 16 << 20),
        newline: b'\n',
        file: Arc::clone(file),
    };
    let data = values.data().as_slice();
    let count = values.len();
    let scanner = Scanner {
        data,
        end: 0,
        newlines: true,
    };
    let mut objects = shared.objects(scanner, count);
    let mut rows = Rows {
        raw: TextColumn::with_capacity(count),
        line: Vec::with_capacity(count),
        ..Rows::default()
    };
    let (begin, end) = values.region();
    let mut invalid = invalid_ranges(&data[begin..end], begin, false)
        .into_iter()
        .peekable();
    for row in 0..count {
        let (from, to) = values.span(row);
        let mut valid = true;
        while invalid.next_if(|&(at, _)| at < to).is_some() {
            valid = false;
        }
        let broken = if values.is_null(row) {
            Some((MalformedKind::Undecodable, NO_VALUE.to_owned()))
        } else if to - from > shared.limit {
            let message = format!(
                "the value is longer than {} bytes (option maxRowBytes)",
                shared.limit
            );
            Some((MalformedKind::TooLong, message))
        } else if !valid {
            Some((MalformedKind::Encoding, NOT_VALID.to_owned()))
        } else {
            let scanner = Scanner { end: to, ..scanner };
            objects.bound(to);
            objects
                .take(scanner.space(from), row as u32)
                .and_then(|behind| match scanner.space(behind) {
                    at if at == to => Ok(()),
                    at => {
                        objects.take_back_row();
                        let what = "text behind the object";
                        Err(Flaw { at, what })
                    }
                })
                .err()
                .map(|flaw| (MalformedKind::Json, explain(flaw, from)))
        };
        match broken {
            Some((kind, message)) => {
                rows.reject(row as u32, &data[from..to], shared.limit, kind, message);
            }
            None => {
                rows.line.push(row as u32);
                rows.raw.push(block_view(data, from, to - from));
            }
        }
    }
    shared.batch(objects, rows, values.data())
}

//! CSV of a stream: each record's value is one row, without a header.
//!
//! Values without line feeds, which is nearly all, are one block of text as they stand. Others are blocks of their
//! own, so that none can reach into the next one.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::buffer::Buffer;
use arrow::compute::{concat, concat_batches};
use bytes::Bytes;

use super::{Rules, Shared, rules, sniff};
use crate::batch::{Malformed, MalformedKind, RawBatch};
use crate::blocks::Block;
use crate::columns::{Plan, names_by_position};
use crate::discover::Layout;
use crate::error::{ConnectError, Result};
use crate::listing::FileEntry;
use crate::live::{ByteColumn, NO_VALUE};
use crate::options::{MultiLine, ReadOptions};
use crate::reading::Reading;
use crate::textfile::row_limit;
use crate::views::PADDING;

/// What discovery is told of a sample of values: there is no header, and nothing before the rows.
pub(crate) fn options(options: &ReadOptions) -> ReadOptions {
    ReadOptions {
        header: Some(0),
        skip_rows: Some(0),
        comment: options.comment.or(Some(None)),
        ..options.clone()
    }
}

/// Decodes values; the line of a row is its place among them.
pub(crate) fn decode(
    reading: &Reading,
    file: &Arc<FileEntry>,
    values: &ByteColumn,
) -> Result<RawBatch> {
    let found = reading.discovered();
    let dialect = match &found.layout {
        Layout::Csv(dialect) => dialect.clone(),
        _ => sniff::sniff("", b'\n', &options(reading.options())),
    };
    let names = found.columns.iter().map(|column| column.name.clone());
    let names = names_by_position(reading, file, names.collect());
    let plan = Plan::new(reading, file, names)?;
    let limit = row_limit(reading.options(), 16 << 20);
    let make = |plan: &Plan, multi_line| Rules {
        multi_line,
        ..rules(reading, plan, dialect.clone(), b'\n', limit)
    };
    let messages = Messages {
        one_line: make(&plan, MultiLine::Never),
        shared: Shared {
            rules: make(&plan, MultiLine::Always),
            plan,
            file: Arc::clone(file),
        },
        values,
    };
    messages.decode()
}

struct Messages<'a> {
    shared: Shared,
    /// The rules for values without line feeds.
    one_line: Rules,
    values: &'a ByteColumn,
}

impl Messages<'_> {
    fn decode(&self) -> Result<RawBatch> {
        let count = self.values.len();
        let (from, to) = self.values.region();
        let text = &self.values.data()[from..to];
        let simple = memchr::memchr_iter(b'\n', text).count() == count;
        let mut parts = Vec::new();
        let mut run = 0;
        for row in 0..count {
            let (from, to) = self.values.span(row);
            let own = from == to
                || (!simple && memchr::memchr(b'\n', &self.values.data()[from..to]).is_some());
            if own {
                self.add_run(run, row, &mut parts)?;
                parts.push(self.alone(row)?);
                run = row + 1;
            }
        }
        self.add_run(run, count, &mut parts)?;
        self.join(parts)
    }

    /// Decodes the values `from..to`, none of which has a line feed, as one block.
    fn add_run(&self, from: usize, to: usize, parts: &mut Vec<RawBatch>) -> Result<()> {
        if from == to {
            return Ok(());
        }
        let (begin, end) = (self.values.span(from).0, self.values.span(to - 1).1 + 1);
        let block = Block {
            data: self.values.data().slice(begin),
            own: end - begin,
            end: end - begin,
            last: true,
            cut: false,
            lines_before: 0,
            bytes: (end - begin) as u64,
        };
        let mut batch = self.shared.decode(&block, 0, &self.one_line)?.batch;
        let line = |at: u64| at + from as u64;
        batch.line.iter_mut().for_each(|at| *at += from as u32);
        batch
            .malformed
            .iter_mut()
            .for_each(|row| row.line = line(row.line));
        if batch.line.len() + batch.malformed.len() < to - from {
            self.add_skipped(from, to, &mut batch);
        }
        parts.push(batch);
        Ok(())
    }

    /// Values that are no rows, such as blank ones: they do not disappear. Comments do, where there are any.
    fn add_skipped(&self, from: usize, to: usize, batch: &mut RawBatch) {
        let mut seen = vec![false; to - from];
        let lines = batch.line.iter().map(|&line| line as usize);
        let broken = batch.malformed.iter().map(|row| row.line as usize);
        lines
            .chain(broken)
            .for_each(|line| seen[line - from] = true);
        let mark = self.one_line.dialect.comment;
        for (row, _) in (from..to).zip(seen).filter(|(_, seen)| !seen) {
            let value = self.values.get(row).unwrap_or_default();
            if mark.is_none_or(|mark| value.first() != Some(&mark)) {
                batch.malformed.push(self.reject(row, "the value is blank"));
            }
        }
        batch.malformed.sort_by_key(|row| row.line);
    }

    fn reject(&self, row: usize, message: &str) -> Malformed {
        let (from, to) = self.values.span(row);
        let to = to.min(from + self.shared.rules.limit);
        Malformed {
            line: row as u64,
            raw: Bytes::copy_from_slice(&self.values.data()[from..to]),
            kind: MalformedKind::Undecodable,
            message: message.to_owned(),
        }
    }

    /// Decodes one value on its own.
    fn alone(&self, row: usize) -> Result<RawBatch> {
        let value = self.values.get(row);
        let text = value.unwrap_or_default();
        // A line end behind the row is none inside.
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let mut data = Vec::with_capacity(text.len() + PADDING + 1);
        data.extend_from_slice(text);
        let own = match text.is_empty() {
            true => 0,
            false => text.len() + 1,
        };
        data.resize(text.len() + 1 + PADDING, b'\n');
        let block = Block {
            data: Buffer::from_vec(data),
            own,
            end: own,
            last: true,
            cut: false,
            lines_before: 0,
            bytes: own as u64,
        };
        let mut batch = self.shared.decode(&block, 0, &self.shared.rules)?.batch;
        match (batch.line.len(), batch.malformed.len()) {
            (1, 0) => batch.line[0] = row as u32,
            (0, 1) => batch.malformed[0].line = row as u64,
            (rows, broken) => {
                let message = match (value, rows + broken) {
                    (None, _) => NO_VALUE.to_owned(),
                    (_, 0) => "the value is blank".to_owned(),
                    (_, more) => format!("the value holds {more} rows; one was expected"),
                };
                batch = RawBatch {
                    columns: batch.columns.slice(0, 0),
                    line: Vec::new(),
                    raw: batch.raw.map(|raw| raw.slice(0, 0)),
                    malformed: vec![self.reject(row, &message)],
                    ..batch
                };
            }
        }
        Ok(batch)
    }

    fn join(&self, mut parts: Vec<RawBatch>) -> Result<RawBatch> {
        if parts.len() == 1
            && let Some(only) = parts.pop()
        {
            return Ok(only);
        }
        let file = &self.shared.file;
        let fail = |source| ConnectError::Arrow {
            path: file.display(),
            source,
        };
        let schema = match parts.first() {
            Some(first) => first.columns.schema(),
            None => {
                let columns = self.shared.plan.assemble(Vec::new(), Vec::new(), 0)?;
                columns.schema()
            }
        };
        let columns = concat_batches(&schema, parts.iter().map(|part| &part.columns));
        let raw: Vec<&dyn arrow::array::Array> = parts
            .iter()
            .filter_map(|part| part.raw.as_deref())
            .collect();
        let raw: Option<ArrayRef> = match raw.is_empty() {
            true => None,
            false => Some(concat(&raw).map_err(fail)?),
        };
        Ok(RawBatch {
            columns: columns.map_err(fail)?,
            raw,
            line: parts
                .iter()
                .flat_map(|part| part.line.iter().copied())
                .collect(),
            malformed: parts
                .iter_mut()
                .flat_map(|part| std::mem::take(&mut part.malformed))
                .collect(),
            extra: self.shared.plan.wanted,
            notes: Vec::new(),
            file: Arc::clone(file),
        })
    }
}

//! Delimited text: CSV, TSV and their kin.
//!
//! [`sniff`] finds the dialect of a head and [`records`] reads the few records this takes;
//! [`index`], [`decode`] and [`quoted`] are the splitter through which all rows go.

mod decode;
pub(crate) mod dialect;
mod index;
pub(crate) mod messages;
mod quoted;
mod records;
mod sniff;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod truth;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::DataType;

pub(crate) use self::decode::expected_rows;
use self::decode::{NOWHERE, Rules, split};
use self::dialect::Dialect;
use self::records::Records;
use crate::batch::{Decoded, Piece, RawBatch};
use crate::blocks::{Block, Cutting};
use crate::columns::{Plan, Slot, names_by_position, unique_names};
use crate::discover::types::Guess;
use crate::discover::{DiscoveredColumn, Found, Layout};
use crate::error::Result;
use crate::formats::{Format, FormatReader};
use crate::listing::FileEntry;
use crate::options::{MultiLine, Ragged, ReadOptions};
use crate::reading::{Pieces, Reading, Slice};
use crate::rescue::rescued_column;
use crate::source::Source;
use crate::textfile::{TextHead, lossy, middle, open_blocks, row_limit};

/// Delimited text in the list of formats.
pub(crate) static READER: FormatReader = FormatReader {
    format: Format::Csv,
    extensions: &["csv", "tsv", "tab", "psv"],
    recognises,
    discover,
    pieces,
};

/// The longest header that is read, in bytes.
const HEADER_MAX: usize = 256 << 20;

/// Text of which most lines have the same number of fields, more than one.
fn recognises(head: &[u8]) -> bool {
    let encoding = crate::encoding::detect(head);
    let text = crate::encoding::to_utf8(head, encoding);
    let text = lossy(&text);
    if text.contains('\0') {
        return false;
    }
    let dialect = sniff::sniff(&text, b'\n', &ReadOptions::default());
    let records: Vec<_> = Records::new(&text, 0, b'\n', &dialect).take(100).collect();
    let width = sniff::usual_width(&records);
    let fitting = records
        .iter()
        .filter(|record| record.fields.len() == width)
        .count();
    let common = !matches!(dialect.delimiter.as_str(), " " | ":" | "#");
    width > 1 && common && records.len() > 1 && fitting * 10 >= records.len() * 8
}

fn discover(source: &Source, options: &ReadOptions) -> Result<Found> {
    let mut head = TextHead::read(source, options)?;
    let newline = head.newline();
    let mut notes = std::mem::take(&mut head.notes);
    let dialect = sniff::sniff(&lossy(head.whole_lines()), newline, options);
    let head = if head.complete {
        head
    } else {
        with_header(source, options, head, &dialect)?
    };
    let text = lossy(head.whole_lines());
    let (names, start) = header(&text, newline, &dialect, &mut notes);
    let infer = options.infer_types != Some(false);
    let mut guesses = vec![Guess::default(); names.len()];
    guess(&text[start..], newline, &dialect, &mut guesses);
    if infer
        && !head.complete
        && let Some(more) = middle(source, &head, options)?
    {
        guess(&lossy(&more), newline, &dialect, &mut guesses);
    }
    let columns: Vec<DiscoveredColumn> = names
        .iter()
        .zip(&guesses)
        .map(|(name, guess)| guess.column(name, infer))
        .collect();
    if dialect.skip_rows > 0 && options.skip_rows.is_none() {
        notes.push(format!(
            "the first {} lines are neither header nor rows; they are skipped",
            dialect.skip_rows
        ));
    }
    Ok(Found {
        encoding: head.encoding,
        layout: Layout::Csv(dialect),
        columns,
        notes,
    })
}

/// A head that holds the whole header, however long that is.
fn with_header(
    source: &Source,
    options: &ReadOptions,
    mut head: TextHead,
    dialect: &Dialect,
) -> Result<TextHead> {
    let mut limit = head.text.len().max(4096);
    loop {
        // Only text that ends in a newline shows the end of a header.
        let end = memchr::memrchr(head.newline(), &head.text).map_or(0, |at| at + 1);
        let (names, start) = header(
            &lossy(&head.text[..end]),
            head.newline(),
            dialect,
            &mut Vec::new(),
        );
        let whole = end > 0 && start <= end && !names.is_empty();
        if whole || head.complete || limit >= HEADER_MAX {
            return Ok(head);
        }
        limit *= 4;
        head = TextHead::read_up_to(source, options, limit)?;
    }
}

/// The columns' names and where the rows begin.
fn header(
    text: &str,
    newline: u8,
    dialect: &Dialect,
    notes: &mut Vec<String>,
) -> (Vec<String>, usize) {
    let start = sniff::behind_lines(text, newline, dialect.skip_rows);
    let commented = |line: &str| {
        dialect
            .comment
            .is_some_and(|mark| line.as_bytes().first() == Some(&mark))
    };
    let mut records =
        Records::new(text, start, newline, dialect).filter(|record| !commented(record.line));
    if dialect.header == 0 {
        let head: Vec<_> = records.take(300).collect();
        let width = sniff::usual_width(&head);
        return ((0..width).map(|at| format!("_c{at}")).collect(), start);
    }
    let mut names: Vec<String> = Vec::new();
    let mut behind = text.len();
    for _ in 0..dialect.header {
        let Some(record) = records.next() else { break };
        behind = record.behind;
        for (at, field) in record.fields.iter().enumerate() {
            let field = field.trim().trim_start_matches('\u{feff}');
            match names.get_mut(at) {
                None => names.push(field.trim_start_matches('#').to_owned()),
                Some(name) if name.is_empty() => field.clone_into(name),
                Some(name) if !field.is_empty() => {
                    name.push('_');
                    name.push_str(field);
                }
                Some(_) => {}
            }
        }
    }
    let (names, changed) = unique_names(names);
    notes.extend(changed);
    (names, behind)
}

fn guess(text: &str, newline: u8, dialect: &Dialect, guesses: &mut [Guess]) {
    let rows_max = (2_000_000 / guesses.len().max(1)).clamp(100, 20_000);
    let expected = guesses.len() + usize::from(dialect.trailing_delimiter);
    let commented = |line: &str| {
        dialect
            .comment
            .is_some_and(|mark| line.as_bytes().first() == Some(&mark))
    };
    for record in Records::new(text, 0, newline, dialect).take(rows_max) {
        if record.fields.len() != expected || record.broken || commented(record.line) {
            continue;
        }
        for (guess, field) in guesses.iter_mut().zip(&record.fields) {
            guess.add(Some(field.as_ref()));
        }
    }
}

fn pieces(reading: &Reading, source: Source, slice: Slice) -> Result<Pieces> {
    let options = reading.options();
    let mut head = TextHead::read_up_to(&source, options, options.sample_size().min(64 << 10))?;
    let newline = head.newline();
    let dialect = file_dialect(reading, &head, newline);
    if !head.complete {
        head = with_header(&source, options, head, &dialect)?;
    }
    let text = lossy(&head.text);
    let (mut names, start) = header(&text, newline, &dialect, &mut Vec::new());
    if names.is_empty() {
        return Ok(Box::new(std::iter::empty()));
    }
    if dialect.header == 0 {
        names = names_by_position(reading, source.file(), names);
    }
    let plan = Plan::new(reading, source.file(), names)?;
    // Rows of very wide files may be as long as their header asks for.
    let limit = row_limit(options, (1 << 20).max(start.saturating_mul(4)));
    let rules = rules(reading, &plan, dialect, newline, limit);
    let ahead = if rules.multi_line == MultiLine::Never || rules.dialect.quote.is_none() {
        0
    } else {
        limit + 2
    };
    let cutting = Cutting {
        block: options.block_size(),
        ahead,
        limit,
        newline,
    };
    let mut blocks = open_blocks(&source, &slice, &head, cutting)?;
    // The text lengths agree for UTF-8, the only encoding in which a slice's start is known in it.
    let before = slice.from.saturating_sub(head.mark as u64);
    blocks.skip((start as u64).saturating_sub(before) as usize);
    let shared = Arc::new(Shared {
        rules,
        plan,
        file: Arc::clone(source.file()),
    });
    Ok(Box::new(std::iter::from_fn(move || {
        let block = match blocks.next_block()? {
            Ok(block) => block,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(Box::new(CsvPiece {
            block,
            shared: Arc::clone(&shared),
        }) as Box<dyn Piece>))
    })))
}

/// The dialect of one file: that of the set, unless the file's header does not fit it.
fn file_dialect(reading: &Reading, head: &TextHead, newline: u8) -> Dialect {
    let Layout::Csv(common) = &reading.discovered().layout else {
        return sniff::sniff(&lossy(head.whole_lines()), newline, reading.options());
    };
    let text = lossy(head.whole_lines());
    let known = &reading.discovered().columns;
    let fits = |dialect: &Dialect| {
        let (names, _) = header(&text, newline, dialect, &mut Vec::new());
        let near = |name: &String, at: usize| {
            let same = |column: &DiscoveredColumn| column.name.eq_ignore_ascii_case(name);
            known.get(at).is_some_and(same) || known.iter().any(same)
        };
        (0..names.len().min(200))
            .filter(|&at| near(&names[at], at))
            .count()
    };
    let found = fits(common);
    // Half of a file's names unknown is no reason for doubt; none known is.
    if common.header == 0 || found > 0 || text.trim().is_empty() {
        return common.clone();
    }
    let own = sniff::sniff(&text, newline, reading.options());
    if own.header > 0 && fits(&own) > found {
        own
    } else {
        common.clone()
    }
}

fn rules(reading: &Reading, plan: &Plan, dialect: Dialect, newline: u8, limit: usize) -> Rules {
    let known = &reading.discovered().columns;
    let figures = |column: &DiscoveredColumn| {
        let kind = &column.data_type;
        kind.is_numeric() || matches!(kind, DataType::Date32 | DataType::Timestamp(..))
    };
    let kinds: HashMap<&str, bool> = known
        .iter()
        .map(|column| (column.name.as_str(), figures(column)))
        .collect();
    let numeric = |name: &String| kinds.get(name.as_str()).copied().unwrap_or(false);
    // Rescued fields are split into columns of their own, behind the others.
    let mut columns = 0..;
    let targets = plan.slots.iter().map(|slot| match slot {
        Slot::Drop => NOWHERE,
        Slot::Column(_) | Slot::Rescue => columns.next().unwrap_or(NOWHERE),
    });
    let targets: Vec<u32> = targets.collect();
    let columns = targets.iter().filter(|&&target| target != NOWHERE).count();
    Rules {
        dialect,
        newline,
        multi_line: reading.options().multi_line.unwrap_or_default(),
        pad: reading.options().ragged == Ragged::Pad,
        limit,
        numeric: plan.file_names.iter().map(numeric).collect(),
        targets,
        columns,
    }
}

/// What the pieces of a file have in common.
struct Shared {
    rules: Rules,
    plan: Plan,
    file: Arc<FileEntry>,
}

struct CsvPiece {
    block: Block,
    shared: Arc<Shared>,
}

impl Piece for CsvPiece {
    fn bytes(&self) -> u64 {
        self.block.bytes
    }

    fn decode(&self, skip: usize) -> Result<Decoded> {
        self.shared.decode(&self.block, skip, &self.shared.rules)
    }
}

impl Shared {
    fn decode(&self, block: &Block, skip: usize, rules: &Rules) -> Result<Decoded> {
        let Self { plan, file, .. } = self;
        let rows = split(block, skip, rules);
        let mut found = rows.columns.into_iter();
        let mut columns = vec![None; plan.names.len()];
        let mut rescued = Vec::new();
        for (slot, name) in plan.slots.iter().zip(&plan.file_names) {
            match slot {
                Slot::Column(at) => columns[*at] = found.next(),
                Slot::Rescue => rescued.extend(found.next().map(|array| (name.as_str(), array))),
                Slot::Drop => {}
            }
        }
        let count = rows.line.len();
        if let Some(at) = plan.rescue {
            columns[at] = Some(rescued_column(&rescued, count, &file.display()));
        }
        let batch = RawBatch {
            columns: plan.assemble(columns, Vec::new(), count)?,
            line: rows.line,
            raw: Some(rows.raw),
            malformed: rows.malformed,
            extra: plan.wanted,
            notes: Vec::new(),
            file: Arc::clone(file),
        };
        Ok(Decoded {
            batch,
            overrun: rows.overrun,
            lines: rows.lines,
        })
    }
}

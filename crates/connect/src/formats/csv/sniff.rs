//! Finding a dialect. Each candidate (delimiter, quote) is tried on the head: the right one gives
//! nearly all lines as many fields, and fields that look like values. After van den Burg, Nazábal
//! and Sutton, "Wrangling messy CSV files by detecting row and type patterns" (2019), whose two
//! scores, consistency of rows and share of typed cells, are multiplied here too.

use std::collections::HashMap;

use super::dialect::Dialect;
use super::records::{Record, Records};
use crate::discover::types::Guess;
use crate::options::ReadOptions;

/// Delimiters that are tried, with how likely they are beforehand.
const DELIMITERS: &[(&str, f64)] = &[
    (",", 1.0),
    (";", 1.0),
    ("\t", 1.0),
    ("|", 1.0),
    ("^", 0.8),
    ("~", 0.8),
    ("\u{1}", 1.0),
    ("||", 1.05),
    ("|~|", 1.05),
    ("~|~", 1.05),
    ("::", 0.9),
    ("§", 0.9),
    ("¦", 0.9),
    ("#", 0.4),
    (":", 0.25),
    (" ", 0.2),
];

/// Records that are looked at.
const RECORDS_MAX: usize = 300;

/// Finds the dialect of a head; what `options` say is not questioned.
pub(super) fn sniff(text: &str, newline: u8, options: &ReadOptions) -> Dialect {
    let mut dialect = Dialect {
        trim_leading: options.trim_leading,
        trim_trailing: options.trim_trailing,
        comment: options.comment.flatten(),
        escape: options
            .escape
            .filter(|escape| options.quote.flatten().unwrap_or(b'"') != *escape),
        ..Dialect::default()
    };
    let start = options
        .skip_rows
        .map_or(0, |rows| behind_lines(text, newline, rows));
    if options.comment.is_none() {
        dialect.comment = comment_mark(&text[start..]);
    }
    choose(&text[start..], newline, options, &mut dialect);
    if options.escape.is_none() {
        dialect.escape = escape_mark(&text[start..], dialect.quote);
    }
    if !options.trim_leading {
        dialect.trim_leading = quotes_behind_spaces(text, &dialect);
    }
    let width = usual_width(&records(&text[start..], newline, &dialect));
    dialect.skip_rows = match options.skip_rows {
        Some(rows) => rows,
        None => preamble(text, newline, &dialect, width),
    };
    let body = &text[behind_lines(text, newline, dialect.skip_rows)..];
    let records = records(body, newline, &dialect);
    let named = options
        .header
        .unwrap_or_else(|| usize::from(has_header(&records, width)));
    let trailing = named > 0 && has_trailing_delimiter(&records, width);
    Dialect {
        header: named,
        trailing_delimiter: trailing,
        ..dialect.clone()
    }
}

/// The offset behind the first `rows` lines.
pub(super) fn behind_lines(text: &str, newline: u8, rows: usize) -> usize {
    if rows == 0 {
        return 0;
    }
    memchr::memchr_iter(newline, text.as_bytes())
        .nth(rows - 1)
        .map_or(text.len(), |at| at + 1)
}

/// The records of a head that are neither blank nor comments.
fn records<'a>(text: &'a str, newline: u8, dialect: &'a Dialect) -> Vec<Record<'a>> {
    Records::new(text, 0, newline, dialect)
        .filter(|record| {
            let first = record.line.as_bytes().first();
            dialect.comment.is_none() || first != dialect.comment.as_ref()
        })
        .take(RECORDS_MAX)
        .collect()
}

fn choose(text: &str, newline: u8, options: &ReadOptions, dialect: &mut Dialect) {
    let quotes: Vec<Option<u8>> = match options.quote {
        Some(given) => vec![given],
        None if looks_quoted(text, b'\'') && !looks_quoted(text, b'"') => {
            vec![Some(b'"'), Some(b'\'')]
        }
        None => vec![Some(b'"')],
    };
    let delimiters: Vec<(String, f64)> = match &options.delimiter {
        Some(given) => vec![(given.clone(), 1.0)],
        None => DELIMITERS
            .iter()
            .filter(|(delimiter, _)| text.contains(delimiter))
            .map(|(delimiter, prior)| ((*delimiter).to_owned(), *prior))
            .collect(),
    };
    let mut best = 0.0;
    let (mut delimiter, mut quote) = (options.delimiter.clone(), quotes[0]);
    for (candidate, prior) in &delimiters {
        for &candidate_quote in &quotes {
            let trial = Dialect {
                delimiter: candidate.clone(),
                quote: candidate_quote,
                ..dialect.clone()
            };
            let score = prior * score(&records(text, newline, &trial));
            if score > best {
                best = score;
                delimiter = Some(candidate.clone());
                quote = candidate_quote;
            }
        }
    }
    dialect.delimiter = delimiter.unwrap_or_else(|| ",".to_owned());
    dialect.quote = quote;
}

/// How well a dialect explains the records; 0 if it makes one column of everything.
fn score(records: &[Record<'_>]) -> f64 {
    let width = usual_width(records);
    if width < 2 {
        return 0.0;
    }
    let total = records.len() as f64;
    let fitting: Vec<&Record<'_>> = records
        .iter()
        .filter(|record| record.fields.len() == width)
        .collect();
    let broken = fitting.iter().filter(|record| record.broken).count() as f64;
    let consistency = (fitting.len() as f64 - broken * 0.5).max(0.0) / total;
    let (mut cells, mut typed) = (0.0, 0.0);
    for field in fitting
        .iter()
        .take(60)
        .flat_map(|record| &record.fields)
        .take(5000)
    {
        cells += 1.0;
        typed += value_likeness(field.trim());
    }
    let quoted: usize = fitting.iter().map(|record| record.quoted.min(1)).sum();
    let quotes = 1.0 + 0.1 * (quoted as f64 / total);
    consistency.powi(2)
        * (0.15 + typed / f64::max(cells, 1.0))
        * (1.0 + (width as f64).ln() * 0.2)
        * quotes
}

/// How much a cell looks like one value: 1 for a number, a date, a word; less for what still holds
/// delimiters.
fn value_likeness(cell: &str) -> f64 {
    if cell.is_empty() {
        return 0.7;
    }
    let mut guess = Guess::default();
    guess.add(Some(cell));
    if !matches!(guess.data_type(), arrow::datatypes::DataType::Utf8View) {
        return 1.0;
    }
    let figures = cell.bytes().filter(u8::is_ascii_digit).count();
    // 1.234,56 and 12,5: numbers in the European way.
    if figures > 0
        && cell
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".,-+ %".contains(&byte))
    {
        return if cell.matches(',').count() <= 1 {
            0.95
        } else {
            0.4
        };
    }
    if cell.contains([',', ';', '\t', '|', '^', '~', '"']) {
        return 0.3;
    }
    if cell.len() <= 60 { 0.9 } else { 0.6 }
}

/// The number of fields most records have; of equals, the larger.
pub(super) fn usual_width(records: &[Record<'_>]) -> usize {
    let mut counts: HashMap<usize, usize> = HashMap::new();
    for record in records {
        *counts.entry(record.fields.len()).or_default() += 1;
    }
    counts
        .into_iter()
        .max_by_key(|&(width, count)| (count, width))
        .map_or(0, |(width, _)| width)
}

/// Whether values seem to be quoted with this character: it stands at many field borders.
fn looks_quoted(text: &str, quote: u8) -> bool {
    let bytes = text.as_bytes();
    let mut borders = 0;
    let mut others = 0;
    for at in memchr::memchr_iter(quote, bytes).take(2000) {
        let border = |byte: Option<&u8>| byte.is_none_or(|byte| b",;\t|^~\n\r".contains(byte));
        let opens = at == 0 || border(bytes.get(at.wrapping_sub(1)));
        if opens || border(bytes.get(at + 1)) {
            borders += 1;
        } else {
            others += 1;
        }
    }
    borders >= 2 && borders > others
}

/// A mark with which several lines at the top, or one, begin, but not most.
fn comment_mark(text: &str) -> Option<u8> {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(RECORDS_MAX)
        .collect();
    [b'#', b'%'].into_iter().find(|mark| {
        let marked = |line: &&str| line.as_bytes().first() == Some(mark);
        let leading = lines.iter().take_while(|line| marked(line)).count();
        let all = lines.iter().filter(|line| marked(line)).count();
        // A single marked first line may be a header such as `#id,name`: it has as many fields.
        let first_is_header = leading == 1 && all == 1 && lines.len() > 1 && {
            let counts = |line: &str| [',', ';', '\t', '|'].map(|c| line.matches(c).count());
            let (first, second) = (counts(lines[0]), counts(lines[1]));
            first.iter().zip(second).any(|(a, b)| *a > 0 && *a == b)
        };
        all > 0
            && all * 2 < lines.len().max(2) + leading
            && !first_is_header
            && (leading > 0 || all >= 2)
    })
}

/// A backslash, if it stands before quotes and doubled quotes do not occur.
fn escape_mark(text: &str, quote: Option<u8>) -> Option<u8> {
    let quote = char::from(quote?);
    let marked = text.matches(&format!("\\{quote}")).count();
    let doubled = text.matches(&format!("{quote}{quote}")).count();
    let empty = [",", ";", "\t", "|"]
        .iter()
        .map(|delimiter| text.matches(&format!("{quote}{quote}{delimiter}")).count())
        .sum::<usize>();
    (marked > 0 && marked > doubled.saturating_sub(empty)).then_some(b'\\')
}

/// Whether quotes open behind a delimiter and a space: `a, "b, c"`.
fn quotes_behind_spaces(text: &str, dialect: &Dialect) -> bool {
    let Some(quote) = dialect.quote.map(char::from) else {
        return false;
    };
    let delimiter = &dialect.delimiter;
    let spaced = text.matches(&format!("{delimiter} {quote}")).count();
    let direct = text.matches(&format!("{delimiter}{quote}")).count();
    spaced > 0 && spaced > direct
}

/// How many lines stand before the first record of the usual width. None if that is not near.
fn preamble(text: &str, newline: u8, dialect: &Dialect, width: usize) -> usize {
    if width < 2 {
        return 0;
    }
    let mut lines = 0;
    let mut at = 0;
    for record in Records::new(text, 0, newline, dialect).take(60) {
        let commented = dialect
            .comment
            .is_some_and(|mark| record.line.as_bytes().first() == Some(&mark));
        let filled = record
            .fields
            .iter()
            .filter(|field| !field.trim().is_empty())
            .count();
        let short_header = record.fields.len() + 1 == width && filled + 1 == width;
        if !commented && ((record.fields.len() == width && filled * 2 > width) || short_header) {
            // Comments and blank lines before it are skipped as such.
            return if lines == 0 {
                0
            } else {
                memchr::memchr_iter(newline, &text.as_bytes()[..at]).count()
            };
        }
        at = record.behind;
        lines += usize::from(!commented);
    }
    0
}

/// Whether the first record names the columns: it differs in type from the records below, or at
/// least looks like names and does not recur.
fn has_header(records: &[Record<'_>], width: usize) -> bool {
    let Some(first) = records.first() else {
        return false;
    };
    if first.fields.len() != width && first.fields.len() + 1 != width {
        return false;
    }
    let body: Vec<&Record<'_>> = records[1..]
        .iter()
        .filter(|record| record.fields.len() == width)
        .collect();
    let (mut votes, mut named) = (0i64, true);
    for (at, name) in first.fields.iter().enumerate() {
        let name = name.trim();
        let mut own = Guess::default();
        own.add(Some(name));
        let typed = !matches!(own.data_type(), arrow::datatypes::DataType::Utf8View);
        if typed {
            // Figures name a column only where all columns are so named (years, say): too rare.
            votes -= 3;
        }
        named &= !typed && looks_like_name(name);
        let mut guess = Guess::default();
        body.iter()
            .for_each(|record| guess.add(record.fields.get(at).map(AsRef::as_ref)));
        let body_typed = !matches!(guess.data_type(), arrow::datatypes::DataType::Utf8View);
        if body_typed && !typed && !name.is_empty() {
            votes += 2;
        }
        let recurs = body.iter().any(|record| {
            record
                .fields
                .get(at)
                .is_some_and(|field| field.trim() == name)
        });
        if !name.is_empty() && recurs && !typed {
            votes -= 2;
            named = false;
        }
    }
    votes > 0 || (votes == 0 && named)
}

fn looks_like_name(name: &str) -> bool {
    name.is_empty()
        || (name.len() <= 80
            && name.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '#'))
}

/// Whether the header has one field less than the rows, whose last field is always empty.
fn has_trailing_delimiter(records: &[Record<'_>], width: usize) -> bool {
    let [first, body @ ..] = records else {
        return false;
    };
    let mut rows = body
        .iter()
        .filter(|record| record.fields.len() == width)
        .peekable();
    first.fields.len() + 1 == width
        && rows.peek().is_some()
        && rows.all(|record| record.fields.last().is_some_and(|field| field.is_empty()))
}

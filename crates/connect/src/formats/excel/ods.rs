//! OpenDocument sheets, read one cell after the other: what is said to be repeated costs no room, however
//! often that is.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{BufRead, Read};

use bytes::Bytes;
use calamine::{Dimensions, Sheet, SheetType, SheetVisible};
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::QName;

use super::archive;
use super::cell::{Content, duration_text};
use super::workbook::Rows;
use super::{broken, locked};
use crate::error::{ConnectError, Result};

/// Most rows and columns of a sheet.
const ROWS_MAX: u32 = 1 << 20;
const COLUMNS_MAX: u32 = 1 << 14;
/// Most cells that a sheet may have by repeating others.
const REPEATED_MAX: u64 = 1 << 24;

/// The file of an OpenDocument spreadsheet.
pub(super) struct Spreadsheet {
    bytes: Bytes,
    /// Its sheets, in order.
    pub sheets: Vec<Sheet>,
}

impl Spreadsheet {
    /// Finds the sheets.
    pub(super) fn open(name: &str, bytes: Bytes) -> Result<Self> {
        let fail = |error: String| broken(name, error);
        let mut archive = archive::open(&bytes).map_err(fail)?;
        if let Some(manifest) =
            archive::part(&mut archive, "META-INF/manifest.xml").map_err(fail)?
        {
            let mut text = Vec::new();
            // A manifest that cannot be read does not matter.
            let _ = manifest.take(4 << 20).read_to_end(&mut text);
            if memchr::memmem::find(&text, b"encryption-data").is_some() {
                return Err(locked(name));
            }
        }
        let mut sheets = Vec::new();
        each_table(name, &bytes, |walk, start| {
            sheets.push(start);
            walk.skip("table:table").map(|()| true)
        })?;
        Ok(Self { bytes, sheets })
    }

    /// Gives the rows of a sheet.
    pub(super) fn rows(&self, name: &str, sheet: &str, rows: &mut Rows<'_>) -> Result<()> {
        each_table(name, &self.bytes, |walk, start| {
            if start.name == sheet {
                table(walk, rows).map(|()| false)
            } else {
                walk.skip("table:table").map(|()| true)
            }
        })
    }
}

/// Finds the tables; goes on as long as `visit`, which must read its table to the end, says so.
fn each_table(
    name: &str,
    bytes: &Bytes,
    mut visit: impl FnMut(&mut Walk<'_, &mut dyn BufRead>, Sheet) -> Result<bool>,
) -> Result<()> {
    let fail = |error: String| broken(name, error);
    let mut archive = archive::open(bytes).map_err(fail)?;
    let content = archive::part(&mut archive, "content.xml").map_err(fail)?;
    let mut content = content.ok_or_else(|| broken(name, "it has no part content.xml"))?;
    let mut walk = Walk {
        name,
        xml: archive::xml(&mut content as &mut dyn BufRead),
        buffer: Vec::new(),
    };
    let (mut style, mut hidden) = (String::new(), HashSet::new());
    loop {
        match walk.next()? {
            Event::Start(start) => match start.name().0 {
                "office:spreadsheet" | "office:body" | "office:automatic-styles" => {}
                root if root.starts_with("office:document") => {}
                "style:style" => style = attribute(&start, "style:name").unwrap_or_default(),
                "style:table-properties" => {
                    if attribute(&start, "table:display").as_deref() == Some("false") {
                        hidden.insert(style.clone());
                    }
                }
                "table:table" => {
                    let style = attribute(&start, "table:style-name");
                    let sheet = Sheet {
                        name: attribute(&start, "table:name").unwrap_or_default(),
                        typ: SheetType::WorkSheet,
                        visible: if style.is_some_and(|style| hidden.contains(&style)) {
                            SheetVisible::Hidden
                        } else {
                            SheetVisible::Visible
                        },
                    };
                    if !visit(&mut walk, sheet)? {
                        return Ok(());
                    }
                }
                other => {
                    let other = other.to_owned();
                    walk.skip(&other)?;
                }
            },
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

/// The events of the part with the sheets.
struct Walk<'a, R: BufRead> {
    name: &'a str,
    xml: quick_xml::Reader<R>,
    buffer: Vec<u8>,
}

impl<R: BufRead> Walk<'_, R> {
    fn next(&mut self) -> Result<Event<'_>> {
        self.buffer.clear();
        let at = self.xml.buffer_position();
        let event = self.xml.read_event_into(&mut self.buffer);
        event.map_err(|error| fault(self.name, at, &error.to_string()))
    }

    /// Passes what is inside an element that has begun, and its end.
    fn skip(&mut self, element: &str) -> Result<()> {
        let at = self.xml.buffer_position();
        let end = self.xml.read_to_end_into(QName(element), &mut self.buffer);
        end.map(|_| ())
            .map_err(|error| fault(self.name, at, &error.to_string()))
    }

    fn fault(&self, message: &str) -> ConnectError {
        fault(self.name, self.xml.buffer_position(), message)
    }
}

fn fault(name: &str, at: u64, message: &str) -> ConnectError {
    broken(name, format!("content.xml at byte {at}: {message}"))
}

/// One cell as written, and how often.
struct Written {
    column: u32,
    count: u32,
    value: Value,
}

enum Value {
    Text(String),
    Plain(String),
    Error(String),
}

/// Reads a table to its end, or until nobody wants more.
fn table<R: BufRead>(walk: &mut Walk<'_, R>, rows: &mut Rows<'_>) -> Result<()> {
    let (mut row, mut repeated) = (0_u32, 0_u64);
    loop {
        let start = match walk.next()? {
            Event::Start(start) => start,
            Event::End(end) if end.name().0 == "table:table" => break,
            Event::Eof => return Err(walk.fault("it ends within a sheet")),
            _ => continue,
        };
        match start.name().0 {
            "table:table-row" => {
                let times = count(&start, "table:number-rows-repeated");
                let cells = cells(walk, row, times, rows)?;
                if cells.is_empty() {
                    row = row.saturating_add(times);
                    continue;
                }
                let width: u64 = cells.iter().map(|cell| u64::from(cell.count)).sum();
                repeated += width * u64::from(times) - cells.len() as u64;
                if repeated > REPEATED_MAX || times > ROWS_MAX.saturating_sub(row) {
                    return Err(walk.fault(&format!(
                        "row {} and those before it repeat their cells more often than a sheet can hold",
                        u64::from(row) + 1
                    )));
                }
                for _ in 0..times {
                    if give(row, &cells, rows)? {
                        return Ok(());
                    }
                    row += 1;
                }
            }
            // Rows in groups; all else has no rows.
            group if group.starts_with("table:table-") => {}
            other => {
                let other = other.to_owned();
                walk.skip(&other)?;
            }
        }
    }
    rows.end();
    Ok(())
}

/// Gives a row's cells; whether nobody wants more.
fn give(row: u32, cells: &[Written], rows: &mut Rows<'_>) -> Result<bool> {
    for cell in cells {
        for column in cell.column..cell.column + cell.count {
            let content = match &cell.value {
                Value::Text(text) => Content::Text(Cow::Borrowed(text)),
                Value::Plain(text) => Content::Value(text.clone()),
                Value::Error(error) => Content::Error(error.clone()),
            };
            if rows.cell((row, column), content)?.is_break() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Reads the cells of a row that hold something.
fn cells<R: BufRead>(
    walk: &mut Walk<'_, R>,
    row: u32,
    times: u32,
    rows: &mut Rows<'_>,
) -> Result<Vec<Written>> {
    let (mut cells, mut column, mut bytes) = (Vec::new(), 0_u32, 0);
    loop {
        let start = match walk.next()? {
            Event::Start(start) => start,
            Event::End(end) if end.name().0 == "table:table-row" => return Ok(cells),
            Event::Eof => return Err(walk.fault("it ends within a row")),
            _ => continue,
        };
        let element = start.name().0.to_owned();
        if element != "table:table-cell" && element != "table:covered-table-cell" {
            walk.skip(&element)?;
            continue;
        }
        let head = CellHead::of(&start);
        let value = head.value(walk, &element, rows.row_bytes_max)?;
        let left = COLUMNS_MAX.saturating_sub(column);
        let Some(value) = value.filter(|_| left > 0) else {
            column = column.saturating_add(head.count);
            continue;
        };
        if times == 1 && head.count == 1 && (head.columns > 1 || head.rows > 1) {
            let end = (
                row.saturating_add(head.rows - 1),
                column.saturating_add(head.columns - 1),
            );
            rows.merged.add(Dimensions {
                start: (row, column),
                end,
            });
        }
        let length = match &value {
            Value::Text(text) | Value::Plain(text) | Value::Error(text) => text.len(),
        };
        // What is behind too much is not wanted: the row is too long as it is.
        if bytes <= rows.row_bytes_max {
            bytes += length;
            cells.push(Written {
                column,
                count: head.count.min(left),
                value,
            });
        }
        column = column.saturating_add(head.count);
    }
}

/// What a cell's own element says.
struct CellHead {
    count: u32,
    /// How many columns and rows it covers.
    columns: u32,
    rows: u32,
    kind: String,
    is_error: bool,
    value: Option<String>,
}

impl CellHead {
    fn of(start: &BytesStart<'_>) -> Self {
        let kind = attribute(start, "office:value-type").unwrap_or_default();
        let key = match kind.as_str() {
            "float" | "currency" | "percentage" => Some("office:value"),
            "date" => Some("office:date-value"),
            "time" => Some("office:time-value"),
            "boolean" => Some("office:boolean-value"),
            "string" => Some("office:string-value"),
            _ => None,
        };
        Self {
            count: count(start, "table:number-columns-repeated"),
            columns: count(start, "table:number-columns-spanned"),
            rows: count(start, "table:number-rows-spanned"),
            is_error: attribute(start, "calcext:value-type").as_deref() == Some("error"),
            value: key.and_then(|key| attribute(start, key)),
            kind,
        }
    }

    /// The value, once the element is read to its end.
    fn value<R: BufRead>(
        &self,
        walk: &mut Walk<'_, R>,
        element: &str,
        most: usize,
    ) -> Result<Option<Value>> {
        let given = self.value.as_deref().filter(|_| !self.is_error);
        let Some(given) = given else {
            let text = text(walk, element, most)?;
            let value = if self.is_error {
                Value::Error
            } else {
                Value::Text
            };
            return Ok((!text.is_empty()).then(|| value(text)));
        };
        walk.skip(element)?;
        Ok((!given.is_empty()).then(|| match self.kind.as_str() {
            "string" => Value::Text(given.to_owned()),
            "time" => Value::Plain(duration_text(given).unwrap_or_else(|| given.to_owned())),
            "date" => Value::Plain(given.strip_suffix("T00:00:00").unwrap_or(given).to_owned()),
            "boolean" => Value::Plain(given.to_ascii_lowercase()),
            _ => {
                let number = given
                    .parse::<f64>()
                    .ok()
                    .filter(|number| number.is_finite());
                Value::Plain(number.map_or_else(|| given.to_owned(), |number| number.to_string()))
            }
        }))
    }
}

/// The paragraphs of a cell, about `most` bytes of them; without remarks and drawings.
fn text<R: BufRead>(walk: &mut Walk<'_, R>, element: &str, most: usize) -> Result<String> {
    let (mut text, mut inside, mut paragraphs) = (String::new(), false, 0);
    loop {
        let room = most.saturating_sub(text.len()) + 1;
        match walk.next()? {
            Event::Start(start) => match start.name().0 {
                "text:p" | "text:h" => {
                    if paragraphs > 0 {
                        text.push('\n');
                    }
                    paragraphs += 1;
                    inside = true;
                }
                "text:s" => {
                    let spaces = count(&start, "text:c") as usize;
                    text.extend(std::iter::repeat_n(' ', spaces.min(room)));
                }
                "text:tab" => text.push('\t'),
                "text:line-break" => text.push('\n'),
                other if other.starts_with("text:") => {}
                other => {
                    let other = other.to_owned();
                    walk.skip(&other)?;
                }
            },
            Event::End(end) => match end.name().0 {
                "text:p" | "text:h" => inside = false,
                other if other == element => return Ok(text),
                _ => {}
            },
            _ if !inside || text.len() > most => {}
            Event::Text(part) => collapse(&part.xml10_content(), &mut text),
            Event::CData(part) => collapse(&part.xml10_content(), &mut text),
            Event::GeneralRef(reference) => {
                let name = reference.as_ref().to_owned();
                let character = reference.resolve_char_ref().ok().flatten();
                match (character, resolve_xml_entity(&name)) {
                    (Some(character), _) => text.push(character),
                    (None, Some(known)) => text.push_str(known),
                    (None, None) => {
                        return Err(walk.fault(&format!("&{name}; means nothing")));
                    }
                }
            }
            Event::Eof => return Err(walk.fault("it ends within a cell")),
            _ => {}
        }
    }
}

/// Adds text in which, as the format says, any white space is one space.
fn collapse(part: &str, to: &mut String) {
    for character in part.chars() {
        if !matches!(character, ' ' | '\t' | '\r' | '\n') {
            to.push(character);
        } else if !to.ends_with(' ') {
            to.push(' ');
        }
    }
}

/// A number of times, at least one.
fn count(start: &BytesStart<'_>, key: &str) -> u32 {
    let number = attribute(start, key).and_then(|number| number.trim().parse::<u64>().ok());
    number.map_or(1, |number| number.clamp(1, u64::from(u32::MAX)) as u32)
}

fn attribute(start: &BytesStart<'_>, key: &str) -> Option<String> {
    let found = start.try_get_attribute(key).ok().flatten()?;
    let value = found.normalized_value(XmlVersion::Implicit1_0).ok()?;
    Some(value.into_owned())
}

#[cfg(test)]
pub(super) mod tests;

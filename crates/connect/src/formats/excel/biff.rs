//! The records of an .xls, gone through before they are read: what its sheets would take in memory must
//! be in proportion to what is there, and what they say of their size is not passed on.
//!
//! The library makes a full rectangle of each sheet's cells and copies each shared text into every cell
//! that shows it.

/// Memory that any workbook may take.
const MEMORY_FREE: u64 = 256 << 20;
/// And as many bytes for each of its own: a dense sheet takes about ten.
const MEMORY_PER_BYTE: u64 = 64;
/// What a cell takes, in a list and in a rectangle.
const CELL_BYTES: u64 = 48;
const PLACE_BYTES: u64 = 88;
const FORMULA_BYTES: u64 = 256;

const FORMULA: u16 = 0x0006;
const END: u16 = 0x000a;
const CONTINUE: u16 = 0x003c;
const SHEET: u16 = 0x0085;
const MANY_NUMBERS: u16 = 0x00bd;
const RICH_TEXT: u16 = 0x00d6;
const TEXTS: u16 = 0x00fc;
const SHARED_TEXT: u16 = 0x00fd;
const SIZE: u16 = 0x0200;
const NUMBER: u16 = 0x0203;
const TEXT: u16 = 0x0204;
const TRUTH: u16 = 0x0205;
const FORMULA_TEXT: u16 = 0x0207;
const SHORT_NUMBER: u16 = 0x027e;
const BEGIN: u16 = 0x0809;

/// Checks the stream of a workbook's cells, and takes out of it what only misleads.
pub(super) fn check(stream: &mut [u8]) -> Result<(), String> {
    let globals = globals(stream);
    let mut work = stream.len() as u64 * 8 + (16 << 20);
    let mut memory = 0_u64;
    let most = MEMORY_FREE + MEMORY_PER_BYTE * stream.len() as u64;
    for (at, start) in globals.sheets.iter().enumerate() {
        let sheet = sheet(stream, *start, &globals.texts);
        memory = memory.saturating_add(sheet.memory());
        if memory > most {
            return Err(format!(
                "its sheet {} would take {} MiB of memory, out of {} bytes: its cells lie far apart ({} in a field of {} by {}) or repeat long texts; save it as .xlsx",
                at + 1,
                memory >> 20,
                stream.len(),
                sheet.cells,
                sheet.field.rows(),
                sheet.field.columns(),
            ));
        }
        work = work.saturating_sub(sheet.length);
        if work == 0 {
            return Err("its sheets overlap each other".to_owned());
        }
    }
    Ok(())
}

/// What holds for all sheets.
#[derive(Default)]
struct Globals {
    /// Where the sheets begin.
    sheets: Vec<usize>,
    /// The bytes of each shared text, three for a character.
    texts: Vec<u64>,
}

fn globals(stream: &[u8]) -> Globals {
    let mut globals = Globals::default();
    let mut at = 0;
    while let Some(record) = Record::at(stream, at) {
        match record.kind {
            SHEET => {
                let start = number(record.data(stream), 0).map(|start| start as usize);
                globals
                    .sheets
                    .extend(start.filter(|start| *start < stream.len()));
            }
            TEXTS => globals.texts = texts(stream, &record),
            END => break,
            _ => {}
        }
        at = record.end;
    }
    globals
}

/// The lengths of the shared texts, which may run over into records behind their own.
fn texts(stream: &[u8], first: &Record) -> Vec<u64> {
    let mut reader = Runs {
        stream,
        at: first.start + 8,
        end: first.end,
    };
    let mut lengths = Vec::new();
    while reader.at < reader.end || reader.more() {
        match reader.text() {
            Some(length) => lengths.push(length),
            None => break,
        }
    }
    lengths
}

/// Bytes that run over several records.
struct Runs<'a> {
    stream: &'a [u8],
    at: usize,
    /// The end of the current record.
    end: usize,
}

impl Runs<'_> {
    /// Goes on to the record that continues this one.
    fn more(&mut self) -> bool {
        match Record::at(self.stream, self.end) {
            Some(next) if next.kind == CONTINUE => {
                (self.at, self.end) = (next.start, next.end);
                true
            }
            _ => false,
        }
    }

    fn pass(&mut self, mut bytes: u64) -> Option<()> {
        while bytes > 0 {
            if self.at >= self.end && !self.more() {
                return None;
            }
            let there = (self.end - self.at) as u64;
            let passed = there.min(bytes);
            self.at += passed as usize;
            bytes -= passed;
        }
        Some(())
    }

    /// Passes a text; what it takes in memory, at most.
    fn text(&mut self) -> Option<u64> {
        if self.at >= self.end {
            // An empty record.
            return Some(0);
        }
        let head = self.stream.get(self.at..self.end)?;
        let (mut characters, flags) = (u64::from(half(head, 0)?), *head.get(2)?);
        let (length, mut at) = (characters * 3, 3);
        let mut behind = 0;
        if flags & 8 != 0 {
            behind += u64::from(half(head, at)?) * 4;
            at += 2;
        }
        if flags & 4 != 0 {
            behind += u64::from(number(head, at)?);
            at += 4;
        }
        self.at += at;
        let mut wide = flags & 1 != 0;
        loop {
            let size = if wide { 2 } else { 1 };
            let there = (self.end.saturating_sub(self.at) as u64) / size;
            let passed = there.min(characters);
            self.at += (passed * size) as usize;
            characters -= passed;
            if characters == 0 {
                break;
            }
            if !self.more() {
                return None;
            }
            // What continues a text says anew how wide its characters are.
            wide = self.stream.get(self.at)? & 1 != 0;
            self.at += 1;
        }
        self.pass(behind)?;
        Some(length)
    }
}

/// What a sheet takes.
#[derive(Default)]
struct Sheet {
    field: Field,
    cells: u64,
    formulas: u64,
    /// Bytes of texts.
    texts: u64,
    /// Bytes that were gone through.
    length: u64,
}

impl Sheet {
    fn memory(&self) -> u64 {
        let places = self.field.rows().saturating_mul(self.field.columns());
        let parts = [
            places.saturating_mul(PLACE_BYTES),
            self.cells * CELL_BYTES,
            self.formulas * FORMULA_BYTES,
            self.texts.saturating_mul(2),
        ];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

/// The rectangle around all cells.
#[derive(Default)]
struct Field {
    corners: Option<[u16; 4]>,
}

impl Field {
    fn add(&mut self, row: u16, column: u16) {
        let [top, left, bottom, right] = self.corners.unwrap_or([row, column, row, column]);
        self.corners = Some([
            top.min(row),
            left.min(column),
            bottom.max(row),
            right.max(column),
        ]);
    }

    fn rows(&self) -> u64 {
        self.corners
            .map_or(0, |[top, _, bottom, _]| u64::from(bottom - top) + 1)
    }

    fn columns(&self) -> u64 {
        self.corners
            .map_or(0, |[_, left, _, right]| u64::from(right - left) + 1)
    }
}

fn sheet(stream: &mut [u8], start: usize, texts: &[u64]) -> Sheet {
    let mut sheet = Sheet::default();
    let (mut at, mut depth, mut begun) = (start, 0_usize, false);
    while let Some(record) = Record::at(stream, at) {
        at = record.end;
        match record.kind {
            BEGIN if begun => depth += 1,
            BEGIN => begun = true,
            END if depth == 0 => break,
            END => depth -= 1,
            _ if depth > 0 => {}
            _ => sheet.record(stream, &record, texts),
        }
    }
    sheet.length = (at - start) as u64;
    sheet
}

impl Sheet {
    fn record(&mut self, stream: &mut [u8], record: &Record, texts: &[u64]) {
        let data = record.data(stream);
        let length = data.len() as u64;
        let place = half(data, 0).zip(half(data, 2));
        match record.kind {
            SIZE => {
                // Room would be made for as many cells as are said to be there.
                stream[record.start..record.end].fill(0);
                return;
            }
            FORMULA => {
                self.formulas += 1;
                // Its value is wanted, not itself.
                if let Some(length) = stream[record.start..record.end].get_mut(20..22) {
                    length.fill(0);
                }
            }
            SHARED_TEXT => {
                let text = number(data, 6).and_then(|text| texts.get(text as usize));
                self.texts = self.texts.saturating_add(*text.unwrap_or(&0));
            }
            TEXT | RICH_TEXT | FORMULA_TEXT => self.texts += length * 3,
            NUMBER | TRUTH | SHORT_NUMBER => {}
            MANY_NUMBERS => {
                let count = length.saturating_sub(6) / 6;
                self.cells += count;
                if let Some((row, column)) = place {
                    self.field
                        .add(row, column.saturating_add(count.saturating_sub(1) as u16));
                }
            }
            _ => return,
        }
        self.cells += 1;
        if let Some((row, column)) = place.filter(|_| record.kind != FORMULA_TEXT) {
            self.field.add(row, column);
        }
    }
}

/// A record: its kind, and where its data are.
struct Record {
    kind: u16,
    start: usize,
    end: usize,
}

impl Record {
    fn at(stream: &[u8], at: usize) -> Option<Self> {
        let head = stream.get(at..at.checked_add(4)?)?;
        let (kind, length) = (half(head, 0)?, half(head, 2)?);
        let end = at + 4 + usize::from(length);
        (end <= stream.len()).then_some(Self {
            kind,
            start: at + 4,
            end,
        })
    }

    fn data<'a>(&self, stream: &'a [u8]) -> &'a [u8] {
        &stream[self.start..self.end]
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

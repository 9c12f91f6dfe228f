//! Objects to text columns. Each field of the top level becomes text: strings without quotes and
//! escapes, numbers and words as written, objects and arrays as their JSON. Only strings with
//! escapes are copied.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::buffer::Buffer;

use super::scan::{Flaw, Scanner, unescape};
use crate::batch::BatchNote;
use crate::columns::{NameIndex, Plan};
use crate::options::SchemaEvolutionMode;
use crate::rescue::{close, push_json_string};
use crate::views::{TextColumn, block_view, side_view};

/// How many columns nobody declared one piece may add; further ones are rescued.
const NEW_COLUMNS_MAX: usize = 1000;

/// Where the value of a key goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Column(usize),
    Rescue,
    Drop,
}

/// Columns under construction, row by row.
pub(super) struct Objects<'a> {
    scanner: Scanner<'a>,
    plan: &'a Plan,
    mode: SchemaEvolutionMode,
    index: NameIndex,
    known: HashMap<Vec<u8>, Place>,
    /// The keys in the order of the rows before: the next row is likely to have the same.
    usual: Vec<(Vec<u8>, Place)>,
    columns: Vec<TextColumn>,
    /// New columns: their name, and where the first value was (row, and which of its keys).
    more: Vec<(String, Option<(usize, usize)>)>,
    nth: usize,
    rescued: TextColumn,
    side: Vec<u8>,
    scratch: Vec<u8>,
    rescue: String,
    rows: usize,
    /// How many columns the current row has filled.
    filled: usize,
    twice: bool,
    dropped: bool,
    pub(super) notes: Notes,
    /// Keys nobody declared, where that is an error.
    pub(super) refused: Vec<String>,
    path: String,
}

/// Remarks, counted.
#[derive(Default)]
pub(super) struct Notes {
    duplicates: (u64, u32),
    dropped: (u64, u32),
}

impl Notes {
    pub(super) fn into_vec(self) -> Vec<BatchNote> {
        let mut notes = Vec::new();
        if self.duplicates.0 > 0 {
            notes.push(BatchNote::DuplicateKeys {
                rows: self.duplicates.0,
                first_line: self.duplicates.1,
            });
        }
        if self.dropped.0 > 0 {
            notes.push(BatchNote::DroppedFields {
                rows: self.dropped.0,
                first_line: self.dropped.1,
            });
        }
        notes
    }
}

/// The finished columns: those of the plan, then new ones.
pub(super) struct Columns {
    pub columns: Vec<Option<ArrayRef>>,
    pub more: Vec<(String, ArrayRef)>,
    pub buffers: Arc<[Buffer]>,
}

impl<'a> Objects<'a> {
    pub(super) fn new(
        scanner: Scanner<'a>,
        plan: &'a Plan,
        mode: SchemaEvolutionMode,
        path: String,
        rows: usize,
    ) -> Self {
        Self {
            scanner,
            plan,
            mode,
            index: NameIndex::new(&plan.names),
            known: HashMap::new(),
            usual: Vec::new(),
            columns: plan
                .names
                .iter()
                .map(|_| TextColumn::with_capacity(rows))
                .collect(),
            more: Vec::new(),
            nth: 0,
            rescued: TextColumn::default(),
            side: Vec::new(),
            scratch: Vec::new(),
            rescue: String::new(),
            rows: 0,
            filled: 0,
            twice: false,
            dropped: false,
            notes: Notes::default(),
            refused: Vec::new(),
            path,
        }
    }

    /// From here on, everything ends at `end`.
    pub(super) fn bound(&mut self, end: usize) {
        self.scanner.end = end;
    }

    /// Takes the object at `start` as a row; gives the offset behind it. On a flaw there is no row.
    #[inline]
    pub(super) fn take(&mut self, start: usize, line: u32) -> Result<usize, Flaw> {
        self.filled = 0;
        self.twice = false;
        self.dropped = false;
        self.rescue.clear();
        match self.object(start) {
            Ok(behind) => {
                self.complete(line);
                Ok(behind)
            }
            Err(flaw) => {
                self.take_back();
                Err(flaw)
            }
        }
    }

    /// Takes the last row back, or what there is of one.
    pub(super) fn take_back(&mut self) {
        let rows = self.rows;
        self.columns
            .iter_mut()
            .for_each(|column| column.truncate(rows));
        self.rescued.truncate(rows);
        for (_, first) in &mut self.more {
            *first = first.filter(|(row, _)| *row < rows);
        }
    }

    /// Takes back a row that was complete.
    pub(super) fn take_back_row(&mut self) {
        self.rows -= 1;
        self.take_back();
    }

    fn object(&mut self, start: usize) -> Result<usize, Flaw> {
        let scanner = self.scanner;
        let data = scanner.data;
        if data[start] != b'{' {
            return Err(Flaw {
                at: start.min(scanner.end),
                what: "expected an object",
            });
        }
        let mut at = scanner.space(start + 1);
        if data[at] == b'}' {
            return Ok(at + 1);
        }
        let mut nth = 0;
        loop {
            if data[at] != b'"' {
                return Err(Flaw {
                    at: at.min(scanner.end),
                    what: "expected a key in quotes",
                });
            }
            let key = scanner.string(at)?;
            let place = self.place(nth, at + 1, key.close, key.escaped)?;
            self.nth = nth;
            nth += 1;
            at = scanner.colon(scanner.space(key.close + 1))?;
            at = scanner.space(self.field(place, at)?);
            match data[at] {
                b',' => at = scanner.space(at + 1),
                b'}' => return Ok(at + 1),
                _ => {
                    return Err(Flaw {
                        at: at.min(scanner.end),
                        what: "expected , or }",
                    });
                }
            }
        }
    }

    /// Where the value of the `nth` key goes.
    #[inline(always)]
    fn place(&mut self, nth: usize, from: usize, to: usize, escaped: bool) -> Result<Place, Flaw> {
        let key = &self.scanner.data[from..to];
        match self.usual.get(nth) {
            Some((usual, place)) if usual == key && *place != Place::Rescue => Ok(*place),
            _ => self.look_up(nth, from, to, escaped),
        }
    }

    fn look_up(
        &mut self,
        nth: usize,
        from: usize,
        to: usize,
        escaped: bool,
    ) -> Result<Place, Flaw> {
        let data = self.scanner.data;
        let key = &data[from..to];
        let place = match self.known.get(key) {
            Some(place) => *place,
            None => {
                let mut plain = key.to_vec();
                if escaped && unescape(key, &mut plain).is_none() {
                    return Err(Flaw {
                        at: from,
                        what: "a key with an escape that does not exist",
                    });
                }
                let name = String::from_utf8_lossy(&plain).into_owned();
                let place = self.resolve(&name);
                self.known.insert(key.to_vec(), place);
                place
            }
        };
        if place == Place::Rescue {
            let mut plain = key.to_vec();
            if escaped {
                unescape(key, &mut plain);
            }
            self.rescue
                .push(if self.rescue.is_empty() { '{' } else { ',' });
            push_json_string(&mut self.rescue, &String::from_utf8_lossy(&plain));
            self.rescue.push(':');
        }
        if nth < self.usual.len() {
            self.usual[nth] = (key.to_vec(), place);
        } else if nth == self.usual.len() && nth < 4096 {
            self.usual.push((key.to_vec(), place));
        }
        Ok(place)
    }

    /// Where a key that was not met yet goes.
    fn resolve(&mut self, name: &str) -> Place {
        if let Some(at) = self.index.find(name) {
            let own = at < self.plan.names.len()
                && (Some(at) == self.plan.rescue || self.plan.is_constant(at));
            return if own { Place::Drop } else { Place::Column(at) };
        }
        match self.mode {
            SchemaEvolutionMode::AddNewColumns if self.more.len() < NEW_COLUMNS_MAX => {
                let at = self.columns.len();
                self.index.insert(name, at);
                self.more.push((name.to_owned(), None));
                let mut column = TextColumn::default();
                column.pad(self.rows);
                self.columns.push(column);
                Place::Column(at)
            }
            SchemaEvolutionMode::AddNewColumns | SchemaEvolutionMode::Rescue => Place::Rescue,
            SchemaEvolutionMode::None => Place::Drop,
            SchemaEvolutionMode::FailOnNewColumns => {
                self.refused.push(name.to_owned());
                Place::Drop
            }
        }
    }

    /// Takes the value at `at`; gives the offset behind it.
    #[inline(always)]
    fn field(&mut self, place: Place, at: usize) -> Result<usize, Flaw> {
        let scanner = self.scanner;
        let data = scanner.data;
        let (view, behind) = match data[at] {
            b'"' => {
                let passed = scanner.string(at)?;
                let inside = at + 1;
                let view = if passed.escaped {
                    if unescape(&data[inside..passed.close], &mut self.scratch).is_none() {
                        return Err(Flaw {
                            at,
                            what: "a string with an escape that does not exist, or half a surrogate pair",
                        });
                    }
                    match place {
                        Place::Column(_) => side_view(&mut self.side, &self.scratch),
                        _ => 0,
                    }
                } else {
                    block_view(data, inside, passed.close - inside)
                };
                (Some(view), passed.close + 1)
            }
            b'{' | b'[' => {
                let behind = scanner.value(at)?;
                (Some(block_view(data, at, behind - at)), behind)
            }
            first => {
                let behind = scanner.scalar(at)?;
                (
                    (first != b'n').then(|| block_view(data, at, behind - at)),
                    behind,
                )
            }
        };
        match place {
            Place::Column(column) => self.put(column, view),
            Place::Rescue => self
                .rescue
                .push_str(&String::from_utf8_lossy(&data[at..behind])),
            Place::Drop => self.dropped = true,
        }
        Ok(behind)
    }

    #[inline(always)]
    fn put(&mut self, column: usize, view: Option<u128>) {
        if column >= self.plan.names.len() && view.is_some() {
            let (_, first) = &mut self.more[column - self.plan.names.len()];
            first.get_or_insert((self.rows, self.nth));
        }
        let Some(column) = self.columns.get_mut(column) else {
            return;
        };
        if column.len() > self.rows {
            column.truncate(self.rows);
            self.twice = true;
        } else {
            self.filled += 1;
        }
        match view {
            Some(view) => column.push(view),
            None => column.push_null(),
        }
    }

    #[inline(always)]
    fn complete(&mut self, line: u32) {
        self.rows += 1;
        if self.filled < self.columns.len() {
            let rows = self.rows;
            self.columns.iter_mut().for_each(|column| column.pad(rows));
        }
        if self.twice || self.dropped || !self.rescue.is_empty() {
            self.remark(line);
        }
    }

    #[cold]
    fn remark(&mut self, line: u32) {
        let count = |note: &mut (u64, u32)| {
            if note.0 == 0 {
                note.1 = line;
            }
            note.0 += 1;
        };
        if self.twice {
            count(&mut self.notes.duplicates);
        }
        if self.dropped && self.mode == SchemaEvolutionMode::None {
            count(&mut self.notes.dropped);
        }
        if !self.rescue.is_empty() {
            close(&mut self.rescue, &self.path);
            self.rescued.pad(self.rows - 1);
            self.rescued
                .push(side_view(&mut self.side, self.rescue.as_bytes()));
        }
    }

    /// The finished columns; `block` is the text that was scanned.
    pub(super) fn finish(mut self, block: &Buffer) -> Columns {
        let buffers: Arc<[Buffer]> = if self.side.is_empty() {
            Arc::from([block.clone()])
        } else {
            Arc::from([
                block.clone(),
                Buffer::from_vec(std::mem::take(&mut self.side)),
            ])
        };
        let some = self.rescued.len() > 0;
        self.rescued.pad(self.rows);
        let rescued = self.rescued.finish(&buffers);
        let mut columns: Vec<Option<ArrayRef>> = self
            .columns
            .into_iter()
            .map(|column| Some(column.finish(&buffers)))
            .collect();
        let later = columns.split_off(self.plan.names.len());
        // A key that only broken rows had, or only with null, makes no column; the others come in
        // the order of their first values, however the text was cut.
        let mut found: Vec<_> = self
            .more
            .into_iter()
            .zip(later.into_iter().flatten())
            .filter_map(|((name, first), array)| Some((first?, name, array)))
            .collect();
        found.sort_by_key(|(first, ..)| *first);
        let mut more: Vec<(String, ArrayRef)> = found
            .into_iter()
            .map(|(_, name, array)| (name, array))
            .collect();
        match self.plan.rescue {
            Some(at) => columns[at] = Some(rescued),
            None if some => more.push(("_rescued_data".to_owned(), rescued)),
            None => {}
        }
        Columns {
            columns,
            more,
            buffers,
        }
    }
}

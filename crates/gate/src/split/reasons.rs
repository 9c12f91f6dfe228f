//! The reasons of rows that do not go into the table: put in order by row, and turned into sentences
//! one at a time.

use std::borrow::Cow;
use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, RecordBatch, StringViewArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use tidegate_project::OnViolation;

use crate::coerce::shown;
use crate::counts::ReasonKey;
use crate::error::Result;
use crate::gate::Gate;
use crate::verdict::{Broken, Judged};

/// One reason of one row.
#[derive(Debug, Clone, Copy)]
struct Entry {
    row: u32,
    what: What,
}

/// Which promise is broken; in the order in which a row's reasons are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// The type failure of this number.
    Type(u32),
    /// NULL in this column.
    Null(u32),
    DuplicateKey,
    /// The broken expectation of this number.
    Expectation(u32),
}

/// A reason as it is shown.
#[derive(Debug)]
pub(super) struct Told<'r> {
    pub(super) key: &'r ReasonKey,
    pub(super) value: Option<Cow<'r, str>>,
    pub(super) message: String,
    pub(super) on_violation: OnViolation,
}

/// The reasons of a batch.
pub(super) struct Reasons<'r> {
    gate: &'r Gate,
    judged: &'r Judged,
    entries: Vec<Entry>,
    fields: Fields<'r>,
}

impl<'r> Reasons<'r> {
    /// Gathers the reasons of all rows that are not good, by row.
    pub(super) fn gather(gate: &'r Gate, judged: &'r Judged) -> Result<Self> {
        let mut entries = Vec::new();
        let mut push = |row: u32, what: What| {
            if !judged.outcomes.get(row as usize).is_good() {
                entries.push(Entry { row, what });
            }
        };
        for (number, failure) in judged.type_failures.iter().enumerate() {
            push(failure.row, What::Type(number as u32));
        }
        for (column, rows) in &judged.null_failures {
            rows.iter()
                .for_each(|row| push(*row, What::Null(*column as u32)));
        }
        judged
            .duplicates
            .iter()
            .for_each(|row| push(*row, What::DuplicateKey));
        for (number, broken) in judged.broken.iter().enumerate() {
            broken
                .rows
                .iter()
                .for_each(|row| push(*row, What::Expectation(number as u32)));
        }
        entries.sort_unstable_by_key(|entry| (entry.row, entry.what));
        Ok(Self {
            gate,
            judged,
            entries,
            fields: Fields::new(&judged.incoming)?,
        })
    }

    /// The rows' fields as text.
    pub(super) fn fields(&self) -> &Fields<'r> {
        &self.fields
    }

    /// The reasons of a row, in their order.
    pub(super) fn of(&self, row: usize) -> impl Iterator<Item = Told<'_>> {
        let row = row as u32;
        let from = self.entries.partition_point(|entry| entry.row < row);
        self.entries[from..]
            .iter()
            .take_while(move |entry| entry.row == row)
            .map(move |entry| self.tell(row as usize, entry.what))
    }

    fn tell(&self, row: usize, what: What) -> Told<'_> {
        let (gate, judged) = (self.gate, self.judged);
        let names = gate.reason_keys();
        match what {
            What::Type(number) => {
                let failure = &judged.type_failures[number as usize];
                let column = failure.column as usize;
                let value = self.value(column, row);
                let data_type = &gate.contract().columns[column].data_type;
                let message = failure
                    .problem
                    .message(value.as_deref().unwrap_or_default(), data_type);
                Told {
                    key: names.type_of(column),
                    value,
                    message,
                    on_violation: OnViolation::Quarantine,
                }
            }
            What::Null(column) => {
                let name = &gate.contract().columns[column as usize].name;
                let message = match judged.sources[column as usize] {
                    Some(_) => format!("{name} is NULL, but declared NOT NULL"),
                    None => format!("{name} is declared NOT NULL, but the row has no such column"),
                };
                let value = self.value(column as usize, row);
                Told {
                    key: names.not_null_of(column as usize),
                    value,
                    message,
                    on_violation: gate.options().on_null,
                }
            }
            What::DuplicateKey => {
                let value = self.values(&gate.contract().key, row);
                let message =
                    format!("the key {value} is in the table already, or in an earlier row");
                let on_violation = gate.options().on_duplicate_key;
                Told {
                    key: names.duplicate(),
                    value: Some(Cow::Owned(value)),
                    message,
                    on_violation,
                }
            }
            What::Expectation(number) => {
                self.tell_expectation(row, &judged.broken[number as usize])
            }
        }
    }

    fn tell_expectation(&self, row: usize, broken: &Broken) -> Told<'_> {
        let expectation = &self.gate.expectations()[broken.expectation];
        let error = broken
            .errors
            .binary_search_by_key(&(row as u32), |(row, _)| *row);
        let mut message = String::with_capacity(expectation.text.len() + 48);
        message.push_str(&expectation.text);
        match error {
            Ok(at) => {
                let _ = write!(message, " cannot be evaluated: {}", broken.errors[at].1);
            }
            Err(_) if broken.answers.is_null(row) => message.push_str(" is NULL"),
            Err(_) => message.push_str(" is false"),
        }
        let value = match expectation.columns.as_slice() {
            [] => None,
            [column] => self.value(*column, row),
            columns => Some(Cow::Owned(self.values(columns, row))),
        };
        if !expectation.columns.is_empty() {
            let values = self.values(&expectation.columns, row);
            let _ = write!(message, " for {values}");
        }
        Told {
            key: &self.gate.reason_keys().expectations[broken.expectation],
            value,
            message,
            on_violation: expectation.on_violation,
        }
    }

    /// A column's value in a row, as it came in.
    fn value(&self, column: usize, row: usize) -> Option<Cow<'_, str>> {
        self.judged.sources[column].and_then(|source| self.fields.text(source, row))
    }

    /// `a = 1, b = 2`.
    fn values(&self, columns: &[usize], row: usize) -> String {
        let mut text = String::new();
        for column in columns {
            if !text.is_empty() {
                text.push_str(", ");
            }
            let name = &self.gate.contract().columns[*column].name;
            match self.value(*column, row) {
                Some(value) => {
                    let _ = write!(text, "{name} = {}", shown(&value));
                }
                None => {
                    let _ = write!(text, "{name} = NULL");
                }
            }
        }
        text
    }
}

/// The fields of rows as text, as they came in.
pub(super) struct Fields<'r> {
    names: Vec<&'r str>,
    columns: Vec<TextColumn<'r>>,
}

enum TextColumn<'r> {
    Text(&'r StringViewArray),
    Typed(&'r ArrayRef, ArrayFormatter<'r>),
}

impl<'r> Fields<'r> {
    pub(super) fn new(batch: &'r RecordBatch) -> Result<Self> {
        static OPTIONS: FormatOptions<'static> = FormatOptions::new();
        let names = batch
            .schema_ref()
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        let mut columns = Vec::with_capacity(batch.num_columns());
        for column in batch.columns() {
            columns.push(match column.as_any().downcast_ref::<StringViewArray>() {
                Some(text) => TextColumn::Text(text),
                None => {
                    TextColumn::Typed(column, ArrayFormatter::try_new(column.as_ref(), &OPTIONS)?)
                }
            });
        }
        Ok(Self { names, columns })
    }

    /// A field's text; none where it is NULL.
    pub(super) fn text(&self, column: usize, row: usize) -> Option<Cow<'_, str>> {
        match &self.columns[column] {
            TextColumn::Text(array) => array.is_valid(row).then(|| Cow::Borrowed(array.value(row))),
            TextColumn::Typed(array, formatter) => array
                .is_valid(row)
                .then(|| Cow::Owned(formatter.value(row).try_to_string().unwrap_or_default())),
        }
    }

    /// The names of the fields and their texts in a row.
    pub(super) fn of(&self, row: usize) -> impl Iterator<Item = (&str, Option<Cow<'_, str>>)> {
        self.names
            .iter()
            .enumerate()
            .map(move |(column, name)| (*name, self.text(column, row)))
    }
}

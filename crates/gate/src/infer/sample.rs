//! The sample, column by column: every distinct value once, and for each row which of them it holds.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;

use crate::contract::field_named;
use crate::profile::dictionary::Dictionary;
use crate::profile::kind::{self, Reading, ValueKind};
use crate::profile::{ProfileError, written};

/// A row that holds no value.
pub(crate) const MISSING: u32 = u32::MAX;

/// One distinct value.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) count: u64,
    pub(crate) reading: Reading,
}

/// One column of the sample.
#[derive(Clone, Debug)]
pub(crate) struct SampleColumn {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    pub(crate) values: Vec<Value>,
    /// For each row the index of its value, or [`MISSING`].
    pub(crate) rows: Vec<u32>,
}

impl SampleColumn {
    /// Whether its values came as text, so that their type is open.
    pub(crate) fn is_text(&self) -> bool {
        matches!(
            self.data_type,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        )
    }

    /// Rows that hold a value.
    pub(crate) fn present(&self) -> u64 {
        self.values.iter().map(|value| value.count).sum()
    }

    /// Takes the values a predicate names out of the column: their rows hold nothing then.
    pub(crate) fn remove(&mut self, is_missing: impl Fn(&Value) -> bool) {
        let gone: Vec<bool> = self.values.iter().map(is_missing).collect();
        for row in &mut self.rows {
            if *row != MISSING && gone[*row as usize] {
                *row = MISSING;
            }
        }
        for (value, gone) in self.values.iter_mut().zip(gone) {
            if gone {
                value.count = 0;
            }
        }
    }

    /// The values that are there, with their index.
    pub(crate) fn present_values(&self) -> impl Iterator<Item = (usize, &Value)> {
        self.values
            .iter()
            .enumerate()
            .filter(|(_, value)| value.count > 0)
    }

    /// How many different values there are.
    pub(crate) fn distinct(&self) -> u64 {
        self.present_values().count() as u64
    }

    /// Rows whose value is of one of these kinds.
    pub(crate) fn of_kind(&self, wanted: impl Fn(ValueKind) -> bool) -> u64 {
        self.present_values()
            .filter(|(_, value)| wanted(value.reading.kind))
            .map(|(_, value)| value.count)
            .sum()
    }

    /// The values a predicate refuses, with their counts.
    pub(crate) fn refused(&self, accepts: impl Fn(&Value) -> bool) -> Vec<(String, u64)> {
        self.present_values()
            .filter(|(_, value)| !accepts(value))
            .map(|(_, value)| (value.text.clone(), value.count))
            .collect()
    }
}

/// A sample.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) rows: u64,
    pub(crate) columns: Vec<SampleColumn>,
}

impl Sample {
    /// Takes up the batches. Columns are those of the first batch; later batches are matched by name.
    pub(crate) fn new(batches: &[RecordBatch]) -> Result<Self, ProfileError> {
        let Some(first) = batches.first() else {
            return Ok(Self {
                rows: 0,
                columns: Vec::new(),
            });
        };
        let mut columns = Vec::with_capacity(first.num_columns());
        for (place, field) in first.schema_ref().fields().iter().enumerate() {
            columns.push(column(place, field.name(), field.data_type(), batches)?);
        }
        Ok(Self {
            rows: batches.iter().map(|batch| batch.num_rows() as u64).sum(),
            columns,
        })
    }
}

fn column(
    place: usize,
    name: &str,
    data_type: &DataType,
    batches: &[RecordBatch],
) -> Result<SampleColumn, ProfileError> {
    let mut dictionary = Dictionary::default();
    let mut rows = Vec::new();
    for batch in batches {
        let Some(found) = field_named(batch.schema_ref().fields(), name, place) else {
            rows.extend(std::iter::repeat_n(MISSING, batch.num_rows()));
            continue;
        };
        let array = batch.column(found);
        let texts = written(array).map_err(|source| ProfileError::Unprintable {
            column: name.to_owned(),
            data_type: array.data_type().clone(),
            source,
        })?;
        let texts = texts.as_string_view();
        rows.reserve(texts.len());
        for value in texts {
            let row = rows.len() as u64;
            rows.push(match value {
                Some(value) if !value.is_empty() => dictionary.add(value, 1, row),
                _ => MISSING,
            });
        }
    }
    let values = dictionary.iter().map(|(text, entry)| Value {
        text: text.to_owned(),
        count: entry.count,
        reading: kind::read(text),
    });
    Ok(SampleColumn {
        name: name.to_owned(),
        data_type: data_type.clone(),
        values: values.collect(),
        rows,
    })
}

//! Rows to records: the key columns become the key, and columns the value, in one buffer each.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use bytes::Bytes;

use crate::error::{ConnectError, Result};
use crate::formats::written;
use crate::options::truth;

/// Encodes the values of rows in another way than JSON.
pub trait ValueEncoder: Send {
    /// The values of rows, one behind the other. An error for a schema or value that cannot be written.
    ///
    /// # Errors
    /// What is wrong with the rows.
    fn encode(&mut self, rows: &RecordBatch, sink: &str) -> Result<Strings>;
}

/// Byte strings in one buffer.
pub struct Strings {
    bytes: Bytes,
    /// Where each begins and ends; nothing for NULL.
    spans: Vec<Option<(usize, usize)>>,
}

impl Strings {
    /// Strings at these places of `bytes`.
    #[must_use]
    pub fn new(bytes: Bytes, spans: Vec<Option<(usize, usize)>>) -> Self {
        Self { bytes, spans }
    }

    /// The string of a row; `None` is NULL.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        let (from, to) = self.spans.get(row).copied().flatten()?;
        self.bytes.get(from..to)
    }

    /// How many there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.spans.len()
    }

    /// The buffer.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Encoded rows.
pub struct Encoded {
    /// Keys, if there are key columns.
    pub keys: Option<Strings>,
    /// Values.
    pub values: Strings,
}

impl Encoded {
    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.rows()
    }
}

/// Makes records of rows.
pub struct Encoder {
    keys: Vec<String>,
    /// Whether key columns are in the value, too.
    keys_in_value: bool,
    other: Option<Box<dyn ValueEncoder>>,
}

impl Encoder {
    /// Keys are of the columns `keys`: one is written as its text (or its bytes), several as a JSON object. Values are
    /// JSON objects of all columns, or what `other` makes of them; columns that are NULL are left out of JSON.
    #[must_use]
    pub fn new(keys: Vec<String>, other: Option<Box<dyn ValueEncoder>>) -> Self {
        Self {
            keys,
            keys_in_value: true,
            other,
        }
    }

    /// Takes the options `key` (columns, with commas between them) and `valueIncludesKey` (true); the rest is handed
    /// back.
    ///
    /// # Errors
    /// [`ConnectError::OptionValue`] for a value that cannot be.
    pub fn take<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        other: Option<Box<dyn ValueEncoder>>,
    ) -> Result<(Self, BTreeMap<String, String>)> {
        let mut encoder = Self::new(Vec::new(), other);
        let mut rest = BTreeMap::new();
        for (name, value) in pairs {
            match name.to_ascii_lowercase().as_str() {
                "key" | "keys" | "keycolumns" => {
                    let names = value.split(',').map(|name| name.trim().to_owned());
                    encoder.keys = names.filter(|name| !name.is_empty()).collect();
                }
                "valueincludeskey" => {
                    encoder.keys_in_value =
                        truth(value).ok_or_else(|| ConnectError::OptionValue {
                            name: "valueIncludesKey",
                            value: value.to_owned(),
                            expected: "true or false".to_owned(),
                        })?;
                }
                _ => {
                    rest.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        Ok((encoder, rest))
    }

    /// The records of rows; `sink` is its name, for messages.
    ///
    /// # Errors
    /// If a key column is not there, or a value cannot be written.
    pub fn encode(&mut self, rows: &RecordBatch, sink: &str) -> Result<Encoded> {
        let fail = |source| ConnectError::Arrow {
            path: sink.to_owned(),
            source,
        };
        let key_columns = self.key_columns(rows, sink)?;
        let keys = keys(rows, &key_columns).map_err(fail)?;
        let value_rows = match self.keys_in_value || key_columns.is_empty() {
            true => rows.clone(),
            false => {
                let others = (0..rows.num_columns()).filter(|at| !key_columns.contains(at));
                let others: Vec<usize> = others.collect();
                rows.project(&others).map_err(fail)?
            }
        };
        let values = match &mut self.other {
            Some(other) => other.encode(&value_rows, sink)?,
            None => json(&value_rows).map_err(fail)?,
        };
        Ok(Encoded { keys, values })
    }

    /// The keys of records that say that rows are gone, of which `keys` has the columns that identify them; `sink` is its
    /// name, for messages. None if records have other columns as their key: then none of them is known to be gone.
    ///
    /// # Errors
    /// If a key cannot be written.
    pub fn encode_gone(&self, gone: &RecordBatch, sink: &str) -> Result<Option<Strings>> {
        let schema = gone.schema_ref();
        let all = self.keys.iter().all(|key| schema.index_of(key).is_ok());
        if !all || self.keys.len() != gone.num_columns() {
            return Ok(None);
        }
        let columns = self.key_columns(gone, sink)?;
        keys(gone, &columns).map_err(|source| ConnectError::Arrow {
            path: sink.to_owned(),
            source,
        })
    }

    /// Where the key columns are.
    fn key_columns(&self, rows: &RecordBatch, sink: &str) -> Result<Vec<usize>> {
        let mut columns = Vec::with_capacity(self.keys.len());
        for name in &self.keys {
            let at = rows.schema_ref().index_of(name);
            columns.push(at.map_err(|_| ConnectError::Live {
                source_name: sink.to_owned(),
                message: format!("there is no column {name}, which is to be the key"),
                help: format!("the columns are {}", names(rows.schema_ref()).join(", ")),
            })?);
        }
        Ok(columns)
    }
}

/// What the key columns of rows are as keys of records; none without any.
fn keys(rows: &RecordBatch, columns: &[usize]) -> Result<Option<Strings>, ArrowError> {
    match columns {
        [] => Ok(None),
        [one] => single(rows.column(*one)).map(Some),
        many => json(&rows.project(many)?).map(Some),
    }
}

fn names(schema: &Schema) -> Vec<String> {
    let fields = schema.fields().iter();
    fields.map(|field| field.name().clone()).collect()
}

/// One column as it is written: texts without quotes, bytes as they are.
fn single(column: &ArrayRef) -> Result<Strings, ArrowError> {
    let column = match column.data_type() {
        DataType::Binary | DataType::LargeBinary => {
            arrow::compute::cast(column, &DataType::BinaryView)?
        }
        DataType::BinaryView => Arc::clone(column),
        _ => arrow::compute::cast(&written(column)?, &DataType::BinaryView)?,
    };
    let column = column.as_binary_view();
    let mut bytes = Vec::new();
    let spans = (0..column.len()).map(|row| {
        let from = bytes.len();
        column.is_valid(row).then(|| {
            bytes.extend_from_slice(column.value(row));
            (from, bytes.len())
        })
    });
    let spans = spans.collect();
    Ok(Strings::new(bytes.into(), spans))
}

/// A JSON object a row.
fn json(rows: &RecordBatch) -> Result<Strings, ArrowError> {
    let count = rows.num_rows();
    if rows.num_columns() == 0 {
        let spans = vec![Some((0, 2)); count];
        return Ok(Strings::new(Bytes::from_static(b"{}"), spans));
    }
    let mut text = Vec::with_capacity(count * 64);
    let mut writer = WriterBuilder::new().build::<_, LineDelimited>(&mut text);
    writer.write(rows)?;
    writer.finish()?;
    drop(writer);
    // Line feeds in values are escaped: each one ends an object.
    let mut from = 0;
    let spans = memchr::memchr_iter(b'\n', &text).map(|end| {
        let span = Some((from, end));
        from = end + 1;
        span
    });
    let spans: Vec<_> = spans.collect();
    if spans.len() != count {
        return Err(ArrowError::JsonError(format!(
            "{count} rows became {} lines",
            spans.len()
        )));
    }
    Ok(Strings::new(text.into(), spans))
}

//! Profiling: what is in a table or a file, column by column, and what looks wrong in it.
//!
//! A [`Profiler`] is fed with batches, text or typed, and holds bounded memory however many come: a
//! column is counted exactly while its distinct values fit, and by sketches beyond (the report says
//! which). [`Profiler::finish`] gives a [`Profile`], which is data; [`text`] draws it for a terminal,
//! [`html`] for a browser. Profilers of the parts of a file can be merged, in order.
//!
//! It opens no files and no tables: whoever has batches may profile them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewBuilder};
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use hashbrown::HashMap;

pub(crate) mod column;
pub(crate) mod dictionary;
pub(crate) mod distribution;
pub mod html;
pub(crate) mod kind;
pub(crate) mod mojibake;
pub(crate) mod pattern;
pub(crate) mod report;
pub(crate) mod similar;
mod sketch;
mod summary;
pub(crate) mod suspicion;
mod svg;
pub(crate) mod tally;
pub(crate) mod temporal;
pub mod text;

pub use kind::ValueKind;
pub use report::{
    Bin, ColumnProfile, Distinct, Example, FormatCount, Histogram, HistogramOf, LengthSummary,
    LooksLike, NumberSummary, Profile, Quantile, Suspicion, SuspicionKind, TimeSummary, TopValue,
};

use column::{Column, Limits};

#[cfg(test)]
mod tests;

/// How a profile is taken.
#[derive(Clone, Debug)]
pub struct ProfileOptions {
    /// What is profiled, for the title of the report.
    pub subject: String,
    /// Distinct values of a column that are counted exactly; beyond, sketches take over.
    pub exact_values: usize,
    /// Bytes that all columns together may hold.
    pub memory_bytes: usize,
    /// Frequent values reported of each column.
    pub top_values: usize,
    /// Intervals of a histogram.
    pub bins: usize,
}

impl Default for ProfileOptions {
    fn default() -> Self {
        Self {
            subject: String::new(),
            exact_values: 50_000,
            memory_bytes: 256 << 20,
            top_values: 10,
            bins: 20,
        }
    }
}

/// What can go wrong while profiling.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// A column's values could not be written as text.
    #[error(
        "column `{column}` of type {data_type} cannot be written as text, so it cannot be profiled: {source}"
    )]
    Unprintable {
        /// The column.
        column: String,
        /// Its type.
        data_type: DataType,
        /// What Arrow says.
        source: ArrowError,
    },
}

/// Takes a profile of batches that come one after the other.
///
/// Columns are told apart by name: a column that appears late was missing in the rows before, and one
/// that is not in a batch is missing in its rows.
#[derive(Clone)]
pub struct Profiler {
    options: ProfileOptions,
    rows: u64,
    columns: Vec<Column>,
    by_name: HashMap<String, usize>,
}

impl Profiler {
    /// A profiler that has seen nothing.
    pub fn new(options: ProfileOptions) -> Self {
        Self {
            options,
            rows: 0,
            columns: Vec::new(),
            by_name: HashMap::new(),
        }
    }

    /// Rows seen so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes the rows of a batch into account.
    ///
    /// # Errors
    /// If a column is of a type whose values cannot be written as text.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), ProfileError> {
        let mut present = vec![false; self.columns.len()];
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let index = self.column(field.name(), array.data_type(), batch.num_columns());
            present.resize(self.columns.len(), false);
            if std::mem::replace(&mut present[index], true) {
                continue;
            }
            let texts = written(array).map_err(|source| ProfileError::Unprintable {
                column: field.name().clone(),
                data_type: array.data_type().clone(),
                source,
            })?;
            let column = &mut self.columns[index];
            let texts = texts.as_string_view();
            for (row, value) in texts.iter().enumerate() {
                match value {
                    Some(value) => column.add(value, self.rows + row as u64),
                    None => column.add_nulls(1),
                }
            }
        }
        self.rows += batch.num_rows() as u64;
        for (column, present) in self.columns.iter_mut().zip(present) {
            if !present {
                column.add_nulls(batch.num_rows() as u64);
            }
        }
        Ok(())
    }

    /// The index of a column, made if it is new.
    fn column(&mut self, name: &str, data_type: &DataType, width: usize) -> usize {
        if let Some(&index) = self.by_name.get(name) {
            return index;
        }
        let bytes = (self.options.memory_bytes / width.max(1)).min(8 << 20);
        let limits = Limits {
            values: self.options.exact_values.max(1),
            bytes,
        };
        self.columns.push(Column::new(
            name.to_owned(),
            data_type.clone(),
            self.rows,
            limits,
        ));
        self.by_name.insert(name.to_owned(), self.columns.len() - 1);
        self.columns.len() - 1
    }

    /// Adds what another profiler saw in the rows that follow this one's.
    pub fn merge(&mut self, later: &Self) {
        let (mine, theirs) = (self.rows, later.rows);
        for column in &later.columns {
            let index = self.column(&column.name, &column.data_type, later.columns.len());
            self.columns[index].merge(column, mine);
        }
        self.rows += theirs;
        for column in &mut self.columns {
            if !later.by_name.contains_key(&column.name) {
                column.add_nulls(theirs);
            }
        }
    }

    /// Ends the profile.
    pub fn finish(self) -> Profile {
        let options = self.options;
        let columns = self
            .columns
            .into_iter()
            .map(|column| summary::summarise(column.finish(), &options))
            .collect();
        Profile {
            subject: options.subject,
            rows: self.rows,
            columns,
        }
    }
}

/// The values of an array as they would be written, as a string view.
pub(crate) fn written(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Utf8View => Ok(Arc::clone(array)),
        DataType::Timestamp(unit, Some(_)) => cast(&in_utc(array, *unit), &DataType::Utf8View),
        simple
            if !simple.is_nested()
                && !simple.is_binary()
                && can_cast_types(simple, &DataType::Utf8View) =>
        {
            cast(array, &DataType::Utf8View)
        }
        _ => display(array),
    }
}

/// The same moments without their zone, to be written in UTC.
fn in_utc(array: &ArrayRef, unit: TimeUnit) -> ArrayRef {
    match unit {
        TimeUnit::Second => Arc::new(
            array
                .as_primitive::<TimestampSecondType>()
                .clone()
                .with_timezone_opt(None::<&str>),
        ),
        TimeUnit::Millisecond => Arc::new(
            array
                .as_primitive::<TimestampMillisecondType>()
                .clone()
                .with_timezone_opt(None::<&str>),
        ),
        TimeUnit::Microsecond => Arc::new(
            array
                .as_primitive::<TimestampMicrosecondType>()
                .clone()
                .with_timezone_opt(None::<&str>),
        ),
        TimeUnit::Nanosecond => Arc::new(
            array
                .as_primitive::<TimestampNanosecondType>()
                .clone()
                .with_timezone_opt(None::<&str>),
        ),
    }
}

fn display(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
    let mut builder = StringViewBuilder::with_capacity(array.len());
    let mut text = String::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            builder.append_null();
        } else {
            text.clear();
            formatter.value(row).write(&mut text)?;
            builder.append_value(&text);
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// An Arrow type in SQL's words.
pub(crate) fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING".to_owned(),
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 | DataType::UInt8 => "SMALLINT".to_owned(),
        DataType::Int32 | DataType::UInt16 => "INT".to_owned(),
        DataType::Int64 | DataType::UInt32 => "BIGINT".to_owned(),
        DataType::UInt64 => "DECIMAL(20,0)".to_owned(),
        DataType::Float16 | DataType::Float32 => "FLOAT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP".to_owned(),
        DataType::Timestamp(_, None) => "TIMESTAMP_NTZ".to_owned(),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => "BINARY".to_owned(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::FixedSizeList(item, _) => {
            format!("ARRAY<{}>", sql_type(item.data_type()))
        }
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{}: {}", field.name(), sql_type(field.data_type())))
                .collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                format!(
                    "MAP<{}, {}>",
                    sql_type(fields[0].data_type()),
                    sql_type(fields[1].data_type())
                )
            }
            other => format!("MAP<{}>", sql_type(other)),
        },
        DataType::Dictionary(_, values) => sql_type(values),
        DataType::Null => "VOID".to_owned(),
        other => other.to_string(),
    }
}

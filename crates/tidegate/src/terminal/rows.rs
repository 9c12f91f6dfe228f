//! Rows of a query as people and scripts read them: a grid, one field a line, JSON lines or CSV.
//!
//! JSON and CSV stream, so that a result larger than memory can be written; a grid has to know its widths and is
//! therefore limited.

use std::io::Write;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::grid::{Grid, Heading, one_line};

/// How a missing value is shown.
const NULL: &str = "NULL";

/// Puts rows into a grid, value by value.
///
/// # Errors
/// When Arrow cannot show a value of this type.
pub fn grid(schema: &Schema, batches: &[RecordBatch]) -> Result<Grid, ArrowError> {
    let headings = schema.fields().iter().map(|field| Heading {
        text: one_line(field.name()),
        right: field.data_type().is_numeric(),
    });
    let mut grid = Grid::new(headings.collect());
    for batch in batches {
        let columns = formatters(batch)?;
        for row in 0..batch.num_rows() {
            let values = columns
                .iter()
                .map(|column| Ok(one_line(&column.value(row).try_to_string()?)));
            grid.rows.push(values.collect::<Result<_, ArrowError>>()?);
        }
    }
    Ok(grid)
}

/// Writes each row as a block, one field a line, as `\x` asks for.
///
/// # Errors
/// When Arrow cannot show a value, or the output cannot be written.
pub fn write_expanded(
    out: &mut impl Write,
    schema: &Schema,
    batches: &[RecordBatch],
) -> Result<(), ArrowError> {
    let names: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| one_line(field.name()))
        .collect();
    let widest = names
        .iter()
        .map(|name| unicode_width::UnicodeWidthStr::width(name.as_str()))
        .max()
        .unwrap_or(0);
    let mut number = 0;
    for batch in batches {
        let columns = formatters(batch)?;
        for row in 0..batch.num_rows() {
            number += 1;
            writeln!(out, "─ row {number} {}", "─".repeat(widest.max(12)))?;
            for (name, column) in names.iter().zip(&columns) {
                let gap =
                    widest.saturating_sub(unicode_width::UnicodeWidthStr::width(name.as_str()));
                writeln!(
                    out,
                    "{name}{:gap$}  {}",
                    "",
                    one_line(&column.value(row).try_to_string()?)
                )?;
            }
        }
    }
    Ok(())
}

fn formatters(batch: &RecordBatch) -> Result<Vec<ArrayFormatter<'_>>, ArrowError> {
    static OPTIONS: std::sync::LazyLock<FormatOptions<'static>> = std::sync::LazyLock::new(|| {
        FormatOptions::default()
            .with_null(NULL)
            .with_display_error(true)
    });
    batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &OPTIONS))
        .collect()
}

/// Writes rows as JSON, one object a line, with every column in every object.
///
/// # Errors
/// When a type has no JSON form, or the output cannot be written.
pub fn write_json(out: &mut impl Write, batch: &RecordBatch) -> Result<(), ArrowError> {
    let mut writer = WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, LineDelimited>(out);
    writer.write(batch)?;
    writer.finish()
}

/// Writes rows as CSV, with a header where `header` says so. Nested values are written as JSON.
///
/// # Errors
/// When a type has no text form, or the output cannot be written.
pub fn write_csv(
    out: &mut impl Write,
    batch: &RecordBatch,
    header: bool,
) -> Result<(), ArrowError> {
    // By way of memory: the CSV writer would turn a reader that went away into a mere text.
    let mut text = Vec::new();
    let mut writer = arrow::csv::WriterBuilder::new()
        .with_header(header)
        .build(&mut text);
    writer.write(&flattened(batch)?)?;
    drop(writer);
    out.write_all(&text)?;
    Ok(())
}

/// The batch with nested columns as JSON text.
fn flattened(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    if !batch
        .columns()
        .iter()
        .any(|column| column.data_type().is_nested())
    {
        return Ok(batch.clone());
    }
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if column.data_type().is_nested() {
            fields.push(Field::new(field.name(), DataType::Utf8, true));
            columns.push(json_text(column)?);
        } else {
            fields.push(field.as_ref().clone());
            columns.push(ArrayRef::clone(column));
        }
    }
    RecordBatch::try_new(SchemaRef::new(Schema::new(fields)), columns)
}

/// Every value of a nested column as JSON.
fn json_text(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let field = std::sync::Arc::new(Field::new("value", column.data_type().clone(), true));
    let options = arrow::json::writer::EncoderOptions::default();
    let mut encoder = arrow::json::writer::make_encoder(&field, column.as_ref(), &options)?;
    let mut buffer = Vec::new();
    let texts: StringArray = (0..column.len())
        .map(|row| {
            if encoder.is_null(row) {
                return None;
            }
            buffer.clear();
            encoder.encode(row, &mut buffer);
            Some(String::from_utf8_lossy(&buffer).into_owned())
        })
        .collect();
    Ok(std::sync::Arc::new(texts))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Decimal128Array, Int64Array, ListArray, StringViewArray, TimestampMicrosecondArray,
    };
    use arrow::datatypes::Int32Type;

    use super::*;

    fn batch() -> RecordBatch {
        let list =
            ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
        let amount = Decimal128Array::from(vec![Some(1050), None])
            .with_precision_and_scale(12, 2)
            .unwrap();
        let time = TimestampMicrosecondArray::from(vec![Some(1_791_158_400_000_000), None])
            .with_timezone("UTC");
        RecordBatch::try_from_iter_with_nullable([
            (
                "id",
                Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef,
                false,
            ),
            (
                "name",
                Arc::new(StringViewArray::from(vec![Some("a,\"b\""), None])) as ArrayRef,
                true,
            ),
            ("amount", Arc::new(amount) as ArrayRef, true),
            ("ts", Arc::new(time) as ArrayRef, true),
            ("list", Arc::new(list) as ArrayRef, true),
        ])
        .unwrap()
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_keeps_every_column_and_digit() {
        let text = written(|out| write_json(out, &batch()).unwrap());
        assert_eq!(
            text,
            "{\"id\":1,\"name\":\"a,\\\"b\\\"\",\"amount\":10.50,\"ts\":\"2026-10-05T00:00:00Z\",\"list\":[1,null]}\n\
             {\"id\":2,\"name\":null,\"amount\":null,\"ts\":null,\"list\":null}\n"
        );
    }

    #[test]
    fn csv_quotes_and_nests_json() {
        let text = written(|out| write_csv(out, &batch(), true).unwrap());
        assert_eq!(
            text,
            "id,name,amount,ts,list\n1,\"a,\"\"b\"\"\",10.50,2026-10-05T00:00:00Z,\"[1,null]\"\n2,,,,\n"
        );
    }

    #[test]
    fn a_grid_shows_nulls_and_aligns_numbers() {
        let batch = batch();
        let text = grid(batch.schema_ref(), std::slice::from_ref(&batch))
            .unwrap()
            .draw(None);
        assert!(
            text.contains("NULL") && text.contains("┆  10.50 ┆"),
            "{text}"
        );
    }

    #[test]
    fn expanded_has_a_field_a_line() {
        let batch = batch();
        let rows = std::slice::from_ref(&batch);
        let text = written(|out| write_expanded(out, batch.schema_ref(), rows).unwrap());
        assert!(
            text.contains("─ row 2") && text.contains("amount  10.50\n"),
            "{text}"
        );
    }
}

//! Quarantined rows as columns: reading their parts, and writing down what became of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, MapArray, RecordBatch, StringArray,
    StringViewArray, StringViewBuilder,
};
use arrow::compute::{cast, interleave};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};

use super::QuarantineSummary;
use crate::error::{PipelineError, Result};

/// A text column of a batch, by name.
pub(super) fn text(batch: &RecordBatch, name: &str) -> Result<StringViewArray> {
    let column = column(batch, name)?;
    Ok(cast(column, &DataType::Utf8View)?.as_string_view().clone())
}

/// A column of a batch, by name.
pub(super) fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| {
        PipelineError::Request(format!(
            "the quarantine has no column `{name}`; it was written by something else"
        ))
    })
}

/// Adds the rows of a batch with `state` and `reasons` to a summary.
pub(super) fn count_reasons(
    batch: &RecordBatch,
    summary: &mut QuarantineSummary,
    counted: &mut BTreeMap<(String, String, Option<String>), u64>,
) -> Result<()> {
    let states = text(batch, "state")?;
    let reasons = column(batch, "reasons")?.as_list::<i32>().clone();
    for row in 0..batch.num_rows() {
        let state = states.value(row);
        if state == "held" {
            summary.held += 1;
        } else {
            summary.released += 1;
        }
        let own = RecordBatch::from(reasons.value(row).as_struct().clone());
        let (constraints, columns) = (text(&own, "constraint")?, text(&own, "column")?);
        for reason in 0..own.num_rows() {
            let column = columns
                .is_valid(reason)
                .then(|| columns.value(reason).to_owned());
            let key = (
                state.to_owned(),
                constraints.value(reason).to_owned(),
                column,
            );
            *counted.entry(key).or_default() += 1;
        }
    }
    Ok(())
}

/// The parsed fields of quarantined rows as text columns of these names; NULL where a row has no such field.
pub(super) fn fields_as_columns(batch: &RecordBatch, names: &[String]) -> Result<RecordBatch> {
    let fields: &MapArray = column(batch, "fields")?.as_map();
    let keys: StringArray = cast(fields.keys(), &DataType::Utf8)?.as_string().clone();
    let values: StringArray = cast(fields.values(), &DataType::Utf8)?.as_string().clone();
    let mut builders: Vec<StringViewBuilder> =
        names.iter().map(|_| StringViewBuilder::new()).collect();
    let positions: BTreeMap<String, usize> = names
        .iter()
        .enumerate()
        .map(|(index, name)| (name.to_lowercase(), index))
        .collect();
    let mut found: Vec<Option<usize>> = vec![None; names.len()];
    for row in 0..batch.num_rows() {
        found.fill(None);
        if fields.is_valid(row) {
            let (start, end) = (
                fields.value_offsets()[row] as usize,
                fields.value_offsets()[row + 1] as usize,
            );
            for entry in start..end {
                if let Some(position) = positions.get(&keys.value(entry).to_lowercase()) {
                    found[*position] = Some(entry);
                }
            }
        }
        for (builder, entry) in builders.iter_mut().zip(&found) {
            builder.append_option(
                entry
                    .filter(|entry| values.is_valid(*entry))
                    .map(|entry| values.value(entry)),
            );
        }
    }
    let columns: Vec<ArrayRef> = builders
        .into_iter()
        .map(|mut builder| Arc::new(builder.finish()) as ArrayRef)
        .collect();
    Ok(RecordBatch::try_new(text_schema(names), columns)?)
}

/// Text columns of these names.
pub(super) fn text_schema(names: &[String]) -> SchemaRef {
    let fields = names
        .iter()
        .map(|name| Field::new(name, DataType::Utf8View, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The text columns with the quarantine's own columns behind them, as far as their names do not clash: what `--set` and
/// `--where` may name.
pub(super) fn with_own_columns(fields: &RecordBatch, batch: &RecordBatch) -> Result<RecordBatch> {
    let mut all: Vec<Field> = fields
        .schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone())
        .collect();
    let mut columns = fields.columns().to_vec();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if all
            .iter()
            .all(|own| !own.name().eq_ignore_ascii_case(field.name()))
        {
            all.push(field.as_ref().clone());
            columns.push(Arc::clone(column));
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(all)), columns)?)
}

/// What became of one row of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was not tried.
    Untried,
    /// It is in the table now.
    Released,
    /// A `DROP ROW` promise dropped it.
    Dropped,
    /// It is held again; its new reasons are in that row of the batch of failures.
    Held(usize),
}

/// The batch with the fate of each row written down.
pub(super) fn written_down(
    batch: &RecordBatch,
    fates: &[Fate],
    failures: Option<&RecordBatch>,
    epoch: i64,
) -> Result<RecordBatch> {
    let states = text(batch, "state")?;
    let state: StringViewArray = fates
        .iter()
        .enumerate()
        .map(|(row, fate)| match fate {
            Fate::Released => Some("released"),
            Fate::Dropped => Some("dropped"),
            Fate::Held(_) => Some("held"),
            Fate::Untried => states.is_valid(row).then(|| states.value(row)),
        })
        .collect();
    let released = cast(column(batch, "released_epoch")?, &DataType::Int64)?;
    let released = released.as_primitive::<Int64Type>();
    let released: Int64Array = fates
        .iter()
        .enumerate()
        .map(|(row, fate)| match fate {
            Fate::Released | Fate::Dropped => Some(epoch),
            Fate::Held(_) | Fate::Untried => released.is_valid(row).then(|| released.value(row)),
        })
        .collect();
    let mut columns = batch.columns().to_vec();
    let schema = batch.schema();
    columns[schema.index_of("state")?] = Arc::new(state);
    columns[schema.index_of("released_epoch")?] = Arc::new(released);
    if let Some(failures) = failures {
        let index = schema.index_of("reasons")?;
        let newer = cast(column(failures, "reasons")?, columns[index].data_type())?;
        let picks: Vec<(usize, usize)> = fates
            .iter()
            .enumerate()
            .map(|(row, fate)| match fate {
                Fate::Held(failure) => (1, *failure),
                _ => (0, row),
            })
            .collect();
        columns[index] = interleave(&[columns[index].as_ref(), newer.as_ref()], &picks)?;
    }
    let fields = schema.fields().iter().zip(&columns);
    let fields: Vec<Field> = fields
        .map(|(field, column)| {
            field
                .as_ref()
                .clone()
                .with_data_type(column.data_type().clone())
        })
        .collect();
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}

/// The rows that are held and that a filter, if there is one, is TRUE for.
pub(super) fn tried(batch: &RecordBatch, filter: Option<&BooleanArray>) -> Result<Vec<usize>> {
    let states = text(batch, "state")?;
    let wanted = |row: &usize| {
        let chosen = filter.is_none_or(|filter| filter.is_valid(*row) && filter.value(*row));
        chosen && states.is_valid(*row) && states.value(*row) == "held"
    };
    Ok((0..batch.num_rows()).filter(wanted).collect())
}

/// Text columns with the rows at `at` replaced by what was read; and the rows that have fields then. A row that could
/// not be read has none.
pub(super) fn replaced(
    fields: &RecordBatch,
    at: &[usize],
    found: &[Option<Vec<Option<String>>>],
) -> Result<(RecordBatch, Vec<usize>)> {
    let mut fresh: BTreeMap<usize, &Option<Vec<Option<String>>>> =
        at.iter().copied().zip(found).collect();
    let columns = fields.columns().iter().enumerate().map(|(index, column)| {
        let old = column.as_string_view();
        let values = (0..fields.num_rows()).map(|row| match fresh.get(&row) {
            Some(Some(cells)) => cells.get(index).and_then(|cell| cell.as_deref()),
            Some(None) => None,
            None => old.is_valid(row).then(|| old.value(row)),
        });
        Arc::new(values.collect::<StringViewArray>()) as ArrayRef
    });
    let columns = columns.collect();
    fresh.retain(|_, cells| cells.is_none());
    let readable = (0..fields.num_rows())
        .filter(|row| !fresh.contains_key(row))
        .collect();
    Ok((RecordBatch::try_new(fields.schema(), columns)?, readable))
}

//! The quarantine batch, and the first row for which an update must stop.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewBuilder, Int64Array, ListArray, MapArray, RecordBatch,
    StringViewArray, StringViewBuilder, StructArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take_record_batch;
use arrow::datatypes::DataType;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use super::reasons::{Fields, Reasons, Told};
use super::{FailUpdate, Stamp};
use crate::error::Result;
use crate::gate::Gate;
use crate::incoming::Malformed;
use crate::quarantine::{map_entries, quarantine_schema, reason_fields, reason_item};
use crate::verdict::Judged;

/// The state of a row that waits in the quarantine.
const HELD: &str = "held";

/// Longest value kept with a reason, in bytes; the whole row is in `raw`.
const VALUE_BYTES_MAX: usize = 4096;

/// Finds the first row for which the update must stop.
pub(super) fn first_failure(
    gate: &Gate,
    judged: &Judged,
    reasons: &Reasons<'_>,
) -> Result<Option<FailUpdate>> {
    let failing = judged
        .outcomes
        .as_slice()
        .iter()
        .position(|outcome| outcome.fails());
    let Some(row) = failing else {
        return Ok(None);
    };
    let told = reasons
        .of(row)
        .find(|told| told.on_violation == tidegate_project::OnViolation::FailUpdate);
    let Some(told) = told else {
        return Ok(None);
    };
    let raw = RawRows::new(gate, judged, &[row as u32])?;
    Ok(Some(FailUpdate {
        source: Arc::clone(&judged.source),
        line: judged.first_line + judged.line_of(row),
        reason: told.key.clone(),
        value: told.value.map(Cow::into_owned),
        message: told.message,
        raw: raw.get(0).text.into_owned(),
    }))
}

/// A row that goes to the quarantine.
#[derive(Debug, Clone, Copy)]
enum Rejected {
    /// Number among the judged rows, and among those of them that are quarantined.
    Row(usize, usize),
    Malformed(usize),
}

/// The rows for the quarantine in the order of their lines.
fn rejected(judged: &Judged) -> (Vec<(u64, Rejected)>, Vec<u32>) {
    let mut list = Vec::new();
    let mut rows = Vec::new();
    for (row, outcome) in judged.outcomes.as_slice().iter().enumerate() {
        if outcome.quarantines() {
            list.push((judged.line_of(row), Rejected::Row(row, rows.len())));
            rows.push(row as u32);
        }
    }
    let mut waits = vec![true; judged.malformed.len()];
    for repaired in judged.repairs.iter().flat_map(|repairs| repairs.repaired()) {
        waits[repaired] = false;
    }
    let malformed = judged
        .malformed
        .iter()
        .enumerate()
        .filter(|(place, _)| waits[*place]);
    list.extend(malformed.map(|(place, malformed)| (malformed.line, Rejected::Malformed(place))));
    list.sort_by_key(|(line, _)| *line);
    (list, rows)
}

/// The batch for the quarantine, if any row goes there.
pub(super) fn quarantine(
    gate: &Gate,
    judged: &Judged,
    reasons: &Reasons<'_>,
    stamp: &Stamp,
) -> Result<Option<RecordBatch>> {
    let (list, rows) = rejected(judged);
    if list.is_empty() {
        return Ok(None);
    }
    let raw = RawRows::new(gate, judged, &rows)?;
    let mut builder = Builder::default();
    let mut before = (u64::MAX, 0);
    for (line, rejected) in &list {
        let line = judged.first_line + line;
        // Rows of one line (a query can make several of one) are told apart by their number in it.
        before = if before.0 == line {
            (line, before.1 + 1)
        } else {
            (line, 0)
        };
        builder.position(&judged.source, line, before.1);
        match rejected {
            Rejected::Row(row, place) => {
                builder.raw(raw.get(*place));
                builder.fields(reasons.fields().of(*row));
                reasons.of(*row).for_each(|told| builder.reason(&told));
            }
            Rejected::Malformed(place) => {
                let malformed = &judged.malformed[*place];
                builder.raw(Raw::of_bytes(
                    malformed.raw.as_slice(),
                    gate.options().raw_bytes_max,
                ));
                builder.no_fields();
                builder.malformed(malformed, judged, *place);
            }
        }
        builder.end_row();
    }
    builder.finish(&judged.source, stamp).map(Some)
}

/// A row as it was written, as far as it is kept.
struct Raw<'r> {
    text: Cow<'r, str>,
    /// The bytes, where they are not text.
    bytes: Option<&'r [u8]>,
    /// The length in bytes, where not all is kept.
    cut_of: Option<usize>,
}

impl<'r> Raw<'r> {
    fn of_bytes(bytes: &'r [u8], most: usize) -> Self {
        let kept = &bytes[..bytes.len().min(most)];
        let cut_of = (kept.len() < bytes.len()).then_some(bytes.len());
        match std::str::from_utf8(kept) {
            Ok(text) => Self {
                text: Cow::Borrowed(text),
                bytes: None,
                cut_of,
            },
            // The cut went through a character.
            Err(error) if cut_of.is_some() && error.error_len().is_none() => {
                Self::of_bytes(&bytes[..error.valid_up_to()], most).with_cut(bytes.len())
            }
            Err(_) => Self {
                text: String::from_utf8_lossy(kept),
                bytes: Some(kept),
                cut_of,
            },
        }
    }

    fn with_cut(self, length: usize) -> Self {
        Self {
            cut_of: Some(length),
            ..self
        }
    }
}

/// The rows as they were written, or as JSON where they never were text.
enum RawRows<'r> {
    Written {
        array: &'r ArrayRef,
        rows: Vec<u32>,
        most: usize,
    },
    Rendered {
        texts: Vec<String>,
        most: usize,
    },
}

impl<'r> RawRows<'r> {
    fn new(gate: &Gate, judged: &'r Judged, rows: &[u32]) -> Result<Self> {
        let most = gate.options().raw_bytes_max;
        match &judged.raw {
            Some(array) => Ok(Self::Written {
                array,
                rows: rows.to_vec(),
                most,
            }),
            None => Ok(Self::Rendered {
                texts: as_json(&judged.incoming, rows)?,
                most,
            }),
        }
    }

    fn get(&self, place: usize) -> Raw<'_> {
        match self {
            Self::Written { array, rows, most } => {
                Raw::of_bytes(bytes_at(array, rows[place] as usize), *most)
            }
            Self::Rendered { texts, most } => Raw::of_bytes(
                texts.get(place).map_or(&[][..], |text| text.as_bytes()),
                *most,
            ),
        }
    }
}

fn bytes_at(array: &ArrayRef, row: usize) -> &[u8] {
    if array.is_null(row) {
        return &[];
    }
    match array.data_type() {
        DataType::Utf8View => array.as_string_view().value(row).as_bytes(),
        DataType::BinaryView => array.as_binary_view().value(row),
        DataType::Utf8 => array.as_string::<i32>().value(row).as_bytes(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).as_bytes(),
        DataType::Binary => array.as_binary::<i32>().value(row),
        DataType::LargeBinary => array.as_binary::<i64>().value(row),
        _ => &[],
    }
}

/// Rows as JSON objects.
fn as_json(batch: &RecordBatch, rows: &[u32]) -> Result<Vec<String>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let taken = take_record_batch(batch, &UInt32Array::from(rows.to_vec()))?;
    match written_json(&taken) {
        Ok(texts) if texts.len() == rows.len() => Ok(texts),
        // A type that has no JSON (a map of numbers) is shown as text.
        _ => {
            let fields = Fields::new(&taken)?;
            let object = |row| {
                let members = fields.of(row).map(|(name, text)| {
                    (
                        name.to_owned(),
                        text.map_or(serde_json::Value::Null, |text| text.into_owned().into()),
                    )
                });
                serde_json::Value::Object(members.collect()).to_string()
            };
            Ok((0..rows.len()).map(object).collect())
        }
    }
}

fn written_json(batch: &RecordBatch) -> Result<Vec<String>> {
    let mut writer = arrow::json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::LineDelimited>(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let text = String::from_utf8_lossy(&writer.into_inner()).into_owned();
    Ok(text.lines().map(str::to_owned).collect())
}

/// Cuts a text at a character.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// The id of a row: 128 bits of its source and place, the same in every run.
fn row_id(source: &str, line: u64, number: u64) -> String {
    static SECRETS: [RapidSecrets; 2] = [RapidSecrets::seed(0), RapidSecrets::seed(1)];
    let mut bytes = Vec::with_capacity(source.len() + 16);
    bytes.extend_from_slice(source.as_bytes());
    bytes.extend_from_slice(&line.to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    let mut id = String::with_capacity(32);
    for secrets in &SECRETS {
        for byte in rapidhash_v3_seeded(&bytes, secrets).to_be_bytes() {
            for digit in [byte >> 4, byte & 15] {
                id.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
            }
        }
    }
    id
}

/// The columns of the quarantine batch as they grow.
#[derive(Default)]
struct Builder {
    row_id: StringViewBuilder,
    raw: StringViewBuilder,
    raw_bytes: BinaryViewBuilder,
    line: Vec<i64>,
    field_names: StringViewBuilder,
    field_texts: StringViewBuilder,
    field_counts: Vec<usize>,
    has_fields: Vec<bool>,
    constraint: StringViewBuilder,
    kind: StringViewBuilder,
    column: StringViewBuilder,
    value: StringViewBuilder,
    message: StringViewBuilder,
    reason_counts: Vec<usize>,
    reasons: usize,
    note: StringViewBuilder,
}

impl Builder {
    fn position(&mut self, source: &str, line: u64, number: u64) {
        self.row_id.append_value(row_id(source, line, number));
        self.line.push(i64::try_from(line).unwrap_or(i64::MAX));
    }

    fn raw(&mut self, raw: Raw<'_>) {
        self.raw.append_value(&raw.text);
        self.raw_bytes.append_option(raw.bytes);
        self.note.append_option(
            raw.cut_of
                .map(|length| format!("raw was cut: the row has {length} bytes")),
        );
    }

    fn fields<'f>(&mut self, fields: impl Iterator<Item = (&'f str, Option<Cow<'f, str>>)>) {
        let mut count = 0;
        for (name, text) in fields {
            self.field_names.append_value(name);
            self.field_texts.append_option(text);
            count += 1;
        }
        self.field_counts.push(count);
        self.has_fields.push(true);
    }

    fn no_fields(&mut self) {
        self.field_counts.push(0);
        self.has_fields.push(false);
    }

    fn reason(&mut self, told: &Told<'_>) {
        self.constraint.append_value(&told.key.constraint);
        self.kind.append_value(told.key.kind.as_str());
        self.column.append_option(told.key.column.as_deref());
        self.value.append_option(
            told.value
                .as_deref()
                .map(|value| cut(value, VALUE_BYTES_MAX)),
        );
        self.message.append_value(&told.message);
        self.reasons += 1;
    }

    fn malformed(&mut self, malformed: &Malformed, judged: &Judged, place: usize) {
        let kind = malformed.kind.reason().as_str();
        self.constraint.append_value(kind);
        self.kind.append_value(kind);
        self.column.append_null();
        self.value.append_null();
        match judged
            .repairs
            .as_ref()
            .and_then(|repairs| repairs.refusal(place))
        {
            Some(refusal) => self
                .message
                .append_value(format!("{}; {refusal}", malformed.message)),
            None => self.message.append_value(&malformed.message),
        }
        self.reasons += 1;
    }

    fn end_row(&mut self) {
        self.reason_counts.push(std::mem::take(&mut self.reasons));
    }

    fn finish(mut self, source: &str, stamp: &Stamp) -> Result<RecordBatch> {
        let rows = self.line.len();
        let same = |text: &str| -> ArrayRef { Arc::new(repeated(text, rows)) };
        let pair: Vec<ArrayRef> = vec![
            Arc::new(self.field_names.finish()),
            Arc::new(self.field_texts.finish()),
        ];
        let entries = map_entries();
        let DataType::Struct(pair_fields) = entries.data_type() else {
            return Err(arrow::error::ArrowError::SchemaError(
                "the entries of a map are a struct".into(),
            )
            .into());
        };
        let fields = MapArray::try_new(
            Arc::clone(&entries),
            OffsetBuffer::from_lengths(self.field_counts),
            StructArray::try_new(pair_fields.clone(), pair, None)?,
            Some(NullBuffer::from(self.has_fields)),
            false,
        )?;
        let parts: Vec<ArrayRef> = [
            self.constraint,
            self.kind,
            self.column,
            self.value,
            self.message,
        ]
        .into_iter()
        .map(|mut builder| Arc::new(builder.finish()) as ArrayRef)
        .collect();
        let reasons = ListArray::try_new(
            reason_item(),
            OffsetBuffer::from_lengths(self.reason_counts),
            Arc::new(StructArray::try_new(reason_fields(), parts, None)?),
            None,
        )?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.row_id.finish()),
            Arc::new(self.raw.finish()),
            Arc::new(self.raw_bytes.finish()),
            same(source),
            Arc::new(Int64Array::from(self.line)),
            Arc::new(fields),
            Arc::new(reasons),
            same(&stamp.flow),
            same(&stamp.run),
            Arc::new(Int64Array::from_value(stamp.epoch, rows)),
            Arc::new(
                TimestampMicrosecondArray::from_value(stamp.time_micros, rows).with_timezone("UTC"),
            ),
            same(HELD),
            Arc::new(Int64Array::new_null(rows)),
            Arc::new(self.note.finish()),
        ];
        Ok(RecordBatch::try_new(quarantine_schema(), columns)?)
    }
}

/// One text in every row, stored once.
fn repeated(text: &str, rows: usize) -> StringViewArray {
    let one = StringViewArray::from_iter_values([text]);
    let (views, buffers, _) = one.into_parts();
    let view = views.first().copied().unwrap_or_default();
    let repeated = vec![view; rows].into();
    // The view is that of a valid array, so it is valid as often as one likes.
    StringViewArray::try_new(repeated, buffers, None)
        .unwrap_or_else(|_| std::iter::repeat_n(Some(text), rows).collect())
}

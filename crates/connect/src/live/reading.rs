//! From records to rows: the values of records are decoded by the readers of files where there is one, so that rows
//! of a stream are coerced, judged and quarantined as those of files are.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewArray, Int32Array, Int64Array, StructArray, TimestampMicrosecondArray,
    UInt32Array, new_null_array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use tracing::debug;

use super::codec::Codec;
use super::fetched::Fetched;
use super::headers::headers_type;
use crate::batch::{BatchNote, Decoded, Piece, RawBatch};
use crate::columns::Plan;
use crate::compression::Compression;
use crate::discover::{Discovered, DiscoveredColumn, Layout, discover_source};
use crate::encoding::Encoding;
use crate::error::{ConnectError, Result};
use crate::formats::{Format, csv, json, typed};
use crate::listing::FileEntry;
use crate::options::ReadOptions;
use crate::reading::Reading;
use crate::source::Source;
use crate::views::constant;

/// What is said of a record without a value.
pub(crate) const NO_VALUE: &str =
    "the record has no value (a tombstone: in a compacted topic it deletes its key)";

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LiveFormat {
    /// As they are: key and value are BINARY columns beside topic, partition, offset, timestamp, headers.
    #[default]
    Raw,
    /// A JSON object.
    Json,
    /// A line of delimited text without header.
    Csv,
    /// Avro, with a Schema Registry or one given schema.
    Avro,
    /// Protocol Buffers, with a Schema Registry or one given `.proto`.
    Protobuf,
}

impl LiveFormat {
    /// The name, as in the option `format`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Avro => "avro",
            Self::Protobuf => "protobuf",
        }
    }

    /// The format of this name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "raw" | "binary" => Self::Raw,
            "json" => Self::Json,
            "csv" | "tsv" => Self::Csv,
            "avro" => Self::Avro,
            "protobuf" | "proto" => Self::Protobuf,
            _ => return None,
        })
    }
}

/// What a partition is called, and its records in messages: "topic payments/0". `kind` is "topic" or "Kafka topic".
#[must_use]
pub fn partition_name(kind: &str, topic: &str, partition: i32) -> String {
    format!("{kind} {topic}/{partition}")
}

/// Everything needed to decode the records of a source. Cheap to clone.
#[derive(Clone)]
pub struct LiveReading {
    format: LiveFormat,
    /// "topic" or "Kafka topic".
    kind: &'static str,
    reading: Reading,
    codec: Option<Arc<dyn Codec>>,
}

impl LiveReading {
    /// Finds out the columns of a stream from a sample of its first records: what the option `schema` says, or else
    /// what is in them. Without records there are no columns, and a note.
    ///
    /// # Errors
    /// If the sample cannot be understood as the format at all.
    pub fn discover(
        format: LiveFormat,
        options: &ReadOptions,
        codec: Option<&dyn Codec>,
        sample: &[Fetched],
    ) -> Result<Discovered> {
        let mut discovered = match (format, codec) {
            (LiveFormat::Json, _) => text_columns(Format::Json, options, sample)?,
            (LiveFormat::Csv, _) => {
                text_columns(Format::Csv, &csv::messages::options(options), sample)?
            }
            (LiveFormat::Raw, _) => described(raw_fields(), "every record has it"),
            (_, Some(codec)) => described(codec.columns(sample)?, "the schema says so"),
            (_, None) => described(Fields::empty(), ""),
        };
        if let Some(declared) = &options.schema {
            discovered.columns = declared
                .iter()
                .map(crate::discover::declared_column)
                .collect();
        } else if sample.iter().all(|fetched| fetched.rows() == 0) && discovered.columns.is_empty()
        {
            discovered.notes =
                vec!["there are no records yet to tell the columns from; declare them".to_owned()];
        }
        Ok(discovered)
    }

    /// Decodes the columns `wanted`, in this order, or without it all that were discovered. `kind` is "topic" or
    /// "Kafka topic", for messages; Avro and Protobuf need their codec.
    #[must_use]
    pub fn new(
        kind: &'static str,
        format: LiveFormat,
        discovered: Arc<Discovered>,
        options: Arc<ReadOptions>,
        wanted: Option<&[String]>,
        codec: Option<Arc<dyn Codec>>,
    ) -> Self {
        Self {
            format,
            kind,
            reading: Reading::new(discovered, options, wanted),
            codec,
        }
    }

    /// What was discovered about the stream.
    #[must_use]
    pub fn discovered(&self) -> &Discovered {
        self.reading.discovered()
    }

    /// The wanted columns' names: the first columns of every batch.
    #[must_use]
    pub fn wanted(&self) -> &[String] {
        self.reading.wanted()
    }

    /// Cuts records into pieces that any thread decodes, in order.
    #[must_use]
    pub fn pieces(&self, fetched: Fetched) -> Vec<LivePiece> {
        let file = Arc::new(FileEntry {
            url: partition_name(self.kind, &fetched.topic, fetched.partition),
            size: 0,
            modified: chrono::DateTime::UNIX_EPOCH,
            partitions: Vec::new(),
        });
        let most = self.reading.options().block_size();
        let piece = |fetched| LivePiece {
            reading: self.clone(),
            file: Arc::clone(&file),
            fetched,
        };
        let cuts = cuts(&fetched, most);
        if cuts.len() == 1 {
            return vec![piece(fetched)];
        }
        let mut from = 0;
        cuts.into_iter()
            .map(|to| piece(fetched.slice(std::mem::replace(&mut from, to), to)))
            .collect()
    }
}

/// Where records are cut into pieces of about `most` bytes: behind which rows.
fn cuts(fetched: &Fetched, most: usize) -> Vec<usize> {
    let rows = fetched.rows();
    let mut cuts = Vec::new();
    let mut from = 0;
    for row in 1..rows {
        let bytes = fetched.values.span(row).0 - fetched.values.span(from).0;
        // Lines of a piece are 32-bit numbers; gaps in offsets may be larger.
        let far = fetched.offsets[row] - fetched.offsets[from] > i64::from(i32::MAX);
        if bytes > most || far {
            cuts.push(row);
            from = row;
        }
    }
    if rows > 0 {
        cuts.push(rows);
    }
    cuts
}

/// The columns of a sample of text.
fn text_columns(format: Format, options: &ReadOptions, sample: &[Fetched]) -> Result<Discovered> {
    let mut text = Vec::new();
    for fetched in sample {
        for row in 0..fetched.rows() {
            let value = fetched.values.get(row).unwrap_or_default();
            let lines = format == Format::Csv && value.contains(&b'\n');
            if text.len() + value.len() < options.sample_size() && !lines && !value.is_empty() {
                text.extend_from_slice(value);
                text.push(b'\n');
            }
        }
    }
    let told = ReadOptions {
        format: Some(format),
        compression: Some(Compression::None),
        encoding: Some(Encoding::Utf8),
        ..options.clone()
    };
    let source = Source::memory("records", text.into(), &told);
    let mut discovered = discover_source(&source, &told)?;
    discovered.notes.clear();
    Ok(discovered)
}

/// Columns that are known.
fn described(fields: Fields, evidence: &str) -> Discovered {
    let column = |field: &Arc<Field>| DiscoveredColumn {
        name: field.name().clone(),
        data_type: field.data_type().clone(),
        nullable: field.is_nullable(),
        evidence: evidence.to_owned(),
    };
    Discovered {
        format: Format::Avro,
        compression: Compression::None,
        encoding: Encoding::Utf8,
        layout: Layout::Typed,
        columns: fields.iter().map(column).collect(),
        notes: Vec::new(),
    }
}

fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The columns of the format raw: `key` and `value` (BINARY), and what [`live_metadata_fields`] has besides.
#[must_use]
pub fn raw_fields() -> Fields {
    let key = Field::new("key", DataType::BinaryView, true);
    let value = Field::new("value", DataType::BinaryView, true);
    let fields = live_metadata_fields();
    let others = fields.iter().filter(|field| field.name() != "key").cloned();
    [Arc::new(key), Arc::new(value)]
        .into_iter()
        .chain(others)
        .collect()
}

/// The fields of `_metadata` of records: `topic`, `partition`, `offset`, `timestamp`, `key`, `headers`.
#[must_use]
pub fn live_metadata_fields() -> Fields {
    Fields::from(vec![
        Field::new("topic", DataType::Utf8View, false),
        Field::new("partition", DataType::Int32, false),
        Field::new("offset", DataType::Int64, false),
        Field::new("timestamp", time_type(), true),
        Field::new("key", DataType::BinaryView, true),
        Field::new("headers", headers_type(), true),
    ])
}

/// Records of one partition that are decoded together.
pub struct LivePiece {
    reading: LiveReading,
    file: Arc<FileEntry>,
    fetched: Fetched,
}

impl LivePiece {
    /// The records.
    #[must_use]
    pub fn fetched(&self) -> &Fetched {
        &self.fetched
    }

    /// The offset of the first record: the line of a row is its offset less this.
    #[must_use]
    pub fn first_offset(&self) -> i64 {
        self.fetched
            .offsets
            .first()
            .copied()
            .unwrap_or(self.fetched.next)
    }

    /// The name of the partition, as quarantined rows and messages show it: "topic payments/3".
    #[must_use]
    pub fn source(&self) -> &str {
        &self.file.url
    }

    /// The `_metadata` of the rows at these lines (as in [`RawBatch::line`]): see [`live_metadata_fields`].
    ///
    /// # Errors
    /// [`ConnectError::Arrow`] if a line is none of the piece's.
    pub fn metadata(&self, lines: &[u32]) -> Result<StructArray> {
        let first = self.first_offset();
        let rows = lines.iter().map(|&line| {
            let offset = first + i64::from(line);
            self.fetched
                .offsets
                .binary_search(&offset)
                .map(|row| row as u32)
                .ok()
        });
        let rows: UInt32Array = rows.collect();
        let fail = |source| ConnectError::Arrow {
            path: self.file.display(),
            source,
        };
        let all = live_metadata_fields();
        let columns = all.iter().map(|field| {
            let column = self.column(field.name());
            take(&column, &rows, None).map_err(fail)
        });
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        StructArray::try_new(all, columns, None).map_err(fail)
    }

    /// A column that every record has.
    fn column(&self, name: &str) -> ArrayRef {
        let fetched = &self.fetched;
        let rows = fetched.rows();
        match name {
            "topic" => constant(Some(&fetched.topic), rows),
            "partition" => Arc::new(Int32Array::from_value(fetched.partition, rows)),
            "offset" => Arc::new(Int64Array::from(fetched.offsets.clone())),
            "timestamp" => {
                let times = fetched.timestamps_ms.iter();
                let times = times.map(|&time| (time >= 0).then(|| time.saturating_mul(1000)));
                let times: TimestampMicrosecondArray = times.collect();
                Arc::new(times.with_timezone("UTC"))
            }
            "key" => match &fetched.keys {
                Some(keys) => Arc::new(keys.to_array()),
                None => Arc::new(BinaryViewArray::new_null(rows)),
            },
            "value" => Arc::new(fetched.values.to_array()),
            _ => match &fetched.headers {
                Some(headers) => Arc::clone(headers),
                None => new_null_array(&headers_type(), rows),
            },
        }
    }

    /// The rows; their lines are places among the records.
    fn rows(&self) -> Result<RawBatch> {
        let (reading, values) = (&self.reading.reading, &self.fetched.values);
        match (self.reading.format, &self.reading.codec) {
            (LiveFormat::Json, _) => json::messages::decode(reading, &self.file, values),
            (LiveFormat::Csv, _) => csv::messages::decode(reading, &self.file, values),
            (LiveFormat::Raw, _) => self.raw(),
            (_, Some(codec)) => {
                let (fields, rows) = codec.decode(&self.file.url, &self.fetched)?;
                let plan = Plan::new(reading, &self.file, fields)?;
                typed::assemble(&plan, &self.file, rows)
            }
            (format, None) => Err(ConnectError::Live {
                source_name: self.file.url.clone(),
                message: format!("there is no schema for the format {}", format.name()),
                help: "give one with schemaRegistry, schemaFile or protoFile".to_owned(),
            }),
        }
    }

    fn raw(&self) -> Result<RawBatch> {
        let fields = raw_fields();
        let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        let plan = Plan::new(&self.reading.reading, &self.file, names)?;
        let columns = typed::needed(&plan)
            .into_iter()
            .map(|at| (at, self.column(fields[at].name())))
            .collect();
        let rows = typed::Rows {
            columns,
            line: (0..self.fetched.rows() as u32).collect(),
            malformed: Vec::new(),
        };
        typed::assemble(&plan, &self.file, rows)
    }
}

impl Piece for LivePiece {
    fn decode(&self, _skip: usize) -> Result<Decoded> {
        let mut batch = self.rows()?;
        let offsets = &self.fetched.offsets;
        let first = self.first_offset();
        let last = offsets.last().map_or(first, |last| last + 1);
        if (last - first) as usize != offsets.len() {
            debug!(source = self.source(), "offsets with gaps");
            number(&mut batch, offsets, first);
        }
        Ok(Decoded {
            batch,
            overrun: 0,
            lines: (last - first) as u64,
        })
    }

    fn bytes(&self) -> u64 {
        self.fetched.bytes() as u64
    }

    fn row_metadata(&self, lines: &[u32]) -> Result<Option<ArrayRef>> {
        Ok(Some(Arc::new(self.metadata(lines)?)))
    }
}

/// Numbers rows by offset, where that is not their place.
fn number(batch: &mut RawBatch, offsets: &[i64], first: i64) {
    let line = |row: usize| (offsets[row] - first) as u32;
    batch
        .line
        .iter_mut()
        .for_each(|row| *row = line(*row as usize));
    for row in &mut batch.malformed {
        row.line = u64::from(line(row.line as usize));
    }
    for note in &mut batch.notes {
        let (BatchNote::DuplicateKeys { first_line, .. }
        | BatchNote::DroppedFields { first_line, .. }) = note;
        *first_line = line(*first_line as usize);
    }
}

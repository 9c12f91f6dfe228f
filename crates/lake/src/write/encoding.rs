//! How columns are encoded: compression, and whether a dictionary pays.
//!
//! A dictionary makes columns of few values small and quick, and costs much where nearly every
//! value is new: each is hashed and stored twice before the encoder gives up. So the first rows of a
//! file are counted, and such columns start without. The numbers: docs/decisions/0006-writing-data-files.md.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use crate::error::LakeError;

/// The property with the compression of data files.
const COMPRESSION: &str = "tidegate.compression";

/// Rows in a row group at most: DataFusion and DuckDB read row groups side by side.
const ROW_GROUP_ROWS: usize = 1 << 20;

/// Encoded bytes in a row group at most; bounds the memory of a writer.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// Values looked at to decide on a dictionary.
const SAMPLE_ROWS: usize = 4096;

/// With more different values than this share of the sample, a dictionary does not pay.
const DISTINCT_SHARE_MAX: f64 = 0.8;

/// How data files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// zstd, level 1: small files, still quick.
    Zstd,
    /// Snappy: quicker to write, larger.
    Snappy,
    /// LZ4: like Snappy.
    Lz4,
    /// Not at all.
    None,
}

impl Codec {
    pub(super) fn from_properties(
        table: &str,
        properties: &BTreeMap<String, String>,
    ) -> Result<Codec, LakeError> {
        let Some(name) = properties.get(COMPRESSION) else {
            return Ok(Codec::Zstd);
        };
        match name.to_ascii_lowercase().as_str() {
            "zstd" => Ok(Codec::Zstd),
            "snappy" => Ok(Codec::Snappy),
            "lz4" => Ok(Codec::Lz4),
            "none" | "uncompressed" => Ok(Codec::None),
            _ => Err(LakeError::Specification {
                table: table.to_owned(),
                reason: format!(
                    "property '{COMPRESSION}' = '{name}' is none of zstd, snappy, lz4, none"
                ),
            }),
        }
    }

    fn compression(self) -> Compression {
        match self {
            Codec::Zstd => Compression::ZSTD(ZstdLevel::default()),
            Codec::Snappy => Compression::SNAPPY,
            Codec::Lz4 => Compression::LZ4_RAW,
            Codec::None => Compression::UNCOMPRESSED,
        }
    }
}

/// The properties of a file that begins with these rows.
pub(super) fn properties(codec: Codec, first: &RecordBatch) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(codec.compression())
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by(concat!("tidegate ", env!("CARGO_PKG_VERSION")).to_owned());
    for path in plain_columns(first) {
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::PLAIN);
    }
    builder.build()
}

/// The leaf columns for which a dictionary does not pay.
fn plain_columns(first: &RecordBatch) -> Vec<ColumnPath> {
    let Ok(schema) = ArrowSchemaConverter::new().convert(first.schema_ref()) else {
        return Vec::new();
    };
    let hasher = RandomState::new();
    let mut plain = Vec::new();
    let mut leaf = 0;
    for column in first.columns() {
        let leaves = leaf_count(column.data_type());
        if leaves == 1 && !column.data_type().is_nested() && !repeats(column, &hasher) {
            plain.push(schema.column(leaf).path().clone());
        }
        leaf += leaves;
    }
    plain
}

fn leaf_count(data_type: &DataType) -> usize {
    match data_type {
        DataType::List(field) | DataType::Map(field, _) => leaf_count(field.data_type()),
        DataType::Struct(fields) => fields
            .iter()
            .map(|field| leaf_count(field.data_type()))
            .sum(),
        _ => 1,
    }
}

/// Whether the values of a column come often enough again, going by its first ones.
fn repeats(column: &ArrayRef, hasher: &RandomState) -> bool {
    let rows = column.len().min(SAMPLE_ROWS);
    let sample = column.slice(0, rows);
    let distinct = match sample.data_type() {
        DataType::Utf8View => {
            let values = sample.as_string_view();
            count(values.iter().flatten().map(|value| hasher.hash_one(value)))
        }
        DataType::BinaryView => {
            let values = sample.as_binary_view();
            count(values.iter().flatten().map(|value| hasher.hash_one(value)))
        }
        DataType::Boolean => return true,
        _ => {
            let data = sample.to_data();
            let Some(width) = sample.data_type().primitive_width() else {
                return true;
            };
            let Some(buffer) = data.buffers().first() else {
                return true;
            };
            let start = data.offset() * width;
            let Some(bytes) = buffer.as_slice().get(start..start + rows * width) else {
                return true;
            };
            count(
                bytes
                    .chunks_exact(width)
                    .map(|value| hasher.hash_one(value)),
            )
        }
    };
    let values = rows - sample.null_count();
    #[expect(clippy::cast_precision_loss, reason = "both are at most SAMPLE_ROWS")]
    let share = distinct as f64 / values.max(1) as f64;
    share <= DISTINCT_SHARE_MAX
}

fn count(hashes: impl Iterator<Item = u64>) -> usize {
    hashes.collect::<HashSet<u64>>().len()
}

//! Parquet: a piece is a row group, or a part of one that would be too large in memory. Only the
//! columns that are wanted are fetched, in as few requests as their places allow. What the footer and the
//! pages say of themselves is checked before the library makes room for it.

mod guard;
mod thrift;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::{Buf, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::reader::{ChunkReader, Length};

use super::typed::{Rows, assemble, contract_type, damaged, guarded, needed, plain};
use crate::batch::{Decoded, Piece};
use crate::columns::{Plan, unique_names};
use crate::discover::{DiscoveredColumn, Found, Layout};
use crate::encoding::Encoding;
use crate::error::Result;
use crate::formats::{Format, FormatReader};
use crate::listing::FileEntry;
use crate::options::ReadOptions;
use crate::reading::{Pieces, Reading, Slice};
use crate::source::Source;

const NAME: &str = "Parquet";
/// The mark at both ends of a file.
const MARK: &[u8] = b"PAR1";
/// Most rows of a piece.
const ROWS_MAX: u64 = 1 << 20;
/// Most uncompressed bytes of a piece, as far as the row group's mean row tells.
const BYTES_MAX: u64 = 128 << 20;
/// Column chunks nearer to each other than this are fetched at once.
const GAP: u64 = 1 << 20;

/// Parquet in the list of formats.
pub(crate) static READER: FormatReader = FormatReader {
    format: Format::Parquet,
    extensions: &["parquet", "parq", "pq"],
    recognises: |head| head.starts_with(MARK),
    discover,
    pieces,
};

fn discover(source: &Source, options: &ReadOptions) -> Result<Found> {
    let source = plain(source, options)?;
    let metadata = guarded(&source.name(), NAME, || read_metadata(&source))?;
    let written: Vec<String> = metadata
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    let (names, notes) = unique_names(written);
    let columns = names
        .into_iter()
        .zip(metadata.schema().fields())
        .map(|(name, field)| DiscoveredColumn {
            name,
            data_type: contract_type(field.data_type()),
            nullable: field.is_nullable(),
            evidence: format!("the file says {}", field.data_type()),
        })
        .collect();
    Ok(Found {
        encoding: Encoding::Utf8,
        layout: Layout::Typed,
        columns,
        notes,
    })
}

fn pieces(reading: &Reading, source: Source, _slice: Slice) -> Result<Pieces> {
    let name = source.name();
    let file = Arc::clone(source.file());
    let source = plain(&source, reading.options())?;
    let metadata = guarded(&name, NAME, || read_metadata(&source))?;
    let written = metadata.schema().fields().iter();
    let (names, _) = unique_names(written.map(|field| field.name().clone()).collect());
    let plan = Plan::new(reading, &file, names)?;
    let roots = needed(&plan);
    let mask = ProjectionMask::roots(metadata.parquet_schema(), roots.iter().copied());
    let shared = Arc::new(Shared {
        name,
        file,
        source,
        metadata,
        plan,
        roots,
        mask,
    });
    let groups = shared.metadata.metadata().num_row_groups();
    let mut parts = (0..groups).flat_map({
        let shared = Arc::clone(&shared);
        move |group| shared.parts(group)
    });
    Ok(Box::new(std::iter::from_fn(move || {
        let (group, rows) = parts.next()?;
        let piece = ParquetPiece {
            shared: Arc::clone(&shared),
            group,
            rows,
        };
        Some(Ok(Box::new(piece) as Box<dyn Piece>))
    })))
}

/// Reads and checks the footer.
fn read_metadata(source: &Source) -> Result<ArrowReaderMetadata> {
    let name = source.name();
    let size = source.size();
    check_marks(source, &name)?;
    let fail = |error: ParquetError| damaged(&name, NAME, format!("its footer: {error}"));
    let footer = read_footer(source, size, &name)?;
    let lies = |error: String| damaged(&name, NAME, format!("its footer: {error}"));
    guard::check_footer(&footer).map_err(lies)?;
    let metadata = ParquetMetaDataReader::decode_metadata(&footer).map_err(fail)?;
    guard::check_groups(&metadata).map_err(lies)?;
    let metadata = Arc::new(metadata);
    let plain = ArrowReaderMetadata::try_new(Arc::clone(&metadata), ArrowReaderOptions::new())
        .map_err(fail)?;
    let views = with_views(plain.schema());
    let options = ArrowReaderOptions::new().with_schema(views);
    Ok(ArrowReaderMetadata::try_new(metadata, options).unwrap_or(plain))
}

/// The bytes of the footer, whose length stands before the mark at the end.
fn read_footer(source: &Source, size: u64, name: &str) -> Result<Bytes> {
    let length = source.read_range(size - 8, size - 4)?;
    let length = length
        .first_chunk()
        .map_or(0, |four| u32::from_le_bytes(*four));
    let Some(start) = (size - 12).checked_sub(u64::from(length)) else {
        let message = format!("its footer is said to have {length} bytes, but the file has {size}");
        return Err(damaged(name, NAME, message));
    };
    source.read_range(start + 4, size - 8)
}

/// A file cut off has its mark at the beginning only.
fn check_marks(source: &Source, name: &str) -> Result<()> {
    let size = source.size();
    let head = source.read_range(0, 4)?;
    let tail = source.read_range(size.saturating_sub(4), size)?;
    if size == 0 {
        return Err(damaged(name, NAME, "the file is empty"));
    }
    if head != MARK && head != b"PARE"[..] {
        return Err(damaged(name, NAME, "it does not begin with the mark PAR1"));
    }
    if head == b"PARE"[..] || tail == b"PARE"[..] {
        return Err(damaged(name, NAME, "its footer is encrypted"));
    }
    if size < 12 || tail != MARK {
        let message = format!(
            "it breaks off after {size} bytes: the mark PAR1 at its end, and the footer that says where its columns are, are missing"
        );
        return Err(damaged(name, NAME, message));
    }
    Ok(())
}

/// The schema with text and bytes as views, so that nothing is copied twice.
fn with_views(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<Arc<Field>> = schema
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => {
                Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View))
            }
            DataType::Binary | DataType::LargeBinary => {
                Arc::new(field.as_ref().clone().with_data_type(DataType::BinaryView))
            }
            _ => Arc::clone(field),
        })
        .collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// What all pieces of a file share.
struct Shared {
    name: String,
    file: Arc<FileEntry>,
    source: Source,
    metadata: ArrowReaderMetadata,
    plan: Plan,
    /// The file's columns that are read.
    roots: Vec<usize>,
    mask: ProjectionMask,
}

impl Shared {
    /// A row group cut into parts that fit into memory.
    fn parts(&self, group: usize) -> Vec<(usize, Range<u64>)> {
        let row_group = self.metadata.metadata().row_group(group);
        let rows = u64::try_from(row_group.num_rows()).unwrap_or(0);
        let bytes = u64::try_from(row_group.total_byte_size()).unwrap_or(0);
        let fitting = BYTES_MAX.saturating_mul(rows) / bytes.max(1);
        // Room is made for values of a fixed width, whether they are there or not.
        let width: u64 = row_group
            .columns()
            .iter()
            .map(|column| u64::try_from(column.column_descr().type_length()).unwrap_or(0))
            .sum();
        let step = fitting
            .clamp(8_192, ROWS_MAX)
            .min(BYTES_MAX / width.max(1))
            .max(1);
        // A file that lies about its rows is found out at its first piece.
        let starts = (0..rows).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        starts
            .take(100_000)
            .map(|from| (group, from..rows.min(from + step)))
            .collect()
    }

    /// Fetches the column chunks of a row group that are read.
    fn fetch(&self, at: usize) -> Result<Arc<Fetched>> {
        let group = self.metadata.metadata().row_group(at);
        let size = self.source.size();
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (leaf, column) in group.columns().iter().enumerate() {
            if self.mask.leaf_included(leaf) {
                let (start, length) = column.byte_range();
                let end = start.saturating_add(length);
                if end > size {
                    let message = format!(
                        "column {} lies at bytes {start} to {end}, but the file has {size}: it is cut or was changed",
                        column.column_path()
                    );
                    return Err(damaged(&self.name, NAME, message));
                }
                ranges.push(start..end);
            }
        }
        ranges.sort_by_key(|range| range.start);
        let mut together: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match together.last_mut() {
                Some(last) if range.start <= last.end.saturating_add(GAP) => {
                    last.end = last.end.max(range.end);
                }
                _ => together.push(range),
            }
        }
        let parts = together
            .into_iter()
            .map(|range| {
                let bytes = self.source.read_range(range.start, range.end)?;
                Ok((range.start, bytes))
            })
            .collect::<Result<_>>()?;
        let fetched = Arc::new(Fetched { parts, size });
        let rows = group.num_rows();
        for (leaf, column) in group.columns().iter().enumerate() {
            if !self.mask.leaf_included(leaf) {
                continue;
            }
            let lies =
                |error: String| damaged(&self.name, NAME, format!("row group {}: {error}", at + 1));
            let (start, length) = column.byte_range();
            let chunk = fetched.get_bytes(start, length as usize);
            let chunk = chunk.map_err(|error| lies(error.to_string()))?;
            if guard::check_pages(column, rows, &chunk).map_err(lies)? {
                guard::check_lengths(column, rows, &fetched).map_err(lies)?;
            }
        }
        Ok(fetched)
    }
}

struct ParquetPiece {
    shared: Arc<Shared>,
    group: usize,
    rows: Range<u64>,
}

impl Piece for ParquetPiece {
    fn bytes(&self) -> u64 {
        let group = self.shared.metadata.metadata().row_group(self.group);
        let rows = u64::try_from(group.num_rows()).unwrap_or(0).max(1);
        let bytes = u64::try_from(group.compressed_size()).unwrap_or(0);
        (bytes as f64 * (self.rows.end - self.rows.start) as f64 / rows as f64) as u64
    }

    fn decode(&self, _skip: usize) -> Result<Decoded> {
        guarded(&self.shared.name, NAME, || self.read())
    }
}

impl ParquetPiece {
    fn read(&self) -> Result<Decoded> {
        let shared = &self.shared;
        let count = self.rows.end - self.rows.start;
        let columns = if shared.roots.is_empty() {
            Vec::new()
        } else {
            self.columns(count as usize)?
        };
        let rows = Rows {
            columns,
            line: (0..count as u32).collect(),
            malformed: Vec::new(),
        };
        Ok(Decoded {
            batch: assemble(&shared.plan, &shared.file, rows)?,
            overrun: 0,
            lines: count,
        })
    }

    /// The columns of these rows, by their place in the file.
    fn columns(&self, count: usize) -> Result<Vec<(usize, ArrayRef)>> {
        let shared = &self.shared;
        let place = || format!("row group {}", self.group + 1);
        let fail = |error: &dyn std::fmt::Display| {
            damaged(&shared.name, NAME, format!("{}: {error}", place()))
        };
        let fetched = shared.fetch(self.group)?;
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(
            Fetched::clone(&fetched),
            shared.metadata.clone(),
        )
        .with_row_groups(vec![self.group])
        .with_projection(shared.mask.clone())
        .with_offset(usize::try_from(self.rows.start).unwrap_or(usize::MAX))
        .with_limit(count)
        .with_batch_size(count)
        .build()
        .map_err(|error| fail(&error))?;
        let schema = arrow::array::RecordBatchReader::schema(&reader);
        let batches: Vec<RecordBatch> = reader
            .collect::<Result<_, _>>()
            .map_err(|error| fail(&error))?;
        let batch = match <[RecordBatch; 1]>::try_from(batches) {
            Ok([batch]) => batch,
            Err(batches) => concat_batches(&schema, &batches).map_err(|error| fail(&error))?,
        };
        if batch.num_rows() != count {
            let message = format!(
                "{} holds {} rows where the footer promises {count}",
                place(),
                batch.num_rows()
            );
            return Err(damaged(&shared.name, NAME, message));
        }
        Ok(shared
            .roots
            .iter()
            .copied()
            .zip(batch.columns().iter().cloned())
            .collect())
    }
}

/// Parts of a file in memory.
#[derive(Clone)]
struct Fetched {
    parts: Vec<(u64, Bytes)>,
    size: u64,
}

impl Fetched {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let holds = |(at, bytes): &&(u64, Bytes)| *at <= start && start < at + bytes.len() as u64;
        let (at, bytes) = self.parts.iter().find(holds).ok_or_else(|| {
            ParquetError::EOF(format!("byte {start} is outside the column's own place"))
        })?;
        Ok(bytes.slice((start - at) as usize..))
    }
}

impl Length for Fetched {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Fetched {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!(
                "{length} bytes wanted at {start}, {} there",
                bytes.len()
            )));
        }
        Ok(bytes.slice(..length))
    }
}

#[cfg(test)]
pub(crate) mod damage;
#[cfg(test)]
pub(crate) mod tests;

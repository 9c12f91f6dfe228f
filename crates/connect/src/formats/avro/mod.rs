//! Avro object container files: a piece is a run of blocks. Blocks are unpacked and gone through here,
//! by the file's own schema, before `arrow-avro` decodes them: it trusts what it reads.

mod codec;
mod container;
pub(crate) mod records;
mod schema;
mod walk;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::concat_batches;
use arrow_avro::reader::ReaderBuilder;

use self::container::{Block, Header, Run, Stream, next_run};
use super::typed::{Rows, assemble, contract_type, damaged, guarded, needed};
use crate::batch::{Decoded, Piece};
use crate::columns::{Plan, unique_names};
use crate::discover::{DiscoveredColumn, Found, Layout};
use crate::encoding::Encoding;
use crate::error::{ConnectError, Result};
use crate::formats::{Format, FormatReader};
use crate::listing::FileEntry;
use crate::options::ReadOptions;
use crate::reading::{Pieces, Reading, Slice};
use crate::source::Source;

const NAME: &str = "Avro";
const MARK: &[u8] = b"Obj\x01";
/// Most memory that the rows of a piece may take, and most bytes they may be unpacked to.
const MEMORY_MAX: u64 = 1 << 30;

/// Avro in the list of formats.
pub(crate) static READER: FormatReader = FormatReader {
    format: Format::Avro,
    extensions: &["avro"],
    recognises: |head| head.starts_with(MARK),
    discover,
    pieces,
};

fn discover(source: &Source, _options: &ReadOptions) -> Result<Found> {
    let name = source.name();
    let mut stream = Stream::new(source)?;
    let header = guarded(&name, NAME, || Header::read(&mut stream, &name))?;
    let written = header.columns.fields().iter();
    let (names, notes) = unique_names(written.map(|field| field.name().clone()).collect());
    let columns = names
        .into_iter()
        .zip(header.columns.fields())
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
    let mut stream = Stream::new(&source)?;
    let header = guarded(&name, NAME, || Header::read(&mut stream, &name))?;
    let written = header.columns.fields().iter();
    let (names, _) = unique_names(written.map(|field| field.name().clone()).collect());
    let plan = Plan::new(reading, source.file(), names)?;
    let shared = Arc::new(Shared {
        name,
        file: Arc::clone(source.file()),
        header,
        columns: needed(&plan),
        plan,
    });
    let size = reading.options().block_size();
    Ok(Box::new(std::iter::from_fn(move || {
        let run = match next_run(&mut stream, &shared.header, &shared.name, size) {
            Ok(run) => run?,
            Err(error) => return Some(Err(error)),
        };
        let piece = AvroPiece {
            shared: Arc::clone(&shared),
            run,
        };
        Some(Ok(Box::new(piece) as Box<dyn Piece>))
    })))
}

struct Shared {
    name: String,
    file: Arc<FileEntry>,
    header: Header,
    plan: Plan,
    /// The file's columns that are read.
    columns: Vec<usize>,
}

struct AvroPiece {
    shared: Arc<Shared>,
    run: Run,
}

impl Piece for AvroPiece {
    fn bytes(&self) -> u64 {
        self.run.bytes.len() as u64
    }

    fn decode(&self, _skip: usize) -> Result<Decoded> {
        guarded(&self.shared.name, NAME, || self.read())
    }
}

impl AvroPiece {
    fn read(&self) -> Result<Decoded> {
        let shared = &self.shared;
        let rows = Rows {
            columns: self.columns(&self.unpacked()?)?,
            line: (0..self.run.rows as u32).collect(),
            malformed: Vec::new(),
        };
        Ok(Decoded {
            batch: assemble(&shared.plan, &shared.file, rows)?,
            overrun: 0,
            lines: self.run.rows,
        })
    }

    /// The rows of all blocks, one behind the other: complete, and small enough for memory.
    fn unpacked(&self) -> Result<Vec<u8>> {
        let header = &self.shared.header;
        let (mut bytes, mut memory) = (Vec::new(), 0);
        for block in &self.run.blocks {
            let from = bytes.len();
            let packed = &self.run.bytes[block.content.clone()];
            let most = (MEMORY_MAX as usize).saturating_sub(from);
            codec::decompress(header.codec, packed, &mut bytes, most)
                .map_err(|error| self.broken(block, &error))?;
            memory += walk::check(
                &header.schema.row,
                block.rows,
                &bytes[from..],
                MEMORY_MAX.saturating_sub(memory),
            )
            .map_err(|fault| {
                let field = match fault.field.as_str() {
                    "" => String::new(),
                    field => format!(", field {field}"),
                };
                let message = format!("row {} of it{field}: {}", fault.row + 1, fault.message);
                self.broken(block, &message)
            })?;
        }
        Ok(bytes)
    }

    fn broken(&self, block: &Block, message: &str) -> ConnectError {
        let message = format!("the block at byte {}: {message}", block.place);
        damaged(&self.shared.name, NAME, message)
    }

    /// The columns that are read, by their place in the file.
    fn columns(&self, bytes: &[u8]) -> Result<Vec<(usize, ArrayRef)>> {
        let (shared, rows) = (&self.shared, self.run.rows as usize);
        let wanted = shared.columns.iter().copied();
        if shared.columns.is_empty() || bytes.is_empty() {
            // Rows that take no bytes hold nothing.
            let fields = shared.header.columns.fields();
            let empty = |at: usize| (at, new_null_array(fields[at].data_type(), rows));
            return Ok(wanted.map(empty).collect());
        }
        let place = self.run.blocks.first().map_or(0, |block| block.place);
        let fail = |error: &dyn std::fmt::Display| {
            let message = format!("the blocks from byte {place} on: {error}");
            damaged(&shared.name, NAME, message)
        };
        let mut reader = ReaderBuilder::new().with_batch_size(rows);
        if shared.columns.len() < shared.plan.slots.len() {
            reader = reader.with_projection(shared.columns.clone());
        }
        let reader = reader
            .build(shared.header.framed(self.run.rows, bytes))
            .map_err(|error| fail(&error))?;
        let schema = reader.schema();
        let batches: Vec<RecordBatch> = reader
            .collect::<Result<_, _>>()
            .map_err(|error| fail(&error))?;
        let batch = concat_batches(&schema, &batches).map_err(|error| fail(&error))?;
        if batch.num_rows() != rows {
            let message = format!("they hold {} rows, not {rows}", batch.num_rows());
            return Err(fail(&message));
        }
        Ok(wanted.zip(batch.columns().iter().cloned()).collect())
    }
}

#[cfg(test)]
pub(crate) mod damage;
#[cfg(test)]
mod tests;

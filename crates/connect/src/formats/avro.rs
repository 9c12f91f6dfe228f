//! Avro object container files: a piece is a run of blocks. The framing (header, block lengths, sync
//! marks) is read here, so that a file is streamed and a cut one is known for what it is; the rows
//! inside are decoded by `arrow-avro`.

use std::io::{Cursor, Read};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow_avro::reader::{ReaderBuilder, read_header_info};

use super::typed::{Rows, assemble, contract_type, damaged, guarded, needed};
use crate::batch::{Decoded, Piece};
use crate::columns::{Plan, unique_names};
use crate::compression::Decompressor;
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
/// Longest header that is looked for.
const HEADER_MAX: usize = 16 << 20;
/// Longest block that is taken.
const BLOCK_MAX: u64 = 1 << 30;
/// Most rows that a block may claim for each of its bytes: an empty record takes none, but then the
/// number of rows cannot be checked.
const ROWS_MAX: u64 = 1 << 24;
const SYNC: usize = 16;

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
    let written = header.schema.fields().iter();
    let (names, notes) = unique_names(written.map(|field| field.name().clone()).collect());
    let columns = names
        .into_iter()
        .zip(header.schema.fields())
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
    let written = header.schema.fields().iter();
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
        let run = match next_run(&mut stream, &shared, size) {
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

/// The file's bytes in order.
struct Stream {
    reader: Decompressor,
    buffer: Vec<u8>,
    /// How much of the buffer was taken.
    taken: usize,
    /// Where in the (decompressed) file the buffer begins.
    place: u64,
    /// Why there is nothing behind the buffer.
    ended: Option<ConnectError>,
    /// An error that lies behind complete blocks: they are given first.
    late: Option<ConnectError>,
}

impl Stream {
    fn new(source: &Source) -> Result<Self> {
        Ok(Self {
            reader: source.decompressed()?,
            buffer: Vec::new(),
            taken: 0,
            place: 0,
            ended: None,
            late: None,
        })
    }

    /// What is in the buffer and not taken.
    fn rest(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    /// Where in the file the rest begins.
    fn position(&self) -> u64 {
        self.place + self.taken as u64
    }

    /// Whether the rest is, or could be made, of `length` bytes.
    fn fill(&mut self, length: usize) -> Result<bool> {
        if self.rest().len() >= length {
            return Ok(true);
        }
        self.buffer.drain(..self.taken);
        self.place += self.taken as u64;
        self.taken = 0;
        if self.ended.is_none() {
            let wanted = (length - self.buffer.len()).max(1 << 20);
            self.ended = self.reader.fill(&mut self.buffer, wanted).err();
        }
        match self.ended.take() {
            Some(error) if self.buffer.len() < length => Err(error),
            ended => {
                self.ended = ended;
                Ok(self.buffer.len() >= length)
            }
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let from = self.taken;
        self.taken = (from + length).min(self.buffer.len());
        self.buffer[from..self.taken].to_vec()
    }

    /// A zigzag number at `at` in the buffer, with the bytes it takes.
    fn number(&mut self, at: usize) -> Result<Option<(i64, usize)>> {
        let mut value = 0_u64;
        for length in 0..10 {
            if !self.fill(at + length + 1)? {
                return Ok(None);
            }
            let byte = self.rest()[at + length];
            value |= u64::from(byte & 0x7f) << (7 * length).min(63);
            if byte & 0x80 == 0 {
                let number = (value >> 1) as i64 ^ -((value & 1) as i64);
                return Ok(Some((number, length + 1)));
            }
        }
        Ok(None)
    }
}

struct Header {
    /// The header as written.
    bytes: Vec<u8>,
    sync: [u8; SYNC],
    schema: SchemaRef,
}

impl Header {
    fn read(stream: &mut Stream, name: &str) -> Result<Self> {
        let mut wanted = 64 << 10;
        loop {
            let enough = stream.fill(wanted)?;
            if stream.rest().is_empty() {
                return Err(damaged(name, NAME, "the file is empty"));
            }
            if !stream.rest().starts_with(MARK) {
                return Err(damaged(name, NAME, "it does not begin with the mark Obj 1"));
            }
            match read_header_info(stream.rest()) {
                Ok(info) => {
                    let length = usize::try_from(info.header_len()).unwrap_or(usize::MAX);
                    let bytes = stream.take(length);
                    let reader = builder().build(Cursor::new(&bytes));
                    let schema = reader
                        .map_err(|error| damaged(name, NAME, format!("its schema: {error}")))?
                        .schema();
                    return Ok(Self {
                        bytes,
                        sync: info.sync(),
                        schema,
                    });
                }
                Err(error) if !enough || wanted >= HEADER_MAX => {
                    return Err(damaged(name, NAME, format!("its header: {error}")));
                }
                Err(_) => wanted *= 4,
            }
        }
    }
}

fn builder() -> ReaderBuilder {
    ReaderBuilder::new().with_utf8_view(true)
}

/// A run of blocks.
struct Run {
    /// The blocks as written.
    bytes: Vec<u8>,
    rows: u64,
    /// Where in the file the first of them begins, for messages.
    place: u64,
}

/// The next blocks, about `size` bytes of them; an error behind complete blocks comes after them.
fn next_run(stream: &mut Stream, shared: &Shared, size: usize) -> Result<Option<Run>> {
    if let Some(late) = stream.late.take() {
        return Err(late);
    }
    let mut run = Run {
        bytes: Vec::new(),
        rows: 0,
        place: stream.position(),
    };
    while run.bytes.len() < size && run.rows < ROWS_MAX / 16 {
        match next_block(stream, shared) {
            Ok(Some((rows, mut block))) => {
                run.rows += rows;
                run.bytes.append(&mut block);
            }
            Ok(None) => break,
            Err(error) if run.rows > 0 => {
                stream.late = Some(error);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((run.rows > 0).then_some(run))
}

/// The next block with its rows; `None` at the end of the file.
fn next_block(stream: &mut Stream, shared: &Shared) -> Result<Option<(u64, Vec<u8>)>> {
    if !stream.fill(1)? {
        return Ok(None);
    }
    let place = stream.position();
    let broken = |message: String| {
        damaged(
            &shared.name,
            NAME,
            format!("the block at byte {place} {message}; rows before it were read"),
        )
    };
    let cut = || broken("breaks off: the file is cut".to_owned());
    let (rows, first) = stream.number(0)?.ok_or_else(cut)?;
    let (length, second) = stream.number(first)?.ok_or_else(cut)?;
    let (Ok(rows), Ok(length)) = (u64::try_from(rows), u64::try_from(length)) else {
        return Err(broken("has a negative length".to_owned()));
    };
    if length > BLOCK_MAX || rows > ROWS_MAX {
        return Err(broken(format!("claims {rows} rows in {length} bytes")));
    }
    let whole = first + second + length as usize + SYNC;
    if !stream.fill(whole)? {
        return Err(cut());
    }
    if stream.rest()[whole - SYNC..whole] != shared.header.sync {
        return Err(broken("does not end with the file's sync mark".to_owned()));
    }
    Ok(Some((rows, stream.take(whole))))
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
        let columns = if shared.columns.is_empty() {
            Vec::new()
        } else {
            self.columns()?
        };
        let rows = Rows {
            columns,
            line: (0..self.run.rows as u32).collect(),
            malformed: Vec::new(),
        };
        Ok(Decoded {
            batch: assemble(&shared.plan, &shared.file, rows)?,
            overrun: 0,
            lines: self.run.rows,
        })
    }

    /// The columns that are read, by their place in the file.
    fn columns(&self) -> Result<Vec<(usize, ArrayRef)>> {
        let shared = &self.shared;
        let fail = |error: &dyn std::fmt::Display| {
            let message = format!("the blocks from byte {} on: {error}", self.run.place);
            damaged(&shared.name, NAME, message)
        };
        let header = Cursor::new(shared.header.bytes.as_slice());
        let bytes = header.chain(Cursor::new(self.run.bytes.as_slice()));
        let mut reader = builder().with_batch_size(self.run.rows as usize);
        if shared.columns.len() < shared.plan.slots.len() {
            reader = reader.with_projection(shared.columns.clone());
        }
        let reader = reader
            .build(std::io::BufReader::new(bytes))
            .map_err(|error| fail(&error))?;
        let schema = reader.schema();
        let batches: Vec<RecordBatch> = reader
            .collect::<Result<_, _>>()
            .map_err(|error| fail(&error))?;
        let batch = concat_batches(&schema, &batches).map_err(|error| fail(&error))?;
        if batch.num_rows() as u64 != self.run.rows {
            let message = format!(
                "they hold {} rows where they promise {}",
                batch.num_rows(),
                self.run.rows
            );
            return Err(fail(&message));
        }
        let columns = shared.columns.iter().copied();
        Ok(columns.zip(batch.columns().iter().cloned()).collect())
    }
}

#[cfg(test)]
mod tests;

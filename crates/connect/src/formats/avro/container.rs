//! The framing of a file: its header, and blocks with their lengths and sync marks, which are read here
//! so that a file is streamed, a cut one is known for what it is, and no length is believed that the
//! file cannot hold.

use std::io::{BufRead, Cursor, Read};
use std::ops::Range;

use arrow::datatypes::SchemaRef;
use arrow_avro::compression::CompressionCodec;
use arrow_avro::reader::{ReaderBuilder, read_header_info};

use super::schema::Schema;
use super::walk::zigzag;
use super::{MARK, NAME};
use crate::compression::{Compression, Decompressor};
use crate::error::{ConnectError, Result};
use crate::formats::typed::damaged;
use crate::source::Source;

/// Longest header that is looked for.
const HEADER_MAX: usize = 16 << 20;
/// Longest block that is taken.
const BLOCK_MAX: u64 = 1 << 30;
/// Most rows that a block may claim.
const ROWS_MAX: u64 = 1 << 24;
/// Most rows of a run of blocks.
const RUN_ROWS_MAX: u64 = 1 << 20;
const SYNC: usize = 16;

/// The file's bytes in order.
pub(super) struct Stream {
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
    /// How long the file is, where that is known.
    size: Option<u64>,
}

impl Stream {
    pub(super) fn new(source: &Source) -> Result<Self> {
        Ok(Self {
            reader: source.decompressed()?,
            buffer: Vec::new(),
            taken: 0,
            place: 0,
            ended: None,
            late: None,
            size: (source.compression() == Compression::None).then(|| source.size()),
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

    fn take(&mut self, length: usize) {
        self.taken = self.taken.saturating_add(length).min(self.buffer.len());
    }

    /// A zigzag number at `at` in the buffer, with the bytes it takes.
    fn number(&mut self, at: usize) -> Result<Option<(i64, usize)>> {
        for length in 1..=10 {
            if !self.fill(at + length)? {
                return Ok(None);
            }
            if let Some(number) = zigzag(&self.rest()[at..]) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }
}

/// What a file's header says.
pub(super) struct Header {
    pub codec: Option<CompressionCodec>,
    pub schema: Schema,
    /// The schema of the columns.
    pub columns: SchemaRef,
    sync: [u8; SYNC],
}

impl Header {
    /// Reads the header at the beginning of a stream.
    pub(super) fn read(stream: &mut Stream, name: &str) -> Result<Self> {
        let mut wanted = 64 << 10;
        let fail = |message: String| damaged(name, NAME, message);
        let info = loop {
            let enough = stream.fill(wanted)?;
            if stream.rest().is_empty() {
                return Err(fail("the file is empty".to_owned()));
            }
            if !stream.rest().starts_with(MARK) {
                return Err(fail("it does not begin with the mark Obj 1".to_owned()));
            }
            match read_header_info(stream.rest()) {
                Ok(info) => break info,
                Err(error) if !enough || wanted >= HEADER_MAX => {
                    return Err(fail(format!("its header: {error}")));
                }
                Err(_) => wanted *= 4,
            }
        };
        stream.take(usize::try_from(info.header_len()).unwrap_or(usize::MAX));
        let header = |error: &dyn std::fmt::Display| fail(format!("its header: {error}"));
        let codec = info.compression().map_err(|error| header(&error))?;
        let written = info.writer_schema().map_err(|error| header(&error))?;
        let unfit = |error: &dyn std::fmt::Display| fail(format!("its schema: {error}"));
        let schema = Schema::parse(&written.json_string).map_err(|error| unfit(&error))?;
        Ok(Self {
            codec,
            sync: info.sync(),
            ..Self::of(schema).map_err(|error| unfit(&error))?
        })
    }

    /// A header for records that stand alone; the error says what of the schema cannot be read.
    pub(super) fn of(schema: Schema) -> Result<Self, String> {
        let mut header = Self {
            codec: None,
            schema,
            columns: SchemaRef::new(arrow::datatypes::Schema::empty()),
            sync: [7; SYNC],
        };
        let reader = ReaderBuilder::new().build(header.framed(0, &[]));
        header.columns = reader.map_err(|error| error.to_string())?.schema();
        Ok(header)
    }

    /// A file of one block that is not compressed.
    pub(super) fn framed<'a>(&self, rows: u64, bytes: &'a [u8]) -> impl BufRead + use<'a> {
        const KEY: &[u8] = b"avro.schema";
        let json = &self.schema.json;
        let mut before = [MARK, &number(1), &number(KEY.len()), KEY].concat();
        before.extend([&number(json.len()), json.as_slice(), &number(0), &self.sync].concat());
        let mut after = Vec::new();
        if rows > 0 {
            before.extend([number(rows as usize), number(bytes.len())].concat());
            after.extend(self.sync);
        }
        Cursor::new(before)
            .chain(Cursor::new(bytes))
            .chain(Cursor::new(after))
    }
}

/// A number as it stands in a file.
fn number(number: usize) -> Vec<u8> {
    let mut rest = (number as u64) << 1;
    let mut bytes = Vec::new();
    while rest > 0x7f {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// A run of blocks.
pub(super) struct Run {
    /// The blocks as written.
    pub bytes: Vec<u8>,
    pub blocks: Vec<Block>,
    pub rows: u64,
}

/// One block.
pub(super) struct Block {
    pub rows: u64,
    /// Where in the file it begins, for messages.
    pub place: u64,
    /// Its content, in the bytes of the run.
    pub content: Range<usize>,
}

/// The next blocks, about `size` bytes of them; an error behind complete blocks comes after them.
pub(super) fn next_run(
    stream: &mut Stream,
    header: &Header,
    name: &str,
    size: usize,
) -> Result<Option<Run>> {
    if let Some(late) = stream.late.take() {
        return Err(late);
    }
    // What is compressed is small here and large there.
    let size = if header.codec.is_some() {
        size / 8
    } else {
        size
    };
    let mut run = Run {
        bytes: Vec::new(),
        blocks: Vec::new(),
        rows: 0,
    };
    while run.bytes.len() < size.max(1) && run.rows < RUN_ROWS_MAX {
        match next_block(stream, header, name, &mut run) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) if run.rows > 0 => {
                stream.late = Some(error);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((run.rows > 0).then_some(run))
}

/// Puts the next block to the run; false at the end of the file.
fn next_block(stream: &mut Stream, header: &Header, name: &str, run: &mut Run) -> Result<bool> {
    if !stream.fill(1)? {
        return Ok(false);
    }
    let place = stream.position();
    let broken = |message: String| {
        let message = format!("the block at byte {place} {message}; rows before it were read");
        damaged(name, NAME, message)
    };
    let cut = || broken("breaks off: the file is cut".to_owned());
    let (rows, first) = stream.number(0)?.ok_or_else(cut)?;
    let (length, second) = stream.number(first)?.ok_or_else(cut)?;
    let (Ok(rows), Ok(length)) = (u64::try_from(rows), u64::try_from(length)) else {
        return Err(broken("has a negative length".to_owned()));
    };
    if length > BLOCK_MAX || rows > ROWS_MAX || (length == 0 && rows > RUN_ROWS_MAX) {
        return Err(broken(format!("claims {rows} rows in {length} bytes")));
    }
    let frame = first + second;
    let whole = frame + length as usize + SYNC;
    if stream.size.is_some_and(|size| place + whole as u64 > size) || !stream.fill(whole)? {
        return Err(cut());
    }
    if stream.rest()[whole - SYNC..whole] != header.sync {
        return Err(broken("does not end with the file's sync mark".to_owned()));
    }
    let from = run.bytes.len();
    run.bytes
        .extend_from_slice(&stream.rest()[frame..whole - SYNC]);
    stream.take(whole);
    run.rows += rows;
    run.blocks.push(Block {
        rows,
        place,
        content: from..run.bytes.len(),
    });
    Ok(true)
}

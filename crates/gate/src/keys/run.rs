//! Keys in the temporary folder: a sorted run, which is never changed.
//!
//! Before a run is read, a blocked Bloom filter (Putze, Sanders and Singler, "Cache-, Hash- and
//! Space-Efficient Bloom Filters") says for almost every new key that it is not there; for the others
//! the fences (the first key of each page) say which page to read.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Keys of a page.
const PAGE_KEYS: usize = 256;

/// Bytes of a key.
const KEY_BYTES: usize = 16;

/// Bytes written or read at a time when a run is made.
const BUFFER_BYTES: usize = 1 << 18;

/// A sorted run of keys.
#[derive(Debug)]
pub(super) struct Run {
    file: File,
    keys: u64,
    fences: Vec<u128>,
    filter: Filter,
    page: Vec<u128>,
    page_number: usize,
}

impl Run {
    /// Writes keys, which are in order and each there once.
    pub(super) fn write(keys: &[u128], folder: &Path, filter_bits: u64) -> io::Result<Self> {
        let mut writer = Writer::new(folder, keys.len() as u64, filter_bits)?;
        for key in keys {
            writer.push(*key)?;
        }
        writer.finish()
    }

    /// Writes the keys of several runs, none of which shares a key with another, as one.
    pub(super) fn merge(runs: &mut [Self], folder: &Path, filter_bits: u64) -> io::Result<Self> {
        let keys = runs.iter().map(Self::len).sum();
        let mut writer = Writer::new(folder, keys, filter_bits)?;
        let mut cursors = Vec::with_capacity(runs.len());
        for run in runs {
            cursors.push(RunCursor::new(run)?);
        }
        loop {
            let next = cursors
                .iter_mut()
                .filter(|cursor| cursor.next.is_some())
                .min_by_key(|cursor| cursor.next);
            let Some(cursor) = next else { break };
            if let Some(key) = cursor.next {
                writer.push(key)?;
            }
            cursor.advance()?;
        }
        writer.finish()
    }

    pub(super) fn len(&self) -> u64 {
        self.keys
    }

    pub(super) fn memory_bytes(&self) -> usize {
        (self.fences.len() + self.page.capacity()) * KEY_BYTES + self.filter.words.len() * 8
    }

    /// Whether a key is there.
    pub(super) fn contains(&mut self, key: u128) -> io::Result<bool> {
        if !self.filter.may_contain(key) {
            return Ok(false);
        }
        let Some(page) = self
            .fences
            .partition_point(|fence| *fence <= key)
            .checked_sub(1)
        else {
            return Ok(false);
        };
        if self.page_number != page {
            self.read_page(page)?;
        }
        Ok(self.page.binary_search(&key).is_ok())
    }

    fn read_page(&mut self, page: usize) -> io::Result<()> {
        let first = (page * PAGE_KEYS) as u64;
        let count = (self.keys - first).min(PAGE_KEYS as u64) as usize;
        let mut bytes = [0; PAGE_KEYS * KEY_BYTES];
        let bytes = &mut bytes[..count * KEY_BYTES];
        self.page_number = usize::MAX;
        self.file.seek(SeekFrom::Start(first * KEY_BYTES as u64))?;
        self.file.read_exact(bytes)?;
        self.page.clear();
        self.page.extend(bytes.chunks_exact(KEY_BYTES).map(key_of));
        self.page_number = page;
        Ok(())
    }
}

fn key_of(bytes: &[u8]) -> u128 {
    bytes.try_into().map_or(0, u128::from_le_bytes)
}

/// Writes a run, key by key.
struct Writer {
    output: BufWriter<File>,
    keys: u64,
    fences: Vec<u128>,
    filter: Filter,
}

impl Writer {
    fn new(folder: &Path, keys: u64, filter_bits: u64) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder)?;
        Ok(Self {
            output: BufWriter::with_capacity(BUFFER_BYTES, file),
            keys: 0,
            fences: Vec::with_capacity(keys as usize / PAGE_KEYS + 1),
            filter: Filter::new(keys, filter_bits),
        })
    }

    fn push(&mut self, key: u128) -> io::Result<()> {
        if self.keys.is_multiple_of(PAGE_KEYS as u64) {
            self.fences.push(key);
        }
        self.keys += 1;
        self.filter.insert(key);
        self.output.write_all(&key.to_le_bytes())
    }

    fn finish(self) -> io::Result<Run> {
        let file = self
            .output
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        let (keys, fences, filter) = (self.keys, self.fences, self.filter);
        Ok(Run {
            file,
            keys,
            fences,
            filter,
            page: Vec::with_capacity(PAGE_KEYS),
            page_number: usize::MAX,
        })
    }
}

/// Reads a run from its beginning.
struct RunCursor<'r> {
    input: io::BufReader<&'r mut File>,
    left: u64,
    next: Option<u128>,
}

impl<'r> RunCursor<'r> {
    fn new(run: &'r mut Run) -> io::Result<Self> {
        run.page_number = usize::MAX;
        run.file.seek(SeekFrom::Start(0))?;
        let input = io::BufReader::with_capacity(BUFFER_BYTES, &mut run.file);
        let mut cursor = Self {
            input,
            left: run.keys,
            next: None,
        };
        cursor.advance()?;
        Ok(cursor)
    }

    fn advance(&mut self) -> io::Result<()> {
        self.next = None;
        if self.left > 0 {
            let mut bytes = [0; KEY_BYTES];
            self.input.read_exact(&mut bytes)?;
            self.next = Some(u128::from_le_bytes(bytes));
            self.left -= 1;
        }
        Ok(())
    }
}

/// A Bloom filter whose bits for one key lie in one block of 512.
#[derive(Debug)]
struct Filter {
    words: Vec<u64>,
}

/// Words of a block.
const BLOCK_WORDS: usize = 8;

impl Filter {
    /// For so many keys with so many bits each; with none it lets every key through.
    fn new(keys: u64, bits: u64) -> Self {
        let blocks = (keys * bits).div_ceil(512) as usize;
        Self {
            words: vec![0; blocks * BLOCK_WORDS],
        }
    }

    /// The block of a key, and the bits in it: six of nine bits each.
    fn places(&self, key: u128) -> (usize, impl Iterator<Item = usize> + use<>) {
        let (low, high) = (key as u64, (key >> 64) as u64);
        let blocks = (self.words.len() / BLOCK_WORDS) as u128;
        // The top bits of `high` order the run; the block comes from `low`, the bits from both.
        let block = ((u128::from(low) * blocks) >> 64) as usize;
        let bits = low.rotate_left(32) ^ high;
        (
            block * BLOCK_WORDS,
            (0..6).map(move |place| (bits >> (place * 9)) as usize & 511),
        )
    }

    fn insert(&mut self, key: u128) {
        if self.words.is_empty() {
            return;
        }
        let (block, places) = self.places(key);
        for place in places {
            self.words[block + place / 64] |= 1 << (place % 64);
        }
    }

    fn may_contain(&self, key: u128) -> bool {
        if self.words.is_empty() {
            return true;
        }
        let (block, mut places) = self.places(key);
        places.all(|place| self.words[block + place / 64] & (1 << (place % 64)) != 0)
    }
}

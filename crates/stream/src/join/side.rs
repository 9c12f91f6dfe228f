//! One side of a join: its rows in generations, each with an index by key.
//!
//! Rows are only ever added to the newest generation, and a generation is dropped as a whole when all
//! its rows are out of time; so no index is ever rebuilt, but for generations that are put together at a
//! checkpoint because they are small.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows};
use datafusion::physical_expr::PhysicalExpr;
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::clock::AFTER_ALL;
use crate::columns::{arrays, fitted, owned};
use crate::error::{Result, StreamError};
use crate::shard::{SHARDS, shards_of};
use crate::window::times;

/// Rows in the newest generation, at least, before another is begun.
const GENERATION_ROWS: usize = 16_384;
/// No row.
const NONE: u32 = u32::MAX;

/// How rows of a side are read.
pub(crate) struct SideKeys {
    pub(crate) keys: Vec<Arc<dyn PhysicalExpr>>,
    pub(crate) converter: Arc<RowConverter>,
    /// The time by which its rows are dropped; none keeps them.
    pub(crate) time: Option<Arc<dyn PhysicalExpr>>,
    pub(crate) schema: SchemaRef,
    pub(crate) hasher: DefaultHashBuilder,
}

/// Rows of a batch with their keys.
pub(crate) struct Keyed {
    pub(crate) batch: RecordBatch,
    rows: Rows,
    /// Rows whose key has no NULL.
    valid: Option<NullBuffer>,
    hashes: Vec<u64>,
    pub(crate) times: Vec<i64>,
}

impl Keyed {
    /// Whether the key has no NULL, so that it can equal another.
    pub(crate) fn can_match(&self, row: usize) -> bool {
        self.valid.as_ref().is_none_or(|valid| valid.is_valid(row))
    }
}

impl SideKeys {
    /// Computes the keys of a batch; rows without a time are never out of time.
    pub(crate) fn read(&self, batch: &RecordBatch) -> Result<Keyed> {
        let keys = arrays(&self.keys, batch)?;
        let rows = self.converter.convert_columns(&keys)?;
        let valid = keys
            .iter()
            .filter_map(|key: &ArrayRef| key.logical_nulls())
            .fold(None, |all, one| NullBuffer::union(all.as_ref(), Some(&one)));
        let hashes = rows.iter().map(|row| self.hasher.hash_one(row.data()));
        let times = match &self.time {
            Some(time) => {
                let times = times(time, batch)?;
                times.iter().map(|time| time.unwrap_or(AFTER_ALL)).collect()
            }
            None => vec![AFTER_ALL; batch.num_rows()],
        };
        Ok(Keyed {
            hashes: hashes.collect(),
            rows,
            valid,
            times,
            batch: batch.clone(),
        })
    }
}

/// Rows and their index.
#[derive(Default)]
pub(crate) struct Generation {
    batches: Vec<RecordBatch>,
    keys: Vec<Rows>,
    /// For each row: batch and row in it.
    places: Vec<(u32, u32)>,
    /// For each row: the one before it with the same key.
    before: Vec<u32>,
    /// The last row of each key, with its hash.
    heads: HashTable<(u64, u32)>,
    pub(crate) times: Vec<i64>,
    /// Rows that were matched, or have come out without a match.
    pub(crate) done: Vec<bool>,
    /// The least time of a row that is not done, or less; and the greatest of all.
    least: i64,
    greatest: i64,
    /// When its last row came.
    touched: i64,
    segment: Option<String>,
    bytes: usize,
}

impl Generation {
    fn new() -> Self {
        Self {
            least: AFTER_ALL,
            greatest: i64::MIN,
            touched: i64::MIN,
            ..Self::default()
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    fn key(&self, row: u32) -> &[u8] {
        let (batch, row) = self.places[row as usize];
        self.keys[batch as usize].row(row as usize).data()
    }

    /// Adds rows.
    fn add(&mut self, given: Keyed, done: &[bool]) -> Result<()> {
        let too_many = || StreamError::bug("a side of a join has over four billion rows");
        let number = u32::try_from(self.batches.len()).map_err(|_| too_many())?;
        self.bytes += given.batch.get_array_memory_size()
            + given.rows.size()
            + given.batch.num_rows() * (size_of::<(u64, u32)>() * 2 + 24);
        let count = given.batch.num_rows();
        for row in 0..count {
            let at = u32::try_from(self.places.len()).map_err(|_| too_many())?;
            self.places
                .push((number, u32::try_from(row).map_err(|_| too_many())?));
            self.times.push(given.times[row]);
            self.greatest = self.greatest.max(given.times[row]);
            self.least = self.least.min(given.times[row]);
            self.done.push(done.get(row).copied().unwrap_or(false));
            self.before.push(NONE);
            if !given.can_match(row) {
                continue;
            }
            let hash = given.hashes[row];
            let key = given.rows.row(row);
            let found = self.heads.find(hash, |(known, head)| {
                *known == hash && {
                    let (batch, row) = self.places[*head as usize];
                    let rows = match batch == number {
                        true => &given.rows,
                        false => &self.keys[batch as usize],
                    };
                    rows.row(row as usize).data() == key.data()
                }
            });
            if let Some((_, head)) = found {
                self.before[at as usize] = *head;
                let head = *head;
                if let Some(entry) = self
                    .heads
                    .find_mut(hash, |(known, other)| *known == hash && *other == head)
                {
                    entry.1 = at;
                }
            } else {
                self.heads
                    .insert_unique(hash, (hash, at), |(hash, _)| *hash);
            }
        }
        self.batches.push(given.batch);
        self.keys.push(given.rows);
        Ok(())
    }

    /// Calls `see` with every row that has the key of a given row.
    pub(crate) fn matches(&self, given: &Keyed, row: usize, mut see: impl FnMut(u32)) {
        let hash = given.hashes[row];
        let key = given.rows.row(row);
        let head = self.heads.find(hash, |(known, head)| {
            *known == hash && self.key(*head) == key.data()
        });
        let mut at = head.map_or(NONE, |(_, head)| *head);
        while at != NONE {
            see(at);
            at = self.before[at as usize];
        }
    }

    /// The columns of these rows, one after the other.
    pub(crate) fn gather(&self, rows: &[u32]) -> Result<RecordBatch> {
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let place = |row: &u32| {
            let (batch, row) = self.places[*row as usize];
            (batch as usize, row as usize)
        };
        let places: Vec<(usize, usize)> = rows.iter().map(place).collect();
        Ok(arrow::compute::interleave_record_batch(&batches, &places)?)
    }
}

/// The rows of a side.
pub(crate) struct Side {
    pub(crate) keys: Arc<SideKeys>,
    pub(crate) generations: Vec<Generation>,
}

/// A generation in the manifest.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct SavedGeneration {
    segment: String,
    /// Rows that are done, eight to a byte, as hexadecimal digits.
    done: String,
    touched: i64,
}

impl Side {
    pub(crate) fn new(keys: &Arc<SideKeys>) -> Self {
        Self {
            keys: Arc::clone(keys),
            generations: Vec::new(),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.generations.iter().map(Generation::len).sum()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.generations
            .iter()
            .map(|generation| generation.bytes)
            .sum()
    }

    /// The least time of a row that is not done, or less.
    pub(crate) fn least(&self) -> Option<i64> {
        let least = self.generations.iter().map(|generation| generation.least);
        least.min()
    }

    /// The greatest time of a row.
    pub(crate) fn greatest(&self) -> Option<i64> {
        let greatest = self
            .generations
            .iter()
            .map(|generation| generation.greatest);
        greatest.max()
    }

    /// By generation: the rows of each shard.
    pub(crate) fn by_shard(&self) -> Result<Vec<Vec<Vec<u32>>>> {
        let of = |generation: &Generation| {
            let mut rows = vec![Vec::new(); SHARDS];
            let mut row = 0;
            for batch in &generation.batches {
                let keys = arrays(&self.keys.keys, batch)?;
                for shard in shards_of(&keys, batch.num_rows())? {
                    rows[shard].push(row);
                    row += 1;
                }
            }
            Ok(rows)
        };
        self.generations.iter().map(of).collect()
    }

    /// The rows of one shard.
    pub(crate) fn only(&self, rows: &[Vec<Vec<u32>>], shard: usize) -> Result<Self> {
        let mut only = Self::new(&self.keys);
        for (generation, rows) in self.generations.iter().zip(rows) {
            let rows = &rows[shard];
            if rows.is_empty() {
                continue;
            }
            let done: Vec<bool> = rows
                .iter()
                .map(|row| generation.done[*row as usize])
                .collect();
            let mut own = Generation::new();
            own.touched = generation.touched;
            own.add(self.keys.read(&generation.gather(rows)?)?, &done)?;
            only.generations.push(own);
        }
        Ok(only)
    }

    /// Adds rows to the newest generation; `done`: those that have come out.
    pub(crate) fn add(&mut self, mut given: Keyed, done: &[bool], now: i64) -> Result<()> {
        given.batch = owned(given.batch)?;
        let total = self.rows();
        let full = |newest: &Generation| {
            newest.segment.is_some() || newest.len() >= GENERATION_ROWS.max(total / 8)
        };
        if self.generations.last().is_none_or(full) {
            self.generations.push(Generation::new());
        }
        let Some(newest) = self.generations.last_mut() else {
            return Ok(());
        };
        newest.touched = newest.touched.max(now);
        newest.add(given, done)
    }

    /// Drops generations whose rows are all before `time`, or that had no row since `touched`.
    pub(crate) fn drop_before(&mut self, time: i64, touched: Option<i64>) {
        self.generations.retain(|generation| {
            generation.greatest >= time
                && touched.is_none_or(|touched| generation.touched >= touched)
        });
    }

    /// Rows before `time` that are not done; they are from now on.
    pub(crate) fn left_over(&mut self, time: i64) -> Result<Vec<RecordBatch>> {
        let mut out = Vec::new();
        for generation in &mut self.generations {
            if generation.least >= time {
                continue;
            }
            let mut rows: Vec<u32> = Vec::new();
            let mut least = AFTER_ALL;
            let all = generation.times.iter().zip(generation.done.iter_mut());
            for (row, (at, done)) in (0_u32..).zip(all) {
                match (*done, *at < time) {
                    (false, true) => {
                        *done = true;
                        rows.push(row);
                    }
                    (false, false) => least = least.min(*at),
                    (true, _) => {}
                }
            }
            generation.least = least;
            if !rows.is_empty() {
                out.push(generation.gather(&rows)?);
            }
        }
        Ok(out)
    }

    /// Puts small generations together, and writes those that are new.
    pub(crate) fn save(
        &mut self,
        writer: &mut crate::checkpoint::SegmentWriter<'_>,
    ) -> Result<Vec<SavedGeneration>> {
        let mut merged: Vec<Generation> = Vec::new();
        for generation in std::mem::take(&mut self.generations) {
            merged.push(generation);
            while let [.., before, last] = merged.as_slice()
                && last.len() * 2 >= before.len()
                && last.len() + before.len() <= 64 * GENERATION_ROWS
            {
                let (Some(last), Some(before)) = (merged.pop(), merged.pop()) else {
                    break;
                };
                merged.push(self.together(before, last)?);
            }
        }
        let mut saved = Vec::new();
        for generation in &mut merged {
            let batches = &generation.batches;
            let segment = writer.put(&mut generation.segment, || {
                Ok(concat_batches(&self.keys.schema, batches)?)
            })?;
            saved.push(SavedGeneration {
                segment,
                done: crate::parts::digits(&generation.done),
                touched: generation.touched,
            });
        }
        self.generations = merged;
        Ok(saved)
    }

    fn together(&self, one: Generation, other: Generation) -> Result<Generation> {
        let batches = one.batches.iter().chain(&other.batches);
        let batch = concat_batches(&self.keys.schema, batches)?;
        let mut done = one.done;
        done.extend(other.done);
        let mut generation = Generation::new();
        generation.touched = one.touched.max(other.touched);
        generation.add(self.keys.read(&batch)?, &done)?;
        Ok(generation)
    }

    /// Takes back what was saved.
    pub(crate) fn load(
        &mut self,
        saved: Vec<SavedGeneration>,
        reader: &mut crate::checkpoint::SegmentReader<'_>,
    ) -> Result<()> {
        self.generations.clear();
        for generation in saved {
            let read = reader.read(&generation.segment)?;
            let (batch, segment) = match fitted(&self.keys.schema, &read)? {
                None => (read, Some(generation.segment)),
                Some(batch) if batch.schema().fields() == self.keys.schema.fields() => {
                    let same = read.schema().fields() == self.keys.schema.fields();
                    (batch, same.then_some(generation.segment))
                }
                Some(batch) => (batch, None),
            };
            let done = crate::parts::flags(&generation.done, batch.num_rows())?;
            let mut loaded = Generation::new();
            loaded.touched = generation.touched;
            loaded.add(self.keys.read(&batch)?, &done)?;
            loaded.segment = segment;
            self.generations.push(loaded);
        }
        Ok(())
    }
}

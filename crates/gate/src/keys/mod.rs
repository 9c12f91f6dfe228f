//! The key index: which keys a table already has.
//!
//! A key is kept as 128 bits (`hash.rs`); numbers and texts of up to twelve bytes are told apart
//! exactly, longer and composite keys by a hash. Keys lie in one open table in memory (`table.rs`).
//! Past its budget the table is written to the temporary folder as a sorted run and probed there
//! through a filter and fences (`run.rs`), so that memory stays bounded however many keys there are.

mod hash;
mod run;
mod table;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;

use self::run::Run;
use self::table::Table;
use crate::error::Result;

pub(crate) use hash::{NO_KEY, hash_keys};

/// How much memory a key index may take, and where it goes beyond that.
#[derive(Debug, Clone)]
pub struct KeyIndexOptions {
    /// Bytes of memory (at least 64 KiB are taken, and 40 KiB for pages once runs are read); beyond
    /// them, sorted runs go to the temporary folder.
    pub memory_bytes: usize,
    /// Where the runs go; the system's temporary folder if none. They are removed with the index, and
    /// by the system if the process dies.
    pub spill_folder: Option<PathBuf>,
}

impl Default for KeyIndexOptions {
    fn default() -> Self {
        Self {
            memory_bytes: 512 << 20,
            spill_folder: None,
        }
    }
}

/// Runs beyond which they are merged into one.
const RUNS_MAX: usize = 8;

/// The keys of a table.
#[derive(Debug)]
pub struct KeyIndex {
    table: Table,
    runs: Vec<Run>,
    keys: u64,
    filter_bytes_max: usize,
    folder: PathBuf,
}

impl KeyIndex {
    /// An empty index. It takes memory and files only as keys come in.
    pub fn new(options: KeyIndexOptions) -> Self {
        let filter_bytes_max = options.memory_bytes / 4;
        Self {
            table: Table::new(options.memory_bytes - filter_bytes_max),
            runs: Vec::new(),
            keys: 0,
            filter_bytes_max,
            folder: options.spill_folder.unwrap_or_else(std::env::temp_dir),
        }
    }

    /// How many keys it holds.
    pub fn len(&self) -> u64 {
        self.keys
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// Bytes of memory that it takes now.
    pub fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.runs.iter().map(Run::memory_bytes).sum::<usize>()
    }

    /// How many sorted runs lie in the temporary folder.
    pub fn spilled_runs(&self) -> usize {
        self.runs.len()
    }

    /// Takes in the keys of rows that are in the table already: `batch` has the key columns, in the
    /// order of [`crate::Contract::key`] and of the contract's types. Rows with a NULL in the key are
    /// passed over. Gives the number of keys that were new.
    ///
    /// [`crate::Gate::preload_keys`] finds the columns by name and converts their types.
    ///
    /// # Errors
    /// When the temporary folder fails.
    pub fn insert_existing(&mut self, batch: &RecordBatch) -> Result<u64> {
        self.insert_hashes(&hash_keys(batch.columns(), batch.num_rows()))
    }

    /// Takes in keys; gives the number of new ones.
    pub(crate) fn insert_hashes(&mut self, hashes: &[u128]) -> Result<u64> {
        let before = self.keys;
        self.insert_all(hashes, |_| {})?;
        Ok(self.keys - before)
    }

    /// Takes in keys in their order; `taken` hears the place of each that was there before it.
    pub(crate) fn insert_all(
        &mut self,
        hashes: &[u128],
        mut taken: impl FnMut(usize),
    ) -> Result<()> {
        let mut done = 0;
        while done < hashes.len() {
            // As many as fit without growing past the budget; at least one after a spill.
            let room = self.table.make_room(hashes.len() - done);
            if room == 0 {
                self.spill()?;
                continue;
            }
            let part = &hashes[done..done + room];
            if self.runs.is_empty() {
                self.keys += self.table.insert_all(part, |at| taken(done + at));
            } else {
                for (at, hash) in part.iter().enumerate() {
                    if *hash != NO_KEY && !self.insert(*hash)? {
                        taken(done + at);
                    }
                }
            }
            done += room;
        }
        Ok(())
    }

    /// Takes in one key for which there is room; says whether it was new.
    fn insert(&mut self, hash: u128) -> Result<bool> {
        for run in &mut self.runs {
            if run
                .contains(hash)
                .map_err(|source| spill_error(&self.folder, "read", source))?
            {
                return Ok(false);
            }
        }
        let new = self.table.insert(hash);
        self.keys += u64::from(new);
        Ok(new)
    }

    /// Takes in one key; says whether it was new.
    pub(crate) fn insert_one(&mut self, hash: u128) -> Result<bool> {
        let mut new = true;
        self.insert_all(&[hash], |_| new = false)?;
        Ok(new)
    }

    /// Whether a key is there.
    pub(crate) fn contains(&mut self, hash: u128) -> Result<bool> {
        if self.table.contains(hash) {
            return Ok(true);
        }
        for run in &mut self.runs {
            if run
                .contains(hash)
                .map_err(|source| spill_error(&self.folder, "read", source))?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes the table's keys to a sorted run, and merges the runs when they are many.
    fn spill(&mut self) -> Result<()> {
        let failed = |source| spill_error(&self.folder, "write", source);
        let filter_bits = self.filter_bits(self.table.len());
        let run = self
            .table
            .drain_sorted(|keys| Run::write(keys, &self.folder, filter_bits))
            .map_err(failed)?;
        self.runs.push(run);
        if self.runs.len() >= RUNS_MAX {
            let keys = self.runs.iter().map(Run::len).sum();
            let bits = self.filter_bits(keys);
            let merged = Run::merge(&mut self.runs, &self.folder, bits).map_err(failed)?;
            self.runs = vec![merged];
        }
        Ok(())
    }

    /// Bits of filter per key for a run of so many keys: ten if the budget bears it.
    fn filter_bits(&self, keys: u64) -> u64 {
        let all = self.keys.max(keys).max(1);
        (self.filter_bytes_max as u64 * 8 / all).min(10)
    }
}

fn spill_error(
    folder: &std::path::Path,
    action: &'static str,
    source: std::io::Error,
) -> crate::GateError {
    crate::GateError::Spill {
        action,
        folder: folder.display().to_string(),
        source,
    }
}

/// Whether a type can be part of a key.
pub(crate) fn is_key_type(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null | DataType::Dictionary(_, _) | DataType::RunEndEncoded(_, _) => false,
        DataType::FixedSizeBinary(_) | DataType::Interval(_) | DataType::Float16 => false,
        DataType::ListView(_) | DataType::LargeListView(_) | DataType::Union(_, _) => false,
        data_type => !data_type.is_nested(),
    }
}

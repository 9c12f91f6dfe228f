//! Rows that are written once and outdated later: state by key, sessions, rows kept for a ranking.
//!
//! Rows are appended as parts and found by their [`Place`]; whoever keeps places knows which rows still
//! count. A checkpoint writes the parts that are new, and says of each part which rows count.

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, interleave_record_batch, take_record_batch};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::{SegmentReader, SegmentWriter, saved, to_save};
use crate::columns::owned;
use crate::error::{Result, StreamError};
use crate::shard::{SHARDS, shards_of};

/// Parts smaller than this are put together with the next, unless they are in a checkpoint.
const PART_ROWS: usize = 8192;
/// More parts than this are put together.
const PARTS: usize = 256;

/// Where a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    part: u32,
    row: u32,
}

impl Place {
    /// No row.
    pub(crate) const NOWHERE: Self = Self {
        part: u32::MAX,
        row: u32::MAX,
    };

    /// The place of the row so many rows after this, in the same batch.
    pub(crate) fn after(self, rows: usize) -> Self {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        Self {
            row: self.row.saturating_add(rows),
            ..self
        }
    }
}

/// Rows by place.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    parts: Vec<Part>,
    bytes: usize,
}

#[derive(Debug)]
struct Part {
    batch: RecordBatch,
    /// How many rows were forgotten.
    forgotten: usize,
    /// The segment it was saved as.
    segment: Option<String>,
}

/// A part in the manifest.
#[derive(Debug, Serialize, Deserialize)]
struct SavedPart {
    segment: String,
    /// Which rows count, eight to a byte, as hexadecimal digits; all, if missing.
    rows: Option<String>,
}

impl Parts {
    /// Bytes held, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether so much is outdated that the rows that count should be put together.
    pub(crate) fn is_untidy(&self, live: usize) -> bool {
        let total: usize = self.parts.iter().map(|part| part.batch.num_rows()).sum();
        total > 2 * live + 2 * PART_ROWS || self.parts.len() > PARTS
    }

    /// The rows at these places, of which there must be one at least.
    pub(crate) fn gather(&self, places: &[Place]) -> Result<RecordBatch> {
        let mut numbers = vec![usize::MAX; self.parts.len()];
        let mut batches: Vec<&RecordBatch> = Vec::new();
        let mut indices = Vec::with_capacity(places.len());
        for place in places {
            let part = place.part as usize;
            let number = numbers
                .get_mut(part)
                .ok_or_else(|| StreamError::bug("a row of state is nowhere"))?;
            if *number == usize::MAX {
                *number = batches.len();
                batches.push(&self.parts[part].batch);
            }
            indices.push((*number, place.row as usize));
        }
        match batches.as_slice() {
            [one] => {
                let rows = UInt32Array::from_iter_values(places.iter().map(|place| place.row));
                Ok(take_record_batch(one, &rows)?)
            }
            several => Ok(interleave_record_batch(several, &indices)?),
        }
    }

    /// These rows count no more. A part of which no row counts goes at once.
    pub(crate) fn forget(&mut self, places: &[Place]) {
        for place in places {
            let Some(part) = self.parts.get_mut(place.part as usize) else {
                continue;
            };
            part.forgotten += 1;
            if part.forgotten == part.batch.num_rows() {
                self.bytes = self
                    .bytes
                    .saturating_sub(part.batch.get_array_memory_size());
                part.batch = RecordBatch::new_empty(part.batch.schema());
                part.forgotten = 0;
            }
        }
        // Places name parts by their number, so that only the last can go.
        while self
            .parts
            .last()
            .is_some_and(|part| part.batch.num_rows() == 0)
        {
            self.parts.pop();
        }
    }

    /// Adds rows, and gives the place of the first.
    pub(crate) fn append(&mut self, batch: RecordBatch) -> Result<Place> {
        let batch = owned(batch)?;
        let rows = batch.num_rows();
        let size = batch.get_array_memory_size();
        let mut from = 0;
        match self.parts.last_mut() {
            Some(last) if last.segment.is_none() && last.batch.num_rows() + rows <= PART_ROWS => {
                from = last.batch.num_rows();
                let schema = last.batch.schema();
                let before = last.batch.get_array_memory_size();
                last.batch = concat_batches(&schema, [&last.batch, &batch])?;
                let after = last.batch.get_array_memory_size();
                self.bytes = (self.bytes + after).saturating_sub(before);
            }
            _ => {
                self.bytes += size;
                self.parts.push(Part {
                    batch,
                    forgotten: 0,
                    segment: None,
                });
            }
        }
        let part = u32::try_from(self.parts.len().saturating_sub(1));
        match (part, u32::try_from(from + rows)) {
            (Ok(part), Ok(_)) => Ok(Place {
                part,
                row: u32::try_from(from).unwrap_or(u32::MAX),
            }),
            _ => Err(StreamError::bug("state has over four billion rows")),
        }
    }

    /// Puts the rows at these places together, in their order; they are then at the place that is
    /// given, one after the other.
    pub(crate) fn rewrite(&mut self, places: &[Place]) -> Result<Place> {
        let batch = match places {
            [] => None,
            some => Some(self.gather(some)?),
        };
        self.parts.clear();
        self.bytes = 0;
        match batch {
            Some(batch) => self.append(batch),
            None => Ok(Place::NOWHERE),
        }
    }

    /// The places whose keys are of each shard.
    pub(crate) fn by_shard(
        &self,
        live: impl Iterator<Item = Place>,
        keys: &dyn Fn(&RecordBatch) -> Result<Vec<ArrayRef>>,
    ) -> Result<Vec<Vec<Place>>> {
        let shards = self.parts.iter().map(|part| {
            let keys = keys(&part.batch)?;
            shards_of(&keys, part.batch.num_rows())
        });
        let shards: Vec<Vec<usize>> = shards.collect::<Result<_>>()?;
        let mut places = vec![Vec::new(); SHARDS];
        for place in live {
            places[shards[place.part as usize][place.row as usize]].push(place);
        }
        Ok(places)
    }

    /// Copies the rows at these places, and says where they are then.
    pub(crate) fn copy(&self, places: &[Place], to: &mut Self) -> Result<Vec<Place>> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let first = to.append(self.gather(places)?)?;
        Ok((0..places.len()).map(|row| first.after(row)).collect())
    }

    /// Writes the parts that are new; `live` are the places of the rows that count.
    pub(crate) fn save(
        &mut self,
        live: impl Iterator<Item = Place>,
        writer: &mut SegmentWriter<'_>,
    ) -> Result<Value> {
        let mut rows: Vec<Vec<u8>> = self
            .parts
            .iter()
            .map(|part| vec![0; part.batch.num_rows().div_ceil(8)])
            .collect();
        let mut counts = vec![0; self.parts.len()];
        for place in live {
            let (part, row) = (place.part as usize, place.row as usize);
            rows[part][row / 8] |= 1 << (row % 8);
            counts[part] += 1;
        }
        let mut saved = Vec::new();
        for ((part, rows), count) in self.parts.iter_mut().zip(rows).zip(counts) {
            if count == 0 {
                continue;
            }
            let batch = &part.batch;
            let segment = writer.put(&mut part.segment, || Ok(batch.clone()))?;
            let all = count == part.batch.num_rows();
            let digits = |rows: &[u8]| rows.iter().map(|byte| format!("{byte:02x}")).collect();
            saved.push(SavedPart {
                segment,
                rows: (!all).then(|| digits(&rows)),
            });
        }
        to_save(&saved)
    }

    /// Takes back what was saved, and gives the places of the rows that count. `fit` may give
    /// another batch of the same rows in place of one that was read.
    pub(crate) fn load(
        &mut self,
        state: &Value,
        reader: &mut SegmentReader<'_>,
        fit: &mut dyn FnMut(&RecordBatch) -> Result<Option<RecordBatch>>,
    ) -> Result<Vec<Place>> {
        self.parts.clear();
        self.bytes = 0;
        let mut places = Vec::new();
        for part in saved::<Vec<SavedPart>>(state)? {
            let batch = reader.read(&part.segment)?;
            let fitted = fit(&batch)?;
            let segment = fitted.is_none().then_some(part.segment);
            let batch = fitted.unwrap_or(batch);
            let number = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
            let bits = part.rows.map(|digits| bits(&digits)).transpose()?;
            for (row, at) in (0..batch.num_rows()).zip(0_u32..) {
                let counts = bits.as_ref().is_none_or(|bits| {
                    let byte = bits.get(row / 8).copied().unwrap_or(0);
                    byte & (1 << (row % 8)) != 0
                });
                if counts {
                    places.push(Place {
                        part: number,
                        row: at,
                    });
                }
            }
            self.bytes += batch.get_array_memory_size();
            self.parts.push(Part {
                batch,
                forgotten: 0,
                segment,
            });
        }
        Ok(places)
    }
}

/// Truths, eight to a byte, as hexadecimal digits.
pub(crate) fn digits(flags: &[bool]) -> String {
    let byte = |eight: &[bool]| {
        let bits = eight.iter().enumerate();
        bits.fold(0_u8, |byte, (at, flag)| byte | (u8::from(*flag) << at))
    };
    flags
        .chunks(8)
        .map(|eight| format!("{:02x}", byte(eight)))
        .collect()
}

/// So many truths from hexadecimal digits.
pub(crate) fn flags(digits: &str, count: usize) -> Result<Vec<bool>> {
    let bytes = bits(digits)?;
    if bytes.len() != count.div_ceil(8) {
        return Err(StreamError::damaged(
            "the manifest: flags of another number of rows",
        ));
    }
    Ok((0..count)
        .map(|row| bytes[row / 8] & (1 << (row % 8)) != 0)
        .collect())
}

fn bits(digits: &str) -> Result<Vec<u8>> {
    let damaged =
        || StreamError::damaged("the manifest: rows that count are no hexadecimal digits");
    let pair = |at: usize| {
        let pair = digits.get(at..at + 2).ok_or_else(damaged)?;
        u8::from_str_radix(pair, 16).map_err(|_| damaged())
    };
    (0..digits.len()).step_by(2).map(pair).collect()
}

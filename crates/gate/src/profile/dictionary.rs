//! The distinct values of a column with their counts, in one arena: no allocation per value.

use hashbrown::HashTable;

/// Bytes of a value that are kept; of longer ones the beginning, with the hash of the whole.
pub(crate) const KEPT_BYTES: usize = 1_024;

/// One distinct value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    hash: u64,
    start: usize,
    kept: u32,
    /// Length of the whole value in characters.
    pub(crate) characters: u32,
    /// How often it was seen.
    pub(crate) count: u64,
    /// The first row in which it was seen, from 0.
    pub(crate) first_row: u64,
}

impl Entry {
    /// The hash of the whole value.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }
}

/// Distinct values in the order they were first seen.
#[derive(Clone, Default)]
pub(crate) struct Dictionary {
    table: HashTable<u32>,
    entries: Vec<Entry>,
    text: String,
}

impl Dictionary {
    /// Adds `count` occurrences and gives the value's index.
    pub(crate) fn add(&mut self, value: &str, count: u64, row: u64) -> u32 {
        let hash = rapidhash::v3::rapidhash_v3(value.as_bytes());
        let kept = shorten(value);
        let (entries, text) = (&self.entries, &self.text);
        let same = |&index: &u32| {
            let entry = &entries[index as usize];
            entry.hash == hash && &text[entry.start..entry.start + entry.kept as usize] == kept
        };
        if let Some(&index) = self.table.find(hash, same) {
            let entry = &mut self.entries[index as usize];
            entry.count += count;
            entry.first_row = entry.first_row.min(row);
            return index;
        }
        self.insert(value, kept, hash, count, row)
    }

    fn insert(&mut self, value: &str, kept: &str, hash: u64, count: u64, row: u64) -> u32 {
        let index = self.entries.len() as u32;
        let characters = value.chars().count() as u32;
        self.entries.push(Entry {
            hash,
            start: self.text.len(),
            kept: kept.len() as u32,
            characters,
            count,
            first_row: row,
        });
        self.text.push_str(kept);
        let entries = &self.entries;
        self.table
            .insert_unique(hash, index, |&index| entries[index as usize].hash);
        index
    }

    /// How many distinct values there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes it holds, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + self.entries.len() * (size_of::<Entry>() + 8)
    }

    /// The text that is kept of a value.
    pub(crate) fn text(&self, entry: &Entry) -> &str {
        &self.text[entry.start..entry.start + entry.kept as usize]
    }

    /// Values with their entries, in the order first seen.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|entry| (self.text(entry), entry))
    }

    /// Forgets everything and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.table.clear();
        self.entries.clear();
        self.text.clear();
    }
}

/// The first [`KEPT_BYTES`] of a value, cut between characters.
fn shorten(value: &str) -> &str {
    if value.len() <= KEPT_BYTES {
        value
    } else {
        &value[..value.floor_char_boundary(KEPT_BYTES)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_that_begin_alike_stay_distinct() {
        let mut dictionary = Dictionary::default();
        let long = "ä".repeat(3_000);
        dictionary.add(&long, 1, 0);
        dictionary.add(&format!("{long}b"), 1, 1);
        dictionary.add(&long, 2, 2);
        let counts: Vec<_> = dictionary
            .iter()
            .map(|(_, entry)| (entry.count, entry.characters, entry.first_row))
            .collect();
        assert_eq!(counts, [(3, 3_000, 0), (1, 3_001, 1)]);
        assert_eq!(dictionary.iter().next().unwrap().0.len(), KEPT_BYTES);
    }
}

//! Keys in memory: one open table with linear probing.
//!
//! A key's place is given by its top bits, so that the keys lie almost sorted: growing is one pass,
//! and so is writing a run. Keys are taken in by the chunk: a first pass over a chunk touches every
//! place it will need, without one read waiting for another, and the second finds them in the cache.

/// Slots of the smallest table.
const SLOTS_MIN: usize = 1 << 10;

/// Keys that are looked at together.
const CHUNK: usize = 64;

/// What an empty slot holds; no key is that.
const EMPTY: u128 = super::NO_KEY;

/// Bytes of a slot.
const SLOT_BYTES: usize = size_of::<u128>();

/// An open table of keys.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<u128>,
    keys: usize,
    memory_bytes_max: usize,
}

impl Table {
    /// An empty table that takes no more than so many bytes, also while it grows.
    pub(super) fn new(memory_bytes_max: usize) -> Self {
        Self {
            slots: Vec::new(),
            keys: 0,
            memory_bytes_max,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.keys as u64
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * SLOT_BYTES
    }

    /// How many keys a table of so many slots bears: 11 of 16.
    fn bears(slots: usize) -> usize {
        slots / 16 * 11
    }

    /// Makes room for up to `wanted` more keys; says for how many there is. 0: it must be emptied first.
    pub(super) fn make_room(&mut self, wanted: usize) -> usize {
        loop {
            let room = Self::bears(self.slots.len()) - self.keys;
            if room >= wanted.min(CHUNK) {
                return room.min(wanted);
            }
            let grown = (self.slots.len() * 2).max(SLOTS_MIN);
            let fits = (grown + self.slots.len()) * SLOT_BYTES <= self.memory_bytes_max;
            if !fits && !self.slots.is_empty() {
                return if self.keys == 0 { room.min(wanted) } else { 0 };
            }
            self.grow(grown);
        }
    }

    /// Grows in place, so that no second table is needed beside the first.
    ///
    /// A cluster is what lies between two empty slots: its keys belong nowhere before it, and twice as
    /// far on in a table twice as large. So clusters are moved from the last to the first, and never
    /// meet one that is yet to move; keys that would go round the end wait until all others are placed.
    fn grow(&mut self, slots: usize) {
        let old = self.slots.len();
        self.slots.resize(slots, EMPTY);
        let empty = |slot: &u128| *slot == EMPTY;
        let first = self.slots.iter().position(empty).unwrap_or(0);
        let mut waiting: Vec<u128> = self.slots[..first].to_vec();
        self.slots[..first].fill(EMPTY);
        let mut cluster = Vec::new();
        let mut end = old;
        while end > first {
            if empty(&self.slots[end - 1]) {
                end -= 1;
                continue;
            }
            let start = self.slots[..end]
                .iter()
                .rposition(empty)
                .map_or(0, |at| at + 1);
            cluster.extend_from_slice(&self.slots[start..end]);
            self.slots[start..end].fill(EMPTY);
            for key in cluster.drain(..) {
                let home = self.home(key);
                match self.slots[home..].iter().position(empty) {
                    Some(at) => self.slots[home + at] = key,
                    None => waiting.push(key),
                }
            }
            end = start;
        }
        for key in waiting {
            let at = self.probe(key);
            self.slots[at] = key;
        }
    }

    /// Where a key belongs.
    #[inline(always)]
    fn home(&self, key: u128) -> usize {
        // The slots are a power of two, so this takes the key's top bits.
        (((key >> 64) * self.slots.len() as u128) >> 64) as usize
    }

    /// Where a key is, or the empty slot where it would be.
    #[inline(always)]
    fn probe(&self, key: u128) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = self.home(key) & mask;
        loop {
            let slot = self.slots[at];
            if slot == key || slot == EMPTY {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    /// Takes in a key for which there is room; says whether it was new.
    pub(super) fn insert(&mut self, key: u128) -> bool {
        let at = self.probe(key);
        let new = self.slots[at] == EMPTY;
        self.slots[at] = key;
        self.keys += usize::from(new);
        new
    }

    /// Takes in keys for which there is room; `taken` hears the places of those that were there. Says
    /// how many were new.
    pub(super) fn insert_all(&mut self, keys: &[u128], mut taken: impl FnMut(usize)) -> u64 {
        let (before, mask) = (self.keys, self.slots.len().saturating_sub(1));
        for (chunk, part) in keys.chunks(CHUNK).enumerate() {
            let mut touched = 0;
            for key in part {
                // Also the place behind, which often lies in the next line of the cache.
                let home = self.home(*key);
                touched |= self.slots[home] as u64 | self.slots[(home + 3) & mask] as u64;
            }
            std::hint::black_box(touched);
            for (at, key) in part.iter().enumerate() {
                if *key != EMPTY && !self.insert(*key) {
                    taken(chunk * CHUNK + at);
                }
            }
        }
        (self.keys - before) as u64
    }

    pub(super) fn contains(&self, key: u128) -> bool {
        key != EMPTY && !self.slots.is_empty() && self.slots[self.probe(key)] == key
    }

    /// Gives the keys in order and empties the table, which keeps its memory. If `take` fails the
    /// table is empty all the same: the index it belongs to is then of no use.
    pub(super) fn drain_sorted<R>(&mut self, take: impl FnOnce(&[u128]) -> R) -> R {
        let slots = self.slots.len();
        self.slots.retain(|key| *key != EMPTY);
        self.slots.sort_unstable();
        let result = take(&self.slots);
        self.slots.clear();
        self.slots.resize(slots, EMPTY);
        self.keys = 0;
        result
    }
}

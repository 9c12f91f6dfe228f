//! Where the characters with a meaning stand: the positions of delimiters, quotes and newlines in a
//! block, found 64 bytes at a time. The block is scanned in windows, so that the positions stay in
//! the processor's nearest cache until the splitter has used them.

/// Bytes scanned at once.
const WINDOW: usize = 32 << 10;

/// The positions found so far, in order.
pub(crate) struct Index {
    positions: Vec<u32>,
    /// How many of them are filled.
    count: usize,
    /// Up to where the block has been scanned.
    scanned: usize,
    /// Up to where it is to be scanned; the byte there is a newline put by the block's maker.
    limit: usize,
    delimiter: u8,
    quote: u8,
    newline: u8,
    /// Index (into `positions`) behind the last newline found.
    behind_newline: usize,
}

impl Index {
    /// Will scan `data[from..=end]`; `data` has at least 64 bytes behind `end`. Without quotes,
    /// give the delimiter twice.
    pub(crate) fn new(from: usize, end: usize, delimiter: u8, quote: u8, newline: u8) -> Self {
        let positions = vec![0; WINDOW / 2];
        Self {
            positions,
            count: 0,
            scanned: from,
            limit: end + 1,
            delimiter,
            quote,
            newline,
            behind_newline: 0,
        }
    }

    /// The positions found so far.
    #[inline(always)]
    pub(crate) fn positions(&self) -> &[u32] {
        &self.positions[..self.count]
    }

    /// Whether the rest of the line at index `at` is known.
    #[inline(always)]
    pub(crate) fn has_line(&self, at: usize) -> bool {
        at < self.behind_newline
    }

    /// Forgets the positions before index `at` and scans on until a newline is known behind it (or
    /// the end). The positions move down by `at`.
    #[cold]
    pub(crate) fn advance(&mut self, data: &[u8], at: usize) {
        self.positions.copy_within(at..self.count, 0);
        self.count -= at;
        self.behind_newline = self.behind_newline.saturating_sub(at);
        while self.behind_newline == 0 && self.extend(data) {}
    }

    /// Scans one more window; false at the end.
    #[cold]
    pub(crate) fn extend(&mut self, data: &[u8]) -> bool {
        if self.scanned >= self.limit {
            return false;
        }
        let stop = self.limit.min(self.scanned + WINDOW);
        let before = self.count;
        let mut count = before;
        let (delimiter, quote, newline) = (self.delimiter, self.quote, self.newline);
        let mut base = self.scanned;
        while base < stop {
            let Some(chunk) = data[base..].first_chunk::<64>() else {
                break;
            };
            let mut mask = mask(chunk, delimiter, quote, newline);
            if stop - base < 64 {
                mask &= (1u64 << (stop - base)) - 1;
            }
            if self.positions.len() < count + 72 {
                self.positions.resize(count + WINDOW, 0);
            }
            count = flatten(mask, base as u32, &mut self.positions, count);
            base += 64;
        }
        self.count = count;
        self.scanned = stop;
        if let Some(last) = self.positions[before..count]
            .iter()
            .rposition(|&position| data[position as usize] == newline)
        {
            self.behind_newline = before + last + 1;
        }
        true
    }
}

/// Writes the positions of the bits of `mask` behind `count`; returns the new count. Eight at a
/// time without asking, so that the processor has nothing to guess wrong.
#[inline(always)]
fn flatten(mut mask: u64, base: u32, positions: &mut [u32], count: usize) -> usize {
    let ones = mask.count_ones() as usize;
    let mut at = count;
    while mask != 0 {
        let Some(slots) = positions[at..].first_chunk_mut::<8>() else {
            break;
        };
        for slot in slots {
            *slot = base + mask.trailing_zeros();
            mask &= mask.wrapping_sub(1);
        }
        at += 8;
    }
    count + ones
}

/// A bit for each byte of the chunk that is one of the three.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn mask(chunk: &[u8; 64], delimiter: u8, quote: u8, newline: u8) -> u64 {
    #[expect(unsafe_code, reason = "SSE2 is part of every x86-64 processor")]
    // SAFETY: see the reason above.
    unsafe {
        sse2_mask(chunk, delimiter, quote, newline)
    }
}

/// The same with SSE2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn sse2_mask(chunk: &[u8; 64], delimiter: u8, quote: u8, newline: u8) -> u64 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    let (d, q, n) = (
        _mm_set1_epi8(delimiter as i8),
        _mm_set1_epi8(quote as i8),
        _mm_set1_epi8(newline as i8),
    );
    let mut mask = 0u64;
    for (lane, part) in chunk.chunks_exact(16).enumerate() {
        let (mut low, mut high) = ([0u8; 8], [0u8; 8]);
        low.copy_from_slice(&part[..8]);
        high.copy_from_slice(&part[8..]);
        let bytes = _mm_set_epi64x(i64::from_le_bytes(high), i64::from_le_bytes(low));
        let equal = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(bytes, d), _mm_cmpeq_epi8(bytes, q)),
            _mm_cmpeq_epi8(bytes, n),
        );
        mask |= u64::from(_mm_movemask_epi8(equal) as u32) << (lane * 16);
    }
    mask
}

/// A bit for each byte of the chunk that is one of the three.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn mask(chunk: &[u8; 64], delimiter: u8, quote: u8, newline: u8) -> u64 {
    plain_mask(chunk, delimiter, quote, newline)
}

/// The same, eight bytes at a time in plain arithmetic.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn plain_mask(chunk: &[u8; 64], delimiter: u8, quote: u8, newline: u8) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let zeros = |word: u64| {
        // The high bit of each byte that is zero, exactly.
        let folded = (word & 0x7f7f_7f7f_7f7f_7f7f) + 0x7f7f_7f7f_7f7f_7f7f;
        !(folded | word | 0x7f7f_7f7f_7f7f_7f7f)
    };
    let mut mask = 0u64;
    for (lane, part) in chunk.chunks_exact(8).enumerate() {
        let mut word = [0u8; 8];
        word.copy_from_slice(part);
        let word = u64::from_le_bytes(word);
        let equal = zeros(word ^ (LOW * u64::from(delimiter)))
            | zeros(word ^ (LOW * u64::from(quote)))
            | zeros(word ^ (LOW * u64::from(newline)));
        // Gathers the eight high bits into one byte.
        let bits = (equal >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        mask |= bits << (lane * 8);
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_masks_agree_with_a_plain_comparison() {
        let mut state = 7u64;
        for _ in 0..2000 {
            let mut chunk = [0u8; 64];
            for byte in &mut chunk {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                *byte = b",\"\nab\xff\0\x80-\r"[(state >> 40) as usize % 10];
            }
            let expected = chunk.iter().enumerate().fold(0u64, |mask, (at, byte)| {
                mask | (u64::from(b",\"\n".contains(byte)) << at)
            });
            assert_eq!(mask(&chunk, b',', b'"', b'\n'), expected);
            assert_eq!(plain_mask(&chunk, b',', b'"', b'\n'), expected);
        }
    }

    #[test]
    fn positions_are_complete_over_windows() {
        let end = WINDOW * 3 + 17;
        let mut data: Vec<u8> = (0..end).map(|at| b"abc,de\"f\ngh"[at % 11]).collect();
        data.resize(end + 64, b'\n');
        let mut index = Index::new(5, end, b',', b'"', b'\n');
        while index.extend(&data) {}
        let expected: Vec<u32> = (5..=end)
            .filter(|&at| b",\"\n".contains(&data[at]))
            .map(|at| at as u32)
            .collect();
        assert_eq!(index.positions(), expected);
    }
}

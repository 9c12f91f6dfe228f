//! HyperLogLog: how many distinct values, in 16 KiB, with a standard error of 0.81 %.
//!
//! The sketch is that of Flajolet, Fusy, Gandouet and Meunier, "HyperLogLog: the analysis of a
//! near-optimal cardinality estimation algorithm" (AofA 2007). The estimate is the improved one of
//! Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (arXiv:1702.01284, 2017),
//! which is unbiased from one to 2^64 without correction tables.

/// Bits of the hash that choose a register; 2^14 registers give a standard error of 1.04 / 2^7.
const PRECISION: u32 = 14;
const REGISTERS: usize = 1 << PRECISION;
/// Bits of the hash that are left for counting leading zeros.
const REMAINING: usize = 64 - PRECISION as usize;

/// A sketch of a set of 64-bit hashes.
#[derive(Clone)]
pub(crate) struct HyperLogLog {
    registers: Box<[u8; REGISTERS]>,
}

impl HyperLogLog {
    /// The sketch of the empty set.
    pub(crate) fn new() -> Self {
        Self {
            registers: Box::new([0; REGISTERS]),
        }
    }

    /// The share by which an estimate may be off (one standard deviation).
    pub(crate) fn standard_error() -> f64 {
        1.04 / (REGISTERS as f64).sqrt()
    }

    /// Adds one value by its hash, which must be of good quality.
    pub(crate) fn insert(&mut self, hash: u64) {
        let register = (hash >> REMAINING) as usize;
        let rest = hash << PRECISION;
        let rank = (rest.leading_zeros() as usize).min(REMAINING) as u8 + 1;
        if self.registers[register] < rank {
            self.registers[register] = rank;
        }
    }

    /// Makes this the sketch of the union of both sets.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.registers.iter_mut().zip(other.registers.iter()) {
            *mine = (*mine).max(*theirs);
        }
    }

    /// The estimated number of distinct hashes.
    pub(crate) fn estimate(&self) -> f64 {
        let mut histogram = [0_u32; REMAINING + 2];
        for &rank in self.registers.iter() {
            histogram[usize::from(rank)] += 1;
        }
        let count = REGISTERS as f64;
        let mut z = count * tau(1.0 - f64::from(histogram[REMAINING + 1]) / count);
        for &with_rank in histogram[1..=REMAINING].iter().rev() {
            z = 0.5 * (z + f64::from(with_rank));
        }
        z += count * sigma(f64::from(histogram[0]) / count);
        count / (2.0 * std::f64::consts::LN_2) * count / z
    }
}

/// Ertl's σ: corrects for registers that were never hit.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// Ertl's τ: corrects for registers that are full.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

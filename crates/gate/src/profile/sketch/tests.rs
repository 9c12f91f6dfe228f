//! Each sketch against the exact answer.

use super::*;

/// A small, seeded generator: the tests must give the same numbers every time.
fn numbers(seed: u64, count: usize) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
    .take(count)
}

#[test]
fn distinct_estimates_stay_within_four_standard_errors() {
    for count in [0, 1, 10, 1_000, 20_000, 300_000] {
        let mut sketch = HyperLogLog::new();
        for hash in numbers(7, count) {
            sketch.insert(hash);
            sketch.insert(hash);
        }
        let off = (sketch.estimate() - count as f64).abs();
        assert!(
            off <= 4.0 * HyperLogLog::standard_error() * count as f64 + 0.01,
            "{count}: off by {off}"
        );
    }
}

#[test]
fn merged_distinct_is_that_of_the_union() {
    let (mut left, mut right, mut both) =
        (HyperLogLog::new(), HyperLogLog::new(), HyperLogLog::new());
    for (index, hash) in numbers(3, 50_000).enumerate() {
        if index < 30_000 {
            left.insert(hash);
        }
        if index >= 20_000 {
            right.insert(hash);
        }
        both.insert(hash);
    }
    left.merge(&right);
    assert_eq!(left.estimate(), both.estimate());
}

#[test]
fn quantiles_are_close_in_rank_even_at_the_ends() {
    let mut values: Vec<f64> = numbers(11, 100_000)
        .map(|n| ((n >> 11) as f64 / (1_u64 << 53) as f64).powi(3))
        .collect();
    let mut halves = [TDigest::new(), TDigest::new()];
    for (index, &value) in values.iter().enumerate() {
        halves[index % 2].add(value, 1.0);
    }
    let [mut digest, other] = halves;
    digest.merge(&other);
    digest.compress();
    values.sort_by(f64::total_cmp);
    for (q, allowed) in [
        (0.0, 0.0),
        (0.001, 6e-4),
        (0.01, 2e-3),
        (0.25, 8e-3),
        (0.5, 8e-3),
        (0.9, 5e-3),
        (0.999, 6e-4),
        (1.0, 0.0),
    ] {
        let estimate = digest.quantile(q).unwrap();
        let rank = values.partition_point(|&value| value < estimate) as f64 / values.len() as f64;
        assert!((rank - q).abs() <= allowed + 1e-5, "q {q}: rank {rank}");
    }
    let middle = values[values.len() / 2];
    assert!((digest.count_up_to(middle) - 50_000.0).abs() < 800.0);
    assert_eq!(digest.count_up_to(2.0), 100_000.0);
}

#[test]
fn a_digest_of_one_value_knows_only_that() {
    let mut digest = TDigest::new();
    assert_eq!(digest.quantile(0.5), None);
    digest.add(4.0, 10.0);
    digest.compress();
    assert_eq!(digest.quantile(0.1), Some(4.0));
    assert_eq!(digest.min(), digest.max());
}

#[test]
fn frequent_values_survive_and_their_error_is_bounded() {
    let mut summary = MisraGries::new(32);
    let mut truth = std::collections::HashMap::new();
    for (row, number) in numbers(5, 200_000).enumerate() {
        let value = if number % 3 == 0 {
            number % 7
        } else {
            100 + number % 50_000
        }
        .to_string();
        *truth.entry(value.clone()).or_insert(0_u64) += 1;
        summary.add(&value, 1, row as u64);
        if row % 10_000 == 9_999 {
            summary.compact();
        }
    }
    assert!(summary.error() <= 200_000 / 33);
    for value in ["0", "1", "2", "3", "4", "5", "6"] {
        let counted = summary
            .get(value)
            .expect("a frequent value is never lost")
            .count;
        assert!(counted <= truth[value] && counted + summary.error() >= truth[value]);
    }
    assert!(summary.sorted().len() <= 32);
}

#[test]
fn moments_keep_their_digits_far_from_zero() {
    let (mut moments, mut other) = (Moments::default(), Moments::default());
    for offset in [4.0, 7.0, 13.0, 16.0] {
        if offset < 10.0 {
            &mut moments
        } else {
            &mut other
        }
        .add(1e9 + offset, 1.0);
    }
    moments.merge(&other);
    assert_eq!(moments.mean(), Some(1e9 + 10.0));
    assert_eq!(moments.standard_deviation(), Some(30.0_f64.sqrt()));
    assert_eq!(moments.count(), 4.0);
}

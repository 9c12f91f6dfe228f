//! Keys against a plain set, in memory and past the budget.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, Float64Array,
    Int32Array, Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray,
};

use super::*;

/// Bits that look random, by number.
fn bits(number: u64) -> u128 {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![number as i64]));
    hash_keys(&[column], 1)[0]
}

fn index(memory_bytes: usize) -> KeyIndex {
    KeyIndex::new(KeyIndexOptions {
        memory_bytes,
        spill_folder: None,
    })
}

/// Takes in numbers and gives the places of those that were taken.
fn insert(keys: &mut KeyIndex, numbers: impl Iterator<Item = u64>) -> Vec<usize> {
    let hashes: Vec<u128> = numbers.map(bits).collect();
    let mut taken = Vec::new();
    keys.insert_all(&hashes, |at| taken.push(at)).unwrap();
    taken
}

#[test]
fn the_first_of_equal_keys_is_let_in() {
    let mut keys = index(1 << 20);
    assert!(keys.is_empty());
    assert_eq!(insert(&mut keys, [1, 2, 1, 3, 2].into_iter()), [2, 4]);
    assert_eq!(keys.len(), 3);
    assert!(keys.contains(bits(3)).unwrap() && !keys.contains(bits(4)).unwrap());
    assert!(keys.insert_one(bits(4)).unwrap() && !keys.insert_one(bits(4)).unwrap());
}

#[test]
fn an_index_past_its_budget_says_the_same_as_a_set() {
    // 64 KiB of memory for 120,000 keys: dozens of runs and several merges.
    let mut keys = index(64 << 10);
    let mut set = HashSet::new();
    let mut state = 1_u64;
    for _ in 0..60 {
        let numbers: Vec<u64> = (0..3_000)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 33) % 200_000
            })
            .collect();
        let expected: Vec<usize> = (0..numbers.len())
            .filter(|at| !set.insert(numbers[*at]))
            .collect();
        assert_eq!(insert(&mut keys, numbers.into_iter()), expected);
        assert!(
            keys.memory_bytes() <= (64 + 40) << 10,
            "{} bytes",
            keys.memory_bytes()
        );
    }
    assert_eq!(keys.len(), set.len() as u64);
    assert!(keys.len() > 100_000 && keys.spilled_runs() > 0 && keys.spilled_runs() < RUNS_MAX);
    for number in (0..200_000).step_by(37) {
        assert_eq!(keys.contains(bits(number)).unwrap(), set.contains(&number));
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let options = KeyIndexOptions {
        memory_bytes: 0,
        spill_folder: Some("/nowhere/to/spill".into()),
    };
    let mut keys = KeyIndex::new(options);
    let hashes: Vec<u128> = (0..5_000).map(bits).collect();
    let error = keys.insert_all(&hashes, |_| {}).unwrap_err().to_string();
    assert!(
        error.contains("/nowhere/to/spill") && error.contains("write"),
        "{error}"
    );
}

fn hash(column: impl arrow::array::Array + 'static) -> Vec<u128> {
    let column: ArrayRef = Arc::new(column);
    hash_keys(&[Arc::clone(&column)], column.len())
}

#[test]
fn equal_values_are_equal_keys_however_text_is_laid_out() {
    let long = "a text of more than twelve bytes";
    let texts = ["", "a", "twelve bytes", "thirteen byte", long];
    let views = hash(StringViewArray::from_iter_values(texts));
    assert_eq!(views, hash(StringArray::from_iter_values(texts)));
    assert_eq!(views, hash(LargeStringArray::from_iter_values(texts)));
    assert_eq!(
        views,
        hash(BinaryViewArray::from_iter_values(texts.map(str::as_bytes)))
    );
    let sliced = StringViewArray::from_iter_values(["x", texts[4], "y"]).slice(1, 1);
    assert_eq!(hash(sliced), [views[4]]);
    let distinct: HashSet<u128> = views.into_iter().collect();
    assert_eq!(distinct.len(), texts.len());
}

#[test]
fn numbers_dates_and_booleans_are_told_apart_and_null_is_no_key() {
    assert_eq!(hash(Int64Array::from(vec![None, Some(0)]))[0], NO_KEY);
    assert_ne!(hash(Int64Array::from(vec![0]))[0], NO_KEY);
    assert_eq!(
        hash(Float64Array::from(vec![0.0, f64::NAN])),
        hash(Float64Array::from(vec![-0.0, -f64::NAN]))
    );
    for hashes in [
        hash(Int32Array::from_iter_values(-500..500)),
        hash(Decimal128Array::from_iter_values(
            (-500..500).map(|value| value * 10_i128.pow(30)),
        )),
        hash(Date32Array::from_iter_values(-500..500)),
        hash(TimestampMicrosecondArray::from_iter_values(
            (-500..500).map(|value| value << 40),
        )),
        hash(BooleanArray::from(vec![true, false])),
    ] {
        let count = hashes.len();
        assert_eq!(hashes.into_iter().collect::<HashSet<_>>().len(), count);
    }
}

#[test]
fn composite_keys_mind_their_order_and_their_nulls() {
    let left: ArrayRef = Arc::new(StringViewArray::from(vec![
        Some("a"),
        Some("b"),
        Some("a"),
        None,
        Some("ab"),
        Some("a"),
    ]));
    let right: ArrayRef = Arc::new(StringViewArray::from(vec![
        Some("b"),
        Some("a"),
        Some("b"),
        Some("b"),
        Some("c"),
        Some("bc"),
    ]));
    let hashes = hash_keys(&[left, right], 6);
    assert_eq!(hashes[0], hashes[2]);
    assert_ne!(hashes[0], hashes[1]);
    assert_ne!(hashes[4], hashes[5], "'ab','c' is not 'a','bc'");
    assert_eq!(hashes[3], NO_KEY);
}

#[test]
fn existing_rows_are_taken_in() {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(2), Some(1)]));
    let batch = RecordBatch::try_from_iter([("id", column)]).unwrap();
    let mut keys = index(1 << 20);
    assert_eq!(keys.insert_existing(&batch).unwrap(), 2);
    assert_eq!(insert(&mut keys, [2, 3].into_iter()), [0]);
}

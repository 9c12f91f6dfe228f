//! Keys as 128 bits.
//!
//! A number, a date or a text that lies in its view (up to twelve bytes) is scrambled by a bijection,
//! so that two keys are the same 128 bits only if they are the same key. A longer text is hashed
//! (rapidhash, twice), and the columns of a composite key are chained.

use arrow::array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, TimeUnit};
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

/// What stands for a row without a key: a NULL in it, or a value that failed.
pub(crate) const NO_KEY: u128 = 0;

/// Texts up to so many bytes are told apart exactly.
const EXACT_BYTES: usize = 12;

static SECRETS: [RapidSecrets; 2] = [
    RapidSecrets::seed(0x7469_6465),
    RapidSecrets::seed(0x6761_7465),
];

/// A bijection of 64 bits that changes about half of them for each bit of its argument (the finalizer
/// of MurmurHash3).
#[inline(always)]
const fn scramble64(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ bits >> 33
}

/// A bijection of 128 bits: a Feistel network of three rounds.
#[inline(always)]
const fn scramble128(bits: u128) -> u128 {
    let (mut low, mut high) = (bits as u64, (bits >> 64) as u64);
    high ^= scramble64(low ^ 0x9e37_79b9_7f4a_7c15);
    low ^= scramble64(high ^ 0xd1b5_4a32_d192_ed03);
    high ^= scramble64(low ^ 0x8cb9_2ba7_2f3d_8dd7);
    (high as u128) << 64 | low as u128
}

#[inline(always)]
fn of_bytes(bytes: &[u8]) -> u128 {
    if bytes.len() <= EXACT_BYTES {
        let mut padded = [0; 16];
        padded[4..4 + bytes.len()].copy_from_slice(bytes);
        padded[0] = bytes.len() as u8;
        return scramble128(u128::from_le_bytes(padded));
    }
    of_long(bytes)
}

#[inline(always)]
fn of_long(bytes: &[u8]) -> u128 {
    let [first, second] = &SECRETS;
    u128::from(rapidhash_v3_seeded(bytes, first)) << 64
        | u128::from(rapidhash_v3_seeded(bytes, second))
}

/// Hashes the rows of the key columns; [`NO_KEY`] where one is NULL.
pub(crate) fn hash_keys(columns: &[ArrayRef], rows: usize) -> Vec<u128> {
    let mut hashes = Vec::new();
    for (place, column) in columns.iter().enumerate() {
        let mut sink = Sink {
            hashes: &mut hashes,
            first: place == 0,
        };
        hash_column(column, &mut sink);
        if let Some(nulls) = column
            .logical_nulls()
            .filter(|nulls| nulls.null_count() > 0)
        {
            for row in (0..rows).filter(|row| nulls.is_null(*row)) {
                hashes[row] = NO_KEY;
            }
        }
    }
    hashes.resize(rows, NO_KEY);
    hashes
}

struct Sink<'h> {
    hashes: &'h mut Vec<u128>,
    first: bool,
}

impl Sink<'_> {
    /// Takes the scrambled values of a column.
    #[inline(always)]
    fn take(&mut self, values: impl ExactSizeIterator<Item = u128>) {
        if self.first {
            self.hashes.extend(values.map(|value| value.max(1)));
            return;
        }
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
        for (hash, value) in self.hashes.iter_mut().zip(values) {
            if *hash != NO_KEY {
                *hash = scramble128(hash.wrapping_mul(ODD).wrapping_add(value)).max(1);
            }
        }
    }

    fn primitive<T: ArrowPrimitiveType>(
        &mut self,
        column: &ArrayRef,
        bits: impl Fn(T::Native) -> u128,
    ) {
        if let Some(array) = column.as_primitive_opt::<T>() {
            self.take(array.values().iter().map(|value| scramble128(bits(*value))));
        }
    }
}

fn hash_column(column: &ArrayRef, sink: &mut Sink<'_>) {
    match column.data_type() {
        DataType::Boolean => {
            let values = column.as_boolean().values();
            sink.take((0..column.len()).map(|row| scramble128(u128::from(values.value(row)))));
        }
        DataType::Float32 => sink.primitive::<Float32Type>(column, |value| {
            u128::from(
                if value.is_nan() {
                    f32::NAN
                } else {
                    value + 0.0
                }
                .to_bits(),
            )
        }),
        DataType::Float64 => sink.primitive::<Float64Type>(column, |value| {
            u128::from(
                if value.is_nan() {
                    f64::NAN
                } else {
                    value + 0.0
                }
                .to_bits(),
            )
        }),
        DataType::Utf8View => {
            let array = column.as_string_view();
            sink.take(array.views().iter().enumerate().map(|(row, view)| {
                if *view as u32 as usize <= EXACT_BYTES {
                    scramble128(*view)
                } else {
                    of_long(array.value(row).as_bytes())
                }
            }));
        }
        DataType::BinaryView => {
            let array = column.as_binary_view();
            sink.take((0..array.len()).map(|row| of_bytes(array.value(row))));
        }
        DataType::Utf8 => {
            let array = column.as_string::<i32>();
            sink.take((0..array.len()).map(|row| of_bytes(array.value(row).as_bytes())));
        }
        DataType::LargeUtf8 => {
            let array = column.as_string::<i64>();
            sink.take((0..array.len()).map(|row| of_bytes(array.value(row).as_bytes())));
        }
        DataType::Binary => {
            let array = column.as_binary::<i32>();
            sink.take((0..array.len()).map(|row| of_bytes(array.value(row))));
        }
        DataType::LargeBinary => {
            let array = column.as_binary::<i64>();
            sink.take((0..array.len()).map(|row| of_bytes(array.value(row))));
        }
        _ => hash_numbers(column, sink),
    }
}

fn hash_numbers(column: &ArrayRef, sink: &mut Sink<'_>) {
    macro_rules! each {
        ($($pattern:pat => $type:ty),* $(,)?) => {
            match column.data_type() {
                $($pattern => sink.primitive::<$type>(column, |value| value as i128 as u128),)*
                DataType::Decimal256(_, _) => sink.primitive::<Decimal256Type>(column, |value| {
                    of_bytes(&value.to_le_bytes())
                }),
                // The gate admits no other type into a key.
                _ => sink.take((0..column.len()).map(|_| NO_KEY)),
            }
        };
    }
    each! {
        DataType::Int8 => Int8Type,
        DataType::Int16 => Int16Type,
        DataType::Int32 => Int32Type,
        DataType::Int64 => Int64Type,
        DataType::UInt8 => UInt8Type,
        DataType::UInt16 => UInt16Type,
        DataType::UInt32 => UInt32Type,
        DataType::UInt64 => UInt64Type,
        DataType::Decimal32(_, _) => Decimal32Type,
        DataType::Decimal64(_, _) => Decimal64Type,
        DataType::Decimal128(_, _) => Decimal128Type,
        DataType::Date32 => Date32Type,
        DataType::Date64 => Date64Type,
        DataType::Time32(TimeUnit::Second) => Time32SecondType,
        DataType::Time32(_) => Time32MillisecondType,
        DataType::Time64(TimeUnit::Microsecond) => Time64MicrosecondType,
        DataType::Time64(_) => Time64NanosecondType,
        DataType::Timestamp(TimeUnit::Second, _) => TimestampSecondType,
        DataType::Timestamp(TimeUnit::Millisecond, _) => TimestampMillisecondType,
        DataType::Timestamp(TimeUnit::Microsecond, _) => TimestampMicrosecondType,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => TimestampNanosecondType,
        DataType::Duration(TimeUnit::Second) => DurationSecondType,
        DataType::Duration(TimeUnit::Millisecond) => DurationMillisecondType,
        DataType::Duration(TimeUnit::Microsecond) => DurationMicrosecondType,
        DataType::Duration(TimeUnit::Nanosecond) => DurationNanosecondType,
    }
}

//! Any bytes as Parquet: an error or rows, in bounded memory and time.
#![no_main]

use tidegate_connect::fuzz::fuzz_parquet;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::tolerant(fuzz_parquet, bytes));

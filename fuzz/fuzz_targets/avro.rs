//! Any bytes as Avro: an error or rows, in bounded memory and time.
#![no_main]

use tidegate_connect::fuzz::fuzz_avro;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::tolerant(fuzz_avro, bytes));

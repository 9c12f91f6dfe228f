//! Any bytes as JSON, lines or an array: refused row by row, never with a panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_connect::fuzz::fuzz_json(bytes));

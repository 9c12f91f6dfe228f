//! Any bytes as plain text: every line comes out once.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_connect::fuzz::fuzz_text(bytes));

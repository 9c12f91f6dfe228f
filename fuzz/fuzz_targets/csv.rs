//! Any bytes as CSV, in blocks of any size: every byte is accounted for, and the size of the blocks does not show.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_connect::fuzz::fuzz_csv(bytes));

//! Any bytes as a file of an unknown format: whatever is found out, reading it that way does not panic.
#![no_main]

use tidegate_connect::fuzz::fuzz_discover;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::tolerant(fuzz_discover, bytes));

//! Any bytes as a workbook, or as the part of one: an error or rows, in bounded memory and time.
#![no_main]

use tidegate_connect::fuzz::fuzz_excel;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::tolerant(fuzz_excel, bytes));

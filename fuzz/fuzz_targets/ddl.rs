//! Any bytes as a file of statements: the project may refuse them, with places, but not panic or hang.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_project::fuzz_parse(bytes));

//! The allocator: mimalloc, told to keep freed memory for a while (docs/decisions/0008-allocator.md).
//!
//! Columns are large blocks that come and go on several threads. glibc's allocator returns each to the kernel and faults it
//! in again, page by page; mimalloc does so after ten milliseconds, unless it is told otherwise.

use libmimalloc_sys::{mi_option_set, mi_option_t, mi_option_use_numa_nodes};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`, which the bindings do not name: the option before `mi_option_use_numa_nodes`.
const PURGE_DELAY: mi_option_t = mi_option_use_numa_nodes - 1;

/// For how many milliseconds freed memory stays with the process.
const KEPT_MS: i64 = 10_000;

/// Lets freed memory stay with the process for [`KEPT_MS`]. The variable `MIMALLOC_PURGE_DELAY` stands above it.
pub fn keep_what_is_freed() {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_some() {
        return;
    }
    #[expect(
        unsafe_code,
        reason = "a number is set in a table of options, before any other thread runs"
    )]
    unsafe {
        mi_option_set(PURGE_DELAY, KEPT_MS as std::ffi::c_long);
    }
}

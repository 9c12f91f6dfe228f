//! What the targets of the typed formats share.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook};
use std::sync::{Mutex, Once, PoisonError};

/// What the last panic said.
static LAST: Mutex<String> = Mutex::new(String::new());

/// Runs an entry. The readers turn a library's panic into an error, which libFuzzer's hook would not let
/// them do; one that comes through here is ours, and is shown.
pub fn tolerant(entry: fn(&[u8]), bytes: &[u8]) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        set_hook(Box::new(|panic| {
            let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
            *last = format!("{panic}\n{}", std::backtrace::Backtrace::force_capture());
        }));
    });
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| entry(bytes))) {
        eprintln!("{}", LAST.lock().unwrap_or_else(PoisonError::into_inner));
        resume_unwind(panic);
    }
}

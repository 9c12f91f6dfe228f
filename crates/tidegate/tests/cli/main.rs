//! End to end: the built binary on projects in temporary folders, as a user runs it.
//!
//! What a user sees is tested from `tests/projects/*/session.txt` ([`sessions`]); what needs a process at work, a signal
//! or a strange file is in [`machine`], [`bad_input`] and [`live`]; [`kill`], [`kill_live`] and [`kill_kafka`] end the
//! process at every step of a commit. One test binary, so that it links once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // all of it is test code

mod bad_input;
mod kill;
mod kill_kafka;
mod kill_live;
mod live;
mod machine;
mod mistakes;
mod scratch;
mod sessions;
mod sinks;

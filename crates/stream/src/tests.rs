//! Dataflows against the same query over all rows at once.

mod joins;
mod keys;
mod ranks;
mod support;
mod windows;

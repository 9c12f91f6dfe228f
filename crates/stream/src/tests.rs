//! Dataflows against the same query over all rows at once.

mod support;
mod windows;

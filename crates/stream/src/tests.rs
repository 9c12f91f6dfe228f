//! Dataflows against the same query over all rows at once.

mod clocks;
mod joins;
mod keys;
mod nexmark;
mod ranks;
mod replays;
mod spilled;
mod support;
mod windows;

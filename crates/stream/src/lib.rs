//! Queries over relations that never end: operators with state, pushed to batch by batch.
//!
//! [`Dataflow::compile`] turns an analysed plan of the engine into a tree of operators. Decoded batches
//! go in by [`Dataflow::push`], results come out at once or when a window closes; what is remembered in
//! between is given out by [`Dataflow::checkpoint`], only what is new since the last one, and taken back
//! by [`Dataflow::restore`].
//!
//! This room knows no source, no table, no file but its own spill, and no clock: whoever drives a flow
//! says what came, from which partition, and what time it is. The same pushes give the same outputs.
//!
//! The parts: [`compile`] reads the plan; [`clock`] follows event time by partition; [`groups`] holds
//! aggregates by key, on which [`window`], [`session`] and [`running`] are built; [`rank`] keeps the
//! first rows of each key; [`join`] matches two sides. Each of these is a [`shard`], which [`sharded`] hands its
//! rows and spills; [`parts`], [`pane`] and [`spill`] hold what is remembered; [`checkpoint`] names and encodes
//! segments; [`trail`] and [`replay`] lead from one checkpoint to the next when that cannot be read.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod checkpoint;
mod clock;
mod columns;
mod compile;
mod dataflow;
mod error;
mod groups;
mod join;
mod keyed;
mod lateness;
mod operator;
mod options;
mod pane;
mod parts;
mod paths;
mod rank;
mod replay;
mod routes;
mod running;
mod scan;
mod session;
mod shard;
mod sharded;
mod slices;
mod spill;
mod stateless;
mod suffix;
mod trail;
mod union;
mod window;
mod window_state;

pub use checkpoint::{Checkpoint, Segment};
pub use dataflow::Dataflow;
pub use error::StreamError;
pub use options::{Input, OperatorStats, Options, Output, OutputMode, Stats, WatermarkSpec};
pub use replay::Replay;

#[cfg(test)]
mod tests;

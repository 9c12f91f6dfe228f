//! The Delta log of one table, replayed into its state.
//!
//! A state is read in one pass over the newest checkpoint's small parts and the commits after it:
//! version, schema, and every flow's epoch. The list of data files is read only when somebody asks
//! for it. From a state, the next one costs one request per new commit. Checkpoints (of any kind,
//! by any writer) are decoded by the Delta library; writing commits is [`crate::commit`]'s.

pub(crate) mod actions;
mod checkpoint;
mod state;

pub(crate) use state::{LogState, commit_name, operation, read_commit};

#[cfg(test)]
mod tests;

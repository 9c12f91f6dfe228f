//! Small summaries of large columns, each mergeable and of bounded size.
//!
//! A profile must not grow with the file. As long as a column has few distinct values everything is
//! counted exactly; beyond that these summaries take over, and the report says so.

mod hyper_log_log;
mod misra_gries;
mod moments;
mod t_digest;

pub(crate) use hyper_log_log::HyperLogLog;
pub(crate) use misra_gries::{Counter, MisraGries};
pub(crate) use moments::Moments;
pub(crate) use t_digest::TDigest;

#[cfg(test)]
mod tests;

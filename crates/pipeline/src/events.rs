//! What an update says while it runs, so that a terminal, a page or a log can show it.
//!
//! Events are facts, not text: the receiver decides what is shown. Progress is counted in atomics that workers bump
//! and the receiver reads at its own pace, so that watching costs the hot path nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::report::TableReport;

/// Something that happened in an update.
#[derive(Debug, Clone)]
pub enum Event {
    /// The update began; the tables it will look at, in dependency order.
    UpdateStarted {
        /// The run's id.
        run: String,
        /// Table names as shown to the user.
        tables: Vec<String>,
    },
    /// A table's flows began. The meter moves while they run.
    TableStarted {
        /// The table's name.
        table: String,
        /// Live counters of this table.
        meter: Arc<Meter>,
    },
    /// A table is done: refreshed, skipped, failed or blocked.
    TableFinished {
        /// What happened to it.
        report: Box<TableReport>,
    },
    /// Something the user should see at once, such as a passed alert threshold.
    Alert {
        /// The table concerned.
        table: String,
        /// A plain sentence.
        message: String,
    },
}

/// Receives the events of an update, from any thread.
pub trait Observer: Send + Sync {
    /// Takes one event. Must be quick: the update waits for it.
    fn event(&self, event: Event);
}

/// An observer that listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _event: Event) {}
}

/// Live counters of one table: rows and bytes read so far, and the bytes there are to read.
#[derive(Debug, Default)]
pub struct Meter {
    rows: AtomicU64,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
}

impl Meter {
    /// Adds what one piece of the source held.
    pub fn add(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Adds to the bytes that are to be read in all.
    pub fn expect_bytes(&self, bytes: u64) {
        self.bytes_total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Rows read so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes read so far, as stored (compressed where the source is).
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes there are to read in all; 0 where that is not known.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total.load(Ordering::Relaxed)
    }
}

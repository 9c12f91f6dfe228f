//! What an update did, table by table: the numbers that the end of a run shows, the history keeps and `--json` prints.

use serde::Serialize;

/// The whole update.
#[derive(Debug, Clone, Serialize)]
pub struct UpdateReport {
    /// The run's id, as `tidegate runs` lists it.
    pub run: String,
    /// How it ended.
    pub status: UpdateStatus,
    /// Wall-clock seconds from start to end.
    pub seconds: f64,
    /// One entry a table, in dependency order.
    pub tables: Vec<TableReport>,
}

/// How an update ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateStatus {
    /// Every table was refreshed or had nothing to do.
    Succeeded,
    /// At least one table failed; tables below it were not refreshed, all others were.
    Failed,
    /// The user interrupted it; what was committed before stays.
    Cancelled,
}

/// One table in one update.
#[derive(Debug, Clone, Serialize)]
pub struct TableReport {
    /// The table's name.
    pub table: String,
    /// `streaming table`, `materialized view` or `view`.
    pub kind: &'static str,
    /// What happened.
    pub outcome: Outcome,
    /// Version of the Delta table after the update, where there is one.
    pub version: Option<u64>,
    /// Wall-clock seconds spent on it.
    pub seconds: f64,
    /// Files read.
    pub files: u64,
    /// Bytes read from files, as stored.
    pub bytes: u64,
    /// Rows that entered the gate.
    pub rows_in: u64,
    /// Rows that were written to the table, repaired ones included.
    pub good: u64,
    /// Rows that were good only after a repair.
    pub repaired: u64,
    /// Rows that went to the quarantine.
    pub quarantined: u64,
    /// Rows that an `ON VIOLATION DROP ROW` dropped.
    pub dropped: u64,
    /// Why rows were not, or only just, good. A row with two reasons is counted under both.
    pub reasons: Vec<ReasonCount>,
    /// Every promise that was held against rows, those that all rows kept included.
    #[serde(skip)]
    pub promises: Vec<ReasonCount>,
    /// Things the user should know: a column that no file has, a threshold that was passed.
    pub notes: Vec<String>,
}

/// How often one reason was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReasonCount {
    /// The constraint's name, or `malformed`, `type`, `not_null`, `duplicate_key`.
    pub constraint: String,
    /// The column concerned, where the reason is about one.
    pub column: Option<String>,
    /// `quarantined`, `dropped`, `kept` or `failed`.
    pub outcome: String,
    /// Rows for which it was given.
    pub rows: u64,
    /// Rows that were held against it and kept it.
    pub passed: u64,
}

/// What happened to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// A new version was committed.
    Refreshed,
    /// Nothing it reads has moved.
    Skipped,
    /// A view: there is nothing to store.
    Defined,
    /// It failed; nothing of this update was committed to it.
    Failed {
        /// The message, with its place.
        error: String,
    },
    /// A table it reads failed, so it was left as it was.
    Blocked {
        /// The table that failed.
        by: String,
    },
}

impl TableReport {
    /// An empty report of a table that has not run yet.
    pub fn new(table: impl Into<String>, kind: &'static str) -> Self {
        Self {
            table: table.into(),
            kind,
            outcome: Outcome::Skipped,
            version: None,
            seconds: 0.0,
            files: 0,
            bytes: 0,
            rows_in: 0,
            good: 0,
            repaired: 0,
            quarantined: 0,
            dropped: 0,
            reasons: Vec::new(),
            promises: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Whether the table holds what this update should have given it.
    pub fn is_ok(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::Refreshed | Outcome::Skipped | Outcome::Defined
        )
    }
}

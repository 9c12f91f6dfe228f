//! The records themselves: plain typed values, as they are written and read.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ProcessIdentity, StoreError};

/// The id of a run: a UUID of version 7, so that ids sort by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub(crate) String);

impl RunId {
    /// A new id for a run that starts at `micros` since 1970 (UTC).
    pub fn at(micros: i64) -> Self {
        let micros = u64::try_from(micros).unwrap_or(0);
        let nanos = u32::try_from(micros % 1_000_000 * 1_000).unwrap_or(0);
        let time = uuid::Timestamp::from_unix(uuid::NoContext, micros / 1_000_000, nanos);
        Self(uuid::Uuid::new_v7(time).to_string())
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last eight characters, which are random: the first ones are the time, and alike in all
    /// runs of a minute.
    pub fn short(&self) -> &str {
        let start = self.0.len().saturating_sub(8);
        self.0.get(start..).unwrap_or(&self.0)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Makes an enum whose variants are stored, shown and serialised as one word each.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident ($column:literal) { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            /// The word as it is stored and shown.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            pub(crate) fn read(word: &str) -> Result<Self, StoreError> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    other => Err(StoreError::Unreadable {
                        column: $column,
                        value: other.to_owned(),
                        expected: concat!("one of" $(, " ", $word)+),
                    }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.as_str())
            }
        }
    };
}

words! {
    /// What a run executed.
    RunKind("tidegate_runs.kind") {
        /// A refresh of a set of tables.
        Update = "update",
        /// A workflow of tasks.
        Workflow = "workflow",
        /// The project's tests.
        Test = "test",
    }
}

words! {
    /// How a run stands.
    RunStatus("tidegate_runs.status") {
        /// It goes on.
        Running = "running",
        /// It ended, and all of it went well.
        Succeeded = "succeeded",
        /// It ended, and a part of it failed.
        Failed = "failed",
        /// It was told to stop.
        Cancelled = "cancelled",
        /// Its process is gone without having said how it ended. Never stored: found on reading.
        Interrupted = "interrupted",
    }
}

words! {
    /// How a flow ended in a run.
    FlowStatus("tidegate_flow_runs.status") {
        /// It goes on, or its process is gone.
        Running = "running",
        /// Its epoch is committed.
        Succeeded = "succeeded",
        /// It stopped, and nothing of its epoch is committed.
        Failed = "failed",
        /// It had nothing to do, or a table above it failed; `skipped_reason` says which.
        Skipped = "skipped",
        /// It was told to stop.
        Cancelled = "cancelled",
    }
}

words! {
    /// What becomes of a row that does not meet an expectation.
    ExpectationOutcome("tidegate_expectation_results.outcome") {
        /// Kept and counted.
        Keep = "keep",
        /// Dropped and counted.
        DropRow = "drop_row",
        /// The update stops.
        FailUpdate = "fail_update",
        /// Moved to the quarantine.
        Quarantine = "quarantine",
    }
}

words! {
    /// How a column of one table bears on a column of another.
    LineageKind("tidegate_lineage.kind") {
        /// The value is passed on as it is.
        Copied = "copied",
        /// The value is computed from it.
        Derived = "derived",
        /// It decides which rows there are (a filter, a join, a grouping), not their values.
        Condition = "condition",
    }
}

/// A run to be started.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    /// What it executes.
    pub kind: RunKind,
    /// What it was asked for, as JSON; an object by habit.
    pub arguments: Value,
}

impl NewRun {
    /// A run without arguments.
    pub fn new(kind: RunKind) -> Self {
        let arguments = Value::Object(serde_json::Map::new());
        Self { kind, arguments }
    }

    /// The same run with these arguments.
    pub fn with_arguments(mut self, arguments: Value) -> Self {
        self.arguments = arguments;
        self
    }
}

/// A run, as read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// What it executed.
    pub kind: RunKind,
    /// How it stands. `Interrupted` when it is stored as running but its process is gone.
    pub status: RunStatus,
    /// When it started, in microseconds since 1970 (UTC).
    pub started_micros: i64,
    /// When it ended, likewise; none while it runs and when it was interrupted.
    pub ended_micros: Option<i64>,
    /// What it was asked for.
    pub arguments: Value,
    /// Why it failed.
    pub error: Option<Value>,
    /// The process that runs or ran it.
    #[serde(skip)]
    pub process: ProcessIdentity,
}

impl Run {
    /// How long it took, in seconds; none while it has no end.
    pub fn seconds(&self) -> Option<f64> {
        let ended = self.ended_micros?;
        Some(ended.saturating_sub(self.started_micros) as f64 / 1e6)
    }
}

/// What one flow did in a run. `run`, `table` and `flow` name it: a second record of the same three
/// replaces the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlowRun {
    /// The run.
    pub run: RunId,
    /// The table that it feeds.
    pub table: String,
    /// The flow; an implicit flow has its table's name.
    pub flow: String,
    /// The epoch that it committed, if it came that far.
    pub epoch: Option<u64>,
    /// How it ended.
    pub status: FlowStatus,
    /// When it started, in microseconds since 1970 (UTC).
    pub started_micros: i64,
    /// How long it took.
    pub seconds: f64,
    /// Rows that came to the gate.
    pub rows_in: u64,
    /// Rows in the table, the repaired and the kept failures included.
    pub good: u64,
    /// Rows that were good after a repair.
    pub repaired: u64,
    /// Rows in quarantine.
    pub quarantined: u64,
    /// Rows dropped by `DROP ROW`.
    pub dropped: u64,
    /// Rows kept although an expectation without a clause failed.
    pub kept_failed: u64,
    /// Bytes read from the sources.
    pub bytes: u64,
    /// Why it had nothing to do, when it was skipped.
    pub skipped_reason: Option<String>,
    /// Why it failed.
    pub error: Option<Value>,
}

impl FlowRun {
    /// A flow that starts now and has counted nothing yet.
    pub fn started(
        run: &RunId,
        table: impl Into<String>,
        flow: impl Into<String>,
        started_micros: i64,
    ) -> Self {
        Self {
            run: run.clone(),
            table: table.into(),
            flow: flow.into(),
            epoch: None,
            status: FlowStatus::Running,
            started_micros,
            seconds: 0.0,
            rows_in: 0,
            good: 0,
            repaired: 0,
            quarantined: 0,
            dropped: 0,
            kept_failed: 0,
            bytes: 0,
            skipped_reason: None,
            error: None,
        }
    }
}

/// What one expectation found in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExpectationResult {
    /// The run.
    pub run: RunId,
    /// The table that makes the promise.
    pub table: String,
    /// The name of the constraint, or `malformed`, `type`, `not_null`, `duplicate_key`.
    pub constraint: String,
    /// Rows that met it.
    pub passed: u64,
    /// Rows that did not.
    pub failed: u64,
    /// What became of those that did not.
    pub outcome: ExpectationOutcome,
}

/// One step of lineage: from a column, or a whole table, to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct LineageEdge {
    /// The table (or the path of the files) that it comes from.
    pub from_table: String,
    /// Its column; none for the table as a whole.
    pub from_column: Option<String>,
    /// The table that it goes to.
    pub to_table: String,
    /// Its column; none for the table as a whole.
    pub to_column: Option<String>,
    /// How the one bears on the other.
    pub kind: LineageKind,
}

impl PartialOrd for LineageKind {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LineageKind {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

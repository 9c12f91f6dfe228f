//! Runs: started, kept alive, finished, listed, found by a part of their id, forgotten.

use serde_json::Value;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::rows::Reader;
use crate::{NewRun, ProcessIdentity, Run, RunId, RunKind, RunStatus, Store, StoreError};

const COLUMNS: &str = "SELECT id, kind, status, started_micros, heartbeat_micros, ended_micros, \
                       arguments, error, host, process_id, process_birth FROM tidegate_runs";

impl Store {
    /// Writes down that a run starts now, in this process.
    ///
    /// # Errors
    /// [`StoreError::Query`] when the database refuses.
    pub async fn start_run(&self, run: NewRun) -> Result<RunId, StoreError> {
        let now = self.now_micros();
        let id = RunId::at(now);
        let process = &self.surroundings.process;
        sqlx::query(
            "INSERT INTO tidegate_runs (id, kind, status, started_micros, heartbeat_micros, \
             arguments, host, process_id, process_birth) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(id.as_str())
        .bind(run.kind.as_str())
        .bind(RunStatus::Running.as_str())
        .bind(now)
        .bind(now)
        .bind(run.arguments.to_string())
        .bind(process.host.as_str())
        .bind(i64::from(process.process_id))
        .bind(process.birth.as_str())
        .execute(&self.pool)
        .await
        .map_err(|source| StoreError::Query {
            doing: "write down that a run starts",
            source,
        })?;
        Ok(id)
    }

    /// Says that a run still goes on. Needed several times within
    /// [`crate::HEARTBEAT_MICROS_MAX`] when others look at the records from another host.
    ///
    /// # Errors
    /// [`StoreError::Query`] when the database refuses.
    pub async fn heartbeat(&self, run: &RunId) -> Result<(), StoreError> {
        sqlx::query("UPDATE tidegate_runs SET heartbeat_micros = $1 WHERE id = $2")
            .bind(self.now_micros())
            .bind(run.as_str())
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(|source| StoreError::Query {
                doing: "note that a run goes on",
                source,
            })
    }

    /// Writes down that a run ended now, and how.
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`] when it was never started; [`StoreError::Query`] when the
    /// database refuses.
    pub async fn finish_run(
        &self,
        run: &RunId,
        status: RunStatus,
        error: Option<&Value>,
    ) -> Result<(), StoreError> {
        let changed = sqlx::query(
            "UPDATE tidegate_runs SET status = $1, ended_micros = $2, heartbeat_micros = $2, \
             error = $3 WHERE id = $4",
        )
        .bind(status.as_str())
        .bind(self.now_micros())
        .bind(error.map(Value::to_string))
        .bind(run.as_str())
        .execute(&self.pool)
        .await
        .map_err(|source| StoreError::Query {
            doing: "write down that a run ended",
            source,
        })?;
        match changed.rows_affected() {
            0 => Err(StoreError::UnknownRun {
                part: run.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// The latest runs, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Query`], or [`StoreError::Unreadable`] for records of a newer version.
    pub async fn list_runs(&self, limit: u32) -> Result<Vec<Run>, StoreError> {
        const DOING: &str = "list the runs";
        let sql = const_sql("ORDER BY started_micros DESC, id DESC LIMIT $1");
        let rows = sqlx::query(sql)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(|source| StoreError::Query {
                doing: DOING,
                source,
            })?;
        rows.iter().map(|row| self.read_run(row, DOING)).collect()
    }

    /// The run whose id is, starts with, or ends with `part` (as [`RunId::short`] shows it).
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`] and [`StoreError::AmbiguousRun`] when none or several fit.
    pub async fn run(&self, part: &str) -> Result<Run, StoreError> {
        const DOING: &str = "look a run up";
        let wanted = part.trim().to_ascii_lowercase();
        let is_id = |character: char| character.is_ascii_hexdigit() || character == '-';
        if wanted.is_empty() || !wanted.chars().all(is_id) {
            return Err(StoreError::UnknownRun {
                part: part.to_owned(),
            });
        }
        let sql = const_sql("WHERE id LIKE $1 OR id LIKE $2 ORDER BY started_micros DESC, id DESC");
        let rows = sqlx::query(sql)
            .bind(format!("{wanted}%"))
            .bind(format!("%{wanted}"))
            .fetch_all(&self.pool)
            .await
            .map_err(|source| StoreError::Query {
                doing: DOING,
                source,
            })?;
        match rows.as_slice() {
            [] => Err(StoreError::UnknownRun {
                part: part.to_owned(),
            }),
            [row] => self.read_run(row, DOING),
            several => Err(StoreError::AmbiguousRun {
                part: part.to_owned(),
                matches: several
                    .iter()
                    .filter_map(|row| row.try_get::<String, _>("id").ok())
                    .collect(),
            }),
        }
    }

    /// Forgets the runs that ended before `micros` since 1970 (UTC), with all that is recorded of
    /// them, and says how many they were. Runs without an end are kept.
    ///
    /// # Errors
    /// [`StoreError::Query`] when the database refuses.
    pub async fn forget_runs_before(&self, micros: i64) -> Result<u64, StoreError> {
        sqlx::query("DELETE FROM tidegate_runs WHERE ended_micros < $1")
            .bind(micros)
            .execute(&self.pool)
            .await
            .map(|done| done.rows_affected())
            .map_err(|source| StoreError::Query {
                doing: "forget old runs",
                source,
            })
    }

    fn read_run(&self, row: &AnyRow, doing: &'static str) -> Result<Run, StoreError> {
        let read = Reader { row, doing };
        let process = ProcessIdentity {
            host: read.text("host")?,
            process_id: u32::try_from(read.integer("process_id")?).unwrap_or(0),
            birth: read.text("process_birth")?,
        };
        let mut status = RunStatus::read(&read.text("status")?)?;
        if status == RunStatus::Running {
            let heartbeat = read.integer("heartbeat_micros")?;
            if self.surroundings.is_abandoned(&process, heartbeat) {
                status = RunStatus::Interrupted;
            }
        }
        Ok(Run {
            id: RunId(read.text("id")?),
            kind: RunKind::read(&read.text("kind")?)?,
            status,
            started_micros: read.integer("started_micros")?,
            ended_micros: read.optional_integer("ended_micros")?,
            arguments: read.json("arguments")?,
            error: read.optional_json("error")?,
            process,
        })
    }
}

/// The columns of a run, and the rest of the query: both from this file.
fn const_sql(rest: &'static str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("{COLUMNS} {rest}"))
}

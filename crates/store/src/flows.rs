//! What each flow did in a run.

use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::rows::{Reader, stored};
use crate::{FlowRun, FlowStatus, RunId, Store, StoreError};

const DOING: &str = "read what the flows did";

const INSERT: &str = "INSERT INTO tidegate_flow_runs (run_id, table_name, flow_name, epoch, \
    status, started_micros, seconds, rows_in, good, repaired, quarantined, dropped, kept_failed, \
    bytes, skipped_reason, error) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
    ON CONFLICT (run_id, table_name, flow_name) DO UPDATE SET epoch = excluded.epoch, \
    status = excluded.status, started_micros = excluded.started_micros, \
    seconds = excluded.seconds, rows_in = excluded.rows_in, good = excluded.good, \
    repaired = excluded.repaired, quarantined = excluded.quarantined, \
    dropped = excluded.dropped, kept_failed = excluded.kept_failed, bytes = excluded.bytes, \
    skipped_reason = excluded.skipped_reason, error = excluded.error";

impl Store {
    /// Writes down what flows did, in one transaction. A record of the same run, table and flow is
    /// replaced.
    ///
    /// # Errors
    /// [`StoreError::Query`] when the database refuses, as it does for an unknown run.
    pub async fn record_flows(&self, flows: &[FlowRun]) -> Result<(), StoreError> {
        self.insert_flows(flows)
            .await
            .map_err(|source| StoreError::Query {
                doing: "write down what the flows did",
                source,
            })
    }

    async fn insert_flows(&self, flows: &[FlowRun]) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        for flow in flows {
            sqlx::query(INSERT)
                .bind(flow.run.as_str())
                .bind(flow.table.as_str())
                .bind(flow.flow.as_str())
                .bind(flow.epoch.map(stored))
                .bind(flow.status.as_str())
                .bind(flow.started_micros)
                .bind(flow.seconds)
                .bind(stored(flow.rows_in))
                .bind(stored(flow.good))
                .bind(stored(flow.repaired))
                .bind(stored(flow.quarantined))
                .bind(stored(flow.dropped))
                .bind(stored(flow.kept_failed))
                .bind(stored(flow.bytes))
                .bind(flow.skipped_reason.as_deref())
                .bind(flow.error.as_ref().map(Value::to_string))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    /// What the flows of one run did, in the order in which they started.
    ///
    /// # Errors
    /// [`StoreError::Query`], or [`StoreError::Unreadable`] for records of a newer version.
    pub async fn flows_of(&self, run: &RunId) -> Result<Vec<FlowRun>, StoreError> {
        let sql = select("WHERE run_id = $1 ORDER BY started_micros, table_name, flow_name");
        self.fetch_flows(sqlx::query(sql).bind(run.as_str())).await
    }

    /// What flows did in the latest runs, newest first, at most `limit` records.
    ///
    /// # Errors
    /// As [`Store::flows_of`].
    pub async fn list_flows(&self, limit: u32) -> Result<Vec<FlowRun>, StoreError> {
        let sql = select("ORDER BY started_micros DESC, run_id, table_name, flow_name LIMIT $1");
        self.fetch_flows(sqlx::query(sql).bind(i64::from(limit)))
            .await
    }

    /// What the flows into one table did, newest first, at most `limit` records.
    ///
    /// # Errors
    /// As [`Store::flows_of`].
    pub async fn flows_into(&self, table: &str, limit: u32) -> Result<Vec<FlowRun>, StoreError> {
        let sql = select("WHERE table_name = $1 ORDER BY started_micros DESC, flow_name LIMIT $2");
        self.fetch_flows(sqlx::query(sql).bind(table).bind(i64::from(limit)))
            .await
    }

    async fn fetch_flows(
        &self,
        query: sqlx::query::Query<'_, sqlx::Any, sqlx::any::AnyArguments>,
    ) -> Result<Vec<FlowRun>, StoreError> {
        let rows = query
            .fetch_all(&self.pool)
            .await
            .map_err(|source| StoreError::Query {
                doing: DOING,
                source,
            })?;
        rows.iter().map(read_flow).collect()
    }
}

/// The columns of a flow run, and the rest of the query: both from this file.
fn select(rest: &'static str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "SELECT run_id, table_name, flow_name, epoch, status, started_micros, seconds, rows_in, \
         good, repaired, quarantined, dropped, kept_failed, bytes, skipped_reason, error \
         FROM tidegate_flow_runs {rest}"
    ))
}

fn read_flow(row: &AnyRow) -> Result<FlowRun, StoreError> {
    let read = Reader { row, doing: DOING };
    let epoch = read.optional_integer("epoch")?;
    Ok(FlowRun {
        run: RunId(read.text("run_id")?),
        table: read.text("table_name")?,
        flow: read.text("flow_name")?,
        epoch: epoch.map(|epoch| u64::try_from(epoch).unwrap_or(0)),
        status: FlowStatus::read(&read.text("status")?)?,
        started_micros: read.integer("started_micros")?,
        seconds: read.float("seconds")?,
        rows_in: read.count("rows_in")?,
        good: read.count("good")?,
        repaired: read.count("repaired")?,
        quarantined: read.count("quarantined")?,
        dropped: read.count("dropped")?,
        kept_failed: read.count("kept_failed")?,
        bytes: read.count("bytes")?,
        skipped_reason: read.optional_text("skipped_reason")?,
        error: read.optional_json("error")?,
    })
}

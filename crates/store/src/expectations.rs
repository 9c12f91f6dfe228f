//! What each expectation found in a run.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::rows::{Reader, stored};
use crate::{ExpectationOutcome, ExpectationResult, RunId, Store, StoreError};

const DOING: &str = "read what the expectations found";

const INSERT: &str = "INSERT INTO tidegate_expectation_results (run_id, table_name, \
    constraint_name, passed, failed, outcome) VALUES ($1, $2, $3, $4, $5, $6) \
    ON CONFLICT (run_id, table_name, constraint_name) DO UPDATE SET passed = excluded.passed, \
    failed = excluded.failed, outcome = excluded.outcome";

impl Store {
    /// Writes down what expectations found, in one transaction. A result of the same run, table and
    /// constraint is replaced.
    ///
    /// # Errors
    /// [`StoreError::Query`] when the database refuses, as it does for an unknown run.
    pub async fn record_expectations(
        &self,
        results: &[ExpectationResult],
    ) -> Result<(), StoreError> {
        self.insert_expectations(results)
            .await
            .map_err(|source| StoreError::Query {
                doing: "write down what the expectations found",
                source,
            })
    }

    async fn insert_expectations(&self, results: &[ExpectationResult]) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        for result in results {
            sqlx::query(INSERT)
                .bind(result.run.as_str())
                .bind(result.table.as_str())
                .bind(result.constraint.as_str())
                .bind(stored(result.passed))
                .bind(stored(result.failed))
                .bind(result.outcome.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    /// What the expectations of one run found, by table and constraint.
    ///
    /// # Errors
    /// [`StoreError::Query`], or [`StoreError::Unreadable`] for records of a newer version.
    pub async fn expectations_of(&self, run: &RunId) -> Result<Vec<ExpectationResult>, StoreError> {
        let sql = select("WHERE run_id = $1 ORDER BY table_name, constraint_name");
        self.fetch_expectations(sqlx::query(sql).bind(run.as_str()))
            .await
    }

    /// What expectations found in the latest runs, newest first, at most `limit` records.
    ///
    /// # Errors
    /// As [`Store::expectations_of`].
    pub async fn list_expectations(
        &self,
        limit: u32,
    ) -> Result<Vec<ExpectationResult>, StoreError> {
        // The ids sort by time.
        let sql = select("ORDER BY run_id DESC, table_name, constraint_name LIMIT $1");
        self.fetch_expectations(sqlx::query(sql).bind(i64::from(limit)))
            .await
    }

    async fn fetch_expectations(
        &self,
        query: sqlx::query::Query<'_, sqlx::Any, sqlx::any::AnyArguments>,
    ) -> Result<Vec<ExpectationResult>, StoreError> {
        let rows = query
            .fetch_all(&self.pool)
            .await
            .map_err(|source| StoreError::Query {
                doing: DOING,
                source,
            })?;
        rows.iter().map(read_result).collect()
    }
}

/// The columns of a result, and the rest of the query: both from this file.
fn select(rest: &'static str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "SELECT run_id, table_name, constraint_name, passed, failed, outcome \
         FROM tidegate_expectation_results {rest}"
    ))
}

fn read_result(row: &AnyRow) -> Result<ExpectationResult, StoreError> {
    let read = Reader { row, doing: DOING };
    Ok(ExpectationResult {
        run: RunId(read.text("run_id")?),
        table: read.text("table_name")?,
        constraint: read.text("constraint_name")?,
        passed: read.count("passed")?,
        failed: read.count("failed")?,
        outcome: ExpectationOutcome::read(&read.text("outcome")?)?,
    })
}

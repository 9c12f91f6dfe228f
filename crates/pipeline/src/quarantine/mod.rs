//! The quarantine after a run: what is in it, and sending rows through the gate again.
//!
//! The rows themselves are an ordinary table, `<table>__quarantine`; looking at them is a query. Retrying is an update of
//! its own flow ([`retry`]), with an intent and epochs like any other.

mod reread;
mod retry;
mod rows;

use std::collections::BTreeMap;

use futures::TryStreamExt;
use serde::Serialize;

use crate::error::Result;
use crate::report::ReasonCount;
use crate::workspace::Workspace;

pub use retry::{RetryReport, RetryRequest};

/// What is in one table's quarantine.
#[derive(Debug, Clone, Serialize)]
pub struct QuarantineSummary {
    /// The table whose gate turned the rows away.
    pub table: String,
    /// Rows that are still held.
    pub held: u64,
    /// Rows that a retry let into the table later.
    pub released: u64,
    /// Why rows are there, by state (`held`, `released`) and promise.
    pub reasons: Vec<ReasonCount>,
}

impl Workspace {
    /// The quarantines of all tables that have one, by table.
    ///
    /// # Errors
    /// What reading them meets.
    pub async fn quarantine_list(&self) -> Result<Vec<QuarantineSummary>> {
        let mut summaries = Vec::new();
        for table in &self.project.tables {
            let quarantine = self.lake().await?.table(&table.name.quarantine()).await?;
            if quarantine.is_none() {
                continue;
            }
            let summary = self
                .summarise(
                    &table.name.to_string(),
                    &table.name.quarantine().to_string(),
                )
                .await?;
            if summary.held + summary.released > 0 {
                summaries.push(summary);
            }
        }
        Ok(summaries)
    }

    async fn summarise(&self, table: &str, quarantine: &str) -> Result<QuarantineSummary> {
        let sql = format!("SELECT state, reasons FROM {quarantine}");
        let mut stream = self.query(&sql).await?.stream;
        let mut summary = QuarantineSummary {
            table: table.to_owned(),
            held: 0,
            released: 0,
            reasons: Vec::new(),
        };
        let mut counted: BTreeMap<(String, String, Option<String>), u64> = BTreeMap::new();
        while let Some(batch) = stream.try_next().await? {
            rows::count_reasons(&batch, &mut summary, &mut counted)?;
        }
        let reasons = counted
            .into_iter()
            .map(|((state, constraint, column), rows)| ReasonCount {
                constraint,
                column,
                outcome: state,
                rows,
                passed: 0,
            });
        summary.reasons = reasons.collect();
        summary
            .reasons
            .sort_by_key(|reason| std::cmp::Reverse(reason.rows));
        Ok(summary)
    }
}

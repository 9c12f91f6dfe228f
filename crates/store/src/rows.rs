//! Between the database's few types and those of the records: counts that are never negative,
//! JSON kept as text.

use serde_json::Value;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::StoreError;

/// A count as the database holds it. Counts beyond 2⁶³ do not occur; they would be held as 2⁶³ − 1.
pub(crate) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A row that is being read, and what for.
pub(crate) struct Reader<'a> {
    pub(crate) row: &'a AnyRow,
    pub(crate) doing: &'static str,
}

impl Reader<'_> {
    fn failed(&self, source: sqlx::Error) -> StoreError {
        StoreError::Query {
            doing: self.doing,
            source,
        }
    }

    pub(crate) fn text(&self, column: &str) -> Result<String, StoreError> {
        self.row.try_get(column).map_err(|error| self.failed(error))
    }

    pub(crate) fn optional_text(&self, column: &str) -> Result<Option<String>, StoreError> {
        self.row.try_get(column).map_err(|error| self.failed(error))
    }

    pub(crate) fn integer(&self, column: &str) -> Result<i64, StoreError> {
        self.row.try_get(column).map_err(|error| self.failed(error))
    }

    pub(crate) fn optional_integer(&self, column: &str) -> Result<Option<i64>, StoreError> {
        self.row.try_get(column).map_err(|error| self.failed(error))
    }

    pub(crate) fn count(&self, column: &str) -> Result<u64, StoreError> {
        Ok(u64::try_from(self.integer(column)?).unwrap_or(0))
    }

    pub(crate) fn float(&self, column: &str) -> Result<f64, StoreError> {
        self.row.try_get(column).map_err(|error| self.failed(error))
    }

    pub(crate) fn json(&self, column: &'static str) -> Result<Value, StoreError> {
        json(column, &self.text(column)?)
    }

    pub(crate) fn optional_json(&self, column: &'static str) -> Result<Option<Value>, StoreError> {
        self.optional_text(column)?
            .map(|text| json(column, &text))
            .transpose()
    }
}

fn json(column: &'static str, text: &str) -> Result<Value, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Unreadable {
        column,
        value: text.to_owned(),
        expected: "JSON",
    })
}

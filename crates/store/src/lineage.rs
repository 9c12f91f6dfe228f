//! The lineage of the last update: which column comes from which.

use sqlx::any::AnyRow;

use crate::rows::Reader;
use crate::{LineageEdge, LineageKind, Store, StoreError};

const DOING: &str = "read the lineage";

impl Store {
    /// Replaces all that leads to `to_tables` by `edges`, in one transaction. Edges to a table that
    /// is not among them are added beside what is there.
    ///
    /// # Errors
    /// [`StoreError::Query`] when the database refuses.
    pub async fn replace_lineage(
        &self,
        to_tables: &[&str],
        edges: &[LineageEdge],
    ) -> Result<(), StoreError> {
        self.write_lineage(to_tables, edges)
            .await
            .map_err(|source| StoreError::Query {
                doing: "write down the lineage",
                source,
            })
    }

    async fn write_lineage(
        &self,
        to_tables: &[&str],
        edges: &[LineageEdge],
    ) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        for table in to_tables {
            sqlx::query("DELETE FROM tidegate_lineage WHERE to_table = $1")
                .bind(*table)
                .execute(&mut *transaction)
                .await?;
        }
        for edge in edges {
            sqlx::query(
                "INSERT INTO tidegate_lineage (from_table, from_column, to_table, to_column, kind) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            )
            .bind(edge.from_table.as_str())
            .bind(edge.from_column.as_deref().unwrap_or_default())
            .bind(edge.to_table.as_str())
            .bind(edge.to_column.as_deref().unwrap_or_default())
            .bind(edge.kind.as_str())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await
    }

    /// All of the lineage, by where it leads to.
    ///
    /// # Errors
    /// [`StoreError::Query`], or [`StoreError::Unreadable`] for records of a newer version.
    pub async fn lineage(&self) -> Result<Vec<LineageEdge>, StoreError> {
        let rows = sqlx::query(
            "SELECT from_table, from_column, to_table, to_column, kind FROM tidegate_lineage \
             ORDER BY to_table, to_column, from_table, from_column, kind",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(|source| StoreError::Query {
            doing: DOING,
            source,
        })?;
        rows.iter().map(read_edge).collect()
    }
}

fn read_edge(row: &AnyRow) -> Result<LineageEdge, StoreError> {
    let read = Reader { row, doing: DOING };
    let column = |name| -> Result<Option<String>, StoreError> {
        Ok(Some(read.text(name)?).filter(|text| !text.is_empty()))
    };
    Ok(LineageEdge {
        from_table: read.text("from_table")?,
        from_column: column("from_column")?,
        to_table: read.text("to_table")?,
        to_column: column("to_column")?,
        kind: LineageKind::read(&read.text("kind")?)?,
    })
}

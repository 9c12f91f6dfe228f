//! What was appended to a table since a version: how one table's flow reads another table on.
//!
//! Only commits that append rows can be followed. One that removed or changed rows is refused with
//! its version and name; putting files together (`dataChange: false`) is no change.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use futures::{StreamExt, TryStreamExt};

use crate::error::LakeError;
use crate::log::{operation, read_commit};
use crate::provider::LakeProvider;
use crate::table::{LakeTable, TableFile};

/// The rows appended to a table after one version, up to another.
#[derive(Debug, Clone)]
pub struct Changes {
    table: LakeTable,
    since: u64,
    files: Vec<Arc<TableFile>>,
}

impl Changes {
    /// The version after which these rows came.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.since
    }

    /// The version up to which these rows came.
    #[must_use]
    pub fn until(&self) -> u64 {
        self.table.version()
    }

    /// The data files, in the order of their commits.
    #[must_use]
    pub fn files(&self) -> &[Arc<TableFile>] {
        &self.files
    }

    /// Whether nothing was appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The number of rows; `None` if a file's writer did not note it.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.files.iter().map(|file| file.rows()).sum()
    }

    /// The rows, as a table of DataFusion, with the columns of the newer version.
    #[must_use]
    pub fn provider(&self) -> Arc<dyn TableProvider> {
        Arc::new(LakeProvider::files(self.table.clone(), self.files.clone()))
    }
}

pub(crate) async fn appended_since(table: &LakeTable, since: u64) -> Result<Changes, LakeError> {
    let place = &table.inner().place;
    let key = table.name().key();
    let commits = futures::stream::iter(since + 1..=table.version())
        .map(|version| async move { Ok((version, read_commit(place, version).await?)) })
        .buffered(16);
    let mut commits = std::pin::pin!(commits);
    let mut files = Vec::new();
    while let Some((version, lines)) = commits.try_next().await? {
        let Some(lines) = lines else {
            return Err(LakeError::LogGone {
                table: key,
                since,
                version,
            });
        };
        let removed = lines.iter().any(|line| {
            line.remove
                .as_ref()
                .is_some_and(|remove| remove.data_change)
        });
        if removed {
            let info = lines.iter().find_map(|line| line.commit_info.as_ref());
            let operation = operation(info);
            return Err(LakeError::NotAppended {
                table: key,
                since,
                version,
                operation,
            });
        }
        let added = lines
            .into_iter()
            .filter_map(|line| line.add)
            .filter(|add| add.data_change);
        files.extend(added.map(|add| Arc::new(TableFile::new(add))));
    }
    Ok(Changes {
        table: table.clone(),
        since,
        files,
    })
}

#[cfg(test)]
mod tests;

//! Where the columns of a result come from.
//!
//! The analysed plan is walked from the relations upwards; each column carries the columns that its
//! value is made of, and whether it is copied or computed. What decides which rows there are
//! (filters, joins, groups, order under a limit) influences every column and is kept apart.

mod trace;

use std::collections::BTreeSet;

pub(crate) use trace::trace;

/// A column of a relation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The relation, by its binding.
    pub binding: String,
    /// The relation's table, as the user knows it.
    pub table: String,
    /// The column.
    pub column: String,
    /// What becomes of it.
    pub kind: OriginKind,
}

/// What a column of the result makes of a column of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OriginKind {
    /// It is the same value.
    Copied,
    /// The value is computed from it.
    Computed,
    /// The value is computed from it and from that of other rows.
    Aggregated,
}

/// How a column of a relation decides which rows there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InfluenceKind {
    /// `WHERE`, `HAVING`, `QUALIFY`.
    Filter,
    /// The condition of a join.
    Join,
    /// `GROUP BY`, `DISTINCT`.
    Group,
    /// `ORDER BY` under a limit, or within a window.
    Order,
}

/// A column that decides which rows there are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Influence {
    /// The relation, by its binding.
    pub binding: String,
    /// The relation's table, as the user knows it.
    pub table: String,
    /// The column.
    pub column: String,
    /// How it decides.
    pub kind: InfluenceKind,
}

/// A column of the result with what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnOrigins {
    /// The column's name in the result.
    pub name: String,
    /// The columns that it is made of, in order; empty for a constant.
    pub origins: BTreeSet<Origin>,
}

/// The lineage of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnLineage {
    /// The columns of the result, in order.
    pub columns: Vec<ColumnOrigins>,
    /// What decides which rows there are.
    pub influences: BTreeSet<Influence>,
}

impl ColumnLineage {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&ColumnOrigins> {
        self.columns.iter().find(|column| column.name == name)
    }
}

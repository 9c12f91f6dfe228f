//! What can be named at a point of a query.
//!
//! A scope holds the columns of the FROM clause, each with the expression that reaches it; the
//! scope of a subquery has that of the query around it as its parent.

use arrow::datatypes::DataType;
use sqlparser::ast::{Expr, Ident};

use super::trees;

/// A column that can be named.
#[derive(Clone, Debug)]
pub(crate) struct ScopeColumn {
    /// The relation's name in this query; `None` for the columns of an expectation's row.
    pub(crate) relation: Option<String>,
    /// The column's name, as it is in its relation.
    pub(crate) name: String,
    /// What reaches it in the rewritten tree.
    pub(crate) target: Expr,
    /// Its type, if it is known before planning.
    pub(crate) data_type: Option<DataType>,
    /// Whether it is part of `*`.
    pub(crate) in_star: bool,
    /// Whether it can be named without its relation.
    pub(crate) bare: bool,
}

impl ScopeColumn {
    /// A column of a relation.
    pub(crate) fn of(relation: &str, name: &str, data_type: Option<DataType>) -> Self {
        Self {
            relation: Some(relation.to_owned()),
            name: name.to_owned(),
            target: trees::column(Some(relation), name),
            data_type,
            in_star: true,
            bare: true,
        }
    }

    /// A column without a relation.
    pub(crate) fn bare(name: &str, data_type: &DataType) -> Self {
        Self {
            relation: None,
            name: name.to_owned(),
            target: trees::column(None, name),
            data_type: Some(data_type.clone()),
            in_star: true,
            bare: true,
        }
    }

    /// The name with its relation, for messages.
    pub(crate) fn describe(&self) -> String {
        match &self.relation {
            Some(relation) if !relation.starts_with("__") => format!("{relation}.{}", self.name),
            _ => self.name.clone(),
        }
    }
}

/// The outcome of looking a name up.
pub(crate) enum Found<'s> {
    /// Exactly one column.
    One(&'s ScopeColumn),
    /// Several columns, with equal right.
    Many(Vec<&'s ScopeColumn>),
    /// None.
    Nothing,
}

/// The columns in sight, and the scope around them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope<'p> {
    pub(crate) columns: Vec<ScopeColumn>,
    pub(crate) parent: Option<&'p Scope<'p>>,
}

impl<'p> Scope<'p> {
    /// A scope with nothing around it.
    pub(crate) fn root() -> Self {
        Self::default()
    }

    /// An empty scope within another.
    pub(crate) fn within(parent: Option<&'p Scope<'p>>) -> Self {
        Self {
            columns: Vec::new(),
            parent,
        }
    }

    /// Adds a column.
    pub(crate) fn push(&mut self, column: ScopeColumn) {
        self.columns.push(column);
    }

    /// The relations of this scope by name, each once, in order.
    pub(crate) fn relations(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.columns.iter().filter_map(|c| c.relation.as_deref()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Whether a relation of this scope has the name.
    pub(crate) fn has_relation(&self, name: &str) -> bool {
        self.columns
            .iter()
            .any(|column| column.is_of(Some(name)) && column.relation.is_some())
    }

    /// Looks up a name in this scope only; `relation` is the written qualifier.
    pub(crate) fn find(&self, relation: Option<&str>, name: &str) -> Found<'_> {
        let matching: Vec<&ScopeColumn> = self
            .columns
            .iter()
            .filter(|column| column.name.eq_ignore_ascii_case(name) || same(&column.name, name))
            .filter(|column| match relation {
                Some(_) => column.is_of(relation),
                None => column.bare,
            })
            .collect();
        let exact: Vec<&ScopeColumn> = matching
            .iter()
            .copied()
            .filter(|column| column.name == name)
            .collect();
        let same_relation = matching
            .windows(2)
            .all(|pair| pair[0].relation == pair[1].relation);
        match (matching.as_slice(), exact.as_slice()) {
            ([], _) => Found::Nothing,
            ([one], _) => Found::One(one),
            (_, [one]) if same_relation => Found::One(one),
            _ => Found::Many(matching),
        }
    }
}

impl ScopeColumn {
    /// Whether the column belongs to the relation of this name.
    pub(crate) fn is_of(&self, relation: Option<&str>) -> bool {
        match (&self.relation, relation) {
            (Some(own), Some(asked)) => same(own, asked),
            _ => false,
        }
    }
}

/// Whether two names are the same to Spark.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
        || (!(one.is_ascii() && other.is_ascii()) && one.to_lowercase() == other.to_lowercase())
}

/// The parts of a name as text.
pub(crate) fn texts(parts: &[Ident]) -> Vec<&str> {
    parts.iter().map(|part| part.value.as_str()).collect()
}

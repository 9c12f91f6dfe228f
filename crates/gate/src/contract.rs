//! The contract: the declared columns a row must fit.
//!
//! A contract is what a `CREATE STREAMING TABLE t (…)` declares, or what discovery found. It holds
//! types, nullability and the key; the promises beyond that are [`crate::GateExpectation`]s.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

use crate::coerce::CoercionOptions;

/// One declared column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractColumn {
    /// Its name; compared with the names of incoming columns without regard to case.
    pub name: String,
    /// The Arrow type that every value must coerce to.
    pub data_type: DataType,
    /// Whether NULL is allowed. Columns of the key allow none in any case.
    pub nullable: bool,
}

impl ContractColumn {
    /// A column from its parts.
    pub fn new(name: impl Into<String>, data_type: DataType, nullable: bool) -> Self {
        Self {
            name: name.into(),
            data_type,
            nullable,
        }
    }
}

/// The declared columns, the key, and how text is to be read.
#[derive(Debug, Clone, Default)]
pub struct Contract {
    /// The columns in the order of the table.
    pub columns: Vec<ContractColumn>,
    /// Positions in `columns` of the key; empty where the table has none.
    pub key: Vec<usize>,
    /// How text becomes values.
    pub coercion: CoercionOptions,
}

impl Contract {
    /// The schema of good rows: names, types and nullability as declared.
    pub fn schema(&self) -> SchemaRef {
        self.schema_with(|place| self.is_nullable(place))
    }

    /// The schema that expectations are evaluated on: as [`Contract::schema`], but every column may
    /// be NULL, because rows that break `NOT NULL` are judged too. Compile predicates against this
    /// one, or the optimiser may take `NOT NULL` for granted.
    pub fn judging_schema(&self) -> SchemaRef {
        self.schema_with(|_| true)
    }

    /// Whether a column allows NULL: it is declared so, and is no part of the key.
    pub fn is_nullable(&self, place: usize) -> bool {
        self.columns.get(place).is_none_or(|column| column.nullable) && !self.key.contains(&place)
    }

    fn schema_with(&self, nullable: impl Fn(usize) -> bool) -> SchemaRef {
        let fields: Vec<Field> = self
            .columns
            .iter()
            .enumerate()
            .map(|(place, column)| {
                Field::new(&column.name, column.data_type.clone(), nullable(place))
            })
            .collect();
        Arc::new(Schema::new(fields))
    }
}

/// The number of the field of this name: exactly, or else in another case. `likely` is where it would be if the order
/// were the same, and is looked at first: a file may have a million columns.
pub(crate) fn field_named(fields: &Fields, name: &str, likely: usize) -> Option<usize> {
    let by = |same: &dyn Fn(&str) -> bool| fields.iter().position(|field| same(field.name()));
    if fields.get(likely).is_some_and(|field| field.name() == name) {
        return Some(likely);
    }
    by(&|other| other == name)
        .or_else(|| by(&|other| other.eq_ignore_ascii_case(name)))
        .or_else(|| by(&|other| other.to_lowercase() == name.to_lowercase()))
}

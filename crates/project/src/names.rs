//! Names of tables and flows, in the one form in which they can be compared.
//!
//! Names compare without case, back-ticked or not, as they do in Spark, so they are kept in lower
//! case. The project's own catalog and schema are left away: `orders`, `default.orders` and
//! `spark_catalog.default.orders` are one name if these are the project's defaults. What a name stands for is left to
//! [`crate::check`].

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// The name of a table or a flow: at most `catalog.schema.name`, in lower case, without the parts
/// that are the project's defaults.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct TableName {
    catalog: Option<Arc<str>>,
    schema: Option<Arc<str>>,
    name: Arc<str>,
}

impl TableName {
    /// A name in the project's default catalog and schema.
    pub fn plain(name: &str) -> Self {
        Self {
            catalog: None,
            schema: None,
            name: name.to_lowercase().into(),
        }
    }

    /// A name in a schema of the default catalog.
    pub fn in_schema(schema: &str, name: &str) -> Self {
        Self {
            catalog: None,
            schema: Some(schema.to_lowercase().into()),
            name: name.to_lowercase().into(),
        }
    }

    /// The last part.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The schema, unless it is the project's default.
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// The catalog, unless it is the project's default.
    pub fn catalog(&self) -> Option<&str> {
        self.catalog.as_deref()
    }

    /// The name in one piece: `name`, `schema.name` or `catalog.schema.name`. Two names are equal
    /// if their keys are, as long as no part has a dot in it.
    pub fn key(&self) -> String {
        let mut key = String::with_capacity(32);
        for part in [&self.catalog, &self.schema].into_iter().flatten() {
            key.push_str(part);
            key.push('.');
        }
        key.push_str(&self.name);
        key
    }

    /// The name of the table that takes this table's bad rows.
    #[must_use]
    pub fn quarantine(&self) -> TableName {
        TableName {
            name: format!("{}{QUARANTINE_SUFFIX}", self.name).into(),
            ..self.clone()
        }
    }

    /// The name of the table that takes the rows that came too late for this table, where they are kept.
    #[must_use]
    pub fn late(&self) -> TableName {
        TableName {
            name: format!("{}{LATE_SUFFIX}", self.name).into(),
            ..self.clone()
        }
    }

    /// The table whose bad or late rows this table holds, if the name is that of a quarantine or of late rows.
    pub fn quarantine_of(&self) -> Option<TableName> {
        let name = &self.name;
        let name = name
            .strip_suffix(QUARANTINE_SUFFIX)
            .or_else(|| name.strip_suffix(LATE_SUFFIX))?;
        (!name.is_empty()).then(|| TableName {
            name: name.into(),
            ..self.clone()
        })
    }
}

/// What the name of a table of late rows ends with.
pub const LATE_SUFFIX: &str = "__late";

/// What the name of a quarantine ends with.
pub const QUARANTINE_SUFFIX: &str = "__quarantine";

impl fmt::Display for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [&self.catalog, &self.schema].into_iter().flatten();
        for part in parts.chain([&self.name]) {
            if !std::ptr::eq(part, &self.name) {
                write_part(formatter, part)?;
                formatter.write_str(".")?;
            }
        }
        write_part(formatter, &self.name)
    }
}

/// Writes one part, in back-ticks where it would not be read back as it is.
fn write_part(formatter: &mut fmt::Formatter<'_>, part: &str) -> fmt::Result {
    let plain = |c: char| c.is_alphanumeric() || c == '_';
    if !part.is_empty() && part.chars().all(plain) {
        formatter.write_str(part)
    } else {
        write!(formatter, "`{}`", part.replace('`', "``"))
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> String {
        name.key()
    }
}

/// Where unqualified names belong: the project's defaults, and what `USE` has said since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Namespace {
    default_catalog: Option<String>,
    default_schema: String,
    catalog: Option<String>,
    schema: Option<String>,
}

impl Namespace {
    /// The project's defaults, before any `USE`.
    pub(crate) fn new(catalog: Option<&str>, schema: &str) -> Self {
        Self {
            default_catalog: catalog.map(str::to_lowercase),
            default_schema: schema.to_lowercase(),
            catalog: None,
            schema: None,
        }
    }

    /// `USE CATALOG c`: also goes back to the default schema, as in Databricks.
    pub(crate) fn use_catalog(&mut self, catalog: &str) {
        self.catalog = Some(catalog.to_lowercase());
        self.schema = None;
    }

    /// `USE SCHEMA s`.
    pub(crate) fn use_schema(&mut self, schema: &str) {
        self.schema = Some(schema.to_lowercase());
    }

    /// The name for one, two or three written parts; `None` for none or more than three.
    pub(crate) fn resolve(&self, parts: &[String]) -> Option<TableName> {
        let lower = |part: &String| part.to_lowercase();
        let (catalog, schema, name) = match parts {
            [name] => (self.catalog.clone(), self.schema.clone(), name),
            [schema, name] if schema.eq_ignore_ascii_case("live") => {
                (self.catalog.clone(), self.schema.clone(), name)
            }
            [schema, name] => (self.catalog.clone(), Some(lower(schema)), name),
            [catalog, schema, name] => (Some(lower(catalog)), Some(lower(schema)), name),
            _ => return None,
        };
        let catalog = catalog.filter(|catalog| Some(catalog) != self.default_catalog.as_ref());
        let schema = schema
            .or_else(|| catalog.as_ref().map(|_| self.default_schema.clone()))
            .filter(|schema| catalog.is_some() || *schema != self.default_schema);
        Some(TableName {
            catalog: catalog.map(Into::into),
            schema: schema.map(Into::into),
            name: name.to_lowercase().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str) -> Vec<String> {
        name.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn defaults_are_left_away() {
        let mut namespace = Namespace::new(Some("Main"), "default");
        let key =
            |namespace: &Namespace, name: &str| namespace.resolve(&parts(name)).unwrap().key();
        assert_eq!(key(&namespace, "Orders"), "orders");
        assert_eq!(key(&namespace, "default.orders"), "orders");
        assert_eq!(key(&namespace, "live.orders"), "orders");
        assert_eq!(key(&namespace, "main.DEFAULT.orders"), "orders");
        assert_eq!(key(&namespace, "sales.orders"), "sales.orders");
        assert_eq!(
            key(&namespace, "other.default.orders"),
            "other.default.orders"
        );
        namespace.use_schema("Sales");
        assert_eq!(key(&namespace, "orders"), "sales.orders");
        assert_eq!(key(&namespace, "default.orders"), "orders");
        namespace.use_catalog("other");
        assert_eq!(key(&namespace, "orders"), "other.default.orders");
        namespace.use_catalog("main");
        assert_eq!(key(&namespace, "orders"), "orders");
        assert_eq!(namespace.resolve(&parts("a.b.c.d")), None);
    }

    #[test]
    fn display_can_be_read_back() {
        assert_eq!(TableName::plain("Orders").to_string(), "orders");
        assert_eq!(
            TableName::in_schema("a b", "x`y").to_string(),
            "`a b`.`x``y`"
        );
    }

    #[test]
    fn a_quarantine_knows_its_table() {
        let orders = TableName::in_schema("sales", "orders");
        assert_eq!(orders.quarantine().key(), "sales.orders__quarantine");
        assert_eq!(orders.quarantine().quarantine_of(), Some(orders));
        assert_eq!(TableName::plain("orders").quarantine_of(), None);
    }
}

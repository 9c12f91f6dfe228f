//! What the relations of a query are: binding → table.
//!
//! The project replaces every table of a query by a binding (`__r0`); whoever plans the query says
//! what each binding reads. Names as the user wrote them live on as display names, for messages and
//! lineage.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use datafusion::catalog::TableProvider;

/// One relation of a query.
#[derive(Clone)]
pub struct Binding {
    /// Where the rows come from.
    pub provider: Arc<dyn TableProvider>,
    /// The table's name as the user knows it.
    pub display: String,
    /// Columns of the provider that can be named but are no part of `*`, such as `_metadata`.
    pub hidden: Vec<String>,
}

impl fmt::Debug for Binding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Binding")
            .field("display", &self.display)
            .field("schema", &self.provider.schema())
            .field("hidden", &self.hidden)
            .finish()
    }
}

/// The relations of a query by their binding names.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    entries: BTreeMap<String, Binding>,
}

impl Bindings {
    /// No relations: for `SELECT 1`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds a name (as in [`tidegate_project::Relation::binding`]) to a table.
    pub fn bind(
        &mut self,
        binding: impl Into<String>,
        provider: Arc<dyn TableProvider>,
        display: impl Into<String>,
    ) -> &mut Self {
        self.bind_hiding(binding, provider, display, Vec::new())
    }

    /// Binds a name to a table, some columns of which are no part of `*`.
    pub fn bind_hiding(
        &mut self,
        binding: impl Into<String>,
        provider: Arc<dyn TableProvider>,
        display: impl Into<String>,
        hidden: Vec<String>,
    ) -> &mut Self {
        let entry = Binding {
            provider,
            display: display.into(),
            hidden,
        };
        self.entries.insert(binding.into(), entry);
        self
    }

    /// The relation of a binding.
    pub fn get(&self, binding: &str) -> Option<&Binding> {
        self.entries.get(binding)
    }

    /// All bindings, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Binding)> {
        self.entries
            .iter()
            .map(|(name, binding)| (name.as_str(), binding))
    }

    /// The display name of a binding; the binding itself if it is unknown.
    pub fn display<'a>(&'a self, binding: &'a str) -> &'a str {
        self.get(binding)
            .map_or(binding, |found| found.display.as_str())
    }
}

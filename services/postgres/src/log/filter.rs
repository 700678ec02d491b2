//! What of a log and its records a reader may see (SEC-1).

use tidelog_core::ids::{CATALOG_TABLE, Scope, Scopes, TableName};

/// The tables and scopes that a reader may see. Everyone sees `_catalog` events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter {
    tables: Option<Vec<String>>,
    /// Sorted, since a caller may name many.
    scopes: Option<Vec<String>>,
}

impl EventFilter {
    /// Shows everything.
    pub fn all() -> Self {
        Self { tables: None, scopes: None }
    }

    /// Shows these tables (`None`: all) within the scopes that are granted and wanted (`None`: all that are granted).
    /// The scope `""` is always both.
    pub fn new<'a>(
        tables: Option<impl Iterator<Item = &'a TableName>>,
        granted: &Scopes,
        wanted: Option<&[Scope]>,
    ) -> Self {
        let scopes = match (granted, wanted) {
            (Scopes::All, None) => None,
            (Scopes::Listed(granted), None) => Some(with_everyones(granted.iter())),
            (granted, Some(wanted)) => Some(with_everyones(wanted.iter().filter(|scope| granted.grants(scope)))),
        };
        Self { tables: tables.map(|tables| tables.map(|table| table.as_str().to_owned()).collect()), scopes }
    }

    /// Whether it shows the events of a table in a scope. Rejected events are never shown, which the caller checks.
    pub fn shows(&self, table: &str, scope: &str) -> bool {
        table == CATALOG_TABLE || (self.shows_table(table) && self.shows_scope(scope))
    }

    /// Whether it shows a table in at least one scope.
    pub fn shows_table(&self, table: &str) -> bool {
        self.tables.as_ref().is_none_or(|tables| tables.iter().any(|shown| shown == table))
    }

    /// Whether it shows a scope of at least one table.
    pub fn shows_scope(&self, scope: &str) -> bool {
        let is_listed = |scopes: &Vec<String>| scopes.binary_search_by(|shown| shown.as_str().cmp(scope)).is_ok();
        self.scopes.as_ref().is_none_or(is_listed)
    }

    /// The tables that it shows. `None`: all.
    pub(crate) fn tables(&self) -> Option<&[String]> {
        self.tables.as_deref()
    }

    /// The scopes that it shows. `None`: all.
    pub(crate) fn scopes(&self) -> Option<&[String]> {
        self.scopes.as_deref()
    }
}

/// The names of these scopes and of `""`, each once, sorted.
fn with_everyones<'a>(scopes: impl Iterator<Item = &'a Scope>) -> Vec<String> {
    let mut names: Vec<_> = [String::new()].into_iter().chain(scopes.map(|scope| scope.as_str().to_owned())).collect();
    names.sort_unstable();
    names.dedup();
    names
}

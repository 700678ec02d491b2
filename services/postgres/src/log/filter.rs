//! What of a log and its records a reader may see (SEC-1).

use tidelog_core::ids::{CATALOG_TABLE, Scopes, TableName};

/// The tables and scopes that a reader may see. Everyone sees `_catalog` events.
///
/// Readers with equal filters get the same bytes of the same events: pages are shared by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventFilter {
    tables: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
}

impl EventFilter {
    /// Shows everything.
    pub fn all() -> Self {
        Self { tables: None, scopes: None }
    }

    /// Shows these tables (`None`: all) within these scopes.
    pub fn new<'a>(tables: Option<impl Iterator<Item = &'a TableName>>, scopes: &Scopes) -> Self {
        let scopes = match scopes {
            Scopes::All => None,
            Scopes::Listed(_) => Some([String::new()].into_iter().chain(scopes.to_list()).collect()),
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
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|shown| shown == scope))
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

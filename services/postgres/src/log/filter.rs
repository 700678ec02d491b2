//! What of a log and its records somebody may see (SEC-1).

use tidelog_core::ids::{CATALOG_TABLE, Scopes, TableName};

/// What of a log somebody may see. `_catalog` events are everyone's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter {
    tables: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
}

impl EventFilter {
    /// Everything.
    pub fn all() -> Self {
        Self { tables: None, scopes: None }
    }

    /// These tables (`None`: all) within these scopes.
    pub fn new<'a>(tables: Option<impl Iterator<Item = &'a TableName>>, scopes: &Scopes) -> Self {
        let scopes = match scopes {
            Scopes::All => None,
            Scopes::Listed(_) => Some([String::new()].into_iter().chain(scopes.to_list()).collect()),
        };
        Self { tables: tables.map(|tables| tables.map(|table| table.as_str().to_owned()).collect()), scopes }
    }

    /// Whether it shows the events of a table in a scope that were not rejected.
    pub fn shows(&self, table: &str, scope: &str) -> bool {
        table == CATALOG_TABLE || (self.shows_table(table) && self.shows_scope(scope))
    }

    /// Whether it shows a table, in some scope.
    pub fn shows_table(&self, table: &str) -> bool {
        self.tables.as_ref().is_none_or(|tables| tables.iter().any(|shown| shown == table))
    }

    /// Whether it shows a scope, of some table.
    pub fn shows_scope(&self, scope: &str) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|shown| shown == scope))
    }

    pub(crate) fn tables(&self) -> Option<&[String]> {
        self.tables.as_deref()
    }

    pub(crate) fn scopes(&self) -> Option<&[String]> {
        self.scopes.as_deref()
    }
}

//! What of a log and its records a reader may see (SEC-1).

use tidelog_core::event_ref::EventRef;
use tidelog_core::ids::{CATALOG_TABLE, DEVICES_TABLE, DeviceId, Scope, Scopes, TableName};

/// The tables and scopes that a reader may see. Everyone sees `_catalog` and `_devices` events.
///
/// Readers with equal filters get the same bytes of the same events: pages are shared by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventFilter {
    tables: Option<Vec<String>>,
    /// Sorted, since a caller may name many.
    scopes: Option<Vec<String>>,
    /// The reader, if it is a device: the role and scopes of other devices are not shown to it.
    device: Option<String>,
}

/// How a reader sees an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Not at all.
    Hidden,
    /// As it is stored.
    Whole,
    /// As it is stored. It may change what the reader sees of other events.
    ChangesAccess,
    /// A `_devices` event of another device, without its role and scopes.
    WithoutAccess,
}

impl EventFilter {
    /// Shows everything.
    pub fn all() -> Self {
        Self { tables: None, scopes: None, device: None }
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
        let tables = tables.map(|tables| tables.map(|table| table.as_str().to_owned()).collect());
        Self { tables, scopes, device: None }
    }

    /// The same for a device, which does not see the role and scopes of others.
    pub fn of_device(self, device: DeviceId) -> Self {
        Self { device: Some(device.to_string()), ..self }
    }

    /// The same for any device with this role and these scopes: it leaves out the role and scopes of every device. A page of
    /// it is the same for a device that no `_devices` event on the page names.
    pub fn of_any_device(&self) -> Self {
        Self { device: self.device.as_ref().map(|_| String::new()), ..self.clone() }
    }

    /// How the reader sees an event. Nobody sees one that was rejected.
    pub(crate) fn visibility(&self, event: &EventRef<'_>, is_rejected: bool) -> Visibility {
        match () {
            () if is_rejected => Visibility::Hidden,
            () if event.table.starts_with('_') => self.visibility_of_server_event(event.table, event.record),
            () if self.shows_table(event.table) && self.shows_scope(event.scope) => Visibility::Whole,
            () => Visibility::Hidden,
        }
    }

    /// How the reader sees an event of a table that belongs to the server.
    pub fn visibility_of_server_event(&self, table: &str, record: &str) -> Visibility {
        match (table, &self.device) {
            (CATALOG_TABLE, _) => Visibility::ChangesAccess,
            (DEVICES_TABLE, None) => Visibility::Whole,
            (DEVICES_TABLE, Some(device)) if device == record => Visibility::ChangesAccess,
            (DEVICES_TABLE, Some(_)) => Visibility::WithoutAccess,
            _ if self.shows_table(table) => Visibility::Whole,
            _ => Visibility::Hidden,
        }
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

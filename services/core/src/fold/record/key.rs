//! The address of a record.

use std::hash::{Hash, Hasher};

use indexmap::Equivalent;

use crate::ids::{RecordId, Scope, TableName};
use crate::log::event::Event;

/// The address of a record: its table, scope and id together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    /// The table of the record.
    pub table: TableName,
    /// The scope of the record.
    pub scope: Scope,
    /// The id of the record within table and scope.
    pub record: RecordId,
}

impl RecordKey {
    /// The key of the record that an event names.
    pub fn of(event: &Event) -> Self {
        Self { table: event.table.clone(), scope: event.scope.clone(), record: event.record.clone() }
    }
}

/// The key of the record that an event names, borrowed from the event: a lookup by it allocates nothing.
pub(in crate::fold) struct RecordKeyRef<'a>(pub(in crate::fold) &'a Event);

impl Hash for RecordKeyRef<'_> {
    /// Hashes as the derived `Hash` of [`RecordKey`] does, which [`Equivalent`] requires.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Event { table, scope, record, .. } = self.0;
        (table, scope, record).hash(state);
    }
}

impl Equivalent<RecordKey> for RecordKeyRef<'_> {
    fn equivalent(&self, key: &RecordKey) -> bool {
        let Event { table, scope, record, .. } = self.0;
        // The record id is compared first because it is what usually differs.
        *record == key.record && *scope == key.scope && *table == key.table
    }
}

//! The keys of the local database: tuples, the same in SQLite and IndexedDB.

use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{ConflictId, Scope, TableName};

/// A store of the local database: a SQLite table or an IndexedDB object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreName {
    /// Single rows by name: the device, the cursor, counters.
    Meta,
    /// The ops that the server has not stored yet, or whose events have not been pulled yet, by local id.
    Outbox,
    /// The ids of the ops in the outbox by the record that they name.
    Pending,
    /// The newest ops that have left the outbox, by local id. A server that was restored from a backup gets them back.
    Sent,
    /// The records by generation, table, scope and record id.
    Records,
    /// What became of the ops that did not simply apply, by local id.
    Outcomes,
    /// Conflicts by id.
    Conflicts,
    /// Ops that no server can read, by local id.
    Quarantine,
}

impl StoreName {
    /// Every store.
    pub const ALL: [Self; 8] = [
        Self::Meta,
        Self::Outbox,
        Self::Pending,
        Self::Sent,
        Self::Records,
        Self::Outcomes,
        Self::Conflicts,
        Self::Quarantine,
    ];
}

/// A part of a key. Numbers come before texts, and texts are compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
}

/// The key of a row: its store, and a tuple within the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The store of the row.
    pub store: StoreName,
    /// The tuple.
    pub path: Vec<Part>,
}

/// The rows of a store whose keys begin with a prefix, in key order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// The store of the rows.
    pub store: StoreName,
    /// What the keys begin with. Without parts: every key of the store.
    pub prefix: Vec<Part>,
    /// Only rows whose keys come after this tuple.
    pub after: Option<Vec<Part>>,
    /// The largest number of rows.
    pub limit: usize,
}

impl Part {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Key {
    /// The key of a row that is named by the local id of an op.
    pub(crate) fn op(store: StoreName, id: i64) -> Self {
        Self { store, path: vec![Part::Int(id)] }
    }

    pub(crate) fn pending(record: &RecordKey, id: i64) -> Self {
        let mut path = record_path(record);
        path.push(Part::Int(id));
        Self { store: StoreName::Pending, path }
    }

    pub(crate) fn record(generation: i64, record: &RecordKey) -> Self {
        let mut path = vec![Part::Int(generation)];
        path.extend(record_path(record));
        Self { store: StoreName::Records, path }
    }

    pub(crate) fn conflict(id: &ConflictId) -> Self {
        Self { store: StoreName::Conflicts, path: vec![Part::text(id.as_str())] }
    }

    /// The number at the end of the key.
    pub(crate) fn last_number(&self) -> Option<i64> {
        match self.path.last() {
            Some(Part::Int(number)) => Some(*number),
            Some(Part::Text(_)) | None => None,
        }
    }
}

impl Range {
    /// Every row of a store.
    pub(crate) fn all(store: StoreName) -> Self {
        Self { store, prefix: Vec::new(), after: None, limit: usize::MAX }
    }

    /// The rows of `meta` of which there is one for each table.
    pub(crate) fn meta_rows(name: &str) -> Self {
        Self { prefix: vec![Part::text(name)], ..Self::all(StoreName::Meta) }
    }

    /// The rows of ops whose local ids come after `id`.
    pub(crate) fn ops_after(store: StoreName, id: i64, limit: usize) -> Self {
        Self { after: Some(vec![Part::Int(id)]), limit, ..Self::all(store) }
    }

    /// The ids of the ops that name a record.
    pub(crate) fn pending_of(record: &RecordKey) -> Self {
        Self { prefix: record_path(record), ..Self::all(StoreName::Pending) }
    }

    /// The records of a table, or of one of its scopes.
    pub(crate) fn records(generation: i64, table: &TableName, scope: Option<&Scope>) -> Self {
        let mut prefix = vec![Part::Int(generation), Part::text(table.as_str())];
        prefix.extend(scope.map(|scope| Part::text(scope.as_str())));
        Self { prefix, ..Self::all(StoreName::Records) }
    }

    /// The ids of the ops that name a record of a table.
    pub(crate) fn pending_of_table(table: &TableName, scope: Option<&Scope>) -> Self {
        let mut prefix = vec![Part::text(table.as_str())];
        prefix.extend(scope.map(|scope| Part::text(scope.as_str())));
        Self { prefix, ..Self::all(StoreName::Pending) }
    }

    /// Whether a key is in the range. The limit is for the reader of the rows.
    pub fn contains(&self, key: &Key) -> bool {
        key.store == self.store
            && key.path.starts_with(&self.prefix)
            && self.after.as_ref().is_none_or(|after| key.path > *after)
    }
}

fn record_path(record: &RecordKey) -> Vec<Part> {
    [record.table.as_str(), record.scope.as_str(), record.record.as_str()].map(Part::text).into()
}

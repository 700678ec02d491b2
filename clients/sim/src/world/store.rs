//! The local database of a device, in memory.

use std::collections::BTreeMap;

use bytes::Bytes;
use tidelog_engine::{Batch, Key, Read, Row, Rows, Write};

/// The rows of a device.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimStore {
    pub(crate) rows: BTreeMap<Key, Bytes>,
}

impl SimStore {
    /// Reads rows.
    pub(crate) fn load(&self, reads: &[Read]) -> Rows {
        reads.iter().map(|read| self.read(read)).collect()
    }

    fn read(&self, read: &Read) -> Vec<Row> {
        match read {
            Read::Key(key) => self.rows.get(key).map(|row| (key.clone(), row.clone())).into_iter().collect(),
            Read::Range(range) => {
                let start = Key { store: range.store, path: range.prefix.clone() };
                let from = self
                    .rows
                    .range(start..)
                    .take_while(|(key, _)| key.store == range.store && key.path.starts_with(&range.prefix));
                let rows = from.filter(|(key, _)| range.contains(key)).take(range.limit);
                rows.map(|(key, row)| (key.clone(), row.clone())).collect()
            }
        }
    }

    /// Whether every guard of a batch holds.
    pub(crate) fn allows(&self, batch: &Batch) -> bool {
        batch.guards.iter().all(|guard| self.rows.get(&guard.key) == guard.expected.as_ref())
    }

    /// Writes a batch.
    pub(crate) fn write(&mut self, batch: &Batch) {
        for write in &batch.writes {
            match write {
                Write::Put(key, row) => drop(self.rows.insert(key.clone(), row.clone())),
                Write::Delete(key) => drop(self.rows.remove(key)),
                Write::DeleteUnder(store, prefix) => {
                    self.rows.retain(|key, _| key.store != *store || !key.path.starts_with(prefix));
                }
            }
        }
    }
}

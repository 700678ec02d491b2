//! The transaction of a step: what it has loaded, and what it is going to write.
//!
//! A step is a function of the rows that it reads. It runs until it asks for a row that is not loaded yet, the row is
//! loaded, and it runs again from its start. So a step reads like a program with blocking reads, and no transaction of
//! the database is open while it thinks. Each row of `meta` that a step reads becomes a guard of its batch: if another
//! tab has changed the row in the meantime, the batch is lost and the step starts again.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::port::Signal;
use crate::store::batch::{Batch, Durability, Guard, Read, Row, Rows, Write};
use crate::store::key::{Key, Part, Range, StoreName};
use crate::store::meta::Meta;

/// Why a step stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A row has to be loaded first.
    Missing,
    /// A row was written by a newer version, or is damaged.
    Unreadable(&'static str),
    /// The local records cannot be folded any further: they have to be read again.
    Unfoldable,
    /// The catalog needs a resolver that the app has not registered.
    CustomRule,
}

/// A row of the transaction: as it was loaded, and as the step has written it.
#[derive(Default)]
pub(crate) struct Tx {
    rows: BTreeMap<Key, Option<Bytes>>,
    ranges: BTreeMap<Range, Vec<Row>>,
    missing: Vec<Read>,
    guarded: Vec<Key>,
    puts: BTreeMap<Key, Option<Bytes>>,
    deleted_under: Vec<(StoreName, Vec<Part>)>,
    durability: Durability,
    /// What the app is told once the batch is committed.
    pub(crate) signals: Vec<Signal>,
}

impl Tx {
    /// The row of a key, with the step's own writes.
    pub(crate) fn get(&mut self, key: &Key) -> Result<Option<Bytes>, Fault> {
        if let Some(written) = self.puts.get(key) {
            return Ok(written.clone());
        }
        match self.rows.get(key) {
            Some(row) => Ok(row.clone()),
            None => {
                self.missing.push(Read::Key(key.clone()));
                Err(Fault::Missing)
            }
        }
    }

    /// Loads rows that the step is going to read, all at once.
    pub(crate) fn need<'a>(&mut self, keys: impl IntoIterator<Item = &'a Key>) -> Result<(), Fault> {
        for key in keys {
            if !self.rows.contains_key(key) && !self.puts.contains_key(key) {
                self.missing.push(Read::Key(key.clone()));
            }
        }
        if self.missing.is_empty() { Ok(()) } else { Err(Fault::Missing) }
    }

    /// Loads ranges that the step is going to read, all at once.
    pub(crate) fn need_ranges(&mut self, ranges: impl IntoIterator<Item = Range>) -> Result<(), Fault> {
        for range in ranges {
            if !self.ranges.contains_key(&range) {
                self.missing.push(Read::Range(range));
            }
        }
        if self.missing.is_empty() { Ok(()) } else { Err(Fault::Missing) }
    }

    /// The rows of a range as they were loaded, without the step's own writes.
    pub(crate) fn range(&mut self, range: &Range) -> Result<Vec<Row>, Fault> {
        match self.ranges.get(range) {
            Some(rows) => Ok(rows.clone()),
            None => {
                self.missing.push(Read::Range(range.clone()));
                Err(Fault::Missing)
            }
        }
    }

    /// A row of `meta`. The batch is lost if another tab changes it before the commit.
    pub(crate) fn meta<T: DeserializeOwned>(&mut self, name: Meta<T>) -> Result<Option<T>, Fault> {
        let key = name.key();
        if !self.guarded.contains(&key) {
            self.guarded.push(key.clone());
        }
        let row = self.get(&key)?;
        row.map(|bytes| read_row(&bytes, "a row of meta")).transpose()
    }

    pub(crate) fn set_meta<T: Serialize>(&mut self, name: Meta<T>, value: &T) {
        self.put(name.key(), write_row(value));
    }

    pub(crate) fn delete_meta<T>(&mut self, name: Meta<T>) {
        self.delete(name.key());
    }

    pub(crate) fn put(&mut self, key: Key, row: Bytes) {
        self.puts.insert(key, Some(row));
    }

    pub(crate) fn delete(&mut self, key: Key) {
        self.puts.insert(key, None);
    }

    /// Deletes all rows under a prefix. The step's other writes come after it.
    pub(crate) fn delete_under(&mut self, store: StoreName, prefix: Vec<Part>) {
        self.deleted_under.push((store, prefix));
    }

    pub(crate) fn make_strict(&mut self) {
        self.durability = Durability::Strict;
    }

    /// Takes the reads that the step still needs.
    pub(crate) fn take_missing(&mut self) -> Vec<Read> {
        let mut missing = std::mem::take(&mut self.missing);
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// The reads of the guarded rows that are loaded. They go with every further load, so that all rows of a step are of
    /// one state of the database, though it was loaded in parts.
    pub(crate) fn guard_reads(&self) -> impl Iterator<Item = Read> {
        self.guarded.iter().filter(|key| self.rows.contains_key(*key)).map(|key| Read::Key(key.clone()))
    }

    /// Adds rows that were loaded. Returns whether the guarded rows are still the same.
    pub(crate) fn add_loaded(&mut self, reads: Vec<Read>, rows: Rows) -> bool {
        let mut is_same = true;
        for (read, mut rows) in reads.into_iter().zip(rows) {
            match read {
                Read::Key(key) => {
                    let row = rows.pop().map(|(_, row)| row);
                    is_same &= self.rows.insert(key, row.clone()).is_none_or(|known| known == row);
                }
                Read::Range(range) => drop(self.ranges.insert(range, rows)),
            }
        }
        is_same
    }

    /// Takes back what the step has written, before it runs again on the same rows.
    pub(crate) fn rewind(&mut self) {
        self.missing.clear();
        self.guarded.clear();
        self.puts.clear();
        self.deleted_under.clear();
        self.signals.clear();
        self.durability = Durability::Relaxed;
    }

    /// The batch of the step; `None` if it has written nothing.
    pub(crate) fn batch(&self) -> Option<Batch> {
        if self.puts.is_empty() && self.deleted_under.is_empty() {
            return None;
        }
        let guard = |key: &Key| Guard { key: key.clone(), expected: self.rows.get(key).cloned().flatten() };
        let deletes = self.deleted_under.iter().map(|(store, prefix)| Write::DeleteUnder(*store, prefix.clone()));
        let puts = self.puts.iter().map(|(key, row)| match row {
            Some(row) => Write::Put(key.clone(), row.clone()),
            None => Write::Delete(key.clone()),
        });
        Some(Batch {
            guards: self.guarded.iter().map(guard).collect(),
            writes: deletes.chain(puts).collect(),
            durability: self.durability,
        })
    }
}

/// Reads a row that this program wrote.
pub(crate) fn read_row<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, Fault> {
    rmp_serde::from_slice(bytes).map_err(|_| Fault::Unreadable(what))
}

/// Writes a row as MessagePack with names, so that a later version can add members.
pub(crate) fn write_row<T: Serialize>(value: &T) -> Bytes {
    let row = rmp_serde::to_vec_named(value);
    debug_assert!(row.is_ok(), "rows can be written");
    row.unwrap_or_default().into()
}

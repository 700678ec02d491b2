//! Folds a log event by event.

use std::collections::{BTreeMap, BTreeSet};

use super::apply::Applying;
use super::record::Record;
use crate::catalog::{Catalog, CatalogEventError};
use crate::event::Event;
use crate::ids::{CATALOG_TABLE, CatalogVersion, ConflictId, Position, RecordId, Scope, TableName};
use crate::wire::{RecordView, Verdict};

/// The address of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    /// Its table.
    pub table: TableName,
    /// Its scope.
    pub scope: Scope,
    /// Its id.
    pub record: RecordId,
}

impl RecordKey {
    /// The record that an event names.
    pub fn of(event: &Event) -> Self {
        Self { table: event.table.clone(), scope: event.scope.clone(), record: event.record.clone() }
    }
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// The verdict, for ever.
    pub verdict: Verdict,
    /// The ledger rows of the values that the event lost.
    pub conflicts: Vec<ConflictId>,
}

/// Why a log cannot be folded, after which its folder is of no more use. The append writes no such log: this means
/// damage, or a newer server's log.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// An event stands before the first `_catalog` event, or names a table the catalog in force lacks.
    #[error("the event at {0} has no catalog in force for its table")]
    NoCatalog(Position),
    /// A catalog asks for a rule that this version does not fold.
    #[error("the event at {0} is under a rule that this version does not fold")]
    Unfolded(Position),
    /// A `_catalog` event cannot be read.
    #[error("at {position}: {source}")]
    Catalog {
        /// Where it is.
        position: Position,
        /// What is wrong.
        source: CatalogEventError,
    },
}

/// Records folded so far, and the rules in force.
///
/// A replica starts empty and feeds the whole log. A projector starts with the catalog in force at its checkpoint and
/// the stored records that the next events name.
#[derive(Debug, Default)]
pub struct Folder {
    catalog: Option<(CatalogVersion, Catalog)>,
    records: BTreeMap<RecordKey, Record>,
    changed: BTreeSet<RecordKey>,
}

impl Folder {
    /// Before the first event.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a catalog in force, as its `_catalog` event would.
    pub fn set_catalog(&mut self, version: CatalogVersion, catalog: Catalog) {
        self.catalog = Some((version, catalog));
    }

    /// Adds a stored record that later events may name.
    pub fn load(&mut self, key: RecordKey, record: Record) {
        self.records.insert(key, record);
    }

    /// Folds the next event.
    pub fn fold(&mut self, event: &Event) -> Result<Folded, FoldError> {
        let position = event.position;
        let nothing = |verdict| Ok(Folded { verdict, conflicts: Vec::new() });
        if event.rejected.is_some() {
            return nothing(Verdict::Rejected);
        }
        if event.table.as_str() == CATALOG_TABLE {
            let catalog = Catalog::from_event(event).map_err(|source| FoldError::Catalog { position, source })?;
            if catalog.1.unfolded().is_some() {
                return Err(FoldError::Unfolded(position));
            }
            self.catalog = Some(catalog);
            return nothing(Verdict::Applied);
        }
        if event.table.is_server_owned() {
            return nothing(Verdict::Applied);
        }
        let (_, catalog) = self.catalog.as_ref().ok_or(FoldError::NoCatalog(position))?;
        let table = catalog.tables.get(&event.table).ok_or(FoldError::NoCatalog(position))?;
        let key = RecordKey::of(event);
        let stored = self.records.remove(&key);
        let applying = Applying { catalog, table, event };
        let (record, folded) = applying.apply(stored).map_err(|_| FoldError::Unfolded(position))?;
        self.records.insert(key.clone(), record);
        self.changed.insert(key);
        Ok(folded)
    }

    /// Every record held, in key order.
    pub fn records(&self) -> impl Iterator<Item = (&RecordKey, &Record)> {
        self.records.iter()
    }

    /// The records that events have named since the last call.
    pub fn take_changed(&mut self) -> Vec<(RecordKey, Record)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().filter_map(|key| self.records.get(&key).cloned().map(|record| (key, record))).collect()
    }

    /// Every record as it is read, in key order.
    pub fn views(&self, full: bool) -> impl Iterator<Item = RecordView> {
        self.records
            .iter()
            .map(move |(key, record)| record.to_view(key.table.clone(), key.scope.clone(), key.record.clone(), full))
    }
}

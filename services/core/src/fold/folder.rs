//! Folds a log event by event.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::apply::{Applying, Folded};
use super::custom::Resolvers;
use super::record::Record;
use crate::catalog::{Catalog, CatalogEventError};
use crate::event::Event;
use crate::ids::{CATALOG_TABLE, CatalogVersion, Position, RecordId, Scope, TableName};
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

/// Why a log cannot be folded, after which its folder is of no more use. The append writes no such log: this means
/// damage, or a newer server's log.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// An event stands before the first `_catalog` event, or names a table the catalog in force lacks.
    #[error("the event at {0} has no catalog in force for its table")]
    NoCatalog(Position),
    /// A catalog asks for a `custom` rule that this program has no resolver for.
    #[error("the event at {0} is under a custom rule that this program has no resolver for")]
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
    catalog: Option<(CatalogVersion, Arc<Catalog>)>,
    /// Catalogs before this one, whose rules hold from the start, are passed over.
    refold_position: Position,
    resolvers: Resolvers,
    records: BTreeMap<RecordKey, Held>,
    /// The keys of the records that are marked as changed, each once.
    changed: Vec<RecordKey>,
}

/// A record, and whether an event has named it since the changed ones were last taken.
#[derive(Debug)]
struct Held {
    record: Record,
    is_changed: bool,
}

impl Folder {
    /// Before the first event.
    pub fn new() -> Self {
        Self::default()
    }

    /// Before the first event, with the embedding program's rules.
    pub fn with_resolvers(resolvers: Resolvers) -> Self {
        Self { resolvers, ..Self::default() }
    }

    /// Puts a catalog in force, as its `_catalog` event would.
    pub fn set_catalog(&mut self, version: CatalogVersion, catalog: impl Into<Arc<Catalog>>) {
        self.catalog = Some((version, catalog.into()));
    }

    /// Puts a catalog in force from the start: those of events before `position`, where its own is, are passed over. What
    /// an operator's refold asks for.
    pub fn refold(&mut self, position: Position, version: CatalogVersion, catalog: impl Into<Arc<Catalog>>) {
        self.refold_position = position;
        self.set_catalog(version, catalog);
    }

    /// The catalog in force, if there is one.
    pub fn catalog(&self) -> Option<&(CatalogVersion, Arc<Catalog>)> {
        self.catalog.as_ref()
    }

    /// Adds a stored record that later events may name.
    pub fn load(&mut self, key: RecordKey, record: Record) {
        self.records.insert(key, Held { record, is_changed: false });
    }

    /// Whether it holds the record.
    pub fn holds(&self, key: &RecordKey) -> bool {
        self.records.contains_key(key)
    }

    /// The record of a key, if it holds it.
    pub fn record(&self, key: &RecordKey) -> Option<&Record> {
        self.records.get(key).map(|held| &held.record)
    }

    /// Folds the next event.
    pub fn fold(&mut self, event: &Event) -> Result<Folded, FoldError> {
        let position = event.position;
        let nothing = |verdict| Ok(Folded::simply(verdict));
        if event.rejected.is_some() {
            return nothing(Verdict::Rejected);
        }
        if event.table.as_str() == CATALOG_TABLE {
            let catalog = Catalog::from_event(event).map_err(|source| FoldError::Catalog { position, source })?;
            // What a refold passes over may name rules that nobody has any more.
            if position >= self.refold_position {
                if catalog.1.missing_resolver(&self.resolvers).is_some() {
                    return Err(FoldError::Unfolded(position));
                }
                self.set_catalog(catalog.0, catalog.1);
            }
            return nothing(Verdict::Applied);
        }
        if event.table.is_server_owned() {
            return nothing(Verdict::Applied);
        }
        let (_, catalog) = self.catalog.as_ref().ok_or(FoldError::NoCatalog(position))?;
        let Some(table) = catalog.tables.get(&event.table) else {
            return if position < self.refold_position {
                // The refold's catalog has dropped the table: its records are not, as if it had never been there.
                nothing(Verdict::Applied)
            } else {
                Err(FoldError::NoCatalog(position))
            };
        };
        let applying = Applying::new(catalog, table, &self.resolvers, event);
        let unseen = || Held { record: applying.unseen(), is_changed: false };
        let held = match self.records.entry(RecordKey::of(event)) {
            Entry::Occupied(held) if held.get().is_changed => held.into_mut(),
            entry => {
                self.changed.push(entry.key().clone());
                entry.or_insert_with(unseen)
            }
        };
        held.is_changed = true;
        applying.apply(&mut held.record)
    }

    /// Every record held, in key order.
    pub fn records(&self) -> impl Iterator<Item = (&RecordKey, &Record)> {
        self.records.iter().map(|(key, held)| (key, &held.record))
    }

    /// The records that events have named since they were last taken, in key order.
    pub fn changed(&self) -> impl Iterator<Item = (&RecordKey, &Record)> {
        let changed = self.records.iter().filter(|(_, held)| held.is_changed);
        changed.map(|(key, held)| (key, &held.record))
    }

    /// The records that events have named since the last call, in key order.
    pub fn take_changed(&mut self) -> Vec<(RecordKey, Record)> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        let taken = changed.into_iter().filter_map(|key| {
            let held = self.records.get_mut(&key)?;
            held.is_changed = false;
            let taken = held.record.clone();
            held.record.history.leaving.clear();
            Some((key, taken))
        });
        taken.collect()
    }

    /// Forgets where the events of records are as far as that left them, for whoever stores none of it.
    pub fn forget_leaving(&mut self) {
        for key in std::mem::take(&mut self.changed) {
            if let Some(held) = self.records.get_mut(&key) {
                held.record.history.leaving.clear();
                held.is_changed = false;
            }
        }
    }

    /// Keeps the records that events have named since they were last taken, as if they had just been loaded, and
    /// forgets all others.
    pub fn keep_changed(&mut self) {
        self.changed.clear();
        self.records.retain(|_, held| {
            held.record.history.leaving.clear();
            std::mem::take(&mut held.is_changed)
        });
    }

    /// Every record as it is read, in key order.
    pub fn views(&self, full: bool) -> impl Iterator<Item = RecordView> {
        self.records
            .iter()
            .map(move |(key, held)| held.record.to_view(key.table.clone(), key.scope.clone(), key.record.clone(), full))
    }
}

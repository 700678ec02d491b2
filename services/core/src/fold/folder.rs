//! Folds a log event by event.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use indexmap::{Equivalent, IndexMap};

use crate::catalog::{Catalog, CatalogEventError};
use crate::fold::apply::{EventContext, EventOutcome};
use crate::fold::record::Record;
use crate::fold::rules::custom::Resolvers;
use crate::ids::{CATALOG_TABLE, CatalogVersion, Position, RecordId, Scope, TableName};
use crate::log::event::Event;
use crate::log::verdict::Verdict;

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

/// The key of the record that an event names, as it stands in the event.
struct Named<'a>(&'a Event);

impl Hash for Named<'_> {
    /// As [`RecordKey`] does it.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Event { table, scope, record, .. } = self.0;
        (table, scope, record).hash(state);
    }
}

impl Equivalent<RecordKey> for Named<'_> {
    fn equivalent(&self, key: &RecordKey) -> bool {
        let Event { table, scope, record, .. } = self.0;
        // The record first: it is what differs.
        *record == key.record && *scope == key.scope && *table == key.table
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
    records: IndexMap<RecordKey, RecordSlot>,
    /// The places among `records` of those that are marked as changed, each once.
    changed: Vec<usize>,
}

/// A record, and what is known of it.
#[derive(Debug)]
struct RecordSlot {
    record: Record,
    /// Whether an event has named it since the changed ones were last taken.
    is_changed: bool,
    /// Whether it was loaded, or taken before.
    is_stored: bool,
}

/// A record that events have named since the changed ones were last taken.
#[derive(Debug, Clone, Copy)]
pub struct ChangedRecord<'a> {
    /// Its address.
    pub key: &'a RecordKey,
    /// What it is now.
    pub record: &'a Record,
    /// Whether it was neither loaded nor taken before: whoever loads each record that an event names does not store it yet.
    pub is_new: bool,
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
        self.records.insert(key, RecordSlot { record, is_changed: false, is_stored: true });
    }

    /// Whether it holds the record that an event names.
    pub fn holds_named(&self, event: &Event) -> bool {
        self.records.contains_key(&Named(event))
    }

    /// The record of a key, if it holds it.
    pub fn record(&self, key: &RecordKey) -> Option<&Record> {
        self.records.get(key).map(|held| &held.record)
    }

    /// Folds the next event.
    pub fn fold(&mut self, event: &Event) -> Result<EventOutcome, FoldError> {
        let position = event.position;
        let nothing = |verdict| Ok(EventOutcome::simply(verdict));
        if event.rejected.is_some() {
            return nothing(Verdict::Rejected);
        }
        if event.table.as_str() == CATALOG_TABLE {
            let catalog = Catalog::from_event(event).map_err(|source| FoldError::Catalog { position, source })?;
            // What a refold passes over may name rules that nobody has any more.
            if position >= self.refold_position {
                if self.resolvers.missing_for(&catalog.1).is_some() {
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
        let applying = EventContext::new(catalog, table, &self.resolvers, event);
        let place = self.records.get_index_of(&Named(event));
        let place = place.unwrap_or_else(|| {
            let unseen = RecordSlot { record: applying.unseen(), is_changed: false, is_stored: false };
            self.records.insert_full(RecordKey::of(event), unseen).0
        });
        let held = &mut self.records[place];
        if !held.is_changed {
            held.is_changed = true;
            self.changed.push(place);
        }
        applying.apply(&mut held.record)
    }

    /// Every record held, in key order.
    pub fn records(&self) -> impl Iterator<Item = (&RecordKey, &Record)> {
        let mut records: Vec<_> = self.records.iter().collect();
        records.sort_unstable_by_key(|(key, _)| *key);
        records.into_iter().map(|(key, held)| (key, &held.record))
    }

    /// The records that events have named since they were last taken, in the order in which they were first named.
    pub fn changed(&self) -> impl Iterator<Item = ChangedRecord<'_>> {
        let changed = self.changed.iter().filter_map(|place| self.records.get_index(*place));
        changed.map(|(key, held)| ChangedRecord { key, record: &held.record, is_new: !held.is_stored })
    }

    /// The records that events have named since the last call, in key order.
    pub fn take_changed(&mut self) -> Vec<(RecordKey, Record)> {
        let mut taken: Vec<_> = self.changed().map(|it| (it.key.clone(), it.record.clone())).collect();
        taken.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        self.forget_leaving();
        taken
    }

    /// Takes the changed records as stored, and forgets where their events are as far as that left them.
    pub fn forget_leaving(&mut self) {
        for place in std::mem::take(&mut self.changed) {
            let held = &mut self.records[place];
            held.record.history.leaving.clear();
            (held.is_changed, held.is_stored) = (false, true);
        }
    }

    /// Keeps the records that events have named since they were last taken, as if they had just been loaded, and
    /// forgets all others.
    pub fn keep_changed(&mut self) {
        self.changed.clear();
        self.records.retain(|_, held| {
            held.record.history.leaving.clear();
            held.is_stored = true;
            std::mem::take(&mut held.is_changed)
        });
    }
}

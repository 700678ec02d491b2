//! The folder: folds a log event by event.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::catalog::Catalog;
use crate::fold::aliases::Aliases;
use crate::fold::apply::{EventContext, EventOutcome, FoldRules};
use crate::fold::error::FoldError;
use crate::fold::record::key::RecordKeyRef;
use crate::fold::record::{Record, RecordKey};
use crate::fold::rules::custom::Resolvers;
use crate::ids::{CATALOG_TABLE, CatalogVersion, DEVICES_TABLE, DeviceId, Position, Seq};
use crate::log::device_change::{Alias, DeviceChange, Readmitted};
use crate::log::event::Event;
use crate::log::verdict::Verdict;

/// The records folded so far, with the catalog in force.
///
/// A replica starts with [`Folder::new`] and folds the whole log. A projector starts in the middle: it sets the catalog
/// in force at its checkpoint ([`Folder::set_catalog`]), the earlier names that devices have there
/// ([`Folder::set_aliases`]), and loads the stored records that the next events name ([`Folder::load`]).
///
/// A replica with a store of its own does the same, page by page or event by event:
///
/// ```
/// use std::collections::BTreeMap;
/// use tidelog_core::event::Event;
/// use tidelog_core::fold::{FoldError, Folder, Record, RecordKey};
///
/// /// Folds the next events of a log into a store. Here the store is a map; records can also be stored as bytes
/// /// ([`Record::write_fields`], [`Record::write_state`]).
/// fn fold_page(
///     folder: &mut Folder,
///     store: &mut BTreeMap<RecordKey, Record>,
///     page: &[Event],
/// ) -> Result<(), FoldError> {
///     for event in page {
///         let key = RecordKey::of(event);
///         if !folder.holds_named(event) && let Some(record) = store.get(&key) {
///             folder.load(key, record.clone());
///         }
///         folder.fold(event)?;
///     }
///     store.extend(folder.unload());
///     Ok(())
/// }
/// # use tidelog_core::wire::EventView;
/// # fn event(position: i64, table: &str, fields: &str) -> Result<Event, Box<dyn std::error::Error>> {
/// #     let device = if table == "_catalog" { 0 } else { 1 };
/// #     let view: EventView = serde_json::from_str(&format!(
/// #         r#"{{"position": {position}, "batch": {position}, "device": "00000000-0000-0000-0000-00000000000{device}",
/// #              "seq": {position}, "table": "{table}", "record": "n-1", "kind": "put", "fields": {fields}, "base": 0,
/// #              "at": "2026-11-20T08:00:00Z", "received_at": "2026-11-20T08:00:00Z", "role": "staff"}}"#
/// #     ))?;
/// #     Ok(Event::try_from(view)?)
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let catalog = r#"{"version": 1, "catalog": {"roles": ["staff"], "tables": {"notes": {}}}}"#;
/// # let pages = [
/// #     [event(1, "_catalog", catalog)?, event(2, "notes", r#"{"title": "milk"}"#)?],
/// #     [event(3, "notes", r#"{"litres": 2}"#)?, event(4, "notes", r#"{"title": "bread"}"#)?],
/// # ];
/// let (mut folder, mut store) = (Folder::new(), BTreeMap::new());
/// for page in &pages {
///     fold_page(&mut folder, &mut store, page)?;
/// }
/// let record = store.values().next().ok_or("the record is stored")?;
/// assert_eq!(serde_json::to_string(&record.plain())?, r#"{"litres":2,"title":"bread"}"#);
/// assert_eq!(folder.records().count(), 0, "the folder keeps no records between pages");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Folder {
    catalog: Option<(CatalogVersion, Arc<Catalog>)>,
    /// The position of the catalog that holds from the start; 0 without a refold. Catalogs before it are skipped.
    refold_position: Position,
    resolvers: Resolvers,
    /// The earlier names of devices, from the `_devices` events so far.
    aliases: Arc<Aliases>,
    /// The op that the next event readmits, with the device that made it.
    readmitted: Option<(DeviceId, Readmitted)>,
    records: IndexMap<RecordKey, RecordSlot>,
    /// The indices in `records` of the slots with `is_changed`, each once.
    changed: Vec<usize>,
}

/// A record in the folder, with its state of change and storage.
#[derive(Debug)]
struct RecordSlot {
    record: Record,
    /// Whether an event has named the record since the changed records were last taken.
    is_changed: bool,
    /// Whether the record was loaded, or was among changed records that were taken.
    is_stored: bool,
}

/// A record that events have named since the changed records were last taken.
#[derive(Debug, Clone, Copy)]
pub struct ChangedRecord<'a> {
    /// The address of the record.
    pub key: &'a RecordKey,
    /// The record as it is now.
    pub record: &'a Record,
    /// Whether the record was neither loaded nor taken before. A caller that loads every record that an event names has
    /// no stored row for a new one.
    pub is_new: bool,
}

impl Folder {
    /// An empty folder, before the first event, with the built-in rules only.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty folder, before the first event, with the resolvers of the embedding program for `custom` rules.
    pub fn with_resolvers(resolvers: Resolvers) -> Self {
        Self { resolvers, ..Self::default() }
    }

    /// Puts a catalog in force, as its `_catalog` event would.
    pub fn set_catalog(&mut self, version: CatalogVersion, catalog: impl Into<Arc<Catalog>>) {
        self.catalog = Some((version, catalog.into()));
    }

    /// Puts the catalog of the `_catalog` event at `position` in force from the start of the log, for a refold that an
    /// operator asked for. `_catalog` events before `position` are skipped.
    pub fn refold(&mut self, position: Position, version: CatalogVersion, catalog: impl Into<Arc<Catalog>>) {
        self.refold_position = position;
        self.set_catalog(version, catalog);
    }

    /// The catalog in force; `None` before the first `_catalog` event.
    pub fn catalog(&self) -> Option<&(CatalogVersion, Arc<Catalog>)> {
        self.catalog.as_ref()
    }

    /// Sets the earlier names of devices, as the `_devices` events up to here give them.
    pub fn set_aliases(&mut self, aliases: impl Into<Arc<Aliases>>) {
        self.aliases = aliases.into();
    }

    /// Gives a device an earlier name, as its `_devices` event would.
    pub fn add_alias(&mut self, device: DeviceId, alias: Alias) {
        Arc::make_mut(&mut self.aliases).insert(device, alias);
    }

    /// The earlier names of devices so far.
    pub fn aliases(&self) -> &Arc<Aliases> {
        &self.aliases
    }

    /// Adds a stored record that later events may name.
    pub fn load(&mut self, key: RecordKey, record: Record) {
        self.records.insert(key, RecordSlot { record, is_changed: false, is_stored: true });
    }

    /// Whether the folder holds the record that an event names.
    pub fn holds_named(&self, event: &Event) -> bool {
        self.records.contains_key(&RecordKeyRef(event))
    }

    /// The record at this address, if the folder holds it.
    pub fn record(&self, key: &RecordKey) -> Option<&Record> {
        self.records.get(key).map(|slot| &slot.record)
    }

    /// Folds the next event of the log. Events must come in position order.
    ///
    /// After an error the folder must not be used any further.
    pub fn fold(&mut self, event: &Event) -> Result<EventOutcome, FoldError> {
        if event.rejected.is_some() {
            return Ok(EventOutcome::without_conflicts(Verdict::Rejected));
        }
        if event.table.as_str() == CATALOG_TABLE {
            self.fold_catalog(event)?;
            return Ok(EventOutcome::without_conflicts(Verdict::Applied));
        }
        if event.table.as_str() == DEVICES_TABLE {
            self.fold_device_change(event)?;
            return Ok(EventOutcome::without_conflicts(Verdict::Applied));
        }
        let maker = self.maker_of(event);
        if event.table.is_server_owned() {
            return Ok(EventOutcome::without_conflicts(Verdict::Applied));
        }
        let (_, catalog) = self.catalog.as_ref().ok_or(FoldError::NoCatalog(event.position))?;
        let Some(table) = catalog.tables.get(&event.table) else {
            return self.fold_into_missing_table(event);
        };
        let rules = FoldRules { catalog, resolvers: &self.resolvers, aliases: &self.aliases };
        let context = EventContext::new(rules, table, event, maker);
        let index = self.records.get_index_of(&RecordKeyRef(event)).unwrap_or_else(|| {
            let slot = RecordSlot { record: context.unseen_record(), is_changed: false, is_stored: false };
            self.records.insert_full(RecordKey::of(event), slot).0
        });
        let slot = &mut self.records[index];
        if !slot.is_changed {
            slot.is_changed = true;
            self.changed.push(index);
        }
        context.apply(&mut slot.record)
    }

    fn fold_catalog(&mut self, event: &Event) -> Result<(), FoldError> {
        let position = event.position;
        let catalog = Catalog::from_event(event).map_err(|source| FoldError::Catalog { position, source })?;
        // A catalog that a refold skips may name custom rules that no program has a resolver for any more.
        if position < self.refold_position {
            return Ok(());
        }
        let (version, catalog) = catalog;
        if self.resolvers.missing_for(&catalog).is_some() {
            return Err(FoldError::ResolverMissing(position));
        }
        self.set_catalog(version, catalog);
        Ok(())
    }

    fn fold_device_change(&mut self, event: &Event) -> Result<(), FoldError> {
        let position = event.position;
        let change = DeviceChange::from_event(event).map_err(|source| FoldError::Device { position, source })?;
        if let Some(alias) = change.replaces {
            self.add_alias(change.device, alias);
        }
        self.readmitted = change.readmitted.map(|readmitted| (change.device, readmitted));
        Ok(())
    }

    /// The device that made an op, and the seq under which it did. Both differ from those of the event if the system device
    /// readmitted it, as the `_devices` event before it says.
    fn maker_of(&mut self, event: &Event) -> (DeviceId, Seq) {
        match self.readmitted.take() {
            Some((maker, Readmitted { seq, of })) if event.device.is_system() && event.seq == seq => (maker, of),
            Some(_) | None => (event.device, event.seq),
        }
    }

    /// Before a refold's catalog, an event may name a table that this catalog has dropped. Such a table has no records,
    /// as if it had never existed.
    fn fold_into_missing_table(&self, event: &Event) -> Result<EventOutcome, FoldError> {
        if event.position < self.refold_position {
            Ok(EventOutcome::without_conflicts(Verdict::Applied))
        } else {
            Err(FoldError::NoCatalog(event.position))
        }
    }

    /// Every record in the folder, in key order.
    pub fn records(&self) -> impl Iterator<Item = (&RecordKey, &Record)> {
        let mut records: Vec<_> = self.records.iter().collect();
        records.sort_unstable_by_key(|(key, _)| *key);
        records.into_iter().map(|(key, slot)| (key, &slot.record))
    }

    /// The records that events have named since the changed records were last taken, in the order in which they were
    /// first named.
    pub fn changed(&self) -> impl Iterator<Item = ChangedRecord<'_>> {
        let changed = self.changed.iter().filter_map(|index| self.records.get_index(*index));
        changed.map(|(key, slot)| ChangedRecord { key, record: &slot.record, is_new: !slot.is_stored })
    }

    /// Takes copies of the changed records, in key order, and marks them as stored.
    pub fn take_changed(&mut self) -> Vec<(RecordKey, Record)> {
        let mut taken: Vec<_> = self.changed().map(|it| (it.key.clone(), it.record.clone())).collect();
        taken.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        self.mark_changed_as_stored();
        taken
    }

    /// Empties the folder, and returns the changed records: for a caller that loads every record that an event names from
    /// a store of its own.
    ///
    /// Blocks of positions that have left a record (`history.leaving`) are dropped, since such a caller has the log of
    /// the server for them.
    pub fn unload(&mut self) -> impl Iterator<Item = (RecordKey, Record)> {
        self.changed.clear();
        let changed = self.records.drain(..).filter(|(_, slot)| slot.is_changed);
        changed.map(|(key, mut slot)| {
            slot.record.history.leaving.clear();
            (key, slot.record)
        })
    }

    /// Marks the changed records as stored, and drops `history.leaving`, which the caller has just written.
    pub fn mark_changed_as_stored(&mut self) {
        for index in std::mem::take(&mut self.changed) {
            let slot = &mut self.records[index];
            slot.record.history.leaving.clear();
            (slot.is_changed, slot.is_stored) = (false, true);
        }
    }

    /// Keeps the changed records, as if they had just been loaded, and drops all others.
    pub fn keep_changed(&mut self) {
        self.changed.clear();
        self.records.retain(|_, slot| {
            slot.record.history.leaving.clear();
            slot.is_stored = true;
            std::mem::take(&mut slot.is_changed)
        });
    }
}

//! Folds the events of a page into a generation of records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidelog_core::event::Event;
use tidelog_core::fold::table_digest::{RecordHash, TableDigest};
use tidelog_core::fold::{EventOutcome, Folder, Record, RecordKey};
use tidelog_core::ids::{Position, TableName};
use tidelog_core::wire::{AliasView, CatalogView};

use crate::folding::{Replaced, Rules, fold};
use crate::store::{Fault, Key, Meta, RecordRow, Tx, digest_of_row, digest_to_row, read_row, write_row};

/// What folding a page has done.
pub(super) struct Folded {
    /// What became of each event, by position.
    pub(super) outcomes: BTreeMap<Position, EventOutcome>,
    /// The records as they were before.
    pub(super) before: BTreeMap<RecordKey, Record>,
    /// The records that the events named.
    pub(super) keys: Vec<RecordKey>,
    /// What the digest of each table gains, or loses.
    pub(super) deltas: BTreeMap<TableName, TableDigest>,
    /// The catalog in force after the page, if the page has one.
    pub(super) catalog: Option<CatalogView>,
    /// The earlier names of devices after the page, if the page has changed them.
    pub(super) replaced: Option<Replaced>,
}

/// Folds events into the records of the generations in which their tables are.
pub(super) fn fold_events(
    tx: &mut Tx,
    rules: Option<&Rules>,
    events: &[Event],
    generation_of: impl Fn(&TableName) -> i64,
) -> Result<Folded, Fault> {
    let named: BTreeSet<_> = events.iter().filter(|event| !event.table.is_server_owned()).map(RecordKey::of).collect();
    let rows: Vec<_> = named.iter().map(|record| Key::record(generation_of(&record.table), record)).collect();
    tx.need(&rows)?;
    let mut folder = rules.map_or_else(Folder::new, Rules::folder);
    let version = rules.map(|rules| rules.version);
    let (mut before, mut old_hashes) = (BTreeMap::new(), BTreeMap::new());
    for (record, key) in named.iter().zip(&rows) {
        let Some(row) = tx.get(key)? else { continue };
        let row: RecordRow = read_row(&row, "a record")?;
        if let Some(fields) = row.live_fields() {
            old_hashes.insert(record, RecordHash::of(record, fields));
        }
        let folded = row.to_record()?;
        before.insert(record.clone(), folded.clone());
        folder.load(record.clone(), folded);
    }
    let mut outcomes = BTreeMap::new();
    for event in events {
        outcomes.insert(event.position, fold(&mut folder, event)?);
    }
    let mut deltas: BTreeMap<TableName, TableDigest> = BTreeMap::new();
    let mut keys = Vec::new();
    for (record, folded) in folder.take_changed() {
        let row = RecordRow::of(&folded);
        let delta = deltas.entry(record.table.clone()).or_default();
        if let Some(old) = old_hashes.get(&record) {
            delta.remove(*old);
        }
        if let Some(fields) = row.live_fields() {
            delta.add(RecordHash::of(&record, fields));
        }
        tx.put(Key::record(generation_of(&record.table), &record), write_row(&row));
        keys.push(record);
    }
    let catalog = folder.catalog().filter(|(now, _)| Some(*now) != version);
    let catalog = catalog.map(|(version, catalog)| CatalogView { version: version.0, catalog: catalog.file.clone() });
    let known = rules.map(|rules| Arc::clone(&rules.aliases)).unwrap_or_default();
    let replaced = (*folder.aliases() != known)
        .then(|| folder.aliases().iter().map(|(device, alias)| (device, AliasView::from(alias))).collect());
    Ok(Folded { outcomes, before, keys, deltas, catalog, replaced })
}

/// Adds to the digests of tables.
pub(super) fn add_to_digests(tx: &mut Tx, deltas: &BTreeMap<TableName, TableDigest>) -> Result<(), Fault> {
    let keys: Vec<_> = deltas.keys().map(|table| Meta::digest(table).key()).collect();
    tx.need(&keys)?;
    for (table, delta) in deltas {
        let mut digest = tx.meta(Meta::digest(table))?.map_or(TableDigest::EMPTY, digest_of_row);
        digest.join(*delta);
        tx.set_meta(Meta::digest(table), &digest_to_row(digest));
    }
    Ok(())
}

//! What a page says about access: tables and scopes that the device gains and loses.

use std::collections::BTreeSet;

use tidelog_core::device_change::DeviceChange;
use tidelog_core::event::Event;
use tidelog_core::fold::RecordKey;
use tidelog_core::fold::table_digest::{RecordHash, TableDigest};
use tidelog_core::ids::{DEVICES_TABLE, RecordId, Scope, TableName};

use crate::port::{ConflictRow, Signal};
use crate::steps::down::fold_page::add_to_digests;
use crate::steps::place::place_of;
use crate::store::{Device, Fault, Meta, Part, Range, RecordRow, Selection, StoreName, Tx, read_row};

/// Deletes the records of tables, with their digests and conflicts. Ops in the outbox stay.
pub(crate) fn drop_tables(tx: &mut Tx, tables: &BTreeSet<TableName>) -> Result<(), Fault> {
    for table in tables {
        let place = place_of(tx, table)?;
        tx.delete_under(StoreName::Records, vec![Part::Int(place.generation), Part::text(table.as_str())]);
        tx.delete_meta(Meta::digest(table));
    }
    if tables.is_empty() {
        return Ok(());
    }
    for (key, row) in tx.range(&Range::all(StoreName::Conflicts))? {
        if tables.contains(&read_row::<ConflictRow>(&row, "a conflict")?.conflict.table) {
            tx.delete(key);
        }
    }
    tx.signals.push(Signal::Reset(Some(tables.iter().cloned().collect())));
    Ok(())
}

/// Deletes the records of scopes from tables.
pub(crate) fn drop_scopes(
    tx: &mut Tx,
    tables: &BTreeSet<TableName>,
    is_dropped: impl Fn(&Scope) -> bool,
) -> Result<(), Fault> {
    for table in tables {
        let generation = place_of(tx, table)?.generation;
        let mut delta = TableDigest::EMPTY;
        for (key, row) in tx.range(&Range::records(generation, table, None))? {
            let [_, _, Part::Text(scope), Part::Text(record)] = &key.path[..] else { continue };
            let scope = Scope::parse(scope.as_str()).map_err(|_| Fault::Unfoldable)?;
            if !is_dropped(&scope) {
                continue;
            }
            let record = RecordId::parse(record.as_str()).map_err(|_| Fault::Unfoldable)?;
            let row: RecordRow = read_row(&row, "a record")?;
            if let Some(fields) = row.live_fields() {
                delta.remove(RecordHash::of(&RecordKey { table: table.clone(), scope, record }, fields));
            }
            tx.delete(key);
        }
        if delta != TableDigest::EMPTY {
            add_to_digests(tx, &[(table.clone(), delta)].into())?;
        }
    }
    tx.signals.push(Signal::Reset(Some(tables.iter().cloned().collect())));
    Ok(())
}

/// Learns what the device itself may do from now on.
pub(super) fn note_own_rights(tx: &mut Tx, device: &mut Device, events: &[Event]) {
    let changes = events.iter().filter(|event| event.table.as_str() == DEVICES_TABLE);
    let mut own =
        changes.filter_map(|event| DeviceChange::from_event(event).ok()).filter(|it| it.device == device.device);
    let Some(DeviceChange { role: Some(role), scopes: Some(scopes), .. }) = own.rfind(|it| it.role.is_some()) else {
        return;
    };
    if role != device.role || scopes != device.scopes {
        (device.role, device.scopes) = (role, scopes);
        tx.set_meta(Meta::device(), device);
    }
}

impl Selection {
    /// Whether the app wants the records of a table.
    pub(crate) fn has_table(&self, table: &TableName) -> bool {
        self.tables.as_ref().is_none_or(|tables| tables.contains(table))
    }

    /// Whether the app wants the records of a scope. It always wants those for everyone.
    pub(crate) fn has_scope(&self, scope: &Scope) -> bool {
        scope.is_everyones() || self.scopes.as_ref().is_none_or(|scopes| scopes.contains(scope))
    }
}

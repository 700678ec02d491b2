//! What a page says about access: tables and scopes that the device gains and loses.

use std::collections::BTreeSet;

use tidelog_core::event::Event;
use tidelog_core::fold::RecordKey;
use tidelog_core::fold::table_digest::{RecordHash, TableDigest};
use tidelog_core::ids::{RecordId, Role, Scope, Scopes, TableName};
use tidelog_core::value::{Fields, Value};

use crate::port::{ConflictRow, Signal};
use crate::steps::down::fold_page::add_to_digests;
use crate::steps::place::place_of;
use crate::store::{Device, Fault, Meta, Part, Range, RecordRow, Selection, StoreName, Tx, read_row};

/// The table of the events that say what a device may do.
const DEVICES_TABLE: &str = "_devices";

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

/// Deletes the records of a scope from tables.
pub(crate) fn drop_scope(tx: &mut Tx, tables: &BTreeSet<TableName>, scope: &Scope) -> Result<(), Fault> {
    for table in tables {
        let generation = place_of(tx, table)?.generation;
        let mut delta = TableDigest::EMPTY;
        for (key, row) in tx.range(&Range::records(generation, table, Some(scope)))? {
            let row: RecordRow = read_row(&row, "a record")?;
            let record = match key.path.last() {
                Some(Part::Text(record)) => RecordId::parse(record.as_str()).map_err(|_| Fault::Unfoldable)?,
                Some(Part::Int(_)) | None => continue,
            };
            if let Some(fields) = row.live_fields() {
                let record = RecordKey { table: table.clone(), scope: scope.clone(), record };
                delta.remove(RecordHash::of(&record, fields));
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
    let is_own =
        |event: &&Event| event.table.as_str() == DEVICES_TABLE && event.record.as_str() == device.device.to_string();
    let Some(fields) = events.iter().rfind(is_own).and_then(|event| event.intent.fields()) else { return };
    let role = role_in(fields).unwrap_or_else(|| device.role.clone());
    let scopes = scopes_in(fields).unwrap_or_else(|| device.scopes.clone());
    if role != device.role || scopes != device.scopes {
        (device.role, device.scopes) = (role, scopes);
        tx.set_meta(Meta::device(), device);
    }
}

fn role_in(fields: &Fields) -> Option<Role> {
    match fields.0.get("role")? {
        Value::Text(role) => Role::parse(role.as_str()).ok(),
        _ => None,
    }
}

fn scopes_in(fields: &Fields) -> Option<Scopes> {
    let Value::Array(scopes) = fields.0.get("scopes")? else { return None };
    let texts = scopes.iter().map(|scope| match scope {
        Value::Text(scope) => Some(scope.as_str()),
        _ => None,
    });
    Scopes::parse(&texts.collect::<Option<Vec<_>>>()?).ok()
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

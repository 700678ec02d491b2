//! Chooses what the device keeps.

use std::collections::BTreeSet;

use tidelog_core::ids::TableName;

use crate::port::{CallId, Reply};
use crate::steps::down::{drop_scopes, drop_tables};
use crate::steps::step::{After, Cx, Step};
use crate::store::{CursorRow, Fault, Meta, Selection, SnapshotRow, SnapshotTables, Tx};

/// Chooses the tables and scopes that the device keeps. Records of others are deleted at once, and those that it gains
/// are read from the server.
pub(crate) struct Select {
    pub(crate) call: CallId,
    pub(crate) selection: Selection,
}

impl Step for Select {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        let keys = [
            Meta::selection().key(),
            Meta::cursor().key(),
            Meta::snapshot().key(),
            Meta::stale().key(),
            Meta::catalog().key(),
        ];
        tx.need(&keys)?;
        let old = tx.meta(Meta::selection())?.unwrap_or_default();
        let new = &self.selection;
        if old == *new {
            return Ok(After::Reply(self.call, Reply::Done));
        }
        tx.set_meta(Meta::selection(), new);
        let tables: BTreeSet<TableName> =
            tx.meta(Meta::catalog())?.into_iter().flat_map(|it| it.catalog.tables.into_keys()).collect();
        let lost: BTreeSet<_> =
            tables.iter().filter(|table| old.has_table(table) && !new.has_table(table)).cloned().collect();
        drop_tables(tx, &lost)?;
        let kept: BTreeSet<_> = tables.iter().filter(|table| new.has_table(table)).cloned().collect();
        let has_new_scopes = match (&old.scopes, &new.scopes) {
            (None, None) => false,
            (None, Some(_)) | (Some(_), None) => true,
            (Some(old), Some(new)) => {
                let stays: BTreeSet<_> = kept.iter().filter(|table| !lost.contains(*table)).cloned().collect();
                let lost: BTreeSet<_> = old.difference(new).collect();
                drop_scopes(tx, &stays, |scope| lost.contains(scope))?;
                !new.is_subset(old)
            }
        };
        let gained = kept.iter().filter(|table| has_new_scopes || !old.has_table(table)).cloned();
        let mut stale = tx.meta(Meta::stale())?.unwrap_or_default();
        stale.retain(|table| !lost.contains(table));
        if tx.meta(Meta::cursor())?.is_some_and(|CursorRow { cursor, .. }| cursor.is_some()) {
            stale.extend(gained);
        }
        tx.set_meta(Meta::stale(), &stale);
        self.restart_snapshot(tx)?;
        Ok(After::Reply(self.call, Reply::Done))
    }
}

impl Select {
    /// A snapshot that is under way was asked for with the old choice: it begins again.
    fn restart_snapshot(&self, tx: &mut Tx) -> Result<(), Fault> {
        let Some(SnapshotRow { tables, .. }) = tx.meta(Meta::snapshot())? else { return Ok(()) };
        let tables = match tables {
            SnapshotTables::All => SnapshotTables::All,
            SnapshotTables::Only(tables) => {
                SnapshotTables::Only(tables.into_iter().filter(|table| self.selection.has_table(table)).collect())
            }
        };
        crate::steps::down::begin_snapshot(tx, tables)
    }
}

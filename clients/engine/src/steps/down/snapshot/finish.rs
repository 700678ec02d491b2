//! The end of a snapshot: its generation becomes the one that the app reads.

use std::collections::BTreeSet;

use tidelog_core::ids::TableName;

use crate::port::{Progress, Signal};
use crate::steps::down::page::keep_cursor;
use crate::steps::outbox;
use crate::steps::place::place_of;
use crate::store::{
    CursorRow, DIGEST_ROWS, Fault, GenerationOf, KeptCursor, Meta, Part, Range, SnapshotRow, SnapshotTables, StoreName,
    TABLE_ROWS, Tx, read_row,
};

/// How far a snapshot has come.
pub(super) struct Reached {
    pub(super) cursor: String,
    pub(super) position: i64,
}

/// Swaps the records of the snapshot in.
pub(super) fn finish(tx: &mut Tx, snapshot: SnapshotRow, reached: Reached) -> Result<(), Fault> {
    tell_progress(tx, &snapshot, true);
    let tables = match &snapshot.tables {
        SnapshotTables::All => {
            swap_all(tx, &snapshot, &reached)?;
            leave_outbox(tx, &reached)?;
            None
        }
        SnapshotTables::Only(tables) => {
            swap_tables(tx, &snapshot, tables, &reached)?;
            Some(tables.iter().cloned().collect())
        }
    };
    tx.delete_meta(Meta::snapshot());
    tx.set_meta(Meta::ask_conflicts(), &String::new());
    tx.signals.push(Signal::Reset(tables));
    Ok(())
}

fn swap_all(tx: &mut Tx, snapshot: &SnapshotRow, reached: &Reached) -> Result<(), Fault> {
    let table_rows = Range::meta_rows(TABLE_ROWS);
    tx.need(&[Meta::generation().key(), Meta::garbage().key(), Meta::kept_cursors().key(), Meta::stale().key()])?;
    let mut garbage = tx.meta(Meta::garbage())?.unwrap_or_default();
    garbage.extend(tx.meta(Meta::generation())?);
    for (_, row) in tx.range(&table_rows)? {
        garbage.push(read_row::<GenerationOf>(&row, "a table")?.generation);
    }
    garbage.sort_unstable();
    garbage.dedup();
    garbage.retain(|generation| *generation != snapshot.generation);
    tx.delete_under(StoreName::Meta, vec![Part::text(TABLE_ROWS)]);
    tx.delete_under(StoreName::Meta, vec![Part::text(DIGEST_ROWS)]);
    tx.delete_under(StoreName::Conflicts, Vec::new());
    for (table, digest) in &snapshot.digests {
        tx.set_meta(Meta::digest(table), digest);
    }
    tx.set_meta(Meta::garbage(), &garbage);
    tx.set_meta(Meta::generation(), &snapshot.generation);
    if let Some(catalog) = &snapshot.catalog {
        tx.set_meta(Meta::catalog(), catalog);
    }
    tx.set_meta(Meta::replaced(), &snapshot.replaced);
    if tx.meta(Meta::stale())?.is_some() {
        tx.delete_meta(Meta::stale());
    }
    // Under other rules, or in another log, the ops of the device may have other verdicts.
    tx.set_meta(Meta::ask_outcomes(), &0);
    let cursor = tx.meta(Meta::cursor())?.unwrap_or_default();
    let Reached { cursor: text, position } = reached;
    let head = cursor.head.max(*position);
    tx.set_meta(Meta::cursor(), &CursorRow { cursor: Some(text.clone()), position: *position, head });
    let mut kept = tx.meta(Meta::kept_cursors())?.unwrap_or_default();
    keep_cursor(&mut kept, KeptCursor { position: *position, cursor: text.clone() });
    tx.set_meta(Meta::kept_cursors(), &kept);
    Ok(())
}

fn swap_tables(
    tx: &mut Tx,
    snapshot: &SnapshotRow,
    tables: &BTreeSet<TableName>,
    reached: &Reached,
) -> Result<(), Fault> {
    let keys: Vec<_> = tables.iter().map(|table| Meta::table(table).key()).collect();
    tx.need(keys.iter().chain(&[Meta::stale().key(), Meta::generation().key()]))?;
    let position = tx.meta(Meta::cursor())?.unwrap_or_default().position;
    let place = GenerationOf { generation: snapshot.generation, from: position.max(reached.position) };
    for table in tables {
        let old = place_of(tx, table)?;
        tx.delete_under(StoreName::Records, vec![Part::Int(old.generation), Part::text(table.as_str())]);
        tx.set_meta(Meta::table(table), &place);
        match snapshot.digests.get(table) {
            Some(digest) => tx.set_meta(Meta::digest(table), digest),
            None => tx.delete_meta(Meta::digest(table)),
        }
    }
    let mut stale = tx.meta(Meta::stale())?.unwrap_or_default();
    stale.retain(|table| !tables.contains(table));
    tx.set_meta(Meta::stale(), &stale);
    Ok(())
}

/// Ops that the snapshot has in it leave the outbox.
fn leave_outbox(tx: &mut Tx, reached: &Reached) -> Result<(), Fault> {
    /// Enough ops stay behind for a server that loses its newest events.
    const SENT_OPS_MAX: usize = usize::MAX;
    let acked = tx.meta(Meta::acked())?.unwrap_or_default();
    for (id, row) in outbox::rows(tx, &Range::all(StoreName::Outbox))? {
        let stored = row.stored.filter(|stored| id <= acked.id && stored.position <= reached.position);
        if let Some(stored) = stored {
            outbox::leave(tx, id, row, stored, SENT_OPS_MAX)?;
        }
    }
    Ok(())
}

/// Tells the app how far a snapshot is.
pub(super) fn tell_progress(tx: &mut Tx, snapshot: &SnapshotRow, is_complete: bool) {
    let tables = match &snapshot.tables {
        SnapshotTables::All => None,
        SnapshotTables::Only(tables) => Some(tables.iter().cloned().collect()),
    };
    tx.signals.push(Signal::Progress(Progress { records: snapshot.records, tables, is_complete }));
}

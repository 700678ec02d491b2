//! New starts: after the log of the server was restored or cut, after a refold, after damage.

use std::collections::BTreeSet;

use crate::port::Lane;
use crate::steps::outbox;
use crate::steps::step::{After, Cx, Step};
use crate::store::{CursorRow, Fault, Meta, OutboxRow, SnapshotRow, SnapshotTables, Tx};

/// Starts from a snapshot, since the log of the server agrees with this device's up to a position only. The ops that the
/// device has pushed after it go back into the outbox: the server may have lost them.
pub(crate) struct Restart {
    pub(crate) common: i64,
}

impl Step for Restart {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        common_position(tx, self.common)?;
        Ok(After::Again(Lane::Down))
    }
}

/// Reads all records again without another base: the rules have changed from the start of the log on, or the local
/// records cannot be folded any further.
pub(crate) struct Refresh;

impl Step for Refresh {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        begin_snapshot(tx, SnapshotTables::All)?;
        Ok(After::Begun(Lane::Down))
    }
}

/// Goes back to the last position at which the logs agree.
pub(in crate::steps::down) fn common_position(tx: &mut Tx, common: i64) -> Result<(), Fault> {
    tx.need(&[Meta::device().key(), Meta::acked().key(), Meta::cursor().key(), Meta::kept_cursors().key()])?;
    let device = tx.meta(Meta::device())?;
    let acked = tx.meta(Meta::acked())?.unwrap_or_default();
    let cursor = tx.meta(Meta::cursor())?.unwrap_or_default();
    let mut kept = tx.meta(Meta::kept_cursors())?.unwrap_or_default();
    let mut rows = outbox::unsent(tx, acked)?;
    if let Some(device) = device {
        let stored = outbox::stored_rows(tx, &device)?;
        let lost = stored.values().filter(|(row, at)| at.position > common && row.seq <= acked.seq);
        if let Some(first) = lost.map(|(row, _)| row.seq).min() {
            // What is no longer kept cannot be given back: then the server asks for it, and the device becomes a new one.
            if outbox::put_back(tx, &device, acked, first)? {
                let is_back = |row: &outbox::StoredRow| row.1.0.seq >= first && row.1.0.seq <= acked.seq;
                let back = stored.into_iter().filter(is_back).map(|(id, (row, _))| (id, row));
                rows = back.chain(rows).collect();
            }
        }
    }
    let starts = tx.meta(Meta::starts())?.unwrap_or_default();
    tx.set_meta(Meta::starts(), &(starts + 1));
    for (id, row) in rows {
        let stored = row.stored.filter(|stored| stored.position <= common);
        let row = OutboxRow { stored, ..row };
        let (lowered, record) = outbox::rewritten(&row, row.seq, Some(common))?;
        outbox::put(tx, id, &lowered, &record);
    }
    kept.retain(|kept| kept.position <= common);
    tx.set_meta(Meta::kept_cursors(), &kept);
    let position = cursor.position.min(common);
    tx.set_meta(Meta::cursor(), &CursorRow { cursor: None, position, ..cursor });
    begin_snapshot(tx, SnapshotTables::All)
}

/// Begins a snapshot into a generation of its own. The app goes on with the records that it has.
pub(crate) fn begin_snapshot(tx: &mut Tx, tables: SnapshotTables) -> Result<(), Fault> {
    tx.need(&[Meta::next_generation().key(), Meta::snapshot().key(), Meta::garbage().key()])?;
    let generation = tx.meta(Meta::next_generation())?.unwrap_or(1);
    if let Some(abandoned) = tx.meta(Meta::snapshot())? {
        let mut garbage = tx.meta(Meta::garbage())?.unwrap_or_default();
        garbage.push(abandoned.generation);
        tx.set_meta(Meta::garbage(), &garbage);
        if let SnapshotTables::Only(unfinished) = abandoned.tables {
            let mut stale: BTreeSet<_> = tx.meta(Meta::stale())?.unwrap_or_default();
            stale.extend(unfinished);
            tx.set_meta(Meta::stale(), &stale);
        }
    }
    if matches!(&tables, SnapshotTables::Only(tables) if tables.is_empty()) {
        tx.delete_meta(Meta::snapshot());
        return Ok(());
    }
    tx.set_meta(Meta::next_generation(), &(generation + 1));
    let snapshot = SnapshotRow {
        generation,
        tables,
        after: None,
        events_after: None,
        catalog: None,
        replaced: Default::default(),
        digests: Default::default(),
        records: 0,
    };
    tx.set_meta(Meta::snapshot(), &snapshot);
    Ok(())
}

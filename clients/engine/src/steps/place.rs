//! Where things are: the ground that ops are laid on, and the generation of a table's records.

use std::collections::BTreeMap;

use tidelog_core::fold::{Record, RecordKey};
use tidelog_core::ids::{Position, TableName};
use tidelog_core::op::Op;
use tidelog_core::time::UnixMs;

use crate::folding::{Me, Rules};
use crate::overlay::Ground;
use crate::steps::step::Cx;
use crate::store::{ClockOffset, Fault, GenerationOf, Key, Meta, OutboxRow, Range, RecordRow, StoreName, Tx, read_row};
use crate::wire::decode_op;

/// The time of the server, as far as the device can know.
pub(crate) fn server_now(tx: &mut Tx, cx: &Cx<'_>) -> Result<UnixMs, Fault> {
    let ClockOffset(offset) = tx.meta(Meta::clock_offset())?.unwrap_or_default();
    Ok(UnixMs(cx.now.wall.0.saturating_add(offset)))
}

/// What ops are laid on.
pub(crate) fn ground(tx: &mut Tx, cx: &Cx<'_>) -> Result<Ground, Fault> {
    let keys = [
        Meta::device().key(),
        Meta::catalog().key(),
        Meta::replaced().key(),
        Meta::acked().key(),
        Meta::cursor().key(),
        Meta::clock_offset().key(),
    ];
    tx.need(&keys)?;
    let device = tx.meta(Meta::device())?;
    let catalog = tx.meta(Meta::catalog())?;
    // Guarded, since an acknowledgement may take an op out of the outbox.
    tx.meta(Meta::acked())?;
    let position = tx.meta(Meta::cursor())?.unwrap_or_default().base();
    let rules = catalog.map(|view| Rules::of(&view, &cx.config.resolvers)).transpose()?;
    let replaced = tx.meta(Meta::replaced())?.unwrap_or_default();
    let rules = rules.map(|rules| rules.with_replaced(&replaced));
    Ok(Ground { rules, me: Me::of(device.as_ref()), position, now: server_now(tx, cx)? })
}

/// Where the records of a table are.
pub(crate) fn place_of(tx: &mut Tx, table: &TableName) -> Result<GenerationOf, Fault> {
    tx.need(&[Meta::generation().key(), Meta::table(table).key()])?;
    let generation = tx.meta(Meta::generation())?.unwrap_or_default();
    Ok(tx.meta(Meta::table(table))?.unwrap_or(GenerationOf { generation, from: 0 }))
}

/// Where the records of each of these tables are.
pub(crate) fn places_of<'a>(
    tx: &mut Tx,
    tables: impl Iterator<Item = &'a TableName> + Clone,
) -> Result<BTreeMap<TableName, GenerationOf>, Fault> {
    let keys: Vec<_> = tables.clone().map(|table| Meta::table(table).key()).collect();
    tx.need(&keys)?;
    tables.map(|table| Ok((table.clone(), place_of(tx, table)?))).collect()
}

/// A confirmed record.
pub(crate) fn confirmed(tx: &mut Tx, key: &RecordKey, place: GenerationOf) -> Result<Option<Record>, Fault> {
    let row = tx.get(&Key::record(place.generation, key))?;
    row.map(|row| read_row::<RecordRow>(&row, "a record")?.to_record()).transpose()
}

/// The ops in the outbox that name a record and are not in its confirmed state, in the order in which they were made.
pub(crate) fn waiting_ops(tx: &mut Tx, key: &RecordKey, confirmed_to: Position) -> Result<Vec<Op>, Fault> {
    let ids: Vec<_> = tx.range(&Range::pending_of(key))?.iter().filter_map(|(key, _)| key.last_number()).collect();
    waiting_of(tx, &ids, confirmed_to)
}

/// The ops with these local ids that are not in the confirmed records.
pub(crate) fn waiting_of(tx: &mut Tx, ids: &[i64], confirmed_to: Position) -> Result<Vec<Op>, Fault> {
    let keys: Vec<_> = ids.iter().map(|id| Key::op(StoreName::Outbox, *id)).collect();
    tx.need(&keys)?;
    let mut ops = Vec::with_capacity(keys.len());
    for key in &keys {
        let Some(row) = tx.get(key)? else { continue };
        let row: OutboxRow = read_row(&row, "an op")?;
        if row.stored.is_none_or(|stored| stored.position > confirmed_to.0) {
            ops.push(decode_op(&row.op)?);
        }
    }
    Ok(ops)
}

/// Learns the clock of the server from a response.
pub(crate) fn note_server_time(tx: &mut Tx, cx: &Cx<'_>, server_time: UnixMs) -> Result<(), Fault> {
    /// What the way of a response may take, in milliseconds.
    const TOLERANCE_MS: i64 = 2_000;
    let ClockOffset(known) = tx.meta(Meta::clock_offset())?.unwrap_or_default();
    let offset = server_time.0 - cx.now.wall.0;
    if (offset - known).abs() > TOLERANCE_MS {
        tx.set_meta(Meta::clock_offset(), &ClockOffset(offset));
    }
    Ok(())
}

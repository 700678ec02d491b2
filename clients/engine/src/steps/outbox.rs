//! The outbox: how an op comes in, leaves, and comes back.

use std::collections::BTreeMap;

use tidelog_core::fold::RecordKey;
use tidelog_core::ids::{DeviceId, Position, Seq};
use tidelog_core::op::Op;

use crate::store::{
    Acked, Device, Fault, Key, Meta, OutboxRow, Range, SentRow, StoreName, StoredAt, Tx, read_row, write_row,
};
use crate::wire::{decode_op, encode_op};

/// The address of the record that an op names.
pub(crate) fn record_of(op: &Op) -> RecordKey {
    RecordKey { table: op.table.clone(), scope: op.scope.clone(), record: op.record.clone() }
}

/// Writes an op into the outbox.
pub(crate) fn put(tx: &mut Tx, id: i64, row: &OutboxRow, record: &RecordKey) {
    tx.make_strict();
    tx.put(Key::op(StoreName::Outbox, id), write_row(row));
    tx.put(Key::pending(record, id), bytes::Bytes::new());
}

/// Reads the rows of a range of the outbox.
pub(crate) fn rows(tx: &mut Tx, range: &Range) -> Result<Vec<(i64, OutboxRow)>, Fault> {
    let rows = tx.range(range)?;
    rows.iter()
        .filter_map(|(key, row)| Some((key.last_number()?, row)))
        .map(|(id, row)| Ok((id, read_row(row, "an op")?)))
        .collect()
}

/// The ops that have to be sent, in the order in which they were made.
pub(crate) fn unsent(tx: &mut Tx, acked: Acked) -> Result<Vec<(i64, OutboxRow)>, Fault> {
    rows(tx, &Range::ops_after(StoreName::Outbox, acked.id, usize::MAX))
}

/// Moves an op that is stored and in the local records from the outbox to the ops that were sent (OUT-1).
pub(crate) fn leave(
    tx: &mut Tx,
    id: i64,
    row: OutboxRow,
    stored: StoredAt,
    sent_max: usize,
) -> Result<RecordKey, Fault> {
    let record = record_of(&decode_op(&row.op)?);
    tx.make_strict();
    tx.delete(Key::op(StoreName::Outbox, id));
    tx.delete(Key::pending(&record, id));
    tx.put(Key::op(StoreName::Sent, id), write_row(&row.into_sent(stored)));
    let oldest = id.saturating_sub(i64::try_from(sent_max).unwrap_or(i64::MAX));
    if oldest > 0 {
        tx.delete(Key::op(StoreName::Sent, oldest));
    }
    Ok(record)
}

/// The rows of the ops of a device that the server has stored, as far as they are kept: by local id.
pub(crate) fn stored_rows(tx: &mut Tx, device: &Device) -> Result<BTreeMap<i64, (OutboxRow, StoredAt)>, Fault> {
    let (outbox, sent) =
        (Range::all(StoreName::Outbox), Range::ops_after(StoreName::Sent, device.ids_after, usize::MAX));
    tx.need_ranges([outbox.clone(), sent.clone()])?;
    let mut stored = BTreeMap::new();
    let is_own = |id: i64, at: StoredAt| at.device == device.device && id > device.ids_after;
    for (key, row) in tx.range(&sent)? {
        let Some(id) = key.last_number() else { continue };
        let row: SentRow = read_row(&row, "an op")?;
        let at = row.stored;
        if is_own(id, at) {
            stored.insert(id, (row.into_outbox(), at));
        }
    }
    for (id, row) in rows(tx, &outbox)? {
        if let Some(at) = row.stored.filter(|at| is_own(id, *at)) {
            stored.insert(id, (OutboxRow { stored: None, ..row }, at));
        }
    }
    Ok(stored)
}

/// Puts stored ops back into the outbox, from a seq on. `false` if one of them is not kept any more, or was never pushed and
/// is not in the outbox either: then no push from here on can succeed under these seqs.
pub(crate) fn put_back(tx: &mut Tx, device: &Device, acked: Acked, from_seq: i64) -> Result<bool, Fault> {
    let stored: Vec<_> = stored_rows(tx, device)?
        .into_iter()
        .filter(|(_, (row, _))| row.seq >= from_seq && row.seq <= acked.seq)
        .collect();
    let is_complete = i64::try_from(stored.len()).is_ok_and(|count| count == acked.seq - from_seq + 1);
    let Some((first, _)) = stored.first().filter(|_| is_complete) else {
        let next = rows(tx, &Range::ops_after(StoreName::Outbox, acked.id, 1))?;
        let has_hole = acked.seq + 1 == from_seq && next.first().is_some_and(|(_, row)| row.seq > from_seq);
        return Ok(acked.seq < from_seq && !has_hole);
    };
    tx.set_meta(Meta::acked(), &Acked { seq: from_seq - 1, id: first - 1 });
    for (id, (row, _)) in stored {
        let record = record_of(&decode_op(&row.op)?);
        tx.delete(Key::op(StoreName::Sent, id));
        put(tx, id, &row, &record);
    }
    Ok(true)
}

/// The same op with another seq or a lower base.
pub(crate) fn rewritten(row: &OutboxRow, seq: i64, base_max: Option<i64>) -> Result<(OutboxRow, RecordKey), Fault> {
    let mut op = decode_op(&row.op)?;
    op.seq = Seq::new(seq).ok_or(Fault::Unreadable("a seq"))?;
    if let (Some(base), Some(max)) = (op.base, base_max) {
        op.base = Some(Position(base.0.min(max)));
    }
    Ok((OutboxRow { seq, op: encode_op(&op), ..row.clone() }, record_of(&op)))
}

/// Notes that the verdict of an own op has to be asked for.
pub(crate) fn ask_outcome(tx: &mut Tx, device: DeviceId, current: Option<&Device>, seq: i64) -> Result<(), Fault> {
    // The server tells a device about its own ops alone.
    if current.is_none_or(|current| current.device != device) {
        return Ok(());
    }
    let asked = tx.meta(Meta::ask_outcomes())?;
    if asked.is_none_or(|asked| asked > seq - 1) {
        tx.set_meta(Meta::ask_outcomes(), &(seq - 1));
    }
    Ok(())
}

/// A stored op by its local id.
pub(crate) type StoredRow = (i64, (OutboxRow, StoredAt));

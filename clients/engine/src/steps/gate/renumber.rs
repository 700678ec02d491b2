//! The move to a new device: its unsent ops get new numbers, so that none is lost and none is stored twice.

use std::collections::BTreeMap;

use tidelog_core::ids::DeviceId;

use crate::port::Signal;
use crate::steps::outbox;
use crate::steps::step::{After, Cx, Step};
use crate::store::{Acked, Device, Fault, Key, Meta, OutboxRow, Renumbering, StoreName, StoredAt, Tx, write_row};

/// Begins the move: another device has pushed under this name. What is stored up to here was made by this device.
pub(crate) struct BeginRenumbering {
    pub(crate) device: DeviceId,
}

impl Step for BeginRenumbering {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        tx.need(&[Meta::device().key(), Meta::acked().key(), Meta::renumbering().key()])?;
        if tx.meta(Meta::device())?.is_none_or(|device| device.device != self.device) {
            return Ok(After::GateDue);
        }
        let acked = tx.meta(Meta::acked())?.unwrap_or_default();
        let renumbering = tx.meta(Meta::renumbering())?.unwrap_or_default();
        tx.make_strict();
        tx.set_meta(Meta::renumbering(), &Renumbering { through: Some(acked.seq), ..renumbering });
        Ok(After::GateDue)
    }
}

/// Takes the answer of the server about the device before: its last seq, 0 if the server does not know it.
pub(crate) struct LastSeqKnown {
    pub(crate) last_seq: i64,
}

impl Step for LastSeqKnown {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        tx.need(&[Meta::device().key(), Meta::acked().key(), Meta::renumbering().key()])?;
        let (Some(device), Some(renumbering)) = (tx.meta(Meta::device())?, tx.meta(Meta::renumbering())?) else {
            return Ok(After::GateDue);
        };
        if let Some(new) = renumbering.candidate {
            tx.make_strict();
            renumber(tx, &device, new, self.last_seq)?;
        }
        Ok(After::GateDue)
    }
}

/// Makes the store the new device's. Ops that the server has stored under the old name, up to `through`, stay as they
/// are; all later ones are numbered from 1, with the bases that they had.
pub(super) fn renumber(tx: &mut Tx, old: &Device, (new, token): (Device, String), through: i64) -> Result<(), Fault> {
    let acked = tx.meta(Meta::acked())?.unwrap_or_default();
    let mut moving: BTreeMap<i64, OutboxRow> = BTreeMap::new();
    let mut stored_through = acked.id;
    for (id, row) in outbox::unsent(tx, acked)? {
        if row.seq > through {
            moving.insert(id, row);
        } else {
            // The response to its push was lost. It stays until its event comes.
            let stored = StoredAt { device: old.device, position: StoredAt::UNKNOWN };
            tx.put(Key::op(StoreName::Outbox, id), write_row(&OutboxRow { stored: Some(stored), ..row }));
            stored_through = id;
        }
    }
    if through < acked.seq {
        // The server was restored from a backup, and has lost some of the old device's ops.
        let lost = outbox::stored_rows(tx, old)?.into_iter().filter(|(_, (row, _))| row.seq > through);
        moving.extend(lost.map(|(id, (row, _))| (id, row)));
    }
    let ids_after = moving.keys().next().map_or(stored_through, |first| first - 1);
    let mut seq = 0;
    for (id, row) in &moving {
        seq += 1;
        let (moved, record) = outbox::rewritten(row, seq, None)?;
        tx.delete(Key::op(StoreName::Sent, *id));
        outbox::put(tx, *id, &OutboxRow { stored: None, ..moved }, &record);
    }
    tx.signals.push(Signal::Renumbered { old: old.device, new: new.device, ops: moving.len() as u64 });
    tx.set_meta(Meta::device(), &Device { ids_after, ..new });
    tx.set_meta(Meta::token(), &token);
    tx.set_meta(Meta::acked(), &Acked { seq: 0, id: ids_after });
    tx.set_meta(Meta::next_seq(), &(seq + 1));
    tx.delete_meta(Meta::renumbering());
    tx.delete_meta(Meta::ask_outcomes());
    Ok(())
}

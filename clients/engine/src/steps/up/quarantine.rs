//! Sets an op aside that no server can read.

use tidelog_core::ids::DeviceId;

use crate::port::{Lane, Signal};
use crate::steps::outbox;
use crate::steps::step::{After, Cx, Step};
use crate::store::{Fault, Key, Meta, QuarantineRow, StoreName, Tx, write_row};
use crate::wire::{Problem, decode_op};

/// Moves the next unsent op to the quarantine, and closes the hole in the seqs. The op was never stored, so neither was
/// any op after it.
pub(crate) struct SetAside {
    pub(crate) id: i64,
    pub(crate) device: DeviceId,
    pub(crate) problem: Problem,
}

impl Step for SetAside {
    fn run(&self, tx: &mut Tx, cx: &Cx<'_>) -> Result<After, Fault> {
        tx.need(&[Meta::device().key(), Meta::acked().key(), Meta::next_seq().key()])?;
        if tx.meta(Meta::device())?.is_none_or(|device| device.device != self.device) {
            return Ok(After::Again(Lane::Up));
        }
        let acked = tx.meta(Meta::acked())?.unwrap_or_default();
        let next_seq = tx.meta(Meta::next_seq())?.unwrap_or(1);
        let unsent = outbox::unsent(tx, acked)?;
        let mut unsent = unsent.into_iter();
        let Some((id, row)) = unsent.next().filter(|(id, _)| *id == self.id) else {
            return Ok(After::Again(Lane::Up));
        };
        let record = outbox::record_of(&decode_op(&row.op)?);
        let aside = QuarantineRow {
            op: row.op,
            code: self.problem.code.clone(),
            detail: self.problem.detail.clone(),
            at: cx.now.wall.0,
        };
        tx.make_strict();
        tx.put(Key::op(StoreName::Quarantine, id), write_row(&aside));
        tx.delete(Key::op(StoreName::Outbox, id));
        tx.delete(Key::pending(&record, id));
        for (id, row) in unsent {
            let (moved, record) = outbox::rewritten(&row, row.seq - 1, None)?;
            outbox::put(tx, id, &moved, &record);
        }
        tx.set_meta(Meta::next_seq(), &(next_seq - 1));
        let position = tx.meta(Meta::cursor())?.unwrap_or_default().base();
        tx.signals.push(Signal::Quarantined { id, code: self.problem.code.clone() });
        tx.signals.push(Signal::Changed { keys: vec![record], position });
        Ok(After::Again(Lane::Up))
    }
}

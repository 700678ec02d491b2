//! Stores an acknowledgement.

use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{PushResponse, Rejected};

use crate::port::{Lane, Outcome, Signal};
use crate::steps::outbox;
use crate::steps::place::note_server_time;
use crate::steps::step::{After, Cx, PushedOps, Step};
use crate::store::{
    Acked, Device, Fault, Key, Meta, OutboxRow, OutcomeRow, StoreName, StoredAt, Tx, read_row, write_row,
};
use crate::wire::decode_op;

/// Stores what the server has answered to a push. An op leaves the outbox here only if it was rejected, or if its event
/// is in the local records already (OUT-1).
pub(crate) struct Acknowledge {
    pub(crate) pushed: PushedOps,
    pub(crate) response: PushResponse,
}

impl Acknowledge {
    fn position_of(&self, seq: i64) -> Option<i64> {
        let run = self.response.runs.iter().find(|run| (run.seq.0..run.seq.0 + run.count).contains(&seq))?;
        Some(run.position.0 + seq - run.seq.0)
    }

    fn rejection_of(&self, seq: i64) -> Option<&Rejected> {
        self.response.rejected.iter().find(|rejected| rejected.seq.0 == seq)
    }
}

impl Step for Acknowledge {
    fn run(&self, tx: &mut Tx, cx: &Cx<'_>) -> Result<After, Fault> {
        let keys: Vec<_> = self.pushed.ops.iter().map(|(id, _)| Key::op(StoreName::Outbox, *id)).collect();
        let metas = [
            Meta::device().key(),
            Meta::acked().key(),
            Meta::cursor().key(),
            Meta::clock_offset().key(),
            Meta::ask_outcomes().key(),
            Meta::renumbering().key(),
            Meta::starts().key(),
        ];
        tx.need(keys.iter().chain(&metas))?;
        let Some(device) = tx.meta(Meta::device())? else { return Ok(After::Again(Lane::Up)) };
        let starts = tx.meta(Meta::starts())?.unwrap_or_default();
        if starts != self.pushed.starts || device.device != self.pushed.device {
            return Ok(After::Again(Lane::Up));
        }
        let mut acked = tx.meta(Meta::acked())?.unwrap_or_default();
        let cursor = tx.meta(Meta::cursor())?.unwrap_or_default();
        for (key, (id, seq)) in keys.iter().zip(&self.pushed.ops) {
            let (Some(row), Some(position)) = (tx.get(key)?, self.position_of(*seq)) else { continue };
            let row: OutboxRow = read_row(&row, "an op")?;
            // Another tab may have renumbered the op meanwhile, or stored the acknowledgement.
            if row.seq != *seq || *seq <= acked.seq {
                continue;
            }
            if *seq != acked.seq + 1 {
                break;
            }
            acked = Acked { seq: *seq, id: *id };
            let stored = StoredAt { device: device.device, position };
            tx.signals.push(Signal::Stored { id: *id, position: stored_position(stored) });
            match self.rejection_of(*seq) {
                Some(rejected) => reject(tx, cx, *id, row, (stored, rejected))?,
                None if position <= cursor.position => pass(tx, cx, *id, row, (stored, &device))?,
                None => {
                    tx.make_strict();
                    tx.put(key.clone(), write_row(&OutboxRow { stored: Some(stored), ..row }));
                }
            }
        }
        tx.set_meta(Meta::acked(), &acked);
        note_server_time(tx, cx, self.response.server_time)?;
        if tx.meta(Meta::renumbering())?.is_some() { Ok(After::GateDue) } else { Ok(After::Again(Lane::Up)) }
    }
}

fn stored_position(stored: StoredAt) -> tidelog_core::ids::Position {
    tidelog_core::ids::Position(stored.position)
}

/// An op that was rejected has no effect and is in nobody's pull: its outcome is known now.
fn reject(
    tx: &mut Tx,
    cx: &Cx<'_>,
    id: i64,
    row: OutboxRow,
    (stored, rejected): (StoredAt, &Rejected),
) -> Result<(), Fault> {
    let seq = decode_op(&row.op)?.seq;
    let record = outbox::leave(tx, id, row, stored, cx.config.sent_ops_max)?;
    let outcome = OutcomeRow {
        device: stored.device,
        seq,
        table: record.table.clone(),
        scope: record.scope.clone(),
        record: record.record.clone(),
        verdict: Verdict::Rejected,
        code: Some(rejected.code.clone()),
        detail: Some(rejected.detail.clone()),
        conflicts: Vec::new(),
        dismissed: false,
    };
    tx.put(Key::op(StoreName::Outcomes, id), write_row(&outcome));
    let (verdict, code) = (Verdict::Rejected, Some(rejected.code.clone()));
    tx.signals.push(Signal::Outcome(Outcome { id, verdict, code, conflicts: Vec::new() }));
    tx.signals.push(Signal::Changed { keys: vec![record], position: stored_position(stored) });
    Ok(())
}

/// An op whose position the cursor has passed already leaves at once.
fn pass(tx: &mut Tx, cx: &Cx<'_>, id: i64, row: OutboxRow, (stored, device): (StoredAt, &Device)) -> Result<(), Fault> {
    // If the row knows its position, its event was folded, and its verdict is known.
    if row.stored.is_none() {
        outbox::ask_outcome(tx, stored.device, Some(device), row.seq)?;
    }
    outbox::leave(tx, id, row, stored, cx.config.sent_ops_max).map(drop)
}

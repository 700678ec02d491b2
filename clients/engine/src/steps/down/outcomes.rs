//! Takes verdicts and conflicts that a snapshot does not tell.

use std::collections::BTreeMap;

use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{ConflictsResponse, OpStatus, OpsResponse};

use crate::port::{ConflictRow, Lane, Outcome, Signal};
use crate::steps::outbox;
use crate::steps::step::{After, Cx, Step};
use crate::store::{Device, Fault, Key, Meta, OutcomeRow, Range, SentRow, StoreName, Tx, read_row, write_row};
use crate::wire::decode_op;

/// Takes what became of own ops. Without a page the server cannot tell it.
pub(crate) struct TakeOutcomes {
    pub(crate) page: Option<OpsResponse>,
}

impl Step for TakeOutcomes {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        tx.need(&[Meta::device().key(), Meta::ask_outcomes().key(), Meta::acked().key()])?;
        let (Some(device), Some(asked)) = (tx.meta(Meta::device())?, tx.meta(Meta::ask_outcomes())?) else {
            return Ok(After::Again(Lane::Down));
        };
        let Some(page) = &self.page else {
            tx.delete_meta(Meta::ask_outcomes());
            return Ok(After::Again(Lane::Down));
        };
        let mut ids: BTreeMap<i64, (i64, SentRow)> = BTreeMap::new();
        for (key, row) in tx.range(&Range::ops_after(StoreName::Sent, device.ids_after + asked, usize::MAX))? {
            let row: SentRow = read_row(&row, "an op")?;
            if let Some(id) = key.last_number().filter(|_| row.stored.device == device.device) {
                ids.insert(row.seq, (id, row));
            }
        }
        let rows = page.ops.iter().filter_map(|status| ids.get(&status.seq.0));
        let keys: Vec<_> = rows.map(|(id, _)| Key::op(StoreName::Outcomes, *id)).collect();
        tx.need(&keys)?;
        for status in &page.ops {
            if let Some((id, row)) = ids.get(&status.seq.0).filter(|_| status.verdict != Verdict::Pending) {
                note(tx, &device, (*id, row), status)?;
            }
        }
        if page.more || page.folded_to < tx.meta(Meta::acked())?.unwrap_or_default().seq {
            tx.set_meta(Meta::ask_outcomes(), &page.folded_to.max(asked));
        } else {
            tx.delete_meta(Meta::ask_outcomes());
        }
        // The rest is not folded yet: the events go first.
        Ok(if page.more { After::Again(Lane::Down) } else { After::OutcomesAsked })
    }
}

fn note(tx: &mut Tx, device: &Device, (id, row): (i64, &SentRow), status: &OpStatus) -> Result<(), Fault> {
    let key = Key::op(StoreName::Outcomes, id);
    if let Some(known) = tx.get(&key)? {
        let known: OutcomeRow = read_row(&known, "an outcome")?;
        if (known.verdict, &known.conflicts) == (status.verdict, &status.conflicts) {
            return Ok(());
        }
    }
    let op = decode_op(&row.op)?;
    let record = outbox::record_of(&op);
    let outcome = OutcomeRow {
        device: device.device,
        seq: op.seq,
        table: record.table,
        scope: record.scope,
        record: record.record,
        verdict: status.verdict,
        code: status.code.clone(),
        detail: status.detail.clone(),
        conflicts: status.conflicts.clone(),
        dismissed: false,
    };
    tx.put(key, write_row(&outcome));
    let OutcomeRow { verdict, code, conflicts, .. } = outcome;
    tx.signals.push(Signal::Outcome(Outcome { id, verdict, code, conflicts }));
    Ok(())
}

/// Takes open conflicts. Without a page the server cannot tell them.
pub(crate) struct TakeConflicts {
    pub(crate) page: Option<ConflictsResponse>,
}

impl Step for TakeConflicts {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        if tx.meta(Meta::ask_conflicts())?.is_none() {
            return Ok(After::Again(Lane::Down));
        }
        let Some(page) = &self.page else {
            tx.delete_meta(Meta::ask_conflicts());
            return Ok(After::Again(Lane::Down));
        };
        let keys: Vec<_> = page.conflicts.iter().map(|conflict| Key::conflict(&conflict.conflict)).collect();
        tx.need(&keys)?;
        for (conflict, key) in page.conflicts.iter().zip(keys) {
            if tx.get(&key)?.is_none() {
                tx.put(key, write_row(&ConflictRow { conflict: conflict.clone(), dismissed: false }));
                tx.signals.push(Signal::Conflict(conflict.conflict.clone()));
            }
        }
        match page.cursor.as_ref().filter(|_| page.more) {
            Some(cursor) => tx.set_meta(Meta::ask_conflicts(), cursor),
            None => tx.delete_meta(Meta::ask_conflicts()),
        }
        Ok(After::Again(Lane::Down))
    }
}

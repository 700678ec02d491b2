//! Own ops on a page: their verdicts are known now, and they leave the outbox.

use std::collections::BTreeMap;

use tidelog_core::event::Event;
use tidelog_core::fold::{EventOutcome, RecordKey};
use tidelog_core::ids::Position;
use tidelog_core::op::Op;
use tidelog_core::verdict::Verdict;

use crate::port::{Outcome, Signal};
use crate::steps::outbox;
use crate::steps::step::Cx;
use crate::store::{Acked, Device, Fault, Key, Meta, OutboxRow, OutcomeRow, Range, StoreName, StoredAt, Tx, write_row};
use crate::wire::decode_op;

/// How many rows of the outbox are looked at for a page.
const ROWS_MAX: usize = 2_000;

/// A page, as far as own ops are concerned.
pub(super) struct OwnOps<'a> {
    pub(super) device: &'a Device,
    /// Every event of the page, also of those that are not folded.
    pub(super) events: &'a [Event],
    pub(super) outcomes: &'a BTreeMap<Position, EventOutcome>,
    /// How far the local records were before the page, and are after it.
    pub(super) passed: (i64, i64),
    /// The last position of the log, and whether the page reaches it.
    pub(super) head: (i64, bool),
    /// Whether the page would have the event of an op to this record.
    pub(super) is_visible: &'a dyn Fn(&RecordKey) -> bool,
}

impl OwnOps<'_> {
    /// Takes the page's own ops out of the outbox. Returns the first seq that the server has lost: the page should have
    /// had its event.
    pub(super) fn take(&self, tx: &mut Tx, cx: &Cx<'_>) -> Result<Option<i64>, Fault> {
        let mut acked = tx.meta(Meta::acked())?.unwrap_or_default();
        let known = acked;
        let by_seq: BTreeMap<_, _> = self.events.iter().map(|it| ((it.device, it.seq.0), it)).collect();
        let at: BTreeMap<_, _> = self.events.iter().map(|it| (it.position.0, it)).collect();
        let mut lost = None;
        let range = Range { limit: ROWS_MAX, ..Range::all(StoreName::Outbox) };
        for (id, row) in outbox::rows(tx, &range)? {
            let op = decode_op(&row.op)?;
            let stored = row.stored.filter(|stored| stored.position != StoredAt::UNKNOWN);
            let device = row.stored.map_or(self.device.device, |stored| stored.device);
            let is_open = stored.is_none() && (id > known.id || row.stored.is_some());
            let found = by_seq.get(&(device, row.seq)).filter(|event| is_open && is_same(&op, event));
            let found = found.map(|event| StoredAt { device, position: event.position.0 });
            // At the head of the log, whatever is stored and has no event was rejected, or is not for this device.
            let passed = row.stored.filter(|_| self.head.1).map(|it| StoredAt { position: self.passed.1, ..it });
            let Some(stored) = stored.or(found).or(passed) else { continue };
            if stored.position > self.head.0 && id <= known.id && device == self.device.device {
                lost = lost.or(Some(row.seq));
            }
            if stored.position > self.passed.1 {
                continue;
            }
            if id > acked.id && row.seq == acked.seq + 1 {
                acked = Acked { seq: row.seq, id };
            }
            let is_it = |event: &&&Event| (event.device, event.seq.0) == (stored.device, row.seq);
            let event = at.get(&stored.position).filter(is_it);
            if let Some(outcome) = event.and_then(|event| self.outcomes.get(&event.position)) {
                settle(tx, (id, &op), stored, outcome);
            }
            if id > acked.id {
                // An op before it has no acknowledgement yet: it has to wait for its own.
                tx.put(Key::op(StoreName::Outbox, id), write_row(&OutboxRow { stored: Some(stored), ..row }));
                continue;
            }
            let is_passed_now = stored.position > self.passed.0;
            let is_own = stored.device == self.device.device;
            if event.is_none() && is_passed_now && is_own && (self.is_visible)(&outbox::record_of(&op)) {
                lost = lost.or(Some(row.seq));
                continue;
            }
            if is_passed_now && event.is_none_or(|event| !self.outcomes.contains_key(&event.position)) {
                outbox::ask_outcome(tx, stored.device, Some(self.device), row.seq)?;
            }
            outbox::leave(tx, id, row, stored, cx.config.sent_ops_max)?;
        }
        if acked != known {
            tx.set_meta(Meta::acked(), &acked);
        }
        Ok(lost)
    }
}

/// Whether an event is the op, and not one that a clone of this device has pushed under the same seq.
fn is_same(op: &Op, event: &Event) -> bool {
    op.table == event.table
        && op.scope == event.scope
        && op.record == event.record
        && op.actor == event.actor
        && op.at == Some(event.at)
        && op.intent.unpack() == event.intent
}

/// Writes down what became of an op.
fn settle(tx: &mut Tx, (id, op): (i64, &Op), stored: StoredAt, outcome: &EventOutcome) {
    let (verdict, conflicts) = (outcome.verdict, outcome.conflict_ids());
    if verdict != Verdict::Applied || !conflicts.is_empty() {
        let row = OutcomeRow {
            device: stored.device,
            seq: op.seq,
            table: op.table.clone(),
            scope: op.scope.clone(),
            record: op.record.clone(),
            verdict,
            code: None,
            detail: None,
            conflicts: conflicts.clone(),
            dismissed: false,
        };
        tx.put(Key::op(StoreName::Outcomes, id), write_row(&row));
    }
    tx.signals.push(Signal::Outcome(Outcome { id, verdict, code: None, conflicts }));
}

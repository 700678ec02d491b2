//! What one event does to its record: how it is judged, and by what.

mod delete;
mod put;
mod resolve;

use std::sync::Arc;

use crate::catalog::{Catalog, Rule, Table};
use crate::fold::conflicts::{Closed, Conflict, ConflictStatus, Content, DecidedBy, Side};
use crate::fold::folder::FoldError;
use crate::fold::record::{ClosedConflict, OpenConflict, Record, Writer};
use crate::fold::rules::custom::{Contender, Decision, Resolvers};
use crate::fold::rules::decide::decide;
use crate::ids::{ConflictId, DeviceId, Position};
use crate::limits::{CLOSED_CONFLICTS_MAX, OPEN_CONFLICTS_MAX};
use crate::log::event::Event;
use crate::log::op::Intent;
use crate::log::verdict::Verdict;
use crate::time::UnixMs;
use crate::value::Value;

/// What became of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventOutcome {
    /// The verdict, for ever.
    pub verdict: Verdict,
    /// The conflicts that it made, won or lost, in the order of their fields.
    pub rows: Vec<Conflict>,
    /// The rows that it closed.
    pub closed: Vec<Closed>,
}

impl EventOutcome {
    pub(super) fn simply(verdict: Verdict) -> Self {
        Self { verdict, rows: Vec::new(), closed: Vec::new() }
    }

    /// The ids of the rows it made.
    pub fn conflicts(&self) -> Vec<ConflictId> {
        self.rows.iter().map(|row| row.conflict.clone()).collect()
    }
}

/// The event at hand with the rules it is judged by.
pub(super) struct EventContext<'a> {
    pub(super) table: &'a Table,
    pub(super) resolvers: &'a Resolvers,
    pub(super) event: &'a Event,
    /// The event as the writer of what it sets.
    pub(super) writer: Arc<Writer>,
    /// The two events of the conflict that it settles: they don't count as concurrent with it.
    pub(super) settled: [Option<Position>; 2],
    /// What it does to the conflicts, as far as it is applied.
    pub(super) folded: EventOutcome,
}

/// What stood against the op: the side that won, what decided, and whether a person still must.
#[derive(Debug, Clone)]
pub(super) struct Opponent {
    pub(super) winner: Option<Side>,
    pub(super) rule: DecidedBy,
    pub(super) asks_a_person: bool,
}

impl<'a> EventContext<'a> {
    pub(super) fn new(catalog: &'a Catalog, table: &'a Table, resolvers: &'a Resolvers, event: &'a Event) -> Self {
        let latest = event.received_at.0.saturating_add(i64::from(catalog.clock_skew_s) * 1_000);
        let writer = Writer {
            position: event.position,
            device: event.device,
            role: event.role.clone(),
            at: UnixMs(event.at.0.min(latest)),
        };
        let folded = EventOutcome::simply(Verdict::Applied);
        Self { table, resolvers, event, writer: Arc::new(writer), settled: [None; 2], folded }
    }

    /// Applies the event to its record.
    pub(super) fn apply(mut self, record: &mut Record) -> Result<EventOutcome, FoldError> {
        record.touched = self.event.position;
        record.history.note(self.event.position);
        self.expire(record);
        let event = self.event;
        match &event.intent {
            Intent::Put(fields) => {
                self.put(record, fields)?;
            }
            Intent::Delete => self.delete(record)?,
            Intent::Resolve { conflict, put } => self.resolve(record, conflict, put.as_ref())?,
        }
        Ok(self.folded)
    }

    /// The record of an event that is the first to name it, before that event.
    pub(super) fn unseen(&self) -> Record {
        Record::unseen(self.event.position, self.event.received_at)
    }

    /// A tombstone whose retention is over keeps nothing but the delete. Judged by event times when it is touched, so
    /// that whoever removes the fields earlier, or later, or never, gets the same record (FOLD-2).
    fn expire(&self, record: &mut Record) {
        if self.is_stub(record) {
            record.fields.clear();
            record.weight = 0;
        }
    }

    /// Whether the record is a tombstone whose retention is over.
    pub(super) fn is_stub(&self, record: &Record) -> bool {
        let delete = record.last_delete.as_ref().filter(|_| record.deleted);
        delete.is_some_and(|delete| self.table.retention.is_over(delete.received_at, self.event.received_at))
    }

    /// Whether this op was made without knowing of that write. The system device's ops count as of different devices among
    /// themselves.
    pub(super) fn is_concurrent(&self, writer: &Writer) -> bool {
        self.is_unknown(writer.position, writer.device)
    }

    fn is_unknown(&self, position: Position, device: DeviceId) -> bool {
        let is_foreign = device != self.event.device || device.is_system();
        position > self.event.base && is_foreign && !self.settled.contains(&Some(position))
    }

    /// What a rule says of this op against a stored write; of a delete there is no value.
    pub(super) fn decide(
        &self,
        rule: &Rule,
        value: Option<&Value>,
        (stored, stored_value): (&Writer, Option<&Value>),
    ) -> Result<Decision, FoldError> {
        let op = Contender { writer: &self.writer, value };
        let stored = Contender { writer: stored, value: stored_value };
        decide(rule, op, stored, self.resolvers).ok_or(FoldError::Unfolded(self.event.position))
    }

    /// This op as a side of a conflict.
    pub(super) fn side(&self, content: Content) -> Side {
        side_of(&self.writer, content)
    }

    /// Writes a row for what this op beat.
    pub(super) fn won(&mut self, record: &mut Record, field: &str, content: Content, loser: Side, rule: DecidedBy) {
        let winner = Some(self.side(content));
        self.row(record, field, rule, ConflictStatus::Automatic, winner, loser);
    }

    /// Writes a row for what this op lost.
    pub(super) fn lost(&mut self, record: &mut Record, field: &str, content: Content, to: Opponent) {
        let is_open = to.asks_a_person && to.winner.is_some() && record.open_conflicts.len() < OPEN_CONFLICTS_MAX;
        let status = if is_open { ConflictStatus::Open } else { ConflictStatus::Automatic };
        let loser = self.side(content);
        self.row(record, field, to.rule, status, to.winner, loser);
    }

    fn row(
        &mut self,
        record: &mut Record,
        field: &str,
        rule: DecidedBy,
        status: ConflictStatus,
        winner: Option<Side>,
        loser: Side,
    ) {
        let conflict = ConflictId::of(self.event.position, field);
        let place = |side: &Side| (side.position, side.device);
        match (&winner, status) {
            (Some(winner), ConflictStatus::Open) => {
                let open = OpenConflict { winner: place(winner), loser: place(&loser) };
                record.open_conflicts.insert(conflict.clone(), open);
            }
            _ => {
                let other = winner.iter().chain([&loser]).find(|side| side.position != self.event.position);
                let closed = ClosedConflict::Automatic(other.map(|side| side.position));
                record.remember_closed((self.event.position, field.to_owned()), closed);
            }
        }
        self.folded.rows.push(Conflict { conflict, field: field.to_owned(), rule, status, winner, loser });
    }

    /// Closes the open conflicts that `fits` picks, if this op knew of both their events.
    pub(super) fn overtake(&mut self, record: &mut Record, fits: impl Fn(&ConflictId) -> bool) {
        if record.open_conflicts.is_empty() {
            return;
        }
        let knew = |(position, device)| !self.is_unknown(position, device);
        let overtaken =
            record.open_conflicts.iter().filter(|(id, open)| fits(id) && knew(open.winner) && knew(open.loser));
        let overtaken: Vec<_> = overtaken.map(|(id, _)| id.clone()).collect();
        for conflict in overtaken {
            self.close(record, conflict, ConflictStatus::Overtaken);
        }
    }

    /// Closes a row.
    pub(super) fn close(&mut self, record: &mut Record, conflict: ConflictId, status: ConflictStatus) {
        record.open_conflicts.remove(&conflict);
        if let Some((position, field)) = conflict.parts() {
            record.remember_closed((position, field.to_owned()), ClosedConflict::Settled);
        }
        self.folded.closed.push(Closed { conflict, status });
    }

    /// A reader sees another record from here on.
    pub(super) fn show(&self, record: &mut Record) {
        record.version = self.event.position;
        record.updated_at = self.event.received_at;
    }
}

/// A stored write as a side of a conflict.
pub(super) fn side_of(writer: &Writer, content: Content) -> Side {
    Side { position: writer.position, device: writer.device, content }
}

impl Record {
    /// Remembers a row that is closed. The newest ones are remembered.
    fn remember_closed(&mut self, row: (Position, String), closed: ClosedConflict) {
        self.closed_conflicts.insert(row, closed);
        if self.closed_conflicts.len() > CLOSED_CONFLICTS_MAX {
            self.closed_conflicts.pop_first();
        }
    }
}

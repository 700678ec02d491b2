//! Applies one event to its record.

mod conflict_rows;
mod delete;
mod outcome;
mod put;
mod put_field;
mod put_size;
mod resolve;

use std::sync::Arc;

pub use outcome::EventOutcome;

use crate::catalog::{Catalog, Rule, Table};
use crate::fold::conflicts::{Content, DecidedBy, Side};
use crate::fold::error::FoldError;
use crate::fold::record::{Record, Writer};
use crate::fold::rules::custom::{Contender, Decision, Resolvers};
use crate::fold::rules::decide::decide;
use crate::ids::{DeviceId, Position};
use crate::log::event::Event;
use crate::log::op::Intent;
use crate::log::verdict::Verdict;
use crate::time::UnixMs;
use crate::value::Value;

/// One event while it is applied, with the rules that judge it.
pub(super) struct EventContext<'a> {
    table: &'a Table,
    resolvers: &'a Resolvers,
    event: &'a Event,
    /// The event in its role as the writer of the fields that it sets.
    writer: Arc<Writer>,
    /// The two events of the conflict that this event resolves. They do not count as concurrent with it.
    resolved_events: [Option<Position>; 2],
    /// The result so far.
    outcome: EventOutcome,
}

/// What an op lost to: the winning side, what decided, and whether a person must still choose.
#[derive(Debug, Clone)]
struct Opponent {
    winner: Option<Side>,
    rule: DecidedBy,
    asks_a_person: bool,
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
        let outcome = EventOutcome::without_conflicts(Verdict::Applied);
        Self { table, resolvers, event, writer: Arc::new(writer), resolved_events: [None; 2], outcome }
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
        Ok(self.outcome)
    }

    /// The state of the event's record before this event, if no earlier event has named it.
    pub(super) fn unseen_record(&self) -> Record {
        Record::unseen(self.event.position, self.event.received_at)
    }

    /// Reduces a tombstone whose retention is over to its delete. The decision uses event times alone and is made when
    /// an event touches the record, so a replica that removes the fields earlier, later or never gets the same record
    /// (FOLD-2).
    fn expire(&self, record: &mut Record) {
        if self.is_stub(record) {
            record.fields.clear();
            record.weight = 0;
        }
    }

    /// Whether the record is a tombstone whose retention is over.
    fn is_stub(&self, record: &Record) -> bool {
        let delete = record.last_delete.as_ref().filter(|_| record.deleted);
        delete.is_some_and(|delete| self.table.retention.is_over(delete.received_at, self.event.received_at))
    }

    /// Whether this op was made without knowing of that write, by another device. The ops of the system device count as
    /// made by different devices.
    fn is_concurrent(&self, writer: &Writer) -> bool {
        self.is_unknown(writer.position, writer.device)
    }

    fn is_unknown(&self, position: Position, device: DeviceId) -> bool {
        let is_foreign = device != self.event.device || device.is_system();
        position > self.event.base && is_foreign && !self.resolved_events.contains(&Some(position))
    }

    /// Decides by a rule between this op and a stored write. The value of a delete is `None`.
    fn decide(
        &self,
        rule: &Rule,
        value: Option<&Value>,
        (stored, stored_value): (&Writer, Option<&Value>),
    ) -> Result<Decision, FoldError> {
        let op = Contender { writer: &self.writer, value };
        let stored = Contender { writer: stored, value: stored_value };
        decide(rule, op, stored, self.resolvers).ok_or(FoldError::ResolverMissing(self.event.position))
    }

    /// Marks the record as changed for readers by this event.
    fn mark_visibly_changed(&self, record: &mut Record) {
        record.version = self.event.position;
        record.updated_at = self.event.received_at;
    }
}

/// A write as one side of a conflict.
fn side_of(writer: &Writer, content: Content) -> Side {
    Side { position: writer.position, device: writer.device, content }
}

//! Applies one event to its record.

mod conflict_rows;
mod delete;
mod outcome;
mod put;
mod put_deletes;
mod put_field;
mod put_size;
mod resolve;

use std::sync::Arc;

pub use outcome::EventOutcome;

use crate::catalog::{Catalog, Rule, Table};
use crate::fold::aliases::Aliases;
use crate::fold::conflicts::{Content, DecidedBy, Side};
use crate::fold::error::FoldError;
use crate::fold::record::{EventPlace, FieldState, Record, Writer};
use crate::fold::rules::custom::{Contender, Decision, Resolvers};
use crate::fold::rules::decide::decide;
use crate::ids::{DeviceId, Position, Seq};
use crate::log::event::Event;
use crate::log::op::Intent;
use crate::log::verdict::Verdict;
use crate::time::UnixMs;
use crate::value::Value;

/// What decides about an event, beside the record that it names.
#[derive(Clone, Copy)]
pub(super) struct FoldRules<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) resolvers: &'a Resolvers,
    pub(super) aliases: &'a Aliases,
}

/// One event while it is applied, with the rules that judge it.
pub(super) struct EventContext<'a> {
    rules: FoldRules<'a>,
    table: &'a Table,
    event: &'a Event,
    /// The event in its role as the writer of the fields that it sets.
    writer: Arc<Writer>,
    /// The two events of the conflict that this event resolves. They do not count as concurrent with it.
    resolved_events: [Option<Position>; 2],
    /// The result so far.
    outcome: EventOutcome,
}

/// What an op lost to: what stands in its place, what decided, and whether a person must still choose.
#[derive(Debug, Clone)]
struct Opponent {
    winner: Option<Side>,
    /// The event that beat the op, if the op lost as a whole to a writer.
    beaten_by: Option<EventPlace>,
    rule: DecidedBy,
    asks_a_person: bool,
}

impl<'a> EventContext<'a> {
    /// The context of an event that this device made under this seq.
    pub(super) fn new(
        rules: FoldRules<'a>,
        table: &'a Table,
        event: &'a Event,
        (device, seq): (DeviceId, Seq),
    ) -> Self {
        let latest = event.received_at.0.saturating_add(i64::from(rules.catalog.clock_skew_s) * 1_000);
        let writer = Writer {
            position: event.position,
            device,
            seq,
            role: event.role.clone(),
            at: UnixMs(event.at.0.min(latest)),
        };
        let outcome = EventOutcome::without_conflicts(Verdict::Applied);
        Self { rules, table, event, writer: Arc::new(writer), resolved_events: [None; 2], outcome }
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
        let delete = record.standing_delete();
        delete.is_some_and(|delete| self.table.retention.is_over(delete.received_at, self.event.received_at))
    }

    /// Whether this op was made without knowing of that write, by another device.
    fn is_concurrent(&self, writer: &Writer) -> bool {
        self.is_unknown(writer.place())
    }

    /// Whether this op was made without knowing of that event, by another device.
    fn is_unknown(&self, EventPlace { position, device, seq }: EventPlace) -> bool {
        position > self.event.base
            && !self.rules.aliases.is_same_device((device, seq), (self.writer.device, self.writer.seq))
            && !self.resolved_events.contains(&Some(position))
    }

    /// Decides by a rule between this op and a stored write.
    fn decide(
        &self,
        rule: &Rule,
        content: Content<&Value>,
        (stored, stored_content): (&Writer, Content<&Value>),
    ) -> Result<Decision, FoldError> {
        let op = Contender { writer: &self.writer, content };
        let stored = Contender { writer: stored, content: stored_content };
        decide(rule, op, stored, self.rules.resolvers).ok_or(FoldError::ResolverMissing(self.event.position))
    }

    /// Marks the record as changed for readers by this event.
    fn mark_visibly_changed(&self, record: &mut Record) {
        record.version = self.event.position;
        record.updated_at = self.event.received_at;
    }
}

/// A stored field as one side of a conflict.
fn side_of_field(field: &FieldState) -> Side {
    side_of(&field.writer, Content::Value(field.value.clone()))
}

/// A write as one side of a conflict.
fn side_of(writer: &Writer, content: Content) -> Side {
    Side { position: writer.position, device: writer.device, seq: writer.seq, content }
}

//! What one event does to its record.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decide::{Decision, decide};
use super::folder::Folded;
use super::record::{Delete, FieldState, OpenConflict, Record, Writer};
use crate::catalog::{Catalog, Table};
use crate::event::Event;
use crate::ids::{ConflictId, DeviceId, Position};
use crate::limits::{OPEN_CONFLICTS_MAX, RECORD_BYTES_MAX, RECORD_FIELDS_MAX};
use crate::op::Intent;
use crate::time::UnixMs;
use crate::value::{Fields, Value};
use crate::wire::Verdict;

/// The event at hand with the rules it is judged by.
pub(super) struct Applying<'a> {
    catalog: &'a Catalog,
    table: &'a Table,
    event: &'a Event,
    /// The event as the writer of what it sets.
    writer: Arc<Writer>,
}

/// A rule that this version does not fold met a concurrent write.
pub(super) struct Unfolded;

impl<'a> Applying<'a> {
    pub(super) fn new(catalog: &'a Catalog, table: &'a Table, event: &'a Event) -> Self {
        let latest = event.received_at.0.saturating_add(i64::from(catalog.clock_skew_s) * 1_000);
        let writer = Writer {
            position: event.position,
            device: event.device,
            role: event.role.clone(),
            at: UnixMs(event.at.0.min(latest)),
        };
        Self { catalog, table, event, writer: Arc::new(writer) }
    }

    /// Applies the event to its record.
    pub(super) fn apply(&self, record: &mut Record) -> Result<Folded, Unfolded> {
        record.touched = self.event.position;
        Ok(match &self.event.intent {
            Intent::Put(fields) => self.put(record, fields, None)?,
            Intent::Delete => self.delete(record, None),
            // One that loses for its size leaves its conflict open: its choice is not in force.
            Intent::Resolve { put: Some(fields), .. } if self.would_grow_too_large(record, fields) => self.lose(fields),
            Intent::Resolve { conflict, put } => {
                let settled = record.open_conflicts.remove(conflict);
                match put {
                    Some(fields) => self.put(record, fields, settled.as_ref())?,
                    None => self.delete(record, settled.as_ref()),
                }
            }
        })
    }

    /// The record of an event that is the first to name it, before that event.
    pub(super) fn unseen(&self) -> Record {
        Record {
            fields: BTreeMap::new(),
            weight: 0,
            deleted: false,
            last_delete: None,
            open_conflicts: BTreeMap::new(),
            version: Position::START,
            touched: self.event.position,
            updated_at: self.event.received_at,
        }
    }

    /// RULE-2: a put that did not know of the last delete never brings the record back, nor writes into its next life.
    fn put(&self, record: &mut Record, given: &Fields, settled: Option<&OpenConflict>) -> Result<Folded, Unfolded> {
        if record.last_delete.as_ref().is_some_and(|delete| self.is_concurrent(&delete.writer, settled)) {
            return Ok(self.lose(given));
        }
        if self.would_grow_too_large(record, given) {
            return Ok(self.lose(given));
        }
        let appears = record.deleted || record.version == Position::START;
        record.deleted = false;
        let (mut lost, mut open, mut changed) = (Vec::new(), Vec::new(), appears);
        for (field, value) in &given.0 {
            let decision = self.decide_field(record, field, settled)?;
            let stored = record.fields.get(field).map(|stored| &stored.value);
            let is_kept = stored == Some(value);
            if decision == Decision::OpWins {
                changed |= !is_kept;
                self.take(record, field, value, settled);
            } else if !is_kept {
                let id = ConflictId::of(self.event.position, field);
                if decision == Decision::PersonChooses && record.open_conflicts.len() < OPEN_CONFLICTS_MAX {
                    self.open(record, field, &id);
                    open.push(id);
                } else {
                    lost.push(id);
                }
            }
        }
        if changed {
            self.show(record);
        }
        let verdict = match (open.is_empty(), lost.len()) {
            (false, _) => Verdict::Conflict,
            (true, 0) => Verdict::Applied,
            (true, losses) if losses == given.0.len() => Verdict::Superseded,
            (true, _) => Verdict::Merged,
        };
        open.append(&mut lost);
        Ok(Folded { verdict, conflicts: open })
    }

    /// All of it lost.
    fn lose(&self, given: &Fields) -> Folded {
        let lost = given.0.keys().map(|field| ConflictId::of(self.event.position, field)).collect();
        Folded { verdict: Verdict::Superseded, conflicts: lost }
    }

    /// Whether a record with these fields beside its own would pass the limits, whoever wins in each field. Judged before
    /// the rules, so that it needs no second look at what they decided.
    fn would_grow_too_large(&self, record: &Record, given: &Fields) -> bool {
        let replaced = given.0.keys().filter_map(|name| Some((name, record.fields.get(name)?)));
        let (count, bytes) = replaced
            .fold((0, 0), |(count, bytes), (name, field)| (count + 1, bytes + name.len() + field.value.weight()));
        let fields = record.fields.len() - count + given.0.len();
        fields > RECORD_FIELDS_MAX || record.weight - bytes + given.weight() > RECORD_BYTES_MAX
    }

    /// `delete_wins`: whatever wrote beside it, the record is deleted. It leaves a tombstone also of a record never seen.
    fn delete(&self, record: &mut Record, settled: Option<&OpenConflict>) -> Folded {
        if !record.deleted {
            self.show(record);
        }
        record.deleted = true;
        record.fields.clear();
        record.weight = 0;
        record.last_delete = Some(Delete { writer: (*self.writer).clone(), received_at: self.event.received_at });
        record.open_conflicts.retain(|_, conflict| !self.overtakes(conflict, settled));
        Folded { verdict: Verdict::Applied, conflicts: Vec::new() }
    }

    fn decide_field(&self, record: &Record, field: &str, settled: Option<&OpenConflict>) -> Result<Decision, Unfolded> {
        match record.fields.get(field) {
            Some(stored) if self.is_concurrent(&stored.writer, settled) => {
                let resolution = self.catalog.resolution_of(self.table, field);
                decide(&resolution, &self.writer, &stored.writer).ok_or(Unfolded)
            }
            Some(_) | None => Ok(Decision::OpWins),
        }
    }

    /// Sets a field, which overtakes the open conflicts of it that this op knew of.
    fn take(&self, record: &mut Record, field: &str, value: &Value, settled: Option<&OpenConflict>) {
        let state = FieldState { value: value.clone(), writer: Arc::clone(&self.writer) };
        record.weight += field.len() + value.weight();
        if let Some(before) = record.fields.insert(field.to_owned(), state) {
            record.weight -= field.len() + before.value.weight();
        }
        let is_of_field = |id: &ConflictId| id.as_str().split_once('.').is_some_and(|(_, of)| of == field);
        record.open_conflicts.retain(|id, conflict| !(is_of_field(id) && self.overtakes(conflict, settled)));
    }

    fn open(&self, record: &mut Record, field: &str, id: &ConflictId) {
        let Some(stored) = record.fields.get(field) else { return };
        let winner = (stored.writer.position, stored.writer.device);
        let loser = (self.event.position, self.event.device);
        record.open_conflicts.insert(id.clone(), OpenConflict { winner, loser });
    }

    fn show(&self, record: &mut Record) {
        record.version = self.event.position;
        record.updated_at = self.event.received_at;
    }

    fn overtakes(&self, conflict: &OpenConflict, settled: Option<&OpenConflict>) -> bool {
        let knew = |(position, device)| !self.met(position, device, settled);
        knew(conflict.winner) && knew(conflict.loser)
    }

    fn is_concurrent(&self, writer: &Writer, settled: Option<&OpenConflict>) -> bool {
        self.met(writer.position, writer.device, settled)
    }

    /// Whether this op was made without knowing of the event at `position`. The system device's ops count as of
    /// different devices among themselves; the two events of a conflict that this op settles don't count.
    fn met(&self, position: Position, device: DeviceId, settled: Option<&OpenConflict>) -> bool {
        let is_foreign = device != self.event.device || device.is_system();
        let is_settled = settled.is_some_and(|conflict| [conflict.winner.0, conflict.loser.0].contains(&position));
        position > self.event.base && is_foreign && !is_settled
    }
}

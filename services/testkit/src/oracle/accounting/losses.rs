//! RULE-1 event by event: the record before each event, and after it.
//!
//! A value that is stored before an event and not after it, and that the event did not know, has to be the loser of a
//! conflict. So has a value that the event gave and that is not stored after it. This needs no rule: the fold may decide
//! which of the two loses.

use std::collections::BTreeMap;

use tidelog_core::catalog::Merge;
use tidelog_core::event::Event;
use tidelog_core::ids::{ConflictId, Position};
use tidelog_core::value::Value;

use super::known::Known;
use super::{Unaccounted, has_all};
use crate::oracle::past::{DELETES_MAX, is_delete};
use crate::oracle::rules::is_mergeable;
use crate::oracle::shapes::{OracleConflict, RecordKey, Shown};

/// Every loss without a conflict. `shown` has for each event what a reader sees of its record right after it.
///
/// # Panics
///
/// If a `_catalog` event cannot be read.
pub fn losses(events: &[Event], shown: &[Shown], conflicts: &[OracleConflict]) -> Vec<Unaccounted> {
    let known = Known::of(events, conflicts);
    let (mut watched, mut faults): (BTreeMap<RecordKey, Watched<'_>>, _) = (BTreeMap::new(), Vec::new());
    for (event, after) in events.iter().zip(shown) {
        if event.rejected.is_none() && !event.table.is_server_owned() {
            let watched = watched.entry(RecordKey::of(event)).or_default();
            Step { event, known: &known, before: watched, after, faults: &mut faults }.check();
            watched.take(event, after);
        }
    }
    faults
}

/// A record before an event.
#[derive(Default)]
struct Watched<'a> {
    shown: Option<&'a Shown>,
    /// The fields that were shown when the record was last live.
    living: BTreeMap<&'a str, &'a Value>,
    /// For each of these fields the event that brought its value, and all later events that gave the field a value.
    given: BTreeMap<&'a str, Vec<&'a Event>>,
    /// While the record is deleted: the delete that took effect, and all later deletes.
    deletes: Vec<&'a Event>,
}

impl<'a> Watched<'a> {
    fn take(&mut self, event: &'a Event, after: &'a Shown) {
        self.shown = Some(after);
        match after {
            Some((true, _)) if is_delete(event) => self.deletes.push(event),
            Some((true, _)) | None => {}
            Some((false, fields)) => {
                self.deletes.clear();
                let given = event.intent.fields();
                for (field, value) in fields {
                    let givers = self.given.entry(field).or_default();
                    if self.living.get(field.as_str()) != Some(&value) {
                        givers.clear();
                    }
                    if givers.is_empty() || given.is_some_and(|given| given.0.contains_key(field)) {
                        givers.push(event);
                    }
                }
                self.living = fields.iter().map(|(field, value)| (field.as_str(), value)).collect();
            }
        }
    }

    fn lives(&self) -> bool {
        matches!(self.shown, Some(Some((false, _))))
    }

    /// The stored value of a field.
    fn stored(&self, field: &str) -> Option<&'a Value> {
        self.living.get(field).copied().filter(|_| self.lives())
    }
}

struct Step<'a, 'b> {
    event: &'a Event,
    known: &'b Known<'a>,
    before: &'b Watched<'a>,
    after: &'a Shown,
    faults: &'b mut Vec<Unaccounted>,
}

impl Step<'_, '_> {
    fn check(mut self) {
        self.check_existence();
        self.check_given();
        self.check_replaced();
    }

    /// A delete takes effect, or else it has lost. A delete that is undone by an event which did not know it has lost as
    /// well.
    fn check_existence(&mut self) {
        let (event, before) = (self.event, self.before);
        let lives = matches!(self.after, Some((false, _)));
        if is_delete(event) && lives {
            self.needs_conflict("", event.position, "the delete took no effect");
        }
        let unknown = before.deletes.iter().enumerate().rev().find(|(index, delete)| {
            let is_stood_for = |later: &&Event| {
                later.role == delete.role && self.known.device_of(later) == self.known.device_of(delete)
            };
            let has_lost = self.known.names_a_settled_one(delete);
            !self.known.knows(event, delete, false)
                && !has_lost
                && !before.deletes[index + 1..].iter().any(is_stood_for)
        });
        let are_all_remembered = before.deletes.len() <= DELETES_MAX;
        if let Some((_, newest)) = unknown.filter(|_| lives && are_all_remembered) {
            self.needs_conflict("", newest.position, &format!("the event at {} undid the delete", event.position));
        }
    }

    /// A value that a put gives is stored afterwards, or is part of the stored value.
    fn check_given(&mut self) {
        let Some(given) = self.event.intent.fields() else { return };
        let living = self.after.as_ref().filter(|(deleted, _)| !deleted).map(|(_, fields)| fields);
        for (field, value) in &given.0 {
            let (before, after) = (self.before.stored(field), living.and_then(|fields| fields.get(field)));
            let adds = self.merges(field, value);
            let is_set = after == Some(value) && (adds.is_none() || !self.before.lives());
            let is_added = adds.is_some_and(|merge| {
                after.is_some_and(|total| is_part(merge, before, value, total, self.before.lives()))
            });
            if !is_set && !is_added {
                self.needs_conflict(field, self.event.position, "the value that the event gave is not stored");
            }
        }
    }

    /// A stored value that is no longer stored was known to the event.
    fn check_replaced(&mut self) {
        if !self.before.lives() {
            return;
        }
        let (event, before) = (self.event, self.before);
        for (field, stored) in &before.living {
            let stays = matches!(self.after, Some((false, fields)) if fields.get(*field) == Some(*stored));
            let given = event.intent.fields().and_then(|given| given.0.get(*field));
            if stays || given.is_some_and(|given| self.merges(field, given).is_some()) {
                continue;
            }
            let merges = self.known.ever_merges(&event.table, field);
            // Any of these may be the field's writer.
            let givers = before.given[field].iter().filter(|giver| {
                let gives = giver.intent.fields().and_then(|given| given.0.get(*field));
                gives == Some(*stored) || (merges && gives.is_some())
            });
            let givers: Vec<&Event> = givers.copied().collect();
            if let Some(last) = givers.last().filter(|_| !givers.iter().any(|g| self.known.knows(event, g, merges))) {
                self.needs_conflict(
                    field,
                    last.position,
                    &format!("the event at {} replaced the value", event.position),
                );
            }
            if given.is_none() && !is_delete(event) {
                let fault = "the value changed, and the event did not give one".to_owned();
                self.faults.push(Unaccounted { position: event.position, field: (*field).to_owned(), fault });
            }
        }
    }

    /// The merge by which the event adds to the field, or may add to it: the value that a tombstone keeps is not visible.
    fn merges(&self, field: &str, value: &Value) -> Option<Merge> {
        let merge = self.known.merge_at(&self.event.table, field, self.event.position)?;
        let stored = self.before.stored(field);
        (is_mergeable(merge, value) && stored.is_none_or(|stored| is_mergeable(merge, stored))).then_some(merge)
    }

    fn needs_conflict(&mut self, field: &str, loser: Position, fault: &str) {
        if self.known.conflict(&ConflictId::of(self.event.position, field)).is_none() {
            let fault = format!("{fault}, and there is no conflict");
            self.faults.push(Unaccounted { position: loser, field: field.to_owned(), fault });
        }
    }
}

/// Whether an addition is part of a total. `is_exact` says that the value before the addition is known.
fn is_part(merge: Merge, before: Option<&Value>, added: &Value, total: &Value, is_exact: bool) -> bool {
    match (merge, total) {
        (Merge::Sum, Value::Int(i64::MIN | i64::MAX)) => true,
        (Merge::Sum, Value::Int(total)) => {
            let is_cut = matches!(before, Some(Value::Int(i64::MIN | i64::MAX)));
            !is_exact || is_cut || number(before) + number(Some(added)) == i128::from(*total)
        }
        (Merge::Union, Value::Array(_)) => {
            let has = |value| has_all([total].into_iter(), elements(value));
            has(added) && before.is_none_or(has)
        }
        _ => false,
    }
}

fn number(value: Option<&Value>) -> i128 {
    if let Some(Value::Int(number)) = value { i128::from(*number) } else { 0 }
}

fn elements(value: &Value) -> &[Value] {
    if let Value::Array(elements) = value { elements } else { &[] }
}

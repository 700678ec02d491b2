//! RULE-1 event by event: what an event found, and what it left.
//!
//! A value that stood before an event and does not afterwards, without the event having known it, is in the conflicts; and so
//! is what the event gave and does not stand. That needs no rule: which of the two it is the fold may say.

use std::collections::BTreeMap;

use tidelog_core::catalog::Merge;
use tidelog_core::event::Event;
use tidelog_core::ids::{ConflictId, Position};
use tidelog_core::value::Value;

use super::known::Known;
use super::{Unaccounted, has_all};
use crate::oracle::past::is_delete;
use crate::oracle::rules::is_mergeable;
use crate::oracle::shapes::{OracleRow, RecordKey, Shown};

/// Every loss that has no row. `shown` has for each event what a reader sees of its record right after it.
///
/// # Panics
///
/// If a `_catalog` event cannot be read.
pub fn losses(events: &[Event], shown: &[Shown], conflicts: &[OracleRow]) -> Vec<Unaccounted> {
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
    /// What was shown when it last lived.
    living: BTreeMap<&'a str, &'a Value>,
    /// Of each value in that the event that brought it, and all that gave the field something later.
    given: BTreeMap<&'a str, Vec<&'a Event>>,
    /// The delete that took effect on it, and all that came later, while it is deleted.
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

    /// What stands in a field.
    fn stands(&self, field: &str) -> Option<&'a Value> {
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
        self.check_what_stood();
    }

    /// A delete takes effect or has lost; one that is undone by who did not know it has lost.
    fn check_existence(&mut self) {
        let (event, before) = (self.event, self.before);
        let lives = matches!(self.after, Some((false, _)));
        if is_delete(event) && lives {
            self.needs_row("", event.position, "the delete took no effect");
        }
        let knows_one = before.deletes.iter().any(|delete| self.known.knows(event, delete, false));
        if let Some(last) = before.deletes.last().filter(|_| lives && !knows_one) {
            self.needs_row("", last.position, &format!("the event at {} undid the delete", event.position));
        }
    }

    /// What a put gives stands afterwards, or is part of what does.
    fn check_given(&mut self) {
        let Some(given) = self.event.intent.fields() else { return };
        let living = self.after.as_ref().filter(|(deleted, _)| !deleted).map(|(_, fields)| fields);
        for (field, value) in &given.0 {
            let (stood, stands) = (self.before.stands(field), living.and_then(|fields| fields.get(field)));
            let adds = self.merges(field, value);
            let is_set = stands == Some(value) && (adds.is_none() || !self.before.lives());
            let is_added = adds.is_some_and(|merge| {
                stands.is_some_and(|total| is_part(merge, stood, value, total, self.before.lives()))
            });
            let is_in = is_set || is_added;
            if !is_in {
                self.needs_row(field, self.event.position, "what the event gave does not stand");
            }
        }
    }

    /// What stood and does not any more was known to the event.
    fn check_what_stood(&mut self) {
        if !self.before.lives() {
            return;
        }
        let (event, before) = (self.event, self.before);
        for (field, stood) in &before.living {
            let stays = matches!(self.after, Some((false, fields)) if fields.get(*field) == Some(*stood));
            let given = event.intent.fields().and_then(|given| given.0.get(*field));
            if stays || given.is_some_and(|given| self.merges(field, given).is_some()) {
                continue;
            }
            let merges = self.known.ever_merges(&event.table, field);
            // Any of these may be who counts as having written it.
            let givers = before.given[field].iter().filter(|giver| {
                let gives = giver.intent.fields().and_then(|given| given.0.get(*field));
                gives == Some(*stood) || (merges && gives.is_some())
            });
            let givers: Vec<&Event> = givers.copied().collect();
            if let Some(last) = givers.last().filter(|_| !givers.iter().any(|g| self.known.knows(event, g, merges))) {
                self.needs_row(field, last.position, &format!("the event at {} took its place", event.position));
            }
            if given.is_none() && !is_delete(event) {
                let fault = "it changed, and the event did not give it".to_owned();
                self.faults.push(Unaccounted { position: event.position, field: (*field).to_owned(), fault });
            }
        }
    }

    /// The merge by which the event adds to the field, or may: nobody sees whether a tombstone has kept what stood.
    fn merges(&self, field: &str, value: &Value) -> Option<Merge> {
        let merge = self.known.merge_at(&self.event.table, field, self.event.position)?;
        let stood = self.before.stands(field);
        (is_mergeable(merge, value) && stood.is_none_or(|stood| is_mergeable(merge, stood))).then_some(merge)
    }

    fn needs_row(&mut self, field: &str, loser: Position, fault: &str) {
        if self.known.row(&ConflictId::of(self.event.position, field)).is_none() {
            let fault = format!("{fault}, and there is no row");
            self.faults.push(Unaccounted { position: loser, field: field.to_owned(), fault });
        }
    }
}

/// Whether an addition is in a total. `is_exact`: what stood before is known.
fn is_part(merge: Merge, stood: Option<&Value>, added: &Value, total: &Value, is_exact: bool) -> bool {
    match (merge, total) {
        (Merge::Sum, Value::Int(i64::MIN | i64::MAX)) => true,
        (Merge::Sum, Value::Int(total)) => {
            let is_cut = matches!(stood, Some(Value::Int(i64::MIN | i64::MAX)));
            !is_exact || is_cut || number(stood) + number(Some(added)) == i128::from(*total)
        }
        (Merge::Union, Value::Array(_)) => {
            let has = |value| has_all([total].into_iter(), elements(value));
            has(added) && stood.is_none_or(has)
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

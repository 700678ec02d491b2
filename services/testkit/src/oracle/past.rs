//! The list of what a record's events did, and what follows from that list alone.

use std::collections::{BTreeMap, BTreeSet};

use tidelog_core::catalog::Merge;
use tidelog_core::event::Event;
use tidelog_core::time::UnixMs;
use tidelog_core::value::Value;

use super::rules::Contender;
use super::shapes::Shown;

/// Contributors that a field remembers at most.
pub(super) const CONTRIBUTORS_MAX: usize = 64;

/// One event of a record and what it did.
pub(super) struct Step {
    pub(super) event: Event,
    /// The event's effective time, by the catalog that was in force.
    pub(super) at: UnixMs,
    /// Whether it found a tombstone whose retention was over, so that the fields which that had kept are gone.
    pub(super) forgets: bool,
    pub(super) did: Did,
}

/// What an event did to its record.
pub(super) enum Did {
    /// It lost as a whole.
    Nothing,
    /// It wrote these of its fields, and the record is live.
    Put { onto: Onto, takes: BTreeMap<String, Take> },
    /// It took effect as a delete.
    Deleted,
}

/// The state of the record that a put found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Onto {
    /// A living record, or none yet.
    Living,
    /// A tombstone whose delete the put did not know and won against, so that the kept fields are back.
    Restored,
    /// A tombstone whose delete the put knew, so that the record has the fields of the put alone.
    Recreated,
}

/// How a put wrote a field.
pub(super) enum Take {
    Sets(Value),
    Adds(Merge, Value),
}

/// A field that a record has, or that its tombstone keeps.
pub(super) struct Stored<'a> {
    /// The value as a reader sees it.
    pub(super) value: Value,
    /// The remembered steps that have set the value or added to it, newest last. There is at least one.
    pub(super) contributors: Vec<&'a Step>,
}

/// A record's list of steps, and what can be read from it.
#[derive(Clone, Copy)]
pub(super) struct Past<'a> {
    steps: &'a [Step],
}

impl<'a> Past<'a> {
    pub(super) fn of(steps: &'a [Step]) -> Self {
        Self { steps }
    }

    /// Whether the record is a tombstone; `None` if there is no record.
    pub(super) fn deleted(self) -> Option<bool> {
        self.steps.iter().rev().find_map(|step| match step.did {
            Did::Nothing => None,
            Did::Put { .. } => Some(false),
            Did::Deleted => Some(true),
        })
    }

    /// The last delete. A delete that a put has undone no longer counts.
    pub(super) fn last_delete(self) -> Option<&'a Step> {
        let mut deletes = Vec::new();
        for step in self.steps {
            match step.did {
                Did::Deleted => deletes.push(step),
                Did::Put { onto: Onto::Restored, .. } => drop(deletes.pop()),
                Did::Put { .. } | Did::Nothing => {}
            }
        }
        deletes.pop()
    }

    /// What a reader sees: whether the record is deleted, and its fields. `None` if there is no record.
    pub(super) fn shown(self) -> Shown {
        match self.deleted()? {
            true => Some((true, BTreeMap::new())),
            false => Some((false, self.fields().into_iter().map(|(name, stored)| (name, stored.value)).collect())),
        }
    }

    /// The fields of the record, or those that its tombstone keeps.
    pub(super) fn fields(self) -> BTreeMap<String, Stored<'a>> {
        let mut taken: BTreeMap<&String, Vec<(&Step, &Take)>> = BTreeMap::new();
        for step in self.since_last_beginning() {
            let Did::Put { takes, .. } = &step.did else { continue };
            for (name, take) in takes {
                taken.entry(name).or_default().push((step, take));
            }
        }
        let stored = taken.into_iter().map(|(name, took)| {
            let set = took.iter().rposition(|(_, take)| matches!(take, Take::Sets(_))).unwrap_or(0);
            let took = &took[set..];
            let takes: Vec<&Take> = took.iter().map(|(_, take)| *take).collect();
            (name.clone(), Stored { value: value_of(&takes), contributors: remembered(took) })
        });
        stored.collect()
    }

    /// The steps that can still contribute to a field: those since the record was last created again, or since a tombstone
    /// last lost the fields that it kept.
    fn since_last_beginning(self) -> &'a [Step] {
        let begins = |step: &Step| step.forgets || matches!(step.did, Did::Put { onto: Onto::Recreated, .. });
        &self.steps[self.steps.iter().rposition(begins).unwrap_or(0)..]
    }
}

/// The newest step of each device, and of these the latest ones.
fn remembered<'a>(took: &[(&'a Step, &Take)]) -> Vec<&'a Step> {
    let mut devices = BTreeSet::new();
    let mut newest: Vec<&Step> =
        took.iter().rev().map(|(step, _)| *step).filter(|step| devices.insert(step.event.device)).collect();
    newest.truncate(CONTRIBUTORS_MAX);
    newest.reverse();
    newest
}

/// The value that results from a value that was set, or from none, and the additions since. All additions are of one merge:
/// a put under the other merge replaces the value.
fn value_of(takes: &[&Take]) -> Value {
    let values = takes.iter().map(|take| match take {
        Take::Sets(value) | Take::Adds(_, value) => value,
    });
    match takes.last() {
        Some(Take::Adds(Merge::Sum, _)) => sum(values),
        Some(Take::Adds(Merge::Union, _)) => union(values, matches!(takes.first(), Some(Take::Sets(_)))),
        Some(Take::Sets(value)) => value.clone(),
        None => Value::Null,
    }
}

fn sum<'v>(values: impl Iterator<Item = &'v Value>) -> Value {
    let numbers = values.map(|value| if let Value::Int(number) = value { i128::from(*number) } else { 0 });
    let total = numbers.fold(0i128, i128::saturating_add);
    Value::Int(total.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

/// With `starts_as_set` the first array was stored by a plain rule, and stays as it is, with its duplicates.
fn union<'v>(values: impl Iterator<Item = &'v Value>, starts_as_set: bool) -> Value {
    let mut elements = Vec::new();
    let mut known = BTreeSet::new();
    for (index, value) in values.enumerate() {
        let Value::Array(array) = value else { continue };
        for element in array {
            // Two values are equal if and only if their bytes are.
            let is_new = known.insert(rmp_serde::to_vec(element).unwrap_or_default());
            if is_new || (index == 0 && starts_as_set) {
                elements.push(element.clone());
            }
        }
    }
    Value::Array(elements)
}

impl<'a> Stored<'a> {
    /// The value after one more addition.
    pub(super) fn plus(stored: Option<&Self>, merge: Merge, value: &Value) -> Value {
        let before = stored.map(|stored| Take::Sets(stored.value.clone()));
        let added = Take::Adds(merge, value.clone());
        value_of(&before.iter().chain([&added]).collect::<Vec<_>>())
    }

    /// The newest contributor.
    pub(super) fn writer(&self) -> &'a Step {
        self.contributors[self.contributors.len() - 1]
    }
}

impl Step {
    /// The event as a rule sees it.
    pub(super) fn contender(&self, value: Option<Value>) -> Contender {
        contender(&self.event, self.at, value)
    }
}

/// An event as a rule sees it.
pub(super) fn contender(event: &Event, at: UnixMs, value: Option<Value>) -> Contender {
    Contender {
        value,
        position: event.position,
        device: event.device,
        role: event.role.clone(),
        at,
        is_delete: is_delete(event),
    }
}

/// Whether an event is a delete, or settles a conflict by one.
pub(super) fn is_delete(event: &Event) -> bool {
    event.intent.fields().is_none()
}

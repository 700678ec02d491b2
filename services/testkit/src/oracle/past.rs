//! The list of what a record's events did, and what follows from that list alone.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::sync::Arc;

use tidelog_core::catalog::Merge;
use tidelog_core::event::Event;
use tidelog_core::ids::Position;
use tidelog_core::time::UnixMs;
use tidelog_core::value::Value;

use super::left_out::LeftOut;
use super::makers::{Maker, Names};
use super::rules::{Contender, Content};
use super::shapes::Shown;

/// Contributors that a field remembers at most.
pub(super) const CONTRIBUTORS_MAX: usize = 64;

/// Deletes that a record remembers at most.
pub(super) const DELETES_MAX: usize = 64;

/// One event of a record and what it did.
pub(super) struct Step {
    pub(super) event: Event,
    /// The device that made it, with its number there.
    pub(super) maker: Maker,
    /// The names that devices had had when it came.
    pub(super) names: Arc<Names>,
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
    /// It wrote these of its fields, and the record is live. It has undone these deletes.
    Put { onto: Onto, undone: Vec<Position>, takes: BTreeMap<String, Take> },
    /// It took effect as a delete.
    Deleted,
}

/// The state of the record that a put found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Onto {
    /// A living record, or none yet.
    Living,
    /// A tombstone of which the put knew no delete, and which won against all, so that the kept fields are back.
    Restored,
    /// A tombstone of which the put knew a delete, so that the record has the fields of the put alone.
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

/// The deletes of a time in which a record was a tombstone: the one that ended its life, and those that came later.
#[derive(Default)]
pub(super) struct Deletes<'a> {
    /// The remembered ones, newest last.
    pub(super) kept: Vec<&'a Step>,
    /// The newest one that is forgotten since there were too many.
    pub(super) forgotten: Option<Position>,
}

impl<'a> Deletes<'a> {
    fn add(&mut self, delete: &'a Step, without: Option<LeftOut>) {
        let stands_for = |earlier: &Step| {
            earlier.maker.0 == delete.maker.0 && earlier.event.role == delete.event.role && earlier.at <= delete.at
        };
        self.kept.retain(|earlier| without == Some(LeftOut::DeletesOfOneDevice) || !stands_for(earlier));
        self.kept.push(delete);
        if self.kept.len() > DELETES_MAX {
            self.forgotten = Some(self.kept.remove(0).event.position);
        }
    }
}

/// A record's list of steps, and what can be read from it.
#[derive(Clone, Copy)]
pub(super) struct Past<'a> {
    steps: &'a [Step],
    without: Option<LeftOut>,
}

impl<'a> Past<'a> {
    pub(super) fn of(steps: &'a [Step], without: Option<LeftOut>) -> Self {
        Self { steps, without }
    }

    /// Whether the record is a tombstone; `None` if there is no record.
    pub(super) fn deleted(self) -> Option<bool> {
        self.steps.iter().rev().find_map(|step| match step.did {
            Did::Nothing => None,
            Did::Put { .. } => Some(false),
            Did::Deleted => Some(true),
        })
    }

    /// The deletes since the record last lived, or those before its present life. A delete that a put has undone no longer
    /// counts.
    pub(super) fn deletes(self) -> Deletes<'a> {
        let (mut last, mut before, mut is_deleted) = (Deletes::default(), Deletes::default(), false);
        for step in self.steps {
            match &step.did {
                Did::Nothing => {}
                Did::Deleted => {
                    if !is_deleted {
                        before = take(&mut last);
                    }
                    last.add(step, self.without);
                    is_deleted = true;
                }
                Did::Put { onto, undone, .. } => {
                    match onto {
                        Onto::Living => {}
                        Onto::Restored => last = take(&mut before),
                        Onto::Recreated => last.kept.retain(|delete| !undone.contains(&delete.event.position)),
                    }
                    before = Deletes::default();
                    is_deleted = false;
                }
            }
        }
        last
    }

    /// The newest delete of a tombstone.
    pub(super) fn newest_delete(self) -> Option<&'a Step> {
        self.deletes().kept.pop().filter(|_| self.deleted() == Some(true))
    }

    /// What a reader sees: whether the record is deleted, and its fields. `None` if there is no record.
    pub(super) fn shown(self) -> Shown {
        match self.deleted()? {
            true => Some((true, BTreeMap::new())),
            false => {
                let value = |took: Vec<(&Step, &Take)>| value_since(since_set(&took), self.without);
                Some((false, self.taken().into_iter().map(|(name, took)| (name.clone(), value(took))).collect()))
            }
        }
    }

    /// The fields of the record, or those that its tombstone keeps.
    pub(super) fn fields(self) -> BTreeMap<String, Stored<'a>> {
        let stored = self.taken().into_iter().map(|(name, took)| {
            let took = since_set(&took);
            let (value, contributors) = (value_since(took, self.without), remembered(took, self.without));
            (name.clone(), Stored { value, contributors })
        });
        stored.collect()
    }

    /// For each field what the steps since its beginning have given it.
    fn taken(self) -> BTreeMap<&'a String, Vec<(&'a Step, &'a Take)>> {
        let mut taken: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for step in self.since_last_beginning() {
            let Did::Put { takes, .. } = &step.did else { continue };
            for (name, take) in takes {
                taken.entry(name).or_default().push((step, take));
            }
        }
        taken
    }

    /// The steps that can still contribute to a field: those since the record was last created again, or since a tombstone
    /// last lost the fields that it kept.
    fn since_last_beginning(self) -> &'a [Step] {
        let begins = |step: &Step| step.forgets || matches!(step.did, Did::Put { onto: Onto::Recreated, .. });
        &self.steps[self.steps.iter().rposition(begins).unwrap_or(0)..]
    }
}

/// What was given to a field since it was last set, by the step that set it and by those that added to it.
fn since_set<'t, 'a>(took: &'t [(&'a Step, &'a Take)]) -> &'t [(&'a Step, &'a Take)] {
    &took[took.iter().rposition(|(_, take)| matches!(take, Take::Sets(_))).unwrap_or(0)..]
}

fn value_since(took: &[(&Step, &Take)], without: Option<LeftOut>) -> Value {
    value_of(&took.iter().map(|(_, take)| *take).collect::<Vec<_>>(), without)
}

/// The newest step of each device, and of these the latest ones. The steps of the server count each.
fn remembered<'a>(took: &[(&'a Step, &Take)], without: Option<LeftOut>) -> Vec<&'a Step> {
    let mut newest: Vec<&'a Step> = Vec::new();
    for &(step, _) in took {
        let are_servers = |other: &Step| other.maker.0.is_system() && step.maker.0.is_system();
        newest.retain(|other| {
            let replaces = step.names.are_of_one(step.maker, other.maker)
                || (without == Some(LeftOut::ContributionsOfTheServer) && are_servers(other));
            !replaces
        });
        newest.push(step);
        if newest.len() > CONTRIBUTORS_MAX {
            newest.remove(0);
        }
    }
    newest
}

/// The value that results from a value that was set, or from none, and the additions since. All additions are of one merge:
/// a put under the other merge replaces the value.
fn value_of(takes: &[&Take], without: Option<LeftOut>) -> Value {
    let values = takes.iter().map(|take| match take {
        Take::Sets(value) | Take::Adds(_, value) => value,
    });
    match takes.last() {
        Some(Take::Adds(Merge::Sum, _)) => sum(values),
        Some(Take::Adds(Merge::Union, _)) => {
            let starts_as_set = matches!(takes.first(), Some(Take::Sets(_)));
            union(values, starts_as_set && without == Some(LeftOut::Duplicates))
        }
        Some(Take::Sets(value)) => value.clone(),
        None => Value::Null,
    }
}

fn sum<'v>(values: impl Iterator<Item = &'v Value>) -> Value {
    let numbers = values.map(|value| if let Value::Int(number) = value { i128::from(*number) } else { 0 });
    let total = numbers.fold(0i128, i128::saturating_add);
    Value::Int(total.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

/// Each element once, unless the duplicates of the first array are kept.
fn union<'v>(values: impl Iterator<Item = &'v Value>, keeps_duplicates: bool) -> Value {
    let mut elements = Vec::new();
    let mut known = BTreeSet::new();
    for (index, value) in values.enumerate() {
        let Value::Array(array) = value else { continue };
        for element in array {
            // Two values are equal if and only if their bytes are.
            let is_new = known.insert(rmp_serde::to_vec(element).unwrap_or_default());
            if is_new || (index == 0 && keeps_duplicates) {
                elements.push(element.clone());
            }
        }
    }
    Value::Array(elements)
}

impl<'a> Stored<'a> {
    /// The value after one more addition.
    pub(super) fn plus(stored: Option<&Self>, merge: Merge, value: &Value, without: Option<LeftOut>) -> Value {
        let before = stored.map(|stored| Take::Sets(stored.value.clone()));
        let added = Take::Adds(merge, value.clone());
        value_of(&before.iter().chain([&added]).collect::<Vec<_>>(), without)
    }

    /// The newest contributor.
    pub(super) fn writer(&self) -> &'a Step {
        self.contributors[self.contributors.len() - 1]
    }
}

impl Step {
    /// The event as a rule sees it.
    pub(super) fn contender(&self, content: Content) -> Contender {
        contender(&self.event, self.maker, self.at, content)
    }
}

/// An event as a rule sees it.
pub(super) fn contender(event: &Event, (device, _): Maker, at: UnixMs, content: Content) -> Contender {
    Contender { content, position: event.position, device, role: event.role.clone(), at }
}

/// Whether an event is a delete, or settles a conflict by one.
pub(super) fn is_delete(event: &Event) -> bool {
    event.intent.fields().is_none()
}

//! RULE-1, checked from outside: no value is lost silently.
//!
//! [`account`] takes the results of any fold, and finds for every value ever pushed where it went. It replays nothing, so
//! it is more lenient than a fold. A value that a later event knew counts as overwritten by that event, unless another
//! event, which did not know the value, has come between. An addition to a merge field counts as merged where a total that
//! can hold it is accounted for. Only a sum that has received nothing but additions is added up. [`losses`] is stricter,
//! and needs the records as they were after each event.

mod known;
mod losses;

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use tidelog_core::catalog::{Catalog, Granularity, Merge};
use tidelog_core::event::Event;
use tidelog_core::ids::{ConflictId, Position};
use tidelog_core::op::Kind;
use tidelog_core::value::Value;

use super::past::is_delete;
use super::rules::is_mergeable;
use super::shapes::{OracleConflict, OracleRecord, RecordKey};
use known::{Known, merge_by};
pub use losses::losses;

/// Where a pushed value went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Its op was rejected.
    Rejected,
    /// It is the stored value of its field.
    Current,
    /// It lost, and it is the loser of this conflict.
    InConflicts(ConflictId),
    /// This later event knew of it, and wrote over it or deleted its record.
    Overwritten(Position),
    /// It is part of a total that is accounted for.
    Merged,
    /// This event gave an equal value before or after, and that value is accounted for.
    EqualTo(Position),
}

/// A value that has no fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unaccounted {
    /// The event that pushed it.
    pub position: Position,
    /// The field.
    pub field: String,
    /// What is wrong.
    pub fault: String,
}

impl fmt::Display for Unaccounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RULE-1: field {:?} of the event at {}: {}", self.field, self.position, self.fault)
    }
}

/// The fate of every value of the log, by event and field; or else every value that has none.
///
/// # Panics
///
/// If a `_catalog` event cannot be read.
pub fn account(
    events: &[Event],
    records: &BTreeMap<RecordKey, OracleRecord>,
    conflicts: &[OracleConflict],
) -> Result<BTreeMap<(Position, String), Fate>, Vec<Unaccounted>> {
    let known = Known::of(events, conflicts);
    let mut fields: BTreeMap<(RecordKey, &str), Vec<Given<'_>>> = BTreeMap::new();
    let mut named: BTreeMap<RecordKey, Vec<&Event>> = BTreeMap::new();
    for event in events.iter().filter(|event| !event.table.is_server_owned()) {
        let of_record = named.entry(RecordKey::of(event)).or_default();
        of_record.extend(event.rejected.is_none().then_some(event));
        for (field, value) in event.intent.fields().into_iter().flat_map(|fields| &fields.0) {
            fields.entry((RecordKey::of(event), field)).or_default().push(Given { event, value });
        }
    }
    let (mut fates, mut faults) = (BTreeMap::new(), Vec::new());
    for ((record, field), given) in fields {
        let live = records.get(&record).filter(|record| !record.deleted);
        let account = Account {
            field,
            given,
            named: &named[&record],
            stored: live.and_then(|record| record.fields.get(field)),
            conflicts: known.conflicts_of(&record, field),
            known: &known,
        };
        for (position, fate) in account.fates() {
            let place = (position, field.to_owned());
            match fate {
                Some(fate) => drop(fates.insert(place, fate)),
                None => faults.push(Unaccounted { position, field: place.1, fault: "the value is nowhere".to_owned() }),
            }
        }
        faults.extend(account.wrong_sum());
    }
    if faults.is_empty() { Ok(fates) } else { Err(faults) }
}

struct Given<'a> {
    event: &'a Event,
    value: &'a Value,
}

/// What is known about one field of one record.
struct Account<'a> {
    field: &'a str,
    given: Vec<Given<'a>>,
    /// Every event that named the record, without rejected ones.
    named: &'a [&'a Event],
    /// The value in the record, if it is live and has the field.
    stored: Option<&'a Value>,
    conflicts: &'a [&'a OracleConflict],
    known: &'a Known<'a>,
}

impl Account<'_> {
    /// The fate of every value, as far as it has one.
    fn fates(&self) -> Vec<(Position, Option<Fate>)> {
        let mut fates: Vec<Option<Fate>> = self.given.iter().map(|given| self.own_fate(given)).collect();
        // The fate of a value may follow from that of another one. Repeats until no more fates are found.
        loop {
            let derived: Vec<(usize, Fate)> = (0..fates.len())
                .filter(|index| fates[*index].is_none())
                .filter_map(|index| Some((index, self.derived_fate(index, &fates)?)))
                .collect();
            if derived.is_empty() {
                return self.given.iter().map(|given| given.event.position).zip(fates).collect();
            }
            for (index, fate) in derived {
                fates[index] = Some(fate);
            }
        }
    }

    /// The fate of a value, as far as it does not depend on the fates of other values.
    fn own_fate(&self, given: &Given<'_>) -> Option<Fate> {
        if given.event.rejected.is_some() {
            return Some(Fate::Rejected);
        }
        if let Some(conflict) = self.lost_conflict(given.event, self.field) {
            let lost = conflict.loser.value.as_ref()?;
            let is_in_it = lost == given.value || (self.ever_merges() && holds(&[lost], given.value));
            return is_in_it.then(|| Fate::InConflicts(conflict.id.clone()));
        }
        if self.stored == Some(given.value) {
            return Some(Fate::Current);
        }
        if self.ever_merges() && self.stored.is_some_and(|total| holds(&[total], given.value)) {
            return Some(Fate::Merged);
        }
        self.named.iter().find(|later| self.overwrites(later, given)).map(|later| Fate::Overwritten(later.position))
    }

    /// The fate of a value that follows from the fates of other values.
    fn derived_fate(&self, index: usize, fates: &[Option<Fate>]) -> Option<Fate> {
        let given = &self.given[index];
        let others = self.given.iter().zip(fates).filter(|(other, fate)| {
            let counts = fate.as_ref().is_some_and(|fate| *fate != Fate::Rejected);
            counts && other.event.position != given.event.position
        });
        let others: Vec<&Given<'_>> = others.map(|(other, _)| other).collect();
        let equal = others.iter().find(|other| other.value == given.value && self.may_have_met(other, given));
        if let Some(other) = equal {
            return Some(Fate::EqualTo(other.event.position));
        }
        let later_totals = self.conflicts.iter().filter(|conflict| {
            let lost_at = conflict.loser.event.map(|(position, _)| position);
            lost_at >= Some(given.event.position)
        });
        let totals = later_totals.filter_map(|conflict| conflict.loser.value.as_ref());
        let containers: Vec<&Value> = others.iter().map(|other| other.value).chain(totals).collect();
        (self.ever_merges() && holds(&containers, given.value)).then_some(Fate::Merged)
    }

    /// Whether `later` knew the value, and put another one in its place or deleted its record.
    fn overwrites(&self, later: &Event, given: &Given<'_>) -> bool {
        if later.position <= given.event.position || !self.knows(later, given.event) {
            return false;
        }
        if is_delete(later) {
            return self.took_effect(later, "");
        }
        let Some(value) = later.intent.fields().and_then(|fields| fields.0.get(self.field)) else { return false };
        let adds = self.merge_at(later).is_some_and(|m| is_mergeable(m, value) && is_mergeable(m, given.value));
        !adds && self.took_effect(later, self.field)
    }

    /// Whether the event did not lose when it came. It may have lost later, to an event that came after it.
    fn took_effect(&self, event: &Event, field: &str) -> bool {
        self.lost_conflict(event, field).is_none_or(|conflict| conflict.id != ConflictId::of(event.position, field))
    }

    /// Whether two equal values can have met: when the later one came, the earlier one was still stored or its event was
    /// still the field's writer.
    fn may_have_met(&self, one: &Given<'_>, other: &Given<'_>) -> bool {
        let (earlier, later) = if one.event.position < other.event.position { (one, other) } else { (other, one) };
        if one.event.position > other.event.position && self.knows(one.event, other.event) {
            return false;
        }
        !self.given.iter().any(|between| {
            let position = between.event.position;
            earlier.event.position < position
                && position < later.event.position
                && between.event.rejected.is_none()
                && between.value != earlier.value
                && self.merge_at(between.event).is_none()
                && self.overwrites(between.event, earlier)
        })
    }

    fn knows(&self, later: &Event, earlier: &Event) -> bool {
        self.known.knows(later, earlier, self.ever_merges())
    }

    fn lost_conflict(&self, event: &Event, field: &str) -> Option<&OracleConflict> {
        self.known.lost_conflict(event, field)
    }

    fn merge_at(&self, event: &Event) -> Option<Merge> {
        self.known.merge_at(&event.table, self.field, event.position)
    }

    fn ever_merges(&self) -> bool {
        self.given.first().is_some_and(|given| self.known.ever_merges(&given.event.table, self.field))
    }

    /// The fault of a field that was a sum under every catalog, and whose record had no delete, no resolve and no other
    /// rule: there the stored value has to be the sum of what was pushed.
    fn wrong_sum(&self) -> Option<Unaccounted> {
        let table = &self.given.first()?.event.table;
        let is_sum = |catalog: &Catalog| {
            let by_field = |table: &tidelog_core::catalog::Table| table.granularity == Granularity::Field;
            merge_by(catalog, table, self.field) == Some(Merge::Sum) && catalog.tables.get(table).is_some_and(by_field)
        };
        let taken: Vec<&Given<'_>> = self.given.iter().filter(|given| given.event.rejected.is_none()).collect();
        let is_plain = self.known.catalogs().all(is_sum)
            && self.named.iter().all(|event| event.intent.kind() == Kind::Put)
            && taken.iter().all(|given| is_mergeable(Merge::Sum, given.value))
            && self.conflicts.is_empty();
        let last = taken.last()?;
        let total: i128 =
            taken.iter().map(|given| if let Value::Int(n) = given.value { i128::from(*n) } else { 0 }).sum();
        let shown = Value::Int(total.clamp(i64::MIN.into(), i64::MAX.into()) as i64);
        let fault = format!("the stored sum is {:?}, the pushed values add up to {shown:?}", self.stored);
        (is_plain && self.stored != Some(&shown)).then(|| Unaccounted {
            position: last.event.position,
            field: self.field.to_owned(),
            fault,
        })
    }
}

/// Whether one of the totals can contain an addition: a number is in any number, and every element of an array is in one
/// of the arrays.
fn holds(totals: &[&Value], addition: &Value) -> bool {
    let any = |is_one: &dyn Fn(&Value) -> bool| totals.iter().any(|total| is_one(total));
    match addition {
        Value::Null => any(&|total| matches!(total, Value::Int(_) | Value::Array(_))),
        // The sum of nulls alone is 0.
        Value::Int(number) => any(&|total| matches!(total, Value::Int(_)) || (*number == 0 && *total == Value::Null)),
        Value::Array(elements) => has_all(totals.iter().copied(), elements),
        Value::Bool(_) | Value::Float(_) | Value::Text(_) | Value::Binary(_) | Value::Map(_) => false,
    }
}

/// Whether every element is in one of the arrays.
fn has_all<'v>(arrays: impl Iterator<Item = &'v Value>, elements: &[Value]) -> bool {
    // Two values are equal if and only if their bytes are.
    let bytes = |value: &Value| rmp_serde::to_vec(value).unwrap_or_default();
    let elements_of = |array: &'v Value| if let Value::Array(elements) = array { elements.as_slice() } else { &[] };
    let known: HashSet<Vec<u8>> = arrays.flat_map(elements_of).map(bytes).collect();
    elements.iter().all(|element| known.contains(&bytes(element)))
}

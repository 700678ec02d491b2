//! RULE-1, checked from outside: no value is lost silently.
//!
//! Takes what any fold has handed out and says of every value ever pushed where it went. It replays nothing, so it is
//! more lenient than a fold: a value that a later event knew of counts as overwritten by that one, unless another, which
//! did not know it, has come between; and an addition to a merge field counts as merged where a total that can hold it is
//! accounted for. Only a sum that nothing but additions ever met is added up.

use std::collections::BTreeMap;
use std::fmt;

use tidelog_core::catalog::{Catalog, Granularity, Merge, OnDelete, Resolution};
use tidelog_core::event::Event;
use tidelog_core::ids::{CATALOG_TABLE, ConflictId, Position};
use tidelog_core::op::Kind;
use tidelog_core::value::Value;

use super::past::is_delete;
use super::rules::is_mergeable;
use super::shapes::{OracleRecord, OracleRow, OracleSide, RecordKey};

/// Where a pushed value went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Its op was rejected.
    Rejected,
    /// It stands.
    Current,
    /// It lost, and this row has it.
    InLedger(ConflictId),
    /// This later event knew of it and wrote over it, or deleted its record.
    Overwritten(Position),
    /// It is part of a total that is accounted for.
    Merged,
    /// It was what this event had set already, or set again, and that is accounted for.
    EqualTo(Position),
}

/// A value that nobody can say anything of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unaccounted {
    /// The event that pushed it.
    pub position: Position,
    /// Its field.
    pub field: String,
    /// What is wrong.
    pub fault: String,
}

impl fmt::Display for Unaccounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RULE-1: field {:?} of the event at {}: {}", self.field, self.position, self.fault)
    }
}

/// The fate of every value of the log by event and field, or every value that has none.
///
/// # Panics
///
/// If a `_catalog` event cannot be read.
pub fn account(
    events: &[Event],
    records: &BTreeMap<RecordKey, OracleRecord>,
    ledger: &[OracleRow],
) -> Result<BTreeMap<(Position, String), Fate>, Vec<Unaccounted>> {
    let is_catalog = |event: &&Event| event.table.as_str() == CATALOG_TABLE && event.rejected.is_none();
    let catalogs: Vec<(Position, Catalog)> = events.iter().filter(is_catalog).map(catalog_at).collect();
    let mut fields: BTreeMap<(RecordKey, String), Vec<Given<'_>>> = BTreeMap::new();
    for event in events.iter().filter(|event| !event.table.is_server_owned()) {
        for (field, value) in event.intent.fields().into_iter().flat_map(|fields| &fields.0) {
            fields.entry((RecordKey::of(event), field.clone())).or_default().push(Given { event, value });
        }
    }
    let (mut fates, mut faults) = (BTreeMap::new(), Vec::new());
    for ((record, field), given) in fields {
        let named: Vec<&Event> =
            events.iter().filter(|event| event.rejected.is_none() && RecordKey::of(event) == record).collect();
        let standing = records.get(&record).filter(|record| !record.deleted);
        let account = Account {
            field: &field,
            given,
            named,
            standing: standing.and_then(|record| record.fields.get(&field)),
            rows: ledger.iter().filter(|row| row.record == record).collect(),
            catalogs: &catalogs,
        };
        for (position, fate) in account.fates() {
            let place = (position, field.clone());
            match fate {
                Some(fate) => drop(fates.insert(place, fate)),
                None => faults.push(Unaccounted { position, field: place.1, fault: "the value is nowhere".to_owned() }),
            }
        }
        faults.extend(account.wrong_sum());
        faults.extend(account.lost_without_a_row());
    }
    if faults.is_empty() { Ok(fates) } else { Err(faults) }
}

fn catalog_at(event: &Event) -> (Position, Catalog) {
    (event.position, Catalog::from_event(event).expect("a _catalog event holds a catalog").1)
}

struct Given<'a> {
    event: &'a Event,
    value: &'a Value,
}

/// All that is known of one field of one record.
struct Account<'a> {
    field: &'a str,
    given: Vec<Given<'a>>,
    /// Every event that named the record, but for rejected ones.
    named: Vec<&'a Event>,
    standing: Option<&'a Value>,
    /// Of the record.
    rows: Vec<&'a OracleRow>,
    catalogs: &'a [(Position, Catalog)],
}

impl Account<'_> {
    /// Of every value its fate, as far as it has one.
    fn fates(&self) -> Vec<(Position, Option<Fate>)> {
        let mut fates: Vec<Option<Fate>> = self.given.iter().map(|given| self.own_fate(given)).collect();
        // A value may lean on another one that has a fate: until no more is found.
        loop {
            let leaning: Vec<(usize, Fate)> = (0..fates.len())
                .filter(|index| fates[*index].is_none())
                .filter_map(|index| Some((index, self.leaning_fate(index, &fates)?)))
                .collect();
            if leaning.is_empty() {
                return self.given.iter().map(|given| given.event.position).zip(fates).collect();
            }
            for (index, fate) in leaning {
                fates[index] = Some(fate);
            }
        }
    }

    /// A fate that needs no other value's.
    fn own_fate(&self, given: &Given<'_>) -> Option<Fate> {
        if given.event.rejected.is_some() {
            return Some(Fate::Rejected);
        }
        if let Some(row) = self.row_lost(given.event, self.field) {
            let lost = row.loser.value.as_ref()?;
            let is_in_it = lost == given.value || (self.ever_merges() && holds(&[lost], given.value));
            return is_in_it.then(|| Fate::InLedger(row.id.clone()));
        }
        if self.standing == Some(given.value) {
            return Some(Fate::Current);
        }
        if self.ever_merges() && self.standing.is_some_and(|total| holds(&[total], given.value)) {
            return Some(Fate::Merged);
        }
        self.named.iter().find(|later| self.overwrites(later, given)).map(|later| Fate::Overwritten(later.position))
    }

    /// The fate of a value that has none of its own, by those of others.
    fn leaning_fate(&self, index: usize, fates: &[Option<Fate>]) -> Option<Fate> {
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
        let later_totals = self.rows.iter().filter(|row| {
            let lost_at = row.loser.event.map(|(position, _)| position);
            row.field == self.field && lost_at >= Some(given.event.position)
        });
        let totals = later_totals.filter_map(|row| row.loser.value.as_ref());
        let homes: Vec<&Value> = others.iter().map(|other| other.value).chain(totals).collect();
        (self.ever_merges() && holds(&homes, given.value)).then_some(Fate::Merged)
    }

    /// Whether `later` knew of the value and put another in its place, or deleted its record.
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

    /// Whether no row says that the event lost when it came; it may have lost later, to one that it met then.
    fn took_effect(&self, event: &Event, field: &str) -> bool {
        self.row_lost(event, field).is_none_or(|row| row.id != ConflictId::of(event.position, field))
    }

    /// Whether the two equal values can have met: the earlier one stood, or was the writer, when the later came.
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

    /// Whether an event is not concurrent with an earlier one. Of a merge field each device's newest contribution stands
    /// for all of them: who names a conflict with that one counts as knowing the earlier ones.
    fn knows(&self, later: &Event, earlier: &Event) -> bool {
        let is_it = |side: &OracleSide| {
            let stands_for_it = |(at, device)| self.ever_merges() && device == earlier.device && at >= earlier.position;
            side.is(earlier.position) || side.event.is_some_and(stands_for_it)
        };
        let names_it = |row: &&OracleRow| {
            Some(&row.id) == later.intent.conflict() && (is_it(&row.loser) || row.winner.as_ref().is_some_and(is_it))
        };
        earlier.position <= later.base
            || (earlier.device == later.device && !later.device.is_system())
            || self.rows.iter().copied().any(|row| names_it(&row))
    }

    fn row_lost(&self, event: &Event, field: &str) -> Option<&OracleRow> {
        self.rows.iter().copied().find(|row| row.field == field && row.loser.is(event.position))
    }

    /// The merge that the field had when the event came.
    fn merge_at(&self, event: &Event) -> Option<Merge> {
        let (_, catalog) = self.catalogs.iter().rev().find(|(since, _)| *since <= event.position)?;
        self.merge_by(catalog)
    }

    fn merge_by(&self, catalog: &Catalog) -> Option<Merge> {
        let table = catalog.tables.get(&self.given.first()?.event.table)?;
        match table.resolution_of(self.field) {
            Resolution::Merge(merge) => Some(merge),
            Resolution::Rule(_) => None,
        }
    }

    fn ever_merges(&self) -> bool {
        self.catalogs.iter().any(|(_, catalog)| self.merge_by(catalog).is_some())
    }

    /// Values of a field that never merges of which nobody could say that they lost, though they must have.
    fn lost_without_a_row(&self) -> Vec<Unaccounted> {
        if self.ever_merges() {
            return Vec::new();
        }
        let (mut faults, mut stands, mut deleted): (Vec<Unaccounted>, Option<&Event>, Option<&Event>) =
            (Vec::new(), None, None);
        for event in self.named.iter().copied() {
            let value = self.value_in(event);
            let is_delete = is_delete(event);
            if (value.is_none() && !is_delete) || !self.took_effect(event, if is_delete { "" } else { self.field }) {
                continue;
            }
            let mut fault = |event: &Event, fault: String| {
                faults.push(Unaccounted { position: event.position, field: self.field.to_owned(), fault });
            };
            // A put takes a field or has a row to say that it did not, unless it gives what was there already.
            let met = stands.filter(|met| self.value_in(met) != value && !self.knows(event, met) && self.is_new(met));
            if let Some(met) = met.filter(|met| self.row_lost(met, self.field).is_none()) {
                fault(met, format!("the event at {} took its place without a row", event.position));
            }
            let is_plain_put = event.intent.kind() == Kind::Put && self.deletes_win_always();
            if let Some(delete) = deleted.filter(|delete| is_plain_put && !self.knows(event, delete)) {
                fault(event, format!("it did not know the delete at {} and has no row", delete.position));
            }
            if is_delete {
                (stands, deleted) = (None, Some(event));
            } else {
                stands = Some(event);
            }
        }
        faults
    }

    /// What an event gives the field.
    fn value_in<'e>(&self, event: &'e Event) -> Option<&'e Value> {
        event.intent.fields()?.0.get(self.field)
    }

    /// Whether no earlier event gave the same value.
    fn is_new(&self, event: &Event) -> bool {
        let value = self.value_in(event);
        !self.given.iter().any(|given| given.event.position < event.position && Some(given.value) == value)
    }

    /// Whether no catalog has let a put get past a delete that it did not know.
    fn deletes_win_always(&self) -> bool {
        let Some(table) = self.given.first().map(|given| &given.event.table) else { return false };
        self.catalogs.iter().all(|(_, catalog)| {
            let table = catalog.tables.get(table);
            table.is_some_and(|table| matches!(table.on_delete, OnDelete::DeleteWins | OnDelete::Manual))
        })
    }

    /// A sum that always was one, and that met no delete, no resolve, no other rule: what was pushed has to add up.
    fn wrong_sum(&self) -> Option<Unaccounted> {
        let table = &self.given.first()?.event.table;
        let plainly = |catalog: &Catalog| {
            let by_field = |table: &tidelog_core::catalog::Table| table.granularity == Granularity::Field;
            self.merge_by(catalog) == Some(Merge::Sum) && catalog.tables.get(table).is_some_and(by_field)
        };
        let taken: Vec<&Given<'_>> = self.given.iter().filter(|given| given.event.rejected.is_none()).collect();
        let is_plain = self.catalogs.iter().all(|(_, catalog)| plainly(catalog))
            && self.named.iter().all(|event| event.intent.kind() == Kind::Put)
            && taken.iter().all(|given| is_mergeable(Merge::Sum, given.value))
            && !self.rows.iter().any(|row| row.field == self.field);
        let last = taken.last()?;
        let total: i128 =
            taken.iter().map(|given| if let Value::Int(n) = given.value { i128::from(*n) } else { 0 }).sum();
        let shown = Value::Int(total.clamp(i64::MIN.into(), i64::MAX.into()) as i64);
        let fault = format!("the sum is {:?}, the values come to {shown:?}", self.standing);
        (is_plain && self.standing != Some(&shown)).then(|| Unaccounted {
            position: last.event.position,
            field: self.field.to_owned(),
            fault,
        })
    }
}

/// Whether the totals can hold an addition: one of a number in a number, every element of an array in one of the arrays.
fn holds(totals: &[&Value], addition: &Value) -> bool {
    let any = |is_one: &dyn Fn(&Value) -> bool| totals.iter().any(|total| is_one(total));
    match addition {
        Value::Null => any(&|total| matches!(total, Value::Int(_) | Value::Array(_))),
        // Nulls alone add up to 0.
        Value::Int(number) => any(&|total| matches!(total, Value::Int(_)) || (*number == 0 && *total == Value::Null)),
        Value::Array(elements) => elements
            .iter()
            .all(|element| any(&|total| if let Value::Array(known) = total { known.contains(element) } else { false })),
        Value::Bool(_) | Value::Float(_) | Value::Text(_) | Value::Binary(_) | Value::Map(_) => false,
    }
}

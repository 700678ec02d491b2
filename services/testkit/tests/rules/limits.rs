//! The limits of what a record remembers, exactly reached and exceeded by one. And the size of a union.

use tidelog_core::catalog::{Catalog, catalog_op};
use tidelog_core::event::Event;
use tidelog_core::ids::{CatalogVersion, ConflictId, DeviceId, Position, Role, Seq};
use tidelog_core::limits::{RECORD_BYTES_MAX, UNION_ELEMENTS_MAX};
use tidelog_core::op::Intent;
use tidelog_core::value::{Fields, Value};
use tidelog_core::verdict::Verdict;
use tidelog_testkit::oracle::{self, OracleState, Status, generate::example_resolver};
use uuid::Uuid;

use crate::exhaustive::event;
use crate::fold::{Outcome, fold};

/// A log of one record.
struct Log(Vec<Event>);

impl Log {
    /// `table` are the lines below `[tables.t]`.
    fn of(table: &str) -> Self {
        let mut log = Self(Vec::new());
        log.catalog(table);
        log
    }

    fn catalog(&mut self, table: &str) {
        let text = format!("roles = [\"manager\", \"staff\"]\n[tables.t]\n{table}");
        let op = catalog_op(CatalogVersion(1), &Catalog::parse(&text).unwrap(), false).unwrap();
        let at = self.head() + 1;
        self.0.push(event(at, 0, op.intent.unpack(), at - 1, at));
    }

    fn head(&self) -> i64 {
        self.0.len() as i64
    }

    /// Device 1 has the role `manager`, the others have `staff`.
    fn op(&mut self, device: u128, base: i64, intent: Intent) -> Position {
        let at = self.head() + 1;
        let like = event(at, device.min(2), intent, base, at);
        let role = Role::parse(if device == 1 { "manager" } else { "staff" }).unwrap();
        self.0.push(Event { device: DeviceId(Uuid::from_u128(device)), seq: Seq(at), role, ..like });
        Position(at)
    }

    fn put(&mut self, device: u128, base: i64, fields: impl IntoIterator<Item = (String, Value)>) -> Position {
        self.op(device, base, Intent::Put(fields.into_iter().collect()))
    }

    fn folds(&self) -> (Outcome, OracleState) {
        (fold(&self.0), oracle::fold(&self.0, &example_resolver))
    }

    /// The oracle's result, with which core's has to agree.
    fn agreed(&self) -> OracleState {
        let (core, oracle) = self.folds();
        let rows: Vec<_> = core.conflicts.into_values().collect();
        assert_eq!(
            (core.records, rows, core.verdicts),
            (oracle.records.clone(), oracle.conflicts.clone(), oracle.verdicts.clone())
        );
        oracle
    }
}

fn one(field: &str, value: Value) -> [(String, Value); 1] {
    [(field.to_owned(), value)]
}

/// The manager adds first, then many others. A delete of staff that knew none of them has to beat all remembered ones.
#[test]
fn of_65_contributors_the_oldest_is_forgotten() {
    for (others, verdict) in [(63, Verdict::Superseded), (64, Verdict::Applied)] {
        let table = "rule = \"role_priority\"\non_delete = \"rule\"\n[tables.t.fields.n]\nmerge = \"sum\"\n";
        let mut log = Log::of(table);
        for device in 1..=1 + others {
            log.put(device, 1, one("n", Value::Int(1)));
        }
        let delete = log.op(1_000, 1, Intent::Delete);
        assert_eq!(log.agreed().verdicts[&delete].0, verdict, "{others} others");
    }
}

/// Of many deletes by different devices the oldest is forgotten. A put that beats all others loses if it may not have known
/// of that one, and brings back the given fields alone if it knew of it.
#[test]
fn of_65_deletes_of_a_tombstone_the_oldest_is_forgotten() {
    for (deletes, base, verdict, fields) in [
        (64, 2, Verdict::Applied, Some(2)),
        (65, 2, Verdict::Superseded, None),
        (65, 3, Verdict::Applied, Some(1)),
        (66, 3, Verdict::Superseded, None),
    ] {
        let mut log = Log::of("on_delete = \"rule\"\n");
        log.put(1, 1, one("a", Value::Int(1)));
        for device in 2..2 + deletes {
            log.op(device, 2, Intent::Delete);
        }
        let put = log.put(1_000, base, one("b", Value::Int(1)));
        let state = log.agreed();
        let record = state.records.values().next().unwrap();
        let shown = (!record.deleted).then_some(record.fields.len());
        assert_eq!((state.verdicts[&put].0, shown), (verdict, fields), "{deletes} deletes, base {base}");
    }
}

/// One conflict first, then many more. The first one can still be resolved, or no longer.
#[test]
fn of_1001_closed_conflicts_the_oldest_is_forgotten() {
    for (later, status) in [(999, Status::Resolved), (1_000, Status::Automatic)] {
        let fields = |value: i64| (0..later).map(move |number| (format!("f{number}"), Value::Int(value)));
        let mut log = Log::of("");
        log.put(1, 1, one("first", Value::Int(1)).into_iter().chain(fields(1)));
        let met = log.put(2, 1, one("first", Value::Int(2)));
        log.put(2, 1, fields(2));
        let (conflict, put) = (ConflictId::of(met, "first"), Some(Fields::from_iter(one("first", Value::Int(3)))));
        log.op(1, log.head(), Intent::Resolve { conflict, put });
        let state = log.agreed();
        assert_eq!((state.conflicts.len(), state.conflicts[0].status), (later + 1, status), "{later} later ones");
    }
}

const UNION: &str = "[tables.t.fields.u]\nmerge = \"union\"\n";

/// ADR 0012: a put *after which its record would have* more than 4 MiB loses as a whole. After this one the record has as
/// much as before. A heavy random log found the fault: core counted a union as if the record had none of its elements yet.
#[test]
fn a_union_of_half_a_record_takes_its_own_elements_again() {
    let elements = Value::Array(vec![Value::Text("x".repeat(RECORD_BYTES_MAX / 2))]);
    let mut log = Log::of(UNION);
    log.put(2, 1, one("u", elements.clone()));
    let again = log.put(2, 2, one("u", elements));
    assert_eq!(log.agreed().verdicts[&again].0, Verdict::Applied);
}

/// Likewise if the union's field holds a value that cannot be merged, which the put replaces.
#[test]
fn a_value_that_a_put_on_a_union_replaces_does_not_count() {
    let text = Value::Text("x".repeat(RECORD_BYTES_MAX / 2));
    let mut log = Log::of("");
    log.put(2, 1, one("u", text.clone()));
    log.catalog(UNION);
    let replacing = log.put(2, 3, one("u", Value::Array(vec![text])));
    assert_eq!(log.agreed().verdicts[&replacing].0, Verdict::Applied);
}

/// An array that replaces a value which cannot be merged is a union from then on. If it were longer than a union may be, no
/// later put could succeed.
#[test]
fn an_array_that_replaces_a_value_of_a_union_has_the_limit_of_a_union() {
    for (elements, verdict) in [(UNION_ELEMENTS_MAX, Verdict::Applied), (UNION_ELEMENTS_MAX + 1, Verdict::Superseded)] {
        let mut log = Log::of("");
        log.put(2, 1, one("u", Value::Text("no list".to_owned())));
        log.catalog(UNION);
        let numbers = (0..elements as i64).map(Value::Int).collect();
        let replacing = log.put(2, 3, one("u", Value::Array(numbers)));
        assert_eq!(log.agreed().verdicts[&replacing].0, verdict, "{elements} elements");
    }
}

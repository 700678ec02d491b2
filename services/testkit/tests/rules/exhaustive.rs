//! Every order of three ops each of two devices on one field.
//!
//! One test folds *all* logs of puts alone: of two values, which know nothing or everything, with early or late clocks. Under
//! each rule it compares them with the rule's law, which takes a few lines. These are some 1,400,000 logs. With deletes and
//! every `on_delete` there are 1,700,000,000. The other test compares every n-th of them with the oracle, and a soak
//! compares more of them.

use tidelog_core::catalog::{Catalog, catalog_op};
use tidelog_core::digest::Digest;
use tidelog_core::event::Event;
use tidelog_core::fold::{Content, EventOutcome, Folder, Record, RecordKey};
use tidelog_core::ids::{Actor, CatalogVersion, DeviceId, Position, RecordId, Role, Scope, Seq, TableName};
use tidelog_core::op::Intent;
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use tidelog_testkit::oracle::{self, generate::example_resolver};
use uuid::Uuid;

use crate::fold::fold;

const RULES: [&str; 7] = [
    "",
    "clock = \"device\"\n",
    "rule = \"first_write_wins\"\n",
    "rule = \"role_priority\"\n",
    "rule = \"manual\"\n",
    "rule = \"custom\"\nname = \"asks\"\n",
    "granularity = \"record\"\nrule = \"first_write_wins\"\n",
];
const ON_DELETE: [&str; 4] = ["delete_wins", "update_wins", "rule", "manual"];
/// Kinds of an op: one of two values or a delete, times whether it knows everything before it, times an early or late clock.
const KINDS: usize = 3 * 2 * 2;
const OPS_EACH: usize = 3;

/// All interleavings of two times three ops. The bits of each number say which of the six ops are the first device's.
fn interleavings() -> Vec<u32> {
    (0..1u32 << (2 * OPS_EACH)).filter(|mask| mask.count_ones() as usize == OPS_EACH).collect()
}

fn catalog(rule: &str, on_delete: &str) -> Catalog {
    let text = format!("roles = [\"manager\", \"staff\"]\n[tables.t]\n{rule}on_delete = \"{on_delete}\"\n");
    Catalog::parse(&text).unwrap()
}

pub(crate) fn event(position: i64, device: u128, intent: Intent, base: i64, at: i64) -> Event {
    let table = if device == 0 { TableName::catalog() } else { TableName::parse("t").unwrap() };
    Event {
        position: Position(position),
        batch: Position(position),
        device: DeviceId(Uuid::from_u128(device)),
        seq: Seq(position),
        table,
        record: RecordId::parse("r").unwrap(),
        scope: Scope::everyone(),
        intent,
        base: Position(base),
        at: UnixMs(at),
        received_at: UnixMs(position * 1_000),
        role: if device == 0 {
            Role::system()
        } else {
            Role::parse(["manager", "staff"][device as usize - 1]).unwrap()
        },
        actor: Actor::nobody(),
        rejected: None,
        digest: Digest(0),
    }
}

/// The log with a number, whose digits to the base of [`KINDS`] are the kinds of the ops.
fn log(catalog: &Catalog, interleaving: u32, mut number: usize) -> Vec<Event> {
    let op = catalog_op(CatalogVersion(1), catalog, false).unwrap();
    let mut events = vec![event(1, 0, op.intent.unpack(), 0, 1_000)];
    for place in 0..2 * OPS_EACH {
        let (kind, position) = (number % KINDS, place as i64 + 2);
        number /= KINDS;
        let intent = match kind % 3 {
            2 => Intent::Delete,
            value => Intent::Put(Fields::from_iter([("f", Value::Int(value as i64))])),
        };
        let base = if (kind / 3).is_multiple_of(2) { 1 } else { position - 1 };
        let at = if kind / 6 == 0 { 500 } else { position * 1_000 };
        let device = if interleaving >> place & 1 == 0 { 1 } else { 2 };
        events.push(event(position, device, intent, base, at));
    }
    events
}

/// The kind of a put: its value, whether it knows everything before it, and its clock.
#[derive(Debug, Clone, Copy)]
struct Kind {
    value: i64,
    knows: bool,
    at: i64,
}

const EARLY: i64 = 500;
const LATE: i64 = 1_000_000;

/// The law of a rule: whether a put that did not know the stored value's writer wins against it.
type Law = fn(op: (u128, i64), writer: (u128, i64)) -> bool;

const LAWS: [(&str, Law, bool); 5] = [
    ("", |_, _| true, false),
    ("clock = \"device\"\n", |(_, at), (_, writer_at)| at >= writer_at, true),
    ("rule = \"first_write_wins\"\n", |_, _| false, false),
    // The first device has the role `manager`.
    ("rule = \"role_priority\"\n", |(device, _), (writer, _)| device <= writer, false),
    ("rule = \"manual\"\n", |_, _| false, false),
];

/// Core's fold of a log so far, and the law's fold of the same log.
#[derive(Clone)]
struct Both {
    folder: FolderOfOne,
    /// The stored value, and its device, position and effective time.
    stored: Option<(i64, u128, i64, i64)>,
}

/// Core's fold of one record, which unlike a [`Folder`] can be cloned.
#[derive(Clone)]
struct FolderOfOne {
    catalog: std::sync::Arc<Catalog>,
    record: Option<(RecordKey, Record)>,
}

impl FolderOfOne {
    fn fold(&mut self, event: &Event) -> EventOutcome {
        let mut folder = Folder::new();
        folder.set_catalog(CatalogVersion(1), std::sync::Arc::clone(&self.catalog));
        if let Some((key, record)) = self.record.take() {
            folder.load(key, record);
        }
        let folded = folder.fold(event).unwrap();
        self.record = folder.take_changed().pop();
        folded
    }

    fn value(&self) -> Option<&Value> {
        self.record.as_ref().map(|(_, record)| &record.fields["f"].value)
    }
}

/// Folds every continuation of a log. Returns the number of logs.
fn all_logs(both: &Both, law: Law, kinds: &[Kind], left: [usize; 2], place: i64) -> u64 {
    if left == [0, 0] {
        return 1;
    }
    let mut logs = 0;
    for device in [1u128, 2] {
        let index = device as usize - 1;
        if left[index] == 0 {
            continue;
        }
        for kind in kinds {
            let mut both = both.clone();
            step(&mut both, law, *kind, device, place);
            let mut left = left;
            left[index] -= 1;
            logs += all_logs(&both, law, kinds, left, place + 1);
        }
    }
    logs
}

/// Folds one put by core and by the law, and compares the two.
fn step(both: &mut Both, law: Law, kind: Kind, device: u128, position: i64) {
    let base = if kind.knows { position - 1 } else { 1 };
    let intent = Intent::Put(Fields::from_iter([("f", Value::Int(kind.value))]));
    let folded = both.folder.fold(&event(position, device, intent, base, kind.at));
    let at = kind.at.min(position * 1_000 + 60_000);
    let set = (kind.value, device, position, at);
    let (stored, lost) = match both.stored {
        Some((value, writer, written, written_at)) if written > base && writer != device => {
            let wins = law((device, at), (writer, written_at));
            let (stored, lost) = if wins { (set, value) } else { ((value, writer, written, written_at), kind.value) };
            (stored, (value != kind.value).then_some(lost))
        }
        _ => (set, None),
    };
    both.stored = Some(stored);
    assert_eq!(both.folder.value(), Some(&Value::Int(stored.0)), "{kind:?} of {device} at {position}");
    let losers: Vec<_> = folded.conflicts.iter().map(|conflict| conflict.loser.content.clone()).collect();
    assert_eq!(losers, lost.map(|lost| Content::Value(Value::Int(lost))).into_iter().collect::<Vec<_>>());
}

#[test]
fn all_orders_of_three_puts_each_of_two_devices_keep_the_law_of_their_rule() {
    let kinds = |clocks: &[(bool, i64)]| {
        let of = |value| clocks.iter().map(move |&(knows, at)| Kind { value, knows, at });
        [of(0), of(1)].into_iter().flatten().collect::<Vec<_>>()
    };
    let mut logs = 0;
    for (rule, law, by_clock) in LAWS {
        let clocks: &[_] =
            if by_clock { &[(false, EARLY), (false, LATE), (true, LATE)] } else { &[(false, EARLY), (true, EARLY)] };
        let folder = FolderOfOne { catalog: catalog(rule, "delete_wins").into(), record: None };
        logs += all_logs(&Both { folder, stored: None }, law, &kinds(clocks), [OPS_EACH; 2], 2);
    }
    assert_eq!(logs, 20 * (6u64.pow(6) + 4 * 4u64.pow(6)));
}

#[test]
fn every_order_of_a_few_ops_agrees_with_the_oracle() {
    let per_table: usize = std::env::var("TIDELOG_SOAK_SEEDS").map_or(2_000, |seeds| seeds.parse().unwrap());
    let interleavings = interleavings();
    assert_eq!(interleavings.len(), 20);
    let all = KINDS.pow(2 * OPS_EACH as u32) * interleavings.len();
    for (n, (rule, on_delete)) in
        RULES.iter().flat_map(|rule| ON_DELETE.map(|on_delete| (*rule, on_delete))).enumerate()
    {
        let catalog = catalog(rule, on_delete);
        // A step that shares no factor with the number of all logs reaches each of them once.
        let step = (all / per_table.min(all)) | 1;
        let mut at = n * 7_919;
        for _ in 0..per_table {
            at = (at + step) % all;
            let events = log(&catalog, interleavings[at % 20], at / 20);
            let (folded, expected) = (fold(&events), oracle::fold(&events, &example_resolver));
            let conflicts: Vec<_> = folded.conflicts.values().cloned().collect();
            let same = folded.records == expected.records
                && conflicts == expected.conflicts
                && folded.verdicts == expected.verdicts;
            assert!(same, "log {at} under {rule:?} {on_delete}: {events:#?}\n{folded:#?}\n{expected:#?}");
        }
    }
}

//! A replica folds a log at once. A projector folds it in steps, and stores and reads every record between them. Both
//! have to give the same result.

use std::collections::BTreeMap;
use std::sync::Mutex;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tidelog_core::catalog::Catalog;
use tidelog_core::event::Event;
use tidelog_core::fold::{EventOutcome, Folder, Record, RecordKey};
use tidelog_core::ids::{CATALOG_TABLE, ConflictId, Position};
use tidelog_core::judge::RejectCode;
use tidelog_core::op::Intent;
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use tidelog_core::verdict::Verdict;

use crate::story::{Log, RULES, SERVER, TABLES};

/// One random event. There are few devices, records and values, so that events often conflict.
#[derive(Debug, Clone)]
struct Step {
    action: Action,
    device: &'static str,
    role: &'static str,
    table: &'static str,
    record: &'static str,
    fields: BTreeMap<&'static str, Value>,
    unread: i64,
    clock_ahead_ms: i64,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Put,
    Delete,
    /// Resolves the open conflict with this number, counted over all records. A put if none is open.
    Resolve {
        which: usize,
        by_delete: bool,
    },
    Rejected,
    NewCatalog,
}

fn step() -> impl Strategy<Value = Step> {
    let action = prop_oneof![
        16 => Just(Action::Put),
        2 => Just(Action::Delete),
        3 => (0..8usize, prop::bool::weighted(0.2)).prop_map(|(which, by_delete)| Action::Resolve { which, by_delete }),
        1 => Just(Action::Rejected),
        1 => Just(Action::NewCatalog),
    ];
    let value = prop_oneof![
        Just(Value::Text("a".into())),
        Just(Value::Int(1)),
        Just(Value::Float(1.0)),
        Just(Value::Null),
        Just(Value::Binary(vec![0, 255])),
        Just(Value::Map([("a".to_owned(), Value::Array(vec![Value::Bool(true)]))].into())),
    ];
    let fields = prop::collection::btree_map(prop::sample::select(vec!["title", "color", "owner"]), value, 0..=3);
    let device = prop::sample::select(vec!["phone", "tablet", "laptop", SERVER]);
    let role = prop::sample::select(vec!["manager", "staff", "guest", "visitor"]);
    let record = prop::sample::select(vec!["r", "r", "r", "s"]);
    let of = (prop::sample::select(TABLES.to_vec()), record, 0..12i64, -90_000..90_000i64);
    (action, device, role, fields, of).prop_map(
        |(action, device, role, fields, (table, record, unread, clock_ahead_ms))| Step {
            action,
            device,
            role,
            table,
            record,
            fields,
            unread,
            clock_ahead_ms,
        },
    )
}

/// Makes a log of the steps, and counts the cases that they reach.
fn log_of(steps: &[Step]) -> Vec<Event> {
    let mut log = Log::under(RULES);
    let mut folder = Folder::new();
    folder.fold(&log.events[0]).unwrap();
    for step in steps {
        let open = open_conflict(&folder, step.action);
        let (table, record) = match &open {
            Some((key, _)) => (key.table.to_string(), key.record.to_string()),
            None => (step.table.to_owned(), step.record.to_owned()),
        };
        let fields = || Fields::from_iter(step.fields.clone());
        let intent = match (step.action, open) {
            (Action::Delete, _) => Intent::Delete,
            (Action::Resolve { by_delete, .. }, Some((_, conflict))) => {
                Intent::Resolve { conflict, put: (!by_delete).then(fields) }
            }
            _ => Intent::Put(fields()),
        };
        if let Action::NewCatalog = step.action {
            let other = RULES.replace("first_write_wins", "manual").replacen("[tables", "clock_skew_s = 5\n[tables", 1);
            log.catalog(step.unread + 1, if step.unread % 2 == 0 { RULES } else { &other });
        } else {
            log.append(step.device, &table, &record, intent).role(step.role);
        }
        let event = log.events.last_mut().unwrap();
        event.base = Position((event.position.0 - 1 - step.unread).max(0));
        event.at = UnixMs(event.received_at.0 + step.clock_ahead_ms);
        event.rejected = matches!(step.action, Action::Rejected).then_some(RejectCode::FieldType);
        let before = record_of(&folder, event);
        let outcome = folder.fold(event).unwrap();
        count(event, before.as_ref(), &outcome, record_of(&folder, event).as_ref());
    }
    log.events
}

fn open_conflict(folder: &Folder, action: Action) -> Option<(RecordKey, ConflictId)> {
    let Action::Resolve { which, .. } = action else { return None };
    let open: Vec<_> =
        folder.records().flat_map(|(key, it)| it.open_conflicts.keys().map(move |id| (key, id))).collect();
    let (key, id) = open.get(which % open.len().max(1))?;
    Some(((*key).clone(), (*id).clone()))
}

fn record_of(folder: &Folder, event: &Event) -> Option<Record> {
    let key = RecordKey::of(event);
    folder.records().find(|(found, _)| **found == key).map(|(_, record)| record.clone())
}

static REACHED: Mutex<BTreeMap<&str, u32>> = Mutex::new(BTreeMap::new());

fn count(event: &Event, before: Option<&Record>, outcome: &EventOutcome, after: Option<&Record>) {
    let reach = |what, is_so: bool| *REACHED.lock().unwrap().entry(what).or_default() += u32::from(is_so);
    let (Some(before), Some(after)) = (before, after) else { return };
    if event.rejected.is_some() || event.table.as_str() == CATALOG_TABLE {
        return;
    }
    let unread = |position, device| position > event.base && (device != event.device || event.device.is_system());
    let beside_delete = before.deletes.newest().is_some_and(|d| unread(d.writer.position, d.writer.device));
    let plain_put = matches!(event.intent, Intent::Put(_));
    reach("put beside a delete", plain_put && beside_delete && before.deleted);
    reach("put beside a delete, after the return", plain_put && beside_delete && !before.deleted);
    reach("re-creation", before.deleted && !after.deleted);
    let mut writers = before.fields.values().map(|field| &field.writer);
    let beside_puts = writers.any(|writer| unread(writer.position, writer.device));
    reach("delete beside a put", matches!(event.intent, Intent::Delete) && beside_puts);
    let has_gone = |id| !after.open_conflicts.contains_key(id);
    let named = event.intent.conflict();
    reach("resolved", named.is_some());
    reach("overtaken", before.open_conflicts.keys().any(|id| Some(id) != named && has_gone(id)));
    reach("merged", outcome.verdict == Verdict::Merged);
    for (name, value) in event.intent.fields().filter(|_| plain_put && !beside_delete).into_iter().flat_map(|f| &f.0) {
        let Some(stored) = before.fields.get(name).filter(|s| unread(s.writer.position, s.writer.device)) else {
            continue;
        };
        let id = format!("{}.{name}", event.position);
        let is_open = after.open_conflicts.keys().any(|open| open.as_str() == id);
        let wins = after.fields[name].writer.position == event.position;
        reach("equal value", stored.value == *value);
        reach("concurrent win", stored.value != *value && wins);
        reach("concurrent loss", stored.value != *value && !wins && !is_open);
        reach("manual conflict", is_open);
    }
}

/// A record as a projector stores it.
struct Row {
    fields: Vec<u8>,
    state: Vec<u8>,
    deleted: bool,
    version: Position,
    touched: Position,
    updated_at: UnixMs,
}

impl Row {
    fn of(record: &Record) -> Self {
        let (mut fields, mut state) = (Vec::new(), Vec::new());
        record.write_fields(&mut fields);
        record.write_state(&mut state);
        Self {
            fields,
            state,
            deleted: record.deleted,
            version: record.version,
            touched: record.touched,
            updated_at: record.updated_at,
        }
    }

    fn read(&self) -> Record {
        let fields = Fields::from_msgpack(&self.fields).unwrap();
        Record::from_stored(fields, &self.state, self.deleted, (self.version, self.touched), self.updated_at).unwrap()
    }
}

/// Folds as a projector does: with a new folder for each chunk, which gets the catalog in force and the records that
/// the events name.
fn fold_in_chunks(events: &[Event], sizes: &[usize]) -> (BTreeMap<RecordKey, Row>, Vec<EventOutcome>) {
    let (mut rows, mut outcomes, mut catalog) = (BTreeMap::<RecordKey, Row>::new(), Vec::new(), None);
    let (mut rest, mut sizes) = (events, sizes.iter().cycle());
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        let mut folder = Folder::new();
        if let Some((version, catalog)) = catalog.clone() {
            folder.set_catalog(version, catalog);
        }
        for key in chunk.iter().map(RecordKey::of) {
            if let Some(row) = rows.get(&key) {
                folder.load(key, row.read());
            }
        }
        for event in chunk {
            outcomes.push(folder.fold(event).unwrap());
            if event.table.as_str() == CATALOG_TABLE {
                catalog = Some(Catalog::from_event(event).unwrap());
            }
        }
        rows.extend(folder.take_changed().into_iter().map(|(key, record)| (key, Row::of(&record))));
        rest = later;
    }
    (rows, outcomes)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    fn chunks_fold_as_the_whole(steps in vec(step(), 1..100), sizes in vec(1..9usize, 1..6)) {
        let events = log_of(&steps);
        let mut whole = Folder::new();
        let at_once: Vec<EventOutcome> = events.iter().map(|event| whole.fold(event).unwrap()).collect();
        let (rows, in_chunks) = fold_in_chunks(&events, &sizes);
        prop_assert_eq!(in_chunks, at_once);
        whole.take_changed();
        let read: BTreeMap<RecordKey, Record> = rows.iter().map(|(key, row)| (key.clone(), row.read())).collect();
        let records: BTreeMap<RecordKey, Record> = whole.records().map(|(k, r)| (k.clone(), r.clone())).collect();
        prop_assert_eq!(&read, &records);
        for (key, row) in &rows {
            let of_whole = Row::of(&records[key]);
            let (stored, expected) = ((&row.fields, &row.state), (&of_whole.fields, &of_whole.state));
            prop_assert_eq!(stored, expected, "equal records have equal bytes");
            prop_assert_eq!(&row.fields, &records[key].plain().to_msgpack());
        }
    }
}

/// FOLD-1, FOLD-2. The counts prove that the random logs reach every case of the rules.
#[test]
fn a_log_folded_in_chunks_gives_the_same_records_verdicts_and_bytes() {
    chunks_fold_as_the_whole();
    let reached = REACHED.lock().unwrap();
    for what in [
        "concurrent win",
        "concurrent loss",
        "equal value",
        "manual conflict",
        "resolved",
        "overtaken",
        "merged",
        "delete beside a put",
        "put beside a delete",
        "put beside a delete, after the return",
        "re-creation",
    ] {
        assert!(reached.get(what).is_some_and(|&count| count > 0), "no random log reached {what:?}: {reached:?}");
    }
}

//! What an engine on a phone does, by the crate without its default features: it reads the catalog from the log, folds
//! into a store of its own, and keeps ops as the bytes that it sends.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking too")]

use std::collections::BTreeMap;

use tidelog_core::error::Code;
use tidelog_core::event::Event;
use tidelog_core::fold::{EventOutcome, Folder, Record, RecordKey};
use tidelog_core::ids::Position;
use tidelog_core::op::Op;
use tidelog_core::time::UnixMs;
use tidelog_core::value::Fields;
use tidelog_core::wire::{Encoding, EventView, decode, encode};

/// A record as bytes, and the columns beside them.
struct StoredRecord {
    fields: Vec<u8>,
    state: Vec<u8>,
    deleted: bool,
    version: Position,
    touched: Position,
    updated_at: UnixMs,
}

impl StoredRecord {
    fn of(record: &Record) -> Self {
        let (mut fields, mut state) = (Vec::new(), Vec::new());
        record.write_fields(&mut fields);
        record.write_state(&mut state);
        let Record { deleted, version, touched, updated_at, .. } = *record;
        Self { fields, state, deleted, version, touched, updated_at }
    }

    fn read(&self) -> Record {
        let fields = Fields::from_msgpack(&self.fields).unwrap();
        Record::from_stored(fields, &self.state, self.deleted, (self.version, self.touched), self.updated_at).unwrap()
    }
}

/// Events as they are pulled: a catalog, and two devices that write, delete and restore two records.
fn log() -> Vec<Event> {
    let mut events = vec![
        r#""table": "_catalog", "record": "catalog", "kind": "put", "base": 0, "fields": {"version": 1,
        "catalog": {"roles": ["staff"], "tables": {"notes": {"on_delete": "rule", "fields": {
            "votes": {"merge": "sum"}, "owner": {"rule": "manual"}}}}}}"#
            .to_owned(),
    ];
    for (record, base) in [("a", 1), ("b", 1), ("a", 3), ("b", 4), ("a", 2), ("b", 2)] {
        events.push(format!(
            r#""table": "notes", "record": "{record}", "kind": "put", "base": {base},
               "fields": {{"title": "{record}{base}", "votes": {base}, "owner": "{base}"}}"#
        ));
        events.push(format!(r#""table": "notes", "record": "{record}", "kind": "delete", "base": {base}"#));
    }
    let events = events.into_iter().zip(1..).map(|(members, position)| {
        let device = if position == 1 { 0 } else { position % 3 + 1 };
        let view: EventView = serde_json::from_str(&format!(
            r#"{{"position": {position}, "batch": {position}, "device": "00000000-0000-4000-8000-00000000000{device}",
                 "seq": {position}, {members}, "at": "2026-11-20T08:00:00Z", "received_at": "2026-11-20T08:00:00Z",
                 "role": "staff"}}"#
        ))
        .unwrap();
        Event::try_from(view).unwrap()
    });
    events.collect()
}

#[test]
fn a_store_of_ones_own_has_the_records_of_a_whole_fold() {
    let log = log();
    let mut whole = Folder::new();
    let outcomes: Vec<EventOutcome> = log.iter().map(|event| whole.fold(event).unwrap()).collect();
    for page_events in [1, 2, 5] {
        let mut folder = Folder::new();
        let mut store: BTreeMap<RecordKey, StoredRecord> = BTreeMap::new();
        let mut outcomes_by_page = Vec::new();
        for page in log.chunks(page_events) {
            for event in page {
                let key = RecordKey::of(event);
                if !folder.holds_named(event)
                    && let Some(stored) = store.get(&key)
                {
                    folder.load(key, stored.read());
                }
                outcomes_by_page.push(folder.fold(event).unwrap());
            }
            store.extend(folder.unload().map(|(key, record)| (key, StoredRecord::of(&record))));
            assert_eq!((folder.records().count(), folder.changed().count()), (0, 0));
        }
        assert_eq!(outcomes_by_page, outcomes, "{page_events} events a page");
        let read: Vec<_> = store.iter().map(|(key, stored)| (key.clone(), stored.read())).collect();
        let expected: Vec<_> = whole.records().map(|(key, record)| (key.clone(), record.clone())).collect();
        assert_eq!(read, expected, "{page_events} events a page");
    }
}

#[test]
fn an_op_comes_back_from_its_bytes_and_what_is_no_op_is_refused() {
    let put = r#"{"seq":1,"table":"notes","record":"n-1","kind":"put","fields":{"title":"milk"},"base":4}"#;
    let op: Op = decode(Encoding::Json, put.as_bytes()).unwrap();
    assert_eq!(encode(Encoding::Json, &op).unwrap(), put.as_bytes());
    let packed = encode(Encoding::MessagePack, &op).unwrap();
    assert_eq!(decode::<Op>(Encoding::MessagePack, &packed).unwrap(), op);

    let code = |body: &str| decode::<Op>(Encoding::Json, body.as_bytes()).unwrap_err().code;
    assert_eq!(code(&put.replace("base", "bass")), Code::UnknownMember);
    assert_eq!(code(&put.replace("notes", "_devices")), Code::NameInvalid);
    assert_eq!(code(&put.replace("put", "delete")), Code::OpInvalid);
    assert_eq!(code(&put.replace(":4", ":99999999999999999999")), Code::NumberRange);
    assert_eq!(code(&format!("{put} {put}")), Code::JsonSyntax);
    let members = rmp_serde::to_vec(&(1, "notes", "n-1", "", "put")).unwrap();
    assert_eq!(decode::<Op>(Encoding::MessagePack, &members).unwrap_err().code, Code::ShapeInvalid);
}

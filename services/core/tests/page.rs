//! Pages that are put together from frames and encoded events equal what a serializer writes.

#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::event_ref::EventRef;
use tidelog_core::ids::{Actor, ConflictId, DeviceId, Position, RecordId, Role, Scope, Seq, TableName};
use tidelog_core::op::Kind;
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use tidelog_core::wire::{
    Encoding, EventView, JsonForm, PullResponse, encode, page_end, page_head, sync_frame, write_json,
};
use uuid::Uuid;

fn numbers() -> impl Strategy<Value = i64> {
    prop_oneof![0_i64..300, 60_000_i64..70_000, Just(u32::MAX.into()), 0..i64::MAX]
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,40}", "[a-zé\"\\\\\n]{1,80}", "[x]{250}"]
}

fn fields() -> impl Strategy<Value = Fields> {
    let value = prop_oneof![
        any::<i64>().prop_map(Value::Int),
        "[a-z\"é]{0,300}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::Binary),
        Just(Value::Null),
        Just(Value::Float(0.5)),
    ];
    proptest::collection::btree_map("[a-z]{1,12}", value, 0..20).prop_map(Fields)
}

prop_compose! {
    fn events()(
        kind in prop_oneof![Just(Kind::Put), Just(Kind::Delete), Just(Kind::Resolve)],
        (position, batch, seq, base) in (numbers(), numbers(), numbers(), numbers()),
        (at, received_at) in (-62_135_596_800_000_i64..253_402_300_799_999, 0_i64..4_000_000_000_000),
        (fields, deletes) in (fields(), any::<bool>()),
        (record, scope, actor) in (names(), proptest::option::of(names()), proptest::option::of(names())),
        device in any::<u128>(),
    ) -> EventView {
        let is_resolve = kind == Kind::Resolve;
        EventView {
            position: Position(position),
            batch: Position(batch),
            device: DeviceId(Uuid::from_u128(device)),
            seq: Seq(seq + 1 - i64::from(seq == i64::MAX)),
            table: TableName::parse("notes").unwrap(),
            record: RecordId::parse(record).unwrap(),
            scope: Scope::parse(scope.unwrap_or_default()).unwrap(),
            kind,
            delete: is_resolve && deletes,
            conflict: is_resolve.then(|| ConflictId::parse("6.text").unwrap()),
            fields: (kind == Kind::Put || (is_resolve && !deletes)).then_some(fields),
            base: Position(base),
            at: UnixMs(at),
            received_at: UnixMs(received_at),
            role: Role::parse("member").unwrap(),
            actor: Actor::parse(actor.unwrap_or_default()).unwrap(),
        }
    }
}

fn pages() -> impl Strategy<Value = PullResponse> {
    (proptest::collection::vec(events(), 0..20), numbers(), any::<bool>()).prop_map(|(events, number, more)| {
        let tables = |present| if present { vec![TableName::parse("plans").unwrap()] } else { Vec::new() };
        let cursor = match number {
            0 => Cursor::START,
            _ => Cursor { position: Position(number), check: CursorCheck(number ^ 7) },
        };
        PullResponse {
            cursor,
            position: Position(number),
            more,
            head: Position(number),
            catalog: 3,
            server_time: UnixMs(number % 1_000_000_000_000),
            resync: tables(more),
            drop: tables(number % 2 == 0),
            digests: more.then(|| [(TableName::parse("plans").unwrap(), "0".repeat(32))].into()),
            resync_scopes: if number % 3 == 0 { vec!["*".to_owned()] } else { Vec::new() },
            drop_scopes: if more { vec!["store-1".to_owned()] } else { Vec::new() },
            events,
        }
    })
}

/// The events, encoded from their stored form one after another.
fn packed(events: &[EventView]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        let stored = event.fields.as_ref().map(Fields::to_msgpack).unwrap_or_default();
        let event_ref = EventRef {
            position: event.position,
            batch: event.batch,
            device: event.device,
            seq: event.seq,
            table: event.table.as_str(),
            record: event.record.as_str(),
            scope: event.scope.as_str(),
            kind: event.kind,
            fields: &stored,
            conflict: event.conflict.as_ref().map_or("", |conflict| conflict.as_str()),
            base: event.base,
            at: event.at,
            received_at: event.received_at,
            role: event.role.as_str(),
            actor: event.actor.as_str(),
        };
        event_ref.write(&mut out);
    }
    out
}

fn framed(encoding: Encoding, page: &PullResponse) -> Vec<u8> {
    let packed = packed(&page.events);
    let mut frame = page_head(encoding, page, page.events.len()).unwrap();
    match encoding {
        Encoding::Json => write_json(&packed, JsonForm::Commas, &mut frame).unwrap(),
        Encoding::MessagePack => frame.extend_from_slice(&packed),
    }
    frame.extend_from_slice(page_end(encoding));
    frame
}

proptest! {
    #[test]
    fn a_page_is_what_the_serializer_writes_in_both_encodings(page in pages()) {
        let packed = framed(Encoding::MessagePack, &page);
        prop_assert_eq!(&packed, &encode(Encoding::MessagePack, &page).unwrap());
        let json = framed(Encoding::Json, &page);
        prop_assert_eq!(String::from_utf8(json.clone()).unwrap(), serde_json::to_string(&page).unwrap());
        prop_assert_eq!(&rmp_serde::from_slice::<PullResponse>(&packed).unwrap(), &page);
        prop_assert_eq!(&serde_json::from_slice::<PullResponse>(&json).unwrap(), &page);
    }

    #[test]
    fn each_line_of_ndjson_is_one_event(events in proptest::collection::vec(events(), 0..10)) {
        let mut lines = Vec::new();
        write_json(&packed(&events), JsonForm::Lines, &mut lines).unwrap();
        let lines = String::from_utf8(lines).unwrap();
        prop_assert!(lines.is_empty() || lines.ends_with('\n'));
        let read: Vec<EventView> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        prop_assert_eq!(read, events);
    }
}

#[test]
fn a_put_whose_fields_are_not_stored_sets_none() {
    let event = EventRef {
        position: Position(1),
        batch: Position(1),
        device: DeviceId::SYSTEM,
        seq: Seq(1),
        table: "notes",
        record: "n",
        scope: "",
        kind: Kind::Put,
        fields: &[],
        conflict: "",
        base: Position(0),
        at: UnixMs(0),
        received_at: UnixMs(0),
        role: "member",
        actor: "",
    };
    let mut packed = Vec::new();
    event.write(&mut packed);
    assert_eq!(rmp_serde::from_slice::<EventView>(&packed).unwrap().fields, Some(Fields::default()));
}

#[test]
fn a_sync_frame_has_the_members_where_the_serializer_puts_them() {
    let both = [("push", 1), ("pull", 2)];
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let [before, between, after] = sync_frame(encoding);
        let number = |number: i64| encode(encoding, &number).unwrap();
        let frame = [before, &number(1), between, &number(2), after].concat();
        let read: std::collections::BTreeMap<String, i64> = match encoding {
            Encoding::Json => serde_json::from_slice(&frame).unwrap(),
            Encoding::MessagePack => rmp_serde::from_slice(&frame).unwrap(),
        };
        assert_eq!(read, both.map(|(name, number)| (name.to_owned(), number)).into());
    }
}

//! PULL-1 of [`LogReader`], over logs of every shape: whole batches, in order, each once, wherever the reader begins.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which print their seeds")]

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tidelog_core::cursor::Cursor;
use tidelog_core::digest::Digest;
use tidelog_core::ids::{DeviceId, Position, Scope, Scopes, TableName, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use tidelog_core::wire::{EventView, JsonForm, write_json};
use tidelog_postgres::{
    EventFilter, LogError, LogReader, PackedPage, PackedPageLimits, Store, StoreConfig, StoreError,
};
use tidelog_testkit::{StoredEvent, TestDatabase};
use uuid::Uuid;

const WORKSPACE: WorkspaceId = WorkspaceId(Uuid::from_u128(7));
const DEVICE: Uuid = Uuid::from_u128(8);
const BATCH_MAX: i64 = 60;
const ALL: PackedPageLimits = PackedPageLimits { events: usize::MAX, bytes: usize::MAX, positions: i64::MAX };

fn event(random: &mut StdRng, position: i64, batch: i64, table: &str, text_bytes: usize) -> StoredEvent {
    let fields = Fields::from_iter([("text", Value::Text("x".repeat(text_bytes)))]);
    StoredEvent {
        position: Position(position),
        batch: Position(batch),
        table: table.to_owned(),
        scope: ["", "", "a", "b"].choose(random).unwrap().to_string(),
        is_rejected: random.random_bool(0.1),
        fields: fields.to_msgpack(),
        digest: Digest(random.random()),
        received_at: UnixMs(1_790_000_000_000 + position),
    }
}

/// A log of batches with three tables: one common, one rare, and one that only the middle of the log has.
fn log(random: &mut StdRng, length: i64) -> Vec<StoredEvent> {
    let mut events = Vec::new();
    while (events.len() as i64) < length {
        let batch = events.len() as i64 + 1;
        for position in batch..batch + random.random_range(1..=BATCH_MAX) {
            let is_middle = (length / 3..length * 2 / 3).contains(&position);
            let table = match random.random_range(0..100) {
                0..2 => "rare",
                _ if is_middle => "middle",
                _ => "common",
            };
            let text_bytes = if random.random_bool(0.02) { 20_000 } else { random.random_range(0..500) };
            events.push(event(random, position, batch, table, text_bytes));
        }
    }
    events
}

async fn store(database: &TestDatabase, events: &[StoredEvent]) -> Store {
    let store = Store::new(&StoreConfig { url: database.url().to_owned(), pool_size: 4 }).unwrap();
    store.create_workspace(WORKSPACE, "test", &[], UnixMs(0)).await.unwrap();
    database.write_log(WORKSPACE, DEVICE, events).await;
    store
}

fn views(page: &PackedPage) -> Vec<EventView> {
    let mut lines = Vec::new();
    write_json(&page.events, JsonForm::Lines, &mut lines).unwrap();
    lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// The batch boundaries of a log, its start among them.
fn boundaries(events: &[StoredEvent]) -> Vec<Cursor> {
    let ends = events.iter().zip(events.iter().skip(1)).filter(|(one, next)| one.batch != next.batch);
    let ends = ends.map(|(one, _)| one.cursor()).chain(events.last().map(StoredEvent::cursor));
    [Cursor::START].into_iter().chain(ends).collect()
}

#[tokio::test]
async fn pages_hold_every_visible_event_once_in_whole_batches() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let events = log(&mut random, 4_000);
    let (boundaries, head) = (boundaries(&events), events.last().unwrap().position);
    let database = TestDatabase::create().await;
    let store = store(&database, &events).await;
    for _ in 0..60 {
        let tables =
            [None, Some(&["common"][..]), Some(&["rare"]), Some(&["middle"]), Some(&[])].choose(&mut random).copied();
        let (tables, scopes) = (tables.unwrap(), [None, Some(&["", "a"][..])].choose(&mut random).copied().unwrap());
        let names: Option<Vec<_>> =
            tables.map(|list| list.iter().map(|name| TableName::parse(*name).unwrap()).collect());
        // The same scopes come about by what is granted, by what is wanted, and by both together.
        let wanted = ["a", "b"].map(|scope| Scope::parse(scope).unwrap());
        let (granted, wanted) = match scopes {
            None => (Scopes::All, None),
            Some(_) => [
                (Scopes::parse(&["a"]).unwrap(), None),
                (Scopes::All, Some(&wanted[..1])),
                (Scopes::parse(&["z", "a"]).unwrap(), Some(&wanted[..])),
            ]
            .choose(&mut random)
            .cloned()
            .unwrap(),
        };
        let filter = EventFilter::new(names.as_ref().map(|names| names.iter()), &granted, wanted);
        let limits = PackedPageLimits {
            events: *[1, 7, 130, 1_000, usize::MAX].choose(&mut random).unwrap(),
            bytes: *[1, 10_000, 200_000, usize::MAX].choose(&mut random).unwrap(),
            positions: *[BATCH_MAX, 150, 1_000, i64::MAX].choose(&mut random).unwrap(),
        };
        let after = *boundaries.choose(&mut random).unwrap();
        let case = format!("tables {tables:?}, scopes {scopes:?}, {limits:?}, after {after}");
        let mut reader = LogReader::new(store.clone(), WORKSPACE, filter, (after, head), limits);
        let (mut seen, mut begin) = (Vec::new(), after.position);
        let shown = |event: &&StoredEvent| event.is_seen(tables, scopes) && event.position > after.position;
        while let Some(page) = reader.next_page().await.unwrap() {
            let views = views(&page);
            assert_eq!(views.len(), page.count, "{case}");
            assert!(boundaries.contains(&page.end), "{case}: a page ends at {}", page.end);
            assert!(page.end.position.0 - begin.0 <= limits.positions, "{case}: a page looks too far");
            let last_batch = views.last().map(|view| view.batch);
            let before: Vec<_> = views.iter().filter(|view| Some(view.batch) != last_batch).collect();
            assert!(
                views.is_empty() || seen.len() + before.len() < limits.events,
                "{case}: a page goes on when it is full"
            );
            let next = events.iter().find(|event| event.batch.0 == page.end.position.0 + 1);
            let next_end = next.and_then(|next| events.iter().rfind(|event| event.batch == next.batch));
            let is_full = page.events.len() >= limits.bytes || seen.len() + page.count >= limits.events;
            let would_look_too_far =
                next_end.is_some_and(|end| end.position.0 > begin.0.saturating_add(limits.positions));
            assert!(next.is_none() || is_full || would_look_too_far, "{case}: a page ends early at {}", page.end);
            begin = page.end.position;
            seen.extend(views.iter().map(|view| (view.position, view.batch)));
        }
        let all: Vec<_> = events.iter().filter(shown).map(|event| (event.position, event.batch)).collect();
        assert_eq!(seen, all[..seen.len()], "{case}");
        assert!(seen.len() == all.len() || seen.len() >= limits.events, "{case}: {} of {}", seen.len(), all.len());
    }
}

#[tokio::test]
async fn rows_far_heavier_than_the_rows_before_are_read_as_well() {
    let mut random = StdRng::seed_from_u64(1);
    let mut events: Vec<_> = (1..=200).map(|position| event(&mut random, position, position, "common", 10)).collect();
    events.extend((201..=240).map(|position| event(&mut random, position, position, "common", 250_000)));
    let database = TestDatabase::create().await;
    let store = store(&database, &events).await;
    let (filter, range) = (EventFilter::all(), (Cursor::START, Position(240)));
    let mut reader = LogReader::new(store, WORKSPACE, filter, range, PackedPageLimits { bytes: 1_000_000, ..ALL });
    let mut seen = Vec::new();
    while let Some(page) = reader.next_page().await.unwrap() {
        seen.extend(views(&page).iter().map(|view| view.position));
    }
    let all: Vec<_> = events.iter().filter(|event| event.is_seen(None, None)).map(|event| event.position).collect();
    assert_eq!(seen, all);
}

/// SEC-1: whether the events are read and dropped here, or left out by the database.
#[tokio::test]
async fn a_device_sees_the_role_and_scopes_of_no_other() {
    let mut random = StdRng::seed_from_u64(4);
    let mut events: Vec<_> = (1..=2_000).map(|at| event(&mut random, at, at, "common", 10)).collect();
    let [own, other] = [1, 2].map(|number| DeviceId(Uuid::from_u128(number)));
    let fields = ["replaces", "role", "scopes"].map(|name| (name, Value::Text("x".to_owned())));
    for at in [3, 4, 1_500, 1_600] {
        let event = &mut events[at - 1];
        (event.table, event.scope, event.is_rejected) = ("_devices".to_owned(), String::new(), false);
        event.fields = Fields::from_iter(fields.clone()).to_msgpack();
    }
    let database = TestDatabase::create().await;
    let store = store(&database, &events).await;
    for (device, positions) in [(own, "3, 1500"), (other, "4, 1600")] {
        let name = format!("UPDATE tidelog.log SET record = '{device}' WHERE position IN ({positions})");
        database.connect().await.batch_execute(&name).await.unwrap();
    }
    let filters = [EventFilter::all(), EventFilter::new(Some([].iter()), &Scopes::All, None)];
    for (filter, is_device) in filters.iter().flat_map(|filter| [(filter.clone(), false), (filter.clone(), true)]) {
        let filter = if is_device { filter.of_device(own) } else { filter };
        let mut reader = LogReader::new(store.clone(), WORKSPACE, filter, (Cursor::START, Position(2_000)), ALL);
        let (mut shown, mut access) = (Vec::new(), Vec::new());
        while let Some(page) = reader.next_page().await.unwrap() {
            access.extend(page.access_events.iter().map(|(position, _)| position.0));
            let devices = views(&page).into_iter().filter(|view| view.table.as_str() == "_devices");
            shown.extend(devices.map(|view| (view.position.0, view.fields.unwrap().0.into_keys().collect::<Vec<_>>())));
        }
        let whole = vec!["replaces", "role", "scopes"];
        let of_others = if is_device { vec!["replaces"] } else { whole.clone() };
        let expected = [(3, whole.clone()), (4, of_others.clone()), (1_500, whole), (1_600, of_others)];
        let expected = expected.map(|(at, names)| (at, names.into_iter().map(str::to_owned).collect::<Vec<_>>()));
        assert_eq!(shown, expected);
        assert_eq!(access, if is_device { vec![3, 1_500] } else { vec![] }, "what changes what the reader sees");
    }
}

#[tokio::test]
async fn a_log_that_is_replaced_between_two_reads_is_noticed() {
    let mut random = StdRng::seed_from_u64(2);
    let single = |random: &mut StdRng| (1..=1_000).map(|at| event(random, at, at, "common", 10)).collect::<Vec<_>>();
    for filter in [EventFilter::all(), EventFilter::new(Some([].iter()), &Scopes::All, None)] {
        let (events, others) = (single(&mut random), single(&mut random));
        let database = TestDatabase::create().await;
        let store = store(&database, &events).await;
        let limits = PackedPageLimits { bytes: 1_000, positions: 50, ..ALL };
        let mut reader = LogReader::new(store, WORKSPACE, filter, (Cursor::START, Position(1_000)), limits);
        let first = reader.next_page().await.unwrap().unwrap();
        database.cut_log(WORKSPACE, Position(0)).await;
        database.write_log(WORKSPACE, DEVICE, &others).await;
        let mut ends = vec![first.end];
        let error = loop {
            match reader.next_page().await {
                Ok(Some(page)) => ends.push(page.end),
                Ok(None) => panic!("the other log was read to its end"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, LogError::Diverged), "{error}");
        let old = boundaries(&events);
        assert!(ends.iter().all(|end| old.contains(end)), "no page of the other log");
    }
}

#[tokio::test]
async fn a_log_without_one_of_its_positions_is_reported_as_damaged() {
    let mut random = StdRng::seed_from_u64(3);
    let mut events: Vec<_> = (1..=300).map(|at| event(&mut random, at, at, "common", 10)).collect();
    events.retain(|event| event.position != Position(200));
    let database = TestDatabase::create().await;
    let store = store(&database, &events).await;
    let mut reader = LogReader::new(store, WORKSPACE, EventFilter::all(), (Cursor::START, Position(300)), ALL);
    let error = reader.next_page().await.unwrap_err();
    assert!(matches!(&error, LogError::Store(StoreError::Corrupt(what)) if what.contains("200")), "{error}");
}

//! Plain records name their open conflicts, to those alone who may read the records.

use serde_json::{Value as Json, json};
use tidelog_core::ids::{ConflictId, Position, Scope};
use tidelog_core::op::Op;
use tidelog_core::wire::{Encoding, Outcome, RecordView};
use tidelog_testkit::{Phone, Reader};

use crate::conflicts::world::World;

const PATH: &str = "/api/v1/records/notes/n";

/// The open conflicts of the note, as every read of plain records shows them.
async fn open(phone: &Phone) -> Vec<ConflictId> {
    let single = phone.record("notes", "n").await.open;
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let phone = phone.clone().speaking(encoding);
        assert_eq!(phone.record("notes", "n").await.open, single);
        let records = phone.records().await;
        let listed = records.iter().find(|record| record.record.as_str() == "n").unwrap();
        assert_eq!(listed.open, single, "{encoding:?}");
    }
    let lines = phone.http.lines("/api/v1/sync/records").await;
    let line = lines.iter().find(|line| line["record"] == "n").unwrap();
    let expected = if single.is_empty() { Json::Null } else { json!(single) };
    assert_eq!(line.get("open").cloned().unwrap_or_default(), expected, "left out where none is open");
    single
}

/// The position of the op that met the conflicts.
fn position_of(outcome: &Outcome) -> Position {
    outcome.conflicts[0].parts().unwrap().0
}

async fn etag(phone: &Phone) -> String {
    phone.http.get(PATH).await.headers["etag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_record_names_its_open_conflicts_until_they_are_settled() {
    let mut world = World::start().await;
    let by = |name: &str| json!({"title": name, "text": name, "a": name});
    let outcome = world.meet_by_puts("notes", "n", by("office"), by("tablet")).await;
    let [a, text, title] = ["a", "text", "title"].map(|field| ConflictId::of(position_of(&outcome), field));
    assert_eq!(open(&world.office).await, [a.clone(), text.clone(), title.clone()]);
    let before = etag(&world.office).await;

    world.settle(&text, json!({"choose": "winner"})).await;
    assert_eq!(open(&world.office).await, [a.clone(), title.clone()]);
    let after = etag(&world.office).await;
    assert_ne!(before, after, "the representation has changed");
    // An op that knows of both events, and writes what stands already, closes a conflict without another change.
    world.both_pull().await;
    let version = world.record("notes", "n").await.version;
    let op = world.tablet.put("notes", "n", json!({"a": "office", "title": "office"}));
    world.tablet.push_and_wait(&[op]).await;
    assert_eq!(open(&world.office).await, []);
    assert_eq!(world.record("notes", "n").await.version, version);
    assert_ne!(etag(&world.office).await, after);

    // A snapshot with the state of the fold has them by id, with both events, and an as-of read those of its time.
    let as_of: RecordView = world.office.http.get(&format!("{PATH}?as_of={}", position_of(&outcome))).await.good();
    assert_eq!(as_of.open, [a, text, title]);
    let (full, _) = world.office.records_in_pages_of(100, "&state=full").await;
    assert!(full.iter().all(|record| record.open.is_empty() && record.conflicts.is_some()));
}

#[tokio::test]
async fn a_conflict_that_opens_without_another_change_changes_the_etag() {
    let mut world = World::start().await;
    world.both_pull().await;
    let op = world.office.put("notes", "n", json!({"text": "office"}));
    world.office.push_and_wait(&[op]).await;
    let before = etag(&world.office).await;
    let op = world.tablet.put("notes", "n", json!({"text": "tablet"}));
    world.tablet.push_and_wait(&[op]).await;
    let record = world.record("notes", "n").await;
    assert_eq!((record.version.0, record.open.len()), (3, 1));
    let request = world.office.http.request(reqwest::Method::GET, PATH).header("if-none-match", &before);
    assert_eq!(world.office.http.send(request).await.unwrap().status, 200, "{before} is of another representation");
}

/// SEC-1: ids of conflicts name fields and positions, so they are shown with the records alone.
#[tokio::test]
async fn a_device_is_shown_no_conflict_of_a_scope_that_it_may_not_read() {
    let mut world = World::start().await;
    let in_scope = |op: Op| Op { scope: Scope::parse("store-12").unwrap(), ..op };
    let outcome = world
        .meet(
            |office| in_scope(office.put("notes", "n", json!({"canary": 1}))),
            |tablet| in_scope(tablet.put("notes", "n", json!({"canary": 2}))),
        )
        .await;
    world.meet_by_puts("notes", "n", json!({"text": 1}), json!({"text": 2})).await;
    let (store_12, store_13) = (
        world.app.phone_as("12", "staff", &["store-12"]).await,
        world.app.phone_as("13", "staff", &["store-13"]).await,
    );
    let here = store_12.http.get(&format!("{PATH}?scope=store-12")).await.good::<RecordView>();
    assert_eq!(here.open, outcome.conflicts);
    for path in ["/api/v1/sync/records", "/api/v1/sync/records?scopes=store-12", PATH] {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let response = store_13.clone().speaking(encoding).http.get(path).await;
            assert_eq!(response.status, 200);
            assert!(!response.text().contains("canary"), "{path} {}", response.text());
        }
        let lines = store_13.http.request_lines(path);
        assert!(!store_13.http.send(lines).await.unwrap().text().contains("canary"), "{path}");
    }
    assert_eq!(store_13.status().await.open_conflicts, 1);
}

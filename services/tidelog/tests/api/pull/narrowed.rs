//! Reads that ask for some scopes, and what of counts and digests a device may see (SEC-1).

use std::collections::BTreeMap;

use serde_json::json;
use tidelog_core::fold::RecordKey;
use tidelog_core::fold::table_digest::{RecordHash, TableDigest};
use tidelog_core::ids::{Scope, TableName};
use tidelog_core::op::Op;
use tidelog_core::wire::{Encoding, RecordView, SyncResponse};
use tidelog_testkit::{Http, Phone, Reader, TestApp};

const ENCODINGS: [Encoding; 2] = [Encoding::Json, Encoding::MessagePack];

/// A server with one note of everyone, one of store 12, two of store 13 and one of store 14; and one deleted of each.
async fn stores() -> (TestApp, Phone) {
    let app = TestApp::start().await;
    let mut writer = app.phone("writer").await;
    for (scope, count) in [("", 1), ("store-12", 1), ("store-13", 2), ("store-14", 1)] {
        for number in 0..count {
            let op = writer.put("notes", &format!("{scope}:{number}"), json!({"of": scope}));
            writer.push(&[in_scope(op, scope)]).await;
        }
        let ops = [writer.put("notes", "gone", json!({})), writer.delete("notes", "gone")];
        writer.push(&ops.map(|op| in_scope(op, scope))).await;
    }
    app.folded().await;
    (app, writer)
}

fn in_scope(op: Op, scope: &str) -> Op {
    Op { scope: Scope::parse(scope).unwrap(), ..op }
}

fn sorted(scopes: impl Iterator<Item = String>) -> Vec<String> {
    let mut scopes: Vec<_> = scopes.collect();
    scopes.sort();
    scopes.dedup();
    scopes
}

/// The scopes of what every form of every read returns for a query.
async fn scopes_of(http: &Http, query: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for encoding in ENCODINGS {
        let http = http.clone().speaking(encoding);
        let events = http.pull_page(query).await.events;
        let events = events.iter().filter(|event| !event.table.is_server_owned());
        seen.push(sorted(events.map(|event| event.scope.to_string())));
        seen.push(sorted(http.records_page(query).await.records.iter().map(|record| record.scope.to_string())));
    }
    for path in ["/api/v1/sync/pull", "/api/v1/sync/records"] {
        let lines = http.lines(&format!("{path}?{query}")).await;
        let lines = lines.iter().filter(|line| line["table"] == "notes");
        seen.push(sorted(lines.map(|line| line.get("scope").map_or("", |it| it.as_str().unwrap()).to_owned())));
    }
    let pages = http.pages(&format!("/api/v1/sync/pull?{query}")).await;
    let events = pages.iter().flat_map(|page| &page.events).filter(|event| !event.table.is_server_owned());
    seen.push(sorted(events.map(|event| event.scope.to_string())));
    let first = seen[0].clone();
    assert!(seen.iter().all(|scopes| *scopes == first), "{query}: {seen:?}");
    first
}

#[tokio::test]
async fn a_read_of_some_scopes_returns_these_and_that_of_everyone_as_far_as_they_are_granted() {
    let (app, all) = stores().await;
    let some = app.phone_as("some", "member", &["store-12", "store-13"]).await;
    let analyst = app.analyst().await;
    for (query, of_all, of_some) in [
        ("", vec!["", "store-12", "store-13", "store-14"], vec!["", "store-12", "store-13"]),
        ("scopes=store-12", vec!["", "store-12"], vec!["", "store-12"]),
        ("scopes=store-14,store-13", vec!["", "store-13", "store-14"], vec!["", "store-13"]),
        ("scopes=store-13%2Cstore-12", vec!["", "store-12", "store-13"], vec!["", "store-12", "store-13"]),
        ("scopes=store-14", vec!["", "store-14"], vec![""]),
        ("scopes=never", vec![""], vec![""]),
        ("scopes=", vec![""], vec![""]),
        ("scopes=store-12&tables=tasks", vec![], vec![]),
    ] {
        assert_eq!(scopes_of(&all.http, query).await, of_all, "{query}");
        assert_eq!(scopes_of(&analyst, query).await, of_all, "{query}");
        assert_eq!(scopes_of(&some.http, query).await, of_some, "{query}");
    }
    for path in ["pull", "records", "status"] {
        for scopes in ["*", "a,*", "%00"] {
            let path = format!("/api/v1/sync/{path}?scopes={scopes}");
            some.http.get(&path).await.refused(422, "query_invalid");
        }
    }
}

#[tokio::test]
async fn the_pull_of_a_push_takes_scopes_too() {
    let (app, _) = stores().await;
    for encoding in ENCODINGS {
        let phone =
            app.phone_as(&format!("{encoding:?}"), "member", &["store-12", "store-13"]).await.speaking(encoding);
        for (scopes, expected) in [
            (json!(["store-13", "store-14"]), vec!["", "store-13"]),
            (json!([]), vec![""]),
            (json!(null), vec!["", "store-12", "store-13"]),
        ] {
            let body = json!({"ops": [], "scopes": scopes, "tables": ["notes"]});
            let response: SyncResponse = phone.http.post("/api/v1/sync", &body).await.good();
            let events = response.pull.events.iter().filter(|event| !event.table.is_server_owned());
            assert_eq!(sorted(events.map(|event| event.scope.to_string())), expected);
        }
        phone.http.post("/api/v1/sync", &json!({"ops": [], "scopes": ["*"]})).await.refused(422, "name_invalid");
        phone.http.post("/api/v1/sync/push", &json!({"ops": [], "scopes": []})).await.refused(422, "unknown_member");
    }
}

#[tokio::test]
async fn a_cursor_goes_on_with_other_scopes() {
    let (app, mut writer) = stores().await;
    let phone = app.phone("phone").await;
    let pulled = phone.pull_page("scopes=store-12").await;
    assert_eq!(pulled.position, pulled.head, "the cursor is past what was left out");
    let read = phone.records_page("scopes=store-12").await;
    let op = writer.put("notes", "new", json!({}));
    writer.push_and_wait(&[in_scope(op, "store-13")]).await;
    for (scopes, found) in [("scopes=store-13&", 1), ("", 1), ("scopes=store-12&", 0)] {
        let page = phone.pull_page(&format!("{scopes}after={}", pulled.cursor)).await;
        assert_eq!(page.events.len(), found, "{scopes}");
        let page = phone.records_page(&format!("{scopes}after={}", read.end.cursor)).await;
        assert_eq!(page.records.len(), found, "{scopes}");
    }
}

/// The digests and counts of records, as a client computes them.
fn digests_of(records: &[RecordView]) -> (BTreeMap<TableName, String>, BTreeMap<TableName, i64>) {
    let mut tables: BTreeMap<TableName, TableDigest> = BTreeMap::new();
    for record in records.iter().filter(|record| !record.deleted) {
        let (table, scope, record_id) = (record.table.clone(), record.scope.clone(), record.record.clone());
        let key = RecordKey { table: table.clone(), scope, record: record_id };
        tables.entry(table).or_default().add(RecordHash::of_fields(&key, &record.fields));
    }
    let counts = tables.iter().map(|(table, digest)| (table.clone(), digest.records)).collect();
    (tables.into_iter().map(|(table, digest)| (table, digest.to_string())).collect(), counts)
}

#[tokio::test]
async fn counts_and_digests_cover_what_the_caller_may_read_and_asks_for() {
    let (app, all) = stores().await;
    let some = app.phone_as("some", "member", &["store-12", "store-13"]).await;
    let analyst = app.analyst().await;
    for (query, of_all, of_some) in
        [("", 5, 4), ("scopes=store-13", 3, 3), ("scopes=store-14,store-12", 3, 2), ("scopes=store-14", 2, 1)]
    {
        for (http, count) in [(&all.http, of_all), (&analyst, of_all), (&some.http, of_some)] {
            let (digests, counts) = digests_of(&http.records_page(query).await.records);
            for http in ENCODINGS.map(|encoding| http.clone().speaking(encoding)) {
                let status = http.status_of(query).await;
                assert_eq!((status.digests_at, status.digests_at), (status.projected, status.head));
                assert_eq!(status.records.values().sum::<i64>(), count, "{query}");
                assert_eq!((&status.digests, status.records.get("notes")), (&digests, counts.get("notes")), "{query}");
                let query = format!("digests=true&{query}");
                let page = http.pull_page(&query).await;
                assert_eq!((page.position, page.digests.as_ref()), (page.head, Some(&digests)), "{query}");
                let last = http.lines(&format!("/api/v1/sync/pull?{query}")).await.pop().unwrap();
                assert_eq!(last["digests"], json!(digests), "{query}");
                let pages = http.pages(&format!("/api/v1/sync/pull?{query}")).await;
                assert_eq!(pages.last().unwrap().digests.as_ref(), Some(&digests), "{query}");
            }
        }
    }
}

#[tokio::test]
async fn the_status_counts_the_records_of_each_table_that_may_be_read() {
    let catalog = "roles = [\"boss\", \"staff\"]\n[tables.notes]\n[tables.tasks]\n[tables.secret]\nread = [\"boss\"]";
    let app = TestApp::build().catalog(catalog).start().await;
    let (mut boss, staff) = (app.phone_as("boss", "boss", &["*"]).await, app.phone_as("staff", "staff", &[]).await);
    let ops = ["notes", "secret"].map(|table| boss.put(table, "r", json!({})));
    boss.push_and_wait(&ops).await;
    let counts = |status: &tidelog_core::wire::Status| serde_json::to_value(&status.records).unwrap();
    assert_eq!(counts(&boss.status().await), json!({"notes": 1, "secret": 1, "tasks": 0}));
    let notes = TableName::parse("notes").unwrap();
    for encoding in ENCODINGS {
        let staff = staff.clone().speaking(encoding);
        assert_eq!(counts(&staff.status().await), json!({"notes": 1, "tasks": 0}));
        let digests = [staff.status().await.digests, staff.pull_page("digests=true").await.digests.unwrap()];
        assert_eq!(digests.map(|digests| digests.into_keys().collect::<Vec<_>>()), [[notes.clone()], [notes.clone()]]);
    }
}

#[tokio::test]
async fn a_page_has_digests_where_the_projector_is_exactly_there_and_if_asked_alone() {
    let app = TestApp::build().without_projector().start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    let page = phone.pull_page("digests=true").await;
    assert_eq!((page.position.0, page.digests), (3, None), "nothing is folded yet");
    let projector = app.another_server(tidelog::Roles { gateway: false, projector: true }).await;
    app.folded().await;
    projector.stop().await;
    for (query, expected) in [("digests=true", true), ("digests=false", false), ("", false)] {
        assert_eq!(phone.pull_page(query).await.digests.is_some(), expected, "{query}");
    }
    assert_eq!(phone.pull_page("digests=true&tables=tasks").await.digests.unwrap().len(), 0, "as the page is narrowed");
    phone.saves("notes", "b", json!({})).await;
    assert_eq!(phone.pull_page("digests=true").await.digests, None, "the page is past the projector");
    let first = phone.pull_page("digests=true&limit=3").await;
    assert_eq!((first.position.0, first.digests.unwrap().len()), (3, 1), "the projector is where this page ends");
    phone.http.get("/api/v1/sync/pull?digests=1").await.refused(422, "query_invalid");
}

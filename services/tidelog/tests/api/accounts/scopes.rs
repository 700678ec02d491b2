//! SEC-1: nothing of a scope that was not granted, or of another workspace, is readable or writable.

use serde_json::json;
use tidelog_core::ids::Scope;
use tidelog_core::op::Op;
use tidelog_core::wire::EventView;
use tidelog_testkit::{Reader, TestApp};

fn in_scope(op: Op, scope: &str) -> Op {
    Op { scope: Scope::parse(scope).unwrap(), ..op }
}

fn tables(events: &[EventView]) -> Vec<&str> {
    events.iter().map(|event| event.table.as_str()).collect()
}

#[tokio::test]
async fn a_store_neither_pulls_nor_pushes_another_stores_scope() {
    let app = TestApp::start().await;
    let mut store_12 = app.phone_as("12", "member", &["store-12"]).await;
    let mut store_13 = app.phone_as("13", "member", &["store-13"]).await;
    let ops = [
        in_scope(store_12.put("notes", "same-id", json!({"of": 12})), "store-12"),
        in_scope(store_12.put("notes", "same-id", json!({"of": 13})), "store-13"),
        store_12.put("notes", "for-all", json!({"of": "all"})),
    ];
    let rejected = store_12.push(&ops).await.rejected;
    assert_eq!(rejected.len(), 1);
    assert_eq!((rejected[0].seq.0, rejected[0].code.as_str()), (2, "scope_forbidden"));
    let op = in_scope(store_13.put("notes", "same-id", json!({"of": 13})), "store-13");
    assert_eq!(store_13.push(&[op]).await.rejected, []);
    app.folded().await;

    for (store, own) in [(&mut store_12, "store-12"), (&mut store_13, "store-13")] {
        let scopes: Vec<_> = store.pull_ops().await.iter().map(|event| event.scope.to_string()).collect();
        assert!(scopes.iter().all(|scope| scope.is_empty() || scope == own), "{scopes:?}");
        assert_eq!(scopes.iter().filter(|scope| *scope == own).count(), 1);
        let records = store.records().await;
        assert!(records.iter().all(|record| record.scope.as_str().is_empty() || record.scope.as_str() == own));
        assert_eq!(records.len(), 2);
    }
    assert_eq!(store_12.fields("notes", "same-id?scope=store-12").await, json!({"of": 12}));
    store_12.http.get("/api/v1/records/notes/same-id?scope=store-13").await.refused(404, "not_found");
    let all = app.phone_as("head office", "member", &["*"]).await.records().await;
    assert_eq!(all.len(), 3, "two stores may use the same record id");
}

#[tokio::test]
async fn a_role_reads_and_writes_only_what_the_catalog_lets_it() {
    let catalog = "roles = [\"boss\", \"staff\"]\n[tables.open]\n[tables.secret]\nread = [\"boss\"]\n[tables.fixed]\nwrite = [\"boss\"]";
    let app = TestApp::build().catalog(catalog).start().await;
    let mut boss = app.phone_as("boss", "boss", &[]).await;
    let mut staff = app.phone_as("staff", "staff", &[]).await;
    let ops = ["open", "secret", "fixed"].map(|table| boss.put(table, "r", json!({"canary": "q7x"})));
    assert_eq!(boss.push(&ops).await.rejected, []);
    let ops = ["open", "secret", "fixed"].map(|table| staff.put(table, "s", json!({})));
    let rejected = staff.push(&ops).await.rejected;
    assert_eq!(rejected.iter().map(|rejected| rejected.seq.0).collect::<Vec<_>>(), [3]);
    app.folded().await;
    assert_eq!(tables(&staff.pull_ops().await), ["open", "fixed", "open"]);
    assert_eq!(tables(&boss.pull_ops().await), ["open", "secret", "fixed", "open", "secret"]);
    assert!(staff.records().await.iter().all(|record| record.table.as_str() != "secret"));
    staff.http.get("/api/v1/records/secret/r").await.refused(404, "not_found");
    let page = staff.pull_page("tables=secret").await;
    assert!(page.events.iter().all(|event| event.table.is_server_owned()), "naming the table does not help");
    assert_eq!(page.position, page.head, "and the cursor moves past it");
}

#[tokio::test]
async fn a_workspace_shows_nothing_to_another() {
    let app = TestApp::start().await;
    let mut phone = app.phone("here").await;
    phone.saves("notes", "n", json!({"canary": "q7x"})).await;
    let other = app.another_workspace().await;
    let mut stranger = app.phone_of(other, "there", "member").await;
    stranger.saves("notes", "own", json!({})).await;
    app.folded().await;
    let device = phone.device;
    for path in [
        "/api/v1/sync/pull".to_owned(),
        "/api/v1/sync/records".to_owned(),
        "/api/v1/sync/records?state=full".to_owned(),
        "/api/v1/records/notes/n".to_owned(),
        "/api/v1/devices".to_owned(),
        format!("/api/v1/devices/{device}"),
        "/api/v1/sync/status".to_owned(),
    ] {
        let text = stranger.http.get(&path).await.text();
        assert!(!text.contains("q7x") && !text.contains(&device.to_string()), "{path}: {text}");
    }
    stranger.http.delete(&format!("/api/v1/devices/{device}")).await.refused(403, "forbidden");
    phone.pull().await;
    stranger.pull().await;
    let of_another_log = phone.cursor.unwrap();
    let path = format!("/api/v1/sync/pull?after={of_another_log}");
    stranger.http.get(&path).await.refused(409, "cursor_diverged");
}

//! The catalog is in the log: every log starts with it, and gets it again before the first append under new rules.

use serde_json::{Value as Json, json};
use tidelog_core::wire::{PullResponse, PushResponse};
use tidelog_testkit::TestApp;

const FIRST: &str = "roles = [\"staff\", \"boss\"]\n[tables.notes]\n[tables.plans]\nread = [\"boss\"]";
const SECOND: &str =
    "roles = [\"staff\", \"boss\"]\n[tables.notes]\nwrite = [\"boss\"]\nread = [\"boss\"]\n[tables.plans]";

#[tokio::test]
async fn the_first_append_after_a_change_brings_the_catalog() {
    let app = TestApp::build().catalog(FIRST).start().await;
    let mut boss = app.phone_as("boss", "boss", &[]).await;
    boss.saves("notes", "a", json!({})).await;
    boss.saves("notes", "b", json!({})).await;
    app.apply_catalog(SECOND).await;
    boss.saves("notes", "c", json!({})).await;
    boss.saves("notes", "d", json!({})).await;
    let events = boss.pull().await;
    let tables: Vec<_> = events.iter().map(|event| event.table.as_str()).collect();
    assert_eq!(tables, ["_catalog", "notes", "notes", "_catalog", "notes", "notes"]);
    let second = &events[3];
    assert!(second.device.is_system());
    assert_eq!((second.seq.0, second.base.0, second.batch, second.record.as_str()), (2, 3, second.position, "catalog"));
    assert_eq!((second.role.as_str(), second.kind), ("", tidelog_core::op::Kind::Put));
    let fields = serde_json::to_value(second.fields.as_ref().unwrap()).unwrap();
    assert_eq!(fields["version"], 2);
    assert_eq!(fields["catalog"]["tables"]["notes"]["write"], json!(["boss"]));
}

#[tokio::test]
async fn a_stale_gateway_judges_by_the_catalog_in_force() {
    let app = TestApp::build().catalog(FIRST).start().await;
    let mut staff = app.phone_as("staff", "staff", &[]).await;
    assert_eq!(staff.saves("notes", "a", json!({})).await.rejected, []);
    // The gateway believes its catalog for seconds; the log looks under its lock.
    app.apply_catalog(SECOND).await;
    let answer = staff.saves("notes", "b", json!({})).await;
    assert_eq!(answer.rejected[0].code, "role_forbidden");
    let events: PullResponse = app.analyst().await.get("/api/v1/sync/pull").await.good();
    assert_eq!(events.events.len(), 3, "two catalogs, one op that took effect");
}

#[tokio::test]
async fn a_page_tells_what_may_be_read_from_now_on() {
    let app = TestApp::build().catalog(FIRST).start().await;
    let mut boss = app.phone_as("boss", "boss", &[]).await;
    let mut staff = app.phone_as("staff", "staff", &[]).await;
    boss.saves("plans", "p1", json!({})).await;
    boss.saves("notes", "n1", json!({})).await;
    assert_eq!(staff.pull_ops().await.len(), 1);
    app.apply_catalog(SECOND).await;
    boss.saves("plans", "p2", json!({})).await;
    let path = format!("/api/v1/sync/pull?after={}", staff.cursor.unwrap());
    let page: Json = staff.http.get(&path).await.good();
    assert_eq!((&page["resync"], &page["drop"]), (&json!(["plans"]), &json!(["notes"])));
    assert_eq!(page["events"].as_array().unwrap().len(), 2);
    let path = format!("/api/v1/sync/pull?after={}", page["cursor"].as_str().unwrap());
    let page: Json = staff.http.get(&path).await.good();
    assert!(page.get("resync").is_none() && page.get("drop").is_none(), "told once, where it happened");
}

#[tokio::test]
async fn the_catalog_in_force_is_told_with_its_version() {
    let app = TestApp::build().catalog(FIRST).start().await;
    let phone = app.phone_as("boss", "boss", &[]).await;
    let answer = phone.http.get("/api/v1/catalog").await;
    assert_eq!(answer.good::<Json>()["version"], 1);
    assert_eq!(answer.headers["etag"], "\"1\"");
    app.apply_catalog(FIRST).await;
    assert_eq!(phone.http.get("/api/v1/catalog").await.good::<Json>()["version"], 1, "the same catalog is no change");
    app.apply_catalog(SECOND).await;
    let answer = phone.http.get("/api/v1/catalog").await.good::<Json>();
    assert_eq!((&answer["version"], &answer["catalog"]["roles"]), (&json!(2), &json!(["staff", "boss"])));
    let status: Json = phone.http.get("/api/v1/sync/status").await.good();
    assert_eq!((&status["catalog"], &status["tables"]), (&json!(2), &json!(["notes", "plans"])));
}

/// A replica compares the digests with the records that it was given, which are those that its log lets it read.
#[tokio::test]
async fn the_status_counts_what_the_log_lets_its_reader_see() {
    let tables = |notes: &str, plans: &str| {
        format!(
            "roles = [\"staff\", \"boss\"]\n[tables.notes]\nrule = \"manual\"\nread = {notes}\n\
            [tables.plans]\nrule = \"manual\"\nread = {plans}\n"
        )
    };
    let (all, own) = ("[\"staff\", \"boss\"]", "[\"boss\"]");
    let app = TestApp::build().catalog(&tables(all, own)).start().await;
    let (mut boss, staff) = (app.phone_as("boss", "boss", &[]).await, app.phone_as("staff", "staff", &[]).await);
    let mut other = app.phone_as("other boss", "boss", &[]).await;
    for record in ["one", "two"] {
        boss.saves("plans", record, json!({"by": "boss"})).await;
        other.saves("plans", record, json!({"by": "other"})).await;
    }
    boss.saves("notes", "n", json!({"by": "boss"})).await;
    other.saves("notes", "n", json!({"by": "other"})).await;
    let told = async || {
        app.folded().await;
        let status: Json = staff.http.get("/api/v1/sync/status").await.good();
        let digests: Vec<_> = status["digests"].as_object().unwrap().keys().cloned().collect();
        (digests.join(","), status["open_conflicts"].as_i64().unwrap(), status["tables"].clone())
    };
    assert_eq!(told().await, ("notes".to_owned(), 1, json!(["notes"])));
    app.apply_catalog(&tables(own, all)).await;
    assert_eq!(told().await, ("notes".to_owned(), 1, json!(["plans"])), "in force, and not in the log yet");
    boss.saves("plans", "one", json!({})).await;
    assert_eq!(told().await, ("plans".to_owned(), 2, json!(["plans"])));
}

#[tokio::test]
async fn records_fold_by_the_rules_of_their_time() {
    let app =
        TestApp::build().catalog("roles = [\"member\"]\n[tables.notes]\nrule = \"first_write_wins\"").start().await;
    let (mut ann, mut ben) = (app.phone("ann").await, app.phone("ben").await);
    ann.saves("notes", "n", json!({"by": "ann"})).await;
    ben.saves("notes", "n", json!({"by": "ben"})).await;
    app.apply_catalog("roles = [\"member\"]\n[tables.notes]").await;
    let mut cat = app.phone("cat").await;
    let op = cat.put("notes", "m", json!({}));
    let answer: PushResponse = cat.push_and_wait(&[op]).await;
    assert_eq!(answer.last_seq, 1);
    let records = cat.records().await;
    let by =
        |name: &str| serde_json::to_value(&records.iter().find(|r| r.record.as_str() == name).unwrap().fields).unwrap();
    assert_eq!(by("n"), json!({"by": "ann"}), "the past stays");
    let op = ben.put("notes", "n", json!({"by": "ben again"}));
    ben.push_and_wait(&[op]).await;
    let records = cat.records().await;
    let by =
        |name: &str| serde_json::to_value(&records.iter().find(|r| r.record.as_str() == name).unwrap().fields).unwrap();
    assert_eq!(by("n"), json!({"by": "ben again"}), "and the new rules hold from here on");
}

#[tokio::test]
async fn a_stale_gateway_never_moves_a_cursor_past_what_became_readable() {
    let app = TestApp::build().catalog(FIRST).start().await;
    let other = app.another_server(tidelog::Roles { gateway: true, projector: false }).await;
    let mut boss = app.phone_as("boss", "boss", &[]).await;
    let staff = app.phone_as("staff", "staff", &[]).await;
    boss.saves("notes", "n1", json!({})).await;
    let mut through_other = staff.by_way_of(other.address().unwrap());
    through_other.pull().await;
    // The other gateway's catalog is warm, and stale from here on for seconds.
    app.apply_catalog(SECOND).await;
    boss.saves("plans", "p1", json!({})).await;
    let path = format!("/api/v1/sync/pull?after={}", through_other.cursor.unwrap());
    let page: PullResponse = through_other.http.get(&path).await.good();
    let tables: Vec<_> = page.events.iter().map(|event| event.table.as_str()).collect();
    assert_eq!(tables, ["_catalog", "plans"]);
    assert_eq!(page.resync.iter().map(|table| table.as_str()).collect::<Vec<_>>(), ["plans"]);
    other.stop().await;
}

#[tokio::test]
async fn a_catalog_that_never_reached_a_log_hides_nothing_of_it() {
    let app = TestApp::build().catalog(FIRST).start().await;
    let mut boss = app.phone_as("boss", "boss", &[]).await;
    let mut staff = app.phone_as("staff", "staff", &[]).await;
    boss.saves("notes", "n1", json!({})).await;
    app.apply_catalog(SECOND).await;
    let hidden = staff.pull_ops().await;
    assert_eq!(hidden.len(), 1, "the log is still under the first catalog");
    app.apply_catalog(FIRST).await;
    boss.saves("notes", "n2", json!({})).await;
    assert_eq!(staff.pull_ops().await.len(), 1);
}

#[tokio::test]
async fn what_is_hidden_and_shown_again_within_a_page_is_read_anew() {
    let app = TestApp::build().catalog(FIRST).start().await;
    let mut boss = app.phone_as("boss", "boss", &[]).await;
    let mut staff = app.phone_as("staff", "staff", &[]).await;
    boss.saves("notes", "n1", json!({})).await;
    staff.pull().await;
    app.apply_catalog(SECOND).await;
    boss.saves("notes", "n2", json!({})).await;
    app.apply_catalog(FIRST).await;
    boss.saves("notes", "n3", json!({})).await;
    let path = format!("/api/v1/sync/pull?after={}", staff.cursor.unwrap());
    let page: Json = staff.http.get(&path).await.good();
    assert_eq!((&page["resync"], &page["drop"]), (&json!(["notes"]), &json!(["plans"])));
    let lines = staff.http.lines(&path).await;
    let end = lines.last().unwrap();
    assert_eq!((&end["resync"], &end["drop"]), (&json!(["notes"]), &json!(["plans"])), "lines tell it at their end");
}

#[tokio::test]
async fn a_delta_of_records_tells_which_tables_became_readable() {
    let app = TestApp::build().catalog(FIRST).start().await;
    let mut boss = app.phone_as("boss", "boss", &[]).await;
    let staff = app.phone_as("staff", "staff", &[]).await;
    let op = boss.put("plans", "p1", json!({}));
    boss.push_and_wait(&[op]).await;
    let before = staff.records_in_pages_of(10, "").await.1;
    app.apply_catalog(SECOND).await;
    let op = boss.put("plans", "p2", json!({}));
    boss.push_and_wait(&[op]).await;
    let delta: Json = staff.http.get(&format!("/api/v1/sync/records?after={}", before.end.cursor)).await.good();
    assert_eq!((&delta["resync"], &delta["drop"]), (&json!(["plans"]), &json!(["notes"])));
    let anew: Json = staff.http.get("/api/v1/sync/records?tables=plans").await.good();
    assert_eq!(anew["records"].as_array().unwrap().len(), 2);
}

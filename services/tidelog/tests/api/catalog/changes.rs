//! The catalog is in the log: every log starts with it, and gets the new one before the first append under new rules.

use serde_json::json;
use tidelog_core::ids::TableName;
use tidelog_core::wire::{CatalogView, EventView, PullEnd, PullResponse};
use tidelog_testkit::{Phone, Reader, TestApp, assert_snapshot_of};

const FIRST: &str = "roles = [\"staff\", \"boss\"]\n[tables.notes]\n[tables.plans]\nread = [\"boss\"]";
const SECOND: &str =
    "roles = [\"staff\", \"boss\"]\n[tables.notes]\nwrite = [\"boss\"]\nread = [\"boss\"]\n[tables.plans]";

fn tables(events: &[EventView]) -> Vec<&str> {
    events.iter().map(|event| event.table.as_str()).collect()
}

fn names(tables: &[TableName]) -> Vec<&str> {
    tables.iter().map(TableName::as_str).collect()
}

/// A server under the first catalog, with a boss's and a staff member's device.
async fn office() -> (TestApp, Phone, Phone) {
    let app = TestApp::build().catalog(FIRST).start().await;
    let (boss, staff) = (app.phone_as("boss", "boss", &[]).await, app.phone_as("staff", "staff", &[]).await);
    (app, boss, staff)
}

/// The page after what the phone has pulled.
async fn next_page(phone: &Phone) -> PullResponse {
    phone.pull_page(&format!("after={}", phone.cursor.unwrap())).await
}

#[tokio::test]
async fn the_first_append_after_a_change_brings_the_catalog() {
    let (app, mut boss, _) = office().await;
    boss.saves("notes", "a", json!({})).await;
    boss.saves("notes", "b", json!({})).await;
    app.apply_catalog(SECOND).await;
    boss.saves("notes", "c", json!({})).await;
    boss.saves("notes", "d", json!({})).await;
    let events = boss.pull().await;
    assert_eq!(tables(&events), ["_catalog", "_devices", "notes", "notes", "_catalog", "notes", "notes"]);
    assert_snapshot_of!(app, "the_second_catalog_as_an_event", events[4]);
}

#[tokio::test]
async fn a_stale_gateway_judges_by_the_catalog_in_force() {
    let (app, _, mut staff) = office().await;
    assert_eq!(staff.saves("notes", "a", json!({})).await.rejected, []);
    // The gateway trusts its cached catalog for seconds. The append compares it under the log's lock.
    app.apply_catalog(SECOND).await;
    assert_eq!(staff.saves_in_vain("notes", "b", json!({})).await.code, "role_forbidden");
    let events = app.analyst().await.pull_page("").await.events;
    assert_eq!(events.len(), 4, "two catalogs, the device, and the one op that took effect");
}

#[tokio::test]
async fn a_page_says_what_may_be_read_from_now_on() {
    let (app, mut boss, mut staff) = office().await;
    boss.saves("plans", "p1", json!({})).await;
    boss.saves("notes", "n1", json!({})).await;
    assert_eq!(staff.pull_ops().await.len(), 1);
    app.apply_catalog(SECOND).await;
    boss.saves("plans", "p2", json!({})).await;
    let page = next_page(&staff).await;
    assert_eq!((names(&page.resync), names(&page.drop)), (vec!["plans"], vec!["notes"]));
    assert_snapshot_of!(app, "a_page_on_which_access_changes", page);
    let next = staff.pull_page(&format!("after={}", page.cursor)).await;
    assert!(next.resync.is_empty() && next.drop.is_empty(), "only the page with the change says so");
}

#[tokio::test]
async fn the_catalog_in_force_is_served_with_its_version() {
    let (app, boss, _) = office().await;
    let response = boss.http.get("/api/v1/catalog").await;
    assert_eq!(response.good::<CatalogView>().version, 1);
    assert_eq!(response.headers["etag"], "W/\"1.json\"");
    app.apply_catalog(FIRST).await;
    assert_eq!(boss.catalog().await.version, 1, "the same catalog is no change");
    app.apply_catalog(SECOND).await;
    assert_snapshot_of!(app, "the_catalog_in_force", boss.catalog().await);
    let status = boss.status().await;
    assert_eq!((status.catalog, names(&status.tables)), (2, vec!["notes", "plans"]));
}

/// A replica compares the digests with the records that it was given. Its log, not the catalog in force, decides which
/// records these are.
#[tokio::test]
async fn the_status_counts_what_the_log_lets_its_reader_see() {
    let catalog = |notes: &str, plans: &str| {
        format!(
            "roles = [\"staff\", \"boss\"]\n[tables.notes]\nrule = \"manual\"\nread = {notes}\n\
            [tables.plans]\nrule = \"manual\"\nread = {plans}\n"
        )
    };
    let (everyone, boss_alone) = ("[\"staff\", \"boss\"]", "[\"boss\"]");
    let app = TestApp::build().catalog(&catalog(everyone, boss_alone)).start().await;
    let (mut boss, staff) = (app.phone_as("boss", "boss", &[]).await, app.phone_as("staff", "staff", &[]).await);
    let mut other = app.phone_as("other boss", "boss", &[]).await;
    for (table, record) in [("plans", "one"), ("plans", "two"), ("notes", "n")] {
        boss.saves(table, record, json!({"by": "boss"})).await;
        other.saves(table, record, json!({"by": "other"})).await;
    }
    // Tables with a digest, the number of open conflicts, tables that may be read.
    let visible = async || {
        app.folded().await;
        let status = staff.status().await;
        let digests: Vec<_> = status.digests.keys().map(ToString::to_string).collect();
        let tables: Vec<_> = status.tables.iter().map(ToString::to_string).collect();
        (digests.join(","), status.open_conflicts, tables.join(","))
    };
    let expected = |digests: &str, open: i64, tables: &str| (digests.to_owned(), open, tables.to_owned());
    assert_eq!(visible().await, expected("notes", 1, "notes"));
    app.apply_catalog(&catalog(boss_alone, everyone)).await;
    assert_eq!(visible().await, expected("notes", 1, "plans"), "the catalog is in force, but not in the log yet");
    boss.saves("plans", "one", json!({})).await;
    assert_eq!(visible().await, expected("plans", 2, "plans"));
}

#[tokio::test]
async fn records_fold_by_the_rules_of_their_time() {
    let catalog = "roles = [\"member\"]\n[tables.notes]\nrule = \"first_write_wins\"";
    let app = TestApp::build().catalog(catalog).start().await;
    let (mut ann, mut ben) = (app.phone("ann").await, app.phone("ben").await);
    ann.saves("notes", "n", json!({"by": "ann"})).await;
    ben.saves("notes", "n", json!({"by": "ben"})).await;
    app.apply_catalog("roles = [\"member\"]\n[tables.notes]").await;
    let mut cat = app.phone("cat").await;
    let op = cat.put("notes", "m", json!({}));
    assert_eq!(cat.push_and_wait(&[op]).await.last_seq, 1);
    assert_eq!(cat.fields("notes", "n").await, json!({"by": "ann"}), "the past stays");
    let op = ben.put("notes", "n", json!({"by": "ben again"}));
    ben.push_and_wait(&[op]).await;
    assert_eq!(cat.fields("notes", "n").await, json!({"by": "ben again"}), "the new rules hold from here on");
}

#[tokio::test]
async fn a_stale_gateway_never_moves_a_cursor_past_what_became_readable() {
    let (app, mut boss, staff) = office().await;
    let other = app.another_server(tidelog::Roles { gateway: true, projector: false }).await;
    boss.saves("notes", "n1", json!({})).await;
    let mut through_other = staff.by_way_of(other.address().unwrap());
    through_other.pull().await;
    // From here on the catalog in the other gateway's cache is stale for seconds.
    app.apply_catalog(SECOND).await;
    boss.saves("plans", "p1", json!({})).await;
    let page = next_page(&through_other).await;
    assert_eq!(tables(&page.events), ["_catalog", "plans"]);
    assert_eq!(names(&page.resync), ["plans"]);
    other.stop().await;
}

#[tokio::test]
async fn a_catalog_that_never_reached_a_log_hides_nothing_of_it() {
    let (app, mut boss, mut staff) = office().await;
    boss.saves("notes", "n1", json!({})).await;
    app.apply_catalog(SECOND).await;
    assert_eq!(staff.pull_ops().await.len(), 1, "the log is still under the first catalog");
    app.apply_catalog(FIRST).await;
    boss.saves("notes", "n2", json!({})).await;
    assert_eq!(staff.pull_ops().await.len(), 1);
}

#[tokio::test]
async fn a_table_that_is_hidden_and_shown_again_within_a_page_is_to_be_resynced() {
    let (app, mut boss, mut staff) = office().await;
    boss.saves("notes", "n1", json!({})).await;
    staff.pull().await;
    app.apply_catalog(SECOND).await;
    boss.saves("notes", "n2", json!({})).await;
    app.apply_catalog(FIRST).await;
    boss.saves("notes", "n3", json!({})).await;
    let page = next_page(&staff).await;
    assert_eq!((names(&page.resync), names(&page.drop)), (vec!["notes"], vec!["plans"]));
    let mut lines = staff.http.lines(&format!("/api/v1/sync/pull?after={}", staff.cursor.unwrap())).await;
    let end: PullEnd = serde_json::from_value(lines.pop().unwrap()).unwrap();
    assert_eq!((names(&end.resync), names(&end.drop)), (vec!["notes"], vec!["plans"]), "so does the last of the lines");
}

#[tokio::test]
async fn a_delta_of_records_says_which_tables_became_readable() {
    let (app, mut boss, staff) = office().await;
    let op = boss.put("plans", "p1", json!({}));
    boss.push_and_wait(&[op]).await;
    let (_, before) = staff.records_in_pages_of(10, "").await;
    app.apply_catalog(SECOND).await;
    let op = boss.put("plans", "p2", json!({}));
    boss.push_and_wait(&[op]).await;
    let delta = staff.records_page(&format!("after={}", before.end.cursor)).await;
    assert_eq!((names(&delta.end.resync), names(&delta.end.drop)), (vec!["plans"], vec!["notes"]));
    assert_eq!(staff.records_page("tables=plans").await.records.len(), 2, "a snapshot of the table has all of it");
}

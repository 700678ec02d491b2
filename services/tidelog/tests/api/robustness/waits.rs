//! Reads of records that wait: for a change, as a long poll does, and for a position that the projector has to reach.

use reqwest::Method;
use serde_json::json;
use tidelog::Roles;
use tidelog_core::ids::Scope;
use tidelog_core::op::Op;
use tidelog_core::wire::{Encoding, RecordsResponse};
use tidelog_testkit::{Phone, Reader, TestApp};

use crate::robustness::overload::{get_unread, response, until_waits};

const PROJECTOR: Roles = Roles { gateway: false, projector: true };

fn names(page: &RecordsResponse) -> Vec<&str> {
    page.records.iter().map(|record| record.record.as_str()).collect()
}

/// The query of a read that waits for what comes after everything that the phone may read now.
async fn from_now_on(app: &TestApp, phone: &Phone) -> String {
    app.folded().await;
    format!("wait=20000&after={}", phone.records_in_pages_of(1_000, "").await.1.end.cursor)
}

#[tokio::test]
async fn a_read_that_waits_responds_as_soon_as_a_record_has_changed() {
    let app = TestApp::start().await;
    let mut writer = app.phone("writer").await;
    writer.saves("notes", "before", json!({})).await;
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let reader = app.phone(&format!("{encoding:?}")).await.speaking(encoding);
        let query = from_now_on(&app, &reader).await;
        let (page, _) = tokio::join!(reader.records_page(&query), async {
            until_waits(&app, 1).await;
            writer.saves("notes", &format!("{encoding:?}"), json!({})).await
        });
        assert_eq!(names(&page), [format!("{encoding:?}")]);
        assert!(!page.end.more && page.end.pull_cursor.is_some());
        let query = format!("wait=100&after={}", page.end.cursor);
        assert_eq!(reader.records_page(&query).await.records, [], "or when the time is over");
    }
    // A stream waits before it begins, and goes on to the end.
    let reader = app.phone("lines").await;
    let path = format!("/api/v1/sync/records?{}", from_now_on(&app, &reader).await);
    let (lines, _) = tokio::join!(reader.http.lines(&path), async {
        until_waits(&app, 1).await;
        writer.saves("notes", "line", json!({})).await
    });
    assert_eq!((lines.len(), &lines[0]["record"], &lines[1]["more"]), (2, &json!("line"), &json!(false)));
}

#[tokio::test]
async fn a_wait_for_records_goes_on_over_changes_that_its_reader_may_not_see() {
    let app = TestApp::start().await;
    let (mut writer, reader) = (app.phone("writer").await, app.phone_as("12", "member", &["store-12"]).await);
    // The reader begins with nothing: no record, and no cursor.
    let (page, _) = tokio::join!(reader.records_page("wait=20000"), async {
        until_waits(&app, 1).await;
        for scope in ["store-13", "store-14", "store-12"] {
            let op = writer.put("notes", scope, json!({}));
            writer.push_and_wait(&[Op { scope: Scope::parse(scope).unwrap(), ..op }]).await;
        }
    });
    assert_eq!(names(&page), ["store-12"]);
    assert_eq!(page.end.position.0, 5, "the page is as far as the projector");
    assert_eq!(reader.records_page(&format!("after={}", page.end.cursor)).await.records, []);
}

/// The change alone is news: a page without records says what to read from the start and what to forget.
#[tokio::test]
async fn a_wait_for_records_ends_when_its_reader_may_read_other_scopes() {
    let catalog = "roles = [\"boss\", \"staff\"]\nmanage_devices = [\"boss\"]\n[tables.notes]";
    let app = TestApp::build().catalog(catalog).start().await;
    let mut boss = app.phone_as("boss", "boss", &["*"]).await;
    let staff = app.phone_as("staff", "staff", &["a", "b"]).await;
    boss.saves("notes", "n", json!({})).await;
    let query = from_now_on(&app, &staff).await;
    let (page, ()) = tokio::join!(staff.records_page(&query), async {
        until_waits(&app, 1).await;
        let path = format!("/api/v1/devices/{}", staff.device);
        assert_eq!(boss.http.patch(&path, &json!({"scopes": ["b", "c"]})).await.status, 200);
    });
    assert_eq!(page.records, []);
    assert_eq!(json!([page.end.resync_scopes, page.end.drop_scopes]), json!([["c"], ["a"]]));
}

#[tokio::test]
async fn a_wait_without_a_cursor_outlives_a_rebuild_and_one_with_a_cursor_is_told() {
    let app = TestApp::start().await;
    let mut writer = app.phone_as("writer", "member", &["store-13"]).await;
    let reader = app.phone_as("reader", "member", &["store-12"]).await;
    let op = writer.put("notes", "hidden", json!({}));
    writer.push_and_wait(&[Op { scope: Scope::parse("store-13").unwrap(), ..op }]).await;
    let path = format!("/api/v1/sync/records?{}", from_now_on(&app, &reader).await);
    let owner = app.database.connect().await;
    let (page, refused, ()) = tokio::join!(reader.records_page("wait=20000"), reader.http.get(&path), async {
        until_waits(&app, 2).await;
        // As a rebuild does in the end.
        let sql = "UPDATE tidelog.checkpoints SET generation = generation + 1 WHERE workspace = $1";
        owner.execute(sql, &[&app.workspace.0]).await.unwrap();
        until_waits(&app, 1).await;
        writer.saves("notes", "seen", json!({})).await;
    });
    refused.refused(409, "cursor_diverged");
    assert_eq!(names(&page), ["seen"]);
}

#[tokio::test]
async fn waits_for_records_count_in_the_share_of_a_device_and_end_when_their_client_goes() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    let change = format!("/api/v1/sync/records?{}", from_now_on(&app, &phone).await);
    let position = "/api/v1/sync/records?at_least=1000&wait=20000".to_owned();
    let mut waiting = Vec::new();
    for path in [&change, &position, &change, &position] {
        waiting.push(get_unread(&phone, app.address(), path).await);
    }
    until_waits(&app, 4).await;
    for path in [&change, &position] {
        let refused = response(&mut get_unread(&phone, app.address(), path).await).await;
        assert!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("rate_limited"), "{refused}");
    }
    phone.http.get("/api/v1/sync/records?at_least=1&wait=1").await.good::<RecordsResponse>();
    waiting.truncate(2);
    until_waits(&app, 2).await;
    drop(waiting);
    until_waits(&app, 0).await;
}

#[tokio::test]
async fn a_read_of_at_least_a_position_responds_once_the_projector_is_there() {
    let app = TestApp::build().without_projector().start().await;
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let mut phone = app.phone(&format!("{encoding:?}")).await.speaking(encoding);
        let record = format!("{encoding:?}");
        let pushed = phone.saves("notes", &record, json!({})).await.head;
        for (query, lines) in [("wait=0", false), ("wait=50", false), ("wait=50", true)] {
            let path = format!("/api/v1/sync/records?at_least={pushed}&{query}");
            let request = if lines { phone.http.request_lines(&path) } else { phone.http.request(Method::GET, &path) };
            let refused = phone.http.send(request).await.unwrap();
            assert_eq!(refused.headers["retry-after"], "1");
            assert!(refused.refused(503, "unavailable").retryable);
        }
        let query = format!("at_least={pushed}&wait=30000");
        let (page, projector) = tokio::join!(phone.records_page(&query), async {
            until_waits(&app, 1).await;
            app.another_server(PROJECTOR).await
        });
        assert!(names(&page).contains(&record.as_str()), "a device reads what it has written");
        assert!(page.end.position >= pushed);
        // The position is reached, so there is nothing to wait for, also if nothing changed after the cursor.
        let query = format!("at_least={pushed}&wait=30000&after={}", page.end.cursor);
        assert_eq!(phone.records_page(&query).await.records, []);
        projector.stop().await;
    }
}

#[tokio::test]
async fn the_parameters_of_a_wait_are_checked() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    for query in ["wait=30001", "wait=-1", "at_least=-1", "at_least=x", "at_least=9223372036854775808", "at_least="] {
        phone.http.get(&format!("/api/v1/sync/records?{query}")).await.refused(422, "query_invalid");
    }
    phone.saves("notes", "a", json!({})).await;
    let path = "/api/v1/sync/records?at_least=9223372036854775807&wait=20000&after=p.1.1.2.2.0000000000000000";
    phone.http.get(path).await.refused(409, "cursor_diverged");
}

#[tokio::test]
async fn a_device_that_is_revoked_while_it_waits_gets_no_records() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    let change = format!("/api/v1/sync/records?{}", from_now_on(&app, &phone).await);
    let position = "/api/v1/sync/records?at_least=1500&wait=20000".to_owned();
    for path in [change, position] {
        let device = app.phone("revoked").await;
        let (refused, ()) = tokio::join!(device.http.get(&path), async {
            until_waits(&app, 1).await;
            device.http.delete(&format!("/api/v1/devices/{}", device.device)).await;
            // What both wait for, in the end.
            let owner = app.database.connect().await;
            let sql = "UPDATE tidelog.checkpoints SET position = position + 1000, folded_position = position + 1000
                WHERE workspace = $1";
            owner.execute(sql, &[&app.workspace.0]).await.unwrap();
        });
        refused.refused(401, "device_revoked");
    }
}

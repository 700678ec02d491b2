//! PULL-1: pages have whole batches, in order, each event once. And which cursors a pull accepts.

use serde_json::json;
use tidelog_core::cursor::Cursor;
use tidelog_core::op::Op;
use tidelog_core::wire::{EventView, PullEnd, PullResponse, SyncResponse};
use tidelog_testkit::{Phone, Reader, TestApp, assert_snapshot_of};

/// So many puts of notes.
fn notes(phone: &mut Phone, count: usize) -> Vec<Op> {
    (0..count).map(|number| phone.put("notes", &format!("n{number}"), json!({"n": number}))).collect()
}

#[tokio::test]
async fn a_page_may_pass_its_limit_but_never_splits_a_batch() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    for size in [1, 5, 2, 9, 1, 1, 30] {
        let ops = notes(&mut phone, size);
        phone.push(&ops).await;
    }
    for limit in [1, 2, 3, 7, 10, 100] {
        let (mut after, mut pulled, mut pages) = (String::new(), Vec::<EventView>::new(), 0);
        loop {
            let page = phone.pull_page(&format!("limit={limit}{after}")).await;
            let (first, last) = (page.events.first().unwrap(), page.events.last().unwrap());
            assert!(pulled.last().is_none_or(|event| event.batch != first.batch), "two pages share a batch");
            let before_last_batch = page.events.iter().filter(|event| event.batch != last.batch).count();
            assert!(before_last_batch < limit, "the page has a batch beyond its limit");
            assert_eq!(page.position, last.position);
            after = format!("&after={}", page.cursor);
            pulled.extend(page.events);
            pages += 1;
            if !page.more {
                break;
            }
        }
        let positions: Vec<_> = pulled.iter().map(|event| event.position.0).collect();
        assert_eq!(positions, (1..=51).collect::<Vec<_>>(), "{pages} pages of {limit}");
    }
}

#[tokio::test]
async fn an_empty_log_has_a_cursor_too() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let page = phone.pull_page("").await;
    assert_eq!((page.events.as_slice(), page.cursor), (&[][..], Cursor::START));
    assert!(page.position.0 == 0 && !page.more);
    phone.cursor = Some(page.cursor);
    phone.saves("notes", "a", json!({})).await;
    assert_eq!(phone.pull().await.len(), 3);
}

#[tokio::test]
async fn a_filtered_page_moves_the_cursor() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    phone.saves("tasks", "b", json!({})).await;
    phone.saves("notes", "c", json!({})).await;
    let page = phone.pull_page("tables=tasks").await;
    let tables: Vec<_> = page.events.iter().map(|event| event.table.as_str()).collect();
    assert_eq!(tables, ["_catalog", "_devices", "tasks"]);
    assert!(page.position.0 == 5 && !page.more, "the cursor is at the head");
    let first = phone.pull_page("tables=tasks&limit=1").await;
    let second = phone.pull_page(&format!("tables=tasks&after={}", first.cursor)).await;
    assert_eq!(second.events.len(), 2);
}

#[tokio::test]
async fn a_cursor_that_is_none_and_a_cursor_of_another_log_have_different_codes() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    let pull = async |after: &str| phone.http.get(&format!("/api/v1/sync/pull?after={after}")).await;
    for (after, status, code) in [
        ("garbage", 400, "cursor_invalid"),
        ("2", 400, "cursor_invalid"),
        ("2.zz", 400, "cursor_invalid"),
        ("3.0000000000000000", 409, "cursor_diverged"),
        ("4.0000000000000000", 409, "cursor_ahead"),
        ("9223372036854775807.0000000000000000", 409, "cursor_ahead"),
    ] {
        pull(after).await.refused(status, code);
    }
    assert_eq!(pull("").await.good::<PullResponse>().events.len(), 3, "an empty cursor is the start");
}

#[tokio::test]
async fn a_long_poll_responds_as_soon_as_there_is_an_event() {
    let app = TestApp::start().await;
    let (mut reader, mut writer) = (app.phone("reader").await, app.phone("writer").await);
    writer.saves("notes", "a", json!({})).await;
    reader.pull().await;
    let query = format!("wait=20000&after={}", reader.cursor.unwrap());
    let (page, _) = tokio::join!(reader.pull_page(&query), async {
        app.has_open_stream().await;
        writer.saves("notes", "b", json!({})).await
    });
    assert_eq!(page.events[0].record.as_str(), "b");
    let page = reader.pull_page(&format!("wait=100&after={}", page.cursor)).await;
    assert_eq!(page.events, [], "or when the time is over");
}

#[tokio::test]
async fn a_long_poll_is_woken_by_pushes_through_another_server() {
    let app = TestApp::start().await;
    let other = app.another_server(tidelog::Roles { gateway: true, projector: false }).await;
    let (mut reader, writer) = (app.phone("reader").await, app.phone("writer").await);
    let mut writer = writer.by_way_of(other.address().unwrap());
    reader.pull().await;
    let (page, _) = tokio::join!(reader.pull_page("wait=20000"), async {
        app.has_open_stream().await;
        writer.saves("notes", "b", json!({})).await
    });
    assert_eq!(page.events.len(), 3);
    other.stop().await;
}

#[tokio::test]
async fn lines_stream_everything_and_end_with_the_cursor() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    for _ in 0..3 {
        let ops = notes(&mut phone, 700);
        phone.push(&ops).await;
    }
    // The events of a pull as lines, and its last line.
    let lines = async |query: &str| {
        let mut lines = phone.http.lines(&format!("/api/v1/sync/pull?{query}")).await;
        let end: PullEnd = serde_json::from_value(lines.pop().unwrap()).unwrap();
        (lines, end)
    };
    let (events, end) = lines("").await;
    assert_eq!(events.len(), 2_102);
    assert!(events.iter().enumerate().all(|(index, event)| event["position"] == json!(index + 1)));
    assert!(end.position.0 == 2_102 && !end.more);
    let (events, end) = lines("limit=5").await;
    assert_eq!(events.len(), 702, "whole batches up to the limit");
    assert!(end.more);
    let (rest, _) = lines(&format!("after={}", end.cursor)).await;
    assert_eq!(rest.len(), 1_400);
}

#[tokio::test]
async fn one_request_pushes_and_pulls() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    app.phone("other").await.saves("notes", "theirs", json!({})).await;
    let op = phone.put("notes", "mine", json!({}));
    let response: SyncResponse = phone.http.post("/api/v1/sync", &json!({"ops": [op], "limit": 100})).await.good();
    let mut pulled = response.clone();
    assert_eq!(pulled.pull.events.remove(0).record.as_str(), "catalog");
    assert_snapshot_of!(app, pulled);
}

#[tokio::test]
async fn query_parameters_are_checked() {
    let app = TestApp::start().await;
    let phone = app.phone("phone").await;
    for query in [
        "limit=0",
        "limit=10001",
        "limit=-1",
        "limit=abc",
        "limit=1e3",
        "limit=1&limit=2",
        "limit=18446744073709551616",
        "wait=30001",
        "wait=-1",
        "other=1",
        "tables=",
        "tables=Bad",
        "limit=+5",
    ] {
        phone.http.get(&format!("/api/v1/sync/pull?{query}")).await.refused(422, "query_invalid");
    }
}

//! PULL-1: whole batches, in order, each once; and what a cursor is good for.

use serde_json::json;
use tidelog_core::cursor::Cursor;
use tidelog_core::wire::{PullResponse, PushResponse, SyncResponse};
use tidelog_testkit::TestApp;

#[tokio::test]
async fn a_page_may_pass_its_limit_but_never_splits_a_batch() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    for size in [1, 5, 2, 9, 1, 1, 30] {
        let ops: Vec<_> = (0..size).map(|number| phone.put("notes", &format!("n{number}"), json!({}))).collect();
        phone.push(&ops).await.good::<PushResponse>();
    }
    for limit in [1, 2, 3, 7, 10, 100] {
        let (mut after, mut seen, mut pages) = (String::new(), Vec::new(), 0);
        loop {
            let page: PullResponse = phone.http.get(&format!("/api/v1/sync/pull?limit={limit}{after}")).await.good();
            let last = page.events.last().map(|event| (event.batch, event.position));
            let next_batch = seen.last().map(|event: &tidelog_core::wire::EventView| event.batch);
            assert!(next_batch != page.events.first().map(|event| event.batch), "a batch over two pages");
            let without_last = page.events.iter().filter(|event| Some(event.batch) != last.map(|last| last.0)).count();
            assert!(without_last < limit, "the page went on after its limit");
            assert_eq!(Some(page.position), last.map(|last| last.1));
            after = format!("&after={}", page.cursor);
            seen.extend(page.events);
            pages += 1;
            if !page.more {
                break;
            }
        }
        let positions: Vec<_> = seen.iter().map(|event| event.position.0).collect();
        assert_eq!(positions, (1..=50).collect::<Vec<_>>(), "{pages} pages of {limit}");
    }
}

#[tokio::test]
async fn an_empty_log_has_a_cursor_too() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let page: PullResponse = phone.http.get("/api/v1/sync/pull").await.good();
    assert_eq!((page.events.len(), page.cursor, page.position.0, page.more), (0, Cursor::START, 0, false));
    phone.cursor = Some(page.cursor);
    phone.saves("notes", "a", json!({})).await;
    assert_eq!(phone.pull().await.len(), 2);
}

#[tokio::test]
async fn a_filtered_page_moves_the_cursor() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    phone.saves("tasks", "b", json!({})).await;
    phone.saves("notes", "c", json!({})).await;
    let page: PullResponse = phone.http.get("/api/v1/sync/pull?tables=tasks").await.good();
    let tables: Vec<_> = page.events.iter().map(|event| event.table.as_str()).collect();
    assert_eq!((tables, page.position.0, page.more), (vec!["_catalog", "tasks"], 4, false));
    let page: PullResponse = phone.http.get("/api/v1/sync/pull?tables=tasks&limit=1").await.good();
    let next: PullResponse =
        phone.http.get(&format!("/api/v1/sync/pull?tables=tasks&after={}", page.cursor)).await.good();
    assert_eq!(next.events.len(), 1);
}

#[tokio::test]
async fn cursors_that_are_none_are_told_apart_from_those_of_another_log() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    let pull = async |after: &str| phone.http.get(&format!("/api/v1/sync/pull?after={after}")).await;
    for (after, status, code) in [
        ("garbage", 400, "cursor_invalid"),
        ("2", 400, "cursor_invalid"),
        ("2.zz", 400, "cursor_invalid"),
        ("2.0000000000000000", 409, "cursor_diverged"),
        ("3.0000000000000000", 409, "cursor_ahead"),
        ("9223372036854775807.0000000000000000", 409, "cursor_ahead"),
    ] {
        pull(after).await.refused(status, code);
    }
    assert_eq!(pull("").await.good::<PullResponse>().events.len(), 2, "no cursor is the start");
}

#[tokio::test]
async fn a_long_poll_answers_as_soon_as_there_is_something() {
    let app = TestApp::start().await;
    let (mut reader, mut writer) = (app.phone("reader").await, app.phone("writer").await);
    writer.saves("notes", "a", json!({})).await;
    reader.pull().await;
    let path = format!("/api/v1/sync/pull?wait=20000&after={}", reader.cursor.unwrap());
    let (page, _) = tokio::join!(reader.http.get(&path), async {
        app.has_open_stream().await;
        writer.saves("notes", "b", json!({})).await
    });
    let page: PullResponse = page.good();
    assert_eq!(page.events[0].record.as_str(), "b");
    let path = format!("/api/v1/sync/pull?wait=100&after={}", page.cursor);
    assert_eq!(reader.http.get(&path).await.good::<PullResponse>().events, [], "or when the time is over");
}

#[tokio::test]
async fn a_long_poll_hears_of_pushes_through_another_server() {
    let app = TestApp::start().await;
    let other = app.another_server(tidelog::Roles { gateway: true, projector: false }).await;
    let (mut reader, mut writer) = (app.phone("reader").await, app.phone("writer").await);
    writer = writer.by_way_of(other.address().unwrap());
    reader.pull().await;
    let (page, _) = tokio::join!(reader.http.get("/api/v1/sync/pull?wait=20000"), async {
        app.has_open_stream().await;
        writer.saves("notes", "b", json!({})).await
    });
    assert_eq!(page.good::<PullResponse>().events.len(), 2);
    other.stop().await;
}

#[tokio::test]
async fn lines_stream_everything_and_end_with_the_cursor() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    for _ in 0..3 {
        let ops: Vec<_> =
            (0..700).map(|number| phone.put("notes", &format!("n{number}"), json!({"n": number}))).collect();
        phone.push(&ops).await.good::<PushResponse>();
    }
    let all = phone.http.lines("/api/v1/sync/pull").await;
    let (end, events) = all.split_last().unwrap();
    assert_eq!(events.len(), 2_101);
    assert!(events.iter().enumerate().all(|(index, event)| event["position"] == json!(index + 1)));
    assert_eq!((&end["position"], &end["more"]), (&json!(2_101), &json!(false)));
    let first = phone.http.lines("/api/v1/sync/pull?limit=5").await;
    let (end, events) = first.split_last().unwrap();
    assert_eq!((events.len(), &end["more"]), (701, &json!(true)), "whole batches until the limit");
    let rest = phone.http.lines(&format!("/api/v1/sync/pull?after={}", end["cursor"].as_str().unwrap())).await;
    assert_eq!(rest.len(), 1_401);
}

#[tokio::test]
async fn push_and_pull_go_together() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    app.phone("other").await.saves("notes", "theirs", json!({})).await;
    let op = phone.put("notes", "mine", json!({}));
    let answer: SyncResponse = phone.http.post("/api/v1/sync", &json!({"ops": [op], "limit": 100})).await.good();
    assert_eq!(answer.push.last_seq, 1);
    let records: Vec<_> = answer.pull.events.iter().map(|event| event.record.as_str()).collect();
    assert_eq!(records, ["catalog", "theirs", "mine"]);
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

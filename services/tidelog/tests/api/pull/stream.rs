//! Streamed pulls: whole pages one after another, cut anywhere and taken up again, at the pace of whoever reads.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value as Json, json};
use tidelog_core::cursor::Cursor;
use tidelog_core::digest::Digest;
use tidelog_core::ids::Position;
use tidelog_core::time::UnixMs;
use tidelog_core::wire::{PullResponse, PushResponse};
use tidelog_testkit::{Http, StoredEvent, TestApp, whole_pages};
use uuid::Uuid;

/// Writes so many events of a size behind position 0, in batches of random sizes.
async fn write(app: &TestApp, random: &mut StdRng, count: i64, text_bytes: usize) -> Vec<StoredEvent> {
    let mut events: Vec<StoredEvent> = Vec::new();
    while (events.len() as i64) < count {
        let batch = events.len() as i64 + 1;
        for position in batch..=count.min(batch + random.random_range(0..300)) {
            let text = "x".repeat(random.random_range(0..=text_bytes));
            events.push(StoredEvent {
                position: Position(position),
                batch: Position(batch),
                table: if random.random_bool(0.3) { "tasks" } else { "notes" }.to_owned(),
                scope: String::new(),
                is_rejected: random.random_bool(0.05),
                fields: rmp_serde::to_vec(&json!({"text": text})).unwrap(),
                digest: Digest(random.random()),
                received_at: UnixMs(1_790_000_000_000),
            });
        }
    }
    app.database.write_log(app.workspace, Uuid::from_u128(9), &events).await;
    events
}

fn seen(events: &[StoredEvent]) -> Vec<i64> {
    events.iter().filter(|event| event.is_seen(None, None)).map(|event| event.position.0).collect()
}

fn positions(pages: &[PullResponse]) -> Vec<i64> {
    pages.iter().flat_map(|page| &page.events).map(|event| event.position.0).collect()
}

#[tokio::test]
async fn pages_follow_each_other_up_to_the_head() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let app = TestApp::build().without_projector().start().await;
    let events = write(&app, &mut StdRng::seed_from_u64(seed), 12_000, 1_000).await;
    let analyst = app.analyst().await;
    let pages = analyst.pages("/api/v1/sync/pull").await;
    assert!(pages.len() > 5, "{} pages", pages.len());
    assert_eq!(positions(&pages), seen(&events));
    let (last, before) = pages.split_last().unwrap();
    assert!(!last.more && before.iter().all(|page| page.more), "more until the last");
    for page in &pages {
        let end = &events[page.position.0 as usize - 1];
        assert_eq!((page.cursor, page.head), (end.cursor(), Position(12_000)), "each is an answer of its own");
        assert!(events.get(page.position.0 as usize).is_none_or(|next| next.batch != end.batch), "of whole batches");
    }
    let lines = analyst.lines("/api/v1/sync/pull").await;
    let (end, lines) = lines.split_last().unwrap();
    assert_eq!(lines.iter().map(|line| line["position"].as_i64().unwrap()).collect::<Vec<_>>(), seen(&events));
    assert_eq!((&end["position"], &end["more"]), (&json!(12_000), &json!(false)));
    assert_eq!(positions(&analyst.pages("/api/v1/sync/pull?tables=tasks").await), {
        let tasks = events.iter().filter(|event| event.is_seen(Some(&["tasks"]), None));
        tasks.map(|event| event.position.0).collect::<Vec<_>>()
    });
}

#[tokio::test]
async fn a_sequence_that_was_cut_goes_on_after_its_last_whole_page() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let app = TestApp::build().without_projector().start().await;
    let events = write(&app, &mut random, 12_000, 1_500).await;
    let analyst = app.analyst().await;
    let (mut all, mut after, mut cuts) = (Vec::new(), Cursor::START, 0);
    loop {
        let enough = random.random_range(100_000..3_000_000);
        let received = receive(&analyst, after, enough).await;
        let (pages, rest) = whole_pages(&received);
        cuts += usize::from(rest > 0);
        after = pages.last().map_or(after, |page| page.cursor);
        all.extend(pages);
        if all.last().is_some_and(|page| !page.more) {
            break;
        }
    }
    assert!(cuts > 0, "nothing was cut");
    assert_eq!(positions(&all), seen(&events));
}

/// Reads so many bytes of a sequence of pages at least, if there are, and hangs up.
async fn receive(http: &Http, after: Cursor, enough: usize) -> Vec<u8> {
    let mut answer = http.request_pages(&format!("/api/v1/sync/pull?after={after}")).send().await.unwrap();
    let mut received = Vec::new();
    while received.len() < enough
        && let Some(part) = answer.chunk().await.unwrap()
    {
        received.extend_from_slice(&part);
    }
    received
}

#[tokio::test]
async fn a_limit_ends_the_sequence_after_whole_batches() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    for _ in 0..3 {
        let ops: Vec<_> = (0..70).map(|number| phone.put("notes", &format!("n{number}"), json!({}))).collect();
        phone.push(&ops).await.good::<PushResponse>();
    }
    let pages = phone.http.pages("/api/v1/sync/pull?limit=5").await;
    assert_eq!(positions(&pages), (1..=71).collect::<Vec<_>>());
    let last = pages.last().unwrap();
    assert_eq!((last.position.0, last.more), (71, true));
    let rest = phone.http.pages(&format!("/api/v1/sync/pull?after={}", last.cursor)).await;
    assert_eq!(positions(&rest), (72..=211).collect::<Vec<_>>());
    let none = phone.http.pages(&format!("/api/v1/sync/pull?after={}", rest.last().unwrap().cursor)).await;
    assert_eq!((none.len(), none[0].events.len(), none[0].more), (1, 0, false), "a page there always is");
}

#[tokio::test]
async fn an_empty_log_is_one_page_and_a_bad_cursor_has_its_status() {
    let app = TestApp::start().await;
    let phone = app.phone("phone").await;
    let pages = phone.http.pages("/api/v1/sync/pull").await;
    assert_eq!((pages.len(), pages[0].cursor, pages[0].more), (1, Cursor::START, false));
    let refused =
        phone.http.send(phone.http.request_pages("/api/v1/sync/pull?after=1.0000000000000000")).await.unwrap();
    refused.refused(409, "cursor_ahead");
    let records = phone.http.request_pages("/api/v1/sync/records");
    phone.http.send(records).await.unwrap().refused(406, "not_acceptable");
}

/// A figure of the metrics.
async fn figure(app: &TestApp, name: &str) -> u64 {
    let metrics = String::from_utf8(app.get("/metrics").await.body).unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |number| number.parse().unwrap())
}

#[tokio::test]
async fn a_slow_reader_is_waited_for_without_a_connection_and_misses_nothing() {
    const LOG_PAGES: &str = "tidelog_pages_total{source=\"log\"}";
    let app = TestApp::build().without_projector().start().await;
    let events = write(&app, &mut StdRng::seed_from_u64(3), 50_000, 1_600).await;
    let analyst = app.analyst().await;
    let mut slow = analyst.request_pages("/api/v1/sync/pull").send().await.unwrap();
    let mut received = slow.chunk().await.unwrap().unwrap().to_vec();
    // Others read all of it meanwhile, twice.
    let mut others = 0;
    for _ in 0..2 {
        others += analyst.pages("/api/v1/sync/pull").await.len() as u64;
    }
    let all = others / 2;
    let sent = figure(&app, LOG_PAGES).await - others;
    assert!(all > 60 && sent < all / 2, "{sent} of {all} pages were read for a reader that takes none");
    assert_eq!(figure(&app, "tidelog_pool_connections_in_use").await, 0, "and no connection is held for it");
    while let Some(part) = slow.chunk().await.unwrap() {
        received.extend_from_slice(&part);
    }
    let (pages, rest) = whole_pages(&received);
    assert_eq!((positions(&pages), rest), (seen(&events), 0));
}

#[tokio::test]
async fn a_device_that_is_revoked_gets_no_further_page() {
    let app = TestApp::build().without_projector().start().await;
    write(&app, &mut StdRng::seed_from_u64(4), 50_000, 1_600).await;
    let phone = app.phone("phone").await;
    let mut answer = phone.http.request_pages("/api/v1/sync/pull").send().await.unwrap();
    let mut received = answer.chunk().await.unwrap().unwrap().to_vec();
    phone.http.delete(&format!("/api/v1/devices/{}", phone.device)).await;
    let end = loop {
        match answer.chunk().await {
            Ok(Some(part)) => received.extend_from_slice(&part),
            end => break end.map(|_| ()),
        }
    };
    assert!(end.is_err(), "the stream is cut");
    let pages = whole_pages(&received).0;
    assert!(pages.last().is_none_or(|page| page.more), "before its end");
    let refused: Json = phone.http.get("/api/v1/sync/pull").await.refused(401, "device_revoked");
    assert_eq!(refused["retryable"], false);
}

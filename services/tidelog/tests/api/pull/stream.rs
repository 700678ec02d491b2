//! Streamed pulls: whole pages one after another, cut at any byte and continued, at the pace of the reader.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tidelog_core::cursor::Cursor;
use tidelog_core::digest::Digest;
use tidelog_core::ids::Position;
use tidelog_core::time::UnixMs;
use tidelog_core::wire::{PullEnd, PullResponse};
use tidelog_testkit::{Http, StoredEvent, TestApp, seed, whole_pages};
use uuid::Uuid;

/// Writes `count` events into an empty log, in batches of random sizes and with texts of random lengths.
async fn write(app: &TestApp, random: &mut StdRng, count: i64, text_bytes_max: usize) -> Vec<StoredEvent> {
    let mut events: Vec<StoredEvent> = Vec::new();
    while (events.len() as i64) < count {
        let batch = events.len() as i64 + 1;
        for position in batch..=count.min(batch + random.random_range(0..300)) {
            let text = "x".repeat(random.random_range(0..=text_bytes_max));
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

/// Positions of the events that a reader of these tables pulls; `None` stands for all tables.
fn visible(events: &[StoredEvent], tables: Option<&[&str]>) -> Vec<i64> {
    events.iter().filter(|event| event.is_seen(tables, None)).map(|event| event.position.0).collect()
}

fn positions(pages: &[PullResponse]) -> Vec<i64> {
    pages.iter().flat_map(|page| &page.events).map(|event| event.position.0).collect()
}

#[tokio::test]
async fn pages_follow_each_other_up_to_the_head() {
    let seed = seed();
    let app = TestApp::build().without_projector().start().await;
    let events = write(&app, &mut StdRng::seed_from_u64(seed), 12_000, 1_000).await;
    let analyst = app.analyst().await;
    let pages = analyst.pages("/api/v1/sync/pull").await;
    assert!(pages.len() > 5, "{} pages", pages.len());
    assert_eq!(positions(&pages), visible(&events, None));
    let (last, before) = pages.split_last().unwrap();
    assert!(!last.more && before.iter().all(|page| page.more), "every page but the last has more after it");
    for page in &pages {
        let end = &events[page.position.0 as usize - 1];
        assert_eq!((page.cursor, page.head), (end.cursor(), Position(12_000)), "each page is complete by itself");
        let next = events.get(page.position.0 as usize);
        assert!(next.is_none_or(|next| next.batch != end.batch), "each page has whole batches");
    }
    let mut lines = analyst.lines("/api/v1/sync/pull").await;
    let end: PullEnd = serde_json::from_value(lines.pop().unwrap()).unwrap();
    let of_lines: Vec<_> = lines.iter().map(|line| line["position"].as_i64().unwrap()).collect();
    assert_eq!(of_lines, visible(&events, None));
    assert!(end.position.0 == 12_000 && !end.more);
    let tasks = analyst.pages("/api/v1/sync/pull?tables=tasks").await;
    assert_eq!(positions(&tasks), visible(&events, Some(&["tasks"])));
}

#[tokio::test]
async fn a_sequence_that_was_cut_continues_after_its_last_whole_page() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let app = TestApp::build().without_projector().start().await;
    let events = write(&app, &mut random, 12_000, 1_500).await;
    let analyst = app.analyst().await;
    let (mut all, mut after, mut cuts) = (Vec::new(), Cursor::START, 0);
    loop {
        let received = receive_at_least(&analyst, after, random.random_range(100_000..3_000_000)).await;
        let (pages, rest) = whole_pages(&received);
        cuts += usize::from(rest > 0);
        after = pages.last().map_or(after, |page| page.cursor);
        all.extend(pages);
        if all.last().is_some_and(|page| !page.more) {
            break;
        }
    }
    assert!(cuts > 0, "no page was cut");
    assert_eq!(positions(&all), visible(&events, None));
}

/// Reads at least `bytes` of a sequence of pages, or all of a shorter one, and closes the connection.
async fn receive_at_least(http: &Http, after: Cursor, bytes: usize) -> Vec<u8> {
    let mut response = http.request_pages(&format!("/api/v1/sync/pull?after={after}")).send().await.unwrap();
    let mut received = Vec::new();
    while received.len() < bytes
        && let Some(part) = response.chunk().await.unwrap()
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
        phone.push(&ops).await;
    }
    let pages = phone.http.pages("/api/v1/sync/pull?limit=5").await;
    assert_eq!(positions(&pages), (1..=72).collect::<Vec<_>>());
    let last = pages.last().unwrap();
    assert!(last.position.0 == 72 && last.more);
    let rest = phone.http.pages(&format!("/api/v1/sync/pull?after={}", last.cursor)).await;
    assert_eq!(positions(&rest), (73..=212).collect::<Vec<_>>());
    let none = phone.http.pages(&format!("/api/v1/sync/pull?after={}", rest.last().unwrap().cursor)).await;
    assert_eq!(none.len(), 1, "a sequence has at least one page");
    assert!(none[0].events.is_empty() && !none[0].more);
}

#[tokio::test]
async fn an_empty_log_is_one_page_and_a_bad_cursor_has_its_status() {
    let app = TestApp::start().await;
    let phone = app.phone("phone").await;
    let pages = phone.http.pages("/api/v1/sync/pull").await;
    assert_eq!((pages.len(), pages[0].cursor, pages[0].more), (1, Cursor::START, false));
    let bad_cursor = phone.http.request_pages("/api/v1/sync/pull?after=1.0000000000000000");
    phone.http.send(bad_cursor).await.unwrap().refused(409, "cursor_ahead");
    let records = phone.http.request_pages("/api/v1/sync/records");
    phone.http.send(records).await.unwrap().refused(406, "not_acceptable");
}

/// The value of a metric, with its labels as part of the name.
async fn metric(app: &TestApp, name: &str) -> u64 {
    let metrics = app.get("/metrics").await.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |number| number.parse().unwrap())
}

#[tokio::test]
async fn a_slow_reader_holds_no_connection_and_misses_nothing() {
    const LOG_PAGES: &str = "tidelog_pages_total{source=\"log\"}";
    let app = TestApp::build().without_projector().start().await;
    let events = write(&app, &mut StdRng::seed_from_u64(3), 50_000, 1_600).await;
    let analyst = app.analyst().await;
    let mut slow = analyst.request_pages("/api/v1/sync/pull").send().await.unwrap();
    let mut received = slow.chunk().await.unwrap().unwrap().to_vec();
    // Meanwhile others read everything twice.
    let mut pages_of_others = 0;
    for _ in 0..2 {
        pages_of_others += analyst.pages("/api/v1/sync/pull").await.len() as u64;
    }
    let pages = pages_of_others / 2;
    let pages_of_slow = metric(&app, LOG_PAGES).await - pages_of_others;
    assert!(pages > 60);
    assert!(pages_of_slow < pages / 2, "{pages_of_slow} of {pages} pages were read for a reader that takes none");
    assert_eq!(metric(&app, "tidelog_pool_connections_in_use").await, 0, "no connection is held for it");
    while let Some(part) = slow.chunk().await.unwrap() {
        received.extend_from_slice(&part);
    }
    let (pages, rest) = whole_pages(&received);
    assert_eq!(positions(&pages), visible(&events, None));
    assert_eq!(rest, 0);
}

#[tokio::test]
async fn a_device_that_is_revoked_gets_no_further_page() {
    let app = TestApp::build().without_projector().start().await;
    write(&app, &mut StdRng::seed_from_u64(4), 50_000, 1_600).await;
    let phone = app.phone("phone").await;
    let mut response = phone.http.request_pages("/api/v1/sync/pull").send().await.unwrap();
    let mut received = response.chunk().await.unwrap().unwrap().to_vec();
    phone.http.delete(&format!("/api/v1/devices/{}", phone.device)).await;
    let end = loop {
        match response.chunk().await {
            Ok(Some(part)) => received.extend_from_slice(&part),
            end => break end.map(|_| ()),
        }
    };
    assert!(end.is_err(), "the stream is cut");
    let (pages, _) = whole_pages(&received);
    assert!(pages.last().is_none_or(|page| page.more), "before the end of the log");
    let problem = phone.http.get("/api/v1/sync/pull").await.refused(401, "device_revoked");
    assert!(!problem.retryable);
}

//! What memory serves is what the log holds (PULL-1, SEC-1, LOG-2), and only for as long as the log holds it.

use rand::rngs::StdRng;
use rand::seq::{IndexedMutRandom, IndexedRandom};
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tidelog::Roles;
use tidelog_core::cursor::Cursor;
use tidelog_core::digest::Digest;
use tidelog_core::ids::{Position, Scope};
use tidelog_core::op::Op;
use tidelog_core::time::UnixMs;
use tidelog_core::wire::{Encoding, EventView, PullResponse, PushResponse};
use tidelog_testkit::{Http, Phone, StoredEvent, TestApp};
use uuid::Uuid;

const CATALOG: &str =
    "roles = [\"boss\", \"staff\"]\n[tables.notes]\n[tables.tasks]\n[tables.plans]\nread = [\"boss\"]";
const GATEWAY: Roles = Roles { gateway: true, projector: false };

/// Pages that were served from memory, and from the database.
async fn pages_served(http: &Http) -> (u64, u64) {
    let metrics = String::from_utf8(http.get("/metrics").await.body).unwrap();
    let of = |source: &str| {
        let line = format!("tidelog_pages_total{{source=\"{source}\"}} ");
        metrics.lines().find_map(|found| found.strip_prefix(line.as_str())).map_or(0, |count| count.parse().unwrap())
    };
    (of("tail"), of("log"))
}

/// A device and what it may see.
struct Actor {
    phone: Phone,
    tables: &'static [&'static str],
    scopes: Option<&'static [&'static str]>,
}

impl Actor {
    fn sees(&self, event: &StoredEvent, asked: Option<&[&str]>) -> bool {
        let tables: Vec<_> = self.tables.iter().filter(|name| asked.is_none_or(|asked| asked.contains(name))).collect();
        let tables: Vec<_> = tables.into_iter().copied().collect();
        event.is_seen(Some(&tables), self.scopes)
    }
}

async fn actors(app: &TestApp) -> Vec<Actor> {
    let boss = app.phone_as("boss", "boss", &["*"]).await.speaking(Encoding::MessagePack);
    let (store_1, store_2) =
        (app.phone_as("one", "staff", &["s1"]).await, app.phone_as("two", "staff", &["s1", "s2"]).await);
    vec![
        Actor { phone: boss, tables: &["notes", "tasks", "plans"], scopes: None },
        Actor { phone: store_1, tables: &["notes", "tasks"], scopes: Some(&["", "s1"]) },
        Actor { phone: store_2, tables: &["notes", "tasks"], scopes: Some(&["", "s1", "s2"]) },
    ]
}

fn ops(random: &mut StdRng, phone: &mut Phone, count: usize) -> Vec<Op> {
    let ops = (0..count).map(|number| {
        let table = ["notes", "tasks", "plans", "unknown"].choose(random).unwrap();
        let scope = Scope::parse(*["", "s1", "s2", "s3"].choose(random).unwrap()).unwrap();
        let fields = json!({"text": "x".repeat(random.random_range(0..700)), "n": number});
        Op { scope, ..phone.put(table, &format!("r{number}"), fields) }
    });
    ops.collect()
}

/// One page, held against the log as it truly is.
async fn pull_and_compare(actor: &Actor, http: &Http, truth: &[StoredEvent], random: &mut StdRng) {
    let boundaries = truth.iter().zip(truth.iter().skip(1)).filter(|(one, next)| one.batch != next.batch);
    let recent: Vec<_> = boundaries.map(|(one, _)| one.cursor()).chain([Cursor::START]).collect();
    let after = *recent.choose(random).unwrap();
    let limit = *[1, 5, 40, 10_000].choose(random).unwrap();
    let tables = [None, Some(&["notes"][..]), Some(&["plans", "tasks"])].choose(random).copied().unwrap();
    let asked = tables.map(|tables| format!("&tables={}", tables.join(","))).unwrap_or_default();
    let case = format!("after {after}, limit {limit}, {tables:?}, scopes {:?}", actor.scopes);
    let page: PullResponse = http.get(&format!("/api/v1/sync/pull?after={after}&limit={limit}{asked}")).await.good();
    let is_next = |event: &&StoredEvent| event.position > after.position && event.position <= page.position;
    let expected = truth.iter().filter(is_next).filter(|event| actor.sees(event, tables));
    let expected: Vec<_> = expected.map(|event| (event.position, event.batch, event.table.as_str())).collect();
    let seen: Vec<_> = page.events.iter().map(|event| (event.position, event.batch, event.table.as_str())).collect();
    assert_eq!(seen, expected, "{case}");
    let end = truth.iter().find(|event| event.position == page.position).unwrap();
    assert_eq!(page.cursor, end.cursor(), "{case}");
    assert!(!truth.iter().any(|event| event.position.0 == page.position.0 + 1 && event.batch == end.batch), "{case}");
    let head = truth.last().unwrap().position;
    assert_eq!((page.head, page.more), (head, page.position < head), "{case}");
    assert!(page.events.len() >= limit || !page.more, "{case}: {} events", page.events.len());
    let last_batch = page.events.last().map(|event| event.batch);
    let before = page.events.iter().filter(|event| Some(event.batch) != last_batch).count();
    assert!(before < limit, "{case}");
    check_fields(&page.events, truth);
}

fn check_fields(events: &[EventView], truth: &[StoredEvent]) {
    for event in events.iter().filter(|event| !event.table.is_server_owned()) {
        let stored = &truth[event.position.0 as usize - 1];
        let stored: serde_json::Value = rmp_serde::from_slice(&stored.fields).unwrap();
        assert_eq!(serde_json::to_value(&event.fields).unwrap(), stored, "{}", event.position);
    }
}

#[tokio::test]
async fn what_memory_serves_is_what_the_log_holds() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let app = TestApp::build().catalog(CATALOG).without_projector().start().await;
    let mut other = app.another_server(GATEWAY).await;
    let mut actors = actors(&app).await;
    let mut from_memory = 0;
    for round in 0..90 {
        let ways = [app.address(), other.address().unwrap()];
        let actor = actors.choose_mut(&mut random).unwrap();
        let count = *[1, 1, 3, 30, 200].choose(&mut random).unwrap();
        let ops = ops(&mut random, &mut actor.phone, count);
        let push = actor.phone.request(&ops);
        let way = actor.phone.http.clone().by_way_of(*ways.choose(&mut random).unwrap());
        way.post("/api/v1/sync/push", &push).await.good::<PushResponse>();
        let truth = app.database.read_log(app.workspace).await;
        for _ in 0..3 {
            let actor = actors.choose(&mut random).unwrap();
            let http = actor.phone.http.clone().by_way_of(*ways.choose(&mut random).unwrap());
            pull_and_compare(actor, &http, &truth, &mut random).await;
        }
        if round % 30 == 29 {
            from_memory += pages_served(&app.http("").by_way_of(ways[1])).await.0;
            other.stop().await;
            other = app.another_server(GATEWAY).await;
        }
    }
    from_memory += pages_served(&app.http("")).await.0;
    assert!(from_memory > 100, "memory served {from_memory} pages: this tested nothing");
    other.stop().await;
}

#[tokio::test]
async fn many_readers_near_the_head_are_served_from_memory() {
    let app = TestApp::build().without_projector().start().await;
    let mut writer = app.phone("writer").await;
    for _ in 0..20 {
        let ops: Vec<_> =
            (0..50).map(|number| writer.put("notes", &format!("n{number}"), json!({"n": number}))).collect();
        writer.push(&ops).await.good::<PushResponse>();
    }
    let mut readers = Vec::new();
    for number in 0..8 {
        let mut reader = app.phone(&format!("reader {number}")).await;
        readers.push(tokio::spawn(async move { reader.pull_in_pages_of(100).await }));
    }
    for reader in readers {
        assert_eq!(reader.await.unwrap().len(), 1_001);
    }
    assert_eq!(pages_served(&app.http("")).await, (80, 0), "ten pages each, none of them from the database");
}

#[tokio::test]
async fn an_acknowledged_push_is_in_every_later_pull_however_many_pull_at_once() {
    let app = TestApp::build().without_projector().start().await;
    let other = app.another_server(GATEWAY).await;
    let ways = [app.address(), other.address().unwrap()];
    let mut writer = app.phone("writer").await;
    let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut readers = Vec::new();
    for number in 0..6 {
        let reader = app.phone(&format!("reader {number}")).await.by_way_of(ways[number % 2]);
        let is_over = std::sync::Arc::clone(&is_over);
        readers.push(tokio::spawn(async move {
            let (mut after, mut next) = (Cursor::START, 1);
            while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
                let page: PullResponse = reader.http.get(&format!("/api/v1/sync/pull?after={after}")).await.good();
                for event in &page.events {
                    assert_eq!(event.position.0, next);
                    next += 1;
                }
                after = page.cursor;
            }
        }));
    }
    let pullers = [app.phone("here").await.by_way_of(ways[0]), app.phone("there").await.by_way_of(ways[1])];
    let mut after = Cursor::START;
    for number in 0..150 {
        let op = writer.put("notes", "n", json!({"n": number}));
        let way = writer.http.clone().by_way_of(ways[number % 2]);
        let pushed: PushResponse = way.post("/api/v1/sync/push", &writer.request(&[op])).await.good();
        for puller in &pullers {
            let page: PullResponse = puller.http.get(&format!("/api/v1/sync/pull?after={after}")).await.good();
            assert!(page.position >= pushed.head, "{} after the ack of {}", page.position, pushed.head);
            after = page.cursor;
        }
    }
    is_over.store(true, std::sync::atomic::Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
    other.stop().await;
}

/// Another history of the same workspace: events that follow position `after`.
fn history(after: i64, count: i64, name: &str) -> Vec<StoredEvent> {
    let events = (after + 1..=after + count).map(|position| StoredEvent {
        position: Position(position),
        batch: Position(position),
        table: "notes".to_owned(),
        scope: String::new(),
        is_rejected: false,
        fields: rmp_serde::to_vec(&json!({"history": name})).unwrap(),
        digest: Digest(position * 1_000 + name.len() as i64),
        received_at: UnixMs(1_790_000_000_000 + position),
    });
    events.collect()
}

#[tokio::test]
async fn a_log_that_was_replaced_is_not_served_from_memory() {
    let app = TestApp::build().without_projector().start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "first", json!({})).await;
    let write = async |events: &[StoredEvent], device: u128| {
        app.database.write_log(app.workspace, Uuid::from_u128(device), events).await;
    };
    let pull = async |after: Cursor| phone.http.get(&format!("/api/v1/sync/pull?after={after}")).await;
    let histories = |page: &PullResponse| -> Vec<String> {
        let of =
            |event: &EventView| serde_json::to_value(&event.fields).unwrap()["history"].as_str().map(str::to_owned);
        page.events.iter().filter_map(of).collect()
    };
    // A tail of the first history, 2 to 42.
    write(&history(2, 40, "old"), 100).await;
    let old: PullResponse = pull(Cursor::START).await.good();
    assert_eq!((histories(&old).len(), old.position.0), (40, 42));
    let shared = history(2, 40, "old")[9].cursor();

    // Restored to position 12: shorter than the tail.
    app.database.cut_log(app.workspace, Position(12)).await;
    pull(old.cursor).await.refused(409, "cursor_ahead");
    let page: PullResponse = pull(Cursor::START).await.good();
    assert_eq!((histories(&page), page.position.0), (vec!["old".to_owned(); 10], 12));

    // Grown again to where the tail had ended, and past it.
    for (head, device) in [(42, 200), (60, 300)] {
        app.database.cut_log(app.workspace, Position(12)).await;
        write(&history(12, 30, "old"), 150).await;
        let before: PullResponse = pull(shared).await.good();
        assert_eq!(histories(&before), vec!["old"; 30]);
        app.database.cut_log(app.workspace, Position(12)).await;
        write(&history(12, head - 12, "other"), device).await;
        let page: PullResponse = pull(shared).await.good();
        assert_eq!((histories(&page), page.position.0), (vec!["other".to_owned(); head as usize - 12], head));
        pull(before.cursor).await.refused(409, "cursor_diverged");
        assert_eq!(phone.http.pages(&format!("/api/v1/sync/pull?after={shared}")).await[0].events, page.events);
    }
    let (from_memory, _) = pages_served(&app.http("")).await;
    assert!(from_memory > 3, "memory served {from_memory} pages: this tested nothing");
}

#[tokio::test]
async fn a_cursor_is_checked_against_memory_as_against_the_log() {
    let app = TestApp::build().without_projector().start().await;
    let mut phone = app.phone("phone").await;
    for number in 0..5 {
        phone.saves("notes", "n", json!({"n": number})).await;
    }
    let page: PullResponse = phone.http.get("/api/v1/sync/pull").await.good();
    let pull = async |after: &str| phone.http.get(&format!("/api/v1/sync/pull?after={after}")).await;
    pull("3.0000000000000001").await.refused(409, "cursor_diverged");
    pull("6.0000000000000001").await.refused(409, "cursor_diverged");
    pull("7.0000000000000001").await.refused(409, "cursor_ahead");
    assert_eq!(pull(&page.cursor.to_string()).await.good::<PullResponse>().events, []);
    assert_eq!(pages_served(&app.http("")).await, (1, 0));
}

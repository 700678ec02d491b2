//! What the tail in memory serves is what the log holds (PULL-1, SEC-1, LOG-2), and only for as long as the log holds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
use tidelog_testkit::{Http, Phone, Reader, StoredEvent, TestApp, json_of, seed};
use uuid::Uuid;

const CATALOG: &str =
    "roles = [\"boss\", \"staff\"]\n[tables.notes]\n[tables.tasks]\n[tables.plans]\nread = [\"boss\"]";
const GATEWAY: Roles = Roles { gateway: true, projector: false };

/// How many pages a server has served.
#[derive(Debug, PartialEq, Eq)]
struct PagesServed {
    from_memory: u64,
    from_database: u64,
}

async fn pages_served(server: &Http) -> PagesServed {
    let metrics = server.get("/metrics").await.text();
    let count = |source: &str| {
        let name = format!("tidelog_pages_total{{source=\"{source}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(name.as_str())).map_or(0, |count| count.parse().unwrap())
    };
    PagesServed { from_memory: count("tail"), from_database: count("log") }
}

/// A device and what it may see.
struct Actor {
    phone: Phone,
    tables: &'static [&'static str],
    scopes: Option<&'static [&'static str]>,
}

impl Actor {
    /// Whether a pull returns the event, if it asks for these tables and scopes (`None`: for all).
    fn sees(&self, event: &StoredEvent, tables: Option<&[&str]>, scopes: Option<&[&str]>) -> bool {
        let asked = |asked: Option<&[&str]>, name: &str| asked.is_none_or(|asked| asked.contains(&name));
        let is_server_owned = event.table.starts_with('_');
        let is_asked = asked(tables, &event.table) && (event.scope.is_empty() || asked(scopes, &event.scope));
        event.is_seen(Some(self.tables), self.scopes) && (is_server_owned || is_asked)
    }
}

async fn actors(app: &TestApp) -> Vec<Actor> {
    let boss = app.phone_as("boss", "boss", &["*"]).await.speaking(Encoding::MessagePack);
    let store_1 = app.phone_as("one", "staff", &["s1"]).await;
    let store_2 = app.phone_as("two", "staff", &["s1", "s2"]).await;
    vec![
        Actor { phone: boss, tables: &["notes", "tasks", "plans"], scopes: None },
        Actor { phone: store_1, tables: &["notes", "tasks"], scopes: Some(&["", "s1"]) },
        Actor { phone: store_2, tables: &["notes", "tasks"], scopes: Some(&["", "s1", "s2"]) },
    ]
}

/// Random puts, some of which the server rejects.
fn random_ops(random: &mut StdRng, phone: &mut Phone, count: usize) -> Vec<Op> {
    let ops = (0..count).map(|number| {
        let table = ["notes", "tasks", "plans", "unknown"].choose(random).unwrap();
        let scope = Scope::parse(*["", "s1", "s2", "s3"].choose(random).unwrap()).unwrap();
        let fields = json!({"text": "x".repeat(random.random_range(0..700)), "n": number});
        Op { scope, ..phone.put(table, &format!("r{number}"), fields) }
    });
    ops.collect()
}

/// Pulls one page with random parameters, and compares it with the stored log.
async fn pull_and_compare(actor: &Actor, server: &Http, log: &[StoredEvent], random: &mut StdRng) {
    let batch_ends = log.iter().zip(log.iter().skip(1)).filter(|(one, next)| one.batch != next.batch);
    let cursors: Vec<_> = batch_ends.map(|(one, _)| one.cursor()).chain([Cursor::START]).collect();
    let after = *cursors.choose(random).unwrap();
    let limit = *[1, 5, 40, 10_000].choose(random).unwrap();
    let tables = [None, Some(&["notes"][..]), Some(&["plans", "tasks"])].choose(random).copied().unwrap();
    let scopes = [None, Some(&["s1"][..]), Some(&["s3", "s2"]), Some(&[""])].choose(random).copied().unwrap();
    let list = |name: &str, names: Option<&[&str]>| names.map(|names| format!("&{name}={}", names.join(",")));
    let asked = [list("tables", tables), list("scopes", scopes)].into_iter().flatten().collect::<String>();
    let case = format!("after {after}, limit {limit}{asked}, granted {:?}", actor.scopes);
    let page = server.pull_page(&format!("after={after}&limit={limit}{asked}")).await;
    let is_within = |event: &&StoredEvent| event.position > after.position && event.position <= page.position;
    let expected = log.iter().filter(is_within).filter(|event| actor.sees(event, tables, scopes));
    let expected: Vec<_> = expected.map(|event| (event.position, event.batch, event.table.as_str())).collect();
    let pulled: Vec<_> = page.events.iter().map(|event| (event.position, event.batch, event.table.as_str())).collect();
    assert_eq!(pulled, expected, "{case}");
    let end = log.iter().find(|event| event.position == page.position).unwrap();
    assert_eq!(page.cursor, end.cursor(), "{case}");
    let next = log.iter().find(|event| event.position.0 == page.position.0 + 1);
    assert!(next.is_none_or(|next| next.batch != end.batch), "{case}");
    let head = log.last().unwrap().position;
    assert_eq!((page.head, page.more), (head, page.position < head), "{case}");
    assert!(page.events.len() >= limit || !page.more, "{case}: {} events", page.events.len());
    let last_batch = page.events.last().map(|event| event.batch);
    let before_last_batch = page.events.iter().filter(|event| Some(event.batch) != last_batch).count();
    assert!(before_last_batch < limit, "{case}");
    assert_fields_are_stored(&page.events, log);
}

fn assert_fields_are_stored(events: &[EventView], log: &[StoredEvent]) {
    for event in events.iter().filter(|event| !event.table.is_server_owned()) {
        let stored = &log[event.position.0 as usize - 1];
        let stored: serde_json::Value = rmp_serde::from_slice(&stored.fields).unwrap();
        assert_eq!(json_of(&event.fields), stored, "{}", event.position);
    }
}

#[tokio::test]
async fn what_memory_serves_is_what_the_log_holds() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let app = TestApp::build().catalog(CATALOG).without_projector().start().await;
    let mut other = app.another_server(GATEWAY).await;
    let mut actors = actors(&app).await;
    let mut from_memory = 0;
    for round in 0..90 {
        let servers = [app.address(), other.address().unwrap()];
        let actor = actors.choose_mut(&mut random).unwrap();
        let count = *[1, 1, 3, 30, 200].choose(&mut random).unwrap();
        let ops = random_ops(&mut random, &mut actor.phone, count);
        let request = actor.phone.request(&ops);
        let server = actor.phone.http.clone().by_way_of(*servers.choose(&mut random).unwrap());
        server.post("/api/v1/sync/push", &request).await.good::<PushResponse>();
        let log = app.database.read_log(app.workspace).await;
        for _ in 0..3 {
            let actor = actors.choose(&mut random).unwrap();
            let server = actor.phone.http.clone().by_way_of(*servers.choose(&mut random).unwrap());
            pull_and_compare(actor, &server, &log, &mut random).await;
        }
        if round % 30 == 29 {
            from_memory += pages_served(&app.http("").by_way_of(servers[1])).await.from_memory;
            other.stop().await;
            other = app.another_server(GATEWAY).await;
        }
    }
    from_memory += pages_served(&app.http("")).await.from_memory;
    assert!(from_memory > 100, "memory served {from_memory} pages, too few to prove anything");
    other.stop().await;
}

#[tokio::test]
async fn many_readers_near_the_head_are_served_from_memory() {
    let app = TestApp::build().without_projector().start().await;
    let mut writer = app.phone("writer").await;
    for _ in 0..20 {
        let ops: Vec<_> =
            (0..50).map(|number| writer.put("notes", &format!("n{number}"), json!({"n": number}))).collect();
        writer.push(&ops).await;
    }
    let mut readers = Vec::new();
    for number in 0..8 {
        let mut reader = app.phone(&format!("reader {number}")).await;
        readers.push(tokio::spawn(async move { reader.pull_in_pages_of(100).await }));
    }
    for reader in readers {
        assert_eq!(reader.await.unwrap().len(), 1_002);
    }
    let expected = PagesServed { from_memory: 80, from_database: 0 };
    assert_eq!(pages_served(&app.http("")).await, expected, "ten pages each, none of them from the database");
}

#[tokio::test]
async fn an_acknowledged_push_is_in_every_later_pull_however_many_pull_at_once() {
    let app = TestApp::build().without_projector().start().await;
    let other = app.another_server(GATEWAY).await;
    let servers = [app.address(), other.address().unwrap()];
    let mut writer = app.phone("writer").await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for number in 0..6 {
        let reader = app.phone(&format!("reader {number}")).await.by_way_of(servers[number % 2]);
        let is_over = Arc::clone(&is_over);
        readers.push(tokio::spawn(async move {
            let (mut after, mut next) = (Cursor::START, 1);
            while !is_over.load(Ordering::SeqCst) {
                let page = reader.pull_page(&format!("after={after}")).await;
                for event in &page.events {
                    assert_eq!(event.position.0, next);
                    next += 1;
                }
                after = page.cursor;
            }
        }));
    }
    let pullers = [app.phone("here").await.by_way_of(servers[0]), app.phone("there").await.by_way_of(servers[1])];
    let mut after = Cursor::START;
    for number in 0..150 {
        let op = writer.put("notes", "n", json!({"n": number}));
        let pushed = writer.clone().by_way_of(servers[number % 2]).push(&[op]).await;
        for puller in &pullers {
            let page = puller.pull_page(&format!("after={after}")).await;
            assert!(page.position >= pushed.head, "{} after the response of {}", page.position, pushed.head);
            after = page.cursor;
        }
    }
    is_over.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
    other.stop().await;
}

/// `count` events after a position, as one of several histories that a restored log may have.
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

/// The names of the histories that the events of a page are from.
fn histories(page: &PullResponse) -> Vec<String> {
    let name = |event: &EventView| json_of(&event.fields)["history"].as_str().map(str::to_owned);
    page.events.iter().filter_map(name).collect()
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
    // A tail of the first history: positions 3 to 42.
    write(&history(3, 39, "old"), 100).await;
    let old: PullResponse = pull(Cursor::START).await.good();
    assert_eq!((histories(&old).len(), old.position.0), (39, 42));
    let shared = history(3, 39, "old")[8].cursor();

    // The log is restored up to position 12, so it is shorter than the tail.
    app.database.cut_log(app.workspace, Position(12)).await;
    pull(old.cursor).await.refused(409, "cursor_ahead");
    let page: PullResponse = pull(Cursor::START).await.good();
    assert_eq!((histories(&page), page.position.0), (vec!["old".to_owned(); 9], 12));

    // The log has grown again to the end of the tail, and beyond it.
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
    let served = pages_served(&app.http("")).await;
    assert!(served.from_memory > 3, "memory served too few pages to prove anything: {served:?}");
}

#[tokio::test]
async fn a_cursor_is_checked_against_memory_as_against_the_log() {
    let app = TestApp::build().without_projector().start().await;
    let mut phone = app.phone("phone").await;
    for number in 0..5 {
        phone.saves("notes", "n", json!({"n": number})).await;
    }
    let page = phone.pull_page("").await;
    let pull = async |after: &str| phone.http.get(&format!("/api/v1/sync/pull?after={after}")).await;
    pull("3.0000000000000001").await.refused(409, "cursor_diverged");
    pull("7.0000000000000001").await.refused(409, "cursor_diverged");
    pull("8.0000000000000001").await.refused(409, "cursor_ahead");
    assert_eq!(pull(&page.cursor.to_string()).await.good::<PullResponse>().events, []);
    assert_eq!(pages_served(&app.http("")).await, PagesServed { from_memory: 1, from_database: 0 });
}

//! Pages that several readers share are the pages that each would get from the log (PULL-1, SEC-1), and only for as long as
//! the log holds them.

use reqwest::Method;
use serde_json::json;
use tidelog_core::digest::Digest;
use tidelog_core::ids::Position;
use tidelog_core::time::UnixMs;
use tidelog_core::wire::{Encoding, EventView, PullResponse};
use tidelog_testkit::{Http, Phone, Response, StoredEvent, TestApp, json_of};
use uuid::Uuid;

const CATALOG: &str = "roles = [\"boss\", \"staff\"]\n[tables.notes]\n[tables.rare]\n[tables.plans]\nread = [\"boss\"]";
/// More than a tail reaches back from the head, so that pages from the start are read from the database.
const EVENTS: i64 = 20_000;

/// How many pages a server has served.
#[derive(Debug, PartialEq, Eq)]
struct PagesServed {
    shared: u64,
    from_database: u64,
}

async fn pages_served(app: &TestApp) -> PagesServed {
    let metrics = app.get("/metrics").await.text();
    let count = |source: &str| {
        let name = format!("tidelog_pages_total{{source=\"{source}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(name.as_str())).map_or(0, |count| count.parse().unwrap())
    };
    PagesServed { shared: count("shared"), from_database: count("log") }
}

/// `count` events after a position in batches of ten, as one of several histories that a restored log may have.
fn history(after: i64, count: i64, name: &str) -> Vec<StoredEvent> {
    let events = (after + 1..=after + count).map(|position| StoredEvent {
        position: Position(position),
        batch: Position(position - (position - after - 1) % 10),
        table: (if position % 3 == 0 { "plans" } else { "notes" }).to_owned(),
        scope: ["", "s1", "s2"][position as usize % 5 % 3].to_owned(),
        is_rejected: position % 7 == 0,
        fields: rmp_serde::to_vec(&json!({"history": name, "n": position})).unwrap(),
        digest: Digest(position * 1_000 + name.len() as i64),
        received_at: UnixMs(1_790_000_000_000 + position),
    });
    events.collect()
}

/// A server whose log is longer than a tail: an op of a writer with what comes before it, then a history. The boss, who is
/// returned too, has pushed nothing, so no event says who it is.
async fn start() -> (TestApp, Phone, Phone) {
    let app = TestApp::build().catalog(CATALOG).without_projector().start().await;
    let mut writer = app.phone_as("writer", "boss", &["*"]).await;
    let boss = app.phone_as("boss", "boss", &["*"]).await;
    let head = writer.saves("notes", "first", json!({})).await.head;
    app.database.write_log(app.workspace, Uuid::from_u128(100), &history(head.0, EVENTS, "old")).await;
    (app, boss, writer)
}

/// Positions of a page's events, with the name of the history that each is from.
fn contents(page: &PullResponse) -> Vec<(Position, String)> {
    let name = |event: &EventView| json_of(&event.fields)["history"].as_str().unwrap_or_default().to_owned();
    page.events.iter().map(|event| (event.position, name(event))).collect()
}

async fn pull(http: &Http, query: &str) -> PullResponse {
    http.get(&format!("/api/v1/sync/pull?{query}")).await.good()
}

#[tokio::test]
async fn readers_who_come_at_once_share_each_page() {
    let (app, boss, _) = start().await;
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let before = pages_served(&app).await;
        let readers: Vec<_> = (0..8)
            .map(|_| {
                let http = boss.http.clone().speaking(encoding);
                tokio::spawn(async move {
                    let mut pages = vec![pull(&http, "limit=1000").await];
                    pages.push(pull(&http, &format!("limit=1000&after={}", pages[0].cursor)).await);
                    pages.iter().map(contents).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut read = Vec::new();
        for reader in readers {
            read.push(reader.await.unwrap());
        }
        assert!(read.iter().all(|pages| *pages == read[0] && pages[0].len() >= 1_000), "all get the same");
        let after = pages_served(&app).await;
        let served = PagesServed {
            shared: after.shared - before.shared,
            from_database: after.from_database - before.from_database,
        };
        assert_eq!(served, PagesServed { shared: 14, from_database: 2 }, "{encoding:?}: two pages, read once each");
    }
}

#[tokio::test]
async fn a_page_that_is_compressed_once_is_read_by_all_who_take_zstd() {
    let (app, boss, _) = start().await;
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let http = boss.http.clone().speaking(encoding);
        let plain = pull(&http, "limit=1000").await;
        let before = pages_served(&app).await;
        let mut sizes = Vec::new();
        for accepted in ["zstd", "zstd, gzip;q=0.5", "gzip;q=0.2, zstd"] {
            let request = http.request(Method::GET, "/api/v1/sync/pull?limit=1000").header("accept-encoding", accepted);
            let response = http.send(request).await.unwrap();
            assert_eq!(response.headers["content-encoding"], "zstd");
            let vary =
                response.headers.get_all("vary").iter().map(|value| value.to_str().unwrap().to_ascii_lowercase());
            assert!(vary.collect::<Vec<_>>().join(", ").contains("accept-encoding"));
            let body = zstd::stream::decode_all(response.body.as_slice()).unwrap();
            let (status, headers) = (response.status, response.headers.clone());
            let page: PullResponse = Response { status, headers, body }.good();
            assert_eq!((page.events, page.cursor, page.more), (plain.events.clone(), plain.cursor, plain.more));
            sizes.push(response.body.len());
        }
        let after = pages_served(&app).await;
        assert_eq!((after.shared - before.shared, after.from_database - before.from_database), (2, 1), "{sizes:?}");
        let gzip = http.request(Method::GET, "/api/v1/sync/pull?limit=1000").header("accept-encoding", "gzip");
        assert_eq!(http.send(gzip).await.unwrap().headers["content-encoding"], "gzip");
    }
}

#[tokio::test]
async fn a_page_is_shared_with_nobody_who_may_see_other_events() {
    let (app, boss, writer) = start().await;
    let log = app.database.read_log(app.workspace).await;
    let one = app.phone_as("one", "staff", &["s1"]).await;
    let two = app.phone_as("two", "staff", &["s1", "s2"]).await;
    let all = app.phone_as("all", "staff", &["*"]).await;
    let analyst = app.analyst().await;
    let staff = Some(&["notes", "rare"][..]);
    let readers = [
        (&boss.http, Some(&["notes", "rare", "plans"][..]), None),
        (&writer.http, Some(&["notes", "rare", "plans"][..]), None),
        (&one.http, staff, Some(&["", "s1"][..])),
        (&two.http, staff, Some(&["", "s1", "s2"][..])),
        (&all.http, staff, None),
        (&analyst, None, None),
    ];
    for (asked, limit) in [(None, 300), (None, 500), (Some("notes"), 300), (Some("plans"), 300)] {
        let asked_tables = asked.map(|table| format!("&tables={table}")).unwrap_or_default();
        // Twice, so that each pull may find what any other one has left.
        for (encoding, round) in
            [Encoding::Json, Encoding::MessagePack].into_iter().flat_map(|one| [(one, 1), (one, 2)])
        {
            for (reader, tables, scopes) in readers {
                let http = reader.clone().speaking(encoding);
                let page = pull(&http, &format!("limit={limit}{asked_tables}")).await;
                let is_shown = |event: &&StoredEvent| {
                    let is_asked = asked.is_none_or(|asked| event.table == asked || event.table.starts_with('_'));
                    event.position <= page.position && event.is_seen(tables, scopes) && is_asked
                };
                let expected: Vec<_> = log.iter().filter(is_shown).map(|event| event.position).collect();
                let pulled: Vec<_> = page.events.iter().map(|event| event.position).collect();
                assert_eq!(pulled, expected, "round {round}, {tables:?}, {scopes:?}, {asked:?}, {limit}");
                let is_full = (limit..limit + 10).contains(&pulled.len());
                assert!(is_full || !page.more, "{} of {limit}", pulled.len());
            }
        }
    }
    let served = pages_served(&app).await;
    assert!(served.shared >= 20, "too few pages are shared to prove anything: {served:?}");
}

#[tokio::test]
async fn a_shared_page_shows_nobody_the_role_and_scopes_of_another_device() {
    let (app, boss, writer) = start().await;
    let is_told = async |http: &Http, encoding| {
        let page = pull(&http.clone().speaking(encoding), "limit=1000").await;
        let mut events = page.events.into_iter().filter(|event| event.table.as_str() == "_devices");
        let event = events.find(|event| event.record.as_str() == writer.device.to_string()).unwrap();
        json_of(&event.fields).get("role").is_some()
    };
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        for _ in 0..2 {
            assert!(!is_told(&boss.http, encoding).await, "another device's");
            assert!(is_told(&writer.http, encoding).await, "its own");
            assert!(is_told(&app.analyst().await, encoding).await, "everything is the analyst's to see");
        }
    }
    assert!(pages_served(&app).await.shared > 0);
}

#[tokio::test]
async fn a_page_is_not_shared_across_a_change_of_the_catalog() {
    let (app, _, mut writer) = start().await;
    let staff = app.phone_as("staff", "staff", &["*"]).await;
    let before = pull(&staff.http, "limit=1000").await;
    assert!(before.events.iter().all(|event| event.table.as_str() != "plans"));
    assert_eq!(contents(&pull(&staff.http, "limit=1000").await), contents(&before));

    app.apply_catalog(&CATALOG.replace("read = [\"boss\"]", "")).await;
    writer.saves("notes", "second", json!({})).await;
    let after = pull(&staff.http, "limit=1000").await;
    assert!(after.events.iter().any(|event| event.table.as_str() == "plans"), "the new catalog shows them");

    app.apply_catalog(CATALOG).await;
    writer.saves("notes", "third", json!({})).await;
    assert_eq!(contents(&pull(&staff.http, "limit=1000").await), contents(&before), "and this one hides them again");
}

#[tokio::test]
async fn a_page_of_a_log_that_was_replaced_is_not_shared() {
    let (app, boss, _) = start().await;
    let names = |page: &PullResponse| {
        let mut names: Vec<_> =
            contents(page).into_iter().map(|(_, name)| name).filter(|name| !name.is_empty()).collect();
        names.dedup();
        names
    };
    let old = pull(&boss.http, "limit=1000").await;
    assert_eq!(names(&old), ["old"]);
    let log = app.database.read_log(app.workspace).await;
    let mut ends = log.iter().zip(log.iter().skip(1)).filter(|(one, next)| one.batch != next.batch);
    let middle = ends.find(|(end, _)| end.position.0 > 500).unwrap().0.cursor();

    // The log is restored up to the middle of the page, and other events follow.
    app.database.cut_log(app.workspace, middle.position).await;
    app.database.write_log(app.workspace, Uuid::from_u128(200), &history(middle.position.0, EVENTS, "other")).await;
    let new = pull(&boss.http, "limit=1000").await;
    assert_eq!(names(&new), ["old", "other"]);
    boss.http.get(&format!("/api/v1/sync/pull?after={}", old.cursor)).await.refused(409, "cursor_diverged");

    // It is restored once more, and is shorter than the page now.
    app.database.cut_log(app.workspace, middle.position).await;
    let short = pull(&boss.http, "limit=1000").await;
    assert_eq!((names(&short), short.position, short.more), (vec!["old".to_owned()], middle.position, false));
}

#[tokio::test]
async fn a_page_that_ended_at_the_head_is_not_shared_when_the_log_has_grown() {
    let (app, boss, mut writer) = start().await;
    let query = "limit=1000&tables=rare";
    let before = pull(&boss.http, query).await;
    assert!(!before.more && before.events.iter().all(|event| event.table.is_server_owned()));
    assert_eq!(contents(&pull(&boss.http, query).await), contents(&before));
    assert_eq!(pages_served(&app).await, PagesServed { shared: 1, from_database: 1 });
    let pushed = writer.saves("rare", "first", json!({})).await;
    let after = pull(&boss.http, query).await;
    assert_eq!(after.events.last().map(|event| event.position), Some(pushed.head), "it was acknowledged before");
}

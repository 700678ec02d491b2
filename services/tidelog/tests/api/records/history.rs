//! A record's past over HTTP: its events with what became of them, and the record as of any position or time.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value as Json, json};
use tidelog_core::event::Event;
use tidelog_core::fold::{Folder, Record};
use tidelog_core::ids::{Position, Scope};
use tidelog_core::op::Op;
use tidelog_core::time::UnixMs;
use tidelog_core::wire::{EventView, RecordView};
use tidelog_testkit::{Reader, TestApp, assert_snapshot_of, json_of};

const CATALOG: &str = "roles = [\"member\"]\n[tables.notes]\n[tables.drafts]\nrule = \"manual\"";
const LATER_CATALOG: &str =
    "roles = [\"member\"]\n[tables.notes]\nrule = \"first_write_wins\"\n[tables.drafts]\nrule = \"manual\"";

#[tokio::test]
async fn a_history_has_every_event_with_what_became_of_it() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let (mut phone, mut tablet) = (app.phone("phone").await, app.phone("tablet").await);
    let op = phone.put("drafts", "d", json!({"a": 1, "b": 1}));
    phone.push_and_wait(&[op]).await;
    let op = tablet.put("drafts", "d", json!({"a": 2, "c": 2}));
    tablet.push_and_wait(&[op]).await;
    let op = tablet.put("drafts", "d", json!({"$b": 2, "bad": "x".repeat(300_000)}));
    assert_eq!(tablet.push_and_wait(&[op]).await.rejected.len(), 1);
    phone.pull().await;
    let op = phone.delete("drafts", "d");
    phone.push_and_wait(&[op]).await;

    let history: Json = phone.http.get("/api/v1/records/drafts/d/history").await.good();
    assert_snapshot_of!(app, "a_history_without_the_rejected_op", history);
    phone.http.get("/api/v1/records/drafts/never/history").await.refused(404, "not_found");
    phone.http.get("/api/v1/records/drafts/d/history?after=x").await.refused(400, "cursor_invalid");

    let store_13 = app.phone_as("13", "member", &["store-13"]).await;
    let op = Op { scope: Scope::parse("store-12").unwrap(), ..phone.put("drafts", "s", json!({"n": 1})) };
    phone.push_and_wait(&[op]).await;
    for path in ["drafts/s/history?scope=store-12", "drafts/s?scope=store-12&as_of=1", "nothing/s/history"] {
        store_13.http.get(&format!("/api/v1/records/{path}")).await.refused(404, "not_found");
    }
    assert_eq!(phone.history("drafts", "s", "scope=store-12").await.events.len(), 1);
}

#[tokio::test]
async fn a_long_history_is_read_in_pages() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let mut phone = app.phone("phone").await;
    for round in 0..3 {
        let ops: Vec<_> = (0..70)
            .flat_map(|n| [phone.put("notes", "n", json!({"n": round * 70 + n})), phone.put("notes", "m", json!({}))])
            .collect();
        phone.push_and_wait(&ops).await;
    }
    for limit in [1_000, 64, 63, 41] {
        let (mut numbers, mut after, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = phone.history("notes", "n", &format!("limit={limit}{after}")).await;
            assert!(page.events.len() <= limit);
            let of_page = page.events.iter().map(|event| json_of(&event.event.fields)["n"].as_i64().unwrap());
            numbers.extend(of_page);
            after = format!("&after={}", page.cursor);
            pages += 1;
            if !page.more {
                break;
            }
        }
        assert_eq!(numbers, (0..210).collect::<Vec<_>>(), "by {limit}");
        assert_eq!(pages, 210_usize.div_ceil(limit).max(1));
        let rest = phone.history("notes", "n", &format!("limit={limit}{after}")).await;
        assert_eq!((rest.events.as_slice(), rest.more), (&[][..], false));
    }
}

/// Each record as it was after each position.
fn records_by_position(events: &[EventView]) -> BTreeMap<(i64, String), RecordView> {
    let (mut folder, mut records) = (Folder::new(), BTreeMap::new());
    for event in events {
        folder.fold(&Event::try_from(event.clone()).unwrap()).unwrap();
        for view in folder.views(false) {
            records.insert((event.position.0, view.record.to_string()), view);
        }
    }
    records
}

#[tokio::test]
async fn a_record_as_of_any_position_is_the_fold_of_the_log_up_to_there() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let (mut phone, mut tablet) = (app.phone("phone").await, app.phone("tablet").await);
    for round in 0..30 {
        if round == 15 {
            app.apply_catalog(LATER_CATALOG).await;
        }
        if round % 4 == 0 {
            phone.pull().await;
        }
        if round % 5 == 0 {
            tablet.pull().await;
        }
        let record = if round % 3 == 0 { "m" } else { "n" };
        let ops =
            [phone.put("notes", record, json!({"a": round, "b": round})), phone.put("notes", "o", json!({"n": round}))];
        phone.push_and_wait(&ops).await;
        let op = if round % 7 == 6 {
            tablet.delete("notes", record)
        } else {
            tablet.put("notes", record, json!({"a": -round}))
        };
        tablet.push_and_wait(&[op]).await;
    }
    let mut reader = app.phone("reader").await;
    let events = reader.pull().await;
    let records = records_by_position(&events);
    let assert_as_of = async |record: &str, as_of: String, position: i64| {
        let response = reader.http.get(&format!("/api/v1/records/notes/{record}?as_of={as_of}")).await;
        match records.get(&(position, record.to_owned())) {
            Some(expected) => assert_eq!(&response.good::<RecordView>(), expected, "{record} as of {as_of}"),
            None => drop(response.refused(404, "not_found")),
        }
    };
    for position in 0..=events.len() as i64 {
        for record in ["m", "n"] {
            assert_as_of(record, position.to_string(), position).await;
        }
    }
    // A time stands for the last event that was stored by then.
    for event in events.iter().skip(1).step_by(7) {
        let last = events.iter().rev().find(|other| other.received_at <= event.received_at).unwrap();
        assert_as_of("o", event.received_at.to_string(), last.position.0).await;
    }
    let before = UnixMs(events[0].received_at.0 - 1);
    reader.http.get(&format!("/api/v1/records/notes/n?as_of={before}")).await.refused(404, "not_found");
    assert_as_of("n", app.now().to_string(), events.len() as i64).await;
}

#[tokio::test]
async fn what_is_no_place_in_the_log_is_refused() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let mut phone = app.phone("phone").await;
    let op = phone.put("notes", "n", json!({"n": 1}));
    phone.push_and_wait(&[op]).await;
    for as_of in ["4", "99999999999999999999", "", "-1", "yesterday", "2999-01-01T00:00:00.000Z"] {
        phone.http.get(&format!("/api/v1/records/notes/n?as_of={as_of}")).await.refused(422, "query_invalid");
    }
    phone.http.get("/api/v1/records/notes/n?as_of=2").await.refused(404, "not_found");
    assert_eq!(phone.fields("notes", "n?as_of=3").await, json!({"n": 1}));
}

#[tokio::test]
async fn after_a_refold_the_past_is_what_its_rules_make_of_it() {
    let app = TestApp::build().catalog(CATALOG).start().await;
    let (mut phone, mut tablet) = (app.phone("phone").await, app.phone("tablet").await);
    let op = phone.put("notes", "n", json!({"by": "phone"}));
    phone.push_and_wait(&[op]).await;
    let op = tablet.put("notes", "n", json!({"by": "tablet"}));
    tablet.push_and_wait(&[op]).await;
    app.apply_catalog(LATER_CATALOG).await;
    let op = phone.put("notes", "other", json!({}));
    phone.push_and_wait(&[op]).await;
    let past = async || phone.fields("notes", "n?as_of=5").await;
    assert_eq!(past().await, json!({"by": "tablet"}), "by the rules of its time the last write won");
    // What a refold leaves: the live generation names the catalog under which it was folded.
    let owner = app.database.connect().await;
    owner.execute("UPDATE tidelog.checkpoints SET refold_position = 6", &[]).await.unwrap();
    assert_eq!(past().await, json!({"by": "phone"}), "by the refold's rules the first write won");
}

/// Fills the log up to `events` events behind the one that a phone has pushed, evenly between the record `hot` and ten
/// thousand other records. Returns the positions of the events of `hot`.
async fn fill_log(app: &TestApp, events: i64) -> Vec<Position> {
    let stride = events / 100;
    let owner = app.database.connect().await;
    let sql = format!(
        "INSERT INTO tidelog.log SELECT l.workspace, l.device, p, p - 2, p - 1, l.at_ms + p, l.received_at_ms + p, p, 0::smallint, 1::smallint, 'notes',
            CASE WHEN p % {stride} = 7 THEN 'hot' ELSE 'r' || p % 9973 END, '', l.role, '', '', '', l.fields
         FROM tidelog.log l, generate_series(4, {events}) AS p WHERE l.position = 3"
    );
    owner.batch_execute(&sql).await.unwrap();
    owner.batch_execute("VACUUM ANALYZE tidelog.log").await.unwrap();
    [3].into_iter().chain((0..99).map(|n| n * stride + 7)).map(Position).collect()
}

/// Folds the catalog and these events, which are all of one record.
async fn fold_record(app: &TestApp, positions: &[Position]) -> Record {
    let (store, workspace) = (app.store(), app.workspace);
    let mut folder = Folder::new();
    folder.fold(&store.event_at(workspace, Position(1)).await.unwrap().unwrap()).unwrap();
    for event in store.events_at(workspace, positions).await.unwrap() {
        folder.fold(&event).unwrap();
    }
    folder.take_changed().remove(0).1
}

/// Writes a folded record as the projector would, and moves the checkpoint to the head.
async fn write_record(app: &TestApp, record: &Record, head: i64) {
    let owner = app.database.connect().await;
    let (mut fields, mut state) = (Vec::new(), Vec::new());
    record.write_fields(&mut fields);
    record.write_state(&mut state);
    let sql = "INSERT INTO tidelog.records SELECT workspace, $1, $2, 0, 0, table_set, false, 'notes', '', 'hot', $3, $4 FROM tidelog.checkpoints";
    owner.execute(sql, &[&record.version.0, &record.touched.0, &fields, &state]).await.unwrap();
    for (block, positions) in &record.history.leaving {
        let positions: Vec<_> = positions.iter().map(|position| position.0).collect();
        let sql = "INSERT INTO tidelog.record_events SELECT workspace, table_set, $1, 'notes', '', 'hot', $2 FROM tidelog.checkpoints";
        owner.execute(sql, &[&(*block as i32), &positions]).await.unwrap();
    }
    owner
        .execute("UPDATE tidelog.checkpoints SET position = $1, folded_position = $1, catalog_position = 1", &[&head])
        .await
        .unwrap();
}

/// Prints the quantiles of what some calls took.
fn print_quantiles(what: &str, mut took: Vec<u128>) {
    took.sort_unstable();
    let (p50, p99, max) = (took[took.len() / 2], took[took.len() * 99 / 100], took[took.len() - 1]);
    println!("{what}: p50 {p50} us, p99 {p99} us, max {max} us");
}

/// Prints what the target is about: history and as-of of a record with 100 events within 10 ms at p99, in a log of a
/// million (`TIDELOG_HISTORY_EVENTS=1000000`, alone, with `--nocapture`).
#[tokio::test]
async fn a_hundred_events_among_many_are_read_by_their_places() {
    let events: i64 = std::env::var("TIDELOG_HISTORY_EVENTS").map_or(20_000, |events| events.parse().unwrap());
    let rounds = if events < 1_000_000 { 20 } else { 500 };
    let app = TestApp::build().catalog(CATALOG).without_projector().start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "hot", json!({"n": 0, "text": "x".repeat(200)})).await;
    let positions = fill_log(&app, events).await;
    let record = fold_record(&app, &positions).await;
    write_record(&app, &record, events).await;
    assert_eq!(phone.history("notes", "hot", "").await.events.len(), 100);

    let (store, workspace) = (app.store(), app.workspace);
    let time = UnixMs(store.event_at(workspace, Position(events)).await.unwrap().unwrap().received_at.0 - 1);
    println!("the time {time} is at {:?}", store.position_at(workspace, time).await.unwrap());
    for path in ["notes/hot/history".to_owned(), format!("notes/hot?as_of={events}"), "notes/hot".to_owned()] {
        let mut took = Vec::new();
        for _ in 0..rounds {
            let began = Instant::now();
            phone.http.get(&format!("/api/v1/records/{path}")).await.good::<Json>();
            took.push(began.elapsed().as_micros());
        }
        print_quantiles(&path, took);
    }
    let mut took = Vec::new();
    for n in 0..rounds {
        let began = Instant::now();
        store.position_at(workspace, UnixMs(time.0 - n * 1_999)).await.unwrap();
        took.push(began.elapsed().as_micros());
    }
    print_quantiles("the position of a time", took);
}

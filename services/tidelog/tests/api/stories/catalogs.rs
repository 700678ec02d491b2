//! The four catalogs of schema/catalogs, each played through by the people it is for, over real HTTP.

use serde_json::{Value as Json, json};
use tidelog_core::time::UnixMs;
use tidelog_core::value::Value;
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{Encoding, RecordView};
use tidelog_testkit::{Phone, TestApp};

const INSIGHT: &str = include_str!("../../../../../schema/catalogs/insight.toml");
const FIELD_REPORT: &str = include_str!("../../../../../schema/catalogs/field-report.toml");
const SCHEDULE_NOTE: &str = include_str!("../../../../../schema/catalogs/schedule-note.toml");
const ATTENDANCE: &str = include_str!("../../../../../schema/catalogs/attendance.toml");

const MINUTE_MS: i64 = 60_000;

async fn app(catalog: &str) -> TestApp {
    TestApp::build().catalog(catalog).start().await
}

/// Pushes one op with what the phone knows, and says what became of it.
async fn lands(phone: &Phone, op: tidelog_core::op::Op) -> (Verdict, Vec<String>) {
    let answer = phone.push_and_wait(&[op]).await;
    let outcome = answer.outcomes.unwrap().into_iter().next();
    outcome.map_or((Verdict::Applied, Vec::new()), |outcome| {
        (outcome.verdict, outcome.conflicts.iter().map(ToString::to_string).collect())
    })
}

async fn fields(phone: &Phone, table: &str, record: &str) -> Json {
    let view: RecordView = phone.http.get(&format!("/api/v1/records/{table}/{record}")).await.good();
    serde_json::to_value(view.fields).unwrap()
}

async fn conflicts(phone: &Phone, query: &str) -> Vec<Json> {
    let page: Json = phone.http.get(&format!("/api/v1/conflicts?{query}")).await.good();
    page["conflicts"].as_array().unwrap().clone()
}

async fn resolve(phone: &Phone, conflict: &Json, choice: Json) {
    let id = conflict["conflict"].as_str().unwrap();
    let answer = phone.http.post(&format!("/api/v1/conflicts/{id}/resolve"), &choice).await;
    assert!(answer.good::<Json>()["position"].as_i64().unwrap() > 0);
}

/// A replica that folds what it pulls comes to the same fields.
async fn folds_alike(phone: &mut Phone, table: &str, record: &str) {
    let mut replica = Phone { http: phone.http.clone(), device: phone.device, next_seq: 0, cursor: None };
    let folder = Phone::fold(&replica.pull().await);
    let of =
        |(key, _): &(&tidelog_core::fold::RecordKey, _)| (key.table.as_str(), key.record.as_str()) == (table, record);
    let folded = folder.records().find(of).map(|(_, record)| serde_json::to_value(record.plain()).unwrap());
    assert_eq!(folded, Some(fields(phone, table, record).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_beats_a_store_on_a_form_in_either_order() {
    let app = app(INSIGHT).await;
    let mut store = app.phone_as("store 12", "staff", &["*"]).await;
    let forged = store.put("forms", "f1", json!({"title": "No check"}));
    assert_eq!(lands(&store, forged).await.0, Verdict::Rejected, "staff may not write forms");

    // Opened to staff, as the catalog's comment foresees.
    app.apply_catalog(&INSIGHT.replacen(
        "rule = \"role_priority\"\nwrite = [\"manager\"]",
        "rule = \"role_priority\"",
        1,
    ))
    .await;
    let mut manager = app.phone_as("manager", "manager", &["*"]).await;
    for (record, manager_first) in [("f2", true), ("f3", false)] {
        let by_manager = manager.put("forms", record, json!({"title": "Opening check", "status": "draft"}));
        let by_store = store.put("forms", record, json!({"title": "Short check"}));
        let (of_manager, of_store) = if manager_first {
            let of_manager = lands(&manager, by_manager).await;
            (of_manager, lands(&store, by_store).await)
        } else {
            let of_store = lands(&store, by_store).await;
            (lands(&manager, by_manager).await, of_store)
        };
        assert_eq!(of_manager.0, Verdict::Applied);
        assert_eq!(of_store.0, if manager_first { Verdict::Superseded } else { Verdict::Applied });
        assert_eq!(fields(&manager, "forms", record).await, json!({"title": "Opening check", "status": "draft"}));
        let row = conflicts(&manager, &format!("table=forms&record={record}")).await.remove(0);
        assert_eq!((&row["rule"], &row["status"]), (&json!("role_priority"), &json!("automatic")));
        assert_eq!((&row["winner"]["role"], &row["loser"]["value"]), (&json!("manager"), &json!("Short check")));
        folds_alike(&mut store, "forms", record).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_stores_on_one_submission_the_later_clock_wins_and_three_minutes_ahead_count_as_one() {
    let app = app(INSIGHT).await;
    let mut north = app.phone_as("north", "staff", &["*"]).await;
    let mut south = app.phone_as("south", "staff", &["*"]).await;
    let now = app.now().0;
    // South's clock is three minutes behind north's, and south syncs last.
    let mut by_north = north.put("submissions", "s1", json!({"status": "completed", "score": 92}));
    let mut by_south = south.put("submissions", "s1", json!({"status": "open", "store": "12"}));
    (by_north.at, by_south.at) = (Some(UnixMs(now - MINUTE_MS)), Some(UnixMs(now - 4 * MINUTE_MS)));
    assert_eq!(lands(&north, by_north).await.0, Verdict::Applied);
    assert_eq!(lands(&south, by_south).await, (Verdict::Merged, vec!["3.status".to_owned()]));
    assert_eq!(fields(&north, "submissions", "s1").await, json!({"status": "completed", "score": 92, "store": "12"}));
    // A clock three minutes ahead counts as one minute ahead: a write two minutes later still wins.
    let mut ahead = north.put("submissions", "s2", json!({"status": "open"}));
    ahead.at = Some(UnixMs(app.now().0 + 3 * MINUTE_MS));
    assert_eq!(lands(&north, ahead).await.0, Verdict::Applied);
    let mut later = south.put("submissions", "s2", json!({"status": "completed"}));
    later.at = Some(UnixMs(app.now().0 + 2 * MINUTE_MS));
    assert_eq!(
        lands(&south, later).await.0,
        Verdict::Applied,
        "both are cut to a minute ahead, the later position wins"
    );
    let rows = conflicts(&north, "table=submissions&record=s2").await;
    assert_eq!((rows.len(), &rows[0]["loser"]["value"]), (1, &json!("open")));
    folds_alike(&mut south, "submissions", "s1").await;
    folds_alike(&mut south, "submissions", "s2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_who_add_the_same_team_member_made_one_the_first() {
    let app = app(INSIGHT).await;
    let mut ana = app.phone_as("ana", "manager", &["*"]).await;
    let mut bo = app.phone_as("bo", "manager", &["*"]).await;
    let first = ana.put("team", "u-7", json!({"name": "Mia Wolf", "job": "cook"}));
    let second = bo.put("team", "u-7", json!({"name": "M. Wolf", "job": "cook", "email": "mia@example.org"}));
    assert_eq!(lands(&ana, first).await.0, Verdict::Applied);
    assert_eq!(lands(&bo, second).await, (Verdict::Merged, vec!["3.name".to_owned()]), "an equal job is no loss");
    let member = json!({"name": "Mia Wolf", "job": "cook", "email": "mia@example.org"});
    assert_eq!(fields(&ana, "team", "u-7").await, member);
    // Bo's spelling was right after all: one call.
    let row = conflicts(&bo, "status=automatic&table=team").await.remove(0);
    resolve(&bo, &row, json!({"choose": "loser"})).await;
    app.folded().await;
    assert_eq!(fields(&ana, "team", "u-7").await["name"], "M. Wolf");
    assert_eq!(conflicts(&ana, "table=team").await[0]["status"], "resolved");
    folds_alike(&mut ana, "team", "u-7").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_and_a_coordinator_on_one_activity_both_see_it_and_one_resolves() {
    let app = app(FIELD_REPORT).await;
    let mut worker = app.phone_as("worker", "worker", &["*"]).await;
    let mut coordinator = app.phone_as("coordinator", "coordinator", &["*"]).await;
    let activity = json!({"worker": "w-3", "kind": "visit", "started_at": "2026-11-20T08:00:00Z", "hours": 2});
    worker.saves("activities", "a1", activity).await;
    worker.pull().await;
    coordinator.pull().await;
    // The worker's phone is offline; the coordinator enters the hours on the worker's behalf, the worker too.
    let mut by_proxy = coordinator.put("activities", "a1", json!({"hours": 4.5, "approved": true}));
    by_proxy.actor = tidelog_core::ids::Actor::parse("w-3").unwrap();
    let own = worker.put("activities", "a1", json!({"hours": 3, "summary": "Two families"}));
    assert_eq!(lands(&coordinator, by_proxy).await.0, Verdict::Applied);
    assert_eq!(lands(&worker, own).await, (Verdict::Conflict, vec!["4.hours".to_owned()]));
    for phone in [&worker, &coordinator] {
        let open = conflicts(phone, "status=open").await;
        assert_eq!((open.len(), &open[0]["conflict"], &open[0]["field"]), (1, &json!("4.hours"), &json!("hours")));
        assert_eq!((&open[0]["winner"]["value"], &open[0]["loser"]["value"]), (&json!(4.5), &json!(3)));
        assert_eq!((&open[0]["winner"]["actor"], &open[0]["winner"]["role"]), (&json!("w-3"), &json!("coordinator")));
    }
    assert_eq!(fields(&worker, "activities", "a1").await["hours"], 4.5, "what stood stays until somebody chooses");
    let row = conflicts(&coordinator, "status=open").await.remove(0);
    resolve(&coordinator, &row, json!({"choose": "loser"})).await;
    app.folded().await;
    assert_eq!(fields(&worker, "activities", "a1").await["hours"], 3);
    assert!(conflicts(&worker, "status=open").await.is_empty());
    let again = worker.http.post("/api/v1/conflicts/4.hours/resolve", &json!({"choose": "winner"})).await;
    assert_eq!(again.status, 409, "somebody was faster");
    folds_alike(&mut worker, "activities", "a1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_note_on_phone_and_tablet_is_resolved_as_mine_theirs_or_merged() {
    let app = app(SCHEDULE_NOTE).await;
    let mut phone = app.phone_as("phone", "owner", &["*"]).await;
    let mut tablet = app.phone_as("tablet", "owner", &["*"]).await;
    for (note, choice, text) in [
        ("mine", json!({"choose": "loser"}), "bread"),
        ("theirs", json!({"choose": "winner"}), "milk"),
        ("merged", json!({"value": "milk and bread"}), "milk and bread"),
    ] {
        let here = phone.put("notes", note, json!({"text": "milk", "pinned": true}));
        let there = tablet.put("notes", note, json!({"text": "bread", "pinned": false}));
        assert_eq!(lands(&phone, here).await.0, Verdict::Applied);
        let (verdict, met) = lands(&tablet, there).await;
        assert_eq!((verdict, met.len()), (Verdict::Conflict, 2), "the text is asked about, the pin is not");
        assert_eq!(fields(&tablet, "notes", note).await, json!({"text": "milk", "pinned": false}));
        let open = conflicts(&tablet, &format!("status=open&record={note}")).await;
        assert_eq!(open.len(), 1);
        resolve(&tablet, &open[0], choice).await;
        app.folded().await;
        assert_eq!(fields(&phone, "notes", note).await["text"], text);
        assert_eq!(conflicts(&phone, &format!("record={note}&status=resolved")).await.len(), 1);
        folds_alike(&mut phone, "notes", note).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handwriting_goes_through_a_conflict_bit_for_bit() {
    let app = app(SCHEDULE_NOTE).await;
    let mut phone = app.phone_as("phone", "owner", &["*"]).await.speaking(Encoding::MessagePack);
    let mut tablet = app.phone_as("tablet", "owner", &["*"]).await;
    // Every byte there is, more than a page of Postgres, and nothing that is text.
    let strokes = |seed: u8| (0..40_000u32).map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed)).collect::<Vec<u8>>();
    let layer = |strokes: &[u8]| {
        let strokes = serde_json::to_value(Value::Binary(strokes.to_vec())).unwrap();
        json!({"event": "e1", "layer": 1, "strokes": strokes, "width": 0.1, "height": 1e300})
    };
    let now = app.now().0;
    let mut on_phone = phone.put("schedule_drawings", "d1", layer(&strokes(1)));
    let mut on_tablet = tablet.put("schedule_drawings", "d1", layer(&strokes(2)));
    (on_phone.at, on_tablet.at) = (Some(UnixMs(now - 1)), Some(UnixMs(now - 2)));
    assert_eq!(lands(&phone, on_phone).await.0, Verdict::Applied);
    assert_eq!(lands(&tablet, on_tablet).await, (Verdict::Merged, vec!["3.strokes".to_owned()]));
    assert_eq!(fields(&phone, "schedule_drawings", "d1").await, layer(&strokes(1)));
    let row = conflicts(&tablet, "table=schedule_drawings").await.remove(0);
    assert_eq!(
        (&row["winner"]["value"], &row["loser"]["value"]),
        (&layer(&strokes(1))["strokes"], &layer(&strokes(2))["strokes"])
    );
    resolve(&tablet, &row, json!({"choose": "loser"})).await;
    app.folded().await;
    assert_eq!(fields(&phone, "schedule_drawings", "d1").await, layer(&strokes(2)));
    folds_alike(&mut phone, "schedule_drawings", "d1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_family_deleted_here_and_edited_there_stays_deleted_and_nothing_is_lost() {
    let app = app(ATTENDANCE).await;
    let mut leader = app.phone_as("leader", "leader", &["*"]).await;
    let mut helper = app.phone_as("helper", "helper", &["*"]).await;
    for (record, delete_first) in [("fam-1", true), ("fam-2", false)] {
        leader.saves("families", record, json!({"name": "Okafor", "phone": "1"})).await;
        leader.pull().await;
        helper.pull().await;
        let delete = leader.delete("families", record);
        let edit = helper.put("families", record, json!({"phone": "2"}));
        if delete_first {
            assert_eq!(lands(&leader, delete).await.0, Verdict::Applied);
            assert_eq!(lands(&helper, edit).await.0, Verdict::Superseded);
        } else {
            assert_eq!(lands(&helper, edit).await.0, Verdict::Applied);
            assert_eq!(lands(&leader, delete).await.0, Verdict::Applied);
        }
        let stored: Json = leader.http.get(&format!("/api/v1/records/families/{record}")).await.good();
        assert_eq!((&stored["deleted"], &stored["fields"]), (&json!(true), &json!({})));
        let row = conflicts(&helper, &format!("record={record}")).await.remove(0);
        assert_eq!((&row["rule"], &row["winner"]["deleted"]), (&json!("delete_wins"), &json!(true)));
        assert_eq!((&row["field"], &row["loser"]["value"]), (&json!("phone"), &json!("2")));
        folds_alike(&mut helper, "families", record).await;
        // It was the wrong family: one call, and the record lives with what was lost.
        resolve(&helper, &row, json!({"choose": "loser"})).await;
        app.folded().await;
        assert_eq!(fields(&leader, "families", record).await, json!({"phone": "2"}));
        folds_alike(&mut leader, "families", record).await;
        leader.pull().await;
        helper.pull().await;
    }
}

//! The four catalogs of schema/catalogs, each played by the people it is made for, over real HTTP. A story ends with a
//! snapshot of the record and its conflicts.

use serde_json::json;
use tidelog_core::fold::RecordKey;
use tidelog_core::ids::Actor;
use tidelog_core::time::UnixMs;
use tidelog_core::value::Value;
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{Encoding, Outcome};
use tidelog_testkit::{Phone, Reader, TestApp, assert_snapshot_of, json_of};

const INSIGHT: &str = include_str!("../../../../../schema/catalogs/insight.toml");
const FIELD_REPORT: &str = include_str!("../../../../../schema/catalogs/field-report.toml");
const SCHEDULE_NOTE: &str = include_str!("../../../../../schema/catalogs/schedule-note.toml");
const ATTENDANCE: &str = include_str!("../../../../../schema/catalogs/attendance.toml");

const MINUTE_MS: i64 = 60_000;

async fn app(catalog: &str) -> TestApp {
    TestApp::build().catalog(catalog).start().await
}

/// Asserts the verdict and the number of conflicts of an op.
#[track_caller]
fn assert_outcome(outcome: &Outcome, verdict: Verdict, conflicts: usize) {
    assert_eq!((outcome.verdict, outcome.conflicts.len()), (verdict, conflicts), "{outcome:?}");
}

/// Asserts that a replica which folds the whole log has the same fields as the server.
async fn assert_replica_agrees(phone: &Phone, table: &str, record: &str) {
    let mut replica = Phone { cursor: None, ..phone.clone() };
    let folder = Phone::fold(&replica.pull().await);
    let is_it = |key: &RecordKey| (key.table.as_str(), key.record.as_str()) == (table, record);
    let (_, folded) = folder.records().find(|(key, _)| is_it(key)).unwrap();
    assert_eq!(json_of(&folded.plain()), phone.fields(table, record).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_beats_a_store_on_a_form_in_either_order() {
    let app = app(INSIGHT).await;
    let mut store = app.phone_as("store 12", "staff", &["*"]).await;
    let forged = store.put("forms", "f1", json!({"title": "No check"}));
    assert_eq!(store.lands(forged).await.verdict, Verdict::Rejected, "staff may not write forms");

    // Opened to staff, as a comment of the catalog suggests.
    let closed = "rule = \"role_priority\"\nwrite = [\"manager\"]";
    app.apply_catalog(&INSIGHT.replacen(closed, "rule = \"role_priority\"", 1)).await;
    let mut manager = app.phone_as("manager", "manager", &["*"]).await;
    let check = json!({"title": "Opening check", "status": "draft"});

    let (by_manager, by_store) =
        (manager.put("forms", "f2", check.clone()), store.put("forms", "f2", json!({"title": "Short check"})));
    assert_eq!(manager.lands(by_manager).await.verdict, Verdict::Applied);
    assert_eq!(store.lands(by_store).await.verdict, Verdict::Superseded);

    let (by_manager, by_store) =
        (manager.put("forms", "f3", check.clone()), store.put("forms", "f3", json!({"title": "Short check"})));
    assert_eq!(store.lands(by_store).await.verdict, Verdict::Applied);
    assert_eq!(manager.lands(by_manager).await.verdict, Verdict::Applied);

    for record in ["f2", "f3"] {
        assert_eq!(manager.fields("forms", record).await, check);
        assert_replica_agrees(&store, "forms", record).await;
    }
    assert_snapshot_of!(app, app.conflicts().await);
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
    assert_outcome(&north.lands(by_north).await, Verdict::Applied, 0);
    assert_outcome(&south.lands(by_south).await, Verdict::Merged, 1);
    assert_eq!(
        north.fields("submissions", "s1").await,
        json!({"status": "completed", "score": 92, "store": "12"}),
        "the store is south's, the status north's"
    );
    // A clock that is three minutes ahead counts as one minute ahead, so a write two minutes later still wins.
    let mut ahead = north.put("submissions", "s2", json!({"status": "open"}));
    ahead.at = Some(UnixMs(app.now().0 + 3 * MINUTE_MS));
    assert_outcome(&north.lands(ahead).await, Verdict::Applied, 0);
    let mut later = south.put("submissions", "s2", json!({"status": "completed"}));
    later.at = Some(UnixMs(app.now().0 + 2 * MINUTE_MS));
    let outcome = south.lands(later).await;
    assert_eq!(outcome.verdict, Verdict::Applied, "both count as a minute ahead, so the later position wins");
    assert_snapshot_of!(app, app.conflicts().await);
    assert_replica_agrees(&south, "submissions", "s1").await;
    assert_replica_agrees(&south, "submissions", "s2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_who_add_the_same_team_member_made_one_the_first() {
    let app = app(INSIGHT).await;
    let mut ana = app.phone_as("ana", "manager", &["*"]).await;
    let mut bo = app.phone_as("bo", "manager", &["*"]).await;
    let first = ana.put("team", "u-7", json!({"name": "Mia Wolf", "job": "cook"}));
    let second = bo.put("team", "u-7", json!({"name": "M. Wolf", "job": "cook", "email": "mia@example.org"}));
    assert_outcome(&ana.lands(first).await, Verdict::Applied, 0);
    let outcome = bo.lands(second).await;
    assert_outcome(&outcome, Verdict::Merged, 1);
    assert_eq!(outcome.conflicts[0].field(), Some("name"), "an equal job is no loss");
    let member = json!({"name": "Mia Wolf", "job": "cook", "email": "mia@example.org"});
    assert_eq!(ana.fields("team", "u-7").await, member);
    // Bo's spelling was right after all: one call.
    bo.resolve(&outcome.conflicts[0], &json!({"choose": "loser"})).await;
    assert_snapshot_of!(app, (app.record("team", "u-7").await, app.conflicts().await));
    assert_replica_agrees(&ana, "team", "u-7").await;
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
    // The worker is offline and enters the hours, and the coordinator enters them on the worker's behalf.
    let mut by_proxy = coordinator.put("activities", "a1", json!({"hours": 4.5, "approved": true}));
    by_proxy.actor = Actor::parse("w-3").unwrap();
    let own = worker.put("activities", "a1", json!({"hours": 3, "summary": "Two families"}));
    assert_outcome(&coordinator.lands(by_proxy).await, Verdict::Applied, 0);
    assert_outcome(&worker.lands(own).await, Verdict::Conflict, 1);
    let open = worker.conflicts("status=open").await;
    assert_snapshot_of!(app, "hours_that_a_person_has_to_choose", open);
    assert_eq!(coordinator.conflicts("status=open").await, open, "both see it");
    assert_eq!(worker.fields("activities", "a1").await["hours"], 4.5, "the stored value stays until a person chooses");

    coordinator.resolve(&open[0].conflict, &json!({"choose": "loser"})).await;
    assert_snapshot_of!(app, (app.record("activities", "a1").await, app.conflicts().await));
    worker.try_resolve(&open[0].conflict, &json!({"choose": "winner"})).await.refused(409, "conflict_closed");
    assert_replica_agrees(&worker, "activities", "a1").await;
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
        assert_outcome(&phone.lands(here).await, Verdict::Applied, 0);
        // A person chooses the text. The pin has a rule of its own.
        assert_outcome(&tablet.lands(there).await, Verdict::Conflict, 2);
        assert_eq!(tablet.fields("notes", note).await, json!({"text": "milk", "pinned": false}));
        let open = tablet.conflicts(&format!("status=open&record={note}")).await;
        assert_eq!(open.len(), 1);
        tablet.resolve(&open[0].conflict, &choice).await;
        assert_eq!(phone.fields("notes", note).await["text"], text);
        assert_replica_agrees(&phone, "notes", note).await;
    }
    assert_snapshot_of!(app, app.conflicts().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handwriting_goes_through_a_conflict_bit_for_bit() {
    let app = app(SCHEDULE_NOTE).await;
    let mut phone = app.phone_as("phone", "owner", &["*"]).await.speaking(Encoding::MessagePack);
    let mut tablet = app.phone_as("tablet", "owner", &["*"]).await;
    // Every byte, more of them than a page of Postgres holds, and not UTF-8.
    let strokes = |seed: u8| {
        let bytes = (0..40_000u32).map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed));
        Value::Binary(bytes.collect())
    };
    let layer = |seed: u8| {
        let strokes = json_of(&strokes(seed));
        json!({"event": "e1", "layer": 1, "strokes": strokes, "width": 0.1, "height": 1e300})
    };
    let now = app.now().0;
    let mut on_phone = phone.put("schedule_drawings", "d1", layer(1));
    let mut on_tablet = tablet.put("schedule_drawings", "d1", layer(2));
    (on_phone.at, on_tablet.at) = (Some(UnixMs(now - 1)), Some(UnixMs(now - 2)));
    assert_outcome(&phone.lands(on_phone).await, Verdict::Applied, 0);
    let outcome = tablet.lands(on_tablet).await;
    assert_outcome(&outcome, Verdict::Merged, 1);
    assert_eq!(phone.fields("schedule_drawings", "d1").await, layer(1));
    let conflict = tablet.conflict(&outcome.conflicts[0]).await;
    assert_eq!(conflict.field, "strokes");
    assert_eq!(conflict.winner.unwrap().value, Some(strokes(1)));
    assert_eq!(conflict.loser.value, Some(strokes(2)));
    tablet.resolve(&conflict.conflict, &json!({"choose": "loser"})).await;
    assert_eq!(phone.fields("schedule_drawings", "d1").await, layer(2));
    assert_replica_agrees(&phone, "schedule_drawings", "d1").await;
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
            assert_eq!(leader.lands(delete).await.verdict, Verdict::Applied);
            assert_eq!(helper.lands(edit).await.verdict, Verdict::Superseded);
        } else {
            assert_eq!(helper.lands(edit).await.verdict, Verdict::Applied);
            assert_eq!(leader.lands(delete).await.verdict, Verdict::Applied);
        }
        let tombstone = leader.record("families", record).await;
        assert!(tombstone.deleted && tombstone.fields.0.is_empty());
        assert_replica_agrees(&helper, "families", record).await;
        // It was the wrong family: one call, and the record lives with the value that was lost.
        let lost = helper.conflicts(&format!("record={record}")).await.remove(0);
        helper.resolve(&lost.conflict, &json!({"choose": "loser"})).await;
        assert_eq!(leader.fields("families", record).await, json!({"phone": "2"}));
        assert_replica_agrees(&leader, "families", record).await;
        leader.pull().await;
        helper.pull().await;
    }
    assert_snapshot_of!(app, app.conflicts().await);
}

//! Snapshot and delta of the records are one call, and the last page is consistent with the cursor that it says to pull from.

use std::collections::BTreeMap;

use serde_json::json;
use tidelog_core::op::Op;
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{RecordView, RecordsResponse};
use tidelog_testkit::{Phone, Reader, TestApp, assert_snapshot_of};

fn names(records: &[RecordView]) -> Vec<&str> {
    records.iter().map(|record| record.record.as_str()).collect()
}

/// So many puts of notes, each of another record.
fn notes(phone: &mut Phone, count: usize) -> Vec<Op> {
    (0..count).map(|number| phone.put("notes", &format!("n{number:02}"), json!({"n": number}))).collect()
}

#[tokio::test]
async fn a_snapshot_then_its_deltas_then_the_events() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let ops = notes(&mut phone, 25);
    phone.push(&ops).await;
    phone.pull().await;
    let op = phone.delete("notes", "n03");
    phone.push(&[op]).await;
    app.folded().await;
    let (records, last) = phone.records_in_pages_of(10, "").await;
    assert_eq!(records.len(), 24, "the live records, without older tombstones");
    assert_eq!(last.end.pull_cursor.unwrap().position, last.end.position);

    phone.pull().await;
    phone.saves("notes", "n05", json!({"n": 500})).await;
    phone.saves("notes", "n05", json!({"n": 501})).await;
    let op = phone.delete("notes", "n07");
    phone.push(&[op]).await;
    app.folded().await;
    let delta = phone.records_page(&format!("after={}", last.end.cursor)).await;
    assert_snapshot_of!(app, "a_delta_has_each_record_once_however_many_events_changed_it", delta.records);
    let page = phone.pull_page(&format!("after={}", delta.end.pull_cursor.unwrap())).await;
    assert_eq!(page.events, []);
    let next = phone.records_page(&format!("after={}", delta.end.cursor)).await;
    assert_eq!((next.records.as_slice(), next.end.more), (&[][..], false));
}

#[tokio::test]
async fn pages_read_while_records_change_are_complete_in_the_end() {
    let app = TestApp::start().await;
    let (mut writer, reader) = (app.phone("writer").await, app.phone("reader").await);
    let ops = notes(&mut writer, 60);
    writer.push(&ops).await;
    app.folded().await;
    let (mut mirror, mut after, mut pages) = (BTreeMap::new(), String::new(), 0);
    loop {
        let page = reader.records_page(&format!("limit=7{after}")).await;
        for record in page.records {
            mirror.insert(record.record.to_string(), record);
        }
        after = format!("&after={}", page.end.cursor);
        if !page.end.more {
            break;
        }
        assert!(page.end.pull_cursor.is_none(), "only the last page says from where to pull");
        pages += 1;
        if pages < 6 {
            writer.pull().await;
            let (changed, deleted) = (format!("n{pages:02}"), format!("n{:02}", 59 - pages));
            let ops = [writer.put("notes", &changed, json!({"n": pages})), writer.delete("notes", &deleted)];
            writer.push_and_wait(&ops).await;
        }
    }
    let live: Vec<_> = mirror.into_values().filter(|record| !record.deleted).collect();
    let mut now = reader.records().await;
    now.sort_by(|a, b| a.record.cmp(&b.record));
    assert_eq!(names(&live), names(&now));
    assert_eq!(live, now);
}

#[tokio::test]
async fn a_full_snapshot_carries_what_folding_on_needs() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let ops = [phone.put("notes", "a", json!({"n": 1})), phone.delete("notes", "b")];
    phone.push_and_wait(&ops).await;
    let (records, _) = phone.records_in_pages_of(1, "&state=full").await;
    assert_eq!(names(&records), ["a", "b"], "tombstones too, in the order of `touched`");
    assert_snapshot_of!(app, records);
}

#[tokio::test]
async fn one_record_has_an_etag_of_its_version() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let op = phone.put("notes", "a/b c", json!({"n": 1}));
    phone.push_and_wait(&[op]).await;
    let path = "/api/v1/records/notes/a%2Fb%20c";
    let response = phone.http.get(path).await;
    assert_eq!(response.good::<RecordView>().version.0, 3);
    let etag = response.headers["etag"].to_str().unwrap();
    let again = phone.http.request(reqwest::Method::GET, path).header("if-none-match", etag);
    assert_eq!(phone.http.send(again).await.unwrap().status, 304);
    phone.pull().await;
    let op = phone.delete("notes", "a/b c");
    phone.push_and_wait(&[op]).await;
    let tombstone: RecordView = phone.http.get(path).await.good();
    assert!(tombstone.deleted && tombstone.fields.0.is_empty());
    phone.http.get("/api/v1/records/notes/never").await.refused(404, "not_found");
}

#[tokio::test]
async fn lines_stream_every_record() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let ops = notes(&mut phone, 1_500);
    phone.push_and_wait(&ops).await;
    let lines = phone.http.lines("/api/v1/sync/records").await;
    assert_eq!(lines.len(), 1_501);
    assert!(lines[1_500]["pull_cursor"].is_string());
}

#[tokio::test]
async fn an_analyst_reads_everything_and_writes_nothing() {
    let app = TestApp::build().catalog("roles = [\"boss\"]\n[tables.secret]\nread = []").start().await;
    let mut boss = app.phone_as("boss", "boss", &["*"]).await;
    let op = boss.put("secret", "s", json!({"n": 1}));
    boss.push_and_wait(&[op]).await;
    assert_eq!(boss.pull_ops().await, [], "no role of the app may read it");
    let analyst = app.analyst().await;
    let events = analyst.pull_page("").await.events;
    assert_eq!(events.len(), 3);
    assert_eq!(analyst.records().await.len(), 1);
    assert_eq!(analyst.fields("secret", "s").await, json!({"n": 1}));
    analyst.post("/api/v1/sync/push", &json!({"ops": []})).await.refused(403, "forbidden");
    assert_eq!(Phone::fold(&events).records().count(), 1);
}

#[tokio::test]
async fn a_cursor_of_one_state_is_no_use_for_the_other() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let ops = notes(&mut phone, 3);
    phone.push_and_wait(&ops).await;
    let page: RecordsResponse = phone.records_page("state=full&limit=1").await;
    let path = format!("/api/v1/sync/records?after={}", page.end.cursor);
    phone.http.get(&path).await.refused(400, "cursor_invalid");
    let (_, last) = phone.records_in_pages_of(2, "&state=full").await;
    assert_eq!(last.end.catalog.unwrap().version, 1, "the catalog under which to fold on");
}

#[tokio::test]
async fn lines_of_records_refuse_a_bad_cursor_with_its_status() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    app.folded().await;
    let request = phone.http.request_lines("/api/v1/sync/records?after=p.1.1.2.2.0000000000000000");
    phone.http.send(request).await.unwrap().refused(409, "cursor_diverged");
}

#[tokio::test]
async fn a_record_has_a_largest_size_and_the_projector_goes_on() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let chunk = "x".repeat(200_000);
    let mut superseded = 0;
    for round in 0..3 {
        let ops: Vec<_> =
            (0..10).map(|number| phone.put("notes", "big", json!({format!("f{round}-{number}"): chunk}))).collect();
        let outcomes = phone.push_and_wait(&ops).await.outcomes.unwrap();
        superseded += outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Superseded).count();
    }
    assert_eq!(superseded, 10, "20 chunks fit into 4 MiB, the others lose");
    assert_eq!(phone.record("notes", "big").await.fields.0.len(), 20);
    let op = phone.put("notes", "big", json!({"f0-0": "small again", "f9-9": "and so there is room"}));
    assert_eq!(phone.push_and_wait(&[op]).await.outcomes, Some(vec![]));
    let folder = Phone::fold(&phone.pull().await);
    assert_eq!(folder.records().next().unwrap().1.fields.len(), 21, "a replica has the same fields");
}

/// Several deletes that did not know of each other, all of which later puts are judged by.
#[tokio::test]
async fn a_full_snapshot_has_every_delete_since_the_record_last_lived() {
    let app = TestApp::start().await;
    let (mut phone, mut tablet) = (app.phone("phone").await, app.phone("tablet").await);
    phone.saves("notes", "n", json!({"n": 1})).await;
    for _ in 0..2 {
        phone.pull().await;
        tablet.pull().await;
        for device in [&mut phone, &mut tablet] {
            let op = device.delete("notes", "n");
            device.push(&[op]).await;
        }
        phone.pull().await;
        phone.saves("notes", "n", json!({"n": 2})).await;
    }
    phone.pull().await;
    let op = phone.delete("notes", "n");
    phone.push(&[op]).await;
    app.folded().await;
    let page = phone.records_page("state=full").await;
    let record = &page.records[0];
    let places = |deletes: &[tidelog_core::wire::DeleteView]| {
        deletes.iter().map(|delete| (delete.writer.device, delete.writer.seq.0)).collect::<Vec<_>>()
    };
    assert_eq!(places(record.last_delete.as_slice()), [(phone.device, 6)]);
    assert!(record.other_deletes.is_empty());
    assert_eq!(places(record.delete_before.as_slice()), [(tablet.device, 2)]);
    assert_eq!(places(&record.other_deletes_before), [(phone.device, 4)]);
}

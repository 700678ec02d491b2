//! Snapshot and delta are one call, and its last page is consistent with where it says to pull from.

use serde_json::json;
use tidelog_core::wire::{PullResponse, PushResponse, RecordView, RecordsResponse};
use tidelog_testkit::{Phone, TestApp};

fn names(records: &[RecordView]) -> Vec<&str> {
    records.iter().map(|record| record.record.as_str()).collect()
}

#[tokio::test]
async fn a_snapshot_then_its_deltas_then_the_events() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let ops: Vec<_> =
        (0..25).map(|number| phone.put("notes", &format!("n{number:02}"), json!({"n": number}))).collect();
    phone.push(&ops).await.good::<PushResponse>();
    phone.pull().await;
    let op = phone.delete("notes", "n03");
    phone.push(&[op]).await.good::<PushResponse>();
    app.folded().await;
    let (records, last) = phone.records_in_pages_of(10, "").await;
    assert_eq!(records.len(), 24, "live records, without tombstones of before the start");
    assert_eq!(last.end.pull_cursor.unwrap().position, last.end.position);

    phone.pull().await;
    phone.saves("notes", "n05", json!({"n": 500})).await;
    phone.saves("notes", "n05", json!({"n": 501})).await;
    let op = phone.delete("notes", "n07");
    phone.push(&[op]).await.good::<PushResponse>();
    app.folded().await;
    let delta: RecordsResponse =
        phone.http.get(&format!("/api/v1/sync/records?after={}", last.end.cursor)).await.good();
    let seen: Vec<_> = delta.records.iter().map(|record| (record.record.as_str(), record.deleted)).collect();
    assert_eq!(seen, [("n05", false), ("n07", true)], "one row each however many events there were");
    let page: PullResponse =
        phone.http.get(&format!("/api/v1/sync/pull?after={}", delta.end.pull_cursor.unwrap())).await.good();
    assert_eq!(page.events, []);
    let nothing: RecordsResponse =
        phone.http.get(&format!("/api/v1/sync/records?after={}", delta.end.cursor)).await.good();
    assert_eq!((nothing.records.len(), nothing.end.more), (0, false));
}

#[tokio::test]
async fn pages_read_while_records_change_are_complete_in_the_end() {
    let app = TestApp::start().await;
    let (mut writer, reader) = (app.phone("writer").await, app.phone("reader").await);
    let ops: Vec<_> = (0..60).map(|number| writer.put("notes", &format!("n{number}"), json!({"n": 0}))).collect();
    writer.push(&ops).await.good::<PushResponse>();
    app.folded().await;
    let (mut mirror, mut after, mut pages) = (std::collections::BTreeMap::new(), String::new(), 0);
    loop {
        let page: RecordsResponse = reader.http.get(&format!("/api/v1/sync/records?limit=7{after}")).await.good();
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
            let (changed, deleted) = (format!("n{}", pages), format!("n{}", 59 - pages));
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
    assert_eq!(names(&records), ["a", "b"], "tombstones too, in order of `touched`");
    let writers = records[0].writers.as_ref().unwrap();
    assert_eq!((writers["n"].position.0, writers["n"].device), (2, phone.device));
    assert_eq!(records[1].last_delete.as_ref().unwrap().writer.position.0, 3);
    assert_eq!(records[1].touched.unwrap().0, 3);
}

#[tokio::test]
async fn one_record_has_an_etag_of_its_version() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let op = phone.put("notes", "a/b c", json!({"n": 1}));
    phone.push_and_wait(&[op]).await;
    let answer = phone.http.get("/api/v1/records/notes/a%2Fb%20c").await;
    assert_eq!(answer.good::<RecordView>().version.0, 2);
    let etag = answer.headers["etag"].to_str().unwrap().to_owned();
    let again =
        phone.http.request(reqwest::Method::GET, "/api/v1/records/notes/a%2Fb%20c").header("if-none-match", &etag);
    assert_eq!(phone.http.send(again).await.unwrap().status, 304);
    phone.pull().await;
    let op = phone.delete("notes", "a/b c");
    phone.push_and_wait(&[op]).await;
    let tombstone: RecordView = phone.http.get("/api/v1/records/notes/a%2Fb%20c").await.good();
    assert!(tombstone.deleted && tombstone.fields.0.is_empty());
    phone.http.get("/api/v1/records/notes/never").await.refused(404, "not_found");
}

#[tokio::test]
async fn lines_stream_every_record() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let ops: Vec<_> = (0..1_500).map(|number| phone.put("notes", &format!("n{number}"), json!({}))).collect();
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
    assert_eq!(boss.pull_ops().await, [], "nobody of the app may read it");
    let analyst = app.analyst().await;
    assert_eq!(analyst.get("/api/v1/sync/pull").await.good::<PullResponse>().events.len(), 2);
    assert_eq!(analyst.get("/api/v1/sync/records").await.good::<RecordsResponse>().records.len(), 1);
    analyst.get("/api/v1/records/secret/s").await.good::<RecordView>();
    analyst.post("/api/v1/sync/push", &json!({"ops": []})).await.refused(403, "forbidden");
    let fold = Phone::fold(&analyst.get("/api/v1/sync/pull").await.good::<PullResponse>().events);
    assert_eq!(fold.records().count(), 1);
}

#[tokio::test]
async fn a_cursor_of_one_state_is_no_use_for_the_other() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let ops: Vec<_> = (0..3).map(|number| phone.put("notes", &format!("n{number}"), json!({}))).collect();
    phone.push_and_wait(&ops).await;
    let page: RecordsResponse = phone.http.get("/api/v1/sync/records?state=full&limit=1").await.good();
    phone.http.get(&format!("/api/v1/sync/records?after={}", page.end.cursor)).await.refused(400, "cursor_invalid");
    let (_, last) = phone.records_in_pages_of(2, "&state=full").await;
    assert_eq!(last.end.catalog.unwrap().version, 1, "to fold on under");
}

#[tokio::test]
async fn lines_of_records_refuse_a_bad_cursor_with_its_status() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    app.folded().await;
    let path = format!("{}/api/v1/sync/records?after=p.1.1.2.2.0000000000000000", app.url());
    let request = reqwest::Client::new().get(path).header("accept", "application/x-ndjson");
    let token = phone.http.request(reqwest::Method::GET, "/").build().unwrap().headers()["authorization"].clone();
    phone.http.send(request.header("authorization", token)).await.unwrap().refused(409, "cursor_diverged");
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
        superseded +=
            outcomes.iter().filter(|outcome| outcome.verdict == tidelog_core::verdict::Verdict::Superseded).count();
    }
    assert_eq!(superseded, 10, "20 chunks fit into 4 MiB, the others are told to have lost");
    let record: RecordView = phone.http.get("/api/v1/records/notes/big").await.good();
    assert_eq!(record.fields.0.len(), 20);
    let op = phone.put("notes", "big", json!({"f0-0": "small again", "f9-9": "and so there is room"}));
    assert_eq!(phone.push_and_wait(&[op]).await.outcomes, Some(vec![]));
    assert_eq!(Phone::fold(&phone.pull().await).records().next().unwrap().1.fields.len(), 21, "on every replica alike");
}

//! Who may register, read and push; and for how long.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tidelog_core::time::UnixMs;
use tidelog_core::wire::{DeviceView, PushResponse};
use tidelog_postgres::NewEnrollmentKey;
use tidelog_testkit::TestApp;

#[tokio::test]
async fn a_key_with_one_use_registers_one_device_however_many_try() {
    let app = TestApp::start().await;
    let key = app.key_with("member", &[], |key| NewEnrollmentKey { registrations_max: Some(1), ..key }).await;
    let http = app.http(&key);
    let body = json!({"name": "a phone"});
    let tries = futures_util::future::join_all((0..20).map(|_| http.post("/api/v1/devices", &body))).await;
    assert_eq!(tries.iter().filter(|answer| answer.status == 201).count(), 1);
    let refused: Vec<_> = tries.iter().filter(|answer| answer.status != 201).collect();
    for answer in refused {
        answer.refused(403, "key_exhausted");
    }
}

#[tokio::test]
async fn keys_end_and_have_full_hours() {
    let app = TestApp::start().await;
    let body = json!({"name": "a phone"});
    let past = UnixMs(app.now().0 - 1);
    let ended = app.key_with("member", &[], |key| NewEnrollmentKey { expires_at: Some(past), ..key }).await;
    app.http(&ended).post("/api/v1/devices", &body).await.refused(403, "key_exhausted");
    let limited = app.key_with("member", &[], |key| NewEnrollmentKey { registrations_per_hour: Some(2), ..key }).await;
    for _ in 0..2 {
        assert_eq!(app.http(&limited).post("/api/v1/devices", &body).await.status, 201);
    }
    let answer = app.http(&limited).post("/api/v1/devices", &body).await;
    let problem = answer.refused(429, "rate_limited");
    assert!(problem["retry_after_ms"].as_i64().unwrap() > 3_500_000);
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn credentials_are_told_apart() {
    let app = TestApp::start().await;
    let phone = app.phone("phone").await;
    let key = app.key("member", &[]).await;
    let (path, body) = ("/api/v1/sync/push", json!({"ops": []}));
    app.http("").post(path, &body).await.refused(401, "auth_missing");
    app.http("x".repeat(300).as_str()).post(path, &body).await.refused(401, "auth_malformed");
    app.http("tld_garbage").post(path, &body).await.refused(401, "token_invalid");
    app.http(&key).post(path, &body).await.refused(403, "forbidden");
    app.http(&key).get("/api/v1/sync/pull").await.refused(403, "forbidden");
    phone.http.post("/api/v1/devices", &json!({"name": "x"})).await.refused(403, "forbidden");
    let forged = key.replace("tlk_", "tld_");
    app.http(&forged).post(path, &body).await.refused(401, "token_invalid");
    let mut wrong = key.clone().into_bytes();
    let at = wrong.len() - 8;
    wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
    app.http(&String::from_utf8(wrong).unwrap())
        .post("/api/v1/devices", &json!({"name": "x"}))
        .await
        .refused(401, "token_invalid");
}

#[tokio::test]
async fn a_revoked_device_is_out_at_once_for_pushes_and_within_seconds_for_reads() {
    let app = TestApp::build()
        .catalog("roles = [\"boss\", \"member\"]\nmanage_devices = [\"boss\"]\n[tables.notes]")
        .start()
        .await;
    let boss = app.phone_as("boss", "boss", &[]).await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    phone.pull().await;
    let mine = format!("/api/v1/devices/{}", phone.device);
    let others = format!("/api/v1/devices/{}", boss.device);
    phone.http.delete(&others).await.refused(403, "forbidden");
    let path = format!("/api/v1/sync/pull?wait=20000&after={}", phone.cursor.unwrap());
    let waiting = {
        let http = phone.http.clone();
        tokio::spawn(async move { http.get(&path).await })
    };
    app.has_open_stream().await;
    assert_eq!(boss.http.delete(&mine).await.status, 204);
    let op = phone.put("notes", "b", json!({}));
    phone.push(&[op]).await.refused(401, "device_revoked");
    let ended =
        tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("an open poll ends within 5 s").unwrap();
    ended.refused(401, "device_revoked");
    phone.http.get("/api/v1/sync/pull").await.refused(401, "device_revoked");
    assert!(boss.http.get(&mine).await.good::<DeviceView>().revoked);
}

#[tokio::test]
async fn a_stale_gateway_catches_a_revocation_under_the_logs_lock() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    // Past the gateway, whose cache still believes the device.
    app.store().revoke_device(app.workspace, phone.device, app.now()).await.unwrap();
    let op = phone.put("notes", "b", json!({}));
    phone.push(&[op]).await.refused(401, "device_revoked");
}

#[tokio::test]
async fn devices_are_listed_with_what_they_said() {
    let app = TestApp::start().await;
    let mut phone = app.phone("front desk").await;
    phone.saves("notes", "a", json!({})).await;
    phone.saves("notes", "b", json!({})).await;
    let list: Json = phone.http.get("/api/v1/devices").await.good();
    let device = &list["devices"][0];
    assert_eq!((&device["name"], &device["last_seq"], &device["behind"]), (&json!("front desk"), &json!(2), &json!(3)));
    assert!(device["last_seen_at"].is_string());
    let registered = app
        .http(&app.key("member", &["s"]).await)
        .post("/api/v1/devices", &json!({"name": "new", "platform": "ios", "replaces": phone.device}))
        .await
        .good::<Json>();
    let path = format!("/api/v1/devices/{}", registered["device"].as_str().unwrap());
    let device: Json = phone.http.get(&path).await.good();
    assert_eq!((&device["replaces"], &device["scopes"]), (&json!(phone.device), &json!(["s"])));
    let status: Json = phone.http.get("/api/v1/sync/status").await.good();
    assert!(status["last_sync"]["front desk"].is_string());
    phone.http.get("/api/v1/devices/nonsense").await.refused(422, "id_invalid");
}

/// A resolve is a write: a revocation that came from elsewhere holds at once, whatever is remembered of the token.
#[tokio::test]
async fn a_device_that_was_revoked_resolves_nothing() {
    let app = TestApp::start().await;
    let (mut phone, mut tablet) = (app.phone("phone").await, app.phone("tablet").await);
    phone.saves("notes", "n", json!({"text": "a"})).await;
    let op = tablet.put("notes", "n", json!({"text": "b"}));
    tablet.push_and_wait(&[op]).await;
    app.store().revoke_device(app.workspace, phone.device, app.now()).await.unwrap();
    let choice = json!({"choose": "loser"});
    phone.http.post("/api/v1/conflicts/3.text/resolve", &choice).await.refused(401, "device_revoked");
    tablet.http.post("/api/v1/conflicts/3.text/resolve", &choice).await.good::<Json>();
}

#[tokio::test]
async fn tokens_are_not_stored() {
    let app = TestApp::start().await;
    let key = app.key("member", &[]).await;
    let registered: Json = app.http(&key).post("/api/v1/devices", &json!({"name": "x"})).await.good();
    let token = registered["token"].as_str().unwrap();
    let client = app.database.connect().await;
    let dump =
        client.query("SELECT d::text || k::text FROM tidelog.devices d, tidelog.enrollment_keys k", &[]).await.unwrap();
    let dump: String = dump.iter().map(|row| row.get::<_, String>(0)).collect();
    assert!(!dump.contains(token) && !dump.contains(&key));
    let op = json!({"ops": [{"seq": 1, "table": "notes", "record": "a", "kind": "put"}]});
    app.http(token).post("/api/v1/sync/push", &op).await.good::<PushResponse>();
}

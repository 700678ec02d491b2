//! Who may register, read and push, and for how long.

use std::time::Duration;

use serde_json::json;
use tidelog_core::time::UnixMs;
use tidelog_core::wire::{PushResponse, RegisterResponse};
use tidelog_postgres::NewEnrollmentKey;
use tidelog_testkit::{Reader, TestApp, assert_snapshot_of};

#[tokio::test]
async fn a_key_with_one_use_registers_one_device_however_many_try() {
    let app = TestApp::start().await;
    let key = app.key_with("member", &[], |key| NewEnrollmentKey { registrations_max: Some(1), ..key }).await;
    let http = app.http(&key);
    let body = json!({"name": "a phone"});
    let responses = futures_util::future::join_all((0..20).map(|_| http.post("/api/v1/devices", &body))).await;
    let (registered, refused): (Vec<_>, Vec<_>) = responses.iter().partition(|response| response.status == 201);
    assert_eq!(registered.len(), 1);
    for response in refused {
        response.refused(403, "key_exhausted");
    }
}

#[tokio::test]
async fn keys_end_and_have_full_hours() {
    let app = TestApp::start().await;
    let body = json!({"name": "a phone"});
    let past = UnixMs(app.now().0 - 1);
    let expired = app.key_with("member", &[], |key| NewEnrollmentKey { expires_at: Some(past), ..key }).await;
    app.http(&expired).post("/api/v1/devices", &body).await.refused(403, "key_exhausted");
    let limited = app.key_with("member", &[], |key| NewEnrollmentKey { registrations_per_hour: Some(2), ..key }).await;
    for _ in 0..2 {
        assert_eq!(app.http(&limited).post("/api/v1/devices", &body).await.status, 201);
    }
    let response = app.http(&limited).post("/api/v1/devices", &body).await;
    assert!(response.refused(429, "rate_limited").retry_after_ms.unwrap() > 3_500_000);
    assert!(response.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn each_kind_of_bad_credential_has_its_own_code() {
    let app = TestApp::start().await;
    let phone = app.phone("phone").await;
    let key = app.key("member", &[]).await;
    let (push, body) = ("/api/v1/sync/push", json!({"ops": []}));
    let (register, device) = ("/api/v1/devices", json!({"name": "x"}));
    app.http("").post(push, &body).await.refused(401, "auth_missing");
    app.http("x".repeat(300).as_str()).post(push, &body).await.refused(401, "auth_malformed");
    app.http("tld_garbage").post(push, &body).await.refused(401, "token_invalid");
    app.http(&key).post(push, &body).await.refused(403, "forbidden");
    app.http(&key).get("/api/v1/sync/pull").await.refused(403, "forbidden");
    phone.http.post(register, &device).await.refused(403, "forbidden");
    let forged = key.replace("tlk_", "tld_");
    app.http(&forged).post(push, &body).await.refused(401, "token_invalid");
    let mut wrong = key.clone().into_bytes();
    let at = wrong.len() - 8;
    wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
    let wrong = String::from_utf8(wrong).unwrap();
    app.http(&wrong).post(register, &device).await.refused(401, "token_invalid");
}

#[tokio::test]
async fn a_revoked_device_is_out_at_once_for_pushes_and_within_seconds_for_reads() {
    let catalog = "roles = [\"boss\", \"member\"]\nmanage_devices = [\"boss\"]\n[tables.notes]";
    let app = TestApp::build().catalog(catalog).start().await;
    let boss = app.phone_as("boss", "boss", &[]).await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    phone.pull().await;
    phone.http.delete(&format!("/api/v1/devices/{}", boss.device)).await.refused(403, "forbidden");
    let path = format!("/api/v1/sync/pull?wait=20000&after={}", phone.cursor.unwrap());
    let waiting = {
        let http = phone.http.clone();
        tokio::spawn(async move { http.get(&path).await })
    };
    app.has_open_stream().await;
    assert_eq!(boss.http.delete(&format!("/api/v1/devices/{}", phone.device)).await.status, 204);
    let op = phone.put("notes", "b", json!({}));
    phone.try_push(&[op]).await.refused(401, "device_revoked");
    let ended = tokio::time::timeout(Duration::from_secs(5), waiting).await;
    ended.expect("an open poll ends within 5 s").unwrap().refused(401, "device_revoked");
    phone.http.get("/api/v1/sync/pull").await.refused(401, "device_revoked");
    assert!(boss.device(phone.device).await.revoked);
}

#[tokio::test]
async fn a_stale_gateway_catches_a_revocation_under_the_logs_lock() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    // In the database alone: the gateway's cache still holds the device as valid.
    app.store().revoke_device(app.workspace, phone.device, app.now()).await.unwrap();
    let op = phone.put("notes", "b", json!({}));
    phone.try_push(&[op]).await.refused(401, "device_revoked");
}

#[tokio::test]
async fn devices_are_listed_with_what_they_reported() {
    let app = TestApp::start().await;
    let mut phone = app.phone("front desk").await;
    phone.saves("notes", "a", json!({})).await;
    phone.saves("notes", "b", json!({})).await;
    assert!(phone.devices().await[0].last_seen_at.is_some());
    let register = json!({"name": "new", "platform": "ios", "replaces": phone.device});
    let key = app.key("member", &["s"]).await;
    let registered: RegisterResponse = app.http(&key).post("/api/v1/devices", &register).await.good();
    app.name_device(registered.device, "new");
    assert_snapshot_of!(app, phone.devices().await);
    assert_eq!(phone.device(registered.device).await, phone.devices().await[1]);
    assert!(phone.status().await.last_sync.contains_key("front desk"));
    phone.http.get("/api/v1/devices/nonsense").await.refused(422, "id_invalid");
}

/// A resolve is a write: a revocation from elsewhere holds at once, whatever the gateway remembers about the token.
#[tokio::test]
async fn a_device_that_was_revoked_resolves_nothing() {
    let app = TestApp::start().await;
    let (mut phone, mut tablet) = (app.phone("phone").await, app.phone("tablet").await);
    phone.saves("notes", "n", json!({"text": "a"})).await;
    let op = tablet.put("notes", "n", json!({"text": "b"}));
    tablet.push_and_wait(&[op]).await;
    app.store().revoke_device(app.workspace, phone.device, app.now()).await.unwrap();
    let choice = json!({"choose": "loser"});
    phone.try_resolve(&"5.text", &choice).await.refused(401, "device_revoked");
    tablet.resolve(&"5.text", &choice).await;
}

#[tokio::test]
async fn tokens_are_not_stored() {
    let app = TestApp::start().await;
    let key = app.key("member", &[]).await;
    let registered: RegisterResponse = app.http(&key).post("/api/v1/devices", &json!({"name": "x"})).await.good();
    let client = app.database.connect().await;
    let dump =
        client.query("SELECT d::text || k::text FROM tidelog.devices d, tidelog.enrollment_keys k", &[]).await.unwrap();
    let dump: String = dump.iter().map(|row| row.get::<_, String>(0)).collect();
    assert!(!dump.contains(&registered.token) && !dump.contains(&key));
    let op = json!({"ops": [{"seq": 1, "table": "notes", "record": "a", "kind": "put"}]});
    app.http(&registered.token).post("/api/v1/sync/push", &op).await.good::<PushResponse>();
}

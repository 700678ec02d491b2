//! Registrations that are repeated because their answer was lost.

use futures_util::future::join_all;
use serde_json::{Value as Json, json};
use tidelog_core::wire::RegisterResponse;
use tidelog_postgres::{Credential, NewEnrollmentKey};
use tidelog_testkit::{Http, Phone, TestApp};

const PULL: &str = "/api/v1/sync/pull";
const NONCE: &str = "0123456789abcdef";

fn body(nonce: &str) -> Json {
    json!({"name": "a phone", "nonce": nonce})
}

async fn register(key: &Http, nonce: &str) -> RegisterResponse {
    let response = key.post("/api/v1/devices", &body(nonce)).await;
    assert_eq!(response.status, 201);
    response.good()
}

/// How many registrations are counted against a key.
async fn counted(app: &TestApp, key: &str) -> i32 {
    let id = Credential::parse(key).unwrap().id;
    app.store().keys(app.workspace).await.unwrap().iter().find(|row| row.key == id).unwrap().registrations
}

#[tokio::test]
async fn a_registration_whose_answer_is_lost_is_repeated_by_its_nonce() {
    let app = TestApp::start().await;
    let key = app.key_with("member", &["s"], |key| NewEnrollmentKey { registrations_max: Some(1), ..key }).await;
    let http = app.http(&key);
    let lost = register(&http, NONCE).await;
    let again = register(&http, NONCE).await;
    assert_eq!((again.device, &again.role, &again.scopes), (lost.device, &lost.role, &lost.scopes));
    app.http(&lost.token).get(PULL).await.refused(401, "token_invalid");
    assert_eq!(app.http(&again.token).get(PULL).await.status, 200);
    assert_eq!(counted(&app, &key).await, 1);
    http.post("/api/v1/devices", &body("another nonce of it")).await.refused(403, "key_exhausted");
    let mut phone = Phone::of(app.address(), &again);
    phone.saves("notes", "a", json!({})).await;
    assert_eq!(register(&http, NONCE).await.last_seq, 1, "the answer says how far the device is");
}

#[tokio::test]
async fn twins_of_a_registration_make_one_device_with_one_valid_token() {
    let app = TestApp::start().await;
    let key = app.key("member", &[]).await;
    let http = app.http(&key);
    let twins = join_all((0..16).map(|_| register(&http, NONCE))).await;
    assert!(twins.iter().all(|twin| twin.device == twins[0].device));
    let statuses = join_all(twins.iter().map(|twin| async { app.http(&twin.token).get(PULL).await.status })).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(counted(&app, &key).await, 1);
}

#[tokio::test]
async fn a_nonce_belongs_to_its_key_and_to_a_day() {
    let app = TestApp::start().await;
    let (key, other) = (app.key("member", &[]).await, app.key("member", &[]).await);
    let (http, other) = (app.http(&key), app.http(&other));
    let first = register(&http, NONCE).await;
    assert_ne!(register(&other, NONCE).await.device, first.device);
    let owner = app.database.connect().await;
    let a_day_later = "UPDATE tidelog.devices SET registered_at_ms = registered_at_ms - 86400000";
    owner.batch_execute(a_day_later).await.unwrap();
    let second = register(&http, NONCE).await;
    assert_ne!(second.device, first.device);
    assert_eq!(app.http(&first.token).get(PULL).await.status, 200, "the first device stays");
    assert_eq!(register(&http, NONCE).await.device, second.device, "of two devices the later one is meant");
}

#[tokio::test]
async fn a_nonce_gives_no_token_to_a_revoked_device_or_key() {
    let app = TestApp::start().await;
    let key = app.key("member", &[]).await;
    let http = app.http(&key);
    let registered = register(&http, NONCE).await;
    app.store().revoke_device(app.workspace, registered.device, app.now()).await.unwrap();
    http.post("/api/v1/devices", &body(NONCE)).await.refused(401, "device_revoked");
    let id = Credential::parse(&key).unwrap().id;
    app.store().revoke_key(app.workspace, id, app.now()).await.unwrap();
    http.post("/api/v1/devices", &body(NONCE)).await.refused(401, "token_invalid");
}

#[tokio::test]
async fn a_nonce_has_16_to_64_characters() {
    let app = TestApp::start().await;
    let http = app.http(&app.key("member", &[]).await);
    for bad in ["", "123456789012345", &"x".repeat(65), "0123456789\0abcdef"] {
        http.post("/api/v1/devices", &body(bad)).await.refused(422, "name_invalid");
    }
    http.post("/api/v1/devices", &json!({"name": "x", "nonce": 7})).await.refused(422, "shape_invalid");
    for good in [NONCE.to_owned(), "x".repeat(64), "\u{1f600}".repeat(64)] {
        register(&http, &good).await;
    }
}

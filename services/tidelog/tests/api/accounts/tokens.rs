//! Tokens that devices renew.

use std::time::Duration;

use serde_json::json;
use tidelog::Roles;
use tidelog_core::wire::TokenResponse;
use tidelog_testkit::{Http, Phone, TestApp};

const PULL: &str = "/api/v1/sync/pull";
const TOKEN: &str = "/api/v1/devices/self/token";

async fn renew(http: &Http) -> TokenResponse {
    http.post(TOKEN, &json!({})).await.good()
}

async fn is_valid(http: &Http) -> bool {
    let response = http.get(PULL).await;
    if response.status == 200 {
        return true;
    }
    response.refused(401, "token_invalid");
    false
}

#[tokio::test]
async fn the_old_token_lives_until_the_new_one_is_used() {
    let app = TestApp::start().await;
    let phone = app.phone("phone").await;
    let renewed = renew(&phone.http).await;
    let left_ms = renewed.previous_until.0 - app.now().0;
    assert!((500_000..=600_000).contains(&left_ms), "ten minutes: {left_ms}");
    assert!(is_valid(&phone.http).await);
    let with_new = app.http(&renewed.token);
    assert!(is_valid(&with_new).await);
    assert!(!is_valid(&phone.http).await);
    phone.try_push(&[]).await.refused(401, "token_invalid");
    assert!(is_valid(&with_new).await);
}

#[tokio::test]
async fn a_device_that_lost_the_answer_asks_again_by_its_old_token() {
    let app = TestApp::start().await;
    let phone = app.phone("phone").await;
    let lost = renew(&phone.http).await;
    let got = renew(&phone.http).await;
    assert!(!is_valid(&app.http(&lost.token)).await, "nobody has it");
    assert!(is_valid(&phone.http).await);
    assert!(is_valid(&app.http(&got.token)).await);
    assert!(!is_valid(&phone.http).await);
}

#[tokio::test]
async fn the_old_token_ends_with_its_time() {
    let app = TestApp::start().await;
    let phone = app.phone("phone").await;
    let renewed = renew(&phone.http).await;
    assert!(is_valid(&phone.http).await);
    let owner = app.database.connect().await;
    owner.batch_execute("UPDATE tidelog.devices SET previous_until_ms = 1").await.unwrap();
    let ends = async { while is_valid(&phone.http).await {} };
    tokio::time::timeout(Duration::from_secs(5), ends).await.expect("in force within 5 s");
    phone.http.post(TOKEN, &json!({})).await.refused(401, "token_invalid");
    assert!(is_valid(&app.http(&renewed.token)).await);
}

#[tokio::test]
async fn a_poll_by_the_old_token_ends_when_the_new_one_is_used() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    phone.pull().await;
    let renewed = renew(&phone.http).await;
    let path = format!("{PULL}?wait=20000&after={}", phone.cursor.unwrap());
    let waiting = {
        let http = phone.http.clone();
        tokio::spawn(async move { http.get(&path).await })
    };
    app.has_open_stream().await;
    assert!(is_valid(&app.http(&renewed.token)).await);
    let ended = tokio::time::timeout(Duration::from_secs(5), waiting).await;
    ended.expect("within 5 s").unwrap().refused(401, "token_invalid");
}

/// The other gateway remembers the device by its old token.
#[tokio::test]
async fn another_gateway_takes_the_new_token_at_once() {
    let app = TestApp::start().await;
    let other = app.another_server(Roles { projector: false, ..Roles::ALL }).await;
    let phone = app.phone("phone").await;
    let there = phone.clone().by_way_of(other.address().unwrap());
    assert!(is_valid(&there.http).await);
    let renewed = renew(&phone.http).await;
    assert!(is_valid(&Http::new(other.address().unwrap(), &renewed.token)).await);
    let ends = async { while is_valid(&phone.http).await {} };
    tokio::time::timeout(Duration::from_secs(5), ends).await.expect("the first gateway hears of it within 5 s");
    other.stop().await;
}

#[tokio::test]
async fn only_a_device_renews_a_token_and_only_its_own() {
    let app = TestApp::start().await;
    let phone = app.phone("phone").await;
    app.http(&app.key("member", &[]).await).post(TOKEN, &json!({})).await.refused(403, "forbidden");
    app.analyst().await.post(TOKEN, &json!({})).await.refused(403, "forbidden");
    let other = Phone::register(app.address(), &app.key("member", &[]).await, "other").await;
    renew(&other.http).await;
    assert!(is_valid(&phone.http).await);
    app.store().revoke_device(app.workspace, phone.device, app.now()).await.unwrap();
    phone.http.post(TOKEN, &json!({})).await.refused(401, "token_invalid");
}

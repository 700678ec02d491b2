//! Health while the server is busy: a load balancer must not take it out for being used.

use serde_json::Value as Json;
use tidelog_testkit::{Phone, TestApp};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

async fn waiting_for_a_connection(app: &TestApp) -> usize {
    let metrics = String::from_utf8(app.get("/metrics").await.body).unwrap();
    metrics.lines().find_map(|line| line.strip_prefix("tidelog_pool_waiting ")).unwrap().parse().unwrap()
}

/// Requests that wait for the database: more than the server has connections.
const BUSY_REQUESTS: usize = 32;

#[tokio::test]
async fn a_server_whose_connections_are_all_busy_is_ready() {
    let app = TestApp::start().await;
    let key = app.key("member", &["*"]).await;
    let mut phones = Vec::new();
    for number in 0..BUSY_REQUESTS {
        phones.push(Phone::register(app.address(), &key, &format!("phone {number}")).await);
    }
    // A request that has to read an account waits for this lock, on a connection.
    let owner = app.database.connect().await;
    owner.batch_execute("BEGIN; LOCK TABLE tidelog.devices IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut busy = JoinSet::new();
    for phone in phones {
        busy.spawn(async move { phone.http.get("/api/v1/sync/status").await.status });
    }
    let deadline = Instant::now() + Duration::from_secs(4);
    while waiting_for_a_connection(&app).await == 0 {
        assert!(Instant::now() < deadline, "some connections are free");
    }
    let ready = app.get("/health/ready").await;
    let said: Json = serde_json::from_slice(&ready.body).unwrap();
    assert_eq!((ready.status.as_u16(), &said["status"]), (200, &"ready".into()), "{said}");
    assert_eq!(app.get("/metrics").await.status, 200);
    owner.batch_execute("COMMIT").await.unwrap();
    while let Some(status) = busy.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
}

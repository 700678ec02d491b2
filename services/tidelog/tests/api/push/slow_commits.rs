//! Appends while commits are slow, as on a slow disk or with a standby.

use std::time::{Duration, Instant};

use serde_json::json;
use tidelog_core::ids::Position;
use tidelog_testkit::{Phone, TestApp};
use tokio_postgres::Client;

/// Makes every commit of an append take 20 ms, and wait while a connection holds lock 1.
const SLOW_COMMITS: &str = "
CREATE FUNCTION public.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_sleep(0.02);
    PERFORM pg_advisory_xact_lock_shared(1);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON tidelog.log DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.at_commit();
";

/// Waits until so many commits wait for lock 1.
async fn commits_wait(owner: &Client, count: i64) {
    let sql =
        "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid AND a.datname = current_database()
        WHERE NOT l.granted AND l.locktype = 'advisory'";
    let began = Instant::now();
    loop {
        let waiting: i64 = owner.query_one(sql, &[]).await.unwrap().get(0);
        if waiting == count {
            return;
        }
        // Below the time after which a statement gives up a lock.
        assert!(began.elapsed() < Duration::from_secs(4), "{waiting} of {count} commits are under way");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A server with one append worker whose commits are slow, and known to be. Devices of three workspaces, and a fourth one of
/// the first workspace.
async fn start() -> (TestApp, Client, Vec<Phone>) {
    let app = TestApp::build().without_projector().append_workers(1).start().await;
    let owner = app.database.connect().await;
    let mut phones = vec![app.phone("first").await];
    for name in ["second", "third"] {
        phones.push(app.phone_of(app.another_workspace().await, name, "member").await);
    }
    phones.push(app.phone("neighbour").await);
    owner.batch_execute(SLOW_COMMITS).await.unwrap();
    for number in 0..8 {
        phones[number % 4].saves("notes", "warm", json!({"n": number})).await;
    }
    (app, owner, phones)
}

#[tokio::test]
async fn a_group_is_written_while_others_wait_for_their_commits() {
    let (app, owner, mut phones) = start().await;
    let mut neighbour = phones.remove(3);
    owner.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();
    let mut pushes = Vec::new();
    for (number, phone) in phones.iter_mut().enumerate() {
        let (op, phone) = (phone.put("notes", "n", json!({"n": number})), phone.clone());
        pushes.push(tokio::spawn(async move { phone.push(&[op]).await }));
        commits_wait(&owner, number as i64 + 1).await;
    }
    // Another device of a workspace that is being appended to: it waits for its turn, and is acknowledged after it.
    let op = neighbour.put("notes", "n", json!({"n": 9}));
    let late = tokio::spawn(async move { neighbour.push(&[op]).await });
    owner.batch_execute("SELECT pg_advisory_unlock(1)").await.unwrap();
    let mut heads = Vec::new();
    for push in pushes {
        heads.push(push.await.unwrap().head);
    }
    assert_eq!(late.await.unwrap().head, Position(heads[0].0 + 1));
    let log = app.database.read_log(app.workspace).await;
    assert!(log.iter().map(|event| event.position.0).eq(1..=heads[0].0 + 1), "dense, and in order");
}

#[tokio::test]
async fn pushes_of_one_workspace_are_stored_once_each_while_commits_are_slow() {
    let (app, _owner, _phones) = start().await;
    let mut pushes = Vec::new();
    for number in 0..6 {
        let mut phone = app.phone(&format!("phone {number}")).await;
        pushes.push(tokio::spawn(async move {
            for number in 0..20 {
                phone.saves("notes", "n", json!({"n": number})).await;
            }
            phone.device
        }));
    }
    let mut devices = Vec::new();
    for push in pushes {
        devices.push(push.await.unwrap());
    }
    let log = app.database.read_log(app.workspace).await;
    assert!(log.iter().map(|event| event.position.0).eq(1..=log.len() as i64), "positions are dense");
    let analyst = app.analyst().await;
    let events = tidelog_testkit::Reader::pull_page(&analyst, "limit=10000").await.events;
    for device in devices {
        let seqs = events.iter().filter(|event| event.device == device).map(|event| event.seq.0);
        assert!(seqs.eq(1..=20), "each op of {device} once, in order");
    }
}

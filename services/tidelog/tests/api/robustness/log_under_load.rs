//! LOG-1, LOG-3, PULL-1 with everything at once: 8 devices push and 4 pull through a network that cuts connections, while
//! clients give up half way and database connections are killed. The control shows that the same readers lose events over
//! a `bigserial` cursor.
//!
//! What a seed draws is counted in bytes and in acknowledged pushes: `TIDELOG_SEED` replays where connections are cut and
//! after which pushes those of the database are killed. What the scheduler makes of it is not replayed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tidelog_core::cursor::Cursor;
use tidelog_core::op::Op;
use tidelog_core::wire::{Encoding, EventView, PullResponse, PushResponse};
use tidelog_testkit::{FaultProxy, Http, Phone, TestApp, TestDatabase, seed};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

const PUSHERS: u64 = 8;
const PULLERS: u64 = 4;
const OPS_OF_A_PUSHER: usize = 6_500;
const PUSH_OPS_MAX: usize = 60;
/// Acknowledged pushes of all devices from one kill to the next at most.
const KILL_PUSHES_MAX: u64 = 100;
/// Kills there are at least: so many pushes at least, and so many of them between two kills at most.
const KILLS_MIN: u64 = PUSHERS * (OPS_OF_A_PUSHER / PUSH_OPS_MAX) as u64 / KILL_PUSHES_MAX;

/// A device that has pushed everything.
struct Pushed {
    phone: Phone,
    responses: Vec<PushResponse>,
    retries: u64,
}

/// Pushes until every op is acknowledged, whatever happens on the way.
async fn push_all(mut phone: Phone, direct: Http, seed: u64, acknowledged: watch::Sender<u64>) -> Pushed {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut left, mut responses, mut retries) = (OPS_OF_A_PUSHER, Vec::new(), 0);
    while left > 0 {
        let size = random.random_range(1..=PUSH_OPS_MAX).min(left);
        let ops: Vec<Op> = (0..size)
            .map(|_| phone.put("notes", &format!("n{}", random.random_range(0..500)), json!({"s": phone.next_seq})))
            .collect();
        let response = loop {
            // Most requests go through the cutting proxy. Of some the client itself gives up, at a random moment.
            let http = if random.random_bool(0.7) { &phone.http } else { &direct };
            let patience_ms = if random.random_bool(0.1) { random.random_range(0..6) } else { 20_000 };
            let request = phone.request(&ops);
            let push = http.try_post("/api/v1/sync/push", &request);
            match timeout(Duration::from_millis(patience_ms), push).await {
                Ok(Ok(response)) if response.status == 200 => break response.good::<PushResponse>(),
                Ok(Ok(response)) => assert_eq!(response.status, 503, "{}", response.text()),
                Ok(Err(_)) | Err(_) => {}
            }
            retries += 1;
            sleep(Duration::from_millis(random.random_range(1..20))).await;
        };
        assert_eq!(response.last_seq, phone.next_seq - 1);
        responses.push(response);
        acknowledged.send_modify(|count| *count += 1);
        left -= size;
    }
    Pushed { phone, responses, retries }
}

/// Pulls pages of random size through the cutting proxy until `done` is set and nothing is left.
async fn pull_all(http: Http, seed: u64, done: Arc<AtomicBool>) -> Vec<EventView> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut events, mut after) = (Vec::new(), Cursor::START);
    loop {
        let is_done = done.load(Ordering::SeqCst);
        let path = format!("/api/v1/sync/pull?after={after}&limit={}&wait=200", random.random_range(1..=700));
        let Ok(response) = http.send(http.request(reqwest::Method::GET, &path)).await else { continue };
        if response.status == 503 {
            continue;
        }
        let page: PullResponse = response.good();
        after = page.cursor;
        let is_empty = page.events.is_empty();
        events.extend(page.events);
        if is_done && is_empty && !page.more {
            return events;
        }
    }
}

/// Kills the connections of the database again and again, each time after a number of pushes that the seed draws.
/// Returns the number of kills once all pushers are gone.
async fn kill_connections(database: &TestDatabase, seed: u64, mut acknowledged: watch::Receiver<u64>) -> u64 {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut kills, mut next) = (0, 0);
    loop {
        next += random.random_range(1..=KILL_PUSHES_MAX);
        if acknowledged.wait_for(|count| *count >= next).await.is_err() {
            return kills;
        }
        database.kill_connections().await;
        kills += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_skipped_repeated_or_reordered_under_load_and_faults() {
    let seed = seed();
    let app = TestApp::start().await;
    let cutting = FaultProxy::start(app.address(), seed, 400_000).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut pullers = Vec::new();
    for number in 0..PULLERS {
        let encoding = if number % 2 == 0 { Encoding::MessagePack } else { Encoding::Json };
        let reader = app.phone("reader").await.speaking(encoding).by_way_of(cutting.address());
        let seed = seed.wrapping_add(100 + number);
        pullers.push(tokio::spawn(pull_all(reader.http.clone(), seed, Arc::clone(&done))));
    }
    let (acknowledged, acknowledged_seen) = watch::channel(0);
    let mut pushers = Vec::new();
    for number in 0..PUSHERS {
        let phone = app.phone("writer").await.speaking(Encoding::MessagePack);
        let direct = phone.http.clone();
        let phone = phone.by_way_of(cutting.address());
        pushers.push(tokio::spawn(push_all(phone, direct, seed.wrapping_add(number), acknowledged.clone())));
    }
    drop(acknowledged);
    let killing = kill_connections(&app.database, seed.wrapping_add(200), acknowledged_seen);
    let (pushed, kills) = tokio::join!(futures_util::future::join_all(pushers), killing);
    done.store(true, Ordering::SeqCst);
    let pushed: Vec<_> = pushed.into_iter().map(Result::unwrap).collect();
    let retries: u64 = pushed.iter().map(|pushed| pushed.retries).sum();
    println!("{retries} retries, {kills} times killed connections");
    assert!(retries > 50 && kills >= KILLS_MIN, "too few faults: {retries} retries, {kills} kills");

    let mut first: Option<Vec<EventView>> = None;
    for puller in pullers {
        let events = timeout(Duration::from_secs(60), puller).await.expect("pullers come to an end").unwrap();
        check(&events, &pushed);
        match &first {
            None => first = Some(events),
            Some(first) => assert!(*first == events, "two readers have pulled different logs"),
        }
    }
}

/// Asserts dense positions, whole batches, every device's ops once and in order, and each op where its push said.
fn check(events: &[EventView], pushed: &[Pushed]) {
    assert!(events.len() > 50_000, "{}", events.len());
    let mut next_seqs = BTreeMap::new();
    let mut received_at = events[0].received_at;
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event.position.0, index as i64 + 1, "LOG-3: dense, in order, none twice");
        assert!(event.received_at >= received_at, "received_at never decreases");
        received_at = event.received_at;
        let next = next_seqs.entry(event.device).or_insert(1);
        assert_eq!(event.seq.0, *next, "LOG-1: each op of a device once, in its order");
        *next += 1;
        let previous = index.checked_sub(1).map(|index| &events[index]);
        let same_batch = previous.is_some_and(|previous| previous.batch == event.batch);
        assert!(same_batch || event.batch == event.position, "batches are whole");
    }
    let positions: BTreeMap<_, _> =
        events.iter().map(|event| ((event.device, event.seq.0), event.position.0)).collect();
    for Pushed { phone, responses, .. } in pushed {
        assert_eq!(next_seqs[&phone.device], OPS_OF_A_PUSHER as i64 + 1, "LOG-2: what was acknowledged is there");
        for run in responses.iter().flat_map(|response| &response.runs) {
            for offset in 0..run.count {
                let position = positions[&(phone.device, run.seq.0 + offset)];
                assert_eq!(position, run.position.0 + offset, "where the response to the push said");
            }
        }
    }
}

/// Inserts 150 rows, each in a transaction that takes a random time to commit.
async fn insert_naively(database: &TestDatabase, device: i64) -> tokio::task::JoinHandle<()> {
    let mut client = database.connect().await;
    tokio::spawn(async move {
        let mut random = StdRng::seed_from_u64(device as u64);
        for seq in 0..150i64 {
            #[expect(clippy::disallowed_methods, reason = "this is the naive log")]
            let transaction = client.transaction().await.unwrap();
            transaction.execute("INSERT INTO naive (device, seq) VALUES ($1, $2)", &[&device, &seq]).await.unwrap();
            sleep(Duration::from_millis(random.random_range(0..6))).await;
            transaction.commit().await.unwrap();
        }
    })
}

/// Counts the rows that a reader by `position > $1` sees until `done` is set and nothing is left.
async fn read_naively(database: &TestDatabase, done: Arc<AtomicBool>) -> tokio::task::JoinHandle<usize> {
    let client = database.connect().await;
    tokio::spawn(async move {
        let (mut after, mut count) = (0i64, 0usize);
        loop {
            let is_done = done.load(Ordering::SeqCst);
            let sql = "SELECT position FROM naive WHERE position > $1 ORDER BY position LIMIT 500";
            let rows = client.query(sql, &[&after]).await.unwrap();
            count += rows.len();
            after = rows.last().map_or(after, |row| row.get(0));
            if is_done && rows.is_empty() {
                return count;
            }
        }
    })
}

/// The control: the same kind of readers lose events over a table whose cursor is a `bigserial`, so the test above can
/// fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_readers_over_a_bigserial_cursor_skip_events() {
    let database = TestDatabase::create_empty().await;
    let owner = database.connect().await;
    let table = "CREATE TABLE naive (position bigserial PRIMARY KEY, device bigint, seq bigint)";
    owner.batch_execute(table).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let (mut pullers, mut pushers) = (Vec::new(), Vec::new());
    for _ in 0..PULLERS {
        pullers.push(read_naively(&database, Arc::clone(&done)).await);
    }
    for device in 0..PUSHERS as i64 {
        pushers.push(insert_naively(&database, device).await);
    }
    for pusher in pushers {
        pusher.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    let stored = PUSHERS as usize * 150;
    for puller in pullers {
        let seen = puller.await.unwrap();
        println!("{seen} of {stored} rows seen");
        assert!(seen < stored, "a reader over a naive cursor skips some of {stored} rows");
    }
}

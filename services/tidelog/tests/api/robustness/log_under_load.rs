//! LOG-1, LOG-3, PULL-1 with everything at once: 8 devices push and 4 pull through a network that cuts connections, with
//! requests that are cancelled half way and database connections that are killed. And the control: the same readers over
//! a `bigserial` cursor do skip.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tidelog_core::cursor::Cursor;
use tidelog_core::op::Op;
use tidelog_core::wire::{Encoding, EventView, PullResponse, PushResponse};
use tidelog_testkit::{FaultProxy, Http, Phone, TestApp};
use tokio::time::{sleep, timeout};

const PUSHERS: u64 = 8;
const PULLERS: u64 = 4;
const OPS_OF_EACH: usize = 6_500;

/// Pushes until every op is acknowledged, whatever happens on the way; how often it had to try again.
async fn push_all(mut phone: Phone, direct: Http, seed: u64) -> (Phone, Vec<PushResponse>, u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut left, mut answers, mut retries) = (OPS_OF_EACH, Vec::new(), 0);
    while left > 0 {
        let size = random.random_range(1..=60).min(left);
        let ops: Vec<Op> = (0..size)
            .map(|_| phone.put("notes", &format!("n{}", random.random_range(0..500)), json!({"s": phone.next_seq})))
            .collect();
        let answer = loop {
            // Most go through the cutting proxy; some are dropped by their own client at a random moment.
            let http = if random.random_bool(0.7) { &phone.http } else { &direct };
            let patience = if random.random_bool(0.1) { random.random_range(0..6) } else { 20_000 };
            let request = phone.request(&ops);
            match timeout(Duration::from_millis(patience), http.try_post("/api/v1/sync/push", &request)).await {
                Ok(Ok(answer)) if answer.status == 200 => break answer.good::<PushResponse>(),
                Ok(Ok(answer)) => assert_eq!(answer.status, 503, "{:?}", String::from_utf8_lossy(&answer.body)),
                Ok(Err(_)) | Err(_) => {}
            }
            retries += 1;
            sleep(Duration::from_millis(random.random_range(1..20))).await;
        };
        assert_eq!(answer.last_seq, phone.next_seq - 1);
        answers.push(answer);
        left -= size;
    }
    (phone, answers, retries)
}

/// Pulls pages of random size until `done` and nothing is left, over the cutting proxy.
async fn pull_all(http: Http, seed: u64, done: Arc<AtomicBool>) -> Vec<EventView> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut events, mut after) = (Vec::new(), Cursor::START);
    loop {
        let is_done = done.load(Ordering::SeqCst);
        let path = format!("/api/v1/sync/pull?after={after}&limit={}&wait=200", random.random_range(1..=700));
        let Ok(answer) = http.send(http.request(reqwest::Method::GET, &path)).await else { continue };
        if answer.status == 503 {
            continue;
        }
        let page: PullResponse = answer.good();
        after = page.cursor;
        let is_empty = page.events.is_empty();
        events.extend(page.events);
        if is_done && is_empty && !page.more {
            return events;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_skipped_repeated_or_reordered_under_load_and_faults() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let app = TestApp::start().await;
    let cutting = FaultProxy::start(app.address(), seed, 400_000).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut pullers = Vec::new();
    for number in 0..PULLERS {
        let encoding = if number % 2 == 0 { Encoding::MessagePack } else { Encoding::Json };
        let reader = app.phone("reader").await.speaking(encoding).by_way_of(cutting.address());
        pullers.push(tokio::spawn(pull_all(reader.http.clone(), seed + 100 + number, Arc::clone(&done))));
    }
    let mut pushers = Vec::new();
    for number in 0..PUSHERS {
        let phone = app.phone("writer").await.speaking(Encoding::MessagePack);
        let direct = phone.http.clone();
        let phone = phone.by_way_of(cutting.address());
        pushers.push(tokio::spawn(push_all(phone, direct, seed + number)));
    }
    let kills = Arc::new(AtomicU64::new(0));
    let killing = async {
        loop {
            sleep(Duration::from_millis(700)).await;
            app.database.kill_connections().await;
            kills.fetch_add(1, Ordering::SeqCst);
        }
    };
    let pushing = futures_util::future::join_all(pushers);
    let pushed = tokio::select! {
        pushed = pushing => pushed,
        () = killing => unreachable!("it goes on for ever"),
    };
    done.store(true, Ordering::SeqCst);
    let pushed: Vec<_> = pushed.into_iter().map(Result::unwrap).collect();
    let retries: u64 = pushed.iter().map(|(_, _, retries)| retries).sum();
    println!("{retries} retries, {} rounds of killed connections", kills.load(Ordering::SeqCst));
    assert!(retries > 50 && kills.load(Ordering::SeqCst) > 0, "the faults did not happen");

    let mut first: Option<Vec<EventView>> = None;
    for puller in pullers {
        let events = timeout(Duration::from_secs(60), puller).await.expect("pullers come to an end").unwrap();
        check(&events, &pushed);
        match &first {
            None => first = Some(events),
            Some(first) => assert!(*first == events, "two readers saw different logs"),
        }
    }
}

/// Dense positions, whole batches, every device's ops once and in order, each where its push was told.
fn check(events: &[EventView], pushed: &[(Phone, Vec<PushResponse>, u64)]) {
    assert!(events.len() > 50_000, "{}", events.len());
    let mut next_seqs = BTreeMap::new();
    let mut received_at = events[0].received_at;
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event.position.0, index as i64 + 1, "LOG-3: dense, in order, none twice");
        assert!(event.received_at >= received_at, "received_at never steps back");
        received_at = event.received_at;
        let next = next_seqs.entry(event.device).or_insert(1);
        assert_eq!(event.seq.0, *next, "LOG-1: each op of a device once, in its order");
        *next += 1;
        let previous = index.checked_sub(1).map(|index| &events[index]);
        let same_batch = previous.is_some_and(|previous| previous.batch == event.batch);
        assert!(same_batch || event.batch == event.position, "batches are whole");
    }
    let places: BTreeMap<_, _> = events.iter().map(|event| ((event.device, event.seq.0), event.position.0)).collect();
    for (phone, answers, _) in pushed {
        assert_eq!(next_seqs[&phone.device], OPS_OF_EACH as i64 + 1, "LOG-2: what was acknowledged is there");
        for run in answers.iter().flat_map(|answer| &answer.runs) {
            for offset in 0..run.count {
                let place = places[&(phone.device, run.seq.0 + offset)];
                assert_eq!(place, run.position.0 + offset, "where the push was told");
            }
        }
    }
}

/// The control: the same kind of readers over a table whose cursor is a `bigserial` lose events, so the test above could
/// have gone red.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_readers_over_a_bigserial_cursor_skip_events() {
    let database = tidelog_testkit::TestDatabase::create_empty().await;
    let owner = database.connect().await;
    owner
        .batch_execute("CREATE TABLE naive (position bigserial PRIMARY KEY, device bigint, seq bigint)")
        .await
        .unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let mut pullers = Vec::new();
    for _ in 0..PULLERS {
        let (client, done) = (database.connect().await, Arc::clone(&done));
        pullers.push(tokio::spawn(async move {
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
        }));
    }
    let mut pushers = Vec::new();
    for device in 0..PUSHERS as i64 {
        let mut client = database.connect().await;
        pushers.push(tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(device as u64);
            for seq in 0..150i64 {
                #[expect(clippy::disallowed_methods, reason = "this is the naive log")]
                let transaction = client.transaction().await.unwrap();
                transaction.execute("INSERT INTO naive (device, seq) VALUES ($1, $2)", &[&device, &seq]).await.unwrap();
                sleep(Duration::from_millis(random.random_range(0..6))).await;
                transaction.commit().await.unwrap();
            }
        }));
    }
    for pusher in pushers {
        pusher.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    let stored = PUSHERS as usize * 150;
    for puller in pullers {
        let seen = puller.await.unwrap();
        println!("{seen} of {stored} seen");
        assert!(seen < stored, "the naive cursor should have skipped some of {stored}");
    }
}

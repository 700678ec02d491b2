//! One client must not take the server from the others: hung-up waiters, too many waiters, bodies that do not end, cheap
//! bodies that are dear to decode, and floods of pushes.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tidelog_core::wire::PushResponse;
use tidelog_gateway::RateLimitConfig;
use tidelog_testkit::{Phone, Response, Serving, TestApp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// How long a test waits for what has to come soon. Without its protection each would take a wait of 30 s.
const SOON: Duration = Duration::from_secs(10);

/// A connection that has sent a long poll of 30 s from the phone's cursor, and reads nothing.
async fn long_poll(phone: &Phone, address: SocketAddr) -> TcpStream {
    long_poll_of(phone, address, "").await
}

/// The same with further parameters.
async fn long_poll_of(phone: &Phone, address: SocketAddr, query: &str) -> TcpStream {
    let after = phone.cursor.unwrap();
    get_unread(phone, address, &format!("/api/v1/sync/pull?wait=30000&after={after}{query}")).await
}

/// A connection that has sent a `GET`, and reads nothing.
pub(super) async fn get_unread(phone: &Phone, address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let token = phone.http.credential();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads one response, head and body.
pub(super) async fn response(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        let text = String::from_utf8_lossy(&said).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase().lines().find_map(|line| {
                line.strip_prefix("content-length: ").and_then(|length| length.trim().parse::<usize>().ok())
            });
            if length.is_some_and(|length| body.len() >= length) {
                return text;
            }
        }
        match timeout(SOON, stream.read(&mut buffer)).await.unwrap().unwrap() {
            0 => return String::from_utf8_lossy(&said).into_owned(),
            read => said.extend_from_slice(&buffer[..read]),
        }
    }
}

async fn waits(app: &TestApp) -> usize {
    let metrics = String::from_utf8(app.get("/metrics").await.body).unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix("tidelog_open_streams ")).unwrap();
    line.parse().unwrap()
}

pub(super) async fn until_waits(app: &TestApp, expected: usize) {
    let deadline = Instant::now() + SOON;
    while waits(app).await != expected {
        assert!(Instant::now() < deadline, "{} requests wait, not {expected}", waits(app).await);
        sleep(Duration::from_millis(20)).await;
    }
}

/// A phone that has read everything, so that its long polls wait.
async fn caught_up(app: &TestApp, name: &str) -> Phone {
    let mut phone = app.phone(name).await;
    phone.saves("notes", name, json!({})).await;
    phone.pull().await;
    phone
}

#[tokio::test]
async fn a_wait_ends_soon_after_its_client_has_hung_up_however_it_did() {
    let app = TestApp::start().await;
    let phones = [caught_up(&app, "one").await, caught_up(&app, "two").await];
    let phones = {
        let [mut one, two] = phones;
        one.pull().await;
        [one, two]
    };
    let (mut half_closed, mut closed) = (Vec::new(), Vec::new());
    for phone in &phones {
        for _ in 0..2 {
            half_closed.push(long_poll(phone, app.address()).await);
            closed.push(long_poll(phone, app.address()).await);
        }
    }
    until_waits(&app, 8).await;
    drop(closed);
    until_waits(&app, 4).await;
    for stream in &mut half_closed {
        stream.shutdown().await.unwrap();
    }
    until_waits(&app, 0).await;
    // Nothing is left over: the phone may wait as often as before.
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(long_poll(&phones[0], app.address()).await);
    }
    until_waits(&app, 4).await;
}

#[tokio::test]
async fn a_push_that_waits_for_its_verdicts_ends_soon_after_its_client_has_hung_up() {
    let app = TestApp::build().without_projector().start().await;
    let mut phone = app.phone("phone").await;
    let op = phone.put("notes", "a", json!({}));
    let body = serde_json::to_string(&phone.request(&[op])).unwrap();
    let mut stream = TcpStream::connect(app.address()).await.unwrap();
    let (token, length) = (phone.http.credential(), body.len());
    let request = format!(
        "POST /api/v1/sync/push?wait=10000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    until_waits(&app, 1).await;
    stream.shutdown().await.unwrap();
    // Half of its wait.
    timeout(SOON / 2, until_waits(&app, 0)).await.unwrap();
    assert_eq!(phone.pull_ops().await.len(), 1, "it is stored all the same");
}

#[tokio::test]
async fn a_device_has_four_waits_at_once_and_still_pushes_and_reads() {
    // Nothing is folded, so that a push that waits for its verdicts waits as long as it may.
    let app = TestApp::build().without_projector().start().await;
    let mut phone = caught_up(&app, "phone").await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        // For another table, so that the push below does not end them.
        waiting.push(long_poll_of(&phone, app.address(), "&tables=others").await);
    }
    until_waits(&app, 4).await;
    let refused = response(&mut long_poll(&phone, app.address()).await).await;
    assert!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("rate_limited"), "{refused}");
    assert!(refused.to_ascii_lowercase().contains("\r\nretry-after: 1\r\n"), "{refused}");
    // A push that asks to wait for its verdicts is stored, and answered without them long before its wait is over.
    let op = phone.put("notes", "a", json!({}));
    let request = phone.request(&[op]);
    let pushing = phone.http.post("/api/v1/sync/push?wait=10000", &request);
    let response_of_push: PushResponse = timeout(SOON / 2, pushing).await.unwrap().good();
    assert_eq!(response_of_push.folded, Some(false));
    assert_eq!(waits(&app).await, 4, "the long polls go on");
}

#[tokio::test]
async fn where_waiters_fill_the_server_health_and_pushes_are_answered_and_the_next_waiter_is_refused() {
    // 48 may wait, 24 of one workspace.
    let app = TestApp::build().connections_max(64).start().await;
    let mut phones = Vec::new();
    for number in 0..7 {
        phones.push(app.phone(&format!("phone {number}")).await);
    }
    phones[0].saves("notes", "a", json!({})).await;
    for phone in &mut phones {
        phone.pull().await;
    }
    let mut waiting = Vec::new();
    for phone in &phones[..6] {
        for _ in 0..4 {
            waiting.push(long_poll(phone, app.address()).await);
        }
    }
    until_waits(&app, 24).await;
    let refused = response(&mut long_poll(&phones[6], app.address()).await).await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("this workspace"), "{refused}");
    assert_eq!(app.get("/health/ready").await.status, 200);
    let elsewhere = app.another_workspace().await;
    let mut foreign = app.phone_of(elsewhere, "foreign", "member").await;
    foreign.saves("notes", "a", json!({})).await;
    foreign.pull().await;
    waiting.push(long_poll(&foreign, app.address()).await);
    until_waits(&app, 25).await;
    // Two other workspaces fill all places. Each push ends the waits of its workspace.
    phones[6].saves("notes", "b", json!({})).await;
    for workspace in [elsewhere, app.another_workspace().await] {
        let mut filling = Vec::new();
        for number in 0..6 {
            filling.push(app.phone_of(workspace, &format!("filling {number}"), "member").await);
        }
        filling[0].saves("notes", "b", json!({})).await;
        for phone in &mut filling {
            phone.pull().await;
            for _ in 0..4 {
                waiting.push(long_poll(phone, app.address()).await);
            }
        }
    }
    until_waits(&app, 48).await;
    phones[0].pull().await;
    let refused = response(&mut long_poll(&phones[0], app.address()).await).await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("the server has as many"), "{refused}");
    assert_eq!(app.get("/health/ready").await.status, 200);
    phones[0].saves("notes", "c", json!({})).await;
}

/// A connection that announces a body and sends only part of it.
async fn unfinished_body(phone: &Phone, address: SocketAddr, announced: usize, sent: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let token = phone.http.credential();
    let head = format!(
        "POST /api/v1/sync/push HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {announced}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // A refusal may come before all is sent.
    let _ = stream.write_all(&vec![b' '; sent]).await;
    stream
}

#[tokio::test]
async fn bodies_that_do_not_end_take_the_share_of_their_device_and_no_more() {
    // A quarter for one device: 4 MiB.
    let app = TestApp::build().body_memory_bytes_max(16 * 1024 * 1024).start().await;
    let (rude, mut honest) = (app.phone("rude").await, app.phone("honest").await);
    let mut open = Vec::new();
    let mut refusals = 0;
    for _ in 0..6 {
        let mut stream = unfinished_body(&rude, app.address(), 2_000_000, 1_900_000).await;
        // Refused at once, or held open without a word.
        match timeout(Duration::from_millis(500), response(&mut stream)).await {
            Ok(said) => {
                assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("this caller"), "{said}");
                refusals += 1;
            }
            Err(_) => open.push(stream),
        }
    }
    assert_eq!((open.len(), refusals), (2, 4), "two bodies of 1.9 MB are within 4 MiB");
    honest.saves("notes", "a", json!({"text": "x".repeat(100_000)})).await;
    drop(open);
    // What the closed connections held is free again.
    let deadline = Instant::now() + SOON;
    loop {
        let mut stream = unfinished_body(&rude, app.address(), 2_000_000, 1_900_000).await;
        if timeout(Duration::from_millis(500), response(&mut stream)).await.is_err() {
            break;
        }
        assert!(Instant::now() < deadline, "the memory of closed connections is not given back");
    }
}

#[tokio::test]
async fn bodies_that_do_not_end_take_the_share_of_their_workspace_and_the_rest_is_for_others() {
    // 8 MiB for one workspace, 4 MiB for one device.
    let app = TestApp::build().body_memory_bytes_max(16 * 1024 * 1024).start().await;
    let mut open = Vec::new();
    let held = async |phone: &Phone| {
        let mut stream = unfinished_body(phone, app.address(), 2_000_000, 1_900_000).await;
        match timeout(Duration::from_millis(500), response(&mut stream)).await {
            Ok(said) => Err(said),
            Err(_) => Ok(stream),
        }
    };
    let workspaces = [app.workspace, app.another_workspace().await];
    for workspace in workspaces {
        for name in ["one", "two"] {
            let phone = app.phone_of(workspace, name, "member").await;
            for _ in 0..2 {
                open.push(held(&phone).await.unwrap());
            }
        }
        if open.len() == 4 {
            let said = held(&app.phone_of(workspace, "three", "member").await).await.unwrap_err();
            assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("this workspace sends"), "{said}");
        }
    }
    // 15.2 MB are held. A third workspace gets what is left, and no more.
    let third = app.another_workspace().await;
    let mut honest = app.phone_of(third, "honest", "member").await;
    honest.saves("notes", "a", json!({"text": "x".repeat(100_000)})).await;
    let said = held(&honest).await.unwrap_err();
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("the bodies that are sent at once"), "{said}");
}

#[tokio::test]
async fn cheap_bodies_that_are_dear_to_decode_hold_up_their_own_device_alone() {
    let app = TestApp::start().await;
    let (rude, mut honest) = (app.phone("rude").await, app.phone("honest").await);
    let mut small = rude.clone();
    let mut spaces = vec![b' '; 30 * 1024 * 1024];
    spaces.extend_from_slice(br#"{"ops":[]}"#);
    let cheap = zstd::encode_all(&spaces[..], 1).unwrap();
    assert!(cheap.len() < 20_000);
    let send = |phone: &Phone, body: Vec<u8>| {
        let request = phone.http.request(reqwest::Method::POST, "/api/v1/sync/push");
        request.header("content-type", "application/json").header("content-encoding", "zstd").body(body).send()
    };
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let flood: Vec<_> = (0..40)
        .map(|_| {
            let (rude, cheap, stopping) = (rude.clone(), cheap.clone(), stopping.clone());
            tokio::spawn(async move {
                let mut statuses = Vec::new();
                while !*stopping.borrow() {
                    let response = send(&rude, cheap.clone()).await.unwrap();
                    let status = response.status().as_u16();
                    let is_queue_full = response.text().await.unwrap().contains("are still being decoded");
                    statuses.push((status, is_queue_full));
                }
                statuses
            })
        })
        .collect();
    let push = async |phone: &mut Phone, bytes: usize| {
        // Text that does not compress to nothing.
        let text: String =
            (0..bytes / 8).map(|number| format!("{:08x}", number * 2_654_435_761_usize % (1 << 32))).collect();
        let op = phone.put("notes", "a", json!({"text": text}));
        let body = serde_json::to_vec(&phone.request(&[op])).unwrap();
        let stored = send(phone, zstd::encode_all(&body[..], 1).unwrap()).await.unwrap();
        assert_eq!(stored.status(), 200, "{} bytes: {}", body.len(), stored.text().await.unwrap());
    };
    for _ in 0..10 {
        // Heavy ones of its neighbour have their turn, and small ones need none, not even the flooding device's own.
        push(&mut honest, 200_000).await;
        push(&mut honest, 1_000).await;
        push(&mut small, 1_000).await;
    }
    stop.send_replace(true);
    let mut statuses = std::collections::BTreeMap::<(u16, bool), usize>::new();
    for one in flood {
        for status in one.await.unwrap() {
            *statuses.entry(status).or_default() += 1;
        }
    }
    assert!(statuses.contains_key(&(503, true)), "the queue of heavy bodies is bounded: {statuses:?}");
    assert!(
        statuses.keys().all(|(status, _)| [503, 413].contains(status)),
        "nobody reads so many spaces: {statuses:?}"
    );
}

#[tokio::test]
async fn a_workspace_that_floods_the_server_is_refused_itself_and_no_other() {
    let app = TestApp::start().await;
    let elsewhere = app.another_workspace().await;
    let mut honest = app.phone_of(elsewhere, "honest", "member").await;
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let mut flood = Vec::new();
    for number in 0..5 {
        let mut phone = app.phone(&format!("rude {number}")).await;
        for _ in 0..80 {
            let op = phone.put("notes", "a", json!({"text": "x".repeat(2_000)}));
            let body = serde_json::to_vec(&phone.request(&[op])).unwrap();
            let (http, stopping) = (phone.http.clone(), stopping.clone());
            // No back-off, and each seq again and again: all are answered as the first time or as a gap.
            flood.push(tokio::spawn(async move {
                let mut refused = 0;
                while !*stopping.borrow() {
                    let request = http.request(reqwest::Method::POST, "/api/v1/sync/push");
                    let sent = request.header("content-type", "application/json").body(body.clone()).send().await;
                    refused += usize::from(sent.is_ok_and(|sent| sent.status() == 429 || sent.status() == 503));
                }
                refused
            }));
        }
    }
    for number in 0..50 {
        let op = honest.put("notes", "a", json!({"number": number}));
        let stored = honest.try_push(&[op]).await;
        assert_eq!(stored.status, 200, "{}", String::from_utf8_lossy(&stored.body));
    }
    stop.send_replace(true);
    let mut refused = 0;
    for one in flood {
        refused += one.await.unwrap();
    }
    assert!(refused > 0, "the flood is shed");
}

/// Devices of one workspace that push at once: more than it has places in the queue.
const PUSHING_DEVICES: usize = 300;

#[tokio::test]
async fn a_device_has_one_push_in_the_queue_and_a_workspace_its_share_of_the_places() {
    let app = TestApp::start().await;
    let (mut phones, key) = (Vec::new(), app.key("member", &["*"]).await);
    for number in 0..PUSHING_DEVICES {
        phones.push(Phone::register(app.address(), &key, &format!("phone {number}")).await);
    }
    phones[0].saves("notes", "a", json!({})).await;
    // Nothing is appended to this workspace while its head is locked.
    let owner = app.database.connect().await;
    owner.batch_execute("BEGIN; SELECT FROM tidelog.heads FOR UPDATE").await.unwrap();
    let mut pushing = tokio::task::JoinSet::new();
    for (index, phone) in phones.iter_mut().enumerate() {
        let op = phone.put("notes", "a", json!({}));
        let request = phone.request(&[op]);
        // The first device sends its push five times, the others once.
        for _ in 0..if index == 0 { 5 } else { 1 } {
            let (http, request) = (phone.http.clone(), request.clone());
            pushing.spawn(async move { http.post("/api/v1/sync/push", &request).await });
        }
    }
    // 256 places are for one workspace, and the first device has one of them.
    for _ in 0..PUSHING_DEVICES - 256 {
        let refused = pushing.join_next().await.unwrap().unwrap().refused(503, "unavailable");
        assert!(refused.detail.contains("pushes of this workspace"), "{}", refused.detail);
    }
    owner.batch_execute("COMMIT").await.unwrap();
    while let Some(stored) = pushing.join_next().await {
        stored.unwrap().good::<PushResponse>();
    }
}

#[tokio::test]
async fn a_device_above_its_rate_gets_429_with_the_time_to_come_back_and_its_neighbour_goes_on() {
    let rate_limits = RateLimitConfig { device: 3, ..RateLimitConfig::default() };
    let app = TestApp::build().rate_limits(rate_limits).start().await;
    let (fast, mut calm) = (app.phone("fast").await, app.phone("calm").await);
    let mut responses = Vec::new();
    while responses.len() < 100 && responses.last().is_none_or(|response: &Response| response.status == 200) {
        responses.push(fast.http.get("/api/v1/sync/pull").await);
    }
    let refused = responses.pop().unwrap();
    let wait = refused.headers.get("retry-after").map(|wait| wait.to_str().unwrap().to_owned());
    assert_eq!(wait.as_deref(), Some("1"));
    refused.refused(429, "rate_limited");
    calm.saves("notes", "a", json!({})).await;
}

#[test]
fn a_server_that_is_told_to_stop_answers_those_who_wait_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Serving::start(env!("CARGO_BIN_EXE_tidelog"), dir.path(), &["--demo"]);
    let line = server.read_to("TOKEN=");
    let key = line.split_once("Bearer ").unwrap().1.split('\'').next().unwrap().to_owned();
    let address = server.address();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut waiting = runtime.block_on(async {
        let mut phone = Phone::register(address, &key, "phone").await;
        phone.saves("notes", "a", json!({})).await;
        phone.pull().await;
        let mut waiting = Vec::new();
        for _ in 0..3 {
            waiting.push(long_poll(&phone, address).await);
        }
        let metrics = tidelog_testkit::Http::new(address, "");
        let deadline = Instant::now() + SOON;
        while !String::from_utf8_lossy(&metrics.get("/metrics").await.body).contains("tidelog_open_streams 3") {
            assert!(Instant::now() < deadline, "the long polls do not wait");
        }
        waiting
    });
    let reading = runtime.spawn(async move {
        let mut said = Vec::new();
        for stream in &mut waiting {
            said.push(response(stream).await);
        }
        said
    });
    server.stop();
    for said in runtime.block_on(reading).unwrap() {
        assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("\"events\":[]"), "{said}");
    }
}

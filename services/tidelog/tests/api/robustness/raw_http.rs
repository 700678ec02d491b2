//! SEC-2 on raw sockets: what becomes of bytes that no client library would send, on both listeners.
//!
//! docs/PROTOCOL.md, "Bytes", and ADR 0031 say what is decided here.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tidelog_testkit::{Http, Phone, Serving, TestApp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PUSH: &str = "/api/v1/sync/push";
const WORKSPACES: &str = "/admin/v1/workspaces";
/// How long a connection may take to end. One that is kept stays for over a minute.
const SOON: Duration = Duration::from_secs(20);

/// Sends bytes on a connection of their own, and reads until the server closes it.
async fn exchange(address: SocketAddr, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may have refused the head before it has all of it.
    let _ = stream.write_all(sent).await;
    read_to_end(&mut stream, sent).await
}

async fn read_to_end(stream: &mut TcpStream, sent: &[u8]) -> String {
    let mut received = Vec::new();
    let ended = timeout(SOON, stream.read_to_end(&mut received)).await;
    let received = String::from_utf8_lossy(&received).into_owned();
    let shown = String::from_utf8_lossy(&sent[..sent.len().min(300)]).into_owned();
    let ended = ended.unwrap_or_else(|_| panic!("the connection stays open after {shown:?}: {received}"));
    // A head that is too large is not read to its end, so the system resets the connection behind the response.
    assert!(ended.is_ok() || statuses(&received) == [431], "{shown:?}: {ended:?} {received}");
    received
}

/// The statuses of the responses in what a connection received.
fn statuses(received: &str) -> Vec<u16> {
    received.split("HTTP/1.").skip(1).map(|response| response[2..5].parse().unwrap()).collect()
}

/// A request as bytes. `head` is the request line and the headers but `Host`, without the last line end.
fn request(head: &str, body: &str) -> String {
    format!("{head}\r\nHost: x\r\n\r\n{body}")
}

/// The head of a chunked `POST` with the client's credential.
fn chunked(http: &Http, path: &str, more: &str) -> String {
    let token = http.credential();
    let head = format!("POST {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json");
    request(&format!("{head}\r\nTransfer-Encoding: chunked{more}"), "")
}

/// A good push of one new put, as bytes. The phone does not learn whether it is stored.
fn push(phone: &mut Phone) -> String {
    let op = phone.put("notes", "pipelined", json!({}));
    let body = serde_json::to_string(&phone.request(&[op])).unwrap();
    phone.next_seq -= 1;
    push_of(phone, &body)
}

fn push_of(phone: &Phone, body: &str) -> String {
    let (token, length) = (phone.http.credential(), body.len());
    let head = format!("POST {PUSH} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json");
    request(&format!("{head}\r\nContent-Length: {length}"), body)
}

async fn is_stored(phone: &Phone) -> bool {
    phone.http.get("/api/v1/sync/ops/1").await.status == 200
}

/// Chunks that are malformed, the first after a good one.
const MALFORMED: [&str; 9] = [
    "8\r\n{\"ops\": \r\nzz\r\n",
    "-1\r\n",
    "\r\n\r\n",
    "ffffffffffffffff1\r\n",
    "5 5\r\nhello",
    "5\nhello\n0\n\n",
    "5\r\nhello0\r\n\r\n",
    "5;a=\u{1}\r\nhello",
    "0x5\r\nhello",
];

#[tokio::test]
async fn malformed_chunks_get_a_problem_and_the_connection_ends() {
    let app = TestApp::build().admin_listener().start().await;
    let phone = app.phone("phone").await;
    let admin = app.admin().await;
    let listeners = [(app.address(), &phone.http, PUSH), (app.admin_address(), &admin, WORKSPACES)];
    for (address, http, path) in listeners {
        for chunks in MALFORMED {
            for _ in 0..4 {
                // At once: actix finds the fault while the request waits for its credential.
                let sent = format!("{}{chunks}", chunked(http, path, ""));
                refused_for_its_chunks(&exchange(address, sent.as_bytes()).await, chunks);
            }
            // Once the server has asked for the body: it finds the fault while it reads.
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = chunked(http, path, "\r\nExpect: 100-continue");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut asked = [0; 25];
            stream.read_exact(&mut asked).await.unwrap();
            assert_eq!(asked, *b"HTTP/1.1 100 Continue\r\n\r\n");
            stream.write_all(chunks.as_bytes()).await.unwrap();
            refused_for_its_chunks(&read_to_end(&mut stream, chunks.as_bytes()).await, chunks);
        }
    }
    assert!(!is_stored(&phone).await);
}

#[track_caller]
fn refused_for_its_chunks(received: &str, chunks: &str) {
    assert_eq!(statuses(received), [400], "{chunks:?}: {received:?}");
    let (head, body) = received.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/problem+json\r\n"), "{head}");
    assert!(head.to_lowercase().contains("connection: close"), "{head}");
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["code"], "encoding_corrupt", "{problem}");
}

#[tokio::test]
async fn chunks_with_extensions_and_trailers_are_read() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let op = phone.put("notes", "a", json!({}));
    let body = serde_json::to_string(&phone.request(&[op])).unwrap();
    let (first, second) = body.split_at(10);
    let chunks = format!("a;name=\"value\"\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\nX-Trailer: 1\r\n\r\n", second.len());
    let sent = format!("{}{chunks}", chunked(&phone.http, PUSH, "\r\nConnection: close"));
    assert_eq!(statuses(&exchange(app.address(), sent.as_bytes()).await), [200]);
    assert!(is_stored(&phone).await);
}

#[tokio::test]
async fn a_refusal_that_closes_the_connection_is_its_last_response() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let good = push(&mut phone);
    let rows = [
        (push_of(&phone, "{"), 400),
        (push_of(&phone, "[]"), 422),
        (request("POST /api/v1/nothing HTTP/1.1\r\nContent-Length: 2", "{}"), 404),
        (request("DELETE /api/v1/sync/push HTTP/1.1", ""), 405),
        (request(&format!("POST {PUSH} HTTP/1.1\r\nContent-Length: 2"), "{}"), 401),
        (request(&format!("POST {PUSH} HTTP/1.1\r\nContent-Length: 10000000000"), ""), 401),
        (request(&format!("POST {PUSH} HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 10000000000"), ""), 413),
        // What the client itself closes.
        (request("GET /health/live HTTP/1.1\r\nConnection: close", ""), 200),
        (request("GET /health/live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c", ""), 200),
        (request("GET /health/live HTTP/1.0", ""), 200),
    ];
    for (first, status) in rows {
        // Whether both come at once or one after the other is up to the network. At once, so the second one is read.
        let received = exchange(app.address(), format!("{first}{good}{good}").as_bytes()).await;
        assert_eq!(statuses(&received), [status], "{first:?}: {received}");
        assert!(!is_stored(&phone).await, "a push behind {first:?} is stored");
    }
    // A refusal that keeps the connection is not the last response.
    let refused = request("GET /api/v1/nothing HTTP/1.1", "");
    let last = request("GET /health/live HTTP/1.1\r\nConnection: close", "");
    let received = exchange(app.address(), format!("{refused}{good}{last}").as_bytes()).await;
    assert_eq!(statuses(&received), [404, 200, 200], "{received}");
    assert!(is_stored(&phone).await);
}

#[tokio::test]
async fn a_body_that_is_refused_is_not_asked_for() {
    let app = TestApp::build().admin_listener().start().await;
    let mut phone = app.phone("phone").await;
    for (address, path) in [(app.address(), PUSH), (app.admin_address(), WORKSPACES)] {
        let head = format!("POST {path} HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 10000000000");
        let received = exchange(address, request(&head, "").as_bytes()).await;
        assert_eq!(statuses(&received), [413], "{received}");
        assert!(received.contains("\"code\":\"body_too_large\""), "{received}");
    }
    let good = push(&mut phone);
    let asked = good.replacen("\r\n", "\r\nExpect: 100-Continue\r\nConnection: close\r\n", 1);
    assert_eq!(statuses(&exchange(app.address(), asked.as_bytes()).await), [100, 200]);
    // Other expectations, and one of HTTP/1.0, are ignored.
    let other = good.replacen("\r\n", "\r\nExpect: miracles\r\nConnection: close\r\n", 1);
    assert_eq!(statuses(&exchange(app.address(), other.as_bytes()).await), [200]);
}

/// Heads and the status of the response. `Host` and the end of the head are added. A status of 200 is that of `/health/live`.
const HEADS: [(&str, u16); 55] = [
    // How long the body is.
    ("POST /health/live HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked", 400),
    ("POST /health/live HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0", 400),
    ("POST /health/live HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 4", 400),
    ("POST /health/live HTTP/1.1\r\nContent-Length: 0, 0", 400),
    ("POST /health/live HTTP/1.1\r\nContent-Length: +0", 400),
    ("POST /health/live HTTP/1.1\r\nContent-Length: -1", 400),
    ("POST /health/live HTTP/1.1\r\nContent-Length: 0x0", 400),
    ("POST /health/live HTTP/1.1\r\nContent-Length: 18446744073709551616", 400),
    ("POST /health/live HTTP/1.1\r\nTransfer-Encoding: identity", 400),
    ("POST /health/live HTTP/1.1\r\nTransfer-Encoding: gzip, chunked", 400),
    ("POST /health/live HTTP/1.1\r\nTransfer-Encoding: xchunked", 400),
    ("POST /health/live HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
    ("POST /health/live HTTP/1.1\r\nTransfer-Encoding : chunked", 400),
    ("POST /health/live HTTP/1.0\r\nTransfer-Encoding: chunked", 400),
    ("POST /health/live HTTP/1.0", 400),
    // The bytes of the head.
    ("GET /health/live HTTP/1.1\r\nX: a\r\n b", 400),
    ("GET /health/live HTTP/1.1\r\n X: a", 400),
    ("GET /health/live HTTP/1.1\r\nX: a\0b", 400),
    ("GET /health/live HTTP/1.1\r\nX: a\u{1}b", 400),
    ("GET /health/live HTTP/1.1\r\nX: a\u{7f}b", 400),
    ("GET /health/live HTTP/1.1\r\nX: a\rb", 400),
    ("GET /health/live HTTP/1.1\r\nX\0: a", 400),
    ("GET /health/live HTTP/1.1\r\n\u{e9}: a", 400),
    ("GET /health/live HTTP/1.1\r\nno header", 400),
    ("GET /health\0/live HTTP/1.1", 400),
    ("GET /health/live\u{1} HTTP/1.1", 400),
    ("GET /health/ live HTTP/1.1", 400),
    ("GET /health/live HTTP/1.1\r\nX: \u{e9}\t", 200),
    ("GET /health/live HTTP/1.1\r\nX: ", 200),
    ("GET /health/live HTTP/1.1\nX: a", 200),
    ("\r\n\r\nGET /health/live HTTP/1.1", 200),
    // The version.
    ("GET /health/live HTTP/1.0", 200),
    ("GET /health/live HTTP/1.2", 400),
    ("GET /health/live HTTP/2.0", 400),
    ("PRI * HTTP/2.0", 400),
    ("GET /health/live", 400),
    (
        "GET /health/live HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
        200,
    ),
    ("GET /health/live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13", 200),
    // The target.
    ("GET http://elsewhere.example/health/live HTTP/1.1", 200),
    ("GET health/live HTTP/1.1", 400),
    ("GET /health/%6cive HTTP/1.1", 404),
    ("GET /%68ealth/live HTTP/1.1", 404),
    ("GET /health%2Flive HTTP/1.1", 404),
    ("GET /health/../health/live HTTP/1.1", 404),
    ("GET //health/live HTTP/1.1", 404),
    ("GET /health/live/ HTTP/1.1", 404),
    ("GET /health/live;a HTTP/1.1", 404),
    ("OPTIONS * HTTP/1.1", 404),
    // The method.
    ("TRACE /health/live HTTP/1.1", 405),
    ("BREW /health/live HTTP/1.1", 405),
    ("get /health/live HTTP/1.1", 405),
    ("CONNECT /health/live HTTP/1.1", 405),
    ("CONNECT elsewhere.example:443 HTTP/1.1", 404),
    ("POST /health/live HTTP/1.1\r\nX-HTTP-Method-Override: GET\r\nContent-Length: 0", 405),
    ("GE(T /health/live HTTP/1.1", 400),
];

/// Heads that are large, and the status of the response.
fn large_heads() -> Vec<(String, u16)> {
    let many = "X: 1\r\n".repeat(97);
    let (long, longer) = ("a".repeat(70_000), "a".repeat(140_000));
    vec![
        (format!("GET /health/live HTTP/1.1\r\n{}", many.trim_end()), 431),
        (format!("GET /health/live HTTP/1.1\r\nX: {longer}"), 431),
        (format!("GET /{longer} HTTP/1.1"), 431),
        (format!("GET /{long} HTTP/1.1"), 400),
        (format!("GET /{} HTTP/1.1", &long[..60_000]), 404),
        (format!("GET /health/live HTTP/1.1\r\nX: {}", &long[..60_000]), 200),
    ]
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_what_http_allows_is_taken() {
    let app = TestApp::build().admin_listener().start().await;
    let heads = HEADS.iter().map(|(head, status)| ((*head).to_owned(), *status));
    let rows: Vec<_> = heads.chain(large_heads()).collect();
    for address in [app.address(), app.admin_address()] {
        for (head, status) in &rows {
            let sent = format!("{head}\r\nHost: x\r\nConnection: close\r\n\r\n");
            let received = exchange(address, sent.as_bytes()).await;
            assert_eq!(statuses(&received), [*status], "{:?}: {received}", &head[..head.len().min(200)]);
            assert!(!received.contains("tidelog/") && !received.to_lowercase().contains("\r\nserver:"), "{received}");
        }
        for (head, status) in [("GET /health/live HTTP/1.1", 400), ("GET /health/live HTTP/1.0", 200)] {
            let received = exchange(address, format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await;
            assert_eq!(statuses(&received), [status], "{head:?} without a host: {received}");
        }
    }
}

#[tokio::test]
async fn parameters_of_a_path_may_be_percent_encoded_and_its_names_may_not() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a/b ä", json!({"text": "x"})).await;
    app.folded().await;
    assert_eq!(phone.http.get("/api/v1/records/notes/a%2Fb%20%C3%A4").await.status, 200);
    assert_eq!(phone.http.get("/api/v1/records/n%6ftes/a%2Fb%20%C3%A4").await.status, 200);
    for path in ["/api/v1/%72ecords/notes/a%2Fb%20%C3%A4", "/%61pi/v1/sync/status", "/api/v1/sync/%73tatus"] {
        phone.http.get(path).await.refused(404, "not_found");
    }
    let good = push(&mut phone).replace("/sync/", "/%73ync/");
    assert_eq!(statuses(&exchange(app.address(), good.as_bytes()).await), [404]);
}

#[test]
fn bytes_that_are_no_http_are_not_logged_as_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(env!("CARGO_BIN_EXE_tidelog"), dir.path(), &[]);
    let exchange = |sent: &str| {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(sent.as_bytes()).unwrap();
        let mut received = Vec::new();
        let ended = stream.read_to_end(&mut received);
        let statuses = statuses(&String::from_utf8_lossy(&received));
        assert!(ended.is_ok() || statuses == [431], "{ended:?}");
        statuses
    };
    assert_eq!(exchange("\u{1}\u{2}\r\n\r\n"), [400]);
    assert_eq!(exchange(&request("GET / HTTP/1.1\r\nX: a\0b", "")), [400]);
    assert_eq!(exchange(&request(&format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(140_000)), "")), [431]);
    assert_eq!(exchange(&request("POST /api/v1/devices HTTP/1.1\r\nTransfer-Encoding: chunked", "zz\r\n")).len(), 1);
    let log = server.stop();
    assert!(!log.contains("ERROR"), "{}", log.lines().filter(|line| line.contains("ERROR")).collect::<String>());
}

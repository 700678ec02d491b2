//! SEC-2: bad input gets a clear error that repeats none of it, and the next good request works.

use std::io::{Read, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde_json::{Value as Json, json};
use tidelog_core::wire::PushResponse;
use tidelog_testkit::{Phone, Response, TestApp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PUSH: &str = "/api/v1/sync/push";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut unpacked).unwrap();
    unpacked
}

fn zstd_pack(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn zstd_unpack(bytes: &[u8]) -> Vec<u8> {
    zstd::decode_all(bytes).unwrap()
}

/// The events of a page: everything but the server's time.
fn events(page: &[u8]) -> Json {
    serde_json::from_slice::<Json>(page).unwrap()["events"].clone()
}

/// Posts a body to the push route with these headers alone.
async fn send(phone: &Phone, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
    let mut request = phone.http.request(Method::POST, PUSH).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    phone.http.send(request).await.unwrap()
}

type Convert = fn(&[u8]) -> Vec<u8>;
type Headers = Vec<(&'static str, &'static str)>;

const JSON: (&str, &str) = ("content-type", "application/json");

/// A push of one put, with more members of the op.
fn push_body(members: &str) -> String {
    format!(r#"{{"ops":[{{"seq":1,"table":"notes","record":"a","kind":"put"{members}}}]}}"#)
}

#[tokio::test]
async fn each_kind_of_bad_body_has_its_own_code() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let rows: Vec<(Vec<u8>, u16, &str)> = vec![
        (b"".to_vec(), 400, "body_empty"),
        (br#"{"ops":["#.to_vec(), 400, "json_syntax"),
        (br#"{"ops":[]} q7x"#.to_vec(), 400, "json_syntax"),
        (b"\xef\xbb\xbf{\"ops\":[]}".to_vec(), 400, "json_syntax"),
        (b"{\"ops\":[],\"app\":\"\xff\"}".to_vec(), 400, "json_syntax"),
        (br#"[]"#.to_vec(), 422, "shape_invalid"),
        (br#""q7x""#.to_vec(), 422, "shape_invalid"),
        (br#"null"#.to_vec(), 422, "shape_invalid"),
        (br#"{}"#.to_vec(), 422, "shape_invalid"),
        (br#"{"ops":[],"q7x":1}"#.to_vec(), 422, "unknown_member"),
        (br#"{"ops":[],"ops":[]}"#.to_vec(), 422, "duplicate_key"),
        (br#"{"ops":[],"cursor":"q7x"}"#.to_vec(), 400, "cursor_invalid"),
        ("[".repeat(1_000_000).into_bytes(), 422, "too_deep"),
        (push_body(r#","q7x":1"#).into_bytes(), 422, "unknown_member"),
        (push_body(r#","workspace":"q7x""#).into_bytes(), 422, "unknown_member"),
        (push_body(r#","at":"q7x""#).into_bytes(), 422, "time_invalid"),
        (push_body(r#","base":-1"#).into_bytes(), 422, "shape_invalid"),
        (push_body(r#","scope":"*""#).into_bytes(), 422, "name_invalid"),
        (push_body(r#","actor":"\u0000""#).into_bytes(), 422, "name_invalid"),
        (push_body(r#","conflict":"1.a""#).into_bytes(), 422, "op_invalid"),
        (push_body(r#","fields":{"":1}"#).into_bytes(), 422, "name_invalid"),
        (push_body(&format!(r#","fields":{{"{}":1}}"#, "q".repeat(256))).into_bytes(), 422, "name_invalid"),
        (push_body(r#","fields":[1]"#).into_bytes(), 422, "shape_invalid"),
        (push_body("").replace("\"a\"", "\"\"").into_bytes(), 422, "name_invalid"),
        (push_body("").replace("\"a\"", &format!("\"{}\"", "r".repeat(256))).into_bytes(), 422, "name_invalid"),
        (push_body("").replace("notes", "pg_catalog.q7x").into_bytes(), 422, "name_invalid"),
        (push_body("").replace("notes", "_catalog").into_bytes(), 422, "name_invalid"),
        (push_body("").replace("\"put\"", "\"PUT\"").into_bytes(), 422, "op_invalid"),
        (push_body("").replace(":1,", ":0,").into_bytes(), 422, "shape_invalid"),
        (push_body("").replace(":1,", ":\"1\",").into_bytes(), 422, "shape_invalid"),
        (push_body("").replace(":1,", ":9223372036854775808,").into_bytes(), 422, "number_range"),
        (push_body("").replace(":1,", ":1.0,").into_bytes(), 422, "shape_invalid"),
        (push_body("").replace(":1,", ":01,").into_bytes(), 422, "op_malformed"),
    ];
    for (body, status, code) in rows {
        let shown = String::from_utf8_lossy(&body[..body.len().min(120)]).into_owned();
        let response = send(&phone, &[JSON], body).await;
        assert_eq!(response.status.as_u16(), status, "{shown}: {}", response.text());
        let problem = response.refused(status, code);
        assert!(!problem.text.contains("q7x"), "the response repeats input: {problem:?}");
    }
    phone.saves("notes", "a", json!({})).await;
}

#[tokio::test]
async fn media_types_and_codings_are_checked() {
    let app = TestApp::start().await;
    let phone = app.phone("phone").await;
    let body = || push_body("").into_bytes();
    let rows: Vec<(Headers, Vec<u8>, u16, &str)> = vec![
        (vec![], body(), 415, "media_type"),
        (vec![("content-type", "text/plain")], body(), 415, "media_type"),
        (vec![("content-type", "application/json; charset=latin1")], body(), 415, "media_type"),
        (vec![("content-type", "application/msgpack")], body(), 400, "msgpack_invalid"),
        (vec![("content-type", "application/msgpack")], vec![0x91; 2_048], 422, "too_deep"),
        (vec![("content-type", "application/msgpack")], vec![0xdd, 0xff, 0xff, 0xff, 0xff], 400, "msgpack_invalid"),
        (vec![JSON, ("content-encoding", "br")], body(), 415, "encoding_unsupported"),
        (vec![JSON, ("content-encoding", "gzip, gzip")], body(), 415, "encoding_unsupported"),
        (vec![JSON, ("content-encoding", "gzip")], body(), 400, "encoding_corrupt"),
        (vec![JSON, ("content-encoding", "zstd")], body(), 400, "encoding_corrupt"),
        (vec![JSON, ("content-encoding", "gzip")], gzip(&body())[..20].to_vec(), 400, "encoding_corrupt"),
        (vec![JSON, ("content-encoding", "gzip")], gzip(&gzip(&body())), 400, "json_syntax"),
    ];
    for (headers, body, status, code) in rows {
        send(&phone, &headers, body).await.refused(status, code);
    }
    let accepts = phone.http.request(Method::GET, "/api/v1/sync/status").header("accept", "text/html");
    assert_eq!(phone.http.send(accepts).await.unwrap().status, 200, "the client also accepts JSON");
    let only_html = reqwest::Client::new().get(format!("{}/api/v1/sync/pull", app.url())).header("accept", "text/html");
    phone.http.send(only_html).await.unwrap().refused(406, "not_acceptable");
}

#[tokio::test]
async fn compressed_bodies_work_both_ways() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let codings: [(&str, Convert, Convert); 2] = [("gzip", gzip, gunzip), ("zstd", zstd_pack, zstd_unpack)];
    for (coding, pack, _) in codings {
        let op = phone.put("notes", coding, json!({"text": "abc".repeat(2_000)}));
        let body = serde_json::to_vec(&phone.request(&[op])).unwrap();
        send(&phone, &[JSON, ("content-encoding", coding)], pack(&body)).await.good::<PushResponse>();
    }
    let plain = phone.http.get("/api/v1/sync/pull").await.body;
    for (coding, _, unpack) in codings {
        let request = phone.http.request(Method::GET, "/api/v1/sync/pull").header("accept-encoding", coding);
        let response = phone.http.send(request).await.unwrap();
        assert_eq!(response.headers["content-encoding"], coding);
        assert!(response.body.len() < plain.len() / 4);
        assert_eq!(events(&unpack(&response.body)), events(&plain));
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_takes_memory() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    send(&phone, &[JSON], vec![b' '; 4 * 1024 * 1024 + 1]).await.refused(413, "body_too_large");
    let spaces = vec![b' '; 33 * 1024 * 1024];
    send(&phone, &[JSON, ("content-encoding", "gzip")], gzip(&spaces)).await.refused(413, "body_too_large");
    let bomb = vec![b'1'; 33 * 1024 * 1024];
    send(&phone, &[JSON, ("content-encoding", "gzip")], gzip(&bomb)).await.refused(413, "inflated_too_large");
    let zstd_bomb = zstd::encode_all(bomb.as_slice(), 1).unwrap();
    send(&phone, &[JSON, ("content-encoding", "zstd")], zstd_bomb).await.refused(413, "inflated_too_large");
    let ops: Vec<_> = (0..10_001).map(|number| phone.put("notes", &format!("n{number}"), json!({}))).collect();
    assert_eq!(phone.try_push(&ops).await.refused(413, "batch_too_large").limit, Some(10_000));
    phone.push(&ops[..10_000]).await;
}

#[tokio::test]
async fn paths_and_methods_are_exact() {
    let app = TestApp::start().await;
    let phone = app.phone("phone").await;
    for path in [
        "/",
        "/api/v1",
        "/api/v1/sync/push/",
        "/api/v1//sync/push",
        "/api/v1/nothing",
        "/api/v2/sync/push",
        "/admin/v1/workspaces",
    ] {
        phone.http.get(path).await.refused(404, "not_found");
    }
    for (method, path, allow) in [
        (Method::GET, PUSH, "POST"),
        (Method::POST, "/api/v1/sync/pull", "GET, HEAD"),
        (Method::PATCH, "/api/v1/devices", "GET, HEAD, POST"),
        (Method::TRACE, PUSH, "POST"),
    ] {
        let response = phone.http.send(phone.http.request(method, path)).await.unwrap();
        response.refused(405, "method_not_allowed");
        assert_eq!(response.headers["allow"], allow);
    }
    assert_eq!(app.get("/health/live").await.status, 200);
    let head = phone.http.send(phone.http.request(Method::HEAD, "/health/live")).await.unwrap();
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(app.get("/health/ready").await.status, 200);
    let metrics = app.get("/metrics").await.text();
    for name in ["tidelog_ops_pushed_total", "tidelog_projector_lag_events", "process_resident_memory_bytes"] {
        assert!(name == "tidelog_ops_pushed_total" || metrics.contains(name), "{name}");
    }
    assert!(!metrics.contains(&app.workspace.to_string()) && !metrics.contains(&phone.device.to_string()));
}

/// Requests that no client library would send. Each is refused, and none is taken for two requests.
#[tokio::test]
async fn requests_that_smuggle_are_refused() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let body = r#"{"ops":[]}"#;
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let smuggled = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    for raw in [
        format!(
            "POST {PUSH} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}{smuggled}"
        ),
        format!("POST {PUSH} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nContent-Length: 0\r\n\r\n{body}{smuggled}"),
        format!("POST {PUSH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n{chunked}{smuggled}"),
        format!("POST {PUSH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n{smuggled}"),
        format!("POST {PUSH} HTTP/1.1\r\nHost: x\r\nX: a\r\n b: c\r\nContent-Length: 0\r\n\r\n{smuggled}"),
    ] {
        let mut stream = TcpStream::connect(app.address()).await.unwrap();
        stream.write_all(raw.as_bytes()).await.unwrap();
        let mut received = Vec::new();
        let reading = stream.read_to_end(&mut received);
        let _ = tokio::time::timeout(Duration::from_secs(3), reading).await;
        let received = String::from_utf8_lossy(&received);
        assert!(!received.contains("\"live\""), "the server took {raw:?} for two requests: {received}");
        assert!(received.is_empty() || received.starts_with("HTTP/1.1 4"), "{raw:?}: {received}");
    }
    phone.saves("notes", "a", json!({})).await;
}

#[tokio::test]
async fn without_its_database_the_server_responds_with_an_error_and_recovers() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    let owner = app.database.connect().await;
    owner.batch_execute("ALTER TABLE tidelog.heads RENAME TO gone").await.unwrap();
    let op = phone.put("notes", "b", json!({}));
    let refused = phone.try_push(std::slice::from_ref(&op)).await;
    assert!(refused.status.is_server_error());
    let text = refused.text();
    assert!(!text.contains("heads") && !text.contains("relation"), "the response shows internals: {text}");
    owner.batch_execute("ALTER TABLE tidelog.gone RENAME TO heads").await.unwrap();
    app.database.kill_connections().await;
    let mut tries = 0;
    while phone.try_push(std::slice::from_ref(&op)).await.status != 200 {
        tries += 1;
        assert!(tries < 20, "the server does not recover");
    }
    assert_eq!(phone.pull_ops().await.len(), 2);
}

#[tokio::test]
async fn a_body_of_tiny_values_is_refused_before_it_fills_the_memory() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let maps = "{},".repeat(2_000_000);
    let body = push_body(&format!(r#","fields":{{"v":[{}{{}}]}}"#, maps));
    let packed = zstd::encode_all(body.as_bytes(), 1).unwrap();
    send(&phone, &[JSON, ("content-encoding", "zstd")], packed).await.refused(413, "body_too_large");
    let text = |text: &str| rmp_serde::to_vec(text).unwrap();
    let mut body = [vec![0x81], text("ops"), vec![0x91, 0x85], text("seq"), vec![1]].concat();
    for (name, value) in [("table", "notes"), ("record", "a"), ("kind", "put")] {
        body.extend([text(name), text(value)].concat());
    }
    body.extend([text("fields"), vec![0x81], text("v")].concat());
    body.extend([0xdd, 0x00, 0x20, 0x00, 0x00]);
    body.extend(vec![0x80; 0x20_0000]);
    send(&phone, &[("content-type", "application/msgpack")], body).await.refused(413, "body_too_large");
    phone.saves("notes", "a", json!({})).await;
}

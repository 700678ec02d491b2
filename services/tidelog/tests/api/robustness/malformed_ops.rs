//! A malformed op is named by its index, down to its bytes, and a body of nothing is refused early.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tidelog_core::wire::PushResponse;
use tidelog_testkit::TestApp;

const PUSH: &str = "/api/v1/sync/push";
const SYNC: &str = "/api/v1/sync";
const JSON: &str = "application/json";
const MSGPACK: &str = "application/msgpack";

/// A push of three ops, of which the second has this text as a field, as JSON.
fn json_push(text: &[u8]) -> Vec<u8> {
    let op = |seq: i64, text: &[u8]| {
        let head = format!(r#"{{"seq":{seq},"table":"notes","record":"n","kind":"put","fields":{{"text":"#);
        [head.as_bytes(), text, b"}}"].concat()
    };
    [&br#"{"ops":["#[..], &op(1, b"1"), b",", &op(2, text), b",", &op(3, b"3"), b"]}"].concat()
}

/// The same as MessagePack.
fn msgpack_push(text: &[u8]) -> Vec<u8> {
    let body: serde_json::Value = serde_json::from_slice(&json_push(br#""@@""#)).unwrap();
    let body = rmp_serde::to_vec(&body).unwrap();
    let at = body.windows(3).position(|bytes| bytes == b"\xa2@@").unwrap();
    [&body[..at], text, &body[at + 3..]].concat()
}

#[tokio::test]
async fn what_fails_inside_an_op_is_422_with_its_index_and_what_breaks_the_frame_is_400() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let in_op = [
        (JSON, json_push(br#""\ud83d""#), "half of a surrogate pair"),
        (JSON, json_push(br#""\ud83d\u0041""#), "half of a surrogate pair"),
        (JSON, json_push(b"\"caf\xe9\""), "not UTF-8"),
        (JSON, json_push(b"\"a\nb\""), "control character"),
        (JSON, json_push(br#""\x41""#), "escape"),
        (JSON, json_push(b"NaN"), "cannot be parsed"),
        (JSON, json_push(b"-Infinity"), "number"),
        (MSGPACK, msgpack_push(b"\xa4caf\xe9"), "not UTF-8"),
        (MSGPACK, msgpack_push(b"\xd6\xff\x00\x00\x00\x00"), "extension"),
        (MSGPACK, msgpack_push(b"\x81\x07\xa1x"), "keys"),
    ];
    for path in [PUSH, SYNC] {
        for (media, body, reason) in &in_op {
            let problem = phone.http.post_bytes(path, media, body).await.refused(422, "op_malformed");
            assert_eq!(problem.op_index, Some(1), "{}", problem.text);
            assert!(problem.detail.contains(reason), "{reason}: {}", problem.text);
            let code = if *media == JSON { "json_syntax" } else { "msgpack_invalid" };
            let cut = phone.http.post_bytes(path, media, &body[..body.len() - 1]).await.refused(400, code);
            assert_eq!(cut.op_index, None, "{}", cut.text);
        }
    }
    // The device sets the op aside and goes on.
    phone.saves("notes", "n", json!({"text": "good"})).await;
}

/// 30 MiB of spaces are 1 KiB on the wire.
#[tokio::test]
async fn a_flood_of_white_space_is_refused_and_indented_bodies_are_not() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let spaces = " ".repeat(30 * 1024 * 1024);
    let before = r#"{"ops":[{"seq":1,"table":"notes","record":"n","kind":"put","fields":{"#;
    let bodies = [
        spaces.clone(),
        format!(r#"{{{spaces}"ops":[]}}"#),
        format!(r#"{{"ops":[]}}{spaces}"#),
        format!("{before}{spaces}}}}}]}}"),
        format!("{before}\"list\":[{}1]}}}}]}}", format!("1,{}", "\n\t".repeat(10_000)).repeat(1_500)),
    ];
    for body in bodies {
        let flood = zstd::encode_all(body.as_bytes(), 1).unwrap();
        let send = |path| {
            let request = phone.http.request(Method::POST, path).header("content-encoding", "zstd");
            phone.http.send(request.header("content-type", JSON).body(flood.clone()))
        };
        for path in [PUSH, SYNC] {
            let started = Instant::now();
            let problem = send(path).await.unwrap().refused(413, "body_too_large");
            assert!(problem.detail.contains("white space"), "{}", problem.text);
            assert!(started.elapsed() < Duration::from_secs(10));
        }
    }
    let fields: serde_json::Map<_, _> = (0..9_000).map(|n| (format!("f{n}"), json!({"a": {"b": {"c": 1}}}))).collect();
    let body = json!({"ops": [{"seq": 1, "table": "notes", "record": "n", "kind": "put", "fields": fields}]});
    let indented = serde_json::to_vec_pretty(&body).unwrap();
    assert!(indented.len() > 1_000_000, "mostly white space: {}", indented.len());
    phone.http.post_bytes(PUSH, JSON, &indented).await.good::<PushResponse>();
    phone.next_seq = 2;
    phone.saves("notes", "n", json!({})).await;
}

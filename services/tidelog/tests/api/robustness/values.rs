//! Values survive without loss in log and records, in JSON and MessagePack, and no value that a push accepts stops the
//! projector.

use serde_json::{Value as Json, json};
use tidelog_core::value::{Fields, Value};
use tidelog_core::wire::{Encoding, PushResponse};
use tidelog_testkit::{Reader, TestApp, fields};

/// Fields with a value of every kind, and with the extremes of each.
fn every_kind() -> Json {
    json!({
        "null": null, "true": true, "min": i64::MIN, "max": i64::MAX, "float": 1.0, "huge": 1e300, "tiny": 5e-324,
        "tenth": 0.1, "zero": -0.0, "text": "ä\u{1F600}\u{7f}\u{1}\"\\\r\n", "binary": {"$binary": "AP9/"}, "no bytes": {"$binary": ""},
        "array": [1, 1.0, "1", [], {}], "map": {"": {"$binary": "AA==", "beside": 1}, "b": {"a": null}},
        "ключ": "NFC é, NFD e\u{301}", "deep": deep(31),
    })
}

fn deep(levels: usize) -> Json {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

#[tokio::test]
async fn every_kind_of_value_survives_both_ways_and_both_paths() {
    let app = TestApp::start().await;
    let expected = fields(every_kind());
    for (sends, reads) in [
        (Encoding::Json, Encoding::MessagePack),
        (Encoding::MessagePack, Encoding::Json),
        (Encoding::Json, Encoding::Json),
        (Encoding::MessagePack, Encoding::MessagePack),
    ] {
        let mut sender = app.phone("sender").await.speaking(sends);
        let record = format!("{sends:?} to {reads:?}");
        let op = sender.put("notes", &record, every_kind());
        sender.push_and_wait(&[op]).await;
        let mut reader = app.phone("reader").await.speaking(reads);
        let pulled = reader.pull_ops().await.pop().unwrap().fields.unwrap();
        assert_eq!(pulled, expected, "pulled {record}");
        let folded = reader.record("notes", &record).await.fields;
        assert_eq!(folded.to_msgpack(), expected.to_msgpack(), "folded {record}, byte for byte");
    }
}

#[tokio::test]
async fn minus_zero_is_stored_as_zero() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({"zero": -0.0})).await;
    let fields = phone.pull_ops().await.remove(0).fields.unwrap();
    assert!(matches!(fields.0["zero"], Value::Float(zero) if zero.is_sign_positive()));
}

#[tokio::test]
async fn what_the_model_does_not_hold_is_refused_with_the_op_it_is_in() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let body = |value: &str| {
        format!(
            r#"{{"ops":[{{"seq":1,"table":"notes","record":"a","kind":"put","fields":{{}}}},{{"seq":2,"table":"notes","record":"b","kind":"put","fields":{{"canary q7x":{value}}}}}]}}"#
        )
    };
    for (value, code) in [
        (r#""nul \u0000""#, "nul_char"),
        (r#"{"nul \u0000":1}"#, "nul_char"),
        ("9223372036854775808", "number_range"),
        ("1e400", "number_range"),
        (r#"{"$binary":"?"}"#, "reserved_key"),
        (r#"{"$binary":1}"#, "reserved_key"),
        (r#"{"k":1,"k":2}"#, "duplicate_key"),
        (&format!("{}{}", "[".repeat(33), "]".repeat(33)), "too_deep"),
    ] {
        let response = phone.http.post_bytes("/api/v1/sync/push", "application/json", body(value).as_bytes()).await;
        let problem = response.refused(422, code);
        assert_eq!(problem.op_index, Some(1), "{value}");
        assert!(!problem.text.contains("q7x"), "the response repeats input: {problem:?}");
    }
    phone.saves("notes", "a", json!({})).await;
    assert_eq!(phone.pull_ops().await.len(), 1, "no op of a refused push is stored, and the next good push works");
}

#[tokio::test]
async fn a_binary_look_alike_in_msgpack_is_refused_and_bytes_are_not() {
    let app = TestApp::start().await;
    let phone = app.phone("phone").await.speaking(Encoding::MessagePack);
    let push = async |fields: &dyn Fn() -> Vec<u8>| {
        let mut body =
            rmp_serde::to_vec_named(&json!({"ops": [{"seq": 1, "table": "notes", "record": "a", "kind": "put"}]}))
                .unwrap();
        // One member more in the op's map: `fields`, at its end, which is the end of the body as well.
        let op_map = body.iter().position(|byte| *byte == 0x84).unwrap();
        body[op_map] = 0x85;
        body.extend(rmp_serde::to_vec("fields").unwrap());
        body.extend(fields());
        phone.http.post_bytes("/api/v1/sync/push", "application/msgpack", &body).await
    };
    let look_alike = || rmp_serde::to_vec_named(&json!({"f": {"$binary": "AAH/"}})).unwrap();
    push(&look_alike).await.refused(422, "reserved_key");
    let float32 = || [&[0x81, 0xa1, b'f', 0xca][..], &1.5f32.to_be_bytes()].concat();
    push(&float32).await.good::<PushResponse>();
    let pulled = phone.pull_page("").await;
    let expected: Fields = [("f", Value::Float(1.5))].into_iter().collect();
    assert_eq!(pulled.events[2].fields, Some(expected));
}

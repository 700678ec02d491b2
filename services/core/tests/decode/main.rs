//! Request bodies of a push, valid and invalid. Each fault has its code and the index of the op that it is in, and no
//! message repeats a word of the body.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers fail by panicking too")]

mod malformed;

use bytes::Bytes;
use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::error::Code;
use tidelog_core::ids::{Actor, ConflictId, Position, RecordId, Scope, Seq, TableName};
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use tidelog_core::wire::Encoding::{Json, MessagePack};
use tidelog_core::wire::{DecodeError, Encoding, PushRequest, decode, encode};

/// Text in every invalid body. No message may contain it.
const CANARY: &str = "canary";

/// Reads a body as the server does, and checks that decoding it value by value gives the same.
fn read(encoding: Encoding, body: &[u8]) -> Result<PushRequest, DecodeError> {
    let read = PushRequest::read(encoding, &Bytes::copy_from_slice(body));
    assert_eq!(read, decode(encoding, body), "{encoding:?} {}", String::from_utf8_lossy(&body[..body.len().min(300)]));
    read
}

/// A push of two ops. The second has these members.
fn push(second: &str) -> String {
    format!(r#"{{"app":"{CANARY}","ops":[{{"seq":1,"table":"t","record":"canary","kind":"put"}},{{{second}}}]}}"#)
}

/// A push whose second op has these members, and valid ones for those that are missing.
fn op(members: &str) -> String {
    let good = [("seq", "2"), ("table", "\"t\""), ("record", "\"r\""), ("kind", "\"put\"")];
    let others = good.iter().filter(|(name, _)| !members.contains(&format!("\"{name}\":")));
    push(&others.map(|(name, value)| format!("\"{name}\":{value},")).chain([members.to_owned()]).collect::<String>())
}

/// A push whose second op sets the field `canary` to this value.
fn value(value: &str) -> String {
    op(&format!(r#""fields":{{"canary":{value}}}"#))
}

fn value_of(text: &str) -> String {
    value(&format!("\"{text}\""))
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

/// The same body as MessagePack, with `replaced` in place of the text `"@"`.
fn packed(json: &str, replaced: &[u8]) -> Vec<u8> {
    let body = rmp_serde::to_vec(&serde_json::from_str::<serde_json::Value>(json).unwrap()).unwrap();
    match body.windows(2).position(|pair| pair == b"\xa1@") {
        Some(at) => [&body[..at], replaced, &body[at + 2..]].concat(),
        None => body,
    }
}

fn check_refused(encoding: Encoding, body: &[u8], code: Code, op_index: Option<usize>) {
    let shown = String::from_utf8_lossy(&body[..body.len().min(300)]);
    let error = read(encoding, body).expect_err(&shown);
    assert_eq!((error.code, error.op_index), (code, op_index), "{encoding:?} {shown}\n{error:?}");
    assert!(!error.to_string().to_lowercase().contains(CANARY), "{shown}\n{error}");
    assert!(!error.detail.is_empty() && error.detail.len() <= 200, "{shown}\n{error}");
    assert!(!error.detail.contains(char::is_control), "{shown}\n{error:?}");
}

#[test]
fn a_body_that_is_not_json_is_refused_with_line_and_column() {
    let rows: Vec<Vec<u8>> = vec![
        br#"{"app":"canary","ops":["#.to_vec(),
        br#"{"app":"canary","ops":[]} x"#.to_vec(),
        br#"{"app":"canary","ops":[]}{}"#.to_vec(),
        "\u{feff}{\"app\":\"canary\",\"ops\":[]}".into(),
        "{\"app\":\"canary\",\"ops\":[]}".encode_utf16().flat_map(u16::to_le_bytes).collect(),
        b"{\"app\":\"canary\xff\",\"ops\":[]}".to_vec(),
        // Nobody can know where the op ends.
        value(r#""\ud800"]"#).into(),
        value(r#"NaN}"#).into(),
        value("[1").into(),
        value("\"canary").into(),
        // Between ops.
        op("\"at\":null}{").into(),
        op("\"at\":null},").into(),
        br#"{"app":"canary","ops":[]"#.to_vec(),
        br#"{"app":canary,"ops":[{"seq":NaN}]}"#.to_vec(),
    ];
    for body in rows {
        check_refused(Json, &body, Code::JsonSyntax, None);
    }
    let error = read(Json, b"{\n  \"ops\": [}").unwrap_err();
    assert_eq!(error.detail, "the JSON cannot be parsed, line 2, column 11");
    let error = read(Json, b"{\"ops\":[]}\n7").unwrap_err();
    assert_eq!(error.detail, "something follows the JSON value, line 2, column 1");
}

#[test]
fn faults_that_only_json_can_have_are_named() {
    let second = Some(1);
    for (body, code, op_index) in [
        (op(r#""seq":2,"seq":2"#), Code::DuplicateKey, second),
        (value(r#"1,"canary":2"#), Code::DuplicateKey, second),
        (value(r#"{"canary":1,"canary":1}"#), Code::DuplicateKey, second),
        (r#"{"app":"canary","ops":[],"ops":[]}"#.into(), Code::DuplicateKey, None),
        (value("1e131071"), Code::NumberRange, second),
        (value("1e400000"), Code::NumberRange, second),
        (value("-1e999"), Code::NumberRange, second),
        (value("[[1.5, 1e309]]"), Code::NumberRange, second),
        (value("-9223372036854775809"), Code::NumberRange, second),
        (value("18446744073709551616"), Code::NumberRange, second),
        (value(&"9".repeat(200)), Code::NumberRange, second),
        (op(r#""seq":9223372036854775808"#), Code::NumberRange, second),
        (op(r#""seq":18446744073709551616"#), Code::NumberRange, second),
        (op(&format!(r#""seq":{}"#, "9".repeat(200))), Code::NumberRange, second),
        (r#"{"app":"canary","ops":[],"cursor":1e999}"#.into(), Code::NumberRange, None),
        (value(&nested(129)), Code::TooDeep, second),
        (value(&nested(20_000)), Code::TooDeep, second),
        ("[".repeat(41) + CANARY, Code::TooDeep, None),
        // The first op with a fault counts, even if the fault of a later op is found first.
        (push(r#""canary":1},{"seq":1e999"#), Code::UnknownMember, second),
    ] {
        check_refused(Json, body.as_bytes(), code, op_index);
    }
}

/// Checks bodies that are well-formed in both encodings: the fault has the same code and op in JSON and MessagePack.
fn check_refused_in_both<const N: usize>(rows: [(String, Code, Option<usize>); N]) {
    for (json, code, op_index) in rows {
        check_refused(Json, json.as_bytes(), code, op_index);
        check_refused(MessagePack, &packed(&json, &[]), code, op_index);
    }
}

#[test]
fn faults_outside_the_ops_have_the_same_code_in_both_encodings() {
    use Code::{CursorInvalid, NameInvalid, ShapeInvalid, UnknownMember};
    let long = "x".repeat(256);
    check_refused_in_both([
        (r#"["canary"]"#.into(), ShapeInvalid, None),
        (r#""canary""#.into(), ShapeInvalid, None),
        ("null".into(), ShapeInvalid, None),
        (r#"{"app":"canary"}"#.into(), ShapeInvalid, None),
        (r#"{"app":"canary","ops":null}"#.into(), ShapeInvalid, None),
        (r#"{"app":"canary","ops":{}}"#.into(), ShapeInvalid, None),
        (r#"{"app":["canary"],"ops":[]}"#.into(), ShapeInvalid, None),
        (r#"{"canary":true,"ops":[]}"#.into(), UnknownMember, None),
        (r#"{"app":"canary","is_admin":true,"ops":[]}"#.into(), UnknownMember, None),
        (r#"{"cursor":"canary","ops":[]}"#.into(), CursorInvalid, None),
        (r#"{"cursor":"7.CANARY","ops":[]}"#.into(), CursorInvalid, None),
        (format!(r#"{{"app":"canary{long}","ops":[]}}"#), NameInvalid, None),
        (r#"{"app":"canary\u0000","ops":[]}"#.into(), NameInvalid, None),
        (r#"{"app":"canary","ops":[7]}"#.into(), ShapeInvalid, Some(0)),
        (r#"{"app":"canary","ops":["canary",7]}"#.into(), ShapeInvalid, Some(0)),
    ]);
}

#[test]
fn unknown_missing_and_wrong_members_have_the_same_code_and_op_in_both_encodings() {
    use Code::{ShapeInvalid, UnknownMember};
    check_refused_in_both([
        (op(r#""canary":1"#), UnknownMember, Some(1)),
        (op(r#""workspace_id":"canary""#), UnknownMember, Some(1)),
        (push(r#""seq":2,"table":"t","record":"canary""#), ShapeInvalid, Some(1)),
        (op(r#""seq":"canary""#), ShapeInvalid, Some(1)),
        (op(r#""seq":"0""#), ShapeInvalid, Some(1)),
        (op(r#""seq":"-1""#), ShapeInvalid, Some(1)),
        (op(r#""seq":"1.0""#), ShapeInvalid, Some(1)),
        (op(r#""seq":"1e3""#), ShapeInvalid, Some(1)),
        (op(r#""seq":"""#), ShapeInvalid, Some(1)),
        (op(r#""seq":"９""#), ShapeInvalid, Some(1)),
        (op(r#""seq":" 1""#), ShapeInvalid, Some(1)),
        (op(r#""seq":0"#), ShapeInvalid, Some(1)),
        (op(r#""seq":-1"#), ShapeInvalid, Some(1)),
        (op(r#""seq":-9223372036854775808"#), ShapeInvalid, Some(1)),
        (op(r#""seq":1.0"#), ShapeInvalid, Some(1)),
        (op(r#""seq":1e3"#), ShapeInvalid, Some(1)),
        (op(r#""seq":null"#), ShapeInvalid, Some(1)),
        (op(r#""base":-1"#), ShapeInvalid, Some(1)),
    ]);
}

#[test]
fn invalid_names_have_the_same_code_and_op_in_both_encodings() {
    use Code::{NameInvalid, ShapeInvalid};
    let long = "x".repeat(256);
    check_refused_in_both([
        (op(r#""table":"pg_catalog.pg_user""#), NameInvalid, Some(1)),
        (op(r#""table":"canary\";drop""#), NameInvalid, Some(1)),
        (op(r#""table":"Canary""#), NameInvalid, Some(1)),
        (op(r#""table":"""#), NameInvalid, Some(1)),
        (op(r#""table":"1t""#), NameInvalid, Some(1)),
        (op(r#""table":"_catalog""#), NameInvalid, Some(1)),
        (op(&format!(r#""table":"{}""#, "t".repeat(300))), NameInvalid, Some(1)),
        (op(r#""table":7"#), ShapeInvalid, Some(1)),
        (op(r#""record":"""#), NameInvalid, Some(1)),
        (op(&format!(r#""record":"canary{}""#, "x".repeat(2_699))), NameInvalid, Some(1)),
        (op(r#""record":"canary\u0000""#), NameInvalid, Some(1)),
        (op(r#""scope":"*""#), NameInvalid, Some(1)),
        (op(&format!(r#""scope":"{long}""#)), NameInvalid, Some(1)),
        (op(r#""actor":"canary\u0000""#), NameInvalid, Some(1)),
    ]);
}

#[test]
fn invalid_kinds_and_times_have_the_same_code_and_op_in_both_encodings() {
    use Code::{OpInvalid, ShapeInvalid, TimeInvalid};
    check_refused_in_both([
        (op(r#""kind":"canary""#), OpInvalid, Some(1)),
        (op(r#""kind":"Put""#), OpInvalid, Some(1)),
        (op(r#""kind":"""#), OpInvalid, Some(1)),
        (op(r#""kind":1"#), ShapeInvalid, Some(1)),
        (op(r#""kind":"delete","fields":{"canary":1}"#), OpInvalid, Some(1)),
        (op(r#""kind":"delete","conflict":"1.canary""#), OpInvalid, Some(1)),
        (op(r#""kind":"put","conflict":"1.canary""#), OpInvalid, Some(1)),
        (op(r#""kind":"put","delete":true"#), OpInvalid, Some(1)),
        (op(r#""kind":"resolve","fields":{"canary":1}"#), OpInvalid, Some(1)),
        (op(r#""kind":"resolve","conflict":"1.canary""#), OpInvalid, Some(1)),
        (op(r#""kind":"resolve","conflict":"1.canary","delete":true,"fields":{}"#), OpInvalid, Some(1)),
        (op(r#""at":"0000-01-01T00:00:00Z""#), TimeInvalid, Some(1)),
        (op(r#""at":"294277-01-01T00:00:00Z""#), TimeInvalid, Some(1)),
        (op(r#""at":"-9223372036854775808""#), TimeInvalid, Some(1)),
        (op(r#""at":"yesterday, canary""#), TimeInvalid, Some(1)),
        (op(r#""at":-9223372036854775808"#), ShapeInvalid, Some(1)),
        (op(r#""at":1763625600000"#), ShapeInvalid, Some(1)),
    ]);
}

#[test]
fn invalid_fields_have_the_same_code_and_op_in_both_encodings() {
    use Code::{NameInvalid, NulChar, NumberRange, ReservedKey, ShapeInvalid, TooDeep};
    let long = "x".repeat(256);
    check_refused_in_both([
        (op(r#""fields":["canary"]"#), ShapeInvalid, Some(1)),
        (op(r#""fields":"canary""#), ShapeInvalid, Some(1)),
        (op(r#""fields":{"":"canary"}"#), NameInvalid, Some(1)),
        (op(&format!(r#""fields":{{"{long}":"canary"}}"#)), NameInvalid, Some(1)),
        (op(r#""fields":{"canary\u0000":1}"#), NulChar, Some(1)),
        (value(r#""canary\u0000""#), NulChar, Some(1)),
        (value(r#"[{"canary\u0000":1}]"#), NulChar, Some(1)),
        (value("9223372036854775808"), NumberRange, Some(1)),
        (value("18446744073709551615"), NumberRange, Some(1)),
        (value(&nested(33)), TooDeep, Some(1)),
        (value(&nested(36)), TooDeep, Some(1)),
        (value(&nested(37)), TooDeep, Some(1)),
        (value(&nested(100)), TooDeep, Some(1)),
        (value(r#"{"$binary":7}"#), ReservedKey, Some(1)),
        (value(r#"{"$binary":"canary!"}"#), ReservedKey, Some(1)),
        (value(r#"[{"$binary":{"$binary":"AA=="}}]"#), ReservedKey, Some(1)),
    ]);
}

#[test]
fn messagepack_outside_the_value_model_is_refused() {
    let op_of = |value: &[u8]| packed(&value_of("@"), value);
    let rows: Vec<(Vec<u8>, Code, Option<usize>)> = vec![
        (op_of(b"\xa7canary\xff"), Code::OpMalformed, Some(1)), // a string that is not UTF-8
        (op_of(b"\x81\x07\xa6canary"), Code::OpMalformed, Some(1)), // a number as a key
        (op_of(b"\x81\xc4\x06canary\x07"), Code::OpMalformed, Some(1)), // binary as a key
        (op_of(b"\x81\xc0\x07"), Code::OpMalformed, Some(1)),   // nil as a key
        (op_of(b"\x81\x80\x07"), Code::OpMalformed, Some(1)),   // a map as a key
        (op_of(b"\xd4\x01\x07"), Code::OpMalformed, Some(1)),   // an extension
        (op_of(b"\xd6\xff\x00\x00\x00\x00"), Code::OpMalformed, Some(1)), // a timestamp
        (op_of(b"\xc7\x06\x01canary"), Code::OpMalformed, Some(1)), // a longer extension
        (op_of(b"\xc1"), Code::MsgpackInvalid, None),           // the reserved byte
        (op_of(b"\x82\xa6canary\x01\xa6canary\x01"), Code::DuplicateKey, Some(1)), // a key twice
        (op_of(&rmp_serde::to_vec(&f64::NAN).unwrap()), Code::NumberRange, Some(1)), // NaN
        (op_of(&rmp_serde::to_vec(&f32::NEG_INFINITY).unwrap()), Code::NumberRange, Some(1)), // infinity
        (op_of(b"\xcf\x80\0\0\0\0\0\0\0"), Code::NumberRange, Some(1)), // 2^63
        (op_of(b"\x81\xa7$binary\xa4AA=="), Code::ReservedKey, Some(1)), // $binary in MessagePack
        (b"\x82\x01\xa6canary\x02\x90".to_vec(), Code::MsgpackInvalid, None), // members by number
        (b"\x81\xc4\x03ops\x90".to_vec(), Code::MsgpackInvalid, None), // members by binary name
        (b"\x93\xc0\xa6canary\x90".to_vec(), Code::ShapeInvalid, None), // a positional body
        (b"\x81\xa3ops\x91\x95\x01\xa1t\xa1r\xa0\xa3put".to_vec(), Code::ShapeInvalid, Some(0)), // a positional op
        ([op_of(b"\xa6canary"), vec![0xc0]].concat(), Code::MsgpackInvalid, None), // something after the body
    ];
    for (body, code, op_index) in rows {
        check_refused(MessagePack, &body, code, op_index);
    }
    let whole = op_of(b"\xa6canary");
    assert!(read(MessagePack, &whole).is_ok());
    for end in 1..whole.len() {
        check_refused(MessagePack, &whole[..end], Code::MsgpackInvalid, None);
    }
}

#[test]
fn an_empty_body_has_a_code_of_its_own() {
    check_refused(Json, b"", Code::BodyEmpty, None);
    check_refused(MessagePack, b"", Code::BodyEmpty, None);
}

/// The thread has a small stack, and some length prefixes claim more than any memory has.
#[test]
fn bombs_are_refused_without_trouble() {
    let bombs = || {
        let in_op = |bytes: &[u8]| packed(&value_of("@"), bytes);
        check_refused(Json, &b"[".repeat(1_000_000), Code::TooDeep, None);
        check_refused(Json, value(&nested(1_000_000)).as_bytes(), Code::TooDeep, Some(1));
        check_refused(Json, value(&"{\"canary\":".repeat(1_000_000)).as_bytes(), Code::TooDeep, Some(1));
        check_refused(MessagePack, &[0x91; 2_048], Code::TooDeep, None);
        check_refused(MessagePack, &in_op(&[0x91; 2_048]), Code::TooDeep, Some(1));
        check_refused(MessagePack, &in_op(&b"\x81\xa6canary".repeat(1_000_000)), Code::TooDeep, Some(1));
        for head in [b"\xdd", b"\xdf", b"\xdb", b"\xc6"] {
            let claim = [&head[..], b"\xff\xff\xff\xff"].concat();
            check_refused(MessagePack, &claim, Code::MsgpackInvalid, None);
            check_refused(MessagePack, &in_op(&claim), Code::MsgpackInvalid, None);
            check_refused(MessagePack, &[b"\x81\xa3ops", &claim[..]].concat(), Code::MsgpackInvalid, None);
        }
    };
    std::thread::Builder::new().stack_size(512 * 1024).spawn(bombs).unwrap().join().unwrap();
}

#[test]
fn what_looks_odd_and_is_allowed_is_read() {
    for json in [
        r#"{"ops":[]}"#.to_owned(),
        r#"{"ops":[],"cursor":null,"app":null}"#.to_owned(),
        r#"{"ops":[],"cursor":"0.0000000000000000"}"#.to_owned(),
        push(r#""kind":"put","record":"r","table":"t","seq":2"#), // in any order
        op(r#""seq":9223372036854775807"#),                       // the append checks the order
        op(r#""record":"two\nlines""#),
        op("\"record\":\"\u{202e}\u{200b}\u{1F642}\""),
        op(&format!(r#""record":"{}""#, "x".repeat(255))),
        op(r#""at":"2036-11-20T08:00:00.000Z""#), // the fold limits it to the clock skew
        op(r#""at":"9999-12-31T23:59:59.999Z""#),
        op(r#""kind":"delete","delete":true"#),
        value(&nested(32)),
        value(r#"{"$binary":"AAH/","more":1}"#),
    ] {
        assert!(read(Json, json.as_bytes()).is_ok(), "{json}");
        assert!(read(MessagePack, &packed(&json, &[])).is_ok(), "{json}");
    }
    let record =
        |text: &str| read(Json, op(&format!("\"record\":\"{text}\"")).as_bytes()).unwrap().ops[1].record.clone();
    assert_ne!(record("caf\u{e9}"), record("cafe\u{301}"), "names that only look alike are two records");
}

/// Integers stay integers, floats stay floats, and binary stays binary: from each encoding to the other.
#[test]
fn values_survive_both_encodings() {
    let binary = Value::Binary(vec![0, 1, 255]);
    for (json, msgpack, expected) in [
        ("9007199254740993", &b"\xcf\x00\x20\0\0\0\0\0\x01"[..], Value::Int(9_007_199_254_740_993)),
        ("9223372036854775807", b"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", Value::Int(i64::MAX)),
        ("-9223372036854775808", b"\xd3\x80\0\0\0\0\0\0\0", Value::Int(i64::MIN)),
        ("5", b"\xd3\0\0\0\0\0\0\0\x05", Value::Int(5)), // in more bytes than needed
        ("5.0", b"\xcb\x40\x14\0\0\0\0\0\0", Value::Float(5.0)),
        ("0.5", b"\xca\x3f\0\0\0", Value::Float(0.5)), // in 32 bits
        ("0.1", b"\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", Value::Float(0.1)),
        ("-0.0", b"\xcb\x80\0\0\0\0\0\0\0", Value::Float(0.0)),
        ("1e300", b"\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c", Value::Float(1e300)),
        (r#"{"$binary":"AAH/"}"#, b"\xc4\x03\x00\x01\xff", binary.clone()),
        (r#"[{"$binary":""}]"#, b"\x91\xc4\x00", Value::Array(vec![Value::Binary(vec![])])),
        (
            r#"{"b":null,"a":true}"#,
            b"\x82\xa1b\xc0\xa1a\xc3",
            Value::Map([("a".into(), Value::Bool(true)), ("b".into(), Value::Null)].into()),
        ),
    ] {
        let from_json = read(Json, value(json).as_bytes()).unwrap();
        assert_eq!(from_json.ops[1].intent.fields().unwrap().unpack().0[CANARY], expected, "{json}");
        assert_eq!(read(MessagePack, &packed(&value_of("@"), msgpack)).unwrap(), from_json, "{json}");
        for encoding in [Json, MessagePack] {
            assert_eq!(read(encoding, &encode(encoding, &from_json).unwrap()).unwrap(), from_json, "{json}");
        }
    }
}

/// A push with every kind of op and value, as apps in the field send it.
const FULL_PUSH_JSON: &str = r#"{"cursor": "41.00c0ffee00000001", "app": "2.3.1", "ops": [
        {"seq": 7, "table": "submissions", "record": "sub-17", "kind": "put", "fields": {
            "text": "žluťoučký \"kůň\"\n", "flag": true, "nothing": null, "big": 9223372036854775807,
            "small": -9223372036854775808, "float": 0.1, "whole": 5.0, "binary": {"$binary": "AAH/"},
            "array": [1, 1.0, "1", null], "map": {"deep": {}}
        }, "base": 40, "at": "2026-11-20T08:00:00.000Z", "actor": "u-301"},
        {"seq": 8, "table": "submissions", "record": "sub-17", "scope": "store-12", "kind": "delete"},
        {"seq": 9, "table": "submissions", "record": "sub-17", "kind": "resolve", "conflict": "43.score",
            "fields": {"score": -92}},
        {"seq": 10, "table": "submissions", "record": "sub-17", "kind": "resolve", "conflict": "44.", "delete": true},
        {"seq": 11, "table": "submissions", "record": "sub-17", "kind": "put"}]}"#;

/// The same push as MessagePack, in hexadecimal digits. Another encoder made it.
const FULL_PUSH_MSGPACK: &str = "
    83a6637572736f72b334312e30306330666665653030303030303031a3617070a5322e332e31a36f70739588a373657107a57461626c
    65ab7375626d697373696f6e73a67265636f7264a67375622d3137a46b696e64a3707574a66669656c64738aa474657874b6c5be6c75
    c5a56f75c48d6bc3bd20226bc5afc588220aa4666c6167c3a76e6f7468696e67c0a3626967cf7fffffffffffffffa5736d616c6cd380
    00000000000000a5666c6f6174cb3fb999999999999aa577686f6c65cb4014000000000000a662696e617279c4030001ffa561727261
    799401cb3ff0000000000000a131c0a36d617081a46465657080a46261736528a26174b8323032362d31312d32305430383a30303a30
    302e3030305aa56163746f72a5752d33303185a373657108a57461626c65ab7375626d697373696f6e73a67265636f7264a67375622d
    3137a573636f7065a873746f72652d3132a46b696e64a664656c65746586a373657109a57461626c65ab7375626d697373696f6e73a6
    7265636f7264a67375622d3137a46b696e64a77265736f6c7665a8636f6e666c696374a834332e73636f7265a66669656c647381a573
    636f7265d0a486a37365710aa57461626c65ab7375626d697373696f6e73a67265636f7264a67375622d3137a46b696e64a77265736f
    6c7665a8636f6e666c696374a334342ea664656c657465c384a37365710ba57461626c65ab7375626d697373696f6e73a67265636f72
    64a67375622d3137a46b696e64a3707574";

fn full_push() -> PushRequest {
    let fields = |fields: Vec<(&str, Value)>| Fields::from_iter(fields);
    let text = |text: &str| Value::Text(text.to_owned());
    let op = |seq, intent: Intent| Op {
        seq: Seq(seq),
        table: TableName::parse("submissions").unwrap(),
        record: RecordId::parse("sub-17").unwrap(),
        scope: Scope::everyone(),
        intent: intent.into(),
        base: None,
        at: None,
        actor: Actor::nobody(),
    };
    let put = Intent::Put(fields(vec![
        ("array", Value::Array(vec![Value::Int(1), Value::Float(1.0), text("1"), Value::Null])),
        ("big", Value::Int(i64::MAX)),
        ("binary", Value::Binary(vec![0, 1, 255])),
        ("flag", Value::Bool(true)),
        ("float", Value::Float(0.1)),
        ("map", Value::Map([("deep".to_owned(), Value::Map([].into()))].into())),
        ("nothing", Value::Null),
        ("small", Value::Int(i64::MIN)),
        ("text", text("žluťoučký \"kůň\"\n")),
        ("whole", Value::Float(5.0)),
    ]));
    let conflict = |id: &str| ConflictId::parse(id).unwrap();
    PushRequest {
        cursor: Some(Cursor { position: Position(41), check: CursorCheck(0x00c0_ffee_0000_0001) }),
        app: Some("2.3.1".to_owned()),
        ops: vec![
            Op {
                base: Some(Position(40)),
                at: UnixMs::parse("2026-11-20T08:00:00.000Z"),
                actor: Actor::parse("u-301").unwrap(),
                ..op(7, put)
            },
            Op { scope: Scope::parse("store-12").unwrap(), ..op(8, Intent::Delete) },
            op(
                9,
                Intent::Resolve { conflict: conflict("43.score"), put: Some(fields(vec![("score", Value::Int(-92))])) },
            ),
            op(10, Intent::Resolve { conflict: conflict("44."), put: None }),
            op(11, Intent::Put(Fields::default())),
        ],
    }
}

/// Apps in the field send these bodies for years.
#[test]
fn a_full_push_reads_the_same_from_both_encodings_for_ever() {
    let msgpack: Vec<u8> = FULL_PUSH_MSGPACK.split_whitespace().flat_map(bytes_of_hex).collect();
    assert_eq!(read(Json, FULL_PUSH_JSON.as_bytes()).unwrap(), full_push());
    assert_eq!(read(MessagePack, &msgpack).unwrap(), full_push());
}

fn bytes_of_hex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

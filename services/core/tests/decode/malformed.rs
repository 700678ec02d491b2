//! What fails inside an op is an error of that op, down to its bytes, unless it breaks the frame of the body. And white
//! space beyond reason is refused.

use tidelog_core::error::Code;
use tidelog_core::wire::Encoding::{Json, MessagePack};

use crate::{check_refused, packed, read, value, value_of};

#[test]
fn json_that_is_no_json_inside_an_op_names_the_op() {
    let rows: Vec<Vec<u8>> = vec![
        value(r#""\ud800""#).into(),
        value(r#""\ud800\u0041""#).into(),
        value(r#""\udc00""#).into(),
        value(r#""\x""#).into(),
        value("\"\n\"").into(),
        value("NaN").into(),
        value("Infinity").into(),
        value("-Infinity").into(),
        value("01").into(),
        value("+1").into(),
        value("0x10").into(),
        value("1.").into(),
        value(".5").into(),
        value("-").into(),
        value("1e").into(),
        value("'canary'").into(),
        value("[1,]").into(),
        value("/* canary */ 1").into(),
    ];
    for body in rows {
        check_refused(Json, &body, Code::OpMalformed, Some(1));
    }
    for (bad, reason) in [
        (r#""\ud800""#, "a string escapes half of a surrogate pair, line 1, column"),
        (r#""\x""#, "a string has an escape that JSON does not have, line 1, column"),
        ("\"\n\"", "a string has a control character that is not escaped, line 2, column"),
        ("01", "a number is not written as JSON, line 1, column"),
        ("NaN", "the JSON cannot be parsed, line 1, column"),
    ] {
        let error = read(Json, value(bad).as_bytes()).unwrap_err();
        assert!(error.detail.starts_with(reason), "{bad}: {}", error.detail);
    }
}

/// Bytes that are not UTF-8, half a surrogate pair, and what MessagePack has beyond JSON: in every text of an op, and in
/// the first, a middle and the last op of a push.
#[test]
fn a_malformed_text_is_an_error_of_its_op_wherever_it_is() {
    let (bad_json, bad_msgpack) =
        ([&b"\xff"[..], b"\xc3\x28", br"\ud83d"], [&b"\xa3a\xff@"[..], b"\xc7\x01\x05x", b"\xd4\x01\x07"]);
    let members = [
        r#""record":"@""#,
        r#""table":"@""#,
        r#""scope":"@""#,
        r#""actor":"@""#,
        r#""at":"@""#,
        r#""kind":"@""#,
        r#""kind":"resolve","delete":true,"conflict":"@""#,
        r#""fields":{"canary":"@"}"#,
        r#""fields":{"canary":[{"canary":["@"]}]}"#,
        r#""fields":{"@":1}"#,
        r#""fields":{"canary":{"@":1}}"#,
        r#""@":1"#,
    ];
    for member in members {
        for place in 0..3 {
            let ops: Vec<_> = (0..3)
                .map(|index| {
                    let member = if index == place { member } else { r#""scope":"canary""# };
                    let good = [
                        ("seq", (index + 1).to_string()),
                        ("table", "\"t\"".into()),
                        ("record", "\"r\"".into()),
                        ("kind", "\"put\"".into()),
                    ];
                    let others = good.iter().filter(|(name, _)| !member.contains(&format!("\"{name}\":")));
                    format!(
                        "{{{}{member}}}",
                        others.map(|(name, value)| format!("\"{name}\":{value},")).collect::<String>()
                    )
                })
                .collect();
            let body = format!(r#"{{"app":"canary","ops":[{}]}}"#, ops.join(","));
            let at = body.find('@').unwrap();
            for bad in bad_json {
                let body = [&body.as_bytes()[..at], bad, &body.as_bytes()[at + 1..]].concat();
                check_refused(Json, &body, Code::OpMalformed, Some(place));
                check_refused(Json, &body[..body.len() - 1], Code::JsonSyntax, None);
            }
            for bad in bad_msgpack {
                let body = packed(&body, bad);
                check_refused(MessagePack, &body, Code::OpMalformed, Some(place));
                check_refused(MessagePack, &body[..body.len() - 1], Code::MsgpackInvalid, None);
            }
        }
    }
}

#[test]
fn the_first_malformed_op_is_named() {
    let two = |first: &[u8], second: &[u8]| {
        let head = br#"{"app":"canary","ops":[{"seq":1,"table":"t","kind":"put","record":"#;
        [head, first, br#"},{"seq":2,"table":"t","kind":"put","record":"#, second, b"}]}"].concat()
    };
    check_refused(Json, &two(b"\"\xff\"", b"1e999"), Code::OpMalformed, Some(0));
    check_refused(Json, &two(b"1e999", b"\"\xff\""), Code::NumberRange, Some(0));
    check_refused(Json, &two(b"7", b"\"\xff\""), Code::ShapeInvalid, Some(0));
    let body = packed(r#"{"ops":[{"seq":1,"record":7},{"seq":"@"}]}"#, b"\xa1\xff");
    check_refused(MessagePack, &body, Code::ShapeInvalid, Some(0));
}

#[test]
fn white_space_beyond_reason_is_refused() {
    let body = |run: usize| format!(r#"{{{}"app":"canary","ops":[]}}"#, " ".repeat(run));
    assert!(read(Json, body(64 * 1024).as_bytes()).is_ok());
    check_refused(Json, body(64 * 1024 + 1).as_bytes(), Code::BodyTooLarge, None);
    check_refused(Json, " ".repeat(1_000_000).as_bytes(), Code::BodyTooLarge, None);
    // Short runs that are many: of the body, half and 1 MiB may be white space.
    let items =
        |spaces: usize, count: usize| value(&format!("[{}1]", format!("1,{}", "\n".repeat(spaces)).repeat(count)));
    assert!(read(Json, items(8, 150_000).as_bytes()).is_ok(), "1.2 of 1.5 MB");
    check_refused(Json, items(60_000, 50).as_bytes(), Code::BodyTooLarge, None);
    // White space in a string is data.
    assert!(read(Json, value_of(&" ".repeat(200_000)).as_bytes()).is_ok());
}

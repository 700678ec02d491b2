//! The judge: one code for an op with several faults, whatever the order of its fields, and what each type takes.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking too")]

use tidelog_core::catalog::Catalog;
use tidelog_core::ids::{Actor, RecordId, Role, Scope, Scopes, Seq, TableName};
use tidelog_core::judge::{RejectCode, explain, judge};
use tidelog_core::op::{Intent, Op};
use tidelog_core::value::PackedFields;

const CATALOG: &str = r#"
roles = ["staff", "guest"]
[tables.t]
strict = true
write = ["staff"]
[tables.t.fields]
b = { type = "integer" }
d = { type = "binary" }
f = { required = true }
real = { type = "float" }
at = { type = "time" }
"#;

/// A put of these fields in the order in which they are written.
fn put(table: &str, scope: &str, fields: &str) -> Op {
    Op {
        seq: Seq(1),
        table: TableName::parse(table).unwrap(),
        record: RecordId::parse("r").unwrap(),
        scope: Scope::parse(scope).unwrap(),
        intent: Intent::Put(serde_json::from_str::<PackedFields>(fields).unwrap()),
        base: None,
        at: None,
        actor: Actor::nobody(),
    }
}

/// Every order of these entries.
fn orders(entries: &[String]) -> Vec<Vec<String>> {
    if entries.is_empty() {
        return vec![Vec::new()];
    }
    let mut orders = Vec::new();
    for (index, first) in entries.iter().enumerate() {
        let rest: Vec<_> =
            entries.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, e)| e.clone()).collect();
        for mut order in self::orders(&rest) {
            order.insert(0, first.clone());
            orders.push(order);
        }
    }
    orders
}

#[test]
fn of_several_faults_the_first_code_and_the_first_field_by_name_are_reported_in_every_order() {
    let catalog = Catalog::parse(CATALOG).unwrap();
    let scopes = Scopes::Listed(vec![Scope::parse("own").unwrap()]);
    let large = format!(r#""x":"{}""#, "x".repeat(300_000));
    let faults = [r#""d":1"#, r#""b":"x""#, r#""f":null"#, r#""z":1"#, r#""a":1"#];
    let rows = [
        (&faults[..], Some((RejectCode::FieldType, r#"field "b" has to be an integer"#))),
        (&faults[..1], Some((RejectCode::FieldType, r#"field "d" has to be binary"#))),
        (&faults[2..], Some((RejectCode::FieldNull, r#"field "f" is required and may not be null"#))),
        (&faults[3..], Some((RejectCode::FieldUnknown, r#"the table is strict and does not list field "a""#))),
        (&[], None),
    ];
    for (faults, expected) in rows {
        let entries: Vec<_> = faults.iter().map(|&fault| fault.to_owned()).chain([r#""real":1"#.to_owned()]).collect();
        for order in orders(&entries) {
            let fields = format!("{{{}}}", order.join(","));
            let op = put("t", "own", &fields);
            let code = judge(&catalog, &Role::parse("staff").unwrap(), &scopes, &op);
            let detail = code.map(|code| (code, explain(&catalog, &op.table, op.intent.fields(), code)));
            assert_eq!(detail, expected.map(|(code, detail)| (code, detail.to_owned())), "{fields}");
        }
    }
    // Before the fields: their size, the table, the role and the scope, in this order.
    let all = format!("{{{},{large}}}", faults.join(","));
    let bad = format!("{{{}}}", faults.join(","));
    for (role, table, scope, fields, expected) in [
        ("guest", "unknown", "other", &all, RejectCode::FieldsTooLarge),
        ("guest", "unknown", "other", &bad, RejectCode::TableUnknown),
        ("guest", "t", "other", &bad, RejectCode::RoleForbidden),
        ("staff", "t", "other", &bad, RejectCode::ScopeForbidden),
        ("staff", "t", "own", &bad, RejectCode::FieldType),
    ] {
        let op = put(table, scope, fields);
        assert_eq!(
            judge(&catalog, &Role::parse(role).unwrap(), &scopes, &op),
            Some(expected),
            "{role} {table} {scope}"
        );
    }
}

#[test]
fn a_float_takes_integers_that_it_can_express_and_a_time_needs_an_offset() {
    let catalog = Catalog::parse(CATALOG).unwrap();
    for (field, value, is_taken) in [
        ("real", "5", true),
        ("real", "5.0", true),
        ("real", "-9007199254740992", true),
        ("real", "9007199254740992", true),
        ("real", "9007199254740993", false),
        ("real", "-9223372036854775808", false),
        ("real", "\"5\"", false),
        ("at", "\"2026-11-20T09:00:00+01\"", true),
        ("at", "\"2026-11-20T09:00+0100\"", true),
        ("at", "\"2026-11-20T09:00Z\"", true),
        ("at", "\"2026-11-20T09:00\"", false),
        ("at", "7", false),
    ] {
        let op = put("t", "", &format!("{{\"{field}\":{value}}}"));
        let code = judge(&catalog, &Role::parse("staff").unwrap(), &Scopes::All, &op);
        assert_eq!(code, (!is_taken).then_some(RejectCode::FieldType), "{field} {value}");
    }
}

#[test]
fn a_name_in_a_detail_is_escaped_and_cut() {
    let catalog = Catalog::parse(CATALOG).unwrap();
    let detail = |name: &str| {
        let fields = format!("{{{}:1}}", serde_json::to_string(name).unwrap());
        let op = put("t", "", &fields);
        explain(&catalog, &op.table, op.intent.fields(), RejectCode::FieldUnknown)
    };
    let of = |shown: &str| format!("the table is strict and does not list field \"{shown}\"");
    assert_eq!(detail("caf\u{e9}"), of("caf\u{e9}"));
    assert_eq!(detail("a\n\u{1b}[31m\u{202e}"), of("a\\n\\u{1b}[31m\\u{202e}"));
    assert_eq!(detail(&"\u{e9}".repeat(64)), of(&"\u{e9}".repeat(64)));
    assert_eq!(detail(&"\u{e9}".repeat(65)), of(&format!("{}...", "\u{e9}".repeat(64))));
}

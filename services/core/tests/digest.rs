//! The digest that is stored with every event. It never changes, since the cursors of replicas in the field depend on
//! it.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking too")]

use tidelog_core::digest::Digest;
use tidelog_core::ids::{Actor, ConflictId, DeviceId, Position, RecordId, Scope, Seq, TableName};
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, PackedFields, Value};
use uuid::Uuid;

const PHONE: DeviceId = DeviceId(Uuid::from_u128(0x0190_a6f3_1111_7000_8000_0000_0000_0001));

fn op(seq: i64, intent: Intent) -> Op {
    Op {
        seq: Seq(seq),
        table: TableName::parse("submissions").unwrap(),
        record: RecordId::parse("sub-17").unwrap(),
        scope: Scope::everyone(),
        intent: intent.into(),
        base: None,
        at: None,
        actor: Actor::nobody(),
    }
}

fn full_put() -> Op {
    let fields = [("score", Value::Int(92)), ("status", Value::Text("completed".to_owned()))];
    Op {
        scope: Scope::parse("store-12").unwrap(),
        base: Some(Position(40)),
        at: UnixMs::parse("2026-11-20T08:00:00.000Z"),
        actor: Actor::parse("u-301").unwrap(),
        ..op(7, Intent::Put(Fields::from_iter(fields)))
    }
}

fn digest(op: &Op, device: DeviceId) -> Digest {
    op.digest(device)
}

/// If this test fails, the stored form has changed: existing logs would take their own devices for cloned ones.
#[test]
fn the_digests_of_these_ops_never_change() {
    let conflict = ConflictId::parse("43.score").unwrap();
    let resolve = Intent::Resolve { conflict, put: Some(Fields::from_iter([("score", Value::Float(0.5))])) };
    assert_eq!(digest(&full_put(), PHONE), Digest(7_762_950_944_749_501_814));
    assert_eq!(digest(&op(8, Intent::Delete), PHONE), Digest(-1_731_489_257_457_131_944));
    assert_eq!(digest(&op(3, resolve), DeviceId::SYSTEM), Digest(-1_798_184_480_359_185_324));
}

#[test]
fn every_part_of_an_op_except_its_base_is_in_its_digest() {
    let full = full_put();
    let Intent::Put(fields) = &full.intent else { panic!("a put") };
    let conflict = |id: &str| ConflictId::parse(id).unwrap();
    let resolve = |id: &str| Intent::Resolve { conflict: conflict(id), put: Some(fields.clone()) };
    let ops = [
        full.clone(),
        Op { seq: Seq(8), ..full.clone() },
        Op { table: TableName::parse("submission").unwrap(), ..full.clone() },
        Op { record: RecordId::parse("sub-18").unwrap(), ..full.clone() },
        Op { scope: Scope::everyone(), ..full.clone() },
        Op { actor: Actor::nobody(), ..full.clone() },
        Op { at: None, ..full.clone() },
        Op { at: Some(UnixMs(0)), ..full.clone() },
        Op { intent: Intent::Delete, ..full.clone() },
        Op { intent: Intent::Put(PackedFields::empty()), ..full.clone() },
        Op { intent: resolve("43.score"), ..full.clone() },
        Op { intent: resolve("43.status"), ..full.clone() },
        Op { intent: Intent::Resolve { conflict: conflict("43.score"), put: None }, ..full.clone() },
        // the same text, split between scope and record at another point
        Op { scope: Scope::parse("store-12sub-1").unwrap(), record: RecordId::parse("7").unwrap(), ..full.clone() },
    ];
    let mut digests: Vec<i64> = ops.iter().map(|op| digest(op, PHONE).0).collect();
    digests.push(digest(&full, DeviceId(Uuid::from_u128(1))).0);
    let count = digests.len();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), count, "all digests differ");

    let rebased = Op { base: None, ..full.clone() };
    assert_eq!(digest(&rebased, PHONE), digest(&full, PHONE));
}

/// The op gets its sequence number under the lock of the log, after the digest is made.
#[test]
fn the_seq_of_an_op_of_the_server_is_not_in_its_digest() {
    let of_seq = |seq| digest(&op(seq, Intent::Delete), DeviceId::SYSTEM);
    assert_eq!(of_seq(1), of_seq(2));
}

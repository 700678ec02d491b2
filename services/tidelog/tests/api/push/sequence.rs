//! LOG-1, LOG-2: a device numbers its ops without a gap, and an op that comes again is stored once.

use serde_json::json;
use tidelog_core::ids::{Actor, Position, RecordId, Seq};
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;
use tidelog_core::wire::{Encoding, PushResponse, Run};
use tidelog_testkit::{TestApp, assert_snapshot_of, fields};

fn run(seq: i64, count: i64, position: i64) -> Run {
    Run { seq: Seq(seq), count, position: Position(position) }
}

#[tokio::test]
async fn a_repeated_push_is_stored_once_and_answered_as_the_first_time() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let ops = [phone.put("notes", "a", json!({"n": 1})), phone.put("nope", "b", json!({})), phone.delete("notes", "a")];
    let first = phone.push(&ops).await;
    assert_eq!(first.runs, [run(1, 3, 3)]);
    assert_snapshot_of!(app, "a_push_with_a_rejected_op", first);
    let again = phone.push(&ops).await;
    assert_eq!((&again.runs, &again.rejected, again.duplicates), (&first.runs, &first.rejected, 3));
    let later = phone.put("notes", "c", json!({}));
    app.phone("other").await.saves("notes", "between", json!({})).await;
    let overlapping = phone.push(&[ops[2].clone(), later]).await;
    assert_eq!(overlapping.runs, [run(3, 1, 5), run(4, 1, 8)]);
    assert_eq!((overlapping.duplicates, overlapping.last_seq), (1, 4));
    assert_eq!(phone.pull_ops().await.len(), 4, "no pull returns the rejected one");
}

#[tokio::test]
async fn a_retry_in_the_other_encoding_is_the_same_op() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let given = json!({"z": -0.0, "i": 1, "f": 1.0, "b": {"$binary": "AAH/"}, "m": {"b": 1, "a": [null, true]}});
    let op = phone.put("notes", "a", given);
    phone.push(std::slice::from_ref(&op)).await;
    assert_eq!(phone.speaking(Encoding::MessagePack).push(&[op]).await.duplicates, 1);
}

#[tokio::test]
async fn base_is_never_compared_and_at_only_if_given() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let at = UnixMs::parse("2026-11-20T08:00:00Z").unwrap();
    let op = Op { at: Some(at), ..phone.put("notes", "a", json!({"n": 1})) };
    phone.push(std::slice::from_ref(&op)).await;
    let without_at = Op { at: None, base: None, ..op.clone() };
    assert_eq!(phone.push(&[without_at]).await.duplicates, 1);
    let other_at = Op { at: Some(UnixMs(at.0 + 1)), ..op };
    phone.try_push(&[other_at]).await.refused(409, "seq_conflict");
}

#[tokio::test]
async fn other_content_under_a_stored_seq_is_never_acknowledged() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let stored = phone.put("notes", "a", json!({"n": 1}));
    phone.push(std::slice::from_ref(&stored)).await;
    let others = [
        Op { intent: Intent::Delete, ..stored.clone() },
        Op { record: RecordId::parse("b").unwrap(), ..stored.clone() },
        Op { intent: Intent::Put(fields(json!({"n": 1.0})).into()), ..stored.clone() },
        Op { actor: Actor::parse("u-2").unwrap(), ..stored.clone() },
    ];
    for other in others {
        let next = phone.put("notes", "next", json!({}));
        phone.next_seq = 2;
        phone.try_push(&[other, next]).await.refused(409, "seq_conflict");
    }
    assert_eq!(phone.pull_ops().await.len(), 1, "no op of a refused push is stored");
}

#[tokio::test]
async fn a_gap_names_the_seq_that_is_expected() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    phone.next_seq = 7;
    let op = phone.put("notes", "b", json!({}));
    assert_eq!(phone.try_push(&[op]).await.refused(409, "seq_gap").expected, Some(2));
}

#[tokio::test]
async fn seqs_of_a_push_ascend_by_one() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let (first, second) = (phone.put("notes", "a", json!({})), phone.put("notes", "b", json!({})));
    for ops in [[second.clone(), first.clone()], [first.clone(), first.clone()]] {
        assert_eq!(phone.try_push(&ops).await.refused(422, "seq_order").op_index, Some(1));
    }
    let last = Op { seq: Seq(i64::MAX), ..first.clone() };
    phone.try_push(&[last.clone(), last]).await.refused(422, "seq_order");
    phone.try_push(&[Op { seq: Seq(i64::MAX), ..first }]).await.refused(409, "seq_gap");
}

#[tokio::test]
async fn one_push_sent_by_sixteen_at_once_has_one_effect() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let ops: Vec<_> = (0..10).map(|number| phone.put("notes", &format!("n{number}"), json!({}))).collect();
    let responses: Vec<PushResponse> = futures_util::future::join_all((0..16).map(|_| phone.push(&ops))).await;
    assert!(responses.iter().all(|response| response.runs == responses[0].runs), "{responses:?}");
    assert_eq!(phone.pull_ops().await.len(), 10);
}

/// On a log without statistics a planner may join everything with everything. Then this test takes minutes.
#[tokio::test]
async fn a_large_push_is_repeated_on_a_new_log() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let mut last = Vec::new();
    for _ in 0..3 {
        last = (0..10_000).map(|number| phone.put("notes", &format!("n{number}"), json!({}))).collect();
        phone.push(&last).await;
    }
    assert_eq!(phone.push(&last).await.duplicates, 10_000);
}

#[tokio::test]
async fn too_large_fields_are_not_compared_when_they_come_again() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let at = Some(UnixMs::parse("2026-11-20T08:00:00Z").unwrap());
    let op = Op { at, ..phone.put("notes", "a", json!({"n": "x".repeat(300_000)})) };
    assert_eq!(phone.push(std::slice::from_ref(&op)).await.rejected.len(), 1);
    assert_eq!(phone.push(&[Op { at: None, ..op }]).await.duplicates, 1);
}

//! LOG-1, LOG-2: a device numbers its ops without a gap, and an op that comes again is stored once.

use serde_json::json;
use tidelog_core::ids::{Position, Seq};
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;
use tidelog_core::wire::{Encoding, PushResponse, Run};
use tidelog_testkit::TestApp;

#[tokio::test]
async fn a_repeated_push_is_stored_once_and_answered_as_the_first_time() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let ops = [phone.put("notes", "a", json!({"n": 1})), phone.put("nope", "b", json!({})), phone.delete("notes", "a")];
    let first: PushResponse = phone.push(&ops).await.good();
    assert_eq!(first.runs, [Run { seq: Seq(1), count: 3, position: Position(2) }]);
    assert_eq!((first.last_seq, first.duplicates, first.rejected.len()), (3, 0, 1));
    let again: PushResponse = phone.push(&ops).await.good();
    assert_eq!((&again.runs, &again.rejected, again.duplicates), (&first.runs, &first.rejected, 3));
    let later = phone.put("notes", "c", json!({}));
    app.phone("other").await.saves("notes", "between", json!({})).await;
    let overlapping = [ops[2].clone(), later];
    let third: PushResponse = phone.push(&overlapping).await.good();
    let expected =
        [Run { seq: Seq(3), count: 1, position: Position(4) }, Run { seq: Seq(4), count: 1, position: Position(6) }];
    assert_eq!((third.runs.as_slice(), third.duplicates, third.last_seq), (expected.as_slice(), 1, 4));
    assert_eq!(phone.pull_ops().await.len(), 4, "the rejected one is pulled by nobody");
}

#[tokio::test]
async fn a_retry_in_the_other_encoding_is_the_same_op() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let fields = json!({"z": -0.0, "i": 1, "f": 1.0, "b": {"$binary": "AAH/"}, "m": {"b": 1, "a": [null, true]}});
    let op = phone.put("notes", "a", fields);
    phone.push(std::slice::from_ref(&op)).await.good::<PushResponse>();
    let phone = phone.speaking(Encoding::MessagePack);
    assert_eq!(phone.push(&[op]).await.good::<PushResponse>().duplicates, 1);
}

#[tokio::test]
async fn base_is_never_compared_and_at_only_if_given() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let at = UnixMs::parse("2026-11-20T08:00:00Z").unwrap();
    let op = Op { at: Some(at), ..phone.put("notes", "a", json!({"n": 1})) };
    phone.push(std::slice::from_ref(&op)).await.good::<PushResponse>();
    let without_at = Op { at: None, base: None, ..op.clone() };
    assert_eq!(phone.push(&[without_at]).await.good::<PushResponse>().duplicates, 1);
    let other_at = Op { at: Some(UnixMs(at.0 + 1)), ..op };
    phone.push(&[other_at]).await.refused(409, "seq_conflict");
}

#[tokio::test]
async fn other_content_under_a_stored_seq_is_never_acknowledged() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let stored = phone.put("notes", "a", json!({"n": 1}));
    phone.push(std::slice::from_ref(&stored)).await.good::<PushResponse>();
    let clones = [
        Op { intent: Intent::Delete, ..stored.clone() },
        Op { record: tidelog_core::ids::RecordId::parse("b").unwrap(), ..stored.clone() },
        Op { intent: Intent::Put(tidelog_testkit::op_fields(json!({"n": 1.0})).into()), ..stored.clone() },
        Op { actor: tidelog_core::ids::Actor::parse("u-2").unwrap(), ..stored.clone() },
    ];
    for clone in clones {
        let next = phone.put("notes", "next", json!({}));
        phone.next_seq = 2;
        phone.push(&[clone, next]).await.refused(409, "seq_conflict");
    }
    assert_eq!(phone.pull_ops().await.len(), 1, "and nothing of it is stored");
}

#[tokio::test]
async fn a_gap_tells_the_seq_that_is_expected() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    phone.next_seq = 7;
    let op = phone.put("notes", "b", json!({}));
    assert_eq!(phone.push(&[op]).await.refused(409, "seq_gap")["expected"], 2);
}

#[tokio::test]
async fn seqs_of_a_push_ascend_by_one() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let (first, second) = (phone.put("notes", "a", json!({})), phone.put("notes", "b", json!({})));
    for ops in [[second.clone(), first.clone()], [first.clone(), first.clone()]] {
        assert_eq!(phone.push(&ops).await.refused(422, "seq_order")["op_index"], 1);
    }
    let last = Op { seq: Seq(i64::MAX), ..first.clone() };
    phone.push(&[last.clone(), last]).await.refused(422, "seq_order");
    phone.push(&[Op { seq: Seq(i64::MAX), ..first }]).await.refused(409, "seq_gap");
}

#[tokio::test]
async fn one_push_sent_by_sixteen_at_once_has_one_effect() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let ops: Vec<_> = (0..10).map(|number| phone.put("notes", &format!("n{number}"), json!({}))).collect();
    let pushes = (0..16).map(|_| phone.push(&ops));
    let answers = futures_util::future::join_all(pushes).await;
    let runs: Vec<_> = answers.iter().map(|answer| answer.good::<PushResponse>().runs).collect();
    assert!(runs.iter().all(|run| *run == runs[0]), "{runs:?}");
    assert_eq!(phone.pull_ops().await.len(), 10);
}

/// On a log without statistics a planner may make a join of everything with everything: then this takes minutes.
#[tokio::test]
async fn a_large_push_is_repeated_on_a_new_log() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let mut last = Vec::new();
    for _ in 0..3 {
        last = (0..10_000).map(|number| phone.put("notes", &format!("n{number}"), json!({}))).collect();
        phone.push(&last).await.good::<PushResponse>();
    }
    assert_eq!(phone.push(&last).await.good::<PushResponse>().duplicates, 10_000);
}

#[tokio::test]
async fn too_large_fields_are_not_compared_when_they_come_again() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let at = Some(UnixMs::parse("2026-11-20T08:00:00Z").unwrap());
    let op = Op { at, ..phone.put("notes", "a", json!({"n": "x".repeat(300_000)})) };
    assert_eq!(phone.push(std::slice::from_ref(&op)).await.good::<PushResponse>().rejected.len(), 1);
    assert_eq!(phone.push(&[Op { at: None, ..op }]).await.good::<PushResponse>().duplicates, 1);
}

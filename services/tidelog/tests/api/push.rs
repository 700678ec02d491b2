//! LOG-1, LOG-2, OUT-2: what a push does, and what it does when it comes again.

use serde_json::{Value as Json, json};
use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::ids::{Position, Seq};
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{Encoding, OpStatus, PushRequest, PushResponse, Run};
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
async fn a_rejected_op_takes_its_place_and_blocks_nothing() {
    let catalog = "roles = [\"member\"]\n[tables.notes]\nstrict = true\n[tables.notes.fields.n]\ntype = \"integer\"\nrequired = true";
    let app = TestApp::build().catalog(catalog).start().await;
    let mut phone = app.phone("phone").await;
    let ops = [
        phone.put("unknown", "a", json!({})),
        phone.put("notes", "a", json!({"n": "text"})),
        phone.put("notes", "a", json!({"n": null})),
        phone.put("notes", "a", json!({"other": 1})),
        phone.put("notes", "a", json!({"n": 7})),
        phone.put("notes", "b", json!({"n": "x".repeat(300_000)})),
    ];
    let answer = phone.push_and_wait(&ops).await;
    let codes: Vec<_> = answer.rejected.iter().map(|rejected| rejected.code.as_str()).collect();
    assert_eq!(codes, ["table_unknown", "field_type", "field_null", "field_unknown", "fields_too_large"]);
    assert_eq!(answer.last_seq, 6);
    let rejected = answer.outcomes.unwrap();
    assert!(rejected.iter().all(|outcome| outcome.verdict == Verdict::Rejected) && rejected.len() == 5);
    assert_eq!(phone.pull_ops().await.len(), 1);
    assert_eq!(phone.cursor.unwrap().position.0, answer.head.0, "the cursor passes the rejected ones");
    let status: OpStatus = phone.http.get("/api/v1/sync/ops/2").await.good();
    assert_eq!((status.verdict, status.code.as_deref()), (Verdict::Rejected, Some("field_type")));
    let again = phone.push(&ops).await.good::<PushResponse>();
    assert_eq!((again.duplicates, again.rejected.len()), (6, 5), "the too large one included");
    let kept = app.database.connect().await;
    let kept =
        kept.query("SELECT fields = '' FROM tidelog.log WHERE rejected <> '' ORDER BY position", &[]).await.unwrap();
    let dropped: Vec<bool> = kept.iter().map(|row| row.get(0)).collect();
    assert_eq!(dropped, [false, false, false, false, true], "an operator can readmit what was not too large");
}

#[tokio::test]
async fn a_base_past_what_was_read_is_refused() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    let op = Op { base: Some(Position(9)), ..phone.put("notes", "b", json!({})) };
    assert_eq!(phone.push(std::slice::from_ref(&op)).await.refused(422, "base_ahead")["op_index"], 0);
    phone.pull().await;
    let op = Op { base: Some(Position(3)), ..op };
    phone.push(&[op]).await.refused(422, "base_ahead");
    phone.next_seq = 2;
    let answer = phone.saves("notes", "b", json!({})).await;
    assert_eq!(answer.last_seq, 2);
}

#[tokio::test]
async fn a_cursor_of_another_log_is_noticed_by_a_push() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    let op = Op { base: None, ..phone.put("notes", "b", json!({})) };
    let with = |position, check| PushRequest {
        cursor: Some(Cursor { position: Position(position), check: CursorCheck(check) }),
        ..phone.request(std::slice::from_ref(&op))
    };
    phone.http.post("/api/v1/sync/push", &with(2, 7)).await.refused(409, "cursor_diverged");
    phone.http.post("/api/v1/sync/push", &with(99, 7)).await.refused(409, "cursor_ahead");
    let empty = PushRequest { ops: Vec::new(), ..with(2, 7) };
    phone.http.post("/api/v1/sync/push", &empty).await.refused(409, "cursor_diverged");
}

#[tokio::test]
async fn an_empty_push_only_acknowledges() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    phone.pull().await;
    let answer: PushResponse = phone.push(&[]).await.good();
    assert_eq!((answer.last_seq, answer.head, answer.runs.len()), (1, Position(2), 0));
    let device: Json = phone.http.get(&format!("/api/v1/devices/{}", phone.device)).await.good();
    assert_eq!((&device["behind"], &device["app"]), (&json!(0), &json!("1.0")));
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

#[tokio::test]
async fn verdicts_come_with_the_push_and_stay() {
    let catalog = "roles = [\"member\"]\n[tables.team]\nrule = \"first_write_wins\"\n[tables.notes]\nrule = \"manual\"";
    let app = TestApp::build().catalog(catalog).start().await;
    let (mut ann, mut ben) = (app.phone("ann").await, app.phone("ben").await);
    let ops = [ann.put("team", "t", json!({"name": "Ann"})), ann.put("notes", "n", json!({"text": "a"}))];
    assert_eq!(ann.push_and_wait(&ops).await.outcomes, Some(vec![]), "what simply applied is not told");
    let ops = [
        ben.put("team", "t", json!({"name": "Ben"})),
        ben.put("team", "t", json!({"name": "Ben", "phone": 7})),
        ben.put("notes", "n", json!({"text": "b"})),
    ];
    let outcomes = ben.push_and_wait(&ops).await.outcomes.unwrap();
    let verdicts: Vec<_> = outcomes.iter().map(|outcome| (outcome.seq.0, outcome.verdict)).collect();
    assert_eq!(verdicts, [(1, Verdict::Superseded), (2, Verdict::Merged), (3, Verdict::Conflict)]);
    assert_eq!(outcomes[2].conflicts[0].as_str(), "6.text");
    let status: OpStatus = ben.http.get("/api/v1/sync/ops/3").await.good();
    assert_eq!((status.verdict, status.conflicts.len()), (Verdict::Conflict, 1));
    let status: Json = ann.http.get("/api/v1/sync/status").await.good();
    assert_eq!(status["open_conflicts"], 1);
    ben.http.get("/api/v1/sync/ops/4").await.refused(404, "not_found");
}

#[tokio::test]
async fn without_a_projector_a_push_that_waits_says_what_it_does_not_know() {
    let app = TestApp::build().without_projector().start().await;
    let mut phone = app.phone("phone").await;
    let op = phone.put("notes", "a", json!({}));
    let answer: PushResponse = phone.http.post("/api/v1/sync/push?wait=50", &phone.request(&[op])).await.good();
    assert_eq!(answer.folded, Some(false));
    assert_eq!(answer.outcomes.unwrap()[0].verdict, Verdict::Pending);
    let status: OpStatus = phone.http.get("/api/v1/sync/ops/1").await.good();
    assert_eq!(status.verdict, Verdict::Pending);
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

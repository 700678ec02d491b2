//! OUT-2: what a push is told: verdicts, rejections, and refusals of the whole push.

use serde_json::{Value as Json, json};
use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::ids::Position;
use tidelog_core::op::Op;
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{OpStatus, PushRequest, PushResponse};
use tidelog_testkit::TestApp;

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

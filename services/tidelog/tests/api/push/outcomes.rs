//! OUT-2: what the response to a push says: verdicts, rejected ops, and refusals of the whole push.

use serde_json::json;
use tidelog_core::cursor::{Cursor, CursorCheck};
use tidelog_core::ids::{Position, Seq};
use tidelog_core::op::Op;
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::{PushRequest, PushResponse};
use tidelog_testkit::{Reader, TestApp, assert_snapshot_of};

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
    let response = phone.push_and_wait(&ops).await;
    let codes: Vec<_> = response.rejected.iter().map(|rejected| rejected.code.as_str()).collect();
    assert_eq!(codes, ["table_unknown", "field_type", "field_null", "field_unknown", "fields_too_large"]);
    assert_snapshot_of!(app, "a_push_with_five_rejected_ops", response);
    assert_eq!(phone.pull_ops().await.len(), 1);
    assert_eq!(phone.position(), response.head, "the cursor passes the rejected ones");
    assert_snapshot_of!(app, "the_status_of_a_rejected_op", phone.op_status(2).await);
    let again = phone.push(&ops).await;
    assert_eq!((again.duplicates, again.rejected.len()), (6, 5), "the one that is too large as well");
    let owner = app.database.connect().await;
    let sql = "SELECT fields = '' FROM tidelog.log WHERE rejected <> '' ORDER BY position";
    let dropped: Vec<bool> = owner.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(dropped, [false, false, false, false, true], "an operator can readmit what was not too large");
}

#[tokio::test]
async fn a_base_past_what_was_read_is_refused() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    let op = Op { base: Some(Position(9)), ..phone.put("notes", "b", json!({})) };
    // Without a cursor the highest base allowed is the head; with one it is the cursor's position.
    let fine = Op { base: Some(Position(3)), ..op.clone() };
    let late = Op { seq: Seq(3), base: Some(Position(4)), ..op.clone() };
    let problem = phone.try_push(std::slice::from_ref(&op)).await.refused(422, "base_ahead");
    assert_eq!((problem.op_index, problem.expected), (Some(0), Some(3)));
    let problem = phone.try_push(&[fine.clone(), late.clone()]).await.refused(422, "base_ahead");
    assert_eq!((problem.op_index, problem.expected), (Some(1), Some(3)));
    phone.pull().await;
    app.phone("other").await.saves("notes", "c", json!({})).await;
    let problem = phone.try_push(&[fine, late]).await.refused(422, "base_ahead");
    assert_eq!((problem.op_index, problem.expected), (Some(1), Some(3)), "the head is 5 by now");
    let sync = json!({"cursor": phone.cursor, "ops": [Op { base: Some(Position(4)), ..op }]});
    let problem = phone.http.post("/api/v1/sync", &sync).await.refused(422, "base_ahead");
    assert_eq!((problem.op_index, problem.expected), (Some(0), Some(3)));
    phone.next_seq = 2;
    assert_eq!(phone.saves("notes", "b", json!({})).await.last_seq, 2);
}

#[tokio::test]
async fn a_cursor_of_another_log_is_noticed_by_a_push() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    let op = Op { base: None, ..phone.put("notes", "b", json!({})) };
    let request = |position, check, ops: &[Op]| PushRequest {
        cursor: Some(Cursor { position: Position(position), check: CursorCheck(check) }),
        ..phone.request(ops)
    };
    let push = async |request: PushRequest| phone.http.post("/api/v1/sync/push", &request).await;
    let ops = std::slice::from_ref(&op);
    push(request(2, 7, ops)).await.refused(409, "cursor_diverged");
    push(request(99, 7, ops)).await.refused(409, "cursor_ahead");
    push(request(2, 7, &[])).await.refused(409, "cursor_diverged");
}

#[tokio::test]
async fn an_empty_push_only_acknowledges() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "a", json!({})).await;
    phone.pull().await;
    let response = phone.push(&[]).await;
    assert_eq!((response.last_seq, response.head, response.runs.as_slice()), (1, Position(3), &[][..]));
    let device = phone.device(phone.device).await;
    assert_eq!((device.behind, device.app.as_deref()), (0, Some("1.0")));
}

#[tokio::test]
async fn verdicts_come_with_the_push_and_stay() {
    let catalog = "roles = [\"member\"]\n[tables.team]\nrule = \"first_write_wins\"\n[tables.notes]\nrule = \"manual\"";
    let app = TestApp::build().catalog(catalog).start().await;
    let (mut ann, mut ben) = (app.phone("ann").await, app.phone("ben").await);
    let ops = [ann.put("team", "t", json!({"name": "Ann"})), ann.put("notes", "n", json!({"text": "a"}))];
    assert_eq!(ann.push_and_wait(&ops).await.outcomes, Some(vec![]), "an op that simply applied is left out");
    let ops = [
        ben.put("team", "t", json!({"name": "Ben"})),
        ben.put("team", "t", json!({"name": "Ben", "phone": 7})),
        ben.put("notes", "n", json!({"text": "b"})),
    ];
    let response = ben.push_and_wait(&ops).await;
    let verdicts: Vec<_> = response.outcomes.iter().flatten().map(|outcome| outcome.verdict).collect();
    assert_eq!(verdicts, [Verdict::Superseded, Verdict::Merged, Verdict::Conflict]);
    let status = ben.op_status(3).await;
    assert_eq!((status.verdict, status.conflicts.len()), (Verdict::Conflict, 1));
    assert_eq!(ann.status().await.open_conflicts, 1);
    ben.http.get("/api/v1/sync/ops/4").await.refused(404, "not_found");
    assert_snapshot_of!(app, response);
}

#[tokio::test]
async fn without_a_projector_a_push_that_waits_says_what_it_does_not_know() {
    let app = TestApp::build().without_projector().start().await;
    let mut phone = app.phone("phone").await;
    let op = phone.put("notes", "a", json!({}));
    let response: PushResponse = phone.http.post("/api/v1/sync/push?wait=50", &phone.request(&[op])).await.good();
    assert_eq!(response.folded, Some(false));
    assert_eq!(response.outcomes.unwrap()[0].verdict, Verdict::Pending);
    assert_eq!(phone.op_status(1).await.verdict, Verdict::Pending);
}

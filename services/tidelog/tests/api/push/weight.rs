//! How heavy a push may be: its fields together, so that no page of a pull is too large for a phone.

use reqwest::Method;
use serde_json::{Value as Json, json};
use tidelog_core::ids::{Position, Scope};
use tidelog_core::op::Op;
use tidelog_core::wire::{PullResponse, PushResponse, SyncResponse};
use tidelog_postgres::{AppendBatch, AppendStatus, JudgedOp};
use tidelog_testkit::{Phone, Reader, Response, TestApp};

const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Sends ops compressed, since so many bytes of them may be sent only that way.
async fn send(phone: &Phone, path: &str, ops: &[Op]) -> Response {
    let body = zstd::encode_all(serde_json::to_vec(&json!({"ops": ops})).unwrap().as_slice(), 1).unwrap();
    let request = phone.http.request(Method::POST, path).header("content-encoding", "zstd");
    phone.http.send(request.header("content-type", "application/json").body(body)).await.unwrap()
}

/// Puts of so many bytes of text.
fn puts(phone: &mut Phone, count: usize, bytes: usize) -> Vec<Op> {
    (0..count).map(|number| phone.put("notes", &format!("n{number}"), json!({"text": "x".repeat(bytes)}))).collect()
}

fn weight(ops: &[Op]) -> usize {
    ops.iter().filter_map(|op| op.intent.fields()).map(|fields| fields.as_bytes().len()).sum()
}

#[tokio::test]
async fn a_push_with_heavy_fields_is_refused_with_the_limit() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let status: Json = phone.http.get("/api/v1/sync/status").await.good();
    assert_eq!(status["limits"]["batch_bytes"], BATCH_BYTES);
    // 16 ops of 256 KiB weigh as much as a push may.
    let head_bytes = weight(&puts(&mut phone, 1, 100_000)) - 100_000;
    phone.next_seq = 1;
    let ops = puts(&mut phone, 17, 256 * 1024 - head_bytes);
    assert_eq!(weight(&ops[..16]), BATCH_BYTES);
    for path in ["/api/v1/sync/push", "/api/v1/sync"] {
        assert_eq!(send(&phone, path, &ops).await.refused(413, "batch_too_large").limit, Some(BATCH_BYTES as i64));
    }
    let stored: PushResponse = send(&phone, "/api/v1/sync/push", &ops[..16]).await.good();
    assert_eq!((stored.last_seq, stored.rejected.len()), (16, 0));
    let stored: SyncResponse = send(&phone, "/api/v1/sync", &ops[16..]).await.good();
    assert_eq!(stored.push.last_seq, 17);
}

/// They are not stored, so they are in no page. A device whose op was refused with its push could never go on.
#[tokio::test]
async fn fields_that_are_too_large_to_be_stored_do_not_weigh() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    let mut ops = puts(&mut phone, 3, 5_000_000);
    ops.push(phone.put("notes", "light", json!({"text": "kept"})));
    let stored: PushResponse = send(&phone, "/api/v1/sync/push", &ops).await.good();
    let codes: Vec<_> = stored.rejected.iter().map(|rejected| rejected.code.as_str()).collect();
    assert_eq!((stored.last_seq, codes), (4, vec!["fields_too_large"; 3]));
}

#[tokio::test]
async fn a_log_with_heavier_batches_stays_readable() {
    let app = TestApp::start().await;
    let mut phone = app.phone("phone").await;
    phone.saves("notes", "first", json!({})).await;
    let role = phone.pull_ops().await[0].role.clone();
    let ops = puts(&mut phone, 60, 200_000);
    let device = phone.device;
    let judged = ops.iter().map(|op| JudgedOp {
        op: Op { scope: Scope::everyone(), ..op.clone() },
        base: Position::START,
        digest: op.digest(device),
        rejected: None,
    });
    let batch = AppendBatch { device, role, cursor: None, ops: judged.collect() };
    let catalog = app.store().catalog_in_force().await.unwrap().unwrap().version;
    let appended = app.store().append(app.now(), catalog, &[(app.workspace, &batch)]).await.unwrap().remove(0);
    assert!(matches!(appended.status, AppendStatus::Appended { .. }), "{:?}", appended.status);
    // A retry of the whole push is too heavy now; in parts it is known.
    send(&phone, "/api/v1/sync/push", &ops).await.refused(413, "batch_too_large");
    let part: PushResponse = send(&phone, "/api/v1/sync/push", &ops[..20]).await.good();
    assert_eq!(part.duplicates, 20);
    let after = phone.cursor.unwrap();
    let page: PullResponse = phone.http.get(&format!("/api/v1/sync/pull?after={after}&limit=1")).await.good();
    assert_eq!((page.events.len(), page.more), (60, false), "a batch is never split");
    app.folded().await;
    assert_eq!(phone.records().await.len(), 61);
}

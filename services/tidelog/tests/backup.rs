//! A drill: a backup while devices push, a restore elsewhere, and devices that go on with what the backup lacks.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value as Json, json};
use tidelog_core::op::Op;
use tidelog_core::wire::PushResponse;
use tidelog_testkit::{Phone, Serving, tidelog_command};

const TIDELOG: &str = env!("CARGO_BIN_EXE_tidelog");

fn run(data_dir: &Path, args: &[&str]) -> Output {
    tidelog_command(TIDELOG, data_dir).args(args).output().unwrap()
}

#[track_caller]
fn good(data_dir: &Path, args: &[&str]) -> String {
    let output = run(data_dir, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn bad(data_dir: &Path, args: &[&str]) -> String {
    let output = run(data_dir, args);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

fn dir(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::Builder::new().prefix("tidelog-backup-").tempdir().unwrap();
    let path = dir.path().join(name);
    (dir, path)
}

/// A phone that keeps all of its ops.
struct Keeper {
    phone: Phone,
    ops: Vec<Op>,
}

impl Keeper {
    async fn saves(&mut self) {
        let seq = self.phone.next_seq;
        let op = self.phone.put("notes", &format!("n{}", seq % 20), json!({"seq": seq}));
        self.phone.push(std::slice::from_ref(&op)).await;
        self.ops.push(op);
    }

    /// Starts from scratch, and pushes again what the log lacks.
    async fn recovers(&mut self) -> PushResponse {
        self.phone.cursor = None;
        self.phone.pull().await;
        let next = self.phone.put("notes", "after", json!({"seq": 0}));
        let refused = self.phone.try_push(std::slice::from_ref(&next)).await;
        let expected = refused.refused(409, "seq_gap").expected.unwrap();
        self.ops.push(next);
        // What the device knew then may be ahead of the restored log.
        let head = self.phone.position();
        for op in &mut self.ops {
            op.base = op.base.map(|base| base.min(head));
        }
        self.phone.push(&self.ops[usize::try_from(expected - 1).unwrap()..]).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_restored_and_devices_go_on() {
    let (_first, first) = dir("first");
    let server = Serving::start(TIDELOG, &first, &[]);
    let created: Json = serde_json::from_str(&good(&first, &["workspace", "create", "w", "--json"])).unwrap();
    let phone = Phone::register(server.address(), created["keys"]["member"].as_str().unwrap(), "phone").await;
    let mut keeper = Keeper { phone, ops: Vec::new() };
    let backed_up = Arc::new(AtomicBool::new(false));
    let pushing = tokio::spawn({
        let backed_up = Arc::clone(&backed_up);
        async move {
            while !backed_up.load(Ordering::Relaxed) {
                keeper.saves().await;
            }
            for _ in 0..10 {
                keeper.saves().await;
            }
            keeper
        }
    });
    let (_backups, backup) = dir("backup");
    let (source, target) = (first.clone(), backup.clone());
    let made = tokio::task::spawn_blocking(move || good(&source, &["backup", target.to_str().unwrap()])).await.unwrap();
    assert!(made.contains("checked"), "{made}");
    backed_up.store(true, Ordering::Relaxed);
    let mut keeper = pushing.await.unwrap();
    let acknowledged = keeper.phone.next_seq - 1;
    server.stop();

    let (_second, second) = dir("second");
    let restored = good(&second, &["restore", backup.to_str().unwrap()]);
    assert!(restored.contains("verify"), "{restored}");
    good(&second, &["verify"]);
    let server = Serving::start(TIDELOG, &second, &[]);
    keeper.phone = keeper.phone.by_way_of(server.address());
    let pushed = keeper.recovers().await;
    assert_eq!(pushed.last_seq, acknowledged + 1);
    keeper.phone.cursor = None;
    let seqs: Vec<_> = keeper.phone.pull_ops().await.iter().map(|event| event.seq.0).collect();
    assert_eq!(seqs, (1..=acknowledged + 1).collect::<Vec<_>>(), "each op once, none missing");
    server.stop();
    good(&second, &["verify"]);
}

#[test]
fn a_damaged_backup_is_refused_and_nothing_is_overwritten() {
    let (_first, first) = dir("first");
    Serving::start(TIDELOG, &first, &[]).stop();
    let (_backups, backup) = dir("backup");
    let backup_arg = backup.to_str().unwrap();
    good(&first, &["backup", backup_arg]);
    let message = bad(&first, &["backup", backup_arg]);
    assert!(message.contains("never overwritten"), "{message}");
    let message = bad(&first, &["restore", backup_arg]);
    assert!(message.contains("never overwritten"), "{message}");

    let control = backup.join("postgres/global/pg_control");
    let mut bytes = std::fs::read(&control).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&control, bytes).unwrap();
    let (_second, second) = dir("second");
    let message = bad(&second, &["restore", backup_arg]);
    assert!(message.contains("pg_control") && message.contains("check"), "{message}");
    assert!(!second.join("postgres").exists());
    let message = bad(&second, &["restore", second.join("nowhere").to_str().unwrap()]);
    assert!(message.contains("does not exist"), "{message}");
}

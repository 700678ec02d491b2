//! The embedded Postgres dies under a running server, as when the kernel runs out of memory: the server ends as well, says
//! why, and the next server recovers.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};
use tidelog_testkit::{Phone, Serving, tidelog_command};

const TIDELOG: &str = env!("CARGO_BIN_EXE_tidelog");

fn data_dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("tidelog-postgres-dies-").tempdir().unwrap()
}

fn key_of_new_workspace(data_dir: &Path) -> String {
    let output = tidelog_command(TIDELOG, data_dir).args(["workspace", "create", "w", "--json"]).output().unwrap();
    let created: Json = serde_json::from_slice(&output.stdout).unwrap();
    created["keys"]["member"].as_str().unwrap().to_owned()
}

fn end_postgres(data_dir: &Path, signal: Signal) {
    let file = std::fs::read_to_string(data_dir.join("postgres/postmaster.pid")).unwrap();
    kill(Pid::from_raw(file.lines().next().unwrap().parse().unwrap()), signal).unwrap();
}

/// The line that says why the server failed. It is the last line of the log, and there is no other one.
#[track_caller]
fn reason(log: &str) -> &str {
    let reasons: Vec<_> = log.lines().filter(|line| line.starts_with("tidelog: ")).collect();
    assert_eq!(reasons.len(), 1, "{log}");
    assert_eq!(log.lines().last(), Some(reasons[0]), "{log}");
    let errors = log.lines().filter(|line| line.contains("the embedded Postgres is gone"));
    assert_eq!(errors.count(), 1, "{log}");
    reasons[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_postgres_is_killed_ends_and_the_next_one_recovers() {
    let dir = data_dir();
    let server = Serving::start(TIDELOG, dir.path(), &[]);
    let mut phone = Phone::register(server.address(), &key_of_new_workspace(dir.path()), "phone").await;
    for number in 0..3 {
        phone.saves("notes", &format!("n{number}"), json!({"n": number})).await;
    }
    let before = phone.pull().await.len();
    end_postgres(dir.path(), Signal::SIGKILL);
    let log = tokio::task::spawn_blocking(|| server.wait_failed()).await.unwrap();
    let reason = reason(&log);
    assert!(reason.contains("SIGKILL") && reason.contains("postgres.log"), "{reason}");

    let server = Serving::start(TIDELOG, dir.path(), &[]);
    let mut phone = Phone { cursor: None, ..phone.by_way_of(server.address()) };
    phone.saves("notes", "n3", json!({"n": 3})).await;
    assert_eq!(phone.pull().await.len(), before + 1, "what was acknowledged is there, and the server works");
    server.stop();
}

#[test]
fn an_orderly_stop_of_postgres_fails_the_server_as_well() {
    let dir = data_dir();
    let server = Serving::start(TIDELOG, dir.path(), &[]);
    // What `pg_ctl stop` does.
    end_postgres(dir.path(), Signal::SIGINT);
    let log = server.wait_failed();
    assert!(reason(&log).contains("Postgres ended by itself, exit status: 0"), "{log}");
    Serving::start(TIDELOG, dir.path(), &[]).stop();
}

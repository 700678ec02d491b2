//! Postgres stalls under a running server, as on a disk that hangs: health and metrics go on, and say what is wrong.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};
use tidelog_testkit::{Http, Phone, Serving, tidelog_command};
use tokio::time::{Instant, sleep, timeout};

const TIDELOG: &str = env!("CARGO_BIN_EXE_tidelog");
/// Far more than health may take, and far less than a stalled database does.
const SOON: Duration = Duration::from_secs(5);

/// Postgres and all of its processes.
fn postgres(data_dir: &Path) -> Vec<Pid> {
    let file = std::fs::read_to_string(data_dir.join("postgres/postmaster.pid")).unwrap();
    let postmaster = file.lines().next().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap();
    let pids = std::iter::once(postmaster).chain(children.split_whitespace());
    pids.map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}

fn signal(pids: &[Pid], signal: Signal) {
    for pid in pids {
        // A process of Postgres may have ended since.
        let _ = kill(*pid, signal);
    }
}

async fn ready(http: &Http) -> (u16, Json) {
    let response = timeout(SOON, http.get("/health/ready")).await.unwrap();
    (response.status.as_u16(), serde_json::from_slice(&response.body).unwrap())
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_postgres_stalls_says_so_at_once_and_is_ready_when_it_goes_on() {
    let dir = tempfile::Builder::new().prefix("tidelog-postgres-stalls-").tempdir().unwrap();
    let server = Serving::start(TIDELOG, dir.path(), &[]);
    let created = tidelog_command(TIDELOG, dir.path()).args(["workspace", "create", "w", "--json"]).output().unwrap();
    let created: Json = serde_json::from_slice(&created.stdout).unwrap();
    let mut phone = Phone::register(server.address(), created["keys"]["member"].as_str().unwrap(), "phone").await;
    phone.saves("notes", "a", json!({})).await;
    let http = Http::new(server.address(), "");
    assert_eq!(ready(&http).await.0, 200);

    let stalled = postgres(dir.path());
    signal(&stalled, Signal::SIGSTOP);
    for _ in 0..3 {
        let (status, said) = ready(&http).await;
        assert_eq!((status, &said["status"]), (503, &json!("unready")), "{said}");
        assert_eq!(said["checks"]["database"]["status"], "failing", "{said}");
        let metrics = timeout(SOON, http.get("/metrics")).await.unwrap();
        assert_eq!(metrics.status, 200);
    }
    assert_eq!(http.get("/health/live").await.status, 200);

    signal(&stalled, Signal::SIGCONT);
    let deadline = Instant::now() + Duration::from_secs(30);
    while ready(&http).await.0 != 200 {
        assert!(Instant::now() < deadline, "it does not come back: {}", ready(&http).await.1);
        sleep(Duration::from_millis(50)).await;
    }
    phone.saves("notes", "b", json!({})).await;
    tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
}

//! Starts real Postgres servers: their durability, their privacy, and that they never outlive their parent.
//!
//! `TIDELOG_PG_BIN` names the directory of the Postgres programs to test with.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tidelog_embedded::{Cluster, ClusterConfig, Durability, EmbeddedError};
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// Set in the process in which `helper_process` starts a cluster; its value is the data directory.
const HELPER: &str = "TIDELOG_TEST_HELPER_DATA_DIR";

/// A temporary directory that Postgres' OS user may enter.
fn open_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    dir
}

fn config(data_dir: &Path, durability: Durability) -> ClusterConfig {
    let pg_bin = std::env::var_os("TIDELOG_PG_BIN").map(PathBuf::from);
    ClusterConfig { data_dir: data_dir.to_owned(), pg_bin, durability, max_connections: 20 }
}

/// Starts a cluster, for tests that do not crash it.
fn start(data_dir: &Path) -> Cluster {
    Cluster::start(&config(data_dir, Durability::None)).unwrap()
}

fn refusal(config: &ClusterConfig) -> String {
    let message = Cluster::start(config).unwrap_err().to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

/// The first column of what the statements return.
async fn query(cluster: &Cluster, sql: &str) -> Vec<String> {
    let (client, connection) = tokio_postgres::connect(&cluster.url("postgres"), NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let messages = client.simple_query(sql).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap().to_owned()),
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited too long: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Whether a process has ended. A zombie counts, since its new parent need not reap it.
fn is_gone(pid: u32) -> bool {
    let zombie = fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    zombie || kill(Pid::from_raw(pid.cast_signed()), None).is_err()
}

/// Runs this test program as another process, in which `helper_process` starts a cluster.
fn spawn_helper(data_dir: &Path) -> Child {
    let mut helper = Command::new(std::env::current_exe().unwrap());
    helper.args(["helper_process", "--exact", "--nocapture"]).env(HELPER, data_dir);
    helper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn kill_dead(mut helper: Child) {
    helper.kill().unwrap();
    helper.wait().unwrap();
}

/// Not a test by itself: other tests run it as another process, and kill that.
#[test]
fn helper_process() {
    let Some(data_dir) = std::env::var_os(HELPER) else { return };
    let cluster = start(Path::new(&data_dir));
    writeln!(std::io::stdout(), "\nserver {}", cluster.pid()).unwrap();
    // Ends when this process is killed, or the test that started it.
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[tokio::test]
async fn a_stop_and_a_start_keep_the_data() {
    let dir = open_dir();
    let cluster = start(dir.path());
    query(&cluster, "CREATE TABLE kept (id int); INSERT INTO kept VALUES (42)").await;
    let pid = cluster.pid();
    cluster.stop().unwrap();
    assert!(is_gone(pid));

    let cluster = start(dir.path());
    assert_eq!(query(&cluster, "SELECT id FROM kept").await, ["42"]);
    let pid = cluster.pid();
    drop(cluster);
    assert!(is_gone(pid), "a drop stops it too");
    assert!(!dir.path().join("postgres/postmaster.pid").exists(), "and stops it in order");
}

#[tokio::test]
async fn durable_means_durable_and_no_tcp() {
    let dir = open_dir();
    let cluster = Cluster::start(&config(dir.path(), Durability::Full)).unwrap();
    let shows =
        ["fsync", "synchronous_commit", "full_page_writes", "data_checksums"].map(|name| format!("SHOW {name}"));
    assert_eq!(query(&cluster, &shows.join(";")).await, ["on", "on", "on", "on"]);
    let shows = "SHOW listen_addresses; SHOW max_connections; SHOW server_encoding; SHOW unix_socket_permissions";
    assert_eq!(query(&cluster, shows).await, ["", "20", "UTF8", "0700"]);
    assert_eq!(query(&cluster, "SELECT current_user || ' ' || usesuper FROM pg_user").await, ["tidelog true"]);

    // The server is killed, so that only what is on disk is left.
    query(&cluster, "CREATE TABLE kept (id int); INSERT INTO kept VALUES (42)").await;
    kill(Pid::from_raw(cluster.pid().cast_signed()), Signal::SIGKILL).unwrap();
    let ended = cluster.stop().unwrap_err();
    assert!(matches!(ended, EmbeddedError::Exited { .. }), "{ended}");
    let cluster = Cluster::start(&config(dir.path(), Durability::Full)).unwrap();
    assert_eq!(query(&cluster, "SELECT id FROM kept").await, ["42"]);
    cluster.stop().unwrap();
}

#[test]
fn only_its_own_os_user_may_enter() {
    let dir = open_dir();
    let cluster = start(dir.path());
    assert_eq!(cluster.socket_dir(), dir.path().canonicalize().unwrap().join("socket"));
    let owner = fs::metadata(format!("/proc/{}", cluster.pid())).ok().map(|process| process.uid());
    for private in [cluster.socket_dir(), &dir.path().join("postgres")] {
        let private = fs::metadata(private).unwrap();
        assert_eq!(private.mode() & 0o777, 0o700);
        assert!(owner.is_none_or(|owner| owner == private.uid()));
    }
    assert!(owner.is_none_or(|owner| owner != 0), "never as root");
    assert_eq!(fs::metadata(dir.path()).unwrap().uid(), nix::unistd::geteuid().as_raw(), "the rest stays ours");
}

#[test]
fn it_ends_when_its_parent_is_killed() {
    let dir = open_dir();
    let mut helper = spawn_helper(dir.path());
    let lines = BufReader::new(helper.stdout.take().unwrap()).lines().map(Result::unwrap);
    let pid = lines.filter_map(|line| line.strip_prefix("server ")?.parse().ok()).next().unwrap();
    assert!(!is_gone(pid));
    kill_dead(helper);
    wait_until("the server of a killed parent to end", || is_gone(pid));
    assert!(!dir.path().join("postgres/postmaster.pid").exists(), "it stopped in order");
    start(dir.path()).stop().unwrap();
}

#[tokio::test]
async fn it_outlives_the_thread_that_started_it() {
    let dir = open_dir();
    let path = dir.path().to_owned();
    let cluster = std::thread::spawn(move || start(&path)).join().unwrap();
    // If the server had been told to stop, the query would fail.
    assert_eq!(query(&cluster, "SELECT 1 FROM pg_sleep(0.3)").await, ["1"]);
    cluster.stop().unwrap();
}

#[test]
fn a_parent_killed_during_initdb_leaves_no_unfinished_cluster() {
    let dir = open_dir();
    let helper = spawn_helper(dir.path());
    wait_until("initdb to write", || dir.path().join("postgres.new/PG_VERSION").exists());
    kill_dead(helper);
    start(dir.path()).stop().unwrap();
    assert!(!dir.path().join("postgres.new").exists());
}

#[test]
fn an_unfinished_cluster_is_created_again() {
    let dir = open_dir();
    fs::create_dir_all(dir.path().join("postgres.new/base/1")).unwrap();
    fs::write(dir.path().join("postgres.new/PG_VERSION"), "15\n").unwrap();
    start(dir.path()).stop().unwrap();
    assert!(!dir.path().join("postgres.new").exists());
}

#[test]
fn a_cluster_of_a_missing_version_is_refused() {
    let dir = open_dir();
    fs::create_dir(dir.path().join("postgres")).unwrap();
    fs::write(dir.path().join("postgres/PG_VERSION"), "12\n").unwrap();
    let refusal = refusal(&config(dir.path(), Durability::None));
    assert!(refusal.contains("created by Postgres 12") && refusal.contains("install Postgres 12"), "{refusal}");
}

#[test]
fn a_directory_of_something_else_is_refused() {
    let dir = open_dir();
    fs::create_dir(dir.path().join("postgres")).unwrap();
    fs::write(dir.path().join("postgres/notes.txt"), "mine").unwrap();
    let message = refusal(&config(dir.path(), Durability::None));
    assert!(message.contains("no Postgres cluster"), "{message}");
    assert_eq!(fs::read_to_string(dir.path().join("postgres/notes.txt")).unwrap(), "mine");
}

#[test]
fn a_second_server_is_refused_and_the_first_stays() {
    let dir = open_dir();
    let cluster = start(dir.path());
    let message = refusal(&config(dir.path(), Durability::None));
    let holder = format!("(pid {})", std::process::id());
    assert!(message.contains("already runs") && message.contains(&holder), "{message}");
    cluster.stop().unwrap();
}

#[tokio::test]
async fn a_copied_directory_has_a_server_of_its_own_beside_the_original() {
    let (dir, copies) = (open_dir(), open_dir());
    let original = start(dir.path());
    query(&original, "CREATE TABLE kept AS SELECT 7 AS n").await;
    // After the commit, so that the files have all of it.
    query(&original, "CHECKPOINT").await;
    let copy = copies.path().join("copy");
    assert!(Command::new("cp").arg("-a").args([dir.path(), &copy]).status().unwrap().success());
    assert!(Cluster::attach(&copy).unwrap().is_none(), "it is the server of the original");
    let copied = start(&copy);
    assert_eq!(query(&copied, "SELECT n FROM kept").await, ["7"]);
    copied.stop().unwrap();
    assert_eq!(query(&original, "SELECT n FROM kept").await, ["7"]);
    original.stop().unwrap();
}

#[tokio::test]
async fn a_running_cluster_is_backed_up_and_restored_with_what_it_has_committed() {
    let (dir, others) = (open_dir(), open_dir());
    let (backup, target) = (others.path().join("backup"), others.path().join("target"));
    let pg_bin = config(dir.path(), Durability::None).pg_bin;
    let cluster = start(dir.path());
    query(&cluster, "CREATE TABLE kept AS SELECT 7 AS n").await;
    assert!(tidelog_embedded::backup(&cluster.url("postgres"), pg_bin.as_deref(), &backup).unwrap() > 0);
    cluster.stop().unwrap();
    assert!(!backup.join("postgres.new").exists());
    tidelog_embedded::restore(&backup, pg_bin.as_deref(), &target).unwrap();
    let restored = start(&target);
    assert_eq!(query(&restored, "SELECT n FROM kept").await, ["7"]);
    restored.stop().unwrap();
}

#[test]
fn a_pid_that_another_program_has_got_does_not_stop_a_start() {
    let dir = open_dir();
    start(dir.path()).stop().unwrap();
    // Process 1 runs always. Postgres by itself would refuse to start.
    let stale =
        format!("1\n{}\n1795172419\n5432\n/nowhere\n\n  1234567  4\nready   \n", dir.path().join("postgres").display());
    fs::write(dir.path().join("postgres/postmaster.pid"), stale).unwrap();
    start(dir.path()).stop().unwrap();
}

#[test]
fn a_server_that_ends_at_once_says_why() {
    let dir = open_dir();
    start(dir.path()).stop().unwrap();
    let settings = dir.path().join("postgres/postgresql.auto.conf");
    fs::write(&settings, "no_such_setting = 1\n").unwrap();
    let message = refusal(&config(dir.path(), Durability::None));
    assert!(message.contains("no_such_setting") && message.contains("postgres.log"), "{message}");
}

#[tokio::test]
async fn attach_finds_a_running_server_and_leaves_it_running() {
    let dir = open_dir();
    assert!(Cluster::attach(&dir.path().join("absent")).unwrap().is_none());
    assert!(Cluster::attach(dir.path()).unwrap().is_none());
    let cluster = start(dir.path());
    let attached = Cluster::attach(dir.path()).unwrap().unwrap();
    assert_eq!((attached.pid(), attached.url("a b")), (cluster.pid(), cluster.url("a b")));
    drop(attached);
    Cluster::attach(dir.path()).unwrap().unwrap().stop().unwrap();
    assert_eq!(query(&cluster, "SELECT 1").await, ["1"]);

    // Others who could write to the socket's directory could pose as the server.
    fs::set_permissions(cluster.socket_dir(), Permissions::from_mode(0o755)).unwrap();
    let message = Cluster::attach(dir.path()).unwrap_err().to_string();
    assert!(message.contains("0700") && !message.contains('\n'), "{message}");
    cluster.stop().unwrap();
    assert!(Cluster::attach(dir.path()).unwrap().is_none());
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_works() {
    let dir = open_dir();
    let data_dir = dir.path().join("long".repeat(25)).join("and, with \"odd\" characters");
    for _ in 0..2 {
        let cluster = start(&data_dir);
        assert!(!cluster.socket_dir().starts_with(dir.path().canonicalize().unwrap()));
        assert_eq!(fs::metadata(cluster.socket_dir()).unwrap().mode() & 0o777, 0o700);
        let attached = Cluster::attach(&data_dir).unwrap().unwrap();
        assert_eq!(query(&attached, "SELECT 1").await, ["1"]);
        let socket_dir = cluster.socket_dir().to_owned();
        cluster.stop().unwrap();
        assert!(!socket_dir.exists() && !data_dir.join("socket.path").exists());
    }
}

/// As in a directory below root's home: the OS user that runs Postgres cannot reach it by any path.
#[tokio::test]
async fn root_needs_to_open_no_directory_to_others() {
    if !nix::unistd::geteuid().is_root() || !cfg!(target_os = "linux") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    let data_dir = dir.path().join("data");
    for durability in [Durability::Full, Durability::None] {
        let cluster = Cluster::start(&config(&data_dir, durability)).unwrap();
        query(&cluster, "CREATE DATABASE other").await;
        query(&cluster, "DROP DATABASE other").await;
        assert_eq!(Cluster::attach(&data_dir).unwrap().unwrap().pid(), cluster.pid());
        cluster.stop().unwrap();
    }
    assert_eq!(fs::metadata(dir.path()).unwrap().mode() & 0o777, 0o700);
}

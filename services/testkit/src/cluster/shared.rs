//! One Postgres for a whole run of cargo-nextest. It runs each test in a process of its own, and a cluster for each of them
//! would take most of the time.
//!
//! The setup script of `.config/nextest.toml` starts this as the example `shared_cluster`. That starts itself again as the
//! keeper, which runs Postgres until nextest has ended, and tells nextest the directory for the environment of the tests.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::kill;
use nix::unistd::{Pid, getppid};

use super::{PREFIX, start_in, sweep};

/// The environment variable with the directory of the shared cluster.
pub(super) const DIR_VARIABLE: &str = "TIDELOG_TEST_CLUSTER_DIR";

/// The environment variable with the file to which a setup script writes variables for the tests.
const NEXTEST_ENV_VARIABLE: &str = "NEXTEST_ENV";

const START_TIME_MAX: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The program of the setup script and, with arguments, of the keeper.
///
/// # Panics
///
/// If it is not started by cargo-nextest, or if Postgres does not start.
pub fn serve_nextest() {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    match args.as_slice() {
        [dir, nextest] => keep(Path::new(dir), nextest),
        _ => start_keeper(),
    }
}

#[expect(clippy::zombie_processes, reason = "the keeper goes on when this program has ended")]
fn start_keeper() {
    let variables = std::env::var_os(NEXTEST_ENV_VARIABLE).expect("cargo-nextest runs this as a setup script");
    sweep(&std::env::temp_dir());
    let nextest = getppid().to_string();
    let dir = tempfile::Builder::new().prefix(&format!("{PREFIX}{nextest}-")).tempdir();
    let dir = dir.expect("a temporary directory").keep();
    let log = File::create(dir.join("keeper.log")).expect("a log file");
    let mut keeper = Command::new(std::env::current_exe().expect("the path of this program"));
    // In a group of its own, so that no signal to the script's group reaches it.
    keeper.arg(&dir).arg(nextest).process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut keeper = keeper.spawn().expect("the keeper starts");
    let began = Instant::now();
    while !ready_file(&dir).exists() {
        let has_ended = keeper.try_wait().expect("the keeper's status").is_some();
        let log = || fs::read_to_string(dir.join("keeper.log")).unwrap_or_default();
        assert!(!has_ended && began.elapsed() < START_TIME_MAX, "no shared Postgres: {}", log());
        std::thread::park_timeout(POLL_INTERVAL);
    }
    let mut variables = OpenOptions::new().append(true).open(variables).expect("nextest's file of variables");
    writeln!(variables, "{DIR_VARIABLE}={}", data_dir(&dir).display()).expect("the variable is written");
}

fn keep(dir: &Path, nextest: &OsStr) {
    let nextest = nextest.to_str().and_then(|pid| pid.parse().ok()).expect("the pid of nextest");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cluster = runtime.block_on(start_in(data_dir(dir)));
    File::create(ready_file(dir)).expect("the file that says so");
    while kill(Pid::from_raw(nextest), None).is_ok() {
        std::thread::park_timeout(POLL_INTERVAL);
    }
    drop(cluster);
    let _ = fs::remove_dir_all(dir);
}

fn data_dir(dir: &Path) -> PathBuf {
    dir.join("data")
}

fn ready_file(dir: &Path) -> PathBuf {
    dir.join("ready")
}

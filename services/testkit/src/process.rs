//! The real binary in a process of its own, with an embedded Postgres: for what only a process can show.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a server may take to end by itself. It gives its connections time to finish, and the machine may be busy.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(60);

/// A `tidelog` command that no environment variable of the caller changes.
pub fn tidelog_command(binary: &str, data_dir: &Path) -> Command {
    let mut command = Command::new(binary);
    // All but the Postgres programs that the caller tests with.
    let own = |name: &str| name == "DATABASE_URL" || (name.starts_with("TIDELOG_") && name != "TIDELOG_PG_BIN");
    for (variable, _) in std::env::vars().filter(|(name, _)| own(name)) {
        command.env_remove(variable);
    }
    command.env("TIDELOG_DATA_DIR", data_dir).stdin(Stdio::null());
    command
}

/// A running server process. It is killed when dropped.
pub struct Serving {
    /// The lines that it has printed so far.
    pub lines: Vec<String>,
    /// The base URL on which it listens.
    pub url: String,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Serving {
    /// Starts `tidelog serve` and waits until it listens: on a free port, unless the arguments say where.
    pub fn start(binary: &str, data_dir: &Path, args: &[&str]) -> Self {
        let mut command = tidelog_command(binary, data_dir);
        command.arg("serve").args(args);
        if !args.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the server starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut serving = Self { lines: Vec::new(), url: String::new(), child, stdout };
        let line = serving.read_to("listening on ");
        line.trim_start_matches("listening on ").clone_into(&mut serving.url);
        serving
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.url.trim_start_matches("http://").parse().expect("an address")
    }

    /// Reads lines until one starts with `start`, and returns that one.
    pub fn read_to(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            if self.stdout.read_line(&mut line).expect("stdout is UTF-8") == 0 {
                let log = self.read_log();
                panic!("the server ended without a line {start:?}: {:?} {log}", self.lines);
            }
            self.lines.push(line.trim_end().to_owned());
            if line.starts_with(start) {
                return line.trim_end().to_owned();
            }
        }
    }

    fn read_log(&mut self) -> String {
        let mut log = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut log).expect("the log is UTF-8");
        }
        log
    }

    /// Asks the server to shut down, asserts that it exits with success, and returns its log.
    pub fn stop(mut self) -> String {
        kill(Pid::from_raw(self.child.id().try_into().expect("a pid")), Signal::SIGTERM).expect("the server runs");
        let log = self.read_log();
        assert!(self.child.wait().expect("an exit status").success(), "{log}");
        log
    }

    /// Waits until the server has ended by itself, asserts that its exit status is a failure, and returns its log.
    pub fn wait_failed(mut self) -> String {
        let mut stderr = self.child.stderr.take().expect("stderr is piped");
        // The log is read while the server runs: one whose log is not read would block on it.
        let reading = std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).expect("the log is UTF-8");
            log
        });
        let began = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("an exit status") {
                Some(status) => break status,
                None if began.elapsed() > SHUTDOWN_TIME_MAX => {
                    let _ = self.child.kill();
                    panic!("the server does not end: {}", reading.join().expect("the log is read"));
                }
                None => std::thread::park_timeout(Duration::from_millis(5)),
            }
        };
        let log = reading.join().expect("the log is read");
        assert!(!status.success(), "{log}");
        log
    }

    /// Kills the server with SIGKILL. Its Postgres ends with it.
    pub fn kill(mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("an exit status");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

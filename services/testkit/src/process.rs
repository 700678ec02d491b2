//! The real binary as a process of its own, with an embedded Postgres: for what only a process can show.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a server may take to end by itself: its connections have their time, and a machine under load has more to do.
const END_TIME_MAX: Duration = Duration::from_secs(60);

/// A command of its own environment, whatever the caller's is.
pub fn tidelog_command(binary: &str, data_dir: &Path) -> Command {
    let mut command = Command::new(binary);
    for variable in ["DATABASE_URL", "TIDELOG_LISTEN", "TIDELOG_LOG", "TIDELOG_LOG_FORMAT"] {
        command.env_remove(variable);
    }
    command.env("TIDELOG_DATA_DIR", data_dir).stdin(Stdio::null());
    command
}

/// A server that is ready, and the lines it printed until then. Killed when dropped.
pub struct Serving {
    /// What it printed so far.
    pub lines: Vec<String>,
    /// Where it listens, as `http://address`.
    pub url: String,
    child: Child,
    rest: BufReader<ChildStdout>,
}

impl Serving {
    /// Starts `tidelog serve` on a free port.
    pub fn start(binary: &str, data_dir: &Path, args: &[&str]) -> Self {
        let mut command = tidelog_command(binary, data_dir);
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the server starts");
        let rest = BufReader::new(child.stdout.take().expect("its output"));
        let mut serving = Self { lines: Vec::new(), url: String::new(), child, rest };
        let line = serving.read_to("listening on ");
        line.trim_start_matches("listening on ").clone_into(&mut serving.url);
        serving
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.url.trim_start_matches("http://").parse().expect("an address")
    }

    /// Reads on until a line that starts like this.
    pub fn read_to(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            if self.rest.read_line(&mut line).expect("its output") == 0 {
                let said = self.said();
                panic!("the server ended without {start:?}: {:?} {said}", self.lines);
            }
            self.lines.push(line.trim_end().to_owned());
            if line.starts_with(start) {
                return line.trim_end().to_owned();
            }
        }
    }

    fn said(&mut self) -> String {
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut said).expect("its log");
        }
        said
    }

    /// Asks it to end, and asserts that it does so in order; what it logged.
    pub fn stop(mut self) -> String {
        kill(Pid::from_raw(self.child.id().try_into().expect("a pid")), Signal::SIGTERM).expect("the server is there");
        let said = self.said();
        assert!(self.child.wait().expect("its end").success(), "{said}");
        said
    }

    /// Waits until it has ended by itself, which nobody asked for, and asserts that its exit code says so; what it logged.
    pub fn wait_failed(mut self) -> String {
        let mut stderr = self.child.stderr.take().expect("its log");
        // Beside the wait: a server whose log nobody reads would block on it.
        let reading = std::thread::spawn(move || {
            let mut said = String::new();
            stderr.read_to_string(&mut said).expect("its log");
            said
        });
        let began = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("its end") {
                Some(status) => break status,
                None if began.elapsed() > END_TIME_MAX => {
                    let _ = self.child.kill();
                    panic!("the server goes on without an end: {}", reading.join().expect("its log"));
                }
                None => std::thread::park_timeout(Duration::from_millis(5)),
            }
        };
        let said = reading.join().expect("its log");
        assert!(!status.success(), "{said}");
        said
    }

    /// Kills it with -9: its Postgres goes with it.
    pub fn kill(mut self) {
        self.child.kill().expect("the server is there");
        self.child.wait().expect("its end");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

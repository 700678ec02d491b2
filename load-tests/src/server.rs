//! A Tidelog server as a child process, on an embedded Postgres or on a given database.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// The beginning of the line that a server with a gateway prints once it accepts requests.
const LISTENING: &str = "listening on ";
/// The beginning of the line that it prints once its admin listener accepts requests.
const ADMIN: &str = "admin on ";
/// Longest wait for these lines. The server may have to create a database first.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest run of a command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for the server to end after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two checks of the server's process and its output.
const SERVER_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Time between two checks whether a command has ended. Shorter, since the time that a command takes may be measured.
const COMMAND_POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Lines of the server's log that an error repeats.
const LOG_TAIL_LINES: usize = 20;

/// Where a server keeps its data.
#[derive(Clone, Copy)]
pub(crate) enum Data<'a> {
    /// In an embedded Postgres, in a temporary directory that is removed with the server.
    Embedded,
    /// In the database with this URL.
    Database(&'a str),
}

/// A running server. Dropping it stops it and removes its files.
pub(crate) struct Server {
    program: PathBuf,
    /// The option that says where its data is, with its value.
    data: [OsString; 2],
    dir: TempDir,
    process: Child,
}

/// Runs commands of the server's program that print JSON.
pub(crate) struct JsonCommands<'a> {
    /// The program.
    pub(crate) program: &'a Path,
    /// The option that says where the data is, with its value.
    pub(crate) data: &'a [OsString; 2],
    /// Longest run of a command.
    pub(crate) timeout: Duration,
}

/// The server's program: the given one, or the `tidelog` in the directory of this program.
pub(crate) fn program(given: Option<&Path>) -> Result<PathBuf> {
    let program = match given {
        Some(given) => given.to_owned(),
        None => std::env::current_exe().context("the path of this program cannot be found")?.with_file_name("tidelog"),
    };
    ensure!(
        program.is_file(),
        "there is no file {}: build it with `cargo build --release --bin tidelog`, or pass the path of the program with --tidelog",
        program.display()
    );
    Ok(program)
}

impl Server {
    /// Starts a server on a free port of the loopback interface.
    pub(crate) fn spawn(program: &Path, data: Data<'_>, args: &[String]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("tidelog-load-").tempdir()?;
        // If this program runs as root, an embedded Postgres runs as another user, who needs access to the data. The
        // permissions are set afterwards, since those passed at creation are reduced by the umask.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
        let file = |name: &str| File::create(dir.path().join(name)).with_context(|| format!("creating {name}"));
        let (stdout, stderr) = (file("stdout")?, file("stderr")?);
        let data = match data {
            Data::Embedded => ["--data-dir".into(), dir.path().join("data").into()],
            Data::Database(url) => ["--database-url".into(), url.into()],
        };
        let mut command = Command::new(program);
        command.arg("serve").args(&data).args(["--listen", "127.0.0.1:0"]).args(args);
        let process = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn();
        let process = process.with_context(|| format!("{} cannot be started", program.display()))?;
        Ok(Self { program: program.to_owned(), data, dir, process })
    }

    /// The server's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until the server accepts requests, and returns its URL.
    pub(crate) async fn listening(&mut self) -> Result<String> {
        self.url(LISTENING).await
    }

    /// Waits until the admin listener accepts requests, and returns its URL.
    pub(crate) async fn admin_listening(&mut self) -> Result<String> {
        self.url(ADMIN).await
    }

    async fn url(&mut self, line_start: &str) -> Result<String> {
        let started = Instant::now();
        loop {
            if let Some(url) = url_after(line_start, &self.output_of("stdout")) {
                return Ok(url.to_owned());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("the server ended with {status} before it accepted requests");
            }
            let timeout_s = READY_TIMEOUT.as_secs();
            ensure!(started.elapsed() < READY_TIMEOUT, "the server does not accept requests after {timeout_s} s");
            tokio::time::sleep(SERVER_POLL_INTERVAL).await;
        }
    }

    /// Runs a command of the server's program on the same data, and returns the JSON that it prints.
    pub(crate) async fn run_command(&self, args: &[&str]) -> Result<serde_json::Value> {
        JsonCommands { program: &self.program, data: &self.data, timeout: COMMAND_TIMEOUT }.run(args).await
    }

    /// The last lines of the server's log, for an error message.
    pub(crate) fn log_tail(&self) -> String {
        last_lines(&self.output_of("stderr"), LOG_TAIL_LINES)
    }

    /// Stops the server with SIGTERM and removes its files. Fails if it does not end, or not with success.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.end()
    }

    /// What the server has written to `stdout` or `stderr` so far.
    fn output_of(&self, name: &str) -> String {
        let bytes = fs::read(self.dir.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn end(&mut self) -> Result<()> {
        if self.process.try_wait()?.is_some() {
            return Ok(());
        }
        kill(Pid::from_raw(i32::try_from(self.process.id())?), Signal::SIGTERM)?;
        let asked = Instant::now();
        while asked.elapsed() < STOP_TIMEOUT {
            if let Some(status) = self.process.try_wait()? {
                ensure!(status.success(), "the server ended with {status}");
                return Ok(());
            }
            std::thread::sleep(SERVER_POLL_INTERVAL);
        }
        self.process.kill()?;
        self.process.wait()?;
        bail!("the server did not end within {} s after SIGTERM, so it was killed", STOP_TIMEOUT.as_secs())
    }
}

impl JsonCommands<'_> {
    /// Runs a command and returns the JSON that it prints. Fails if the command does, or takes longer than the timeout.
    pub(crate) async fn run(&self, args: &[&str]) -> Result<serde_json::Value> {
        let command_line = format!("tidelog {}", args.join(" "));
        let mut command = Command::new(self.program);
        command.args(self.data).args(args).stdin(Stdio::null());
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().with_context(|| command_line.clone())?;
        let started = Instant::now();
        while process.try_wait()?.is_none() {
            if started.elapsed() >= self.timeout {
                process.kill()?;
                process.wait()?;
                bail!("{command_line}: not ended after {} s, so it was killed", self.timeout.as_secs());
            }
            tokio::time::sleep(COMMAND_POLL_INTERVAL).await;
        }
        let output = process.wait_with_output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command_line}: {}: {}", output.status, stderr.trim());
        serde_json::from_slice(&output.stdout).with_context(|| format!("{command_line}: the output is not JSON"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After an error that is reported already, or after `stop` has returned its own.
        let _ = self.end();
    }
}

/// The URL in the line that begins with `start`. `None` until the whole line was written.
fn url_after<'a>(start: &str, stdout: &'a str) -> Option<&'a str> {
    let (lines, _unfinished) = stdout.rsplit_once('\n')?;
    lines.lines().find_map(|line| line.strip_prefix(start)).map(str::trim)
}

fn last_lines(text: &str, lines_max: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(lines_max)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_ready_once_its_line_is_whole() {
        let url = |stdout| url_after(LISTENING, stdout);
        assert_eq!(url("listening on http://127.0.0.1:80"), None);
        assert_eq!(url("started\nlistening on http://127.0.0.1:8080\nmore"), Some("http://127.0.0.1:8080"));
        assert_eq!(url("admin on http://127.0.0.1:8081\n"), None);
    }

    #[test]
    fn the_log_tail_is_the_last_lines() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}

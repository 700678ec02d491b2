//! A server as a child process, on an embedded Postgres or on a database of the caller's.

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

/// What a server with a gateway prints once it takes requests.
const LISTENING: &str = "listening on ";
/// What a server without one prints, if it has an admin listener.
const ADMIN: &str = "admin on ";
/// Longest wait for that: it makes a database first.
const READY_WAIT_MAX: Duration = Duration::from_secs(120);
/// Longest wait for the answer of a command.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);
/// Longest wait for the server to end in good order.
const STOP_WAIT_MAX: Duration = Duration::from_secs(30);
/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(50);
/// Between two looks at a process whose answer may be measured.
const ANSWER_LOOK: Duration = Duration::from_millis(10);
/// Lines of the server's log in an error.
const LAST_WORDS_LINES: usize = 20;

/// Where a server keeps its data.
#[derive(Clone, Copy)]
pub(crate) enum Data<'a> {
    /// In a Postgres that it embeds itself, gone with it.
    Own,
    /// In the database of this URL.
    Database(&'a str),
}

/// A running server. Dropped, it is stopped and its files removed.
pub(crate) struct Server {
    program: PathBuf,
    /// Where its data is, as the program takes it.
    data: [OsString; 2],
    dir: TempDir,
    process: Child,
}

/// How a command of the server's program that answers in JSON is run.
pub(crate) struct Answering<'a> {
    /// The program.
    pub(crate) program: &'a Path,
    /// Where the data is, as the program takes it.
    pub(crate) data: &'a [OsString; 2],
    /// Longest wait for the answer.
    pub(crate) longest: Duration,
}

/// The server's program: the given one, or the `tidelog` beside this one.
pub(crate) fn program(given: Option<&Path>) -> Result<PathBuf> {
    let program = match given {
        Some(given) => given.to_owned(),
        None => std::env::current_exe().context("this program cannot be found")?.with_file_name("tidelog"),
    };
    ensure!(
        program.is_file(),
        "there is no {}: build it with `cargo build --release --bin tidelog`, or name it with --tidelog",
        program.display()
    );
    Ok(program)
}

impl Server {
    /// Starts a server on a free port of this machine.
    pub(crate) fn spawn(program: &Path, data: Data<'_>, args: &[String]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("tidelog-load-").tempdir()?;
        // As root, the server's Postgres runs as another user, who has to get through to the data. Set afterwards, since
        // permissions asked for at creation are cut by the umask.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
        let file = |name: &str| File::create(dir.path().join(name)).with_context(|| format!("creating {name}"));
        let (stdout, stderr) = (file("stdout")?, file("stderr")?);
        let data = match data {
            Data::Own => ["--data-dir".into(), dir.path().join("data").into()],
            Data::Database(url) => ["--database-url".into(), url.into()],
        };
        let mut command = Command::new(program);
        command.arg("serve").args(&data).args(["--listen", "127.0.0.1:0"]).args(args);
        let process = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn();
        let process = process.with_context(|| format!("{} cannot be started", program.display()))?;
        Ok(Self { program: program.to_owned(), data, dir, process })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until the server takes requests, and returns where.
    pub(crate) async fn listening(&mut self) -> Result<String> {
        self.url(LISTENING).await
    }

    /// Waits until the server's admin listener takes requests, and returns where.
    pub(crate) async fn administered(&mut self) -> Result<String> {
        self.url(ADMIN).await
    }

    async fn url(&mut self, line: &str) -> Result<String> {
        let started = Instant::now();
        loop {
            if let Some(url) = url_after(line, &self.written("stdout")) {
                return Ok(url.to_owned());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("the server ended with {status} before it listened");
            }
            let waited = READY_WAIT_MAX.as_secs();
            ensure!(started.elapsed() < READY_WAIT_MAX, "the server does not listen after {waited} s");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Runs a command of the server's program on the same data, which answers in JSON.
    pub(crate) async fn ask(&self, args: &[&str]) -> Result<serde_json::Value> {
        Answering { program: &self.program, data: &self.data, longest: ANSWER_WAIT_MAX }.ask(args).await
    }

    /// The end of the server's log, for an error.
    pub(crate) fn last_words(&self) -> String {
        last_lines(&self.written("stderr"), LAST_WORDS_LINES)
    }

    /// Ends the server in good order, and removes its files.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn written(&self, name: &str) -> String {
        let bytes = fs::read(self.dir.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn end(&mut self) -> Result<()> {
        if self.process.try_wait()?.is_some() {
            return Ok(());
        }
        kill(Pid::from_raw(i32::try_from(self.process.id())?), Signal::SIGTERM)?;
        let asked = Instant::now();
        while asked.elapsed() < STOP_WAIT_MAX {
            if let Some(status) = self.process.try_wait()? {
                ensure!(status.success(), "the server ended with {status}");
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        self.process.kill()?;
        self.process.wait()?;
        bail!("the server did not end {} s after SIGTERM, and was killed", STOP_WAIT_MAX.as_secs())
    }
}

impl Answering<'_> {
    /// Runs the command to its end; an error if that is not a good one.
    pub(crate) async fn ask(&self, args: &[&str]) -> Result<serde_json::Value> {
        let what = format!("tidelog {}", args.join(" "));
        let mut command = Command::new(self.program);
        command.args(self.data).args(args).stdin(Stdio::null());
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().with_context(|| what.clone())?;
        let started = Instant::now();
        while process.try_wait()?.is_none() {
            if started.elapsed() >= self.longest {
                process.kill()?;
                process.wait()?;
                bail!("{what}: no answer after {} s", self.longest.as_secs());
            }
            tokio::time::sleep(ANSWER_LOOK).await;
        }
        let output = process.wait_with_output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{what}: {}: {}", output.status, complaint.trim());
        serde_json::from_slice(&output.stdout).with_context(|| format!("{what}: the answer is no JSON"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // On the way out of an error already, or after `stop` has told what there is to tell.
        let _ = self.end();
    }
}

/// The address in the line that starts like this, once the server has written it to its end.
fn url_after<'a>(start: &str, stdout: &'a str) -> Option<&'a str> {
    let (lines, _unfinished) = stdout.rsplit_once('\n')?;
    lines.lines().find_map(|line| line.strip_prefix(start)).map(str::trim)
}

fn last_lines(text: &str, most: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(most)..].join("\n")
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
    fn last_words_are_the_last_lines() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}

//! The first-parent history of a commit, oldest first. It is streamed, so that a long one need not fit into memory.

use std::io::BufReader;
use std::process::{Child, ChildStdout, Stdio};

use anyhow::{Context, Result, bail};
use tokio::sync::mpsc;

use super::raw_log::{Commit, FORMAT, RawLog};
use super::repository::{CommitId, Repository};

/// Limit of the commits that are read ahead of the one that is pushed.
const COMMITS_AHEAD_MAX: usize = 16;

/// Options of `git log` beside the format. Many of them only override settings of the user.
const OPTIONS: [&str; 12] = [
    "--first-parent",
    "--diff-merges=first-parent",
    "--raw",
    "-z",
    "--no-renames",
    "--no-abbrev",
    "--reverse",
    "--root",
    "--ignore-submodules=none",
    "--no-relative",
    "--no-show-signature",
    "--no-color",
];

/// The commits that a running `git log` prints. Dropping it ends git.
pub(crate) struct History {
    git: Child,
    log: RawLog<BufReader<ChildStdout>>,
    is_over: bool,
}

impl Repository {
    /// The first-parent history of `tip`, oldest first and with `tip` as the last commit.
    pub(crate) fn history(&self, tip: &CommitId) -> Result<History> {
        let mut command = self.command(&["-c", "i18n.logOutputEncoding=UTF-8", "log"]);
        command.args(OPTIONS).arg(format!("--format={FORMAT}")).arg(&tip.0).arg("--");
        let mut git = command.stdout(Stdio::piped()).spawn().context("git cannot be started")?;
        let stdout = git.stdout.take().context("git has no stdout")?;
        Ok(History { git, log: RawLog::new(BufReader::new(stdout)), is_over: false })
    }
}

impl History {
    /// Reads up to `commits_max` commits on a thread of its own, a few commits ahead of the receiver.
    pub(crate) fn stream(self, commits_max: usize) -> mpsc::Receiver<Result<Commit>> {
        let (sender, receiver) = mpsc::channel(COMMITS_AHEAD_MAX);
        tokio::task::spawn_blocking(move || {
            for commit in self.take(commits_max) {
                if sender.blocking_send(commit).is_err() {
                    break;
                }
            }
        });
        receiver
    }

    /// Waits for git to end, and fails if git did.
    fn end(&mut self) -> Result<Option<Commit>> {
        let status = self.git.wait().context("waiting for git")?;
        if status.success() { Ok(None) } else { bail!("git log ended with {status}") }
    }
}

impl Iterator for History {
    type Item = Result<Commit>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = match self.log.next_commit() {
            Ok(None) => self.end(),
            other => other,
        };
        self.is_over = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

impl Drop for History {
    fn drop(&mut self) {
        // Git has either ended already, or the rest of its output is not needed.
        let _ = self.git.kill();
        let _ = self.git.wait();
    }
}

//! The first-parent history of a commit, oldest first, streamed: a long one never stands in memory.

use std::io::BufReader;
use std::process::{Child, ChildStdout, Stdio};

use anyhow::{Context, Result, bail};
use tokio::sync::mpsc;

use super::raw_log::{Commit, FORMAT, RawLog};
use super::{CommitId, Repository};

/// Commits read ahead of the one that is pushed.
const COMMITS_AHEAD_MAX: usize = 16;

/// Options beside the format. Each later one keeps a user's setting out of what is read.
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

/// Commits as git tells them. Dropped early, it ends git.
pub(crate) struct History {
    git: Child,
    log: RawLog<BufReader<ChildStdout>>,
    is_over: bool,
}

impl Repository {
    /// The first-parent history up to and with `tip`, oldest first.
    pub(crate) fn history(&self, tip: &CommitId) -> Result<History> {
        let encoding = ["-c", "i18n.logOutputEncoding=UTF-8", "log"];
        let mut command = self.command(&encoding);
        command.args(OPTIONS).arg(format!("--format={FORMAT}")).arg(&tip.0).arg("--");
        let mut git = command.stdout(Stdio::piped()).spawn().context("git cannot be started")?;
        let stdout = git.stdout.take().context("git has no stdout")?;
        Ok(History { git, log: RawLog::new(BufReader::new(stdout)), is_over: false })
    }
}

impl History {
    /// Reads on a thread of its own, a few commits ahead.
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

    fn end(&mut self) -> Result<Option<Commit>> {
        let status = self.git.wait().context("git's end cannot be awaited")?;
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
        // Either git has ended already, or nobody wants the rest.
        let _ = self.git.kill();
        let _ = self.git.wait();
    }
}

//! Reads git repositories through the `git` command: nothing that a user configured may change what is read.

#[cfg(test)]
mod fixture;
mod history;
mod raw_log;
#[cfg(test)]
mod tests;
mod tree;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

pub(crate) use raw_log::{Change, Commit};
pub(crate) use tree::Tree;

/// Variables that point git to another repository than the one it is asked for; set inside git's own hooks.
const FOREIGN_VARIABLES: [&str; 6] =
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"];

/// A repository.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    dir: PathBuf,
}

/// The full id of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitId(pub(crate) String);

impl CommitId {
    /// Enough of it for a person.
    pub(crate) fn short(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }
}

impl Repository {
    /// The repository at or above a directory.
    pub(crate) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The commit at HEAD.
    pub(crate) fn head(&self) -> Result<CommitId> {
        let id = self.answer(&["rev-parse", "--verify", "HEAD^{commit}"]);
        id.map(CommitId).with_context(|| format!("{} has no commit at HEAD that git can read", self.dir.display()))
    }

    /// How many commits the first-parent history of a commit has.
    pub(crate) fn count_first_parents(&self, tip: &CommitId) -> Result<u64> {
        let count = self.answer(&["rev-list", "--first-parent", "--count", &tip.0])?;
        count.parse().with_context(|| format!("git counted {count:?} commits"))
    }

    /// A `git` command in the repository; its own complaints go to stderr.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        for variable in FOREIGN_VARIABLES {
            command.env_remove(variable);
        }
        command.env("LC_ALL", "C").arg("-C").arg(&self.dir).args(args).stdin(Stdio::null());
        command
    }

    /// Runs a command that answers with one line.
    fn answer(&self, args: &[&str]) -> Result<String> {
        let output = self.command(args).output().context("git cannot be started")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "git {}: {}", args.join(" "), complaint.trim());
        let line = String::from_utf8(output.stdout).context("git answered with something that is not UTF-8")?;
        Ok(line.trim_end().to_owned())
    }
}

//! A git repository, and how the `git` command is run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Environment variables that would make git read another repository than the given one. Git sets them for its hooks.
const REPOSITORY_VARIABLES: [&str; 6] =
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"];

/// A git repository.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    dir: PathBuf,
}

/// The full id of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitId(pub(crate) String);

impl CommitId {
    /// The first characters of the id, for people.
    pub(crate) fn short(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }
}

impl Repository {
    /// The repository that a directory is in.
    pub(crate) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The commit at HEAD.
    pub(crate) fn head(&self) -> Result<CommitId> {
        let id = self.read_line(&["rev-parse", "--verify", "HEAD^{commit}"]);
        id.map(CommitId).with_context(|| format!("{}: git finds no commit at HEAD", self.dir.display()))
    }

    /// The number of commits in the first-parent history of a commit.
    pub(crate) fn count_first_parents(&self, tip: &CommitId) -> Result<u64> {
        let count = self.read_line(&["rev-list", "--first-parent", "--count", &tip.0])?;
        count.parse().with_context(|| format!("git rev-list printed \"{count}\" as the number of commits"))
    }

    /// A `git` command in the repository. Its stderr is that of this program.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        for variable in REPOSITORY_VARIABLES {
            command.env_remove(variable);
        }
        command.env("LC_ALL", "C").arg("-C").arg(&self.dir).args(args).stdin(Stdio::null());
        command
    }

    /// Runs a command that prints one line, and returns the line.
    fn read_line(&self, args: &[&str]) -> Result<String> {
        let output = self.command(args).output().context("git cannot be started")?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "git {}: {}", args.join(" "), stderr.trim());
        let line = String::from_utf8(output.stdout).context("the output of git is not UTF-8")?;
        Ok(line.trim_end().to_owned())
    }
}

//! The tree of a commit, read from git. The replayed state has to equal it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::repository::{CommitId, Repository};
use crate::file::TreeEntry;

/// The lines of a tree, `<mode> <blob>\t<path>\0`, by the bytes of their paths.
pub(crate) type Tree = BTreeMap<Vec<u8>, Vec<u8>>;

impl Repository {
    /// Reads the tree of a commit.
    pub(crate) fn tree(&self, commit: &CommitId) -> Result<Tree> {
        let mut command = self.command(&["ls-tree", "-r", "-z", "--full-tree", &commit.0]);
        let mut git = command.stdout(Stdio::piped()).spawn().context("git cannot be started")?;
        let stdout = git.stdout.take().context("git has no stdout")?;
        let tree: Result<Tree> = BufReader::new(stdout).split(0).map(|line| parse_line(&line?)).collect();
        let status = git.wait().context("waiting for git")?;
        let tree = tree?;
        ensure!(status.success(), "git ls-tree ended with {status}");
        Ok(tree)
    }
}

/// Parses `<mode> <type> <blob>\t<path>` to the path and its line.
fn parse_line(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let parse = || {
        let tab = line.iter().position(|byte| *byte == b'\t')?;
        let (entry, path) = (std::str::from_utf8(&line[..tab]).ok()?, &line[tab + 1..]);
        let mut parts = entry.split(' ');
        let (mode, _type, blob) = (parts.next()?, parts.next()?, parts.next()?);
        let entry = TreeEntry { mode: mode.to_owned(), blob: blob.to_owned() };
        Some((path.to_vec(), entry.to_line(path)))
    };
    parse().with_context(|| format!("git ls-tree: {} is not a line of a tree", line.escape_ascii()))
}

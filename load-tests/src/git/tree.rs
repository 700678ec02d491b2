//! The tree of a commit as git tells it: what the replayed state has to equal.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::{CommitId, Repository};
use crate::file::Entry;

/// Every path of a tree with its line, `<mode> <blob>\t<path>\0`, by the path's bytes.
pub(crate) type Tree = BTreeMap<Vec<u8>, Vec<u8>>;

impl Repository {
    /// The tree of a commit.
    pub(crate) fn tree(&self, commit: &CommitId) -> Result<Tree> {
        let mut command = self.command(&["ls-tree", "-r", "-z", "--full-tree", &commit.0]);
        let mut git = command.stdout(Stdio::piped()).spawn().context("git cannot be started")?;
        let stdout = git.stdout.take().context("git has no stdout")?;
        let tree: Result<Tree> = BufReader::new(stdout).split(0).map(|line| parse_line(&line?)).collect();
        let status = git.wait().context("git's end cannot be awaited")?;
        let tree = tree?;
        ensure!(status.success(), "git ls-tree ended with {status}");
        Ok(tree)
    }
}

/// Reads `<mode> <type> <blob>\t<path>`.
fn parse_line(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let parse = || {
        let tab = line.iter().position(|byte| *byte == b'\t')?;
        let (entry, path) = (std::str::from_utf8(&line[..tab]).ok()?, &line[tab + 1..]);
        let mut parts = entry.split(' ');
        let (mode, _type, blob) = (parts.next()?, parts.next()?, parts.next()?);
        let entry = Entry { mode: mode.to_owned(), blob: blob.to_owned() };
        Some((path.to_vec(), entry.to_line(path)))
    };
    parse().with_context(|| format!("git ls-tree: {} cannot be read", line.escape_ascii()))
}
